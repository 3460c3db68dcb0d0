package redisstore_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

func takingOver(name string) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Owner, o.TakeOver = name, true }
}

// shared returns the store of an owner, "one", and that of a sidecar which it has admitted, "two", both joined.
func shared(t testing.TB, to redisstore.Server) (host, guest *redisstore.Store) {
	t.Helper()
	host, guest = open(t, to), open(t, to, ownedBy("two"))
	require.True(t, join(t, host, enhanced.Known{}).Sole())
	all, err := host.Admit(t.Context(), "two")
	require.NoError(t, err)
	require.Equal(t, []string{"two"}, all)
	joined := join(t, guest, enhanced.Known{})
	require.Equal(t, enhanced.Joined{StoreID: host.Known().StoreID, Admitted: []string{"two"}}, joined)
	require.False(t, joined.Sole())
	return host, guest
}

// A sidecar that was admitted works beside the owner, on one server and on a cluster: each sees what the other writes, one
// of many wins, and neither's Join ends the other's epoch.
func TestAdmittedSidecarWorksBesideTheOwner(t *testing.T) {
	for name, to := range map[string]redisstore.Server{
		"one server": at(redistest.Start(t)), "cluster": {Addrs: []string{redistest.StartCluster(t)[2].Addr}, Cluster: true},
	} {
		t.Run(name, func(t *testing.T) {
			host, guest := shared(t, to)
			put(t, host, lock, held(12))
			require.True(t, apply(t, guest, locking.Put(lock, held(13), locking.OwnedBy(owner(13))))[0].Refused)
			first := put(t, guest, command, []byte("{}"))
			require.Equal(t, all(t, host), all(t, guest))

			for _, s := range []*redisstore.Store{host, guest, host, guest} {
				got := join(t, s, s.Known())
				require.False(t, got.Contested)
				require.Empty(t, got.Lost)
				require.Equal(t, s == host, got.Owner)
				require.Equal(t, []string{"two"}, got.Admitted)
				require.NoError(t, host.Probe(t.Context()))
				require.NoError(t, guest.Probe(t.Context()))
				require.Len(t, all(t, host), 2)
				require.Len(t, all(t, guest), 2)
			}
			require.Greater(t, put(t, host, command, []byte("[]")), first, "versions are shared")
			oneWins(t, host, guest)
		})
	}
}

// oneWins has many take one lock through all stores.
func oneWins(t *testing.T, stores ...*redisstore.Store) {
	t.Helper()
	for range 20 {
		apply(t, stores[0], locking.Delete(lock2, locking.Any()))
		wins := make([]bool, 8)
		var rivals sync.WaitGroup
		for i := range wins {
			rivals.Go(func() {
				out, err := stores[i%len(stores)].Apply(context.Background(), []locking.Change{locking.Put(lock2, held(i), locking.OwnedBy(owner(i)))})
				if err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				wins[i] = out[0].Applied
			})
		}
		rivals.Wait()
		winners := 0
		for _, won := range wins {
			if won {
				winners++
			}
		}
		require.Equal(t, 1, winners)
	}
}

// Only the owner admits, and not itself, nor what is no id; the ids add up and are there for the next process.
func TestOnlyTheOwnerAdmits(t *testing.T) {
	server := redistest.Start(t)
	host, guest := shared(t, at(server))
	_, err := guest.Admit(t.Context(), "three")
	require.ErrorIs(t, err, locking.ErrNotOwner)
	_, err = open(t, at(server)).Admit(t.Context(), "three")
	require.ErrorContains(t, err, "not joined")
	for _, id := range []string{"", "one", "a,b", "a b"} {
		_, err := host.Admit(t.Context(), id)
		require.ErrorContains(t, err, "admit sidecar", "id %q", id)
	}
	for range 2 {
		all, err := host.Admit(t.Context(), "three")
		require.NoError(t, err)
		require.Equal(t, []string{"three", "two"}, all)
	}
	next := open(t, at(server))
	require.Equal(t, []string{"three", "two"}, join(t, next, host.Known()).Admitted)
	for p := range locking.Partitions {
		require.Equal(t, "three,two", hash(t, server.Client(t), headKey(p))["admitted"])
	}
	join(t, open(t, at(server), ownedBy("three")), enhanced.Known{})
	_, err = open(t, at(server), ownedBy("thre")).Join(t.Context(), enhanced.Known{})
	require.ErrorIs(t, err, locking.ErrNotOwner, "an id is all of it")
}

