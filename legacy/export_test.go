package legacy

import (
	"context"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// What the external tests need of the inside. Each is for a store that is not
// being written to, but where it says otherwise.

// LastTx is bbolt's id of the last transaction. It may be called at any time.
func (s *Store) LastTx() (id int) {
	if err := s.view(context.Background(), func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		panic(err)
	}
	return id
}

// TakeOff makes the last transaction one that is still being committed, and
// returns how to end that.
func (s *Store) TakeOff(keys ...locking.Key) (land func(), lose func(error), undo func()) {
	set := map[locking.Key]struct{}{}
	for _, k := range keys {
		set[k] = struct{}{}
	}
	f := s.takeOff(s.LastTx(), touched{keys: set})
	return func() { s.land(f, kept, nil) },
		func(err error) { s.land(f, lost, err); s.fail(err) },
		func() { s.land(f, undone, nil) }
}

// UnderWay is the transaction that a commit under way says it is, and the one
// that readers see meanwhile; ok is false if there was no commit under way for
// as long as it took to look. It may be called at any time.
func (s *Store) UnderWay() (committing, shown int, ok bool) {
	before := s.flight.Load()
	shown = s.LastTx()
	if before == nil || s.flight.Load() != before {
		return 0, 0, false
	}
	return before.txid, shown, true
}

// LimitSize makes every commit fail that needs more bytes than that, until the
// file is opened anew.
func (s *Store) LimitSize(bytes int) { s.open.DB.MaxSize = bytes }

// LimitNextCommit is LimitSize for a store that is being written to.
func (s *Store) LimitNextCommit(bytes int) {
	s.file.RLock()
	defer s.file.RUnlock()
	_ = s.open.DB.Update(func(*bolt.Tx) error { // the writer is out
		s.open.DB.MaxSize = bytes
		return errForeign // any error: nothing is to be committed
	})
}

// SettleAfter runs do, which makes one commit, and then lets the store find
// out what became of it as if its last sync had failed.
func (s *Store) SettleAfter(key locking.Key, do func(), cause error) error {
	before := s.meta
	do()
	next := s.meta
	s.meta = before
	return s.settle(s.takeOff(int(next.txid), touched{keys: map[locking.Key]struct{}{key: {}}, mode: true}), nil, next, cause)
}

// RetireAndSettle is Retire, whose transaction is then settled as if its last
// sync had failed after spoil.
func (s *Store) RetireAndSettle(document []byte, backup string, spoil func(), cause error) (string, error) {
	before := s.meta
	saved, err := s.Retire(context.Background(), document, backup)
	if err != nil {
		return saved, err
	}
	next := s.meta
	s.meta = before
	spoil()
	return saved, s.settle(s.takeOff(int(next.txid), touched{all: true, mode: true}), nil, next, cause)
}

// EmptyAfter makes a backup and then, after do, the transaction of Retire.
func (s *Store) EmptyAfter(backup string, do func()) error {
	_, seq, err := s.saveTo(context.Background(), backup)
	if err != nil {
		return err
	}
	do()
	return s.submit(context.Background(), &request{act: emptied(seq, nil)})
}

// CheckWhole is boltfile.Check of a file.
func CheckWhole(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return boltfile.Check(f, info.Size())
}
