package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// Without a mode, mode says who answers, since when and why, and what keeps it from moving.
func TestModeShowsWhoAnswers(t *testing.T) {
	for want, state := range map[string]client.ModeState{
		"shadow since epoch 0\n":                                                                                              {Mode: "shadow"},
		"shadow since epoch 3, 2026-08-20 12:00:00Z\n":                                                                        {Mode: "shadow", Epoch: 3, Since: noon},
		"hybrid 25% and acme/* and x/y since epoch 7, 2026-08-20 12:00:00Z: second step\n":                                    {Mode: "hybrid", Percent: 25, Repos: []string{"acme/*", "x/y"}, Epoch: 7, Since: noon, Reason: "second step"},
		"primary since epoch 8, 2026-08-20 12:00:00Z\nPOSTPONED: freeze\na flip is under way\n":                               {Mode: "primary", Epoch: 8, Since: noon, Postponed: "freeze", Flipping: true},
		"primary since epoch 8, 2026-08-20 12:00:00Z\nother sidecars use the enhanced store too: this one never falls back\n": {Mode: "primary", Epoch: 8, Since: noon, Shared: true},
		"primary, FALLEN BACK, since epoch 9, 2026-08-20 12:00:00Z: connection refused\n" +
			"legacy answers for all routes until the enhanced store is back and equal\n": {Mode: "primary", Epoch: 9, Since: noon, FallenBack: true, Reason: "connection refused"},
		"primary, FALLEN BACK, since epoch 9, 2026-08-20 12:00:00Z: by hand\nlegacy answers for all routes until `lock-sidecar return`\n": {
			Mode: "primary", Epoch: 9, Since: noon, FallenBack: true, Manual: true, Reason: "by hand"},
	} {
		url, asked := answering(t, 200, state)
		require.Equal(t, result{want, "", 0}, run(t, "mode", "--admin", url))
		require.Equal(t, "GET mode", *asked)

		r := run(t, "mode", "--json", "--admin", url)
		require.Zero(t, r.code)
		var got client.ModeState
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &got))
		require.Equal(t, state, got)
	}
}

// A change of the mode sends what was asked for, no share unless one was named, and says in a sentence what was done.
func TestModeChangesWhoAnswers(t *testing.T) {
	done := client.ModeResult{Mode: "primary", Epoch: 7, HeldMS: 14.4, MovedRoutes: 12, Drained: 1, Steps: []string{"drained the follower"}, Warning: "no safe fallback yet"}
	url, asked := answering(t, 200, done)
	require.Equal(t, result{"primary since epoch 7: 12 routes moved, 1 change drained, commands were held for 14 ms\n" +
		"  - drained the follower\nwarning: no safe fallback yet\n", "", 0}, run(t, "mode", "primary", "--admin", url))
	for want, args := range map[string]string{
		`{"mode":"primary","repos":null,"timeout":"30s"}`:                                         "primary",
		`{"force":true,"mode":"enhanced","reason":"week 8","repos":null,"timeout":"30s"}`:         "enhanced --force --reason week_8",
		`{"at_quiet":true,"mode":"primary","repos":null,"timeout":"2m0s"}`:                        "primary --at-quiet --timeout 2m",
		`{"mode":"hybrid","percent":0,"repos":null,"timeout":"30s"}`:                              "hybrid --percent 0",
		`{"mode":"hybrid","percent":25,"reason":"step","repos":["acme/*","x/y"],"timeout":"30s"}`: "hybrid --percent 25 --repos acme/*,x/y --reason step",
		`{"mode":"hybrid","repos":[],"timeout":"30s"}`:                                            "hybrid --repos=",
	} {
		var line []string
		for _, arg := range strings.Fields("mode " + args) {
			line = append(line, strings.ReplaceAll(arg, "_", " "))
		}
		r := run(t, append(line, "--admin", url)...)
		require.Zero(t, r.code, r.stderr)
		require.Equal(t, "POST mode "+want, *asked)
	}

	quick := client.ModeResult{Mode: "hybrid", Percent: 5, Epoch: 4, HeldMS: 0.42, MovedRoutes: 1}
	url, _ = answering(t, 200, quick)
	require.Equal(t, "hybrid 5% since epoch 4: 1 route moved, commands were held for 0.4 ms\n", run(t, "mode", "hybrid", "--admin", url).stdout)
	url, _ = answering(t, 200, client.ModeResult{Mode: "shadow", Epoch: 2})
	require.Equal(t, "shadow since epoch 2: 0 routes moved, no command was held\n", run(t, "mode", "shadow", "--admin", url).stdout)
}

