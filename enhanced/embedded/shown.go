package embedded

import (
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// shown is what a read may show without the turn, which a commit has until the
// disk is done. Nobody changes one that others see.
type shown struct {
	file  *boltfile.File
	txid  int   // of the last commit that is durable
	heads heads // as in it
	// flying is the commit under way, nil if there is none. bbolt shows it to
	// readers as soon as its meta page is written, which is before that page is
	// synced.
	flying *landing
}

// show lets reads go on beside the turn, where what is committed is all that
// they may show. Only in turn.
func (s *Store) show(flying *landing) {
	if s.file == nil || s.fault != nil || s.behind() {
		s.shown.Store(nil)
		return
	}
	s.shown.Store(&shown{file: s.file, txid: s.txid, heads: s.committed, flying: flying})
}

// showTries bounds how often a read begins again because a commit landed while
// it began.
const showTries = 3

// readShown runs fn on what is durable of a partition. If that rests on the
// commit under way, which touches reports, it waits for that. done is false if
// the read needs the turn: to see what is not durable, or to find out what is
// wrong. fn may have been called then.
func (s *Store) readShown(ctx context.Context, partition int, fn func(*bolt.Bucket), touches func(locking.Key) bool) (done bool, err error) {
	for range showTries {
		rests, again, err := s.tryShown(partition, fn)
		switch {
		case again:
			continue
		case err != nil:
			return false, nil
		case rests == nil || !rests.touches(touches):
			return true, nil
		}
		select {
		case <-rests.done:
			return rests.err == nil, nil
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
	return false, nil
}

var errNotShown = errors.New("a read needs the turn")

// tryShown returns the commit under way if fn has seen it.
func (s *Store) tryShown(partition int, fn func(*bolt.Bucket)) (rests *landing, again bool, err error) {
	first := s.shown.Load()
	if first == nil {
		return nil, false, errNotShown
	}
	err = first.file.View(func(tx *bolt.Tx) error {
		now, hs := s.shown.Load(), heads{} // what is shown since this transaction began
		switch {
		case now == nil || now.file != first.file:
			return errNotShown
		case tx.ID() == now.txid:
			hs = now.heads
		case now.flying != nil && tx.ID() == now.flying.txid:
			hs, rests = now.flying.heads, now.flying
		case tx.ID() < now.txid:
			again = true
			return nil
		default:
			return errNotShown // somebody else wrote to the file
		}
		if err := sameHead(tx, partition, hs[partition]); err != nil {
			return err
		}
		fn(tx.Bucket(name(partition)))
		return nil
	})
	return rests, again, err
}
