package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/monitoring"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// freezing runs a test in mode legacy, where atlantis.db answers alone, and in mode primary, where Redis does. Again
// starts the sidecar anew on the same data, after whatever end.
func freezing(t *testing.T, test func(t *testing.T, p *sidecar.Process, again func() *sidecar.Process)) {
	t.Run("legacy", func(t *testing.T) {
		p := sidecar.Start(t, sidecar.Options{Args: []string{"--mode", "legacy"}})
		test(t, p, func() *sidecar.Process {
			return sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: []string{"--mode", "legacy"}})
		})
	})
	t.Run("primary", func(t *testing.T) {
		server := redistest.Start(t, "--appendonly", "yes")
		p := primaryOn(t, server.Addr)
		test(t, p, func() *sidecar.Process {
			return sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: []string{"--redis-addr", server.Addr}})
		})
	})
}

// A freeze keeps new holders out over a kill -9 and a restart until it is lifted; those who hold a lock keep it, and
// Atlantis gets the reason. Status, metric, list and audit log tell of it.
func TestBinaryFreezeOutlivesACrash(t *testing.T) {
	freezing(t, func(t *testing.T, p *sidecar.Process, again func() *sidecar.Process) {
		fill(t, p)
		free, other := "pr/acme/infra/free/default/", "pr/zoo/keeper/./default/"
		const sentence = "LOCKED acme/infra is frozen by an operator: database upgrade until 15:00"
		require.Equal(t, "nothing is frozen\n", done(t, p, "locks", "freeze"))
		require.Contains(t, done(t, p, "locks", "freeze", "acme/*", "--reason", "database upgrade until 15:00"), "acme/* is frozen: nobody new gets a lock\n")

		check := func(c *redis.Client) {
			t.Helper()
			require.EqualError(t, c.Set(t.Context(), free, rivalValue, 0).Err(), sentence)
			require.Equal(t, redis.Nil, c.Get(t.Context(), free).Err())
			require.ErrorContains(t, c.Set(t.Context(), lockKey, rivalValue, 0).Err(), "LOCKED held by pull #12")
			require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err(), "its holder")
			for key, value := range map[string]string{other: rivalValue, pullKey: pullValue, commandKey: commandValue} {
				require.NoError(t, c.Set(t.Context(), key, value, 0).Err(), key)
			}
		}
		check(p.Client(t))
		p.Kill9()
		<-p.Ended()
		p = again()
		check(p.Client(t))
		text := done(t, p, "locks", "freeze")
		fitsALine(t, text)
		require.Regexp(t, `(?m)^acme/\*  \S+ +database upgrade until 15:00$`, text)
		require.Contains(t, done(t, p, "status"), " · new locks FROZEN for 1 glob · ")
		require.Regexp(t, `"frozen": \[\s*"acme/\*"\s*\]`, done(t, p, "status", "--json"))
		families, _ := monitoring.Scrape(t, p.MetricsAddr)
		require.Contains(t, families, "lock_sidecar_freezes")

		c := p.Client(t)
		require.NoError(t, c.Del(t.Context(), lockKey).Err(), "its holder may release it")
		require.EqualError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err(), sentence, "and has it no more")
		require.Contains(t, done(t, p, "locks", "freeze", "acme/*", "--reason", "until 16:00"), "acme/* was frozen already\n")
		require.ErrorContains(t, c.Set(t.Context(), lockKey, lockValue, 0).Err(), "operator: until 16:00")
		require.Contains(t, done(t, p, "locks", "freeze", "--lift", "acme/infra"), "there was no freeze of acme/infra, nothing has changed\n\n1 freeze\n")
		done(t, p, "locks", "freeze", "acme/infra", "--reason", "twice")
		require.Contains(t, done(t, p, "locks", "freeze", "--lift", "acme/infra"), "the freeze of acme/infra has ended, others go on\n\n1 freeze\n")
		require.ErrorContains(t, c.Set(t.Context(), lockKey, lockValue, 0).Err(), "operator: until 16:00")
		require.Equal(t, "acme/* is not frozen any more\n", done(t, p, "locks", "freeze", "--lift", "acme/*", "--reason", "upgraded"))
		require.NoError(t, c.Set(t.Context(), free, rivalValue, 0).Err())
		p.Kill9()
		<-p.Ended()
		p = again()
		require.NoError(t, p.Client(t).Set(t.Context(), lockKey, lockValue, 0).Err())

		var acts []string
		for _, e := range audited(t, p) {
			if strings.Contains(e.Act, "freeze") {
				acts = append(acts, e.Act+" "+e.Details["glob"]+" "+e.Reason+": "+e.Result)
			}
		}
		require.Equal(t, []string{
			"lift freeze acme/* upgraded: done", "lift freeze acme/infra : done", "freeze acme/infra twice: done",
			"lift freeze acme/infra : was so already",
			"freeze acme/* until 16:00: was so already", "freeze acme/* database upgrade until 15:00: done",
		}, acts)
	})
}

