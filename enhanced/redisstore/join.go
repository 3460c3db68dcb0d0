package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	// joinTries bounds how often Join starts again because a head changed under it.
	joinTries = 5
	// lostGap is left out of the versions of contents that take the place of
	// lost ones: what is known of those may be older than what they gave out.
	lostGap = 1 << 20
)

// found is what Join found in one partition.
type found struct {
	present      bool
	schema       string
	store, owner string
	epoch, seq   uint64
	records      uint64
}

// Join makes the store ours, as enhanced.Store says. The epoch is raised in any
// case: a write of an earlier process of this owner that is still on its way is
// then refused. Where nothing was known before, Lost is "".
//
// It takes head 00 first, and only if nobody has changed it since it was read:
// of two sidecars that join at the same time one gets all heads, the other
// ErrNotOwner.
func (s *Store) Join(ctx context.Context, known enhanced.Known) (enhanced.Joined, error) {
	if err := s.joining.hold(ctx); err != nil {
		return enhanced.Joined{}, fmt.Errorf("join store: %w", err)
	}
	defer s.joining.release()
	for _, p := range s.partitions {
		if err := p.gate.hold(ctx); err != nil {
			return enhanced.Joined{}, fmt.Errorf("join store: %w", err)
		}
		defer p.gate.release()
	}
	known = freshest(known, s.Known())
	for range joinTries {
		joined, err := s.tryJoin(ctx, known)
		if !errors.Is(err, errConflict) {
			return joined, err
		}
	}
	return enhanced.Joined{}, fmt.Errorf("join store: %w", errConflict)
}

func (s *Store) tryJoin(ctx context.Context, known enhanced.Known) (enhanced.Joined, error) {
	var heads [locking.Partitions]found
	for i := range heads {
		var err error
		if heads[i], err = s.peek(ctx, i); err != nil {
			return enhanced.Joined{}, noWrite("read heads", err)
		}
	}
	plan, err := s.plan(heads, known)
	if err != nil {
		return enhanced.Joined{}, fmt.Errorf("join store: %w", err)
	}
	var seen [locking.Partitions]uint64
	for i, head := range heads {
		if seen[i], err = s.take(ctx, i, head, plan); err != nil {
			return enhanced.Joined{}, noWrite("take heads", err)
		}
	}
	for i, p := range s.partitions {
		p.join(contents{store: plan.StoreID, epoch: plan.epoch, tried: plan.epoch, seen: seen[i]})
	}
	return plan.Joined, nil
}

// plan is what a join will make of the heads.
type plan struct {
	enhanced.Joined
	epoch  uint64
	lowest [locking.Partitions]uint64 // seq of each head, at least
}

func (s *Store) plan(heads [locking.Partitions]found, known enhanced.Known) (plan, error) {
	p := plan{epoch: known.Epoch + 1, lowest: known.Seen}
	for _, h := range heads {
		if !h.present {
			continue
		}
		if h.schema != schema {
			return plan{}, wrongSchema(h.schema)
		}
		if h.owner != s.owner {
			return plan{}, notOwner(h.owner)
		}
		p.epoch = max(p.epoch, h.epoch+1)
	}
	reason := difference(heads, known)
	if reason == "" {
		p.StoreID = heads[0].store
		return p, nil
	}
	var err error
	if p.StoreID, err = s.newID(); err != nil {
		return plan{}, err
	}
	highest := uint64(0)
	for i, h := range heads {
		highest = max(highest, h.seq, known.Seen[i])
	}
	if known.StoreID != "" {
		p.Lost = reason
		highest += lostGap
	}
	for i := range p.lowest {
		p.lowest[i] = highest + 1
	}
	p.Founded = empty(heads)
	return p, nil
}

// difference says in a sentence why the contents are not the known ones, "" if
// they are.
func difference(heads [locking.Partitions]found, known enhanced.Known) string {
	missing := 0
	for _, h := range heads {
		if !h.present {
			missing++
		}
	}
	switch {
	case missing == len(heads) && empty(heads):
		return "the Redis was empty"
	case missing == len(heads):
		return "the Redis had records, but none of the heads that say whose they are"
	case missing > 0:
		return fmt.Sprintf("%d of %d heads were missing", missing, len(heads))
	}
	for i, h := range heads {
		switch {
		case h.store != heads[0].store:
			return "the heads belonged to different stores"
		case known.StoreID != "" && h.store != known.StoreID:
			return "the Redis held the contents of another store"
		case h.seq < known.Seen[i]:
			return "the Redis held an older state of the store"
		}
	}
	return ""
}

func empty(heads [locking.Partitions]found) bool {
	for _, h := range heads {
		if h.present || h.records > 0 {
			return false
		}
	}
	return true
}

// freshest is what the caller remembers, or what this store has seen itself
// since, unless the caller remembers another store.
func freshest(remembered, own enhanced.Known) enhanced.Known {
	if own.StoreID == "" || remembered.StoreID != "" && remembered.StoreID != own.StoreID {
		return remembered
	}
	own.Epoch = max(own.Epoch, remembered.Epoch)
	for i := range own.Seen {
		own.Seen[i] = max(own.Seen[i], remembered.Seen[i])
	}
	return own
}

func (s *Store) peek(ctx context.Context, partition int) (found, error) {
	answer, err := s.joinCall(ctx, s.scripts.peek, partition)
	if err != nil {
		return found{}, err
	}
	reply, ok := answer.([]any)
	if !ok || len(reply) != 7 {
		return found{}, errReply
	}
	var f found
	var errs [7]error
	present, err := numberAt(reply, 0)
	errs[0], f.present = err, present == 1
	f.schema, errs[1] = textAt(reply, 1)
	f.store, errs[2] = textAt(reply, 2)
	f.owner, errs[3] = textAt(reply, 3)
	f.epoch, errs[4] = numberAt(reply, 4)
	f.seq, errs[5] = numberAt(reply, 5)
	f.records, errs[6] = numberAt(reply, 6)
	return f, errors.Join(errs[:]...)
}

func (s *Store) take(ctx context.Context, partition int, was found, p plan) (seq uint64, err error) {
	answer, err := s.joinCall(ctx, s.scripts.take, partition,
		was.store, was.owner, was.epoch, schema, p.StoreID, s.owner, p.epoch, p.lowest[partition])
	if err != nil {
		return 0, err
	}
	return numberAt([]any{answer}, 0)
}

func (s *Store) joinCall(ctx context.Context, script script, partition int, args ...any) (any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	answer, _, err := s.eval(ctx, script, []string{s.keys.head(partition), s.keys.index(partition)}, args, 0)
	return answer, err
}
