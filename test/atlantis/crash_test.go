//go:build atlantis

package atlantis_test

import (
	"testing"
)

// A sidecar that is killed while a plan runs, and again between plan and apply, comes back with all that it had answered:
// the plan is finished, the apply done, and nobody else gets in.
func TestAKilledSidecarComesBackWithEverything(t *testing.T) {
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, mode)
			for _, repo := range r.repos() {
				quick := r.mustOpen(repo, "quick")
				r.requirePlanned(quick)
				slow, finish := r.midway(repo, "slow")
				r.restartSidecar(mode)
				finish()
				r.requirePlanned(slow)
				rival := r.mustOpen(repo, "slow")
				r.requireRefused(rival, slow)
				r.restartSidecar(mode)
				r.apply(quick)
				r.apply(slow)
				r.restartSidecar(mode)
				r.merge(slow)
				r.merge(quick)
				r.requireReplanned(rival)
			}
			r.requireWell()
			r.requireEqual(mode)
		})
	}
}

// restartSidecar kills it with SIGKILL and starts it again on what it left.
func (r *rig) restartSidecar(mode string) {
	r.t.Helper()
	r.sidecar.Kill9()
	r.startSidecar()
	r.awaitState("back in "+mode, settled(mode))
}
