package legacy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
)

// Whose a file is can be read without opening it as a store, which changes it; that of Atlantis and one without bytes are
// nobody's yet, and one that is held, or not there, is an error.
func TestOwnerInReadsOnly(t *testing.T) {
	dir, _ := fixture(t, fixtures[1])
	path := filepath.Join(dir, legacy.FileName)
	none, document, err := legacy.OwnerIn(path)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Empty(t, document)

	s := open(t, dir)
	setMode(t, s, "primary")
	_, _, err = legacy.OwnerIn(path)
	require.ErrorContains(t, err, "timeout")
	require.NoError(t, s.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	owner, document, err := legacy.OwnerIn(path)
	require.NoError(t, err)
	require.Equal(t, "primary", string(document))
	require.Equal(t, s.OwnerID(), owner)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	path = filepath.Join(t.TempDir(), legacy.FileName)
	_, _, err = legacy.OwnerIn(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	none, _, err = legacy.OwnerIn(path)
	require.NoError(t, err)
	require.Empty(t, none)
}
