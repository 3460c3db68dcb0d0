package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/doctor"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// aclLine is the user of docs/security.md.
func aclLine(t *testing.T, password string) []any {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(page))
	require.NotEmpty(t, line)
	var words []any
	for _, word := range strings.Fields(strings.Replace(line, "PASSWORD", password, 1)) {
		words = append(words, word)
	}
	return words
}

// whereIs are the flags by which doctor finds a sidecar that runs.
func whereIs(p *sidecar.Process) []string {
	return []string{"--data-dir", p.DataDir, "--listen", p.Addr, "--admin-listen", p.AdminAddr, "--metrics-listen", p.MetricsAddr}
}

// calm asks doctor again while it says that Redis is slow, as it is at times on a machine that is busy with something
// else: only that may be so in one answer and not in the next.
func calm(doctor func() string) (text string) {
	for range 50 {
		if text = doctor(); !strings.Contains(text, "redis: latency\n") {
			break
		}
	}
	return text
}

// With the least rights that the docs list a sidecar does everything that it can do, in every mode, and Redis has
// refused it nothing. Doctor is silent on it.
func TestBinaryLeastRightsAreEnough(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	admin := server.Client(t)
	require.NoError(t, admin.Do(t.Context(), aclLine(t, "EXAMPLE-TOKEN-NOT-REAL")...).Err())
	password := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(password, []byte("EXAMPLE-TOKEN-NOT-REAL\n"), 0o600))
	flags := []string{"--redis-addr", server.Addr, "--redis-username", "lock-sidecar", "--redis-password-file", password, "--circuit-breaker-min-fallback", "100ms"}
	p := sidecar.Start(t, sidecar.Options{Args: flags})
	awaitOutput(t, p, "every record is equal")
	fill(t, p)
	v := verbs(t, p)
	force := []string{"--force", "--reason", "test"}
	v(0, "verify")
	v(0, append([]string{"mode", "hybrid", "--percent", "50"}, force...)...)
	v(0, append([]string{"mode", "primary"}, force...)...)
	require.NoError(t, p.Client(t).Set(t.Context(), "pr/acme/infra/two/default/", lockValue, 0).Err())
	v(0, "verify")
	v(0, "repair")
	v(0, "backfill")
	v(0, "drill", "rollback")
	v(0, "drill", "outage", "--for", "1500ms")
	v(0, "fallback", "--reason", "test")
	require.NoError(t, p.Client(t).Del(t.Context(), "pr/acme/infra/two/default/").Err())
	v(0, "return")
	v(0, append([]string{"mode", "enhanced"}, force...)...)
	v(0, "export")
	v(0, append([]string{"mode", "primary"}, force...)...)
	v(0, append([]string{"admit", "another"}, "--reason", "test")...)
	require.NoError(t, p.Client(t).Del(t.Context(), lockKey).Err())

	text := calm(func() string { return v(0, append(append([]string{"doctor"}, whereIs(p)...), flags...)...) })
	require.Regexp(t, `^good: \d+ checks, nothing found\n$`, text)
	p.Stop()
	again := sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: append([]string{"--log-level", "debug"}, flags...)})
	awaitOutput(t, again, "redis looked at: problems=")
	again.Stop()
	for _, problem := range regexp.MustCompile(`redis is not set up for locks: check="?(\w+)`).FindAllStringSubmatch(again.Output(), -1) {
		require.Equal(t, "latency", problem[1], "of a busy machine")
	}
	refused, err := admin.Do(t.Context(), "acl", "log").Slice()
	require.NoError(t, err)
	require.Empty(t, refused)

	require.NoError(t, admin.Do(t.Context(), "acl", "setuser", "lock-sidecar", "-hset").Err())
	text, _, code := sidecar.Run(t, nil, append(append([]string{"doctor"}, whereIs(p)...), flags...)...)
	require.Equal(t, 1, code)
	require.Contains(t, text, "ERROR    redis: rights\n")
	require.Contains(t, strings.Join(strings.Fields(text), " "), "lacks rights that the store needs: +hset")
	require.Contains(t, strings.Join(strings.Fields(text), " "), "acl setuser lock-sidecar +hset")
	fitsALine(t, text)
}

