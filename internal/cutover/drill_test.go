package cutover_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// The rehearsal of a rollback opens atlantis.db as Atlantis does, counts what it
// finds, compares it with the enhanced store, and loses nothing.
func TestARollbackIsRehearsed(t *testing.T) {
	for _, mode := range []shadow.Mode{shadow.Legacy, shadow.Shadow, shadow.Hybrid, shadow.Primary} {
		t.Run(string(mode), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Shadow})
				require.NoError(t, r.to(mode))
				r.settled()
				for i := range 3 {
					require.True(t, r.acquire(lockKey(i), 1))
				}
				before := r.now()
				d, err := r.keeper.DrillRollback(t.Context(), "week 7")
				require.NoError(t, err)
				require.True(t, d.OK, "%+v", d)
				require.Equal(t, client.Counts{ProjectLocks: 3}, d.ByKind)
				require.Equal(t, 3, d.Records)
				require.Equal(t, []int{0, 0}, []int{d.Lost, d.Differences})
				require.Equal(t, mode == shadow.Legacy, len(d.Notes) > 0, d.Notes)
				if mode != shadow.Legacy {
					require.Equal(t, 3, d.Compared)
				}
				require.Equal(t, before, r.now())
				kept := r.last("drill rollback")
				require.Equal(t, []string{"week 7", cutover.Operator, "a rollback loses nothing"}, []string{kept.Reason, kept.Actor, kept.Result})
				require.True(t, r.acquire(lockKey(5), 1), "it goes on")
			})
		})
	}
}

// A rehearsal says what would be lost, and that it would.
func TestARehearsalShowsWhatWouldBeLost(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.near.fails(func(string) (error, error) { return errNoSpace, nil })
		require.True(t, r.acquire(lockKey(2), 2))
		r.release(lockKey(1))
		d, err := r.keeper.DrillRollback(t.Context(), "week 7")
		require.NoError(t, err)
		require.False(t, d.OK)
		require.Equal(t, []int{2, 2, 1, 1}, []int{d.Compared, d.Differences, d.Lost, d.Records}, "one lock lacks, and one is held that nobody holds")
		require.Contains(t, d.Notes[len(d.Notes)-1], "not whole")
		require.Contains(t, r.last("drill rollback").Result, "it would lose 1 records")
		r.near.fails(nil)
		r.settled()
		d, err = r.keeper.DrillRollback(t.Context(), "week 7")
		require.NoError(t, err)
		require.True(t, d.OK)
	})
}

// Where there is no rollback there is no rehearsal, and where the other store is
// away it says so.
func TestARehearsalThatCannotBe(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Enhanced})
		_, err := r.keeper.DrillRollback(t.Context(), "week 7")
		guarded(t, err, "retired")
	})
	inBubble(t, func(t *testing.T, r *rig) {
		r.keeps = false
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.far.fails(errAway)
		_, err := r.try(lockKey(1), 1)
		require.Error(t, err)
		d, err := r.keeper.DrillRollback(t.Context(), "week 7")
		require.NoError(t, err)
		require.NotEmpty(t, d.Notes)
		require.False(t, d.OK)
		require.Zero(t, d.Compared)
	})
}

// A rehearsal gives up in time if a command does not end; what was held goes on.
func TestARehearsalGivesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		goOn := make(chan struct{})
		r.near.fails(func(string) (error, error) { <-goOn; return nil, nil })
		go r.acquire(lockKey(1), 1)
		synctest.Wait()
		began := time.Now()
		_, err := r.keeper.DrillRollback(t.Context(), "week 7")
		guarded(t, err, "nothing has changed")
		require.LessOrEqual(t, time.Since(began), 2600*time.Millisecond)
		close(goOn)
		require.True(t, r.acquire(lockKey(2), 1))
	})
}

