package cutover_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// What legacy is being made equal to when the enhanced store is given up must not land after what legacy has answered
// then: the lock that somebody has got would be another's.
func TestWhatLegacyIsBeingGivenDoesNotLandAfterItAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.near.fails(func(string) (error, error) { return errNoSpace, nil })
		r.release(lockKey(1))
		require.True(t, r.acquire(lockKey(1), 2), "legacy has missed it")
		begun, wait, applies := make(chan struct{}), make(chan struct{}), 0
		goOn := sync.OnceFunc(func() { close(wait) })
		defer goOn()
		r.near.fails(func(string) (error, error) {
			if applies++; applies == 2 { // the first finds that the record is another
				r.far.fails(errAway)
				close(begun)
				<-wait
			}
			return nil, nil
		})
		<-begun
		_, err := r.try(lockKey(3), 3)
		require.ErrorIs(t, err, cutover.ErrDown)
		guarded(t, r.to(shadow.Shadow), "still work to do")
		require.ErrorIs(t, r.down(), cutover.ErrDown, "nothing has changed")
		goOn()
		r.near.fails(nil)
		r.until("legacy answers", func() bool { return r.to(shadow.Shadow) == nil })
		r.release(lockKey(1))
		require.True(t, r.acquire(lockKey(1), 4))
		time.Sleep(time.Second)
		require.Equal(t, string(lockOf(4)), r.holder(lockKey(1)))
	})
}

// A record on which legacy is known to differ keeps it from taking over, also if the change that failed was one of that
// record.
func TestLegacyThatDiffersInWhatIsInDoubtDoesNotTakeOver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		_, err := r.near.Store.Apply(t.Context(), []locking.Change{locking.Delete(lockKey(1), locking.Any())})
		require.NoError(t, err)
		r.near.fails(func(string) (error, error) { return errNoSpace, nil }) // so that it is not made equal
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)), "enhanced has it, and the comparison is queued")
		r.until("the difference is found", func() bool { return r.toLegacy.Backlog().Dirty > 0 })
		r.far.hangs()
		_, err = r.try(lockKey(1), 2)
		require.ErrorIs(t, err, cutover.ErrDown)
		require.False(t, r.now().FallenBack)
		r.near.fails(nil)
		r.far.fails(nil)
		r.until("it is revived", func() bool { return r.down() == nil })
		require.False(t, r.acquire(lockKey(1), 2))
		r.settled()
		r.equal()
	})
}

// An enhanced store that was given up while atlantis.db did not say what it had kept is not down any more: the mode can
// be changed again.
func TestWhatWasGivenUpIsNotDownAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.far.fails(errAway)
		goOn := r.slowCommits()
		_, err := r.try(lockKey(2), 2)
		require.Error(t, err)
		var unsure *shadow.Unsure
		require.ErrorAs(t, r.down(), &unsure)
		gaveUp := make(chan error, 1)
		go func() { gaveUp <- r.to(shadow.Shadow) }()
		time.Sleep(2 * time.Second) // it is being kept
		goOn()
		if err := <-gaveUp; err != nil { // what was kept was found out first
			require.ErrorContains(t, err, "who answers has changed meanwhile")
			require.NoError(t, r.to(shadow.Shadow))
		}
		r.far.fails(nil)
		time.Sleep(10 * time.Second)
		require.NoError(t, r.down())
		require.Equal(t, shadow.Shadow, r.now().Mode)
		r.settled()
		require.NoError(t, r.to(shadow.Primary))
	})
}

// A store that came back after the start, and then failed to be made durable, is durable before it answers.
func TestAStoreThatIsRevivedIsDurable(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		require.NoError(t, r.to(shadow.Enhanced))
		r.settled()
		r.stop()
		r.far.fails(errAway)
		r.far.set(func(s *server) { s.durable = false }) // as that of a new process
		require.NoError(t, r.again())
		require.ErrorIs(t, r.down(), cutover.ErrDown)
		failed := false
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "durable" && !failed {
					failed = true
					return errAway, nil
				}
				return nil, nil
			}
		})
		r.work()
		r.until("it is revived", func() bool { return r.down() == nil })
		require.True(t, failed)
		r.far.set(func(s *server) { require.True(t, s.durable) })
	})
}

// A flip that is under way when the mode is given up does not leave a store that answers before it is durable.
func TestAFlipAfterTheModeWasGivenUpIsDurable(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		r.far.emptied("s2")
		var flipped chan error
		durable := make(chan struct{})
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				switch {
				case op != "durable":
				case flipped == nil: // of the mode that is given up
					flipped = make(chan error, 1)
					go func() { flipped <- r.to(shadow.Primary) }()
					select {
					case <-durable:
					case err := <-flipped:
						flipped <- err
					}
				default:
					close(durable)
				}
				return nil, nil
			}
		})
		r.until("the mode is given up", func() bool { return r.last("demote").Name != "" })
		if err := <-flipped; err != nil {
			guarded(t, err, "legacy answers")
			require.NoError(t, r.to(shadow.Primary))
		}
		require.Equal(t, shadow.Primary, r.now().Mode)
		r.far.set(func(s *server) { require.True(t, s.durable) })
	})
}

// An enhanced store that was given up follows, and leaves the disk to legacy; so does one that was to answer and could not be
// made durable.
func TestAStoreThatWasGivenUpLeavesTheDiskToLegacy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.fallen()
		r.far.fails(nil)
		require.NoError(t, r.to(shadow.Shadow))
		require.False(t, r.far.isDurable())
		failed := sync.OnceFunc(func() { r.far.set(func(s *server) { s.durable = true }) })
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "durable" && !r.far.isDurable() {
					failed()
					return errAway, nil
				}
				return nil, nil
			}
		})
		require.ErrorIs(t, r.to(shadow.Primary), cutover.ErrAway)
		require.False(t, r.far.isDurable())
	})
}
