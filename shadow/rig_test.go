package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patience is how long a follower may take to catch up in a test.
const patience = 20 * time.Second

// errAway is what a store that is away answers.
var errAway = errors.New("connection refused")

// flaky is a store on which each operation can be held up, fail before it is
// done, or fail after it.
type flaky struct {
	locking.Store
	mu    sync.Mutex
	fault func(op string) (before, after error)
	began int // operations
}

// asked is how many operations were begun.
func (f *flaky) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.began
}

func (f *flaky) set(fault func(op string) (before, after error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *flaky) faults(op string) (before, after error) {
	f.mu.Lock()
	fault := f.fault
	f.began++
	f.mu.Unlock()
	if fault == nil {
		return nil, nil
	}
	return fault(op)
}

func (f *flaky) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	before, after := f.faults("get")
	if before != nil {
		return locking.Record{}, before
	}
	r, err := f.Store.Get(ctx, key)
	return r, errors.Join(err, after)
}

func (f *flaky) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	before, after := f.faults("apply")
	if before != nil {
		return nil, before
	}
	out, err := f.Store.Apply(ctx, changes)
	if err = errors.Join(err, after); err != nil {
		return nil, err
	}
	return out, nil
}

func (f *flaky) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	if before, after := f.faults("scan"); before != nil || after != nil {
		return func(yield func(locking.Record, error) bool) { yield(locking.Record{}, errors.Join(before, after)) }
	}
	return f.Store.Scan(ctx, match)
}

// rig is a router on two stores in memory.
type rig struct {
	t         *testing.T
	authority *flaky
	behind    *flaky // the follower's store
	follower  *shadow.Follower
	router    *shadow.Router
	ledger    *compare.Ledger
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, authority: &flaky{Store: locking.NewMemory()}, behind: &flaky{Store: locking.NewMemory()}}
	r.follow(hclog.NewNullLogger())
	return r
}

// follow begins anew with a follower and a ledger that log there.
func (r *rig) follow(logger hclog.Logger) {
	r.t.Helper()
	var err error
	r.ledger, err = compare.OpenLedger(compare.LedgerOptions{Dir: r.t.TempDir(), Logger: logger})
	require.NoError(r.t, err)
	r.ledger.Reset("store", "test")
	r.follower = shadow.NewFollower(shadow.FollowerOptions{
		Side: shadow.EnhancedSide, Store: r.behind, Ledger: r.ledger, Metrics: metrics.NewOperations(nil), Logger: hclog.NewNullLogger(),
	})
	r.t.Cleanup(r.follower.Close)
	r.router = shadow.NewRouter(shadow.RouterOptions{Assignment: shadow.Assignment{Epoch: 1, Mode: shadow.Shadow}, Legacy: r.authority, ToEnhanced: r.follower})
}

// drained waits until the follower has done all it was told.
func (r *rig) drained() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(r.t, r.follower.Drain(ctx))
}

// heal makes every dirty key equal.
func (r *rig) heal() {
	r.t.Helper()
	for _, key := range r.follower.Dirty() {
		_, err := r.router.Equalize(context.Background(), shadow.EnhancedSide, []locking.Key{key}, false)
		require.NoError(r.t, err)
	}
	r.drained()
}

// equal requires that both stores hold the same.
func (r *rig) equal() {
	r.t.Helper()
	require.Equal(r.t, contents(r.t, r.authority.Store), contents(r.t, r.behind.Store))
}

func contents(t *testing.T, s locking.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for record, err := range s.Scan(context.Background(), locking.All) {
		require.NoError(t, err)
		all[record.Key.String()] = string(record.Value)
	}
	return all
}

func as(op string) context.Context {
	return locking.WithCall(context.Background(), locking.Call{Op: op})
}

func key(i int) locking.Key {
	return locking.MustKey(fmt.Sprintf("pr/acme/infra-%d/./default/", i))
}

func lock(pull int) []byte { return fmt.Appendf(nil, `{"Pull":{"Num":%d}}`, pull) }

func (r *rig) acquire(k locking.Key, pull int) bool {
	r.t.Helper()
	out, err := r.router.Apply(as("acquire"), []locking.Change{locking.Put(k, lock(pull), locking.OwnedBy(locking.Owner{Num: pull}))})
	require.NoError(r.t, err)
	return out[0].Applied
}

func (r *rig) release(k locking.Key) {
	r.t.Helper()
	_, err := r.router.Apply(as("delete"), []locking.Change{locking.Delete(k, locking.Any())})
	require.NoError(r.t, err)
}

func (r *rig) totals() compare.Totals { return r.ledger.Totals() }
