package shadow_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// theirs are values that somebody else wrote.
func theirs(r locking.Record) bool { return bytes.Contains(r.Value, []byte(`"Num":9`)) }

// newConflict returns a router that has fallen back, on which pull 1 holds key 1 in
// legacy and nobody key 2, and pull 9 took both in the enhanced store.
func newConflict(t *testing.T) *duo {
	t.Helper()
	d := newPrimary(t)
	d.foreign = theirs
	require.True(t, d.acquire(key(1), 1))
	d.drained()
	d.fallBack()
	d.put(d.enhanced, locking.Put(key(1), lock(9), locking.Any()))
	d.put(d.enhanced, locking.Put(key(2), lock(9), locking.Any()))
	d.heal()
	require.Len(t, d.conflicts.List(), 2)
	return d
}

func (d *duo) conflictOf(k locking.Key) shadow.Conflict {
	d.t.Helper()
	for _, c := range d.conflicts.List() {
		if c.Record == k.String() {
			return c
		}
	}
	require.Fail(d.t, "no conflict", k)
	return shadow.Conflict{}
}

// A lock that somebody else has changed in the enhanced store while legacy answered
// is kept as it is there, and listed with both holders.
func TestAForeignLockIsKeptAndListed(t *testing.T) {
	d := newConflict(t)
	require.Equal(t, string(lock(9)), held(t, d.enhanced.Store, key(1)))
	require.Equal(t, string(lock(9)), held(t, d.enhanced.Store, key(2)))
	c := d.conflictOf(key(1))
	require.Contains(t, c.Legacy.Holder, "#1")
	require.Contains(t, c.Enhanced.Holder, "#9")
	require.Empty(t, d.conflictOf(key(2)).Legacy.Holder)
	require.NotEqual(t, c.ID, d.conflictOf(key(2)).ID)
	for _, k := range []locking.Key{key(1), key(2)} { // found again, it is the same
		d.toEnhanced.MarkRecorded([]locking.Key{k})
	}
	d.toEnhanced.Suspect("again")
	d.heal()
	require.Equal(t, c, d.conflictOf(key(1)))
	require.Len(t, d.conflicts.List(), 2)
}

// Only what somebody else wrote to a lock, while legacy answered in place of the
// enhanced store, is a conflict. All else is overwritten, and recorded.
func TestWhatIsNoConflictIsOverwritten(t *testing.T) {
	for name, c := range map[string]struct {
		key   locking.Key
		value []byte
		mode  shadow.Assignment
		trust bool
		kept  bool
	}{
		"theirs":                   {key(1), lock(9), shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, true, true},
		"a command lock of theirs": {locking.MustKey("global/apply/lock"), lock(9), shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, true, true},
		"ours":                     {key(1), lock(3), shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, true, false},
		"ours, and nothing is certain after a take-over": {key(1), lock(3), shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, false, true},
		"a pull status of theirs":                        {pulled(1), lock(9), shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, false, false},
		"in mode shadow nobody else answers":             {key(1), lock(9), shadow.Assignment{Mode: shadow.Shadow}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.mode.Epoch = 5
			d := newDuo(t, c.mode)
			d.foreign = theirs
			if !c.trust {
				d.router.Distrust()
			}
			d.put(d.enhanced, locking.Put(c.key, c.value, locking.Any()))
			d.toEnhanced.Suspect("a start")
			d.heal()
			require.Equal(t, c.kept, len(d.conflicts.List()) == 1)
			require.Equal(t, c.kept, d.conflicts.Has(c.key))
			if !c.kept {
				d.equal()
				require.Equal(t, uint64(1), d.ledger.Totals().Divergences)
				require.Zero(t, d.ledger.Totals().Unexplained)
			}
		})
	}
}

