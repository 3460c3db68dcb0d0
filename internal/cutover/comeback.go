package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// flapWindow is how far back fallbacks count for the damping, and maxStay the
	// longest stay on legacy that it asks for.
	flapWindow = 10 * time.Minute
	maxStay    = 5 * time.Minute
	// returnBudget is how long one try to return may take, and how long an operator
	// waits for a store that is away.
	returnBudget = 10 * time.Second
)

// Return ends a fallback because an operator says so: at once with force, though
// the shortest stay is not over or a file postpones flips.
func (k *Keeper) Return(ctx context.Context, reason string, force bool) (client.ModeResult, error) {
	a, _ := k.Router.Assignment()
	done, err := k.goBack(ctx, reason, force)
	k.notDone("return", reason, a, nil, err)
	return done, err
}

func (k *Keeper) goBack(ctx context.Context, reason string, force bool) (client.ModeResult, error) {
	a, _ := k.Router.Assignment()
	if !a.FallenBack {
		return client.ModeResult{}, refuse("legacy has not taken over: there is nothing to return from")
	}
	if why := k.Postpone.Reason(); why != "" && !force {
		return client.ModeResult{}, refuse("flips are postponed: %s; remove the file %s to allow them", why, PostponeName)
	}
	for began := time.Now(); ; {
		p, err := k.tryReturn(ctx, Operator, reason)
		now, _ := k.Router.Assignment()
		var guard *Guard
		switch {
		case err == nil:
			return result(now, []string{Describe(now)}, []*passage{p}, k.warning(now)), nil
		case errors.As(err, &guard), !errors.Is(err, errNotYet):
			return result(now, nil, nil, ""), err
		case errors.Is(err, ErrAway) && time.Since(began) > returnBudget:
			return client.ModeResult{}, fmt.Errorf("legacy goes on answering: %w", err)
		}
		k.Reconciler.Look()
		if sleep(ctx, 50*time.Millisecond) != nil {
			return client.ModeResult{}, refuse("legacy goes on answering: %v", err)
		}
	}
}

// comeBack ends a fallback if everything is as it was before.
func (k *Keeper) comeBack(ctx context.Context) {
	a, _ := k.Router.Assignment()
	if k.demote(ctx, a) || a.Manual || k.Postpone.Reason() != "" || !k.stayedLongEnough() {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, returnBudget)
	defer cancel()
	if _, err := k.tryReturn(bounded, Itself, "the enhanced store is back"); err != nil && !errors.Is(err, errNotYet) {
		k.Logger.Warn("enhanced store is back, and legacy goes on answering for now", "error", err)
		_ = sleep(ctx, time.Second)
	}
}

// stayedLongEnough reports whether legacy has answered as long as it has to since
// the last fallback: longer with each one in a short time. It is judged on the
// monotonic clock. Of a fallback that an earlier process began nothing is known
// that a change of the wall clock could not have made up, so it counts from the
// start of this one: a restart costs a shortest stay at most.
func (k *Keeper) stayedLongEnough() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	since := k.began
	if n := len(k.fallbacks); n > 0 {
		since = k.fallbacks[n-1]
	}
	recent := k.fallbacks[:0]
	for _, at := range k.fallbacks {
		if time.Since(at) < flapWindow {
			recent = append(recent, at)
		}
	}
	k.fallbacks = recent
	stay := k.Breaker.MinFallback
	for range max(0, len(recent)-1) {
		stay = min(2*stay, maxStay)
	}
	return time.Since(since) >= stay
}

// errNotYet says that the enhanced store is not what it was before the fallback.
var errNotYet = errors.New("the enhanced store is not ready")

// tryReturn returns to the enhanced store if it is there and equal.
func (k *Keeper) tryReturn(ctx context.Context, actor, reason string) (*passage, error) {
	end, err := k.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	a, down := k.Router.Assignment()
	state := k.Reconciler.State()
	backlog := k.Router.ToEnhanced.Backlog()
	switch conflicts := len(k.Router.Conflicts.List()); {
	case !a.FallenBack || down != nil:
		return nil, refuse("legacy has not taken over")
	case !state.Joined:
		return nil, fmt.Errorf("%w: %w: %w", errNotYet, ErrAway, state.Err)
	case state.StoreID != a.StoreID || !state.Owner:
		return nil, fmt.Errorf("%w: it is not the one it was", errNotYet)
	case !backlog.InStep():
		return nil, fmt.Errorf("%w: records are being made equal", errNotYet)
	case conflicts > 0 && actor == Operator:
		return nil, refuseConflicts(conflicts)
	case conflicts > 0:
		return nil, fmt.Errorf("%w: there are conflicts", errNotYet)
	}
	next := a
	next.FallenBack, next.Manual, next.Epoch, next.At, next.Reason = false, false, a.Epoch+1, time.Now().UTC(), reason
	// Somebody else may have changed the store since it was made equal.
	if v, err := k.Reconciler.Verify(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotYet, err)
	} else if v.Verdict == compare.Different {
		k.Router.ToEnhanced.Suspect("somebody changed the enhanced store while legacy answered")
		k.Reconciler.Look()
		return nil, fmt.Errorf("%w: %d records differ", errNotYet, len(v.Differing))
	}
	if err := k.probe(ctx); err != nil { // it can be read, and the first write would leave it again
		return nil, fmt.Errorf("%w: it takes no writes: %w", ErrAway, err)
	}
	p := &passage{from: a, to: next, trust: true}
	if err := k.pass(ctx, p); err != nil {
		return nil, err
	}
	k.trust()
	k.act("return", actor, reason, a, next, "")
	if !k.standbyOn(next) {
		if err := k.Router.Standby.Off(noStandby(next)); err != nil {
			return nil, err
		}
	}
	k.keepRemotely(ctx)
	k.Logger.Info("enhanced store answers again", "epoch", next.Epoch, "held", p.held)
	return p, nil
}

