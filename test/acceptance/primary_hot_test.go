package acceptance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
)

// Sixteen pull requests at one lock, whose commands wait for each other, do not make the way to legacy longer when the
// store falls silent: each would wait for its own time-out if it went on asking.
func TestAHotLockIsNoLongerWayToLegacy(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr)
	m := watchMachine(t)
	h := newChronicle("hot", 1)
	stop := h.watch(t, p.Addr, 16)
	wait(t, 500*time.Millisecond)
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	began := time.Now()
	r.proxy.Set(faultproxy.BlackHole())
	await(t, p, returnWithin, "fallen back", fallenBack)
	left := time.Since(began)
	wait(t, 300*time.Millisecond)
	r.proxy.Set(faultproxy.Pass())
	await(t, p, returnWithin, "back", safe("primary"))
	stop()
	t.Logf("left after %s, slowest command %s", left.Round(time.Millisecond), h.slowest().Round(time.Millisecond))
	require.Empty(t, h.failed())
	m.requireAnswerIn(t, h.slowest(), "the slowest command")
	h.read(t, p)
	h.check(t)
	requireEqual(t, p, healWithin)
	requireRollback(t, p)
}

// A store that stalls for a moment, is spared because it answers again, and then stalls for good is left as one
// that falls silent at once: the first stall takes nothing from the standby that the second needs.
func TestAStoreThatStallsTwiceIsLeftWithoutAnError(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.server.Addr)
	run := begin(t, p.Addr, 1)
	h := newChronicle("stall", 3)
	stop := h.watch(t, p.Addr, 6)
	wait(t, 500*time.Millisecond)
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	for _, stall := range []time.Duration{410 * time.Millisecond, outageFor} {
		r.server.Pause()
		wait(t, stall)
		r.server.Resume()
		wait(t, 10*time.Millisecond)
	}
	await(t, p, returnWithin, "back", safe("primary"))
	stop()
	report := run.Stop()
	t.Logf("%s", report)
	require.Empty(t, h.failed())
	requireUnharmed(t, report)
	h.read(t, p)
	h.check(t)
	requireEqual(t, p, healWithin)
	requireRollback(t, p, report)
}
