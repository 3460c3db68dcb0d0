package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// audited reads the audit log by its verb, the newest act first.
func audited(t *testing.T, p *sidecar.Process) (entries []struct {
	Act, Actor, Reason, From, To, Result string
	Details                              map[string]string
}) {
	t.Helper()
	stdout, stderr, code := p.Verb("audit", "-n", "1000", "--json")
	require.Zero(t, code, stderr)
	require.NoError(t, json.Unmarshal([]byte(stdout), &struct{ Entries any }{&entries}))
	return entries
}

// Every verb that changes something leaves an entry with actor, reason and result, and so does one that is refused.
func TestEachActIsAudited(t *testing.T) {
	server := redistest.Start(t)
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr, "--circuit-breaker-min-fallback", "0s"}})
	fill(t, p)
	file := filepath.Join(t.TempDir(), "file")
	for _, c := range []struct {
		args        []string
		code        int
		act, result string
		details     string
	}{
		{[]string{"mode", "primary"}, 4, "mode", "not done: not ready for mode primary", "primary"},
		{[]string{"fallback", "--reason", "why 1"}, 4, "fallback", "not done: legacy answers already", ""},
		{[]string{"return", "--reason", "why 2"}, 4, "return", "not done: legacy has not taken over", ""},
		{[]string{"admit", "0123", "--reason", "why 3"}, 4, "admit", "not done: mode shadow", "0123"},
		{[]string{"conflicts", "resolve", "7", "--keep", "legacy", "--reason", "why 4"}, 1, "resolve conflict", "not done: ", "7"},
		{[]string{"drill", "rollback", "--reason", "why 8"}, 0, "drill rollback", "a rollback loses nothing", "true"},
		{[]string{"repair"}, 0, "repair", "done", "3"},
		{[]string{"backfill"}, 0, "backfill", "begun", ""},
		{[]string{"backup", file + ".db"}, 0, "backup", "done", ""},
		{[]string{"export", file, "--values"}, 0, "export", "done", "true"},
		{[]string{"import", file}, 0, "import", "done", "0"},
		{[]string{"locks", "freeze", "acme/*", "--reason", "why 9"}, 0, "freeze", "done", "acme/*"},
		{[]string{"locks", "freeze", "--lift", "acme/*", "--reason", "why 10"}, 0, "lift freeze", "done", "acme/*"},
		{[]string{"mode", "primary", "--force", "--reason", "why 5"}, 0, "mode", "done", "primary"},
		{[]string{"fallback", "--reason", "why 6"}, 0, "fallback", "done", ""},
		{[]string{"return", "--reason", "why 7"}, 0, "return", "done", ""},
	} {
		if c.act == "fallback" && c.code == 0 { // soon after the flip
			require.Eventually(t, func() bool { return strings.Contains(done(t, p, "status"), "safe fallback") }, eventually, tick)
		}
		stdout, stderr, code := unthwarted(c.code, func() (string, string, int) { return p.Verb(c.args...) })
		require.Equal(t, c.code, code, "%s: %s%s", c.args, stdout, stderr)
		all := audited(t, p)
		for all[0].Actor != "operator" { // of a machine that is too busy for its Redis
			all = all[1:]
		}
		last := all[0]
		require.Equal(t, c.act, last.Act, c.args)
		require.True(t, strings.HasPrefix(last.Result, c.result), "%s: %s", c.args, last.Result)
		if at := len(c.args) - 1; at > 0 && c.args[at-1] == "--reason" {
			require.Equal(t, c.args[at], last.Reason)
		}
		if c.details != "" {
			require.Contains(t, values(last.Details), c.details, c.args)
		}
	}
	_, stderr, code := p.Verb("shutdown")
	require.Zero(t, code, stderr)
	<-p.Ended()
	text, err := os.ReadFile(filepath.Join(p.DataDir, "audit.jsonl"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"act":"shutdown","actor":"operator"`)
	require.NotContains(t, string(text), sidecar.Token)
}

func values(m map[string]string) (all []string) {
	for _, v := range m {
		all = append(all, v)
	}
	return all
}

// What the sidecar does by itself is audited as its own act.
func TestWhatTheSidecarDoesByItselfIsAudited(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "no") // it gives each write to the kernel before it answers; by default it does not while the disk is busy
	p := primaryOn(t, server.Addr, "--circuit-breaker-min-fallback", "0s")
	require.Eventually(t, func() bool { return strings.Contains(done(t, p, "status"), "safe fallback") }, eventually, tick)
	server.Kill()
	require.NoError(t, p.Client(t).Set(t.Context(), lockKey, lockValue, 0).Err())
	server.Restart()
	require.Eventually(t, func() bool { return audited(t, p)[0].Act == "return" }, eventually, tick)
	var own []string
	for _, e := range audited(t, p) {
		if e.Actor == "lock-sidecar" {
			own = append(own, e.Act)
			require.NotEmpty(t, e.Reason, e.Act)
		}
	}
	for len(own) > 3 && slices.Equal(own[:2], own[2:4]) { // on a machine that was too busy for its Redis before
		own = own[2:]
	}
	require.Equal(t, []string{"return", "fallback", "start"}, own)
}

// The verb reads over the files that were turned away.
func TestAuditReadsTurnedFiles(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--mode", "legacy"}})
	for name, act := range map[string]string{".1": "older", ".5": "oldest"} {
		line := `{"at":"2026-01-02T03:04:05Z","act":"` + act + `","actor":"operator","result":"done"}` + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(p.DataDir, "audit.jsonl"+name), []byte(line), 0o600))
	}
	var acts []string
	for _, e := range audited(t, p) {
		acts = append(acts, e.Act)
	}
	require.Equal(t, []string{"start", "older", "oldest"}, acts)
}

// An act whose entry cannot be kept is done all the same, and all of it is in the log.
func TestAnActThatCannotBeKeptIsDone(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	file := filepath.Join(p.DataDir, "audit.jsonl")
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	_, stderr, code := p.Verb("mode", "legacy", "--reason", "an emergency")
	require.Zero(t, code, stderr)
	require.Regexp(t, `\[ERROR\] shadow: act not kept in the audit log: act=mode actor=operator reason="an emergency" from=shadow to=legacy epoch=2 result=done .*error=`, p.Output())
	require.Contains(t, done(t, p, "status"), "legacy")
}

// A repair that has no time to compare is not done, and nothing says otherwise.
func TestARepairThatIsInterruptedIsNotDone(t *testing.T) {
	server := redistest.Start(t)
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr}})
	fill(t, p)
	_, stderr, code := p.Verb("backfill")
	require.Zero(t, code, stderr)
	server.Pause()
	defer server.Resume()
	_, _, code = p.Verb("repair", "--timeout", "100ms")
	require.NotZero(t, code)
	last := audited(t, p)[0]
	require.Equal(t, "repair", last.Act)
	require.True(t, strings.HasPrefix(last.Result, "not done: "), last.Result)
}
