package reconcile_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// absent is a mark that is never there.
type absent struct{}

func (absent) Set(string) error { return nil }
func (absent) TakeAway() error  { return nil }

// both is a rig in which either store may answer, and follow.
type both struct {
	*rig
	toLegacy  *shadow.Follower
	conflicts *shadow.Conflicts
	watched   atomic.Int32
	watching  atomic.Pointer[error] // what Watch returns
	inStep    atomic.Int32
}

// newBoth starts one with an assignment, on stores with as many equal records.
func newBoth(t *testing.T, a shadow.Assignment, records int) *both {
	t.Helper()
	b := &both{rig: newRig(t, records)}
	for i := range records {
		b.apply(b.behind.Memory, locking.Put(key(i), lock(i), locking.Any()))
	}
	var err error
	b.ledger, err = compare.OpenLedger(compare.LedgerOptions{Dir: b.dir})
	require.NoError(t, err)
	b.conflicts, err = shadow.OpenConflicts(b.dir)
	require.NoError(t, err)
	guard := breaker.New(b.behind, breaker.Options{Budget: patience, FailureThreshold: 5, Timeout: 50 * time.Millisecond, SuccessThreshold: 1})
	options := shadow.FollowerOptions{Ledger: b.ledger, Metrics: metrics.NewOperations(nil), Logger: hclog.NewNullLogger()}
	options.Side, options.Store = shadow.LegacySide, b.authority
	b.toLegacy = shadow.NewFollower(options)
	options.Side, options.Store = shadow.EnhancedSide, guard
	options.Keeps = func(k locking.Key, authority, has locking.Record) (bool, error) {
		has.Foreign = bytes.Equal(has.Value, lock(99))
		return b.router.Keep(k, authority, has)
	}
	b.follower = shadow.NewFollower(options)
	b.router = shadow.NewRouter(shadow.RouterOptions{
		Assignment: a, Legacy: b.authority, Enhanced: b.behind, ToEnhanced: b.follower, ToLegacy: b.toLegacy,
		Standby: shadow.NewStandby(absent{}, hclog.NewNullLogger()), Conflicts: b.conflicts,
	})
	b.reconciler = reconcile.New(reconcile.Options{
		Router: b.router, Legacy: b.authority, Store: b.behind, Guard: guard, Ledger: b.ledger, Memory: reconcile.MemoryIn(b.dir),
		Logger: hclog.NewNullLogger(), RetryBase: 10 * time.Millisecond,
		Watch: func(context.Context) error {
			b.watched.Add(1)
			if err := b.watching.Load(); err != nil {
				return *err
			}
			return nil
		},
		InStep: func(context.Context) error { b.inStep.Add(1); return nil },
	})
	if a.Answers(shadow.EnhancedSide) { // as a start does, before the first command
		require.NoError(t, b.reconciler.Join(t.Context()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.reconciler.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		b.follower.Close()
		b.toLegacy.Close()
	})
	return b
}

// Where legacy follows it is made equal: after a start, and what it missed; where
// some routes are the other way round, both are.
func TestEachSideIsMadeEqualWhereItFollows(t *testing.T) {
	theirs, ours := key(1), key(2)
	for name, a := range map[string]shadow.Assignment{
		"primary": {Epoch: 1, Mode: shadow.Primary},
		"hybrid":  {Epoch: 1, Mode: shadow.Hybrid, Repos: []string{theirs.Route()}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoth(t, a, 20)
			b.equal(20)
			b.apply(b.behind.Memory, locking.Put(theirs, lock(7), locking.Any())) // what a crash kept from legacy
			b.apply(b.authority, locking.Put(ours, lock(8), locking.Any()))       // in hybrid: what it kept from the enhanced store
			b.toLegacy.MarkAll("a crash")
			b.follower.MarkAll("a crash")
			b.equal(20)
			want := string(lock(8))
			if a.Mode == shadow.Primary {
				want = string(lock(2)) // the enhanced store is right
			}
			for _, s := range []locking.Store{b.authority, b.behind.Memory} {
				r, err := s.Get(t.Context(), theirs)
				require.NoError(t, err)
				require.Equal(t, string(lock(7)), string(r.Value))
				r, err = s.Get(t.Context(), ours)
				require.NoError(t, err)
				require.Equal(t, want, string(r.Value))
			}
			require.Equal(t, uint64(2), b.ledger.Totals().Divergences)
			require.Zero(t, b.ledger.Totals().Unexplained)
			for _, d := range b.ledger.Recent(2) {
				require.Equal(t, "a crash", d.Cause)
			}
		})
	}
}

