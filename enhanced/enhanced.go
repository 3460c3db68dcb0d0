// Package enhanced holds what the enhanced stores have in common: the identity
// of a store, and what a sidecar remembers of it. The stores are redisstore and
// embedded; the second is the executable specification of the first.
//
// It knows no mode and no other store.
package enhanced

import (
	"context"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Store is a locking.Store with an identity. Until Join has succeeded every
// other method fails. A store never serves contents that it cannot tell from
// those it last saw: it fails with locking.ErrStoreLost, ErrNotOwner or
// ErrStale, and Join says how to go on.
type Store interface {
	locking.Store

	// Join finds out what store this is and makes it ours if it is nobody's. It
	// may be called again, after any error, while other methods are in use.
	// It returns locking.ErrNotOwner, naming the owner, if it is somebody's.
	Join(ctx context.Context, known Known) (Joined, error)

	// Known returns what is to be remembered of the store, over restarts too.
	Known() Known

	// Close ends the store. Changes that were answered are durable then.
	Close() error
}

// Known is what a sidecar remembers of the store it last worked with. The zero
// Known remembers nothing.
type Known struct {
	StoreID string                     `json:"store_id"`
	Epoch   uint64                     `json:"epoch"`
	Seen    [locking.Partitions]uint64 `json:"seen"` // highest version seen in each partition
}

// Joined is what Join found and did.
type Joined struct {
	// StoreID is the id of the contents from now on. Evidence, backfill and
	// comparisons that belong to another id are worth nothing here.
	StoreID string
	// Founded: the store had no contents and was made.
	Founded bool
	// Lost says why the contents are not the ones that were known, "" if they
	// are, or nothing was known. They have got a new id.
	Lost string
}
