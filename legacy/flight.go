package legacy

import (
	"context"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// touched is what a transaction writes, but for meta.
type touched struct {
	keys map[locking.Key]struct{}
	mode bool // the mode document
	all  bool // every record there was

	document []byte // the mode document, if mode
}

func (t touched) nothing() bool { return len(t.keys) == 0 && !t.mode && !t.all }

// A flight is a commit under way. bbolt shows a transaction to readers as soon
// as its meta page is written, which is before that page is synced; a lock
// that a reader saw then could be gone after a crash. Who read a key of the
// flight out of its very transaction therefore waits until it has landed. A
// reader that still saw the transaction before saw what is durable, and does
// not wait.
type flight struct {
	txid   int
	wrote  touched
	landed chan struct{} // closed when it is known what became of it
	fate   fate          // read after landed
	cause  error         // of lost
}

type fate uint8

const (
	kept   fate = iota // the transaction is in the file and on the disk
	undone             // it is not in the file: what was read of it is not true
	lost               // nobody can say, until the file is healed
)

// takeOff must be called before the commit of a transaction that writes.
func (s *Store) takeOff(txid int, wrote touched) *flight {
	f := &flight{txid: txid, wrote: wrote, landed: make(chan struct{})}
	s.flight.Store(f)
	return f
}

// land ends a flight. One that is lost stays, and refuses its keys.
func (s *Store) land(f *flight, became fate, cause error) {
	f.fate, f.cause = became, cause
	if became != lost {
		s.flight.Store(nil)
	}
	close(f.landed)
}

// inDoubt returns the flight whose keys are not known to be as tx shows them,
// nil if there is none. It must be called inside of view: heal cannot swap
// the file there, so a flight that is gone has made it to the disk.
func (s *Store) inDoubt(tx *bolt.Tx) *flight {
	f := s.flight.Load()
	if f == nil || f.txid != tx.ID() && !f.isLost() {
		return nil
	}
	return f
}

func (f *flight) isLost() bool {
	select {
	case <-f.landed:
		return f.fate == lost
	default:
		return false
	}
}

func (f *flight) touches(key locking.Key) bool {
	if f == nil {
		return false
	}
	_, ok := f.wrote.keys[key]
	return ok || f.wrote.all
}

func (f *flight) touchesAny(match locking.Pattern) bool {
	if f == nil || f.wrote.all {
		return f != nil
	}
	for key := range f.wrote.keys {
		if match.Match(key.String()) {
			return true
		}
	}
	return false
}

func (f *flight) touchesMode() bool { return f != nil && f.wrote.mode }

// wait returns when what was read is durable, or else must be read again, or
// cannot be known.
func (f *flight) wait(ctx context.Context) (again bool, err error) {
	select {
	case <-f.landed:
		return f.fate == undone, f.cause
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
