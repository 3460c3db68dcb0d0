package cutover_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// rig is a sidecar without its connections: a real atlantis.db, an enhanced store
// in memory, and all that stands between.
type rig struct {
	t      *testing.T
	dir    string
	far    *server
	want   shadow.Assignment
	clean  bool
	take   bool // --take-over
	keeps  bool // no: legacy-fallback is off
	guard  config.Readiness
	unfit  []string
	acts   []cutover.Act
	actsMu sync.Mutex

	near       *disk
	toLegacy   *shadow.Follower
	toEnhanced *shadow.Follower
	standby    *shadow.Standby
	conflicts  *shadow.Conflicts
	ledger     *compare.Ledger
	latency    *shadow.Latency
	router     *shadow.Router
	reconciler *reconcile.Reconciler
	keeper     *cutover.Keeper
	whole      legacy.Whole
	marking    func() // before the mark that legacy is whole is written
	stop       func()
	// stopWorking ends what works beside commands, and closes nothing.
	stopWorking func()
}

// watchedMark is the mark that legacy is whole, on a disk that a test slows down.
type watchedMark struct {
	shadow.Mark
	before func()
}

func (m watchedMark) Set(content string) error {
	m.before()
	return m.Mark.Set(content)
}

// inBubble runs a test on a clock of its own. Goroutines that wait for the disk
// hold the clock.
func inBubble(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t, dir)) })
}

func newRig(t *testing.T, dir string) *rig {
	t.Helper()
	return &rig{t: t, dir: dir, far: newServer(), want: shadow.Assignment{Mode: shadow.Shadow}, keeps: true, marking: func() {},
		guard: config.Readiness{MaxLatencyRatio: 1.5, LatencyFloor: 25 * time.Millisecond}}
}

// open makes all parts, as a process does.
func (r *rig) open() {
	r.t.Helper()
	store, err := legacy.Open(context.Background(), legacy.Options{Dir: r.dir})
	require.NoError(r.t, err)
	r.near, r.whole = &disk{Store: store}, legacy.WholeIn(r.dir)
	r.ledger, err = compare.OpenLedger(compare.LedgerOptions{Dir: r.dir, Logger: hclog.NewNullLogger()})
	require.NoError(r.t, err)
	r.conflicts, err = shadow.OpenConflicts(r.dir)
	require.NoError(r.t, err)
	within := func(s locking.Store, budget time.Duration) *breaker.Store {
		return breaker.New(s, breaker.Options{Budget: budget, FailureThreshold: math.MaxInt32, Timeout: time.Millisecond, SuccessThreshold: 1})
	}
	guard := within(r.far, 2*time.Second)
	r.latency = shadow.NewLatency()
	follower := func(o shadow.FollowerOptions) *shadow.Follower {
		o.Ledger, o.Metrics, o.Logger, o.Latency = r.ledger, metrics.NewOperations(nil), hclog.NewNullLogger(), r.latency
		return shadow.NewFollower(o)
	}
	r.toLegacy = follower(shadow.FollowerOptions{Side: shadow.LegacySide, Store: within(r.near, 2*time.Second), Abreast: 128})
	r.toEnhanced = follower(shadow.FollowerOptions{Side: shadow.EnhancedSide, Store: guard,
		Keeps: func(key locking.Key, authority, has locking.Record) (bool, error) {
			return r.router.Keep(key, authority, has)
		}})
	r.standby = shadow.NewStandby(watchedMark{r.whole, func() { r.marking() }}, hclog.NewNullLogger())
	r.router = shadow.NewRouter(shadow.RouterOptions{
		Legacy: r.near, Enhanced: within(r.far, 400*time.Millisecond), ToEnhanced: r.toEnhanced, ToLegacy: r.toLegacy, Standby: r.standby, Conflicts: r.conflicts,
		Failed: func(ctx context.Context, epoch uint64, began time.Time, cause error) error {
			return r.keeper.Failed(ctx, epoch, began, cause)
		},
	})
	unclean := map[bool]string{false: "a crash"}[r.clean]
	if r.clean {
		require.NoError(r.t, cutover.UnaskedIn(r.dir).Set(store.OpenedAt()))
	}
	r.reconciler = reconcile.New(reconcile.Options{
		Router: r.router, Legacy: store, Store: r.far, Guard: guard, Ledger: r.ledger, Memory: reconcile.MemoryIn(r.dir),
		Logger: hclog.NewNullLogger(), Unclean: unclean, RetryBase: 100 * time.Millisecond,
		Watch:  func(ctx context.Context) error { return r.keeper.Watch(ctx) },
		InStep: func(ctx context.Context) error { return r.keeper.InStep(ctx) },
	})
	r.keeper = cutover.New(cutover.Options{
		Router: r.router, Legacy: store, Enhanced: r.far, Reconciler: r.reconciler, Ledger: r.ledger, Audit: r.record, TakeOver: r.take,
		Whole: r.whole, Clean: r.clean, Want: r.want, Fallback: r.keeps, Breaker: config.Breaker{MinFallback: 5 * time.Second},
		Readiness: r.guard, Postpone: cutover.PostponeIn(r.dir), Latency: r.latency, Logger: hclog.NewNullLogger(),
		Fitness:    func(context.Context) ([]string, error) { return r.unfit, nil },
		Registerer: prometheus.NewRegistry(),
		Cut: func() func() {
			r.far.fails(errors.New("cut off"))
			return func() { r.far.fails(nil) }
		},
	})
	r.far.set(func(s *server) { s.check = r.keeper.Check })
	r.stop = sync.OnceFunc(func() {
		r.toEnhanced.Close()
		r.toLegacy.Close()
		require.NoError(r.t, r.ledger.Save())
		require.NoError(r.t, store.Close())
	})
	r.t.Cleanup(func() { r.stop() })
}

