package atlantis_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/pipes"
)

// double_grant: of many pull requests that all read "free" and then SET, one
// wins, and the others read who holds it.
func TestTwoPullRequestsCantBothTakeALock(t *testing.T) {
	r := newRig(t)
	c := r.client()
	const rivals = 20
	for round := range 10 {
		key := fmt.Sprintf("pr/acme/infra/%d/default/", round)
		var all sync.WaitGroup
		errs := make([]error, rivals)
		for i := range rivals {
			all.Go(func() {
				if err := c.Get(context.Background(), key).Err(); err != redis.Nil {
					errs[i] = fmt.Errorf("held: %w", err)
					return
				}
				errs[i] = c.Set(context.Background(), key, lock("acme/infra", i+1), 0).Err()
			})
		}
		all.Wait()
		var winners []int
		for i, err := range errs {
			if err == nil {
				winners = append(winners, i+1)
			}
		}
		require.Len(t, winners, 1)
		for i, err := range errs {
			if i+1 != winners[0] && !strings.HasPrefix(err.Error(), "held: ") {
				require.EqualError(t, err, fmt.Sprintf("LOCKED held by pull #%d of acme/infra", winners[0]))
			}
		}
	}
	require.Positive(t, r.prevented("double_grant"))
}

// Whoever holds a lock may write it again, and the same bytes are a retry.
func TestTheHolderMayWriteItsLockAgain(t *testing.T) {
	c := newRig(t).client()
	first, later := lock("acme/infra", 7), strings.Replace(lock("acme/infra", 7), "09:30", "09:31", 1)
	require.NoError(t, c.Set(t.Context(), lockKey, first, 0).Err())
	require.NoError(t, c.Set(t.Context(), lockKey, first, 0).Err())
	require.NoError(t, c.Set(t.Context(), lockKey, later, 0).Err())
	require.Equal(t, later, c.Get(t.Context(), lockKey).Val())
	elsewhere := lockOn("gitlab.com", "acme/infra", ".", "", 7)
	require.EqualError(t, c.Set(t.Context(), lockKey, elsewhere, 0).Err(), "LOCKED held by pull #7 of acme/infra")
}

// What is not the JSON of a lock is not stored as one.
func TestOnlyLocksAreStoredAsLocks(t *testing.T) {
	c := newRig(t).client()
	for _, value := range []string{"", "x", "{}", `{"Pull":{}}`, "null"} {
		require.ErrorContains(t, c.Set(t.Context(), lockKey, value, 0).Err(), "ERR the value is not the JSON of a lock")
	}
	require.Equal(t, redis.Nil, c.Get(t.Context(), lockKey).Err())
}

// A command lock has no owner: it is held by the bytes that were written first.
func TestACommandLockIsHeldOnce(t *testing.T) {
	c := newRig(t).client()
	const key = "global/apply/lock"
	mine := `{"LockMetadata":{"UnixTime":1787211000},"CommandName":0}`
	require.NoError(t, c.Set(t.Context(), key, mine, 0).Err())
	require.NoError(t, c.Set(t.Context(), key, mine, 0).Err())
	require.EqualError(t, c.Set(t.Context(), key, strings.Replace(mine, "000", "001", 1), 0).Err(), "LOCKED already held")
	require.Equal(t, int64(1), c.Del(t.Context(), key).Val())
	require.Equal(t, redis.Nil, c.Get(t.Context(), key).Err())
}

// ghost_listing: SCAN pr* lists locks, not the pull statuses of a host whose
// name begins with pr.
func TestAListingShowsLocksOnly(t *testing.T) {
	r := newRig(t)
	c := r.client()
	require.NoError(t, c.Set(t.Context(), lockKey, lock("acme/infra", 1), 0).Err())
	require.NoError(t, c.Set(t.Context(), "prod-git.example.com::acme/infra::1", "{}", 0).Err())
	for range 2 {
		keys, cursor, err := c.Scan(t.Context(), 0, "pr*", 0).Result()
		require.NoError(t, err)
		require.Zero(t, cursor)
		require.Equal(t, []string{lockKey}, keys)
	}
	require.Equal(t, 2.0, r.prevented("ghost_listing"))
	require.ElementsMatch(t, []string{"prod-git.example.com::acme/infra::1"}, c.Keys(t.Context(), "prod*").Val(), "other patterns are globs")
}

