package acceptance

import (
	"slices"
	"strings"
	"testing"
)

// startSteps are the failpoints that a start passes after a crash in a mode, with a Redis as it finds it. Those of the
// last are for "make soak".
func startSteps() []struct{ mode, redis, points string } {
	const equal = "reconcile-joined reconcile-remembered reconcile-equalized keep-remote "
	const unmarked = "standby-before-mark-removed standby-mark-removed "
	all := []struct{ mode, redis, points string }{
		{"primary", "up", equal + unmarked},
		{"primary", "down", unmarked + "keep-local"},
		{"primary fallen back", "up", equal + "keep-local flip-held flip-drained flip-marked flip-kept"},
		{"enhanced", "empty", "reconcile-joined keep-remote"},
	}
	if !morePasses {
		return all
	}
	return append(all, []struct{ mode, redis, points string }{
		{"primary", "empty", equal + unmarked + "keep-local"},
		{"primary", "older", equal + unmarked + "keep-local"},
		{"primary fallen back", "empty", equal + "keep-local"},
		{"primary fallen back", "older", equal + "keep-local"},
		{"shadow", "up", equal + unmarked},
		{"shadow", "empty", equal + unmarked + "keep-local"},
		{"shadow", "older", equal + unmarked},
		{"enhanced", "up", equal + unmarked},
		{"enhanced", "older", "reconcile-joined keep-remote " + unmarked},
	}...)
}

// Killed a second time, at any step of the start after a crash, the sidecar comes to the state that the first crash and the
// Redis that it finds ask for, and guesses nothing on the way.
func TestKilledInAStartItGoesOnTheNextTime(t *testing.T) {
	for _, step := range startSteps() {
		t.Run(step.mode+" "+step.redis, func(t *testing.T) {
			t.Parallel()
			mode, fallen := strings.CutSuffix(step.mode, " fallen back")
			left := stopIn(t, mode, fallen, true)
			all := restarts(mode, fallen)
			then := all[slices.IndexFunc(all, func(r restart) bool { return r.redis == step.redis })]
			for _, point := range strings.Fields(step.points) {
				t.Run(point, func(t *testing.T) { startAgain(t, left, mode, then, point+":1") })
			}
		})
	}
}
