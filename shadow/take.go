package shadow

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// taking returns the freezes under which a command begins, if it may take a lock. End
// must be called when it has ended, however often it was begun anew.
func (r *Router) taking(ctx context.Context, changes []locking.Change) (freezes []Freeze, end func()) {
	if r.Freezes == nil || !takes(ctx, changes) {
		return nil, func() {}
	}
	return r.Freezes.begin()
}

// change makes changes at the authority, unless one of them would give a lock that
// is frozen to a new holder.
func (r *Router) change(ctx context.Context, a Assignment, freezes []Freeze, changes []locking.Change) ([]locking.Outcome, error) {
	refusals := refusalsOf(freezes, changes)
	if refusals == nil {
		return r.applyAt(ctx, a, changes)
	}
	var outcomes []locking.Outcome
	for last := []locking.Change(nil); ; { // until no record has changed since it was looked at
		pinned, refused, err := r.pin(ctx, a, changes, refusals)
		switch {
		case refused != nil || err != nil:
			return refused, err
		case last != nil && sameVersions(last, pinned):
			return outcomes, nil // it was refused for another reason
		}
		if outcomes, err = r.applyAt(ctx, a, pinned); err != nil || outcomes[0].Applied {
			return outcomes, err
		}
		last = pinned
	}
}

// sameVersions reports whether changes that were pinned are on the same condition.
func sameVersions(these, those []locking.Change) bool {
	return slices.EqualFunc(these, those, func(a, b locking.Change) bool {
		_, _, one, _ := a.If.Parts()
		_, _, other, _ := b.If.Parts()
		return one == other
	})
}

// takes reports whether a command may take a project lock. The work of operators
// and of our own, which carries no command, is never frozen.
func takes(ctx context.Context, changes []locking.Change) bool {
	return locking.CallOf(ctx).Op != "" && slices.ContainsFunc(changes, puts)
}

func puts(c locking.Change) bool { return !c.Delete && c.Key.Kind() == locking.ProjectLock }

// refusalsOf are the refusals of those changes that may not make a new holder, nil
// if all may.
func refusalsOf(freezes []Freeze, changes []locking.Change) []*locking.Frozen {
	var refusals []*locking.Frozen
	for i, c := range changes {
		if !puts(c) {
			continue
		}
		if f := frozen(freezes, c.Key.Route()); f != nil {
			if refusals == nil {
				refusals = make([]*locking.Frozen, len(changes))
			}
			refusals[i] = f
		}
	}
	return refusals
}

// pin looks at the records that the changes meet. If they may be made, it returns
// them on condition that the records are still the same; else how they are
// refused: as by any store, or because a lock would get a new holder. The records
// are read like those of a GET.
func (r *Router) pin(ctx context.Context, a Assignment, changes []locking.Change, refusals []*locking.Frozen) (pinned []locking.Change, refused []locking.Outcome, err error) {
	met := make([]locking.Record, len(changes))
	for i, c := range changes {
		met[i], err = r.read(ctx, a, c.Key)
		if err != nil && !errors.Is(err, locking.ErrNotFound) {
			return nil, nil, err
		}
	}
	outcomes := locking.Meet(changes, met)
	if !outcomes[0].Applied {
		return nil, outcomes, nil
	}
	pinned = slices.Clone(changes)
	for i, c := range changes {
		if refusals[i] != nil && !goesOn(met[i], c.Value) {
			return nil, nil, refusals[i]
		}
		pinned[i].If = locking.AtVersion(met[i].Version)
	}
	return pinned, nil, nil
}

// goesOn reports whether a put leaves a lock to its holder.
func goesOn(has locking.Record, value []byte) bool {
	if !has.Exists() || bytes.Equal(has.Value, value) {
		return has.Exists()
	}
	holder, err := locking.OwnerOf(has.Value)
	if err != nil {
		return false
	}
	next, err := locking.OwnerOf(value)
	return err == nil && holder.Same(next)
}
