package shadow_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// A resolution that the enhanced store does not take, as a full Redis that can still be read, has changed no holder: who
// decides otherwise after it gives the lock to whom the listing names.
func TestAResolutionThatIsBrokenOffGivesTheLockToNobody(t *testing.T) {
	d := newConflict(t)
	c := d.conflictOf(key(1))
	errFull := errors.New("OOM command not allowed")
	d.enhanced.set(func(op string) (before, after error) {
		if op == "apply" {
			return errFull, nil
		}
		return nil, nil
	})
	_, err := d.router.Resolve(t.Context(), c.ID, shadow.EnhancedSide)
	require.ErrorIs(t, err, errFull)
	d.enhanced.set(nil)
	require.Equal(t, string(lock(1)), d.holder(key(1)), "nothing is decided")
	_, err = d.router.Resolve(t.Context(), c.ID, shadow.LegacySide)
	require.NoError(t, err)
	d.heal()
	require.Equal(t, string(lock(1)), d.holder(key(1)))
	d.requireOne(key(1))
}

// Who decides by a listing gives the lock to the holder that it shows: if that is another by now it is listed anew, and
// nothing is decided.
func TestAConflictThatHasChangedIsListedAnew(t *testing.T) {
	for name, c := range map[string]struct {
		keep             shadow.Side
		change           func(d *duo)
		legacy, enhanced string
	}{
		"taken by another one in the enhanced store": {
			shadow.EnhancedSide, func(d *duo) { d.put(d.enhanced, locking.Put(key(1), lock(7), locking.Any())) }, "#1", "#7"},
		"gone from the enhanced store": {
			shadow.EnhancedSide, func(d *duo) { d.put(d.enhanced, locking.Delete(key(1), locking.Any())) }, "#1", ""},
		"a crash after legacy was given the other holder": {
			shadow.LegacySide, func(d *duo) { d.put(d.legacy, locking.Put(key(1), lock(9), locking.Any())) }, "#9", "#9"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newConflict(t)
			before := d.conflictOf(key(1))
			c.change(d)
			legacy, enhanced := contents(t, d.legacy.Store), contents(t, d.enhanced.Store)
			_, err := d.router.Resolve(t.Context(), before.ID, c.keep)
			require.ErrorIs(t, err, shadow.ErrChanged)
			require.Equal(t, legacy, contents(t, d.legacy.Store))
			require.Equal(t, enhanced, contents(t, d.enhanced.Store))
			now := d.conflictOf(key(1))
			require.Greater(t, now.ID, before.ID, "nobody decides by the old listing")
			require.Contains(t, now.Legacy.Holder, c.legacy)
			require.Contains(t, now.Enhanced.Holder, c.enhanced)
			require.Equal(t, c.enhanced == "", now.Enhanced.Holder == "")
			_, err = d.router.Resolve(t.Context(), before.ID, c.keep)
			require.ErrorIs(t, err, shadow.ErrNoConflict)
			_, err = d.router.Resolve(t.Context(), now.ID, c.keep)
			require.NoError(t, err)
			d.heal()
			d.requireOne(key(1))
		})
	}
}

// requireOne ensures that both stores have the same record of a key.
func (d *duo) requireOne(k locking.Key) {
	d.t.Helper()
	require.False(d.t, d.conflicts.Has(k))
	require.Equal(d.t, held(d.t, d.legacy.Store, k), held(d.t, d.enhanced.Store, k))
}

// Legacy's holder may write the lock again, and give it up, and the conflict stays the one that was listed.
func TestAConflictGoesOnWithLegacysHolder(t *testing.T) {
	for name, act := range map[string]func(d *duo){
		"written again": func(d *duo) { require.True(d.t, d.acquire(key(1), 1)) },
		"given up":      func(d *duo) { d.release(key(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newConflict(t)
			act(d)
			_, err := d.router.Resolve(t.Context(), d.conflictOf(key(1)).ID, shadow.LegacySide)
			require.NoError(t, err)
			d.heal()
			d.requireOne(key(1))
		})
	}
}

// When the enhanced store was given up, whose records are overwritten then, a conflict can be decided for legacy though that
// store is away: its lock is not refused for as long.
func TestAConflictOfAStoreThatWasGivenUpIsDecidedWithoutIt(t *testing.T) {
	for _, mode := range []shadow.Mode{shadow.Shadow, shadow.Legacy} {
		t.Run(string(mode), func(t *testing.T) {
			d := newConflict(t)
			now, _ := d.router.Assignment()
			d.router.Assign(shadow.Assignment{Epoch: now.Epoch + 1, Mode: mode}, nil)
			d.enhanced.set(failing(errAway))
			_, err := d.router.Resolve(t.Context(), d.conflictOf(key(1)).ID, shadow.EnhancedSide)
			require.ErrorIs(t, err, errAway)
			_, err = d.router.Resolve(t.Context(), d.conflictOf(key(1)).ID, shadow.LegacySide)
			require.NoError(t, err)
			require.Equal(t, string(lock(1)), d.holder(key(1)))
			d.release(key(1))
			require.True(t, d.acquire(key(1), 5))
			d.enhanced.set(nil)
			if mode == shadow.Shadow {
				d.heal()
				d.requireOne(key(1))
			}
		})
	}
}
