package acceptance

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// measurements is how often a fault is brought about at most until its latencies show no added delay. A delay that the
// fault makes is there each time; a stall of a shared machine that hits one of two processes is not.
const measurements = 6

// fault is something that happens to Redis, and its end.
type fault struct {
	name       string
	begin, end func(t *testing.T)
	says       []string // status names the reason: one of these is in its sentence; none: it is healed, or may be, before anybody looks
}

// faultRig is the follower's Redis, with a proxy before it.
type faultRig struct {
	server, other, foreign *redistest.Server
	proxy                  *faultproxy.Proxy
	redis                  *redis.Client
}

func newFaultRig(t *testing.T) *faultRig {
	server := redistest.Start(t, "--appendonly", "yes")
	r := &faultRig{server: server, other: redistest.Start(t), foreign: redistest.Start(t), proxy: faultproxy.Start(t, server.Addr)}
	r.redis = server.Client(t)
	stranger := shadowOn(t, "", r.foreign.Addr) // its store is not ours
	filled(t, stranger, healWithin)
	return r
}

// do sends a command to Redis itself.
func (r *faultRig) do(t *testing.T, args ...any) {
	t.Helper()
	require.NoError(t, r.redis.Do(t.Context(), args...).Err(), "%v", args[0])
}

func (r *faultRig) faults() []fault {
	set := func(args ...any) func(*testing.T) { return func(t *testing.T) { r.do(t, args...) } }
	through := func(f faultproxy.Fault) func(*testing.T) { return func(*testing.T) { r.proxy.Set(f) } }
	pass := through(faultproxy.Pass())
	to := func(s *redistest.Server) func(*testing.T) { return func(*testing.T) { r.proxy.Retarget(s.Addr) } }
	silent := []string{"no answer within", "i/o timeout", "deadline exceeded"}
	gone := []string{"connection refused", "connection reset", "EOF"}
	faults := []fault{
		{"stopped", func(*testing.T) { r.server.Pause() }, func(*testing.T) { r.server.Resume() }, silent},
		{"killed", func(*testing.T) { r.server.Kill() }, func(*testing.T) { r.server.Restart() }, gone},
		{"black hole", through(faultproxy.BlackHole()), pass, silent},
		{"full", set("CONFIG", "SET", "maxmemory", 1), set("CONFIG", "SET", "maxmemory", 0), []string{"OOM"}},
		{"read-only", set("REPLICAOF", "127.0.0.1", 1), set("REPLICAOF", "NO", "ONE"), []string{"READONLY"}},
		{"wrong password", r.lock, r.unlock, []string{"NOAUTH", "WRONGPASS"}},
		{"restarted empty", func(t *testing.T) { r.do(t, "FLUSHALL"); r.server.Restart() }, func(*testing.T) {}, nil},
		{"swapped for an empty one", to(r.other), to(r.server), nil},
		{"swapped for that of another sidecar", to(r.foreign), to(r.server), []string{"belongs to another sidecar"}},
	}
	if !moreFaults {
		return faults
	}
	return append(faults,
		fault{"refusing", through(faultproxy.Fault{Refuse: true}), pass, gone},
		fault{"resetting", through(faultproxy.Fault{Reset: true}), pass, gone},
		fault{"replies lost", through(faultproxy.Fault{SwallowReplies: true}), pass, silent},
		fault{"replies cut", func(*testing.T) { r.proxy.Set(faultproxy.Fault{TruncateAfter: 2000}); r.proxy.Cut() }, pass, nil},
		fault{"slow", through(faultproxy.Fault{Delay: 250 * time.Millisecond}), pass, nil},
	)
}

// lock sets a password that the sidecar does not know. Connections that are open stay good, so they are closed.
func (r *faultRig) lock(t *testing.T) {
	r.do(t, "CONFIG", "SET", "requirepass", "secret")
	r.do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
}

func (r *faultRig) unlock(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: r.server.Addr, Password: "secret"})
	defer c.Close()
	require.NoError(t, c.ConfigSet(t.Context(), "requirepass", "").Err())
}

