package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// server is an enhanced store as a server keeps it: it outlives a sidecar. Each
// operation can fail before it is done or after, or take its time.
type server struct {
	locking.Store
	mu       sync.Mutex
	id       string
	used     bool // somebody has joined it
	gone     bool // other contents are there than those that were joined
	lost     string
	theirs   bool // it belongs to another sidecar
	ahead    bool // it was written to since what is remembered, as each Join finds
	taken    bool // it was another sidecar's until the next Join
	admitted []string
	epoch    uint64 // of the document
	document []byte
	durable  bool
	probes   int
	fault    func(ctx context.Context, op string) (before, after error)
	foreign  func(locking.Record) bool
	check    func(context.Context, enhanced.Store, enhanced.Joined) error // whether what was joined may be worked on; nil: yes
}

func newServer() *server { return &server{Store: locking.NewMemory(), id: "s1"} }

func (s *server) set(change func(*server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// fails makes every operation fail, nil ends that.
func (s *server) fails(err error) {
	s.set(func(s *server) {
		s.fault = func(context.Context, string) (error, error) { return err, nil }
		if err == nil {
			s.fault = nil
		}
	})
}

// hangs makes every operation take longer than anybody waits.
func (s *server) hangs() {
	s.set(func(s *server) {
		s.fault = func(ctx context.Context, op string) (error, error) {
			<-ctx.Done()
			if op == "apply" {
				return nil, fmt.Errorf("%w: %w", locking.ErrUnknownResult, ctx.Err())
			}
			return ctx.Err(), nil
		}
	})
}

// emptied makes other contents of it, of which the next Join tells.
func (s *server) emptied(id string) {
	for _, k := range keysOf(s.Store) {
		_, _ = s.Store.Apply(context.Background(), []locking.Change{locking.Delete(k, locking.Any())})
	}
	s.set(func(s *server) {
		s.id, s.gone, s.lost, s.document, s.epoch, s.used = id, true, "emptied", nil, 0, false
	})
}

func keysOf(s locking.Store) (all []locking.Key) {
	for r := range s.Scan(context.Background(), locking.All) {
		all = append(all, r.Key)
	}
	return all
}

// meet returns how an operation fails, before it is done and after.
func (s *server) meet(ctx context.Context, op string) (before, after error) {
	s.mu.Lock()
	fault, gone, theirs := s.fault, s.gone, s.theirs
	s.mu.Unlock()
	if fault != nil {
		if before, after = fault(ctx, op); before != nil {
			return before, after
		}
	}
	switch {
	case op == "join":
		return nil, after
	case theirs:
		return locking.ErrNotOwner, nil
	case gone:
		return locking.ErrStoreLost, nil
	}
	return nil, after
}

func (s *server) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	before, after := s.meet(ctx, "get")
	if before != nil {
		return locking.Record{}, before
	}
	r, err := s.Store.Get(ctx, key)
	s.mu.Lock()
	foreign := s.foreign
	s.mu.Unlock()
	r.Foreign = foreign != nil && foreign(r)
	return r, errors.Join(err, after)
}

func (s *server) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	if before, after := s.meet(ctx, "scan"); before != nil || after != nil {
		return func(yield func(locking.Record, error) bool) { yield(locking.Record{}, errors.Join(before, after)) }
	}
	return s.Store.Scan(ctx, match)
}

func (s *server) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	before, after := s.meet(ctx, "apply")
	if before != nil {
		return nil, before
	}
	outcomes, err := s.Store.Apply(context.WithoutCancel(ctx), changes)
	if err = errors.Join(err, after); err != nil {
		return nil, err
	}
	return outcomes, nil
}

func (s *server) Join(ctx context.Context, _ enhanced.Known) (enhanced.Joined, error) {
	if before, after := s.meet(ctx, "join"); before != nil || after != nil {
		return enhanced.Joined{}, errors.Join(before, after)
	}
	j, err := s.join()
	s.mu.Lock()
	check := s.check
	s.mu.Unlock()
	if err == nil && check != nil {
		err = check(ctx, s, j)
	}
	return j, err
}

func (s *server) join() (enhanced.Joined, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.theirs {
		return enhanced.Joined{}, locking.ErrNotOwner
	}
	j := enhanced.Joined{StoreID: s.id, Founded: !s.used, Lost: s.lost, Owner: true, Admitted: slices.Clone(s.admitted), Ahead: s.ahead, TookOver: s.taken}
	s.used, s.gone, s.lost, s.taken = true, false, "", false
	return j, nil
}

// touched reports whether anybody has joined it.
func (s *server) touched() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

func (s *server) Probe(ctx context.Context) error {
	s.set(func(s *server) { s.probes++ })
	before, after := s.meet(ctx, "probe")
	return errors.Join(before, after)
}

// probed is how often it was.
func (s *server) probed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.probes
}

// isDurable reports whether it was told to keep what it answers.
func (s *server) isDurable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

func (s *server) Mode(ctx context.Context) ([]byte, error) {
	if before, _ := s.meet(ctx, "mode"); before != nil {
		return nil, before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.document, nil
}

func (s *server) SetMode(ctx context.Context, epoch uint64, document []byte) error {
	if before, _ := s.meet(ctx, "setmode"); before != nil {
		return before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch > epoch || s.epoch == epoch && s.document != nil && string(s.document) != string(document) {
		return locking.ErrStale
	}
	s.epoch, s.document = epoch, document
	return nil
}

func (s *server) MayAdmit(string) error { return nil }

func (s *server) Admit(ctx context.Context, sidecar string) ([]string, error) {
	if before, _ := s.meet(ctx, "admit"); before != nil {
		return nil, before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitted = append(s.admitted, sidecar)
	return slices.Clone(s.admitted), nil
}

func (s *server) SetDurable(ctx context.Context, durable bool) error {
	before, _ := s.meet(ctx, "durable")
	if before == nil {
		s.set(func(s *server) { s.durable = durable })
	}
	return before
}

func (s *server) Known() enhanced.Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return enhanced.Known{StoreID: s.id}
}

func (s *server) Close() error { return nil }

// disk is legacy as commands and followers see it: its operations can fail.
type disk struct {
	*legacy.Store
	fault atomic.Pointer[func(op string) (before, after error)]
}

func (d *disk) fails(fault func(op string) (before, after error)) {
	if fault == nil {
		d.fault.Store(nil)
		return
	}
	d.fault.Store(&fault)
}

func (d *disk) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	fault := d.fault.Load()
	if fault == nil {
		return d.Store.Apply(ctx, changes)
	}
	before, after := (*fault)("apply")
	if before != nil {
		return nil, before
	}
	outcomes, err := d.Store.Apply(ctx, changes)
	if err = errors.Join(err, after); err != nil {
		return nil, err
	}
	return outcomes, nil
}
