package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// EqualizeBatch is how many keys of one partition one call of Equalize or
// Check takes.
const EqualizeBatch = 64

// maxTaskBytes is from what size of records on a further one goes into a task
// of its own: the follower has a bounded time for each.
const maxTaskBytes = 4 << 20

// ErrMissed is returned where the follower has missed a change of a key, so that
// comparing it would say nothing, and making it equal takes another turn.
var ErrMissed = errors.New("follower has missed a change of the key")

// ErrAuthority is why keys were not made equal, or checked, where that is not the
// follower's fault: the authority does not answer for them.
var ErrAuthority = errors.New("read the authority")

// Equalized is what came of making keys equal, as far as it is known.
type Equalized struct {
	Missing     int // keys that the follower lacked
	Overwritten int // keys on which it had something else
}

// Equalize makes the records on a side, where it follows, equal to the
// authority's. The keys must be distinct and share a partition; those of which
// the side does not follow are passed over. Its turn is in the keys' own
// order: commands before it have been followed, commands after it will be. What
// it overwrites is recorded as a divergence first, with the reason for which the
// key was dirty as its cause; what is merely missing is recorded unless filling
// is true, as on a store that was just made. It returns ErrMissed if a key has
// become dirty again before its turn; the others are equal then; and ErrAuthority
// if not the side is to blame.
func (r *Router) Equalize(ctx context.Context, side Side, keys []locking.Key, filling bool) (Equalized, error) {
	v, err := r.inTurn(ctx, side, keys, task{kind: taskEqualize, filling: filling, call: locking.Call{Op: string(compare.Reconcile)}})
	return Equalized{Missing: v.missing, Overwritten: v.overwritten}, err
}

// Check compares the records on a side, where it follows, with the authority's,
// in the keys' own order, and changes nothing. The keys are as for Equalize. It
// returns ErrMissed if a key is dirty.
func (r *Router) Check(ctx context.Context, side Side, keys []locking.Key) ([]compare.Divergence, error) {
	v, err := r.inTurn(ctx, side, keys, task{kind: taskCheck, call: locking.Call{Op: string(compare.Verify)}})
	return v.differing, err
}

// inTurn queues tasks of a kind with the authority's records of the keys, and
// waits for what comes of them.
func (r *Router) inTurn(ctx context.Context, side Side, keys []locking.Key, kind task) (sum verdict, err error) {
	tasks, err := r.queueInside(ctx, side, keys, kind)
	sum = await(ctx, tasks)
	return sum, cmp.Or(err, sum.err)
}

// await waits for what comes of tasks.
func await(ctx context.Context, tasks []*task) (sum verdict) {
	for _, t := range tasks {
		select {
		case v := <-t.verdict:
			sum.add(v)
		case <-ctx.Done():
			sum.add(verdict{err: ctx.Err()})
		}
	}
	return sum
}

// queueInside queues tasks while the authority of the keys cannot change. Keys
// that a command has in hand are waited for one by one, so that no other command
// waits meanwhile.
func (r *Router) queueInside(ctx context.Context, side Side, keys []locking.Key, kind task) (tasks []*task, err error) {
	a, leave, err := r.gate.enter(ctx, routesOf(keys)...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthority, err)
	}
	defer leave()
	keys = slices.DeleteFunc(slices.Clone(keys), func(key locking.Key) bool {
		follower, followed := a.Follower(key.Route())
		passed := !followed || follower != side || r.Conflicts.Has(key)
		if passed {
			r.Follower(side).forget(key)
		}
		return passed
	})
	free, busy, release := r.order.holdFree(keys)
	tasks, err = r.queueHeld(ctx, side, free, kind, release)
	for i := 0; i < len(busy) && err == nil; i++ {
		if release, err = r.order.hold(ctx, busy[i]); err == nil {
			var more []*task
			more, err = r.queueHeld(ctx, side, busy[i:i+1], kind, release)
			tasks = append(tasks, more...)
		}
	}
	return tasks, err
}

// queueHeld queues tasks with the authority's records of the keys, which are
// held, and releases them.
func (r *Router) queueHeld(ctx context.Context, side Side, keys []locking.Key, kind task, release func()) (tasks []*task, err error) {
	defer release()
	for len(keys) > 0 {
		t := kind
		t.verdict = make(chan verdict, 1)
		began := r.now()
		for len(keys) > 0 && t.bytes < maxTaskBytes {
			record, err := r.settled(ctx, side.Other(), keys[0])
			if err != nil {
				return tasks, fmt.Errorf("%w: %w", ErrAuthority, err)
			}
			t.keys, t.records = append(t.keys, keys[0]), append(t.records, record)
			t.bytes += len(record.Value)
			keys = keys[1:]
		}
		t.took = r.now().Sub(began) / time.Duration(len(t.keys))
		if err := r.Follower(side).queueInTurn(&t); err != nil {
			return tasks, err
		}
		tasks = append(tasks, &t)
	}
	return tasks, nil
}

