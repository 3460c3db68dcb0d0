package breaker_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

const panicMetric = "lock_sidecar_follower_panics_total"

// A panic in the store is an error, counted, logged with its stack, and a failure; a change is unknown then.
func TestPanicInTheStoreIsAFailure(t *testing.T) {
	b := newBench(t)
	b.fake.act = func(context.Context) error {
		var none []int
		return failing(nil)(context.WithValue(t.Context(), t, none[len(none)]))
	}
	require.ErrorIs(t, b.get(), breaker.ErrPanicked)
	require.ErrorContains(t, b.get(), "index out of range")
	_, err := b.store.Apply(t.Context(), []locking.Change{locking.Delete(lockA, locking.Any())})
	require.ErrorIs(t, err, breaker.ErrPanicked)
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	for range 2 {
		for _, err := range b.store.Scan(t.Context(), locking.All) {
			require.ErrorIs(t, err, breaker.ErrPanicked)
		}
	}
	require.Equal(t, breaker.Open, b.store.Health().State)
	require.Equal(t, 5.0, b.metric(panicMetric))
	require.Contains(t, b.log.String(), "follower panicked")
	require.Contains(t, b.log.String(), "panic_test.go")
}

// A store that panics after its caller left still failed.
func TestPanicCountsEvenIfTheCallerLeft(t *testing.T) {
	b := newBench(t)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		b.fake.act = func(context.Context) error { cancel(); panic("late") }
		_, err := b.store.Get(ctx, lockA)
		require.ErrorIs(t, err, breaker.ErrPanicked)
	}
	require.Equal(t, breaker.Open, b.store.Health().State)
}

// A value that is panicked with reaches neither log nor error.
func TestPanicShowsNoValue(t *testing.T) {
	b := newBench(t)
	b.fake.act = func(context.Context) error { panic(string(storetest.Value("github.com", "acme/infra", 1))) }
	err := b.get()
	require.EqualError(t, err, "store panicked: panic of type string")
	require.NotContains(t, b.log.String(), "EXAMPLE-TOKEN-NOT-REAL")
	require.NotContains(t, b.log.String(), "CloneURL")
}
