package main_test

import (
	"bufio"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const rivalValue = `{"Pull":{"Num":13}}`

// primaryOn starts a sidecar and lets the enhanced store answer.
func primaryOn(t *testing.T, redisAddr string, args ...string) *sidecar.Process {
	t.Helper()
	p := sidecar.Start(t, sidecar.Options{Args: append([]string{"--redis-addr", redisAddr, "--mode", "shadow"}, args...)})
	require.Eventually(t, func() bool {
		_, _, code := p.Verb("mode", "primary", "--force", "--reason", "test")
		return code == 0
	}, eventually, tick)
	return p
}

// Every line that operators were told to look for is in the log when what it says happens; docs/metrics.md lists them.
func TestLogLinesThatPeopleLookFor(t *testing.T) {
	server := redistest.Start(t)
	fallsBack := primaryOn(t, server.Addr, "--redis-key-prefix", "a:")
	refuses := primaryOn(t, server.Addr, "--redis-key-prefix", "b:", "--enhanced-locking-legacy-fallback=false")
	disabled := sidecar.Start(t, sidecar.Options{Args: []string{"--mode", "legacy"}})
	_, invalid, code := sidecar.Run(t, nil, "serve", "--hybrid-percent", "300")
	require.Equal(t, 2, code)

	c, other := fallsBack.Client(t), refuses.Client(t)
	require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err())
	require.ErrorContains(t, c.Set(t.Context(), lockKey, rivalValue, 0).Err(), "LOCKED held by")
	require.NoError(t, c.Del(t.Context(), lockKey).Err())
	require.Eventually(t, func() bool { return strings.Contains(done(t, fallsBack, "status"), "safe fallback") }, eventually, tick)
	server.Pause()
	require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err(), "legacy answers")
	require.ErrorContains(t, other.Get(t.Context(), lockKey).Err(), "STOREDOWN")
	server.Kill()

	for _, line := range []struct {
		where *sidecar.Process
		want  string
	}{
		{fallsBack, `\[INFO\]  enhanced: enhanced locking system initialized successfully: backend=redis `},
		{fallsBack, `\[INFO\]  enhanced: redis backend health check passed: address=`},
		{fallsBack, `\[INFO\]  cutover: enhanced locking enabled with legacy fallback: mode=shadow `},
		{disabled, `\[INFO\]  cutover: enhanced locking system disabled: mode=legacy\n`},
		{fallsBack, `\[INFO\]  atlantis: lock acquired: repo=.* pull=12 .*request=[0-9a-f]{4}-\w+ duration: [0-9.]+ms\n`},
		{fallsBack, `\[INFO\]  atlantis: lock already exists: .* pull=13 .*request=\S+ held_by="pull #12`},
		{fallsBack, `\[INFO\]  atlantis: lock released: .* pull=12 .*request=\S+\n`},
		{fallsBack, `\[WARN\]  cutover: falling back to legacy locking system: epoch=`},
		{fallsBack, `\[WARN\]  atlantis: slow operation: op=acquire request=\S+ duration: [0-9.]+ms\n`},
		{refuses, `\[ERROR\] atlantis: lock operation failed: op=get request=\S+ error=`},
		{fallsBack, `\[WARN\]  enhanced: redis connection refused: address=`},
	} {
		found := regexp.MustCompile(line.want)
		require.Eventually(t, func() bool { return found.MatchString(line.where.Output()) }, eventually, tick, "%s in:\n%s", line.want, line.where.Output())
	}
	require.Contains(t, invalid, "invalid configuration: ")
}

// done runs a verb of which only the words matter.
func done(t *testing.T, p *sidecar.Process, args ...string) string {
	t.Helper()
	stdout, _, _ := p.Verb(args...)
	return stdout
}

// logLine is a line of a log in JSON.
type logLine map[string]any

