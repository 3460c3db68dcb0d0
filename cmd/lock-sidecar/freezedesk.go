package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Freezes is documented at admin.Sidecar.
func (i *instance) Freezes() (client.FreezeList, error) {
	m, err := i.running()
	if err != nil {
		return client.FreezeList{}, err
	}
	return m.frozen(false), nil
}

// Freeze is documented at admin.Sidecar.
func (i *instance) Freeze(ctx context.Context, r client.FreezeRequest) (client.FreezeList, error) {
	m, err := i.running()
	if err != nil {
		return client.FreezeList{}, err
	}
	added, err := m.freezes.Add(ctx, r.Glob, r.Reason)
	m.keepFreeze("freeze", r.Glob, r.Reason, added, err)
	if errors.Is(err, shadow.ErrManyFreezes) {
		err = &admin.Guard{Reason: err.Error()}
	}
	return m.frozen(added), err
}

// Lift is documented at admin.Sidecar.
func (i *instance) Lift(glob, reason string) (client.FreezeList, error) {
	m, err := i.running()
	if err != nil {
		return client.FreezeList{}, err
	}
	lifted, err := m.freezes.Lift(glob)
	m.keepFreeze("lift freeze", glob, reason, lifted, err)
	return m.frozen(lifted), err
}

func (m *mirror) frozen(changed bool) client.FreezeList {
	l := client.FreezeList{Changed: changed}
	for _, z := range m.freezes.List() {
		l.Freezes = append(l.Freezes, client.Freeze{Glob: z.Glob, Reason: z.Reason, Since: z.At})
	}
	return l
}

func (m *mirror) keepFreeze(act, glob, reason string, changed bool, err error) {
	result := outcomeText(err)
	switch {
	case errors.Is(err, shadow.ErrUndecided):
		result = err.Error()
	case err == nil && !changed:
		result = "was so already"
	}
	m.keep(audit.Entry{Act: act, Actor: audit.Operator, Reason: reason, Result: result,
		Details: map[string]string{"glob": glob, "freezes": fmt.Sprint(len(m.freezes.List()))}})
}
