package main_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
)

const lockKey, lockValue = "pr/acme/infra/./default/", `{"Pull":{"Num":12}}`

func redisClient(t *testing.T, options *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() }) // a test may have closed it itself
	return client
}

// From the first start to the last commit: Atlantis is answered, every command asks the same process, and a second
// start finds the lock.
func TestServeFromStartToStop(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir)
	addr, admin := s.addresses(t)
	env := map[string]string{"LOCK_SIDECAR_ADMIN": admin, "LOCK_SIDECAR_TOKEN_FILE": filepath.Join(dir, "admin.token")}

	require.Equal(t, result{"ready\n", "", 0}, runWith(t, env, "wait"))
	s.awaitLog(t, "every record is equal")
	client := redisClient(t, &redis.Options{Addr: addr})
	require.NoError(t, client.Set(t.Context(), lockKey, lockValue, 0).Err())
	r := runWith(t, env, "status")
	require.Equal(t, 0, r.code, r.stderr)
	require.Regexp(t, `^shadow: legacy answers · enhanced embedded in step(, \d+ changes? behind by \d+\.\ds)? · [01] compared, 0 different · 1 lock, 0 command locks, 0 pull statuses · atlantis\.db whole · 1 connection · up \d+s · v1\.2\.3\n$`, r.stdout)
	backup := filepath.Join(t.TempDir(), legacy.FileName)
	r = runWith(t, env, "backup", backup)
	require.Equal(t, 0, r.code, r.stderr)
	require.Contains(t, r.stdout, "1 record, checked")
	require.Equal(t, result{"stopped\n", "", 0}, runWith(t, env, "shutdown"))
	require.Equal(t, 0, s.code(t))
	require.NoError(t, client.Close())
	s.awaitLog(t, `stopping: reason="shutdown requested"(?s).*stopped\n$`)

	for _, d := range []string{dir, filepath.Dir(backup)} { // what Atlantis was told, and the copy of it
		again := serve(t, d)
		addr, _ = again.addresses(t)
		again.awaitLog(t, `(opened the database|written by another program).* locks=1 `)
		client = redisClient(t, &redis.Options{Addr: addr})
		require.Equal(t, lockValue, client.Get(t.Context(), lockKey).Val())
		again.stop()
		require.Equal(t, 0, again.code(t))
	}
}

// A stranger reads where it listens, what to set in Atlantis and how to ask for the status.
func TestServeSaysWhatToDo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir, "--auth-password", "EXAMPLE-TOKEN-NOT-REAL")
	addr, admin := s.addresses(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return strings.Contains(s.stdout.String(), "ATLANTIS_REDIS_PORT") }, eventually, tick)
	for _, want := range []string{
		"lock-sidecar v1.2.3 is ready in mode shadow: all answers come from atlantis.db.\n",
		"\nThe embedded store enhanced.db does the same behind it and is compared",
		"--locking-db-type=redis --redis-host=127.0.0.1 --redis-port=" + port + " --redis-password=…",
		"ATLANTIS_LOCKING_DB_TYPE=redis ATLANTIS_REDIS_HOST=127.0.0.1 ATLANTIS_REDIS_PORT=" + port,
		filepath.Join(dir, "atlantis.db"),
		"lock-sidecar status --admin " + admin + " --token-file " + filepath.Join(dir, "admin.token"),
		"lock-sidecar verify --admin " + admin + " --token-file " + filepath.Join(dir, "admin.token"),
	} {
		require.Contains(t, s.stdout.String(), want)
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	require.NoError(t, err)
	output := s.stdout.String() + s.stderr.String()
	require.NotContains(t, output, "EXAMPLE-TOKEN-NOT-REAL")
	require.NotContains(t, output, strings.TrimSpace(string(token)))
	require.Contains(t, output, "enhanced locking enabled with legacy fallback")
}

// In mode legacy the enhanced store is not touched, and that is said.
func TestServeInModeLegacy(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := serve(t, dir, "--mode", "legacy")
	s.addresses(t)
	s.stop()
	require.Equal(t, 0, s.code(t))
	require.Contains(t, s.stdout.String(), "is ready in mode legacy: all answers come from atlantis.db.\n\n")
	require.Contains(t, s.stderr.String(), "enhanced locking system disabled: mode=legacy")
	require.NoFileExists(t, filepath.Join(dir, "enhanced.db"))
	require.NoFileExists(t, filepath.Join(dir, "in-step"), "changes were not followed")
}

// With JSON logs every line of the output is JSON.
func TestServeWithJSONLogsPrintsNothingElse(t *testing.T) {
	s := serve(t, t.TempDir(), "--log-format", "json")
	s.awaitLog(t, `"@message":"ready"`)
	s.stop()
	require.Equal(t, 0, s.code(t))
	require.Empty(t, s.stdout.String())
	for line := range strings.Lines(s.stderr.String()) {
		require.True(t, strings.HasPrefix(line, "{"), line)
	}
}

