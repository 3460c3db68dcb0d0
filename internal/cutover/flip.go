package cutover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Request is what an operator wants to be the mode.
type Request struct {
	Mode    shadow.Mode
	Percent *int     // nil: as it is
	Repos   []string // nil: as they are
	Reason  string
	Force   bool // though a guard speaks against it
	AtQuiet bool // hold no command: wait for a moment without one
}

// Flip changes the mode while commands go on, and returns when that is done. It
// goes the whole way, over the modes between. It returns a *Guard if it must not
// be, and what went wrong otherwise; the result says how far it got.
func (k *Keeper) Flip(ctx context.Context, r Request) (client.ModeResult, error) {
	a, _ := k.Router.Assignment()
	done, err := k.flip(ctx, r)
	k.notDone("mode", r.Reason, a, r.asked(), err)
	return done, err
}

// asked is what a request is about, for the audit log.
func (r Request) asked() map[string]string {
	asked := map[string]string{"asked_for": string(r.Mode)}
	if r.Percent != nil {
		asked["percent"] = strconv.Itoa(*r.Percent)
	}
	if r.Repos != nil {
		asked["repos"] = strings.Join(r.Repos, " ")
	}
	if r.Force {
		asked["force"] = "true"
	}
	return asked
}

func (k *Keeper) flip(ctx context.Context, r Request) (client.ModeResult, error) {
	end, err := k.begin(ctx)
	if err != nil {
		return client.ModeResult{}, err
	}
	defer end()
	a, _ := k.Router.Assignment()
	to, err := k.wanted(a, r)
	if err != nil {
		return client.ModeResult{}, err
	}
	if to.Same(a) {
		return result(a, nil, nil, "this is the mode already"), nil
	}
	if err := k.mayFlip(ctx, a, to, r); err != nil {
		return client.ModeResult{}, err
	}
	var steps []string
	var moved []*passage
	for _, next := range k.way(a, to) {
		p, err := k.step(ctx, next, r)
		if p != nil {
			moved = append(moved, p)
		}
		now, _ := k.Router.Assignment()
		if err != nil {
			return result(now, steps, moved, ""), stayed(now, steps, err)
		}
		steps = append(steps, Describe(now))
	}
	now, _ := k.Router.Assignment()
	k.keep(Act{Name: "mode", Actor: Operator, Reason: r.Reason, From: a, To: now, Details: r.asked()})
	k.keepRemotely(ctx)
	k.Reconciler.Look()
	return result(now, steps, moved, k.warning(now)), nil
}

// stayed says where a flip of several steps has stopped.
func stayed(now shadow.Assignment, steps []string, err error) error {
	if len(steps) == 0 {
		return err
	}
	var guard *Guard
	if errors.As(err, &guard) {
		return &Guard{Reason: fmt.Sprintf("stopped in mode %s: %s", Describe(now), guard.Reason), Unmet: guard.Unmet}
	}
	return fmt.Errorf("stopped in mode %s: %w", Describe(now), err)
}

func (k *Keeper) warning(a shadow.Assignment) string {
	if safe, why := k.SafeFallback(); !safe && a.Mode != shadow.Enhanced && a.Answers(shadow.EnhancedSide) {
		return "no safe fallback yet: " + why
	}
	return ""
}

// wanted is the assignment that a request asks for.
func (k *Keeper) wanted(a shadow.Assignment, r Request) (shadow.Assignment, error) {
	to := shadow.Assignment{Mode: r.Mode, Shared: a.Shared}
	if r.Mode == shadow.Hybrid {
		to.Percent, to.Repos = a.Percent, a.Repos
		if a.Mode != shadow.Hybrid {
			to.Percent, to.Repos = k.Want.Percent, k.Want.Repos
		}
		if r.Percent != nil {
			to.Percent = *r.Percent
		}
		if r.Repos != nil {
			to.Repos = slices.Clone(r.Repos)
		}
		if to.Percent == 0 && len(to.Repos) == 0 {
			return to, refuse("mode hybrid without a share is mode shadow: say --percent or --repos")
		}
	}
	to.Epoch, to.Reason, to.At = a.Epoch, r.Reason, time.Now().UTC()
	if to.Above(shadow.Shadow) {
		to.StoreID = k.Reconciler.State().StoreID
	}
	if state := k.Reconciler.State(); to.Above(shadow.Shadow) && isOthers(state.Err) {
		return to, refuse("the enhanced store is not this sidecar's: %v", state.Err)
	}
	if a.FallenBack && to.Above(shadow.Shadow) {
		return to, refuse("legacy answers since the enhanced store failed; `lock-sidecar return` ends that, and then the mode can be changed")
	}
	return to, nil
}

