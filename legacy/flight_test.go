package legacy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// bubble runs a test on a store in a synctest bubble, where it is known that a
// goroutine waits.
func bubble(t *testing.T, test func(t *testing.T, s *legacy.Store)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
		require.NoError(t, err)
		test(t, s)
		require.NoError(t, s.Close())
	})
}

type answer struct {
	value string
	err   error
}

func goGet(ctx context.Context, s *legacy.Store, key locking.Key) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		r, err := s.Get(ctx, key)
		answers <- answer{string(r.Value), err}
	}()
	return answers
}

func goScan(ctx context.Context, s *legacy.Store, match locking.Pattern) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		var a answer
		for r, err := range s.Scan(ctx, match) {
			a = answer{a.value + string(r.Value), err}
		}
		answers <- a
	}()
	return answers
}

// A reader that sees a value which is not yet on the disk waits until it is; others are not delayed.
func TestReadersWaitForACommitUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, s *legacy.Store) {
		put(t, s, lockB, "other")
		put(t, s, lockA, "new")
		land, _, _ := s.TakeOff(lockA)
		gets, scans := goGet(t.Context(), s, lockA), goScan(t.Context(), s, "pr/acme/infra/.*")
		elsewhere := goScan(t.Context(), s, "pr/acme/infra/envs*")
		synctest.Wait()
		require.Empty(t, gets)
		require.Empty(t, scans)
		require.Equal(t, answer{value: "other"}, <-elsewhere)
		require.Equal(t, "other", string(get(t, s, lockB).Value))
		land()
		require.Equal(t, answer{value: "new"}, <-gets)
		require.Equal(t, answer{value: "new"}, <-scans)
	})
}

// A key that a commit under way deletes is not reported as free before that is certain.
func TestAbsentWaitsForTheCommitToo(t *testing.T) {
	bubble(t, func(t *testing.T, s *legacy.Store) {
		put(t, s, lockA, "held")
		_, err := s.Apply(t.Context(), []locking.Change{locking.Delete(lockA, locking.Any())})
		require.NoError(t, err)
		land, _, _ := s.TakeOff(lockA)
		gets := goGet(t.Context(), s, lockA)
		synctest.Wait()
		require.Empty(t, gets)
		land()
		require.ErrorIs(t, (<-gets).err, locking.ErrNotFound)
	})
}

// A commit that turns out not to be in the file is read again.
func TestUndoneCommitIsReadAgain(t *testing.T) {
	bubble(t, func(t *testing.T, s *legacy.Store) {
		put(t, s, lockA, "held")
		_, _, undo := s.TakeOff(lockA)
		gets, scans := goGet(t.Context(), s, lockA), goScan(t.Context(), s, locking.All)
		synctest.Wait()
		require.Empty(t, gets)
		require.Empty(t, scans)
		undo()
		require.Equal(t, answer{value: "held"}, <-gets)
		require.Equal(t, answer{value: "held"}, <-scans)
	})
}

// A commit under way is known by its own transaction: readers see that one or the one before, and nothing else.
func TestCommitUnderWayIsKnownByItsTransaction(t *testing.T) {
	s := open(t, t.TempDir())
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if err := tryPut(s, lockA, fmt.Sprint(i)); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		}
	})
	for seen := 0; seen < 100; {
		if committing, shown, ok := s.UnderWay(); ok {
			seen++
			require.Contains(t, []int{committing - 1, committing}, shown)
		}
	}
	close(stop)
	writer.Wait()
}

// The context of a reader ends its wait.
func TestContextEndsTheWaitForACommit(t *testing.T) {
	bubble(t, func(t *testing.T, s *legacy.Store) {
		put(t, s, lockA, "new")
		land, _, _ := s.TakeOff(lockA)
		ctx, cancel := context.WithCancel(t.Context())
		gets, scans := goGet(ctx, s, lockA), goScan(ctx, s, locking.All)
		synctest.Wait()
		require.Empty(t, gets)
		require.Empty(t, scans)
		cancel()
		require.ErrorIs(t, (<-gets).err, context.Canceled)
		require.ErrorIs(t, (<-scans).err, context.Canceled)
		land()
	})
}

// What a commit left that nobody knows the fate of is refused, never guessed, until the file is healed; the rest is served.
func TestLostCommitRefusesItsKeys(t *testing.T) {
	bubble(t, func(t *testing.T, s *legacy.Store) {
		put(t, s, lockB, "other")
		put(t, s, lockA, "new")
		_, lose, _ := s.TakeOff(lockA)
		gets := goGet(t.Context(), s, lockA)
		synctest.Wait()
		lose(errTest)
		for _, err := range []error{(<-gets).err, (<-goGet(t.Context(), s, lockA)).err, (<-goScan(t.Context(), s, locking.All)).err} {
			require.ErrorIs(t, err, errTest)
			require.NotErrorIs(t, err, locking.ErrNotFound)
		}
		require.Equal(t, "other", string(get(t, s, lockB).Value))
		require.ErrorIs(t, s.Healthy(), errTest)
		require.ErrorIs(t, tryPut(s, lockB, "x"), errTest)
	})
}
