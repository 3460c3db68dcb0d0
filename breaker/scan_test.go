package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func (b *bench) scan(each func()) (records int, last error) {
	for _, err := range b.store.Scan(b.Context(), locking.All) {
		if err != nil {
			return records, err
		}
		records++
		each()
	}
	return records, nil
}

// A scan is one operation: a thousand records do not make up for five scans that fail at their end.
func TestScanIsOneOperation(t *testing.T) {
	b := newBench(t)
	b.fake.many = 1000
	for range 5 {
		step := 0
		b.fake.act = func(context.Context) error {
			if step++; step == 1000 {
				return errAway
			}
			return nil
		}
		records, err := b.scan(func() {})
		require.ErrorIs(t, err, errAway)
		require.Equal(t, 999, records)
	}
	require.Equal(t, breaker.Open, b.store.Health().State)
}

// The budget is for the store's part of a scan, record by record: a slow reader is not its failure.
func TestScanBudgetIsTheStoresOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fake.act = func(ctx context.Context) error { time.Sleep(budget - 1); return ctx.Err() }
		records, err := b.scan(func() { time.Sleep(10 * budget) })
		require.NoError(t, err)
		require.Equal(t, 3, records)

		b.fake.act = hang
		began := time.Now()
		_, err = b.scan(func() {})
		require.EqualError(t, err, "no answer within 2s: context deadline exceeded")
		require.Equal(t, budget, time.Since(began))
		require.Equal(t, err, b.store.Health().Err)
	})
}

// A reader who stops early, and one who panics, are no failure; the panic is the reader's own.
func TestReaderOfAScanMayLeave(t *testing.T) {
	b := newBench(t)
	for range 5 {
		for range b.store.Scan(t.Context(), locking.All) {
			break
		}
		require.PanicsWithValue(t, "mine", func() { _, _ = b.scan(func() { panic("mine") }) })
	}
	require.Equal(t, breaker.Health{State: breaker.Closed}, b.store.Health())
	require.Zero(t, b.metric(panicMetric))
}

// A sequence can be ranged over again, and is another operation then.
func TestScanCanBeReadTwice(t *testing.T) {
	b := newBench(t)
	records := b.store.Scan(t.Context(), locking.All)
	for range 2 {
		n := 0
		for _, err := range records {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 3, n)
	}
	require.Equal(t, 6, b.fake.calls)
}
