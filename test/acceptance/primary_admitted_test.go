package acceptance

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// impatient is a client that shows an error at once: Atlantis itself sends some again.
func impatient(t *testing.T, p *sidecar.Process) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: p.Addr, MaxRetries: -1, ReadTimeout: 15 * time.Second})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// requireStoreDown ensures that every kind of command is refused with a sentence, reads too: a read is a grant.
func requireStoreDown(t *testing.T, p *sidecar.Process) {
	t.Helper()
	c := impatient(t, p)
	ctx := t.Context()
	m := watchMachine(t)
	for what, command := range map[string]func() error{
		"GET of a lock":          func() error { return c.Get(ctx, aLock).Err() },
		"GET of a pull status":   func() error { return c.Get(ctx, aStatus).Err() },
		"GET of a command lock":  func() error { return c.Get(ctx, aCommand).Err() },
		"SET of a lock":          func() error { return c.Set(ctx, aNewLock, lockJSON("acme/infra", "nobody/knows", 3), 0).Err() },
		"DEL of a lock":          func() error { return c.Del(ctx, aLock).Err() },
		"release by the script":  func() error { return c.Eval(ctx, releaseMine, []string{aLock}, 1).Err() },
		"list of locks":          func() error { return c.Scan(ctx, 0, "pr*", 0).Err() },
		"EXISTS of a lock":       func() error { return c.Exists(ctx, aLock).Err() },
		"SET of a command lock":  func() error { return c.Set(ctx, aCommand, "{}", 0).Err() },
		"list of one repository": func() error { return c.Scan(ctx, 0, "pr/acme/infra*", 0).Err() },
	} {
		began := time.Now()
		err := command()
		require.Error(t, err, what)
		require.NotEqual(t, redis.Nil, err, what)
		require.Regexp(t, `^STOREDOWN [A-Za-z].{20,}`, err.Error(), what)
		m.requireAnswerIn(t, time.Since(began), what)
	}
}

// admitted starts two sidecars on one Redis, of which the second was admitted by the first.
func admitted(t *testing.T, server *redistest.Server) (first, second *sidecar.Process) {
	t.Helper()
	first = above(t, "primary", "", server.Addr)
	second = shadowOn(t, "", server.Addr, quickly()...)
	strangerSays(t, second)
	done(t, first, "admit", stateOf(t, second).OwnID, "--reason", "a replica")
	s := await(t, first, healWithin, "no safe fallback", func(s state) bool { return !s.SafeFallback && s.Shared })
	require.Contains(t, s.SafeFallbackReason, "other sidecars")
	second.Stop()
	second = shadowOn(t, second.DataDir, server.Addr, quickly()...)
	await(t, second, returnWithin, "the second does as the first", inMode("primary"))
	return first, second
}

// A sidecar that was admitted while it answered from a legacy of its own changes nothing in the store that others
// answer from, and a restart does not hide the locks of that legacy: somebody has to decide about them first.
func TestAnAdmissionDoesNotMixTwoLegacies(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, durable()...)
	first := above(t, "primary", "", server.Addr)
	value := lockJSON("acme/infra", theirPath, 1)
	require.NoError(t, first.Client(t).Set(t.Context(), aLock, value, 0).Err())
	second := shadowOn(t, "", server.Addr, quickly()...)
	require.NoError(t, second.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 2), 0).Err())
	strangerSays(t, second)
	done(t, first, "admit", stateOf(t, second).OwnID, "--reason", "a replica")
	wait(t, 3*time.Second) // some tries to join
	require.Equal(t, map[string]string{aLock: value}, inRedis(t, server.Client(t)))
	require.Equal(t, map[string]string{aLock: value}, served(t, first))
	second.Stop()
	_, stderr, code := sidecar.Run(t, nil, "serve", "--data-dir", second.DataDir, "--listen", "127.0.0.1:0",
		"--admin-listen", "127.0.0.1:0", "--redis-addr", server.Addr)
	require.Equal(t, exitRefused, code, stderr)
	require.Contains(t, stderr, "atlantis.db holds 1 record")
}

