package cutover_test

import (
	"fmt"
	"hash/maphash"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// scenario is a beginning, and what may happen from there.
type scenario struct {
	name  string
	begin world
}

// serving is a sidecar that serves in a mode, with both stores equal and empty.
func serving(mode uint8, commands, stops, faults, flips uint8) world {
	a := assignment{epoch: 1, mode: mode}
	if mode >= hybridMode {
		a.store = 1
	}
	return world{
		local: a, remote: a, now: a, up: true, contents: 1, ids: 1, met: 1, owner: 1, doing: running, joined: true,
		seq: 9, inMemory: 9, seen: 9,
		mark: mode == hybridMode || mode == primaryMode, commands: commands, stops: stops, faults: faults, flips: flips,
	}
}

func with(w world, change func(*world)) world {
	change(&w)
	return w
}

// scenarios are searched to the end. In a hurry each may have one event less.
func scenarios(hurry bool) []scenario {
	all := []scenario{
		{"primary", serving(primaryMode, 3, 1, 2, 0)},
		{"hybrid", serving(hybridMode, 3, 1, 1, 0)},
		{"flips", serving(shadowMode, 2, 1, 1, 2)},
		{"enhanced and back", serving(enhancedMode, 2, 1, 1, 2)},
		{"rollback", with(serving(primaryMode, 3, 2, 1, 0), func(w *world) { w.rollback = true })},
		{"second sidecar", with(serving(primaryMode, 2, 2, 1, 1), func(w *world) { w.takeOver = true })},
	}
	for _, begin := range []world{serving(primaryMode, 2, 2, 1, 0), serving(hybridMode, 2, 2, 1, 0), serving(shadowMode, 2, 1, 1, 1)} {
		begin.putBack = true
		all = append(all, scenario{"older file, mode " + string(shadow.Modes()[begin.local.mode]), begin})
	}
	for i := range all {
		if hurry {
			all[i].begin.commands--
		}
	}
	return all
}

// step is how a state was reached.
type step struct {
	from   int32
	what   string
	client int8
	key    int8
}

func (s step) String() string {
	if s.client < 0 {
		return s.what
	}
	return fmt.Sprintf("pull %c of key %d %s", 'A'+s.client, s.key, s.what)
}

// search visits every state that can be reached, those with fewer steps first,
// until it finds one in which something is wrong. It returns how many there are,
// and the shortest way to what is wrong. States are known by a hash: of two in some
// ten million that share one, the second would be left out.
func search(o *oracle, fault string, begin world) (states int, trace []string) {
	seed := maphash.MakeSeed()
	known := map[uint64]struct{}{maphash.Comparable(seed, begin): {}}
	steps := []step{{from: -1}}
	level := []world{begin}
	first := int32(0) // the number of the first state of this level
	m := &model{oracle: o, fault: fault, copied: begin.local}
	for len(level) > 0 && trace == nil {
		var deeper []world
		for i, w := range level {
			m.emit = func(what string, client, key int, next world, wrong string) {
				if trace != nil {
					return
				}
				hash := maphash.Comparable(seed, next)
				if _, seen := known[hash]; seen && wrong == "" {
					return
				}
				known[hash] = struct{}{}
				deeper = append(deeper, next)
				steps = append(steps, step{first + int32(i), what, int8(client), int8(key)})
				if wrong == "" {
					wrong = m.judge(&next)
				}
				if wrong != "" {
					trace = append(way(steps, int32(len(steps)-1)), "WRONG: "+wrong)
				}
			}
			m.next(w)
		}
		first += int32(len(level))
		level = deeper
	}
	return len(known), trace
}

// way is the steps to a state.
func way(steps []step, n int32) []string {
	if steps[n].from < 0 {
		return nil
	}
	return append(way(steps, steps[n].from), steps[n].String())
}

// In every state that the small world can get into, one store answers for a
// route, no lock that somebody was told to hold is lost, no lock has two
// holders, no fence goes back, and the data directory tells the truth about
// what a rollback would find.
func TestNoInterleavingLosesALock(t *testing.T) {
	o := newOracle()
	for _, s := range scenarios(testing.Short() || sidecar.RaceDetector) {
		t.Run(s.name, func(t *testing.T) {
			states, trace := search(o, "", s.begin)
			require.Empty(t, strings.Join(trace, "\n"))
			t.Logf("%d states", states)
		})
	}
}
