package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// While a commit is on its way to the disk, reads of other keys are answered, and those of its keys wait for it.
func TestReadsBesideACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 0)
		put(t, s, lockA, "old")
		put(t, s, lockB, "other")
		land := s.Fly(lockA, []byte("new"))

		r, err := s.Get(t.Context(), lockB)
		require.NoError(t, err)
		require.Equal(t, "other", string(r.Value))
		require.Empty(t, scanned(t, s, "global/*"))
		got := make(chan string)
		go func() { r, _ := s.Get(t.Context(), lockA); got <- string(r.Value) }()
		go func() { got <- scanned(t, s, "pr/acme/*")[lockA.String()] }()
		synctest.Wait()
		select {
		case shown := <-got:
			require.Fail(t, "what is not durable was shown", shown)
		default:
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.Get(ctx, lockA)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		land(nil)
		require.Equal(t, "new", <-got)
		require.Equal(t, "new", <-got)
	})
}

// A read that rests on a commit which fails shows nothing of it.
func TestReadOfACommitThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 0)
		put(t, s, lockA, "old")
		land := s.Fly(lockA, []byte("new"))
		failed := make(chan error)
		go func() { _, err := s.Get(t.Context(), lockA); failed <- err }()
		synctest.Wait()
		land(errors.New("no space left on device"))
		require.ErrorIs(t, <-failed, locking.ErrStoreLost)
		join(t, s, s.Known())
	})
}

// Reads in durable mode do not wait for the turn.
func TestReadsDoNotWaitForTheTurn(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	put(t, s, lockA, "held")
	release := s.Hold()
	defer release()
	require.Equal(t, map[string]string{lockA.String(): "held"}, all(t, s))
}

// Whatever is written meanwhile, a reader never sees a counter go back, nor one that was answered missing.
func TestReadsBesideWritesNeverGoBack(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	const rounds = 300
	var answered [2]int
	var mu sync.Mutex
	var work sync.WaitGroup
	keys := []locking.Key{lockA, command}
	for w, key := range keys {
		work.Go(func() {
			for n := 1; n <= rounds; n++ {
				if err := tryPut(s, key, fmt.Sprint(n)); err != nil {
					t.Errorf("put: %v", err)
					return
				}
				mu.Lock()
				answered[w] = n
				mu.Unlock()
			}
		})
	}
	for range 2 {
		work.Go(func() {
			for last := [2]int{}; last[0] < rounds || last[1] < rounds; {
				for w, key := range keys {
					mu.Lock()
					floor := max(last[w], answered[w])
					mu.Unlock()
					r, err := s.Get(context.Background(), key)
					if errors.Is(err, locking.ErrNotFound) && floor == 0 {
						continue
					}
					n := 0
					_, _ = fmt.Sscan(string(r.Value), &n)
					if err != nil || n < floor {
						t.Errorf("read %d after %d: %v", n, floor, err)
						return
					}
					last[w] = n
				}
			}
		})
	}
	work.Wait()
}

// SetDurable makes a follower an authority, whose answers rest on the disk, and back.
func TestSetDurable(t *testing.T) {
	s := open(t, t.TempDir(), never)
	onDisk := func() map[string]string {
		after := open(t, crashed(t, s), 0)
		return all(t, after)
	}
	put(t, s, lockA, "behind")
	require.Empty(t, onDisk())
	require.NoError(t, s.SetDurable(t.Context(), true))
	require.Len(t, onDisk(), 1, "what was done before is durable")
	put(t, s, lockB, "at once")
	require.Len(t, onDisk(), 2)
	require.NoError(t, s.SetDurable(t.Context(), true))

	require.NoError(t, s.SetDurable(t.Context(), false))
	require.Equal(t, map[string]string{lockA.String(): "behind", lockB.String(): "at once"}, all(t, s))
	before := s.LastTx()
	put(t, s, command, "behind again")
	require.Len(t, all(t, s), 3)
	require.Equal(t, before, s.LastTx())
}

