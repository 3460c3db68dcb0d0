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
	// It returns locking.ErrNotOwner, naming the owner, if it is somebody's who has
	// not admitted us, and locking.ErrStoreLost for contents that were lost and
	// are not ours to make anew.
	Join(ctx context.Context, known Known) (Joined, error)

	// Probe finds out, on a fresh connection where there are connections, whether
	// the store that was joined takes writes, and adopts nothing: it fails with
	// ErrStoreLost where Join would make new contents. After it no write that has
	// had no answer can arrive any more.
	Probe(ctx context.Context) error

	// Mode returns the document that was kept last by SetMode, nil if none was.
	Mode(ctx context.Context) ([]byte, error)

	// SetMode keeps a document under an epoch. It returns locking.ErrStale if one
	// is kept under a higher epoch, or another one under the same.
	SetMode(ctx context.Context, epoch uint64, document []byte) error

	// MayAdmit returns why Admit can let nobody in under an id, whoever owns the
	// store; nil if it may. It asks no server.
	MayAdmit(sidecar string) error

	// Admit lets another sidecar work on the store beside its owner, by its id, and
	// for good. Only the owner can. It returns the ids of all that were admitted.
	Admit(ctx context.Context, sidecar string) ([]string, error)

	// SetDurable says from when on Apply must return after its changes are durable,
	// and reads show nothing else: true where the store answers. What was done
	// before is durable when it returns. A store that always works so does nothing.
	SetDurable(ctx context.Context, durable bool) error

	// Known returns what is to be remembered of the store, over restarts too.
	Known() Known

	// Close ends the store. Changes that were answered are durable then.
	Close() error
}

// Lister is a Store that knows its keys without their values. Both stores are.
type Lister interface {
	Store
	// Keys returns the keys of all records, in no order, for counting: those of one
	// partition are not always of one moment.
	Keys(ctx context.Context) ([]locking.Key, error)
}

// Known is what a sidecar remembers of the store it last worked with. The zero
// Known remembers nothing.
type Known struct {
	StoreID string                     `json:"store_id"`
	Epoch   uint64                     `json:"epoch"`
	Seen    [locking.Partitions]uint64 `json:"seen"` // highest version seen in each partition
	// Guest: it was another sidecar's, who had admitted this one, and is not for
	// this one to make anew.
	Guest bool `json:"guest,omitempty"`
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
	// Dropped: the contents are the known ones as of the last commit, which is all that
	// was durable. Changes that were answered since, as those of a follower are, are not
	// there: whoever joins must make every record equal.
	Dropped bool
	// Owner: this sidecar owns the store; else it was admitted by the owner.
	Owner bool
	// Admitted are the ids of the sidecars that the owner has admitted.
	Admitted []string
	// TookOver: the store was another sidecar's until this Join.
	TookOver bool
	// Ahead: the contents are the known ones, and were written to since that was
	// known of them. Whoever ended in order knew all: what he remembers, and what
	// is kept beside it, is an older copy then.
	Ahead bool
	// Contested: since the last Join of this process, somebody else has raised the
	// epoch under this sidecar's id, as a copy of its data directory would.
	Contested bool
}

// Sole reports whether no other sidecar may write to the store.
func (j Joined) Sole() bool { return j.Owner && len(j.Admitted) == 0 }
