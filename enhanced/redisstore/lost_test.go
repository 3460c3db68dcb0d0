package redisstore_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// A joined store that is joined again, by the same process or the next, is the same store with its records, and has
// a higher epoch.
func TestJoinAgainKeepsEverything(t *testing.T) {
	s, server := joined(t)
	version := put(t, s, lock, held(12))
	before := s.Known()

	next := open(t, at(server))
	for _, again := range []*redisstore.Store{s, next} {
		require.Equal(t, enhanced.Joined{StoreID: before.StoreID, Owner: true}, join(t, again, before))
		require.Greater(t, again.Known().Epoch, before.Epoch)
		r, err := again.Get(t.Context(), lock)
		require.NoError(t, err)
		require.Equal(t, version, r.Version)
	}
	requireAll(t, s, locking.ErrStale) // the next process of this owner took over
	again := join(t, s, enhanced.Known{})
	require.Empty(t, again.Lost, "what it saw itself is remembered")
	require.True(t, again.Contested, "two processes have the same id")
	require.False(t, join(t, s, enhanced.Known{}).Contested, "said once")
}

// Contents that were written to since what is remembered of them was true are told from those that were not: so a sidecar
// knows that its memory is an older copy.
func TestContentsAheadOfWhatIsRemembered(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	before := s.Known()
	deleted, err := s.Apply(t.Context(), []locking.Change{locking.Delete(lock, locking.Any())})
	require.NoError(t, err)
	require.True(t, deleted[0].Applied)

	require.Equal(t, enhanced.Joined{StoreID: before.StoreID, Owner: true, Ahead: true}, join(t, open(t, at(server)), before))
	next := open(t, at(server))
	require.False(t, join(t, next, s.Known()).Ahead)
	require.False(t, join(t, next, before).Ahead, "this process saw it")
	require.False(t, join(t, open(t, at(server)), enhanced.Known{}).Ahead, "nothing is remembered")
}

// Whatever takes the place of the contents is told from them, in each partition and in each operation, and Join goes
// on with a new id and versions and an epoch above all that were seen.
func TestLostContentsAreToldFromOurs(t *testing.T) {
	for name, c := range map[string]struct {
		lose    func(*testing.T, *redisstore.Store, *redistest.Server)
		lost    string
		founded bool
		left    []string // keys of the records after Join
	}{
		"FLUSHALL": {
			func(t *testing.T, _ *redisstore.Store, server *redistest.Server) {
				require.NoError(t, server.Client(t).FlushAll(t.Context()).Err())
			}, "was empty", true, nil,
		},
		"restarted empty": {
			func(_ *testing.T, _ *redisstore.Store, server *redistest.Server) { server.Restart() }, "was empty", true, nil,
		},
		"older snapshot": {
			func(t *testing.T, s *redisstore.Store, server *redistest.Server) {
				require.NoError(t, server.Client(t).Save(t.Context()).Err())
				put(t, s, lock2, held(13))
				server.Restart("--save", "")
			}, "older state", false, []string{lock.String()},
		},
		"another store of this owner": {
			func(t *testing.T, _ *redisstore.Store, server *redistest.Server) {
				other, otherServer := joined(t)
				for i := range 20 {
					put(t, other, status, []byte{byte(i)})
				}
				require.NoError(t, otherServer.Client(t).Save(t.Context()).Err())
				server.Kill()
				dump, err := os.ReadFile(filepath.Join(otherServer.Dir, "dump.rdb"))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(server.Dir, "dump.rdb"), dump, 0o600))
				server.Restart()
			}, "another store", false, []string{status.String()},
		},
		"heads deleted": {
			func(t *testing.T, _ *redisstore.Store, server *redistest.Server) {
				for p := range locking.Partitions {
					require.NoError(t, server.Client(t).Del(t.Context(), headKey(p)).Err())
				}
			}, "none of the heads", false, []string{lock.String()},
		},
		"some heads deleted": {
			func(t *testing.T, _ *redisstore.Store, server *redistest.Server) {
				require.NoError(t, server.Client(t).Del(t.Context(), headKey(0), headKey(6)).Err())
			}, "2 of 16 heads", false, []string{lock.String()},
		},
		"head without a field": {
			func(t *testing.T, _ *redisstore.Store, server *redistest.Server) {
				require.NoError(t, server.Client(t).HDel(t.Context(), headKey(6), "seq").Err())
			}, "1 of 16 heads", false, []string{lock.String()},
		},
		"head replaced by a string": {
			func(t *testing.T, _ *redisstore.Store, server *redistest.Server) {
				require.NoError(t, server.Client(t).Set(t.Context(), headKey(6), "x", 0).Err())
			}, "1 of 16 heads", false, []string{lock.String()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := joined(t)
			put(t, s, lock, held(12))
			before := s.Known()
			c.lose(t, s, server)
			before.Seen = s.Known().Seen
			requireAll(t, s, locking.ErrStoreLost)

			next := open(t, at(server)) // another process, which only has what was remembered
			_, err := next.Get(t.Context(), lock)
			require.Error(t, err)
			got := join(t, next, before)
			require.Contains(t, got.Lost, c.lost)
			require.Equal(t, c.founded, got.Founded)
			require.NotEqual(t, before.StoreID, got.StoreID)
			require.Greater(t, next.Known().Epoch, before.Epoch)
			for p, seen := range next.Known().Seen {
				require.Greater(t, seen, before.Seen[p])
			}
			var left []string
			for key := range all(t, next) {
				left = append(left, key)
			}
			require.Equal(t, c.left, left)
			require.Greater(t, put(t, next, lock, held(14)), before.Seen[lock.Partition()])
		})
	}
}

