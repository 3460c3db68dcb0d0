package reconcile

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// joinTimeout bounds one look at the store's identity.
	joinTimeout = 2 * time.Second
	// interruptTimeout bounds it together with the wait for what the follower is
	// doing at that moment, which has a budget of its own.
	interruptTimeout = 5 * time.Second
	// lookEvery is how often the store's identity is looked at while all is
	// well: an emptied store that nobody asks is noticed within this.
	lookEvery = 2 * time.Second
	// maxWait bounds the wait between two tries, so that a follower that is back
	// is equal again within some seconds.
	maxWait = 5 * time.Second
)

// neverStarted is why every key of a new store is to be made equal.
const neverStarted = "the store was never filled"

// olderDirectory is why every key is to be made equal of a store that was written
// to after the stop in order that the data directory tells of.
const olderDirectory = "the enhanced store was written to since the last stop (an older data directory was put back?)"

// dropped is why every key is to be made equal of a store that had done changes and
// could not commit them, as on a full disk: nothing that was durable is lost.
const dropped = "missed: changes that the enhanced store did not get to its disk"

// Guard is what the reconciler asks of the guard around the follower's store.
type Guard interface {
	locking.Store
	// Reset lets operations through again; the store has just answered.
	Reset()
}

// Options of a Reconciler. All but Watch, InStep, Recall, Unclean, Rate, Retried,
// RetryBase and Registerer are required.
type Options struct {
	Router *shadow.Router
	Legacy locking.Store
	Store  enhanced.Store
	Guard  Guard // around Store, where it follows
	Ledger *compare.Ledger
	Memory Memory
	Logger hclog.Logger
	// Watch is called in place of a Join while the enhanced store answers: then
	// nobody may adopt other contents behind its back.
	Watch func(context.Context) error
	// InStep is called when the followers have missed nothing, again and again.
	InStep func(context.Context) error
	// Recall adds to what is remembered of the store what is known elsewhere; nil:
	// nothing is.
	Recall func(*enhanced.Known)
	// Unclean is why changes may have been missed before this start, "" if none
	// were. What is overwritten then is recorded with it as the cause.
	Unclean string
	// Rate is how many keys a second are made equal at most; 0 is 20,000.
	Rate int
	// Retried is called for each try after one that failed; nil: nobody counts.
	Retried func()
	// RetryBase is the wait after a first failure, doubled to at most 5 s; 0 is 1 s.
	RetryBase time.Duration
	// Registerer gets the metric of stores that were lost, which is there in mode legacy
	// too: one that appears with what it counts shows no increase. nil: none.
	Registerer prometheus.Registerer
}

// Reconciler keeps the follower in step. Run does the work; the other methods
// are safe for concurrent use.
type Reconciler struct {
	Options
	now    chan struct{} // has an element when Run is to be woken
	again  atomic.Bool   // somebody wants Run to look now
	looked time.Time     // when the store was last joined; zero: it is to be joined now. Run's own.

	mu       sync.Mutex
	joined   bool
	last     enhanced.Joined // what the last Join found
	tookOver bool            // a Join of this process took the store over
	ahead    bool            // the first Join of this process found it ahead of what was remembered
	founded  bool            // a Join of this process made the store
	since    time.Time       // when joined last changed
	storeID  string
	err      error // why it is not joined, or the last try failed
	filled   bool  // every record was brought to this store once
	filling  bool  // none ever was: what it lacks is no divergence
	progress Progress
	lostN    uint64

	remembered Remembered // as saved last
}

// Progress of making every key equal.
type Progress struct {
	State string `json:"state"` // none, running, done, failed
	Done  int    `json:"done"`
	Total int    `json:"total"`
}

// State is what the reconciler knows of the follower's store.
type State struct {
	Joined   bool
	Since    time.Time // when Joined last changed
	StoreID  string
	Err      error
	OfLegacy bool // Err is a failure of legacy: the enhanced store is not to blame
	Progress Progress
	Lost     uint64 // how often the store was not the one it was
	Owner    bool   // this sidecar owns the store
	Admitted []string
	TookOver bool // it was another sidecar's until this process joined it
	Filled   bool // every record was brought to this store once
	Founded  bool // it had no contents, and this process made it
	// Ahead: it was written to since what the run before has left was remembered.
	Ahead bool
}

// Sole reports whether no other sidecar may write to the store.
func (s State) Sole() bool { return s.Owner && len(s.Admitted) == 0 }

