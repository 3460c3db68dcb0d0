package legacy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
)

// The mark is there from Set until TakeAway, over restarts, and either may be done twice.
func TestTheMarkThatAtlantisDBIsWhole(t *testing.T) {
	dir := t.TempDir()
	mark := legacy.WholeIn(dir)
	require.False(t, mark.Is())
	require.NoError(t, mark.TakeAway())
	for _, content := range []string{"epoch 7", "epoch 8", ""} {
		require.NoError(t, mark.Set(content))
		require.True(t, legacy.WholeIn(dir).Is())
		require.Equal(t, content, legacy.WholeIn(dir).Content())
	}
	require.NoError(t, mark.TakeAway())
	require.NoError(t, mark.TakeAway())
	require.False(t, legacy.WholeIn(dir).Is())
	require.Empty(t, mark.Content())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A mark that cannot be read is none, and what cannot be written or taken away is an error.
func TestAMarkThatCannotBeReadIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	mark := legacy.WholeIn(file) // a file is no directory
	require.False(t, mark.Is())
	require.ErrorContains(t, mark.Set("x"), "mark atlantis.db as whole")
	require.ErrorContains(t, mark.TakeAway(), "take away the mark")
}
