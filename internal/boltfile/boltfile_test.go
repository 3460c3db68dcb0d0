package boltfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
)

func open(t *testing.T, path string) *boltfile.File {
	t.Helper()
	f, err := boltfile.Open(t.Context(), path, boltfile.Options{Logger: hclog.NewNullLogger()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// Create makes a file once, and Open never does.
func TestFileIsMadeOnceAndWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "any.db")
	_, err := boltfile.Open(t.Context(), path, boltfile.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, path)

	for _, want := range []bool{true, false} {
		created, err := boltfile.Create(path)
		require.NoError(t, err)
		require.Equal(t, want, created)
	}
	f := open(t, path)
	require.NoError(t, f.InPlace())
	require.NoError(t, f.Whole())
	require.NoError(t, f.RewriteMeta())
	require.False(t, f.WasEmpty())
	require.Equal(t, path, f.Path())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// A file that somebody took away or wrote over is one no more, and to read it is an error.
func TestFileTakenAwayIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(path string) error
		want error
	}{
		"deleted": {os.Remove, boltfile.ErrMoved},
		"moved":   {func(path string) error { return os.Rename(path, path+".away") }, boltfile.ErrMoved},
		"cut":     {func(path string) error { return os.Truncate(path, 0) }, boltfile.ErrDamaged},
		"zeroed":  {func(path string) error { return os.WriteFile(path, make([]byte, 64<<10), 0) }, boltfile.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "any.db")
			_, err := boltfile.Create(path)
			require.NoError(t, err)
			f := open(t, path)
			require.NoError(t, c.do(path))
			require.ErrorIs(t, f.InPlace(), c.want)
			err = f.View(func(*bolt.Tx) error { return nil })
			if c.want == boltfile.ErrMoved {
				require.NoError(t, err, "what is open can still be read")
			} else {
				require.ErrorIs(t, err, boltfile.ErrDamaged)
			}
		})
	}
}

// A panic inside of a transaction is an error and leaves none open.
func TestPanicsAreErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "any.db")
	_, err := boltfile.Create(path)
	require.NoError(t, err)
	f := open(t, path)
	fail := func(*bolt.Tx) error { panic("page 7 is not a leaf") }
	for range 2 {
		require.ErrorIs(t, f.View(fail), boltfile.ErrDamaged)
		require.ErrorContains(t, f.Update(fail), "page 7 is not a leaf")
	}
	require.NoError(t, f.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("b")); return err }))
}
