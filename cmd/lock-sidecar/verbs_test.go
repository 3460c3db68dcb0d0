package main_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	cli "github.com/lock-sidecar/lock-sidecar/cmd/lock-sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// verbRuns runs verbs through the built binary and notes which flags and exit codes of which verb that has shown.
type verbRuns struct {
	t    *testing.T
	root *cobra.Command
	mu   sync.Mutex
	seen map[string]bool // "locks show 1", "locks show --json"
}

func newVerbRuns(t *testing.T) *verbRuns {
	return &verbRuns{t: t, root: cli.NewCommand(cli.Options{LookupEnv: lookup(nil)}), seen: map[string]bool{}}
}

// run runs one verb against the sidecar at url and requires an exit code. An error is one line, and nothing else.
func (v *verbRuns) run(t *testing.T, url, token string, code int, line string, more ...string) string {
	t.Helper()
	args := append(strings.Fields(line), more...)
	stdout, stderr, got := unthwarted(code, func() (string, string, int) {
		return sidecar.Run(t, []string{"LOCK_SIDECAR_ADMIN=" + url, "LOCK_SIDECAR_TOKEN_FILE=" + token}, args...)
	})
	require.Equal(t, code, got, "%s\n%s%s", args, stdout, stderr)
	if stderr != "" {
		result{"", stderr, got}.isOneLine(t)
	}
	if code == 0 {
		require.Empty(t, stderr, line)
	}
	if slices.Contains(args, "--json") && stderr == "" {
		require.True(t, json.Valid([]byte(stdout)), "%s: %s", line, stdout)
	}
	v.note(args, code)
	return stdout + stderr
}

func (v *verbRuns) note(args []string, code int) {
	cmd, rest, err := v.root.Find(args)
	require.NoError(v.t, err)
	name := strings.TrimPrefix(cmd.CommandPath(), "lock-sidecar ")
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[name+" "+string(rune('0'+code))] = true
	for _, arg := range rest {
		if flag, _, _ := strings.Cut(arg, "="); strings.HasPrefix(flag, "-") {
			if len(flag) == 2 {
				flag = "--" + cmd.Flags().ShorthandLookup(flag[1:]).Name
			}
			v.seen[name+" "+flag] = true
		}
	}
}

// elsewhere have tests of their own in this package, for they do not end by themselves or ask nobody.
var elsewhere = []string{"serve", "demo", "help"}

// complete requires that every verb was run with each of its flags, and to each exit code that its help promises.
// Flags that are keys of the configuration are tested there.
func (v *verbRuns) complete() {
	v.t.Helper()
	known, _, err := v.root.Find([]string{"serve"})
	require.NoError(v.t, err)
	var never []string
	needs := func(run string) {
		if !v.seen[run] {
			never = append(never, run)
		}
	}
	for _, cmd := range runnable(v.root) {
		name := strings.TrimPrefix(cmd.CommandPath(), "lock-sidecar ")
		if slices.Contains(elsewhere, name) {
			continue
		}
		require.NotEmpty(v.t, cmd.Example, name)
		_, promise, found := strings.Cut(cmd.Long, "Exit code ")
		require.True(v.t, found, "the help of %s has no exit codes", name)
		for _, code := range regexp.MustCompile(`\b(\d):`).FindAllStringSubmatch(promise, -1) {
			needs(name + " " + code[1])
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if known.Flags().Lookup(f.Name) == nil || f.Name == "config" {
				needs(name + " --" + f.Name)
			}
		})
	}
	require.Empty(v.t, never, "exit codes and flags that no run had")
}

// Every verb does what it says, with each of its flags and to each of its exit codes: on a sidecar, on one that
// refuses, on none, with a wrong token, and into a pipe that nobody reads. What it prints for people fits a terminal,
// what it prints for programs is JSON, an error is one line, and no output has a secret (which every run checks).
func TestBinaryEveryVerb(t *testing.T) {
	v := newVerbRuns(t)
	server := redistest.Start(t, "--appendonly", "yes")
	config := configFile(t, "sidecar:\n  readiness: {min-duration: 0s, min-operations: 0, max-latency-ratio: 100, latency-floor: 10s}\n")
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr, "--config", config, "--circuit-breaker-min-fallback", "0s"}})
	awaitOutput(t, p, "every record is equal")
	url, token := "http://"+p.AdminAddr, filepath.Join(p.DataDir, "admin.token")

	v.onASidecar(p, server, url, token)
	v.refused(t)
	v.unanswered(t, url)
	v.onConfiguration(config)
	v.intoAClosedPipe(url, token)
	v.run(t, url, token, 0, "wait --json")
	v.run(t, url, token, 0, "admit another --reason=r --timeout=20s --admin="+url+" --token-file="+token) // last: nobody takes over any more
	v.run(t, url, token, 0, "admit another --reason=r --json")
	v.run(t, url, token, 2, "admit another")
	v.run(t, url, token, 0, "shutdown --json --timeout=20s --admin="+url+" --token-file="+token)
	v.complete()
}

