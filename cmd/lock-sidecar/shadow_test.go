package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// What stands in both stores in these tests.
const (
	pullKey, pullValue       = "github.com::acme/infra::12", `{"Pull":{"Num":12}}`
	commandKey, commandValue = "global/apply/lock", `{"CommandName":1}`
)

// verbs asks the sidecar p.
func verbs(t *testing.T, p *sidecar.Process) func(want int, args ...string) string {
	env := []string{"LOCK_SIDECAR_ADMIN=http://" + p.AdminAddr, "LOCK_SIDECAR_TOKEN_FILE=" + filepath.Join(p.DataDir, "admin.token")}
	return func(want int, args ...string) string {
		t.Helper()
		stdout, stderr, code := unthwarted(want, func() (string, string, int) { return sidecar.Run(t, env, args...) })
		require.Equal(t, want, code, "%s\n%s%s", args, stdout, stderr)
		if code == 3 || code == 4 {
			result{"", stderr, code}.isOneLine(t)
		}
		return stdout + stderr
	}
}

// tookOver is how a verb is refused when legacy has taken over before it or meanwhile.
var tookOver = regexp.MustCompile(`fallen back|legacy answers since the enhanced store failed|the enhanced store failed meanwhile|` +
	`the enhanced store has not answered for a change|there is an outage already`)

// unthwarted runs a verb that is wanted to succeed again as long as it is refused because legacy has taken over: that it
// does by itself, rightly and for a while, on a machine that is too busy for its Redis.
func unthwarted(want int, run func() (stdout, stderr string, code int)) (stdout, stderr string, code int) {
	for end := time.Now().Add(eventually); ; {
		stdout, stderr, code = run()
		if want != 0 || code != 4 || !tookOver.MatchString(stderr) || time.Now().After(end) {
			return stdout, stderr, code
		}
	}
}

func fill(t *testing.T, p *sidecar.Process) {
	t.Helper()
	c := p.Client(t)
	for key, value := range map[string]string{lockKey: lockValue, pullKey: pullValue, commandKey: commandValue} {
		require.NoError(t, c.Set(t.Context(), key, value, 0).Err())
	}
}

func awaitOutput(t *testing.T, p *sidecar.Process, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(p.Output(), text) }, eventually, tick, "%q in: %s", text, p.Output())
}

// unhurried are flags that give each operation of a follower in Redis all the time that it has as a whole. What takes
// longer is missed and made up for, and then not compared, as a test may want it to be.
func unhurried() []string {
	return []string{"--redis-dial-timeout", "2s", "--redis-read-timeout", "2s", "--redis-write-timeout", "2s", "--redis-pool-timeout", "2s"}
}

// backends starts a sidecar on each kind of enhanced store. Spoil changes the store behind the sidecar's back: the lock
// belongs to pull 99, the pull status is gone, the value of the command lock is another, and there is one lock more.
func backends(t *testing.T, test func(t *testing.T, start func() *sidecar.Process, spoil func(*sidecar.Process) *sidecar.Process)) {
	t.Run("embedded", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		start := func() *sidecar.Process { return sidecar.Start(t, sidecar.Options{DataDir: dir}) }
		test(t, start, func(p *sidecar.Process) *sidecar.Process {
			p.Stop() // the file has one user at a time
			spoilEmbedded(t, dir)
			return start()
		})
	})
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		dir := filepath.Join(t.TempDir(), "data")
		start := func() *sidecar.Process {
			return sidecar.Start(t, sidecar.Options{DataDir: dir, Args: append(unhurried(), "--redis-addr", server.Addr)})
		}
		test(t, start, func(p *sidecar.Process) *sidecar.Process {
			spoilRedis(t, server.Client(t))
			return p
		})
	})
}

