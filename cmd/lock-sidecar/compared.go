package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// describe adds what the mirror knows to a status.
func (m *mirror) describe(s *client.Status) {
	a, down := m.router.Assignment()
	s.Mode, s.Epoch, s.Percent, s.Repos = string(a.Mode), a.Epoch, a.Percent, append([]string{}, a.Repos...)
	s.FallenBack, s.Manual, s.Shared, s.Reason = a.FallenBack, a.Manual, a.Shared, a.Reason
	if a.FallenBack {
		s.FallenBackSince = &a.At
	}
	if down != nil {
		s.Down = down.Error()
	}
	s.OwnID, s.Postponed, s.Conflicts = m.legacy.OwnerID(), m.keeper.Postpone.Reason(), len(m.conflicts.List())
	for _, z := range m.freezes.List() {
		s.Frozen = append(s.Frozen, z.Glob)
	}
	s.SafeFallback, s.SafeFallbackReason = m.keeper.SafeFallback()
	s.Legacy.Whole, _ = m.keeper.LegacyWhole()
	if a.Mode != shadow.Legacy {
		m.describeEnhanced(s, a)
	}
}

// describeEnhanced adds how the enhanced store does, and what was compared.
func (m *mirror) describeEnhanced(s *client.Status, a shadow.Assignment) {
	backlog := m.backlog() // before the state: what is no longer wanted is then known to be done, and not the time before
	state, totals := m.reconciler.State(), m.ledger.Totals()
	s.StoreID, s.SoleOwner = state.StoreID, soleOwner(state)
	following := m.toEnhanced.Backlog() // what legacy lacks says nothing about the enhanced store
	s.Enhanced = m.enhanced(state, following.Dirty == 0 && !following.All)
	if s.Legacy.Error == "" && state.OfLegacy {
		s.Legacy.Error = state.Err.Error()
	}
	s.Enhanced.Lost = int(state.Lost)
	if byKind, known := m.census.Enhanced(); known && a.Answers(shadow.EnhancedSide) {
		counts := countsOf(byKind)
		total := counts.Total()
		s.Enhanced.ByKind, s.Enhanced.Records = &counts, &total
	}
	s.Backfill = progress(state, backlog.All)
	s.Mirror = client.Mirror{Pending: backlog.Pending, Dirty: backlog.Dirty, LagSeconds: backlog.Lag.Seconds()}
	if backlog.All {
		s.Mirror.Dirty = max(s.Mirror.Dirty, s.Backfill.Total-s.Backfill.Done)
	}
	sum := totals.Comparisons()
	s.Comparisons = client.Comparisons{Match: int(sum.Match), Mismatch: int(sum.Mismatch), Ignored: int(sum.Ignored)}
	if !totals.Since.IsZero() {
		s.Comparisons.Since = &totals.Since
	}
	s.Divergences = client.Divergences{Total: int(totals.Divergences), Unresolved: int(totals.Unresolved)}
	if v := totals.Verify; v != nil {
		s.Verify = &client.Verify{At: v.At, Compared: v.Compared, Differences: v.Differences}
	}
}

// soleOwner is nil while the store is away: whoever took it over then is not
// known. One that refuses this sidecar as another's has said enough.
func soleOwner(s reconcile.State) *bool {
	if !s.Joined && !errors.Is(s.Err, locking.ErrNotOwner) {
		return nil
	}
	return new(s.Joined && s.Sole())
}

// enhanced is how the follower's store does. It is away if it is not the one it
// was, or if the breaker is not closed.
func (m *mirror) enhanced(state reconcile.State, inStep bool) *client.Enhanced {
	guard := m.guard.Health()
	e := &client.Enhanced{Kind: m.backend.kind, At: m.backend.at, Breaker: string(guard.State)}
	switch {
	case !state.Joined:
		e.AwaySince, e.Error = &state.Since, errorText(state.Err)
	case guard.State != breaker.Closed:
		e.AwaySince = &guard.Since
		if guard.Err != nil {
			e.Error = guard.Err.Error()
		}
	case state.Err != nil && !state.OfLegacy:
		e.Error = state.Err.Error()
	}
	e.Healthy = e.Error == "" && e.AwaySince == nil && inStep
	return e
}

func errorText(err error) string {
	if err == nil {
		return "not looked at yet"
	}
	return err.Error()
}

// progress is that of making every record equal, which has begun when all are
// to be made so.
func progress(state reconcile.State, all bool) client.Backfill {
	b := client.Backfill{State: state.Progress.State, Done: state.Progress.Done, Total: state.Progress.Total}
	if all && b.State != "running" && b.State != "failed" {
		return client.Backfill{State: "running"}
	}
	return b
}

