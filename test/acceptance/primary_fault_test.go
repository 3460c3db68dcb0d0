package acceptance

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// durable are arguments for a Redis that loses nothing that it answered when it is killed: it gives each write to the
// kernel before it answers. It waits for no disk: one of a busy machine stalls for longer than the sidecar waits for Redis.
func durable() []string { return []string{"--appendonly", "yes", "--appendfsync", "no"} }

// outageRig is a Redis that answers in primary, behind a proxy.
type outageRig struct {
	server *redistest.Server
	proxy  *faultproxy.Proxy
	redis  *redis.Client
}

func newOutageRig(t *testing.T) *outageRig {
	server := redistest.Start(t, durable()...)
	return &outageRig{server: server, proxy: faultproxy.Start(t, server.Addr), redis: server.Client(t)}
}

func (r *outageRig) do(t *testing.T, args ...any) {
	t.Helper()
	require.NoError(t, r.redis.Do(t.Context(), args...).Err(), "%v", args[0])
}

// outage is something that happens to the Redis that answers, and its end.
type outage struct {
	name       string
	before     func(t *testing.T, r *outageRig) // while all is well, some time before
	begin, end func(t *testing.T, r *outageRig)
	lost       bool // the contents are not those that were: evidence and mode begin anew
}

func outages() []outage {
	through := func(f faultproxy.Fault) func(*testing.T, *outageRig) {
		return func(_ *testing.T, r *outageRig) { r.proxy.Set(f) }
	}
	send := func(args ...any) func(*testing.T, *outageRig) {
		return func(t *testing.T, r *outageRig) { r.do(t, args...) }
	}
	pass, nothing := through(faultproxy.Pass()), func(*testing.T, *outageRig) {}
	all := []outage{
		{name: "killed", begin: func(_ *testing.T, r *outageRig) { r.server.Kill() }, end: func(_ *testing.T, r *outageRig) { r.server.Restart() }},
		{name: "stopped", begin: func(_ *testing.T, r *outageRig) { r.server.Pause() }, end: func(_ *testing.T, r *outageRig) { r.server.Resume() }},
		{name: "cut by RST", begin: through(faultproxy.Fault{Reset: true}), end: pass},
		{name: "black hole", begin: through(faultproxy.BlackHole()), end: pass},
		{name: "answers after 5 s", begin: through(faultproxy.Fault{Delay: 5 * time.Second}), end: pass},
		{name: "full", begin: send("CONFIG", "SET", "maxmemory", 1), end: send("CONFIG", "SET", "maxmemory", 0)},
		{name: "read-only", begin: send("REPLICAOF", "127.0.0.1", 1), end: send("REPLICAOF", "NO", "ONE")},
		{name: "restarted empty", lost: true, end: nothing, begin: func(t *testing.T, r *outageRig) {
			r.server.Kill()
			empty(t, r.server.Dir)
			r.server.Restart()
		}},
		{name: "restored from an old snapshot", lost: true, before: send("SAVE"), end: nothing, begin: func(_ *testing.T, r *outageRig) {
			r.server.Restart("--appendonly", "no") // so that it reads dump.rdb
		}},
	}
	if !moreOutages {
		return all
	}
	return append(all,
		outage{name: "refusing", begin: through(faultproxy.Fault{Refuse: true}), end: pass},
		outage{name: "replies lost", begin: through(faultproxy.Fault{SwallowReplies: true}), end: pass},
		outage{name: "requests lost", begin: through(faultproxy.Fault{SwallowRequests: true}), end: pass},
		outage{name: "emptied", lost: true, begin: send("FLUSHALL"), end: nothing},
	)
}

// empty removes the contents of a directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		require.NoError(t, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
}

// In primary, whatever happens to Redis under fifty clients, Atlantis sees no error and waits for no answer longer than
// a second; legacy answers meanwhile. When the store is back the sidecar goes back by itself, or begins anew in shadow
// where it is another one, and both stores are equal. Nothing is lost or granted twice on the way.
func TestInPrimaryNoFaultOfRedisReachesAtlantis(t *testing.T) {
	for _, o := range outages() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			r := newOutageRig(t)
			p := above(t, "primary", "", r.proxy.Addr)
			outlive(t, r, p, o)
		})
	}
}

