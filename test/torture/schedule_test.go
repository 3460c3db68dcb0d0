//go:build torture

package torture_test

import (
	"math/rand/v2"
	"slices"
	"time"
)

const faultsPerBlock = 10

// block is what happens between two rests. It follows from the seed and its number alone, so that a seed repeats it.
type block struct {
	mode   string
	old    bool // Atlantis before v0.40
	stop   bool // the sidecar is stopped in order at its end, and the file opened as Atlantis does
	faults []fault
}

type fault struct {
	kind  kind
	lasts time.Duration
	pick  int  // chooses within the kind
	soon  bool // the next one begins while the sidecar is still busy with this one
}

// kind is one way to fail.
type kind struct {
	name   string
	modes  []string // in which it happens; all if there is none
	weight int
	disk   bool // needs a file system of its own
	redis  bool // is Redis's alone: with a safe fallback Atlantis may see no error
	calm   bool // begins and ends with a sidecar that is well
	fresh  bool // begins with a sidecar that was just started: after other fallbacks the stay on legacy lasts minutes
	run    func(w *world, f fault)
}

func (k kind) happensIn(mode string) bool { return len(k.modes) == 0 || slices.Contains(k.modes, mode) }

// blockOf is the n-th block of a seed.
func blockOf(seed uint64, n int) block {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	modes := []string{"primary", "primary", "primary", "primary", "hybrid", "hybrid", "hybrid", "shadow", "shadow", "enhanced", "legacy"}
	b := block{mode: modes[random.IntN(len(modes))], old: n%3 == 1, stop: n%3 == 0}
	if n == 0 {
		b.mode = "primary"
	}
	var all []kind
	for _, k := range kinds() {
		for range k.weight {
			if k.happensIn(b.mode) {
				all = append(all, k)
			}
		}
	}
	for range faultsPerBlock {
		b.faults = append(b.faults, fault{
			kind:  all[random.IntN(len(all))],
			lasts: 100*time.Millisecond + time.Duration(random.IntN(1200))*time.Millisecond,
			pick:  random.IntN(1 << 20),
			soon:  random.IntN(4) == 0,
		})
	}
	return b
}