// An admission that came half way counts for the owner, lets the other in nowhere as a whole, and is completed by the next
// Admit or Join of the owner.
func TestAdmissionHalfWay(t *testing.T) {
	for name, complete := range map[string]func(*testing.T, *redisstore.Store){
		"join": func(t *testing.T, s *redisstore.Store) { require.False(t, join(t, s, s.Known()).Sole()) },
		"admit": func(t *testing.T, s *redisstore.Store) {
			_, err := s.Admit(t.Context(), "two")
			require.NoError(t, err)
		},
		"admit another": func(t *testing.T, s *redisstore.Store) {
			_, err := s.Admit(t.Context(), "three")
			require.NoError(t, err)
			all, err := s.Admit(t.Context(), "three") // the first has seen all that were admitted somewhere
			require.NoError(t, err)
			require.Equal(t, []string{"three", "two"}, all)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := joined(t)
			for p := range 5 {
				require.NoError(t, server.Client(t).HSet(t.Context(), headKey(p), "admitted", "two").Err())
			}
			other := open(t, at(server), ownedBy("two"))
			_, err := other.Join(t.Context(), enhanced.Known{})
			require.ErrorIs(t, err, locking.ErrNotOwner)
			put(t, s, lock, held(12))
			complete(t, s)
			join(t, other, enhanced.Known{})
			require.Len(t, all(t, other), 1)
		})
	}
}

// A write of an admitted sidecar that is still on its way when its next process joins changes nothing.
func TestLateWriteOfAnAdmittedSidecarChangesNothing(t *testing.T) {
	server := redistest.Start(t)
	path := newDelayedPath(t, server.Addr)
	host, _ := shared(t, at(server))
	former := open(t, redisstore.Server{Addrs: []string{path.Addr()}}, ownedBy("two"))
	join(t, former, enhanced.Known{})
	put(t, former, command, []byte("{}"))
	path.Hold()
	require.ErrorIs(t, briefly(putting(former, lock, held(13))), locking.ErrUnknownResult)

	join(t, open(t, at(server), ownedBy("two")), enhanced.Known{}) // which remembers nothing
	require.Contains(t, path.DeliverHeld(), "-STALE")
	require.Equal(t, map[string]string{command.String(): "{}"}, all(t, host))
}

// What looks lost to an admitted sidecar it leaves to the owner, and goes on with what the owner makes of it.
func TestAdmittedSidecarMakesNothingAnew(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	host, guest := shared(t, at(server))
	put(t, host, lock, held(12))
	require.NoError(t, client.Save(t.Context()).Err())
	put(t, guest, lock, held(13))
	known := guest.Known()
	require.True(t, known.Guest)

	server.Restart("--save", "")
	for name, s := range map[string]*redisstore.Store{"same process": guest, "next process": open(t, at(server), ownedBy("two"))} {
		_, err := s.Join(t.Context(), known)
		require.ErrorIs(t, err, locking.ErrStoreLost, name)
		require.ErrorContains(t, err, "older state", name)
		require.ErrorContains(t, err, "its owner has to join it first", name)
	}
	requireAll(t, guest, locking.ErrStoreLost)
	require.Error(t, errorsOf(t, host)["get"], "the owner, who has not seen what is missing, was told")
	lost := join(t, host, host.Known())
	require.NotEmpty(t, lost.Lost)
	require.Equal(t, []string{"two"}, lost.Admitted, "the older copy knew it")
	got := join(t, guest, known)
	require.Equal(t, lost.StoreID, got.StoreID)
	require.Contains(t, got.Lost, "the owner of the store has begun new contents")
	require.False(t, got.Founded)
	put(t, guest, lock, held(14))
	require.Empty(t, join(t, guest, guest.Known()).Lost)

	require.NoError(t, client.FlushAll(t.Context()).Err())
	_, err := guest.Join(t.Context(), guest.Known())
	require.ErrorIs(t, err, locking.ErrStoreLost)
	require.Empty(t, hash(t, client, headKey(0)), "nothing was made")
	require.True(t, join(t, host, host.Known()).Sole(), "an emptied store admits nobody")
	_, err = guest.Join(t.Context(), guest.Known())
	require.ErrorIs(t, err, locking.ErrNotOwner)
}

// Taking over makes the store ours with its records, ends the owner and all that it admitted, and does so once.
func TestTakeOver(t *testing.T) {
	server := redistest.Start(t)
	path := newDelayedPath(t, server.Addr)
	_, guest := shared(t, at(server))
	host := open(t, redisstore.Server{Addrs: []string{path.Addr()}})
	join(t, host, enhanced.Known{})
	version := put(t, host, lock, held(12))
	path.Hold()
	require.ErrorIs(t, briefly(putting(host, lock, held(13))), locking.ErrUnknownResult)

	mine := open(t, at(server), takingOver("three"))
	j := join(t, mine, enhanced.Known{})
	require.Equal(t, enhanced.Joined{StoreID: host.Known().StoreID, Owner: true, TookOver: true}, j)
	require.Contains(t, path.DeliverHeld(), "-NOT_OWNER")
	require.Greater(t, mine.Known().Epoch, host.Known().Epoch)
	requireAll(t, guest, locking.ErrNotOwner)
	r, err := mine.Get(t.Context(), lock)
	require.NoError(t, err)
	require.Equal(t, locking.Record{Key: lock, Value: held(12), Version: version}, r, "what was there is nobody else's")
	require.False(t, join(t, mine, mine.Known()).TookOver)

	back := open(t, at(server), takingOver("one"))
	require.True(t, join(t, back, host.Known()).TookOver)
	_, err = mine.Join(t.Context(), mine.Known())
	require.ErrorIs(t, err, locking.ErrNotOwner, "once a process")
	put(t, back, lock, held(14))
}