// logLines reads a log, up to the line that is being written. Every line of it is a document with keys in snake_case.
func logLines(t *testing.T, output string) (all []logLine) {
	t.Helper()
	name := regexp.MustCompile(`^@?[a-z][a-z0-9_]*$`)
	output = output[:strings.LastIndex(output, "\n")+1]
	for lines := bufio.NewScanner(strings.NewReader(output)); lines.Scan(); {
		var d logLine
		require.NoError(t, json.Unmarshal(lines.Bytes(), &d), lines.Text())
		require.NotEmpty(t, d["@message"])
		for key := range d {
			require.Regexp(t, name, key, lines.Text())
		}
		all = append(all, d)
	}
	return all
}

// With --log-format json each line of all that a sidecar prints is JSON, at its start, at work, at its end, and when it
// cannot start.
func TestLogInJSONIsJSON(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--log-format", "json", "--log-level", "trace", "--redis-addr", process.FreeAddr(t), "--redis-lock-ttl", "1h"}})
	fill(t, p)
	require.NoError(t, p.Client(t).Del(t.Context(), lockKey).Err())
	awaitOutput(t, p, "follower is not in step") // Redis was tried in vain
	_, stderr, code := sidecar.Run(t, nil, "serve", "--log-format", "json", "--listen", p.Addr, "--data-dir", p.DataDir)
	require.Equal(t, 3, code)
	last := logLines(t, stderr)
	require.Equal(t, "ended", last[len(last)-1]["@message"])
	require.Contains(t, last[len(last)-1]["error"], "address already in use")
	p.Stop()
	require.True(t, strings.HasSuffix(p.Output(), "\n"))
	loggers := map[any]bool{}
	for _, d := range logLines(t, p.Output()) {
		loggers[d["@module"]] = true
	}
	for _, logger := range []string{"atlantis", "config", "cutover", "enhanced", "reconcile", "shadow"} {
		require.True(t, loggers[logger], "%s says nothing: %v", logger, loggers)
	}
}

// One id leads from a command to what each store did for it, and to the divergence that it found.
func TestOneRequestIDFromTheCommandToTheDivergence(t *testing.T) {
	server := redistest.Start(t)
	p := sidecar.Start(t, sidecar.Options{Args: append(unhurried(), "--log-format", "json", "--log-level", "debug", "--redis-addr", server.Addr)})
	require.Eventually(t, func() bool { return strings.Contains(done(t, p, "status"), "in step") }, eventually, tick)
	c, behind := p.Client(t), server.Client(t)
	require.NoError(t, c.Set(t.Context(), lockKey, lockValue, 0).Err())
	var keys []string
	require.Eventually(t, func() bool {
		keys = behind.Keys(t.Context(), "atlantis:enhanced:lock:*").Val()
		return len(keys) == 1
	}, eventually, tick)
	require.NoError(t, behind.HSet(t.Context(), keys[0], "raw", rivalValue).Err())
	require.NoError(t, c.Get(t.Context(), lockKey).Err())

	var list struct {
		Divergences []struct{ Request, Operation string }
	}
	require.Eventually(t, func() bool {
		return json.Unmarshal([]byte(done(t, p, "divergences", "--json")), &list) == nil && len(list.Divergences) > 0
	}, eventually, tick)
	require.Equal(t, "get", list.Divergences[0].Operation)

	p.Stop() // all is in the log
	stores := map[string][]any{}
	taken := ""
	for _, d := range logLines(t, p.Output()) {
		if d["@message"] == "lock acquired" {
			taken = d["request"].(string)
		}
		if d["@message"] == "store operation" {
			id := d["request"].(string)
			stores[id] = append(stores[id], d["store"])
		}
	}
	require.NotEmpty(t, taken)
	for _, id := range []string{taken, list.Divergences[0].Request} {
		require.ElementsMatch(t, []any{"legacy", "enhanced"}, stores[id], "%s of %v", id, stores)
	}
	require.NotEqual(t, taken, list.Divergences[0].Request)
	require.FileExists(t, filepath.Join(p.DataDir, "divergences.jsonl"))
}
