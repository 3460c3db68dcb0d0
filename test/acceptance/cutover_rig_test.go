package acceptance

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

const (
	someCommands = 100 // of a load that is at work

	exitNo          = 1
	exitUnreachable = 3
	exitRefused     = 4
)

// state is what these tests read about who answers: the document of "status --json", by the API.
type state struct {
	Mode       string
	Epoch      uint64
	Percent    int
	StoreID    string `json:"store_id"`
	OwnID      string `json:"own_id"`
	SoleOwner  bool   `json:"sole_owner"`
	Shared     bool
	FallenBack bool `json:"fallen_back"`
	Manual     bool
	Down       string // why commands are refused
	Conflicts  int

	SafeFallback       bool   `json:"safe_fallback"`
	SafeFallbackReason string `json:"safe_fallback_reason"`

	Legacy struct {
		Healthy, Whole bool
		Records        int
		Error          string
		ForeignWrites  int `json:"foreign_writes"`
	}
	Enhanced *struct {
		Healthy bool
		Error   string
		Lost    int
	}
	Mirror      struct{ Pending, Dirty int }
	Backfill    struct{ State string }
	Comparisons struct{ Match, Mismatch, Ignored int }
	Divergences struct{ Total, Unresolved int }
}

func stateOf(t *testing.T, p *sidecar.Process) (s state) {
	t.Helper()
	document, err := p.Status(t.Context())
	require.NoError(t, err)
	readJSON(t, document, &s)
	return s
}

// await waits until the status is as wanted, and returns it.
func await(t *testing.T, p *sidecar.Process, within time.Duration, what string, is func(state) bool) (s state) {
	t.Helper()
	began := time.Now()
	for {
		if s = stateOf(t, p); is(s) {
			return s
		}
		require.Less(t, time.Since(began), within, "%s; still %+v", what, s)
		wait(t, pollEvery)
	}
}

func inMode(mode string) func(state) bool {
	return func(s state) bool { return s.Mode == mode && !s.FallenBack }
}

func fallenBack(s state) bool { return s.FallenBack }

// safe is a sidecar that answers from the enhanced store, with a legacy that could take over at once.
func safe(mode string) func(state) bool {
	return func(s state) bool { return inMode(mode)(s) && s.SafeFallback && s.Legacy.Whole }
}

// done runs a verb that must succeed, and returns what it printed.
func done(t *testing.T, p *sidecar.Process, args ...string) string {
	t.Helper()
	stdout, stderr, code := p.Verb(args...)
	require.Zero(t, code, "%v: %s%s\n%+v", args, stdout, stderr, stateOf(t, p))
	return stdout
}

// refused runs a verb that a guard must refuse, and returns its words.
func refused(t *testing.T, p *sidecar.Process, args ...string) string {
	t.Helper()
	stdout, stderr, code := p.Verb(args...)
	require.Equal(t, exitRefused, code, "%v: %s%s\n%+v", args, stdout, stderr, stateOf(t, p))
	require.NotEmpty(t, stdout+stderr)
	return stdout + stderr
}

// flipped is the document of "mode M --json".
type flipped struct {
	Mode        string
	Epoch       uint64
	HeldMS      *float64        `json:"held_ms"`
	Drained     json.RawMessage `json:"drained"`
	MovedRoutes *int            `json:"moved_routes"`
}

// notNow is what a flip says that could not be because a store did not keep up just then. It has changed nothing.
var notNow = regexp.MustCompile(`cannot be reached|nothing (more )?has changed|meanwhile|legacy answers since`)

// flip changes the mode without asking for readiness. One that is refused for a moment, as happens on a busy machine, is
// asked for again.
func flip(t *testing.T, p *sidecar.Process, mode string, args ...string) (f flipped) {
	t.Helper()
	args = append([]string{"mode", mode, "--force", "--reason", "acceptance test", "--json"}, args...)
	for began := time.Now(); ; wait(t, pollEvery) {
		stdout, stderr, code := p.Verb(args...)
		if code == 0 {
			readJSON(t, stdout, &f)
			break
		}
		require.Regexp(t, notNow, stdout+stderr, "%v: %+v", args, stateOf(t, p))
		require.Less(t, time.Since(began), returnWithin, "%v: %s%s\n%+v", args, stdout, stderr, stateOf(t, p))
	}
	require.Equal(t, mode, f.Mode)
	require.NotNil(t, f.HeldMS)
	require.NotNil(t, f.MovedRoutes)
	require.Equal(t, mode, stateOf(t, p).Mode)
	return f
}

// quickly are arguments of serve that shorten the pause against flapping: these tests flap.
func quickly(args ...string) []string {
	return append([]string{"--circuit-breaker-min-fallback", "1s", "--log-level", "info"}, args...)
}

// above starts serve on a directory and takes it from shadow to a mode above it. Without an address the enhanced store
// is embedded.
func above(t *testing.T, mode, dir, redisAddr string, args ...string) *sidecar.Process {
	t.Helper()
	p := shadowOn(t, dir, redisAddr, quickly(args...)...)
	climb(t, p, mode)
	return p
}

// climb takes a sidecar in shadow to a mode above it.
func climb(t *testing.T, p *sidecar.Process, mode string) {
	t.Helper()
	filled(t, p, healWithin)
	switch mode {
	case "hybrid":
		flip(t, p, "hybrid", "--percent", "50", "--repos", "acme/infra")
		await(t, p, returnWithin, "safe in hybrid", safe("hybrid"))
	case "primary":
		flip(t, p, "primary")
		await(t, p, returnWithin, "safe in primary", safe("primary"))
	case "enhanced":
		flip(t, p, "primary")
		await(t, p, returnWithin, "safe in primary", safe("primary"))
		flip(t, p, "enhanced")
	}
}

// begin starts the load of these tests, fifty pull requests that meet at forty locks, and waits until it is at work.
func begin(t *testing.T, addr string, generation int) *traffic.Run {
	t.Helper()
	run := load(t, addr, generation)
	require.Eventually(t, func() bool { return run.Answered() > someCommands }, returnWithin, pollEvery/10)
	return run
}

// load is begin for a sidecar that may have ended.
func load(t *testing.T, addr string, generation int) *traffic.Run {
	t.Helper()
	think := 100 * time.Millisecond
	if sidecar.RaceDetector {
		think *= 5
	}
	return traffic.Start(t.Context(), traffic.Options{
		Addr: addr, Clients: 50, Repos: 10, Paths: 4, Think: think, Seed: uint64(generation), Generation: generation,
	})
}

// requireUnharmed ensures that no command failed and that no client saw what it may not see.
func requireUnharmed(t *testing.T, report *traffic.Report) {
	t.Helper()
	require.Empty(t, report.Failures)
	require.Empty(t, report.Violations)
	require.Greater(t, len(report.Samples), someCommands)
}

// requireRollback stops the sidecar and opens its file as Atlantis would: it holds exactly what the sidecar served, and
// so what the clients were answered.
func requireRollback(t *testing.T, p *sidecar.Process, reports ...*traffic.Report) {
	t.Helper()
	want := served(t, p)
	p.Stop()
	got := wireKeys(sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db")))
	for _, report := range reports {
		require.Empty(t, report.Check(want))
		require.Empty(t, report.Check(got))
	}
	require.Equal(t, want, got)
}