// mayFlip returns why a flip must not be.
func (k *Keeper) mayFlip(ctx context.Context, a, to shadow.Assignment, r Request) error {
	if why := k.Postpone.Reason(); why != "" {
		return refuse("flips are postponed: %s; remove the file %s to allow them", why, PostponeName)
	}
	if a.Shared && (to.Mode != shadow.Primary && to.Mode != shadow.Enhanced) {
		return refuse("other sidecars use the enhanced store: only the modes primary and enhanced let all of them ask the same store")
	}
	if _, down := k.Router.Assignment(); down != nil {
		if a.Mode == shadow.Enhanced { // not even with Force: every lock would be free
			return refuse("atlantis.db is retired, it holds no lock, and the enhanced store, which holds them all, does not answer: %v; bring it or a backup of it back; to begin anew without any lock, stop and start with an empty data directory", down)
		}
		if to.Above(shadow.Shadow) || !r.Force {
			return refuse("the enhanced store does not answer and atlantis.db may lack what it has answered: %v; bring it back, or go on with atlantis.db as it is with `mode shadow --force --reason`", down)
		}
		return nil
	}
	if !up(a, to) || r.Force {
		return nil
	}
	ready, err := k.Ready(ctx, to)
	if err != nil {
		return err
	}
	if !ready.Ready {
		return &Guard{Reason: fmt.Sprintf("not ready for mode %s", Describe(to)), Unmet: unmet(ready)}
	}
	return nil
}

// up reports whether the enhanced store would answer for more than now.
func up(a, to shadow.Assignment) bool {
	rank := func(a shadow.Assignment) int { return slices.Index(shadow.Modes(), a.Mode) }
	switch {
	case to.Mode == shadow.Legacy, to.Mode == shadow.Shadow:
		return false
	case rank(a) == rank(to):
		return to.Percent > a.Percent || !slices.Equal(a.Repos, to.Repos)
	}
	return rank(to) > rank(a)
}

func unmet(r client.Readiness) (items []client.ReadinessItem) {
	for _, item := range r.Items {
		if !item.OK {
			items = append(items, item)
		}
	}
	return items
}

// way is the steps from an assignment to another.
func (k *Keeper) way(a, to shadow.Assignment) []shadow.Assignment {
	plain := func(m shadow.Mode) shadow.Assignment {
		next := shadow.Assignment{Mode: m, Shared: to.Shared, Reason: to.Reason, At: to.At}
		if next.Above(shadow.Shadow) {
			next.StoreID = to.StoreID
			if next.StoreID == "" {
				next.StoreID = a.StoreID
			}
		}
		return next
	}
	var way []shadow.Assignment
	switch {
	case a.Mode == shadow.Enhanced && to.Mode != shadow.Primary:
		way = append(way, plain(shadow.Primary))
	case a.Mode == shadow.Legacy && to.Mode != shadow.Shadow:
		way = append(way, plain(shadow.Shadow))
	}
	switch {
	case to.Mode == shadow.Legacy && a.Mode != shadow.Shadow:
		way = append(way, plain(shadow.Shadow))
	case to.Mode == shadow.Enhanced && a.Mode != shadow.Primary:
		way = append(way, plain(shadow.Primary))
	}
	return append(way, to)
}

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
		return p, k.inTurn(ctx, a, true, func() error { return k.giveUpEnhanced(ctx, p) })
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

// startFollowing lets the enhanced store follow legacy, from mode legacy on.
func (k *Keeper) startFollowing(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.Router.ToEnhanced.Suspect("mode legacy: nobody followed")
		k.Router.Assign(p.to, nil)
		k.setUnkept(true)
		k.Reconciler.Look()
		return nil
	})
}

// alone makes a change while no command is under way: one that nobody follows
// must not end under an assignment in which somebody does.
func (k *Keeper) alone(ctx context.Context, p *passage, change func(context.Context) error) error {
	if _, err := k.Router.Hold(func(string) bool { return true }, false); err != nil {
		return err
	}
	began := time.Now()
	defer func() { p.held = max(p.held, time.Since(began)) }()
	defer k.Router.Release()
	bounded, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	if err := k.Router.Emptied(bounded); err != nil {
		return k.gaveUp(err)
	}
	return change(bounded)
}

// stopFollowing leaves the enhanced store as it is, from mode shadow on. It is
// told so: nobody will ask it any more. A command that is followed must not come
// after one that is not: they would be compared.
func (k *Keeper) stopFollowing(ctx context.Context, p *passage) error {
	err := k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.Router.Assign(p.to, nil)
		k.setUnkept(false)
		return nil
	})
	if err == nil && k.Reconciler.State().Joined {
		bounded, cancel := context.WithTimeout(ctx, probeBudget)
		defer cancel()
		_ = k.Enhanced.SetMode(bounded, p.to.Epoch, p.to.Encode()) // atlantis.db knows it, and decides
	}
	return err
}

