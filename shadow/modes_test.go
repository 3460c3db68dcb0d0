package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// A router is a store like any other in every mode; both stores are equal after,
// where one follows the other, and no comparison has failed.
func TestTheRouterIsAStoreInEveryMode(t *testing.T) {
	const alone = "legacy is no whole standby"
	for name, a := range map[string]shadow.Assignment{
		"legacy":                {Mode: shadow.Legacy},
		"shadow":                {Mode: shadow.Shadow},
		"hybrid 50":             {Mode: shadow.Hybrid, Percent: 50},
		"hybrid with a glob":    {Mode: shadow.Hybrid, Repos: []string{"acme/*"}},
		"hybrid but for a glob": {Mode: shadow.Hybrid, Repos: []string{"nobody/*"}},
		"primary, waiting":      {Mode: shadow.Primary},
		"primary, alone":        {Mode: shadow.Primary, Reason: alone},
		"primary, shared":       {Mode: shadow.Primary, Shared: true},
		"enhanced":              {Mode: shadow.Enhanced},
		"fallen back":           {Mode: shadow.Primary, FallenBack: true},
		"hybrid, fallen back":   {Mode: shadow.Hybrid, Percent: 50, FallenBack: true},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) locking.Store {
				a.Epoch = 70_000 // more than a version has room for
				d := newDuo(t, a)
				if a.Answers(shadow.EnhancedSide) && !a.Shared && a.Mode != shadow.Enhanced && a.Reason != alone {
					require.NoError(t, d.standby.Declare("test"))
				}
				whole, _ := d.standby.Whole()
				t.Cleanup(func() {
					d.drained()
					require.Zero(t, d.ledger.Totals().Divergences)
					switch {
					case a.Mode == shadow.Legacy:
						require.Empty(t, contents(t, d.enhanced.Store))
					case a.Mode == shadow.Enhanced, a.Shared:
						require.Empty(t, contents(t, d.legacy.Store))
					default:
						d.equal()
					}
					after, _ := d.standby.Whole()
					require.Equal(t, whole, after)
				})
				return d.router
			})
		})
	}
}

// A version that was read in one epoch holds for no record in another: each
// store counts its own, and both may have come to the same number.
func TestAVersionOfAnotherEpochNeverHolds(t *testing.T) {
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
	require.True(t, d.acquire(key(1), 1))
	d.drained()
	read, err := d.router.Get(as("get"), key(1))
	require.NoError(t, err)
	d.switchTo(shadow.Assignment{Mode: shadow.Primary})

	theirs, err := d.enhanced.Store.Get(context.Background(), key(1))
	require.NoError(t, err)
	ours, err := d.legacy.Store.Get(context.Background(), key(1))
	require.NoError(t, err)
	require.Equal(t, ours.Version, theirs.Version, "else the test shows nothing")

	for _, c := range []locking.Change{locking.Put(key(1), lock(2), locking.AtVersion(read.Version)), locking.Delete(key(1), locking.AtVersion(read.Version))} {
		out, err := d.try("eval", c)
		require.NoError(t, err)
		require.True(t, out.Refused)
	}
	again, err := d.router.Get(as("get"), key(1))
	require.NoError(t, err)
	require.NotEqual(t, read.Version, again.Version)
	out, err := d.try("eval", locking.Put(key(1), lock(2), locking.AtVersion(again.Version)))
	require.NoError(t, err)
	require.True(t, out.Applied)
	require.Equal(t, again.Version, out.Before.Version, "what a change met has the version that a read shows")

	listed := uint64(0)
	for r, err := range d.router.Scan(as("scan"), locking.All) {
		require.NoError(t, err)
		listed = r.Version
	}
	require.Equal(t, out.Version, listed, "a listing shows the same versions")
	require.Equal(t, lock(2), []byte(held(t, d.legacy.Store, key(1))), "legacy has followed all the same")
}

// A batch whose keys two stores answer for is no transaction, and is not begun.
func TestABatchOverBothStoresIsRefused(t *testing.T) {
	a, b := twoRoutes()
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Hybrid, Repos: []string{a.Route()}})
	_, err := d.try("eval", acquiring(a, 1), acquiring(b, 1))
	require.ErrorIs(t, err, locking.ErrBadBatch)
	require.Empty(t, contents(t, d.legacy.Store))
	require.Empty(t, contents(t, d.enhanced.Store))
}

// twoRoutes are keys of different routes that share a partition.
func twoRoutes() (a, b locking.Key) {
	a = key(0)
	for i := 1; ; i++ {
		if b = key(i); b.Partition() == a.Partition() && b.Route() != a.Route() {
			return a, b
		}
	}
}

