package shadow_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// fickle is a store whose changes may arrive after the caller has been told that
// nobody knows, until somebody has asked it with a probe.
type fickle struct {
	locking.Store
	mu   sync.Mutex
	late atomic.Bool // what is changed now arrives later, or never
	sent [][]locking.Change
}

func (f *fickle) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if !f.late.Load() {
		return f.Store.Apply(ctx, changes)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, slices.Clone(changes))
	return nil, locking.ErrUnknownResult
}

// settle lets what was sent arrive, or not, and nothing of it after.
func (f *fickle) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, changes := range f.sent {
		if rand.IntN(2) == 0 {
			_, _ = f.Store.Apply(context.Background(), changes)
		}
	}
	f.sent = nil
}

// undated is a test whose deadline rapid does not ask for, which it cannot in a
// bubble.
type undated struct{ *testing.T }

// pair does random things to a router whose stores both may answer, and knows of
// each key what may be there: one thing after an answer, several after none.
type pair struct {
	*duo
	rt     *rapid.T
	keys   []locking.Key
	behind *fickle
	up     bool // the enhanced store answers a probe
	slow   bool // legacy is
	back   bool // the enhanced store has been joined anew since the fallback

	mu       sync.Mutex
	possible map[locking.Key][]string
	running  sync.WaitGroup // of the one command that goes on beside the machine
	busy     atomic.Pointer[[]locking.Key]
}

// Whatever fails, and whoever answers: what was answered is there, in the store
// that answers; while the mark is there it is in legacy too; and when everything
// works again both stores are equal.
func TestWhatWasAnsweredIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(undated{t}, func(rt *rapid.T) {
			p := newPair(t, rt)
			defer p.end()
			rt.Repeat(map[string]func(*rapid.T){
				"command":           func(*rapid.T) { p.command(p.free(), p.draw("keys")...) },
				"another command":   func(*rapid.T) { p.command(p.free(), p.draw("keys")...) },
				"command beside":    p.commandBeside,
				"get":               p.get,
				"enhanced fails":    p.enhancedFails,
				"legacy fails":      p.legacyFails,
				"legacy is slow":    func(*rapid.T) { p.slow = true; p.legacyFaults() },
				"legacy is well":    func(*rapid.T) { p.slow = false; p.legacy.set(nil) },
				"mark is stuck":     func(*rapid.T) { p.mark.set(func(n *note) { n.stuck = errors.New("read-only") }) },
				"mark is well":      func(*rapid.T) { p.mark.set(func(n *note) { n.stuck = nil }) },
				"probe fails":       func(*rapid.T) { p.up = false },
				"probe succeeds":    func(*rapid.T) { p.up = true },
				"flip":              p.flip,
				"fall back by hand": p.fallBackByHand,
				"come back":         p.comeBack,
				"reconcile":         func(*rapid.T) { p.reconcile() },
				"restore":           func(*rapid.T) { p.restore() },
				"":                  func(*rapid.T) { p.nothingIsLost() },
			})
			p.healed()
		})
	})
}

func newPair(t *testing.T, rt *rapid.T) *pair {
	a, b := twoRoutes()
	p := &pair{duo: newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary}), rt: rt, up: true, possible: map[locking.Key][]string{}}
	for _, k := range []locking.Key{a, b} {
		p.keys = append(p.keys, k, locking.MustKey("pr/"+k.Route()+"/x/default/"))
	}
	for _, k := range p.keys {
		p.possible[k] = []string{""}
	}
	p.behind = &fickle{Store: p.enhanced.Store}
	p.enhanced.Store = p.behind
	p.failed = p.decide
	require.NoError(t, p.standby.Declare("test"))
	return p
}

func (p *pair) end() {
	p.running.Wait()
	p.toLegacy.Close()
	p.toEnhanced.Close()
}

func (p *pair) draw(label string) []locking.Key {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(p.keys), 1, 2, rapid.ID[locking.Key]).Draw(p.rt, label)
}

// free reports which keys the command beside the machine does not have in hand.
func (p *pair) free() func(locking.Key) bool {
	busy := p.busy.Load()
	return func(k locking.Key) bool { return busy == nil || !slices.Contains(*busy, k) }
}

// command changes keys, those that are free, and takes note of what it was told.
func (p *pair) command(free func(locking.Key) bool, keys ...locking.Key) {
	changes := p.changes(free, keys)
	if len(changes) > 0 {
		p.send(changes)
	}
}

func (p *pair) changes(free func(locking.Key) bool, keys []locking.Key) (changes []locking.Change) {
	for _, k := range keys {
		pull := rapid.IntRange(1, 3).Draw(p.rt, "pull")
		condition := rapid.SampledFrom([]locking.Condition{
			locking.Any(), locking.OwnedBy(locking.Owner{Num: pull}), locking.OwnedBy(locking.Owner{Num: pull}), locking.Absent(),
		}).Draw(p.rt, "condition")
		change := locking.Put(k, lock(pull), condition)
		if rapid.IntRange(0, 2).Draw(p.rt, "delete") == 0 {
			change = locking.Delete(k, condition)
		}
		if free(k) {
			changes = append(changes, change)
		}
	}
	return changes
}

func (p *pair) send(changes []locking.Change) {
	for _, c := range changes {
		p.may(c.Key, string(c.Value))
	}
	outcomes, err := p.router.Apply(as("put"), changes)
	if err != nil {
		return // it was made, or not
	}
	for i, o := range outcomes {
		p.was(changes[i].Key, string(o.Before.Value))
		if o.Applied {
			p.is(changes[i].Key, string(changes[i].Value))
		} else {
			p.is(changes[i].Key, string(o.Before.Value))
		}
	}
}

