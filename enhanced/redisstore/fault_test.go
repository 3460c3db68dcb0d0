package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// briefly does something that is to be given up, or to be tried again.
func briefly(do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	return do(ctx)
}

// whenBack does something until it succeeds, as Redis comes back.
func whenBack(t *testing.T, do func() error) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.NoError(c, do()) }, patience, 10*time.Millisecond)
}

// putting is a write, for briefly and whenBack.
func putting(s *redisstore.Store, key locking.Key, value []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.Apply(ctx, []locking.Change{locking.Put(key, value, locking.Any())})
		return err
	}
}

// A write that timed out is unknown. Whether it arrives before or after the next operation, that operation shows
// the truth, and nothing changes afterwards.
func TestLateWriteIsSettledByTheNextOperation(t *testing.T) {
	for name, next := range map[string]func(context.Context, *redisstore.Store) error{
		"get": func(ctx context.Context, s *redisstore.Store) error {
			_, err := s.Get(ctx, status)
			return ignore(err, locking.ErrNotFound)
		},
		"scan": func(ctx context.Context, s *redisstore.Store) error {
			var last error
			for _, err := range s.Scan(ctx, locking.All) {
				last = err
			}
			return last
		},
		"apply": func(ctx context.Context, s *redisstore.Store) error { return putting(s, lock2, held(1))(ctx) },
		"join": func(ctx context.Context, s *redisstore.Store) error {
			_, err := s.Join(ctx, enhanced.Known{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := joined(t)
			epoch := s.Known().Epoch
			put(t, s, lock, held(12))

			server.Pause()
			require.ErrorIs(t, briefly(putting(s, lock, held(13))), locking.ErrUnknownResult)
			require.Error(t, briefly(func(ctx context.Context) error { return next(ctx, s) }), "not while it is stopped")
			server.Resume()
			whenBack(t, func() error { return next(t.Context(), s) })

			require.Greater(t, s.Known().Epoch, epoch)
			shown := all(t, s)
			require.Contains(t, []string{string(held(12)), string(held(13))}, shown[lock.String()])
			require.NoError(t, server.Client(t).Ping(t.Context()).Err())
			require.Equal(t, shown, all(t, s), "it stays what it was shown to be")
			put(t, s, lock, held(14))
		})
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// A write that arrives only after the epoch was raised changes nothing.
func TestWriteThatArrivesAfterTheEpochWasRaisedChangesNothing(t *testing.T) {
	server := redistest.Start(t)
	path := newDelayedPath(t, server.Addr)
	s := open(t, redisstore.Server{Addrs: []string{path.Addr()}})
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))

	path.Hold()
	require.ErrorIs(t, briefly(putting(s, lock, held(13))), locking.ErrUnknownResult)
	path.LetNewPass()
	var r locking.Record
	whenBack(t, func() error {
		return briefly(func(ctx context.Context) (err error) { r, err = s.Get(ctx, lock); return err })
	})
	require.Equal(t, string(held(12)), string(r.Value), "the write is still on its way")

	require.Contains(t, path.DeliverHeld(), "-STALE")
	r, err := s.Get(t.Context(), lock)
	require.NoError(t, err)
	require.Equal(t, string(held(12)), string(r.Value))
	put(t, s, lock, held(14))
}

// A write of a process that was killed, still on its way when the next one joins, changes nothing.
func TestLateWriteOfAFormerProcessChangesNothing(t *testing.T) {
	server := redistest.Start(t)
	path := newDelayedPath(t, server.Addr)
	former := open(t, redisstore.Server{Addrs: []string{path.Addr()}})
	join(t, former, enhanced.Known{})
	put(t, former, command, []byte("{}"))
	path.Hold()
	require.ErrorIs(t, briefly(putting(former, lock, held(13))), locking.ErrUnknownResult)

	next := open(t, at(server))
	require.Empty(t, join(t, next, former.Known()).Lost)
	require.Contains(t, path.DeliverHeld(), "-STALE")
	require.Equal(t, map[string]string{command.String(): "{}"}, all(t, next))
}

// What Redis refuses was not written, and says why; afterwards the store works on.
func TestRefusalsLeaveNothingUnknown(t *testing.T) {
	set := func(name, value string) func(*testing.T, *redis.Client) {
		return func(t *testing.T, c *redis.Client) { require.NoError(t, c.ConfigSet(t.Context(), name, value).Err()) }
	}
	say := func(args ...any) func(*testing.T, *redis.Client) {
		return func(t *testing.T, c *redis.Client) { require.NoError(t, c.Do(t.Context(), args...).Err()) }
	}
	for name, c := range map[string]struct {
		fault, heal func(*testing.T, *redis.Client)
		want        string
		reads       bool // reads go on
	}{
		"full":                {set("maxmemory", "1mb"), set("maxmemory", "0"), "OOM", true},
		"read-only replica":   {say("replicaof", "127.0.0.1", "1"), say("replicaof", "no", "one"), "READONLY", true},
		"too few replicas":    {set("min-replicas-to-write", "1"), set("min-replicas-to-write", "0"), "NOREPLICAS", true},
		"no EVAL permitted":   {say("acl", "setuser", "default", "-@scripting"), say("acl", "setuser", "default", "+@all"), "NOPERM", false},
		"no write permitted":  {say("acl", "setuser", "default", "-hincrby"), say("acl", "setuser", "default", "+@all"), "can't run this command", true},
		"other keys":          {say("acl", "setuser", "default", "resetkeys", "~other*"), say("acl", "setuser", "default", "allkeys"), "NOPERM", false},
		"a changed password":  {say("acl", "setuser", "default", "resetpass", ">secret"), say("acl", "setuser", "default", "nopass"), "NOAUTH", false},
		"nobody is let in":    {say("acl", "setuser", "default", "off"), say("acl", "setuser", "default", "on"), "NOAUTH", false},
		"scripts were erased": {say("script", "flush"), say("ping"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			operator := server.Client(t)
			require.NoError(t, operator.Do(t.Context(), "acl", "setuser", "operator", "on", "nopass", "allkeys", "+@all").Err())
			operator = redis.NewClient(&redis.Options{Addr: server.Addr, Username: "operator", Password: "x"})
			t.Cleanup(func() { require.NoError(t, operator.Close()) })
			s := open(t, at(server))
			join(t, s, enhanced.Known{})
			put(t, s, lock, held(12))
			before := s.Known()

			c.fault(t, operator)
			if c.want == "NOAUTH" { // connections that are open stay as they were
				require.NoError(t, operator.Do(t.Context(), "client", "kill", "user", "default").Err())
			}
			_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock2, held(13), locking.Any())})
			if c.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.want)
				require.NotErrorIs(t, err, locking.ErrUnknownResult)
			}
			_, err = s.Get(t.Context(), lock)
			require.Equal(t, c.reads, err == nil, "get: %v", err)
			if c.want == "OOM" {
				require.True(t, apply(t, s, locking.Delete(lock, locking.Any()))[0].Applied, "a lock can be released where Redis is full")
				put1 := func() error {
					_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock, held(12), locking.Any())})
					return err
				}
				require.ErrorContains(t, put1(), "OOM")
			}
			c.heal(t, operator)
			whenBack(t, func() error {
				_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock, held(14), locking.Any())})
				return err
			})
			require.Equal(t, before.Epoch, s.Known().Epoch, "nothing had to be settled")
		})
	}
}