// While a conflict stands its lock is nobody's to take: the refusal names the other
// holder. Whoever has it in legacy keeps it, may write it and give it up.
func TestNobodyTakesALockInConflict(t *testing.T) {
	d := newConflict(t)
	for _, k := range []locking.Key{key(1), key(2)} {
		for _, pull := range []int{5, 9} {
			out, err := d.try("acquire", acquiring(k, pull))
			require.NoError(t, err)
			require.True(t, out.Refused)
			require.False(t, out.Applied)
			require.NotEmpty(t, out.Before.Value, "the refusal can say who holds it")
			require.NotZero(t, out.Before.Version)
		}
	}
	out, err := d.try("acquire", acquiring(key(2), 5))
	require.NoError(t, err)
	require.Equal(t, lock(9), out.Before.Value)
	require.Equal(t, string(lock(1)), d.holder(key(1)), "a GET shows legacy's holder")
	require.Empty(t, d.holder(key(2)))
	require.True(t, d.acquire(key(1), 1), "has it")
	require.True(t, d.acquire(key(3), 5), "others are free")

	d.release(key(1))
	require.False(t, d.acquire(key(1), 5), "released in legacy, and still pull 9's in the enhanced store")
	d.drained()
	require.Equal(t, string(lock(9)), held(t, d.enhanced.Store, key(1)), "what is there is kept")
	require.Zero(t, d.ledger.Totals().Unexplained, "that they differ is known")

	d.enhanced.set(failing(errAway))
	_, err = d.try("acquire", acquiring(key(1), 5))
	require.ErrorContains(t, err, "conflicts list", "who holds it cannot be looked up, and it is refused all the same")
	d.enhanced.set(nil)
}

// A command that changes a lock in conflict and other records too changes the others in both stores.
func TestWhatIsDoneBesideAConflictIsFollowed(t *testing.T) {
	d := newConflict(t)
	_, err := d.router.Apply(as("eval"), []locking.Change{locking.Delete(key(1), locking.Any()), locking.Put(pulled(1), []byte("closed"), locking.Any())})
	require.NoError(t, err)
	d.heal()
	require.Equal(t, "closed", held(t, d.enhanced.Store, pulled(1)))
	require.Equal(t, string(lock(9)), held(t, d.enhanced.Store, key(1)), "what is there is kept")
	require.Zero(t, d.ledger.Totals().Unexplained)
}

// What somebody else has made of a lock stays in the enhanced store also when the
// first that is heard of it is that legacy's holder gives the lock up.
func TestAReleaseKeepsWhatSomebodyElseHasWritten(t *testing.T) {
	d := newPrimary(t)
	d.foreign = theirs
	require.True(t, d.acquire(key(1), 1))
	d.drained()
	d.fallBack()
	d.heal()
	d.put(d.enhanced, locking.Put(key(1), lock(9), locking.Any()))
	r, err := d.router.Get(as("delete"), key(1))
	require.NoError(t, err)
	out, err := d.try("delete", locking.Delete(key(1), locking.AtVersion(r.Version)))
	require.NoError(t, err)
	require.True(t, out.Applied)
	d.heal()
	require.Equal(t, string(lock(9)), held(t, d.enhanced.Store, key(1)))
	require.True(t, d.conflicts.Has(key(1)))
	require.False(t, d.acquire(key(1), 5), "still pull 9's in the enhanced store")
}

// A conflict that a command was the first to meet is explained, whichever way it is decided: it keeps nobody from the next step.
func TestAConflictIsNoUnexplainedDivergence(t *testing.T) {
	for name, meet := range map[string]func(d *duo){
		"a read":  func(d *duo) { require.Equal(d.t, string(lock(1)), d.holder(key(1))) },
		"a write": func(d *duo) { require.True(d.t, d.acquire(key(1), 1)) },
	} {
		for _, keep := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
			t.Run(name+", keep "+string(keep), func(t *testing.T) {
				d := newPrimary(t)
				d.foreign = theirs
				require.True(t, d.acquire(key(1), 1))
				d.drained()
				d.fallBack()
				d.heal()
				d.put(d.enhanced, locking.Put(key(1), lock(9), locking.Any()))
				meet(d)
				d.drained()
				require.Equal(t, uint64(1), d.ledger.Totals().Unexplained, "nobody knows yet")
				d.heal()
				explained := func() {
					require.Zero(t, d.ledger.Totals().Unexplained)
					require.Zero(t, d.ledger.Totals().Unresolved, "it is listed as a conflict")
					require.Equal(t, uint64(1), d.ledger.Totals().Divergences)
					found := d.ledger.Recent(1)[0]
					require.Equal(t, shadow.InConflict, found.Cause)
					require.NotContains(t, found.Resolved.How, "equal")
				}
				explained()
				_, err := d.router.Resolve(t.Context(), d.conflictOf(key(1)).ID, keep)
				require.NoError(t, err)
				d.heal()
				d.equal()
				explained()
			})
		}
	}
}

