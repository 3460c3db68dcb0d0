package durable_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// A mark is there from Set until TakeAway, private, and leaves nothing else behind.
func TestAMarkIsThereUntilItIsTakenAway(t *testing.T) {
	dir := t.TempDir()
	mark := durable.MarkAt(filepath.Join(dir, "mark"))
	_, ok := mark.Read()
	require.False(t, ok)
	for _, content := range []string{"first", "second, longer", ""} {
		require.NoError(t, mark.Set(content))
		got, ok := mark.Read()
		require.True(t, ok)
		require.Equal(t, content, got)
	}
	info, err := os.Stat(filepath.Join(dir, "mark"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	for range 2 {
		require.NoError(t, mark.TakeAway())
		_, ok = mark.Read()
		require.False(t, ok)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// Where there is no directory there is no mark to take away, and none can be made.
func TestAMarkWantsADirectory(t *testing.T) {
	mark := durable.MarkAt(filepath.Join(t.TempDir(), "none", "mark"))
	require.NoError(t, mark.TakeAway())
	require.ErrorIs(t, mark.Set("x"), os.ErrNotExist)
}

// A mark that cannot be replaced stays as it was.
func TestAMarkThatCannotBeWrittenStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "mark")
	mark := durable.MarkAt(path)
	require.NoError(t, mark.Set("first"))
	require.NoError(t, os.Mkdir(path+".next", 0o700)) // in the way
	require.Error(t, mark.Set("second"))
	got, ok := mark.Read()
	require.True(t, ok)
	require.Equal(t, "first", got)
}

// A mark becomes another one, whatever that said before, and there is one of both.
func TestAMarkBecomesAnother(t *testing.T) {
	dir := t.TempDir()
	one, other := durable.MarkAt(filepath.Join(dir, "one")), durable.MarkAt(filepath.Join(dir, "other"))
	require.ErrorIs(t, one.Become(other), os.ErrNotExist)
	require.NoError(t, other.Set("before"))
	require.NoError(t, one.Set("said"))
	require.NoError(t, one.Become(other))
	_, ok := one.Read()
	require.False(t, ok)
	said, ok := other.Read()
	require.True(t, ok)
	require.Equal(t, "said", said)
}
