package shadow

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	// maxPending and maxPendingBytes bound what waits for the follower. Beyond
	// either, changes are missed and their keys dirty: at 5,000 changes a second
	// that is some three seconds of a follower that hangs.
	maxPending      = 16 << 10
	maxPendingBytes = 64 << 20
	// readsUpTo is the number of waiting tasks from which reads are not compared
	// any more: a missed read costs a comparison, a missed change a repair. It is
	// small, because a verify waits for what is queued: reads alone must not put
	// the follower seconds behind.
	readsUpTo = 512
)

// changed queues what the authority has done, or misses it. The caller keeps
// its slices, so the task has its own. With wanted it returns a channel that
// gets what came of it, nil if it is missed. Behind a legacy that is slow it is
// what makes the key equal, in place of all that waits for the key.
func (f *Follower) changed(call locking.Call, changes []locking.Change, outcomes []locking.Outcome, took time.Duration, wanted bool) <-chan verdict {
	t := &task{kind: taskChange, call: call, changes: slices.Clone(changes), outcomes: slices.Clone(outcomes), took: took, writes: writes(changes, outcomes)}
	if wanted {
		t.verdict = make(chan verdict, 1)
	}
	for i := range t.changes {
		c, met := &t.changes[i], &t.outcomes[i].Before
		c.Value, met.Value = bytes.Clone(c.Value), bytes.Clone(met.Value)
		t.keys = append(t.keys, c.Key)
		t.bytes += len(c.Value) + len(met.Value)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range t.keys {
		if why, dirty := f.dirt.dirty(key); dirty {
			if why == healing { // nothing has been recorded of the others
				why = MissedError
			}
			f.miss(t.keys, why)
			return nil
		}
	}
	if f.closed {
		f.miss(t.keys, MissedClosed)
		return nil
	}
	if f.pending >= maxPending || f.bytes+t.bytes > maxPendingBytes {
		f.miss(t.keys, MissedFull)
		return nil
	}
	if f.crowded(t.keys) {
		if !wanted {
			return nil // it changes nothing, and is missed as a read is
		}
		f.overtake(t)
	}
	f.push(t)
	return t.verdict
}

// lost tells that nobody knows what the authority has done to the keys.
func (f *Follower) lost(keys []locking.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.miss(keys, MissedAway)
}

// passedOver tells that the authority has changed the keys together with one in
// conflict.
func (f *Follower) passedOver(keys []locking.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.miss(keys, MissedBeside)
}

// read queues a comparison of what the authority has answered to a read; with
// much to do, or a key that is dirty, there is none.
func (f *Follower) read(call locking.Call, key locking.Key, r locking.Record, took time.Duration) {
	r.Value = bytes.Clone(r.Value) // the caller's own is the caller's
	t := &task{kind: taskRead, call: call, keys: []locking.Key{key}, records: []locking.Record{r}, took: took, bytes: len(r.Value)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, dirty := f.dirt.dirty(key); dirty || f.closed || f.pending >= readsUpTo || f.bytes+t.bytes > maxPendingBytes/2 || f.crowded(t.keys) {
		return
	}
	f.push(t)
}

// push queues a task. The caller holds the lock of f, which is not closed, and
// all keys of a task share a partition.
func (f *Follower) push(t *task) {
	f.position++
	t.position, t.at = f.position, f.now()
	p := t.keys[0].Partition()
	f.queues[p] = append(f.queues[p], t)
	f.count(t, 1)
	select {
	case f.wake[p] <- struct{}{}:
	default:
	}
}

// next waits for tasks of partition p and returns the first ones that have no
// key in common, so that they can be done at once. They stay in the queue, so
// that they count as pending, until they are done.
func (f *Follower) next(ctx context.Context, p int) (wave []*task) {
	for ctx.Err() == nil {
		f.mu.Lock()
		wave = disjoint(f.queues[p], f.abreast)
		f.doing[p] = len(wave)
		f.mu.Unlock()
		if len(wave) > 0 {
			return wave
		}
		select {
		case <-f.wake[p]:
		case <-ctx.Done():
		}
	}
	return nil
}

// disjoint returns the first tasks of a queue, at most n, of which no two have a
// key in common.
func disjoint(queue []*task, n int) (first []*task) {
	if len(queue) == 1 || n == 1 && len(queue) > 0 {
		return slices.Clone(queue[:1])
	}
	seen := map[locking.Key]struct{}{}
	for _, t := range queue[:min(n, len(queue))] {
		for _, key := range t.keys {
			if _, twice := seen[key]; twice {
				return first
			}
		}
		for _, key := range t.keys {
			seen[key] = struct{}{}
		}
		first = append(first, t)
	}
	return first
}

// done takes the tasks at the head of a queue away.
func (f *Follower) done(p int, wave []*task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, t := range wave {
		f.queues[p][i] = nil
		f.count(t, -1)
	}
	f.queues[p] = f.queues[p][len(wave):]
	f.doing[p] = 0
	if f.progress != nil {
		close(f.progress)
		f.progress = nil
	}
}

// queued is how many tasks there are of a key.
type queued struct {
	all    int
	writes int // those that change what the follower has, as far as is known
}

// count takes a task into the account, or out of it with by -1.
func (f *Follower) count(t *task, by int) {
	f.pending += by
	f.bytes += by * t.bytes
	for _, key := range t.keys {
		n := f.queued[key]
		n.all += by
		if t.writes {
			n.writes += by
		}
		if f.queued[key] = n; n.all == 0 {
			delete(f.queued, key)
		}
	}
}

// Backlog is how far the follower is behind.
type Backlog struct {
	Pending int           // tasks that wait
	Dirty   int           // keys that are dirty one by one
	All     bool          // every key not yet made equal is dirty
	Why     string        // of All
	Mark    uint64        // number of the MarkAll that began it, for FinishAll
	Lag     time.Duration // age of the oldest task that waits
	Missed  uint64        // changes missed since the start
}

// Clean reports whether the follower has missed nothing and has nothing to do.
// After Close, and with nobody left who changes anything, that stays true.
func (b Backlog) Clean() bool { return b.Pending == 0 && b.InStep() }

// InStep reports whether the follower has missed nothing.
func (b Backlog) InStep() bool { return b.Dirty == 0 && !b.All }

// Backlog tells how far the follower is behind.
func (f *Follower) Backlog() Backlog {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := Backlog{Pending: f.pending, Dirty: len(f.dirt.keys), All: f.dirt.all, Why: f.dirt.why, Mark: f.dirt.marks, Missed: f.missed}
	for _, q := range f.queues {
		if len(q) > 0 {
			b.Lag = max(b.Lag, f.now().Sub(q[0].at))
		}
	}
	return b
}

// Drain waits until all is done that was queued before.
func (f *Follower) Drain(ctx context.Context) error {
	f.mu.Lock()
	last := f.position
	f.mu.Unlock()
	for {
		f.mu.Lock()
		left := f.queuedUpTo(last)
		if left && f.progress == nil {
			f.progress = make(chan struct{})
		}
		progress := f.progress
		f.mu.Unlock()
		if !left {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("drain the follower: %d tasks left: %w", f.Backlog().Pending, ctx.Err())
		}
	}
}

// queuedUpTo reports whether anything is left to do of what was queued up to a
// position, be it by a later task that took its place.
func (f *Follower) queuedUpTo(position uint64) bool {
	for _, q := range f.queues {
		if slices.ContainsFunc(q, func(t *task) bool { return t.first() <= position }) {
			return true
		}
	}
	return false
}
