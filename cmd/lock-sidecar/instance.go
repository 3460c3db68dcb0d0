package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

var (
	// errStopping is why a sidecar that ends is not ready.
	errStopping = errors.New("shutting down")
	// errAsked is why a sidecar ends that was asked to by its API.
	errAsked = errors.New("shutdown requested")
)

// instance is the serve that runs, as the admin API sees it: it starts without
// a store, has one and a server while it runs, and ends.
type instance struct {
	version string
	mode    config.Mode // configured; what is in force the mirror knows
	began   time.Time
	end     context.CancelCauseFunc

	atlantis *atlantisapi.Client // nil: without an address

	mu     sync.Mutex
	away   error // why it does not run now; nil while it does
	store  *legacy.Store
	mirror *mirror
	redis  *resp.Server
}

var _ admin.Sidecar = (*instance)(nil)

func newInstance(version string, c *config.Config, atlantis *atlantisapi.Client, end context.CancelCauseFunc) *instance {
	return &instance{
		version:  version,
		mode:     c.Sidecar.Mode,
		began:    time.Now(),
		end:      end,
		atlantis: atlantis,
		away: fmt.Errorf("opening %s; a process that holds it is named in the log and waited for up to %s",
			filepath.Join(c.Sidecar.DataDir, legacy.FileName), c.Sidecar.OpenTimeout),
	}
}

// run is called when the store is open and Atlantis is answered.
func (i *instance) run(store *legacy.Store, m *mirror, redis *resp.Server) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.store, i.mirror, i.redis, i.away = store, m, redis, nil
}

// leave is called when that ends, with the reason.
func (i *instance) leave(reason error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = reason
}

// now returns what there is at the moment. The store may be closed meanwhile,
// which it says itself.
func (i *instance) now() (store *legacy.Store, redis *resp.Server, away error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.store, i.redis, i.away
}

// mirrored returns the mirror, nil where no store follows the other, or why
// there is none now.
func (i *instance) mirrored() (*mirror, error) {
	m, err := i.running()
	if err != nil {
		return nil, err
	}
	a, _ := m.router.Assignment()
	if _, followed := a.Follower(""); !followed {
		return nil, nil
	}
	return m, nil
}

// Started is documented at admin.Sidecar. It stays nil while the sidecar stops.
func (i *instance) Started() error {
	if store, _, away := i.now(); store == nil {
		return away
	}
	return nil
}

// Ready is documented at admin.Sidecar.
func (i *instance) Ready() error {
	store, _, away := i.now()
	if away != nil {
		return away
	}
	a, down := i.mirror.router.Assignment()
	if down == nil && a.Answers(shadow.EnhancedSide) || down != nil && a.Mode != shadow.Hybrid {
		return down
	}
	return store.TakesWrites()
}

// Status is documented at admin.Sidecar.
func (i *instance) Status() client.Status {
	s := client.Status{
		Mode:          string(i.mode),
		Repos:         []string{},
		Frozen:        []string{},
		Backfill:      client.Backfill{State: "none"},
		Version:       i.version,
		UptimeSeconds: time.Since(i.began).Seconds(),
	}
	store, redis, away := i.now()
	if away != nil {
		s.Legacy.Error = away.Error()
		return s
	}
	s.Connections = redis.Connections()
	s.Legacy = legacyStatus(store)
	if m, err := i.running(); err == nil {
		m.describe(&s)
	}
	return s
}

func legacyStatus(store *legacy.Store) client.Legacy {
	var s client.Legacy
	if store.Opened().Foreign {
		s.ForeignWrites = 1
	}
	counts, err := countRecords(store)
	if err == nil {
		s.ByKind, s.Records = &counts, counts.Total()
		err = store.TakesWrites()
	}
	if err != nil {
		s.Error = err.Error()
	}
	s.Healthy = err == nil
	return s
}

func countRecords(store *legacy.Store) (client.Counts, error) {
	byKind, err := store.Count()
	return countsOf(byKind), err
}

func countsOf(byKind map[locking.Kind]int) client.Counts {
	return client.Counts{
		ProjectLocks: byKind[locking.ProjectLock],
		CommandLocks: byKind[locking.CommandLock],
		PullStatuses: byKind[locking.PullStatus],
	}
}

// Verify is documented at admin.Sidecar.
func (i *instance) Verify(ctx context.Context) (client.Verdict, error) {
	m, err := i.mirrored()
	if m == nil {
		return noMirror(i.Mode().Mode), err
	}
	return m.verify(ctx)
}

// Repair is documented at admin.Sidecar.
func (i *instance) Repair(ctx context.Context, dry bool) (client.Verdict, error) {
	m, err := i.mirrored()
	if m == nil {
		return noMirror(i.Mode().Mode), err
	}
	v, err := m.repair(ctx, dry)
	if !dry {
		result := outcomeText(err)
		if err == nil && v.Verdict == client.VerdictNone && v.Reason != "" {
			result = "not done: " + v.Reason
		}
		m.keep(audit.Entry{Act: "repair", Actor: audit.Operator, Result: result,
			Details: map[string]string{"compared": fmt.Sprint(v.Compared), "different": fmt.Sprint(v.Different), "repaired": fmt.Sprint(v.Repaired)}})
	}
	return v, err
}

// Divergences is documented at admin.Sidecar.
func (i *instance) Divergences() client.DivergenceList {
	m, _ := i.mirrored()
	if m == nil {
		return client.DivergenceList{}
	}
	return m.found()
}

// Backfill is documented at admin.Sidecar.
func (i *instance) Backfill() (client.Backfill, error) {
	m, err := i.mirrored()
	switch {
	case err != nil:
		return client.Backfill{}, err
	case m == nil:
		err = fmt.Errorf("%w in mode %s", admin.ErrNoFollower, i.Mode().Mode)
		i.mirror.keep(audit.Entry{Act: "backfill", Actor: audit.Operator, Result: outcomeText(err)})
		return client.Backfill{}, err
	}
	m.keep(audit.Entry{Act: "backfill", Actor: audit.Operator, Result: "begun"})
	return m.refill(), nil
}

// Backup is documented at admin.Sidecar.
func (i *instance) Backup(ctx context.Context, w io.Writer) (int64, error) {
	store, _, away := i.now()
	if away != nil {
		return 0, fmt.Errorf("%w: %w", admin.ErrNotRunning, away)
	}
	n, err := store.Backup(ctx, w)
	i.mirror.keep(audit.Entry{Act: "backup", Actor: audit.Operator, Result: outcomeText(err), Details: map[string]string{"bytes": fmt.Sprint(n)}})
	return n, err
}

// Shutdown is documented at admin.Sidecar.
func (i *instance) Shutdown() {
	if m, err := i.running(); err == nil {
		m.keep(audit.Entry{Act: "shutdown", Actor: audit.Operator, Result: "begun"})
	}
	i.end(errAsked)
}
