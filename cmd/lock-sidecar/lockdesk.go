package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/locks"
)

// newAtlantis returns the client of Atlantis itself, nil without an address.
func newAtlantis(c config.Atlantis) (*atlantisapi.Client, error) {
	if c.URL == "" {
		return nil, nil
	}
	client, err := atlantisapi.New(atlantisapi.Options{URL: c.URL, Username: c.Username, Password: c.Password.Reveal()})
	if err != nil {
		return nil, exit(codeUsage, err)
	}
	return client, nil
}

// desk returns what lists and takes away locks, or why there is none now.
func (i *instance) desk() (*locks.Desk, error) {
	m, err := i.running()
	if err != nil {
		return nil, err
	}
	return &locks.Desk{Store: m.router, Atlantis: i.atlantis, Audit: m.keep}, nil
}

// Locks is documented at admin.Sidecar.
func (i *instance) Locks(ctx context.Context, q client.LockQuery) (client.LockList, error) {
	d, err := i.desk()
	if err != nil {
		return client.LockList{}, err
	}
	return d.List(ctx, q)
}

// Lock is documented at admin.Sidecar.
func (i *instance) Lock(ctx context.Context, id string) (client.Lock, error) {
	d, err := i.desk()
	if err != nil {
		return client.Lock{}, err
	}
	l, err := d.Show(ctx, id)
	return l, lockError(err)
}

// Unlock is documented at admin.Sidecar.
func (i *instance) Unlock(ctx context.Context, id string, r client.UnlockRequest) (client.Unlocked, error) {
	d, err := i.desk()
	if err != nil {
		return client.Unlocked{}, err
	}
	u, err := d.Unlock(ctx, id, r)
	return u, lockError(err)
}

// lockError makes errors of the desk those of the API.
func lockError(err error) error {
	switch {
	case errors.Is(err, locks.ErrNotFound):
		return fmt.Errorf("%w: %w", admin.ErrNotFound, err)
	case errors.Is(err, locks.ErrNotSafe), errors.Is(err, locks.ErrOtherFence):
		return &admin.Guard{Reason: err.Error()}
	}
	return err
}
