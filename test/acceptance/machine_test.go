package acceptance

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// machine knows how long it has kept this process from running, and so about how long it kept the others.
type machine struct{ worst atomic.Int64 }

// watchMachine looks until the test ends.
func watchMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		const every = 10 * time.Millisecond
		tick := time.NewTicker(every)
		defer tick.Stop()
		for last := time.Now(); ; last = time.Now() {
			select {
			case <-tick.C:
				m.worst.Store(max(m.worst.Load(), int64(time.Since(last)-every)))
			case <-end:
				return
			}
		}
	}()
	t.Cleanup(func() { close(end); <-ended })
	return m
}

// turns is how often the processes between a client and its answer wait for a core, one after the other, when legacy has
// to take over: client, sidecar, Redis, proxy, and the sidecar again for each of its time limits.
const turns = 6

// requireAnswerIn ensures that the slowest answer was in time, but for what the machine may have added.
func (m *machine) requireAnswerIn(t *testing.T, slowest time.Duration, what string) {
	t.Helper()
	stall := time.Duration(m.worst.Load())
	require.Less(t, slowest, slowestAnswer+turns*stall, "%s; the machine kept this process waiting for up to %s", what, stall)
}
