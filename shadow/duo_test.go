package shadow_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// note is a mark in memory that remembers what was done to it. While stuck is
// set it cannot be removed, and while unset it cannot be written.
type note struct {
	mu      sync.Mutex
	there   bool
	stuck   error
	broken  error
	content string
	removed func() // called before it goes; nil: nobody looks
	setting func() // called when it is there
}

func (n *note) Set(content string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.broken != nil {
		return n.broken
	}
	n.there, n.content = true, content
	if n.setting != nil {
		n.setting()
	}
	return nil
}

func (n *note) TakeAway() error {
	n.mu.Lock()
	removed, stuck := n.removed, n.stuck
	n.mu.Unlock()
	if removed != nil {
		removed()
	}
	if stuck != nil {
		return stuck
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.there = false
	return nil
}

func (n *note) is() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.there
}

func (n *note) set(change func(*note)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// duo is a router on two stores in memory of which either can answer.
type duo struct {
	t                    *testing.T
	legacy, enhanced     *flaky
	toLegacy, toEnhanced *shadow.Follower
	mark                 *note
	standby              *shadow.Standby
	conflicts            *shadow.Conflicts
	latency              *shadow.Latency
	ledger               *compare.Ledger
	router               *shadow.Router
	failed               func(ctx context.Context, epoch uint64, cause error) error // nil: a failure is the command's
	foreign              func(locking.Record) bool                                  // which records of the enhanced store somebody else wrote
}

// newDuo returns one in which an assignment holds, with legacy no standby yet.
func newDuo(t *testing.T, a shadow.Assignment) *duo {
	t.Helper()
	d := &duo{t: t, legacy: &flaky{Store: locking.NewMemory()}, enhanced: &flaky{Store: locking.NewMemory()}, mark: &note{}, latency: shadow.NewLatency()}
	d.standby = shadow.NewStandby(d.mark, hclog.NewNullLogger())
	require.NoError(t, d.standby.Off("not needed"))
	var err error
	d.ledger, err = compare.OpenLedger(compare.LedgerOptions{Dir: t.TempDir(), Logger: hclog.NewNullLogger()})
	require.NoError(t, err)
	d.ledger.Reset("store", "test")
	d.conflicts, err = shadow.OpenConflicts(t.TempDir())
	require.NoError(t, err)
	follower := func(side shadow.Side, store locking.Store, keeps func(locking.Key, locking.Record, locking.Record) (bool, error)) *shadow.Follower {
		f := shadow.NewFollower(shadow.FollowerOptions{
			Side: side, Store: store, Ledger: d.ledger, Metrics: metrics.NewOperations(nil), Logger: hclog.NewNullLogger(),
			Keeps: keeps, Latency: d.latency,
		})
		t.Cleanup(f.Close)
		return f
	}
	d.toLegacy = follower(shadow.LegacySide, d.legacy, nil)
	d.toEnhanced = follower(shadow.EnhancedSide, d.enhanced, func(key locking.Key, authority, has locking.Record) (bool, error) {
		has.Foreign = d.foreign != nil && d.foreign(has)
		return d.router.Keep(key, authority, has)
	})
	d.router = shadow.NewRouter(shadow.RouterOptions{
		Assignment: a, Legacy: d.legacy, Enhanced: d.enhanced, ToEnhanced: d.toEnhanced, ToLegacy: d.toLegacy, Standby: d.standby,
		Conflicts: d.conflicts,
		Failed: func(ctx context.Context, epoch uint64, _ time.Time, cause error) error {
			if d.failed == nil {
				return cause
			}
			return d.failed(ctx, epoch, cause)
		},
	})
	return d
}

// newPrimary returns one in mode primary with legacy as a whole standby.
func newPrimary(t *testing.T) *duo {
	t.Helper()
	d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Primary})
	require.NoError(t, d.standby.Declare("test"))
	return d
}

func (d *duo) try(op string, changes ...locking.Change) (locking.Outcome, error) {
	out, err := d.router.Apply(as(op), changes)
	if err != nil {
		return locking.Outcome{}, err
	}
	return out[0], nil
}

func acquiring(k locking.Key, pull int) locking.Change {
	return locking.Put(k, lock(pull), locking.OwnedBy(locking.Owner{Num: pull}))
}

func (d *duo) acquire(k locking.Key, pull int) bool {
	d.t.Helper()
	out, err := d.try("acquire", acquiring(k, pull))
	require.NoError(d.t, err)
	return out.Applied
}

