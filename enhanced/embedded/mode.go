package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// modeKey is where the document of the mode is, beside the heads: its epoch as
// 8 bytes, then the document.
var modeKey = []byte("mode")

// ErrOneProcess is returned by MayAdmit and Admit.
var ErrOneProcess = errors.New("the embedded store is a file that only one sidecar can open; several need Redis")

// Mode is documented at enhanced.Store.
func (s *Store) Mode(ctx context.Context) ([]byte, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	_, document, err := s.mode()
	return document, err
}

// SetMode is documented at enhanced.Store.
func (s *Store) SetMode(ctx context.Context, epoch uint64, document []byte) error {
	return s.makeDurable(ctx, func() error {
		kept, before, err := s.mode()
		switch {
		case err != nil:
			return err
		case kept > epoch:
			return fmt.Errorf("%w: the mode is kept under epoch %d, after %d", locking.ErrStale, kept, epoch)
		case kept == epoch && before != nil && !bytes.Equal(before, document):
			return fmt.Errorf("%w: another mode is kept under the same epoch %d", locking.ErrStale, epoch)
		}
		return s.alter(func(tx *bolt.Tx) error {
			return tx.Bucket(headBucket).Put(modeKey, append(binary.BigEndian.AppendUint64(nil, epoch), document...))
		})
	})
}

// mode reads the document that is kept, nil if none is. Only in turn.
func (s *Store) mode() (epoch uint64, document []byte, err error) {
	err = s.lookAt(s.tx, 0, func(tx *bolt.Tx) {
		kept := tx.Bucket(headBucket).Get(modeKey)
		if len(kept) >= 8 {
			epoch, document = binary.BigEndian.Uint64(kept), append([]byte{}, kept[8:]...)
		}
	})
	return epoch, document, err
}

// MayAdmit returns ErrOneProcess.
func (s *Store) MayAdmit(string) error { return ErrOneProcess }

// Admit returns ErrOneProcess.
func (s *Store) Admit(context.Context, string) ([]string, error) { return nil, ErrOneProcess }

// Probe makes a commit that changes nothing, and is durable when it returns. A
// file that was given up is opened anew first, if it has what was answered.
func (s *Store) Probe(ctx context.Context) error {
	err := s.reopen(ctx)
	if err == nil {
		err = s.makeDurable(ctx, func() error {
			return s.alter(func(tx *bolt.Tx) error { return tx.Bucket(headBucket).Put(name(0), s.heads[0].encode()) })
		})
	}
	if err != nil {
		return fmt.Errorf("probe store: %w", err)
	}
	return nil
}

// SetDurable is documented at enhanced.Store.
func (s *Store) SetDurable(ctx context.Context, durable bool) error {
	if unused, err := s.followLater(ctx, durable); unused || err != nil {
		return err
	}
	return s.makeDurable(ctx, func() error {
		s.durable = durable
		if s.tx != nil && durable { // what was answered before is not committed: reads wait until it is
			s.landing.answered = true
			return nil
		}
		s.show(nil)
		return nil
	})
}

// followLater takes note that a store which nothing but Join can use is to follow when
// that has been.
func (s *Store) followLater(ctx context.Context, durable bool) (unused bool, err error) {
	if durable {
		return false, nil
	}
	if err := s.take(ctx); err != nil {
		return false, err
	}
	defer s.release()
	if s.fault != nil {
		s.durable = false
	}
	return s.fault != nil, nil
}

// makeDurable runs change in turn, and returns when all that was changed until
// then is durable. If ctx ends before that the result is ErrUnknownResult.
func (s *Store) makeDurable(ctx context.Context, change func() error) error {
	rests, err := s.inTurn(ctx, change)
	if err != nil || rests == nil {
		return err
	}
	return rests.wait(ctx)
}

func (s *Store) inTurn(ctx context.Context, change func() error) (*landing, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.release()
	if err := s.look(s.tx, 0, func(*bolt.Bucket) {}); err != nil { // whether it is still the file that was joined
		return nil, err
	}
	if err := change(); err != nil {
		return nil, err
	}
	if s.landing != nil {
		select {
		case s.hurry <- struct{}{}:
		default:
		}
	}
	return s.landing, nil
}

// alter changes something in the open transaction, and begins one if there is none.
func (s *Store) alter(change func(*bolt.Tx) error) (err error) {
	if err := s.begin(); err != nil {
		return s.fail(fmt.Errorf("begin: %w", err))
	}
	inside := func() (err error) {
		defer boltfile.Recover(&err)()
		return change(s.tx)
	}
	if err := inside(); err != nil {
		return s.fail(fmt.Errorf("change: %w", err))
	}
	return nil
}
