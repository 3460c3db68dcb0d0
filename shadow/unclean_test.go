package shadow_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// The mark is there from Set until Clear, over restarts, and setting or
// clearing it twice is fine.
func TestTheUncleanMark(t *testing.T) {
	dir := t.TempDir()
	mark := shadow.UncleanIn(dir)
	require.False(t, mark.IsSet())
	require.NoError(t, mark.Clear())
	require.NoError(t, mark.Set())
	require.NoError(t, mark.Set())
	require.True(t, shadow.UncleanIn(dir).IsSet())
	require.NoError(t, mark.Clear())
	require.False(t, shadow.UncleanIn(dir).IsSet())
}

// What cannot be read counts as set, and what cannot be written is an error.
func TestAnUnreadableMarkCountsAsSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	mark := shadow.UncleanIn(file) // a file is no directory
	require.True(t, mark.IsSet())
	require.ErrorContains(t, mark.Set(), "set the mark")
}
