package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// A router is a store like any other, with and without a follower, and what it
// was told the follower has done too.
func TestTheRouterIsAStore(t *testing.T) {
	t.Run("legacy", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) locking.Store {
			return shadow.NewRouter(shadow.RouterOptions{Assignment: shadow.Assignment{Epoch: 1, Mode: shadow.Legacy}, Legacy: locking.NewMemory()})
		})
	})
	t.Run("shadow", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) locking.Store {
			r := newRig(t)
			t.Cleanup(func() {
				r.drained()
				r.equal()
				require.Zero(t, r.totals().Divergences)
			})
			return r.router
		})
	})
}

// Under contention on few keys the follower sees each key's changes in the
// authority's order: every outcome is compared and none differs. The clients
// wait for a follower that is far behind, as reads are not compared then.
func TestContentionGivesNoFalseDivergence(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	for client := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(client)))
			for range 500 {
				for r.follower.Backlog().Pending > 256 {
					time.Sleep(100 * time.Microsecond)
				}
				k := key(random.IntN(4))
				switch random.IntN(3) {
				case 0:
					r.acquire(k, client)
				case 1:
					r.release(k)
				default:
					_, err := r.router.Get(as("get"), k)
					if err != nil && !errors.Is(err, locking.ErrNotFound) {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	r.drained()
	r.equal()
	totals := r.totals()
	require.Zero(t, totals.Divergences)
	require.True(t, r.follower.Backlog().Clean())
	for _, op := range []compare.Operation{compare.Acquire, compare.Delete, compare.Get} {
		require.Greater(t, totals.Operations[op].Match, uint64(1000), op)
	}
}

// What somebody changed in the follower's store is found by the next command
// for the key, once, with its kind, and is then made equal.
func TestADifferenceIsFoundOnceAndMadeEqual(t *testing.T) {
	foreign := func(r *rig, c locking.Change) {
		_, err := r.behind.Store.Apply(context.Background(), []locking.Change{c})
		require.NoError(r.t, err)
	}
	for name, c := range map[string]struct {
		harm func(*rig)
		then func(*rig)
		want compare.Kind
	}{
		"missing, seen by a read": {
			func(r *rig) { foreign(r, locking.Delete(key(1), locking.Any())) },
			func(r *rig) { _, _ = r.router.Get(as("get"), key(1)) }, compare.Missing},
		"owner, seen by a read": {
			func(r *rig) { foreign(r, locking.Put(key(1), lock(99), locking.Any())) },
			func(r *rig) { _, _ = r.router.Get(as("get"), key(1)) }, compare.Owner},
		"value, seen by a release": {
			func(r *rig) { foreign(r, locking.Put(key(1), append(lock(1), ' '), locking.Any())) },
			func(r *rig) { r.release(key(1)) }, compare.Value},
		"extra, seen by an acquire": {
			func(r *rig) { foreign(r, locking.Put(key(2), lock(99), locking.Any())) },
			func(r *rig) { require.True(r.t, r.acquire(key(2), 1)) }, compare.Extra},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			require.True(t, r.acquire(key(1), 1))
			r.drained()
			c.harm(r)
			c.then(r)
			r.drained()
			require.Equal(t, uint64(1), r.totals().Divergences)
			found := r.ledger.Recent(1)[0]
			require.Equal(t, c.want, found.Kind)
			require.Empty(t, found.Cause, "nothing explains it")
			require.Nil(t, found.Resolved)
			r.heal()
			r.equal()
			require.Equal(t, uint64(1), r.totals().Divergences, "it is not found twice")
			require.Zero(t, r.totals().Unresolved)
			require.True(t, r.follower.Backlog().Clean())
		})
	}
}

// A follower that hangs delays nobody; what does not fit into its queue is
// dirty, and is made equal when it goes on.
func TestAFollowerThatHangsDelaysNobody(t *testing.T) {
	r := newRig(t)
	hang, stop := context.WithCancel(context.Background())
	r.behind.set(func(string) (error, error) { <-hang.Done(); return nil, nil })
	const changes = 20_000 // more than the queue holds
	for i := range changes {
		require.True(t, r.acquire(key(i), 1))
	}
	b := r.follower.Backlog()
	require.Positive(t, b.Dirty)
	require.Equal(t, uint64(changes), uint64(b.Pending)+b.Missed)
	stop()
	r.drained()
	r.heal()
	r.equal()
	require.True(t, r.follower.Backlog().Clean())
	require.Zero(t, r.totals().Unexplained)
	require.Equal(t, uint64(b.Missed), r.totals().Divergences, "what is filled in is recorded")
}

// A follower that fails, with the change done or not, costs no answer; its
// keys are dirty, nothing about them is compared, and they are made equal.
func TestAFollowerThatFailsIsCaughtUp(t *testing.T) {
	r := newRig(t)
	r.behind.set(func(string) (before, after error) {
		switch rand.IntN(4) {
		case 0:
			return errAway, nil
		case 1:
			return nil, fmt.Errorf("%w: timeout", locking.ErrUnknownResult)
		}
		return nil, nil
	})
	for i := range 3000 {
		r.acquire(key(i%20), i%3)
		if i%5 == 0 {
			r.release(key(i % 20))
		}
	}
	r.drained()
	require.Zero(t, r.totals().Unexplained)
	r.behind.set(nil)
	r.heal()
	r.equal()
	require.Zero(t, r.totals().Unexplained)
	require.Zero(t, r.totals().Unresolved)
	require.True(t, r.follower.Backlog().Clean())
}

// While every key is dirty nothing is compared; keys that were touched
// meanwhile and are in no listing are dirty when it ends.
func TestWhileAllIsDirtyNothingIsCompared(t *testing.T) {
	r := newRig(t)
	require.True(t, r.acquire(key(1), 1))
	r.drained()
	r.follower.MarkAll("crash")
	matched := r.totals().Comparisons().Match
	require.True(t, r.acquire(key(2), 1))
	_, err := r.router.Get(as("get"), key(1))
	require.NoError(t, err)
	r.drained()
	require.Equal(t, matched, r.totals().Comparisons().Match)

	_, err = r.router.Equalize(context.Background(), shadow.EnhancedSide, []locking.Key{key(1)}, false)
	require.NoError(t, err)
	_, err = r.router.Get(as("get"), key(1))
	require.NoError(t, err)
	r.drained()
	require.Equal(t, matched+1, r.totals().Comparisons().Match, "a key that was made equal is compared again")
	mark := r.follower.Backlog().Mark
	require.False(t, r.follower.FinishAll(mark-1), "that is not what it is about")
	require.True(t, r.follower.FinishAll(mark))
	require.False(t, r.follower.FinishAll(mark))
	require.Equal(t, []locking.Key{key(2)}, r.follower.Dirty(), "it was missed")
	r.heal()
	r.equal()
	require.True(t, r.follower.Backlog().Clean())
}

// An authority that fails leaves it open what it did: its keys are dirty.
func TestAnUnknownResultOfTheAuthorityIsLookedUp(t *testing.T) {
	r := newRig(t)
	r.authority.set(func(string) (error, error) { return nil, locking.ErrUnknownResult })
	_, err := r.router.Apply(as("acquire"), []locking.Change{locking.Put(key(1), lock(1), locking.Absent())})
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	r.authority.set(nil)
	require.Equal(t, []locking.Key{key(1)}, r.follower.Dirty())
	r.heal()
	r.equal()
}