// A write that is refused after another was made is not taken for one that never was.
func TestWriteThatWasMadeInPartIsUnknown(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	client := server.Client(t)
	require.NoError(t, client.Do(t.Context(), "acl", "setuser", "default", "-zadd").Err())
	_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock2, held(13), locking.Any())})
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	require.ErrorContains(t, err, "only a part")
	require.NoError(t, client.Do(t.Context(), "acl", "setuser", "default", "+@all").Err())
	put(t, s, lock2, held(13))
	require.Len(t, all(t, s), 2, "the same bytes again make it whole")
}

// Somebody else's endless script makes Redis busy: nothing is done, and nothing is unknown.
func TestBusyRedisLeavesNothingUnknown(t *testing.T) {
	s, server := joined(t)
	client := server.Client(t)
	require.NoError(t, client.ConfigSet(t.Context(), "busy-reply-threshold", "1").Err())
	var endless sync.WaitGroup
	defer endless.Wait()
	endless.Go(func() {
		c := redis.NewClient(&redis.Options{Addr: server.Addr, ReadTimeout: patience, MaxRetries: -1})
		defer c.Close()
		_ = c.Eval(context.Background(), "while true do end", nil).Err() // killed below
	})
	require.Eventually(t, func() bool {
		return redis.HasErrorPrefix(client.Get(t.Context(), "x").Err(), "BUSY")
	}, patience, time.Millisecond)
	_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock, held(12), locking.Any())})
	require.ErrorContains(t, err, "BUSY")
	require.NotErrorIs(t, err, locking.ErrUnknownResult)
	require.NoError(t, client.ScriptKill(t.Context()).Err())
	epoch := s.Known().Epoch
	whenBack(t, func() error {
		_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock, held(12), locking.Any())})
		return err
	})
	require.Equal(t, epoch, s.Known().Epoch)
}