// Of 50 clients that take and release locks without a pause none gets one by a command that it sends after the answer
// to the freeze, and after that answer no lock is there that was not there at once.
func TestBinaryNobodyGetsALockAfterTheAnswerToAFreeze(t *testing.T) {
	freezing(t, func(t *testing.T, p *sidecar.Process, _ func() *sidecar.Process) {
		const rounds = 5
		clients := 50
		if sidecar.RaceDetector { // more would be an overload: the store would be taken for away
			clients = 10
		}
		api := adminClient(t, p)
		connections := make([]*redis.Client, clients)
		for i := range connections {
			connections[i] = p.Client(t)
		}
		for round := range rounds {
			var answered atomic.Bool
			var granted, refused, late atomic.Int64
			var all sync.WaitGroup
			ctx, cancel := context.WithTimeout(t.Context(), 3*eventually)
			for i, c := range connections {
				all.Go(func() {
					for n, after := 0, 0; after < 5 && ctx.Err() == nil; n++ {
						key := fmt.Sprintf("pr/acme/infra/%d-%d-%d/default/", round, i, n)
						sentAfter := answered.Load()
						err := c.Set(ctx, key, fmt.Sprintf(`{"Pull":{"Num":%d}}`, i+1), 0).Err()
						switch {
						case err == nil && sentAfter:
							late.Add(1)
						case err == nil:
							granted.Add(1)
							if n%2 == 0 {
								_ = c.Del(ctx, key).Err()
							}
						case strings.HasPrefix(err.Error(), "LOCKED acme/infra is frozen"):
							refused.Add(1)
							if sentAfter {
								after++
							}
						}
					}
				})
			}
			require.Eventually(t, func() bool { return granted.Load() > int64(clients) }, eventually, time.Millisecond)
			_, err := api.Freeze(t.Context(), client.FreezeRequest{Glob: "*", Reason: "race"})
			answered.Store(true)
			require.NoError(t, err)
			at := locksOf(t, p)
			all.Wait()
			cancel()
			require.Zero(t, late.Load(), "got a lock after the answer")
			require.GreaterOrEqual(t, refused.Load(), int64(5*clients), "each of them, in time")
			require.Subset(t, at, locksOf(t, p))
			_, err = api.Lift(t.Context(), "*", "")
			require.NoError(t, err)
		}
	})
}

func locksOf(t *testing.T, p *sidecar.Process) []string {
	t.Helper()
	c := p.Client(t)
	keys, err := c.Keys(t.Context(), "pr/*").Result()
	for end := time.Now().Add(eventually); err != nil && time.Now().Before(end); { // no store answers for a moment, under such a load
		keys, err = c.Keys(t.Context(), "pr/*").Result()
	}
	require.NoError(t, err)
	return keys
}

// A start whose freezes cannot be read is refused and says what to do: nothing is thawed by damage.
func TestBinaryDamagedFreezesAreNotPassedOver(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, shadow.FreezesName)
	require.NoError(t, os.WriteFile(file, []byte(`[{"glob":"acme/*","rea`), 0o600))
	r := run(t, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 3, r.code, r.stderr)
	require.Contains(t, r.stderr, "read "+file+": unexpected end of JSON input; move the file away to give it up")
	require.FileExists(t, file)
}

// What cannot be meant is refused before a sidecar is asked, and a glob that matches no repository too.
func TestFreezeRefusesWhatCannotBeMeant(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"acme/*"}, "--reason is missing"},
		{[]string{"acme/*", "--reason", " "}, "--reason is missing"},
		{[]string{"acme/a", "acme/b", "--reason", "r"}, "quote one with *"},
		{[]string{"--lift"}, "name the repositories"},
		{[]string{"--reason", "r"}, "name the repositories"},
		{[]string{"acme", "--reason", "r"}, "as in acme/infra or acme/*"},
		{[]string{"acme/infra/sub", "--reason", "r"}, "acme/infra stands for all below it"},
		{[]string{"", "--reason", "r"}, "no text"},
		{[]string{"--lift", "a b/*"}, "characters that no repository has"},
	} {
		r := run(t, append([]string{"locks", "freeze", "--admin", closedPort(t)}, c.args...)...)
		require.Equal(t, 2, r.code, c.args)
		r.isOneLine(t)
		require.Contains(t, r.stderr, c.want)
	}
}

// The fence of a lock stays while its holder does, over a restart too, and is another after it was taken anew.
func TestBinaryUnlockByFence(t *testing.T) {
	freezing(t, func(t *testing.T, p *sidecar.Process, again func() *sidecar.Process) {
		fill(t, p)
		lock := func() client.Lock {
			t.Helper()
			l, err := adminClient(t, p).Locks(t.Context(), client.LockQuery{})
			require.NoError(t, err)
			require.Len(t, l.Locks, 1)
			return l.Locks[0]
		}
		first := lock()
		require.Contains(t, done(t, p, "locks", "show", first.ID), fmt.Sprintf("fence      %d\n", first.Fence))
		c := p.Client(t)
		require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err())
		p.Stop()
		p = again()
		require.Equal(t, first, lock(), "the same holding")

		c = p.Client(t)
		require.NoError(t, c.Del(t.Context(), lockKey).Err())
		require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err())
		v, fence := verbs(t, p), fmt.Sprint(first.Fence)
		text := v(4, "locks", "unlock", first.ID, "--fence", fence, "--force", "--reason", "stale")
		require.Contains(t, text, fmt.Sprintf("the lock has another fence: %d, and not %s", lock().Fence, fence))
		require.Contains(t, v(0, "locks", "unlock", first.ID, "--fence", fmt.Sprint(lock().Fence), "--force", "--reason", "stale"), "unlocked: ")
		v(1, "locks", "unlock", first.ID, "--fence", fence, "--force", "--reason", "stale")
	})
}

func adminClient(t *testing.T, p *sidecar.Process) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{URL: "http://" + p.AdminAddr, TokenFile: filepath.Join(p.DataDir, "admin.token")})
	require.NoError(t, err)
	return c
}
