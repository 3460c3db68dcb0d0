package cutover_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// conflicted is a fallback in which somebody else has taken lock 1, which pull 1 holds in legacy, in the enhanced store.
func (r *rig) conflicted() {
	r.t.Helper()
	r.far.set(func(s *server) {
		s.foreign = func(rec locking.Record) bool { return bytes.Equal(rec.Value, lockOf(9)) }
	})
	r.fallen()
	_, err := r.far.Store.Apply(r.t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(9), locking.Any())})
	require.NoError(r.t, err)
	r.far.fails(nil)
	r.until("the conflict is found", func() bool { return len(r.conflicts.List()) == 1 })
	r.requireKept()
}

// Conflicts of a fallback are not about a later time in which the enhanced store answers: a data directory that was saved in
// the fallback, and is put back after it was dealt with, does not count as a standby with those records left as they were.
func TestConflictsEndWithTheFallbackTheyAreOf(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.conflicted()
		r.stop()
		saved := r.saved()
		require.NoError(t, r.again())
		r.work()
		r.far.set(func(s *server) { s.foreign = nil })
		_, err := r.router.Resolve(t.Context(), r.conflicts.List()[0].ID, shadow.EnhancedSide)
		require.NoError(t, err)
		r.until("it returns", func() bool { return !r.now().FallenBack })
		r.settled()
		r.requireKept()
		r.stop()

		r.restored(saved)
		require.NoError(t, r.again())
		r.work()
		require.Equal(t, string(lockOf(9)), r.holder(lockKey(1)))
		r.settled()
		r.equal()
		r.far.fails(errAway)
		require.False(t, r.acquire(lockKey(1), 1))
		require.True(t, r.now().FallenBack)
		require.Equal(t, string(lockOf(9)), r.holder(lockKey(1)))
	})
}

// Conflicts are about the contents of one store: where a start finds another one, nobody has to decide on them, and the locks
// are free as legacy says.
func TestConflictsEndWithTheStoreTheyAreAbout(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.conflicted()
		r.release(lockKey(1))
		r.stop()
		r.far.emptied("s2")
		require.NoError(t, r.again())
		r.work()
		require.Equal(t, shadow.Shadow, r.now().Mode)
		r.settled()
		require.Empty(t, r.conflicts.List())
		require.True(t, r.acquire(lockKey(1), 2))
	})
}

// A disk that does not let the conflicts go with the store that they are about lets nobody forget that they are to go: a start
// fails, a sidecar that runs tries again, and no lock stays refused.
func TestConflictsThatCouldNotEndEndLater(t *testing.T) {
	for name, running := range map[string]bool{"at a start": false, "while it runs": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.conflicted()
				r.release(lockKey(1))
				full := filepath.Join(r.dir, shadow.ConflictsName+".next", "x")
				require.NoError(t, os.MkdirAll(full, 0o700))
				if running {
					r.far.emptied("s2")
					time.Sleep(10 * time.Second)
				} else {
					r.stop()
					r.far.emptied("s2")
					require.Error(t, r.again())
					r.stop()
				}
				require.NoError(t, os.RemoveAll(filepath.Dir(full)))
				if !running {
					require.NoError(t, r.again())
					r.work()
				}
				r.until("the mode is shadow", func() bool { return r.now().Mode == shadow.Shadow })
				r.settled()
				require.Empty(t, r.conflicts.List())
				require.True(t, r.acquire(lockKey(1), 2))
			})
		})
	}
}

// A stop in the moment in which the store is probed is no failure of the store: legacy does not take over on the way out.
func TestAStopIsNoFailureOfTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.settled()
		before := r.kept()
		probing := make(chan struct{}, 1)
		r.far.set(func(s *server) {
			s.fault = func(ctx context.Context, op string) (error, error) {
				if op != "probe" {
					return nil, nil
				}
				select {
				case probing <- struct{}{}:
				default:
					return errAway, nil
				}
				<-ctx.Done()
				return ctx.Err(), nil
			}
		})
		<-probing
		r.stopWorking()
		time.Sleep(10 * time.Second)
		require.True(t, r.kept().Same(before), "%+v", r.kept())
	})
}

