package embedded

import (
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// What the external tests need of the inside.

// LimitSize makes every commit fail that needs more bytes than that, until the
// file is opened anew.
func (s *Store) LimitSize(bytes int) {
	s.turn <- struct{}{}
	defer s.release()
	s.file.DB.MaxSize = bytes
}

// Hold takes the turn, as a commit that takes its time does.
func (s *Store) Hold() (release func()) {
	s.turn <- struct{}{}
	return s.release
}

// HoldPrepared takes the turn and does what comes before a commit, as one that waits for the disk.
func (s *Store) HoldPrepared() (release func()) {
	release = s.Hold()
	if err := s.prepare(); err != nil {
		panic(err)
	}
	return release
}

// LastTx is bbolt's id of the last committed transaction.
func (s *Store) LastTx() (id int) {
	s.turn <- struct{}{}
	defer s.release()
	_ = s.file.DB.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil })
	return id
}

// Kept is what is kept with a record.
type Kept struct {
	Version, Fence, Epoch uint64
	AcquiredAt            int64
	Op, Origin            string
}

// Kept reads what is kept with a committed record.
func (s *Store) Kept(key locking.Key) (k Kept) {
	s.turn <- struct{}{}
	defer s.release()
	_ = s.look(s.tx, key.Partition(), func(b *bolt.Bucket) {
		r := decode(b.Get([]byte(key.String())))
		k = Kept{r.version, r.fence, r.epoch, r.acquiredAt, string(r.op), r.origin}
	})
	return k
}

// Fly puts a record in a commit that readers see and that is not durable yet,
// as during a sync; land tells what became of it.
func (s *Store) Fly(key locking.Key, value []byte) (land func(err error)) {
	s.turn <- struct{}{}
	changes := []locking.Change{locking.Put(key, value, locking.Any())}
	var before record
	_ = s.look(nil, key.Partition(), func(b *bolt.Bucket) { before = decode(b.Get([]byte(key.String()))) })
	outcomes, _ := decide(changes, []record{before})
	err := s.write(changes, []record{before}, outcomes)
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		panic(err)
	}
	return func(err error) {
		defer s.release()
		if err != nil {
			_ = s.fail(err)
			return
		}
		s.landed()
	}
}