// While routes move to and fro under traffic, with a fallback in between, no
// command fails and no lock has two holders; in the end both stores are equal.
func TestFlipsUnderTrafficGrantNothingTwice(t *testing.T) {
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
	var holders [6]atomic.Int64
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	var grants atomic.Int64
	for client := range 8 {
		pull := client + 1
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				n := (i*7 + client) % len(holders)
				out, err := d.try("acquire", acquiring(key(n), pull))
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				if !out.Applied {
					continue
				}
				grants.Add(1)
				if !holders[n].CompareAndSwap(0, int64(pull)) {
					t.Errorf("pull %d got what pull %d holds", pull, holders[n].Load())
				}
				got, err := d.router.Get(as("get"), key(n))
				if err != nil || string(got.Value) != string(lock(pull)) {
					t.Errorf("pull %d holds a lock and reads %v, %v", pull, got, err)
				}
				holders[n].CompareAndSwap(int64(pull), 0)
				if _, err := d.try("delete", locking.Delete(key(n), locking.Any())); err != nil {
					t.Errorf("delete: %v", err)
					return
				}
			}
		})
	}
	for round := range 30 {
		before := grants.Load()
		require.Eventually(t, func() bool { return grants.Load() > before+20 }, patience, time.Millisecond)
		switch round % 5 {
		case 0:
			d.switchTo(shadow.Assignment{Mode: shadow.Hybrid, Percent: 50})
		case 1:
			d.switchTo(shadow.Assignment{Mode: shadow.Primary})
		case 2:
			d.fallBack()
			d.heal()
		case 3:
			d.switchTo(shadow.Assignment{Mode: shadow.Primary})
		case 4:
			d.switchTo(shadow.Assignment{Mode: shadow.Shadow})
		}
	}
	stop()
	all.Wait()
	d.drained()
	d.equal()
	require.Zero(t, d.ledger.Totals().Unexplained)
	commands, failed := d.router.Commands()
	require.Greater(t, commands, uint64(grants.Load()))
	require.Zero(t, failed)
}

// The numbers of a drill: what has ended, what of it failed, and which kinds of
// operations were sent. A refusal, an absent record and a caller who left are no
// failures.
func TestCommandsAreCounted(t *testing.T) {
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Enhanced})
	require.True(t, d.acquire(key(1), 1))
	require.False(t, d.acquire(key(1), 2))
	require.Empty(t, d.holder(key(2)))
	gone, cancel := context.WithCancel(as("get"))
	cancel()
	_, err := d.router.Get(gone, key(1))
	require.ErrorIs(t, err, context.Canceled)
	all, failed := d.router.Commands()
	require.Equal(t, [2]uint64{4, 0}, [2]uint64{all, failed})

	d.enhanced.set(func(string) (error, error) { return errAway, nil })
	_, err = d.router.Get(as("eval"), key(1))
	require.ErrorIs(t, err, errAway)
	all, failed = d.router.Commands()
	require.Equal(t, [2]uint64{5, 1}, [2]uint64{all, failed})
	var kinds []string
	for _, op := range d.router.Kinds() {
		kinds = append(kinds, string(op))
	}
	require.ElementsMatch(t, []string{"acquire", "get", "eval"}, kinds)
}

// A command is begun anew when the enhanced store has failed and somebody can
// answer, a few times, and fails if it fails each time.
func TestACommandIsBegunAnewAFewTimes(t *testing.T) {
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary, Shared: true})
	asked, failures := 0, 0
	d.enhanced.set(func(string) (error, error) {
		if asked++; asked <= failures {
			return fmt.Errorf("%w: %d", errAway, asked), nil
		}
		return nil, nil
	})
	told := 0
	d.failed = func(_ context.Context, epoch uint64, cause error) error {
		require.ErrorIs(t, cause, errAway)
		require.Equal(t, uint64(1), epoch)
		told++
		return nil
	}
	for failures = range 4 {
		asked, told = 0, 0
		_, err := d.try("acquire", acquiring(key(1), 1))
		require.NoError(t, err)
		require.Equal(t, failures, told)
	}
	asked, failures = 0, 1000
	_, err := d.try("acquire", acquiring(key(1), 1))
	require.ErrorIs(t, err, errAway)
	require.Equal(t, 4, asked)

	refused := errors.New("neither may answer")
	d.failed = func(context.Context, uint64, error) error { return refused }
	for _, err := range d.router.Scan(as("scan"), locking.All) {
		require.ErrorIs(t, err, refused, "a listing is a command as well")
	}
}
