package shadow

import (
	"context"
	"errors"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Router is the store that commands go to. It asks the authority, and tells
// the follower what the authority has done.
type Router struct {
	authority Authority
	follower  *Follower // nil: there is none
	order     *order
	now       func() time.Time

	mu      sync.Mutex
	unknown map[locking.Key]struct{} // what the authority did to them may still be under way
}

var _ locking.Store = (*Router)(nil)

// NewRouter returns a router. A nil follower, as in mode legacy, leaves it a
// way to the authority and nothing else.
func NewRouter(a Authority, f *Follower) *Router {
	return &Router{authority: a, follower: f, order: newOrder(), now: time.Now, unknown: map[locking.Key]struct{}{}}
}

// Get is documented at locking.Store. It is always answered by the authority,
// live. While somebody changes the key there is no telling before or after, so
// the answer is not compared: a read does not wait for its place in the order.
func (r *Router) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	store := r.authority.Of(key.Route())
	call := locking.CallOf(ctx)
	if r.follower == nil || !compared(call) {
		return store.Get(ctx, key)
	}
	_, busy, release := r.order.holdFree([]locking.Key{key})
	defer release()
	if len(busy) > 0 {
		return store.Get(ctx, key)
	}
	began := r.now()
	record, err := store.Get(ctx, key)
	if err == nil || errors.Is(err, locking.ErrNotFound) {
		r.follower.read(call, key, record, r.now().Sub(began))
	}
	return record, err
}

// compared reports whether a read is worth a comparison of its own: one that is
// part of a change is compared with the change.
func compared(c locking.Call) bool { return c.Op == "get" || c.Op == "eval" }

// Scan is documented at locking.Store. What it yields is compared by verify.
func (r *Router) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return r.authority.Scan(ctx, match)
}

// Apply is documented at locking.Store. The follower hears of it before the
// next command for any of its keys is begun.
func (r *Router) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if err := locking.CheckBatch(changes); err != nil {
		return nil, err
	}
	store := r.authority.Of(changes[0].Key.Route())
	if r.follower == nil {
		return store.Apply(ctx, changes)
	}
	release, err := r.order.hold(ctx, keysOf(changes)...)
	if err != nil {
		return nil, err
	}
	defer release()
	began := r.now()
	outcomes, err := store.Apply(ctx, changes)
	if err != nil {
		r.lost(keysOf(changes)) // an error may have come after the change, and before it
		return nil, err
	}
	r.follower.changed(locking.CallOf(ctx), changes, outcomes, r.now().Sub(began))
	return outcomes, nil
}

// lost tells that nobody knows what the authority has done to the keys, which
// are held, or will still do.
func (r *Router) lost(keys []locking.Key) {
	r.mu.Lock()
	for _, key := range keys {
		r.unknown[key] = struct{}{}
	}
	r.mu.Unlock()
	r.follower.lost(keys)
}

// settled reads the authority's record of a key that is held, the zero Record
// if there is none, as it is when every change that was sent has been made or
// never will be.
func (r *Router) settled(ctx context.Context, key locking.Key) (locking.Record, error) {
	store := r.authority.Of(key.Route())
	r.mu.Lock()
	_, unknown := r.unknown[key]
	r.mu.Unlock()
	if !unknown {
		return getOrNone(ctx, store, key)
	}
	// A change that never applies comes after all that were sent before it.
	met, err := store.Apply(ctx, []locking.Change{locking.Delete(key, locking.AtVersion(math.MaxUint64))})
	if err != nil {
		return locking.Record{}, err
	}
	r.mu.Lock()
	delete(r.unknown, key)
	r.mu.Unlock()
	return met[0].Before, nil
}

func keysOf(changes []locking.Change) []locking.Key {
	keys := make([]locking.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	return keys
}
