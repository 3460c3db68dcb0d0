package atlantis_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
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
// them one by one and gives up its own; none is told that a lock has gone which it was just told of. That holds as long as
// they read within the quarter of a second that a release waits: a round in which the machine was slower does not count.
func TestPullRequestsThatAreMergedAtOnceGiveUpTheirLocks(t *testing.T) {
	for release, giveUp := range map[string]func(ctx context.Context, c *redis.Client, key string, pull int) error{
		"by GET and DEL": func(ctx context.Context, c *redis.Client, key string, _ int) error {
			if err := c.Get(ctx, key).Err(); err != nil {
				return err
			}
			return c.Del(ctx, key).Err()
		},
		"by a script": func(ctx context.Context, c *redis.Client, key string, pull int) error {
			return c.Eval(ctx, `local v = redis.call('GET', KEYS[1])
				if v and cjson.decode(v).Pull.Num == tonumber(ARGV[1]) then redis.call('DEL', KEYS[1]) return v end return nil`, []string{key}, pull).Err()
		},
	} {
		t.Run(release, func(t *testing.T) {
			r := newRig(t)
			c := r.client()
			ctx := t.Context()
			const pulls, rounds = 12, 10
			slow := 0
			for round := range rounds {
				for pull := 1; pull <= pulls; pull++ {
					path := fmt.Sprintf("%d/%d", round, pull)
					require.NoError(t, c.Set(ctx, "pr/acme/infra/"+path+"/default/", lockOn("github.com", "acme/infra", path, "", pull), 0).Err())
				}
				begin := make(chan struct{})
				errs := make([]error, pulls)
				var all sync.WaitGroup
				for i := range pulls {
					all.Go(func() {
						<-begin
						errs[i] = merge(ctx, c, i+1, giveUp)
					})
				}
				began := time.Now()
				close(begin)
				all.Wait()
				if errors.Join(errs...) != nil && time.Since(began) > 250*time.Millisecond {
					slow++
					continue
				}
				for i, err := range errs {
					require.NoError(t, err, "pull %d in round %d", i+1, round)
				}
				for _, left := range c.Keys(ctx, "pr/*").Val() {
					require.False(t, strings.HasPrefix(left, fmt.Sprintf("pr/acme/infra/%d/", round)), left)
				}
			}
			require.Less(t, slow, rounds, "not one round was quick enough to tell")
			require.Positive(t, r.prevented("torn_listing"))
		})
	}
}

// merge cleans up after a pull request as Atlantis does.
func merge(ctx context.Context, c *redis.Client, pull int, giveUp func(context.Context, *redis.Client, string, int) error) error {
	each := c.Scan(ctx, 0, "pr/acme/infra*", 0).Iterator()
	for each.Next(ctx) {
		value, err := c.Get(ctx, each.Val()).Result()
		if err != nil {
			return fmt.Errorf("get %s: %w", each.Val(), err)
		}
		if strings.Contains(value, fmt.Sprintf(`"Pull":{"Num":%d,`, pull)) {
			if err := giveUp(ctx, c, each.Val(), pull); err != nil {
				return err
			}
		}
	}
	return each.Err()
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
	store := &slowScan{locking.NewMemory(), make(chan struct{}), make(chan struct{})}
	r := newRigBefore(t, store)
	ctx := t.Context()
	c := r.client()
	require.NoError(t, c.Set(ctx, lockKey, lock("acme/infra", 12), 0).Err())
	require.NoError(t, c.Get(ctx, lockKey).Err())
	var all sync.WaitGroup
	goOn := sync.OnceFunc(func() { close(store.goOn) })
	t.Cleanup(goOn)
	all.Go(func() { c.Keys(ctx, "pr/*") })
	<-store.began
	removed := make(chan int64, 2) // two releases of the same lock, as when a webhook comes twice
	for _, later := range []time.Duration{0, 100 * time.Millisecond} {
		all.Go(func() {
			<-time.After(later)
			removed <- c.Del(ctx, lockKey).Val()
		})
	}
	require.Equal(t, int64(1), <-removed)
	require.NoError(t, c.Set(ctx, lockKey, lock("acme/infra", 13), 0).Err())
	require.Equal(t, lock("acme/infra", 13), c.Get(ctx, lockKey).Val())
	require.Zero(t, <-removed)
	require.Equal(t, lock("acme/infra", 13), c.Get(ctx, lockKey).Val())
	goOn()
	all.Wait()
}
