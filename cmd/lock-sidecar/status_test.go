package main_test

import (
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// The line has who answers, what there is, and for how long.
func TestStatusLine(t *testing.T) {
	healthy := client.Legacy{Healthy: true, Whole: true, ByKind: &client.Counts{ProjectLocks: 7, CommandLocks: 1, PullStatuses: 9}}
	foreign := healthy
	foreign.ForeignWrites = 1
	since := time.Date(2026, 8, 20, 9, 30, 0, 0, time.UTC)
	shadow := func(e client.Enhanced, also func(*client.Status)) client.Status {
		e.Kind, e.Breaker = "redis", cmp.Or(e.Breaker, "closed")
		s := client.Status{Mode: "shadow", Legacy: healthy, Enhanced: &e, Comparisons: client.Comparisons{Match: 1204}, UptimeSeconds: 60}
		if also != nil {
			also(&s)
		}
		return s
	}
	records := 1017
	above := func(mode string, also func(*client.Status)) client.Status {
		s := shadow(client.Enhanced{}, also)
		s.Mode = mode
		return s
	}
	const rest = "7 locks, 1 command lock, 9 pull statuses · atlantis.db whole · 0 connections · up 1m · v0.1.0\n"
	for name, c := range map[string]struct {
		status client.Status
		want   string
		code   int
	}{
		"shadow": {shadow(client.Enhanced{}, nil),
			"shadow: legacy answers · enhanced redis in step · 1,204 compared, 0 different · " + rest, 0},
		"shadow with all there can be": {
			shadow(client.Enhanced{}, func(s *client.Status) {
				s.Comparisons.Mismatch, s.Comparisons.Ignored = 2, 3
				s.Divergences = client.Divergences{Total: 4, Unresolved: 1}
				s.Mirror = client.Mirror{Pending: 5, LagSeconds: 0.25}
			}),
			"shadow: legacy answers · enhanced redis in step, 5 changes behind by 0.2s · 1,206 compared, 2 different, 3 ignored · 1 divergence UNRESOLVED · " + rest, 0},
		"shadow away": {
			shadow(client.Enhanced{AwaySince: &since, Error: "connection refused", Breaker: "open"}, func(s *client.Status) { s.Mirror.Dirty = 1 }),
			"shadow: legacy answers · enhanced redis AWAY since 2026-08-20 09:30:00Z: connection refused, 1 key dirty, breaker open · 1,204 compared, 0 different · " + rest, 0},
		"shadow backfill": {
			shadow(client.Enhanced{}, func(s *client.Status) {
				s.Backfill, s.Mirror.Dirty = client.Backfill{State: "running", Done: 12000, Total: 100000}, 88000
			}),
			"shadow: legacy answers · enhanced redis catching up 12,000/100,000 · 1,204 compared, 0 different · " + rest, 0},
		"shadow dirty": {shadow(client.Enhanced{}, func(s *client.Status) { s.Mirror.Dirty = 3 }),
			"shadow: legacy answers · enhanced redis catching up, 3 keys dirty · 1,204 compared, 0 different · " + rest, 0},
		"shadow with trouble": {shadow(client.Enhanced{Error: "disk full"}, func(s *client.Status) { s.Mirror.Dirty = 3 }),
			"shadow: legacy answers · enhanced redis NOT in step: disk full, 3 keys dirty · 1,204 compared, 0 different · " + rest, 0},
		"frozen": {
			client.Status{Legacy: healthy, Frozen: []string{"acme/*", "*"}, UptimeSeconds: 60},
			"legacy answers · new locks FROZEN for 2 globs · 7 locks, 1 command lock, 9 pull statuses · atlantis.db whole · 0 connections · up 1m · v0.1.0\n", 0,
		},
		"healthy": {
			client.Status{Legacy: healthy, Connections: 1, UptimeSeconds: 3 * 60},
			"legacy answers · 7 locks, 1 command lock, 9 pull statuses · atlantis.db whole · 1 connection · up 3m · v0.1.0\n", 0,
		},
		"written by another": {
			client.Status{Legacy: foreign, UptimeSeconds: 59},
			"legacy answers · 7 locks, 1 command lock, 9 pull statuses · atlantis.db whole · " +
				"atlantis.db was written by another program before the start · 0 connections · up 59s · v0.1.0\n", 0,
		},
		"starting": {
			client.Status{Legacy: client.Legacy{Error: "opening data/atlantis.db"}, UptimeSeconds: (26 * time.Hour).Seconds()},
			"NOT HEALTHY: opening data/atlantis.db · atlantis.db NOT WHOLE · 0 connections · up 1d2h · v0.1.0\n", 1,
		},
		"failed": {
			client.Status{Legacy: client.Legacy{Whole: true, Error: "takes no writes"}, Connections: 2, UptimeSeconds: (2*time.Hour + 5*time.Minute).Seconds()},
			"NOT HEALTHY: takes no writes · atlantis.db whole · 2 connections · up 2h5m · v0.1.0\n", 1,
		},
		"primary": {above("primary", func(s *client.Status) { s.SafeFallback = true }),
			"primary: enhanced answers · redis healthy · legacy whole, safe fallback · 1,204 compared, 0 different · 7 locks, 1 command lock, 9 pull statuses · 0 connections · up 1m · v0.1.0\n", 0},
		"primary on its own": {
			above("primary", func(s *client.Status) {
				s.Legacy.Healthy, s.Legacy.Whole, s.Legacy.Error, s.Legacy.ByKind = false, false, "disk full", nil
				s.SafeFallbackReason, s.Conflicts, s.Postponed = "atlantis.db lacks changes", 1, "freeze until Monday"
			}),
			"primary: NO SAFE FALLBACK: atlantis.db lacks changes · enhanced answers · POSTPONED: freeze until Monday · redis healthy · legacy NOT HEALTHY: disk full · " +
				"1,204 compared, 0 different · 1 conflict UNRESOLVED · 0 connections · up 1m · v0.1.0\n", 0},
		"primary is filled again": {
			above("primary", func(s *client.Status) {
				s.Legacy.Whole, s.SafeFallbackReason, s.Backfill = false, "not whole yet", client.Backfill{State: "running", Done: 12, Total: 1000}
			}),
			"primary: NO SAFE FALLBACK: not whole yet · enhanced answers · redis healthy · legacy NOT WHOLE, catching up 12/1,000 · " +
				"1,204 compared, 0 different · 7 locks, 1 command lock, 9 pull statuses · 0 connections · up 1m · v0.1.0\n", 0},
		"fallen back": {
			above("primary", func(s *client.Status) {
				s.FallenBack, s.FallenBackSince, s.Reason = true, &since, "connection refused"
				s.Enhanced.AwaySince, s.Enhanced.Error, s.Mirror.Dirty = &since, "connection refused", 3
			}),
			"primary FALLEN BACK since 2026-08-20 09:30:00Z: legacy answers (connection refused) · " +
				"enhanced redis AWAY since 2026-08-20 09:30:00Z: connection refused, 3 keys dirty · 1,204 compared, 0 different · " + rest, 0},
		"shared": {
			above("primary", func(s *client.Status) {
				n := 12
				s.Shared, s.SafeFallbackReason, s.Legacy.Whole, s.Enhanced.Records = true, "other sidecars use the store too", false, &n
			}),
			"primary: NO SAFE FALLBACK: other sidecars use the store too · enhanced answers · redis healthy · legacy NOT WHOLE · " +
				"1,204 compared, 0 different · 12 records · 0 connections · up 1m · v0.1.0\n", 0},
		"fallen back by hand": {
			above("hybrid", func(s *client.Status) {
				s.Percent, s.FallenBack, s.FallenBackSince, s.Manual, s.Reason = 25, true, &since, true, "redis is replaced"
			}),
			"hybrid 25% FALLEN BACK since 2026-08-20 09:30:00Z: legacy answers (by an operator: redis is replaced) · " +
				"enhanced redis in step · 1,204 compared, 0 different · " + rest, 0},
		"fallen back by hand, for no reason that was given": {
			above("primary", func(s *client.Status) { s.FallenBack, s.FallenBackSince, s.Manual = true, &since, true }),
			"primary FALLEN BACK since 2026-08-20 09:30:00Z: legacy answers (by an operator) · enhanced redis in step · 1,204 compared, 0 different · " + rest, 0},
		"hybrid": {above("hybrid", func(s *client.Status) { s.Percent, s.Repos, s.SafeFallback = 25, []string{"acme/secret"}, true }),
			"hybrid 25% and 1 glob: enhanced answers for its share, legacy for the rest · enhanced redis in step · legacy whole, safe fallback · " +
				"1,204 compared, 0 different · 7 locks, 1 command lock, 9 pull statuses · 0 connections · up 1m · v0.1.0\n", 0},
		"hybrid on a full disk": {
			above("hybrid", func(s *client.Status) {
				s.Percent, s.Legacy.Healthy, s.Legacy.Whole, s.Legacy.Error, s.Enhanced.Healthy, s.Mirror.Dirty = 25, false, false, "disk full", true, 3
			}),
			"hybrid 25%: NOT HEALTHY: disk full · enhanced answers for its share · enhanced redis in step · legacy NOT HEALTHY · " +
				"1,204 compared, 0 different · 7 locks, 1 command lock, 9 pull statuses · 0 connections · up 1m · v0.1.0\n", 1},
		"hybrid with a follower behind": {
			above("hybrid", func(s *client.Status) {
				s.Percent, s.SafeFallback, s.Enhanced.Healthy, s.Mirror.Dirty = 25, true, false, 3
			}),
			"hybrid 25%: enhanced answers for its share, legacy for the rest · enhanced redis catching up, 3 keys dirty · legacy whole, safe fallback · " +
				"1,204 compared, 0 different · 7 locks, 1 command lock, 9 pull statuses · 0 connections · up 1m · v0.1.0\n", 0},
		"enhanced": {
			above("enhanced", func(s *client.Status) { s.Enhanced.Records, s.Legacy.ByKind = &records, &client.Counts{} }),
			"enhanced: enhanced answers · redis healthy · legacy retired · 1,017 records · 0 connections · up 1m · v0.1.0\n", 0},
		"nobody answers": {
			above("primary", func(s *client.Status) {
				s.Down, s.Enhanced.AwaySince, s.Enhanced.Error, s.SafeFallbackReason = "redis is away, and atlantis.db is not whole", &since, "i/o timeout", "not whole"
				s.Legacy.Whole = false
			}),
			"primary DOWN: redis is away, and atlantis.db is not whole · redis AWAY since 2026-08-20 09:30:00Z: i/o timeout · " +
				"legacy NOT WHOLE · 1,204 compared, 0 different · 7 locks, 1 command lock, 9 pull statuses · 0 connections · up 1m · v0.1.0\n", 1},
		"primary starts": {
			client.Status{Mode: "primary", Legacy: client.Legacy{Error: "opening data/atlantis.db"}},
			"NOT HEALTHY: opening data/atlantis.db · atlantis.db NOT WHOLE · 0 connections · up 0s · v0.1.0\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.status.Version = "v0.1.0"
			url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(c.status) })
			require.Equal(t, result{c.want, "", c.code}, run(t, "status", "--admin", url))

			r := run(t, "status", "--json", "--admin", url)
			require.Equal(t, c.code, r.code)
			var got client.Status
			require.NoError(t, json.Unmarshal([]byte(r.stdout), &got))
			require.Equal(t, c.status, got)
		})
	}
}