// strangerSays waits until a sidecar has found that the store is not its own, and says so: before that its Redis may have
// been too slow for a look.
func strangerSays(t *testing.T, p *sidecar.Process) {
	t.Helper()
	await(t, p, healWithin, "the store is somebody else's", func(s state) bool { return strings.Contains(s.Enhanced.Error, "belongs to another sidecar") })
}

// Two sidecars on one store, the second admitted by the first: no lock is granted twice across both. Neither falls
// back: when Redis dies both refuse with a sentence, reads of locks too, and both go on when it is there again.
func TestTwoSidecarsNeverGrantALockTwice(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, durable()...)
	first, second := admitted(t, server)
	h := newChronicle("shared", 3)
	ends := []func(){h.watch(t, first.Addr, 8), h.watch(t, second.Addr, 8)}
	unharmed := begunAtBoth(t, first, second, 1)
	wait(t, 2*time.Second)
	unharmed()
	require.Empty(t, h.failed())
	for _, p := range []*sidecar.Process{first, second} {
		require.False(t, stateOf(t, p).SafeFallback)
		refused(t, p, "fallback", "--reason", "acceptance test")
	}

	server.Kill()
	require.Eventually(t, func() bool { return len(h.failed()) > 0 }, healWithin, pollEvery)
	for _, p := range []*sidecar.Process{first, second} {
		requireStoreDown(t, p)
		s := stateOf(t, p)
		require.False(t, s.FallenBack)
		require.NotEmpty(t, s.Down)
	}
	server.Restart()
	for _, p := range []*sidecar.Process{first, second} {
		c := impatient(t, p)
		require.Eventually(t, func() bool { return notNil(c.Get(t.Context(), aLock).Err()) == nil }, returnWithin, pollEvery, "serves again")
	}
	again := time.Now()
	unharmed = begunAtBoth(t, first, second, 2)
	wait(t, time.Second)
	unharmed()
	require.Empty(t, h.failedSince(again), "no command fails any more")
	for _, end := range ends {
		end()
	}
	h.read(t, first)
	h.read(t, second)
	h.check(t)
	require.Equal(t, served(t, first), served(t, second))
	require.Equal(t, served(t, first), inRedis(t, server.Client(t)))
}

// begunAtBoth starts pull requests at two sidecars, and returns what ends them and ensures that nobody noticed anything.
func begunAtBoth(t *testing.T, first, second *sidecar.Process, generation int) (unharmed func()) {
	t.Helper()
	var runs []*traffic.Run
	for i, p := range []*sidecar.Process{first, second} {
		runs = append(runs, traffic.Start(t.Context(), traffic.Options{
			Addr: p.Addr, Clients: sharers, Repos: 2, Paths: 3, Think: 100 * time.Millisecond, Seed: uint64(generation), Generation: 2*generation + i, Beside: i > 0,
		}))
	}
	return func() {
		t.Helper()
		for _, run := range runs {
			report := run.Stop()
			require.Empty(t, report.Failures)
			require.Empty(t, report.Violations)
			require.NotEmpty(t, report.Samples)
		}
	}
}

// A sidecar that was not admitted gets no answer out of a store that is another's: it says so in shadow, and goes
// no further.
func TestASidecarThatWasNotAdmittedIsRefused(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	owner := above(t, "primary", "", server.Addr)
	require.NoError(t, owner.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 1), 0).Err())
	stranger := shadowOn(t, "", server.Addr, quickly()...)
	strangerSays(t, stranger)
	for _, mode := range []string{"hybrid", "primary", "enhanced"} {
		refused(t, stranger, "mode", mode, "--force", "--reason", "acceptance test", "--timeout", "5s")
	}
	require.Equal(t, "shadow", stateOf(t, stranger).Mode)
	require.Equal(t, redis.Nil, stranger.Client(t).Get(t.Context(), aNewLock).Err(), "its own legacy answers")
	requireEqual(t, owner, healWithin)
	await(t, owner, returnWithin, "still safe", safe("primary"))
}

