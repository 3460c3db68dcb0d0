package legacy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Backup writes the whole database to w as it is at this moment, while work
// goes on, and returns the number of bytes. What is written is a database that
// Atlantis and Open can open. It contains every value: treat it as a secret.
//
// The backup ends with an error if ctx is done, the store is closed, or the
// file must be opened anew after a failed commit, which is not put off until a
// slow w is served; what was written by then is of no use.
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	n, err := s.backup(ctx, w)
	if err != nil {
		return n, fmt.Errorf("back up %s: %w", s.path, err)
	}
	return n, nil
}

var errInterrupted = errors.New("interrupted because the file had to be opened anew; try again")

func (s *Store) backup(ctx context.Context, w io.Writer) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	h, err := s.hold(ctx)
	if err != nil {
		return 0, err
	}
	s.file.RUnlock()
	out, in := io.Pipe() // so that the read ends though w does not take more
	done := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		in.CloseWithError(s.view(ctx, func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(in)
			return err
		}))
	})
	both.Go(func() {
		select {
		case <-ctx.Done():
			in.CloseWithError(ctx.Err())
		case <-h.closing:
			in.CloseWithError(s.whyClosing())
		case <-done:
		}
	})
	n, err := io.Copy(w, out)
	close(done)
	_ = out.Close() // a w that failed ends the read
	both.Wait()
	return n, err
}

func (s *Store) whyClosing() error {
	select {
	case <-s.closing:
		return locking.ErrClosed
	default:
		return errInterrupted
	}
}
