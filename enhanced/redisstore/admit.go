package redisstore

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// MayAdmit is documented at enhanced.Store.
func (s *Store) MayAdmit(sidecar string) error {
	if sidecar == s.owner {
		return fmt.Errorf("%s is this sidecar itself", sidecar)
	}
	return checkID(sidecar)
}

// Admit is documented at enhanced.Store. An id has no comma or space in it. Where it
// fails half way some partitions let the other sidecar in and others do not; it
// may be called again, and the owner's next Join completes it too.
func (s *Store) Admit(ctx context.Context, sidecar string) ([]string, error) {
	if err := s.MayAdmit(sidecar); err != nil {
		return nil, fmt.Errorf("admit sidecar: %w", err)
	}
	if err := s.joining.hold(ctx); err != nil { // a join writes the same field
		return nil, fmt.Errorf("admit sidecar: %w", err)
	}
	defer s.joining.release()
	s.sole.Store(false) // whatever comes of it
	wanted := union(s.last.Admitted, []string{sidecar})
	var found [locking.Partitions][]string
	err := s.inAll(func(p *partition) (err error) {
		found[p.number], err = s.admitIn(ctx, p, wanted)
		return err
	})
	s.last.Admitted = union(append(found[:], s.last.Admitted)...)
	if err != nil {
		return nil, fmt.Errorf("admit sidecar: %w", err)
	}
	return slices.Clone(s.last.Admitted), nil
}

// admitIn returns all that the partition admits then.
func (s *Store) admitIn(ctx context.Context, p *partition, ids []string) ([]string, error) {
	c := call{script: s.scripts.admit, wrote: func([]any) bool { return true }}
	for _, id := range ids {
		c.args = append(c.args, id)
	}
	for {
		asked := p.view()
		reply, err := s.call(ctx, p, asked, c)
		if p.overtaken(asked, err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var found []string
		for i := 1; i < len(reply); i++ {
			id, err := textAt(reply, i)
			if err != nil {
				return nil, err
			}
			found = append(found, id)
		}
		return found, nil
	}
}

// inAll does something in all partitions at once and returns the first error in
// their order.
func (s *Store) inAll(do func(*partition) error) error { return s.inEach(s.partitions[:], do) }

func (s *Store) inEach(partitions []*partition, do func(*partition) error) error {
	errs := make([]error, len(partitions))
	var all sync.WaitGroup
	for i, p := range partitions {
		all.Go(func() { errs[i] = do(p) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
