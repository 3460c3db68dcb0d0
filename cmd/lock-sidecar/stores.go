package main

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/legacy"
)

// openLegacy opens atlantis.db, which can take as long as its holder, and says
// what it found. One that was removed is made anew only for who takes over.
func openLegacy(ctx context.Context, c config.Sidecar, log hclog.Logger) (*legacy.Store, error) {
	if !c.TakeOver {
		if err := cutover.RefuseGone(c.DataDir); err != nil {
			return nil, err
		}
	}
	store, err := legacy.Open(ctx, legacy.Options{Dir: c.DataDir, OpenTimeout: c.OpenTimeout, Logger: log.Named("legacy")})
	if err != nil {
		return nil, err
	}
	counts, err := countRecords(store)
	if err != nil {
		log.Warn("records not counted", "error", err)
	}
	found := []any{"path", store.Path(), "locks", counts.ProjectLocks, "command_locks", counts.CommandLocks, "pull_statuses", counts.PullStatuses}
	switch opened := store.Opened(); {
	case opened.Created:
		log.Info("created a new database", found...)
	case opened.TookOver:
		log.Info("took over the database of Atlantis", found...)
	case opened.Foreign:
		log.Warn("database was written by another program since the last run", found...)
	default:
		log.Info("opened the database", found...)
	}
	return store, nil
}

// closeLegacy closes the file after its last commit.
func closeLegacy(store *legacy.Store, log hclog.Logger) {
	if err := store.Close(); err != nil {
		log.Error("database not closed", "path", store.Path(), "error", err)
	}
}
