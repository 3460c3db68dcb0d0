package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Five failures in a row open it, time makes it half-open, three successes close it; gauge and log tell.
func TestBreakerOpensTriesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		require.Equal(t, breaker.Health{State: breaker.Closed}, b.store.Health())
		require.Zero(t, b.metric(stateMetric))
		opened := time.Now()
		b.trip()
		require.Equal(t, breaker.Health{State: breaker.Open, Err: errAway, Since: opened, RetryIn: timeout}, b.store.Health())
		require.Equal(t, 1.0, b.metric(stateMetric))
		require.Contains(t, b.log.String(), "circuit breaker opened: error=\"connection refused\"")

		time.Sleep(timeout + time.Millisecond)
		require.Equal(t, 2.0, b.metric(stateMetric), "without a call")
		require.Equal(t, breaker.Health{State: breaker.HalfOpen, Err: errAway, Since: opened}, b.store.Health())
		b.fake.act = nil
		require.NoError(t, b.get())
		require.NoError(t, b.get())
		require.Equal(t, breaker.HalfOpen, b.store.Health().State)
		require.NoError(t, b.get())
		require.Equal(t, breaker.Health{State: breaker.Closed, Since: time.Now()}, b.store.Health())
		require.Zero(t, b.metric(stateMetric))
		require.Contains(t, b.log.String(), "circuit breaker closed: reason=\"trials succeeded\" was_open=10.001s")
	})
}

// While it is open every operation fails at once, unasked, and says since when, why and when it is tried again.
func TestOpenBreakerFailsAtOnceAndSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.trip()
		time.Sleep(3 * time.Second)
		before, calls := time.Now(), b.fake.calls
		want := fmt.Sprintf("circuit breaker is open since %s: connection refused; retries in 7s", before.Add(-3*time.Second).UTC().Format(time.RFC3339))
		err := b.get()
		require.ErrorIs(t, err, breaker.ErrOpen)
		require.EqualError(t, err, want)
		_, err = b.store.Apply(t.Context(), []locking.Change{locking.Delete(lockA, locking.Any())})
		require.EqualError(t, err, want)
		yields := 0
		for _, err := range b.store.Scan(t.Context(), locking.All) {
			yields++
			require.EqualError(t, err, want)
		}
		require.Equal(t, 1, yields)
		require.Equal(t, calls, b.fake.calls)
		require.Equal(t, before, time.Now())
	})
}

// A trial that fails opens it again for the whole time, and the outage still began when it began.
func TestFailedTrialOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		opened := time.Now()
		b.trip()
		time.Sleep(timeout + time.Millisecond)
		b.fake.act = failing(locking.ErrStoreLost)
		require.ErrorIs(t, b.get(), locking.ErrStoreLost)
		require.Equal(t, breaker.Health{State: breaker.Open, Err: locking.ErrStoreLost, Since: opened, RetryIn: timeout}, b.store.Health())
	})
}

// In half-open no more trials run at a time than are needed to close it.
func TestTrialsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.trip()
		time.Sleep(timeout + time.Millisecond)
		release := make(chan struct{})
		b.fake.act = func(context.Context) error { <-release; return nil }
		results := make(chan error, 3)
		for range 3 {
			go func() { results <- b.get() }()
			synctest.Wait()
		}
		require.ErrorIs(t, b.get(), breaker.ErrOpen)
		require.ErrorContains(t, b.get(), "trials are under way")
		close(release)
		for range 3 {
			require.NoError(t, <-results)
		}
		require.Equal(t, breaker.Closed, b.store.Health().State)
	})
}

// What a store answers never opens the breaker, and ends a row of failures.
func TestAnswersAreSuccesses(t *testing.T) {
	for _, answer := range []error{nil, locking.ErrNotFound, locking.ErrBadBatch, fmt.Errorf("get record: %w", locking.ErrNotFound)} {
		b := newBench(t)
		for range 3 {
			b.fake.act = failing(errAway)
			for range 4 {
				require.ErrorIs(t, b.get(), errAway)
			}
			require.Equal(t, errAway, b.store.Health().Err)
			b.fake.act = failing(answer)
			require.ErrorIs(t, b.get(), answer)
			require.Equal(t, breaker.Health{State: breaker.Closed}, b.store.Health())
		}
	}
}

// Every other error is a failure: a store that is another one, or another's, cannot answer.
func TestEveryOtherErrorIsAFailure(t *testing.T) {
	for _, failure := range []error{
		locking.ErrStoreLost, locking.ErrNotOwner, locking.ErrStale, locking.ErrUnknownResult, locking.ErrClosed, errors.New("OOM"),
	} {
		b := newBench(t)
		b.fake.act = failing(failure)
		for range 5 {
			_, err := b.store.Apply(t.Context(), []locking.Change{locking.Delete(lockA, locking.Any())})
			require.ErrorIs(t, err, failure)
		}
		require.Equal(t, breaker.Open, b.store.Health().State, failure)
	}
}

// A caller who leaves says nothing about the store, not even in half-open.
func TestCallersWhoLeaveAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		leave := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), budget/2)
			defer cancel()
			_, err := b.store.Get(ctx, lockA)
			return err
		}
		b.fake.act = hang
		for range 20 {
			require.ErrorIs(t, leave(), context.DeadlineExceeded)
		}
		require.Equal(t, breaker.Health{State: breaker.Closed}, b.store.Health())

		b.trip()
		time.Sleep(timeout + time.Millisecond)
		b.fake.act = hang
		for range 20 {
			require.ErrorIs(t, leave(), context.DeadlineExceeded)
		}
		require.Equal(t, breaker.HalfOpen, b.store.Health().State)
		b.fake.act = nil
		for range 3 {
			require.NoError(t, b.get())
		}
		require.Equal(t, breaker.Closed, b.store.Health().State)
	})
}

// A store that hangs costs the budget and no more, and that is a failure.
func TestBudgetEndsAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fake.act = hang
		for range 5 {
			began := time.Now()
			err := b.get()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualError(t, err, "no answer within 2s: context deadline exceeded")
			require.Equal(t, budget, time.Since(began))
		}
		require.Equal(t, breaker.Open, b.store.Health().State)
	})
}

// Reset closes it at once; what was under way counts no more.
func TestResetForgetsTheOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.trip()
		time.Sleep(timeout + time.Millisecond)
		b.fake.act = hang
		late := make(chan error)
		go func() { late <- b.get() }()
		synctest.Wait()
		b.store.Reset()
		require.ErrorIs(t, <-late, context.DeadlineExceeded)
		require.Equal(t, breaker.Health{State: breaker.Closed}, b.store.Health())
		require.Contains(t, b.log.String(), "circuit breaker closed: reason=reset")
		b.fake.act = nil
		require.NoError(t, b.get())
	})
}
