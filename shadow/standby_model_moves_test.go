package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// What is done to who answers, as internal/cutover does it.

// decide is what becomes of an enhanced store that failed: it is spared, legacy
// takes over, or commands are refused.
func (p *pair) decide(ctx context.Context, epoch uint64, _ error) error {
	held, err := p.router.Hold(every, false)
	if err != nil || !held {
		return fmt.Errorf("somebody else decides: %w", err)
	}
	defer p.router.Release()
	a, down := p.router.Assignment()
	if a.Epoch != epoch || down != nil {
		return down
	}
	if p.up {
		p.behind.settle()
		if p.router.Settle(context.Background(), true) != nil {
			return nil
		}
		p.enhanced.set(nil)
		p.behind.late.Store(false)
		return nil
	}
	if p.leave(a) {
		return nil
	}
	down = errors.New("neither may answer")
	p.router.Assign(a, down)
	return down
}

// leave lets legacy take over, while commands are held, if it may.
func (p *pair) leave(a shadow.Assignment) bool {
	bounded, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
	defer cancel()
	if p.router.Emptied(bounded) != nil {
		return false
	}
	if whole, _ := p.standby.Whole(); !whole || p.router.LegacyLacks() > 0 {
		return false
	}
	if p.toLegacy.Interrupt(bounded, func() (string, error) { p.toLegacy.Forget(); return "", nil }) != nil {
		return false
	}
	a.Epoch, a.FallenBack = a.Epoch+1, true
	p.toEnhanced.Suspect("fell back")
	p.router.Assign(a, nil)
	_ = p.router.Settle(context.Background(), false)
	p.enhanced.set(failing(errAway))
	p.back = false
	return true
}

func (p *pair) fallBackByHand(*rapid.T) {
	a, down := p.router.Assignment()
	if down != nil || !a.Answers(shadow.EnhancedSide) {
		return
	}
	if held, _ := p.router.Hold(every, false); held {
		defer p.router.Release()
		p.leave(a)
	}
}

// comeBack joins the enhanced store again, if it is away, and lets it answer again
// if it may.
func (p *pair) comeBack(*rapid.T) {
	a, down := p.router.Assignment()
	switch {
	case down != nil:
		p.behind.settle()
		p.enhanced.set(nil)
		if p.router.Settle(context.Background(), true) == nil {
			p.router.Assign(a, nil)
		}
	case a.FallenBack && !p.back:
		p.behind.settle() // by a higher epoch
		p.enhanced.set(nil)
		p.back = true
	case a.FallenBack:
		p.reconcile()
		a.FallenBack = false
		p.pass(a)
	}
}

// flip moves routes from one store to the other.
func (p *pair) flip(rt *rapid.T) {
	a, down := p.router.Assignment()
	if a.FallenBack || down != nil {
		return
	}
	p.pass(rapid.SampledFrom([]shadow.Assignment{
		{Mode: shadow.Shadow}, {Mode: shadow.Primary}, {Mode: shadow.Hybrid, Repos: []string{p.keys[0].Route()}}, {Mode: shadow.Hybrid, Repos: []string{p.keys[2].Route()}},
	}).Draw(rt, "to"))
}

// pass is the barrier.
func (p *pair) pass(to shadow.Assignment) {
	from, _ := p.router.Assignment()
	if held, _ := p.router.Hold(func(route string) bool { return from.Authority(route) != to.Authority(route) }, false); !held {
		return
	}
	defer p.router.Release()
	bounded, cancel := context.WithTimeout(context.Background(), 450*time.Millisecond)
	defer cancel()
	if p.router.Emptied(bounded) != nil {
		return
	}
	for _, f := range []*shadow.Follower{p.toEnhanced, p.toLegacy} {
		if f.Drain(bounded) != nil || !f.Backlog().InStep() {
			return
		}
	}
	if now, down := p.router.Assignment(); now.Epoch != from.Epoch || down != nil || p.router.InDoubt() {
		return
	}
	whole, _ := p.standby.Whole()
	switch {
	case to.Answers(shadow.EnhancedSide) && from.Answers(shadow.EnhancedSide) && !whole:
		return
	case to.Answers(shadow.EnhancedSide) && !from.Answers(shadow.EnhancedSide) && p.standby.Declare("test") != nil:
		return
	}
	to.Epoch = from.Epoch + 1
	p.router.Assign(to, nil)
	if !to.Answers(shadow.EnhancedSide) {
		_ = p.standby.Off("legacy answers")
	}
}

// reconcile makes equal what it can, on both sides.
func (p *pair) reconcile() {
	if _, down := p.router.Assignment(); down != nil {
		return
	}
	for _, side := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
		f := p.router.Follower(side)
		b := f.Backlog()
		keys := f.Dirty()
		if b.All {
			keys = p.listed()
		}
		var failed error
		for _, k := range keys {
			if _, err := p.router.Equalize(context.Background(), side, []locking.Key{k}, false); err != nil && !errors.Is(err, shadow.ErrMissed) {
				failed = err
			}
		}
		if b.All && failed == nil {
			f.FinishAll(b.Mark)
		}
	}
}

// restore makes legacy a standby again, as it is done when it is in step.
func (p *pair) restore() {
	a, down := p.router.Assignment()
	whole, _ := p.standby.Whole()
	if whole || down != nil || !a.Answers(shadow.EnhancedSide) || !p.toLegacy.Backlog().InStep() || p.router.InDoubt() {
		return
	}
	bounded, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.standby.Restore(bounded, p.toLegacy, "test")
}