// retire empties atlantis.db, after a backup, so that nobody ever trusts what
// would be old locks there soon.
func (k *Keeper) retire(ctx context.Context, p *passage) error {
	a, to := p.from, p.to
	if err := k.awaitFollower(ctx, shadow.LegacySide); err != nil {
		return err
	}
	if err := k.compare(ctx); err != nil {
		return err
	}
	if err := k.inTurn(ctx, a, false, func() error { return k.stopStandby(ctx, p) }); err != nil {
		return err
	}
	name := filepath.Join(filepath.Dir(k.Legacy.Path()), fmt.Sprintf("%s.retired-%d", filepath.Base(k.Legacy.Path()), to.Epoch))
	backup, err := k.Legacy.Retire(ctx, to.Encode(), name)
	failpoint.Hit("retire-kept")
	if err != nil {
		if errors.Is(err, locking.ErrUnknownResult) {
			k.setUnsure(err)
		}
		a.Epoch = to.Epoch + 1
		back := &passage{from: to, to: a}
		return errors.Join(fmt.Errorf("retire legacy: %w", err),
			k.inTurn(ctx, to, true, func() error { return k.reinstate(context.WithoutCancel(ctx), back) }))
	}
	k.Router.ToLegacy.Forget()
	k.setUnkept(true)
	k.Logger.Info("legacy is retired", "backup", backup)
	return nil
}

// stopStandby lets the enhanced store answer alone. Atlantis.db goes on to say
// mode primary, without the mark, until it is empty.
func (k *Keeper) stopStandby(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.Router.ToLegacy.Drain(ctx); err != nil {
			return k.gaveUp(err)
		}
		if err := k.Router.Standby.Off("legacy is being retired"); err != nil {
			return err
		}
		failpoint.Hit("retire-unmarked")
		k.Router.Assign(p.to, nil)
		return nil
	})
}

// reinstate lets legacy follow again after it was retired. It is filled anew, and
// whole after that.
func (k *Keeper) reinstate(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.Router.Standby.Alone("legacy is being filled anew"); err != nil {
			return err
		}
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.Router.ToLegacy.Suspect("legacy was retired")
		k.Router.Assign(p.to, nil)
		k.setUnkept(true)
		k.Reconciler.Look()
		return nil
	})
}

// giveUpEnhanced goes on with atlantis.db for good, from a fallback or because an
// operator says so.
func (k *Keeper) giveUpEnhanced(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.toLegacy(p.to, "the enhanced store was given up")
		return nil
	})
}

func result(a shadow.Assignment, steps []string, moved []*passage, warning string) client.ModeResult {
	r := client.ModeResult{
		Mode: string(a.Mode), Epoch: a.Epoch, Percent: a.Percent, Repos: append([]string{}, a.Repos...),
		Steps: append([]string{}, steps...), Warning: warning,
	}
	for _, p := range moved {
		r.HeldMS = max(r.HeldMS, float64(p.held.Microseconds())/1000)
		r.Drained += p.drained
		r.MovedRoutes += p.routes
	}
	return r
}

// Admit lets another sidecar work on the enhanced store. This one gives its
// fallback up first, durably: whoever is admitted may rely on that.
func (k *Keeper) Admit(ctx context.Context, sidecar, reason string) ([]string, error) {
	a, _ := k.Router.Assignment()
	all, err := k.admit(ctx, sidecar, reason)
	k.notDone("admit", reason, a, map[string]string{"sidecar": sidecar}, err)
	return all, err
}

func (k *Keeper) admit(ctx context.Context, sidecar, reason string) ([]string, error) {
	end, err := k.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	a, down := k.Router.Assignment()
	state := k.Reconciler.State()
	switch {
	case down != nil || !state.Joined:
		return nil, fmt.Errorf("%w: admitting needs it", ErrAway)
	case !state.Owner:
		return nil, refuse("the enhanced store belongs to another sidecar: only that one can admit others")
	case a.Mode != shadow.Primary && a.Mode != shadow.Enhanced || a.FallenBack:
		return nil, refuse("mode %s: several sidecars can share an enhanced store only where it answers for all routes, in primary or enhanced", Describe(a))
	}
	if !a.Shared {
		if err := k.inTurn(ctx, a, false, func() error { return k.share(ctx, a) }); err != nil {
			return nil, err
		}
	}
	all, err := k.Reconciler.Admit(ctx, sidecar)
	now, _ := k.Router.Assignment()
	if err != nil {
		return nil, fmt.Errorf("%w: admit %s: %w", ErrAway, sidecar, err)
	}
	k.keepRemotely(ctx)
	k.keep(Act{Name: "admit", Actor: Operator, Reason: reason, From: a, To: now, Details: map[string]string{"sidecar": sidecar}})
	return all, nil
}

// share gives up the fallback for good.
func (k *Keeper) share(ctx context.Context, a shadow.Assignment) error {
	p := &passage{from: a, to: a}
	p.to.Shared, p.to.Epoch, p.to.At, p.to.Reason = true, a.Epoch+1, time.Now().UTC(), "another sidecar was admitted"
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		if err := k.Router.Standby.Off(noStandby(p.to)); err != nil {
			return err
		}
		k.Router.Assign(p.to, nil)
		k.setUnkept(true)
		return nil
	})
}
