package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// healing is why a key is dirty whose divergence has been recorded already.
const healing = "recorded"

type taskKind uint8

const (
	taskChange   taskKind = iota // do what the authority did, and compare
	taskRead                     // read what the authority read, and compare
	taskEqualize                 // make the keys equal to the authority's records
	taskCheck                    // compare the keys with the authority's records
)

// task is one piece of work for the follower. All its keys share a partition.
type task struct {
	kind     taskKind
	call     locking.Call
	position uint64
	since    uint64 // the position of the first task that it took the place of, 0: of none
	at       time.Time
	bytes    int
	took     time.Duration // by the authority
	keys     []locking.Key

	changes  []locking.Change  // taskChange
	outcomes []locking.Outcome // taskChange: the authority's
	records  []locking.Record  // the other kinds: the authority's, one for each key
	why      []string          // taskEqualize: why each key was dirty, "" if it was not
	writes   bool              // taskChange: it changes something
	filling  bool              // taskEqualize: what is missing is no divergence
	verdict  chan verdict      // gets one; nil: nobody waits for it
}

// verdict is what came of a task that somebody waits for.
type verdict struct {
	differing   []compare.Divergence // taskCheck
	missing     int                  // taskEqualize: keys that the follower lacked
	overwritten int                  // taskEqualize: keys on which it had something else
	differs     bool                 // taskChange: the follower met something else than the authority
	err         error
}

func (v *verdict) add(other verdict) {
	v.differing = append(v.differing, other.differing...)
	v.missing += other.missing
	v.overwritten += other.overwritten
	v.err = cmp.Or(v.err, other.err)
}

// work is the worker of one partition.
func (f *Follower) work(ctx context.Context, partition int) {
	for {
		wave := f.next(ctx, partition)
		if wave == nil {
			f.abandon(partition)
			return
		}
		f.busy[partition] <- struct{}{}
		verdicts := f.doAll(ctx, wave)
		f.done(partition, wave)
		<-f.busy[partition]
		for i, t := range wave {
			if t.verdict != nil {
				t.verdict <- verdicts[i]
			}
		}
	}
}

// doAll does tasks that have no key in common, abreast as far as the slots of the
// follower allow.
func (f *Follower) doAll(ctx context.Context, wave []*task) []verdict {
	verdicts := make([]verdict, len(wave))
	do := func(i int) {
		f.slots <- struct{}{}
		defer func() { <-f.slots }()
		verdicts[i] = f.do(ctx, wave[i])
	}
	var others sync.WaitGroup
	for i := 1; i < len(wave); i++ {
		others.Go(func() { do(i) })
	}
	do(0)
	others.Wait()
	return verdicts
}

// do does a task, or what is left of it. A panic costs the task.
func (f *Follower) do(ctx context.Context, t *task) (v verdict) {
	defer func() {
		if p := recover(); p != nil {
			// What panicked may have a value in its text; the stack has none.
			f.log.Error("follower panicked", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			v = verdict{err: f.failed(t, 0, errPanicked)}
		}
	}()
	void := f.void(t)
	switch {
	case len(void) == 0:
		return f.perform(ctx, t)
	case t.kind == taskEqualize && len(void) < len(t.keys):
		v = f.perform(ctx, t.without(void))
	case t.kind == taskChange:
		f.skip(t, void)
	}
	v.err = cmp.Or(v.err, ErrMissed)
	return v
}

var errPanicked = errors.New("follower panicked")

// void returns the keys that have become dirty since the task was queued.
func (f *Follower) void(t *task) []locking.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	var void []locking.Key
	for _, key := range t.keys {
		if f.dirt.void(key, t.position) {
			void = append(void, key)
		}
	}
	return void
}

// skip passes over a change that rests on another that the follower has
// missed. So it misses that of the other keys too.
func (f *Follower) skip(t *task, void []locking.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range t.keys {
		if !slices.Contains(void, key) {
			f.miss([]locking.Key{key}, MissedError)
		}
	}
}

// without is what is left of a task that makes equal without some of its keys.
// The task itself stays what it was counted as.
func (t *task) without(keys []locking.Key) *task {
	rest := *t
	rest.keys, rest.records, rest.why = nil, nil, nil
	for i, key := range t.keys {
		if !slices.Contains(keys, key) {
			rest.keys, rest.records, rest.why = append(rest.keys, key), append(rest.records, t.records[i]), append(rest.why, t.why[i])
		}
	}
	return &rest
}

// abandon answers whoever waits for tasks that will not be done.
func (f *Follower) abandon(partition int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.queues[partition] {
		if t.verdict != nil {
			t.verdict <- verdict{err: locking.ErrClosed}
		}
	}
}

