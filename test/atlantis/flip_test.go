//go:build atlantis

package atlantis_test

import "testing"

// A team goes through all modes and back while eight people are at work: no comment shows it, no lock is doubled or lost.
func TestFlipsAreInNoComment(t *testing.T) {
	r := newRig(t, "legacy")
	kept := r.mustOpen(r.infra, "kept")
	r.requirePlanned(kept)
	work := r.work(8)
	for _, mode := range []string{"shadow", "hybrid", "primary", "enhanced", "primary", "hybrid", "shadow", "legacy", "shadow", "primary"} {
		work.more(t, 2)
		r.flip(mode)
	}
	work.more(t, 4)
	work.stop(t)
	r.apply(kept)
	r.requireWell()
	r.requireEqual("primary")
}
