package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/internal/census"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// followerBudget is the time of one operation of a follower, and
	// authorityBudget that of the enhanced store where it answers: far below the 3 s
	// after which Atlantis gives up.
	followerBudget  = 2 * time.Second
	authorityBudget = 400 * time.Millisecond
	// legacyAbreast is how many changes legacy gets at a time: they share a commit.
	legacyAbreast = 128
	// saveEvery is how much evidence a crash costs at most.
	saveEvery = 10 * time.Second
	// drainFollower is how long a stop waits for the followers to catch up, and
	// stopBy when it no longer does, counted from the signal: what is missed is
	// made equal by the next start.
	drainFollower = 3 * time.Second
	stopBy        = 7 * time.Second
)

// mirror is what stands between Atlantis's commands and the two stores: the
// router, a follower for each direction, what is known of their differences,
// the reconciler that makes them equal, and the keeper of who answers.
type mirror struct {
	backend    *backend
	guard      *breaker.Store // around the backend, where it follows
	ledger     *compare.Ledger
	toEnhanced *shadow.Follower
	toLegacy   *shadow.Follower
	router     *shadow.Router
	conflicts  *shadow.Conflicts
	freezes    *shadow.Freezes
	reconciler *reconcile.Reconciler
	keeper     *cutover.Keeper
	census     *census.Census

	divergences *compare.Log
	audit       *audit.Log
	inStep      shadow.InStep
	whole       legacy.Whole
	noted       []byte // of the enhanced store, in atlantis.db at the start
	legacy      *legacy.Store
	retried     func()
	log         hclog.Logger
	cancel      context.CancelFunc
	running     sync.WaitGroup // reconciler, keeper, saver, census and backend
}

// newMirror opens and starts all of it, and decides who answers. Unclean tells
// why the follower may lack changes, "" if it does not.
func newMirror(ctx context.Context, c *config.Config, store *legacy.Store, unclean string, operations *metrics.Operations,
	registry prometheus.Registerer, log hclog.Logger) (*mirror, error) {
	m := &mirror{
		inStep: shadow.InStepIn(c.Sidecar.DataDir), legacy: store, log: log.Named("shadow"),
		retried: metrics.NewRetries(registry).Inc,
	}
	if err := m.open(c, registry, log); err != nil {
		return nil, err
	}
	var err error
	if m.noted, err = store.Note(); err != nil {
		return nil, errors.Join(err, m.close())
	}
	m.connect(c, unclean, operations, registry, log)
	store.NoteWith(m.note)
	if unclean != "" {
		m.log.Info("follower may lack changes, every record will be made equal", "reason", unclean)
	} else {
		m.log.Info("follower was in step at the last stop")
	}
	running, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	if err := m.keeper.Start(ctx); err != nil {
		m.abandon()
		return nil, startRefusal(err)
	}
	m.running.Go(func() { m.reconciler.Run(running) })
	m.running.Go(func() { m.keeper.Run(running) })
	m.running.Go(func() { m.save(running) })
	m.running.Go(func() { m.census.Run(running) })
	m.running.Go(func() { m.backend.Run(running) })
	return m, nil
}

// startRefusal chooses the exit code of a start that a person has to decide on.
func startRefusal(err error) error {
	var refusal *cutover.Refusal
	if errors.As(err, &refusal) && refusal.Code == cutover.CodeGuard {
		return exit(codeRefused, err)
	}
	return exit(codeFailed, err)
}

