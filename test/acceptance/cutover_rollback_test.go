package acceptance

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// A sidecar in primary is stopped and Atlantis works on BoltDB for a day. When the sidecar is started again, that day's
// locks win, in Redis too; it answers from legacy in shadow, the evidence begins anew, and it says all that.
func TestADayOfAtlantisOnBoltDBWins(t *testing.T) {
	for _, mode := range []string{"hybrid", "primary"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, durable()...)
			p := above(t, mode, fixtureDB(t, "atlantis-v0.47.1"), server.Addr)
			run := begin(t, p.Addr, 1)
			wait(t, outageFor)
			report := run.Stop()
			requireUnharmed(t, report)
			before := stateOf(t, p)
			require.Positive(t, before.Comparisons.Match)
			requireRollback(t, p, report)
			want := aDayOfAtlantis(t, p.DataDir)

			p = shadowOn(t, p.DataDir, server.Addr, quickly()...)
			s := await(t, p, healWithin, "shadow", inMode("shadow"))
			require.Positive(t, s.Legacy.ForeignWrites)
			require.Less(t, s.Comparisons.Match, before.Comparisons.Match, "evidence begins anew")
			require.Greater(t, s.Epoch, before.Epoch)
			require.Equal(t, want, served(t, p))
			requireEqual(t, p, healWithin)
			require.Equal(t, want, inRedis(t, server.Client(t)))
			require.Regexp(t, `\[(WARN|ERROR)\].*(another program|somebody else)`, p.Output())
			_, _, code := p.Verb("readiness")
			require.Equal(t, exitNo, code)
			require.EqualError(t, p.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 5), 0).Err(),
				"LOCKED held by pull #77 of acme/infra")
		})
	}
}

// aDayOfAtlantis writes to atlantis.db as Atlantis's BoltDB backend does, and returns what is then in it: a lock that is
// new, one that is gone, one that has changed hands.
func aDayOfAtlantis(t *testing.T, dir string) map[string]string {
	t.Helper()
	path := filepath.Join(dir, "atlantis.db")
	db := sidecar.OpenAtlantisDB(t, path)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		locks := tx.Bucket([]byte("runLocks"))
		if err := locks.Put([]byte(strings.TrimPrefix(aNewLock, "pr/")), []byte(lockJSON("acme/infra", "nobody/knows", 77))); err != nil {
			return err
		}
		return locks.Put([]byte(strings.TrimPrefix(aLock, "pr/")), []byte(lockJSON("acme/infra", theirPath, 78)))
	}))
	require.NoError(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("globalLocks")).Delete([]byte("apply/lock")) }))
	require.NoError(t, db.Close())
	records := wireKeys(sidecar.ReadAtlantisDB(t, path))
	require.NotContains(t, records, aCommand)
	return records
}

// Retiring legacy leaves a backup and no lock that could be trusted by mistake; the way back fills it again, and only
// then a fallback is called safe.
func TestRetiringLegacyAndTheWayBack(t *testing.T) {
	t.Parallel()
	const fixture = "atlantis-v0.47.1"
	server := redistest.Start(t, durable()...)
	p := above(t, "enhanced", fixtureDB(t, fixture), server.Addr)
	want := redisKeys(t, fixture)
	require.Equal(t, want, served(t, p))
	backups, err := filepath.Glob(filepath.Join(p.DataDir, "atlantis.db.retired-*"))
	require.NoError(t, err)
	require.Len(t, backups, 1)
	require.Equal(t, bolted(want), sidecar.ReadAtlantisDB(t, backups[0]))
	s := stateOf(t, p)
	require.False(t, s.SafeFallback)
	require.NotEmpty(t, s.SafeFallbackReason)
	refused(t, p, "fallback", "--reason", "there is nothing to fall back to")
	c := p.Client(t)
	want[aNewLock] = lockJSON("acme/infra", "nobody/knows", 5)
	require.NoError(t, c.Set(t.Context(), aNewLock, want[aNewLock], 0).Err())
	p.Stop()
	require.Equal(t, bolted(nil), sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db")), "nothing to trust by mistake")

	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: quickly("--redis-addr", server.Addr)})
	await(t, p, healWithin, "still retired", inMode("enhanced"))
	flip(t, p, "primary")
	await(t, p, returnWithin, "whole again", safe("primary"))
	require.Equal(t, want, served(t, p))
	requireEqual(t, p, healWithin)
	requireRollback(t, p)
}

