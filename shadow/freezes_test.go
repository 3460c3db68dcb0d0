package shadow_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

func openFreezes(t *testing.T, dir string) *shadow.Freezes {
	t.Helper()
	f, err := shadow.OpenFreezes(dir)
	require.NoError(t, err)
	return f
}

func freeze(t *testing.T, f *shadow.Freezes, glob, reason string) (added bool) {
	t.Helper()
	added, err := f.Add(t.Context(), glob, reason)
	require.NoError(t, err)
	return added
}

// everyMode runs a test on a router in each mode, and after a fallback.
func everyMode(t *testing.T, test func(t *testing.T, d *duo)) {
	for _, a := range []shadow.Assignment{
		{Mode: shadow.Legacy}, {Mode: shadow.Shadow}, {Mode: shadow.Hybrid, Repos: []string{"acme/*"}}, {Mode: shadow.Hybrid, Repos: []string{"zoo/*"}},
		{Mode: shadow.Primary}, {Mode: shadow.Primary, FallenBack: true}, {Mode: shadow.Primary, Shared: true}, {Mode: shadow.Enhanced},
	} {
		a.Epoch = 1
		t.Run(fmt.Sprintf("%s %v %v %v", a.Mode, a.Repos, a.FallenBack, a.Shared), func(t *testing.T) {
			d := newDuo(t, a)
			if a.Answers(shadow.EnhancedSide) && !a.Shared {
				require.NoError(t, d.standby.Declare("test"))
			}
			d.router.Freezes = openFreezes(t, t.TempDir())
			test(t, d)
		})
	}
}

// While a repository is frozen, nobody gets a lock of it who does not hold it, its last holder neither, in any way that a
// command can put one. Holders write and release theirs. Other repositories, other records and operators are untouched.
func TestAFrozenLockHasNoNewHolder(t *testing.T) {
	everyMode(t, func(t *testing.T, d *duo) {
		held, free, other := locking.MustKey("pr/acme/infra/held/default/"), locking.MustKey("pr/acme/infra/free/default/"), locking.MustKey("pr/acme/data/./default/")
		require.True(t, d.acquire(held, 12))
		require.True(t, freeze(t, d.router.Freezes, "acme/inf*", "upgrade"))

		refused := func(op string, changes ...locking.Change) {
			t.Helper()
			_, err := d.try(op, changes...)
			var frozen *locking.Frozen
			require.ErrorAs(t, err, &frozen)
			require.EqualError(t, frozen, "acme/infra is frozen by an operator: upgrade")
		}
		refused("acquire", acquiring(free, 12))
		refused("acquire", locking.Put(free, lock(12), locking.Absent()))
		refused("eval", locking.Put(free, lock(12), locking.AtVersion(0)))
		refused("eval", locking.Delete(held, locking.Any()), locking.Put(free, lock(12), locking.Absent()))
		refused("eval", locking.Put(held, lock(13), locking.Any()))
		require.Equal(t, string(lock(12)), d.holder(held), "nothing of that was done")

		out, err := d.try("acquire", acquiring(held, 13))
		require.NoError(t, err)
		require.True(t, out.Refused, "a rival is told who holds the lock")
		require.Equal(t, lock(12), out.Before.Value)

		require.True(t, d.acquire(held, 12), "the same bytes are a retry")
		again := []byte(`{"Pull":{"Num":12},"Time":"later"}`)
		out, err = d.try("acquire", locking.Put(held, again, locking.OwnedBy(locking.Owner{Num: 12})))
		require.NoError(t, err)
		require.True(t, out.Applied, "a holder may write its lock again")
		out, err = d.try("eval", locking.Put(held, lock(12), locking.AtVersion(out.Version)))
		require.NoError(t, err)
		require.True(t, out.Applied, "in a script too")
		require.Equal(t, string(lock(12)), d.holder(held))

		for _, c := range []locking.Change{
			acquiring(other, 9), locking.Put(locking.MustKey("github.com::acme/infra::12"), []byte("{}"), locking.Any()),
			locking.Put(locking.MustKey("global/apply/lock"), []byte("{}"), locking.Absent()),
		} {
			out, err := d.try("acquire", c)
			require.NoError(t, err)
			require.True(t, out.Applied, c.Key)
		}

		d.release(held)
		require.Empty(t, d.holder(held))
		refused("acquire", acquiring(held, 12))

		own, err := d.router.Apply(context.Background(), []locking.Change{acquiring(free, 7)})
		require.NoError(t, err)
		require.True(t, own[0].Applied, "what is no command is an operator's")

		lifted, err := d.router.Freezes.Lift("acme/inf*")
		require.NoError(t, err)
		require.True(t, lifted)
		require.True(t, d.acquire(held, 13))
		d.drained()
	})
}

