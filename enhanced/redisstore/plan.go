package redisstore

import (
	"fmt"
	"slices"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// lostGap is left out of the versions of contents that take the place of lost
// ones: what is known of those may be older than what they gave out.
const lostGap = 1 << 20

// plan is what a join will make of the heads.
type plan struct {
	enhanced.Joined
	epoch  uint64                     // of this sidecar
	lowest [locking.Partitions]uint64 // seq of each head, at least
}

func (s *Store) plan(heads [locking.Partitions]found, known enhanced.Known) (plan, error) {
	p := plan{epoch: known.Epoch + 1, lowest: known.Seen}
	for _, h := range heads {
		if h.present && h.schema != schema {
			return plan{}, wrongSchema(h.schema)
		}
		p.epoch = max(p.epoch, h.epoch+1, h.guest+1)
		p.Admitted = union(p.Admitted, splitIDs(h.admitted))
	}
	theirs := theirsIn(heads, s.owner)
	switch {
	case theirs == "":
		p.Owner = true
	case s.takeOver:
		p.Owner, p.TookOver, p.Admitted = true, true, nil
	case !slices.Contains(p.Admitted, s.owner):
		return plan{}, s.notOwner(theirs)
	}
	s.contested = s.contested || s.raisedByOthers(heads, p.Owner)
	p.Contested = s.contested
	reason := difference(heads, known)
	if !p.Owner || known.Guest && noneIsPresent(heads) && !s.takeOver {
		return p.asGuest(heads, known, reason)
	}
	if reason == "" {
		p.StoreID, p.Ahead = heads[0].store, ahead(heads, known)
		return p, nil
	}
	return s.anew(p, heads, known, reason)
}

// anew plans new contents.
func (s *Store) anew(p plan, heads [locking.Partitions]found, known enhanced.Known, reason string) (plan, error) {
	var err error
	if p.StoreID, err = s.newID(); err != nil {
		return plan{}, err
	}
	highest := uint64(0)
	for i, h := range heads {
		highest = max(highest, h.seq, known.Seen[i], h.claimed)
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

// asGuest plans to work on contents that another sidecar owns: they are what
// the owner says they are, if they are whole.
func (p plan) asGuest(heads [locking.Partitions]found, known enhanced.Known, reason string) (plan, error) {
	p.StoreID = heads[0].store
	if reason == "" {
		return p, nil
	}
	if reason != anotherStore {
		lost := locking.ErrStoreLost
		if reason == olderState {
			lost = errOlder
		}
		return plan{}, fmt.Errorf("%w: %s; its owner has to join it first and admit this sidecar again, or start this one with \"serve --take-over\"", lost, reason)
	}
	p.Lost = "the owner of the store has begun new contents"
	p.lowest = [locking.Partitions]uint64{} // those were other contents
	return p, nil
}

// raisedByOthers reports whether somebody else has raised our epoch since we last
// joined the same contents in the same way.
func (s *Store) raisedByOthers(heads [locking.Partitions]found, owner bool) bool {
	tried := max(s.tried, s.Known().Epoch)
	for _, h := range heads {
		same := h.present && h.store == s.last.StoreID && owner == s.last.Owner && (h.owner == s.owner) == owner
		if same && h.mine(owner) > tried {
			return true
		}
	}
	return false
}

const (
	anotherStore = "the Redis held the contents of another store"
	olderState   = "the Redis held an older state of the store"
)

// errOlder is what a sidecar that was admitted finds where its owner may find
// nothing.
var errOlder = fmt.Errorf("%w", locking.ErrStoreLost)

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
	for _, h := range heads {
		if h.store != heads[0].store {
			return "the heads belonged to different stores"
		}
	}
	if known.StoreID != "" && heads[0].store != known.StoreID {
		return anotherStore
	}
	for i, h := range heads {
		if h.seq < max(known.Seen[i], h.claimed) {
			return olderState
		}
	}
	return ""
}

// ahead reports whether contents that are the known ones were written to since.
func ahead(heads [locking.Partitions]found, known enhanced.Known) bool {
	for i, h := range heads {
		if known.StoreID != "" && h.seq > known.Seen[i] {
			return true
		}
	}
	return false
}

func empty(heads [locking.Partitions]found) bool {
	for _, h := range heads {
		if h.present || h.records > 0 {
			return false
		}
	}
	return true
}

func noneIsPresent(heads [locking.Partitions]found) bool {
	for _, h := range heads {
		if h.present {
			return false
		}
	}
	return true
}

// theirsIn is the first owner of a head that is not us, "" if there is none.
func theirsIn(heads [locking.Partitions]found, us string) string {
	for _, h := range heads {
		if h.present && h.owner != us {
			return h.owner
		}
	}
	return ""
}
