package sidecar_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const fixtures = "../../testdata"

// wantRecords reads a fixture's Redis keys and puts them where BoltDB has them.
func wantRecords(t *testing.T, fixture string) sidecar.Records {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(fixtures, fixture, "redis-keys.json"))
	require.NoError(t, err)
	var keys map[string]string
	require.NoError(t, json.Unmarshal(content, &keys))

	records := sidecar.Records{"runLocks": {}, "pulls": {}, "globalLocks": {}}
	for key, value := range keys {
		if lock, ok := strings.CutPrefix(key, "pr/"); ok {
			records["runLocks"][lock] = value
		} else if command, ok := strings.CutPrefix(key, "global/"); ok {
			records["globalLocks"][command] = value
		} else {
			records["pulls"][key] = value
		}
	}
	return records
}

// The records read from each fixture's BoltDB file are those that the same Atlantis left in Redis, and the file is not
// changed by reading it.
func TestReadAtlantisDBReturnsEveryRecordOfAFixture(t *testing.T) {
	for _, fixture := range []string{"atlantis-v0.22.0", "atlantis-v0.47.1"} {
		t.Run(fixture, func(t *testing.T) {
			path := filepath.Join(fixtures, fixture, "atlantis.db")
			before, err := os.ReadFile(path)
			require.NoError(t, err)

			want := wantRecords(t, fixture)
			require.NotEmpty(t, want["runLocks"])
			require.NotEmpty(t, want["pulls"])
			require.Equal(t, want, sidecar.ReadAtlantisDB(t, path))

			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}

// A file can be read while a process holds it, but not opened as Atlantis opens it.
func TestHeldAtlantisDBCanBeReadButNotOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "atlantis.db")
	holder := sidecar.OpenAtlantisDB(t, path)
	require.NoError(t, holder.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("pulls")).Put([]byte("key"), []byte("value"))
	}))

	require.Equal(t, map[string]string{"key": "value"}, sidecar.ReadAtlantisDB(t, path)["pulls"])
	failed := &recorder{TB: t}
	failed.run(func() { sidecar.OpenAtlantisDB(failed, path) })
	require.Contains(t, failed.text, "timeout")
}

// Keys out of order, which BoltDB would not find again, are found.
func TestCheckAtlantisDBFindsADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "atlantis.db")
	db := sidecar.OpenAtlantisDB(t, path)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		pulls := tx.Bucket([]byte("pulls"))
		ownPage := make([]byte, tx.DB().Info().PageSize) // small buckets share their parent's page, unchecked
		return errors.Join(pulls.Put([]byte("key-1"), ownPage), pulls.Put([]byte("key-2"), ownPage))
	}))
	require.NoError(t, db.Close())
	sidecar.CheckAtlantisDB(t, path)

	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.ReplaceAll(content, []byte("key-2"), []byte("key-0")), 0o600))
	failed := &recorder{TB: t}
	failed.run(func() { sidecar.CheckAtlantisDB(failed, path) })
	require.Contains(t, failed.text, "check ")
}
