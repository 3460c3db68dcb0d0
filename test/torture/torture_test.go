//go:build torture

package torture_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// settings of a run come from the environment; the Makefile names them.
func settings(t *testing.T) (seed uint64, lasts time.Duration) {
	seed, lasts = rand.Uint64N(1_000_000), time.Minute
	var err error
	if text := os.Getenv("SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "SEED")
	}
	if text := os.Getenv("DURATION"); text != "" {
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err, "DURATION")
	}
	return seed, lasts
}

func globbed(t *testing.T, pattern string) []string {
	found, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return found
}

// Whatever happens to the sidecar, to Redis, to the disk and to the network, while operators flip and fall back, every
// answer that a simulated Atlantis gets is one that some order of all commands explains, and at rest nothing that was
// acknowledged is lost, both stores are equal, and no difference is unexplained.
func TestTorture(t *testing.T) {
	seed, lasts := settings(t)
	dir, err := os.MkdirTemp("", fmt.Sprintf("torture-%d-", seed))
	require.NoError(t, err)
	w := newWorld(t, dir)
	w.log("seed %d, %s; logs in %s", seed, lasts, dir)
	require.True(t, w.settle())
	w.foundLedger()
	w.snapshot()
	end := w.began.Add(lasts)
	for n := 0; time.Now().Before(end) && !w.tally.failedSoFar(); n++ {
		w.live(seed, n, end)
	}
	if w.p.Running() {
		w.p.Stop()
	}
	w.keepLog()
	fmt.Println(w.tally.summary(seed, time.Since(w.began)))
	require.Empty(t, w.tally.violations, "seed %d; logs and pictures in %s", seed, dir)
	require.NoError(t, os.RemoveAll(dir))
}

// live is one block: load, a flip to its mode, its faults, and a rest.
func (w *world) live(seed uint64, n int, end time.Time) {
	b := blockOf(seed, n)
	l := begin(w.tally, seed, n, b.old, dialTo(w.now), dialTo(func() string { return w.front.Addr }))
	w.load = l
	if !b.old {
		w.ledger.rename()
	}
	w.log("block %d: mode %s, old %t", n, b.mode, b.old)
	w.flip(b.mode)
	if w.settle() {
		for i, f := range b.faults {
			if time.Now().After(end) || w.tally.failedSoFar() {
				break
			}
			w.log("fault %d.%d: %s", n, i, f.kind.name)
			w.inject(f)
		}
	}
	w.rest(l, b)
	w.log("rest: %d commands so far", w.tally.commands)
}

// inject makes one fault happen. One of Redis alone, in a sidecar that has a safe fallback, nobody may notice.
func (w *world) inject(f fault) {
	if f.kind.disk && !w.mount {
		w.tally.count(w.tally.skipped, f.kind.name)
		return
	}
	if f.kind.fresh { // a client that sends while connections are closed sees EOF, which is not this fault's
		restartSidecar(w, f)
	}
	if f.kind.calm && !w.calm() {
		return
	}
	before, err := w.state()
	safe := err == nil && f.kind.redis && before.well(w.mode) && (w.mode == "primary" || w.mode == "hybrid")
	failures, _ := w.tally.undisturbed()
	f.kind.run(w, f)
	w.tally.count(w.tally.faults, f.kind.name)
	wellAgain := w.settle
	if safe {
		wellAgain = w.calm
	}
	if f.soon && !f.kind.calm && !safe || !wellAgain() {
		return
	}
	if now, words := w.tally.undisturbed(); safe && now > failures {
		w.tally.violate("%d commands failed in mode %s though only this happened: %s: %s", now-failures, w.mode, f.kind.name, words)
	} else if safe {
		w.tally.guarded++
	}
}
