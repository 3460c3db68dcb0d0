package shadow_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// universe is how many keys, all in one partition, the machine works on.
const universe = 4

// machine does random things to a router and both stores. What waits for the
// follower goes on beside it.
type machine struct {
	*rig
	release  func() // of a follower that is held, else nil
	waiting  sync.WaitGroup
	tampered map[locking.Key]bool

	mu      sync.Mutex
	checked []compare.Divergence // found by checks
}

// No order of commands, faults, loads, repairs and reconciles makes the
// follower differ without anybody knowing it, or makes anybody find a
// difference that nobody made.
func TestTheFollowerNeverDiffersUnnoticed(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{rig: newRig(t), tampered: map[locking.Key]bool{}}
		defer m.follower.Close()
		defer m.resume(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"apply":            m.apply,
			"apply more":       m.apply,
			"get":              m.get,
			"authority loses":  m.authorityLoses,
			"hold":             m.hold,
			"resume":           m.resume,
			"follower fails":   m.followerFails,
			"follower is well": m.followerIsWell,
			"mark all":         m.markAll,
			"lose the store":   m.loseTheStore,
			"equalize":         m.equalizeSome,
			"finish all":       m.finishAll,
			"check":            m.check,
			"tamper":           m.tamper,
			"":                 m.nothingUnexplained,
		})
		m.followerIsWell(rt)
		m.resume(rt)
		m.settled(rt)
	})
}

func draw(rt *rapid.T) []locking.Key {
	chosen := rapid.SliceOfNDistinct(rapid.IntRange(0, universe-1), 1, universe, rapid.ID[int]).Draw(rt, "keys")
	keys := make([]locking.Key, len(chosen))
	for i, n := range chosen {
		keys[i] = near(n)
	}
	return keys
}

func (m *machine) changes(rt *rapid.T) []locking.Change {
	var changes []locking.Change
	for _, k := range draw(rt) {
		pull := rapid.IntRange(1, 3).Draw(rt, "pull")
		var condition locking.Condition
		switch rapid.IntRange(0, 5).Draw(rt, "condition") {
		case 0:
			condition = locking.Absent()
		case 1:
			condition = locking.OwnedBy(locking.Owner{Num: pull})
		case 2:
			condition = locking.SameBytes(lock(pull))
		case 3:
			now, _ := m.authority.Store.Get(context.Background(), k)
			condition = locking.AtVersion(now.Version + uint64(rapid.IntRange(0, 1).Draw(rt, "newer")))
		}
		if rapid.Bool().Draw(rt, "delete") {
			changes = append(changes, locking.Delete(k, condition))
		} else {
			changes = append(changes, locking.Put(k, lock(pull), condition))
		}
	}
	return changes
}

func (m *machine) apply(rt *rapid.T) {
	changes := m.changes(rt)
	before := contents(m.t, m.authority.Store)
	m.spread(changes)
	outcomes, err := m.router.Apply(as("put"), changes)
	require.NoError(rt, err)
	for i, o := range outcomes {
		require.Equal(rt, before[changes[i].Key.String()], string(o.Before.Value), "the answer is the authority's")
		for j := range o.Before.Value { // the caller's own now
			o.Before.Value[j] = 'x'
		}
		for j := range changes[i].Value {
			changes[i].Value[j] = 'x'
		}
	}
}

// spread notes that a batch in which one key was touched by hand may be refused
// for all of them.
func (m *machine) spread(changes []locking.Change) {
	touched := slices.ContainsFunc(changes, func(c locking.Change) bool { return m.tampered[c.Key] })
	for _, c := range changes {
		m.tampered[c.Key] = m.tampered[c.Key] || touched
	}
}

func (m *machine) get(rt *rapid.T) {
	k := draw(rt)[0]
	got, err := m.router.Get(as("get"), k)
	if errors.Is(err, locking.ErrNotFound) {
		err = nil
	}
	require.NoError(rt, err)
	require.Equal(rt, contents(m.t, m.authority.Store)[k.String()], string(got.Value))
}

func (m *machine) authorityLoses(rt *rapid.T) {
	if done := rapid.Bool().Draw(rt, "done"); done {
		m.authority.set(func(string) (error, error) { return nil, locking.ErrUnknownResult })
	} else {
		m.authority.set(func(string) (error, error) { return errAway, nil })
	}
	_, err := m.router.Apply(as("put"), m.changes(rt))
	require.Error(rt, err)
	m.authority.set(nil)
}

func (m *machine) hold(*rapid.T) {
	if m.release == nil {
		m.release = hold(m.behind)
	}
}

func (m *machine) resume(*rapid.T) {
	if m.release != nil {
		m.release()
		m.release = nil
	}
	m.waiting.Wait()
}

// later does what may have to wait for the follower beside the machine.
func (m *machine) later(do func()) {
	m.waiting.Go(do)
	if m.release == nil && rand.IntN(2) == 0 {
		m.waiting.Wait()
	}
}

