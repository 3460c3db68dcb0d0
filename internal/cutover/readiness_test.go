package cutover_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
)

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// item is one of a checklist.
func (r *rig) item(name string) (found client.ReadinessItem) {
	r.t.Helper()
	ready, err := r.keeper.Ready(r.t.Context(), cutover.Next(r.now()))
	require.NoError(r.t, err)
	unmet := 0
	for _, i := range ready.Items {
		if i.Name == name {
			found = i
		}
		if !i.OK {
			unmet++
			require.NotEmpty(r.t, i.Hint, i.Name)
		} else {
			require.Empty(r.t, i.Hint, i.Name)
		}
	}
	require.Equal(r.t, unmet == 0, ready.Ready)
	return found
}

// listed is what Atlantis gets for a SCAN.
func (r *rig) listed() (found []locking.Record) {
	r.t.Helper()
	for record, err := range r.router.Scan(locking.WithCall(r.t.Context(), locking.Call{Op: "scan"}), locking.All) {
		require.NoError(r.t, err)
		found = append(found, record)
	}
	return found
}

// Each item of the checklist shows its numbers, and is met when they are.
func TestTheChecklistShowsItsNumbers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.guard = config.Readiness{MinDuration: 24 * time.Hour, MinOperations: 40, MaxLatencyRatio: 1.5, LatencyFloor: 25 * time.Millisecond}
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		for _, name := range []string{"compared for", "compared operations", "kinds compared", "verified both ways", "write latency"} {
			require.False(t, r.item(name).OK, name)
		}
		for _, name := range []string{"enhanced store", "owner", "backfill", "in step", "foreign writes", "unexplained divergences", "unresolved divergences", "fitness of the store"} {
			require.True(t, r.item(name).OK, name)
		}
		require.Equal(t, "wait for a write: they are measured anew with each start", r.item("write latency").Hint)
		require.Equal(t, "none", r.item("kinds compared").Have)
		for i := range 40 {
			require.True(t, r.acquire(lockKey(i), 1))
		}
		require.NotEmpty(t, r.holder(lockKey(1)))
		r.settled()
		_, err := r.reconciler.Verify(t.Context())
		require.NoError(t, err)
		time.Sleep(12 * time.Hour)
		require.Equal(t, client.ReadinessItem{Name: "compared for", Have: "12.0h", Want: "24.0h", Hint: "wait"}, r.item("compared for"))
		time.Sleep(12 * time.Hour)
		require.Equal(t, "41", r.item("compared operations").Have)
		require.Equal(t, "get 1, acquire 40", r.item("kinds compared").Have)
		require.Contains(t, r.item("verified both ways").Have, "40 compared, 0 differ")
		require.Contains(t, r.item("write latency").Have, "of 40")
		require.Contains(t, r.item("write latency").Want, "25.0ms or 1.5")
		ready, err := r.keeper.Ready(t.Context(), cutover.Next(r.now()))
		require.NoError(t, err)
		require.True(t, ready.Ready, "%+v", ready.Items)
		require.Equal(t, "hybrid 5%", ready.For)
		_, err = r.flip(cutover.Request{Mode: shadow.Primary, Reason: "ready"})
		require.NoError(t, err, "without force")
		require.Equal(t, client.ReadinessItem{Name: "legacy whole", OK: true, Have: "whole", Want: "whole"}, r.item("legacy whole"), "wanted before legacy is retired")
	})
}

// Every Atlantis lists its locks when it boots, and nothing compares a listing when it is sent: that is no kind of which
// the checklist would wait for a comparison for ever.
func TestAListingKeepsNobodyFromTheNextMode(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.True(t, r.acquire(lockKey(1), 1))
		require.Len(t, r.listed(), 1)
		r.settled()
		require.True(t, r.item("kinds compared").OK, r.item("kinds compared").Have)
		_, err := r.flip(cutover.Request{Mode: shadow.Enhanced, Force: true, Reason: "test"})
		require.NoError(t, err)
		require.Empty(t, r.item("legacy whole").Name, "it is retired already")
	})
}

