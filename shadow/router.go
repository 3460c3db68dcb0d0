package shadow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	// maxTries is how often a command asks an enhanced store that fails. The second
	// failure makes the sidecar leave it, where it can.
	maxTries = 4
	// maxTurns is how often it is begun at all: also because the store was about to
	// be left, or in doubt.
	maxTurns = 16
	// settleBudget is how long the enhanced store has, once it has answered a probe,
	// to take back what it has made of a change, and as long to show what there is:
	// commands are held meanwhile.
	settleBudget = 200 * time.Millisecond
	// settleLimit is how long legacy has to take that, all of it, before the enhanced
	// store goes on alone. The operation that failed took 400 ms and the probe 200; the
	// command that is begun anew may take 400 ms again and wait a second for legacy:
	// with this, Atlantis has its answer before the 3 s after which it asks again.
	settleLimit = 500 * time.Millisecond
)

// RouterOptions are what a Router works with. Legacy and Assignment are
// required; without the rest there is no mode but legacy.
type RouterOptions struct {
	Assignment Assignment // at first
	Legacy     locking.Store
	// Enhanced is the enhanced store where it answers: its operations have a budget
	// below what Atlantis waits for.
	Enhanced   locking.Store
	ToEnhanced *Follower // does on the enhanced store what legacy did
	ToLegacy   *Follower // does on legacy what the enhanced store did
	Standby    *Standby
	Conflicts  *Conflicts
	Freezes    *Freezes
	// Failed is called when the enhanced store failed as the authority, with the
	// epoch in which it did and when the operation that failed was begun: zero if
	// the store was not asked, because it was about to be left or in doubt. It
	// returns when the command can be begun anew, or why it cannot. It may be called
	// for many commands at once, and for callers who have left.
	Failed func(ctx context.Context, epoch uint64, began time.Time, cause error) error
	// Logger gets each operation of a command, at level debug; nil discards them.
	Logger hclog.Logger
}

// Router is the store that commands go to. It asks the authority of their
// route, and tells the follower what the authority has done.
type Router struct {
	RouterOptions
	gate  *gate
	order *order
	now   func() time.Time

	commands, failures atomic.Uint64
	distrust           atomic.Bool
	leaving            atomic.Bool
	kinds              sync.Map // of compare.Operation that was sent

	mu      sync.Mutex
	unknown map[locking.Key]struct{}      // what legacy did to them, as the authority, may still be under way
	doubt   map[locking.Key][]locking.Key // what the enhanced store did to them, in one call with these, is not in legacy
}

var _ locking.Store = (*Router)(nil)

// NewRouter returns a router that lets commands in.
func NewRouter(o RouterOptions) *Router {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Router{
		RouterOptions: o, gate: newGate(o.Assignment), order: newOrder(), now: time.Now,
		unknown: map[locking.Key]struct{}{}, doubt: map[locking.Key][]locking.Key{},
	}
}

// Assignment tells who answers, and why commands of the enhanced store's routes
// are refused, nil if they are not.
func (r *Router) Assignment() (Assignment, error) { return r.gate.now() }

// Follower returns what follows on a side, nil if nothing ever does.
func (r *Router) Follower(side Side) *Follower {
	if side == EnhancedSide {
		return r.ToEnhanced
	}
	return r.ToLegacy
}

// Get is documented at locking.Store. It is always answered by the authority,
// live.
func (r *Router) Get(ctx context.Context, key locking.Key) (record locking.Record, err error) {
	err = r.run(ctx, []string{key.Route()}, func(a Assignment) error {
		began := r.now()
		record, err = r.read(ctx, a, key)
		trace(r.Logger, a.Authority(key.Route()), locking.CallOf(ctx), r.now().Sub(began), err)
		record = tagged(record, a.Epoch)
		return err
	})
	return record, err
}

func (r *Router) read(ctx context.Context, a Assignment, key locking.Key) (locking.Record, error) {
	if a.Authority(key.Route()) == EnhancedSide {
		return r.getEnhanced(ctx, a, key)
	}
	return r.getLegacy(ctx, a, key)
}

// Scan is documented at locking.Store. What it yields is compared by verify. All
// of it is read before anything is yielded, so that a slow reader holds nobody.
func (r *Router) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		var records []locking.Record
		err := r.run(ctx, []string{everyRoute}, func(a Assignment) (err error) {
			records, err = r.list(ctx, a, match)
			return err
		})
		if err != nil {
			yield(locking.Record{}, err)
			return
		}
		for _, record := range records {
			if !yield(record, nil) {
				return
			}
		}
	}
}

