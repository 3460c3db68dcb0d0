package legacy

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Atlantis's own way to open the file (server/core/boltdb).
const (
	atlantisWaits = time.Second
	atlantisMode  = 0o600
)

// Digest stands for a value where the value must not be: its SHA-256.
type Digest [sha256.Size]byte

// DigestOf is the digest of a record's value.
func DigestOf(r locking.Record) Digest { return sha256.Sum256(r.Value) }

// Found is what Atlantis finds in a file.
type Found struct {
	// Took is how long Atlantis's own open takes: the lock, the mapping, the list
	// of free pages.
	Took time.Duration
	// CheckTook is how long bbolt's check and reading every record took.
	CheckTook time.Duration
	// Counts is the number of records of each kind; a kind without any may be
	// missing.
	Counts map[locking.Kind]int
	// Digests has every record that Atlantis can read.
	Digests map[locking.Key]Digest
	// Strange is the number of entries in Atlantis's buckets whose keys are none of
	// its own.
	Strange int
}

// AsAtlantis opens a database exactly as Atlantis does, has bbolt check it as a
// whole, and reads every record. It changes nothing. It returns ErrHeld,
// ErrDamaged, or the error of the file system, each with the path.
//
// The file is walked by a check of our own first, because bbolt's would end the
// process on a damaged one.
func AsAtlantis(path string) (Found, error) {
	whole, err := boltfile.Open(context.Background(), path, boltfile.Options{Timeout: atlantisWaits, Logger: hclog.NewNullLogger()})
	if err == nil {
		err = whole.Close()
	}
	if err != nil {
		return Found{}, err
	}
	began := time.Now()
	db, err := bolt.Open(path, atlantisMode, &bolt.Options{Timeout: atlantisWaits, OpenFile: existing})
	if err != nil {
		return Found{}, fmt.Errorf("open %s as Atlantis: %w", path, err)
	}
	found := Found{Took: time.Since(began), Counts: map[locking.Kind]int{}, Digests: map[locking.Key]Digest{}}
	began = time.Now()
	if err = errors.Join(found.read(db), db.Close()); err != nil {
		return Found{}, fmt.Errorf("read %s as Atlantis: %w", path, err)
	}
	found.CheckTook = time.Since(began)
	return found, nil
}

// existing opens a file that is there: bbolt would make one.
func existing(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag&^os.O_CREATE, mode)
}

func (f *Found) read(db *bolt.DB) (err error) {
	defer boltfile.Recover(&err)()
	return db.View(func(tx *bolt.Tx) error {
		var wrong error
		for err := range tx.Check() { // to the end, or its goroutine stays
			if wrong == nil {
				wrong = boltfile.Damaged(err)
			}
		}
		if wrong != nil {
			return wrong
		}
		for _, kind := range locking.Kinds() {
			b := bucket(tx, kind)
			if b == nil { // Atlantis makes the buckets that are missing
				continue
			}
			if err := b.ForEach(func(k, v []byte) error { f.add(kind, k, v); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

// add counts one entry of a bucket; v is nil for a bucket inside of it.
func (f *Found) add(kind locking.Kind, k, v []byte) {
	key, err := locking.ParseKey(locking.Prefix(kind) + string(k))
	if err != nil || key.Kind() != kind || v == nil {
		f.Strange++
		return
	}
	f.Counts[kind]++
	f.Digests[key] = DigestOf(locking.Record{Value: v})
}
