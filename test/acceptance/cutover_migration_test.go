package acceptance

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// recordsOfATeam is how many locks and pull statuses there are before the traffic begins.
const recordsOfATeam = 1000

// step is one flip of a migration.
type step struct {
	mode string
	args []string
}

// migration is the whole way up and down again.
func migration() []step {
	return []step{
		{"shadow", nil}, {"hybrid", []string{"--percent", "25"}}, {"hybrid", []string{"--percent", "50"}}, {"primary", nil}, {"enhanced", nil},
		{"primary", nil}, {"hybrid", []string{"--percent", "50"}}, {"hybrid", []string{"--percent", "25"}}, {"shadow", nil}, {"legacy", nil},
	}
}

// teamDB is a data directory with that many records.
func teamDB(t *testing.T) (dir string) {
	t.Helper()
	content, err := os.ReadFile(manyLocks(t, recordsOfATeam))
	require.NoError(t, err)
	dir = filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "atlantis.db"), content, 0o600))
	return dir
}

// A team goes from legacy to enhanced and all the way back while fifty pull requests are at work: no command fails, no
// lock is lost or doubled, and what moves is held for a moment only.
func TestAMigrationThereAndBackUnderLoad(t *testing.T) {
	t.Run("redis", func(t *testing.T) { migrate(t, redistest.Start(t).Addr) })
	t.Run("embedded", func(t *testing.T) { migrate(t, "") })
}

func migrate(t *testing.T, redisAddr string) {
	dir := teamDB(t)
	args := quickly("--mode", "legacy")
	if redisAddr != "" {
		args = append(args, "--redis-addr", redisAddr)
	}
	p := sidecar.Start(t, sidecar.Options{DataDir: dir, Args: args})
	before := served(t, p)
	require.Len(t, before, recordsOfATeam)

	think := migrationRest
	if sidecar.RaceDetector {
		think *= 10
	}
	m := watchMachine(t)
	run := traffic.Start(t.Context(), traffic.Options{
		Addr: p.Addr, Clients: 50, Repos: 12, Paths: 4, Think: think, Seed: 4, Generation: 4,
	})
	h := newChronicle("migration", 8)
	stop := h.watch(t, p.Addr, 8)
	began := time.Now()
	var held []time.Duration
	for range migrations {
		for _, s := range migration() {
			held = append(held, take(t, p, s))
		}
	}
	stop()
	report := run.Stop()
	rate := float64(len(report.Samples)+h.sent()) / time.Since(began).Seconds()
	h.read(t, p)
	t.Logf("%.0f commands a second; %s", rate, report)
	usual := usualOf(t, held)
	require.Empty(t, h.failed())
	requireUnharmed(t, report)
	h.check(t)
	require.GreaterOrEqual(t, rate, float64(migrationRate))
	require.LessOrEqual(t, usual, usualHold)
	require.LessOrEqual(t, slices.Max(held), slowestHold)
	m.requireAnswerIn(t, report.Latency(time.Time{}, time.Time{}).Max, "the slowest command")

	after := served(t, p)
	for key, value := range before {
		require.Equal(t, value, after[key], key)
	}
	requireRollback(t, p, report)
}

// take makes one step and ensures that it has arrived: the mode, the store that follows, and what both hold.
func take(t *testing.T, p *sidecar.Process, s step) (held time.Duration) {
	t.Helper()
	f := flip(t, p, s.mode, s.args...)
	held = time.Duration(*f.HeldMS * float64(time.Millisecond))
	t.Logf("%s %v: epoch %d, held %s, %d routes, drained %s", s.mode, s.args, f.Epoch, held, *f.MovedRoutes, f.Drained)
	switch s.mode {
	case "shadow":
		filled(t, p, healWithin)
	case "hybrid", "primary":
		await(t, p, returnWithin, "safe in "+s.mode, safe(s.mode))
	}
	if s.mode != "legacy" && s.mode != "enhanced" {
		requireEqual(t, p, healWithin)
	} else {
		wait(t, 300*time.Millisecond)
	}
	return held
}

// usualOf tells how long the flips held what they moved, and returns what 95 in 100 kept within. The first ones up, to
// shadow and legacy, move nothing.
func usualOf(t *testing.T, held []time.Duration) time.Duration {
	t.Helper()
	slices.Sort(held)
	usual := held[(len(held)*95+99)/100-1]
	t.Logf("%d flips: median hold %s, 95th percentile %s, longest %s", len(held), held[len(held)/2], usual, held[len(held)-1])
	return usual
}

