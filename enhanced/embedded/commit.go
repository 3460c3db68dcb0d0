package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// landing is what those wait for whose outcomes rest on one transaction.
type landing struct {
	done chan struct{} // closed when the transaction is durable or has failed
	err  error         // read after done

	txid  int                      // of the transaction
	keys  map[locking.Key]struct{} // that it changes
	heads heads                    // as in it, once its commit has begun

	answered bool // it has changes that were answered before it is durable
}

func (l *landing) touches(key func(locking.Key) bool) bool {
	for k := range l.keys {
		if key(k) {
			return true
		}
	}
	return false
}

func (l *landing) wait(ctx context.Context) error {
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
	}
	select {
	case <-l.done: // both were true, and this one says more
		return l.err
	default:
		return fmt.Errorf("%w: %w", locking.ErrUnknownResult, ctx.Err())
	}
}

// begin opens the write transaction if there is none.
func (s *Store) begin() (err error) {
	if s.tx != nil {
		return nil
	}
	defer boltfile.Recover(&err)()
	if err := s.file.InPlace(); err != nil {
		return err
	}
	if s.tx, err = s.file.DB.Begin(true); err != nil {
		return err
	}
	s.landing = &landing{done: make(chan struct{}), txid: s.tx.ID(), keys: map[locking.Key]struct{}{}}
	for p := range s.committed {
		if err := s.same(s.tx, p); err != nil {
			return err
		}
	}
	select {
	case s.dirty <- struct{}{}:
	default:
	}
	return nil
}

// commitBehind is the committer goroutine. The turn goes to the first who came,
// so what queued up during one commit is in the next.
func (s *Store) commitBehind() {
	for {
		select {
		case <-s.dirty:
		case <-s.closing:
			return
		}
		if s.take(context.Background()) != nil {
			return
		}
		if s.behind() {
			s.release()
			select {
			case <-time.After(s.interval):
			case <-s.hurry:
			case <-s.closing:
				return
			}
			if s.take(context.Background()) != nil {
				return
			}
		}
		_ = s.commit() // those who wait are told, and fault tells the rest
		s.release()
	}
}

// commit makes the open transaction durable, if there is one. It leaves none
// open. Only in turn.
func (s *Store) commit() error {
	if s.tx == nil {
		return nil
	}
	err := s.finish()
	if err != nil {
		return s.fail(fmt.Errorf("commit: %w", err))
	}
	s.landed()
	return nil
}

// landed takes note of a commit that is durable.
func (s *Store) landed() {
	select {
	case <-s.hurry: // whoever was in a hurry is done
	default:
	}
	s.tx, s.committed, s.txid = nil, s.heads, s.landing.txid
	s.see(true)
	s.show(nil)
	s.land(nil)
}

func (s *Store) finish() (err error) {
	defer boltfile.Recover(&err)()
	if err := s.prepare(); err != nil {
		return err
	}
	return boltfile.Commit(s.tx)
}

// prepare does what comes before the commit itself.
func (s *Store) prepare() error {
	if err := s.file.InPlace(); err != nil {
		return err
	}
	if err := writeHeads(s.tx, s.committed, s.heads); err != nil {
		return err
	}
	s.landing.heads = s.heads
	if !s.landing.answered {
		s.show(s.landing)
	}
	return nil
}

// land tells those who wait what became of the transaction.
func (s *Store) land(err error) {
	if s.landing != nil {
		s.landing.err = err
		close(s.landing.done)
		s.landing = nil
	}
}

// fail ends the use of the file until Join opens it anew: what was applied
// since the last commit may be lost. It returns what everybody is told.
func (s *Store) fail(cause error) error {
	s.log.Error("store cannot be used until it is joined again", "path", s.path, "error", cause)
	s.land(fmt.Errorf("%w: %s: %w", locking.ErrUnknownResult, s.path, cause))
	if err := s.giveUp(); err != nil {
		s.log.Warn("close failed", "path", s.path, "error", err)
	}
	s.fault = &failed{s.path, cause}
	return s.fault
}

// failed is locking.ErrStoreLost where the file failed and nobody has looked at it
// since: it does not say that the store is another one, which Join finds out.
type failed struct {
	path  string
	cause error
}

func (f *failed) Error() string {
	return f.path + " is not used until it was looked at: " + f.cause.Error()
}

func (f *failed) Unwrap() []error { return []error{locking.ErrStoreLost, f.cause} }

// giveUp closes the file with whatever is open in it.
func (s *Store) giveUp() (err error) {
	s.shown.Store(nil)
	if s.tx != nil {
		err = boltfile.Rollback(s.tx)
		if errors.Is(err, bolterrors.ErrTxClosed) {
			err = nil
		}
		s.tx = nil
	}
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
		s.file = nil
	}
	return err
}