// Where nobody listens nothing was written.
func TestAbsentRedisLeavesNothingUnknown(t *testing.T) {
	s, server := joined(t)
	server.Kill()
	require.Eventually(t, func() bool { // a connection may still be open to the dead
		_, err := s.Apply(t.Context(), []locking.Change{locking.Put(lock, held(12), locking.Any())})
		require.Error(t, err)
		return !errors.Is(err, locking.ErrUnknownResult)
	}, patience, time.Millisecond)
	_, err := s.Get(t.Context(), lock)
	require.ErrorContains(t, err, "refused")
}

// A wrong password is said, and not the password.
func TestWrongPasswordIsSaid(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "right")
	to := at(server)
	to.Password = "EXAMPLE-PASSWORD"
	_, err := open(t, to).Join(t.Context(), enhanced.Known{})
	require.ErrorContains(t, err, "WRONGPASS")
	require.NotContains(t, err.Error(), "EXAMPLE-PASSWORD")
	to.Password = "right"
	join(t, open(t, to), enhanced.Known{})
}

// With WAIT, a write that too few replicas have is unknown, and the same again is no success either until they have it.
func TestWriteThatTooFewReplicasHaveIsUnknown(t *testing.T) {
	server := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", strings.ReplaceAll(server.Addr, ":", " "))
	require.Eventually(t, func() bool {
		info, err := replica.Client(t).Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	}, patience, 10*time.Millisecond)
	s := open(t, at(server), func(o *redisstore.Options) { o.WaitReplicas, o.WaitTimeout = 1, 500*time.Millisecond })
	whenBack(t, func() error { _, err := s.Join(t.Context(), enhanced.Known{}); return err })
	whenBack(t, func() error { return putting(s, lock, held(12))(t.Context()) }) // the replica may be slow to confirm
	require.Equal(t, string(held(12)), hash(t, replica.Client(t), prefix+"lock:{06}:acme/infra/./default/")["raw"])

	replica.Pause()
	same := []locking.Change{locking.Put(lock, held(13), locking.Any())}
	_, err := s.Apply(t.Context(), same)
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	require.ErrorContains(t, err, "0 of 1")
	_, err = s.Apply(t.Context(), same)
	require.Error(t, err)
	_, err = s.Get(t.Context(), lock)
	require.Error(t, err, "it could be gone after a failover")
	replica.Resume()
	whenBack(t, func() error { _, err := s.Apply(t.Context(), same); return err })
}

// A Redis that is killed during writes keeps every answered one, and the store settles what was unknown.
func TestKillDuringWritesLosesNoAnsweredWrite(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, at(server))
	join(t, s, enhanced.Known{})
	const writers = 8
	answered, asked := make([]int, writers), make([]int, writers)
	for round := range 3 {
		key := func(w int) locking.Key { return locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w)) }
		var wait sync.WaitGroup
		for w := range writers {
			wait.Go(func() {
				for n := round*1_000_000 + 1; ; n++ {
					asked[w] = n
					if _, err := s.Apply(context.Background(), []locking.Change{locking.Put(key(w), fmt.Append(nil, n), locking.Any())}); err != nil {
						return
					}
					answered[w] = n
				}
			})
		}
		require.Eventually(t, func() bool { return s.Known().Seen[6] > uint64(500*(round+1)) }, 3*patience, time.Millisecond) // a sync each
		server.Kill()
		wait.Wait()
		server.Restart()
		for w := range writers {
			var r locking.Record
			whenBack(t, func() (err error) { r, err = s.Get(t.Context(), key(w)); return err })
			require.Contains(t, []string{fmt.Sprint(answered[w]), fmt.Sprint(asked[w])}, string(r.Value))
		}
	}
}
