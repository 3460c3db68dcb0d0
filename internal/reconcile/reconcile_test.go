package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A store that was never filled is filled, which is no divergence.
func TestANewStoreIsFilled(t *testing.T) {
	r := newRig(t, 1000)
	r.start(true)
	r.equal(1000)
	require.Zero(t, r.ledger.Totals().Divergences)
	require.Equal(t, reconcile.Progress{State: "done", Done: 1000, Total: 1000}, r.reconciler.State().Progress)
	require.True(t, reconcile.MemoryIn(r.dir).Load().Filled)
}

// A filling that a crash cut off is no evidence against the store: the next
// start goes on with it.
func TestAFillingThatWasCutOffGoesOn(t *testing.T) {
	r := newRig(t, 500)
	require.NoError(t, reconcile.MemoryIn(r.dir).Save(reconcile.Remembered{Known: r.behind.Known()}))
	for i := range 200 {
		r.apply(r.behind, locking.Put(key(i), lock(i), locking.Any()))
	}
	r.start(true)
	r.equal(500)
	require.Zero(t, r.ledger.Totals().Divergences)
}

// A store that fails now and then, long before all is made equal, is filled all the same: what was made equal before it
// failed is not begun anew. What was changed meanwhile is.
func TestAStoreThatFailsNowAndThenIsFilled(t *testing.T) {
	const records, wellFor = 20_000, 100 // operations between two failures; some 300 are needed
	r := newRig(t, records)
	operations := 0
	r.behind.fail = func(string) error {
		operations++
		if operations%wellFor == 0 {
			return errAway
		}
		return nil
	}
	r.start(true)
	require.Eventually(t, func() bool { return r.reconciler.State().Progress.Done > records/5 }, patience, time.Millisecond)
	for i := range 300 {
		r.apply(r.router, locking.Put(key(i*7), lock(i), locking.Any()))
	}
	require.Eventually(t, func() bool { return r.reconciler.State().Filled && r.follower.Backlog().InStep() }, patience, time.Millisecond)
	r.behind.set(func(s *identified) { s.fail = nil })
	r.equal(records)
}

// After a crash everything is compared and made equal, and what is overwritten
// is recorded with the crash as its cause. After a clean stop nothing is done.
func TestAfterACrashEverythingIsMadeEqual(t *testing.T) {
	for _, unclean := range []bool{true, false} {
		r := newRig(t, 50)
		r.start(true)
		r.equal(50)
		r.stop()
		r.apply(r.behind, locking.Put(key(3), lock(99), locking.Any()))
		r.apply(r.behind, locking.Put(key(1000), lock(99), locking.Any()))
		r.apply(r.behind, locking.Delete(key(4), locking.Any()))
		r.start(unclean)
		v := r.verify()
		if !unclean {
			require.Equal(t, compare.Different, v.Verdict)
			require.Len(t, v.Differing, 3)
			continue
		}
		require.Equal(t, compare.Equal, v.Verdict)
		totals := r.ledger.Totals()
		require.Equal(t, map[compare.Kind]uint64{compare.Owner: 1, compare.Extra: 1, compare.Missing: 1}, nonZero(totals.Kinds))
		require.Zero(t, totals.Unexplained)
		require.Zero(t, totals.Unresolved)
		for _, d := range r.ledger.Recent(3) {
			require.Contains(t, d.Cause, "crash")
		}
	}
}

// A store that was written to after a stop in order, as an older data directory finds it, is made equal, and the
// divergences say why; later looks of the same process do not do that again.
func TestAStoreAheadOfItsDataDirectoryIsMadeEqual(t *testing.T) {
	r := newRig(t, 50)
	r.start(true)
	r.equal(50)
	require.False(t, r.reconciler.State().Ahead)
	r.stop()
	r.apply(r.behind, locking.Put(key(1000), lock(99), locking.Any()))
	r.behind.set(func(s *identified) { s.ahead = true })
	r.start(false)
	r.equal(50)
	require.True(t, r.reconciler.State().Ahead)
	require.Contains(t, r.ledger.Recent(1)[0].Cause, "older data directory")
	require.NoError(t, r.reconciler.Join(t.Context()))
	require.True(t, r.follower.Backlog().InStep())
}

func nonZero(kinds map[compare.Kind]uint64) map[compare.Kind]uint64 {
	some := map[compare.Kind]uint64{}
	for k, n := range kinds {
		if n > 0 {
			some[k] = n
		}
	}
	return some
}

// A store that is away when the sidecar starts, and again later, is caught up
// by itself when it is there, and what it missed is known as such.
func TestAStoreThatWasAwayIsCaughtUp(t *testing.T) {
	r := newRig(t, 20)
	r.behind.set(func(s *identified) { s.away = true })
	r.start(true)
	r.apply(r.router, locking.Put(key(100), lock(1), locking.Any()))
	require.Eventually(t, func() bool { return r.reconciler.State().Err != nil && !r.reconciler.State().Joined }, patience, time.Millisecond)
	r.behind.set(func(s *identified) { s.away = false })
	r.equal(21)

	r.behind.set(func(s *identified) { s.away = true })
	for i := range 50 {
		r.apply(r.router, locking.Put(key(i), lock(7), locking.Any()))
	}
	require.Eventually(t, func() bool { return r.follower.Backlog().Dirty == 50 }, patience, time.Millisecond)
	r.behind.set(func(s *identified) { s.away = false })
	r.equal(51)
	require.Zero(t, r.ledger.Totals().Unexplained)
	require.Zero(t, r.ledger.Totals().Unresolved)
}

