package legacy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// What Atlantis left is served byte for byte, and left to Atlantis byte for byte.
func TestFixturesAreTakenOver(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			dir, records := fixture(t, name)
			before := contents(t, filepath.Join(dir, legacy.FileName))
			s := open(t, dir)
			require.Equal(t, legacy.Opened{TookOver: true}, s.Opened())
			for wire, value := range records {
				require.Equal(t, value, string(get(t, s, locking.MustKey(wire)).Value), wire)
			}
			require.Equal(t, records, all(t, s))
			require.NoError(t, s.Close())
			require.Equal(t, before, contents(t, s.Path()))

			again := open(t, dir)
			require.Equal(t, legacy.Opened{}, again.Opened())
			require.Equal(t, records, all(t, again))
		})
	}
}

// A record that is written and deleted again leaves Atlantis's buckets as they were.
func TestAtlantisSeesExactlyWhatWasWritten(t *testing.T) {
	dir, _ := fixture(t, fixtures[1])
	s := open(t, dir)
	before := contents(t, copyFile(t, s.Path(), t.TempDir()))
	put(t, s, lockB, "held")
	put(t, s, locking.MustKey("global/plan/lock"), "plan")
	put(t, s, locking.MustKey("github.com::acme/new::7"), "status")
	require.NoError(t, s.Close())

	want := contents(t, s.Path())
	require.Equal(t, "held", want["runLocks"]["acme/infra/envs/prod/vpc/default/"])
	require.Equal(t, "plan", want["globalLocks"]["plan/lock"])
	require.Equal(t, "status", want["pulls"]["github.com::acme/new::7"])

	s = open(t, dir)
	for _, key := range []locking.Key{locking.MustKey("global/plan/lock"), locking.MustKey("github.com::acme/new::7")} {
		_, err := s.Apply(t.Context(), []locking.Change{locking.Delete(key, locking.Any())})
		require.NoError(t, err)
	}
	was, had := before["runLocks"]["acme/infra/envs/prod/vpc/default/"]
	if had {
		put(t, s, lockB, was)
	} else {
		_, err := s.Apply(t.Context(), []locking.Change{locking.Delete(lockB, locking.Any())})
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	require.Equal(t, before, contents(t, s.Path()))
}

// A first start makes the directories and the file with Atlantis's modes and buckets, and nothing else.
func TestNewFileIsAsAtlantisMakesIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "data")
	s := open(t, dir)
	require.True(t, s.Opened().Created)
	require.Empty(t, all(t, s))
	require.NoError(t, s.Close())

	for path, want := range map[string]fs.FileMode{s.Path(): 0o600, dir: 0o700, filepath.Dir(dir): 0o700} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), path)
	}
	require.Equal(t, map[string]map[string]string{"runLocks": {}, "pulls": {}, "globalLocks": {}}, contents(t, s.Path()))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "atlantis.db and legacy-seen")
}

// The mode that somebody gave the file stays.
func TestModeOfAnExistingFileIsKept(t *testing.T) {
	dir, _ := fixture(t, fixtures[0])
	path := filepath.Join(dir, legacy.FileName)
	require.NoError(t, os.Chmod(path, 0o640))
	require.NoError(t, open(t, dir).Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
}

// A file without a byte is what an Atlantis that was killed at its first start leaves: a new database.
func TestEmptyFileIsANewDatabase(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, nil)
	s := open(t, dir)
	require.True(t, s.Opened().Created)
	put(t, s, lockA, "x")
	require.NoError(t, s.Close())
	require.Equal(t, map[string]string{lockA.String(): "x"}, all(t, open(t, dir)))
}

// What cannot be a database is a clear error that names it once, and is not ErrDamaged.
func TestWrongKindsOfPathsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"a directory": {func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, legacy.FileName), 0o700))
		}, "is a directory"},
		"a regular file as directory": {func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(dir, []byte("x"), 0o600))
		}, "not a directory"},
		"a link to nowhere": {func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, legacy.FileName)))
		}, "no such file"},
		"a device": {func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, os.Symlink("/dev/null", filepath.Join(dir, legacy.FileName)))
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			c.make(t, dir)
			_, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
			require.ErrorContains(t, err, c.want)
			require.NotErrorIs(t, err, legacy.ErrDamaged)
			path := filepath.Join(dir, legacy.FileName)
			require.Equal(t, 1, strings.Count(err.Error(), path), err.Error())
		})
	}
}

// Of many first starts at once on one directory one wins, and the others read who has it.
func TestSimultaneousFirstStartsHaveOneWinner(t *testing.T) {
	dir := t.TempDir()
	stores, errs := make([]*legacy.Store, 8), make([]error, 8)
	var wait sync.WaitGroup
	for i := range stores {
		wait.Go(func() { stores[i], errs[i] = legacy.Open(t.Context(), legacy.Options{Dir: dir}) })
	}
	wait.Wait()
	winners := 0
	for i, s := range stores {
		if s == nil {
			require.ErrorIs(t, errs[i], legacy.ErrHeld)
			continue
		}
		winners++
		require.NoError(t, s.Close())
	}
	require.Equal(t, 1, winners)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2, "atlantis.db and legacy-seen")
}