// What legacy lacks when it is filled was never given to it, and is no divergence.
func TestFillingLegacyIsNoDivergence(t *testing.T) {
	b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary}, 0)
	for i := range 30 {
		b.apply(b.behind.Memory, locking.Put(key(i), lock(i), locking.Any()))
	}
	b.toLegacy.Suspect("legacy was retired")
	b.equal(30)
	require.Zero(t, b.ledger.Totals().Divergences)
}

// What keeps legacy from being made equal is said of the store that failed: legacy's disk, or the enhanced store, which is
// listed and read for it; and likewise where some routes are the other way round.
func TestWhoFailsIsBlamedWhicheverSideIsMadeEqual(t *testing.T) {
	ours, theirs := key(1), key(2)
	for name, c := range map[string]struct {
		op       string
		follows  shadow.Side
		ofLegacy bool
	}{
		"enhanced is not listed for legacy":  {"scan", shadow.LegacySide, false},
		"enhanced is not read for legacy":    {"get", shadow.LegacySide, false},
		"enhanced is not listed for itself":  {"scan", shadow.EnhancedSide, false},
		"enhanced does not take the records": {"apply", shadow.EnhancedSide, false},
		"legacy does not take the records":   {"apply", shadow.LegacySide, true},
		"legacy is not listed for enhanced":  {"scan", shadow.EnhancedSide, true},
		"legacy is not read for enhanced":    {"get", shadow.EnhancedSide, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Hybrid, Repos: []string{theirs.Route()}}, 5)
			b.equal(5)
			failing := b.behind
			if c.ofLegacy {
				failing = b.authority
			}
			b.apply(b.behind.Memory, locking.Put(theirs, lock(77), locking.Any()))
			b.apply(b.authority, locking.Put(ours, lock(77), locking.Any()))
			failing.set(func(s *identified) {
				s.fail = func(op string) error {
					if op == c.op {
						return errAway
					}
					return nil
				}
			})
			b.router.Follower(c.follows).MarkAll("a crash")
			b.reconciler.Look()
			require.Eventually(t, func() bool { return errors.Is(b.reconciler.State().Err, errAway) }, patience, time.Millisecond)
			require.Equal(t, c.ofLegacy, b.reconciler.State().OfLegacy, "%v", b.reconciler.State().Err)
			failing.set(func(s *identified) { s.fail = nil })
			b.reconciler.Look()
			require.Eventually(t, func() bool { return b.reconciler.State().Err == nil && b.router.Follower(c.follows).Backlog().InStep() }, patience, time.Millisecond)
			require.False(t, b.reconciler.State().OfLegacy)
		})
	}
}

// While the enhanced store answers it is watched, and not joined: nobody may adopt
// other contents behind the back of who answers.
func TestAStoreThatAnswersIsNotJoinedBehindItsBack(t *testing.T) {
	b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary}, 3)
	b.equal(3)
	require.Positive(t, b.watched.Load())
	b.behind.set(func(s *identified) { s.id = "store-2" })
	failed := errors.New("it does not answer")
	b.watching.Store(&failed)
	before := b.watched.Load()
	b.reconciler.Look()
	require.Eventually(t, func() bool { return b.watched.Load() > before+2 }, patience, time.Millisecond)
	require.Equal(t, "store-1", b.reconciler.State().StoreID)
	require.ErrorIs(t, b.reconciler.State().Err, failed)
	b.watching.Store(nil)
	b.reconciler.Look()
	require.Eventually(t, func() bool { return b.reconciler.State().Err == nil }, patience, time.Millisecond)

	b.router.Assign(shadow.Assignment{Epoch: 2, Mode: shadow.Primary, FallenBack: true}, nil)
	b.reconciler.Look()
	require.Eventually(t, func() bool { return b.reconciler.State().StoreID == "store-2" }, patience, time.Millisecond, "a follower is joined")
}

