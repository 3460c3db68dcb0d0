package shadow_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

var errDisk = errors.New("no space left on device")

func failing(err error) func(string) (error, error) {
	return func(string) (error, error) { return err, nil }
}

// While legacy is whole an OK means that it has the change too.
func TestAnOKMeansThatLegacyHasItToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		release := hold(d.legacy)
		took := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		require.False(t, took())
		read := begun(func() { require.Equal(t, string(lock(1)), d.holder(key(1))) })
		require.NotEmpty(t, contents(t, d.enhanced.Store), "enhanced has decided")
		require.False(t, read(), "a GET is a grant: it shows nothing that legacy lacks")
		release()
		require.True(t, took() && read())
		require.Equal(t, string(lock(1)), held(t, d.legacy.Store, key(1)))
		require.True(t, d.mark.is())
	})
}

// What grants nothing need not be in legacy: a refusal, and a repetition, wait for
// nobody.
func TestARefusalDoesNotWaitForLegacy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		require.True(t, d.acquire(key(1), 1))
		release := hold(d.legacy)
		began := time.Now()
		require.False(t, d.acquire(key(1), 2))
		require.True(t, d.acquire(key(1), 1), "it has the lock, in both stores")
		d.release(key(2))
		require.Zero(t, time.Since(began))
		require.Equal(t, 3, d.toLegacy.Backlog().Pending)
		release()
		d.drained()
		require.True(t, d.mark.is())
		require.Zero(t, d.ledger.Totals().Divergences)
	})
}

// When legacy cannot have a change the mark is gone before the OK is given. It
// takes one such change, and then nobody waits for legacy any more.
func TestTheMarkIsGoneBeforeTheOK(t *testing.T) {
	for name, harm := range map[string]func(d *duo){
		"legacy fails": func(d *duo) { d.legacy.set(failing(errDisk)) },
		"legacy has it, and nobody knows": func(d *duo) {
			d.legacy.set(func(string) (error, error) { return nil, locking.ErrUnknownResult })
		},
		"legacy is slow": func(d *duo) { d.t.Cleanup(hold(d.legacy)) },
		"legacy differs": func(d *duo) { d.put(d.legacy, locking.Put(key(1), lock(9), locking.Any())) },
		"legacy has missed a change of the key before": func(d *duo) { d.toLegacy.Suspect("test") },
		"the follower is closed":                       func(d *duo) { d.toLegacy.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newPrimary(t)
				harm(d)
				goOn := make(chan struct{})
				d.mark.set(func(n *note) { n.removed = func() { <-goOn } })
				began := time.Now()
				took := begun(func() { require.True(t, d.acquire(key(1), 1)) })
				time.Sleep(2 * time.Second)
				require.False(t, took(), "the mark is still there")
				require.True(t, d.mark.is())
				close(goOn)
				require.True(t, took())
				require.False(t, d.mark.is())
				require.LessOrEqual(t, time.Since(began), 4*time.Second)
				whole, why := d.standby.Whole()
				require.False(t, whole)
				require.Contains(t, why, "legacy")

				began = time.Now()
				d.release(key(1))
				require.True(t, d.acquire(key(2), 2))
				require.Zero(t, time.Since(began), "enhanced goes on alone")
			})
		})
	}
}

// A caller who leaves while legacy is slow changes nothing: what enhanced has
// decided is in legacy, or the mark is gone, before anybody is told of it.
func TestACallerWhoLeavesTakesNoGuaranteeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		release := hold(d.legacy)
		ctx, leave := context.WithCancel(as("acquire"))
		left := begun(func() { _, _ = d.router.Apply(ctx, []locking.Change{acquiring(key(1), 1)}) })
		require.False(t, left())
		leave()
		left()
		shown := begun(func() { d.holder(key(1)) })
		again := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		t.Cleanup(release)
		d.legacy.set(failing(errDisk))
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			if shown() || again() {
				require.True(t, held(t, d.legacy.Store, key(1)) != "" || !d.mark.is(), "told of a lock that legacy lacks, and is said to have")
			}
		}
		require.True(t, shown() && again())
		require.False(t, d.mark.is())
	})
}

// While the mark cannot be removed, and legacy lacks a change, nothing is written,
// and nothing that legacy lacks is shown, until one of both works again.
func TestAMarkThatCannotBeRemovedRefusesWrites(t *testing.T) {
	d := newPrimary(t)
	require.True(t, d.acquire(key(3), 3))
	d.legacy.set(failing(errDisk))
	d.mark.set(func(n *note) { n.stuck = errors.New("read-only file system") })
	_, err := d.try("acquire", acquiring(key(1), 1))
	require.ErrorIs(t, err, shadow.ErrMark)
	require.ErrorIs(t, err, locking.ErrUnknownResult, "enhanced has decided")
	for _, k := range []locking.Key{key(1), key(2), key(3)} {
		before := contents(t, d.enhanced.Store)
		_, err = d.try("acquire", acquiring(k, 4))
		require.ErrorIs(t, err, shadow.ErrMark)
		require.NotErrorIs(t, err, locking.ErrUnknownResult, "nothing was begun")
		require.Equal(t, before, contents(t, d.enhanced.Store))
	}
	_, err = d.router.Get(as("get"), key(1))
	require.ErrorIs(t, err, shadow.ErrMark, "a GET is a grant, and legacy lacks this one")
	require.Equal(t, string(lock(3)), d.holder(key(3)), "legacy has this one")
	require.Empty(t, d.holder(key(2)))

	d.mark.set(func(n *note) { n.stuck = nil })
	require.True(t, d.acquire(key(2), 2))
	require.False(t, d.mark.is())
	require.Equal(t, string(lock(1)), d.holder(key(1)))
}

