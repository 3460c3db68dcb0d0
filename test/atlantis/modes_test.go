//go:build atlantis

package atlantis_test

import (
	"encoding/json"

	"github.com/stretchr/testify/require"
)

// Two repositories of acme: in mode hybrid, as these tests set it, the enhanced store answers the first, because it is
// named, and atlantis.db the second, whose hash is above 50 %.
const (
	insider  = "infra"
	outsider = "app"
)

const (
	refused   = 4 // exit code of a verb that a guard refuses
	flipTries = 5
)

// state is what these tests read in the document of "status --json".
type state struct {
	Mode         string
	FallenBack   bool `json:"fallen_back"`
	SafeFallback bool `json:"safe_fallback"`
	Legacy       struct{ Whole bool }
	Mirror       struct{ Pending, Dirty int }
	Backfill     struct{ State string }
	Divergences  struct{ Total, Unresolved int }
	Conflicts    int
}

func (r *rig) status() (s state) {
	r.t.Helper()
	document, err := r.sidecar.Status(r.t.Context())
	require.NoError(r.t, err)
	require.NoError(r.t, json.Unmarshal([]byte(document), &s))
	return s
}

// awaitState waits until the sidecar is as wanted.
func (r *rig) awaitState(what string, is func(state) bool) {
	r.t.Helper()
	require.True(r.t, eventually(r.t.Context(), settleWithin, func() bool { return is(r.status()) }), "%s: %+v", what, r.status())
}

// settled is a sidecar that does in its mode what that mode promises.
func settled(mode string) func(state) bool {
	return func(s state) bool {
		switch {
		case s.Mode != mode || s.FallenBack:
			return false
		case mode == "shadow":
			return s.Backfill.State == "done" && s.Mirror.Dirty == 0
		case mode == "hybrid" || mode == "primary":
			return s.SafeFallback && s.Legacy.Whole && s.Mirror.Dirty == 0
		}
		return true
	}
}

// first is the mode that a sidecar starts in, to come to another one.
func first(mode string) string {
	if mode == "legacy" {
		return mode
	}
	return "shadow"
}

// climb takes a sidecar that has just started for the first time to a mode.
func (r *rig) climb(mode string) {
	r.t.Helper()
	r.awaitState("started", settled(first(mode)))
	if mode == "enhanced" {
		r.flip("primary")
	}
	if mode != first(mode) {
		r.flip(mode)
	}
}

// flip changes the mode without asking for readiness, and waits until it is settled. It returns how many repositories
// with records are answered by another store now. On a machine that is busy a Redis can be slow enough for a fallback;
// then nothing has changed, and it is tried again after the return.
func (r *rig) flip(mode string) (moved int) {
	r.t.Helper()
	args := []string{"mode", mode, "--force", "--reason", "test", "--json"}
	if mode == "hybrid" {
		args = append(args, "--percent", "50", "--repos", "acme/"+insider)
	}
	stdout, stderr, code := r.sidecar.Verb(args...)
	for range flipTries {
		if code != refused {
			break
		}
		r.awaitState("returned", settled(r.status().Mode))
		stdout, stderr, code = r.sidecar.Verb(args...)
	}
	require.Zero(r.t, code, "%v: %s%s", args, stdout, stderr)
	var flipped struct {
		MovedRoutes int `json:"moved_routes"`
	}
	require.NoError(r.t, json.Unmarshal([]byte(stdout), &flipped))
	r.awaitState("flipped to "+mode, settled(mode))
	return flipped.MovedRoutes
}
