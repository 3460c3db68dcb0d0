package acceptance

import (
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// conflict is an element of "conflicts list --json", as far as these tests read it.
type conflict struct {
	ID             uint64
	Record         string
	LegacyHolder   string `json:"legacy_holder"`
	EnhancedHolder string `json:"enhanced_holder"`
}

func conflictsOf(t *testing.T, p *sidecar.Process) []conflict {
	t.Helper()
	var list struct{ Conflicts []conflict }
	readJSON(t, done(t, p, "conflicts", "list", "--json"), &list)
	return list.Conflicts
}

// redisCLI is somebody at a shell.
func redisCLI(t *testing.T, server *redistest.Server, args ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	out, err := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// What somebody else writes into Redis while legacy answers is a conflict, of a lock that legacy has and of one that it
// has not: listed, shown with legacy's holder, taken by nobody, and there is no return until an operator has decided
// each, one way or the other. A pull status is none: legacy's is put back.
func TestAForeignChangeDuringAFallbackIsAConflict(t *testing.T) {
	t.Parallel()
	const heldLock, freeLock, gone = "pr/acme/infra/held/default/", "pr/acme/infra/free/default/", "pr/acme/infra/gone/default/"
	for keep, want := range map[string]map[string]int{
		"legacy":   {heldLock: 1, freeLock: 0, gone: 3},
		"enhanced": {heldLock: 9, freeLock: 8, gone: 3},
	} {
		t.Run("keep "+keep, func(t *testing.T) {
			r := newOutageRig(t)
			p := above(t, "primary", "", r.proxy.Addr)
			c := impatient(t, p)
			set := func(key, path string, pull int) {
				require.NoError(t, c.Set(t.Context(), key, lockJSON("acme/infra", path, pull), 0).Err())
			}
			set(heldLock, "held", 1)
			set(freeLock, "free", 2)
			set(gone, "gone", 3)
			set(aStatus, "no lock, but any bytes will do", 12)

			await(t, p, returnWithin, "safe before the fault", safe("primary"))
			r.proxy.Set(faultproxy.Fault{Refuse: true})
			require.NoError(t, c.Del(t.Context(), freeLock).Err(), "answered by legacy")
			require.True(t, stateOf(t, p).FallenBack)
			tamper(t, r.server, r.redis, heldLock, lockJSON("acme/infra", "held", 9), "9")
			tamper(t, r.server, r.redis, freeLock, lockJSON("acme/infra", "free", 8), "8")
			rewrite(t, r.redis, aStatus, "{}")
			remove(t, r.redis, gone)
			r.proxy.Set(faultproxy.Pass())

			await(t, p, returnWithin, "two conflicts", func(s state) bool { return s.Conflicts == 2 })
			require.True(t, stateOf(t, p).FallenBack)
			list := conflictsOf(t, p)
			require.Len(t, list, 2)
			requireBlocked(t, c, heldLock, "held", 1)
			requireBlocked(t, c, freeLock, "free", 0)
			refused(t, p, "return")
			require.NoError(t, c.Set(t.Context(), "pr/acme/infra/other/default/", lockJSON("acme/infra", "other", 4), 0).Err(), "others go on")

			for _, conflict := range list {
				require.Contains(t, []string{heldLock, freeLock}, conflict.Record)
				require.Contains(t, conflict.EnhancedHolder, map[string]string{heldLock: "9", freeLock: "8"}[conflict.Record])
				require.Equal(t, conflict.Record == heldLock, conflict.LegacyHolder != "")
				done(t, p, "conflicts", "resolve", fmt.Sprint(conflict.ID), "--keep", keep, "--reason", "asked on chat")
			}
			s := await(t, p, returnWithin, "back", safe("primary"))
			require.Zero(t, s.Conflicts)
			require.Empty(t, conflictsOf(t, p))
			for key, pull := range want {
				require.Equal(t, pull, holder(c.Get(t.Context(), key).Val()), key)
			}
			require.Equal(t, lockJSON("acme/infra", "no lock, but any bytes will do", 12), c.Get(t.Context(), aStatus).Val())
			requireEqual(t, p, healWithin)
			require.Contains(t, done(t, p, "audit", "--json"), "asked on chat")
			require.NoError(t, c.Del(t.Context(), heldLock).Err())
			require.NoError(t, c.Set(t.Context(), heldLock, lockJSON("acme/infra", "held", 5), 0).Err(), "an ordinary lock again")
			requireRollback(t, p)
		})
	}
}

// tamper gives a lock another holder by redis-cli, in all fields that say whose it is.
func tamper(t *testing.T, server *redistest.Server, c *redis.Client, wire, raw, pull string) {
	t.Helper()
	key, _ := redisKey(t, c, wire)
	redisCLI(t, server, "HSET", key, "raw", raw, "owner_num", pull)
}

// requireBlocked ensures that a lock in conflict shows legacy's holder and is nobody's to take.
func requireBlocked(t *testing.T, c *redis.Client, key, path string, legacy int) {
	t.Helper()
	require.Equal(t, legacy, holder(c.Get(t.Context(), key).Val()), key)
	for _, pull := range []int{5, 6} {
		err := c.Set(t.Context(), key, lockJSON("acme/infra", path, pull), 0).Err()
		require.Error(t, err, key)
		require.Regexp(t, `^LOCKED .{10,}`, err.Error(), key)
	}
	require.Equal(t, legacy, holder(c.Get(t.Context(), key).Val()), key)
}

// A conflict that nobody has decided is still one after a crash.
func TestAConflictSurvivesACrash(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr)
	const key = "pr/acme/infra/held/default/"
	require.NoError(t, p.Client(t).Set(t.Context(), key, lockJSON("acme/infra", "held", 1), 0).Err())
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	done(t, p, "fallback", "--reason", "acceptance test")
	tamper(t, r.server, r.redis, key, lockJSON("acme/infra", "held", 9), "9")
	_, _, _ = p.Verb("return")
	await(t, p, returnWithin, "a conflict", func(s state) bool { return s.Conflicts == 1 && s.FallenBack })
	p.Kill9()
	<-p.Ended()
	p = shadowOn(t, p.DataDir, r.proxy.Addr, quickly()...)
	await(t, p, returnWithin, "still a conflict", func(s state) bool { return s.Conflicts == 1 && s.FallenBack })
	requireBlocked(t, impatient(t, p), key, "held", 1)
	done(t, p, "conflicts", "resolve", fmt.Sprint(conflictsOf(t, p)[0].ID), "--keep", "legacy", "--reason", "acceptance test")
	if stateOf(t, p).FallenBack {
		_, _, _ = p.Verb("return") // one that was refused may have been kept as a wish, or not
	}
	await(t, p, returnWithin, "back", safe("primary"))
	requireEqual(t, p, healWithin)
	requireRollback(t, p)
}

// A repair leaves a conflict as it is, and says so: nothing was made equal, in the answer and in the audit log.
func TestARepairDoesNotClaimAConflict(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr)
	require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	done(t, p, "fallback", "--reason", "acceptance test")
	requireEqual(t, p, healWithin)
	tamper(t, r.server, r.redis, oldLock, lockJSON("acme/infra", "old", 9), "9")

	for range 2 {
		text := done(t, p, "repair")
		require.Contains(t, text, "made equal to the store that answers: 0 of 1 record")
		require.Contains(t, text, "1 conflict left as found: `lock-sidecar conflicts list`")
	}
	require.Len(t, conflictsOf(t, p), 1)
	require.Contains(t, done(t, p, "audit", "-n", "1"), "repaired=0")
	found := done(t, p, "divergences")
	require.NotContains(t, found, "unexplained")
	require.Contains(t, found, "an operator decides")
}