// An operator decides each conflict, one way or the other, and then both stores
// are equal and the lock is an ordinary one.
func TestAnOperatorResolvesAConflict(t *testing.T) {
	for _, keep := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
		t.Run(string(keep), func(t *testing.T) {
			d := newConflict(t)
			want := map[locking.Key]string{key(1): string(lock(1)), key(2): ""}
			if keep == shadow.EnhancedSide {
				want = map[locking.Key]string{key(1): string(lock(9)), key(2): string(lock(9))}
			}
			for k, value := range want {
				c := d.conflictOf(k)
				resolved, err := d.router.Resolve(t.Context(), c.ID, keep)
				require.NoError(t, err)
				require.Equal(t, c, resolved)
				require.Equal(t, value, d.holder(k))
				_, err = d.router.Resolve(t.Context(), c.ID, keep)
				require.ErrorIs(t, err, shadow.ErrNoConflict)
			}
			d.heal()
			require.Empty(t, d.conflicts.List(), "decided is decided")
			d.equal()
			require.Zero(t, d.ledger.Totals().Unexplained)
			d.switchTo(shadow.Assignment{Mode: shadow.Primary})
			for k, value := range want {
				require.Equal(t, value, d.holder(k))
				d.release(k)
				require.True(t, d.acquire(k, 5))
			}
			d.equal()
		})
	}
}

// A conflict is not resolved by what cannot be read or written.
func TestAResolutionThatFailsLeavesTheConflict(t *testing.T) {
	d := newConflict(t)
	c := d.conflictOf(key(1))
	d.enhanced.set(failing(errAway))
	_, err := d.router.Resolve(t.Context(), c.ID, shadow.EnhancedSide)
	require.ErrorIs(t, err, errAway)
	d.enhanced.set(nil)
	d.legacy.set(failing(errDisk))
	_, err = d.router.Resolve(t.Context(), c.ID, shadow.EnhancedSide)
	require.ErrorIs(t, err, errDisk)
	d.legacy.set(nil)
	require.True(t, d.conflicts.Has(key(1)))
	_, err = d.router.Resolve(t.Context(), 4711, shadow.LegacySide)
	require.ErrorIs(t, err, shadow.ErrNoConflict)
}

// Of two operators who decide the same conflict otherwise at the same time, the second hears that it is decided: what was
// granted since is not overwritten, and nobody is told of a decision that was none.
func TestAConflictIsDecidedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newConflict(t)
		id := d.conflictOf(key(1)).ID
		goOn := make(chan struct{})
		d.legacy.set(func(string) (before, after error) {
			<-goOn // a slow disk
			return nil, nil
		})
		decide := func(keep shadow.Side) <-chan error {
			decided := make(chan error, 1)
			go func() {
				_, err := d.router.Resolve(t.Context(), id, keep)
				decided <- err
			}()
			synctest.Wait()
			return decided
		}
		first, second := decide(shadow.LegacySide), decide(shadow.EnhancedSide)
		close(goOn)
		require.NoError(t, <-first)
		require.ErrorIs(t, <-second, shadow.ErrNoConflict)
		d.legacy.set(nil)
		require.Equal(t, string(lock(1)), d.holder(key(1)))
	})
}

