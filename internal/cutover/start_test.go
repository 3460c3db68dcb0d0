package cutover_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// again starts anew on what a run has left, without what works beside commands, so
// that it can be seen what Start itself has done.
func (r *rig) again() error {
	r.t.Helper()
	r.open()
	return r.keeper.Start(context.Background())
}

// requireKept requires that both stores know what is in force, atlantis.db now, and
// the enhanced one soon.
func (r *rig) requireKept() {
	r.t.Helper()
	require.True(r.t, r.kept().Same(r.now()), "%+v, %+v", r.kept(), r.now())
	r.until("the store is told", func() bool { return r.told().Same(r.now()) })
}

// The first start takes the configured mode, and keeps it.
func TestAFirstStart(t *testing.T) {
	for _, mode := range shadow.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.want = shadow.Assignment{Mode: mode}
				if mode == shadow.Hybrid {
					r.want.Percent = 50
				}
				r.start()
				require.Equal(t, mode, r.now().Mode)
				require.Equal(t, uint64(1), r.now().Epoch)
				require.True(t, r.kept().Same(r.now()))
				require.Equal(t, mode == shadow.Hybrid || mode == shadow.Primary, r.whole.Is())
				require.Equal(t, mode == shadow.Legacy, !r.far.touched(), "in mode legacy it is not touched")
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
			})
		})
	}
}

// After a clean stop it goes on as it was: whole where it was whole, and nothing is
// dirty.
func TestAStartAfterACleanStop(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		before := r.now()
		r.stop()
		r.clean = true
		require.NoError(t, r.again())
		require.Equal(t, before.Epoch, r.now().Epoch)
		require.True(t, r.whole.Is())
		whole, _ := r.standby.Whole()
		require.True(t, whole)
		require.True(t, r.toLegacy.Backlog().Clean())
		require.True(t, r.far.isDurable())
		require.False(t, r.acquire(lockKey(1), 2))
		r.work()
		r.requireKept()
	})
}

// A store that was written to after the stop in order that the files tell of is ahead of all of them: legacy is made equal
// before it counts as whole.
func TestAStartOnAnOlderDataDirectory(t *testing.T) {
	for _, mode := range []shadow.Mode{shadow.Primary, shadow.Hybrid} {
		t.Run(string(mode), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: mode, Percent: 100})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				r.stop()
				r.clean = true
				_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(2), lockOf(2), locking.Any())})
				require.NoError(t, err, "answered by a sidecar on a later copy of the directory")
				r.far.set(func(s *server) { s.ahead = true })
				require.NoError(t, r.again())
				require.Equal(t, mode, r.now().Mode)
				require.False(t, r.whole.Is())
				whole, _ := r.standby.Whole()
				require.False(t, whole)
				require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
				r.work()
				r.settled()
				require.True(t, r.whole.Is())
				r.equal()
			})
		})
	}
}

// After a crash nobody knows what legacy lacks: the mark is gone before the first
// command, every record is made equal, and then legacy is whole again.
func TestAStartAfterACrash(t *testing.T) {
	for _, mode := range []shadow.Mode{shadow.Primary, shadow.Hybrid} {
		t.Run(string(mode), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: mode, Percent: 100})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				r.stop()
				_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(2), lockOf(2), locking.Any())})
				require.NoError(t, err, "decided by the enhanced store, and on its way to legacy")
				require.NoError(t, r.again())
				require.Equal(t, mode, r.now().Mode)
				require.False(t, r.whole.Is())
				whole, why := r.standby.Whole()
				require.False(t, whole)
				require.NotEmpty(t, why)
				require.True(t, r.toLegacy.Backlog().All)
				require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
				r.work()
				r.settled()
				require.True(t, r.whole.Is())
				r.equal()
				require.Zero(t, r.ledger.Totals().Unexplained)
			})
		})
	}
}

