package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// departure is one decision about an enhanced store that failed, for which many
// commands may wait.
type departure struct {
	done chan struct{}
	err  error // read after done
}

// ErrDown is what commands get that only the enhanced store could answer.
var ErrDown = errors.New("the enhanced store does not answer, and legacy must not take over")

const othersMayWrite = "another sidecar may write to it"

func (k *Keeper) downError(why string) error {
	return fmt.Errorf("%w: %s", ErrDown, why)
}

// Failed decides what becomes of the routes that the enhanced store answers, when
// it has failed under an epoch: it is spared if it answers a probe, else legacy
// takes over, if nothing is lost by that. Began is when the operation that failed
// was, zero if none did. It returns nil when commands can be begun anew, or why
// they cannot.
func (k *Keeper) Failed(ctx context.Context, epoch uint64, began time.Time, cause error) error {
	k.mu.Lock()
	d := k.leaving
	if d == nil && !k.sinceSpare(began) && !k.Router.InDoubt() {
		k.mu.Unlock()
		return nil // it has answered since, and nothing is left of it
	}
	if d == nil {
		d = &departure{done: make(chan struct{})}
		k.leaving = d
		k.running.Go(func() {
			d.err = k.decide(epoch, began, cause, locking.CallOf(ctx).ID())
			k.mu.Lock()
			k.leaving = nil
			k.mu.Unlock()
			close(d.done)
		})
	}
	k.mu.Unlock()
	select {
	case <-d.done:
		return d.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *Keeper) decide(epoch uint64, began time.Time, cause error, request string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*endBudget)
	defer cancel()
	leave, err := k.take(ctx)
	if err != nil {
		return k.downError("a change of the mode is under way")
	}
	defer leave()
	a, down := k.Router.Assignment()
	if a.Epoch != epoch || down != nil {
		return down // it was decided already
	}
	k.Logger.Warn("enhanced store failed", "error", cause, "epoch", epoch, "request", request)
	enhanced := func(route string) bool { return a.Authority(route) == shadow.EnhancedSide }
	if _, err := k.Router.Hold(enhanced, false); err != nil {
		return k.downError(err.Error())
	}
	defer k.Router.Release()
	k.Router.Leaving(true)
	defer k.Router.Leaving(false)
	failpoint.Hit("leave-held")
	answers, cause := k.answers(ctx, cause)
	switch {
	case !answers:
		return k.leave(ctx, a, cause, Itself)
	case k.failsAgain(a, began):
		err := k.tryLeave(ctx, a, cause, Itself)
		if err == nil {
			return nil
		}
		k.Logger.Warn("enhanced store fails again and again, and legacy must not take over", "error", err)
	}
	return k.spareIt(ctx, a, began)
}

// answers reports whether the enhanced store answers a probe; if not, why it is to
// be left. A probe that finds another owner says more than the operation that only
// took too long.
func (k *Keeper) answers(ctx context.Context, cause error) (bool, error) {
	if errors.Is(cause, locking.ErrStoreLost) {
		return false, cause
	}
	if err := k.probe(ctx); err != nil {
		k.Logger.Warn("enhanced store does not answer a probe", "error", err)
		if isOthers(err) {
			cause = err
		}
		return false, cause
	}
	return true, cause
}

// failsAgain reports whether an operation failed that was begun after the store
// was spared, some moments ago, and legacy may take over: then it answers probes
// and nothing else. What was begun before says nothing new.
func (k *Keeper) failsAgain(a shadow.Assignment, began time.Time) bool {
	k.mu.Lock()
	again := k.sinceSpare(began) && time.Since(k.spare) < spared
	k.mu.Unlock()
	if !again {
		return false
	}
	whole, _ := k.Router.Standby.Whole()
	_, may := MayLeave(a, whole, k.Fallback, k.Reconciler.State().Sole())
	return may
}

// sinceSpare reports whether an operation was begun, and not before the store was
// last spared. The caller holds the lock of k.
func (k *Keeper) sinceSpare(began time.Time) bool { return !began.IsZero() && !began.Before(k.spare) }

// spareIt goes on with a store that answers a probe, while commands are held.
func (k *Keeper) spareIt(ctx context.Context, a shadow.Assignment, began time.Time) error {
	err := k.Router.Settle(ctx, true)
	if errors.Is(err, shadow.ErrUnsettled) { // it has failed again
		return k.leave(ctx, a, err, Itself)
	}
	if err != nil {
		k.Logger.Error("commands are refused", "error", err)
	}
	k.Asked()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sinceSpare(began) || time.Since(k.spare) > spared {
		k.spare = time.Now()
	}
	k.Logger.Info("enhanced store answers again and is spared")
	return nil
}

// leave lets legacy answer, while commands are held, or refuses commands if that
// could lose something.
func (k *Keeper) leave(ctx context.Context, a shadow.Assignment, cause error, actor string) error {
	err := k.tryLeave(ctx, a, cause, actor)
	if err == nil {
		return nil
	}
	down := k.downError(fmt.Sprintf("%v (%v)", err, cause))
	k.setDown(a, down)
	k.Reconciler.Gone(cause)
	k.mu.Lock()
	if k.downSince.IsZero() {
		k.downSince = time.Now()
	}
	k.mu.Unlock()
	k.act("refuse", actor, err.Error(), a, a, "commands are refused: "+cause.Error())
	return down
}