// A route that does not move is not held: while routes go to the enhanced store one share after the other, the mode and
// its share are shown, and survive a crash.
func TestTheModeSurvivesACrash(t *testing.T) {
	server := redistest.Start(t)
	for _, s := range migration()[1:5] {
		t.Run(s.mode, func(t *testing.T) {
			require.NoError(t, server.Client(t).FlushAll(t.Context()).Err())
			p := shadowOn(t, "", server.Addr, quickly()...)
			filled(t, p, healWithin)
			flip(t, p, s.mode, s.args...)
			before := stateOf(t, p)
			require.NoError(t, p.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 5), 0).Err())
			p.Kill9()
			<-p.Ended()
			p = shadowOn(t, p.DataDir, server.Addr, quickly()...)
			after := await(t, p, returnWithin, "back in "+s.mode, inMode(s.mode))
			require.GreaterOrEqual(t, after.Epoch, before.Epoch)
			require.Equal(t, before.Percent, after.Percent)
			require.Equal(t, before.StoreID, after.StoreID)
			require.Equal(t, lockJSON("acme/infra", "nobody/knows", 5), p.Client(t).Get(t.Context(), aNewLock).Val())
			require.Contains(t, p.Output(), s.mode)
		})
	}
}

// A flip upwards wants evidence: without it is refused, naming each item that is missing with what it is and what it
// should be, and readiness says the same. Force wants a reason. What was done is in the audit.
func TestAFlipUpwardsWantsEvidence(t *testing.T) {
	server := redistest.Start(t)
	p := shadowOn(t, "", server.Addr, quickly()...)
	filled(t, p, healWithin)
	for _, up := range [][]string{{"hybrid", "--percent", "5"}, {"primary"}, {"enhanced"}} {
		said := refused(t, p, append([]string{"mode", "--reason", "no evidence"}, up...)...)
		for _, item := range []string{"24.0h", "1000"} {
			require.Contains(t, said, item, "%v", up)
		}
	}
	_, stderr, code := p.Verb("mode", "primary", "--force")
	require.Contains(t, []int{2, exitRefused}, code, "force without a reason")
	require.Contains(t, stderr, "reason")
	require.Equal(t, "shadow", stateOf(t, p).Mode)

	stdout, _, code := p.Verb("readiness", "--json")
	require.Equal(t, exitNo, code)
	var readiness struct {
		Ready bool
		Items []struct {
			Name       string
			OK         bool
			Have, Want any
		}
	}
	readJSON(t, stdout, &readiness)
	require.False(t, readiness.Ready)
	require.Greater(t, len(readiness.Items), 5)
	for _, item := range readiness.Items {
		require.NotEmpty(t, item.Name)
	}

	flip(t, p, "primary")
	done(t, p, "mode", "shadow", "--reason", "the way down asks for nothing")
	acts := done(t, p, "audit", "--json")
	require.Contains(t, acts, "acceptance test")
	require.Contains(t, acts, "the way down asks for nothing")
}

// While the postpone file exists no flip happens, and everybody can read why.
func TestThePostponeFileHoldsFlips(t *testing.T) {
	server := redistest.Start(t)
	p := shadowOn(t, "", server.Addr, quickly()...)
	filled(t, p, healWithin)
	postpone := filepath.Join(p.DataDir, "postpone")
	require.NoError(t, os.WriteFile(postpone, []byte("release freeze until Monday\n"), 0o600))
	require.Contains(t, refused(t, p, "mode", "primary", "--force", "--reason", "acceptance test"), "release freeze until Monday")
	require.Equal(t, "shadow", stateOf(t, p).Mode)
	require.NoError(t, os.Remove(postpone))
	flip(t, p, "primary", "--at-quiet")
}

// A first start may be in primary where there is nothing yet, and nowhere else.
func TestAFirstStartInPrimary(t *testing.T) {
	server := redistest.Start(t)
	p := sidecar.Start(t, sidecar.Options{Args: quickly("--mode", "primary", "--redis-addr", server.Addr)})
	await(t, p, returnWithin, "safe in primary", safe("primary"))
	require.NoError(t, p.Client(t).Set(t.Context(), aNewLock, lockJSON("acme/infra", "nobody/knows", 5), 0).Err())
	requireEqual(t, p, healWithin)
	requireRollback(t, p)

	other := redistest.Start(t)
	_, stderr, code := sidecar.Run(t, nil, "serve", "--mode", "primary", "--data-dir", fixtureDB(t, "atlantis-v0.47.1"),
		"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--redis-addr", other.Addr)
	require.Equal(t, exitRefused, code, stderr)
	require.Contains(t, stderr, "shadow")
}