// With the enhanced store away and the mark there legacy takes over at the start,
// after a crash too; without the mark commands are refused until the store is back.
func TestAStartWithoutTheStore(t *testing.T) {
	t.Run("whole", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Primary})
			require.True(t, r.acquire(lockKey(1), 1))
			r.settled()
			epoch := r.now().Epoch
			r.stop()
			r.far.fails(errAway)
			require.NoError(t, r.again())
			a := r.now()
			require.True(t, a.FallenBack)
			require.Equal(t, epoch+1, a.Epoch)
			require.True(t, r.kept().Same(a), "before the first command")
			require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
			require.True(t, r.acquire(lockKey(2), 2))
			r.work()
			r.back()
			r.settled()
			require.Equal(t, shadow.Primary, r.now().Mode)
			r.equal()
			r.requireKept()
		})
	})
	t.Run("not whole", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Primary})
			r.near.fails(func(string) (error, error) { return errNoSpace, nil })
			require.True(t, r.acquire(lockKey(1), 1), "only the enhanced store has it")
			before := r.now()
			r.stop()
			r.far.fails(errAway)
			require.NoError(t, r.again())
			require.ErrorIs(t, r.down(), cutover.ErrDown)
			require.Equal(t, before.Epoch, r.now().Epoch)
			require.False(t, r.whole.Is())
			_, err := r.try(lockKey(1), 2)
			require.ErrorIs(t, err, cutover.ErrDown, "refused, not guessed")
			r.work()
			time.Sleep(time.Minute)
			_, err = r.try(lockKey(1), 2)
			require.ErrorIs(t, err, cutover.ErrDown)
			r.far.fails(nil)
			r.until("it is revived", func() bool { return r.down() == nil })
			require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
			r.settled()
			require.True(t, r.whole.Is())
			r.equal()
		})
	})
	t.Run("whole, and no fallback is allowed", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Primary})
			require.True(t, r.acquire(lockKey(1), 1))
			r.settled()
			r.stop()
			r.far.fails(errAway)
			r.keeps = false
			require.NoError(t, r.again())
			require.ErrorIs(t, r.down(), cutover.ErrDown)
			r.work()
			r.far.fails(nil)
			r.until("it is revived", func() bool { return r.down() == nil })
			require.False(t, r.acquire(lockKey(1), 2))
		})
	})
}

// A store that was lost meanwhile ends the mode, if legacy has everything; else
// nobody answers.
func TestAStartOnAnotherStore(t *testing.T) {
	for _, whole := range []bool{true, false} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Primary})
			if !whole {
				r.near.fails(func(string) (error, error) { return errNoSpace, nil })
			}
			require.True(t, r.acquire(lockKey(1), 1))
			r.stop()
			r.far.emptied("s2")
			require.NoError(t, r.again())
			if !whole {
				require.ErrorIs(t, r.down(), cutover.ErrDown)
				_, err := r.try(lockKey(1), 2)
				require.ErrorIs(t, err, cutover.ErrDown)
				r.work()
				time.Sleep(time.Minute)
				_, err = r.try(lockKey(1), 2)
				require.ErrorIs(t, err, cutover.ErrDown)
				return
			}
			require.Equal(t, shadow.Shadow, r.now().Mode)
			require.False(t, r.whole.Is())
			require.False(t, r.acquire(lockKey(1), 2))
			r.work()
			r.settled()
			r.equal()
			require.Equal(t, "s2", r.ledger.Totals().StoreID)
			r.requireKept()
		})
	}
}

// A fallback goes on over a restart, by hand or not, with the store there or away.
func TestAStartInAFallback(t *testing.T) {
	for _, manual := range []bool{true, false} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.fallen()
			if manual {
				_, err := r.keeper.FallBack(t.Context(), "x")
				require.NoError(t, err)
			}
			require.True(t, r.acquire(lockKey(2), 2))
			before := r.now()
			r.stop()
			r.far.fails(nil)
			require.NoError(t, r.again())
			require.True(t, r.now().Same(before))
			require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
			r.work()
			if manual {
				time.Sleep(time.Minute)
				require.True(t, r.now().Same(before))
				return
			}
			r.until("it returns", func() bool { return !r.now().FallenBack })
			require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
			r.settled()
			r.equal()
		})
	}
}

// After a day of Atlantis on BoltDB the day's locks win, evidence begins anew, and
// that is not forgotten by a start that does not get so far.
func TestAStartAfterADayOfAtlantis(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		require.Positive(t, r.ledger.Totals().Comparisons().Match)
		r.stop()
		atlantis(t, r.dir, func(locks *bolt.Bucket) error {
			if err := locks.Delete([]byte(lockKey(1).Rest())); err != nil {
				return err
			}
			return locks.Put([]byte(lockKey(2).Rest()), lockOf(2))
		})
		r.open() // and ends before it has decided anything
		r.stop()
		require.NoError(t, r.again())
		require.Equal(t, shadow.Shadow, r.now().Mode)
		require.Zero(t, r.ledger.Totals().Comparisons().Match)
		require.Empty(t, r.holder(lockKey(1)))
		require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
		r.work()
		r.settled()
		r.equal()
		r.requireKept()
		require.Equal(t, cutover.Itself, r.last("start").Actor)
		require.Equal(t, client.ReadinessItem{
			Name: "foreign writes", OK: true, Have: "before this start; comparison began anew", Want: "none since comparison began",
		}, r.item("foreign writes"))
	})
}