// Where legacy was retired and Atlantis has worked on BoltDB all the same, both have locks that the other lacks: nothing
// is guessed, and serve says what the choices are.
func TestAfterRetirementADayOfAtlantisOnBoltDBIsForAPersonToDecide(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, durable()...)
	p := above(t, "enhanced", fixtureDB(t, "atlantis-v0.47.1"), server.Addr)
	before := inRedis(t, server.Client(t))
	p.Stop()
	day := aDayOfAtlantis(t, p.DataDir)
	_, stderr, code := sidecar.Run(t, nil, "serve", "--data-dir", p.DataDir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--redis-addr", server.Addr)
	require.Equal(t, exitRefused, code, stderr)
	require.Contains(t, stderr, "another program has written to atlantis.db")
	require.Contains(t, stderr, "--take-over")
	require.Equal(t, before, inRedis(t, server.Client(t)))
	require.Equal(t, day, wireKeys(sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db"))))
}

// In enhanced there is no store to fall back to: when Redis dies every command is refused with a sentence, and when it
// is there again all is as it was.
func TestInEnhancedAnOutageIsRefusedAndNotGuessed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, durable()...)
	p := above(t, "enhanced", "", server.Addr)
	c := p.Client(t)
	require.NoError(t, c.Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 1), 0).Err())
	server.Kill()
	requireStoreDown(t, p)
	require.NotEmpty(t, stateOf(t, p).Down)
	server.Restart()
	require.Eventually(t, func() bool { return notNil(impatient(t, p).Get(t.Context(), aLock).Err()) == nil }, returnWithin, pollEvery)
	require.Equal(t, map[string]string{aLock: lockJSON("acme/infra", theirPath, 1)}, served(t, p))
	require.Equal(t, redis.Nil, c.Get(t.Context(), aNewLock).Err())

	server.Kill()
	empty(t, server.Dir)
	server.Restart()
	require.Eventually(t, func() bool { return notNil(impatient(t, p).Get(t.Context(), aLock).Err()) != nil }, healWithin, pollEvery)
	requireStoreDown(t, p) // an empty store says nothing about a lock
}

// The drills are what an operator runs before he trusts all this: both say what they did in numbers, and leave
// everything as it was.
func TestDrills(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := above(t, "primary", "", server.Addr)
	run := begin(t, p.Addr, 1)
	wait(t, outageFor/2)
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	var outage struct {
		OK             bool
		Commands       int
		FailedCommands int     `json:"failed_commands"`
		FellBack       float64 `json:"fell_back_ms"`
		Returned       float64 `json:"returned_ms"`
		Differences    int
		Verdict        string
	}
	readJSON(t, done(t, p, "drill", "outage", "--for", "1s", "--json"), &outage)
	t.Logf("outage: %+v", outage)
	require.True(t, outage.OK)
	require.Positive(t, outage.Commands)
	require.Zero(t, outage.FailedCommands)
	require.Positive(t, outage.FellBack)
	require.Positive(t, outage.Returned)
	require.Zero(t, outage.Differences)
	require.Equal(t, "equal", outage.Verdict)
	await(t, p, returnWithin, "back", safe("primary"))
	report := run.Stop()
	t.Logf("%s", report)
	requireUnharmed(t, report)
	requireEqual(t, p, healWithin)

	var rollback struct {
		OK                      bool
		Records, Compared, Lost int
		Differences             int
		WithoutLocks            float64 `json:"without_locks_ms"`
		Damage                  []string
	}
	readJSON(t, done(t, p, "drill", "rollback", "--json"), &rollback)
	t.Logf("rollback: %+v", rollback)
	require.True(t, rollback.OK)
	require.Len(t, served(t, p), rollback.Records)
	require.Equal(t, rollback.Records, rollback.Compared)
	require.Zero(t, rollback.Lost)
	require.Zero(t, rollback.Differences)
	require.Empty(t, rollback.Damage)
	require.Less(t, rollback.WithoutLocks, 120_000.0)
	acts := done(t, p, "audit", "--json")
	require.Contains(t, acts, "drill")
	requireRollback(t, p, report)
}
