package cutover_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// What was begun before a store was spared fails after that, and says nothing new:
// the store is not left.
func TestWhatBeganBeforeASpareDoesNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		before := r.now()
		n := 0
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op != "apply" {
					return nil, nil
				}
				s.mu.Lock()
				n++
				after := time.Duration(n) * 50 * time.Millisecond
				s.mu.Unlock()
				if after > 300*time.Millisecond { // six fail, one after the other
					return nil, nil
				}
				time.Sleep(after)
				return nil, locking.ErrUnknownResult
			}
		})
		took := make(chan bool, 6)
		for i := range 6 {
			go func() { took <- r.acquire(lockKey(i), i+1) }()
		}
		for range 6 {
			require.True(t, <-took)
		}
		require.Equal(t, before, r.now())
		r.settled()
		r.equal()
		require.True(t, r.whole.Is())
		_, failed := r.router.Commands()
		require.Zero(t, failed)
	})
}

// A store whose operations fail while it answers probes is left all the same, within
// a second of the first command that failed.
func TestAStoreThatAnswersNothingButProbesIsLeft(t *testing.T) {
	for _, stalls := range [][]string{{"apply"}, {"get", "scan"}, {"apply", "get", "scan"}} {
		t.Run(fmt.Sprint(stalls), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Primary})
				require.True(t, r.acquire(lockKey(50), 1))
				r.settled()
				r.far.set(func(s *server) {
					s.fault = func(ctx context.Context, op string) (error, error) {
						for _, stall := range stalls {
							if op == stall {
								<-ctx.Done()
								return locking.ErrUnknownResult, nil
							}
						}
						return nil, nil
					}
				})
				began := time.Now()
				ended := make(chan struct{}, 20)
				for i := range cap(ended) {
					go func() {
						time.Sleep(time.Duration(i) * 20 * time.Millisecond)
						r.holder(lockKey(50))
						require.True(t, r.acquire(lockKey(i), i+1))
						ended <- struct{}{}
					}()
				}
				r.until("it is left", func() bool { return r.now().FallenBack })
				require.Less(t, time.Since(began), 400*time.Millisecond+time.Second)
				for range cap(ended) {
					<-ended
				}
				_, failed := r.router.Commands()
				require.Zero(t, failed)
			})
		})
	}
}

// Where legacy must not take over, a store that fails again and answers probes goes
// on: nobody is refused for it.
func TestWithoutAFallbackAStoreThatAnswersProbesGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.keeps = false
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		for i := range 5 {
			once(r.far, "apply", locking.ErrUnknownResult, nil)
			require.True(t, r.acquire(lockKey(i), 1))
			require.NoError(t, r.down())
			time.Sleep(time.Second)
		}
		require.Zero(t, r.last("refuse"))
	})
}

// A disk that takes two seconds to keep who answers makes commands slow while the
// store is away: none is refused.
func TestASlowDiskMakesAFallbackSlowAndNoMore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.far.fails(errAway)
		goOn := r.slowCommits()
		took := make(chan error, 10)
		for i := range cap(took) {
			go func() { _, err := r.try(lockKey(i), 1); took <- err }()
		}
		time.Sleep(2 * time.Second)
		require.Empty(t, took)
		require.NoError(t, r.down())
		goOn()
		for range cap(took) {
			require.NoError(t, <-took)
		}
		require.True(t, r.now().FallenBack)
		require.True(t, r.kept().Same(r.now()))
	})
}

// Legacy does not take over with a record that is known to be another than the one
// that was answered.
func TestLegacyThatDiffersDoesNotTakeOver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		_, err := r.near.Store.Apply(t.Context(), []locking.Change{locking.Delete(lockKey(1), locking.Any())})
		require.NoError(t, err)
		r.near.fails(func(string) (error, error) { return errNoSpace, nil }) // so that it is not made equal
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)), "enhanced has it, and the comparison is queued")
		r.until("the difference is found", func() bool { return r.toLegacy.Backlog().Dirty > 0 })
		r.far.fails(errAway)
		_, err = r.try(lockKey(1), 2)
		require.ErrorIs(t, err, cutover.ErrDown)
		require.False(t, r.now().FallenBack)
		r.near.fails(nil)
		r.far.fails(nil)
		r.until("it is revived", func() bool { return r.down() == nil })
		require.False(t, r.acquire(lockKey(1), 2))
		r.settled()
		r.equal()
	})
}

// A conflict that comes up after the last look, before commands are held, keeps the
// answers where they are.
func TestAConflictUnderTheHoldKeepsTheModeWhereItIs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		remove := r.postpone("x")
		r.far.fails(nil)
		r.until("it is in step", func() bool { return r.reconciler.State().Joined && r.inStep() })
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "durable" { // every look is over then, and nothing is held
					kept, err := r.router.Keep(lockKey(1), locking.Record{}, locking.Record{Key: lockKey(1), Value: lockOf(9), Version: 7, Foreign: true})
					require.True(t, kept && err == nil)
				}
				return nil, nil
			}
		})
		remove()
		_, err := r.keeper.Return(t.Context(), "x", true)
		guarded(t, err, "conflicts list")
		require.True(t, r.now().FallenBack)
		r.far.fails(nil)
		synctest.Wait()
		require.Len(t, r.conflicts.List(), 1)
		require.Equal(t, compare.SideOf(locking.Record{}, 0), r.conflicts.List()[0].Legacy)
	})
}

// A flip moves no record while it is not known what the enhanced store did to one.
func TestAFlipWaitsForWhatIsInDoubt(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		goOn := make(chan struct{})
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op != "apply" {
					return nil, nil
				}
				<-goOn
				return nil, locking.ErrUnknownResult // it was made, and nobody is told
			}
		})
		took := make(chan bool, 1)
		go func() {
			won, err := r.try(lockKey(1), 1)
			took <- err == nil && won
		}()
		synctest.Wait()
		flipped := make(chan error, 1)
		go func() { flipped <- r.to(shadow.Shadow) }()
		synctest.Wait() // it holds all routes, and waits for the command that is inside
		r.far.fails(nil)
		close(goOn)
		guarded(t, <-flipped, "has not answered for a change")
		require.Equal(t, shadow.Primary, r.now().Mode)
		require.True(t, <-took)
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		r.settled()
		r.equal()
	})
}

// A legacy that hangs while the enhanced store did not answer for a change, and then
// answers a probe, holds nobody for as long as Atlantis waits: the store goes on
// alone.
func TestALegacyThatHangsHoldsNobodyWhileDoubtIsSettled(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		failed := false
		r.far.set(func(s *server) {
			s.fault = func(ctx context.Context, op string) (error, error) {
				s.mu.Lock()
				first := op == "apply" && !failed
				failed = failed || first
				s.mu.Unlock()
				if first {
					<-ctx.Done() // made, and not answered within the budget
					return nil, locking.ErrUnknownResult
				}
				return nil, nil
			}
		})
		r.near.fails(func(string) (error, error) { time.Sleep(2 * time.Second); return errNoSpace, nil })
		began := time.Now()
		require.True(t, r.acquire(lockKey(1), 1))
		require.Less(t, time.Since(began), 1500*time.Millisecond, "Atlantis gives up after 3 s")
		require.False(t, r.now().FallenBack)
		require.False(t, r.whole.Is(), "before the OK")
		r.near.fails(nil)
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
		require.Zero(t, r.ledger.Totals().Unexplained)
	})
}
