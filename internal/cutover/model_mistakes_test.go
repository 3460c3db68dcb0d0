package cutover_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The model finds what it is there to find: each of these mistakes, put into
// its rules one at a time, makes it reach a state in which something is wrong.
func TestTheModelFindsMistakes(t *testing.T) {
	primary, hybrid := serving(primaryMode, 3, 1, 2, 0), serving(hybridMode, 3, 1, 2, 0)
	flips := serving(shadowMode, 2, 1, 1, 2)
	retired := serving(enhancedMode, 2, 1, 1, 2)
	rollback := with(serving(primaryMode, 3, 2, 1, 0), func(w *world) { w.rollback = true })
	second := with(serving(primaryMode, 2, 2, 1, 2), func(w *world) { w.takeOver = true })
	older := with(serving(primaryMode, 2, 2, 1, 0), func(w *world) { w.putBack = true })
	olderMode := with(serving(shadowMode, 2, 1, 1, 1), func(w *world) { w.putBack = true })
	lost := serving(primaryMode, 3, 0, 1, 1)

	o := newOracle()
	for fault, begin := range map[string]world{
		// A write where the enhanced store answers.
		"OK before legacy has it":                          primary,
		"the mark stays":                                   primary,
		"the mark goes after the OK":                       primary,
		"a command without an answer lets its key go":      primary,
		"a command whose client is gone lets its key go":   primary,
		"a write in doubt leaves the mark":                 primary,
		"reads pass by a write under way":                  hybrid,
		"whole while a change is pending":                  hybrid,
		"legacy keeps no versions":                         primary,
		"an older store is not noticed":                    hybrid,
		"a fallback without the mark":                      primary, // leaving and coming back
		"a fallback is not kept":                           hybrid,
		"a fallback does not wait for commands":            primary,
		"nobody asks what atlantis.db has kept":            primary,
		"a join lets late writes in":                       primary,
		"versions begin anew in a new store":               lost,
		"a flip does not wait for commands":                flips, // flips
		"a flip does not drain":                            flips,
		"a flip keeps no versions":                         flips,
		"a switch is released before it is kept":           flips,
		"a flip goes on though nobody knows what was kept": flips,
		"legacy is marked while a change is pending":       flips,
		insideUnseen:                                               retired,
		"legacy is retired with its mark":                          retired,
		"legacy is whole after a crash":                            primary, // starts
		"a stale mark stays at a start":                            hybrid,
		"a foreign writer is not noticed":                          rollback,
		"a foreign writer is forgotten by the start that finds it": rollback,
		olderUnseen: older,
		"nobody knows the mode of the file that was there":  olderMode,
		"a flip takes the answers away from other sidecars": second, // other sidecars
		"a take-over trusts the mark until it has joined":   second,
		admittedWithFallback:                                second,
	} {
		t.Run(fault, func(t *testing.T) {
			states, trace := search(o, fault, begin)
			require.NotEmpty(t, trace, "not found in %d states", states)
			t.Logf("found after %d states:\n%s", states, strings.Join(trace, "\n"))
		})
	}
}
