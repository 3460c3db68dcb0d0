package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// save keeps the evidence on disk, how far atlantis.db has come, and where the
// enhanced store answers what was seen of it.
func (m *mirror) save(ctx context.Context) {
	tick, second := time.NewTicker(saveEvery), time.NewTicker(time.Second)
	defer tick.Stop()
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			if a, _ := m.router.Assignment(); a.Answers(shadow.EnhancedSide) {
				m.reconciler.Remember()
			}
			if err := m.legacy.SyncSeen(); err != nil {
				m.log.Warn("not noted how far atlantis.db has come", "error", err)
			}
		case <-tick.C:
			if err := m.ledger.Save(); err != nil {
				m.log.Warn("evidence not saved", "error", err)
			}
		}
	}
}

// abandon ends what a start that was refused has begun.
func (m *mirror) abandon() {
	m.cancel()
	m.toEnhanced.Close()
	m.toLegacy.Close()
	if err := m.close(); err != nil {
		m.log.Warn("not closed in order", "error", err)
	}
}

// stop ends all of it, after the last command, and leaves the note that both
// stores are in step if nothing was missed. Began is when the stop of the
// sidecar did.
func (m *mirror) stop(began time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), min(drainFollower, time.Until(began.Add(stopBy))))
	defer cancel()
	_ = m.toLegacy.Drain(ctx) // the backlogs tell what is left
	_ = m.toEnhanced.Drain(ctx)
	state := m.reconciler.State() // before it is cut off
	a, down := m.router.Assignment()
	m.cancel()
	m.running.Go(m.toEnhanced.Close) // beside the others: each may wait for the store
	m.running.Go(m.toLegacy.Close)
	m.running.Wait()
	backlog := m.backlog()
	_, follows := a.Follower("")
	inStep := follows && down == nil && !m.router.InDoubt() && backlog.Clean() && state.Joined && len(m.conflicts.List()) == 0
	err := m.close()
	if err == nil && inStep && a.Answers(shadow.EnhancedSide) && !a.Shared && state.Sole() {
		err = m.leave(func(at string) error { return m.whole.Set(at + "\natlantis.db had everything at the last stop\n") })
	}
	if err == nil && inStep {
		err = m.leave(m.inStep.Leave)
	}
	switch {
	case err != nil:
		m.log.Warn("follower not closed in order, the next start makes every record equal", "error", err)
	case !follows: // nothing to be in step with
	case !inStep:
		m.log.Warn("follower not in step, the next start makes every record equal", "pending", backlog.Pending,
			"dirty_keys", backlog.Dirty, "joined", state.Joined, "error", state.Err)
	default:
		m.log.Info("follower in step, the next start need not compare")
	}
}

// backlog is that of both followers.
func (m *mirror) backlog() shadow.Backlog {
	b, other := m.toEnhanced.Backlog(), m.toLegacy.Backlog()
	b.Pending += other.Pending
	b.Dirty += other.Dirty
	b.All = b.All || other.All
	b.Lag = max(b.Lag, other.Lag)
	b.Missed += other.Missed
	return b
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

// leave leaves something for the next start that says where atlantis.db is.
func (m *mirror) leave(what func(position string) error) error {
	position, err := m.legacy.Position()
	if err != nil {
		return err
	}
	return what(position)
}

// mayLackChanges tells why one store may lack changes of the other as
// atlantis.db was opened, "" if it does not. It takes the note away that says so,
// until a clean stop, and before it the mark of an atlantis.db that is another
// than the note speaks of.
func mayLackChanges(store *legacy.Store, dir string) (why string, err error) {
	note, opened := shadow.InStepIn(dir), store.Opened()
	position := note.Position()
	switch {
	case store.PutBack() != "":
		why = store.PutBack()
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
		if err := legacy.WholeIn(dir).TakeAway(); err != nil {
			return "", exit(codeFailed, fmt.Errorf("%w; the data directory must be writable", err))
		}
	}
	if why == "" {
		err = note.SetAside(cutover.UnaskedIn(dir))
	} else {
		err = note.TakeAway()
	}
	if err != nil {
		return "", exit(codeFailed, fmt.Errorf("%w; the data directory must be writable", err))
	}
	return why, nil
}
