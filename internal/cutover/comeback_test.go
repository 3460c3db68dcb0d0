package cutover_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// fallen begins in mode primary, and falls back; pull 1 holds lock 1.
func (r *rig) fallen() {
	r.t.Helper()
	r.begin(shadow.Assignment{Mode: shadow.Primary})
	require.True(r.t, r.acquire(lockKey(1), 1))
	r.settled()
	r.fallsBack()
}

func (r *rig) fallsBack() {
	r.t.Helper()
	r.far.fails(errAway)
	require.True(r.t, r.acquire(lockKey(1), 1))
	r.until("legacy answers", func() bool { return r.now().FallenBack })
}

// back lets the enhanced store work again, and returns how long legacy goes on
// answering.
func (r *rig) back() time.Duration {
	r.t.Helper()
	r.far.fails(nil)
	began := time.Now()
	r.until("it returns", func() bool { return !r.now().FallenBack })
	return time.Since(began)
}

// When the enhanced store is back everything that legacy has answered meanwhile is
// brought to it, and then it answers again; legacy is whole at once.
func TestItReturnsWithEverything(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		before := r.now()
		r.release(lockKey(1))
		require.True(t, r.acquire(lockKey(2), 2))
		// A write of ours that had no answer, and came late, is overwritten.
		_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(3), lockOf(3), locking.Any())})
		require.NoError(t, err)
		r.back()
		a := r.now()
		require.Equal(t, shadow.Primary, a.Mode)
		require.Equal(t, before.Epoch+1, a.Epoch)
		require.True(t, r.kept().Same(a))
		require.True(t, r.told().Same(a))
		require.True(t, r.whole.Is())
		require.Empty(t, r.holder(lockKey(1)))
		require.Empty(t, r.holder(lockKey(3)))
		require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
		r.equal()
		require.Equal(t, cutover.Itself, r.last("return").Actor)
		require.Zero(t, r.ledger.Totals().Unexplained)
		require.Zero(t, r.ledger.Totals().Unresolved)
	})
}

// A store that can be joined and read, and takes no writes, as a Redis whose replicas do not confirm them, is not returned
// to: the first write would leave it again.
func TestItDoesNotReturnToAStoreThatTakesNoWrites(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "probe" {
					return errAway, nil
				}
				return nil, nil
			}
		})
		epoch := r.now().Epoch
		time.Sleep(time.Minute)
		require.True(t, r.now().FallenBack)
		require.Equal(t, epoch, r.now().Epoch, "it did not return in between")
		r.back()
		require.Equal(t, epoch+1, r.now().Epoch)
	})
}

// Legacy answers at least for the configured time after a fallback, and twice as
// long after each one in a short time, up to five minutes; later that is forgotten.
func TestFlappingIsDamped(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		for _, least := range []time.Duration{5, 10, 20, 40} {
			r.fallsBack()
			stayed := r.back()
			require.GreaterOrEqual(t, stayed, least*time.Second)
			require.LessOrEqual(t, stayed, least*time.Second+5*time.Second)
			r.settled()
		}
		time.Sleep(11 * time.Minute)
		r.fallsBack()
		require.LessOrEqual(t, r.back(), 10*time.Second)
	})
}

// While flips are postponed there is no return by itself, and by hand only with
// force.
func TestAReturnIsPostponed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		remove := r.postpone("incident 12")
		r.far.fails(nil)
		time.Sleep(time.Minute)
		require.True(t, r.now().FallenBack)
		_, err := r.keeper.Return(t.Context(), "x", false)
		guarded(t, err, "incident 12")
		_, err = r.keeper.Return(t.Context(), "it is over", true)
		require.NoError(t, err)
		require.False(t, r.now().FallenBack)
		r.settled()
		r.fallsBack()
		r.far.fails(nil)
		time.Sleep(time.Minute)
		require.True(t, r.now().FallenBack)
		remove()
		r.until("it returns", func() bool { return !r.now().FallenBack })
	})
}

// A return by hand ends a fallback by hand, waits for the store, and says why not.
func TestAReturnByHand(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		_, err := r.keeper.Return(t.Context(), "x", false)
		guarded(t, err, "nothing to return from")
		_, err = r.keeper.FallBack(t.Context(), "x")
		require.NoError(t, err)
		require.True(t, r.acquire(lockKey(1), 1))
		r.far.fails(errAway)
		brief, cancel := contextFor(3 * time.Second)
		defer cancel()
		_, err = r.keeper.Return(brief, "x", false)
		guarded(t, err, "goes on answering")
		go func() { time.Sleep(5 * time.Second); r.far.fails(nil) }()
		patient, cancel := contextFor(30 * time.Second)
		defer cancel()
		result, err := r.keeper.Return(patient, "done", false)
		require.NoError(t, err)
		require.Equal(t, r.now().Epoch, result.Epoch)
		require.False(t, r.now().FallenBack || r.now().Manual)
		require.Equal(t, cutover.Operator, r.last("return").Actor)
		r.settled()
		r.equal()
	})
}