func spoilEmbedded(t *testing.T, dir string) {
	t.Helper()
	file, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, file.Close())
	store, err := embedded.Open(t.Context(), embedded.Options{Dir: dir, Owner: file.OwnerID()})
	require.NoError(t, err)
	_, err = store.Join(t.Context(), enhanced.Known{})
	require.NoError(t, err)
	for _, c := range []locking.Change{
		locking.Put(locking.MustKey(lockKey), []byte(`{"Pull":{"Num":99}}`), locking.Any()),
		locking.Put(locking.MustKey("pr/acme/extra/./default/"), []byte(`{"Pull":{"Num":99}}`), locking.Any()),
		locking.Put(locking.MustKey(commandKey), []byte(`{"CommandName":2}`), locking.Any()),
		locking.Delete(locking.MustKey(pullKey), locking.Any()),
	} {
		_, err := store.Apply(t.Context(), []locking.Change{c})
		require.NoError(t, err)
	}
	require.NoError(t, store.Close())
	// else the next start would notice, and make all equal
	require.NoError(t, reconcile.MemoryIn(dir).Save(reconcile.Remembered{Known: store.Known(), Filled: true}))
}

// spoilRedis writes what docs/redis-schema.md says, as an operator with redis-cli could.
func spoilRedis(t *testing.T, c *redis.Client) {
	t.Helper()
	key := func(pattern string) string {
		keys := c.Keys(t.Context(), "atlantis:enhanced:"+pattern).Val()
		require.Len(t, keys, 1, pattern)
		return keys[0]
	}
	lock, pull := key("lock:*"), key("pull:*")
	require.NoError(t, c.HSet(t.Context(), lock, "raw", `{"Pull":{"Num":99}}`).Err())
	require.NoError(t, c.HSet(t.Context(), key("command:*"), "raw", `{"CommandName":2}`).Err())
	require.NoError(t, c.Del(t.Context(), pull).Err())
	slot := pull[strings.Index(pull, "{") : strings.Index(pull, "}")+1]
	require.NoError(t, c.ZRem(t.Context(), "atlantis:enhanced:index:"+slot, pullKey).Err())

	extra := "pr/acme/infra/extra/default/" // of the same partition as the lock
	copied := strings.Replace(lock, strings.TrimPrefix(lockKey, "pr/"), strings.TrimPrefix(extra, "pr/"), 1)
	require.NotEqual(t, lock, copied)
	require.NoError(t, c.Copy(t.Context(), lock, copied, 0, false).Err())
	slot = lock[strings.Index(lock, "{") : strings.Index(lock, "}")+1]
	require.NoError(t, c.ZAdd(t.Context(), "atlantis:enhanced:index:"+slot, redis.Z{Member: extra}).Err())
}

// What differs is found with its kind and who holds it, listed, repaired, and then equal; a second repair has nothing to do.
func TestVerifyAndRepair(t *testing.T) {
	backends(t, func(t *testing.T, start func() *sidecar.Process, spoil func(*sidecar.Process) *sidecar.Process) {
		p := start()
		ask := verbs(t, p)
		require.Contains(t, ask(1, "verify"), "no verdict: neither store has a record")
		require.Equal(t, "no divergence was found\n", ask(0, "divergences"))
		fill(t, p)
		require.Equal(t, "equal: 3 records compared, no difference\n", ask(0, "verify"))
		require.Equal(t, "nothing to repair: 3 records compared, no difference\n", ask(0, "repair"))
		require.Regexp(t, `^shadow: legacy answers · enhanced (redis|embedded) in step · 3 compared, 0 different · 1 lock, 1 command lock, 1 pull status · `, ask(0, "status"))

		p = spoil(p)
		ask = verbs(t, p)
		different := []string{
			`(?m)^missing +[0-9a-f]{12} +– +\d+s +` + pullKey + `$`,
			`(?m)^extra +– +pull #99 +\d+s +pr/acme/`,
			`(?m)^owner +pull #12 +pull #99 +\d+s +` + lockKey + `$`,
			`(?m)^value +[0-9a-f]{12} +[0-9a-f]{12} +\d+s +` + commandKey + `$`,
		}
		for verb, code := range map[string]int{"verify": 1, "repair --dry-run": 0} {
			text := ask(code, strings.Fields(verb)...)
			require.Contains(t, text, "4")
			for _, want := range different {
				require.Regexp(t, want, text)
			}
		}
		text := ask(0, "divergences")
		require.Contains(t, text, "4 divergences found, 4 of those listed still differ")
		require.Equal(t, 4, strings.Count(text, "unexplained"))
		require.Contains(t, ask(0, "status"), "4 divergences UNRESOLVED")

		require.Contains(t, ask(0, "repair"), "made equal to the store that answers: 4 of 4 records compared\n\nlegacy answers for these:")
		require.Equal(t, "equal: 3 records compared, no difference\n", ask(0, "verify"))
		require.Contains(t, ask(0, "divergences"), "4 divergences found, 0 of those listed still differ")
		var v client.Verdict
		require.NoError(t, json.Unmarshal([]byte(ask(0, "verify", "--json")), &v))
		require.Equal(t, client.Verdict{Verdict: "equal", Compared: 3, Differences: []client.Difference{}}, v)
		var l client.DivergenceList
		require.NoError(t, json.Unmarshal([]byte(ask(0, "divergences", "--json")), &l))
		require.Equal(t, 4, l.Total)
		require.NotNil(t, l.Divergences[0].Resolved)
		var s client.Status
		require.NoError(t, json.Unmarshal([]byte(ask(0, "status", "--json")), &s))
		require.True(t, s.Enhanced.Healthy)
		require.Equal(t, client.Divergences{Total: 4}, s.Divergences)
		require.Equal(t, 3, s.Verify.Compared)
		require.NotEmpty(t, s.StoreID)
	})
}