// Address and token come from flags, or from the environment.
func TestStatusTakesAddressAndTokenFromTheEnvironment(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("the-token"), 0o600))
	url := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"legacy":{"healthy":true}}`)
	})
	env := map[string]string{"LOCK_SIDECAR_ADMIN": url, "LOCK_SIDECAR_TOKEN_FILE": file}
	require.Equal(t, 0, runWith(t, env, "status").code)

	wrong := map[string]string{"LOCK_SIDECAR_ADMIN": closedPort(t), "LOCK_SIDECAR_TOKEN_FILE": "/nonexistent"}
	require.Equal(t, 0, runWith(t, wrong, "status", "--admin", url, "--token-file", file).code, "a flag wins")
}

// Each way to get no answer has its exit code and a line that says what to do.
func TestCommandsThatGetNoAnswer(t *testing.T) {
	answering := func(code int, body string) string {
		return fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		})
	}
	for name, c := range map[string]struct {
		url  string
		code int
		want string
	}{
		"nobody listens":     {closedPort(t), 3, "is the sidecar running? start it with `lock-sidecar serve` or set --admin"},
		"wrong token":        {answering(401, ""), 4, "--token-file"},
		"refused by a guard": {answering(403, `{"error":"no","hint":"do x","code":"guard"}`), 4, "no; do x"},
		"conflict":           {answering(409, `{"error":"no","hint":"do x","code":"conflict"}`), 4, "no; do x"},
		"cannot do it now":   {answering(503, `{"error":"no","hint":"do x","code":"unreachable"}`), 3, "no; do x"},
		"a stranger":         {answering(200, "hello"), 3, "is a lock-sidecar listening there?"},
		"a stranger's error": {answering(500, "hello"), 3, "is a lock-sidecar listening there?"},
	} {
		file := filepath.Join(t.TempDir(), "b.db")
		for _, args := range [][]string{
			{"status"}, {"status", "--json"}, {"shutdown"}, {"verify"}, {"repair"}, {"divergences"}, {"backfill"},
			{"mode"}, {"mode", "primary"}, {"readiness"}, {"fallback"}, {"return", "--json"}, {"conflicts", "list"},
			{"conflicts", "resolve", "1", "--keep", "legacy", "--reason", "r"}, {"drill", "rollback"}, {"drill", "outage"},
			{"admit", "b", "--reason", "r"}, {"audit"}, {"import", fixture}, {"backup", file}, {"export", file}, {"export", file, "--values"},
		} {
			if (args[0] == "backup" || args[0] == "export") && name == "a stranger" {
				c.want = "receive " + args[0] + ": unexpected EOF"
			}
			r := run(t, append(args, "--admin", c.url, "--token-file", "/nonexistent/admin.token")...)
			require.Equal(t, c.code, r.code, "%s %s", name, args)
			require.Empty(t, r.stdout)
			r.isOneLine(t)
			require.Contains(t, r.stderr, c.want, "%s %s", name, args)
		}
		require.NoFileExists(t, file)
		require.NoFileExists(t, file+".partial")
	}
}
