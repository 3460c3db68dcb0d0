package breaker_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

const (
	budget  = 2 * time.Second
	timeout = 10 * time.Second
)

var (
	lockA   = locking.MustKey("pr/acme/infra/./default/")
	errAway = errors.New("connection refused")
)

// fake is a store that does what the test says at the moment.
type fake struct {
	act   func(ctx context.Context) error // before each answer and each record
	calls int
	many  int // records of a scan
}

func (f *fake) step(ctx context.Context) error {
	f.calls++
	if f.act == nil {
		return ctx.Err()
	}
	return f.act(ctx)
}

func (f *fake) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	if err := f.step(ctx); err != nil {
		return locking.Record{}, err
	}
	return locking.Record{Key: key, Value: storetest.Value("github.com", "acme/infra", 1), Version: 1}, nil
}

func (f *fake) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if err := f.step(ctx); err != nil {
		return nil, err
	}
	return make([]locking.Outcome, len(changes)), nil
}

func (f *fake) Scan(ctx context.Context, _ locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		for i := range f.many {
			if err := f.step(ctx); err != nil {
				yield(locking.Record{}, err)
				return
			}
			if !yield(locking.Record{Key: lockA, Version: uint64(i + 1)}, nil) {
				return
			}
		}
	}
}

func failing(err error) func(context.Context) error {
	return func(context.Context) error { return err }
}

// hang keeps the contract of a store: it returns when ctx is done.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// bench is a guarded fake with what it logs and counts.
type bench struct {
	*testing.T
	fake    *fake
	store   *breaker.Store
	log     *bytes.Buffer
	metrics *prometheus.Registry
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, fake: &fake{many: 3}, log: &bytes.Buffer{}, metrics: prometheus.NewRegistry()}
	b.store = breaker.New(b.fake, breaker.Options{
		Budget: budget, FailureThreshold: 5, SuccessThreshold: 3, Timeout: timeout,
		Logger: hclog.New(&hclog.LoggerOptions{Output: b.log}), Registerer: b.metrics,
	})
	return b
}

func (b *bench) get() error {
	_, err := b.store.Get(b.Context(), lockA)
	return err
}

// trip opens the breaker.
func (b *bench) trip() {
	b.Helper()
	b.fake.act = failing(errAway)
	for range 5 {
		require.ErrorIs(b, b.get(), errAway)
	}
	require.Equal(b, breaker.Open, b.store.Health().State)
}

// metric reads one metric.
func (b *bench) metric(name string) float64 {
	b.Helper()
	families, err := b.metrics.Gather()
	require.NoError(b, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	b.Fatalf("no metric %s", name)
	return 0
}

const stateMetric = "atlantis_enhanced_locking_circuit_breaker_state"
