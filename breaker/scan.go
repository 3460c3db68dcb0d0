package breaker

import (
	"context"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// scan reads the store once. It returns the error that is to be yielded last.
func (s *Store) scan(ctx context.Context, match locking.Pattern, yield func(locking.Record, error) bool) error {
	done, err := s.admit(ctx)
	if err != nil {
		return err
	}
	counted := errCallerLeft // should the caller's loop panic
	defer func() { done(counted) }()
	err = s.walk(ctx, match, yield)
	counted = result(ctx, err)
	return err
}

// walk hands on what the store yields. The clock stops while the caller has a
// record in hand, and a panic in the caller's loop is the caller's.
func (s *Store) walk(ctx context.Context, match locking.Pattern, yield func(locking.Record, error) bool) (err error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clock := time.AfterFunc(s.options.Budget, func() { cancel(context.DeadlineExceeded) })
	defer clock.Stop()
	inStore := true
	defer func() {
		if !inStore {
			return
		}
		if p := recover(); p != nil {
			err = s.panicked(p)
		}
	}()
	for record, err := range s.store.Scan(within, match) {
		if err != nil {
			return s.overBudget(ctx, within, err)
		}
		clock.Stop()
		inStore = false
		more := yield(record, nil)
		inStore = true
		if !more {
			return nil
		}
		clock.Reset(s.options.Budget)
	}
	return nil
}
