package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// Connections that died without a word cost one command its time-out: once Probe has found the store well nothing goes
// out on any other that is as old. Probe alone drops none.
func TestIdleConnectionsAreDroppedOnceOneFellSilent(t *testing.T) {
	server := redistest.Start(t)
	path := newDelayedPath(t, server.Addr)
	to := redisstore.Server{Addrs: []string{path.Addr()}, PoolSize: 20, MinIdleConns: 2, ReadTimeout: patience}
	s := open(t, to, func(o *redisstore.Options) { o.ReadRetries = 0 })
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))
	abreast := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		var all sync.WaitGroup
		errs := make([]error, 16)
		for i := range errs {
			all.Go(func() { _, errs[i] = s.Get(ctx, lock) })
		}
		all.Wait()
		return errors.Join(errs...)
	}
	server.Pause() // so that each needs a connection of its own
	var first sync.WaitGroup
	first.Go(func() { require.NoError(t, abreast(patience), "so that many are idle now") })
	require.Eventually(t, func() bool { return path.Accepted() >= 16 }, patience, time.Millisecond)
	server.Resume()
	first.Wait()
	accepted := path.Accepted()
	require.NoError(t, s.Probe(t.Context()))
	fresh := path.Accepted() - accepted
	require.NoError(t, abreast(patience))
	require.Equal(t, accepted+fresh, path.Accepted(), "all is well: nothing is connected anew")

	path.Hold()
	path.LetNewPass()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.Apply(ctx, []locking.Change{locking.Put(lock, held(13), locking.Any())})
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	require.NoError(t, s.Probe(t.Context()))
	require.NoError(t, abreast(patience/4))
	put(t, s, lock, held(14))
}