// A holder that writes its lock while it gives it up elsewhere has given it up: the lock is not taken again by that.
func TestAFrozenLockThatIsReleasedMeanwhileStaysFree(t *testing.T) {
	everyMode(t, func(t *testing.T, d *duo) {
		k := locking.MustKey("pr/acme/infra/./default/")
		require.True(t, d.acquire(k, 12))
		freeze(t, d.router.Freezes, "*", "upgrade")
		for _, store := range []*flaky{d.legacy, d.enhanced} {
			once := sync.OnceFunc(func() { d.put(store, locking.Delete(k, locking.Any())) })
			store.set(func(op string) (before, after error) {
				if op == "apply" {
					once()
				}
				return nil, nil
			})
		}
		_, err := d.try("acquire", locking.Put(k, []byte(`{"Pull":{"Num":12},"Time":"later"}`), locking.OwnedBy(locking.Owner{Num: 12})))
		var frozen *locking.Frozen
		require.ErrorAs(t, err, &frozen)
		require.Empty(t, d.holder(k))
	})
}

// What a conflict refuses stays refused where something else in the transaction is frozen.
func TestAFreezeLeavesConflictsToTheirRefusal(t *testing.T) {
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary, FallenBack: true})
	d.router.Freezes = openFreezes(t, t.TempDir())
	held := locking.MustKey("pr/acme/infra/./default/")
	disputed := held
	for i := 0; disputed == held || disputed.Partition() != held.Partition(); i++ {
		disputed = locking.MustKey(fmt.Sprintf("pr/zoo/keeper-%d/./default/", i))
	}
	require.True(t, d.acquire(held, 12))
	d.drained()
	d.put(d.enhanced, locking.Put(disputed, lock(9), locking.Any()))
	kept, err := d.router.Keep(disputed, locking.Record{}, locking.Record{Key: disputed, Value: lock(9), Version: 3, Foreign: true})
	require.NoError(t, err)
	require.True(t, kept)
	freeze(t, d.router.Freezes, "acme/*", "upgrade")
	out, err := d.router.Apply(as("eval"), []locking.Change{locking.Put(held, []byte(`{"Pull":{"Num":12},"Time":"later"}`), locking.Any()), acquiring(disputed, 12)})
	require.NoError(t, err)
	require.False(t, out[0].Applied)
	require.True(t, out[1].Refused)
	require.Equal(t, string(lock(12)), d.holder(held))
}

// A freeze returns when the takes that began before it have ended, and no other waits meanwhile: it is refused.
func TestAFreezeWaitsForTakesThatAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Legacy})
		dir := t.TempDir()
		d.router.Freezes = openFreezes(t, dir)
		hold := make(chan struct{})
		d.legacy.set(func(op string) (before, after error) {
			if op == "apply" {
				<-hold
			}
			return nil, nil
		})
		taken, frozen := make(chan bool, 1), make(chan error, 1)
		go func() { taken <- d.acquire(key(1), 12) }()
		synctest.Wait()

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := d.router.Freezes.Add(ctx, "acme/*", "first")
		require.ErrorIs(t, err, shadow.ErrUndecided)
		require.Len(t, openFreezes(t, dir).List(), 1, "it is frozen all the same")

		go func() {
			_, err := d.router.Freezes.Add(context.Background(), "acme/*", "second")
			frozen <- err
		}()
		synctest.Wait()
		require.Empty(t, frozen, "somebody may get a lock still")
		_, err = d.try("acquire", acquiring(key(2), 13))
		require.ErrorContains(t, err, "frozen by an operator: second")

		close(hold)
		require.True(t, <-taken)
		require.NoError(t, <-frozen)
	})
}

