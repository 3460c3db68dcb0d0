package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// followerBudget is the time of one operation of the follower.
	followerBudget = 2 * time.Second
	// saveEvery is how much evidence a crash costs at most.
	saveEvery = 10 * time.Second
	// drainFollower is how long a stop waits for the follower to catch up, and
	// stopBy when it no longer does, counted from the signal: what is missed is
	// made equal by the next start.
	drainFollower = 3 * time.Second
	stopBy        = 7 * time.Second
)

// mirror is what mode shadow has beside the authority: the enhanced store
// behind its guard, the follower that does there what the authority did, what
// is known of their differences, and the reconciler that makes them equal.
type mirror struct {
	backend    *backend
	guard      *breaker.Store
	ledger     *compare.Ledger
	follower   *shadow.Follower
	router     *shadow.Router
	reconciler *reconcile.Reconciler

	divergences *compare.Log
	inStep      shadow.InStep
	authority   *legacy.Store
	log         hclog.Logger
	cancel      context.CancelFunc
	running     sync.WaitGroup // reconciler and saver
}

// newMirror opens and starts all of it but the enhanced store, which may be
// away. Unclean tells why the follower may lack changes, "" if it does not.
func newMirror(c *config.Config, store *legacy.Store, unclean string, operations *metrics.Operations,
	registry prometheus.Registerer, log hclog.Logger) (*mirror, error) {
	dir := c.Sidecar.DataDir
	m := &mirror{inStep: shadow.InStepIn(dir), authority: store, log: log.Named("shadow")}
	var err error
	if m.backend, err = newBackend(c, store.OwnerID(), registry, log); err != nil {
		return nil, err
	}
	m.divergences = compare.OpenLog(dir, log.Named("compare"))
	m.ledger, err = compare.OpenLedger(compare.LedgerOptions{
		Dir: dir, Rules: ignoreRules(c.Sidecar.Ignore), Log: m.divergences, Logger: log.Named("compare"), Registerer: registry,
	})
	if err != nil {
		m.divergences.Close()
		_ = m.backend.Close() // the rules are what is wrong
		return nil, exit(codeUsage, err)
	}
	if store.Opened().Foreign {
		m.ledger.Reset(m.ledger.Totals().StoreID, "atlantis.db was written by another program")
	}
	m.guard = breaker.New(failpoint(m.backend), breaker.Options{
		Budget: followerBudget, FailureThreshold: c.Breaker.FailureThreshold, Timeout: c.Breaker.Timeout,
		SuccessThreshold: c.Breaker.SuccessThreshold, Logger: log.Named("breaker"), Registerer: registry,
	})
	m.follower = shadow.NewFollower(shadow.FollowerOptions{
		Store: m.guard, Ledger: m.ledger, Metrics: operations, Logger: m.log,
	})
	m.router = shadow.NewRouter(shadow.NewAuthority(shadow.Shadow, store), m.follower)
	m.reconciler = reconcile.New(reconcile.Options{
		Router: m.router, Follower: m.follower, Store: m.backend, Guard: m.guard, Ledger: m.ledger,
		Memory: reconcile.MemoryIn(dir), Logger: log.Named("reconcile"), Unclean: unclean,
	})
	m.start(unclean)
	return m, nil
}

func (m *mirror) start(unclean string) {
	if unclean != "" {
		m.log.Info("follower may lack changes, every record will be made equal", "reason", unclean)
	} else {
		m.log.Info("follower was in step at the last stop")
	}
	m.log.Info("enhanced locking enabled with legacy fallback", "mode", string(shadow.Shadow), "backend", m.backend.kind, "at", m.backend.at)
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.running.Go(func() { m.reconciler.Run(ctx) })
	m.running.Go(func() { m.save(ctx) })
}

// save keeps the evidence on disk.
func (m *mirror) save(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := m.ledger.Save(); err != nil {
				m.log.Warn("evidence not saved", "error", err)
			}
		}
	}
}

// stop ends all of it, after the last command, and leaves the note that the
// follower is in step if it has missed nothing. Began is when the stop of the
// sidecar did.
func (m *mirror) stop(began time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), min(drainFollower, time.Until(began.Add(stopBy))))
	defer cancel()
	_ = m.follower.Drain(ctx)     // the backlog tells what is left
	state := m.reconciler.State() // before it is cut off
	m.cancel()
	m.running.Go(m.follower.Close) // beside the others: each may wait for the store
	m.running.Wait()
	backlog := m.follower.Backlog()
	inStep := backlog.Clean() && state.Joined
	err := m.close()
	if err == nil && inStep {
		err = m.leaveNote()
	}
	switch {
	case err != nil:
		m.log.Warn("follower not closed in order, the next start makes every record equal", "error", err)
	case !inStep:
		m.log.Warn("follower not in step, the next start makes every record equal", "pending", backlog.Pending,
			"dirty_keys", backlog.Dirty, "joined", state.Joined, "error", state.Err)
	default:
		m.log.Info("follower in step, the next start need not compare")
	}
}

// close makes what was done and is known durable.
func (m *mirror) close() error {
	defer m.divergences.Close()
	err := m.backend.Close()
	if err == nil {
		m.reconciler.Remember()
	}
	return errors.Join(err, m.ledger.Save())
}

func ignoreRules(configured []config.Ignore) []compare.Rule {
	rules := make([]compare.Rule, len(configured))
	for i, r := range configured {
		rules[i] = compare.Rule{Keys: locking.Pattern(r.Keys), Kind: compare.Kind(r.Kind), Reason: r.Reason, Until: r.Ends()}
	}
	return rules
}

func (m *mirror) leaveNote() error {
	position, err := m.authority.Position()
	if err != nil {
		return err
	}
	return m.inStep.Leave(position)
}

// mayLackChanges tells why an enhanced store may lack changes of atlantis.db
// as it was opened, "" if it does not. It takes the note away that says so: in
// mode legacy because nobody follows, in shadow until a clean stop.
func mayLackChanges(store *legacy.Store, dir string) (why string, err error) {
	note, opened := shadow.InStepIn(dir), store.Opened()
	position := note.Position()
	switch {
	case opened.Created:
		why = "atlantis.db is new"
	case opened.TookOver:
		why = "atlantis.db was taken over from Atlantis"
	case opened.Foreign:
		why = "atlantis.db was written by another program"
	case position == "":
		why = "the last run did not end with the follower in step"
	case position != store.OpenedAt():
		why = "atlantis.db is not as it was at the last stop (restored from a backup?)"
	}
	if err := note.TakeAway(); err != nil {
		return "", exit(codeFailed, fmt.Errorf("%w; the data directory must be writable", err))
	}
	return why, nil
}
