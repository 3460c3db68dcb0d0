package legacy

import (
	"bytes"
	"context"
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
// locking.ErrUnknownResult among them. No record gets a new version.
func (s *Store) SetMode(ctx context.Context, document []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	document = bytes.Clone(document) // bbolt keeps it until the commit
	return s.submit(ctx, &request{act: func(tx *bolt.Tx, _ *meta, wrote *touched) error {
		own := tx.Bucket(ownBucket)
		if now := own.Get(modeKey); now != nil && bytes.Equal(now, document) {
			return nil
		}
		wrote.mode = true
		return own.Put(modeKey, document)
	}})
}
