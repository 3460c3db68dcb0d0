package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	me   = "0123456789abcdef0123456789abcdef"
	soon = 10 * time.Second // longer than anything here takes on a busy machine
	tick = 5 * time.Millisecond
	// never is a CommitEvery that does not come in a test.
	never = time.Hour
)

var (
	lockA   = locking.MustKey("pr/acme/infra/./default/")
	lockB   = locking.MustKey("pr/acme/infra/envs/prod/vpc/default/")
	command = locking.MustKey("global/apply/lock")
	// modes are the CommitEvery of an authority and of a follower.
	modes = map[string]time.Duration{"durable": 0, "behind": embedded.FollowerCommitEvery}
)

func opened(t testing.TB, o embedded.Options) *embedded.Store {
	t.Helper()
	if o.Owner == "" {
		o.Owner = me
	}
	s, err := embedded.Open(context.Background(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, checkFile(s.Path()))
	})
	return s
}

// open opens the store in dir and joins it, and when the test ends, closes it
// and has bbolt check the file: every test is an integrity test.
func open(t testing.TB, dir string, every time.Duration) *embedded.Store {
	t.Helper()
	s := opened(t, embedded.Options{Dir: dir, CommitEvery: every})
	join(t, s, enhanced.Known{})
	return s
}

func join(t testing.TB, s *embedded.Store, known enhanced.Known) enhanced.Joined {
	t.Helper()
	j, err := s.Join(context.Background(), known)
	require.NoError(t, err)
	return j
}

func checkFile(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = err
			}
		}
		return first
	})
}

func tryPut(s locking.Store, key locking.Key, value string) error {
	_, err := s.Apply(context.Background(), []locking.Change{locking.Put(key, []byte(value), locking.Any())})
	return err
}

func put(t testing.TB, s locking.Store, key locking.Key, value string) uint64 {
	t.Helper()
	out, err := s.Apply(context.Background(), []locking.Change{locking.Put(key, []byte(value), locking.Any())})
	require.NoError(t, err)
	require.True(t, out[0].Applied)
	return out[0].Version
}

func all(t testing.TB, s locking.Store) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r, err := range s.Scan(context.Background(), locking.All) {
		require.NoError(t, err)
		found[r.Key.String()] = string(r.Value)
	}
	return found
}

// crashed copies the file as it is on the disk now, which is what kill -9
// leaves, and returns its directory.
func crashed(t testing.TB, s *embedded.Store) string {
	t.Helper()
	raw, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, embedded.FileName), raw, 0o600))
	return dir
}

// The store does what every store does, whenever it commits.
func TestConformance(t *testing.T) {
	for name, every := range modes {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) locking.Store { return open(t, t.TempDir(), every) })
		})
	}
	t.Run("at every moment", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) locking.Store { return open(t, t.TempDir(), time.Microsecond) })
	})
}

// What was answered is in the file at that moment: kill -9 right after loses nothing.
func TestDurableStoreLosesNothing(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	want := map[string]string{}
	for i := range 12 {
		key := locking.MustKey(fmt.Sprintf("pr/acme/%d/x/default/", i%5))
		if i%4 == 3 {
			_, err := s.Apply(t.Context(), []locking.Change{locking.Delete(key, locking.Any())})
			require.NoError(t, err)
			delete(want, key.String())
		} else {
			put(t, s, key, fmt.Sprint(i))
			want[key.String()] = fmt.Sprint(i)
		}
		after := opened(t, embedded.Options{Dir: crashed(t, s)})
		require.Empty(t, join(t, after, s.Known()).Lost)
		require.Equal(t, want, all(t, after))
	}
}

// Behind, Close commits.
func TestCloseCommits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, never)
	put(t, s, lockA, "held")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	known := s.Known()
	require.Equal(t, uint64(1), known.Seen[lockA.Partition()])
	again := opened(t, embedded.Options{Dir: dir})
	require.Equal(t, enhanced.Joined{StoreID: known.StoreID, Owner: true}, join(t, again, known))
	require.Equal(t, map[string]string{lockA.String(): "held"}, all(t, again))
	require.Equal(t, known, again.Known())

	_, err := s.Get(t.Context(), lockA)
	require.ErrorIs(t, err, locking.ErrClosed)
	require.ErrorIs(t, tryPut(s, lockA, "x"), locking.ErrClosed)
	_, err = s.Join(t.Context(), known)
	require.ErrorIs(t, err, locking.ErrClosed)
}

// Until it is joined, and while another method holds the turn for longer than the caller has, calls fail.
func TestCallsFailWithoutTurnOrJoin(t *testing.T) {
	s := opened(t, embedded.Options{Dir: t.TempDir()})
	require.ErrorContains(t, tryPut(s, lockA, "x"), "not joined")
	_, err := s.Get(t.Context(), lockA)
	require.ErrorContains(t, err, "not joined")
	join(t, s, enhanced.Known{})

	release := s.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), tick)
	defer cancel()
	_, err = s.Apply(ctx, []locking.Change{locking.Put(lockA, nil, locking.Any())})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, locking.ErrUnknownResult, "it was not begun")
	_, err = s.Get(ctx, lockA)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	release()
	require.Empty(t, all(t, s))
}

