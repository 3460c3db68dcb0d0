package sidecar

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What Atlantis's BoltDB backend opens: file, buckets, mode and time-out are its own.
const (
	atlantisDB          = "atlantis.db"
	atlantisOpenTimeout = time.Second
	atlantisFileMode    = 0o600
)

// Records holds the keys and values of each of Atlantis's buckets: runLocks, pulls and globalLocks. All three are
// present, empty ones too.
type Records map[string]map[string]string

func atlantisBuckets() []string { return []string{"runLocks", "pulls", "globalLocks"} }

// OpenAtlantisDB opens the file at path as Atlantis does on the boltdb backend: it creates what is missing, and fails
// the test if the file is held by another process for a second. It is closed when the test ends, if not before.
func OpenAtlantisDB(t testing.TB, path string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, atlantisFileMode, &bolt.Options{Timeout: atlantisOpenTimeout})
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	t.Cleanup(func() { _ = db.Close() }) // closing twice is no error
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range atlantisBuckets() {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("create buckets in %s: %v", path, err)
	}
	return db
}

// CheckAtlantisDB fails the test if the file at path is not a whole BoltDB file. It works on a copy: the file may be
// held by a process, but must not be written meanwhile.
func CheckAtlantisDB(t testing.TB, path string) {
	t.Helper()
	checkWhole(t, openCopy(t, path))
}

// ReadAtlantisDB returns Atlantis's records in the file at path, after CheckAtlantisDB's check and on the same terms.
func ReadAtlantisDB(t testing.TB, path string) Records {
	t.Helper()
	db := openCopy(t, path)
	checkWhole(t, db)
	records := Records{}
	err := db.View(func(tx *bolt.Tx) error {
		for _, name := range atlantisBuckets() {
			records[name] = map[string]string{}
			err := tx.Bucket([]byte(name)).ForEach(func(key, value []byte) error {
				records[name][string(key)] = string(value)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return records
}

func openCopy(t testing.TB, path string) *bolt.DB {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("copy %s: %v", path, err)
	}
	duplicate := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(duplicate, content, atlantisFileMode); err != nil {
		t.Fatalf("copy %s: %v", path, err)
	}
	return OpenAtlantisDB(t, duplicate)
}

func checkWhole(t testing.TB, db *bolt.DB) {
	t.Helper()
	err := db.View(func(tx *bolt.Tx) error {
		var found []error
		for err := range tx.Check() { // to its end: it runs in a goroutine of its own
			found = append(found, err)
		}
		return errors.Join(found...)
	})
	if err != nil {
		t.Fatalf("check %s: %v", db.Path(), err)
	}
}
