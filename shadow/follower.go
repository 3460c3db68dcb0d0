package shadow

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Why keys are dirty; divergences that are found when they are made equal
// again show it as their cause.
const (
	MissedFull   = "missed: queue full"
	MissedError  = "missed: follower failed"
	MissedAway   = "missed: authority's own result unknown"
	MissedClosed = "missed: follower closed"
	MissedBeside = "missed: a lock in the same command is in conflict"
)

// Follower does on one side what the authority has done on the other, behind
// it, and compares. Start its workers with NewFollower, end them with Close.
type Follower struct {
	side    Side
	store   locking.Store
	latency *Latency
	keeps   func(key locking.Key, authority, has locking.Record) (kept bool, err error)
	ledger  *compare.Ledger
	metrics *metrics.Operations
	log     hclog.Logger
	now     func() time.Time

	mu       sync.Mutex
	dirt     dirt
	position uint64 // of the task queued last
	bytes    int    // of the tasks that wait
	pending  int
	queues   [locking.Partitions][]*task
	doing    [locking.Partitions]int // how many tasks at the head of each are being done
	queued   map[locking.Key]queued  // what waits, or is being done, of each key
	closed   bool
	progress chan struct{} // closed when a task is done; nil while nobody waits
	missed   uint64

	wake    [locking.Partitions]chan struct{}
	busy    [locking.Partitions]chan struct{} // has an element while tasks are being done
	abreast int
	slots   chan struct{} // has an element for each task that is being done
	dirtied chan struct{} // has an element when something may be to do for a reconciler
	workers sync.WaitGroup
	cancel  context.CancelFunc
}

// FollowerOptions are what a Follower works with; all but Abreast, Keeps, Latency
// and Now are required.
type FollowerOptions struct {
	// Side is the store that the follower writes to.
	Side Side
	// Abreast is how many operations the store gets at a time, so that a pool of
	// connections has room for them; 0 is 16.
	Abreast int
	// Store is the follower's store, behind a guard that bounds the time of each
	// operation and turns panics into errors.
	Store   locking.Store
	Ledger  *compare.Ledger
	Metrics *metrics.Operations
	Logger  hclog.Logger
	// Keeps is asked before a record is overwritten with another: true keeps it.
	// nil: none is kept.
	Keeps   func(key locking.Key, authority, has locking.Record) (kept bool, err error)
	Latency *Latency         // gets what writes take; nil: none
	Now     func() time.Time // nil: time.Now
}

// NewFollower starts a follower. It owns a goroutine for each partition.
func NewFollower(o FollowerOptions) *Follower {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Abreast == 0 {
		o.Abreast = 16
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Follower{
		abreast: o.Abreast, slots: make(chan struct{}, o.Abreast),
		side: o.Side, latency: o.Latency, keeps: o.Keeps, store: o.Store, ledger: o.Ledger, metrics: o.Metrics, log: o.Logger, now: o.Now,
		dirt: newDirt(), queued: map[locking.Key]queued{}, dirtied: make(chan struct{}, 1), cancel: cancel,
	}
	for p := range f.queues {
		f.wake[p], f.busy[p] = make(chan struct{}, 1), make(chan struct{}, 1)
		f.workers.Go(func() { f.work(ctx, p) })
	}
	return f
}

// Close ends the workers; tasks that wait are dropped and stay pending, and
// what is changed from now on is missed. Drain first.
func (f *Follower) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.workers.Wait()
}

// MarkAll declares every key dirty, with the cause that divergences found
// while they are made equal will show. It waits for the tasks that are being
// done: who lists both stores now misses nothing.
func (f *Follower) MarkAll(why string) {
	_ = f.Interrupt(context.Background(), func() (string, error) { return why, nil })
}

// Suspect is MarkAll without the wait: for a follower whose store may hang. Who
// lists both stores must see to the tasks that are being done by Interrupt.
func (f *Follower) Suspect(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirt.markAll(f.position+1, why)
	f.signal()
}

// Interrupt runs do while no task is being done. If that returns why the
// follower may lack any change, every key is dirty before the next task
// begins, as by MarkAll. It returns the error of do, or that of ctx if tasks
// take too long.
func (f *Follower) Interrupt(ctx context.Context, do func() (lacks string, err error)) error {
	for p := range f.busy {
		select {
		case f.busy[p] <- struct{}{}:
			defer func() { <-f.busy[p] }()
		case <-ctx.Done():
			return fmt.Errorf("interrupt the follower: %w", ctx.Err())
		}
	}
	why, err := do()
	if why != "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dirt.markAll(f.position+1, why)
		f.signal()
	}
	return err
}

// Forget ends all dirt: the follower's store is the authority from now on.
func (f *Follower) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	marks := f.dirt.marks
	f.dirt = newDirt()
	f.dirt.marks, f.dirt.floor = marks, f.position+1
}

// forget ends the dirt of a key that is not the follower's matter.
func (f *Follower) forget(key locking.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.dirt.keys, key)
}

// MarkRecorded declares keys dirty on which a divergence has been recorded.
func (f *Follower) MarkRecorded(keys []locking.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, key := range keys {
		f.dirt.mark(key, healing)
	}
	f.signal()
}

// FinishAll ends the state that the MarkAll with this number began, once every
// key of both stores has been made equal or is dirty by itself again. It
// returns false if there is nothing to end, or another MarkAll since.
func (f *Follower) FinishAll(mark uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dirt.finishAll(mark)
}

// Dirty returns the keys that are dirty one by one, also those that are being
// made equal.
func (f *Follower) Dirty() []locking.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dirt.list()
}

// Unequal returns those of the keys that are dirty and not being made equal: while
// all are dirty, those that no task has made equal since MarkAll.
func (f *Follower) Unequal(keys []locking.Key) []locking.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(keys), func(key locking.Key) bool {
		_, dirty := f.dirt.dirty(key)
		return !dirty
	})
}

// Dirtied has an element when keys have become dirty, or the store answered
// that it is not the one it was.
func (f *Follower) Dirtied() <-chan struct{} { return f.dirtied }

// lacks reports whether the follower has missed a change of the key, and not made
// up for it yet.
func (f *Follower) lacks(key locking.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, stained := f.dirt.keys[key]
	_, dirty := f.dirt.dirty(key)
	return stained || dirty
}

// differs reports whether a comparison has shown the follower to have another record
// of the key than the authority, and it was not made equal since.
func (f *Follower) differs(key locking.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dirt.keys[key].why == healing
}

// owes reports whether the follower lacks a change of any of the keys, or has it
// still to make.
func (f *Follower) owes(keys []locking.Key) bool {
	return slices.ContainsFunc(keys, func(key locking.Key) bool {
		f.mu.Lock()
		owed := f.queued[key].writes > 0
		f.mu.Unlock()
		return owed || f.lacks(key)
	})
}

// miss marks the keys dirty. The caller holds the lock of f.
func (f *Follower) miss(keys []locking.Key, why string) {
	for _, key := range keys {
		f.dirt.mark(key, why)
	}
	f.missed++
	f.signal()
}

func (f *Follower) signal() {
	select {
	case f.dirtied <- struct{}{}:
	default:
	}
}
