package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Apply is documented at locking.Store; when it returns, at
// Options.CommitEvery. If ctx ends during the commit the result is
// ErrUnknownResult; before that, nothing was done.
func (s *Store) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if err := locking.CheckBatch(changes); err != nil {
		return nil, err
	}
	outcomes, rests, err := s.applyInTurn(ctx, changes)
	if err != nil || rests == nil {
		return outcomes, err
	}
	if err := rests.wait(ctx); err != nil {
		return nil, err
	}
	return outcomes, nil
}

// applyInTurn returns the outcomes and the commit that they rest on, refusals
// included; nil if they need none or do not wait for it.
func (s *Store) applyInTurn(ctx context.Context, changes []locking.Change) ([]locking.Outcome, *landing, error) {
	if err := s.take(ctx); err != nil {
		return nil, nil, err
	}
	defer s.release()
	before := make([]record, len(changes))
	err := s.look(s.tx, changes[0].Key.Partition(), func(b *bolt.Bucket) {
		for i, c := range changes {
			before[i] = decode(b.Get([]byte(c.Key.String())))
		}
	})
	if err != nil {
		return nil, nil, err
	}
	outcomes, writes := decide(changes, before)
	if writes {
		if err := s.write(changes, before, outcomes); err != nil {
			return nil, nil, s.fail(err)
		}
	}
	if s.behind() {
		s.see(false)
		return outcomes, nil, nil
	}
	return outcomes, s.landing, nil
}

// decide evaluates all conditions: every change is applied or none. writes
// tells whether that changes anything.
func decide(changes []locking.Change, before []record) (outcomes []locking.Outcome, writes bool) {
	met := make([]locking.Record, len(changes))
	for i, c := range changes {
		met[i] = before[i].as(c.Key)
	}
	outcomes = locking.Meet(changes, met)
	for i, c := range changes {
		writes = writes || outcomes[i].Applied && !idle(c, before[i])
	}
	return outcomes, writes
}

// idle reports whether the change leaves everything as it is.
func idle(c locking.Change, before record) bool {
	if c.Delete {
		return before.version == 0
	}
	return before.whole && bytes.Equal(before.raw, c.Value)
}

// write makes the changes in the open transaction, and begins one if there is
// none. After an error the transaction is worth nothing.
func (s *Store) write(changes []locking.Change, before []record, outcomes []locking.Outcome) (err error) {
	if err := s.begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer boltfile.Recover(&err)()
	op := make([]byte, opLen)
	rand.Read(op) // never fails (crypto/rand)
	partition := changes[0].Key.Partition()
	b, h := s.tx.Bucket(name(partition)), &s.heads[partition]
	for i, c := range changes {
		if idle(c, before[i]) {
			continue
		}
		h.seq++
		s.landing.keys[c.Key] = struct{}{}
		wire := []byte(c.Key.String())
		if c.Delete {
			err = b.Delete(wire)
		} else {
			outcomes[i].Version = h.seq
			err = b.Put(wire, s.successor(before[i], c.Value, *h, op).encode())
		}
		if err != nil {
			return fmt.Errorf("change: %w", err)
		}
	}
	return nil
}

// successor is the record that value makes of the one before. The fence and the
// time are of when its owner took it.
func (s *Store) successor(before record, value []byte, h head, op []byte) record {
	r := record{
		version: h.seq, fence: h.seq, epoch: h.epoch, acquiredAt: s.now().UnixMilli(),
		op: op, origin: s.owner, raw: value,
	}
	if before.sameOwner(value) {
		r.fence, r.acquiredAt = before.fence, before.acquiredAt
	}
	return r
}
