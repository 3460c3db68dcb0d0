package legacy

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

var modeKey = []byte("mode") // in ownBucket: the mode document

// Mode returns the document that SetMode or Retire last wrote, nil if there is
// none. What it returns is durable. While a commit of the document is under
// way, or Inspect runs, it waits.
func (s *Store) Mode() ([]byte, error) {
	for {
		var document []byte
		var f *flight
		err := s.view(context.Background(), func(tx *bolt.Tx) error {
			document, f = bytes.Clone(tx.Bucket(ownBucket).Get(modeKey)), s.inDoubt(tx)
			return nil
		})
		again := false
		if err == nil && f.touchesMode() {
			again, err = f.wait(context.Background())
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the mode in %s: %w", s.path, err)
		case !again:
			return document, nil
		}
	}
}

// SetMode keeps a document in the file, in our own bucket, where Atlantis does
// not look. It is durable when SetMode returns nil; errors are those of Apply,
// locking.ErrUnknownResult among them. No record gets a new version, but the
// file another Position. A foreign
// write that Open found is dealt with by it, and a file that was put back: the
// next Open does not tell of it.
func (s *Store) SetMode(ctx context.Context, document []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	document = bytes.Clone(document) // bbolt keeps it until the commit
	return s.submit(ctx, &request{act: func(tx *bolt.Tx, m *meta, wrote *touched) error {
		own := tx.Bucket(ownBucket)
		if now := own.Get(modeKey); now != nil && bytes.Equal(now, document) && own.Get(foreignKey) == nil && s.PutBack() == "" {
			return nil
		}
		m.seq++ // a copy from before the mode is older, though no record has changed
		return putMode(own, document, wrote)
	}})
}

func putMode(own *bolt.Bucket, document []byte, wrote *touched) error {
	wrote.mode, wrote.document = true, document
	return errors.Join(own.Put(modeKey, document), own.Delete(foreignKey))
}

var noteKey = []byte("note") // in ownBucket: the note

// NoteWith says what is kept beside the records, in the same transaction as every
// change from now on: note is called for each commit.
func (s *Store) NoteWith(note func() []byte) { s.beside.Store(&note) }

// Note returns what was kept beside the last change, nil if nothing was.
func (s *Store) Note() (note []byte, err error) {
	err = s.view(context.Background(), func(tx *bolt.Tx) error {
		note = bytes.Clone(tx.Bucket(ownBucket).Get(noteKey))
		return nil
	})
	return note, err
}

// putNote keeps the note in tx.
func (s *Store) putNote(tx *bolt.Tx) error {
	note := s.beside.Load()
	if note == nil {
		return nil
	}
	return tx.Bucket(ownBucket).Put(noteKey, (*note)())
}