// A start on a Redis that would lose locks says so in the log, and goes on; primary is refused there without force.
func TestBinaryEvictingRedis(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr, "--readiness-min-duration", "0s", "--readiness-min-operations", "0"}})
	awaitOutput(t, p, "set maxmemory-policy noeviction, it is allkeys-lru")
	awaitOutput(t, p, "keeps nothing on its disk")
	awaitOutput(t, p, "every record is equal")
	fill(t, p)
	v := verbs(t, p)
	v(0, "verify")
	text := v(4, "mode", "primary")
	require.Contains(t, text, "fitness of the store")
	require.Contains(t, text, "allkeys-lru")
	require.Contains(t, v(0, "mode"), "shadow")

	where := append(append([]string{"doctor"}, whereIs(p)...), "--redis-addr", server.Addr)
	text = calm(func() string { return v(1, where...) })
	require.Regexp(t, `^1 error, 1 warning in \d+ checks\n\nERROR    redis: eviction\n`, text)
	require.Contains(t, text, "\nWARNING  redis: persistence\n")
	require.Contains(t, strings.Join(strings.Fields(text), " "), "config set maxmemory-policy noeviction")
	fitsALine(t, text)
	var r doctor.Report
	require.NoError(t, json.Unmarshal([]byte(v(1, append(where, "--json")...)), &r))
	r.Findings = slices.DeleteFunc(r.Findings, func(f doctor.Finding) bool { return f.Check == "latency" })
	require.Len(t, r.Findings, 2)
	require.Equal(t, 1, r.Errors())
	require.Equal(t, []doctor.Unknown{}, r.Unknown)
	v(0, "mode", "primary", "--force", "--reason", "test")
}

// A sidecar with TLS on both sides, on a Redis behind three sentinels, is a good set-up, of which doctor says nothing;
// what becomes wrong with either is found.
func TestBinaryDoctorWithTLSAndSentinels(t *testing.T) {
	by := redistest.NewAuthority(t, "test authority")
	files := redistest.TLS{By: by}
	files.Cert, files.Key = by.Issue(t, time.Now().AddDate(1, 0, 0))
	persistent := []string{"--appendonly", "yes", "--tls-replication", "yes", "--repl-diskless-sync-delay", "0"}
	master := redistest.StartTLS(t, by, files.Cert, files.Key, persistent...)
	replica := redistest.StartTLS(t, by, files.Cert, files.Key, append(persistent, "--replicaof", strings.Replace(master.Addr, ":", " ", 1))...)
	watch := redistest.StartSentinels(t, redistest.Sentinels{Name: "locks", Master: master, Replicas: []*redistest.Server{replica}, Count: 3, TLS: &files})
	flags := []string{
		"--redis-addr", watch[0].Addr + "," + watch[1].Addr + "," + watch[2].Addr, "--redis-sentinel-master", "locks", "--redis-wait-replicas", "1",
		"--redis-tls-enabled", "--redis-tls-ca-file", by.File, "--redis-tls-cert-file", files.Cert, "--redis-tls-key-file", files.Key,
		"--auth-tls-enabled", "--auth-tls-cert-file", files.Cert, "--auth-tls-key-file", files.Key,
	}
	p := sidecar.Start(t, sidecar.Options{Args: append(append(unhurried(), "--redis-wait-timeout", "1s"), flags...)})
	awaitOutput(t, p, "every record is equal")
	c := redisClient(t, &redis.Options{Addr: p.Addr, TLSConfig: files.Client(t)})
	require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err())
	require.Eventually(t, func() bool { // a replica with other work may have a write too late
		text, _, code := p.Verb("verify")
		return code == 0 && strings.Contains(text, "equal")
	}, eventually, tick)

	doctor := func(env ...string) (string, int) {
		stdout, stderr, code := sidecar.Run(t, append(env, "LOCK_SIDECAR_ADMIN=http://"+p.AdminAddr), append(append([]string{"doctor"}, whereIs(p)...), flags...)...)
		require.Empty(t, stderr)
		fitsALine(t, stdout)
		return stdout, code
	}
	var code int
	text := calm(func() (text string) { text, code = doctor("SSL_CERT_FILE=" + by.File); return text })
	require.Equal(t, 0, code, text)
	require.Regexp(t, `^good: \d+ checks, nothing found\n$`, text)
	text, code = doctor()
	require.Equal(t, 0, code, text)
	require.Contains(t, text, "WARNING  sidecar: certificate\n")
	watch[1].Kill()
	watch[2].Kill()
	text, code = doctor("SSL_CERT_FILE=" + by.File)
	require.Equal(t, 0, code, text)
	require.Contains(t, text, "WARNING  redis: sentinels\n")
	watch[0].Kill()
	text, code = doctor("SSL_CERT_FILE=" + by.File)
	require.Equal(t, 1, code, text)
	require.Equal(t, 3, strings.Count(text, "ERROR    redis: sentinels\n"))
	require.NotContains(t, text, "redis: reachable\n")
}

