package legacy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/internal/durable"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// retireTries is how often Retire makes a backup anew because a write came in
// between.
const retireTries = 3

// errMovedOn: the file is not what was backed up any more.
var errMovedOn = errors.New("records changed after the backup; nothing was retired, try again when nothing writes to them")

// Retire saves the database to the file backup, mode 0600, and then, in one
// transaction, removes every record and writes the mode document: from then on
// nobody takes the locks in the file for true. Versions go on above all that
// were ever given. It returns the path of the backup, which is whole, checked
// and on the disk: backup, or, since nothing is overwritten, backup with .1, .2
// and so on behind it.
//
// The backup has every record that is removed: a write in between starts it
// over, a few times. It contains every value: treat it as a secret. After an
// error that is not locking.ErrUnknownResult nothing was changed and no backup
// is left; after that one it is, and its path is returned.
func (s *Store) Retire(ctx context.Context, document []byte, backup string) (string, error) {
	for try := 1; ; try++ {
		saved, seq, err := s.saveTo(ctx, backup)
		if err != nil {
			return "", fmt.Errorf("retire %s: %w", s.path, err)
		}
		failpoint.Hit("retire-saved")
		err = s.submit(ctx, &request{act: emptied(seq, bytes.Clone(document))})
		switch {
		case err == nil:
			return saved, nil
		case errors.Is(err, locking.ErrUnknownResult):
			return saved, fmt.Errorf("retire %s: %w", s.path, err)
		}
		if err = errors.Join(err, os.Remove(saved)); !errors.Is(err, errMovedOn) || try == retireTries {
			return "", fmt.Errorf("retire %s: %w", s.path, err)
		}
	}
}

// emptied is the act that removes all records of a file that is at version seq.
func emptied(seq uint64, document []byte) act {
	return func(tx *bolt.Tx, m *meta, wrote *touched) error {
		if m.seq != seq {
			return errMovedOn
		}
		for _, kind := range locking.Kinds() {
			if err := renew(tx, bucketNames[kind]); err != nil {
				return err
			}
		}
		own := tx.Bucket(ownBucket)
		if err := renew(own, versionsBucket); err != nil {
			return err
		}
		m.seq++
		wrote.all, wrote.mode = true, true
		return putMode(own, document, wrote)
	}
}

// renew makes a bucket an empty one.
func renew(in interface {
	DeleteBucket(name []byte) error
	CreateBucket(name []byte) (*bolt.Bucket, error)
}, name []byte) error {
	if err := in.DeleteBucket(name); err != nil {
		return fmt.Errorf("empty bucket %s: %w", name, err)
	}
	if _, err := in.CreateBucket(name); err != nil {
		return fmt.Errorf("empty bucket %s: %w", name, err)
	}
	return nil
}

// saveTo writes a backup, checks it, and gives it the first free name. It
// returns that name and the version that the backup is at.
func (s *Store) saveTo(ctx context.Context, name string) (saved string, seq uint64, err error) {
	fresh := name + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) { // a crash left it
		return "", 0, err
	}
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(fresh)
	_, err = s.Backup(ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", 0, err
	}
	if seq, err = s.versionIn(ctx, fresh); err != nil {
		return "", 0, fmt.Errorf("check backup: %w", err)
	}
	if saved, err = linkFree(fresh, name); err != nil {
		return "", 0, err
	}
	if err = durable.SyncDir(filepath.Dir(saved)); err != nil {
		return "", 0, errors.Join(err, os.Remove(saved))
	}
	return saved, seq, nil
}

// versionIn checks a backup and returns the version that it is at.
func (s *Store) versionIn(ctx context.Context, path string) (uint64, error) {
	f, err := boltfile.Open(ctx, path, boltfile.Options{Logger: s.log})
	if err != nil {
		return 0, err
	}
	var m meta
	err = f.View(func(tx *bolt.Tx) (err error) {
		m, _, err = load(tx)
		return err
	})
	return m.seq, errors.Join(err, f.Close())
}

// linkFree gives the file a second name, the first of name, name.1, name.2 …
// that nothing has.
func linkFree(file, name string) (string, error) {
	free := name
	for n := 1; ; n++ {
		err := os.Link(file, free)
		if !errors.Is(err, fs.ErrExist) {
			return free, err
		}
		free = fmt.Sprintf("%s.%d", name, n)
	}
}