// An owner that has slept while its store was taken over, and was admitted by the new owner, finds that it is no owner
// any more, and not that the store was lost.
func TestAFormerOwnerThatWasAdmittedIsNoOwner(t *testing.T) {
	server := redistest.Start(t)
	host := open(t, at(server))
	join(t, host, enhanced.Known{})
	put(t, host, lock, held(12))
	mine := open(t, at(server), takingOver("three"))
	require.True(t, join(t, mine, enhanced.Known{}).TookOver)
	_, err := mine.Admit(t.Context(), "one")
	require.NoError(t, err)
	requireAll(t, host, locking.ErrNotOwner)
	require.ErrorIs(t, host.Probe(t.Context()), locking.ErrNotOwner)
	require.False(t, join(t, host, host.Known()).Owner)
	put(t, host, lock, held(14))
}

// Taking over an empty store founds it, and one of our own changes nothing.
func TestTakeOverOfNobodysStore(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, at(server), takingOver("one"))
	require.Equal(t, enhanced.Joined{StoreID: s.Known().StoreID, Founded: true, Owner: true}, func() enhanced.Joined {
		j := join(t, s, enhanced.Known{})
		j.StoreID = ""
		return j
	}())
	again := join(t, open(t, at(server), takingOver("one")), s.Known())
	require.Equal(t, enhanced.Joined{StoreID: again.StoreID, Owner: true}, again)
}

// A take-over that came half way leaves the store to nobody, until it is done again.
func TestTakeOverHalfWay(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	for p := range 5 {
		require.NoError(t, server.Client(t).HSet(t.Context(), headKey(p), "owner", "two").Err())
	}
	_, err := s.Join(t.Context(), s.Known())
	require.ErrorIs(t, err, locking.ErrNotOwner)
	_, err = open(t, at(server), ownedBy("two")).Join(t.Context(), enhanced.Known{})
	require.ErrorIs(t, err, locking.ErrNotOwner)
	mine := open(t, at(server), takingOver("two"))
	require.True(t, join(t, mine, enhanced.Known{}).TookOver)
	require.Len(t, all(t, mine), 1)
	require.NotErrorIs(t, errorsOf(t, mine)["apply"], locking.ErrNotOwner)
}

// Two processes under one id each learn of the other, and a stale one does not count its epoch up to the other's.
func TestOneIDTwiceIsContested(t *testing.T) {
	server := redistest.Start(t)
	one := open(t, at(server))
	require.False(t, join(t, one, enhanced.Known{}).Contested)
	copied := open(t, at(server))
	for range 3 {
		require.False(t, join(t, copied, enhanced.Known{}).Contested, "the first Join of a process, and those in a row")
	}
	for range 10 {
		require.ErrorIs(t, one.Probe(t.Context()), locking.ErrStale)
	}
	requireAll(t, one, locking.ErrStale)
	put(t, copied, lock, held(12))
	require.True(t, join(t, one, enhanced.Known{}).Contested)
	require.NoError(t, one.Probe(t.Context()))
	requireAll(t, copied, locking.ErrStale)
	require.True(t, join(t, copied, enhanced.Known{}).Contested)
}

// A scan ends though another sidecar writes all the time, and shows each partition at one moment.
func TestScanEndsWhileAnotherSidecarWrites(t *testing.T) {
	server := redistest.Start(t)
	host, guest := shared(t, at(server))
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i, s := range []*redisstore.Store{host, guest} {
		for w := range 2 {
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					a := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d-%d/a/", i, w))
					b := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d-%d/b/", i, w))
					value := fmt.Append(nil, n)
					if _, err := s.Apply(context.Background(), []locking.Change{locking.Put(a, value, locking.Any()), locking.Put(b, value, locking.Any())}); err != nil {
						t.Errorf("apply: %v", err)
						return
					}
				}
			})
		}
	}
	defer writers.Wait()
	defer close(stop)
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for _, s := range []*redisstore.Store{host, guest} {
			found := map[string]string{}
			for r, err := range s.Scan(ctx, "pr/acme/infra/*") {
				require.NoError(t, err)
				found[r.Key.String()] = string(r.Value)
			}
			for i := range 4 {
				pair := fmt.Sprintf("pr/acme/infra/%d-%d/", i/2, i%2)
				require.Equal(t, found[pair+"a/"], found[pair+"b/"])
			}
		}
		cancel()
	}
}

// A scan that cannot end returns with its context.
func TestScanObeysItsContext(t *testing.T) {
	s, server := joined(t)
	server.Pause()
	defer server.Resume()
	before := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for _, err := range s.Scan(ctx, locking.All) {
		require.Error(t, err)
	}
	require.WithinDuration(t, time.Now(), before, 4*time.Second, "not the time-out of the connection")
}
