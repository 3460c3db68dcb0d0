package reconcile_test

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

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const patience = 20 * time.Second

var errAway = errors.New("connection refused")

// identified is a store in memory with an identity that a test can change.
type identified struct {
	*locking.Memory
	mu    sync.Mutex
	id    string
	lost  string // said by the next Join
	drops bool   // said by the next Join
	bars  error  // of the next Join, which finds the store all the same
	away  bool
	ahead bool                  // of what is remembered, as each Join finds
	gone  bool                  // emptied, which the next Join finds
	late  func()                // called by Join when it has done its work
	fail  func(op string) error // of each "get", "scan" and "apply"; nil: none fails
}

func (s *identified) Join(context.Context, enhanced.Known) (enhanced.Joined, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return enhanced.Joined{}, errAway
	}
	if s.gone {
		s.gone = false
		s.id, s.lost = s.id+"+", "emptied"
		for record := range s.Memory.Scan(context.Background(), locking.All) {
			_, _ = s.Memory.Apply(context.Background(), []locking.Change{locking.Delete(record.Key, locking.Any())})
		}
	}
	j, err := enhanced.Joined{StoreID: s.id, Lost: s.lost, Dropped: s.drops, Ahead: s.ahead}, s.bars
	s.lost, s.drops, s.bars = "", false, nil
	if s.late != nil {
		s.mu.Unlock()
		s.late()
		s.mu.Lock()
	}
	return j, err
}

func (s *identified) Probe(context.Context) error                     { return s.fails("probe") }
func (s *identified) Mode(context.Context) ([]byte, error)            { return nil, nil }
func (s *identified) SetMode(context.Context, uint64, []byte) error   { return nil }
func (s *identified) MayAdmit(string) error                           { return nil }
func (s *identified) Admit(context.Context, string) ([]string, error) { return nil, nil }
func (s *identified) SetDurable(context.Context, bool) error          { return nil }

func (s *identified) Known() enhanced.Known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return enhanced.Known{StoreID: s.id}
}

func (s *identified) Close() error { return nil }

// fails is what the next operation fails with.
func (s *identified) fails(op string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.away:
		return errAway
	case s.gone:
		return locking.ErrStoreLost
	case s.fail != nil:
		return s.fail(op)
	}
	return nil
}

func (s *identified) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	if err := s.fails("get"); err != nil {
		return locking.Record{}, err
	}
	return s.Memory.Get(ctx, key)
}

func (s *identified) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	if err := s.fails("scan"); err != nil {
		return func(yield func(locking.Record, error) bool) { yield(locking.Record{}, err) }
	}
	return s.Memory.Scan(ctx, match)
}

func (s *identified) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if err := s.fails("apply"); err != nil {
		return nil, err
	}
	return s.Memory.Apply(ctx, changes)
}

func (s *identified) set(change func(*identified)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// rig is a sidecar in miniature: what is on disk in dir, and two stores.
type rig struct {
	t         *testing.T
	dir       string
	authority *identified // whose identity nobody asks for
	behind    *identified

	follower   *shadow.Follower
	router     *shadow.Router
	reconciler *reconcile.Reconciler
	ledger     *compare.Ledger
	stop       func()
}

func newRig(t *testing.T, records int) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), authority: &identified{Memory: locking.NewMemory()}, behind: &identified{Memory: locking.NewMemory(), id: "store-1"}}
	for i := range records {
		r.apply(r.authority, locking.Put(key(i), lock(i), locking.Any()))
	}
	return r
}

// start starts the parts on what is there, as a process does; stop ends them.
func (r *rig) start(unclean bool) {
	r.t.Helper()
	ledger, err := compare.OpenLedger(compare.LedgerOptions{Dir: r.dir})
	require.NoError(r.t, err)
	guard := breaker.New(r.behind, breaker.Options{Budget: patience, FailureThreshold: 5, Timeout: 200 * time.Millisecond, SuccessThreshold: 3})
	r.ledger = ledger
	r.follower = shadow.NewFollower(shadow.FollowerOptions{Side: shadow.EnhancedSide, Store: guard, Ledger: ledger, Metrics: metrics.NewOperations(nil), Logger: hclog.NewNullLogger()})
	r.router = shadow.NewRouter(shadow.RouterOptions{
		Assignment: shadow.Assignment{Epoch: 1, Mode: shadow.Shadow}, Legacy: r.authority, ToEnhanced: r.follower,
	})
	r.reconciler = reconcile.New(reconcile.Options{
		Router: r.router, Legacy: r.authority, Store: r.behind, Guard: guard, Ledger: ledger, Memory: reconcile.MemoryIn(r.dir),
		Logger: hclog.NewNullLogger(), Unclean: map[bool]string{true: "crash"}[unclean], RetryBase: 10 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.reconciler.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		r.follower.Close()
		require.NoError(r.t, ledger.Save())
	})
	r.t.Cleanup(func() { r.stop() })
}

func (r *rig) apply(s locking.Store, c locking.Change) {
	r.t.Helper()
	_, err := s.Apply(locking.WithCall(context.Background(), locking.Call{Op: "put"}), []locking.Change{c})
	require.NoError(r.t, err)
}

// verify returns a verdict, which there must be within patience.
func (r *rig) verify() reconcile.Verified {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v, err := r.reconciler.Verify(ctx)
	require.NoError(r.t, err)
	return v
}

func (r *rig) equal(records int) {
	r.t.Helper()
	v := r.verify()
	require.Equal(r.t, compare.Equal, v.Verdict, "%+v", v.Differing)
	require.Equal(r.t, records, v.Compared)
}

func key(i int) locking.Key {
	return locking.MustKey(fmt.Sprintf("pr/acme/infra-%d/./default/", i))
}

func lock(pull int) []byte { return fmt.Appendf(nil, `{"Pull":{"Num":%d}}`, pull) }
