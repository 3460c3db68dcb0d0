package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// abreast is how many partitions are made equal at a time.
	abreast = 4
	// reportEvery is the time between two log lines of progress.
	reportEvery = 2 * time.Second
)

// all makes every key equal on a side: those of the authority, and those that
// only the follower has. What legacy lacks then it was never given.
func (r *Reconciler) all(ctx context.Context, side shadow.Side, b shadow.Backlog) error {
	r.mu.Lock()
	filling := r.filling || side == shadow.LegacySide
	r.mu.Unlock()
	keys, err := r.everyKey(ctx)
	if err != nil {
		r.progressed(Progress{State: "failed"})
		return err
	}
	total, left := 0, 0
	for i, part := range keys { // a try that failed, for one slow answer of a store perhaps, has made some equal
		total += len(part)
		keys[i] = r.Router.Follower(side).Unequal(part)
		left += len(keys[i])
	}
	r.Logger.Info("making every record equal", "store", side, "reason", b.Why, "records", total, "left", left)
	r.progressed(Progress{State: "running", Total: total, Done: total - left})
	err = r.equalize(ctx, side, keys, filling)
	if err == nil { // what was touched meanwhile and is in neither listing
		err = r.catchUp(ctx, side, filling)
	}
	if err != nil {
		r.failed()
		return err
	}
	if !r.Router.Follower(side).FinishAll(b.Mark) {
		return nil // somebody wants it all over again
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if side == shadow.EnhancedSide {
		r.filled, r.filling = true, false
	}
	r.progress.State, r.progress.Done = "done", r.progress.Total
	r.err = nil // before it is said: what had kept it from being so is over
	r.remember()
	r.Logger.Info("every record is equal", "store", side, "records", total)
	return nil
}

// catchUp makes the keys equal that are dirty one by one.
func (r *Reconciler) catchUp(ctx context.Context, side shadow.Side, filling bool) error {
	var keys parts
	for _, key := range r.Router.Follower(side).Dirty() {
		keys.add(key)
	}
	return r.equalize(ctx, side, keys, filling)
}

// parts are keys by partition.
type parts [locking.Partitions][]locking.Key

func (p *parts) add(key locking.Key) { p[key.Partition()] = append(p[key.Partition()], key) }

// everyKey lists the keys of both stores.
func (r *Reconciler) everyKey(ctx context.Context) (parts, error) {
	var keys parts
	seen := map[locking.Key]struct{}{}
	for record, err := range r.Legacy.Scan(ctx, locking.All) {
		if err != nil {
			return keys, ofLegacy(shadow.LegacySide, fmt.Errorf("list legacy: %w", err))
		}
		seen[record.Key] = struct{}{}
		keys.add(record.Key)
	}
	for record, err := range r.Guard.Scan(ctx, locking.All) {
		if err != nil {
			return keys, fmt.Errorf("list the enhanced store: %w", err)
		}
		if _, both := seen[record.Key]; !both {
			keys.add(record.Key)
		}
	}
	return keys, nil
}

// equalize makes the keys equal, in batches, a few partitions at a time, not
// faster than the rate. Keys that are missed again meanwhile are dirty again.
func (r *Reconciler) equalize(ctx context.Context, side shadow.Side, keys parts, filling bool) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	turn := make(chan struct{}, abreast)
	pace := newPace(r.Rate)
	reported := time.Now()
	for _, part := range keys {
		if len(part) == 0 {
			continue
		}
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			for batch := range slices.Chunk(part, shadow.EqualizeBatch) {
				r.pause(ctx, pace.delay(len(batch)))
				_, err := r.Router.Equalize(ctx, side, batch, filling)
				failpoint.Hit("reconcile-equalized")
				if err == nil || errors.Is(err, shadow.ErrMissed) {
					r.advance(len(batch), &reported)
					continue
				}
				mu.Lock()
				failed = cmp.Or(failed, err)
				mu.Unlock()
				if !errors.Is(err, breaker.ErrPanicked) { // one operation's own fault, the next may do
					return
				}
			}
		})
	}
	all.Wait()
	if failed != nil && ctx.Err() == nil {
		return ofLegacy(blamed(side, failed), fmt.Errorf("make records equal: %w", failed))
	}
	return ctx.Err()
}

// blamed is the side that kept the records of one from being made equal.
func blamed(side shadow.Side, err error) shadow.Side {
	switch unsure := (*shadow.Unsure)(nil); {
	case errors.As(err, &unsure): // nobody knows what atlantis.db has kept
		return shadow.LegacySide
	case errors.Is(err, shadow.ErrAuthority):
		return side.Other()
	}
	return side
}

func (r *Reconciler) advance(n int, reported *time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.progress.State != "running" {
		return
	}
	r.progress.Done = min(r.progress.Done+n, r.progress.Total)
	if time.Since(*reported) > reportEvery {
		*reported = time.Now()
		r.Logger.Info("making records equal", "done", r.progress.Done, "total", r.progress.Total)
	}
}

func (r *Reconciler) progressed(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = p
}

func (r *Reconciler) failed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress.State = "failed"
}

// pace spreads work over time.
type pace struct {
	mu   sync.Mutex
	rate int // a second
	next time.Time
}

func newPace(rate int) *pace { return &pace{rate: rate, next: time.Now()} }

// delay returns how long to wait before n more.
func (p *pace) delay(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := time.Until(p.next)
	if wait < 0 {
		p.next, wait = time.Now(), 0
	}
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return wait
}