// A store that failed as the authority is not joined any more, until a probe has
// found it, or a Join.
func TestGoneAndBack(t *testing.T) {
	b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary}, 1)
	b.equal(1)
	b.reconciler.Gone(errAway)
	state := b.reconciler.State()
	require.False(t, state.Joined)
	require.WithinDuration(t, time.Now(), state.Since, time.Minute)
	require.Equal(t, "store-1", state.StoreID, "it is still the one that it was")
	b.reconciler.Back()
	require.True(t, b.reconciler.State().Joined)

	never := reconcile.New(reconcile.Options{})
	never.Back()
	require.False(t, never.State().Joined, "a probe tells nothing of a store that was never joined")
}

// While nothing is missed the one who wants to know is told, again and again; while
// something is, never.
func TestWhoWantsToKnowIsToldThatAllIsInStep(t *testing.T) {
	b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow}, 2)
	b.equal(2)
	require.Eventually(t, func() bool { b.reconciler.Look(); return b.inStep.Load() > 3 }, patience, time.Millisecond)
	b.behind.set(func(s *identified) { s.away = true })
	b.apply(b.router, locking.Put(key(1), lock(5), locking.Any()))
	require.Eventually(t, func() bool { return b.follower.Backlog().Dirty == 1 && b.reconciler.State().Err != nil }, patience, time.Millisecond)
	told := b.inStep.Load()
	for range 10 {
		b.reconciler.Look()
		require.Equal(t, 1, b.follower.Backlog().Dirty)
	}
	require.Equal(t, told, b.inStep.Load())
	b.behind.set(func(s *identified) { s.away = false })
	b.equal(2)
	require.Eventually(t, func() bool { return b.inStep.Load() > told }, patience, time.Millisecond)
}

// In mode legacy the enhanced store is left alone.
func TestInModeLegacyNothingIsTouched(t *testing.T) {
	b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Legacy}, 0)
	b.apply(b.router, locking.Put(key(1), lock(1), locking.Any()))
	b.reconciler.Look()
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := b.reconciler.Verify(brief)
	require.ErrorIs(t, err, reconcile.ErrNoFollower)
	require.False(t, b.reconciler.State().Joined)
	require.Zero(t, b.watched.Load()+b.inStep.Load())
	require.Empty(t, b.behind.Known().Epoch)
	for range b.behind.Memory.Scan(t.Context(), locking.All) {
		require.Fail(t, "it was written to")
	}
}

// A conflict is no verdict of equal, and no repair decides it.
func TestAConflictIsADifferenceThatNobodyRepairs(t *testing.T) {
	b := newBoth(t, shadow.Assignment{Epoch: 2, Mode: shadow.Primary, FallenBack: true}, 3)
	b.equal(3)
	b.apply(b.behind.Memory, locking.Put(key(1), lock(99), locking.Any()))
	b.follower.Suspect("fell back")
	require.Eventually(t, func() bool { return b.conflicts.Has(key(1)) }, patience, time.Millisecond)
	for range 2 {
		v := b.verify()
		require.Equal(t, compare.Different, v.Verdict)
		require.Len(t, v.Differing, 1)
		require.Equal(t, key(1).String(), v.Differing[0].Record)
		require.Contains(t, v.Differing[0].Cause, "operator")
		_, err := b.reconciler.Repair(t.Context(), false)
		require.NoError(t, err)
	}
	require.Zero(t, b.ledger.Totals().Unexplained)
	require.Zero(t, b.ledger.Totals().Unresolved)
	_, err := b.router.Resolve(t.Context(), b.conflicts.List()[0].ID, shadow.LegacySide)
	require.NoError(t, err)
	b.equal(3)
	require.Empty(t, b.conflicts.List())
}

// Repair makes equal to who answers, on each side.
func TestRepairKnowsWhoIsRight(t *testing.T) {
	theirs, ours := key(1), key(2)
	b := newBoth(t, shadow.Assignment{Epoch: 1, Mode: shadow.Hybrid, Repos: []string{theirs.Route()}}, 5)
	b.equal(5)
	b.apply(b.authority, locking.Put(theirs, lock(77), locking.Any()))
	b.apply(b.behind.Memory, locking.Put(ours, lock(77), locking.Any()))
	v, err := b.reconciler.Repair(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, v.Differing, 2)
	b.equal(5)
	for i := range 5 {
		r, err := b.authority.Get(t.Context(), key(i))
		require.NoError(t, err)
		require.Equal(t, string(lock(i)), string(r.Value), "what answers was right")
	}
}