// Whatever happens to Redis under fifty clients, Atlantis's side sees no error and no added delay, the status says what
// is wrong, and within 20 s after the end of the fault everything is equal again, by itself and under load.
func TestNoFaultOfRedisReachesAtlantis(t *testing.T) {
	r := newFaultRig(t)
	p := &pair{
		shadow: shadowOn(t, "", r.proxy.Addr, "--log-level", "warn"),
		legacy: sidecar.Start(t, sidecar.Options{Args: []string{"--mode", "legacy", "--log-level", "warn"}}),
	}
	filled(t, p.shadow, healWithin)
	for _, f := range r.faults() {
		t.Run(f.name, func(t *testing.T) {
			requireNoAddedDelay(t, p, f)
		})
	}
}

func requireNoAddedDelay(t *testing.T, p *pair, f fault) {
	t.Helper()
	for n := 1; ; n++ {
		added := measureFault(t, p, f)
		if added == "" {
			break
		}
		t.Logf("measurement %d: %s", n, added)
		require.Less(t, n, measurements, "delay was added each time: %s", added)
	}
	require.Empty(t, unexplained(divergenceLog(t, p.shadow.DataDir)), "divergences without a cause are false ones")
}

// measureFault brings a fault about under load and says what delay it added.
func measureFault(t *testing.T, p *pair, f fault) (added string) {
	stop := p.load(t)
	wait(t, time.Second)
	began := time.Now()
	f.begin(t)
	said := awaitReason(t, p.shadow, f.says, faultFor)
	wait(t, faultFor-time.Since(began))
	f.end(t)
	ended := time.Now()
	v := requireEqual(t, p.shadow, healWithin)
	healed := time.Since(ended)
	wait(t, time.Second)
	shadow, legacy := stop()

	t.Logf("status: %s", said)
	t.Logf("healed under load after %s, %d records compared; %+v", healed.Round(10*time.Millisecond), v.Compared, statusOf(t, p.shadow).Divergences)
	t.Logf("shadow: %s; of its own %d stalls", shadow, len(ownStalls(shadow, legacy)))
	t.Logf("legacy: %s; of its own %d stalls", legacy, len(ownStalls(legacy, shadow)))
	require.Less(t, healed, healWithin)
	for _, report := range []*traffic.Report{shadow, legacy} {
		require.Empty(t, report.Failures)
		require.Empty(t, report.Violations)
	}
	require.Empty(t, shadow.Check(served(t, p.shadow)))
	v = requireEqual(t, p.shadow, healWithin)
	require.Positive(t, v.Compared)
	return addedDelay(shadow, legacy)
}

// awaitReason waits until the status is not well for one of the reasons, and returns its sentence.
func awaitReason(t *testing.T, p *sidecar.Process, reasons []string, within time.Duration) string {
	t.Helper()
	if reasons == nil {
		return "(not asked)"
	}
	said := map[string]bool{}
	for deadline := time.Now().Add(max(within, healWithin)); time.Now().Before(deadline); wait(t, 2*pollEvery) {
		s := statusOf(t, p)
		if s.Enhanced.Healthy {
			continue
		}
		said[s.Enhanced.Error] = true
		for _, reason := range reasons {
			if strings.Contains(s.Enhanced.Error, reason) {
				return s.Enhanced.Error
			}
		}
	}
	t.Errorf("status names none of %q; it said %q", reasons, slices.Sorted(maps.Keys(said)))
	return ""
}

// wait lets time pass while others work: here that is what is measured.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// served is all that Atlantis can read, wire key to value, while nobody writes.
func served(t *testing.T, p *sidecar.Process) map[string]string {
	t.Helper()
	c := p.Client(t)
	records := map[string]string{}
	all := c.Scan(t.Context(), 0, "*", 0).Iterator()
	for all.Next(t.Context()) {
		value, err := c.Get(t.Context(), all.Val()).Result()
		require.NoError(t, err)
		records[all.Val()] = value
	}
	require.NoError(t, all.Err())
	return records
}
