package redisstore

import (
	"context"
	"errors"
	"sync"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// partition is what we know of one partition of the store.
type partition struct {
	number int
	// gate is entered by writers. It is held to join, and by a scan that would
	// not end otherwise.
	gate gate
	// settling is held by whoever raises the epoch on the way to something else.
	settling gate

	mu    sync.Mutex
	known contents
	// owed is the epoch that the head must have before anything else is done: a
	// write below it has had no answer, and may yet arrive.
	owed uint64
	// ended: somebody else has raised the epoch under our id. Trying on would
	// count up to it.
	ended bool
}

// contents says which contents of a partition a script may work on.
type contents struct {
	store string // id of the store, "": not joined
	epoch uint64 // confirmed to be in the head
	tried uint64 // highest that we may have raised it to, ≥ epoch
	seen  uint64 // highest seq of any reply
	since uint64 // the head had no higher epoch when that was seen first
}

// view is the contents to work on now.
func (p *partition) view() contents {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known
}

// observe takes note of the seq of a reply about the contents that were asked for.
func (p *partition) observe(asked contents, seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known.store == asked.store && seq > p.known.seen {
		p.known.seen, p.known.since = seq, asked.tried
	}
}

// try takes note of an epoch that a join is about to set in a head that has one
// of ours: should the answer get lost, the head is not taken for somebody else's.
// It reports false if a raise has tried that epoch meanwhile: each would take the
// other's for somebody else's.
func (p *partition) try(store string, was, epoch uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known.store != store || was > p.known.tried {
		return true
	}
	if p.known.tried >= epoch {
		return false
	}
	p.known.tried = epoch
	return true
}

// join takes note of what a join has set, under a held gate. The epoch of the
// same contents may have been raised meanwhile.
func (p *partition) join(joined contents) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = false
	if p.known.store != joined.store {
		p.known, p.owed = joined, 0
		return
	}
	p.known.epoch = max(p.known.epoch, joined.epoch)
	p.known.tried = max(p.known.tried, joined.tried)
	if joined.seen > p.known.seen {
		p.known.seen, p.known.since = joined.seen, joined.since
	}
}

// overtaken reports whether err only says that the script came after we had
// raised the epoch, or joined: it did nothing, and may be sent again.
func (p *partition) overtaken(asked contents, err error) bool {
	stale, ok := errors.AsType[*staleError](err)
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.store != asked.store || stale.epoch <= p.known.tried
}

// unsettle takes note of a write on these contents that has had no answer. It is
// refused once the head has a higher epoch than any that was tried by then.
func (p *partition) unsettle(asked contents) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known.store == asked.store {
		p.owed = max(p.owed, asked.tried+1)
	}
}

func (p *partition) isUnsettled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.epoch < p.owed
}

// nextEpoch returns the contents and the epoch to raise the head to. The epoch
// counts as tried from then on.
func (p *partition) nextEpoch() (asked contents, next uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch asked = p.known; {
	case asked.store == "":
		return asked, 0, errNotJoined
	case p.ended:
		return asked, 0, locking.ErrStale
	}
	p.known.tried++
	return asked, p.known.tried, nil
}

func (p *partition) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

func (p *partition) confirm(asked contents, epoch uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known.store == asked.store {
		p.known.epoch = max(p.known.epoch, epoch)
	}
}

// settle raises the epoch in the head if a write has had no answer: from then
// on the write is either done or never will be. Writes that are under way
// meanwhile are refused, and sent again.
func (s *Store) settle(ctx context.Context, p *partition) error {
	if !p.isUnsettled() {
		return nil
	}
	if err := p.settling.hold(ctx); err != nil {
		return err
	}
	defer p.settling.release()
	if !p.isUnsettled() {
		return nil
	}
	if err := s.raise(ctx, p, s.nodes); err != nil {
		return noWrite("raise epoch", err)
	}
	s.log.Info("raised epoch after a write without answer", "partition", p.number, "epoch", p.view().epoch)
	return nil
}

// raise raises the epoch in the head above all that were tried.
func (s *Store) raise(ctx context.Context, p *partition, through nodes) error {
	for {
		asked, next, err := p.nextEpoch()
		if err != nil {
			return err
		}
		c := call{script: s.scripts.raise, args: []any{next}, wrote: func([]any) bool { return true }, through: through}
		_, err = s.call(ctx, p, asked, c)
		if errors.Is(err, errOlderEpoch) {
			err = s.raiseForgotten(ctx, p, c, err)
		}
		if err == nil {
			p.confirm(asked, next)
			return nil
		}
		stale, isStale := errors.AsType[*staleError](err)
		if isStale && stale.epoch != next && p.overtaken(asked, err) {
			continue
		}
		if isStale {
			p.end()
		}
		return err
	}
}
