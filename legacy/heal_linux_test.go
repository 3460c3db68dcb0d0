package legacy_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A disk that refuses to be written to fails the write and nothing else, and the next one succeeds when it no longer does.
func TestWriteThatTheDiskRefusesIsUndone(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "old")
	require.NoError(t, s.RefuseWrites())
	err := tryPut(s, lockA, "new")
	require.ErrorContains(t, err, "nothing was changed")
	require.Equal(t, 1, strings.Count(err.Error(), s.Path()), err.Error())
	require.NotErrorIs(t, err, locking.ErrUnknownResult)
	require.Equal(t, "old", string(get(t, s, lockA).Value))
	put(t, s, lockA, "new")
}

// A disk that refuses to be written to leaves the mode as it was, and every record.
func TestModeThatTheDiskRefusesIsUndone(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "held")
	setMode(t, s, "shadow")
	require.NoError(t, s.RefuseWrites())
	err := s.SetMode(t.Context(), []byte("primary"))
	require.ErrorContains(t, err, "nothing was changed")
	require.NotErrorIs(t, err, locking.ErrUnknownResult)
	require.Equal(t, "shadow", mode(t, s))
	require.NoError(t, s.RefuseWrites())
	_, err = s.Retire(t.Context(), []byte("enhanced"), s.Path()+".retired-1")
	require.ErrorContains(t, err, "nothing was changed")
	require.NoFileExists(t, s.Path()+".retired-1")
	require.Equal(t, "shadow", mode(t, s))
	require.Equal(t, "held", string(get(t, s, lockA).Value))
	setMode(t, s, "primary")
}

// If the file can't be healed after a failed commit the result is unknown and says so; the key is refused until it can.
func TestCommitThatCannotBeSettledIsUnknown(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, lockB, "other")
	put(t, s, lockA, "old")
	away := filepath.Join(dir, "away.db")
	err := s.SettleAfter(lockA, func() {
		put(t, s, lockA, "new")
		require.NoError(t, os.Rename(s.Path(), away))
	}, errTest)
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Error(t, s.Healthy())
	_, err = s.Get(t.Context(), lockA)
	require.Error(t, err)
	require.False(t, errors.Is(err, locking.ErrNotFound))
	require.Equal(t, "other", string(get(t, s, lockB).Value))
	err = tryPut(s, lockB, "x")
	require.Error(t, err)
	require.NotErrorIs(t, err, locking.ErrUnknownResult, "this one was not begun")

	require.NoError(t, os.Rename(away, s.Path()))
	require.Eventually(t, func() bool { return s.Healthy() == nil }, soon, tick)
	require.Equal(t, "new", string(get(t, s, lockA).Value))
	put(t, s, lockA, "newer")
}

// A file that cannot be opened anew after a failed commit fails the reads that waited for that, and none of them ends
// the process.
func TestReadsOfAFileThatCannotBeOpenedAnewFail(t *testing.T) {
	for range 30 { // the moment between the failed open and what is told of it is short
		s := open(t, t.TempDir())
		put(t, s, lockB, "other")
		over := make(chan struct{})
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for {
					r, err := s.Get(context.Background(), lockB)
					if err == nil && string(r.Value) != "other" || errors.Is(err, locking.ErrNotFound) {
						t.Errorf("read %q, %v", r.Value, err)
					}
					select {
					case <-over:
						return
					default:
					}
				}
			})
		}
		require.NoError(t, s.RefuseWrites())
		allow := refuseFiles(t)
		err := tryPut(s, lockA, "new")
		allow()
		close(over)
		readers.Wait()
		require.ErrorIs(t, err, syscall.EMFILE)
		require.NoError(t, s.Close())
	}
}

// refuseFiles lets this process open no file until allow is called.
func refuseFiles(t *testing.T) (allow func()) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	allow = func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}))
	return allow
}
