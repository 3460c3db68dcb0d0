package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// Fifty clients that want the same twenty locks bring about no divergence: whatever the comparison of outcomes or of
// states finds without anybody's hand at a store is a false one.
func TestContentionBringsNoFalseDivergence(t *testing.T) {
	eachBackend(t, func(t *testing.T, redisAddr string, records func(*testing.T, *sidecar.Process) map[string]string) {
		p := shadowOn(t, "", redisAddr)
		filled(t, p, healWithin)
		think := 5 * time.Millisecond
		if sidecar.RaceDetector {
			think *= 10 // contention, not overload: a follower that can't keep up gives no verdict
		}
		run := traffic.Start(t.Context(), traffic.Options{Addr: p.Addr, Clients: 50, Repos: 4, Paths: 5, Think: think, Seed: 1})
		c := p.Client(t)
		require.Eventually(t, func() bool { return c.DBSize(t.Context()).Val() > 0 }, healWithin, pollEvery) // else: no verdict
		verified := 0
		for began := time.Now(); time.Since(began) < contentionFor; verified++ {
			requireEqual(t, p, healWithin)
		}
		report := run.Stop()
		require.Empty(t, report.Failures)
		require.Empty(t, report.Violations)
		v := requireEqual(t, p, healWithin)
		s := statusOf(t, p)
		t.Logf("%s", report)
		t.Logf("%d times verified in between, %d records at the end, %+v, %+v", verified, v.Compared, s.Comparisons, s.Divergences)
		require.Zero(t, s.Comparisons.Mismatch)
		require.Zero(t, s.Divergences.Total)
		require.Greater(t, s.Comparisons.Match, len(report.Samples)/4, "most is compared")
		got := records(t, p)
		require.Empty(t, report.Check(got))
		require.Empty(t, divergenceLog(t, p.DataDir))
	})
}
