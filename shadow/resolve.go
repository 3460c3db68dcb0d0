package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

var (
	// ErrNoConflict: there is no conflict with this id.
	ErrNoConflict = errors.New("there is no conflict with this id")
	// ErrChanged: who would get the lock is not who was listed.
	ErrChanged = errors.New("the lock has changed hands since it was listed")
)

// Resolve ends a conflict: with keep LegacySide the enhanced store's record will
// be made equal to legacy's, with EnhancedSide legacy gets the record that is in
// the enhanced store now. Legacy must be the authority. It returns ErrChanged if
// that is another holder's by now: then the conflict is listed anew.
func (r *Router) Resolve(ctx context.Context, id uint64, keep Side) (Conflict, error) {
	var conflict Conflict
	for _, c := range r.Conflicts.List() {
		if c.ID == id {
			conflict = c
		}
	}
	key, err := locking.ParseKey(conflict.Record)
	if err != nil {
		return conflict, ErrNoConflict
	}
	a, leave, err := r.gate.enter(ctx, key.Route())
	if err != nil {
		return conflict, err
	}
	defer leave()
	release, err := r.order.hold(ctx, key)
	if err != nil {
		return conflict, err
	}
	defer release()
	if !slices.ContainsFunc(r.Conflicts.List(), func(c Conflict) bool { return c.ID == id }) { // decided while this one waited
		return conflict, ErrNoConflict
	}
	if a.Authority(key.Route()) != LegacySide {
		return conflict, errors.New("legacy does not answer for the record any more")
	}
	if err := r.decide(ctx, a, conflict, key, keep); err != nil {
		return conflict, err
	}
	if err := r.Conflicts.remove(key); err != nil {
		return conflict, err
	}
	r.ToEnhanced.MarkRecorded([]locking.Key{key})
	return conflict, nil
}

// decide gives both stores the record of one. The enhanced store's is written there
// again too, so that it is this sidecar's, and first: until legacy is written nobody
// else has the lock, and what is listed is true. Where the enhanced store was given up
// it need not be there: what it has is overwritten like any other record.
func (r *Router) decide(ctx context.Context, a Assignment, listed Conflict, key locking.Key, keep Side) error {
	right, err := r.kept(ctx, listed, key, keep)
	if err != nil || keep == LegacySide && !a.FallenBack {
		return err
	}
	change := locking.Delete(key, locking.Any())
	if right.Exists() {
		change = locking.Put(key, right.Value, locking.Any())
	}
	if _, err := r.ToEnhanced.store.Apply(ctx, []locking.Change{change}); err != nil {
		return fmt.Errorf("write the enhanced store: %w", err)
	}
	failpoint.Hit("conflict-enhanced-written")
	if _, err := r.Legacy.Apply(ctx, []locking.Change{change}); err != nil {
		return fmt.Errorf("write legacy: %w", err)
	}
	failpoint.Hit("conflict-legacy-written")
	return nil
}

// kept is the record that a decision keeps, if it is the listed holder's. Legacy's may
// have given it up.
func (r *Router) kept(ctx context.Context, listed Conflict, key locking.Key, keep Side) (locking.Record, error) {
	source, was := r.Legacy, listed.Legacy
	if keep == EnhancedSide {
		source, was = r.ToEnhanced.store, listed.Enhanced
	}
	right, err := getOrNone(ctx, source, key)
	if err != nil {
		return right, fmt.Errorf("read the record that is kept: %w", err)
	}
	now := compare.SideOf(right, 0)
	if cmp.Or(now.Holder, now.Digest) == cmp.Or(was.Holder, was.Digest) || keep == LegacySide && !right.Exists() {
		return right, nil
	}
	id, err := r.Conflicts.renew(key, keep, now)
	if err != nil {
		return right, err
	}
	return right, fmt.Errorf("%w: it is conflict %d now, look at `lock-sidecar conflicts list`", ErrChanged, id)
}
