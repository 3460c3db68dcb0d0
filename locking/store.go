package locking

import (
	"bytes"
	"context"
	"errors"
	"iter"
)

// What a Store's methods return. Any other error means that the store could
// not answer: it is never to be read as "free" or "absent".
var (
	// ErrNotFound is returned by Get when there is no such record.
	ErrNotFound = errors.New("record not found")

	// ErrBadBatch is returned by Apply for changes that cannot be one
	// transaction: none, two partitions, the same key twice, or the zero Key.
	ErrBadBatch = errors.New("changes are not one transaction of distinct keys in one partition")

	// ErrUnknownResult is returned by Apply when the store failed in a way
	// that leaves open whether the changes were made. Whoever needs to know
	// reads the records back.
	ErrUnknownResult = errors.New("result unknown")

	// ErrClosed is returned by every method of a store that was closed.
	ErrClosed = errors.New("store is closed")

	// ErrStoreLost is returned by every method of an enhanced store whose
	// contents are not those that this sidecar last saw: emptied, swapped for
	// another, or restored from an older copy.
	ErrStoreLost = errors.New("store is not the one it was")

	// ErrNotOwner is returned by every method of an enhanced store that belongs
	// to another sidecar.
	ErrNotOwner = errors.New("store belongs to another sidecar")

	// ErrStale is returned by every method of an enhanced store in which a newer
	// epoch than ours has begun.
	ErrStale = errors.New("a newer epoch has begun in the store")
)

// Store keeps records. All methods are safe for concurrent use and return when
// ctx is done. Slices that go in are not kept, slices that come out are the
// caller's.
type Store interface {
	// Get returns the record of key as last committed, or ErrNotFound. What it
	// returns is durable.
	Get(ctx context.Context, key Key) (Record, error)

	// Scan yields every record that matches, each partition as it was at one
	// moment. After an error it yields nothing more.
	Scan(ctx context.Context, match Pattern) iter.Seq2[Record, error]

	// Apply makes all changes or, if the condition of one does not hold, none,
	// and returns one Outcome for each. It returns after the changes are
	// durable. A condition that does not hold is an outcome, not an error;
	// ErrBadBatch and ErrUnknownResult are the errors a caller branches on.
	Apply(ctx context.Context, changes []Change) ([]Outcome, error)
}

// Record is one value under its key. The zero Record stands for "no record".
type Record struct {
	Key   Key
	Value []byte // opaque, and a secret
	// Version grows with every write to the store, deletes included, so that a
	// key never has the same version twice. 0: there is no record.
	Version uint64
	// Foreign: the store can tell that this sidecar did not write the record, as it
	// stands, while it owned the store. Only an enhanced store in Redis can.
	Foreign bool
}

// Exists reports whether there is a record.
func (r Record) Exists() bool { return r.Version != 0 }

// Change puts or deletes the record of one key if its condition holds. Put
// and Delete make one.
type Change struct {
	Key    Key
	If     Condition
	Delete bool
	Value  []byte
}

// Put is the change that stores value under key.
func Put(key Key, value []byte, cond Condition) Change {
	return Change{Key: key, Value: value, If: cond}
}

// Delete is the change that removes the record of key, if there is one.
func Delete(key Key, cond Condition) Change {
	return Change{Key: key, Delete: true, If: cond}
}

// Outcome tells what one Change met and did.
type Outcome struct {
	// Applied: the conditions of all changes held and this one is durable.
	Applied bool
	// Refused: the condition of this very change did not hold.
	Refused bool
	// Before is the record that the change met, the zero Record if none.
	Before Record
	// Version of the record after a put that was applied, else 0. A put of the
	// bytes that are there already writes nothing and keeps the version.
	Version uint64
}

// CheckBatch returns ErrBadBatch if the changes cannot be one transaction.
// Every Store calls it first.
func CheckBatch(changes []Change) error {
	if len(changes) == 0 {
		return ErrBadBatch
	}
	seen := make(map[Key]struct{}, len(changes))
	for _, c := range changes {
		_, twice := seen[c.Key]
		if twice || c.Key == (Key{}) || c.Key.Partition() != changes[0].Key.Partition() {
			return ErrBadBatch
		}
		seen[c.Key] = struct{}{}
	}
	return nil
}

// Meet evaluates the conditions of a batch against the records that its changes
// meet, which are in the same order. In the outcomes a put has the version of
// what it met: a store that writes sets the new one.
func Meet(changes []Change, before []Record) []Outcome {
	outcomes := make([]Outcome, len(changes))
	all := true
	for i, c := range changes {
		refused := !c.If.Holds(before[i])
		outcomes[i] = Outcome{Refused: refused, Before: before[i]}
		all = all && !refused
	}
	for i, c := range changes {
		outcomes[i].Applied = all
		if all && !c.Delete {
			outcomes[i].Version = before[i].Version
		}
	}
	return outcomes
}

// Writes reports whether the change does anything to the record that it met.
func (c Change) Writes(before Record) bool {
	if c.Delete {
		return before.Exists()
	}
	return !before.Exists() || !bytes.Equal(before.Value, c.Value)
}
