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
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// After a kill -9 at a random moment under load, time and again, every answered write is in atlantis.db, and once the
// next start has reconciled, the enhanced store, which is still the one it was, holds the same. Nothing that a crash made
// differ is without its cause.
func TestKillNineUnderLoadInShadow(t *testing.T) {
	t.Run("redis", func(t *testing.T) { killUnderLoad(t, redistest.Start(t).Addr) })
	t.Run("embedded", func(t *testing.T) { killUnderLoad(t, "") })
}

func killUnderLoad(t *testing.T, redisAddr string) {
	dir := filepath.Join(t.TempDir(), "data")
	random := rand.New(rand.NewPCG(3, 3))
	writes, slowest := 0, time.Duration(0)
	for round := range kills {
		p := shadowOn(t, dir, redisAddr, "--log-level", "warn")
		const held = "pr/acme/held/./default/" // of none of the clients; the kill may come before their first write, and verify wants a record
		require.NoError(t, p.Client(t).Set(t.Context(), held, lockJSON("acme/held", ".", 1000), 0).Err())
		run := traffic.Start(t.Context(), traffic.Options{
			Addr: p.Addr, Clients: 20, Repos: 5, Paths: 5, Think: 2 * time.Millisecond, Seed: uint64(round), Generation: round,
		})
		require.Eventually(t, func() bool { return run.Answered() > 3*someCommands }, healWithin, time.Millisecond)
		after := time.Duration(50+random.IntN(700)) * time.Millisecond
		killed := time.AfterFunc(after, p.Kill9)
		report := run.Wait()
		killed.Stop()
		<-p.Ended()
		require.Empty(t, report.Violations, "round %d", round)
		writes += report.Writes()
		require.Empty(t, report.Check(wireKeys(sidecar.ReadAtlantisDB(t, filepath.Join(dir, "atlantis.db")))), "round %d", round)

		p = shadowOn(t, dir, redisAddr, "--log-level", "warn")
		began := time.Now()
		v := requireEqual(t, p, healWithin)
		slowest = max(slowest, time.Since(began))
		require.Positive(t, v.Compared)
		require.Zero(t, stateOf(t, p).Enhanced.Lost, "round %d: what the follower had not written yet is no loss of the store", round)
		require.Empty(t, unexplained(divergenceLog(t, dir)), "round %d, killed after %s", round, after)
		p.Stop()
	}
	require.Greater(t, writes, 20*kills)
	t.Logf("%d kills, %d writes, slowest verify after a restart %s, %d divergences logged", kills, writes,
		slowest.Round(time.Millisecond), len(divergenceLog(t, dir)))
}

// Serve starts with Redis away, and a kill -9 in that state forgets no dirt: the next start that has Redis again brings
// there what was missed.
func TestACrashWithRedisAwayForgetsNoDirt(t *testing.T) {
	server := redistest.Start(t)
	proxy := faultproxy.Start(t, server.Addr)
	dir := filepath.Join(t.TempDir(), "data")
	const key = "pr/acme/infra/./default/"
	set := func(p *sidecar.Process, pull int) string {
		value := lockJSON("acme/infra", ".", pull)
		c := p.Client(t)
		require.NoError(t, c.Del(t.Context(), key).Err())
		require.NoError(t, c.Set(t.Context(), key, value, 0).Err())
		return value
	}
	p := shadowOn(t, dir, proxy.Addr)
	first := set(p, 1)
	requireEqual(t, p, healWithin)
	p.Stop() // in step: without the next crash nothing would be compared at the next start

	proxy.Set(faultproxy.Fault{Refuse: true})
	p = shadowOn(t, dir, proxy.Addr)
	second := set(p, 2)
	require.Eventually(t, func() bool { s := statusOf(t, p); return !s.Enhanced.Healthy && s.Enhanced.Error != "" }, healWithin, pollEvery)
	t.Logf("status says: %s", statusOf(t, p).Enhanced.Error)
	_, code, _ := verify(t, p, time.Second)
	require.Equal(t, 3, code, "verify without a follower")
	p.Kill9()
	<-p.Ended()
	require.Equal(t, first, inRedis(t, server.Client(t))[key])

	proxy.Set(faultproxy.Pass())
	p = shadowOn(t, dir, proxy.Addr)
	requireEqual(t, p, healWithin)
	require.Equal(t, second, inRedis(t, server.Client(t))[key])
	require.Eventually(t, func() bool {
		for _, d := range divergenceLog(t, dir) {
			if d.Record == key && d.Kind == "owner" && d.Cause != "" {
				t.Logf("recorded with the cause %q", d.Cause)
				return true
			}
		}
		return false
	}, healWithin, pollEvery, "what the reconcile overwrote is recorded")
}