// New returns a reconciler that has joined nothing yet.
func New(o Options) *Reconciler {
	if o.Rate == 0 {
		o.Rate = 20_000
	}
	if o.RetryBase == 0 {
		o.RetryBase = time.Second
	}
	if o.Retried == nil {
		o.Retried = func() {}
	}
	r := &Reconciler{Options: o, now: make(chan struct{}, 1), since: time.Now(), err: errors.New("not joined yet"), progress: Progress{State: "none"}}
	promauto.With(o.Registerer).NewCounterFunc(prometheus.CounterOpts{Name: "lock_sidecar_store_lost_total",
		Help: "Times that the enhanced store was not the one it had been: emptied, swapped, or older."}, func() float64 { return float64(r.State().Lost) })
	return r
}

// State returns what is known of the follower's store.
func (r *Reconciler) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return State{
		Joined: r.joined, Since: r.since, StoreID: r.storeID, Err: r.err, OfLegacy: errors.As(r.err, new(legacyError)), Progress: r.progress, Lost: r.lostN,
		Founded: r.founded, Owner: r.last.Owner, Admitted: r.last.Admitted, TookOver: r.tookOver, Filled: r.filled && !r.filling, Ahead: r.ahead,
	}
}

// Run keeps the follower in step until ctx ends.
func (r *Reconciler) Run(ctx context.Context) {
	wait := r.RetryBase
	failed := false
	for ctx.Err() == nil {
		if failed {
			r.Retried()
		}
		did, err := r.step(ctx)
		failed = err != nil
		switch {
		case err != nil:
			r.note(err)
			r.looked = time.Time{}                   // it may be another store
			if errors.Is(err, breaker.ErrPanicked) { // the store is there, and may do it now
				r.pause(ctx, r.RetryBase/20)
				continue
			}
			r.pause(ctx, wait)
			wait = min(2*wait, maxWait)
		default:
			r.recovered()
			wait = r.RetryBase
			if !did {
				r.idle(ctx)
			}
		}
	}
}

// step looks at the store, if it is time to, and does what is to be done now, if
// anything.
func (r *Reconciler) step(ctx context.Context) (did bool, err error) {
	a, _ := r.Router.Assignment()
	if a.Mode == shadow.Legacy { // the enhanced store stays untouched
		return false, nil
	}
	if r.again.Swap(false) || time.Since(r.looked) >= lookEvery {
		if err := r.look(ctx, a); err != nil {
			return false, err
		}
		r.looked = time.Now()
	}
	for _, side := range sides {
		worked, failed := r.follow(ctx, side)
		did = did || worked
		switch {
		case failed != nil: // legacy's disk must not keep the enhanced store from being made equal
			err = failed
		case worked && err == nil:
			return true, nil
		}
	}
	if did {
		return true, err
	}
	if r.InStep != nil {
		return false, ofLegacy(shadow.LegacySide, r.InStep(ctx))
	}
	return false, nil
}

// follow makes a side equal where it is known to lack something.
func (r *Reconciler) follow(ctx context.Context, side shadow.Side) (did bool, err error) {
	f := r.Router.Follower(side)
	if f == nil {
		return false, nil
	}
	switch b := f.Backlog(); {
	case b.All:
		return true, r.all(ctx, side, b)
	case b.Dirty > 0:
		return true, r.catchUp(ctx, side, false)
	}
	return false, nil
}

// legacyError is a failure of legacy, which could not be read, made equal or counted
// as whole: the enhanced store is not to blame.
type legacyError struct{ error }

func (e legacyError) Unwrap() error { return e.error }

func ofLegacy(side shadow.Side, err error) error {
	if err != nil && side == shadow.LegacySide {
		return legacyError{err}
	}
	return err
}

// sides are both, in the order in which they are made equal.
var sides = []shadow.Side{shadow.LegacySide, shadow.EnhancedSide}

// look finds out whether the enhanced store is there, and is the one it was.
func (r *Reconciler) look(ctx context.Context, a shadow.Assignment) error {
	if !a.Answers(shadow.EnhancedSide) || r.Watch == nil {
		return r.Join(ctx)
	}
	return r.Watch(ctx)
}

// Look lets Run look at the store at once.
func (r *Reconciler) Look() {
	r.again.Store(true)
	select {
	case r.now <- struct{}{}:
	default:
	}
}

// note keeps an error for status, and logs it when it is news.
func (r *Reconciler) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || r.err.Error() != err.Error() {
		r.Logger.Warn("follower is not in step", "error", err)
	}
	r.err = err
}

// recovered forgets the last error.
func (r *Reconciler) recovered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = nil
}

func (r *Reconciler) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// idle waits until something may be to do.
func (r *Reconciler) idle(ctx context.Context) {
	t := time.NewTimer(lookEvery)
	defer t.Stop()
	select {
	case <-r.dirtied(shadow.EnhancedSide):
	case <-r.dirtied(shadow.LegacySide):
	case <-r.now:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (r *Reconciler) dirtied(side shadow.Side) <-chan struct{} {
	if f := r.Router.Follower(side); f != nil {
		return f.Dirtied()
	}
	return nil
}