// open opens what is on disk, but for the stores.
func (m *mirror) open(c *config.Config, registry prometheus.Registerer, log hclog.Logger) (err error) {
	dir := c.Sidecar.DataDir
	if m.backend, err = newBackend(c, m.legacy.OwnerID(), m.retried, registry, log); err != nil {
		return err
	}
	m.divergences = compare.OpenLog(dir, log.Named("compare"))
	m.audit = audit.Open(dir, audit.Options{Logger: log.Named("audit")})
	m.ledger, err = compare.OpenLedger(compare.LedgerOptions{
		Dir: dir, Rules: ignoreRules(c.Sidecar.Ignore), Log: m.divergences, Logger: log.Named("compare"), Registerer: registry,
	})
	if err != nil {
		err = exit(codeUsage, err)
	} else if m.conflicts, err = shadow.OpenConflicts(dir); err != nil {
		err = exit(codeFailed, err)
	} else if m.freezes, err = shadow.OpenFreezes(dir); err != nil {
		err = exit(codeFailed, err)
	}
	if err != nil {
		m.divergences.Close()
		_ = m.backend.Close() // nothing was done with it
	}
	return err
}

// connect makes the parts that work, and starts the followers.
func (m *mirror) connect(c *config.Config, unclean string, operations *metrics.Operations, registry prometheus.Registerer, log hclog.Logger) {
	dir := c.Sidecar.DataDir
	m.guard = breaker.New(failpoint(m.backend), breaker.Options{
		Budget: followerBudget, FailureThreshold: c.Breaker.FailureThreshold, Timeout: c.Breaker.Timeout,
		SuccessThreshold: c.Breaker.SuccessThreshold, Logger: log.Named("breaker"), Registerer: registry,
	})
	latency := shadow.NewLatency()
	m.toEnhanced = shadow.NewFollower(shadow.FollowerOptions{
		Side: shadow.EnhancedSide, Store: m.guard, Ledger: m.ledger, Metrics: operations, Logger: m.log, Latency: latency,
		Keeps: func(key locking.Key, authority, has locking.Record) (bool, error) {
			return m.router.Keep(key, authority, has)
		},
	})
	m.toLegacy = shadow.NewFollower(shadow.FollowerOptions{
		Side: shadow.LegacySide, Store: bounded(m.legacy, followerBudget, log), Ledger: m.ledger, Metrics: operations, Logger: m.log,
		Latency: latency, Abreast: legacyAbreast,
	})
	m.whole = legacy.WholeIn(dir)
	m.router = shadow.NewRouter(shadow.RouterOptions{
		Legacy: m.legacy, Enhanced: bounded(m.backend, authorityBudget, log), ToEnhanced: m.toEnhanced, ToLegacy: m.toLegacy,
		Standby: shadow.NewStandby(m.whole, log.Named("shadow")), Conflicts: m.conflicts, Freezes: m.freezes,
		Failed: func(ctx context.Context, epoch uint64, began time.Time, cause error) error {
			return m.keeper.Failed(ctx, epoch, began, cause)
		},
		Logger: m.log,
	})
	m.reconciler = reconcile.New(reconcile.Options{
		Router: m.router, Legacy: m.legacy, Store: m.backend, Guard: m.guard, Ledger: m.ledger,
		Memory: reconcile.MemoryIn(dir), Logger: log.Named("reconcile"), Unclean: unclean, Retried: m.retried,
		Recall: m.recall,
		Watch:  func(ctx context.Context) error { return m.keeper.Watch(ctx) },
		InStep: func(ctx context.Context) error { return m.keeper.InStep(ctx) }, Registerer: registry,
	})
	m.backend.check = func(ctx context.Context, store enhanced.Store, j enhanced.Joined) error {
		return m.keeper.Check(ctx, store, j)
	}
	m.keeper = cutover.New(cutover.Options{
		Router: m.router, Legacy: m.legacy, Enhanced: m.backend, Reconciler: m.reconciler, Ledger: m.ledger, Audit: m.record,
		TakeOver: c.Sidecar.TakeOver, Whole: m.whole, Clean: unclean == "", Want: wanted(c.Sidecar), Fallback: c.Locking.LegacyFallback, Breaker: c.Breaker,
		Readiness: c.Sidecar.Readiness, Postpone: cutover.PostponeIn(dir), Fitness: m.backend.fitness(), Latency: latency,
		Cut: m.backend.cutOff, Logger: log.Named("cutover"), Registerer: registry,
	})
	m.census = census.New(census.Options{
		Assignment: m.router.Assignment, Legacy: m.legacy.Keys, Enhanced: m.backend.Keys, Memory: m.backend.memory(),
		Logger: log.Named("census"), Registerer: registry,
	})
}