// prefix_unlock: what a pull request lists to give up is its repository's.
func TestClosingAPullRequestFindsItsOwnRepositoryOnly(t *testing.T) {
	r := newRig(t)
	c := r.client()
	set := func(repo string) string {
		key := "pr/" + repo + "/./default/"
		require.NoError(t, c.Set(t.Context(), key, lock(repo, 12), 0).Err())
		return key
	}
	infra, prod, sub := set("acme/infra"), set("acme/infra-prod"), set("acme/infra/sub")
	odd, plain := set("acme/[x]"), set("solo")
	list := func(pattern string) []string {
		keys, _, err := c.Scan(t.Context(), 0, pattern, 0).Result()
		require.NoError(t, err)
		return keys
	}
	require.Equal(t, []string{infra}, list("pr/acme/infra*"))
	require.Equal(t, 2.0, r.prevented("prefix_unlock"))
	require.Equal(t, []string{prod}, list("pr/acme/infra-prod*"))
	require.Equal(t, []string{sub}, list("pr/acme/infra/sub*"))
	require.Equal(t, []string{odd}, list("pr/acme/[x]*"), "a repository's name is no glob")
	require.Equal(t, []string{plain}, list("pr/solo*"), "nor need it have a slash")
	require.Empty(t, list("pr/acme/inf*"), "no repository of that name")
	require.ElementsMatch(t, []string{infra, prod, sub}, list("pr/acme/i[a-z]*"), "a glob is a glob")
	require.ElementsMatch(t, []string{infra, sub}, list("pr/acme/infra/*"), "and so is a look around by hand")
	require.ElementsMatch(t, []string{infra, prod, sub, odd, plain}, list("pr/*"))
}

// stale_delete: a DEL that comes after another pull request took the lock
// leaves that lock alone.
func TestALateDeleteLeavesTheNextHolderAlone(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ctx := t.Context()
	first, second := lock("acme/infra", 1), lock("acme/infra", 2)
	require.NoError(t, c.Set(ctx, lockKey, first, 0).Err())
	require.Equal(t, first, c.Get(ctx, lockKey).Val()) // pull 1 is about to release
	require.Equal(t, int64(1), c.Del(ctx, lockKey).Val())
	require.NoError(t, c.Set(ctx, lockKey, second, 0).Err())
	require.Equal(t, int64(0), c.Del(ctx, lockKey).Val(), "the DEL of pull 1, sent again")
	require.Equal(t, second, c.Get(ctx, lockKey).Val())
	require.Equal(t, 1.0, r.prevented("stale_delete"))
	require.Equal(t, int64(1), c.Del(ctx, lockKey).Val(), "pull 2 saw its own lock")
}

// The same when the last GET found nothing: the lock was taken since.
func TestADeleteAfterAnEmptyGetLeavesALockAlone(t *testing.T) {
	c := newRig(t).client()
	ctx := t.Context()
	require.Equal(t, redis.Nil, c.Get(ctx, lockKey).Err())
	require.NoError(t, c.Set(ctx, lockKey, lock("acme/infra", 2), 0).Err())
	require.Equal(t, int64(0), c.Del(ctx, lockKey).Val())
	require.Equal(t, int64(1), c.Exists(ctx, lockKey).Val())
}

// A holder that wrote its lock again since the GET may release it, and without
// any GET a DEL is taken at its word.
func TestADeleteOfOnesOwnLockIsDone(t *testing.T) {
	c := newRig(t).client()
	ctx := t.Context()
	mine := lock("acme/infra", 1)
	require.NoError(t, c.Set(ctx, lockKey, mine, 0).Err())
	require.NoError(t, c.Get(ctx, lockKey).Err())
	require.NoError(t, c.Set(ctx, lockKey, strings.Replace(mine, "09:30", "09:31", 1), 0).Err())
	require.Equal(t, int64(1), c.Del(ctx, lockKey).Val())

	const unseen = "pr/acme/infra/unseen/default/"
	require.NoError(t, c.Set(ctx, unseen, mine, 0).Err())
	require.Equal(t, int64(1), c.Del(ctx, unseen).Val())
	require.Equal(t, int64(0), c.Del(ctx, unseen).Val())
}

// beforeDelete lets something happen between what a DEL reads and what it removes.
type beforeDelete struct {
	locking.Store
	happens func()
}

func (b *beforeDelete) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if changes[0].Delete && b.happens != nil {
		happens := b.happens
		b.happens = nil
		happens()
	}
	return b.Store.Apply(ctx, changes)
}

// If the lock changes hands while its release is under way, the next holder keeps it.
func TestAReleaseThatIsOvertakenLeavesTheNextHolderAlone(t *testing.T) {
	store, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	between := &beforeDelete{Store: store}
	r := newRigBefore(t, between)
	c, other := r.client(), r.client()
	ctx := t.Context()
	require.NoError(t, c.Set(ctx, lockKey, lock("acme/infra", 1), 0).Err())
	require.NoError(t, c.Get(ctx, lockKey).Err())
	between.happens = func() {
		require.Equal(t, int64(1), other.Del(ctx, lockKey).Val())
		require.NoError(t, other.Set(ctx, lockKey, lock("acme/infra", 2), 0).Err())
	}
	require.Equal(t, int64(0), c.Del(ctx, lockKey).Val())
	require.Equal(t, lock("acme/infra", 2), c.Get(ctx, lockKey).Val())
}

