package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/internal/transfer"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// This file is what operators do, as the admin API asks for it.

// running returns the mirror, or why there is none now.
func (i *instance) running() (*mirror, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.away != nil {
		return nil, fmt.Errorf("%w: %w", admin.ErrNotRunning, i.away)
	}
	return i.mirror, nil
}

// Mode is documented at admin.Sidecar.
func (i *instance) Mode() client.ModeState {
	m, err := i.running()
	if err != nil {
		return client.ModeState{Reason: err.Error()}
	}
	a, _ := m.router.Assignment()
	return client.ModeState{
		Mode: string(a.Mode), Epoch: a.Epoch, Percent: a.Percent, Repos: append([]string{}, a.Repos...),
		FallenBack: a.FallenBack, Manual: a.Manual, Shared: a.Shared, Reason: a.Reason, Since: a.At,
		Postponed: m.keeper.Postpone.Reason(), Flipping: m.keeper.Flipping(),
	}
}

// SetMode is documented at admin.Sidecar.
func (i *instance) SetMode(ctx context.Context, r client.ModeRequest) (client.ModeResult, error) {
	m, err := i.running()
	if err != nil {
		return client.ModeResult{}, err
	}
	result, err := m.keeper.Flip(ctx, cutover.Request{
		Mode: shadow.Mode(r.Mode), Percent: r.Percent, Repos: r.Repos, Reason: r.Reason, Force: r.Force, AtQuiet: r.AtQuiet,
	})
	return result, refused(err)
}

// FallBack is documented at admin.Sidecar.
func (i *instance) FallBack(ctx context.Context, reason string) (client.ModeResult, error) {
	m, err := i.running()
	if err != nil {
		return client.ModeResult{}, err
	}
	result, err := m.keeper.FallBack(ctx, reason)
	return result, refused(err)
}

// Return is documented at admin.Sidecar.
func (i *instance) Return(ctx context.Context, r client.ReturnRequest) (client.ModeResult, error) {
	m, err := i.running()
	if err != nil {
		return client.ModeResult{}, err
	}
	result, err := m.keeper.Return(ctx, r.Reason, r.Force)
	return result, refused(err)
}

// Readiness is documented at admin.Sidecar.
func (i *instance) Readiness(ctx context.Context) (client.Readiness, error) {
	m, err := i.running()
	if err != nil {
		return client.Readiness{}, err
	}
	a, _ := m.router.Assignment()
	r, err := m.keeper.Ready(ctx, cutover.Next(a))
	return r, refused(err)
}

// Conflicts is documented at admin.Sidecar.
func (i *instance) Conflicts() client.ConflictList {
	m, err := i.running()
	if err != nil {
		return client.ConflictList{}
	}
	all := m.conflicts.List()
	l := client.ConflictList{Total: len(all)}
	for _, c := range all[:min(len(all), client.MaxListed)] {
		l.Conflicts = append(l.Conflicts, client.Conflict{
			ID: c.ID, At: c.At, Record: c.Record, LegacyHolder: c.Legacy.Holder, LegacyDigest: c.Legacy.Digest,
			EnhancedHolder: c.Enhanced.Holder, EnhancedDigest: c.Enhanced.Digest,
		})
	}
	return l
}

// ResolveConflict is documented at admin.Sidecar.
func (i *instance) ResolveConflict(ctx context.Context, r client.ConflictResolution) error {
	m, err := i.running()
	if err != nil {
		return err
	}
	conflict, err := m.router.Resolve(ctx, r.ID, shadow.Side(r.Keep))
	m.keep(audit.Entry{
		Act: "resolve conflict", Actor: audit.Operator, Reason: r.Reason, Result: outcomeText(err),
		Details: map[string]string{"conflict": fmt.Sprint(r.ID), "record": conflict.Record, "keep": r.Keep},
	})
	if errors.Is(err, shadow.ErrNoConflict) {
		return fmt.Errorf("%w: %w", admin.ErrNotFound, err)
	}
	if errors.Is(err, shadow.ErrChanged) {
		return &admin.Guard{Reason: err.Error()}
	}
	return err
}

