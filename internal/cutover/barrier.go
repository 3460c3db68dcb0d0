package cutover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// holdLimit is how long commands are held at most until a flip keeps the new
	// mode. It gives up then, and stays where it was. The commit that keeps the mode
	// is waited for: nobody may answer before it is known what it left.
	holdLimit = 450 * time.Millisecond
	// quietEvery is how often a flip that waits for a quiet moment looks for one.
	quietEvery = 2 * time.Millisecond
	// drainAhead is how long the followers have to catch up before anything is held.
	drainAhead = 5 * time.Second
	// aheadUpTo is how many changes may wait for the followers when a hold begins:
	// they are made in some ten milliseconds.
	aheadUpTo = 64
)

// passage is one way through the barrier.
type passage struct {
	from, to shadow.Assignment
	quiet    bool // wait for a moment without a command, and hold none
	trust    bool // the caller has just compared all records

	held    time.Duration
	drained int
	routes  int
}

// pass moves routes from one store to the other. Only their commands are held,
// and none fails. Both stores are equal when it switches: all records were
// compared before, everything since then was done on both and compared too, and
// nothing is left to do. After an error who answers has not changed.
func (k *Keeper) pass(ctx context.Context, p *passage) (err error) {
	mismatches := k.Ledger.Totals().Comparisons().Mismatch
	if !p.trust {
		if err := k.compare(ctx); err != nil {
			return err
		}
	}
	if p.to.Answers(shadow.EnhancedSide) {
		defer func() { // the last of all, and also if it could not be made durable
			if err != nil && !p.from.Answers(shadow.EnhancedSide) {
				k.ease(ctx)
			}
		}()
		if err := k.Enhanced.SetDurable(ctx, true); err != nil {
			return fmt.Errorf("%w: %w", ErrAway, err)
		}
	}
	p.routes = k.count(ctx, p)
	for {
		if err := k.drainAhead(ctx); err != nil {
			return err
		}
		if leave, err := k.hold(ctx, p); err != nil {
			return err
		} else if leave != nil {
			defer leave()
			break
		}
		if err := sleep(ctx, quietEvery); err != nil {
			return refuse("no quiet moment: commands of these routes are under way all the time, nothing has changed; "+
				"raise --timeout, or go without --at-quiet: commands are held for some milliseconds then: %v", err)
		}
	}
	began := time.Now()
	defer func() { p.held = time.Since(began); k.metrics.held.Observe(p.held.Seconds()) }()
	defer k.Router.Release()
	failpoint.Hit("flip-held")
	bounded, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	return k.move(bounded, p, mismatches)
}

// ease lets an enhanced store that follows from now on leave the disk to legacy. That it
// fails costs time only.
func (k *Keeper) ease(ctx context.Context) {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeBudget)
	defer cancel()
	_ = k.Enhanced.SetDurable(bounded, false)
}

// hold takes the turn and holds commands; with quiet only if there is nothing to
// wait for, else leave is nil.
func (k *Keeper) hold(ctx context.Context, p *passage) (leave func(), err error) {
	leave, err = k.take(ctx)
	if err != nil {
		return nil, err
	}
	held, err := k.Router.Hold(p.moves, p.quiet)
	if held && p.quiet && k.pending() > 0 {
		k.Router.Release()
		held = false
	}
	if !held {
		leave()
		return nil, err
	}
	p.drained = k.pending()
	return leave, nil
}

func (p *passage) moves(route string) bool { return p.from.Authority(route) != p.to.Authority(route) }

// compare compares all records.
func (k *Keeper) compare(ctx context.Context) error {
	v, err := k.Reconciler.Verify(ctx)
	switch {
	case errors.Is(err, reconcile.ErrBehind):
		return refuse("the stores are not in step, nothing has changed: %v", err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrAway, err)
	case v.Verdict == compare.Different:
		return refuse("%d of %d records differ between the stores, nothing has changed; look at them with `lock-sidecar verify`, and make them equal with `lock-sidecar repair`",
			len(v.Differing), v.Compared)
	}
	return nil
}

// move does, while commands are held, what makes a flip.
func (k *Keeper) move(ctx context.Context, p *passage, mismatches uint64) error {
	if err := k.Router.Emptied(ctx); err != nil {
		return gaveUp(holdLimit, err)
	}
	for _, side := range []shadow.Side{shadow.EnhancedSide, shadow.LegacySide} {
		f := k.Router.Follower(side)
		if err := f.Drain(ctx); err != nil {
			return gaveUp(holdLimit, err)
		}
		if b := f.Backlog(); !b.InStep() {
			return refuse("%d records of the %s store are not in step, nothing has changed; try again when `lock-sidecar status` says in step", max(b.Dirty, 1), side)
		}
	}
	if now := k.Ledger.Totals().Comparisons().Mismatch; !p.trust && now != mismatches {
		return refuse("%d operations differed between the stores meanwhile, nothing has changed; look at `lock-sidecar divergences`", now-mismatches)
	}
	if n := len(k.Router.Conflicts.List()); n > 0 && p.to.Answers(shadow.EnhancedSide) {
		return refuseConflicts(n)
	}
	if k.Router.InDoubt() {
		return refuse("the enhanced store has not answered for a change, nothing has changed; try again")
	}
	if a, down := k.Router.Assignment(); a.Epoch != p.from.Epoch || down != nil {
		return refuse("the enhanced store failed meanwhile")
	}
	failpoint.Hit("flip-drained")
	if k.standbyOn(p.to) && k.standbyOn(p.from) {
		if whole, why := k.Router.Standby.Whole(); !whole {
			return refuse("legacy is not whole any more, nothing has changed: %s", why)
		}
	} else if k.standbyOn(p.to) {
		if err := k.Router.Standby.Declare(k.markContent(p.to)); err != nil {
			return fmt.Errorf("mark legacy as whole: %w", err)
		}
	}
	if err := ctx.Err(); err != nil { // on such a disk the commit that follows would take as long again
		return gaveUp(holdLimit, err)
	}
	failpoint.Hit("flip-marked")
	if err := k.keepLocally(ctx, p.to); err != nil {
		return err
	}
	failpoint.Hit("flip-kept")
	k.Router.Assign(p.to, nil)
	failpoint.Hit("flip-switched")
	k.setUnkept(true)
	k.Asked()
	return nil
}

// refuseConflicts is why a store does not answer that holds locks which somebody
// else has taken.
func refuseConflicts(n int) error {
	return refuse("locks that somebody else has changed in the enhanced store meanwhile: %d; decide on each with `lock-sidecar conflicts list`", n)
}

func gaveUp(limit time.Duration, err error) error {
	return refuse("commands were held for %s and there was still work to do; they go on, nothing has changed; try again: %v", limit, err)
}

// drainAhead lets the followers catch up, so that little is left to do while
// commands are held.
func (k *Keeper) drainAhead(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, drainAhead)
	defer cancel()
	for k.pending() > aheadUpTo {
		if err := sleep(bounded, quietEvery); err != nil {
			return refuse("%d changes wait for the follower, nothing has changed; try again when it has caught up", k.pending())
		}
	}
	return nil
}

func (k *Keeper) pending() int {
	return k.Router.ToEnhanced.Backlog().Pending + k.Router.ToLegacy.Backlog().Pending
}

// count returns how many routes with records move.
func (k *Keeper) count(ctx context.Context, p *passage) int {
	routes := map[string]bool{}
	for record, err := range k.Router.Scan(ctx, locking.All) {
		if err != nil {
			return 0 // the number is for people
		}
		if route := record.Key.Route(); p.moves(route) {
			routes[route] = true
		}
	}
	return len(routes)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
