package redisstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// joinTries bounds how often Join starts again because a head changed under it.
const joinTries = 5

// found is what Join found in one partition.
type found struct {
	present      bool
	schema       string
	store, owner string
	epoch        uint64 // of the owner
	guest        uint64 // of this sidecar, as one that is admitted
	seq          uint64
	records      uint64
	admitted     string
	claimed      uint64 // seq that an admitted sidecar has seen, if it saw more than is there
}

// mine is the epoch of this sidecar.
func (f found) mine(owner bool) uint64 {
	if owner {
		return f.epoch
	}
	return f.guest
}

// Join makes the store ours, as enhanced.Store says, or finds that its owner has
// admitted us. The epoch of this sidecar is raised in any case: a write of an
// earlier process of it that is still on its way is then refused. Where nothing
// was known before, Lost is "".
//
// It takes head 00 first, and only if nobody has changed it since it was read:
// of two sidecars that join at the same time one gets all heads, the other
// ErrNotOwner. Contents that are lost are made anew by their owner alone; a
// sidecar that was admitted gets ErrStoreLost until then.
func (s *Store) Join(ctx context.Context, known enhanced.Known) (enhanced.Joined, error) {
	if err := s.joining.hold(ctx); err != nil {
		return enhanced.Joined{}, fmt.Errorf("join store: %w", err)
	}
	defer s.joining.release()
	for _, p := range s.partitions {
		for _, g := range []*gate{&p.gate, &p.settling} {
			if err := g.hold(ctx); err != nil {
				return enhanced.Joined{}, fmt.Errorf("join store: %w", err)
			}
			defer g.release()
		}
	}
	for range joinTries {
		joined, err := s.tryJoin(ctx, freshest(known, s.Known()))
		if !errors.Is(err, errConflict) {
			return joined, err
		}
	}
	return enhanced.Joined{}, fmt.Errorf("join store: %w", errConflict)
}

func (s *Store) tryJoin(ctx context.Context, known enhanced.Known) (enhanced.Joined, error) {
	var heads [locking.Partitions]found
	err := s.inAll(func(p *partition) (err error) {
		heads[p.number], err = s.peek(ctx, p.number)
		return err
	})
	if err != nil {
		return enhanced.Joined{}, noWrite("read heads", err)
	}
	plan, err := s.plan(heads, known)
	if errors.Is(err, errOlder) {
		err = errors.Join(err, s.claim(ctx, known))
	}
	if err != nil {
		return enhanced.Joined{}, fmt.Errorf("join store: %w", err)
	}
	s.tried = max(s.tried, plan.epoch)
	var seen [locking.Partitions]uint64
	take := func(p *partition) (err error) {
		if !p.try(plan.StoreID, heads[p.number].mine(plan.Owner), plan.epoch) {
			return errConflict
		}
		seen[p.number], err = s.take(ctx, p, heads[p.number], plan)
		return err
	}
	if err = take(s.partitions[0]); err == nil {
		err = s.inEach(s.partitions[1:], take)
	}
	if err != nil {
		return enhanced.Joined{}, noWrite("take heads", err)
	}
	for i, p := range s.partitions {
		p.join(contents{store: plan.StoreID, epoch: plan.epoch, tried: plan.epoch, seen: seen[i], since: heads[i].epoch})
	}
	s.adopt(plan.Joined)
	return plan.Joined, nil
}

// adopt remembers what was joined, for the next Join and for Known.
func (s *Store) adopt(joined enhanced.Joined) {
	s.last, s.takeOver, s.contested = joined, false, false
	s.guest.Store(!joined.Owner)
	s.sole.Store(joined.Sole())
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
	answer, err := s.joinCall(ctx, s.scripts.peek, partition, s.owner)
	if err != nil {
		return found{}, err
	}
	return foundIn(answer)
}

func foundIn(answer any) (found, error) {
	const length = 10
	reply, ok := answer.([]any)
	if !ok || len(reply) != length {
		return found{}, errReply
	}
	var f found
	var errs [length]error
	present, err := numberAt(reply, 0)
	errs[0], f.present = err, present == 1
	f.schema, errs[1] = textAt(reply, 1)
	f.store, errs[2] = textAt(reply, 2)
	f.owner, errs[3] = textAt(reply, 3)
	f.epoch, errs[4] = numberAt(reply, 4)
	f.guest, errs[5] = numberAt(reply, 5)
	f.seq, errs[6] = numberAt(reply, 6)
	f.records, errs[7] = numberAt(reply, 7)
	f.admitted, errs[8] = textAt(reply, 8)
	f.claimed, errs[9] = numberAt(reply, 9)
	return f, errors.Join(errs[:]...)
}

// take sets in one head what was planned, if the head is still what was found,
// and returns its seq.
func (s *Store) take(ctx context.Context, p *partition, was found, plan plan) (seq uint64, err error) {
	if !plan.Owner {
		asked := contents{store: was.store, tried: was.guest, seen: plan.lowest[p.number]}
		reply, err := s.call(ctx, p, asked, call{script: s.scripts.raise, args: []any{plan.epoch}})
		switch {
		case errors.Is(err, locking.ErrStale):
			return 0, errConflict
		case err != nil:
			return 0, err
		}
		return numberAt(reply, 0)
	}
	ours := 0
	if was.owner != s.owner || was.store != plan.StoreID {
		ours = 1
	}
	answer, err := s.joinCall(ctx, s.scripts.take, p.number, was.store, was.owner, was.epoch, was.admitted,
		schema, plan.StoreID, s.owner, plan.epoch, plan.lowest[p.number], joinIDs(plan.Admitted), ours)
	if err != nil {
		return 0, err
	}
	return numberAt([]any{answer}, 0)
}

// claim tells the owner what this sidecar, which it has admitted, has seen.
func (s *Store) claim(ctx context.Context, known enhanced.Known) error {
	return s.inAll(func(p *partition) error {
		_, _, err := s.eval(ctx, s.nodes, s.scripts.claim, []string{s.keys.head(p.number)},
			[]any{s.owner, known.StoreID, known.Seen[p.number]}, 0)
		return err
	})
}

func (s *Store) joinCall(ctx context.Context, script script, partition int, args ...any) (any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	answer, _, err := s.eval(ctx, s.nodes, script, []string{s.keys.head(partition), s.keys.index(partition)}, args, 0)
	return answer, err
}