func (r *rig) record(a cutover.Act) {
	r.actsMu.Lock()
	defer r.actsMu.Unlock()
	r.acts = append(r.acts, a)
}

// last is the last act of a name.
func (r *rig) last(name string) (last cutover.Act) {
	r.actsMu.Lock()
	defer r.actsMu.Unlock()
	for _, a := range r.acts {
		if a.Name == name {
			last = a
		}
	}
	return last
}

// start opens all parts, decides how to go on, and lets the parts work.
func (r *rig) start() {
	r.t.Helper()
	r.open()
	require.NoError(r.t, r.keeper.Start(context.Background()))
	r.work()
}

func (r *rig) work() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.reconciler.Run(ctx) })
	running.Go(func() { r.keeper.Run(ctx) })
	closing := r.stop
	r.stopWorking = func() {
		cancel()
		running.Wait()
	}
	r.stop = sync.OnceFunc(func() {
		r.stopWorking()
		closing()
	})
}

// begin starts in a mode, with everything in step and legacy whole where it is a
// standby.
func (r *rig) begin(a shadow.Assignment) {
	r.t.Helper()
	r.start()
	r.until("the store is filled", func() bool { return r.reconciler.State().Filled && r.inStep() })
	if a.Mode == shadow.Shadow {
		return
	}
	percent := a.Percent
	_, err := r.flip(cutover.Request{Mode: a.Mode, Percent: &percent, Repos: a.Repos, Force: true, Reason: "test"})
	require.NoError(r.t, err)
	r.settled()
}

func (r *rig) inStep() bool { return r.toEnhanced.Backlog().Clean() && r.toLegacy.Backlog().Clean() }

// settled waits until nothing is to do any more.
func (r *rig) settled() {
	r.t.Helper()
	r.until("everything is in step", func() bool {
		a, down := r.router.Assignment()
		whole, _ := r.standby.Whole()
		standby := r.keeps && !a.Shared && a.Mode != shadow.Enhanced && a.Answers(shadow.EnhancedSide)
		return down == nil && r.inStep() && r.reconciler.State().Err == nil && (whole || !standby)
	})
}

// until lets time pass until something is so.
func (r *rig) until(what string, so func() bool) {
	r.t.Helper()
	for range 60_000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	a, down := r.router.Assignment()
	require.Fail(r.t, "it never is so: "+what, "%+v, down %v, %+v", a, down, r.reconciler.State())
}

