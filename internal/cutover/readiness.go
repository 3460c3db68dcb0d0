package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Next is the mode that a migration goes to from an assignment.
func Next(a shadow.Assignment) shadow.Assignment {
	next := a
	next.FallenBack, next.Manual = false, false
	switch a.Mode {
	case shadow.Legacy:
		next.Mode = shadow.Shadow
	case shadow.Shadow:
		next.Mode, next.Percent = shadow.Hybrid, max(5, a.Percent)
	case shadow.Hybrid:
		next.Mode = shadow.Primary
	default:
		next.Mode = shadow.Enhanced
	}
	return next
}

// Ready is the checklist before an assignment, with its numbers. An error means
// that nobody can say.
func (k *Keeper) Ready(ctx context.Context, to shadow.Assignment) (client.Readiness, error) {
	a, down := k.Router.Assignment()
	r := client.Readiness{For: Describe(to)}
	add := func(name string, ok bool, have, want, hint string) {
		item := client.ReadinessItem{Name: name, OK: ok, Have: have, Want: want}
		if !ok {
			item.Hint = hint
		}
		r.Items = append(r.Items, item)
	}
	if postponed := k.Postpone.Reason(); postponed != "" {
		add("not postponed", false, postponed, "no file "+PostponeName, "remove the file "+PostponeName+" in the data directory")
	}
	if !to.Above(shadow.Shadow) {
		r.Ready = len(r.Items) == 0
		return r, nil
	}
	k.storeItems(a, down, add)
	k.evidenceItems(to, add)
	if err := k.fitnessItem(ctx, add); err != nil {
		return r, err
	}
	r.Ready = len(unmet(r)) == 0
	return r, nil
}

type adder func(name string, ok bool, have, want, hint string)

// storeItems are about both stores as they are now.
func (k *Keeper) storeItems(a shadow.Assignment, down error, add adder) {
	state := k.Reconciler.State()
	have := "answers"
	switch {
	case a.Mode == shadow.Legacy:
		have = "not in use"
	case down != nil:
		have = "refuses commands"
	case !state.Joined:
		have = "away: " + state.Err.Error()
	}
	add("enhanced store", have == "answers", have, "answers", "look at `lock-sidecar status`")
	owner, ownerHint := "sole owner", "a store that others may write to is no ground for a fallback: give each sidecar a redis.key-prefix of its own"
	switch {
	case !state.Joined && !errors.Is(state.Err, locking.ErrNotOwner):
		owner, ownerHint = "not known: the store is away", "look at `lock-sidecar status`"
	case a.Shared && len(state.Admitted) > 0 || a.Shared && !state.Owner:
		owner = "shared, no fallback"
	case !state.Owner:
		owner = "not the owner"
	case len(state.Admitted) > 0:
		owner = fmt.Sprintf("%d others admitted", len(state.Admitted))
	}
	add("owner", owner == "sole owner" || owner == "shared, no fallback", owner, "sole owner", ownerHint)
	back := "done"
	if !state.Filled {
		back = state.Progress.State
	}
	add("backfill", state.Filled, back, "done", "wait until every record was brought to the enhanced store")
	dirty, pending := 0, 0
	for _, side := range []shadow.Side{shadow.EnhancedSide, shadow.LegacySide} {
		b := k.Router.Follower(side).Backlog()
		dirty, pending = dirty+b.Dirty, pending+b.Pending
		if b.All {
			dirty = max(dirty, 1)
		}
	}
	add("in step", dirty == 0, fmt.Sprintf("%d records dirty, %d changes wait", dirty, pending), "0 records dirty", "wait; `lock-sidecar status` says why")
	if n := len(k.Router.Conflicts.List()); n > 0 {
		add("conflicts", false, fmt.Sprint(n), "0", "decide on each with `lock-sidecar conflicts list`")
	}
	if a.FallenBack {
		add("not fallen back", false, a.Reason, "the enhanced store answers", "`lock-sidecar return`, or wait for it")
	}
}

