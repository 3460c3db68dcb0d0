package redisstore

import "context"

// raiseForgotten raises the epoch in a head that has forgotten some of those it had, and
// no record, as in a Redis that came back from an older file: with the higher epoch
// nothing can arrive of what it forgot. That it forgot no record is known where nobody
// else writes, if it has all that was seen and the epoch of that: with a lower one the
// same seq may count other writes. Otherwise it returns older, the refusal.
func (s *Store) raiseForgotten(ctx context.Context, p *partition, raise call, older error) error {
	if !s.sole.Load() {
		return older
	}
	asked := p.view()
	epoch, err := s.epochIn(ctx, p, raise.through)
	switch {
	case err != nil:
		return noWrite("read head", err)
	case epoch < asked.since:
		return older
	}
	asked.epoch = epoch
	_, err = s.call(ctx, p, asked, raise)
	return err
}

// epochIn is the epoch of the owner that is in a head.
func (s *Store) epochIn(ctx context.Context, p *partition, through nodes) (uint64, error) {
	answer, _, err := s.eval(ctx, through, s.scripts.peek, []string{s.keys.head(p.number), s.keys.index(p.number)}, []any{s.owner}, 0)
	if err != nil {
		return 0, err
	}
	f, err := foundIn(answer)
	return f.epoch, err
}
