package shadow_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

var primaryAlone = shadow.Assignment{Epoch: 1, Mode: shadow.Primary}

// slowDisk lets each change of legacy take that long.
func slowDisk(d *duo, sync time.Duration) {
	d.legacy.set(func(op string) (before, after error) {
		if op == "apply" {
			time.Sleep(sync)
		}
		return nil, nil
	})
}

// contended lets pull requests take and give up one lock, as fast as they get
// answers, until the function that it returns is called.
func (d *duo) contended(pulls int) (stop func()) {
	var over atomic.Bool
	var all sync.WaitGroup
	for pull := range pulls {
		all.Go(func() {
			for !over.Load() {
				if d.acquire(key(1), pull+1) {
					time.Sleep(2 * time.Millisecond)
					d.release(key(1))
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	return sync.OnceFunc(func() { over.Store(true); all.Wait() })
}

// A lock that many want does not keep a legacy whose disk takes 120 ms for each
// change from becoming whole, and staying so: what waits for a key is made up for
// by the last change. Nothing that was never different is a divergence.
func TestASlowDiskWithAHotLockBecomesWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		slowDisk(d, 120*time.Millisecond)
		stop := d.contended(16)
		defer stop()
		time.Sleep(10 * time.Second)
		require.Less(t, d.toLegacy.Backlog().Pending, 20, "nobody waits for legacy, and it is not far behind")
		whole := false
		for try := 0; try < 10 && !whole; try++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = d.standby.Restore(ctx, d.toLegacy, "test")
			cancel()
			whole, _ = d.standby.Whole()
		}
		require.True(t, whole)
		time.Sleep(10 * time.Second)
		whole, why := d.standby.Whole()
		require.True(t, whole, why)
		stop()
		d.drained()
		d.equal()
		require.Zero(t, d.ledger.Totals().Divergences)
		require.True(t, d.toLegacy.Backlog().Clean())
	})
}

// What overtakes has no less care than what it overtakes: if it cannot be done the
// key is dirty, and the mark goes before the OK.
func TestWhatOvertakesAndFailsLeavesTheKeyDirty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		slowDisk(d, 300*time.Millisecond)
		for pull := range 5 {
			require.True(t, d.acquire(key(1), pull))
			d.release(key(1))
			time.Sleep(60 * time.Millisecond)
		}
		require.LessOrEqual(t, d.toLegacy.Backlog().Pending, 4)
		d.legacy.set(failing(errDisk))
		require.True(t, d.acquire(key(1), 9))
		d.drained()
		require.Len(t, d.toLegacy.Dirty(), 1)
		d.legacy.set(nil)
		d.heal()
		d.equal()
		require.Zero(t, d.ledger.Totals().Unexplained)
	})
}

// A change of two keys rests on what was done to either before: that is not passed
// over by a later change of one of them.
func TestWhatAChangeOfTwoKeysRestsOnIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		slowDisk(d, 300*time.Millisecond)
		require.True(t, d.acquire(near(1), 1)) // is being done
		synctest.Wait()
		d.release(near(1))
		require.True(t, d.acquire(near(1), 2))
		_, err := d.try("put", locking.Put(near(1), lock(2), locking.Any()), locking.Put(near(2), lock(2), locking.Any()))
		require.NoError(t, err)
		d.release(near(1))
		time.Sleep(60 * time.Millisecond)
		require.True(t, d.acquire(near(1), 3))
		require.Equal(t, 5, d.toLegacy.Backlog().Pending, "the last change alone is overtaken")
		d.drained()
		d.equal()
		require.Zero(t, d.ledger.Totals().Divergences)
		require.Empty(t, d.toLegacy.Dirty())
	})
}

// Who waits for what is queued waits for what has taken its place too, at whatever
// remove: legacy has all that was answered before.
func TestWhoDrainsWaitsForWhatOvertook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		slowDisk(d, 300*time.Millisecond)
		require.True(t, d.acquire(key(1), 1)) // is being done
		synctest.Wait()
		d.release(key(1))
		there := "not looked at yet"
		drained := begun(func() { d.drained(); there = held(t, d.legacy.Store, key(1)) })
		require.False(t, drained())
		time.Sleep(60 * time.Millisecond)
		require.True(t, d.acquire(key(1), 2)) // in the place of the release
		d.release(key(1))                     // in the place of that
		require.True(t, d.acquire(key(1), 3))
		require.Equal(t, 2, d.toLegacy.Backlog().Pending)
		time.Sleep(250 * time.Millisecond)
		require.False(t, drained(), "the release has been answered, and legacy lacks it: it has %q", there)
		time.Sleep(time.Second)
		require.True(t, drained())
		require.Equal(t, string(lock(3)), there)
	})
}

// Legacy is not said to be whole before it has what took the place of a change that
// was answered.
func TestTheMarkWaitsForWhatOvertook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		slowDisk(d, 300*time.Millisecond)
		require.True(t, d.acquire(key(1), 1)) // is being done
		synctest.Wait()
		d.release(key(1)) // is answered, and waits
		marked := "never"
		d.mark.set(func(n *note) {
			n.setting = func() { marked = held(t, d.legacy.Store, key(1)) }
		})
		whole := begun(func() { require.NoError(t, d.standby.Restore(t.Context(), d.toLegacy, "test")) })
		require.False(t, whole())
		time.Sleep(60 * time.Millisecond)
		require.True(t, d.acquire(key(1), 2), "in the place of the release")
		require.True(t, whole())
		require.Equal(t, string(lock(2)), marked, "what legacy has when it is said to be whole")
		d.equal()
	})
}

// A change of two keys is one transaction: it takes nobody's place, however slow
// legacy is.
func TestAChangeOfTwoKeysOvertakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		slowDisk(d, 300*time.Millisecond)
		require.True(t, d.acquire(near(1), 1)) // is being done
		synctest.Wait()
		d.release(near(1))
		time.Sleep(60 * time.Millisecond)
		_, err := d.try("put", locking.Put(near(1), lock(2), locking.Any()), locking.Put(near(2), lock(2), locking.Any()))
		require.NoError(t, err)
		require.Equal(t, 3, d.toLegacy.Backlog().Pending)
		d.drained()
		d.equal()
		require.Empty(t, d.toLegacy.Dirty())
	})
}

// A batch of which a key became dirty again before its turn leaves nothing behind in
// the count of what waits: else that key would count as crowded whenever legacy is
// slow, and no change of it would be compared.
func TestABatchThatLostAKeyIsCountedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, primaryAlone)
		require.NoError(t, d.standby.Alone("test"))
		release := hold(d.legacy)
		require.True(t, d.acquire(near(9), 1)) // is being done
		synctest.Wait()
		batch := begun(func() {
			_, err := d.router.Equalize(context.Background(), shadow.LegacySide, []locking.Key{near(1), near(2)}, false)
			require.ErrorIs(t, err, shadow.ErrMissed)
		})
		require.False(t, batch())
		d.toLegacy.MarkRecorded([]locking.Key{near(1)})
		release()
		require.True(t, batch())
		d.heal()

		slowDisk(d, 300*time.Millisecond)
		d.release(near(9)) // is being done, and legacy counts as slow
		time.Sleep(60 * time.Millisecond)
		compared := d.ledger.Totals().Comparisons().Match
		require.True(t, d.acquire(near(1), 1))
		d.drained()
		require.Equal(t, compared+2, d.ledger.Totals().Comparisons().Match, "both changes are compared")
		d.equal()
	})
}
