package shadow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// parting is a store that does a change only when it may go on. If its caller
// leaves before, nobody knows what became of the change.
type parting struct {
	locking.Store
	goOn chan struct{}
}

func (p parting) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	select {
	case <-p.goOn:
		return p.Store.Apply(ctx, changes)
	case <-ctx.Done():
		return nil, locking.ErrUnknownResult
	}
}

// A caller who leaves in the middle of a write leaves no doubt: the write goes on,
// and legacy gets it. One who has left before does nothing.
func TestACallerWhoLeavesLeavesNoDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		told := 0
		d.failed = func(context.Context, uint64, error) error { told++; return nil }
		store := parting{d.enhanced.Store, make(chan struct{})}
		d.enhanced.Store = store
		ctx, leave := context.WithCancel(as("acquire"))
		write := begun(func() { _, _ = d.router.Apply(ctx, []locking.Change{acquiring(key(1), 1)}) })
		require.False(t, write())
		leave()
		require.False(t, d.router.InDoubt() || write())
		close(store.goOn)
		require.True(t, write())
		require.Zero(t, told)
		require.Equal(t, string(lock(1)), d.holder(key(1)))
		d.equal()
		require.True(t, d.mark.is())

		asked := d.enhanced.asked()
		_, err := d.router.Apply(ctx, []locking.Change{acquiring(key(2), 1)})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, asked, d.enhanced.asked())
	})
}

// If nobody knows what became of a write whose caller has left, that is told, so
// that it is settled at once and not by the next command for the key.
func TestAFailureIsToldThoughTheCallerHasLeft(t *testing.T) {
	d := newPrimary(t)
	ctx, leave := context.WithCancel(as("acquire"))
	told := 0
	d.failed = func(context.Context, uint64, error) error {
		told++
		return d.router.Settle(t.Context(), true)
	}
	d.enhanced.set(func(op string) (before, after error) {
		if op == "apply" && told == 0 {
			leave()
			return nil, locking.ErrUnknownResult
		}
		return nil, nil
	})
	_, err := d.router.Apply(ctx, []locking.Change{acquiring(key(1), 1)})
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	require.Equal(t, 1, told, "and it is not tried anew")
	require.False(t, d.router.InDoubt())
	d.equal()
	require.True(t, d.mark.is())

	d.enhanced.set(failing(errAway))
	_, err = d.router.Get(ctx, key(1))
	require.Error(t, err)
	require.Equal(t, 1, told, "a read that failed then says nothing")
}

// A repetition that is answered OK while the change that it repeats has not come
// to legacy yet waits for that.
func TestARepetitionWaitsForWhatItRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		release := hold(d.legacy)
		require.True(t, d.acquire(key(1), 1), "nobody waits for legacy")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		whole := begun(func() { require.NoError(t, d.standby.Restore(ctx, d.toLegacy, "test")) })
		require.False(t, whole(), "legacy is to become whole: who comes now waits")
		again := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		other := begun(func() { require.True(t, d.acquire(key(2), 1)) })
		require.False(t, again() || other())
		release()
		require.True(t, again() && other() && whole())
		require.True(t, d.mark.is())
		d.equal()
	})
}
