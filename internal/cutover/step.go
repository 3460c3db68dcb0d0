package cutover

import (
	"context"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// step goes one step of the way.
func (k *Keeper) step(ctx context.Context, to shadow.Assignment, r Request) (*passage, error) {
	a, down := k.Router.Assignment()
	to.Epoch = a.Epoch + 1
	if to.Above(shadow.Shadow) && to.StoreID == "" { // it was not joined when the way was made
		if err := k.awaitFollower(ctx, shadow.EnhancedSide); err != nil {
			return nil, err
		}
		to.StoreID = k.Reconciler.State().StoreID
	}
	p := &passage{from: a, to: to, quiet: r.AtQuiet}
	switch { // the enhanced store may have failed since the flip was allowed
	case (down != nil || a.FallenBack) && to.Above(shadow.Shadow):
		return p, refuse("the enhanced store failed meanwhile; nothing more has changed")
	case down != nil && !r.Force:
		return p, refuse("the enhanced store does not answer and atlantis.db may lack what it has answered: %v", down)
	}
	switch {
	case down != nil, a.FallenBack:
		err := k.inTurn(ctx, a, true, func() error { return k.giveUpEnhanced(ctx, p) })
		if err == nil {
			k.ease(ctx)
		}
		return p, err
	case to.Mode == shadow.Legacy:
		return p, k.inTurn(ctx, a, false, func() error { return k.stopFollowing(ctx, p) })
	case a.Mode == shadow.Legacy:
		return p, k.inTurn(ctx, a, false, func() error { return k.startFollowing(ctx, p) })
	case to.Mode == shadow.Enhanced:
		return p, k.retire(ctx, p)
	case a.Mode == shadow.Enhanced:
		if err := k.inTurn(ctx, a, false, func() error { return k.reinstate(ctx, p) }); err != nil {
			return p, err
		}
		return p, k.awaitFollower(ctx, shadow.LegacySide)
	}
	for _, side := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
		if err := k.awaitFollower(ctx, side); err != nil {
			return p, err
		}
	}
	if to.Answers(shadow.EnhancedSide) && !to.Shared && !k.Reconciler.State().Owner {
		return p, refuse("the enhanced store belongs to another sidecar; only its owner decides about the mode")
	}
	if err := k.awaitWhole(ctx, a, to); err != nil {
		return p, err
	}
	if err := k.pass(ctx, p); err != nil {
		return p, err
	}
	return p, k.settleDown(ctx, to)
}

// inTurn changes who answers, unless that has changed already, or commands are
// refused by now and the change is not to give the enhanced store up.
func (k *Keeper) inTurn(ctx context.Context, from shadow.Assignment, giveUp bool, change func() error) error {
	leave, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	now, down := k.Router.Assignment()
	if now.Epoch != from.Epoch || down != nil && now.Above(shadow.Shadow) && !giveUp {
		return refuse("who answers has changed meanwhile: mode %s", Describe(now))
	}
	return change()
}

// settleDown does after a passage what needs no hold.
func (k *Keeper) settleDown(ctx context.Context, to shadow.Assignment) error {
	if !k.standbyOn(to) {
		if err := k.Router.Standby.Off(noStandbyOf(to)); err != nil {
			return fmt.Errorf("the mode is %s; %w", Describe(to), err)
		}
	}
	if !to.Answers(shadow.EnhancedSide) {
		_ = k.Enhanced.SetDurable(ctx, false) // it costs time only
	}
	return nil
}

func noStandbyOf(a shadow.Assignment) string {
	if !a.Answers(shadow.EnhancedSide) {
		return "legacy answers"
	}
	return noStandby(a)
}

// awaitFollower waits until what follows on a side has missed nothing.
func (k *Keeper) awaitFollower(ctx context.Context, side shadow.Side) error {
	f := k.Router.Follower(side)
	for {
		state := k.Reconciler.State()
		if state.Joined && f.Backlog().InStep() && (side == shadow.LegacySide || state.Filled) {
			return nil
		}
		k.Reconciler.Look()
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			if !state.Joined {
				return fmt.Errorf("%w: %w", ErrAway, state.Err)
			}
			return refuse("the %s store was not in step in time: %d records to go; try again, or with a longer --timeout", side, f.Backlog().Dirty)
		}
	}
}

// awaitWhole waits until legacy is whole, where it is a standby already: while
// it is not, commands that nothing holds do not wait for it.
func (k *Keeper) awaitWhole(ctx context.Context, a, to shadow.Assignment) error {
	for k.standbyOn(a) && k.standbyOn(to) {
		whole, why := k.Router.Standby.Whole()
		if whole {
			break
		}
		k.Reconciler.Look()
		if sleep(ctx, 20*time.Millisecond) != nil {
			return refuse("legacy is not whole, nothing has changed: %s", why)
		}
	}
	return nil
}