// torn_listing: of pull requests of one repository that are merged at the same moment each lists its locks, reads
// them one by one and gives up its own; none is told that a lock has gone which it was just told of. In a bubble, because
// that holds as long as they read within the quarter of a second that a release waits.
func TestPullRequestsThatAreMergedAtOnceGiveUpTheirLocks(t *testing.T) {
	for release, giveUp := range map[string]func(w *wire, key string, pull int) string{
		"by GET and DEL": func(w *wire, key string, _ int) string {
			if held := slowly(w, "get", key); held == "$-1" {
				return held
			}
			return slowly(w, "del", key)
		},
		"by a script": func(w *wire, key string, pull int) string {
			return slowly(w, "eval", `local v = redis.call('GET', KEYS[1])
				if v and cjson.decode(v).Pull.Num == tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) return 1 end return nil`, "1", key, strconv.Itoa(pull))
		},
	} {
		t.Run(release, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				store, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, store.Close()) })
				listener := pipes.Listen()
				r := newRigBehind(t, store, listener)
				const pulls, rounds = 12, 10
				var wires [pulls]*wire
				for i := range wires {
					wires[i] = piped(t, listener)
				}
				for round := range rounds {
					for i, w := range wires {
						path := fmt.Sprintf("%d/%d", round, i+1)
						require.Equal(t, "+OK", w.do("set", "pr/acme/infra/"+path+"/default/", lockOn("github.com", "acme/infra", path, "", i+1)))
					}
					began := time.Now()
					var all sync.WaitGroup
					for i, w := range wires {
						all.Go(func() {
							if wrong := merge(w, i+1, giveUp); wrong != "" {
								t.Errorf("pull %d in round %d: %s", i+1, round, wrong)
							}
						})
					}
					all.Wait()
					require.Less(t, time.Since(began), 250*time.Millisecond, "nobody has waited in vain")
					require.Equal(t, "[]", wires[0].do("keys", "pr/*"))
				}
				require.Positive(t, r.prevented("torn_listing"))
			})
		})
	}
}

// slowly sends a command as over a network, on which another one may overtake it.
func slowly(w *wire, words ...string) (reply string) {
	time.Sleep(rand.N(time.Millisecond))
	return w.do(words...)
}

// merge cleans up after a pull request as Atlantis does, and returns what has gone wrong, "" if nothing has.
func merge(w *wire, pull int, giveUp func(w *wire, key string, pull int) string) (wrong string) {
	listed := slowly(w, "scan", "0", "match", "pr/acme/infra*")
	for _, key := range strings.Fields(strings.Trim(listed, "[]"))[1:] {
		key = strings.TrimPrefix(key, "[")
		switch value := slowly(w, "get", key); {
		case !strings.HasPrefix(value, "{"):
			return "get " + key + ": " + value
		case strings.Contains(value, fmt.Sprintf(`"Pull":{"Num":%d,`, pull)):
			if reply := giveUp(w, key, pull); reply != ":1" {
				return "give up " + key + ": " + reply
			}
		}
	}
	return ""
}

// Whoever lists locks and does not read them holds a release back for a moment and no longer.
func TestAListingThatNobodyReadsHoldsNoReleaseBack(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ctx := t.Context()
	require.NoError(t, c.Set(ctx, lockKey, lock("acme/infra", 1), 0).Err())
	require.Len(t, c.Keys(ctx, "pr/*").Val(), 1)
	require.NoError(t, c.Get(ctx, lockKey).Err())
	require.Equal(t, int64(1), c.Del(ctx, lockKey).Val())
	require.Zero(t, r.prevented("torn_listing"), "nobody was helped")
}

// slowScan lists when it is told to.
type slowScan struct {
	locking.Store
	began, goOn chan struct{}
}

func (s *slowScan) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		close(s.began)
		<-s.goOn
		s.Store.Scan(ctx, match)(yield)
	}
}

// A DEL that waits for a listing means what its sender was shown, not what others are shown meanwhile: the lock of
// whoever has taken it since stays.
func TestADelThatWaitsMeansWhatItsSenderSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, listener := &slowScan{locking.NewMemory(), make(chan struct{}), make(chan struct{})}, pipes.Listen()
		newRigBehind(t, store, listener)
		w := piped(t, listener)
		twelve, thirteen := lock("acme/infra", 12), lock("acme/infra", 13)
		require.Equal(t, "+OK", w.do("set", lockKey, twelve))
		require.Equal(t, twelve, w.do("get", lockKey))
		lists := piped(t, listener)
		var all sync.WaitGroup
		goOn := sync.OnceFunc(func() { close(store.goOn) })
		t.Cleanup(goOn)
		all.Go(func() { lists.do("keys", "pr/*") })
		<-store.began
		removed := make(chan string, 2) // two releases of the same lock, as when a webhook comes twice
		for _, later := range []time.Duration{0, 100 * time.Millisecond} {
			deletes := piped(t, listener)
			all.Go(func() {
				time.Sleep(later)
				removed <- deletes.do("del", lockKey)
			})
		}
		require.Equal(t, ":1", <-removed)
		require.Equal(t, "+OK", w.do("set", lockKey, thirteen))
		require.Equal(t, thirteen, w.do("get", lockKey))
		require.Equal(t, ":0", <-removed)
		require.Equal(t, thirteen, w.do("get", lockKey))
		goOn()
		all.Wait()
	})
}
