package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A commit that fails changes nothing and says so, reads go on, and the store heals by itself.
func TestFailedCommitChangesNothing(t *testing.T) {
	dir, records := fixture(t, fixtures[1])
	var logged strings.Builder
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: dir, Logger: logTo(func(line string) { logged.WriteString(line) })})
	require.NoError(t, err)
	highest := put(t, s, status, records[status.String()]+" ").Version
	before, tx := all(t, s), s.LastTx()

	for range 3 {
		s.LimitSize(1) // no more space, until the file is opened anew
		err := tryPut(s, lockB, strings.Repeat("EXAMPLE-TOKEN-NOT-REAL", 1<<16))
		require.ErrorContains(t, err, "nothing was changed: save to "+s.Path())
		require.Equal(t, 1, strings.Count(err.Error(), s.Path()))
		require.NotErrorIs(t, err, locking.ErrUnknownResult)
		require.NoError(t, s.Healthy())
		require.Equal(t, before, all(t, s))
		require.Equal(t, tx, s.LastTx())
	}
	require.Greater(t, put(t, s, lockB, "now").Version, highest)
	require.NoError(t, s.Close())
	require.NoError(t, checkFile(s.Path()))
	require.Contains(t, logged.String(), "commit failed")
	require.Contains(t, logged.String(), "file is whole after a failed commit")
	require.NotContains(t, logged.String(), "EXAMPLE-TOKEN")
	require.Equal(t, legacy.Opened{}, open(t, dir).Opened(), "our own failure is not foreign")
}

// A commit whose last sync failed is settled by what the file says: here it is in the file, and so it is made.
func TestCommitThatFailedAfterItsMetaPageIsMade(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "old")
	require.NoError(t, s.SettleAfter(lockA, func() { put(t, s, lockA, "new") }, errTest))
	require.NoError(t, s.Healthy())
	require.Equal(t, "new", string(get(t, s, lockA).Value))
	before := get(t, s, lockA).Version
	require.Greater(t, put(t, s, lockA, "newer").Version, before)
}

// A write that cannot be made fails alone, though it shares its transaction with others.
func TestImpossibleWriteFailsNoOther(t *testing.T) {
	dir, _ := fixture(t, fixtures[1])
	foreign(t, filepath.Join(dir, legacy.FileName), func(tx *bolt.Tx) error {
		_, err := tx.Bucket([]byte("runLocks")).CreateBucket([]byte("in/the/way/")) // nothing can be put over a bucket
		return err
	})
	s := open(t, dir)
	var wait sync.WaitGroup
	for w := range 16 {
		wait.Go(func() {
			key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w))
			for i := range 20 {
				if w%4 == 0 {
					if err := tryPut(s, locking.MustKey("pr/in/the/way/"), "x"); err == nil || errors.Is(err, locking.ErrUnknownResult) {
						t.Errorf("a write over a bucket: %v", err)
					}
					continue
				}
				value := fmt.Sprint(i)
				if err := tryPut(s, key, value); err != nil {
					t.Errorf("apply: %v", err)
					continue
				}
				if r, err := s.Get(context.Background(), key); err != nil || string(r.Value) != value {
					t.Errorf("answered %s, there is %q, %v", value, r.Value, err)
				}
			}
		})
	}
	wait.Wait()
	require.NoError(t, s.Healthy())
}

// Commits that fail in the middle of concurrent traffic fail their own writes only, and every answer stays true.
func TestTrafficGoesOnOverFailedCommits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want := make([]string, 8)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for w := range want {
		wait.Go(func() {
			key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w))
			for i := 0; ; i++ {
				pause := time.Duration(0)
				value := fmt.Sprint(i)
				switch err := tryPut(s, key, value); {
				case err == nil:
					want[w] = value
				case strings.Contains(err.Error(), "nothing was changed"):
					pause = tick
				default:
					t.Errorf("apply: %v", err)
				}
				r, err := s.Get(context.Background(), key)
				if err != nil && !errors.Is(err, locking.ErrNotFound) || string(r.Value) != want[w] {
					t.Errorf("answered %q, there is %q, %v", want[w], r.Value, err)
				}
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
			}
		})
	}
	away := filepath.Join(dir, "away.db")
	for range 3 {
		require.NoError(t, os.Rename(s.Path(), away))
		require.Eventually(t, func() bool { return s.Healthy() != nil }, soon, tick)
		require.NoError(t, os.Rename(away, s.Path()))
		require.Eventually(t, func() bool { return s.Healthy() == nil }, soon, tick)
	}
	close(stop)
	wait.Wait()
	require.NoError(t, s.Close())
	again := all(t, open(t, dir))
	for w, value := range want {
		require.Equal(t, value, again[fmt.Sprintf("pr/acme/infra/%d/default/", w)])
	}
}