// Apply is documented at locking.Store. The follower hears of it before the
// next command for any of its keys is begun. The keys of all changes must have
// the same authority, else the changes are ErrBadBatch. It returns *locking.Frozen
// for a command that takes a lock which an operator has frozen.
func (r *Router) Apply(ctx context.Context, changes []locking.Change) (outcomes []locking.Outcome, err error) {
	if err := locking.CheckBatch(changes); err != nil {
		return nil, err
	}
	freezes, end := r.taking(ctx, changes)
	defer end()
	routes := routesOf(keysOf(changes))
	err = r.run(ctx, routes, func(a Assignment) error {
		side := a.Authority(routes[0])
		for _, route := range routes[1:] {
			if a.Authority(route) != side {
				return fmt.Errorf("%w: in mode %s two stores answer for them", locking.ErrBadBatch, a.Mode)
			}
		}
		began := r.now()
		outcomes, err = r.change(ctx, a, freezes, untagged(changes, a.Epoch))
		trace(r.Logger, side, locking.CallOf(ctx), r.now().Sub(began), err)
		for i := range outcomes {
			outcomes[i].Before = tagged(outcomes[i].Before, a.Epoch)
			outcomes[i].Version = tag(outcomes[i].Version, a.Epoch)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// applyAt makes changes at the authority, which is the same for all.
func (r *Router) applyAt(ctx context.Context, a Assignment, changes []locking.Change) ([]locking.Outcome, error) {
	keys := keysOf(changes)
	if a.Authority(keys[0].Route()) == EnhancedSide {
		return r.applyEnhanced(ctx, a, keys, changes)
	}
	return r.applyLegacy(ctx, a, keys, changes)
}

// refusal is an error that is no failure of the enhanced store.
type refusal struct{ error }

func (e *refusal) Unwrap() error { return e.error }

// enhancedError is a failure of the enhanced store as the authority.
type enhancedError struct {
	error
	began time.Time // when it was asked
}

func (e *enhancedError) Unwrap() error { return e.error }

// failure is an error of the enhanced store, if it is more than an answer.
func failure(began time.Time, err error) error {
	if answered(err) {
		return err
	}
	return &enhancedError{err, began}
}

// run runs a command inside of its routes, and anew as long as the enhanced
// store fails and somebody else can answer, or it answers again. A failure is told
// though the caller has left.
func (r *Router) run(ctx context.Context, routes []string, command func(Assignment) error) error {
	for tries, turns := 0, 1; ; turns++ {
		a, leave, err := r.gate.enter(ctx, routes...)
		if err != nil {
			return r.counted(ctx, err)
		}
		err = command(a)
		leave()
		began, failed := failed(ctx, err)
		if !failed || r.Failed == nil {
			return r.counted(ctx, err)
		}
		if !began.IsZero() {
			tries++
		}
		told := r.Failed(ctx, a.Epoch, began, err)
		switch {
		case ctx.Err() != nil, told == nil && (tries == maxTries || turns == maxTurns):
			return r.counted(ctx, err)
		case told != nil:
			return r.counted(ctx, told)
		}
	}
}

// counted counts a command that has ended, and returns its error.
func (r *Router) counted(ctx context.Context, err error) error {
	r.commands.Add(1)
	if !answered(err) && ctx.Err() == nil {
		r.failures.Add(1)
	}
	if op := compare.Operation(locking.CallOf(ctx).Op); op != "" {
		if _, known := r.kinds.Load(op); !known {
			r.kinds.Store(op, nil)
		}
	}
	return err
}

// Commands returns how many commands have ended since the start, and how many of
// them failed.
func (r *Router) Commands() (all, failed uint64) { return r.commands.Load(), r.failures.Load() }

// Kinds returns the operations that were sent since the start.
func (r *Router) Kinds() (kinds []compare.Operation) {
	r.kinds.Range(func(op, _ any) bool {
		kinds = append(kinds, op.(compare.Operation))
		return true
	})
	return kinds
}

// failed reports whether an error is a failure of the enhanced store as the
// authority, and when that was asked, zero if it was not. A write has had its time
// even if the caller has left; what else failed then says nothing.
func failed(ctx context.Context, err error) (began time.Time, failed bool) {
	var own *refusal
	var enhanced *enhancedError
	switch left := ctx.Err() != nil; {
	case errors.As(err, &own), errors.Is(err, locking.ErrClosed):
		return began, false
	case errors.Is(err, errLeaving), errors.Is(err, errInDoubt):
		return began, !left
	case errors.As(err, &enhanced):
		return enhanced.began, !left || errors.Is(err, locking.ErrUnknownResult)
	}
	return began, false
}

func keysOf(changes []locking.Change) []locking.Key {
	keys := make([]locking.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return keys
}