// commandBeside sends a command that the machine does not wait for.
func (p *pair) commandBeside(*rapid.T) {
	if p.busy.Load() != nil {
		return
	}
	changes := p.changes(p.free(), p.draw("keys"))
	keys := make([]locking.Key, len(changes))
	for i, c := range changes {
		keys[i] = c.Key
	}
	p.busy.Store(&keys)
	p.running.Go(func() {
		p.send(changes)
		p.busy.Store(nil)
	})
}

// get reads a key: what is shown is granted.
func (p *pair) get(*rapid.T) {
	k := p.draw("key")[0]
	if !p.free()(k) {
		return
	}
	r, err := p.router.Get(as("get"), k)
	if err == nil || errors.Is(err, locking.ErrNotFound) {
		p.was(k, string(r.Value))
		p.is(k, string(r.Value))
	}
}

func (p *pair) may(k locking.Key, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.possible[k], value) {
		p.possible[k] = append(slices.Clone(p.possible[k]), value)
	}
}

// was requires that what somebody was told is possible.
func (p *pair) was(k locking.Key, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Contains(p.possible[k], value) {
		p.t.Errorf("%s: told %q, and possible is %q", k, value, p.possible[k])
	}
}

func (p *pair) is(k locking.Key, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.possible[k] = []string{value}
}

// enhancedFails lets a command meet a failure of the enhanced store.
func (p *pair) enhancedFails(*rapid.T) {
	a, _ := p.router.Assignment()
	if a.FallenBack {
		return
	}
	switch rapid.IntRange(0, 3).Draw(p.rt, "how") {
	case 0:
		p.enhanced.set(failing(errAway))
	case 1:
		p.enhanced.set(failing(locking.ErrUnknownResult))
	case 2:
		p.enhanced.set(func(string) (error, error) { return nil, locking.ErrUnknownResult })
	case 3:
		p.behind.late.Store(true)
	}
	p.command(p.free(), p.draw("keys")...)
	p.behind.late.Store(false)
	if now, _ := p.router.Assignment(); !now.FallenBack {
		p.enhanced.set(nil)
	}
}

func (p *pair) legacyFails(*rapid.T) {
	p.legacyFaults()
}

// legacyFaults lets some operations of legacy fail; where it answers those are
// fewer, so that something is answered.
func (p *pair) legacyFaults() {
	slow := p.slow
	p.legacy.set(func(op string) (before, after error) {
		if slow {
			time.Sleep(1500 * time.Millisecond)
			return nil, nil
		}
		switch rand.IntN(4) {
		case 0:
			return errDisk, nil
		case 1:
			return nil, locking.ErrUnknownResult
		}
		return nil, nil
	})
}

// nothingIsLost requires that what was answered is in the store that answers, and
// in legacy too where the mark says so.
func (p *pair) nothingIsLost() {
	p.rt.Helper()
	p.running.Wait()
	a, down := p.router.Assignment()
	legacy, enhanced := contents(p.t, p.legacy.Store), contents(p.t, p.enhanced.Store)
	marked := p.mark.is()
	for _, k := range p.keys {
		possible := p.possible[k]
		authority := enhanced
		if a.Authority(k.Route()) == shadow.LegacySide {
			authority = legacy
		}
		if has := authority[k.String()]; !slices.Contains(possible, has) {
			p.rt.Fatalf("%s: %q is in the store that answers (%+v, down %v), possible is %q", k, has, a, down, possible)
		}
		if has := legacy[k.String()]; marked && a.Answers(shadow.EnhancedSide) && !slices.Contains(possible, has) {
			p.rt.Fatalf("%s: legacy is marked as whole and has %q, possible is %q", k, has, possible)
		}
	}
	if whole, _ := p.standby.Whole(); whole && !marked && a.Answers(shadow.EnhancedSide) {
		p.rt.Fatalf("legacy is whole, and no mark says so")
	}
	if p.t.Failed() {
		p.rt.FailNow()
	}
}

// healed lets everything work again, and requires that both stores become equal,
// and legacy a whole standby.
func (p *pair) healed() {
	p.running.Wait()
	p.legacy.set(nil)
	p.mark.set(func(n *note) { n.stuck = nil })
	p.slow, p.up = false, true
	for range 3 {
		p.comeBack(p.rt)
		if a, down := p.router.Assignment(); down == nil && !a.FallenBack {
			break
		}
	}
	a, down := p.router.Assignment()
	if down != nil || a.FallenBack {
		p.rt.Fatalf("it does not come back: %+v, %v", a, down)
	}
	for _, k := range p.keys { // ends what is in doubt
		p.command(func(locking.Key) bool { return true }, k)
	}
	for range 3 {
		p.reconcile()
		p.drained()
	}
	p.restore()
	p.nothingIsLost()
	require.Equal(p.rt, contents(p.t, p.legacy.Store), contents(p.t, p.enhanced.Store))
	require.True(p.rt, p.toLegacy.Backlog().Clean() && p.toEnhanced.Backlog().Clean())
	if whole, why := p.standby.Whole(); a.Answers(shadow.EnhancedSide) && !whole {
		p.rt.Fatalf("legacy does not become whole: %s", why)
	}
	if n := p.ledger.Totals().Unexplained; n > 0 {
		p.rt.Fatalf("%d divergences that nobody can explain: %+v", n, p.ledger.Recent(5))
	}
}