func headKey(partition int) string {
	return prefix + "head:{" + string([]byte{'0' + byte(partition/10), '0' + byte(partition%10)}) + "}"
}

// The store that lost its contents can join again itself, while it is in use.
func TestJoinAfterLossInTheSameProcess(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	before := s.Known()
	require.NoError(t, server.Client(t).FlushAll(t.Context()).Err())
	requireAll(t, s, locking.ErrStoreLost)
	got := join(t, s, enhanced.Known{})
	require.True(t, got.Founded)
	require.NotEmpty(t, got.Lost)
	_, err := s.Get(t.Context(), lock)
	require.ErrorIs(t, err, locking.ErrNotFound)
	require.Greater(t, put(t, s, lock, held(12)), before.Seen[lock.Partition()])
}

// Another sidecar is refused by name, and so is the first where the second has taken the heads.
func TestStoreOfAnotherSidecarIsRefused(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	other := open(t, at(server), ownedBy("two"))
	_, err := other.Join(t.Context(), enhanced.Known{})
	require.ErrorIs(t, err, locking.ErrNotOwner)
	require.ErrorContains(t, err, `its owner is one; to share it run "lock-sidecar admit two" there and restart this one, to have one of your own set another redis.key-prefix, to take it away start with "serve --take-over"`)

	for p := range locking.Partitions {
		require.NoError(t, server.Client(t).HSet(t.Context(), headKey(p), "owner", "two").Err())
	}
	requireAll(t, s, locking.ErrNotOwner)
	_, err = s.Join(t.Context(), s.Known())
	require.ErrorIs(t, err, locking.ErrNotOwner)
}

// A newer epoch in the store ends ours until we join again.
func TestNewerEpochEndsOurs(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	for p := range locking.Partitions {
		require.NoError(t, server.Client(t).HIncrBy(t.Context(), headKey(p), "epoch", 1).Err())
	}
	requireAll(t, s, locking.ErrStale)
	require.Empty(t, join(t, s, enhanced.Known{}).Lost)
	require.Equal(t, map[string]string{lock.String(): string(held(12))}, all(t, s))
}

// A store of another schema is left alone.
func TestOtherSchemaIsLeftAlone(t *testing.T) {
	s, server := joined(t)
	for p := range locking.Partitions {
		require.NoError(t, server.Client(t).HSet(t.Context(), headKey(p), "schema", "2").Err())
	}
	for name, err := range errorsOf(t, s) {
		require.ErrorContains(t, err, "store has schema 2", name)
		require.NotErrorIs(t, err, locking.ErrStoreLost, name)
	}
	_, err := s.Join(t.Context(), enhanced.Known{})
	require.ErrorContains(t, err, "use the version that wrote it")
}

// Of sidecars that found a store at the same time one gets it all, the others are refused.
func TestOneOfManyFoundsTheStore(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	for range 20 {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		rivals := []string{"one", "two", "three"}
		errs := make([]error, len(rivals))
		stores := make([]*redisstore.Store, len(rivals))
		for i, name := range rivals {
			stores[i] = open(t, at(server), ownedBy(name))
		}
		var wait sync.WaitGroup
		for i, s := range stores {
			wait.Go(func() { _, errs[i] = s.Join(t.Context(), enhanced.Known{}) })
		}
		wait.Wait()
		winner := hash(t, client, headKey(0))["owner"]
		for i, name := range rivals {
			if name == winner {
				require.NoError(t, errs[i])
				put(t, stores[i], lock, held(1))
				continue
			}
			require.ErrorIs(t, errs[i], locking.ErrNotOwner)
		}
		for p := range locking.Partitions {
			require.Equal(t, winner, hash(t, client, headKey(p))["owner"])
		}
	}
}

// Join may be called while the store is in use: nobody sees the epochs change.
func TestJoinWhileInUseDisturbsNobody(t *testing.T) {
	s, _ := joined(t)
	put(t, s, lock, held(12))
	stop := make(chan struct{})
	var users sync.WaitGroup
	use := func(do func() error) {
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := do(); err != nil {
					t.Errorf("while joining: %v", err)
					return
				}
			}
		})
	}
	use(func() error { _, err := s.Get(context.Background(), lock); return err })
	use(func() error {
		_, err := s.Apply(context.Background(), []locking.Change{locking.Put(lock, held(len(stop)), locking.Any()), locking.Put(lock2, held(1), locking.Any())})
		return err
	})
	use(func() (last error) {
		for _, err := range s.Scan(context.Background(), locking.All) {
			last = err
		}
		return last
	})
	for range 50 {
		require.Empty(t, join(t, s, enhanced.Known{}).Lost)
	}
	close(stop)
	users.Wait()
}

// A head whose epoch fell is one of an older copy, even if nothing was written since.
func TestOlderEpochIsAnOlderCopy(t *testing.T) {
	s, server := joined(t)
	for p := range locking.Partitions {
		require.NoError(t, server.Client(t).HIncrBy(t.Context(), headKey(p), "epoch", -1).Err())
	}
	requireAll(t, s, locking.ErrStoreLost)
	require.Empty(t, join(t, s, enhanced.Known{}).Lost, "it has every write that was seen")
}
