package shadow_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// After a change without an answer nobody reads or writes its key in the enhanced
// store until it is settled what is there; other keys go on. Then legacy has what
// is there or is not whole any more, and commands are begun anew.
func TestAfterAnUnknownResultNobodyTouchesTheKey(t *testing.T) {
	for name, c := range map[string]struct{ made, fails bool }{
		"it was made": {true, false}, "it was not made": {false, false},
		"it was made, and legacy fails": {true, true}, "it was not made, and legacy fails": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newPrimary(t)
				decide := make(chan struct{})
				var told atomic.Int32
				d.failed = func(context.Context, uint64, error) error { told.Add(1); <-decide; return nil }
				d.enhanced.set(func(string) (before, after error) {
					if c.made {
						return nil, locking.ErrUnknownResult
					}
					return locking.ErrUnknownResult, nil
				})
				first := begun(func() { d.acquire(key(1), 1) })
				require.False(t, first())
				d.enhanced.set(nil)
				asked := d.enhanced.asked()
				read := begun(func() { d.holder(key(1)) })
				other := begun(func() { d.acquire(key(1), 2) })
				drop := begun(func() { _, _ = d.try("delete", locking.Delete(key(1), locking.Any())) })
				require.False(t, read() || other() || drop())
				require.Equal(t, asked, d.enhanced.asked(), "the store is not asked about the key")
				require.Equal(t, int32(4), told.Load(), "and somebody is told")
				require.True(t, d.router.InDoubt())
				require.True(t, d.acquire(key(2), 2), "another key")

				if c.fails {
					d.legacy.set(failing(errDisk))
				}
				require.NoError(t, d.router.Settle(t.Context(), true))
				require.False(t, d.router.InDoubt())
				require.Equal(t, c.fails, !d.mark.is(), "legacy has what is there, or it is not said to")
				require.Equal(t, c.fails, len(d.toLegacy.Dirty()) == 1)
				if !c.fails {
					d.equal()
				}
				close(decide)
				require.True(t, first() && read() && other() && drop())
				d.legacy.set(nil)
				d.heal()
				d.equal()
				require.Zero(t, d.ledger.Totals().Unexplained)
			})
		})
	}
}

// A release that was made without an answer is taken back before it is begun anew: it says whom it released, and does
// not say that there was nothing to release. So is an acquire, which another pull request may then be first with.
func TestAChangeWithoutAnAnswerIsTakenBack(t *testing.T) {
	d := newPrimary(t)
	settled := 0
	d.failed = func(ctx context.Context, _ uint64, _ error) error {
		settled++
		return d.router.Settle(ctx, true)
	}
	once := func(op string) (before, after error) {
		if op != "apply" {
			return nil, nil
		}
		d.enhanced.set(nil)
		return nil, locking.ErrUnknownResult
	}
	d.enhanced.set(once)
	require.True(t, d.acquire(key(1), 1))
	d.enhanced.set(once)
	released, err := d.try("delete", locking.Delete(key(1), locking.Any()))
	require.NoError(t, err)
	require.Equal(t, string(lock(1)), string(released.Before.Value))
	require.Equal(t, 2, settled)
	require.Empty(t, d.holder(key(1)))
	d.equal()
	require.True(t, d.mark.is())

	require.True(t, d.acquire(key(2), 1))
	d.enhanced.set(func(op string) (before, after error) {
		if op == "apply" && !d.router.InDoubt() {
			return nil, locking.ErrUnknownResult
		}
		return errAway, nil
	})
	d.failed = func(ctx context.Context, _ uint64, _ error) error {
		require.ErrorIs(t, d.router.Settle(ctx, true), shadow.ErrUnsettled)
		return errAway
	}
	_, err = d.try("delete", locking.Delete(key(2), locking.Any()))
	require.ErrorIs(t, err, errAway)
	require.True(t, d.router.InDoubt(), "nothing is shown of what could not be taken back")
}

// Who gets the turn of a key while the enhanced store is about to be left does not
// try it: it is begun anew when that is over.
func TestWhoComesWhileItIsLeftDoesNotTry(t *testing.T) {
	d := newPrimary(t)
	told := 0
	d.failed = func(context.Context, uint64, error) error {
		told++
		d.router.Leaving(false)
		return nil
	}
	for _, command := range []func(){func() { require.True(t, d.acquire(key(1), 1)) }, func() { d.holder(key(1)) }} {
		d.router.Leaving(true)
		told = 0
		command()
		require.Equal(t, 1, told)
	}
	_, failed := d.router.Commands()
	require.Zero(t, failed)
}

// An error that is no doubt leaves none: the store has not made the change.
func TestAFailureBeforeAnythingWasDoneLeavesNoDoubt(t *testing.T) {
	d := newPrimary(t)
	d.enhanced.set(failing(errAway))
	_, err := d.try("acquire", acquiring(key(1), 1))
	require.ErrorIs(t, err, errAway)
	d.enhanced.set(nil)
	require.True(t, d.acquire(key(1), 1))
	require.True(t, d.mark.is())
	d.equal()
}

