package shadow_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// near are keys that share a partition.
func near(i int) locking.Key {
	return locking.MustKey(fmt.Sprintf("pr/acme/infra/dir-%d/default/", i))
}

// hold makes every operation of a store wait until release is called.
func hold(f *flaky) (release func()) {
	held := make(chan struct{})
	f.set(func(string) (error, error) { <-held; return nil, nil })
	return sync.OnceFunc(func() { f.set(nil); close(held) })
}

// lose makes the authority do a change and answer that nobody knows.
func (r *rig) lose(c locking.Change) {
	r.t.Helper()
	r.authority.set(func(string) (error, error) { return nil, locking.ErrUnknownResult })
	_, err := r.router.Apply(as("put"), []locking.Change{c})
	require.ErrorIs(r.t, err, locking.ErrUnknownResult)
	r.authority.set(nil)
}

func (r *rig) equalize(keys ...locking.Key) error {
	_, err := r.router.Equalize(context.Background(), shadow.EnhancedSide, keys, false)
	return err
}

// A key that is in step can be made equal at any time: what waits for it is
// followed, not found to be missing.
func TestEqualizingAKeyThatIsInStepFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		require.True(t, r.acquire(key(1), 1))
		r.drained()
		release := hold(r.behind)
		r.release(key(1))
		go func() { _ = r.equalize(key(1)) }()
		synctest.Wait()
		require.Equal(t, 2, r.follower.Backlog().Pending)
		release()
		r.drained()
		require.Zero(t, r.totals().Divergences)
		require.Zero(t, r.follower.Backlog().Dirty)
		r.equal()
	})
}

// Two who make a key equal at the same time don't get in each other's way.
func TestEqualizingAKeyTwiceAtOnceIsFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.lose(locking.Put(key(1), lock(1), locking.Any()))
		release := hold(r.behind)
		errs := make(chan error, 2)
		for range 2 {
			go func() { errs <- r.equalize(key(1)) }()
			synctest.Wait()
			r.release(key(1))
			require.True(t, r.acquire(key(1), 2))
		}
		release()
		require.NoError(t, <-errs)
		require.NoError(t, <-errs)
		r.drained()
		require.Equal(t, uint64(1), r.totals().Divergences)
		require.Zero(t, r.totals().Unexplained)
		r.equal()
	})
}

// Of keys that are made equal together one may be missed meanwhile: that does
// not leave the others half done.
func TestAKeyMissedWhileABatchWaitsLeavesTheOthersEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for i := range 3 {
			r.lose(locking.Put(near(i), lock(1), locking.Any()))
		}
		release := hold(r.behind)
		require.True(t, r.acquire(near(9), 1))
		synctest.Wait() // it is being done, and what comes next waits for it
		done := make(chan error, 1)
		go func() { done <- r.equalize(near(0), near(1), near(2)) }()
		synctest.Wait()
		r.lose(locking.Put(near(1), lock(2), locking.Any()))
		r.release(near(2)) // rests on the batch
		release()
		require.Error(t, <-done)
		r.drained()
		require.Zero(t, r.totals().Unexplained)
		r.heal()
		r.equal()
		require.True(t, r.follower.Backlog().Clean())
	})
}

// What is missed because making a key equal failed is known as missed.
func TestAKeyThatCouldNotBeMadeEqualIsExplained(t *testing.T) {
	r := newRig(t)
	require.True(t, r.acquire(key(1), 1))
	r.drained()
	r.behind.set(func(string) (error, error) { return errAway, nil })
	require.ErrorIs(t, r.equalize(key(1)), errAway)
	r.behind.set(nil)
	r.release(key(1))
	r.heal()
	r.equal()
	require.Zero(t, r.totals().Unexplained)
	require.True(t, r.follower.Backlog().Clean())
}

// A change that is missed because of another key's difference is recorded for
// what it is before it is made up for.
func TestWhatIsMissedBesideADifferenceIsRecorded(t *testing.T) {
	r := newRig(t)
	require.True(t, r.acquire(near(1), 1))
	r.drained()
	_, err := r.behind.Store.Apply(context.Background(), []locking.Change{locking.Put(near(1), lock(99), locking.Any())})
	require.NoError(t, err)
	_, err = r.router.Get(as("get"), near(1))
	require.NoError(t, err)
	r.drained()
	_, err = r.router.Apply(as("put"), []locking.Change{locking.Delete(near(1), locking.Any()), locking.Put(near(2), lock(2), locking.Any())})
	require.NoError(t, err)
	r.heal()
	r.equal()
	require.Equal(t, uint64(2), r.totals().Divergences)
	require.Equal(t, uint64(1), r.totals().Unexplained)
}

// late is an authority with one writer, like legacy: an Apply whose caller has
// left may be done after all, later, but not after what is sent after it.
type late struct {
	locking.Store
	writes chan func()
}

func (l *late) Apply(ctx context.Context, changes []locking.Change) (outcomes []locking.Outcome, err error) {
	done := make(chan struct{})
	l.writes <- func() {
		outcomes, err = l.Store.Apply(context.Background(), changes)
		close(done)
	}
	select {
	case <-done:
		return outcomes, err
	case <-ctx.Done():
		return nil, locking.ErrUnknownResult
	}
}

// A change that the authority makes after its caller has left is not forgotten.
func TestAChangeThatComesLateIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		slow := &late{r.authority.Store, make(chan func(), 10)}
		r.authority.Store = slow
		ctx, leave := context.WithCancel(as("acquire"))
		left := make(chan error)
		go func() {
			_, err := r.router.Apply(ctx, []locking.Change{locking.Put(key(1), lock(1), locking.Absent())})
			left <- err
		}()
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-left, locking.ErrUnknownResult)
		done := make(chan error, 1)
		go func() { done <- r.equalize(key(1)) }()
		synctest.Wait()
		go func() {
			for write := range slow.writes {
				write()
			}
		}()
		require.NoError(t, <-done)
		r.drained()
		close(slow.writes)
		synctest.Wait()
		r.equal()
	})
}