func (m *machine) followerFails(rt *rapid.T) {
	m.resume(rt)
	m.behind.set(func(string) (before, after error) {
		switch rand.IntN(6) {
		case 0:
			return errAway, nil
		case 1:
			return nil, locking.ErrUnknownResult
		}
		return nil, nil
	})
}

func (m *machine) followerIsWell(rt *rapid.T) {
	if m.release == nil {
		m.behind.set(nil)
	}
}

func (m *machine) markAll(*rapid.T) {
	m.later(func() { m.follower.MarkAll("crash") })
}

// loseTheStore empties the follower, which is noticed before it goes on.
func (m *machine) loseTheStore(rt *rapid.T) {
	m.later(func() {
		_ = m.follower.Interrupt(context.Background(), func() (string, error) {
			for k := range contents(m.t, m.behind.Store) {
				_, _ = m.behind.Store.Apply(context.Background(), []locking.Change{locking.Delete(locking.MustKey(k), locking.Any())})
			}
			return "store lost", nil
		})
	})
}

func (m *machine) equalizeSome(rt *rapid.T) {
	keys, filling := draw(rt), rapid.Bool().Draw(rt, "filling")
	ctx, cancel := context.WithCancel(context.Background())
	if rapid.IntRange(0, 4).Draw(rt, "leave") == 0 {
		defer cancel()
	}
	m.later(func() { defer cancel(); _, _ = m.router.Equalize(ctx, shadow.EnhancedSide, keys, filling) })
}

// finishAll makes everything equal, as a reconciler does.
func (m *machine) finishAll(*rapid.T) {
	m.later(func() {
		b := m.follower.Backlog()
		_, err := m.router.Equalize(context.Background(), shadow.EnhancedSide, m.listed(), false)
		if b.All && (err == nil || errors.Is(err, shadow.ErrMissed)) {
			m.follower.FinishAll(b.Mark)
		}
	})
}

// listed are the keys of both stores.
func (m *machine) listed() []locking.Key {
	all := contents(m.t, m.authority.Store)
	for k := range contents(m.t, m.behind.Store) {
		all[k] = ""
	}
	keys := make([]locking.Key, 0, len(all))
	for k := range all {
		keys = append(keys, locking.MustKey(k))
	}
	return keys
}

func (m *machine) check(rt *rapid.T) {
	keys := draw(rt)
	m.later(func() {
		found, err := m.router.Check(context.Background(), shadow.EnhancedSide, keys)
		if err == nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.checked = append(m.checked, found...)
		}
	})
}

// tamper changes what the follower has behind its back.
func (m *machine) tamper(rt *rapid.T) {
	if rapid.IntRange(0, 9).Draw(rt, "seldom") > 0 {
		return
	}
	m.resume(rt)
	m.drained()
	k := draw(rt)[0]
	m.tampered[k] = true
	_, err := m.behind.Store.Apply(context.Background(), []locking.Change{locking.Put(k, lock(99), locking.Any())})
	require.NoError(rt, err)
}

// nothingUnexplained requires that what is found without a cause was made by
// hand.
func (m *machine) nothingUnexplained(rt *rapid.T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range append(m.ledger.Recent(1000), m.checked...) {
		if d.Cause == "" && !m.tampered[locking.MustKey(d.Record)] {
			rt.Fatalf("%s: %s found by %s, and nobody has touched it", d.Record, d.Kind, d.Operation)
		}
	}
}

// settled makes everything equal that is dirty, requires that only what was
// made by hand differs then, and that it can be repaired.
func (m *machine) settled(rt *rapid.T) {
	m.drained()
	if b := m.follower.Backlog(); b.All {
		if keys := m.listed(); len(keys) > 0 {
			_, err := m.router.Equalize(context.Background(), shadow.EnhancedSide, keys, false)
			require.NoError(rt, err)
		}
		require.True(rt, m.follower.FinishAll(b.Mark))
	}
	m.heal()
	require.True(rt, m.follower.Backlog().Clean())
	m.nothingUnexplained(rt)
	var all []locking.Key
	for i := range universe {
		all = append(all, near(i))
	}
	found, err := m.router.Check(context.Background(), shadow.EnhancedSide, all)
	require.NoError(rt, err)
	var differ []locking.Key
	for _, d := range found {
		require.True(rt, m.tampered[locking.MustKey(d.Record)], "%s differs unnoticed: %s", d.Record, d.Kind)
		differ = append(differ, locking.MustKey(d.Record))
		m.ledger.Diverged(d)
	}
	m.follower.MarkRecorded(differ)
	m.heal()
	require.Equal(rt, contents(m.t, m.authority.Store), contents(m.t, m.behind.Store))
	require.Zero(rt, m.totals().Unresolved)
}