// When legacy answers from now on, there is nothing in doubt any more, and nothing
// that legacy lacks.
func TestAFallbackEndsAllDoubt(t *testing.T) {
	d := newPrimary(t)
	require.True(t, d.acquire(key(2), 2))
	d.failed = func(_ context.Context, epoch uint64, _ error) error {
		if a, _ := d.router.Assignment(); a.Epoch == epoch {
			d.fallBack()
		}
		return nil
	}
	d.enhanced.set(func(string) (before, after error) { return nil, locking.ErrUnknownResult })
	require.True(t, d.acquire(key(1), 1), "legacy has answered")
	require.Equal(t, string(lock(2)), d.holder(key(2)))
	d.enhanced.set(nil)
	d.heal()
	d.switchTo(shadow.Assignment{Mode: shadow.Primary})
	require.Equal(t, string(lock(1)), d.holder(key(1)))
	d.equal()
}

// A GET waits for the change of its key that is under way, and shows nothing that
// legacy lacks; a refused change does not wait for legacy.
func TestAReadWaitsForTheWriteOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		release := hold(d.legacy)
		write := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		require.False(t, write())
		began := time.Now()
		read := begun(func() { require.Equal(t, string(lock(1)), d.holder(key(1))) })
		other := begun(func() { require.Empty(t, d.holder(key(2))) })
		require.False(t, read())
		require.True(t, other(), "a read of another key waits for nobody")
		release()
		require.True(t, write() && read())
		require.Zero(t, time.Since(began))
	})
}

// A refused acquire that waits for legacy when legacy takes over must not be made
// there: it could take a lock that legacy has released meanwhile.
func TestARefusedAcquireIsNotMadeByLegacyAfterASwitch(t *testing.T) {
	d := newPrimary(t)
	require.True(t, d.acquire(key(1), 1))
	d.drained()
	require.NoError(t, d.toLegacy.Interrupt(t.Context(), func() (string, error) {
		require.False(t, d.acquire(key(1), 2), "queued for legacy, which does nothing now")
		require.Equal(t, 1, d.toLegacy.Backlog().Pending)
		d.toLegacy.Forget()
		a, _ := d.router.Assignment()
		a.Epoch, a.FallenBack = a.Epoch+1, true
		d.toEnhanced.Suspect("fell back")
		d.router.Assign(a, nil)
		d.release(key(1))
		return "", nil
	}))
	d.drained()
	require.Empty(t, held(t, d.legacy.Store, key(1)), "pull 2 was told that it did not get the lock")
	require.True(t, d.toLegacy.Backlog().Clean(), "who answers is behind nobody")
	require.True(t, d.toEnhanced.Backlog().All)
	d.heal()
	d.equal()
}

// What is forgotten is no dirt any more, one by one or all; what follows after is
// followed again.
func TestForgetEndsAllDirt(t *testing.T) {
	d := newPrimary(t)
	require.NoError(t, d.standby.Alone("test"))
	d.legacy.set(failing(errDisk))
	require.True(t, d.acquire(key(1), 1))
	d.drained()
	require.NotEmpty(t, d.toLegacy.Dirty())
	d.toLegacy.Suspect("everything")
	mark := d.toLegacy.Backlog().Mark
	d.toLegacy.Forget()
	require.True(t, d.toLegacy.Backlog().InStep())
	require.False(t, d.toLegacy.FinishAll(mark), "there is nothing to end")
	d.legacy.set(nil)
	require.True(t, d.acquire(key(2), 1))
	d.drained()
	require.Equal(t, string(lock(1)), held(t, d.legacy.Store, key(2)))
	d.toLegacy.MarkAll("again")
	require.Greater(t, d.toLegacy.Backlog().Mark, mark, "a number is not given twice")
}

// Suspect is for a follower that hangs: it does not wait, and what was queued
// before is not done.
func TestSuspectDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
		release := hold(d.enhanced)
		require.True(t, d.acquire(key(1), 1))
		synctest.Wait()
		d.release(key(1))
		require.True(t, d.acquire(key(1), 2))
		d.toEnhanced.Suspect("lost") // returns
		release()
		d.drained()
		require.Equal(t, 1, d.enhanced.asked(), "nothing after the one that was being done")
		d.heal()
		d.equal()
	})
}

// Changes of different keys of one partition are done abreast, up to a bound;
// those of one key are done one after the other, in order.
func TestKeysAreFollowedAbreastAndEachInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
		goOn := make(chan struct{})
		var now, most atomic.Int32
		d.enhanced.set(func(op string) (before, after error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-goOn
			return nil, nil
		})
		require.True(t, d.acquire(near(99), 1)) // is being done while the others are queued
		synctest.Wait()
		for i := range 40 {
			require.True(t, d.acquire(near(i), 1))
		}
		goOn <- struct{}{}
		synctest.Wait()
		require.Equal(t, int32(16), most.Load(), "as many as the store gets at a time")
		for range 10 { // each rests on the one before
			d.release(near(0))
			require.True(t, d.acquire(near(0), 2))
			d.release(near(0))
			require.True(t, d.acquire(near(0), 3))
		}
		close(goOn)
		d.drained()
		d.equal()
		require.Equal(t, string(lock(3)), held(t, d.enhanced.Store, near(0)))
		require.Zero(t, d.ledger.Totals().Divergences, "each met what the authority met")
		require.True(t, d.toEnhanced.Backlog().Clean())
	})
}

