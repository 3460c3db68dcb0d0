package acceptance

import (
	"fmt"
	"testing"
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// stall is the delay that mode shadow may not add to any command.
const stall = 40 * time.Millisecond

// pair is a sidecar in mode shadow and one in mode legacy, on one disk, under the same load at the same time: whatever
// the machine does meanwhile it does to both.
type pair struct {
	shadow, legacy *sidecar.Process
	generation     int
}

// load begins fifty clients on each. They pause, so that the two cores of a small machine are not the bottleneck.
func (p *pair) load(t *testing.T) (stop func() (shadow, legacy *traffic.Report)) {
	p.generation++
	options := func(addr string) traffic.Options {
		return traffic.Options{
			Addr: addr, Clients: 50, Repos: 10, Paths: 4, Think: 100 * time.Millisecond,
			Seed: uint64(p.generation), Generation: p.generation,
		}
	}
	one := traffic.Start(t.Context(), options(p.shadow.Addr))
	other := traffic.Start(t.Context(), options(p.legacy.Addr))
	return func() (*traffic.Report, *traffic.Report) {
		shadow := one.Stop()
		return shadow, other.Stop()
	}
}

// addedDelay says what mode shadow added to the answers, "" if nothing:
//
//   - the median may be at most twice that of legacy;
//   - no command may take longer than 40 ms that legacy can't have had too: a stall counts as the machine's, not as
//     shadow's own, only if legacy's worst command within a second before or after took at least half as long.
func addedDelay(shadow, legacy *traffic.Report) string {
	mine, theirs := shadow.Latency(time.Time{}, time.Time{}), legacy.Latency(time.Time{}, time.Time{})
	if mine.Median > 2*theirs.Median {
		return fmt.Sprintf("median %s, legacy %s", mine.Median, theirs.Median)
	}
	if own := ownStalls(shadow, legacy); len(own) > 0 {
		return fmt.Sprintf("%d stalls, the first a %s at %s that took %s", len(own), own[0].Op, own[0].At.Format("15:04:05.000"), own[0].Took)
	}
	return ""
}

// ownStalls are the samples of one over 40 ms to which the other has none alike at the time.
func ownStalls(of, other *traffic.Report) (own []traffic.Sample) {
	for _, s := range of.Samples {
		if s.Took <= stall {
			continue
		}
		around := other.Latency(s.At.Add(-time.Second), s.At.Add(s.Took+time.Second))
		if around.Max < s.Took/2 {
			own = append(own, s)
		}
	}
	return own
}
