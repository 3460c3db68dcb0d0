package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

const (
	// probeBudget and budget are those of rule 9.
	probeBudget = 200 * time.Millisecond
	budget      = 400 * time.Millisecond
	// slack is what a busy machine may add: little against patience, the time-out of connections where budgets are tested.
	slack = 3 * time.Second
)

// within runs do with a context of that length and ensures that it returns in time.
func within(t *testing.T, limit time.Duration, do func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	before := time.Now()
	err := do(ctx)
	require.Less(t, time.Since(before), limit+slack)
	return err
}

// Probe finds every reason why a write would fail, and nothing else; afterwards the store is as it was.
func TestProbeFindsWhatAWriteWouldMeet(t *testing.T) {
	set := func(name, value string) func(*testing.T, *redis.Client) {
		return func(t *testing.T, c *redis.Client) { require.NoError(t, c.ConfigSet(t.Context(), name, value).Err()) }
	}
	say := func(args ...any) func(*testing.T, *redis.Client) {
		return func(t *testing.T, c *redis.Client) { require.NoError(t, c.Do(t.Context(), args...).Err()) }
	}
	last := headKey(locking.Partitions - 1)
	for name, c := range map[string]struct {
		fault func(*testing.T, *redis.Client)
		is    error
		says  string
	}{
		"nothing":              {say("ping"), nil, ""},
		"scripts were erased":  {say("script", "flush"), nil, ""},
		"full":                 {set("maxmemory", "1mb"), nil, "OOM"},
		"read-only replica":    {say("replicaof", "127.0.0.1", "1"), nil, "READONLY"},
		"too few replicas":     {set("min-replicas-to-write", "1"), nil, "NOREPLICAS"},
		"no write permitted":   {say("acl", "setuser", "default", "-hset"), nil, "can't run this command"},
		"emptied":              {say("flushall"), locking.ErrStoreLost, "head is missing"},
		"one head is missing":  {say("del", last), locking.ErrStoreLost, "head is missing"},
		"one head is older":    {say("hset", last, "seq", "0"), locking.ErrStoreLost, "older state"},
		"another store":        {say("hset", last, "store", "x"), locking.ErrStoreLost, "another store"},
		"another owner":        {say("hset", last, "owner", "two"), locking.ErrNotOwner, "its owner is two"},
		"a newer epoch":        {say("hset", last, "epoch", "99"), locking.ErrStale, "99"},
		"another schema":       {say("hset", last, "schema", "2"), nil, "schema 2"},
		"connections are dead": {say("client", "kill", "type", "normal", "skipme", "yes"), nil, ""},
		"password of new ones": {say("acl", "setuser", "default", "resetpass", ">secret"), nil, "NOAUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := open(t, at(server))
			join(t, s, enhanced.Known{})
			put(t, s, lock, held(12))
			before := s.Known()
			c.fault(t, server.Client(t))
			err := s.Probe(t.Context())
			if c.says == "" {
				require.NoError(t, err)
				require.Greater(t, s.Known().Epoch, before.Epoch)
				put(t, s, lock, held(13))
			} else {
				require.ErrorContains(t, err, c.says)
				require.NotErrorIs(t, err, locking.ErrUnknownResult)
			}
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			require.Equal(t, before.StoreID, s.Known().StoreID)
		})
	}
}

// Before a Join, after Close and on a cluster that lacks a node Probe says so; on a whole one it is well.
func TestProbeOnACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	s := open(t, redisstore.Server{Addrs: []string{cluster[0].Addr}, Cluster: true})
	require.ErrorContains(t, s.Probe(t.Context()), "not joined")
	join(t, s, enhanced.Known{})
	require.NoError(t, s.Probe(t.Context()))
	put(t, s, lock, held(12))
	moveSlot(t, cluster, headKey(lock.Partition()))
	require.NoError(t, s.Probe(t.Context()), "a slot that has moved is followed")
	put(t, s, lock, held(13))
	cluster[2].Kill()
	require.Error(t, within(t, probeBudget, s.Probe))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Probe(t.Context()), locking.ErrClosed)
}

