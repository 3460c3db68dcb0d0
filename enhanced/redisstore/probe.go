package redisstore

import "context"

// Probe raises the epoch in every head, on connections of its own: it finds out
// what a write would, and waits for no other operation and no connection that
// is stuck. Writes under way are refused by it and sent again. If it succeeds and
// a command had no answer before, what was connected by then is not used again:
// the store is there, and those connections need not be.
func (s *Store) Probe(ctx context.Context) error {
	fresh := newFreshNodes(ctx, s.nodes)
	defer fresh.close()
	if err := s.inAll(func(p *partition) error { return s.raise(ctx, p, fresh) }); err != nil {
		return noWrite("probe store", err)
	}
	s.links.renew()
	return nil
}