// What speaks against a cut-over is an unmet item, with what to do about it.
func TestWhatSpeaksAgainstACutOver(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(r *rig)
		item string
		have string
	}{
		"away": {func(r *rig) {
			r.far.fails(errAway)
			r.until("away", func() bool { return !r.reconciler.State().Joined })
		}, "enhanced store", "away"},
		"not ours": {func(r *rig) {
			r.far.set(func(s *server) { s.admitted = []string{"other"} })
			r.reconciler.Look()
			r.until("seen", func() bool { return !r.reconciler.State().Sole() })
		}, "owner", "1 others"},
		"dirty": {func(r *rig) {
			r.far.fails(errAway)
			require.True(r.t, r.acquire(lockKey(3), 1))
			r.until("missed", func() bool { return r.toEnhanced.Backlog().Dirty == 1 })
		}, "in step", "1 records dirty"},
		"a divergence": {func(r *rig) {
			_, err := r.far.Store.Apply(r.t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(9), locking.Any())})
			require.NoError(r.t, err)
			r.holder(lockKey(1))
			r.settled()
		}, "unexplained divergences", "1"},
		"a verify that found something": {func(r *rig) {
			_, err := r.far.Store.Apply(r.t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(9), locking.Any())})
			require.NoError(r.t, err)
			_, err = r.reconciler.Verify(r.t.Context())
			require.NoError(r.t, err)
		}, "unresolved divergences", "1"},
		"a kind that was never compared": {func(r *rig) {
			r.far.fails(errAway)
			r.release(lockKey(1))
			r.until("missed", func() bool { return r.toEnhanced.Backlog().Dirty == 1 })
			r.far.fails(nil)
			r.settled()
		}, "kinds compared", "never delete"},
		"slow": {func(r *rig) {
			r.far.set(func(s *server) {
				s.fault = func(context.Context, string) (error, error) { time.Sleep(30 * time.Millisecond); return nil, nil }
			})
			for i := range 40 {
				require.True(r.t, r.acquire(lockKey(10+i), 1))
			}
			r.settled()
		}, "write latency", "p95 30"},
		"unfit":     {func(r *rig) { r.unfit = []string{"maxmemory-policy is allkeys-lru"} }, "fitness of the store", "allkeys-lru"},
		"postponed": {func(r *rig) { r.postpone("release 7") }, "not postponed", "release 7"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Shadow})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				c.harm(r)
				item := r.item(c.item)
				require.False(t, item.OK)
				require.Contains(t, item.Have, c.have)
			})
		})
	}
}

// What a fallback and conflicts leave is on the list too.
func TestAFallbackIsOnTheChecklist(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.far.foreign = func(rec locking.Record) bool { return string(rec.Value) == string(lockOf(9)) }
		r.fallen()
		require.Contains(t, r.item("not fallen back").Hint, "return")
		require.Contains(t, r.item("owner").Have, "not known", "a store that is away is not said to be another's")
		require.NotContains(t, r.item("owner").Hint, "key-prefix")
		_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(9), locking.Any())})
		require.NoError(t, err)
		r.far.fails(nil)
		r.until("found", func() bool { return len(r.conflicts.List()) == 1 })
		require.Equal(t, "1", r.item("conflicts").Have)
	})
}

// The mode that a migration goes to from each.
func TestTheNextMode(t *testing.T) {
	require.Equal(t, shadow.Shadow, cutover.Next(shadow.Assignment{Mode: shadow.Legacy}).Mode)
	require.Equal(t, 5, cutover.Next(shadow.Assignment{Mode: shadow.Shadow}).Percent)
	require.Equal(t, shadow.Primary, cutover.Next(shadow.Assignment{Mode: shadow.Hybrid, Percent: 50}).Mode)
	require.Equal(t, shadow.Enhanced, cutover.Next(shadow.Assignment{Mode: shadow.Primary}).Mode)
	require.Equal(t, shadow.Assignment{Mode: shadow.Enhanced}, cutover.Next(shadow.Assignment{Mode: shadow.Primary, FallenBack: true, Manual: true}),
		"nobody goes to a fallback")
	require.Equal(t, shadow.Enhanced, cutover.Next(shadow.Assignment{Mode: shadow.Enhanced}).Mode)
}
