package demo_test

import (
	"bytes"
	"context"
	"iter"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/demo"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// twin is the smallest sidecar in mode shadow: two stores in memory that do the
// same, one after the other.
type twin struct {
	authority locking.Store
	enhanced  *locking.Memory

	mu          sync.Mutex
	match       int
	mismatch    int
	divergences int
}

var _ demo.API = (*twin)(nil)

func newTwin() *twin {
	return &twin{authority: locking.NewMemory(), enhanced: locking.NewMemory()}
}

// Get is documented at locking.Store.
func (t *twin) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	return t.authority.Get(ctx, key)
}

// Scan is documented at locking.Store.
func (t *twin) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return t.authority.Scan(ctx, match)
}

// Apply is documented at locking.Store.
func (t *twin) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	outcomes, err := t.authority.Apply(ctx, changes)
	if err != nil || !outcomes[0].Applied {
		return outcomes, err
	}
	followed := append([]locking.Change{}, changes...)
	for i := range followed {
		followed[i].If = locking.Any()
	}
	same, err := t.enhanced.Apply(ctx, followed)
	if err != nil {
		return nil, err
	}
	for i := range outcomes {
		if _, differ := compare.Outcomes(changes[i].Key, outcomes[i], same[i]); differ {
			t.mismatch++
		} else {
			t.match++
		}
	}
	return outcomes, nil
}

// Status is documented at demo.API.
func (t *twin) Status(context.Context) (client.Status, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return client.Status{
		Mode: "shadow", Enhanced: &client.Enhanced{Healthy: true}, Legacy: client.Legacy{ByKind: &client.Counts{}},
		Comparisons: client.Comparisons{Match: t.match, Mismatch: t.mismatch},
		Divergences: client.Divergences{Total: t.divergences},
	}, nil
}

// Verify is documented at demo.API.
func (t *twin) Verify(ctx context.Context, _ time.Duration) (client.Verdict, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.compare(ctx, nil)
}

// Repair is documented at demo.API.
func (t *twin) Repair(ctx context.Context, _ bool, _ time.Duration) (client.Verdict, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, err := t.compare(ctx, func(key locking.Key, truth locking.Record) error {
		change := locking.Delete(key, locking.Any())
		if truth.Exists() {
			change = locking.Put(key, truth.Value, locking.Any())
		}
		_, err := t.enhanced.Apply(ctx, []locking.Change{change})
		return err
	})
	v.Repaired = v.Different
	t.divergences += v.Different
	return v, err
}

// compare compares all records, and lets heal, if there is one, have each that
// differs.
func (t *twin) compare(ctx context.Context, heal func(locking.Key, locking.Record) error) (client.Verdict, error) {
	v := client.Verdict{Verdict: client.VerdictEqual}
	all := map[locking.Key]bool{}
	for _, s := range []locking.Store{t.authority, t.enhanced} {
		for r, err := range s.Scan(ctx, locking.All) {
			if err != nil {
				return v, err
			}
			all[r.Key] = true
		}
	}
	for key := range all {
		truth, _ := t.authority.Get(ctx, key) // the zero Record if there is none
		has, _ := t.enhanced.Get(ctx, key)
		v.Compared++
		kind, differ := compare.Records(key, truth, has)
		if !differ {
			continue
		}
		v.Verdict = client.VerdictDifferent
		v.Different++
		v.Differences = append(v.Differences, client.Difference{
			Kind: string(kind), Record: key.String(),
			LegacyHolder: compare.SideOf(truth, 0).Holder, EnhancedHolder: compare.SideOf(has, 0).Holder,
		})
		if heal != nil {
			if err := heal(key, truth); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

// serve lets an Atlantis talk to the twin until the test ends.
func (t *twin) serve(tb testing.TB) demo.Sidecar {
	tb.Helper()
	registry := prometheus.NewRegistry()
	server := resp.NewServer(atlantis.New(atlantis.Options{
		Store: t, StoreName: func() string { return "legacy" }, Version: "test", Registerer: registry,
		Operations: metrics.NewOperations(registry), Logger: hclog.NewNullLogger(),
	}), resp.DefaultOptions())
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	web := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	tb.Cleanup(func() {
		web.Close()
		require.NoError(tb, server.Shutdown(context.Background()))
		require.NoError(tb, <-served)
	})
	return demo.Sidecar{Redis: listener.Addr().String(), API: t, Metrics: web.URL, Enhanced: t.enhanced}
}

// output is what a story wrote, readable while it does.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// options are those of a story for this test.
func options(sidecar demo.Sidecar, out *output) demo.Options {
	return demo.Options{
		Out: out, Speed: 40, Sidecar: sidecar, Dir: "/tmp/lock-sidecar-demo-1",
		AtlantisFlags: "--locking-db-type=redis --redis-host=127.0.0.1 --redis-port=6380",
	}
}