// onASidecar goes through the verbs in an order in which one makes what the next one needs.
func (v *verbRuns) onASidecar(p *sidecar.Process, server *redistest.Server, url, token string) {
	t := v.t
	c := p.Client(t)
	long := "pr/acme/infrastructure-of-the-whole-company/environments/production/eu-central-1/network/vpc/default/main"
	secret := `{"Project":{"ProjectName":"main","RepoFullName":"acme/infrastructure-of-the-whole-company","Path":"environments/production/eu-central-1/network/vpc"},` +
		`"Pull":{"Num":1204,"URL":"https://bot:` + sidecar.Token + `@github.com/acme/i/pull/1204?t=` + sidecar.Token + `","Author":"somebody-with-quite-a-long-name",` +
		`"BaseRepo":{"FullName":"acme/infrastructure-of-the-whole-company","CloneURL":"https://bot:` + sidecar.Token + `@github.com/acme/i.git"}},` +
		`"User":{"Username":"somebody-with-quite-a-long-name"},"Workspace":"default","Time":"2026-08-20T09:30:00Z"}`
	require.NoError(t, c.Set(t.Context(), long, secret, 0).Err())
	require.NoError(t, c.Scan(t.Context(), 0, "pr/*", 0).Err(), "as Atlantis does when it boots; readiness goes without it")
	fill(t, p)
	run := func(code int, line string, more ...string) string {
		t.Helper()
		return v.run(t, url, token, code, line, more...)
	}
	table := func(code int, line string, more ...string) string {
		t.Helper()
		text := run(code, line, more...)
		fitsALine(t, text)
		return text
	}
	where := append(whereIs(p), "--redis-addr", server.Addr)

	require.Equal(t, 1, strings.Count(run(0, "status"), "\n"))
	run(0, "status --json --timeout=5s --admin="+url+" --token-file="+token)
	table(0, "verify --timeout=20s")
	run(0, "verify --json --admin="+url+" --token-file="+token)
	table(0, "mode")
	table(0, "readiness --timeout=5s --admin="+url+" --token-file="+token)
	run(0, "readiness --json")
	table(0, "conflicts list --timeout=5s --admin="+url+" --token-file="+token)
	run(0, "conflicts list --json")
	run(1, "conflicts resolve 7 --keep=legacy --reason=r --json --timeout=5s --admin="+url+" --token-file="+token)
	run(2, "conflicts resolve 7")

	keys, err := server.Client(t).Keys(t.Context(), "atlantis:enhanced:lock:*infrastructure*").Result()
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NoError(t, server.Client(t).HSet(t.Context(), keys[0], "raw", strings.ReplaceAll(secret, "1204", "77")).Err())
	require.Contains(t, table(1, "verify"), "pull #1204")
	require.Contains(t, table(0, "divergences --timeout=5s --admin="+url+" --token-file="+token), "unexplained")
	run(0, "divergences --json")
	table(1, "readiness")
	table(0, "repair --dry-run")
	table(0, "repair --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "repair --json")
	run(0, "backfill --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "backfill --json")

	require.Contains(t, table(0, "locks list"), "1204")
	table(0, "locks list --sort=-since --page=1 --timeout=5s --admin="+url+" --token-file="+token, "whole-company")
	var list client.LockList
	require.NoError(t, json.Unmarshal([]byte(run(0, "locks list #1204 --json")), &list))
	require.Len(t, list.Locks, 1)
	id := list.Locks[0].ID
	run(2, "locks list --sort=value")
	table(0, "locks show "+id+" --timeout=5s --admin="+url+" --token-file="+token)
	run(0, "locks show --json "+id)
	run(1, "locks show 0123456789abcdef")
	run(2, "locks show")
	run(2, "locks unlock")
	run(4, "locks unlock --timeout=5s --admin="+url+" --token-file="+token+" "+id)
	run(2, "locks unlock --fence=0 "+id)
	run(4, "locks unlock --fence=1 "+id)
	run(0, "locks unlock --force --json --fence="+strconv.FormatUint(list.Locks[0].Fence, 10)+" "+id, "--reason", "the plan is gone")
	run(1, "locks unlock "+id)

	table(0, "locks freeze")
	table(0, "locks freeze acme/infrastructure-of-the-whole-company* --timeout=5s --admin="+url+" --token-file="+token, "--reason",
		"the network of the whole company is being moved, ask in #platform before you do anything at all about it")
	run(0, "locks freeze --json acme/infrastructure-of-the-whole-company*", "--reason=r")
	require.ErrorContains(t, c.Set(t.Context(), long, secret, 0).Err(), "is frozen by an operator: r")
	table(0, "locks freeze --json")
	table(0, "locks freeze --lift acme/infrastructure-of-the-whole-company*")
	run(0, "locks freeze --lift --json acme/infrastructure-of-the-whole-company*")
	run(2, "locks freeze acme/*")

	run(0, "mode hybrid --percent=50 --repos=acme/* --force --reason=r --at-quiet --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "mode primary --force --reason=r --json")
	run(2, "mode primry")
	run(0, "drill rollback --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "drill rollback --json")
	run(0, "drill outage --for=1500ms --reason=r --timeout=30s --admin="+url+" --token-file="+token) // in which the fallback must be over
	run(0, "drill outage --for=1500ms --json")
	run(2, "drill outage --for=1h")
	run(0, "fallback --reason=r --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "return --reason=r --force --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "fallback --json")
	run(0, "return --json")
	run(2, "return --force")

	dir := t.TempDir()
	run(0, "backup --timeout=20s --admin="+url+" --token-file="+token, filepath.Join(dir, "a.db"))
	run(0, "backup --json", filepath.Join(dir, "b.db"))
	run(4, "backup", filepath.Join(dir, "b.db"))
	file := filepath.Join(dir, "values.jsonl")
	run(0, "export --timeout=20s --admin="+url+" --token-file="+token)
	run(0, "export --values --json", file)
	run(2, "export --values")
	run(4, "export", file)
	run(0, "import --dry-run --json --timeout=20s --admin="+url+" --token-file="+token, file)
	run(0, "import --replace --reason=r", file)
	run(2, "import")
	require.NoError(t, c.Del(t.Context(), lockKey).Err())
	require.NoError(t, c.Set(t.Context(), lockKey, `{"Pull":{"Num":13}}`, 0).Err())
	table(1, "import", file)

	require.Regexp(t, "^good: ", calm(func() string { return table(0, "doctor", where...) }))
	run(0, "doctor --json --timeout=20s --admin="+url+" --token-file="+token, where...)
	table(1, "doctor --redis-wait-replicas=2", where...)
	table(2, "doctor --redis-cluster-mode --redis-db=2", where...)
	run(2, "doctor --jsno")

	table(0, "audit --number=50 --timeout=5s --admin="+url+" --token-file="+token)
	run(0, "audit -n 1 --json")
	run(2, "audit -n 0")
	run(0, "wait --timeout=5s --admin="+url)
}

// refused runs verbs against a sidecar that answers what a real one seldom does.
func (v *verbRuns) refused(t *testing.T) {
	guard := client.Refused{Text: "no", Hint: "do x", Code: client.CodeGuard}
	away := client.Refused{Text: "no", Hint: "do x", Code: client.CodeUnreachable}
	for _, c := range []struct {
		code   int
		line   string
		status int
		answer any
	}{
		{0, "conflicts resolve 1 --keep=enhanced --reason=r", 200, struct{}{}},
		{1, "status", 200, client.Status{Down: "redis is away"}},
		{1, "verify", 200, client.Verdict{Verdict: client.VerdictNone, Reason: "mode legacy"}},
		{1, "repair", 200, client.Verdict{Verdict: client.VerdictNone, Reason: "mode legacy"}},
		{1, "drill rollback", 200, client.RollbackDrill{Lost: 1}},
		{1, "drill outage --for=1ms", 200, client.OutageDrill{FailedCommands: 1}},
		{1, "wait --timeout=2s", 503, "opening atlantis.db"}, // in which one answer must come
		{1, "shutdown --timeout=2s", 202, map[string]bool{"stopping": true}},
		{3, "verify", 503, away}, {3, "repair", 503, away}, {3, "mode primary", 503, away}, {3, "locks unlock x", 503, away}, {3, "locks freeze * --reason=r", 503, away},
		{4, "locks freeze * --reason=r", 409, guard},
		{4, "mode primary", 409, guard}, {4, "fallback", 409, guard}, {4, "return", 409, guard}, {4, "admit b --reason=r", 409, guard},
		{4, "conflicts resolve 1 --keep=legacy --reason=r", 409, guard}, {4, "drill rollback", 409, guard}, {4, "drill outage", 409, guard},
		{4, "backfill", 409, client.Refused{Text: "no", Code: client.CodeConflict}}, {4, "import " + absolute(t, fixture), 409, guard},
	} {
		url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			_ = json.NewEncoder(w).Encode(c.answer)
		})
		v.run(t, url, "/nonexistent", c.code, c.line)
	}
}

// absolute is a path that a verb finds, which runs elsewhere.
func absolute(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(path)
	require.NoError(t, err)
	return full
}

// asking are lines of every verb that asks a sidecar.
func asking(t *testing.T) []string {
	file := filepath.Join(t.TempDir(), "f")
	return []string{
		"status", "status --watch", "readiness", "mode", "mode primary", "fallback", "return", "conflicts list", "conflicts resolve 1 --keep=legacy --reason=r",
		"drill rollback --reason=r", "drill outage", "verify", "divergences", "repair", "backfill", "admit b --reason=r", "audit", "export", "import " + absolute(t, fixture),
		"backup " + file, "shutdown", "shutdown --after=127.0.0.1:1", "locks list", "locks show x", "locks unlock x", "locks freeze", "locks freeze * --reason=r", "locks freeze --lift *",
	}
}

// unanswered runs them against nobody, and with a wrong token.
func (v *verbRuns) unanswered(t *testing.T, url string) {
	wrong := filepath.Join(t.TempDir(), "wrong.token")
	require.NoError(t, os.WriteFile(wrong, []byte("0123456789abcdef"), 0o600))
	dead := "http://" + process.FreeAddr(t)
	for _, line := range asking(t) {
		text := v.run(t, dead, wrong, 3, line)
		require.Contains(t, text, "is the sidecar running? start it with `lock-sidecar serve`", line)
		text = v.run(t, url, wrong, 4, line)
		require.Contains(t, text, "does not accept the token in "+wrong, line)
		require.NotContains(t, text, "0123456789abcdef", line)
	}
	// To doctor the environment says where a sidecar usually is, and a flag that one must be there.
	v.run(t, dead, wrong, 0, "doctor --listen=127.0.0.1:0 --admin-listen=127.0.0.1:0 --data-dir="+t.TempDir())
	require.Contains(t, v.run(t, "", "", 3, "doctor --admin="+dead+" --data-dir="+t.TempDir()), "is the sidecar running?")
	v.run(t, "", "", 4, "doctor --admin="+url+" --token-file="+wrong+" --data-dir="+t.TempDir())
	v.run(t, dead, wrong, 3, "wait --timeout=50ms")
}

// onConfiguration runs the verbs that ask nobody.
func (v *verbRuns) onConfiguration(config string) {
	t := v.t
	run := func(code int, line string) string { t.Helper(); return v.run(t, "", "", code, line) }
	run(0, "config validate --config="+config)
	run(0, "config validate --json")
	run(2, "config validate --mode=primry")
	run(0, "config print --config="+config)
	run(0, "config print --json")
	run(2, "config print --mode=primry")
	run(0, "version")
	run(0, "version --json")
	run(0, "doctor --listen=127.0.0.1:0 --admin-listen=127.0.0.1:0 --data-dir="+t.TempDir()+" --config="+config)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, run(0, "completion "+shell), "lock-sidecar")
	}
	run(2, "completion tcsh")
	for line, want := range map[string][]string{
		"":                            {"status", "doctor", "locks", "completion"},
		"mode ":                       {"legacy", "shadow", "hybrid", "primary", "enhanced"},
		"locks list --sort ":          {"-since", "pull"},
		"conflicts resolve 1 --keep ": {"legacy", "enhanced"},
		"serve --log-format ":         {"text", "json"},
		"completion ":                 {"bash", "fish"},
	} {
		words := strings.Split(line, " ")
		stdout, _, code := sidecar.Run(t, nil, append([]string{cobra.ShellCompRequestCmd}, words...)...)
		require.Equal(t, 0, code)
		for _, word := range want {
			require.Regexp(t, `(?m)^`+word+`(\t|$)`, stdout, line)
		}
		require.Contains(t, stdout, ":4\n", "no file names: %s", line)
	}
}

// intoAClosedPipe runs verbs that only look, as "| head -0" does. They end as any Unix command, without a word.
func (v *verbRuns) intoAClosedPipe(url, token string) {
	t := v.t
	for _, line := range []string{
		"status", "status --watch", "status --json", "readiness", "mode", "conflicts list", "verify", "divergences", "audit", "locks list", "locks freeze", "export",
		"config print", "config validate", "version", "completion bash", "wait", "doctor --data-dir=" + t.TempDir(), "--help",
	} {
		reader, writer, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, reader.Close())
		cmd := exec.Command(sidecar.Binary(t), strings.Fields(line)...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = writer, &stderr
		cmd.Env = append(os.Environ(), "LOCK_SIDECAR_ADMIN="+url, "LOCK_SIDECAR_TOKEN_FILE="+token)
		p := process.Start(t, cmd)
		code, err := p.Wait(t.Context())
		require.NoError(t, err)
		require.NoError(t, writer.Close())
		require.Equal(t, 128+int(syscall.SIGPIPE), code, "%s: %s", line, &stderr)
		require.Empty(t, stderr.String(), line)
	}
}