// backfill makes everything equal without a verify, records what it overwrote, and says when it is done.
func TestBackfill(t *testing.T) {
	backends(t, func(t *testing.T, start func() *sidecar.Process, spoil func(*sidecar.Process) *sidecar.Process) {
		p := start()
		fill(t, p)
		verbs(t, p)(0, "verify")
		p = spoil(p)
		ask := verbs(t, p)
		require.Contains(t, ask(0, "backfill"), "done: 4 records are equal\n")
		require.Equal(t, "equal: 3 records compared, no difference\n", ask(0, "verify"))
		require.Contains(t, ask(0, "divergences"), "asked for by an operator")
		require.Equal(t, 4.0, p.Metrics()[`lock_sidecar_backfill_records{state="done"}`])
	})
}

// After a clean stop nothing is compared anew; after kill -9 everything is.
func TestRestartReconcilesOnlyWhatItMust(t *testing.T) {
	backends(t, func(t *testing.T, start func() *sidecar.Process, _ func(*sidecar.Process) *sidecar.Process) {
		p := start()
		awaitOutput(t, p, "every record is equal") // what comes before that is filled in, not compared
		fill(t, p)
		verbs(t, p)(0, "verify")
		id := storeID(t, p)
		p.Stop()
		require.Contains(t, p.Output(), "follower in step, the next start need not compare")

		p = start()
		require.Contains(t, p.Output(), "follower was in step at the last stop")
		require.Equal(t, "equal: 3 records compared, no difference\n", verbs(t, p)(0, "verify"))
		require.NotContains(t, p.Output(), "making every record equal")
		require.Equal(t, id, storeID(t, p))
		require.Contains(t, verbs(t, p)(0, "status"), "3 compared", "evidence is kept")
		p.Kill9()

		p = start()
		awaitOutput(t, p, `making every record equal: store=enhanced reason="the last run did not end`)
		require.Contains(t, p.Output(), `reason="the last run did not end with the follower in step"`)
		verbs(t, p)(0, "verify")
	})
}

func storeID(t *testing.T, p *sidecar.Process) string {
	t.Helper()
	var s client.Status
	require.NoError(t, json.Unmarshal([]byte(verbs(t, p)(0, "status", "--json")), &s))
	return s.StoreID
}