// A refusal by the guard lists what is unmet in a table that fits a terminal, says in one line what was refused, and exits 4.
func TestModeRefusedByTheGuardListsWhatIsUnmet(t *testing.T) {
	unmet := []client.ReadinessItem{
		{Name: "duration of the comparison", Have: "2h13m", Want: "24h", Hint: "wait; nothing else makes up for a working day with all that people do on it"},
		{Name: "compared operations", Have: "412", Want: "1,000"},
		{Name: "Redis", Have: "maxmemory-policy allkeys-lru-and-a-very-long-name-without-blanks", Want: "noeviction", Hint: "CONFIG SET maxmemory-policy noeviction"},
	}
	url, _ := answering(t, 409, client.Refused{Text: "not ready for primary: 3 conditions unmet", Hint: "see", Code: "guard", Unmet: unmet})
	for _, args := range [][]string{{"mode", "primary"}, {"return"}} {
		r := run(t, append(args, "--admin", url)...)
		require.Equal(t, 4, r.code)
		r.isOneLine(t)
		require.Contains(t, r.stderr, "not ready for primary: 3 conditions unmet; see")
		fitsALine(t, r.stdout)
		require.Regexp(t, `^CONDITION +HAVE +WANT +WHAT TO DO\n`, r.stdout)
		text := strings.Join(strings.Fields(r.stdout), " ")
		for _, want := range []string{"2h13m 24h", "compared operations 412 1,000", "noeviction CONFIG SET"} {
			require.Contains(t, text, want)
		}
	}
	r := run(t, "mode", "primary", "--json", "--admin", url)
	require.Equal(t, 4, r.code)
	var got client.Refused
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &got))
	require.Equal(t, unmet, got.Unmet)
}

// The checklist marks what is unmet and says what to do about it; the exit code is the answer.
func TestReadinessIsAChecklist(t *testing.T) {
	items := []client.ReadinessItem{
		{Name: "duration", OK: true, Have: "26h", Want: "24h", Hint: "not shown"},
		{Name: "divergences", Have: "1", Want: "0", Hint: "`lock-sidecar divergences` lists them"},
	}
	url, asked := answering(t, 200, client.Readiness{For: "primary", Items: items})
	require.Equal(t, result{"not ready for mode primary: 1 of 2 conditions unmet\n\n" +
		"    CONDITION    HAVE  WANT  WHAT TO DO\n" +
		"ok  duration     26h   24h\n" +
		"NO  divergences  1     0     `lock-sidecar divergences` lists them\n", "", 1}, run(t, "readiness", "--admin", url))
	require.Equal(t, "GET readiness", *asked)

	url, _ = answering(t, 200, client.Readiness{Ready: true, For: "primary", Items: items[:1]})
	require.Equal(t, result{"ready for mode primary\n\n    CONDITION  HAVE  WANT  WHAT TO DO\nok  duration   26h   24h\n", "", 0}, run(t, "readiness", "--admin", url))
}

// Fallback and return say what they did, and send the reason.
func TestFallbackAndReturn(t *testing.T) {
	url, asked := answering(t, 200, client.ModeResult{Mode: "hybrid", Percent: 50, Repos: []string{}, Epoch: 9, HeldMS: 30, MovedRoutes: 6})
	require.Equal(t, result{"fallen back: legacy answers since epoch 9: 6 routes moved, commands were held for 30 ms\n`lock-sidecar return` ends it\n", "", 0},
		run(t, "fallback", "--reason", "redis is replaced", "--admin", url))
	require.Equal(t, `POST fallback {"reason":"redis is replaced"}`, *asked)
	require.Equal(t, result{"returned: hybrid 50% since epoch 9: 6 routes moved, commands were held for 30 ms\n", "", 0}, run(t, "return", "--admin", url))
	require.Equal(t, "POST return {}", *asked)
	require.Zero(t, run(t, "return", "--force", "--reason", "I know", "--admin", url).code)
	require.Equal(t, `POST return {"force":true,"reason":"I know"}`, *asked)
}