// queueInTurn queues a task that makes equal or checks. From its position on
// the keys of the former are not dirty any more.
func (f *Follower) queueInTurn(t *task) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return locking.ErrClosed
	}
	for _, key := range t.keys {
		if t.kind == taskEqualize {
			t.why = append(t.why, f.dirt.equalizing(key, f.position+1))
		} else if _, dirty := f.dirt.dirty(key); dirty {
			return ErrMissed
		}
	}
	f.push(t)
	return nil
}

// equalize makes the keys of a task equal. The cheap way comes first: put what
// is absent, or there already, all in one transaction. Where the follower has
// something else each key goes its own way, so that a divergence is recorded
// before anything is overwritten.
func (f *Follower) equalize(ctx context.Context, t *task) verdict {
	outcomes, err := f.store.Apply(ctx, additions(t))
	if err != nil {
		return f.unequal(t, err)
	}
	var v verdict
	if outcomes[0].Applied {
		for i, o := range outcomes {
			if !o.Before.Exists() && t.records[i].Exists() {
				f.found(t, i, locking.Record{}, &v)
			}
		}
	} else {
		for i := range t.keys {
			if err := f.overwrite(ctx, t, i, &v); err != nil {
				return f.unequal(t, err)
			}
		}
	}
	for _, key := range t.keys {
		f.ledger.Resolve(key.String(), "made equal to the authority")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range t.keys {
		f.dirt.equalized(key, t.position)
	}
	return v
}

// additions are the changes that hold if the follower lacks records or has
// them already, and has none that it should not have.
func additions(t *task) []locking.Change {
	changes := make([]locking.Change, len(t.keys))
	for i, r := range t.records {
		if r.Exists() {
			changes[i] = locking.Put(t.keys[i], r.Value, locking.SameBytes(r.Value))
		} else {
			changes[i] = locking.Delete(t.keys[i], locking.Absent())
		}
	}
	return changes
}

// overwrite records the difference of one key, if there is one, and then makes
// it equal.
func (f *Follower) overwrite(ctx context.Context, t *task, i int, v *verdict) error {
	has, err := getOrNone(ctx, f.store, t.keys[i])
	if err != nil {
		return err
	}
	if _, differ := compare.Records(t.keys[i], t.records[i], has); !differ {
		return nil
	}
	if has.Exists() && f.keeps != nil {
		kept, err := f.keeps(t.keys[i], t.records[i], has)
		if err != nil {
			return err
		}
		if kept { // a comparison may have been the first to see it
			f.ledger.Explain(t.keys[i].String(), InConflict, "kept as it is: it is listed as a conflict")
			return nil
		}
	}
	f.found(t, i, has, v)
	change := locking.Delete(t.keys[i], locking.Any())
	if t.records[i].Exists() {
		change = locking.Put(t.keys[i], t.records[i].Value, locking.Any())
	}
	_, err = f.store.Apply(ctx, []locking.Change{change})
	return err
}

// found records that the follower has another record than the authority, with
// the reason that is known.
func (f *Follower) found(t *task, i int, has locking.Record, v *verdict) {
	if has.Exists() {
		v.overwritten++
	} else {
		v.missing++
	}
	if t.why[i] == healing || t.why[i] == overtaken || t.filling && !has.Exists() {
		return
	}
	kind, _ := compare.Records(t.keys[i], t.records[i], has)
	f.ledger.Diverged(f.divergence(t, t.keys[i], kind, t.records[i], has, 0, t.why[i]))
}

// unequal leaves the keys of a task dirty, for the reason they were.
func (f *Follower) unequal(t *task, err error) verdict {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, key := range t.keys {
		why := t.why[i]
		if why == overtaken {
			why = MissedError
		}
		f.dirt.mark(key, cmp.Or(why, MissedError))
	}
	f.signal()
	return verdict{err: err}
}

// check compares the keys of a task. A record counts that can be read and is
// listed.
func (f *Follower) check(ctx context.Context, t *task) verdict {
	var v verdict
	for i, key := range t.keys {
		has, err := getOrNone(ctx, f.store, key)
		if err == nil && has.Exists() {
			has, err = f.ifListed(ctx, has)
		}
		if err != nil {
			return verdict{err: err}
		}
		if kind, differ := compare.Records(key, t.records[i], has); differ {
			v.differing = append(v.differing, f.divergence(t, key, kind, t.records[i], has, 0, ""))
		}
	}
	return v
}

// ifListed returns the record, or the zero Record if a listing does not have
// it: to whoever lists the locks of a pull request it is not there.
func (f *Follower) ifListed(ctx context.Context, r locking.Record) (locking.Record, error) {
	for listed, err := range f.store.Scan(ctx, locking.Literal(r.Key.String())) {
		if err != nil || listed.Key == r.Key {
			return r, err
		}
	}
	return locking.Record{}, nil
}

// getOrNone reads a record, the zero Record if there is none.
func getOrNone(ctx context.Context, s locking.Store, key locking.Key) (locking.Record, error) {
	r, err := s.Get(ctx, key)
	if errors.Is(err, locking.ErrNotFound) {
		return locking.Record{}, nil
	}
	return r, err
}
