package acceptance

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// After a kill -9 at a random moment under load in hybrid and in primary every answered lock is in both stores, none is
// held twice, and atlantis.db alone would do: it had each OK before Atlantis had it.
func TestKillNineUnderLoadAboveShadow(t *testing.T) {
	for _, mode := range []string{"hybrid", "primary"} {
		t.Run(mode+" redis", func(t *testing.T) { t.Parallel(); killAbove(t, mode, redistest.Start(t).Addr) })
		t.Run(mode+" embedded", func(t *testing.T) { t.Parallel(); killAbove(t, mode, "") })
	}
}

func killAbove(t *testing.T, mode, redisAddr string) {
	dir := filepath.Join(t.TempDir(), "data")
	p := above(t, mode, dir, redisAddr)
	random := rand.New(rand.NewPCG(5, 5))
	h := newChronicle("crash", 3)
	for round := range crashes {
		run := begin(t, p.Addr, round+1) // whose pull requests have other numbers than those of h, of which they may read
		stop := h.watch(t, p.Addr, 8)
		wait(t, time.Duration(300+random.IntN(700))*time.Millisecond)
		p.Kill9()
		stop()
		report := run.Wait()
		<-p.Ended()
		require.Empty(t, report.Violations, "round %d", round)
		require.Empty(t, report.Check(wireKeys(sidecar.ReadAtlantisDB(t, filepath.Join(dir, "atlantis.db")))), "round %d: rollback", round)

		p = shadowOn(t, dir, redisAddr, quickly()...)
		began := time.Now()
		await(t, p, returnWithin, "safe again", safe(mode))
		t.Logf("round %d: safe again %s after the start", round, time.Since(began).Round(time.Millisecond))
		require.Empty(t, report.Check(served(t, p)), "round %d", round)
		requireEqual(t, p, healWithin)
		h.read(t, p)
	}
	h.check(t)
	requireRollback(t, p)
}

// A store that comes and goes is not followed each time: legacy goes on answering for the pause against flapping, and
// nobody notices anything.
func TestAStoreThatComesAndGoesIsNotFollowedEachTime(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr, "--circuit-breaker-min-fallback", "3s")
	run := begin(t, p.Addr, 1)
	h := newChronicle("flapping", 3)
	stop := h.watch(t, p.Addr, 6)
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		r.proxy.Set(faultproxy.Fault{Reset: true})
		wait(t, 300*time.Millisecond)
		r.proxy.Set(faultproxy.Pass())
		wait(t, 300*time.Millisecond)
	}
	await(t, p, returnWithin, "back", safe("primary"))
	stop()
	report := run.Stop()
	fallbacks := p.Metrics()["lock_sidecar_fallbacks_total"]
	t.Logf("%.0f fallbacks; %s", fallbacks, report)
	require.Positive(t, fallbacks)
	require.LessOrEqual(t, fallbacks, 3.0)
	require.Empty(t, h.failed())
	requireUnharmed(t, report)
	h.read(t, p)
	h.check(t)
	requireEqual(t, p, healWithin)
	requireRollback(t, p, report)
}