// evidenceItems are about what was compared with this enhanced store.
func (k *Keeper) evidenceItems(to shadow.Assignment, add adder) {
	t, want := k.Ledger.Totals(), k.Readiness
	since := time.Duration(0)
	if !t.Since.IsZero() {
		since = time.Since(t.Since)
	}
	add("compared for", since >= want.MinDuration, short(since), short(want.MinDuration), "wait")
	sum := t.Comparisons()
	compared := int(sum.Match + sum.Mismatch + sum.Ignored)
	add("compared operations", compared >= want.MinOperations, fmt.Sprint(compared), fmt.Sprint(want.MinOperations), "wait, or let Atlantis work")
	k.kindsItem(t, add)
	foreign, anew := "none", true
	if k.Legacy.Opened().Foreign {
		foreign, anew = "before this start; comparison began anew", !t.Since.Before(k.began)
	}
	add("foreign writes", anew, foreign, "none since comparison began", "what was compared before another program wrote to atlantis.db proves nothing")
	add("unexplained divergences", t.Unexplained <= uint64(want.MaxDivergences), fmt.Sprint(t.Unexplained), fmt.Sprintf("≤ %d", want.MaxDivergences),
		"find the reason of each in `lock-sidecar divergences`; then --force --reason, or new evidence with another redis.key-prefix")
	add("unresolved divergences", t.Unresolved == 0, fmt.Sprint(t.Unresolved), "0", "`lock-sidecar repair --dry-run` shows which store would be kept")
	have, ok := "never", false
	if v := t.Verify; v != nil {
		have, ok = fmt.Sprintf("%d compared, %d differ, %s ago", v.Compared, v.Differences, short(time.Since(v.At))), v.Compared > 0 && v.Differences == 0
	}
	add("verified both ways", ok, have, "some compared, none differs", "`lock-sidecar verify`")
	legacy, enhanced, writes := k.Latency.P95()
	fast := enhanced < want.LatencyFloor || float64(enhanced) <= want.MaxLatencyRatio*float64(legacy)
	slow := "a slow enhanced store makes every command slow: look at the network and the disk of Redis"
	if writes == 0 {
		slow = "wait for a write: they are measured anew with each start"
	}
	add("write latency", writes > 0 && fast, fmt.Sprintf("p95 %s, legacy %s, of %d", short(enhanced), short(legacy), writes),
		fmt.Sprintf("below %s or %.1f × legacy", short(want.LatencyFloor), want.MaxLatencyRatio), slow)
	if a, _ := k.Router.Assignment(); to.Mode == shadow.Enhanced && a.Mode != shadow.Enhanced {
		whole, why := k.LegacyWhole()
		add("legacy whole", whole, cmp.Or(why, "whole"), "whole", "wait; nothing is retired that is not equal")
	}
}

// kindsItem wants that every kind of operation that this Atlantis sends was
// compared. A listing is not, when it is sent: "verified both ways" is about what
// listings yield.
func (k *Keeper) kindsItem(t compare.Totals, add adder) {
	var counted, missing []string
	for _, op := range compare.Operations() {
		if op == compare.Scan {
			continue
		}
		if n := t.Operations[op].Match; n > 0 {
			counted = append(counted, fmt.Sprintf("%s %d", op, n))
		} else if slices.Contains(k.Router.Kinds(), op) {
			missing = append(missing, string(op))
		}
	}
	have := cmp.Or(strings.Join(counted, ", "), "none")
	if len(missing) > 0 {
		have += "; never " + strings.Join(missing, ", ")
	}
	add("kinds compared", len(missing) == 0 && len(counted) > 0, have, "each that Atlantis sends", "wait until each was compared")
}

// fitnessItem asks the server of the enhanced store.
func (k *Keeper) fitnessItem(ctx context.Context, add adder) error {
	if k.Fitness == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	unfit, err := k.Fitness(bounded)
	have := "fit"
	switch {
	case err != nil:
		have = "unknown: " + err.Error()
	case len(unfit) > 0:
		have = strings.Join(unfit, "; ")
	}
	add("fitness of the store", have == "fit", have, "fit", "a store that evicts or forgets loses locks: maxmemory-policy noeviction, and persistence")
	return nil
}

// short is a duration with two digits that matter.
func short(d time.Duration) string {
	switch {
	case d >= time.Hour:
		return fmt.Sprintf("%.1fh", d.Hours())
	case d >= time.Minute:
		return fmt.Sprintf("%.1fm", d.Minutes())
	case d >= time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000)
}
