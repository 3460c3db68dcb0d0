package shadow_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// The note is there from Leave until TakeAway, over restarts, and either may be
// done twice.
func TestTheNoteThatTheFollowerIsInStep(t *testing.T) {
	dir := t.TempDir()
	note := shadow.InStepIn(dir)
	require.Empty(t, note.Position())
	require.NoError(t, note.TakeAway())
	require.NoError(t, note.Leave("store 7"))
	require.NoError(t, note.Leave("store 8"))
	require.Equal(t, "store 8", shadow.InStepIn(dir).Position())
	require.NoError(t, note.TakeAway())
	require.Empty(t, shadow.InStepIn(dir).Position())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// What cannot be read counts as not there, and what cannot be written or taken
// away is an error.
func TestANoteThatCannotBeReadIsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	note := shadow.InStepIn(file) // a file is no directory
	require.Empty(t, note.Position())
	require.ErrorContains(t, note.Leave("x"), "leave the note")
	require.ErrorContains(t, note.TakeAway(), "take away the note")
}
