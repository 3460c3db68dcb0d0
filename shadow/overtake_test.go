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