// A Redis that is away at the start delays nothing, is said to be, and is filled when it comes.
func TestStartWithRedisAway(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr, "--log-format", "json"}})
	fill(t, p)
	ask := verbs(t, p)
	awaitOutput(t, p, "redis connection refused")
	away := regexp.MustCompile(`^shadow: legacy answers · enhanced redis AWAY since 20\S+ \S+Z: join the enhanced store: .*connection refused.*· 0 compared, 0 different · 1 lock, `)
	require.Eventually(t, func() bool { return away.MatchString(done(t, p, "status")) }, eventually, tick, "status: %s", done(t, p, "status"))
	for _, verb := range []string{"verify --timeout 200ms", "repair --timeout 200ms", "backfill --timeout 2s"} {
		require.Contains(t, ask(3, strings.Fields(verb)...), "connection refused")
	}
	require.Zero(t, p.Metrics()["atlantis_enhanced_locking_backend_health"])
	require.Equal(t, 1.0, p.Metrics()["lock_sidecar_legacy_whole"])
	for line := range strings.Lines(p.Output()) {
		require.True(t, strings.HasPrefix(line, "{"), "go-redis has a log of its own: %s", line)
	}

	server.Restart()
	require.Equal(t, "equal: 3 records compared, no difference\n", ask(0, "verify"))
	awaitOutput(t, p, "redis backend health check passed")
	require.Equal(t, 1.0, p.Metrics()["atlantis_enhanced_locking_backend_health"])
	require.Positive(t, p.Metrics()["lock_sidecar_redis_pool_connections"])
}

// A Redis that does not say how it is set up holds up no start: that is for people to read, and nobody waits for it.
func TestNoStartWaitsForWhatRedisSaysOfItself(t *testing.T) {
	proxy := faultproxy.Start(t, redistest.Start(t).Addr)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	proxy.Set(faultproxy.Fault{Alter: func(reply []byte) []byte {
		if bytes.Contains(reply, []byte("redis_version:")) { // of INFO
			<-over
		}
		return reply
	}})
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", proxy.Addr, "--log-level", "debug"}})
	fill(t, p)
	awaitOutput(t, p, "redis not looked at")
	decided, looked, ok := strings.Cut(p.Output(), "redis not looked at")
	require.True(t, ok)
	require.Contains(t, decided, "enhanced locking enabled with legacy fallback", "it is decided who answers before, not after: %s", looked)
	require.Equal(t, "equal: 3 records compared, no difference\n", verbs(t, p)(0, "verify"))
}

// A Redis that hangs holds up no stop, and what it may have missed is not forgotten.
func TestStopWithRedisHanging(t *testing.T) {
	server := redistest.Start(t)
	options := sidecar.Options{DataDir: filepath.Join(t.TempDir(), "data"), Args: []string{"--redis-addr", server.Addr}}
	p := sidecar.Start(t, options)
	fill(t, p)
	verbs(t, p)(0, "verify")
	server.Pause()
	c := p.Client(t)
	for range 100 {
		require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err())
	}
	began := time.Now()
	p.Stop()
	require.Less(t, time.Since(began), 10*time.Second)
	require.Contains(t, p.Output(), "follower not in step, the next start makes every record equal")
	require.NoFileExists(t, filepath.Join(p.DataDir, "in-step"))

	server.Resume()
	p = sidecar.Start(t, options)
	awaitOutput(t, p, "making every record equal")
	verbs(t, p)(0, "verify")
}

// An enhanced.db that cannot be opened keeps nobody waiting: it is said to be away, and taken when it is free.
func TestStartWithTheEmbeddedStoreAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	held, err := bolt.Open(filepath.Join(dir, embedded.FileName), 0o600, nil)
	require.NoError(t, err)
	p := sidecar.Start(t, sidecar.Options{DataDir: dir})
	fill(t, p)
	awaitOutput(t, p, "follower is not in step")
	away := regexp.MustCompile(`enhanced embedded AWAY since .*enhanced\.db.*held by`)
	require.Eventually(t, func() bool { return away.MatchString(done(t, p, "status")) }, eventually, tick, "status: %s", done(t, p, "status"))
	require.NoError(t, held.Close())
	require.Equal(t, "equal: 3 records compared, no difference\n", verbs(t, p)(0, "verify"))
}

// What another program wrote to atlantis.db is brought to the enhanced store, and the evidence begins anew.
func TestForeignWriteBeginsTheEvidenceAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := sidecar.Start(t, sidecar.Options{DataDir: dir})
	fill(t, p)
	verbs(t, p)(0, "verify")
	p.Stop()
	db, err := bolt.Open(filepath.Join(dir, legacy.FileName), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("runLocks")).Put([]byte("acme/other/./default/"), []byte(lockValue))
	}))
	require.NoError(t, db.Close())

	p = sidecar.Start(t, sidecar.Options{DataDir: dir})
	awaitOutput(t, p, `evidence begins anew`) // as soon as the store is joined, which a start does not wait for
	require.Contains(t, p.Output(), `reason="atlantis.db was written by another program"`)
	ask := verbs(t, p)
	require.Equal(t, "equal: 4 records compared, no difference\n", ask(0, "verify"))
	require.Contains(t, ask(0, "status"), "0 compared, 0 different")
}