// What was seen of the enhanced store stands in atlantis.db too, in the same
// transaction as each change: whatever it has answered is never taken for newer
// than it is.
func (m *mirror) note() []byte {
	known := m.backend.Known()
	if known.StoreID == "" { // not joined by this process: what is there stays
		return m.noted
	}
	b, err := json.Marshal(known)
	if err != nil {
		panic(err) // it has nothing that could not be encoded
	}
	return b
}

// recall adds it to what is remembered, if it is about the same store.
func (m *mirror) recall(known *enhanced.Known) {
	var seen enhanced.Known
	if json.Unmarshal(m.noted, &seen) != nil || seen.StoreID == "" || known.StoreID != "" && known.StoreID != seen.StoreID {
		return
	}
	known.StoreID, known.Epoch, known.Guest = seen.StoreID, max(known.Epoch, seen.Epoch), known.Guest || seen.Guest
	for p := range known.Seen {
		known.Seen[p] = max(known.Seen[p], seen.Seen[p])
	}
}

// wanted is the configured mode.
func wanted(c config.Sidecar) shadow.Assignment {
	a := shadow.Assignment{Mode: shadow.Mode(c.Mode)}
	if a.Mode == shadow.Hybrid {
		a.Percent, a.Repos = c.Hybrid.Percent, c.Hybrid.Repos
	}
	return a
}

// bounded gives each operation of a store a time, and turns panics into errors.
// It never stops asking.
func bounded(store locking.Store, budget time.Duration, log hclog.Logger) locking.Store {
	return breaker.New(store, breaker.Options{
		Budget: budget, FailureThreshold: math.MaxInt32, Timeout: time.Millisecond, SuccessThreshold: 1, Logger: log.Named("breaker"),
	})
}

// record keeps an act of the keeper.
func (m *mirror) record(a cutover.Act) {
	entry := audit.Entry{
		Act: a.Name, Actor: a.Actor, Reason: a.Reason, From: cutover.Describe(a.From), To: cutover.Describe(a.To),
		Epoch: a.To.Epoch, Result: a.Result, Details: a.Details,
	}
	if a.From.Epoch == 0 {
		entry.From = ""
	}
	if entry.Result == "" {
		entry.Result = "done"
	}
	m.keep(entry)
}

// keep takes an act down. One that cannot be, as on a full disk, is done all the
// same, since it may be what ends an emergency: then all of it is in the log.
func (m *mirror) keep(entry audit.Entry) {
	if a, _ := m.router.Assignment(); entry.Epoch == 0 {
		entry.Epoch = a.Epoch
	}
	if err := m.audit.Append(entry); err != nil {
		e := entry.Printable()
		m.log.Error("act not kept in the audit log", "act", e.Act, "actor", e.Actor, "reason", e.Reason, "from", e.From, "to", e.To,
			"epoch", e.Epoch, "result", e.Result, "details", e.Details, "error", err)
	}
}

// answers is the value of the label "store" of Atlantis's commands.
func (m *mirror) answers() string {
	a, _ := m.router.Assignment()
	switch {
	case !a.Answers(shadow.EnhancedSide):
		return string(shadow.LegacySide)
	case a.Mode == shadow.Hybrid:
		return "both"
	}
	return string(shadow.EnhancedSide)
}

func ignoreRules(configured []config.Ignore) []compare.Rule {
	rules := make([]compare.Rule, len(configured))
	for i, r := range configured {
		rules[i] = compare.Rule{Keys: locking.Pattern(r.Keys), Kind: compare.Kind(r.Kind), Reason: r.Reason, Until: r.Ends()}
	}
	return rules
}
