package legacy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
)

func position(t testing.TB, s *legacy.Store) string {
	t.Helper()
	at, err := s.Position()
	require.NoError(t, err)
	return at
}

// later is a data directory whose file has a lock and a mode that the copy of it
// from before lacks, and where the file was then.
func later(t testing.TB) (dir, copied, at string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir)
	setMode(t, s, "shadow")
	put(t, s, lockA, "{}")
	copied = copyFile(t, s.Path(), t.TempDir())
	setMode(t, s, "primary")
	put(t, s, lockB, "{}")
	at = position(t, s)
	require.NoError(t, s.Close())
	return dir, copied, at
}

func putInPlace(t testing.TB, from, dir string) {
	t.Helper()
	require.NoError(t, os.Remove(filepath.Join(dir, legacy.FileName)))
	copyFile(t, from, dir)
}

// An older copy that is put back is told from the file that was there, by its
// records or only by its mode, over restarts and writes, until a mode is kept in it.
func TestAnOlderFileThatIsPutBackIsNoticed(t *testing.T) {
	dir, copied, at := later(t)
	putInPlace(t, copied, dir)
	for range 20 { // more starts than the file is behind
		s := open(t, dir)
		require.Contains(t, s.PutBack(), "older")
		require.Equal(t, "primary", string(s.SeenMode()))
		require.Equal(t, "shadow", mode(t, s))
		require.False(t, s.Vouches(at))
		put(t, s, lockA, "{}")
		require.NotEmpty(t, s.PutBack())
		require.NoError(t, s.Close())
	}
	s := open(t, dir)
	setMode(t, s, "shadow") // what it says already
	require.Empty(t, s.PutBack())
	require.Nil(t, s.SeenMode())
	put(t, s, lockA, "1")
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Empty(t, s.PutBack())
	require.True(t, s.Vouches(s.OpenedAt()))
}

// A copy from before a change of the mode is older, though it has the same records.
func TestACopyFromBeforeTheModeIsOlder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	setMode(t, s, "shadow")
	copied := copyFile(t, s.Path(), t.TempDir())
	setMode(t, s, "primary")
	require.NoError(t, s.Close())
	putInPlace(t, copied, dir)
	require.Contains(t, open(t, dir).PutBack(), "older")
}

// A file that is gone, or that is somebody else's, is not the one that was there.
func TestAnotherFileIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(t *testing.T, dir string)
		says string
	}{
		"gone":  {func(*testing.T, string) {}, "atlantis.db is"},
		"empty": {func(t *testing.T, dir string) { writeFile(t, dir, nil) }, "atlantis.db is"},
		"Atlantis's own": {func(t *testing.T, dir string) {
			from, _ := fixture(t, fixtures[0])
			copyFile(t, filepath.Join(from, legacy.FileName), dir)
		}, "another atlantis.db"},
		"another sidecar's": {func(t *testing.T, dir string) {
			other := t.TempDir()
			require.NoError(t, open(t, other).Close())
			copyFile(t, filepath.Join(other, legacy.FileName), dir)
		}, "another atlantis.db"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, at := later(t)
			require.NoError(t, os.Remove(filepath.Join(dir, legacy.FileName)))
			c.put(t, dir)
			for range 2 {
				s := open(t, dir)
				require.Contains(t, s.PutBack(), c.says)
				require.Equal(t, "primary", string(s.SeenMode()))
				require.False(t, s.Vouches(at))
				require.NoError(t, s.Close())
			}
		})
	}
}

// What kill -9 leaves at any moment, and what Atlantis writes to the file itself, is
// the file that was there.
func TestTheFileThatWasThereIsNotTakenForAnother(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i, value := range []string{"1", "2", "3"} {
		if i == 1 {
			setMode(t, s, "primary")
		}
		put(t, s, lockA, value)
		at := position(t, s)
		killed := t.TempDir()
		copyFile(t, s.Path(), killed)
		seen, err := os.ReadFile(filepath.Join(dir, legacy.SeenName))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(killed, legacy.SeenName), seen, 0o600))
		again := open(t, killed)
		require.Empty(t, again.PutBack())
		require.True(t, again.Vouches(at))
	}
	at := position(t, s)
	require.NoError(t, s.Close())
	foreign(t, s.Path(), func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("runLocks")).Put([]byte("x/y/./default/"), []byte("{}"))
	})
	s = open(t, dir)
	require.Equal(t, legacy.Opened{Foreign: true}, s.Opened())
	require.Empty(t, s.PutBack())
	require.True(t, s.Vouches(at))
}

// Without the file that says how far atlantis.db had come, or with half of it, no
// mark is believed once, and nothing is made up.
func TestWithoutASightingNothingIsVouchedFor(t *testing.T) {
	for name, harm := range map[string]func(said []byte) []byte{
		"gone":      nil,
		"empty":     func([]byte) []byte { return nil },
		"half":      func(said []byte) []byte { return said[:len(said)/2] },
		"torn":      func(said []byte) []byte { return bytes.Replace(said, []byte("version 0"), []byte("version 1"), 1) },
		"something": func([]byte) []byte { return []byte("something\nelse\n") },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, at := later(t)
			path := filepath.Join(dir, legacy.SeenName)
			said, err := os.ReadFile(path)
			require.NoError(t, err)
			if harm == nil {
				require.NoError(t, os.Remove(path))
			} else {
				require.NoError(t, os.WriteFile(path, harm(said), 0o600))
			}
			s := open(t, dir)
			require.Empty(t, s.PutBack())
			require.False(t, s.Vouches(at))
			require.NoError(t, s.SyncSeen())
			require.NoError(t, s.Close())
			require.True(t, open(t, dir).Vouches(at))
		})
	}
}

// A mark is believed only for the file that it names, at that version or a later one.
func TestWhatIsVouchedFor(t *testing.T) {
	dir, copied, at := later(t)
	s := open(t, dir)
	require.True(t, s.Vouches(at))
	before := open(t, filepath.Dir(copied)).OpenedAt()
	require.True(t, s.Vouches(before), "it is further")
	for _, position := range []string{"", "x", "atlantis.db had everything", at[:8], "0123456789abcdef0123456789abcdef at version 1", at + "0"} {
		require.False(t, s.Vouches(position), position)
	}
	mark := legacy.WholeIn(dir)
	require.Empty(t, mark.Position())
	require.NoError(t, mark.Set(at+"\nfor people\n"))
	require.Equal(t, at, mark.Position())
}

// Where nothing can be noted the store works as ever.
func TestAStoreWorksWhereNothingCanBeNoted(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, legacy.SeenName), 0o700)) // in the way
	s := open(t, dir)
	require.Empty(t, s.PutBack())
	put(t, s, lockA, "{}")
	setMode(t, s, "shadow")
	require.NoError(t, s.SyncSeen())
	require.False(t, s.Vouches(position(t, s)))
}
