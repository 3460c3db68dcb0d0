package legacy

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// visit is one Inspect on its way through the writer, which gives the file up
// and takes it back.
type visit struct {
	begun chan error    // nil: the file is given up
	over  chan struct{} // closed by the visitor
	ended chan error    // nil: the file is ours again
}

// Inspect closes the file and gives up its lock, runs fn with its path, and
// opens it again, as Open would find it after a stop. Until fn returns nobody
// reads or writes: they wait, each as long as its context lasts, and a write
// that waited in vain was not begun. A running backup ends with an error.
//
// fn must not write to the file. If it did, or the file cannot be opened again,
// Inspect returns the error, writes are refused and, in the latter case, reads
// too, until a try, one each second, succeeds. A store that takes no writes is
// not given up: Inspect returns why it takes none.
func (s *Store) Inspect(ctx context.Context, fn func(path string) error) error {
	v := &visit{begun: make(chan error, 1), over: make(chan struct{}), ended: make(chan error, 1)}
	select {
	case s.visits <- v:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return locking.ErrClosed
	}
	if err := <-v.begun; err != nil {
		return fmt.Errorf("give up %s: %w", s.path, err)
	}
	err := v.run(fn, s.path)
	if back := <-v.ended; back != nil {
		return errors.Join(fmt.Errorf("take back %s: %w", s.path, back), err)
	}
	return err
}

// run ends the visit also when fn panics.
func (v *visit) run(fn func(string) error, path string) error {
	defer close(v.over)
	return fn(path)
}

// admit is the writer's part of Inspect.
func (s *Store) admit(v *visit) {
	if err := s.giveUp(); err != nil {
		v.begun <- err
		return
	}
	v.begun <- nil
	<-v.over
	v.ended <- s.takeBack()
}

// giveUp closes the file and makes readers wait.
func (s *Store) giveUp() error {
	if err := s.Healthy(); err != nil {
		return err
	}
	if err := s.open.inPlace(); err != nil {
		return err
	}
	close(s.open.closing)
	s.file.Lock()
	defer s.file.Unlock()
	s.shut()
	s.away = make(chan struct{})
	return nil
}

// takeBack opens the file again and lets the readers go on.
func (s *Store) takeBack() error {
	err := s.reopen()
	if err == nil {
		err = s.reload()
	}
	if err != nil {
		s.fail(fmt.Errorf("%s takes no writes since it was inspected: %w", s.path, err))
	}
	s.file.Lock()
	defer s.file.Unlock()
	close(s.away)
	s.away = nil
	return err
}