// With --take-over a store changes hands: the one that had it notices, answers nothing from then on, and does not fall
// back to a legacy that others no longer write to.
func TestTakeOverEndsTheOwnersAnswers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	owner := above(t, "primary", "", server.Addr)
	c := owner.Client(t)
	require.NoError(t, c.Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 1), 0).Err())
	taker := shadowOn(t, "", server.Addr, quickly("--take-over")...)
	await(t, taker, healWithin, "the store is ours", func(s state) bool { return s.StoreID != "" && s.SoleOwner })
	require.Eventually(t, func() bool { return owner.Client(t).Get(context.Background(), aLock).Err() != nil }, healWithin, pollEvery)
	requireStoreDown(t, owner)
	require.False(t, stateOf(t, owner).FallenBack)
	await(t, owner, healWithin, "whose it is", func(s state) bool { return strings.Contains(s.Down, "another sidecar") }) // a slow probe knows only that it failed
	await(t, taker, returnWithin, "the store's mode goes on", inMode("primary"))
	require.Equal(t, lockJSON("acme/infra", theirPath, 1), taker.Client(t).Get(t.Context(), aLock).Val())
}

// Who has lost its store to another sidecar does not fall back when that store goes away next, nor after a restart
// beside it: the locks of its own legacy are old by then.
func TestAFormerOwnerNeverFallsBack(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	owner := above(t, "primary", "", r.proxy.Addr)
	require.NoError(t, owner.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 1), 0).Err())
	taker := shadowOn(t, "", r.server.Addr, quickly("--take-over")...)
	await(t, taker, returnWithin, "the store's mode goes on", inMode("primary"))
	await(t, owner, healWithin, "the owner notices", func(s state) bool { return s.Down != "" })
	require.NoError(t, taker.Client(t).Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 2), 0).Err())
	r.proxy.Set(faultproxy.Fault{Refuse: true})
	wait(t, 2*time.Second) // some tries to reach it
	requireStoreDown(t, owner)
	require.False(t, stateOf(t, owner).FallenBack)
	owner.Stop()
	owner = sidecar.Start(t, sidecar.Options{DataDir: owner.DataDir, Args: quickly("--redis-addr", r.proxy.Addr), Unready: true})
	requireStoreDown(t, owner)
	require.False(t, stateOf(t, owner).FallenBack)
}

// A sidecar that stood still while another one took its store over, and admitted it, is no owner any more when it goes
// on: it must not take what it finds for a store that was lost, and answer from its own legacy.
func TestAnOwnerThatWasAdmittedInItsSleepDoesNotFallBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	owner := above(t, "primary", "", server.Addr)
	id := stateOf(t, owner).OwnID
	require.NoError(t, owner.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 1), 0).Err())
	require.NoError(t, owner.Signal(syscall.SIGSTOP))
	taker := shadowOn(t, "", server.Addr, quickly("--take-over")...)
	await(t, taker, returnWithin, "the store's mode goes on", inMode("primary"))
	done(t, taker, "admit", id, "--reason", "it may come back as a replica")
	require.NoError(t, taker.Client(t).Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 2), 0).Err())
	require.NoError(t, owner.Signal(syscall.SIGCONT))
	require.Error(t, impatient(t, owner).Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 3), 0).Err())
	requireStoreDown(t, owner)
	require.False(t, stateOf(t, owner).FallenBack)
}

// Who was admitted is remembered over a restart of both.
func TestAnAdmissionOutlivesARestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, durable()...)
	first, second := admitted(t, server)
	value := lockJSON("acme/infra", theirPath, 1)
	require.NoError(t, second.Client(t).Set(t.Context(), aLock, value, 0).Err())
	second.Stop()
	first.Kill9()
	<-first.Ended()
	var all []*sidecar.Process
	for _, dir := range []string{second.DataDir, first.DataDir} {
		all = append(all, sidecar.Start(t, sidecar.Options{DataDir: dir, Args: quickly("--redis-addr", server.Addr), Unready: true}))
	}
	slices.Reverse(all)
	for _, p := range all {
		c := impatient(t, p)
		require.Eventually(t, func() bool { return c.Get(t.Context(), aLock).Val() == value }, returnWithin, pollEvery)
		require.EqualError(t, c.Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 2), 0).Err(), "LOCKED held by pull #1 of acme/infra")
		require.False(t, stateOf(t, p).SafeFallback)
	}
}
