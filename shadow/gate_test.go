package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

func only(route string) func(string) bool { return func(r string) bool { return r == route } }

func every(string) bool { return true }

// holding holds routes, and requires that nobody else does.
func (d *duo) holding(moves func(string) bool) {
	d.t.Helper()
	held, err := d.router.Hold(moves, false)
	require.NoError(d.t, err)
	require.True(d.t, held)
}

// begun starts something and tells when it has ended.
func begun(do func()) (ended func() bool) {
	var done atomic.Bool
	go func() { do(); done.Store(true) }()
	return func() bool { synctest.Wait(); return done.Load() }
}

// Commands of held routes wait, and listings, which are of every route; others
// pass. Nothing that waited fails.
func TestHeldRoutesWaitAndOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		d.holding(only(key(1).Route()))
		put := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		get := begun(func() { d.holder(key(1)) })
		list := begun(func() {
			for _, err := range d.router.Scan(as("scan"), locking.All) {
				require.NoError(t, err)
			}
		})
		made := begun(func() { d.equalize(shadow.LegacySide, key(1)) })
		require.True(t, d.acquire(key(2), 1), "another route")
		for _, ended := range []func() bool{put, get, list, made} {
			require.False(t, ended())
		}
		require.Empty(t, held(t, d.enhanced.Store, key(1)), "who waits has done nothing")
		d.router.Release()
		for _, ended := range []func() bool{put, get, list, made} {
			require.True(t, ended())
		}
		require.Equal(t, string(lock(1)), d.holder(key(1)))
	})
}

// A command of two routes enters both at once: one that waits for the second is
// not inside of the first, so that nobody who moves that waits for it.
func TestWhoWaitsForOneRouteIsInsideOfNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := twoRoutes()
		d := newPrimary(t)
		var moving atomic.Value
		moving.Store(b.Route())
		d.holding(func(route string) bool { return route == moving.Load() })
		both := begun(func() {
			_, err := d.try("eval", acquiring(a, 1), acquiring(b, 1))
			require.NoError(t, err)
		})
		require.False(t, both())
		moving.Store(a.Route())
		require.NoError(t, d.router.Emptied(t.Context()))
		require.False(t, both())
		d.router.Release()
		require.True(t, both())
		require.Equal(t, d.holder(a), d.holder(b))
	})
}

// With quiet routes are held only if no command is inside of them, else nothing
// is held; commands of other routes do not count.
func TestQuietHoldsOnlyWhereNobodyIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		release := hold(d.enhanced)
		busy := begun(func() { d.acquire(key(1), 1) })
		require.False(t, busy())
		for _, moves := range []func(string) bool{every, only(key(1).Route())} {
			held, err := d.router.Hold(moves, true)
			require.NoError(t, err)
			require.False(t, held)
		}
		held, err := d.router.Hold(only(key(2).Route()), true)
		require.NoError(t, err)
		require.True(t, held)
		d.router.Release()
		release()
		require.True(t, busy(), "nothing was held by a try")
		held, err = d.router.Hold(every, true)
		require.NoError(t, err)
		require.True(t, held)
		_, err = d.router.Hold(every, false)
		require.ErrorIs(t, err, shadow.ErrHolding, "one at a time")
		d.router.Release()
	})
}

// A listing is a command of every route.
func TestAListingIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		release := hold(d.enhanced)
		listing := begun(func() {
			for _, err := range d.router.Scan(as("scan"), locking.All) {
				require.NoError(t, err)
			}
		})
		require.False(t, listing())
		held, err := d.router.Hold(only("a/b"), true)
		require.NoError(t, err)
		require.False(t, held)
		release()
		require.True(t, listing())
	})
}

// Whoever waits for commands to end does so for a bounded time, and is told how
// many have not; they end all the same.
func TestWaitingForCommandsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		release := hold(d.enhanced)
		first := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		second := begun(func() { require.True(t, d.acquire(key(2), 1)) })
		require.False(t, first() || second())
		d.holding(every)
		brief, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := d.router.Emptied(brief)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "2 commands")
		require.Equal(t, 400*time.Millisecond, time.Since(began))
		d.router.Release()
		release()
		require.True(t, first() && second())
		require.NoError(t, d.router.Emptied(t.Context()), "nothing is held, so nobody is waited for")
	})
}

