package atlantis_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// secret is the token that the values of these tests contain, as Atlantis's do.
const secret = "EXAMPLE-TOKEN-NOT-REAL"

// rig is a handler on a real BoltDB file behind a real listener.
type rig struct {
	t       *testing.T
	store   *legacy.Store
	addr    string
	metrics *prometheus.Registry
	log     *strings.Builder
}

func newRig(t *testing.T) *rig {
	t.Helper()
	store, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	return newRigOn(t, store)
}

func newRigOn(t *testing.T, store *legacy.Store) *rig {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	r := newRigBefore(t, store)
	r.store = store
	return r
}

// newRigBefore is a rig on any store, which outlives it.
func newRigBefore(t *testing.T, store locking.Store) *rig {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return newRigBehind(t, store, listener)
}

// newRigBehind is a rig on any store and listener. One of pipes it may have in a bubble, whose clock it then goes by.
func newRigBehind(t *testing.T, store locking.Store, listener net.Listener) *rig {
	t.Helper()
	r := &rig{t: t, metrics: prometheus.NewRegistry(), log: &strings.Builder{}}
	handler := atlantis.New(atlantis.Options{
		Store: store, StoreName: func() string { return "legacy" }, Version: "test", Registerer: r.metrics, Operations: metrics.NewOperations(r.metrics),
		Logger: hclog.New(&hclog.LoggerOptions{Output: r.log, Level: hclog.Debug}),
	})
	server := resp.NewServer(handler, resp.DefaultOptions())
	r.addr = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Shutdown(context.Background()))
		require.NoError(t, <-served)
		require.NotContains(t, r.log.String(), secret)
	})
	return r
}

// client connects as Atlantis does, and waits for longer than its 3 s, as the machine may be busy.
func (r *rig) client() *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: r.addr, MaxRetries: -1, ReadTimeout: 20 * time.Second, PoolTimeout: 20 * time.Second})
	r.t.Cleanup(func() { require.NoError(r.t, c.Close()) })
	return c
}

// count reads a counter with one label, or none.
func (r *rig) count(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	require.NoError(r.t, err)
	total := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			has := map[string]bool{}
			for _, l := range m.GetLabel() {
				has[l.GetName()+"="+l.GetValue()] = true
			}
			matches := true
			for _, l := range labels {
				matches = matches && has[l]
			}
			if matches {
				total += m.GetCounter().GetValue()
			}
		}
	}
	return total
}

func (r *rig) prevented(fault string) float64 {
	r.t.Helper()
	return r.count("lock_sidecar_prevented_total", "fault="+fault)
}

// lockOn is the value of a project lock, with the clone URL's token in it.
func lockOn(host, repo, path, project string, pull int) string {
	return fmt.Sprintf(`{"Project":{"ProjectName":%q,"RepoFullName":%q,"Path":%q},"Pull":{"Num":%d,"URL":"https://%s/%s/pull/%d",`+
		`"BaseRepo":{"FullName":%q,"CloneURL":"https://bot:%s@%s/%s.git","VCSHost":{"Hostname":%q,"Type":0}}},`+
		`"User":{"Username":"alice"},"Workspace":"default","Time":"2026-08-20T09:30:00.123456789+02:00"}`,
		project, repo, path, pull, host, repo, pull, repo, secret, host, repo, host)
}

func lock(repo string, pull int) string { return lockOn("github.com", repo, ".", "", pull) }

const lockKey = "pr/acme/infra/./default/"

// Every metric has a help text and a name that Prometheus's linter likes.
func TestMetricsPassTheLinter(t *testing.T) {
	r := newRig(t)
	require.NoError(t, r.client().Set(t.Context(), lockKey, lock("acme/infra", 1), 0).Err())
	problems, err := testutil.GatherAndLint(r.metrics)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// The command log of a rig names locks and never shows a value.
func TestLogLinesNameTheLock(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ctx := t.Context()
	require.NoError(t, c.Set(ctx, lockKey, lock("acme/infra", 1), 0).Err())
	require.Error(t, c.Set(ctx, lockKey, lock("acme/infra", 2), 0).Err())
	require.NoError(t, c.Get(ctx, lockKey).Err())
	require.NoError(t, c.Del(ctx, lockKey).Err())
	log := r.log.String()
	require.Regexp(t, `lock acquired: repo=acme/infra path=\. workspace=default project="" pull=1 user=alice request=1 duration=[0-9.]+ms\n`, log)
	require.Regexp(t, `lock already exists: repo=acme/infra .* pull=2 .*held_by="pull #1 of acme/infra"`, log)
	require.Regexp(t, `lock released: repo=acme/infra .* pull=1`, log)
	require.Equal(t, 0, strings.Count(log, secret))
}

// A store that fails is an error to Atlantis, never "free".
func TestAStoreThatFailsIsNeverFree(t *testing.T) {
	r := newRig(t)
	c := r.client()
	require.NoError(t, c.Ping(t.Context()).Err())
	require.NoError(t, r.store.Close())
	for _, err := range []error{
		c.Get(t.Context(), lockKey).Err(), c.Set(t.Context(), lockKey, lock("acme/infra", 1), 0).Err(), c.Del(t.Context(), lockKey).Err(),
		c.Exists(t.Context(), lockKey).Err(), c.Keys(t.Context(), "pr/*").Err(), c.Eval(t.Context(), "return redis.call('GET', KEYS[1])", []string{lockKey}).Err(),
	} {
		require.ErrorContains(t, err, "STOREDOWN")
		require.NotErrorIs(t, err, redis.Nil)
	}
	require.Equal(t, 6.0, r.count("atlantis_enhanced_locking_errors_total"))
}
