package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The times of a team, each 50 to 150 % of its value.
const (
	beforePlan    = 700 * time.Millisecond
	terraformRuns = 400 * time.Millisecond
	beforeRetry   = 1200 * time.Millisecond
	reviewTakes   = 1500 * time.Millisecond
	appliesStop   = 9 * time.Second
)

// event is a kind of thing that happens.
type event int

const (
	granted event = iota
	turnedAway
	bothAtOnce
	replanned
	appliesStopped
	wasMerged
)

// seat is somebody who works on one pull request after the other.
func (t *team) seat(ctx context.Context, r repository) error {
	for {
		if err := t.rest(ctx, beforePlan); err != nil {
			return err
		}
		projects := 1
		if t.chance(40) {
			projects = 2
		}
		if err := t.live(ctx, t.newPull(r, projects), nothing); err != nil {
			return err
		}
	}
}

func nothing() error { return nil }

// rivals are two pull requests that are opened in the same second for the same
// project. Both look at its lock before either takes it.
func (t *team) rivals(ctx context.Context) error {
	for {
		if err := t.rest(ctx, beforePlan); err != nil {
			return err
		}
		spot := newRendezvous()
		ends := make(chan error, 2)
		for range cap(ends) {
			p := t.newPull(contested(), 1)
			t.working.Go(func() {
				err := t.live(ctx, p, t.once(ctx, spot))
				t.ended(err)
				ends <- err
			})
		}
		if err := errors.Join(<-ends, <-ends); err != nil {
			return err
		}
	}
}

// once meets the rival at the first call.
func (t *team) once(ctx context.Context, spot *rendezvous) func() error {
	met := false
	return func() error {
		if met {
			return nil
		}
		met = true
		return spot.meet(ctx, t.home)
	}
}

// live is the life of a pull request: planned until all its locks are its own,
// reviewed, perhaps changed and planned again, applied, merged.
func (t *team) live(ctx context.Context, p pull, looked func() error) error {
	m := moments{
		looked:    looked,
		tried:     func(try attempt) { t.tell(p, try) },
		terraform: func() error { return t.rest(ctx, terraformRuns) },
	}
	if err := t.planAll(ctx, p, m); err != nil {
		return err
	}
	if t.chance(30) {
		t.happened(replanned, fmt.Sprintf("%s has a new commit: it gives its %s up and plans again", p, oneOrMany(len(p.projects), "lock", "locks")))
		if err := t.planAll(ctx, p, m); err != nil {
			return err
		}
	}
	if err := t.applyAll(ctx, p, m); err != nil {
		return err
	}
	freed, err := t.atlantis.merge(ctx, p)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.merged++
	t.open--
	t.mu.Unlock()
	t.happened(wasMerged, fmt.Sprintf("%s is applied and merged: %s free again", p, counted(freed, "lock is", "locks are")))
	return nil
}

// planAll plans until every lock is the pull request's own.
func (t *team) planAll(ctx context.Context, p pull, m moments) error {
	for {
		all, err := t.atlantis.plan(ctx, p, m)
		if err != nil || all {
			return err
		}
		if err := t.rest(ctx, beforeRetry); err != nil {
			return err
		}
	}
}

// applyAll applies when the review is done and nothing stops every apply.
func (t *team) applyAll(ctx context.Context, p pull, m moments) error {
	for {
		if err := t.rest(ctx, reviewTakes); err != nil {
			return err
		}
		done, err := t.atlantis.apply(ctx, p, m)
		if err != nil || done {
			return err
		}
	}
}

// tell says how an attempt to take a lock went.
func (t *team) tell(p pull, try attempt) {
	where := try.project.dir + "/" + try.project.workspace
	switch {
	case try.got:
		t.happened(granted, fmt.Sprintf("%s plans %s and has its lock", p, where))
	case try.refusal != "":
		t.happened(bothAtOnce, fmt.Sprintf("%s and a rival saw %s free at the same moment, and both tried to take it; this one is told:",
			p, where), try.refusal)
	default:
		t.happened(turnedAway, fmt.Sprintf("%s wants %s too, sees that #%d has it, marks its plan as failed and comes back later",
			p, where, try.heldBy))
	}
}

// operator stops every apply now and then.
func (t *team) operator(ctx context.Context) error {
	for {
		if err := t.rest(ctx, appliesStop); err != nil {
			return err
		}
		if err := t.atlantis.stopApplies(ctx); err != nil {
			return err
		}
		t.happened(appliesStopped, "somebody stops every apply for a moment, with "+applyLockKey)
		rested := t.rest(ctx, beforeRetry)
		if err := t.atlantis.allowApplies(ctx); err != nil {
			return err
		}
		if rested != nil {
			return rested
		}
	}
}
