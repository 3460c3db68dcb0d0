package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// A follower that panics at every tenth change, by turns before and after it is made, is as invisible to Atlantis as
// any other fault; it is counted, nothing differs without a cause, and what was missed is brought there all the same.
func TestAFollowerThatPanicsIsNoticedByNobody(t *testing.T) {
	server := redistest.Start(t)
	p := &pair{
		shadow: sidecar.Start(t, sidecar.Options{
			Failpoints: true, Env: []string{"FAILPOINT_PANIC_EVERY=10"},
			Args: []string{"--mode", "shadow", "--redis-addr", server.Addr, "--log-level", "error"},
		}),
		legacy: sidecar.Start(t, sidecar.Options{Args: []string{"--mode", "legacy", "--log-level", "warn"}}),
	}
	filled(t, p.shadow, healWithin)
	never := fault{name: "none from outside", begin: func(*testing.T) {}, end: func(*testing.T) {}}
	requireNoAddedDelay(t, p, never)
	panics := p.shadow.Metrics()["lock_sidecar_follower_panics_total"]
	t.Logf("%.0f panics", panics)
	require.Greater(t, panics, 10.0)
	wait(t, time.Second)
	require.Equal(t, served(t, p.shadow), inRedis(t, server.Client(t)))
}