func noMirror(mode string) client.Verdict {
	return client.Verdict{Verdict: client.VerdictNone, Reason: "mode " + mode + ": there is no second store to compare with"}
}

func (m *mirror) verify(ctx context.Context) (client.Verdict, error) {
	v, err := m.reconciler.Verify(ctx)
	return m.verdict(ctx, v, err)
}

func (m *mirror) repair(ctx context.Context, dry bool) (client.Verdict, error) {
	v, err := m.reconciler.Repair(ctx, dry)
	verdict, err := m.verdict(ctx, v, err)
	if err == nil && !dry && verdict.Verdict == client.VerdictDifferent {
		verdict.Repaired = verdict.Different - verdict.Conflicts
	}
	return verdict, err
}

// undecided counts the differences that are conflicts, which a repair leaves to
// an operator.
func (m *mirror) undecided(v reconcile.Verified) (n int) {
	for _, c := range m.conflicts.List() {
		if slices.ContainsFunc(v.Differing, func(d compare.Divergence) bool { return d.Record == c.Record }) {
			n++
		}
	}
	return n
}

// verdict tells a follower that cannot be reached, which is an error, from one
// that is only behind.
func (m *mirror) verdict(ctx context.Context, v reconcile.Verified, err error) (client.Verdict, error) {
	switch joined := m.reconciler.State().Joined; {
	case errors.Is(err, reconcile.ErrBehind):
		return client.Verdict{Verdict: client.VerdictNone, Reason: err.Error()}, nil
	case err != nil && joined && ctx.Err() != nil:
		return client.Verdict{Verdict: client.VerdictNone, Reason: "the time was too short to compare every record"}, nil
	case err != nil:
		return client.Verdict{}, err
	}
	verdict := client.Verdict{Verdict: string(v.Verdict), Compared: v.Compared, Different: len(v.Differing), Conflicts: m.undecided(v)}
	if v.Verdict == compare.None {
		verdict.Reason = "neither store has a record: nothing was compared"
	}
	since := m.firstSeen()
	a, _ := m.router.Assignment()
	for _, d := range v.Differing[:min(len(v.Differing), client.MaxListed)] {
		difference := client.Difference{
			Kind: string(d.Kind), Record: d.Record, LegacyHolder: holder(d.Legacy), EnhancedHolder: holder(d.Enhanced),
		}
		if key, err := locking.ParseKey(d.Record); err == nil {
			difference.Answers = string(a.Authority(key.Route()))
		}
		if at, known := since[d.Record]; known {
			difference.AgeSeconds = time.Since(at).Seconds()
		}
		verdict.Differences = append(verdict.Differences, difference)
	}
	return verdict, nil
}

// firstSeen is when each record that differs was first found to.
func (m *mirror) firstSeen() map[string]time.Time {
	seen := map[string]time.Time{}
	for _, d := range m.ledger.Unresolved() {
		seen[d.Record] = d.At
	}
	return seen
}

// holder is who has a lock; of other records it is the digest of the value.
func holder(s compare.Side) string {
	if s.Holder == "" && s.Digest != "" {
		return "sha256 " + s.Digest
	}
	return s.Holder
}

// found lists the divergences.
func (m *mirror) found() client.DivergenceList {
	l := client.DivergenceList{Total: int(m.ledger.Totals().Divergences)}
	for _, d := range m.ledger.Recent(client.MaxListed) {
		l.Divergences = append(l.Divergences, shown(d))
	}
	return l
}

func shown(d compare.Divergence) client.Divergence {
	c := client.Divergence{
		ID: d.ID, At: d.At, LastSeen: d.Last, Seen: d.Seen, Kind: string(d.Kind), Record: d.Record, Operation: string(d.Operation),
		Legacy: side(d.Legacy), Enhanced: side(d.Enhanced), Cause: d.Cause, Request: d.Request,
	}
	if d.Resolved != nil {
		c.Resolved = &client.Resolution{At: d.Resolved.At, How: d.Resolved.How}
	}
	return c
}

func side(s compare.Side) client.Side {
	return client.Side{Holder: s.Holder, Digest: s.Digest, Version: s.Version, LatencySeconds: s.Latency.Seconds()}
}

// refill begins to make every record equal on the side that follows, or as soon as
// the store is there.
func (m *mirror) refill() client.Backfill {
	const why = "asked for by an operator"
	a, _ := m.router.Assignment()
	if a.Answers(shadow.LegacySide) {
		m.toEnhanced.MarkAll(why)
	}
	if a.Answers(shadow.EnhancedSide) {
		m.toLegacy.MarkAll(why)
	}
	return progress(m.reconciler.State(), true)
}