// The same without the mark: atlantis.db lacked locks that the enhanced store holds,
// and a person has to decide.
func TestAStartThatAPersonHasToDecide(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.near.fails(func(string) (error, error) { return errNoSpace, nil })
		require.True(t, r.acquire(lockKey(1), 1))
		r.stop()
		atlantis(t, r.dir, func(locks *bolt.Bucket) error { return locks.Put([]byte(lockKey(2).Rest()), lockOf(2)) })
		for range 2 { // refused once, refused again
			var refusal *cutover.Refusal
			require.ErrorAs(t, r.again(), &refusal)
			require.Equal(t, cutover.CodeGuard, refusal.Code)
			r.stop()
		}
		require.NotEmpty(t, everything(t, r.far.Store), "nothing was changed")
	})
}

// atlantis changes project locks as Atlantis itself does.
func atlantis(t *testing.T, dir string, change func(locks *bolt.Bucket) error) {
	t.Helper()
	db, err := bolt.Open(filepath.Join(dir, "atlantis.db"), 0o600, &bolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket([]byte("runLocks"))) }))
	require.NoError(t, db.Close())
}

// A store that becomes ours by --take-over is no ground for a fallback until legacy
// has been made equal: the mark is gone before the store is ours.
func TestAStartThatTakesOver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.stop()
		r.take, r.clean = true, true
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "join" {
					require.False(t, r.whole.Is())
				}
				return nil, nil
			}
		})
		require.NoError(t, r.again())
		require.False(t, r.whole.Is())
		r.far.fails(nil)
		r.work()
		r.settled()
		require.True(t, r.whole.Is())
	})
}

// After a take-over in a fallback all that differs is a conflict, over restarts too, until the return. What differs in a
// later fallback is none.
func TestATakeOverInAFallbackIsRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		_, err := r.keeper.FallBack(t.Context(), "test")
		require.NoError(t, err)
		r.requireKept()
		r.stop()
		_, err = r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(9), lockOf(9), locking.Any())})
		require.NoError(t, err)
		r.far.set(func(s *server) { s.taken = true })
		r.take = true
		require.NoError(t, r.again())
		r.stop() // before it was found
		require.NoError(t, r.again())
		r.work()
		r.until("it is found", func() bool { return len(r.conflicts.List()) == 1 && r.inStep() })
		require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)), "somebody was told that it is theirs")
		_, err = r.router.Resolve(t.Context(), r.conflicts.List()[0].ID, shadow.EnhancedSide)
		require.NoError(t, err)
		_, err = r.keeper.Return(t.Context(), "test", false)
		require.NoError(t, err)
		r.settled()

		r.fallsBack()
		r.release(lockKey(1))
		r.back()
		require.Empty(t, r.conflicts.List())
		r.equal()
	})
}

// A start that takes a store over and is refused is refused again: what the other sidecar has answered is not overwritten
// because the second start finds the store to be its own.
func TestATakeOverThatWasRefusedIsRefusedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		_, err := r.keeper.FallBack(t.Context(), "until we know more")
		require.NoError(t, err)
		r.stop()
		r.far.fails(nil)
		_, err = r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(9), lockOf(9), locking.Any())})
		require.NoError(t, err)
		theirs := r.told()
		theirs.Epoch++ // as every take-over does
		r.far.set(func(s *server) { s.taken, s.epoch, s.document = true, theirs.Epoch, theirs.Encode() })
		r.take = true
		for range 2 {
			require.ErrorContains(t, r.again(), "both say who holds which lock")
			r.stop()
		}
	})
}

// A mark that cannot be taken away at a start that needs that is an error: nothing
// is answered.
func TestAStartWithAMarkThatStays(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.settled()
		r.stop()
		path := filepath.Join(r.dir, "legacy-whole")
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.MkdirAll(filepath.Join(path, "x"), 0o700)) // cannot be removed
		require.ErrorContains(t, r.again(), "legacy-whole")
	})
}

// A store that is slow to join is asked for its mode all the same: a restart in
// shadow is not refused because Redis is far away.
func TestASlowStoreRefusesNoStart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.stop()
		r.far.set(func(s *server) {
			s.fault = func(ctx context.Context, op string) (error, error) {
				late := map[string]time.Duration{"join": 450 * time.Millisecond, "mode": 200 * time.Millisecond}[op]
				select {
				case <-time.After(late):
					return nil, nil
				case <-ctx.Done():
					return ctx.Err(), nil
				}
			}
		})
		r.start()
		require.Equal(t, shadow.Shadow, r.now().Mode)
		r.far.fails(nil)
		r.settled()
		r.equal()
	})
}