// While SetDurable waits for the disk a read shows what was answered before, or waits: one that had been waiting for its
// turn, and one that begins then, before the commit or in the middle of it.
func TestWhatWasAnsweredIsShownBeforeSetDurableIsDurable(t *testing.T) {
	for moment, hold := range map[string]func(*embedded.Store) func(){
		"before the commit": (*embedded.Store).Hold,
		"during the commit": (*embedded.Store).HoldPrepared,
	} {
		t.Run(moment, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t, t.TempDir(), never)
				put(t, s, lockA, "answered")
				synctest.Wait() // the committer lets its interval pass
				got := make(chan string, 4)
				reads := func() {
					go func() { r, _ := s.Get(context.Background(), lockA); got <- string(r.Value) }()
					go func() { got <- scanned(t, s, "pr/acme/*")[lockA.String()] }()
					synctest.Wait()
				}
				first := s.Hold()
				durable, second := make(chan error, 1), make(chan func(), 1)
				go func() { durable <- s.SetDurable(t.Context(), true) }()
				synctest.Wait()
				reads()
				go func() { second <- hold(s) }()
				synctest.Wait()
				first() // the turn is that of SetDurable, of the reads, of the second holder, and then of the committer
				release := <-second
				synctest.Wait()
				reads()
				release()
				require.NoError(t, <-durable)
				for range cap(got) {
					require.Equal(t, "answered", <-got)
				}
			})
		})
	}
}

// However often a store turns durable and back, no read shows less than was answered, in the middle of the commit
// neither.
func TestReadsNeverGoBackWhileAStoreTurnsDurable(t *testing.T) {
	s := open(t, t.TempDir(), never)
	const rounds = 20
	var answered atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		for n := int64(1); n <= rounds; n++ {
			err := errors.Join(tryPut(s, lockA, fmt.Sprint(n)), func() error {
				answered.Store(n)
				return s.SetDurable(context.Background(), true)
			}(), s.SetDurable(context.Background(), false))
			if err != nil {
				t.Errorf("round %d: %v", n, err)
				answered.Store(rounds)
			}
		}
	})
	work.Go(func() {
		for floor := int64(0); floor < rounds && !t.Failed(); {
			floor = answered.Load()
			r, err := s.Get(context.Background(), lockA)
			n := int64(0)
			_, _ = fmt.Sscan(string(r.Value), &n)
			if n < floor {
				t.Errorf("read %d after %d was answered: %v", n, floor, err)
			}
		}
	})
	work.Wait()
}

// A store that was opened as durable stays so.
func TestSetDurableOfADurableStore(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	require.NoError(t, s.SetDurable(t.Context(), false))
	put(t, s, lockA, "held")
	require.Len(t, all(t, open(t, crashed(t, s), 0)), 1)
}

// SetDurable after a commit that failed says so.
func TestSetDurableSaysWhatWasDropped(t *testing.T) {
	s := open(t, t.TempDir(), never)
	s.LimitSize(1)
	require.NoError(t, tryPut(s, lockA, string(make([]byte, 1<<20))))
	require.ErrorIs(t, s.SetDurable(t.Context(), true), locking.ErrUnknownResult)
	require.ErrorIs(t, s.SetDurable(t.Context(), true), locking.ErrStoreLost)
	require.True(t, join(t, s, enhanced.Known{}).Dropped)
	require.NoError(t, s.SetDurable(t.Context(), true))
}

func scanned(t testing.TB, s locking.Store, match locking.Pattern) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r, err := range s.Scan(context.Background(), match) {
		require.NoError(t, err)
		found[r.Key.String()] = string(r.Value)
	}
	return found
}

// Between SetDurable and its commit a read shows nothing older than what was answered: it waits.
func TestReadWhileTheStoreTurnsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), never)
		put(t, s, lockA, "answered")
		synctest.Wait() // the committer waits for its time
		release := s.Hold()
		durable, read := make(chan error, 1), make(chan error, 1)
		go func() { durable <- s.SetDurable(t.Context(), true) }()
		synctest.Wait()
		go func() { _, err := s.Get(t.Context(), lockA); read <- err }()
		synctest.Wait()
		release() // SetDurable comes first, then the read, then the committer
		require.NoError(t, <-read)
		require.NoError(t, <-durable)
	})
}