// A take that is begun anew began before a freeze that came meanwhile: the freeze waits for what becomes of it.
func TestAFreezeWaitsForATakeThatIsBegunAnew(t *testing.T) {
	d := newPrimary(t)
	d.router.Freezes = openFreezes(t, t.TempDir())
	require.NoError(t, d.standby.Alone("test")) // so that what was made stays
	d.failed = func(ctx context.Context, _ uint64, _ error) error {
		d.enhanced.set(nil)
		require.NoError(t, d.router.Settle(ctx, true))
		over, cancel := context.WithCancel(ctx)
		cancel()
		_, err := d.router.Freezes.Add(over, "acme/*", "upgrade")
		require.ErrorIs(t, err, shadow.ErrUndecided)
		return nil
	}
	d.enhanced.set(func(string) (before, after error) { return nil, locking.ErrUnknownResult })
	require.True(t, d.acquire(key(1), 12))
	_, err := d.router.Freezes.Add(t.Context(), "acme/*", "upgrade")
	require.NoError(t, err, "it is decided")
}

// Freezes are known after a restart, in their order; to freeze or lift again changes nothing but the reason.
func TestFreezesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	f := openFreezes(t, dir)
	require.Empty(t, f.List())
	require.True(t, freeze(t, f, "acme/*", "one"))
	require.True(t, freeze(t, f, "zoo/keeper", "two"))
	began := f.List()[0].At
	require.False(t, freeze(t, f, "acme/*", "three"))
	require.Equal(t, f.List(), openFreezes(t, dir).List())
	f = openFreezes(t, dir)
	require.Equal(t, "three", f.List()[0].Reason)
	require.Equal(t, began, f.List()[0].At)
	for _, want := range []bool{true, false} {
		lifted, err := f.Lift("acme/*")
		require.NoError(t, err)
		require.Equal(t, want, lifted)
	}
	require.Equal(t, "zoo/keeper", openFreezes(t, dir).List()[0].Glob)
	_, err := f.Lift("zoo/keeper")
	require.NoError(t, err)
	require.Empty(t, openFreezes(t, dir).List())
	var none *shadow.Freezes
	require.Empty(t, none.List())
}

// A file that cannot be read is no empty one: what is frozen would be free. What cannot be kept is not done.
func TestFreezesThatCannotBeReadOrKeptAreAnError(t *testing.T) {
	for name, text := range map[string]string{"torn": `[{"glob":"acme/*","rea`, "empty": "", "null": "null", "no glob": `[{"reason":"x"}]`, "another form": `{"glob":"*"}`} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, shadow.FreezesName), []byte(text), 0o600))
			_, err := shadow.OpenFreezes(dir)
			require.ErrorContains(t, err, filepath.Join(dir, shadow.FreezesName))
			require.ErrorContains(t, err, "move the file away")
		})
	}
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	f := openFreezes(t, dir)
	freeze(t, f, "acme/*", "kept")
	before := f.List()
	require.NoError(t, os.RemoveAll(dir))
	_, err := f.Add(t.Context(), "*", "not kept")
	require.ErrorContains(t, err, shadow.FreezesName)
	_, err = f.Lift("acme/*")
	require.ErrorContains(t, err, shadow.FreezesName)
	require.Equal(t, before, f.List())
}

// There is an end to what every take is held against.
func TestFreezesAreBounded(t *testing.T) {
	f := openFreezes(t, t.TempDir())
	for i := range shadow.MaxFreezes {
		freeze(t, f, fmt.Sprintf("acme/%d", i), "x")
	}
	_, err := f.Add(t.Context(), "acme/one-more", "x")
	require.ErrorIs(t, err, shadow.ErrManyFreezes)
	require.False(t, freeze(t, f, "acme/7", "another reason"))
	require.Len(t, f.List(), shadow.MaxFreezes)
}