// setDown refuses commands of the enhanced store's routes, or leaves it to
// makeSure to do so.
func (k *Keeper) setDown(a shadow.Assignment, down error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.unsure {
		k.before = down
		return
	}
	k.Router.Assign(a, down)
}

func (k *Keeper) tryLeave(ctx context.Context, a shadow.Assignment, cause error, actor string) error {
	if isOthers(cause) {
		k.disown(a)
		return errors.New(othersMayWrite)
	}
	bounded, cancel := context.WithTimeout(ctx, endBudget)
	defer cancel()
	if err := k.Router.Emptied(bounded); err != nil {
		return err
	}
	if err := k.mayLeave(ctx, a); err != nil {
		return err
	}
	next := a
	next.FallenBack, next.Manual, next.Epoch = true, actor == Operator, a.Epoch+1
	next.Reason, next.At = cause.Error(), time.Now().UTC()
	// What still waits for legacy is what enhanced has refused: done after the switch
	// it could take a lock that legacy has just released. A slow disk is waited for.
	keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	err := k.Router.ToLegacy.Interrupt(keeping, func() (string, error) {
		if err := k.keepLocally(ctx, next); err != nil {
			return "", err
		}
		k.Router.ToLegacy.Forget()
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("legacy cannot take over: %w", err)
	}
	failpoint.Hit("leave-kept")
	k.toLegacy(next, "fell back: "+cmp.Or(cause.Error(), "by an operator"))
	failpoint.Hit("leave-switched")
	k.Reconciler.Gone(cause)
	k.Reconciler.Look()
	k.mu.Lock()
	k.fallbacks = append(k.fallbacks, time.Now())
	k.mu.Unlock()
	k.metrics.fallbacks.Inc()
	k.Logger.Warn("falling back to legacy locking system", "epoch", next.Epoch, "error", cause)
	k.act("fallback", actor, cause.Error(), a, next, "")
	return nil
}

// mayLeave returns why legacy must not take over, when the last command has ended
// that could have said so. While legacy is whole, what is queued for it are
// comparisons, which may show now that it is not what it should be.
func (k *Keeper) mayLeave(ctx context.Context, a shadow.Assignment) error {
	may := func() error {
		whole, _ := k.Router.Standby.Whole()
		if why, ok := MayLeave(a, whole, k.Fallback, k.Reconciler.State().Sole()); !ok {
			return errors.New(why)
		}
		return nil
	}
	if err := may(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, drainBudget)
	defer cancel()
	if err := k.Router.ToLegacy.Drain(bounded); err != nil {
		k.Logger.Warn("comparisons are left out", "error", err)
	}
	if n := k.Router.LegacyLacks(); n > 0 {
		return fmt.Errorf("legacy differs in %d records from what was answered", n)
	}
	return may()
}

// toLegacy switches to an assignment under which legacy answers for all routes,
// while commands are held.
func (k *Keeper) toLegacy(next shadow.Assignment, why string) {
	k.Router.ToLegacy.Forget()
	k.Router.ToEnhanced.Suspect(why)
	k.Router.Assign(next, nil)
	_ = k.Router.Settle(context.Background(), false) // legacy answers: there is nothing to fail
	k.setUnkept(true)
	k.mu.Lock()
	k.downSince, k.unsure = time.Time{}, false // atlantis.db has just kept it
	k.mu.Unlock()
}

// FallBack lets legacy answer because an operator says so, until an operator says
// otherwise.
func (k *Keeper) FallBack(ctx context.Context, reason string) (client.ModeResult, error) {
	a, _ := k.Router.Assignment()
	p := &passage{from: a}
	err := k.fallBack(ctx, reason, p)
	k.notDone("fallback", reason, a, nil, err)
	p.to, _ = k.Router.Assignment()
	if err == nil {
		p.routes = k.count(ctx, p)
	}
	return result(p.to, []string{Describe(p.to)}, []*passage{p}, ""), err
}

func (k *Keeper) fallBack(ctx context.Context, reason string, p *passage) error {
	leave, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	a, down := k.Router.Assignment()
	switch {
	case a.FallenBack && !a.Manual:
		next := a
		next.Manual, next.Epoch, next.Reason, next.At = true, a.Epoch+1, reason, time.Now().UTC()
		if err := k.keepLocally(ctx, next); err != nil {
			return err
		}
		k.Router.Assign(next, nil)
		k.act("fallback", Operator, reason, a, next, "")
		return nil
	case !a.Answers(shadow.EnhancedSide):
		return refuse("legacy answers already")
	case down != nil:
		return refuse("%v", down)
	}
	if safe, why := k.SafeFallback(); !safe {
		return refuse("no safe fallback: %s; nothing has changed", why)
	}
	enhanced := func(route string) bool { return a.Authority(route) == shadow.EnhancedSide }
	if _, err := k.Router.Hold(enhanced, false); err != nil {
		return err
	}
	began := time.Now()
	defer func() { p.held = time.Since(began) }()
	defer k.Router.Release()
	bounded, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	if err := k.tryLeave(bounded, a, errors.New(reason), Operator); err != nil {
		return refuse("%v; nothing has changed", err)
	}
	return nil
}