// Concurrent writes share transactions, in both modes.
func TestConcurrentWritesShareCommits(t *testing.T) {
	for name, every := range modes {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), every)
			const workers, each = 32, 20
			before := s.LastTx()
			var wait sync.WaitGroup
			for w := range workers {
				wait.Go(func() {
					key := locking.MustKey(fmt.Sprintf("pr/acme/%d/x/default/", w))
					for i := range each {
						if err := tryPut(s, key, fmt.Sprint(i)); err != nil {
							t.Errorf("apply: %v", err)
						}
					}
				})
			}
			wait.Wait()
			commits := s.LastTx() - before
			t.Logf("%d writes in %d commits", workers*each, commits)
			require.Less(t, commits, workers*each/4)
			require.Len(t, all(t, s), workers)
		})
	}
}

// Applies, reads, joins and Close at once: every answered write is there, and nothing hangs.
func TestEverythingAtOnce(t *testing.T) {
	for name, every := range modes {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, every)
			last := make([]string, 8)
			var wait sync.WaitGroup
			for w := range last {
				wait.Go(func() {
					key := locking.MustKey(fmt.Sprintf("pr/acme/%d/x/default/", w))
					for i := 0; ; i++ {
						value := fmt.Sprint(i)
						if err := tryPut(s, key, value); err != nil {
							require.ErrorIs(t, err, locking.ErrClosed)
							return
						}
						last[w] = value
						if r, err := s.Get(context.Background(), key); err == nil && string(r.Value) != value {
							t.Errorf("answered %s, there is %s", value, r.Value)
						}
						if w == 0 {
							_, _ = s.Join(context.Background(), s.Known())
						}
					}
				})
			}
			for range 5 {
				_ = all(t, s)
			}
			require.NoError(t, s.Close())
			wait.Wait()
			again := opened(t, embedded.Options{Dir: dir})
			require.Empty(t, join(t, again, s.Known()).Lost)
			for w, value := range last {
				if value != "" {
					require.Equal(t, value, all(t, again)[fmt.Sprintf("pr/acme/%d/x/default/", w)])
				}
			}
		})
	}
}

// A fence is the version under which the owner took the lock; it stays while the same owner writes.
func TestFencesAndOrigins(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	s := opened(t, embedded.Options{Dir: t.TempDir(), Now: func() time.Time { return at }})
	join(t, s, enhanced.Known{})
	pull := func(n int) string { return string(storetest.Value("github.com", "acme/infra", n)) }
	took := put(t, s, lockA, pull(12))
	first := s.Kept(lockA)
	require.Equal(t, embedded.Kept{Version: took, Fence: took, Epoch: s.Known().Epoch, AcquiredAt: at.UnixMilli(), Op: first.Op, Origin: me}, first)
	require.Len(t, first.Op, 16)

	at = at.Add(time.Minute)
	again := put(t, s, lockA, pull(12)+" ")
	second := s.Kept(lockA)
	require.Greater(t, again, took)
	require.Equal(t, []any{again, took, first.AcquiredAt}, []any{second.Version, second.Fence, second.AcquiredAt})
	require.NotEqual(t, first.Op, second.Op)

	other := put(t, s, lockA, pull(13))
	third := s.Kept(lockA)
	require.Equal(t, []any{other, other, at.UnixMilli()}, []any{third.Version, third.Fence, third.AcquiredAt})
	require.Equal(t, uint64(3), s.Known().Seen[lockA.Partition()])
}

// The file does not grow with the number of writes.
func TestFileDoesNotGrow(t *testing.T) {
	for name, every := range modes {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), every)
			value := string(make([]byte, 64<<10))
			for i := range 200 {
				put(t, s, lockA, value+fmt.Sprint(i))
				if i%20 == 0 {
					_ = all(t, s)
				}
			}
			require.NoError(t, s.Close())
			info, err := os.Stat(s.Path())
			require.NoError(t, err)
			require.Less(t, info.Size(), int64(4<<20))
		})
	}
}

// Who is slow to take what a scan yields holds up nobody, and sees each partition as it was when it was reached.
func TestSlowScanHoldsUpNobody(t *testing.T) {
	for name, every := range modes {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), every)
			put(t, s, lockA, "old")
			put(t, s, lockB, "old")
			seen := 0
			for r, err := range s.Scan(t.Context(), "pr/*") {
				require.NoError(t, err)
				require.Equal(t, "old", string(r.Value))
				put(t, s, lockA, "new")
				put(t, s, lockB, "new")
				seen++
			}
			require.Equal(t, 2, seen)
		})
	}
}
