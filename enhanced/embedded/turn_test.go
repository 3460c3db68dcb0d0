package embedded_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A caller who gives up while the commit is awaited does not know the result; nobody is shown it before it is durable.
func TestContextThatEndsDuringTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 0)
		put(t, s, lockB, "before")
		first := s.Hold()
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := s.Apply(ctx, []locking.Change{locking.Put(lockA, []byte("x"), locking.Any())})
			result <- err
		}()
		synctest.Wait() // it waits for the turn
		read, second := make(chan error, 1), make(chan func(), 1)
		go func() {
			_, err := s.Get(t.Context(), lockA)
			read <- err
		}()
		synctest.Wait()
		go func() { second <- s.Hold() }()
		synctest.Wait()
		first() // it is applied, then comes the read, then the second holder, before the committer
		require.ErrorIs(t, <-read, locking.ErrNotFound)
		release := <-second
		cancel()
		err := <-result
		require.ErrorIs(t, err, locking.ErrUnknownResult)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, uint64(1), s.Known().Seen[lockA.Partition()], "what was not answered is not known")

		synctest.Wait() // the committer waits for the turn
		release()
		synctest.Wait()
		require.Equal(t, map[string]string{lockA.String(): "x", lockB.String(): "before"}, all(t, s))
	})
}

// Behind, the committer leaves the disk alone between two commits.
func TestFollowerCommitsOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = never
		s := open(t, t.TempDir(), every)
		before := s.LastTx()
		for range 3 {
			for range 10 {
				put(t, s, lockA, "x")
				put(t, s, lockA, "y")
			}
			require.Equal(t, before, s.LastTx())
			sleep(every)
			before++
			require.Equal(t, before, s.LastTx())
		}
		sleep(5 * every)
		require.Equal(t, before, s.LastTx(), "with nothing to commit there is no commit")
	})
}

// sleep lets that much of the bubble's time pass.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
