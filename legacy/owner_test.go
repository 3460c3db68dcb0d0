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
	none, err := legacy.OwnerIn(path)
	require.NoError(t, err)
	require.Empty(t, none)

	s := open(t, dir)
	_, err = legacy.OwnerIn(path)
	require.ErrorContains(t, err, "timeout")
	require.NoError(t, s.Close())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	owner, err := legacy.OwnerIn(path)
	require.NoError(t, err)
	require.Equal(t, s.OwnerID(), owner)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	path = filepath.Join(t.TempDir(), legacy.FileName)
	_, err = legacy.OwnerIn(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	none, err = legacy.OwnerIn(path)
	require.NoError(t, err)
	require.Empty(t, none)
}