func (r *rig) flip(q cutover.Request) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	result, err := r.keeper.Flip(ctx, q)
	return fmt.Sprint(result.Steps), err
}

// to flips to a mode, guards or not.
func (r *rig) to(m shadow.Mode) error {
	half := 50
	_, err := r.flip(cutover.Request{Mode: m, Percent: &half, Force: true, Reason: "test"})
	return err
}

func (r *rig) now() shadow.Assignment {
	a, _ := r.router.Assignment()
	return a
}

func (r *rig) down() error {
	_, down := r.router.Assignment()
	return down
}

// kept is the assignment that atlantis.db knows.
func (r *rig) kept() shadow.Assignment {
	r.t.Helper()
	document, err := r.near.Mode()
	require.NoError(r.t, err)
	a, err := shadow.DecodeAssignment(document)
	require.NoError(r.t, err)
	return a
}

// told is the assignment that the enhanced store knows.
func (r *rig) told() shadow.Assignment {
	r.t.Helper()
	r.far.mu.Lock()
	defer r.far.mu.Unlock()
	a, err := shadow.DecodeAssignment(r.far.document)
	require.NoError(r.t, err)
	return a
}

func lockKey(i int) locking.Key {
	return locking.MustKey(fmt.Sprintf("pr/acme/infra-%d/./default/", i))
}

func lockOf(pull int) []byte { return fmt.Appendf(nil, `{"Pull":{"Num":%d}}`, pull) }

func (r *rig) try(k locking.Key, pull int) (bool, error) {
	ctx := locking.WithCall(context.Background(), locking.Call{Op: "acquire"})
	out, err := r.router.Apply(ctx, []locking.Change{locking.Put(k, lockOf(pull), locking.OwnedBy(locking.Owner{Num: pull}))})
	return err == nil && out[0].Applied, err
}

func (r *rig) acquire(k locking.Key, pull int) bool {
	r.t.Helper()
	took, err := r.try(k, pull)
	require.NoError(r.t, err)
	return took
}

func (r *rig) release(k locking.Key) {
	r.t.Helper()
	ctx := locking.WithCall(context.Background(), locking.Call{Op: "delete"})
	_, err := r.router.Apply(ctx, []locking.Change{locking.Delete(k, locking.Any())})
	require.NoError(r.t, err)
}

func (r *rig) holder(k locking.Key) string {
	r.t.Helper()
	return valueIn(r.t, r.router, k)
}

func valueIn(t *testing.T, s locking.Store, k locking.Key) string {
	t.Helper()
	got, err := s.Get(locking.WithCall(context.Background(), locking.Call{Op: "get"}), k)
	if err != nil {
		require.ErrorIs(t, err, locking.ErrNotFound)
	}
	return string(got.Value)
}

func everything(t *testing.T, s locking.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for record, err := range s.Scan(context.Background(), locking.All) {
		require.NoError(t, err)
		all[record.Key.String()] = string(record.Value)
	}
	return all
}

func (r *rig) equal() {
	r.t.Helper()
	require.Equal(r.t, everything(r.t, r.near.Store), everything(r.t, r.far.Store))
}

// postpone lays the file down that postpones flips, and returns what removes it.
func (r *rig) postpone(text string) (remove func()) {
	r.t.Helper()
	path := filepath.Join(r.dir, cutover.PostponeName)
	require.NoError(r.t, os.WriteFile(path, []byte(text), 0o600))
	return func() { require.NoError(r.t, os.Remove(path)) }
}

// guarded requires that an error is a refusal that says something.
func guarded(t *testing.T, err error, says string) *cutover.Guard {
	t.Helper()
	var guard *cutover.Guard
	require.ErrorAs(t, err, &guard)
	require.ErrorContains(t, err, says)
	return guard
}

// unexplained are the divergences that nobody can explain.
func (r *rig) unexplained() (found []compare.Divergence) {
	for _, d := range r.ledger.Recent(1000) {
		if d.Cause == "" {
			found = append(found, d)
		}
	}
	return found
}
