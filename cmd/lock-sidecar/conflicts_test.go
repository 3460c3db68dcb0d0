package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// Conflicts are listed in lines that fit a terminal; --json has the whole name.
func TestConflictsAreListed(t *testing.T) {
	url, _ := answering(t, 200, client.ConflictList{})
	require.Equal(t, result{"no conflict\n", "", 0}, run(t, "conflicts", "list", "--admin", url))

	at := time.Now().Add(-135 * time.Minute)
	record := "pr/acme/infra/" + strings.Repeat("deep/", 20) + "default/"
	url, asked := answering(t, 200, client.ConflictList{Total: 3, Conflicts: []client.Conflict{
		{ID: 3, At: at, Record: "pr/acme/infra/./default/", LegacyHolder: "pull #12", LegacyDigest: "ab", EnhancedHolder: "pull #13", EnhancedDigest: "cd"},
		{ID: 4, At: at, Record: record, LegacyHolder: "pull #12 of acme/infra", EnhancedDigest: "0123456789ab"},
	}})
	r := run(t, "conflicts", "list", "--admin", url)
	require.Zero(t, r.code)
	require.Equal(t, "GET conflicts", *asked)
	fitsALine(t, r.stdout)
	require.Contains(t, r.stdout, "3 conflicts\n\nID  KNOWN FOR  LEGACY")
	require.Regexp(t, `(?m)^3   2h15m +pull #12 +pull #13 +pr/acme/infra/\./default/$`, r.stdout)
	require.Regexp(t, `(?m)^4   2h15m +pull #12 +0123456789ab +pr/acme\S+…\S+default/$`, r.stdout)
	require.Contains(t, r.stdout, "and 1 more\n")
	require.Contains(t, run(t, "conflicts", "list", "--json", "--admin", url).stdout, record)
}

// A conflict is resolved with a store and a reason; one that is none is a no.
func TestConflictIsResolved(t *testing.T) {
	url, asked := answering(t, 200, struct{}{})
	line := []string{"conflicts", "resolve", "3", "--keep", "enhanced", "--reason", "asked the team"}
	require.Equal(t, result{"conflict 3 is resolved: the holder in enhanced has the lock\n", "", 0}, run(t, append(line, "--admin", url)...))
	require.Equal(t, `POST conflicts/3 {"id":3,"keep":"enhanced","reason":"asked the team"}`, *asked)

	url, _ = answering(t, 404, client.Refused{Text: "no such conflict: 3", Code: client.CodeNotFound})
	require.Equal(t, result{"", "lock-sidecar: no such conflict: 3\n", 1}, run(t, append(line, "--admin", url)...))
}

// Another sidecar is admitted by its id.
func TestAdmitNamesAllThatUseTheStore(t *testing.T) {
	url, asked := answering(t, 200, client.Admitted{Sidecar: "b", OwnID: "a", All: []string{"a", "b"}})
	require.Equal(t, result{"admitted b; the enhanced store is used by a, b; none of them falls back\n", "", 0},
		run(t, "admit", "b", "--reason", "second replica", "--admin", url))
	require.Equal(t, `POST admit {"reason":"second replica","sidecar":"b"}`, *asked)
}

// The audit log has what was done first and why below it.
func TestAuditListsActs(t *testing.T) {
	url, asked := answering(t, 200, client.AuditList{Entries: []client.AuditEntry{
		{At: noon, Act: "mode", Actor: "operator", Reason: strings.Repeat("long reason ", 12), From: "shadow", To: "hybrid 5%", Epoch: 6, Result: "done",
			Details: map[string]string{"routes": "12", "held_ms": "14"}},
		{At: noon, Act: "fallback", Actor: "sidecar", From: "primary", To: "primary", Epoch: 5, Result: "refused"},
	}})
	r := run(t, "audit", "-n", "7", "--admin", url)
	require.Zero(t, r.code)
	require.Equal(t, "GET audit?n=7", *asked)
	fitsALine(t, r.stdout)
	require.Contains(t, r.stdout, "2026-08-20 12:00:00Z  epoch 6  mode by operator: shadow → hybrid 5%, done\n    long reason ")
	require.Contains(t, r.stdout, "\n    held_ms=14 routes=12\n2026-08-20 12:00:00Z  epoch 5  fallback by sidecar, refused\n")
	url, _ = answering(t, 200, client.AuditList{})
	require.Equal(t, result{"nothing was changed yet\n", "", 0}, run(t, "audit", "--admin", url))
}

// A drill says what it would have been like; the exit code is the verdict.
func TestDrillsSayHowItWent(t *testing.T) {
	safe := client.RollbackDrill{OK: true, Records: 17, ByKind: client.Counts{ProjectLocks: 7, CommandLocks: 1, PullStatuses: 9},
		WithoutLocksMS: 1280, OpenMS: 2.25, CheckMS: 30, Compared: 17, Notes: []string{"checked a copy"}}
	url, asked := answering(t, 200, safe)
	require.Equal(t, result{"a rollback loses nothing: Atlantis would be without locks for 1,280 ms (open 2.2 ms, check 30 ms)\n" +
		"atlantis.db has 7 locks, 1 command lock, 9 pull statuses\n" +
		"17 records compared with the enhanced store, 0 differences; 0 records lost\n  - checked a copy\n", "", 0}, run(t, "drill", "rollback", "--reason", "week 7", "--admin", url))
	require.Equal(t, `POST drill/rollback {"reason":"week 7"}`, *asked)

	url, _ = answering(t, 200, client.RollbackDrill{Lost: 1, Compared: 17, Differences: 1, Damage: []string{"page 3: unreachable"}})
	r := run(t, "drill", "rollback", "--admin", url)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.stdout, "a rollback is NOT SAFE: ")
	require.Contains(t, r.stdout, "1 difference; 1 record lost\n  DAMAGED: page 3: unreachable\n")

	url, asked = answering(t, 200, client.OutageDrill{OK: true, Commands: 1204, FellBackMS: 612, ReturnedMS: 900, Verdict: "equal"})
	require.Equal(t, result{"the outage went unnoticed: 0 of 1,204 commands failed, fallback after 612 ms, return after 900 ms\n" +
		"verify: equal, 0 differences\n", "", 0}, run(t, "drill", "outage", "--for", "2s", "--reason", "week 7", "--admin", url))
	require.Equal(t, `POST drill/outage {"for":"2s","reason":"week 7"}`, *asked)

	url, _ = answering(t, 200, client.OutageDrill{Commands: 10, FailedCommands: 2, Verdict: "none", Notes: []string{"no safe fallback"}})
	r = run(t, "drill", "outage", "--admin", url)
	require.Equal(t, result{"the outage DID NOT go well: 2 of 10 commands failed, no fallback, no return\nverify: none, 0 differences\n  - no safe fallback\n", "", 1}, r)
}