// A write that the enhanced store was still deciding when the mark could not be
// removed is no exception: nobody else has waited for legacy in its place.
func TestAMarkThatCannotBeRemovedRefusesWhatWasUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		goOn := hold(d.enhanced)
		err := make(chan error, 1)
		second := begun(func() { _, failed := d.try("acquire", acquiring(key(2), 2)); err <- failed })
		require.False(t, second())
		d.enhanced.set(nil)
		d.legacy.set(failing(errDisk))
		d.mark.set(func(n *note) { n.stuck = errors.New("read-only file system") })
		_, first := d.try("acquire", acquiring(key(1), 1))
		require.ErrorIs(t, first, shadow.ErrMark)
		goOn()
		require.True(t, second())
		require.ErrorIs(t, <-err, shadow.ErrMark, "legacy lacks it, and the mark says that it does not")
		require.Empty(t, held(t, d.legacy.Store, key(2)))
		require.True(t, d.mark.is())
	})
}

// The same state ends when legacy works again and has been made equal, though the
// mark still cannot be removed: it says the truth again.
func TestAMarkThatIsTrueAgainMayStay(t *testing.T) {
	d := newPrimary(t)
	d.legacy.set(failing(errDisk))
	d.mark.set(func(n *note) { n.stuck = errors.New("read-only file system") })
	_, err := d.try("acquire", acquiring(key(1), 1))
	require.ErrorIs(t, err, shadow.ErrMark)
	d.legacy.set(nil)
	d.heal()
	require.NoError(t, d.standby.Restore(t.Context(), d.toLegacy, "again"))
	whole, _ := d.standby.Whole()
	require.True(t, whole)
	require.True(t, d.acquire(key(2), 2))
	d.equal()
}

// Legacy is made whole again: from then on commands wait for it, what nobody
// waited for is waited for, and only then is the mark there.
func TestRestoreWaitsForWhatNobodyWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		require.NoError(t, d.standby.Alone("legacy: test"))
		release := hold(d.legacy)
		require.True(t, d.acquire(key(1), 1), "nobody waits for legacy")
		restored := begun(func() { require.NoError(t, d.standby.Restore(t.Context(), d.toLegacy, "again")) })
		require.False(t, restored())
		require.False(t, d.mark.is(), "legacy lacks a change that was answered")
		second := begun(func() { require.True(t, d.acquire(key(2), 2)) })
		require.False(t, second(), "waits for legacy again")
		release()
		require.True(t, restored() && second())
		require.True(t, d.mark.is())
		require.Equal(t, "again", d.mark.content)
		d.equal()
	})
}

// The mark is never there, not even for a moment, while legacy has missed a change
// that was answered: a crash would make it true for the next start.
func TestRestoreNeverMarksWhatIsNotWhole(t *testing.T) {
	for name, fault := range map[string]func(string) (before, after error){
		"what was pending fails":      failing(errDisk),
		"what was pending is unknown": func(string) (error, error) { return nil, locking.ErrUnknownResult },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newPrimary(t)
				require.NoError(t, d.standby.Alone("legacy: test"))
				held := make(chan struct{})
				d.legacy.set(func(op string) (error, error) { <-held; return fault(op) })
				require.True(t, d.acquire(key(1), 1))
				var lied atomic.Bool
				d.mark.set(func(n *note) {
					n.setting = func() {
						if !d.toLegacy.Backlog().InStep() {
							lied.Store(true)
						}
					}
				})
				restored := begun(func() { require.NoError(t, d.standby.Restore(t.Context(), d.toLegacy, "again")) })
				require.False(t, restored())
				close(held)
				require.True(t, restored())
				require.False(t, lied.Load(), "the mark was there while legacy lacked a change")
				require.False(t, d.mark.is())
				whole, _ := d.standby.Whole()
				require.False(t, whole)
				require.NotEmpty(t, d.toLegacy.Dirty())

				d.legacy.set(nil)
				d.heal()
				require.NoError(t, d.standby.Restore(t.Context(), d.toLegacy, "again"))
				require.True(t, d.mark.is())
				d.equal()
			})
		})
	}
}

