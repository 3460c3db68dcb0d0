package legacy_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A commit of another process between two starts is noticed, and no version from before it is ever given again.
func TestForeignCommitIsNoticed(t *testing.T) {
	dir, _ := fixture(t, fixtures[1])
	s := open(t, dir)
	highest := uint64(0)
	for range 5 {
		highest = put(t, s, lockA, "ours "+string(rune('a'+highest))).Version
	}
	id, owner := s.ID(), s.OwnerID()
	require.NoError(t, s.Close())

	foreign(t, s.Path(), func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("runLocks")).Put([]byte("acme/infra/./default/"), []byte("theirs"))
	})

	s = open(t, dir)
	require.Equal(t, legacy.Opened{Foreign: true}, s.Opened())
	require.Equal(t, []string{id, owner}, []string{s.ID(), s.OwnerID()})
	require.Equal(t, "theirs", string(get(t, s, lockA).Value))
	for wire := range all(t, s) {
		require.Greater(t, get(t, s, locking.MustKey(wire)).Version, highest, wire)
	}
	require.Greater(t, put(t, s, lockB, "new").Version, get(t, s, lockA).Version)
}

// Atlantis writes to the file when it starts, even if it changes nothing: that is foreign as well.
func TestAtlantisHavingBeenThereIsForeign(t *testing.T) {
	dir, _ := fixture(t, fixtures[1])
	s := open(t, dir)
	require.NoError(t, s.Close())
	foreign(t, s.Path(), func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte("runLocks")) // as Atlantis does, server/core/boltdb
		return err
	})
	require.True(t, open(t, dir).Opened().Foreign)
}

// Our own restart, a crash, and a backup that is put back are not foreign, and keep every version.
func TestOwnHistoryIsNotForeign(t *testing.T) {
	dir, _ := fixture(t, fixtures[0])
	s := open(t, dir)
	want := put(t, s, lockA, "x").Version

	crashed := t.TempDir()
	copyFile(t, s.Path(), crashed)
	restored := t.TempDir()
	writeFile(t, restored, backup(t, s))
	require.NoError(t, s.Close())

	for name, dir := range map[string]string{"restart": dir, "kill -9": crashed, "restored": restored} {
		again := open(t, dir)
		require.Equal(t, legacy.Opened{}, again.Opened(), name)
		require.Equal(t, s.ID(), again.ID(), name)
		require.Equal(t, want, get(t, again, lockA).Version, name)
		require.Greater(t, put(t, again, lockB, "y").Version, want, name)
	}
}

// The ids stay over restarts, and no two files have the same.
func TestIdsBelongToTheFile(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		dir := t.TempDir()
		s := open(t, dir)
		for _, id := range []string{s.ID(), s.OwnerID()} {
			require.Len(t, id, 32)
			require.False(t, seen[id])
			seen[id] = true
		}
		require.NoError(t, s.Close())
		again := open(t, dir)
		require.Equal(t, s.ID(), again.ID())
		require.Equal(t, s.OwnerID(), again.OwnerID())
	}
}

// A bucket of ours that cannot be read is damage, or the work of a newer sidecar; either way nothing is written.
func TestUnreadableMetaIsRefused(t *testing.T) {
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	for name, c := range map[string]struct {
		meta []byte // nil: removed
		want error
	}{
		"newer schema":          {append(number(2), "anything"...), legacy.ErrNewerSchema},
		"newer schema, no more": {number(1 << 40), legacy.ErrNewerSchema},
		"none":                  {nil, legacy.ErrDamaged},
		"empty":                 {[]byte{}, legacy.ErrDamaged},
		"too short":             {number(1), legacy.ErrDamaged},
		"too long":              {make([]byte, 97), legacy.ErrDamaged},
		"zeroed":                {make([]byte, 96), legacy.ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := fixture(t, fixtures[0])
			require.NoError(t, open(t, dir).Close())
			path := filepath.Join(dir, legacy.FileName)
			foreign(t, path, func(tx *bolt.Tx) error {
				own := tx.Bucket([]byte("lock-sidecar"))
				if c.meta == nil {
					return own.Delete([]byte("meta"))
				}
				return own.Put([]byte("meta"), c.meta)
			})
			before := contents(t, path)
			_, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, path)
			require.Equal(t, before, contents(t, path))
			requireFree(t, path)
		})
	}
}

// What is in Atlantis's buckets but is none of its records is neither shown nor touched, and fails nobody.
func TestJunkInTheBucketsIsLeftAlone(t *testing.T) {
	dir, records := fixture(t, fixtures[1])
	path := filepath.Join(dir, legacy.FileName)
	foreign(t, path, func(tx *bolt.Tx) error {
		for bucket, key := range map[string]string{"globalLocks": "apply/unlocked", "pulls": "not a pull"} {
			if err := tx.Bucket([]byte(bucket)).Put([]byte(key), []byte("junk")); err != nil {
				return err
			}
		}
		_, err := tx.Bucket([]byte("runLocks")).CreateBucket([]byte("acme/infra/a bucket/default/"))
		return err
	})
	s := open(t, dir)
	require.Equal(t, records, all(t, s))

	// a write to the key of the nested bucket cannot be done; the one beside it can
	results := make(chan error, 2)
	go func() { results <- tryPut(s, locking.MustKey("pr/acme/infra/a bucket/default/"), "x") }()
	go func() {
		err := tryPut(s, lockB, "y")
		if err == nil {
			results <- nil
			return
		}
		t.Errorf("write beside: %v", err)
		results <- err
	}()
	first, second := <-results, <-results
	require.True(t, (first == nil) != (second == nil), "%v, %v", first, second)
	require.NoError(t, s.Close())

	foreign(t, path, func(tx *bolt.Tx) error {
		require.Equal(t, "junk", string(tx.Bucket([]byte("globalLocks")).Get([]byte("apply/unlocked"))))
		require.Equal(t, "junk", string(tx.Bucket([]byte("pulls")).Get([]byte("not a pull"))))
		require.NotNil(t, tx.Bucket([]byte("runLocks")).Bucket([]byte("acme/infra/a bucket/default/")))
		return nil
	})
}

// The position that Open finds is the one of the last change, however often the
// file was opened since; a backup that is put back has its own.
func TestPositionNamesTheContents(t *testing.T) {
	dir := t.TempDir()
	position := func(s *legacy.Store) string {
		at, err := s.Position()
		require.NoError(t, err)
		return at
	}
	s := open(t, dir)
	require.Empty(t, s.OpenedAt())
	put(t, s, lockA, "{}")
	before := position(s)
	backup, err := os.Create(filepath.Join(t.TempDir(), "backup"))
	require.NoError(t, err)
	_, err = s.Backup(t.Context(), backup)
	require.NoError(t, err)
	require.NoError(t, backup.Close())
	put(t, s, lockA, "[]")
	after := position(s)
	require.NotEqual(t, before, after)
	for range 2 {
		require.NoError(t, s.Close())
		s = open(t, dir)
		require.Equal(t, after, s.OpenedAt())
	}
	require.NoError(t, s.Close())
	require.NoError(t, os.Rename(backup.Name(), s.Path()))
	require.Equal(t, before, open(t, dir).OpenedAt())
}