// Atlantis must present the password that is configured.
func TestServeAsksForThePassword(t *testing.T) {
	s := serve(t, t.TempDir(), "--auth-password", "open-sesame", "--auth-username", "atlantis")
	addr, _ := s.addresses(t)
	wrong := redisClient(t, &redis.Options{Addr: addr, Password: "x", MaxRetries: -1})
	require.Error(t, wrong.Ping(t.Context()).Err())
	right := redisClient(t, &redis.Options{Addr: addr, Username: "atlantis", Password: "open-sesame"})
	require.NoError(t, right.Ping(t.Context()).Err())
}

// A first start above shadow needs two stores without records: else nothing says
// that they are equal.
func TestServeRefusesAFirstStartAboveShadowWithRecords(t *testing.T) {
	for _, mode := range []string{"hybrid", "primary", "enhanced"} {
		dir := t.TempDir()
		content, err := os.ReadFile(fixture)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "atlantis.db"), content, 0o600))
		r := run(t, "serve", "--data-dir", dir, "--mode", mode, "--hybrid-percent", "50", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
		require.Equal(t, 4, r.code)
		require.Contains(t, r.stderr, "Start in mode shadow")
	}
}

// A port in use is named with the flag that changes it, and nothing is touched.
func TestServePortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "data")
	for _, flag := range []string{"--listen", "--admin-listen", "--metrics-listen"} {
		args := []string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", flag, taken.Addr().String()}
		r := run(t, args...)
		require.Equal(t, 3, r.code)
		r.isOneLine(t)
		require.Contains(t, r.stderr, "listen on "+taken.Addr().String()+": address already in use")
		require.Contains(t, r.stderr, "choose another address with "+flag)
	}
	r := run(t, "serve", "--data-dir", dir, "--listen", "192.0.2.1:6380", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 3, r.code)
	require.Contains(t, r.stderr, "choose an address of this host with --listen")
	require.NoDirExists(t, dir)
}

// While the file is held, health says that the start waits, the status that it is not healthy, and a stop is clean.
func TestServeWaitsForTheHolderOfTheFile(t *testing.T) {
	dir := t.TempDir()
	held, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
	require.NoError(t, err)
	defer held.Close()

	s := serve(t, dir, "--admin-listen", "127.0.0.1:0", "--open-timeout", "1h")
	s.awaitLog(t, "waiting for the process that holds the file")
	require.Empty(t, s.stdout.String())
	s.stop()
	require.Equal(t, 0, s.code(t))

	r := run(t, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--open-timeout", "0s")
	require.Equal(t, 3, r.code)
	require.Contains(t, r.stderr, "file is held by another process")
}

// A damaged file is an error that says how to go on.
func TestServeRefusesADamagedFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, legacy.FileName), []byte("not a database"), 0o600))
	r := run(t, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 3, r.code)
	require.Contains(t, r.stderr, "lock-sidecar backup")
}

// Certificate files that are none are a configuration error.
func TestServeRefusesABadCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pem")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	r := run(t, "serve", "--data-dir", t.TempDir(), "--auth-tls-enabled", "--auth-tls-cert-file", file, "--auth-tls-key-file", file)
	require.Equal(t, 2, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, file)
}

// All metrics of a sidecar have good names and help, and the secret value is in none.
func TestMetricsOfServe(t *testing.T) {
	s := serve(t, t.TempDir())
	addr, admin := s.addresses(t)
	client := redisClient(t, &redis.Options{Addr: addr})
	s.awaitLog(t, "every record is equal")
	require.NoError(t, client.Set(t.Context(), lockKey, `{"Pull":{"Num":12,"Author":"EXAMPLE-TOKEN-NOT-REAL"}}`, 0).Err())

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin+"/metrics", nil)
	require.NoError(t, err)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	problems, err := promlint.New(strings.NewReader(string(text))).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	for _, want := range []string{
		`lock_sidecar_mode{mode="legacy"} 0`, `lock_sidecar_mode{mode="shadow"} 1`, "lock_sidecar_epoch 1", "lock_sidecar_safe_fallback 0", "lock_sidecar_legacy_whole 1", "lock_sidecar_foreign_writes_total 0",
		"atlantis_enhanced_locking_backend_health 1", "atlantis_enhanced_locking_active_locks 1", `lock_sidecar_build_info{`,
		"lock_sidecar_mirror_pending ", "lock_sidecar_mirror_dirty_keys 0", "lock_sidecar_mirror_lag_seconds ", "lock_sidecar_store_lost_total 0",
		`lock_sidecar_backfill_records{state="done"} 0`, `lock_sidecar_comparisons_total{op="acquire",result="mismatch"} 0`, "lock_sidecar_divergences_unresolved 0",
		"atlantis_enhanced_locking_circuit_breaker_state 0", "lock_sidecar_follower_panics_total 0", "lock_sidecar_atlantis_connections 1", "atlantis_enhanced_locking_acquisitions_total 1", "go_goroutines ", "process_start_time_seconds ",
	} {
		require.Contains(t, string(text), "\n"+want)
	}
	require.NotContains(t, string(text), "EXAMPLE-TOKEN-NOT-REAL")
}