// A change that legacy misses while the mark is being written is not answered
// before the mark is gone again.
func TestAChangeThatIsMissedWhileTheMarkIsWrittenTakesItAway(t *testing.T) {
	d := newPrimary(t)
	require.NoError(t, d.standby.Alone("legacy: test"))
	decided := hold(d.enhanced)
	took, restored := make(chan bool, 1), make(chan error, 1)
	go func() { took <- d.acquire(key(1), 1) }()
	require.Eventually(t, func() bool { return d.enhanced.asked() == 1 }, patience, time.Millisecond)
	writing, goOn := make(chan struct{}), make(chan struct{})
	d.mark.set(func(n *note) { n.setting = func() { close(writing); <-goOn } })
	go func() { restored <- d.standby.Restore(t.Context(), d.toLegacy, "again") }()
	<-writing
	d.legacy.set(failing(errDisk))
	decided()
	require.Eventually(t, func() bool { return d.toLegacy.Backlog().Dirty == 1 }, patience, time.Millisecond)
	require.Empty(t, took, "legacy has failed, and the mark is being written")
	close(goOn)
	require.NoError(t, <-restored)
	require.True(t, <-took)
	require.False(t, d.mark.is())
	whole, _ := d.standby.Whole()
	require.False(t, whole)
}

// A mark that cannot be written leaves no standby, and nobody waits for it.
func TestAMarkThatCannotBeWrittenIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary})
		d.mark.set(func(n *note) { n.broken = errDisk })
		require.ErrorIs(t, d.standby.Declare("x"), errDisk)
		require.NoError(t, d.standby.Alone("test"))
		require.ErrorIs(t, d.standby.Restore(t.Context(), d.toLegacy, "x"), errDisk)
		whole, why := d.standby.Whole()
		require.False(t, whole)
		require.Contains(t, why, "no space")
		t.Cleanup(hold(d.legacy))
		began := time.Now()
		require.True(t, d.acquire(key(1), 1))
		require.Zero(t, time.Since(began))
	})
}

// A standby that has just been made trusts no mark that it finds: it may be of the
// run before. Where legacy is no standby nobody waits for it.
func TestAStandbyBeginsWithoutTrust(t *testing.T) {
	mark := &note{there: true}
	s := shadow.NewStandby(mark, hclog.NewNullLogger())
	whole, why := s.Whole()
	require.False(t, whole)
	require.NotEmpty(t, why)
	require.NoError(t, s.Alone("a start"))
	require.False(t, mark.is(), "it was there")
	require.NoError(t, s.Declare("x"))
	require.True(t, mark.is())
	require.NoError(t, s.Off("retired"))
	require.False(t, mark.is())
	_, why = s.Whole()
	require.Equal(t, "retired", why)
	require.NoError(t, s.Restore(t.Context(), shadowOf(t), "x"), "by one who has not heard of that yet")
	whole, _ = s.Whole()
	require.False(t, whole)
	require.False(t, mark.is())
	require.NoError(t, s.Alone("reinstated"))
	require.NoError(t, s.Restore(t.Context(), shadowOf(t), "x"))
	whole, _ = s.Whole()
	require.True(t, whole)
}

// shadowOf is a follower of legacy that has nothing to do.
func shadowOf(t *testing.T) *shadow.Follower {
	return newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary}).toLegacy
}

// Who only asks whether legacy is whole does not wait for the disk that the mark is
// being removed from, or written to, and is not told more than is true by then.
func TestNobodyWaitsForADiskToBeToldWhetherLegacyIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newPrimary(t)
		goOn := make(chan struct{})
		d.mark.set(func(n *note) { n.removed = func() { <-goOn } })
		d.legacy.set(failing(errDisk))
		took := begun(func() { require.True(t, d.acquire(key(1), 1)) })
		time.Sleep(2 * time.Second)
		require.False(t, took())
		asked := begun(func() {
			whole, why := d.standby.Whole()
			require.False(t, whole)
			require.Contains(t, why, "legacy")
		})
		require.True(t, asked(), "it waits for the disk")
		close(goOn)
		require.True(t, took())
	})
}

// That a fallback is not safe any more is a warning, and people look for it. Where it ends because somebody has moved
// the answers, nothing is wrong.
func TestOnlyALossOfTheFallbackIsAWarning(t *testing.T) {
	var said bytes.Buffer
	s := shadow.NewStandby(&note{}, hclog.New(&hclog.LoggerOptions{Output: &said}))
	require.NoError(t, s.Declare("x"))
	require.NoError(t, s.Off("legacy answers"))
	require.Contains(t, said.String(), "[INFO]  legacy is no standby any more: reason=\"legacy answers\"")
	require.NotContains(t, said.String(), "no safe fallback")
	require.NoError(t, s.Declare("x"))
	require.NoError(t, s.Alone("disk full"))
	require.NoError(t, s.Alone("disk full"), "said once")
	require.Equal(t, 1, strings.Count(said.String(), "[WARN]  no safe fallback: legacy is not whole any more: reason=\"disk full\""))
}
