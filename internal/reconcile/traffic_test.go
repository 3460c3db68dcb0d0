package reconcile_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// traffic changes and reads random ones of the first 20 keys until stopped, as
// fast as the follower follows, so that something waits always.
func (r *rig) traffic(clients int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for ctx.Err() == nil {
				if r.follower.Backlog().Pending > 100 {
					runtime.Gosched()
					continue
				}
				k, pull := key(rand.IntN(20)), rand.IntN(3)
				change := locking.Put(k, lock(pull), locking.OwnedBy(locking.Owner{Num: pull}))
				if pull == 0 {
					change = locking.Delete(k, locking.Any())
				}
				_, err := r.router.Apply(locking.WithCall(context.Background(), locking.Call{Op: "put"}), []locking.Change{change})
				if err == nil {
					_, err = r.router.Get(locking.WithCall(context.Background(), locking.Call{Op: "get"}), k)
				}
				if err != nil && !errors.Is(err, locking.ErrNotFound) {
					r.t.Error(err)
				}
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); running.Wait() })
}

// Between the moment at which a store is joined and that at which it is known
// what it lacks, nothing is compared with it.
func TestNothingIsComparedWithAStoreThatIsBeingJoined(t *testing.T) {
	r := newRig(t, 1)
	r.start(true)
	r.equal(1)
	r.stop()
	r.apply(r.behind, locking.Delete(key(0), locking.Any())) // what a crash lost
	joined, goOn := make(chan struct{}), make(chan struct{})
	r.behind.set(func(s *identified) {
		s.late = sync.OnceFunc(func() { close(joined); <-goOn })
	})
	r.start(true)
	<-joined
	r.apply(r.router, locking.Delete(key(0), locking.Any()))
	patient, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = r.follower.Drain(patient) // it must not
	close(goOn)
	r.apply(r.router, locking.Put(key(1), lock(1), locking.Any()))
	r.equal(1)
	require.Zero(t, r.ledger.Totals().Unexplained)
	require.Zero(t, r.ledger.Totals().Unresolved)
}

// Verify comes to a verdict under traffic that never pauses, also while the
// follower misses changes now and then. What Verify itself reads does not fail:
// that would be no verdict.
func TestVerifyUnderTraffic(t *testing.T) {
	r := newRig(t, 50)
	r.start(true)
	r.equal(50)
	stop := r.traffic(8)
	defer stop()
	for range 5 {
		require.Equal(t, compare.Equal, r.verify().Verdict)
	}
	n := 0
	r.behind.set(func(s *identified) {
		s.fail = func(op string) error {
			if op != "apply" {
				return nil
			}
			if n++; n%500 == 0 {
				return errAway
			}
			return nil
		}
	})
	for range 5 {
		require.Equal(t, compare.Equal, r.verify().Verdict)
	}
	stop()
	r.verify()
	require.Zero(t, r.ledger.Totals().Unexplained)
}

// Whatever happens to the store under traffic, nothing is found that nobody
// can explain, and in the end both are equal.
func TestNoFaultOfTheStoreGivesAFalseDivergence(t *testing.T) {
	r := newRig(t, 200)
	r.start(true)
	stop := r.traffic(4)
	defer stop()
	for round := range 12 {
		before := r.reconciler.State() // of the fault, which may be noticed at once
		switch round % 4 {
		case 0:
			r.behind.set(func(s *identified) { s.gone = true })
		case 1:
			r.behind.set(func(s *identified) { s.away = true })
		case 2:
			r.behind.set(func(s *identified) {
				s.fail = func(string) error {
					if rand.IntN(20) == 0 {
						return locking.ErrUnknownResult
					}
					return nil
				}
			})
		case 3:
			r.follower.MarkAll("crash")
		}
		if round%4 == 1 {
			require.Eventually(t, func() bool { return !r.reconciler.State().Joined }, patience, time.Millisecond)
		} else if round%4 == 0 {
			require.Eventually(t, func() bool { return r.reconciler.State().Lost > before.Lost }, patience, time.Millisecond)
		}
		r.behind.set(func(s *identified) { s.away, s.fail = false, nil })
		require.Zero(t, r.ledger.Totals().Unexplained)
	}
	stop()
	require.Equal(t, compare.Equal, r.verify().Verdict)
	require.Zero(t, r.ledger.Totals().Unexplained)
	require.Zero(t, r.ledger.Totals().Unresolved)
}

// Repair is done when it returns, though the reconciler mends the same keys.
func TestRepairUnderTraffic(t *testing.T) {
	r := newRig(t, 30)
	r.start(true)
	r.equal(30)
	stop := r.traffic(4)
	defer stop()
	for i := range 20 {
		r.apply(r.behind, locking.Put(key(20+i%10), lock(99), locking.Any()))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		v, err := r.reconciler.Repair(ctx, false)
		cancel()
		require.NoError(t, err)
		require.Len(t, v.Differing, 1)
		require.Zero(t, r.ledger.Totals().Unresolved)
	}
	require.Equal(t, uint64(20), r.ledger.Totals().Unexplained, "nothing but what was done by hand")
}