// Conflicts survive a restart, with their numbers; one that was resolved, or
// dropped with the store that it was about, does not come back.
func TestConflictsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	open := func() *shadow.Conflicts {
		c, err := shadow.OpenConflicts(dir)
		require.NoError(t, err)
		return c
	}
	fallen := func() *duo {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary, FallenBack: true})
		d.router.Conflicts = open()
		return d
	}
	d := fallen()
	for _, k := range []locking.Key{key(1), key(2)} {
		kept, err := d.router.Keep(k, locking.Record{}, locking.Record{Key: k, Value: lock(9), Version: 3, Foreign: true})
		require.NoError(t, err)
		require.True(t, kept)
	}
	listed := d.router.Conflicts.List()
	require.Len(t, listed, 2)
	require.Equal(t, listed, open().List())
	text, err := os.ReadFile(filepath.Join(dir, shadow.ConflictsName))
	require.NoError(t, err)
	require.NotContains(t, string(text), `{\"Pull\"`, "no value is in the file")

	d = fallen()
	require.Equal(t, key(1).String(), listed[0].Record)
	_, err = d.router.Resolve(t.Context(), listed[0].ID, shadow.LegacySide)
	require.NoError(t, err)
	require.Equal(t, listed[1:], open().List())
	require.True(t, open().Has(key(2)))
	require.False(t, open().Has(key(1)))

	d = fallen()
	_, err = d.router.Keep(key(3), locking.Record{}, locking.Record{Key: key(3), Value: lock(9), Version: 3, Foreign: true})
	require.NoError(t, err)
	require.Greater(t, open().List()[1].ID, listed[1].ID, "a number is not given twice")
	require.NoError(t, d.router.Conflicts.Drop())
	require.Empty(t, open().List())
}

// Who decides by an old listing decides about no other conflict: a number is not given again, also where a restart finds
// none, and where a file of an earlier version is read.
func TestNoConflictGetsTheNumberOfOneBefore(t *testing.T) {
	dir := t.TempDir()
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary, FallenBack: true})
	found := func(k locking.Key) shadow.Conflict {
		var err error
		d.router.Conflicts, err = shadow.OpenConflicts(dir)
		require.NoError(t, err)
		_, err = d.router.Keep(k, locking.Record{}, locking.Record{Key: k, Value: lock(9), Version: 3, Foreign: true})
		require.NoError(t, err)
		require.NotEmpty(t, d.router.Conflicts.List())
		return d.router.Conflicts.List()[len(d.router.Conflicts.List())-1]
	}
	first := found(key(1))
	_, err := d.router.Resolve(t.Context(), first.ID, shadow.LegacySide)
	require.NoError(t, err)
	second := found(key(2))
	require.Greater(t, second.ID, first.ID)
	require.NoError(t, d.router.Conflicts.Drop())
	require.Greater(t, found(key(3)).ID, second.ID)

	earlier := `[{"id":41,"record":"` + key(1).String() + `"}]`
	require.NoError(t, os.WriteFile(filepath.Join(dir, shadow.ConflictsName), []byte(earlier), 0o600))
	require.Equal(t, uint64(42), found(key(2)).ID)
	require.True(t, d.router.Conflicts.Has(key(1)))
}

// A file that cannot be read is no empty one: without it a lock could be granted
// twice. A conflict that cannot be kept is not passed over.
func TestConflictsThatCannotBeReadOrKeptAreAnError(t *testing.T) {
	for name, text := range map[string]string{
		"torn":      `[{"id":1,"record":"pr/acme/infra/./default/","leg`,
		"empty":     "",
		"no record": `[{"id":1,"record":"nonsense"}]`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, shadow.ConflictsName), []byte(text), 0o600))
			_, err := shadow.OpenConflicts(dir)
			require.ErrorContains(t, err, shadow.ConflictsName)
		})
	}
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary, FallenBack: true})
	d.foreign = theirs
	dir := t.TempDir()
	var err error
	d.router.Conflicts, err = shadow.OpenConflicts(dir)
	require.NoError(t, err)
	require.NoError(t, os.Remove(dir))
	d.put(d.enhanced, locking.Put(key(1), lock(9), locking.Any()))
	_, err = d.router.Equalize(context.Background(), shadow.EnhancedSide, []locking.Key{key(1)}, false)
	require.ErrorContains(t, err, shadow.ConflictsName)
	require.Equal(t, string(lock(9)), held(t, d.enhanced.Store, key(1)), "it is not overwritten")
	require.Contains(t, d.toEnhanced.Dirty(), key(1), "and not forgotten")
	require.Empty(t, d.router.Conflicts.List())
}

// A router without conflicts has none.
func TestNoConflictsAtAll(t *testing.T) {
	var none *shadow.Conflicts
	require.Empty(t, none.List())
	require.False(t, none.Has(key(1)))
}