func outlive(t *testing.T, r *outageRig, p *sidecar.Process, o outage) {
	m := watchMachine(t)
	run := begin(t, p.Addr, 1)
	h := newChronicle("outage", 4)
	stop := h.watch(t, p.Addr, 6)
	if o.before != nil {
		wait(t, 300*time.Millisecond)
		o.before(t, r)
	}
	wait(t, 500*time.Millisecond)
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	began := time.Now()
	o.begin(t, r)
	left := await(t, p, returnWithin, "left", func(s state) bool { return s.FallenBack || s.Mode == "shadow" })
	noticed := time.Since(began)
	require.NotEmpty(t, left.SafeFallbackReason)
	wait(t, outageFor-time.Since(began))
	o.end(t, r)
	ended := time.Now()
	mode := "primary"
	if o.lost {
		mode = "shadow"
	}
	back := await(t, p, returnWithin, "back", func(s state) bool { return inMode(mode)(s) && s.Enhanced.Healthy })
	returned := time.Since(ended)
	v := requireEqual(t, p, healWithin)
	wait(t, 300*time.Millisecond)
	stop()
	report := run.Stop()
	h.read(t, p)

	worst := report.Latency(began.Add(-time.Second), ended)
	t.Logf("left %s after the fault began (as the status shows), returned %s after its end, %d records compared, epoch %d",
		noticed.Round(time.Millisecond), returned.Round(time.Millisecond), v.Compared, back.Epoch)
	t.Logf("longest command during the fault %s, after it %s; %s", worst.Max, report.Latency(ended, time.Time{}).Max, report)
	require.Empty(t, h.failed())
	requireUnharmed(t, report)
	h.check(t)
	m.requireAnswerIn(t, worst.Max, "during the fault")
	m.requireAnswerIn(t, report.Latency(ended, time.Time{}).Max, "after it")
	require.Zero(t, back.Conflicts)
	if o.lost {
		require.NotEqual(t, left.StoreID, "")
		require.Positive(t, back.Enhanced.Lost)
	}
	requireEqual(t, p, healWithin)
	require.Equal(t, served(t, p), inRedis(t, r.redis))
	requireRollback(t, p, report)
}

// A write that Redis has taken in but not answered when it is stopped is carried out by it when it goes on, long after
// legacy has given the lock to somebody else: it changes nothing.
func TestTheLateWriteAfterSIGCONTChangesNothing(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.server.Addr)
	c := p.Client(t)
	const free, taken = "pr/acme/infra/free/default/", "pr/acme/infra/taken/default/"
	require.NoError(t, c.Set(t.Context(), taken, lockJSON("acme/infra", "taken", 1), 0).Err())

	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	r.server.Pause()
	require.NoError(t, c.Set(t.Context(), free, lockJSON("acme/infra", "free", 1), 0).Err(), "held, and then granted by legacy")
	for path, key := range map[string]string{"free": free, "taken": taken} {
		require.NoError(t, c.Del(t.Context(), key).Err())
		require.NoError(t, c.Set(t.Context(), key, lockJSON("acme/infra", path, 2), 0).Err())
	}
	r.server.Resume()
	await(t, p, returnWithin, "back", safe("primary"))
	requireEqual(t, p, healWithin)
	want := map[string]string{free: lockJSON("acme/infra", "free", 2), taken: lockJSON("acme/infra", "taken", 2)}
	require.Equal(t, want, inRedis(t, r.redis))
	require.Equal(t, want, served(t, p))
	requireRollback(t, p)
}

// An operator's fallback lasts until an operator ends it, whatever the store does, over a restart too; both are in the
// audit.
func TestAManualFallbackWaitsForTheOperator(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr)
	run := begin(t, p.Addr, 1)
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	done(t, p, "fallback", "--reason", "Redis is to be moved")
	await(t, p, returnWithin, "fallen back", fallenBack)
	wait(t, 2*time.Second) // longer than the pause against flapping
	require.True(t, stateOf(t, p).FallenBack)
	requireUnharmed(t, run.Stop())
	p.Stop()

	p = shadowOn(t, p.DataDir, r.proxy.Addr, quickly()...)
	wait(t, 2*time.Second)
	require.True(t, stateOf(t, p).FallenBack, "over a restart too")
	run = begin(t, p.Addr, 2)
	wait(t, 300*time.Millisecond)
	done(t, p, "return")
	await(t, p, returnWithin, "back", safe("primary"))
	requireEqual(t, p, healWithin)
	report := run.Stop()
	requireUnharmed(t, report)
	acts := done(t, p, "audit", "--json")
	require.Contains(t, acts, "Redis is to be moved")
	require.Contains(t, acts, "return")
	requireRollback(t, p, report)
}