// Nobody waits in silence for a store that stays away: a return by hand ends soon, with
// what is wrong with the store.
func TestAReturnByHandGivesUpOnAStoreThatIsAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		patient, cancel := contextFor(10 * time.Minute)
		defer cancel()
		began := time.Now()
		_, err := r.keeper.Return(patient, "x", false)
		require.ErrorIs(t, err, cutover.ErrAway)
		require.ErrorContains(t, err, errAway.Error())
		require.Less(t, time.Since(began), 20*time.Second)
		require.True(t, r.now().FallenBack)
	})
}

// A lock that somebody else took in the enhanced store meanwhile is a conflict:
// there is no return until an operator has decided it, one way or the other.
func TestAConflictBlocksTheReturn(t *testing.T) {
	for _, keep := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
		t.Run(string(keep), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.far.foreign = func(rec locking.Record) bool { return bytes.Equal(rec.Value, lockOf(9)) }
				r.fallen()
				_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(9), locking.Any())})
				require.NoError(t, err)
				r.far.fails(nil)
				r.until("the conflict is found", func() bool { return len(r.conflicts.List()) == 1 })
				time.Sleep(time.Minute)
				require.True(t, r.now().FallenBack)
				require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
				_, err = r.keeper.Return(t.Context(), "x", true)
				guarded(t, err, "conflicts list")
				r.far.set(func(s *server) { s.foreign = nil }) // what we write from now on is ours
				_, err = r.router.Resolve(t.Context(), r.conflicts.List()[0].ID, keep)
				require.NoError(t, err)
				r.until("it returns", func() bool { return !r.now().FallenBack })
				want := map[shadow.Side]int{shadow.LegacySide: 1, shadow.EnhancedSide: 9}[keep]
				require.Equal(t, string(lockOf(want)), r.holder(lockKey(1)))
				r.settled()
				r.equal()
				require.Empty(t, r.conflicts.List())
			})
		})
	}
}

// A difference that comes up after everything was made equal is found before the
// return, and made equal.
func TestADifferenceBeforeTheReturnIsFound(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		remove := r.postpone("x")
		r.far.fails(nil)
		r.until("it is in step", func() bool { return r.reconciler.State().Joined && r.inStep() })
		_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(7), locking.Any())})
		require.NoError(t, err)
		_, err = r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(4), lockOf(7), locking.Any())})
		require.NoError(t, err)
		remove()
		r.until("it returns", func() bool { return !r.now().FallenBack })
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		require.Empty(t, r.holder(lockKey(4)))
		r.equal()
	})
}

// A store that is not the one it was ends the mode: it is shadow until that one has
// proved itself.
func TestAnotherStoreEndsTheMode(t *testing.T) {
	for name, by := range map[string]func(r *rig){
		"lost while it answered":     func(r *rig) { r.far.emptied("s2"); require.False(r.t, r.acquire(lockKey(1), 2)) },
		"lost while legacy answered": func(r *rig) { r.fallsBack(); r.far.emptied("s2"); r.far.fails(nil) },
		"lost in a fallback by hand": func(r *rig) {
			_, err := r.keeper.FallBack(r.t.Context(), "x")
			require.NoError(r.t, err)
			r.far.emptied("s2")
		},
		"lost while flips are postponed": func(r *rig) { r.postpone("x"); r.far.emptied("s2"); require.False(r.t, r.acquire(lockKey(1), 2)) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Primary})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				by(r)
				r.until("the mode is given up", func() bool { return r.now().Mode == shadow.Shadow })
				a := r.now()
				require.False(t, a.FallenBack || a.Manual)
				require.Empty(t, a.StoreID)
				require.True(t, r.kept().Same(a))
				require.False(t, r.whole.Is())
				require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
				r.settled()
				r.equal()
				require.Equal(t, "s2", r.ledger.Totals().StoreID, "the evidence is about another store")
				require.False(t, r.far.isDurable())
				require.Equal(t, "demote", r.last("demote").Name)
			})
		})
	}
}
