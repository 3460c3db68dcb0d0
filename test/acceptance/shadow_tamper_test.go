package acceptance

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// What the fixture v0.47.1 holds, and one that it does not.
const (
	aLock     = "pr/acme/infra/envs/prod/eks/default/eks-prod"
	aStatus   = "github.com::acme/infra::12"
	aCommand  = "global/apply/lock"
	aNewLock  = "pr/acme/infra/nobody/knows/default/"
	theirPath = "envs/prod/eks"
)

func rewrite(t *testing.T, c *redis.Client, wire, raw string) {
	key, _ := redisKey(t, c, wire)
	require.NoError(t, c.HSet(t.Context(), key, "raw", raw).Err())
}

func remove(t *testing.T, c *redis.Client, wire string) {
	key, index := redisKey(t, c, wire)
	require.NoError(t, c.Del(t.Context(), key).Err())
	require.NoError(t, c.ZRem(t.Context(), index, wire).Err())
}

// add copies the record of another lock of the repository under a name that legacy does not know.
func add(t *testing.T, c *redis.Client, wire string) {
	from, index := redisKey(t, c, aLock)
	to := from[:len(from)-len(aLock)+len("pr/")] + wire[len("pr/"):]
	require.NoError(t, c.Copy(t.Context(), from, to, 0, false).Err())
	require.NoError(t, c.ZAdd(t.Context(), index, redis.Z{Member: wire}).Err())
}

// Whatever somebody does to records in Redis is found by verify, with the kind of difference, and made good by repair;
// repair --dry-run says it and does nothing.
func TestHandsInRedisAreFoundAndRepaired(t *testing.T) {
	const fixture = "atlantis-v0.47.1"
	server := redistest.Start(t)
	c := server.Client(t)
	p := shadowOn(t, fixtureDB(t, fixture), server.Addr)
	requireEqual(t, p, healWithin)
	want := redisKeys(t, fixture)
	for name, tc := range map[string]struct {
		tamper       func(t *testing.T)
		kind, record string
	}{
		"value of a status changed":       {func(t *testing.T) { rewrite(t, c, aStatus, want[aStatus]+" ") }, "value", aStatus},
		"value of a lock changed":         {func(t *testing.T) { rewrite(t, c, aLock, want[aLock]+" ") }, "value", aLock},
		"value of a lock made no JSON":    {func(t *testing.T) { rewrite(t, c, aLock, "x") }, "value", aLock},
		"value of a command lock changed": {func(t *testing.T) { rewrite(t, c, aCommand, "{}") }, "value", aCommand},
		"owner changed":                   {func(t *testing.T) { rewrite(t, c, aLock, lockJSON("acme/infra", theirPath, 4711)) }, "owner", aLock},
		"lock removed":                    {func(t *testing.T) { remove(t, c, aLock) }, "missing", aLock},
		"status removed":                  {func(t *testing.T) { remove(t, c, aStatus) }, "missing", aStatus},
		"lock removed but for the index": {func(t *testing.T) {
			key, _ := redisKey(t, c, aLock)
			require.NoError(t, c.Del(t.Context(), key).Err())
		}, "missing", aLock},
		"lock removed from the index only": {func(t *testing.T) {
			_, index := redisKey(t, c, aLock)
			require.NoError(t, c.ZRem(t.Context(), index, aLock).Err())
		}, "missing", aLock},
		"key of another type": {func(t *testing.T) {
			key, _ := redisKey(t, c, aLock)
			require.NoError(t, c.Del(t.Context(), key).Err())
			require.NoError(t, c.Set(t.Context(), key, "x", 0).Err())
		}, "value", aLock},
		"lock added": {func(t *testing.T) { add(t, c, aNewLock) }, "extra", aNewLock},
	} {
		t.Run(name, func(t *testing.T) {
			tc.tamper(t)
			requireOne := func(stdout, stderr string, code int) {
				t.Helper()
				var v verdict
				readJSON(t, stdout, &v)
				require.Equal(t, 1, code, stderr)
				require.Equal(t, "different", v.Verdict)
				require.Len(t, v.Differences, 1)
				require.Equal(t, tc.kind, v.Differences[0].Kind)
				require.Equal(t, tc.record, v.Differences[0].Record)
			}
			requireOne(p.Verb("verify", "--json"))
			_, stderr, code := p.Verb("repair", "--dry-run", "--json")
			require.Contains(t, []int{0, 1}, code, stderr)
			requireOne(p.Verb("verify", "--json")) // still
			_, stderr, code = p.Verb("repair", "--json")
			require.Zero(t, code, stderr)
			requireEqual(t, p, healWithin)
			require.Equal(t, want, inRedis(t, c))
			require.Zero(t, statusOf(t, p).Divergences.Unresolved)
		})
	}
}

