package shadow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
)

// standbyBudget is how long a command waits for legacy to have what the enhanced
// store has decided. Then enhanced goes on alone.
const standbyBudget = time.Second

// ErrMark is what a write gets that the enhanced store may not do alone,
// because the mark that legacy is whole cannot be taken away.
var ErrMark = errors.New("legacy does not take the change and its mark as a whole standby cannot be removed; nothing is written until one of both works")

// Mark says durably that legacy has everything that was answered OK.
type Mark interface {
	Set(content string) error
	TakeAway() error
}

// Standby is legacy where the enhanced store answers: while it is whole, every
// write that is answered OK is in legacy too, and a fallback loses nothing. The
// mark on disk is there only while that is so.
type Standby struct {
	mark Mark
	log  hclog.Logger

	mu      sync.Mutex // held while the mark is written or removed
	on      bool       // commands wait for legacy at all
	waiting bool       // commands wait for legacy now
	marked  bool       // the mark may be on disk

	// now is changed with mu held, and read without: who only wants to know does not
	// wait for a disk.
	now atomic.Pointer[standing]
}

// standing is whether legacy is whole, and if not why not.
type standing struct {
	whole bool
	why   string
}

// NewStandby returns a standby that is not whole, and whose mark may be there.
func NewStandby(mark Mark, log hclog.Logger) *Standby {
	s := &Standby{mark: mark, log: log, marked: true}
	s.now.Store(&standing{why: "not known to be whole yet"})
	return s
}

// Whole reports whether legacy has everything that was answered OK by the
// enhanced store, and if not why not. It does not wait: while the mark is being
// written legacy is not whole yet, and while it is being removed not any more.
func (s *Standby) Whole() (whole bool, why string) {
	now := s.now.Load()
	return now.whole, now.why
}

// Declare says that legacy is whole, because both stores are known to be equal
// while nobody writes. After an error it is not.
func (s *Standby) Declare(content string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.set(content); err != nil {
		return err
	}
	s.on, s.waiting = true, true
	s.now.Store(&standing{whole: true})
	return nil
}

func (s *Standby) set(content string) error {
	s.marked = true
	if err := s.mark.Set(content); err != nil {
		s.now.Store(&standing{why: err.Error()})
		return err
	}
	return nil
}

// Off says that legacy is no standby, and why: the enhanced store answers alone
// for good, or not at all. It returns an error if the mark is still there.
func (s *Standby) Off(why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Load().whole {
		s.log.Info("legacy is no standby any more", "reason", why)
	}
	if err := s.drop(why); err != nil {
		return err // commands go on to be refused until it is gone
	}
	s.on = false
	return nil
}

// Alone says that the enhanced store goes on without legacy, until Restore. It
// returns when the mark is gone for good; after an error the write must not be
// answered OK.
func (s *Standby) Alone(why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = true
	if s.now.Load().whole {
		s.log.Warn("no safe fallback: legacy is not whole any more", "reason", why)
	}
	return s.drop(why)
}

func (s *Standby) drop(why string) error {
	now := s.now.Load()
	if now.whole || now.why == "" {
		s.now.Store(&standing{why: why})
	}
	s.waiting = false
	if !s.marked {
		return nil
	}
	failpoint.Hit("standby-before-mark-removed")
	if err := s.mark.TakeAway(); err != nil {
		return fmt.Errorf("%w: %w", ErrMark, err)
	}
	s.marked = false
	failpoint.Hit("standby-mark-removed")
	return nil
}

// mayAnswer returns why the enhanced store must neither write now nor show what
// legacy lacks: a mark that could not be removed says that legacy is whole, and it
// is not.
func (s *Standby) mayAnswer() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now.Load()
	if !s.on || now.whole || !s.marked || s.waiting {
		return nil
	}
	return s.drop(now.why)
}

// waits reports whether a command that has just told the follower has to wait:
// also if the mark could not be removed since it was let in.
func (s *Standby) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on && (s.waiting || s.marked)
}

// Restore makes legacy a whole standby again, once its follower has missed
// nothing: from now on commands wait for legacy again, what nobody waited for is
// drained, and then the mark is set. It returns nil and does nothing if a change
// was missed meanwhile, or if legacy is no standby any more.
func (s *Standby) Restore(ctx context.Context, f *Follower, content string) error {
	s.mu.Lock()
	on := s.on
	s.waiting = on
	s.mu.Unlock()
	if !on {
		return nil
	}
	if err := f.Drain(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if whole, _ := s.Whole(); !s.waiting || whole {
		return nil
	}
	if !f.Backlog().InStep() { // what is missed from now on is not answered before the mark is gone again
		return s.drop("legacy missed a change while it was made whole")
	}
	if err := s.set(content); err != nil {
		s.waiting = false
		return errors.Join(err, s.drop(err.Error()))
	}
	s.now.Store(&standing{whole: true})
	s.log.Info("legacy is whole: a fallback is safe")
	return nil
}