// Without a sidecar doctor works from the configuration; a database that somebody holds, and settings that
// contradict each other, are found.
func TestBinaryDoctorWithoutASidecar(t *testing.T) {
	addrs := process.FreeAddrs(t, 2)
	where := []string{"doctor", "--listen", addrs[0], "--admin-listen", addrs[1], "--data-dir"}
	dir := t.TempDir()
	stdout, stderr, code := sidecar.Run(t, nil, append(where, dir)...)
	require.Equal(t, 0, code, stdout+stderr)
	require.Regexp(t, `^good: \d+ checks, nothing found\n$`, stdout)

	stdout, stderr, code = sidecar.Run(t, nil, append(where, dir, "--redis-addr", "127.0.0.1:1")...)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "refuses connections: nobody listens there")
	require.Empty(t, stderr, "the client of Redis has nothing to add")

	p := sidecar.Start(t, sidecar.Options{})
	stdout, stderr, code = sidecar.Run(t, nil, append(where, dir, "--redis-addr", process.FreeAddr(t))...)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "ERROR    redis: reachable\n")
	require.Empty(t, stderr, "not what the Redis client has to say")

	stdout, _, code = sidecar.Run(t, nil, append(where, p.DataDir)...)
	require.Equal(t, 1, code)
	require.Contains(t, strings.Join(strings.Fields(stdout), " "), fmt.Sprintf("file is held by another process: process %d (lock-sidecar", p.PID()))
	fitsALine(t, stdout)

	stdout, _, code = sidecar.Run(t, nil, append(where, dir, "--redis-cluster-mode", "--redis-db", "3", "--redis-addr", "a:1")...)
	require.Equal(t, 2, code)
	require.Contains(t, stdout, "ERROR    configuration: contradictions\n")
	require.Contains(t, stdout, "redis.db is 3")
	fitsALine(t, stdout)

	stdout, _, code = sidecar.Run(t, nil, append(where, dir, "--enhanced-locking-backend", "embedded", "--redis-addr", "a:1", "--json")...)
	require.Equal(t, 0, code, "a warning is no error")
	require.Contains(t, stdout, "Redis is not used")
}

// Another sidecar at the address of the admin API is a finding; one that was named and does not answer, or wants
// another token, is an exit code.
func TestBinaryDoctorAndAStranger(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "admin.token"), []byte("0123456789abcdef"), 0o600))
	free := process.FreeAddrs(t, 2)
	stdout, _, code := sidecar.Run(t, nil, "doctor", "--data-dir", dir, "--listen", free[0], "--admin-listen", p.AdminAddr)
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "ERROR    sidecar: answers\n")

	for want, args := range map[int][]string{
		3: {"--admin", "http://" + free[1]},
		4: {"--admin", "http://" + p.AdminAddr},
	} {
		stdout, stderr, code := sidecar.Run(t, nil, append([]string{"doctor", "--data-dir", dir, "--listen", free[0]}, args...)...)
		require.Equal(t, want, code)
		result{"", stderr, code}.isOneLine(t)
		require.Empty(t, stdout)
	}
}