// The latencies are those of the last writes on both sides; reads and what wrote
// nothing do not count.
func TestLatencyIsThatOfTheLastWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
		slow := func(f *flaky, by time.Duration) {
			f.set(func(string) (error, error) { time.Sleep(by); return nil, nil })
		}
		legacy, enhanced, writes := d.latency.P95()
		require.Equal(t, fmt.Sprint(0, 0, 0), fmt.Sprint(int(legacy), int(enhanced), writes))

		slow(d.legacy, 3*time.Millisecond)
		slow(d.enhanced, 7*time.Millisecond)
		require.True(t, d.acquire(key(1), 1))
		require.False(t, d.acquire(key(1), 2))
		require.True(t, d.acquire(key(1), 1))
		d.holder(key(1))
		d.release(key(2))
		d.drained()
		legacy, enhanced, writes = d.latency.P95()
		require.Equal(t, []any{3 * time.Millisecond, 7 * time.Millisecond, 1}, []any{legacy, enhanced, writes})

		d.switchTo(shadow.Assignment{Mode: shadow.Primary})
		slow(d.enhanced, 11*time.Millisecond)
		for i := range 19 {
			require.True(t, d.acquire(key(10+i), 1))
		}
		legacy, enhanced, writes = d.latency.P95()
		require.Equal(t, []any{3 * time.Millisecond, 11 * time.Millisecond, 20}, []any{legacy, enhanced, writes}, "whoever answers")

		slow(d.enhanced, time.Millisecond)
		for i := range 1000 {
			require.True(t, d.acquire(key(1000+i), 1))
		}
		_, enhanced, writes = d.latency.P95()
		require.Equal(t, []any{time.Millisecond, 1000}, []any{enhanced, writes}, "what is long ago is forgotten")
	})
}

// What is in doubt is settled within half a second and the time of one more read, however
// much it is and whatever legacy does: commands are held meanwhile, and Atlantis
// waits for 3 s in all.
func TestWhatIsInDoubtIsSettledInTime(t *testing.T) {
	const keys = 20
	for name, c := range map[string]struct {
		read, legacy time.Duration
		whole        bool
	}{
		"the enhanced store takes its time": {90 * time.Millisecond, 10 * time.Millisecond, true},
		"legacy hangs":                      {time.Millisecond, 2 * time.Second, false},
		"both":                              {90 * time.Millisecond, 2 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newPrimary(t)
				decide := make(chan struct{})
				decided := sync.OnceFunc(func() { close(decide) })
				defer decided()
				d.failed = func(context.Context, uint64, error) error { <-decide; return nil }
				d.enhanced.set(func(string) (before, after error) { return nil, locking.ErrUnknownResult })
				var took []func() bool
				for i := range keys {
					took = append(took, begun(func() { d.acquire(near(i), 1) }))
				}
				synctest.Wait()
				d.enhanced.set(func(string) (before, after error) { time.Sleep(c.read); return nil, nil })
				d.legacy.set(func(op string) (before, after error) {
					if op == "apply" {
						time.Sleep(c.legacy)
					}
					return nil, nil
				})
				began := time.Now()
				require.NoError(t, d.router.Settle(t.Context(), true))
				require.LessOrEqual(t, time.Since(began), 700*time.Millisecond)
				require.False(t, d.router.InDoubt())
				require.Equal(t, c.whole, d.mark.is())
				d.enhanced.set(nil)
				d.legacy.set(nil)
				decided()
				for _, ended := range took {
					require.True(t, ended())
				}
				d.heal()
				d.equal()
				require.Zero(t, d.ledger.Totals().Unexplained)
			})
		})
	}
}

// A lock that is moved to another key in one call is under one of both, whatever becomes of a call that was not
// answered: it is taken back as a whole, or not at all.
func TestACallWithoutAnAnswerIsTakenBackAsAWhole(t *testing.T) {
	for applies := range 3 { // that succeed, of those that take it back
		d := newPrimary(t)
		require.True(t, d.acquire(near(1), 1))
		d.failed = func(ctx context.Context, _ uint64, _ error) error {
			var done atomic.Int32
			d.enhanced.set(func(op string) (before, after error) {
				if op == "apply" && int(done.Add(1)) > applies {
					return errAway, nil
				}
				return nil, nil
			})
			_ = d.router.Settle(ctx, true)
			return errAway // legacy cannot take over
		}
		d.enhanced.set(func(string) (before, after error) { return nil, locking.ErrUnknownResult })
		_, err := d.try("migrate", locking.Put(near(2), lock(1), locking.Absent()), locking.Delete(near(1), locking.SameBytes(lock(1))))
		require.ErrorIs(t, err, errAway)
		d.enhanced.set(nil)
		require.NoError(t, d.router.Settle(t.Context(), true))
		d.heal()
		require.Len(t, contents(t, d.enhanced.Store), 1)
		d.equal()
	}
}
