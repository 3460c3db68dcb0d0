package shadow

import (
	"slices"
	"sync"
	"time"
)

// latencyWindow is how many writes the latencies are about: the last ones.
const latencyWindow = 1000

// Latency keeps how long the same writes took on both sides. Both followers
// share one. All methods are safe for concurrent use; a nil Latency keeps none.
type Latency struct {
	mu    sync.Mutex
	taken map[Side][]time.Duration
	next  int
}

// NewLatency returns one that has seen no write.
func NewLatency() *Latency { return &Latency{taken: map[Side][]time.Duration{}} }

func (l *Latency) add(follower Side, authority, behind time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for side, took := range map[Side]time.Duration{follower: behind, follower.Other(): authority} {
		if len(l.taken[side]) < latencyWindow {
			l.taken[side] = append(l.taken[side], took)
		} else {
			l.taken[side][l.next] = took
		}
	}
	l.next = (l.next + 1) % latencyWindow
}

// P95 returns the 95th percentile of the last writes on both sides, and how many
// writes these were.
func (l *Latency) P95() (legacy, enhanced time.Duration, writes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p95 := func(side Side) time.Duration {
		sorted := slices.Sorted(slices.Values(l.taken[side]))
		if len(sorted) == 0 {
			return 0
		}
		return sorted[(len(sorted)*95+99)/100-1]
	}
	return p95(LegacySide), p95(EnhancedSide), len(l.taken[LegacySide])
}
