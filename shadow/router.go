package shadow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
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
	// to show what it has made of a change: commands are held meanwhile.
	settleBudget = 200 * time.Millisecond
)

// errLeaving is what a command gets that had to wait for its turn until the
// enhanced store was about to be left.
var errLeaving = errors.New("the enhanced store is about to be left")

// ErrUnsettled: the enhanced store cannot be read though it seemed to be back.
// The doubt stays, and nobody has seen anything of it.
var ErrUnsettled = errors.New("the enhanced store cannot be read")

// errInDoubt is what a command gets whose key the enhanced store has not
// answered for: what is there may not be in legacy.
var errInDoubt = errors.New("the enhanced store has not answered for this record")

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
	unknown map[locking.Key]struct{} // what legacy did to them, as the authority, may still be under way
	doubt   map[locking.Key]struct{} // what the enhanced store did to them is not in legacy
}

var _ locking.Store = (*Router)(nil)

// NewRouter returns a router that lets commands in.
func NewRouter(o RouterOptions) *Router {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Router{
		RouterOptions: o, gate: newGate(o.Assignment), order: newOrder(), now: time.Now,
		unknown: map[locking.Key]struct{}{}, doubt: map[locking.Key]struct{}{},
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
		side, began := a.Authority(key.Route()), r.now()
		if side == EnhancedSide {
			record, err = r.getEnhanced(ctx, a, key)
		} else {
			record, err = r.getLegacy(ctx, a, key)
		}
		trace(r.Logger, side, locking.CallOf(ctx), r.now().Sub(began), err)
		record = tagged(record, a.Epoch)
		return err
	})
	return record, err
}

// getLegacy asks legacy. While somebody changes the key there is no telling
// before or after, so the answer is not compared: a read does not wait for its
// place in the order.
func (r *Router) getLegacy(ctx context.Context, a Assignment, key locking.Key) (locking.Record, error) {
	call := locking.CallOf(ctx)
	if _, followed := a.Follower(key.Route()); !followed || !compared(call) || r.Conflicts.Has(key) {
		return r.Legacy.Get(ctx, key)
	}
	_, busy, release := r.order.holdFree([]locking.Key{key})
	defer release()
	if len(busy) > 0 {
		return r.Legacy.Get(ctx, key)
	}
	began := r.now()
	record, err := r.Legacy.Get(ctx, key)
	if answered(err) {
		r.ToEnhanced.read(call, key, record, r.now().Sub(began))
	}
	return record, err
}

// getEnhanced asks the enhanced store. Where legacy is to take over, nothing may
// be shown that is not there yet, so that the read waits for a change of its key.
func (r *Router) getEnhanced(ctx context.Context, a Assignment, key locking.Key) (locking.Record, error) {
	if _, followed := a.Follower(key.Route()); !followed {
		began := r.now()
		record, err := r.Enhanced.Get(ctx, key)
		return record, failure(began, err)
	}
	release, err := r.order.hold(ctx, key)
	if err != nil {
		return locking.Record{}, err
	}
	defer release()
	if r.leaving.Load() {
		return locking.Record{}, errLeaving
	}
	if r.inDoubt(key) {
		return locking.Record{}, errInDoubt
	}
	if r.ToLegacy.lacks(key) {
		if err := r.Standby.mayAnswer(); err != nil {
			return locking.Record{}, &refusal{err}
		}
	}
	began := r.now()
	record, err := r.Enhanced.Get(ctx, key)
	if call := locking.CallOf(ctx); answered(err) && compared(call) {
		r.ToLegacy.read(call, key, record, r.now().Sub(began))
	}
	return record, failure(began, err)
}

// compared reports whether a read is worth a comparison of its own: one that is
// part of a change is compared with the change.
func compared(c locking.Call) bool { return c.Op == "get" || c.Op == "eval" }

