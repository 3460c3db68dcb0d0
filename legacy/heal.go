package legacy

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// fail marks the store as not taking writes until it is healed.
func (s *Store) fail(err error) {
	before := s.suspect.Swap(&err)
	if before == nil || (*before).Error() != err.Error() {
		s.log.Error("file takes no writes", "path", s.path, "error", err)
	}
}

// heal makes the file certain again after a commit that failed, so that the
// next one stands on what is on the disk. Only the writer calls it.
//
// A failed fsync leaves two things open: whether the meta page of the failed
// transaction is on the disk, and what bbolt has in memory. The file is opened
// anew, which settles the second, and its meta pages are written and synced
// again, which settles the first.
func (s *Store) heal() error {
	err := s.reopen()
	if err == nil {
		err = s.open.RewriteMeta()
	}
	if err == nil {
		err = s.reload()
	}
	if err != nil {
		err = fmt.Errorf("%s takes no writes since one failed: %w", s.path, err)
		s.fail(err)
		return err
	}
	s.suspect.Store(nil)
	s.log.Info("file is whole after a failed commit", "path", s.path)
	if f := s.flight.Load(); f != nil && f.isLost() {
		s.flight.Store(nil)
	}
	return nil
}

// reopen closes and opens the file. While it cannot be opened, reads fail too.
// A file that is damaged or no longer in its place stays open: reads go on as
// far as they can, and a backup may still save it.
func (s *Store) reopen() error {
	if s.open != nil {
		if err := s.open.inPlace(); err != nil {
			return err
		}
		if err := s.open.Whole(); err != nil {
			return openError(s.path, err)
		}
		close(s.open.closing)
	}
	s.file.Lock()
	defer s.file.Unlock()
	s.shut()
	h, err := openWhenFree(context.Background(), s.path, false, 0, s.log)
	if err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	s.open = h
	return nil
}

// shut closes the file, if it is open. s.file is held.
func (s *Store) shut() {
	if s.open == nil {
		return
	}
	if err := s.open.Close(); err != nil {
		s.log.Warn("close failed", "path", s.path, "error", err)
	}
	s.open = nil
}

// reload reads what the file now says of itself: our last transaction but for
// the one that failed. Anything else means that somebody opened the file in
// the moment it was closed, or put another in its place.
func (s *Store) reload() error {
	var m meta
	var document []byte
	var last uint64
	err := s.open.View(func(tx *bolt.Tx) error { // only the writer swaps it
		var ok bool
		var err error
		last = uint64(tx.ID())
		if m, ok, err = load(tx); err == nil && !ok {
			err = errForeign
		}
		if err == nil {
			document = bytes.Clone(tx.Bucket(ownBucket).Get(modeKey))
		}
		return err
	})
	if err != nil {
		return err
	}
	if m.txid != last || m.store != s.id || last != s.meta.txid && last != s.meta.txid+1 {
		return errForeign
	}
	m.seq = max(m.seq, s.meta.seq)
	s.meta, s.document = m, document
	s.note()
	return nil
}