// demote gives up the mode if the enhanced store that is there now is not the one
// that it belongs to.
func (k *Keeper) demote(ctx context.Context, a shadow.Assignment) bool {
	state := k.Reconciler.State()
	if !state.Joined || state.StoreID == a.StoreID || !state.Owner {
		return false
	}
	leave, err := k.take(ctx)
	if err != nil {
		return false
	}
	defer leave()
	now, _ := k.Router.Assignment()
	if now.Epoch != a.Epoch {
		return false
	}
	next := shadow.Assignment{
		Epoch: a.Epoch + 1, Mode: shadow.Shadow, Shared: a.Shared, At: time.Now().UTC(),
		Reason: fmt.Sprintf("the enhanced store was lost in mode %s", a.Mode),
	}
	if err := k.Router.Conflicts.Drop(); err != nil { // first: nothing else says that what they are about is gone
		k.Logger.Warn("conflicts not dropped", "error", err)
		return false
	}
	if err := k.keepLocally(ctx, next); err != nil {
		k.Logger.Warn("mode not kept", "error", err)
		return false
	}
	_ = k.Enhanced.SetDurable(ctx, false) // first: a flip may begin right after, and want it durable
	k.Router.Assign(next, nil)
	k.setUnkept(true)
	k.trust()
	_ = k.Router.Standby.Off("legacy answers")
	k.metrics.lost.Inc()
	k.Logger.Error("the enhanced store is not the one it was: the mode is shadow until it has proved itself", "was", Describe(a), "store_id", state.StoreID)
	k.act("demote", Itself, next.Reason, a, next, "")
	return true
}

// revive lets commands in again when the enhanced store answers again, though
// legacy could not take over meanwhile.
func (k *Keeper) revive(ctx context.Context) {
	leave, err := k.take(ctx)
	if err != nil {
		return
	}
	defer leave()
	a, down := k.Router.Assignment()
	if down == nil {
		return
	}
	if err := k.rejoin(ctx, a); err != nil {
		switch whole, _ := k.Router.Standby.Whole(); {
		case isOthers(err):
			k.disown(a)
			k.retell(a, down, othersMayWrite, err)
		case whole:
			k.leaveDown(ctx, a, err)
		case errors.Is(err, locking.ErrStoreLost):
			_, why := k.safeFallback(a)
			k.retell(a, down, why, err)
		}
		return
	}
	if err := k.Router.Settle(ctx, true); err != nil {
		return
	}
	if k.Legacy.PutBack() != "" { // from now on atlantis.db is what it will be made equal to
		if err := k.keepLocally(ctx, a); err != nil {
			return
		}
	}
	k.Asked()
	k.Reconciler.Back()
	k.mu.Lock()
	k.downSince = time.Time{}
	k.mu.Unlock()
	k.Router.Assign(a, nil)
	k.trust() // what it has answers, whoever wrote it
	k.Logger.Info("enhanced store answers again")
	k.act("revive", Itself, "the enhanced store answers again", a, a, "")
	k.Reconciler.Look()
}

// retell gives those who are refused the cause as it is now: a store that is there
// again, and is not the one it was or another's, is not looked for in the network.
func (k *Keeper) retell(a shadow.Assignment, down error, why string, cause error) {
	if now := k.downError(fmt.Sprintf("%s (%v)", why, cause)); now.Error() != down.Error() {
		k.setDown(a, now)
	}
}

// leaveDown falls back after all: what was against it is over.
func (k *Keeper) leaveDown(ctx context.Context, a shadow.Assignment, cause error) {
	if _, err := k.Router.Hold(func(string) bool { return true }, false); err != nil {
		return
	}
	defer k.Router.Release()
	if err := k.tryLeave(ctx, a, cause, Itself); err != nil {
		k.Logger.Debug("legacy must not take over", "error", err)
	}
}

// rejoin looks whether the enhanced store is there, and the one it was.
func (k *Keeper) rejoin(ctx context.Context, a shadow.Assignment) error {
	if k.Reconciler.State().StoreID == "" || isOthers(k.Reconciler.State().Err) {
		// Nothing was joined by this process, or somebody else has it now: what is there
		// is made sure of, and contents that are not those are not answered from.
		bounded, cancel := context.WithTimeout(ctx, joinAtStart)
		defer cancel()
		if err := k.Reconciler.Join(bounded); err != nil {
			return err
		}
		if k.Reconciler.State().StoreID != a.StoreID {
			return locking.ErrStoreLost
		}
		k.Router.ToLegacy.Suspect("the enhanced store was away at the start")
		if err := k.Router.Standby.Alone("it is being made equal after a start"); err != nil {
			return err
		}
	} else if k.Reconciler.State().StoreID != a.StoreID {
		return locking.ErrStoreLost
	} else if err := k.probe(ctx); err != nil {
		return err
	}
	return k.Enhanced.SetDurable(ctx, true) // a try before may have got no further than the join
}
