package legacy_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