// What a reconcile overwrites by itself is recorded first, with the cause for which it had to be made equal.
func TestWhatAReconcileOverwritesIsRecordedFirst(t *testing.T) {
	server := redistest.Start(t)
	c := server.Client(t)
	proxy := faultproxy.Start(t, server.Addr)
	dir := fixtureDB(t, "atlantis-v0.47.1")
	want := redisKeys(t, "atlantis-v0.47.1")
	p := shadowOn(t, dir, proxy.Addr)
	requireEqual(t, p, healWithin)
	require.Empty(t, divergenceLog(t, dir))

	recorded := func(t *testing.T, kind, record, cause string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return slices.ContainsFunc(divergenceLog(t, dir), func(d divergence) bool {
				return d.Kind == kind && d.Record == record && len(d.Cause) >= len(cause) && d.Cause[:len(cause)] == cause
			})
		}, healWithin, pollEvery, "%s of %s with the cause %q: %+v", kind, record, cause, divergenceLog(t, dir))
	}
	t.Run("after dirt", func(t *testing.T) {
		proxy.Set(faultproxy.Fault{Refuse: true})
		want[aStatus] += " "
		require.NoError(t, p.Client(t).Set(t.Context(), aStatus, want[aStatus], 0).Err())
		require.Eventually(t, func() bool { return statusOf(t, p).Mirror.Dirty > 0 }, healWithin, pollEvery, "missed")
		rewrite(t, c, aStatus, "{}")
		proxy.Set(faultproxy.Pass())
		requireEqual(t, p, healWithin)
		recorded(t, "value", aStatus, "missed: ")
		require.Equal(t, want, inRedis(t, c))
	})
	whole := t
	t.Run("after a crash", func(t *testing.T) {
		p.Kill9()
		<-p.Ended()
		rewrite(t, c, aLock, lockJSON("acme/infra", theirPath, 4711))
		remove(t, c, aStatus)
		add(t, c, aNewLock)
		p = shadowOn(whole, dir, proxy.Addr)
		requireEqual(t, p, healWithin)
		recorded(t, "owner", aLock, "the last run did not end")
		recorded(t, "missing", aStatus, "the last run did not end")
		recorded(t, "extra", aNewLock, "the last run did not end")
		require.Equal(t, want, inRedis(t, c))
	})
	for name, empty := range map[string]func(){
		"after a restart of Redis, empty": func() { server.Restart() },
		"after FLUSHALL":                  func() { require.NoError(t, c.FlushAll(t.Context()).Err()) },
	} {
		t.Run(name, func(t *testing.T) {
			empty()
			requireHealed(t, p, c, want)
			for record := range want {
				recorded(t, "missing", record, "store lost: ")
			}
		})
	}
}

// requireHealed waits until Redis holds what it should by itself, and verify agrees.
func requireHealed(t *testing.T, p *sidecar.Process, c *redis.Client, want map[string]string) {
	t.Helper()
	began := time.Now()
	require.Eventually(t, func() bool { return len(inRedis(t, c)) == len(want) }, healWithin, pollEvery)
	requireEqual(t, p, healWithin-time.Since(began))
	require.Equal(t, want, inRedis(t, c))
	t.Logf("healed after %s", time.Since(began).Round(time.Millisecond))
}
