//go:build e2e

package e2e_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// follower is what the status says about an enhanced store that follows.
type follower struct {
	Mode       string
	FallenBack bool `json:"fallen_back"`
	Enhanced   struct {
		Healthy bool
		Lost    int
	}
	Comparisons struct{ Since time.Time }
	Divergences struct{ Unresolved int }
}

// An enhanced.db that cannot be synced for a while, where it follows, has lost nothing that was durable: nobody is woken
// for a lost store, no mode is given up, and what was compared before still counts. What it did not get to the disk is made
// equal when that is well again, with its cause.
func TestAFailingDiskUnderTheFollowerIsNoLostStore(t *testing.T) {
	for _, mode := range []string{"shadow", "primary"} {
		t.Run(mode, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			p := sidecar.Start(t, sidecar.Options{DataDir: dir, Args: []string{"--mode", "shadow"}})
			awaitStandby(t, p, "filled", func(s standby) bool { return s.Backfill.State == "done" })
			if mode == "primary" { // and legacy has taken over, over a restart: the store follows, and is not durable at each answer
				require.Eventually(t, func() bool { _, _, code := p.Verb("mode", "primary", "--force", "--reason", "e2e"); return code == 0 }, patience, 50*time.Millisecond)
				awaitStandby(t, p, "safe", safePrimary)
				_, stderr, code := p.Verb("fallback", "--reason", "e2e")
				require.Zero(t, code, stderr)
				p.Stop()
				p = sidecar.Start(t, sidecar.Options{DataDir: dir})
			}
			status := func() (s follower) {
				document, err := p.Status(t.Context())
				require.NoError(t, err)
				require.NoError(t, json.Unmarshal([]byte(document), &s))
				return s
			}
			w := newWriter(t, p)
			for range 10 {
				require.NoError(t, w.write(t, 100))
			}
			require.Eventually(t, func() bool { _, _, code := p.Verb("verify"); return code == 0 }, patience, 50*time.Millisecond)
			before := status()
			require.Equal(t, mode, before.Mode)

			mend := failing(t, p, "fdatasync", "", "-P", filepath.Join(dir, "enhanced.db"))
			require.Eventually(t, func() bool {
				require.NoError(t, w.write(t, 100), "legacy answers")
				return !status().Enhanced.Healthy
			}, patience, 20*time.Millisecond)
			mend()
			require.Eventually(t, func() bool { return status().Enhanced.Healthy }, patience, 50*time.Millisecond)
			require.Eventually(t, func() bool { _, _, code := p.Verb("verify"); return code == 0 }, patience, 50*time.Millisecond)

			after := status()
			require.Zero(t, after.Enhanced.Lost, "%s", p.Output())
			require.Equal(t, []any{before.Mode, before.FallenBack, before.Comparisons.Since}, []any{after.Mode, after.FallenBack, after.Comparisons.Since})
			require.Zero(t, after.Divergences.Unresolved)
			require.Zero(t, p.Metrics()["lock_sidecar_store_lost_total"]+p.Metrics()["lock_sidecar_modes_given_up_total"])
			found, _, _ := p.Verb("divergences")
			require.NotContains(t, found, "unexplained")
			w.requireServed(t)
			p.Stop()
		})
	}
}
