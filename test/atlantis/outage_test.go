//go:build atlantis

package atlantis_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// outages are the ways in which a Redis goes and comes back.
func outages() map[string]func(*redistest.Server) (back func()) {
	return map[string]func(*redistest.Server) func(){
		"killed":  func(s *redistest.Server) func() { s.Kill(); return func() { s.Restart() } },
		"stopped": func(s *redistest.Server) func() { s.Pause(); return s.Resume },
	}
}

// Redis goes while one pull request is being planned, another applied, and six more are at work: where there is a store
// to fall back to, no comment shows it, and when Redis is back both stores are equal.
func TestARedisOutageIsInNoComment(t *testing.T) {
	for _, mode := range []string{"shadow", "hybrid", "primary"} {
		for how, begin := range outages() {
			t.Run(mode+"/"+how, func(t *testing.T) {
				r := newRig(t, mode)
				work := r.work(6)
				ready := r.mustOpen(r.infra, "ready")
				r.requirePlanned(ready)
				slow, finish := r.midway(r.infra, "slow")

				back := begin(r.redis)
				r.apply(ready)
				finish()
				r.requirePlanned(slow)
				rival := r.mustOpen(r.infra, "slow")
				r.requireRefused(rival, slow)
				if mode != "shadow" {
					r.awaitState("fallen back", func(s state) bool { return s.FallenBack })
				}
				work.merge(t, ready)
				work.more(t, 6)
				back()
				r.awaitState("returned", settled(mode))

				r.apply(slow)
				work.merge(t, slow)
				r.requireReplanned(rival)
				work.more(t, 6)
				work.stop(t)
				r.requireWell()
				r.requireEqual(mode)
				require.Zero(t, r.status().Conflicts)
			})
		}
	}
}

// In mode enhanced there is nothing to fall back to: a plan in an outage is refused in a comment that says why, nobody
// is granted anything, and when Redis is back all locks are there.
func TestInEnhancedAnOutageIsSaid(t *testing.T) {
	r := newRig(t, "enhanced")
	one := r.mustOpen(r.infra, "network")
	r.requirePlanned(one)
	r.redis.Kill()
	two := r.mustOpen(r.infra, "network")
	body, _, err := two.outcome(t.Context(), "plan")
	require.NoError(t, err)
	t.Log(body)
	require.NotContains(t, body, two.planned())
	require.Contains(t, body, "STOREDOWN")
	r.redis.Restart()
	require.True(t, eventually(t.Context(), settleWithin, func() bool {
		locks, err := r.atlantis.Locks(t.Context())
		return err == nil && len(locks) == 1
	}))
	r.requireRefusedAgain(two, one)
	r.apply(one)
	r.merge(one)
	r.requireReplanned(two)
}
