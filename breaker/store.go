package breaker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

var (
	// ErrOpen is returned by every method at once while the breaker is open, and
	// while it is half-open and enough trials are under way. The store was not
	// asked.
	ErrOpen = errors.New("circuit breaker is open")
	// ErrPanicked is returned for an operation that panicked in the store. A
	// change that did may have been made: locking.ErrUnknownResult comes with it.
	ErrPanicked = errors.New("store panicked")
)

// Options of New. All but Logger and Registerer must be positive.
type Options struct {
	// Budget is the time of one operation: of Get, of Apply, and of each wait
	// for the next record of a Scan. The reader's own time does not count.
	Budget time.Duration
	// FailureThreshold is how many failures in a row open the breaker.
	FailureThreshold int
	// Timeout is how long it is open before it lets a trial through.
	Timeout time.Duration
	// SuccessThreshold is how many trials must succeed to close it, and how many
	// run at a time. One that fails opens it again.
	SuccessThreshold int

	Logger     hclog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: no metrics
}

// Store guards a locking.Store. All methods are safe for concurrent use.
type Store struct {
	store   locking.Store
	options Options
	log     hclog.Logger
	panics  prometheus.Counter
	circuit atomic.Pointer[circuit]
}

var _ locking.Store = (*Store)(nil)

// New returns a guard around store, closed.
func New(store locking.Store, o Options) *Store {
	s := &Store{store: store, options: o, log: o.Logger}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	s.circuit.Store(newCircuit(o, s.log))
	s.register(o.Registerer)
	return s
}

// Health tells how the store does. It is current without traffic too.
func (s *Store) Health() Health { return s.circuit.Load().health() }

// Reset closes the breaker and forgets its failures, for whoever knows better
// that the store can be asked again. Operations under way no longer count.
func (s *Store) Reset() {
	s.circuit.Swap(newCircuit(s.options, s.log)).retire()
}

// Get is documented at locking.Store; it may also return ErrOpen and ErrPanicked.
func (s *Store) Get(ctx context.Context, key locking.Key) (record locking.Record, err error) {
	err = s.guard(ctx, func(ctx context.Context) (err error) {
		record, err = s.store.Get(ctx, key)
		return err
	})
	return record, err
}

// Apply is documented at locking.Store; it may also return ErrOpen and ErrPanicked.
func (s *Store) Apply(ctx context.Context, changes []locking.Change) (outcomes []locking.Outcome, err error) {
	err = s.guard(ctx, func(ctx context.Context) (err error) {
		outcomes, err = s.store.Apply(ctx, changes)
		return err
	})
	if errors.Is(err, ErrPanicked) {
		err = fmt.Errorf("%w: %w", locking.ErrUnknownResult, err)
	}
	return outcomes, err
}

// Scan is documented at locking.Store; it may also yield ErrOpen and
// ErrPanicked. Reading it once is one operation, however many records it has.
func (s *Store) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		if err := s.scan(ctx, match, yield); err != nil {
			yield(locking.Record{}, err)
		}
	}
}

// guard makes one call within the budget and counts how it went.
func (s *Store) guard(ctx context.Context, call func(context.Context) error) (err error) {
	done, err := s.admit(ctx)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, s.options.Budget)
	defer cancel()
	func() {
		defer func() {
			if p := recover(); p != nil {
				err = s.panicked(p)
			}
		}()
		err = call(within)
	}()
	err = s.overBudget(ctx, within, err)
	done(result(ctx, err))
	return err
}

// admit asks the breaker. A caller who has left already is not its matter.
func (s *Store) admit(ctx context.Context) (done func(error), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.circuit.Load().admit()
}

// overBudget says of an error that the budget was the cause, if it was.
func (s *Store) overBudget(ctx, within context.Context, err error) error {
	if isAnswer(err) || within.Err() == nil || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, context.Canceled) { // by a scan's clock: nobody else cancels it
		err = context.Cause(within)
	}
	return fmt.Errorf("no answer within %s: %w", s.options.Budget, err)
}

// errCallerLeft stands for an operation that says nothing about the store.
var errCallerLeft = errors.New("the caller left")

// result is what the breaker counts for an operation: nil is a success.
func result(ctx context.Context, err error) error {
	switch {
	case isAnswer(err):
		return nil
	case ctx.Err() != nil && !errors.Is(err, ErrPanicked):
		return errCallerLeft
	}
	return err
}

// isAnswer reports whether the store did its work.
func isAnswer(err error) bool {
	return err == nil || errors.Is(err, locking.ErrNotFound) || errors.Is(err, locking.ErrBadBatch)
}