// A caller who leaves while routes are held gets its own error, and leaves nothing
// behind that somebody waits for.
func TestWhoLeavesWhileHeldIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		d.holding(every)
		ctx, cancel := context.WithCancel(as("get"))
		var err error
		left := begun(func() { _, err = d.router.Get(ctx, key(1)) })
		require.False(t, left())
		cancel()
		require.True(t, left())
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, d.router.Emptied(t.Context()))
		d.router.Release()
		_, failed := d.router.Commands()
		require.Zero(t, failed, "it is no failure of ours")
	})
}

// What was assigned while routes were held is what those who waited go by.
func TestWhoWaitedGoesByTheNewAssignment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
		d.holding(every)
		put := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		require.False(t, put())
		d.router.Assign(shadow.Assignment{Epoch: 2, Mode: shadow.Enhanced}, nil)
		require.False(t, put(), "assigned is not yet released")
		d.router.Release()
		require.True(t, put())
		require.Empty(t, contents(t, d.legacy.Store))
		require.NotEmpty(t, contents(t, d.enhanced.Store))
	})
}

// While the enhanced store is down its routes are refused with the reason, and so
// are listings, of which a part would be no listing; what legacy answers goes on.
func TestDownRefusesOnlyWhatTheEnhancedStoreAnswers(t *testing.T) {
	down := errors.New("down")
	theirs, ours := key(1), key(2)
	for name, a := range map[string]struct {
		assignment                shadow.Assignment
		theirs, ours, list, locks error
	}{
		"legacy":      {shadow.Assignment{Mode: shadow.Legacy}, nil, nil, nil, nil},
		"shadow":      {shadow.Assignment{Mode: shadow.Shadow}, nil, nil, nil, nil},
		"hybrid":      {shadow.Assignment{Mode: shadow.Hybrid, Repos: []string{theirs.Route()}}, down, nil, down, nil},
		"primary":     {shadow.Assignment{Mode: shadow.Primary}, down, down, down, down},
		"enhanced":    {shadow.Assignment{Mode: shadow.Enhanced}, down, down, down, down},
		"fallen back": {shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, nil, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDuo(t, a.assignment)
			a.assignment.Epoch = 2
			d.router.Assign(a.assignment, down)
			told := false
			d.failed = func(context.Context, uint64, error) error { told = true; return nil }
			for k, want := range map[locking.Key]error{theirs: a.theirs, ours: a.ours, locking.MustKey("global/apply/lock"): a.locks} {
				_, err := d.try("acquire", locking.Put(k, lock(1), locking.Any()))
				require.Equal(t, want, err, k)
				_, err = d.router.Get(as("get"), k)
				require.Equal(t, want, err, k)
			}
			for _, err := range d.router.Scan(as("scan"), "nothing*") {
				require.Equal(t, a.list, err)
			}
			require.False(t, told, "being down is no news")
			a.assignment.Epoch = 3
			d.router.Assign(a.assignment, nil)
			require.NoError(t, func() error { _, err := d.router.Get(as("get"), theirs); return ignoreNone(err) }())
		})
	}
}

// While it is not known durably who answers, no store does, in any mode: whoever did
// might not be who answers after a crash.
func TestWhileNobodyKnowsWhoAnswersNoStoreDoes(t *testing.T) {
	for _, a := range []shadow.Assignment{
		{Mode: shadow.Legacy}, {Mode: shadow.Shadow}, {Mode: shadow.Hybrid, Percent: 50}, {Mode: shadow.Primary}, {Mode: shadow.Enhanced},
		{Mode: shadow.Primary, FallenBack: true},
	} {
		t.Run(fmt.Sprintf("%s, fallen back %t", a.Mode, a.FallenBack), func(t *testing.T) {
			d := newDuo(t, a)
			a.Epoch = 2
			d.router.Assign(a, &shadow.Unsure{Cause: errDisk})
			var unsure *shadow.Unsure
			for _, k := range []locking.Key{key(1), key(2), locking.MustKey("global/apply/lock")} {
				_, err := d.try("acquire", locking.Put(k, lock(1), locking.Any()))
				require.ErrorAs(t, err, &unsure, "%s was changed", k)
				_, err = d.router.Get(as("get"), k)
				require.ErrorAs(t, err, &unsure, "%s was read", k)
			}
			for _, err := range d.router.Scan(as("scan"), locking.All) {
				require.ErrorAs(t, err, &unsure, "something was listed")
			}
			require.Zero(t, d.legacy.asked()+d.enhanced.asked(), "a store was asked")
			d.router.Assign(a, nil)
			require.True(t, d.acquire(key(1), 1))
		})
	}
}

func ignoreNone(err error) error {
	if errors.Is(err, locking.ErrNotFound) {
		return nil
	}
	return err
}