// Probe works while every connection of the pool is stuck with a write, whose late arrival then changes nothing.
func TestProbeNeedsNoConnectionOfThePool(t *testing.T) {
	server := redistest.Start(t)
	path := newDelayedPath(t, server.Addr)
	s := open(t, redisstore.Server{Addrs: []string{path.Addr()}, PoolSize: 2, PoolTimeout: patience, ReadTimeout: patience})
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))

	path.Hold()
	path.LetNewPass()
	stuck := make(chan error, 8)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	for i := range cap(stuck) {
		go func() {
			_, err := s.Apply(ctx, []locking.Change{locking.Put(lock, held(100+i), locking.Any())})
			stuck <- err
		}()
	}
	require.Eventually(t, path.Keeps, patience, time.Millisecond)
	require.NoError(t, s.Probe(ctx))
	require.Empty(t, stuck, "all are stuck still")
	for range cap(stuck) {
		require.Error(t, <-stuck)
	}
	replies := path.DeliverHeld()
	require.Contains(t, replies, "-STALE")
	require.NotContains(t, replies, "*", "no outcome")
	require.Equal(t, map[string]string{lock.String(): string(held(12))}, all(t, s))
	put(t, s, lock, held(14))
}

// Writes beside Probe succeed, all of them, once each.
func TestProbeBesideWrites(t *testing.T) {
	s, _ := joined(t)
	put(t, s, lock, []byte{0, 0})
	var writers sync.WaitGroup
	const each = 200
	for range 4 {
		writers.Go(func() {
			for done := 0; done < each; {
				r, err := s.Get(context.Background(), lock)
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				n := int(r.Value[0])<<8 + int(r.Value[1]) + 1
				out, err := s.Apply(context.Background(), []locking.Change{locking.Put(lock, []byte{byte(n >> 8), byte(n)}, locking.AtVersion(r.Version))})
				if err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				if out[0].Applied {
					done++
				}
			}
		})
	}
	for range 50 {
		require.NoError(t, s.Probe(t.Context()))
		require.Empty(t, join(t, s, enhanced.Known{}).Lost)
	}
	writers.Wait()
	r, err := s.Get(t.Context(), lock)
	require.NoError(t, err)
	require.Equal(t, 4*each, int(r.Value[0])<<8+int(r.Value[1]))
}

// Whatever keeps Redis from answering, an operation, one on another key of the partition after a write without an answer,
// and Probe all return within their budgets.
func TestEverythingReturnsWithinItsBudget(t *testing.T) {
	for name, fault := range map[string]func(*redistest.Server, *delayedPath){
		"stopped":     func(s *redistest.Server, _ *delayedPath) { s.Pause() },
		"black-holed": func(_ *redistest.Server, p *delayedPath) { p.Hold() },
		"killed":      func(s *redistest.Server, _ *delayedPath) { s.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			path := newDelayedPath(t, server.Addr)
			s := open(t, redisstore.Server{
				Addrs: []string{path.Addr()}, PoolSize: 20, MinIdleConns: 2,
				DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, PoolTimeout: patience, // the budgets must do
			})
			join(t, s, enhanced.Known{})
			put(t, s, lock, held(12))
			fault(server, path)
			defer func() {
				if name == "stopped" {
					server.Resume()
				}
			}()
			operations := []func(context.Context) error{
				func(ctx context.Context) error {
					_, err := s.Apply(ctx, []locking.Change{locking.Put(lock, held(13), locking.Any())})
					return err
				},
				func(ctx context.Context) error { _, err := s.Get(ctx, lock2); return err },
				func(ctx context.Context) error {
					_, err := s.Apply(ctx, []locking.Change{locking.Put(lock2, held(13), locking.Any())})
					return err
				},
				func(ctx context.Context) error { _, err := s.Get(ctx, command); return err },
			}
			for range 2 {
				var all sync.WaitGroup
				errs := make([]error, 10*len(operations))
				spent := make([]time.Duration, len(errs))
				for i := range errs {
					all.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), budget)
						defer cancel()
						before := time.Now()
						errs[i] = operations[i%len(operations)](ctx)
						spent[i] = time.Since(before)
					})
				}
				all.Wait()
				for i := range errs {
					require.Error(t, errs[i])
					require.False(t, errors.Is(errs[i], locking.ErrNotFound))
					require.Less(t, spent[i], budget+slack)
				}
				require.Error(t, within(t, probeBudget, s.Probe))
			}
		})
	}
}