// What is changed after the follower was closed is missed, and nobody may say
// that it was in step at the end; nor if tasks were dropped.
func TestAClosedFollowerIsNotInStep(t *testing.T) {
	t.Run("changed after", func(t *testing.T) {
		r := newRig(t)
		r.follower.Close()
		require.True(t, r.acquire(key(1), 1))
		require.False(t, r.follower.Backlog().Clean())
	})
	t.Run("dropped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			release := hold(r.behind)
			require.True(t, r.acquire(key(1), 1))
			require.True(t, r.acquire(key(1), 1))
			done := make(chan error, 1)
			go func() { done <- r.equalize(key(1)) }()
			synctest.Wait()
			go r.follower.Close()
			synctest.Wait()
			release()
			require.ErrorIs(t, <-done, locking.ErrClosed)
			require.False(t, r.follower.Backlog().Clean())
			require.Equal(t, uint64(1), r.follower.Backlog().Missed, "what waited was dropped, not tried")
		})
	})
}

// Whoever declares every key dirty can list both stores then: nothing that was
// under way changes the follower's after.
func TestAfterMarkAllNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		release := hold(r.behind)
		require.True(t, r.acquire(key(1), 1))
		r.release(key(1))
		synctest.Wait()
		var marked atomic.Bool
		go func() { r.follower.MarkAll("crash"); marked.Store(true) }()
		synctest.Wait()
		require.False(t, marked.Load())
		release()
		synctest.Wait()
		require.True(t, marked.Load())
	})
}

// A log that cannot be written holds up the follower and nobody else.
func TestALogThatHangsDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var hangs atomic.Bool
		goOn := make(chan struct{})
		logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: writer(func() {
			if hangs.Load() {
				<-goOn
			}
		})})
		r.follow(logger)
		require.True(t, r.acquire(key(1), 1))
		r.drained()
		_, err := r.behind.Store.Apply(context.Background(), []locking.Change{locking.Delete(key(1), locking.Any())})
		require.NoError(t, err)
		_, err = r.router.Get(as("get"), key(1))
		require.NoError(t, err)
		r.drained()
		hangs.Store(true)
		go func() { _ = r.equalize(key(1)) }()
		synctest.Wait()
		var answered atomic.Bool
		go func() { r.release(key(1)); answered.Store(true) }()
		synctest.Wait()
		require.True(t, answered.Load())
		close(goOn)
		r.drained()
		r.equal()
	})
}

type writer func()

func (w writer) Write(b []byte) (int, error) { w(); return len(b), nil }

// Who waits for a key that a command has in hand holds no other meanwhile, and
// a read waits for nobody.
func TestNobodyWaitsForAKeyThatSomebodyElseWaitsFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		release := hold(r.authority)
		go r.acquire(near(0), 1)
		synctest.Wait()
		r.authority.set(nil) // the one above is still held
		keys := make([]locking.Key, 32)
		for i := range keys {
			keys[i] = near(i)
		}
		done := make(chan error, 1)
		go func() { done <- r.equalize(keys...) }()
		synctest.Wait()
		var answered atomic.Int32
		for i := 1; i < len(keys); i++ {
			go func() { r.acquire(near(i), 1); answered.Add(1) }()
		}
		go func() { _, _ = r.router.Get(as("get"), near(0)); answered.Add(1) }()
		synctest.Wait()
		require.Equal(t, int32(len(keys)), answered.Load())
		release()
		require.NoError(t, <-done)
		r.drained()
		r.equal()
		require.Zero(t, r.totals().Divergences)
	})
}

// Who drains waits for what was queued before, and not for what comes after.
func TestDrainEndsUnderTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		first := hold(r.behind)
		require.True(t, r.acquire(key(1), 1))
		synctest.Wait()
		second := hold(r.behind) // holds what comes now, the first goes on alone
		var drained atomic.Bool
		go func() { r.drained(); drained.Store(true) }()
		synctest.Wait()
		require.False(t, drained.Load())
		require.True(t, r.acquire(key(1), 1))
		first()
		second2 := hold(r.behind)
		synctest.Wait()
		require.True(t, drained.Load())
		second()
		second2()
		r.drained()
	})
}

// A panic of the follower costs the task and leaves its keys dirty.
func TestAPanicOfTheFollowerIsCaught(t *testing.T) {
	r := newRig(t)
	var panics atomic.Bool
	r.follow(hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: writer(func() {
		if panics.Load() {
			panic("disk on fire")
		}
	})}))
	require.True(t, r.acquire(key(1), 1))
	r.drained()
	_, err := r.behind.Store.Apply(context.Background(), []locking.Change{locking.Delete(key(1), locking.Any())})
	require.NoError(t, err)
	panics.Store(true)
	r.release(key(1))
	r.drained()
	require.Equal(t, []locking.Key{key(1)}, r.follower.Dirty())
	require.Error(t, r.equalizeWith(key(2), lock(3)))
	panics.Store(false)
	r.heal()
	r.equal()
	require.Equal(t, compare.Counts{Match: 1, Mismatch: 1}, r.totals().Comparisons())
}

// equalizeWith makes a key equal of which the follower has something else.
func (r *rig) equalizeWith(k locking.Key, foreign []byte) error {
	_, err := r.behind.Store.Apply(context.Background(), []locking.Change{locking.Put(k, foreign, locking.Any())})
	require.NoError(r.t, err)
	return r.equalize(k)
}
