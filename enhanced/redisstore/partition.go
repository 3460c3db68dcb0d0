package redisstore

import (
	"context"
	"sync"
)

// partition is what we know of one partition of the store.
type partition struct {
	number int
	// gate is entered by writers. It is held to raise the epoch, to join, and
	// by a scan that would not end otherwise.
	gate gate

	mu    sync.Mutex
	known contents
	// unsettled: a write has had no answer, and may yet arrive.
	unsettled bool
}

// contents says which contents of a partition a script may work on.
type contents struct {
	store string // id of the store, "": not joined
	epoch uint64 // confirmed to be in the head
	tried uint64 // highest that we may have raised it to, ≥ epoch
	seen  uint64 // highest seq of any reply
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
	if p.known.store == asked.store {
		p.known.seen = max(p.known.seen, seq)
	}
}

// join replaces what is known, under a held gate.
func (p *partition) join(known contents) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known, p.unsettled = known, false
}

// outdated reports whether we may have raised the epoch, or joined, since these
// contents were asked for.
func (p *partition) outdated(asked contents) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.store != asked.store || p.known.tried != asked.tried
}

func (p *partition) unsettle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsettled = true
}

func (p *partition) isUnsettled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsettled
}

// nextEpoch returns the contents and the epoch to raise the head to. The epoch
// counts as tried from then on.
func (p *partition) nextEpoch() (asked contents, next uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked = p.known
	p.known.tried++
	return asked, p.known.tried
}

// settle raises the epoch in the head if a write has had no answer: from then
// on the write is either done or never will be.
func (s *Store) settle(ctx context.Context, p *partition) error {
	if !p.isUnsettled() {
		return nil
	}
	if err := p.gate.hold(ctx); err != nil {
		return err
	}
	defer p.gate.release()
	return s.settleHeld(ctx, p)
}

// settleHeld is settle under a held gate.
func (s *Store) settleHeld(ctx context.Context, p *partition) error {
	if !p.isUnsettled() {
		return nil
	}
	asked, next := p.nextEpoch()
	raised := call{script: s.scripts.raise, args: []any{next}, wrote: func([]any) bool { return true }}
	if _, err := s.call(ctx, p, asked, raised); err != nil {
		return noWrite("raise epoch", err)
	}
	p.mu.Lock()
	p.known.epoch, p.unsettled = next, false
	p.mu.Unlock()
	s.log.Info("raised epoch after a write without answer", "partition", p.number, "epoch", next)
	return nil
}