func (d *duo) release(k locking.Key) {
	d.t.Helper()
	_, err := d.try("delete", locking.Delete(k, locking.Any()))
	require.NoError(d.t, err)
}

// holder is the value that a GET shows, "" for none.
func (d *duo) holder(k locking.Key) string {
	d.t.Helper()
	return held(d.t, d.router, k)
}

// held is the value in a store, "" for none.
func held(t *testing.T, s locking.Store, k locking.Key) string {
	t.Helper()
	r, err := s.Get(as("get"), k)
	if err != nil {
		require.ErrorIs(t, err, locking.ErrNotFound)
	}
	return string(r.Value)
}

// put changes a store behind the router's back.
func (d *duo) put(s *flaky, c locking.Change) {
	d.t.Helper()
	_, err := s.Store.Apply(context.Background(), []locking.Change{c})
	require.NoError(d.t, err)
}

func (d *duo) drained() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(d.t, d.toLegacy.Drain(ctx))
	require.NoError(d.t, d.toEnhanced.Drain(ctx))
}

// heal makes equal what is dirty on both sides.
func (d *duo) heal() {
	d.t.Helper()
	for _, side := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
		f := d.router.Follower(side)
		if b := f.Backlog(); b.All {
			for _, k := range d.listed() {
				d.equalize(side, k)
			}
			require.True(d.t, f.FinishAll(b.Mark))
		}
		for range 3 { // a comparison can find one more
			for _, k := range f.Dirty() {
				d.equalize(side, k)
			}
			d.drained()
		}
		require.True(d.t, f.Backlog().InStep(), "%s: %+v", side, f.Backlog())
	}
}

func (d *duo) equalize(side shadow.Side, k locking.Key) {
	d.t.Helper()
	_, err := d.router.Equalize(context.Background(), side, []locking.Key{k}, false)
	require.NoError(d.t, err)
}

func (d *duo) listed() []locking.Key {
	all := contents(d.t, d.legacy.Store)
	for k := range contents(d.t, d.enhanced.Store) {
		all[k] = ""
	}
	keys := make([]locking.Key, 0, len(all))
	for k := range all {
		keys = append(keys, locking.MustKey(k))
	}
	return keys
}

func (d *duo) equal() {
	d.t.Helper()
	require.Equal(d.t, contents(d.t, d.legacy.Store), contents(d.t, d.enhanced.Store))
}

// switchTo moves routes as a flip does: held, empty, drained, in step.
func (d *duo) switchTo(a shadow.Assignment) {
	d.t.Helper()
	now, _ := d.router.Assignment()
	a.Epoch = now.Epoch + 1
	held, err := d.router.Hold(func(route string) bool { return now.Authority(route) != a.Authority(route) }, false)
	require.NoError(d.t, err)
	require.True(d.t, held)
	defer d.router.Release()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(d.t, d.router.Emptied(ctx))
	d.drained()
	require.True(d.t, d.toLegacy.Backlog().InStep())
	require.True(d.t, d.toEnhanced.Backlog().InStep())
	if a.Answers(shadow.EnhancedSide) {
		require.NoError(d.t, d.standby.Declare("test"))
	} else {
		require.NoError(d.t, d.standby.Off("legacy answers"))
	}
	d.router.Assign(a, nil)
}

// fallBack lets legacy answer, as it is done when the enhanced store fails.
func (d *duo) fallBack() {
	d.t.Helper()
	a, _ := d.router.Assignment()
	_, err := d.router.Hold(func(route string) bool { return a.Authority(route) == shadow.EnhancedSide }, false)
	require.NoError(d.t, err)
	defer d.router.Release()
	d.leave(a)
}

// leave is the part of fallBack in which commands are held.
func (d *duo) leave(a shadow.Assignment) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(d.t, d.router.Emptied(ctx))
	require.NoError(d.t, d.toLegacy.Interrupt(ctx, func() (string, error) {
		d.toLegacy.Forget()
		return "", nil
	}))
	a.Epoch++
	a.FallenBack = true
	d.toEnhanced.Suspect("fell back")
	d.router.Assign(a, nil)
	require.NoError(d.t, d.router.Settle(context.Background(), false))
}

// pulled is a status key of the route that key has.
func pulled(i int) locking.Key {
	return locking.MustKey(fmt.Sprintf("github.com::acme/infra-%d::7", i))
}