// A file that is moved away or deleted takes no writes, which would be lost with it. Reads and backups go on, and when it
// is back in its place, so do the writes.
func TestMovedFileTakesNoWritesUntilItIsBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, lockA, "held")
	away := filepath.Join(dir, "away.db")
	require.NoError(t, os.Rename(s.Path(), away))

	err := tryPut(s, lockB, "x")
	require.ErrorContains(t, err, "nothing was changed")
	require.ErrorContains(t, err, "no longer in its place")
	require.Error(t, s.Healthy())
	require.Equal(t, "held", string(get(t, s, lockA).Value))
	saved := t.TempDir()
	writeFile(t, saved, backup(t, s))
	require.Equal(t, map[string]string{lockA.String(): "held"}, all(t, open(t, saved)))
	require.NoFileExists(t, s.Path(), "no empty file was made in its place")

	require.NoError(t, os.Rename(away, s.Path()))
	require.Eventually(t, func() bool { return s.Healthy() == nil }, soon, tick, "heals by itself")
	put(t, s, lockB, "x")
}

// Another file in the place of ours is not written to.
func TestReplacedFileTakesNoWrites(t *testing.T) {
	dir := t.TempDir()
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
	require.NoError(t, err)
	put(t, s, lockA, "held")
	other, _ := fixture(t, fixtures[0])
	require.NoError(t, os.Rename(filepath.Join(other, legacy.FileName), s.Path()))
	before, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.ErrorContains(t, tryPut(s, lockB, "x"), "no longer in its place")
	require.NoError(t, s.Close())
	after, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// A file that is cut, zeroed or written over while it is open is an error for every call, and ends neither the process nor
// hangs a call nor Close.
func TestFileOverwrittenWhileOpenIsAnError(t *testing.T) {
	other, err := os.ReadFile(filepath.Join("..", "testdata", fixtures[0], legacy.FileName))
	require.NoError(t, err)
	for name, overwrite := range map[string]func(path string) error{
		"cut to nothing":     func(path string) error { return os.Truncate(path, 0) },
		"cut to one page":    func(path string) error { return os.Truncate(path, pageSize) },
		"cut after the meta": func(path string) error { return os.Truncate(path, 2*pageSize) },
		"zeroed":             func(path string) error { return overwriteWith(path, make([]byte, 64<<10)) },
		"another database":   func(path string) error { return overwriteWith(path, other) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
			require.NoError(t, err)
			put(t, s, lockA, "held")
			require.NoError(t, overwrite(s.Path()))

			for range 3 {
				err := tryPut(s, lockB, "x")
				require.Error(t, err)
				_, err = s.Get(t.Context(), lockA)
				require.NotErrorIs(t, err, nil)
				require.Error(t, s.Healthy())
			}
			require.NoError(t, s.Close())
			requireFree(t, s.Path())
		})
	}
}

// A backup of the same store that is copied over the open file is not written to, and not taken for a commit that failed.
func TestOlderCopyOverTheOpenFileTakesNoWrites(t *testing.T) {
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	put(t, s, lockA, "old")
	older, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	for i := range 5 {
		put(t, s, lockA, fmt.Sprint("new ", i))
	}
	require.NoError(t, overwriteWith(s.Path(), older))
	require.ErrorContains(t, tryPut(s, lockB, "x"), "another process wrote to the file")
	require.Never(t, func() bool { return s.Healthy() == nil }, 3*time.Second/2, tick, "one try to heal has failed by then")
	require.ErrorContains(t, s.Healthy(), "restart the sidecar")
	require.NoError(t, s.Close())
	require.NoError(t, checkFile(s.Path()))
	require.Equal(t, "old", contents(t, s.Path())["runLocks"]["acme/infra/./default/"])
}

// overwriteWith writes into the file that is there, as cp does.
func overwriteWith(path string, raw []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err := f.Write(raw); err != nil {
		return err
	}
	return f.Close()
}

// Whoever writes to the file in spite of its lock is noticed before the next commit, and nothing is written over it.
func TestAWriteInSpiteOfTheLockIsNoticed(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "ours")
	elsewhere := filepath.Join(t.TempDir(), legacy.FileName)
	text, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(elsewhere, text, 0o600))
	foreign(t, elsewhere, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("runLocks")).Put([]byte(lockB.Rest()), []byte("theirs"))
	})
	text, err = os.ReadFile(elsewhere)
	require.NoError(t, err)
	f, err := os.OpenFile(s.Path(), os.O_WRONLY, 0) // the same file, while it is open
	require.NoError(t, err)
	_, err = f.WriteAt(text, 0)
	require.NoError(t, errors.Join(err, f.Close()))

	require.ErrorContains(t, tryPut(s, lockA, "over it"), "another process wrote to the file")
	require.Error(t, s.Healthy())
	require.NoError(t, s.Close())
	after, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.Equal(t, text, after)
}