// That the store in Redis is another sidecar's doctor finds before a start that is refused for it, and after; one that
// runs without the store says so when it is asked.
func TestBinaryDoctorFindsAStoreOfAnotherSidecar(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	flags := []string{"--redis-addr", server.Addr}
	owner := sidecar.Start(t, sidecar.Options{Args: flags})
	awaitOutput(t, owner, "every record is equal")
	free, dir := process.FreeAddrs(t, 2), filepath.Join(t.TempDir(), "data")
	where := append([]string{"--data-dir", dir, "--listen", free[0], "--admin-listen", free[1], "--mode", "primary"}, flags...)
	asked := func() {
		t.Helper()
		stdout, _, code := sidecar.Run(t, nil, append([]string{"doctor"}, where...)...)
		require.Equal(t, 1, code)
		require.Contains(t, stdout, "ERROR    redis: owner\n")
		fitsALine(t, stdout)
	}
	asked()
	_, stderr, code := sidecar.Run(t, nil, append([]string{"serve"}, where...)...)
	require.Equal(t, 4, code)
	require.Contains(t, stderr, "belongs to another sidecar")
	asked()

	second := sidecar.Start(t, sidecar.Options{DataDir: dir, Args: flags})
	awaitOutput(t, second, "belongs to another sidecar")
	stdout, _, code := sidecar.Run(t, nil, append(append([]string{"doctor"}, whereIs(second)...), flags...)...)
	require.Equal(t, 0, code, stdout)
	require.Contains(t, stdout, "WARNING  sidecar: healthy\n")
	require.Contains(t, strings.Join(strings.Fields(stdout), " "), "store belongs to another sidecar")
	stdout, _, code = sidecar.Run(t, nil, append(append([]string{"doctor", "--token-file", filepath.Join(dir, "none")}, whereIs(second)...), flags...)...)
	require.Equal(t, 4, code)
	require.Empty(t, stdout, "it was not asked, and that is not good")
}

// locksIn is a web server that does to a sidecar what Atlantis does to its Redis when somebody asks it; the real one is
// no part of this repository. Elsewhere: it keeps its locks in another place.
func locksIn(t *testing.T, redisAddr string, elsewhere bool) string {
	t.Helper()
	client := redisClient(t, &redis.Options{Addr: redisAddr})
	return fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /healthz":
			_, _ = fmt.Fprint(w, `{"status": "ok"}`)
		case "GET /status":
			_, _ = fmt.Fprint(w, `{"version": "0.40.0"}`)
		case "GET /api/locks":
			if !elsewhere {
				client.Scan(r.Context(), 0, "pr*", 0).Val()
			}
			_, _ = fmt.Fprint(w, `{"Locks": null}`)
		case "DELETE /locks":
			key, _ := url.PathUnescape(r.URL.Query().Get("id"))
			if elsewhere || client.Get(r.Context(), "pr/"+key).Err() != nil {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			client.Del(r.Context(), "pr/"+key)
		}
	})
}

// Whether Atlantis keeps its locks here is seen by its questions, and unlock goes through it.
func TestBinaryAsksAtlantis(t *testing.T) {
	addrs := process.FreeAddrs(t, 1)
	here, elsewhere := locksIn(t, addrs[0], false), locksIn(t, addrs[0], true)
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--listen", addrs[0], "--atlantis-url", here}})
	p.Addr = addrs[0]
	fill(t, p)
	v := verbs(t, p)
	where := append(append([]string{"doctor"}, whereIs(p)...), "--atlantis-url")
	require.Regexp(t, `^good: \d+ checks, nothing found\n$`, v(0, append(where, here)...))
	text := v(1, append(where, elsewhere)...)
	require.Contains(t, text, "ERROR    atlantis: locking database\n")
	require.Contains(t, strings.Join(strings.Fields(text), " "), "--locking-db-type=redis")

	id := regexp.MustCompile(`[0-9a-f]{16}`).FindString(v(0, "locks", "list"))
	text = v(0, "locks", "unlock", id, "--reason", "stale")
	require.Contains(t, text, "Atlantis has discarded its plan")
	require.Equal(t, "no lock\n", v(0, "locks", "list"))
	require.Contains(t, v(0, "audit", "-n", "1"), "by=atlantis")
	v(1, "locks", "unlock", id)
}
