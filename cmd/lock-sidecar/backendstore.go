package main

import (
	"context"
	"iter"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Known is documented at enhanced.Store.
func (b *backend) Known() enhanced.Known {
	b.mu.Lock()
	store, seen := b.store, b.seen
	b.mu.Unlock()
	switch {
	case seen != nil:
		return *seen
	case store == nil:
		return enhanced.Known{}
	}
	return store.Known()
}

// Keys is documented at enhanced.Lister.
func (b *backend) Keys(ctx context.Context) (keys []locking.Key, err error) {
	err = b.do(func(s enhanced.Store) (err error) {
		keys, err = s.(enhanced.Lister).Keys(ctx)
		return err
	})
	return keys, err
}

// Probe is documented at enhanced.Store.
func (b *backend) Probe(ctx context.Context) error {
	return b.do(func(s enhanced.Store) error { return s.Probe(ctx) })
}

// Mode is documented at enhanced.Store.
func (b *backend) Mode(ctx context.Context) (document []byte, err error) {
	err = b.do(func(s enhanced.Store) (err error) {
		document, err = s.Mode(ctx)
		return err
	})
	return document, err
}

// SetMode is documented at enhanced.Store.
func (b *backend) SetMode(ctx context.Context, epoch uint64, document []byte) error {
	return b.do(func(s enhanced.Store) error { return s.SetMode(ctx, epoch, document) })
}

// MayAdmit is documented at enhanced.Store.
func (b *backend) MayAdmit(sidecar string) error {
	return b.do(func(s enhanced.Store) error { return s.MayAdmit(sidecar) })
}

// Admit is documented at enhanced.Store.
func (b *backend) Admit(ctx context.Context, sidecar string) (all []string, err error) {
	err = b.do(func(s enhanced.Store) (err error) {
		all, err = s.Admit(ctx, sidecar)
		return err
	})
	return all, err
}

// SetDurable is documented at enhanced.Store.
func (b *backend) SetDurable(ctx context.Context, durable bool) error {
	return b.do(func(s enhanced.Store) error { return s.SetDurable(ctx, durable) })
}

func (b *backend) do(call func(enhanced.Store) error) error {
	store, err := b.get()
	if err != nil {
		return err
	}
	return call(store)
}

// Get is documented at locking.Store.
func (b *backend) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	store, err := b.get()
	if err != nil {
		return locking.Record{}, err
	}
	return store.Get(ctx, key)
}

// Apply is documented at locking.Store.
func (b *backend) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	store, err := b.get()
	if err != nil {
		return nil, err
	}
	return store.Apply(ctx, changes)
}

// Scan is documented at locking.Store.
func (b *backend) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		store, err := b.get()
		if err != nil {
			yield(locking.Record{}, err)
			return
		}
		store.Scan(ctx, match)(yield)
	}
}

// Close is documented at enhanced.Store. Nobody may be in Join.
func (b *backend) Close() error {
	b.mu.Lock()
	store := b.store
	b.mu.Unlock()
	if store == nil {
		return nil
	}
	return store.Close()
}