// That a data directory is an older one is found when the store is there, however often the sidecar was started before, and
// not forgotten if it ends right then: what the store has answered since is a conflict with a legacy that took over meanwhile.
func TestAnOlderDirectoryIsNotForgottenByARestart(t *testing.T) {
	for name, crash := range map[string]bool{"before the store is there": false, "and when it is": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.stoppedInPrimary()
				r.grantedElsewhere()
				r.startsOlder()
				require.True(t, r.now().FallenBack)
				r.stop()
				require.NoError(t, r.again())
				r.work()
				if crash {
					r.far.set(func(s *server) {
						s.fault = func(_ context.Context, op string) (error, error) {
							if op == "scan" || op == "apply" { // nothing is made equal yet
								return errAway, nil
							}
							return nil, nil
						}
					})
					r.until("it is joined", func() bool { return r.reconciler.State().Joined })
					r.stop()
					r.far.set(func(s *server) { s.ahead = false }) // what was found is remembered
					require.NoError(t, r.again())
					r.work()
				}
				r.far.fails(nil)
				r.until("all is made equal", func() bool { return r.reconciler.State().Joined && r.inStep() })
				require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)), "somebody was told that it is theirs")
				require.Len(t, r.conflicts.List(), 1)
				require.True(t, r.now().FallenBack)
				_, err := r.router.Resolve(t.Context(), r.conflicts.List()[0].ID, shadow.EnhancedSide)
				require.NoError(t, err)
				r.until("it returns", func() bool { return !r.now().FallenBack })
				for _, mark := range []string{cutover.UnaskedName, cutover.TakingName} {
					require.NoFileExists(t, filepath.Join(r.dir, mark))
				}
			})
		})
	}
}

// A start that finds an older directory after a fallback may end at any moment, also one that would take the store over: the
// next is not refused, and still knows that what the store has answered is a conflict.
func TestAStartThatFindsAnOlderDirectoryMayEndAtOnce(t *testing.T) {
	for name, takeOver := range map[string]bool{"a plain one": false, "with --take-over": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.stoppedInPrimary()
				r.grantedElsewhere()
				r.startsOlder()
				require.True(t, r.now().FallenBack)
				r.stop()
				r.take = takeOver
				r.far.fails(nil)
				require.NoError(t, r.again())
				r.stop()
				r.take = false
				r.far.set(func(s *server) { s.ahead = false }) // what was found is remembered
				require.NoError(t, r.again())
				r.work()
				require.True(t, r.now().FallenBack)
				r.until("all is made equal", r.inStep)
				require.Len(t, r.conflicts.List(), 1)
				require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)))
			})
		})
	}
}

// Where a store that several sidecars share does not answer, nobody is sent to a way out that is refused when it is taken.
func TestWithASharedStoreAwayTheAdviceCanBeFollowed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		_, err := r.keeper.Admit(t.Context(), "sidecar-2", "test")
		require.NoError(t, err)
		r.far.fails(errAway)
		_, err = r.try(lockKey(2), 2)
		require.ErrorIs(t, err, cutover.ErrDown)
		for _, m := range []shadow.Mode{shadow.Legacy, shadow.Shadow, shadow.Hybrid, shadow.Enhanced} {
			guard := guarded(t, r.to(m), "bring it or a backup of it back")
			require.NotContains(t, guard.Reason, "--force")
			require.Equal(t, shadow.Primary, r.now().Mode)
		}
		r.far.fails(nil)
		r.until("it is revived", func() bool { return r.down() == nil })
		guarded(t, r.to(shadow.Shadow), "only the modes primary and enhanced")
	})
}

// While atlantis.db does not take the mode, the enhanced store, which answers, is not blamed, and not given up.
func TestADiskThatDoesNotTakeTheModeIsNotBlamedOnTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		goOn := r.slowCommits()
		require.ErrorIs(t, r.to(shadow.Hybrid), locking.ErrUnknownResult)
		for _, q := range []cutover.Request{{Mode: shadow.Enhanced, Force: true, Reason: "test"}, {Mode: shadow.Shadow}} {
			_, err := r.flip(q)
			guard := guarded(t, err, "atlantis.db")
			require.NotContains(t, guard.Reason, "enhanced store")
			require.NotContains(t, guard.Reason, "--force")
		}
		goOn()
		r.until("it is certain", func() bool { return r.down() == nil })
		require.Equal(t, shadow.Primary, r.now().Mode)
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		require.NoError(t, r.to(shadow.Shadow))
	})
}

// When a store was asked last is judged on the monotonic clock: a wall clock that is set back leaves no store unwatched until it
// has caught up.
func TestAClockThatIsSetBackLeavesTheStoreWatched(t *testing.T) {
	r := newRig(t, t.TempDir()) // a bubble has no monotonic clock
	r.begin(shadow.Assignment{Mode: shadow.Primary})
	asked := r.keeper.LastAsked()
	require.NotEqual(t, asked.Round(0), asked, "without a reading of the monotonic clock both are the same")
}