// DrillRollback is documented at admin.Sidecar.
func (i *instance) DrillRollback(ctx context.Context, r client.RollbackRequest) (client.RollbackDrill, error) {
	m, err := i.running()
	if err != nil {
		return client.RollbackDrill{}, err
	}
	d, err := m.keeper.DrillRollback(ctx, r.Reason)
	return d, refused(err)
}

// DrillOutage is documented at admin.Sidecar.
func (i *instance) DrillOutage(ctx context.Context, r client.OutageRequest) (client.OutageDrill, error) {
	m, err := i.running()
	if err != nil {
		return client.OutageDrill{}, err
	}
	length := client.DefaultOutage
	if r.For != "" {
		if length, err = time.ParseDuration(r.For); err != nil {
			return client.OutageDrill{}, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
		}
	}
	d, err := m.keeper.DrillOutage(ctx, length, r.Reason)
	return d, refused(err)
}

// Admit is documented at admin.Sidecar.
func (i *instance) Admit(ctx context.Context, r client.AdmitRequest) (client.Admitted, error) {
	m, err := i.running()
	if err != nil {
		return client.Admitted{}, err
	}
	own := m.legacy.OwnerID()
	all, err := m.keeper.Admit(ctx, r.Sidecar, r.Reason)
	return client.Admitted{Sidecar: r.Sidecar, OwnID: own, All: append([]string{own}, all...)}, refused(err)
}

// Audit is documented at admin.Sidecar.
func (i *instance) Audit(n int) (client.AuditList, error) {
	m, err := i.running()
	if err != nil {
		return client.AuditList{}, err
	}
	entries, err := m.audit.Recent(n)
	l := client.AuditList{Entries: []client.AuditEntry{}}
	for _, e := range entries {
		l.Entries = append(l.Entries, client.AuditEntry(e))
	}
	return l, err
}

// Export is documented at admin.Sidecar.
func (i *instance) Export(ctx context.Context, w io.Writer, values bool) error {
	m, err := i.running()
	if err != nil {
		return err
	}
	n, err := transfer.Export(ctx, m.router, w, transfer.ExportOptions{Values: values})
	if values || err != nil {
		m.keep(audit.Entry{Act: "export", Actor: audit.Operator, Result: outcomeText(err),
			Details: map[string]string{"records": fmt.Sprint(n), "values": fmt.Sprint(values)}})
	}
	return err
}

// Import is documented at admin.Sidecar.
func (i *instance) Import(ctx context.Context, r io.Reader, o client.ImportRequest) (client.ImportSummary, error) {
	m, err := i.running()
	if err != nil {
		return client.ImportSummary{}, err
	}
	s, err := transfer.Import(ctx, m.router, r, transfer.ImportOptions{DryRun: o.DryRun, Replace: o.Replace})
	if !o.DryRun {
		m.keep(audit.Entry{Act: "import", Actor: audit.Operator, Reason: o.Reason, Result: outcomeText(err),
			Details: map[string]string{"added": fmt.Sprint(s.Added), "replaced": fmt.Sprint(s.Replaced), "differing": fmt.Sprint(s.Differ)}})
	}
	if errors.Is(err, transfer.ErrNotAnExport) {
		return client.ImportSummary{}, fmt.Errorf("%w: %w", admin.ErrInvalid, err)
	}
	return client.ImportSummary{
		Added: s.Added, Same: s.Same, Replaced: s.Replaced, Renamed: s.Renamed, Different: s.Differ, Differing: s.Differing, DryRun: o.DryRun,
	}, err
}

func outcomeText(err error) string {
	if err != nil {
		return "not done: " + err.Error()
	}
	return "done"
}

// refused makes errors of the keeper those of the API.
func refused(err error) error {
	var guard *cutover.Guard
	switch {
	case errors.As(err, &guard):
		return &admin.Guard{Reason: guard.Reason, Unmet: guard.Unmet}
	case errors.Is(err, cutover.ErrAway):
		return fmt.Errorf("%w: %w", admin.ErrUnreachable, err)
	case errors.Is(err, shadow.ErrHolding):
		return fmt.Errorf("%w: %w", admin.ErrConflict, err)
	}
	return err
}