func (f *Follower) perform(ctx context.Context, t *task) (v verdict) {
	switch t.kind {
	case taskChange:
		return f.follow(ctx, t)
	case taskRead:
		f.reread(ctx, t)
	case taskEqualize:
		return f.equalize(ctx, t)
	case taskCheck:
		return f.check(ctx, t)
	}
	return v
}

// follow does what the authority did, and compares what both met.
func (f *Follower) follow(ctx context.Context, t *task) (v verdict) {
	changes, comparable := mirrored(t.changes, t.outcomes)
	if !comparable {
		return v
	}
	began := f.now()
	outcomes, err := f.store.Apply(ctx, changes)
	took := f.now().Sub(began)
	if err != nil {
		return verdict{err: f.failed(t, took, err)}
	}
	f.metrics.Count(t.call.Op, string(f.side), result(outcomes), took)
	trace(f.log, f.side, t.call, took, nil)
	if writes(t.changes, t.outcomes) {
		f.latency.add(f.side, t.took, took)
	}
	for i, c := range t.changes {
		kind, differ := compare.Outcomes(c.Key, t.outcomes[i], outcomes[i])
		f.judge(t, c.Key, differ, kind, t.outcomes[i].Before, outcomes[i].Before, took)
		v.differs = v.differs || differ
	}
	return v
}

// mirrored are the changes for the follower. Versions are each store's own, so
// a change that was made on condition of one is made on condition of what it met:
// what somebody else has written to the follower's store must stay there until it
// is known whether it is to be kept. If it was refused there is nothing to follow:
// whoever sent it has read the record again and sent another.
func mirrored(changes []locking.Change, outcomes []locking.Outcome) (mirrored []locking.Change, comparable bool) {
	mirrored = make([]locking.Change, len(changes))
	for i, c := range changes {
		if kind, _, _, _ := c.If.Parts(); kind == locking.IfVersion {
			if !outcomes[i].Applied {
				return nil, false
			}
			c.If = locking.SameBytes(outcomes[i].Before.Value)
		}
		mirrored[i] = c
	}
	return mirrored, true
}

func result(outcomes []locking.Outcome) string {
	if outcomes[0].Applied {
		return metrics.OK
	}
	return metrics.Refused
}

// reread reads what the authority read, and compares.
func (f *Follower) reread(ctx context.Context, t *task) {
	began := f.now()
	r, err := getOrNone(ctx, f.store, t.keys[0])
	took := f.now().Sub(began)
	if err != nil {
		f.failed(t, took, err)
		return
	}
	f.metrics.Count(t.call.Op, string(f.side), metrics.OK, took)
	trace(f.log, f.side, t.call, took, nil)
	kind, differ := compare.Records(t.keys[0], t.records[0], r)
	f.judge(t, t.keys[0], differ, kind, t.records[0], r, took)
}

// failed counts a task that the follower could not do, and returns err. A
// change that it could not make, or that nobody knows whether it made, leaves
// its keys dirty.
func (f *Follower) failed(t *task, took time.Duration, err error) error {
	f.metrics.Count(t.call.Op, string(f.side), metrics.Error, took)
	trace(f.log, f.side, t.call, took, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.kind == taskChange || t.kind == taskEqualize {
		f.miss(t.keys, MissedError)
	}
	if lost(err) {
		f.signal()
	}
	return err
}

// lost reports whether the store is not the one it was, so that it must be
// joined anew.
func lost(err error) bool {
	return errors.Is(err, locking.ErrStoreLost) || errors.Is(err, locking.ErrNotOwner) || errors.Is(err, locking.ErrStale)
}

// judge counts one comparison. A key on which the two stores differ is recorded
// and then made equal again, so that one fault is not found twice.
func (f *Follower) judge(t *task, key locking.Key, differ bool, kind compare.Kind, authority, follower locking.Record, took time.Duration) {
	if !differ {
		f.ledger.Matched(compare.Operation(t.call.Op))
		return
	}
	f.ledger.Diverged(f.divergence(t, key, kind, authority, follower, took, ""))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirt.mark(key, healing)
	f.signal()
}

func (f *Follower) divergence(t *task, key locking.Key, kind compare.Kind, authority, follower locking.Record, took time.Duration, cause string) compare.Divergence {
	d := compare.Divergence{
		Kind: kind, Record: key.String(), Operation: compare.Operation(t.call.Op), Request: t.call.ID(), Cause: cause,
		Legacy: compare.SideOf(authority, t.took), Enhanced: compare.SideOf(follower, took),
	}
	if f.side == LegacySide {
		d.Legacy, d.Enhanced = d.Enhanced, d.Legacy
	}
	return d
}