// A store that is not the one it was gets everything again; the evidence
// gathered on the other one is gone, and what is overwritten is recorded.
func TestALostStoreIsFilledAgain(t *testing.T) {
	r := newRig(t, 100)
	r.start(true)
	r.equal(100)
	r.apply(r.router, locking.Put(key(1), lock(1), locking.Any()))
	require.Eventually(t, func() bool { return r.ledger.Totals().Comparisons().Match > 0 }, patience, time.Millisecond)
	r.behind.set(func(s *identified) { // all at once for a Join
		for i := range 100 {
			r.apply(s.Memory, locking.Delete(key(i), locking.Any()))
		}
		s.id, s.lost = "store-2", "the Redis was empty"
	})
	require.Eventually(t, func() bool { return r.reconciler.State().StoreID == "store-2" }, patience, time.Millisecond)
	r.equal(100)
	totals := r.ledger.Totals()
	require.Equal(t, "store-2", totals.StoreID)
	require.Equal(t, uint64(1), r.reconciler.State().Lost)
	require.Equal(t, map[compare.Kind]uint64{compare.Missing: 100}, nonZero(totals.Kinds))
	require.Zero(t, totals.Unexplained)
	require.Zero(t, totals.Unresolved)
}

// What a store has dropped that was not durable is made equal, with its cause; the store is the one it was, nothing counts as
// lost, and what was compared before still does. It is so too if nobody may work on the store when a Join finds it out.
func TestWhatAStoreHasDroppedIsMadeEqual(t *testing.T) {
	for name, bars := range map[string]error{"": nil, "barred at first": errors.New("restart the sidecar")} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 20)
			r.start(false)
			r.equal(20)
			before := r.ledger.Totals()
			r.behind.set(func(s *identified) {
				r.apply(s.Memory, locking.Delete(key(3), locking.Any()))
				s.drops, s.bars = true, bars
			})
			r.reconciler.Look()
			require.Eventually(t, func() bool { return r.ledger.Totals().Divergences == 1 }, patience, time.Millisecond)
			r.equal(20)
			totals := r.ledger.Totals()
			require.Equal(t, []any{before.StoreID, before.Since}, []any{totals.StoreID, totals.Since})
			require.Zero(t, r.reconciler.State().Lost)
			require.Zero(t, totals.Unexplained)
			require.Contains(t, r.ledger.Recent(1)[0].Cause, "missed: ")
		})
	}
}

// Verify says what differs and how, changes nothing, and repair makes it equal.
func TestVerifyFindsAndRepairMends(t *testing.T) {
	r := newRig(t, 30)
	r.start(true)
	r.equal(30)
	r.apply(r.behind, locking.Put(key(1), append(lock(1), ' '), locking.Any()))
	r.apply(r.behind, locking.Put(key(2), lock(99), locking.Any()))
	r.apply(r.behind, locking.Delete(key(3), locking.Any()))
	r.apply(r.behind, locking.Put(key(1000), lock(5), locking.Any()))
	want := map[string]compare.Kind{
		key(1).String(): compare.Value, key(2).String(): compare.Owner, key(3).String(): compare.Missing, key(1000).String(): compare.Extra,
	}
	for range 2 { // finding changes nothing
		dry, err := r.reconciler.Repair(context.Background(), true)
		require.NoError(t, err)
		require.Equal(t, compare.Different, dry.Verdict)
		require.Equal(t, 31, dry.Compared)
		found := map[string]compare.Kind{}
		for _, d := range dry.Differing {
			found[d.Record] = d.Kind
		}
		require.Equal(t, want, found)
		require.Equal(t, uint64(4), r.ledger.Totals().Unresolved)
	}
	_, err := r.reconciler.Repair(context.Background(), false)
	require.NoError(t, err)
	r.equal(30)
	require.Zero(t, r.ledger.Totals().Unresolved)
	require.Equal(t, uint64(4), r.ledger.Totals().Divergences, "each is counted once")
}

// Without anything to compare there is no verdict, and without a follower, or
// one that does not catch up in time, there is an error.
func TestThereIsNoVerdictWithoutComparison(t *testing.T) {
	r := newRig(t, 0)
	r.start(true)
	require.Equal(t, compare.None, r.verify().Verdict)

	r.behind.set(func(s *identified) { s.away = true })
	r.apply(r.router, locking.Put(key(1), lock(1), locking.Any()))
	brief, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	v, err := r.reconciler.Verify(brief)
	require.Error(t, err)
	require.Equal(t, compare.None, v.Verdict)
	r.behind.set(func(s *identified) { s.away = false })
	r.equal(1)
}