// In mode legacy there is nothing to compare with, which is no verdict.
func TestVerbsInModeLegacy(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--mode", "legacy"}})
	fill(t, p)
	ask := verbs(t, p)
	require.Equal(t, "no verdict: mode legacy: there is no second store to compare with\n", ask(1, "verify"))
	require.Contains(t, ask(1, "repair"), "mode legacy")
	require.Equal(t, "no divergence was found\n", ask(0, "divergences"))
	require.Contains(t, ask(4, "backfill"), "`lock-sidecar mode shadow`")
	require.Regexp(t, `^legacy answers · 1 lock, `, ask(0, "status"))
	require.Equal(t, 1.0, p.Metrics()["atlantis_enhanced_locking_backend_health"])
	require.NotContains(t, p.Metrics(), "lock_sidecar_mirror_pending")
}

// Changes of mode legacy are not followed; mode shadow makes up for them. The mode is kept over restarts, whatever the
// configuration says.
func TestShadowAfterLegacy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := sidecar.Start(t, sidecar.Options{DataDir: dir})
	fill(t, p)
	verbs(t, p)(0, "verify")
	require.Contains(t, verbs(t, p)(0, "mode", "legacy", "--reason", "test"), "legacy since epoch 2")
	p.Stop()
	p = sidecar.Start(t, sidecar.Options{DataDir: dir})
	require.Contains(t, p.Output(), "the mode that was kept is used, not the configured one")
	require.NoError(t, p.Client(t).Set(t.Context(), "pr/acme/new/./default/", lockValue, 0).Err())
	require.Contains(t, verbs(t, p)(0, "mode", "shadow", "--reason", "test"), "shadow since epoch 3")
	require.Equal(t, "equal: 4 records compared, no difference\n", verbs(t, p)(0, "verify"))
	require.Contains(t, verbs(t, p)(0, "divergences"), "pr/acme/new/./default/")
}

// A certificate for Redis that cannot be read is a configuration error.
func TestServeRefusesABadRedisCertificate(t *testing.T) {
	r := run(t, "serve", "--data-dir", t.TempDir(), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--redis-addr", "127.0.0.1:1", "--redis-tls-enabled", "--redis-tls-ca-file", "/nonexistent.pem")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stderr, "/nonexistent.pem")
}

// A timeout beyond what the sidecar allows is a usage error.
func TestComparisonsRefuseALongTimeout(t *testing.T) {
	for _, verb := range []string{"verify", "repair"} {
		r := run(t, verb, "--timeout", "11m")
		require.Equal(t, 2, r.code)
		require.Contains(t, r.stderr, "expected 1ms to 10m0s")
	}
}

// An atlantis.db that was put back from a backup is not what the follower was
// in step with: the next start makes every record equal, and says why.
func TestARestoredBackupIsFollowedAnew(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	dir, backup := p.DataDir, filepath.Join(t.TempDir(), "backup.db")
	fill(t, p)
	verbs(t, p)(0, "verify")
	verbs(t, p)(0, "backup", backup)
	require.NoError(t, p.Client(t).Set(t.Context(), "pr/acme/new/./default/", lockValue, 0).Err())
	p.Stop()
	require.FileExists(t, filepath.Join(dir, "in-step"))
	require.NoError(t, os.Rename(backup, filepath.Join(dir, "atlantis.db")))

	p = sidecar.Start(t, sidecar.Options{DataDir: dir})
	require.Equal(t, "equal: 3 records compared, no difference\n", verbs(t, p)(0, "verify"))
	require.Contains(t, p.Output(), "an older atlantis.db was put back")
	require.Contains(t, strings.Join(strings.Fields(verbs(t, p)(0, "divergences")), " "), "an older atlantis.db was put back")
}
