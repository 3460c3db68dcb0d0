package shadow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// errLeaving is what a command gets that had to wait for its turn until the
// enhanced store was about to be left.
var errLeaving = errors.New("the enhanced store is about to be left")

// errInDoubt is what a command gets whose key the enhanced store has not
// answered for: what is there may not be in legacy.
var errInDoubt = errors.New("the enhanced store has not answered for this record")

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

// answered reports whether a store has done its work, or what an operator froze was
// refused.
func answered(err error) bool {
	var frozen *locking.Frozen
	return err == nil || errors.As(err, &frozen) || errors.Is(err, locking.ErrNotFound) || errors.Is(err, locking.ErrBadBatch)
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
	switch rest := slices.DeleteFunc(slices.Clone(keys), r.Conflicts.Has); {
	case len(rest) == len(keys):
		r.ToEnhanced.changed(locking.CallOf(ctx), changes, outcomes, r.now().Sub(began), false)
	case len(rest) > 0: // what is there of the conflict is kept, and the others are made equal
		r.ToEnhanced.passedOver(rest)
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