// answered reports whether a store has done its work.
func answered(err error) bool {
	return err == nil || errors.Is(err, locking.ErrNotFound) || errors.Is(err, locking.ErrBadBatch)
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

// list reads what matches, each record from the store that answers for it.
func (r *Router) list(ctx context.Context, a Assignment, match locking.Pattern) (records []locking.Record, err error) {
	for _, side := range []Side{LegacySide, EnhancedSide} {
		if !a.Answers(side) {
			continue
		}
		began := r.now()
		for record, err := range r.store(side).Scan(ctx, match) {
			switch {
			case err != nil && side == EnhancedSide:
				return nil, failure(began, err)
			case err != nil:
				return nil, err
			}
			if a.Authority(record.Key.Route()) == side {
				records = append(records, tagged(record, a.Epoch))
			}
		}
	}
	return records, nil
}

func (r *Router) store(side Side) locking.Store {
	if side == EnhancedSide {
		return r.Enhanced
	}
	return r.Legacy
}

// Apply is documented at locking.Store. The follower hears of it before the
// next command for any of its keys is begun. The keys of all changes must have
// the same authority, else the changes are ErrBadBatch.
func (r *Router) Apply(ctx context.Context, changes []locking.Change) (outcomes []locking.Outcome, err error) {
	if err := locking.CheckBatch(changes); err != nil {
		return nil, err
	}
	keys := keysOf(changes)
	routes := routesOf(keys)
	err = r.run(ctx, routes, func(a Assignment) error {
		side := a.Authority(routes[0])
		for _, route := range routes[1:] {
			if a.Authority(route) != side {
				return fmt.Errorf("%w: in mode %s two stores answer for them", locking.ErrBadBatch, a.Mode)
			}
		}
		own, began := untagged(changes, a.Epoch), r.now()
		if side == EnhancedSide {
			outcomes, err = r.applyEnhanced(ctx, a, keys, own)
		} else {
			outcomes, err = r.applyLegacy(ctx, a, keys, own)
		}
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

func (r *Router) applyLegacy(ctx context.Context, a Assignment, keys []locking.Key, changes []locking.Change) ([]locking.Outcome, error) {
	if _, followed := a.Follower(keys[0].Route()); !followed {
		return r.Legacy.Apply(ctx, changes)
	}
	release, err := r.order.hold(ctx, keys...)
	if err != nil {
		return nil, err
	}
	defer release()
	if refused, err := r.conflicting(ctx, changes); refused != nil || err != nil {
		return refused, err
	}
	began := r.now()
	outcomes, err := r.Legacy.Apply(ctx, changes)
	if err != nil {
		r.lost(keys) // an error may have come after the change, and before it
		return nil, err
	}
	failpoint.Hit("legacy-applied")
	if !slices.ContainsFunc(keys, r.Conflicts.Has) { // else what is there is kept
		r.ToEnhanced.changed(locking.CallOf(ctx), changes, outcomes, r.now().Sub(began), false)
	}
	return outcomes, nil
}

// applyEnhanced lets the enhanced store decide. Where legacy is to take over, it
// returns when legacy has the change too, or when everybody knows that it has
// not. Once the store is asked the command goes on though its caller leaves:
// what it is about would be in doubt else.
func (r *Router) applyEnhanced(ctx context.Context, a Assignment, keys []locking.Key, changes []locking.Change) ([]locking.Outcome, error) {
	if _, followed := a.Follower(keys[0].Route()); !followed {
		return r.askEnhanced(ctx, nil, changes)
	}
	release, err := r.order.hold(ctx, keys...)
	if err != nil {
		return nil, err
	}
	defer release()
	if r.leaving.Load() {
		return nil, errLeaving
	}
	if slices.ContainsFunc(keys, r.inDoubt) {
		return nil, errInDoubt
	}
	if err := r.Standby.mayAnswer(); err != nil {
		return nil, &refusal{err}
	}
	began := r.now()
	outcomes, err := r.askEnhanced(ctx, keys, changes)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("enhanced-applied")
	// What is repeated may be what legacy has not got yet.
	waits := writes(changes, outcomes) || repeats(outcomes) && r.ToLegacy.owes(keys)
	follows := r.ToLegacy.changed(locking.CallOf(ctx), changes, outcomes, r.now().Sub(began), waits)
	if !waits || !r.Standby.waits() {
		return outcomes, nil
	}
	if err := r.followed(keys, follows); err != nil {
		return nil, err
	}
	failpoint.Hit("legacy-followed")
	return outcomes, nil
}

// askEnhanced makes changes in the enhanced store, within the budget that this
// has. The keys are in doubt if nobody knows what came of it.
func (r *Router) askEnhanced(ctx context.Context, keys []locking.Key, changes []locking.Change) ([]locking.Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	began := r.now()
	outcomes, err := r.Enhanced.Apply(context.WithoutCancel(ctx), changes)
	if errors.Is(err, locking.ErrUnknownResult) {
		r.setDoubt(keys)
	}
	if err != nil {
		return nil, failure(began, err)
	}
	return outcomes, nil
}

// followed waits until legacy has a change. If it can't have it, the enhanced
// store goes on alone. It takes no context: whoever comes next for the key relies on what is known then.
func (r *Router) followed(keys []locking.Key, follows <-chan verdict) error {
	why := "legacy had missed a change of the record"
	if follows != nil {
		clock := time.NewTimer(standbyBudget)
		defer clock.Stop()
		select {
		case v := <-follows:
			if v.err == nil && !v.differs {
				return nil
			}
			why = "legacy differed"
			if v.err != nil {
				why = "legacy failed: " + v.err.Error()
			}
		case <-clock.C:
			why = fmt.Sprintf("legacy took longer than %s", standbyBudget)
		}
	}
	if err := r.Standby.Alone(why); err != nil {
		r.ToLegacy.lost(keys) // so that nobody is shown what legacy may lack
		return &refusal{fmt.Errorf("%w: %w", locking.ErrUnknownResult, err)}
	}
	return nil
}

// writes reports whether any outcome is more than a refusal or a repetition.
func writes(changes []locking.Change, outcomes []locking.Outcome) bool {
	for i, o := range outcomes {
		if o.Applied && changes[i].Writes(o.Before) {
			return true
		}
	}
	return false
}

// repeats reports whether any outcome is more than a refusal.
func repeats(outcomes []locking.Outcome) bool {
	return slices.ContainsFunc(outcomes, func(o locking.Outcome) bool { return o.Applied })
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

// Leaving says that the enhanced store is about to be left, or not any more: who
// gets the turn of a key meanwhile need not try it.
func (r *Router) Leaving(yes bool) { r.leaving.Store(yes) }

func (r *Router) inDoubt(key locking.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, doubt := r.doubt[key]
	return doubt
}

// InDoubt reports whether it is not known of any record what the enhanced store
// did, as the authority.
func (r *Router) InDoubt() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.doubt) > 0
}

// LegacyLacks returns how many records legacy is known to lack, or to have another
// of than was answered. A change for which the enhanced store has not answered is
// none.
func (r *Router) LegacyLacks() (n int) {
	if r.ToLegacy.Backlog().All {
		n++
	}
	for _, key := range r.ToLegacy.Dirty() {
		if !r.inDoubt(key) {
			n++
		}
	}
	return n
}

func (r *Router) setDoubt(keys []locking.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.doubt[key] = struct{}{}
	}
}

// Settle ends all doubt about what the enhanced store did, after a Probe or a
// Join: no write without an answer can arrive any more. If it goes on answering,
// legacy gets what is there now, or is not whole; it returns the error of
// Standby.Alone, or ErrUnsettled.
func (r *Router) Settle(ctx context.Context, answers bool) error {
	r.mu.Lock()
	doubt := make([]locking.Key, 0, len(r.doubt))
	for key := range r.doubt {
		doubt = append(doubt, key)
	}
	r.mu.Unlock()
	if len(doubt) == 0 {
		return nil
	}
	if answers && r.ToLegacy != nil {
		r.ToLegacy.lost(doubt)
		err := r.settleDoubt(ctx, doubt)
		if errors.Is(err, ErrUnsettled) {
			return err
		} else if err == nil {
			// legacy has what is there
		} else if err := r.Standby.Alone("the enhanced store did not answer for a change in time"); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range doubt {
		delete(r.doubt, key)
	}
	return nil
}

// settleDoubt brings legacy what the enhanced store made of changes for which it
// has not answered. Nobody else touches their keys meanwhile.
func (r *Router) settleDoubt(ctx context.Context, doubt []locking.Key) error {
	var tasks []*task
	for _, key := range doubt {
		release, err := r.order.hold(ctx, key)
		if err != nil {
			return err
		}
		reading, cancel := context.WithTimeout(ctx, settleBudget)
		more, err := r.queueHeld(reading, LegacySide, []locking.Key{key}, task{kind: taskEqualize, call: locking.Call{Op: string(compare.Reconcile)}}, release)
		cancel()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
		tasks = append(tasks, more...)
	}
	return await(ctx, tasks).err
}

// lost tells that nobody knows what legacy, as the authority, has done to the
// keys, which are held, or will still do.
func (r *Router) lost(keys []locking.Key) {
	r.mu.Lock()
	for _, key := range keys {
		r.unknown[key] = struct{}{}
	}
	r.mu.Unlock()
	r.ToEnhanced.lost(keys)
}

// settled reads the authority's record of a key that is held, the zero Record
// if there is none, as it is when every change that was sent has been made or
// never will be. The enhanced store sees to that itself.
func (r *Router) settled(ctx context.Context, authority Side, key locking.Key) (locking.Record, error) {
	r.mu.Lock()
	_, unknown := r.unknown[key]
	r.mu.Unlock()
	if authority == EnhancedSide || !unknown {
		return getOrNone(ctx, r.store(authority), key)
	}
	// A change that never applies comes after all that were sent before it.
	met, err := r.Legacy.Apply(ctx, []locking.Change{locking.Delete(key, locking.AtVersion(math.MaxUint64))})
	if err != nil {
		return locking.Record{}, err
	}
	r.mu.Lock()
	delete(r.unknown, key)
	r.mu.Unlock()
	return met[0].Before, nil
}

func keysOf(changes []locking.Change) []locking.Key {
	keys := make([]locking.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return keys
}
