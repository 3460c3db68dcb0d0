//go:build failpoints

package main

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// failpoint breaks the follower's store for a test: with FAILPOINT_PANIC_EVERY=n every n-th change panics in it, by
// turns before and after it is made. No release has the tag.
func failpoint(store locking.Store) locking.Store {
	every, err := strconv.ParseUint(os.Getenv("FAILPOINT_PANIC_EVERY"), 10, 64)
	if err != nil || every == 0 {
		return store
	}
	return &panicking{Store: store, every: every}
}

type panicking struct {
	locking.Store
	every   uint64
	changes atomic.Uint64
}

// Apply is documented at locking.Store.
func (p *panicking) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	n := p.changes.Add(1)
	if n%(2*p.every) == p.every {
		panic("failpoint before a change")
	}
	outcomes, err := p.Store.Apply(ctx, changes)
	if n%(2*p.every) == 0 {
		panic("failpoint after a change")
	}
	return outcomes, err
}
