package cutover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
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
	if err := k.retiring(); err != nil && to.Mode == shadow.Enhanced {
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
	if _, down := k.Router.Assignment(); down != nil {
		mayGiveUp := a.Mode != shadow.Enhanced && !a.Shared && !to.Above(shadow.Shadow) && r.Force
		if errors.As(down, new(*shadow.Unsure)) && !mayGiveUp {
			return refuse("%v; that is tried again until atlantis.db takes it, and then the mode can be changed", down)
		}
		if a.Mode == shadow.Enhanced { // not even with Force: every lock would be free
			return refuse("atlantis.db is retired, it holds no lock, and the enhanced store, which holds them all, does not answer: %v; bring it or a backup of it back; to begin anew without any lock, stop and start with an empty data directory", down)
		}
		if a.Shared {
			return refuse("the enhanced store, which other sidecars use too, does not answer, and atlantis.db lacks what it has answered: %v; bring it or a backup of it back; to begin anew without any lock, stop all of them and start with empty data directories and another redis.key-prefix", down)
		}
		if to.Above(shadow.Shadow) || !r.Force {
			return refuse("the enhanced store does not answer and atlantis.db may lack what it has answered: %v; bring it back, or go on with atlantis.db as it is with `mode shadow --force --reason`", down)
		}
		return nil
	}
	if a.Shared && to.Mode != shadow.Primary && to.Mode != shadow.Enhanced {
		return refuse("other sidecars use the enhanced store: only the modes primary and enhanced let all of them ask the same store")
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