// The rehearsal of an outage cuts the store off under traffic: legacy takes over,
// no command fails, and it returns and is equal.
func TestAnOutageIsRehearsed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					r.acquire(lockKey(i%7), i%3+1)
				}
			}
		}()
		ctx, cancel := contextFor(time.Minute)
		defer cancel()
		d, err := r.keeper.DrillOutage(ctx, 5*time.Second, "game day")
		close(stop)
		<-done
		require.NoError(t, err)
		require.True(t, d.OK, "%+v", d)
		require.Zero(t, d.FailedCommands)
		require.Greater(t, d.Commands, 200)
		require.Positive(t, d.FellBackMS)
		require.LessOrEqual(t, d.FellBackMS, 1000.)
		require.Positive(t, d.ReturnedMS)
		require.Equal(t, "equal", d.Verdict)
		require.Equal(t, "game day", r.last("drill outage").Reason)
		require.False(t, r.now().FallenBack)
	})
}

// In mode shadow an outage of the follower is rehearsed too: nothing falls back.
func TestAnOutageOfTheFollowerIsRehearsed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		go func() { time.Sleep(time.Second); r.acquire(lockKey(1), 1) }()
		ctx, cancel := contextFor(time.Minute)
		defer cancel()
		d, err := r.keeper.DrillOutage(ctx, 3*time.Second, "x")
		require.NoError(t, err)
		require.True(t, d.OK, "%+v", d)
		require.Equal(t, []float64{0, 0}, []float64{d.FellBackMS, d.ReturnedMS})
		require.Equal(t, 1, d.Commands)
		r.equal()
	})
}

// While flips are postponed there is no return, and so no outage is rehearsed from which there would have to be one.
func TestAnOutageIsNotRehearsedWhileFlipsArePostponed(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		remove := r.postpone("release 7")
		ctx, cancel := contextFor(10 * time.Minute)
		defer cancel()
		_, err := r.keeper.DrillOutage(ctx, time.Second, "game day")
		guarded(t, err, "release 7")
		require.True(t, r.acquire(lockKey(1), 1))
		require.False(t, r.now().FallenBack)
		remove()
		d, err := r.keeper.DrillOutage(ctx, time.Second, "game day")
		require.NoError(t, err)
		require.Positive(t, d.ReturnedMS)
	})
}

// A rehearsal for which a slow disk does not give atlantis.db up in time says that, and finds no damage.
func TestARehearsalOnASlowDiskFindsNoDamage(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.NoError(t, r.to(shadow.Legacy))
		slow := sync.OnceFunc(func() { time.Sleep(10 * time.Second) })
		r.near.NoteWith(func() []byte {
			slow()
			return []byte("note")
		})
		ctx, cancel := contextFor(time.Second)
		defer cancel()
		ctx = locking.WithCall(ctx, locking.Call{Op: "acquire"})
		_, err := r.router.Apply(ctx, []locking.Change{locking.Put(lockKey(1), lockOf(1), locking.Absent())})
		require.Error(t, err, "whoever sent it has left, and the disk is not done with it")
		d, err := r.keeper.DrillRollback(t.Context(), "week 7")
		require.Empty(t, d.Damage)
		guarded(t, err, "nothing has changed")
		require.ErrorContains(t, err, "2.5s")
		r.until("the disk is done", func() bool { return r.holder(lockKey(1)) != "" })
		d, err = r.keeper.DrillRollback(t.Context(), "week 7")
		require.NoError(t, err)
		require.True(t, d.OK, "%+v", d)
	})
}

// An outage is not rehearsed where commands would be refused, or one is there.
func TestAnOutageThatMustNotBe(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		ctx, cancel := contextFor(time.Minute) // for one that is made all the same
		defer cancel()
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.NoError(t, r.to(shadow.Legacy))
		_, err := r.keeper.DrillOutage(ctx, time.Second, "x")
		guarded(t, err, "no enhanced store")
		require.NoError(t, r.to(shadow.Primary))
		r.settled()
		r.near.fails(func(string) (error, error) { return errNoSpace, nil })
		require.True(t, r.acquire(lockKey(1), 1))
		_, err = r.keeper.DrillOutage(ctx, time.Second, "x")
		guarded(t, err, "no safe fallback")
		r.near.fails(nil)
		r.settled()
		r.fallsBack()
		_, err = r.keeper.DrillOutage(ctx, time.Second, "x")
		guarded(t, err, "an outage already")
		require.Equal(t, string(lockOf(1)), valueIn(t, r.near.Store, lockKey(1)))
	})
}
