package acceptance

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// When the store falls silent under fifty clients, nobody waits for an answer longer than the second that is promised:
// not those whose commands it swallowed, and not those that came after.
func TestTheFirstAnswerAfterASilentFault(t *testing.T) {
	for _, o := range outages() {
		if !slices.Contains([]string{"stopped", "black hole", "answers after 5 s"}, o.name) {
			continue
		}
		t.Run(strings.ReplaceAll(o.name, " ", "-"), func(t *testing.T) {
			var worst []time.Duration
			m := watchMachine(t)
			for range silences {
				worst = append(worst, silence(t, o))
			}
			slices.Sort(worst)
			t.Logf("slowest answers of %d runs: %v", len(worst), worst)
			m.requireAnswerIn(t, worst[len(worst)-1], "the slowest of all")
		})
	}
}

// silence makes an outage under load, until legacy answers and the store is back. It returns how long the slowest
// command took meanwhile.
func silence(t *testing.T, o outage) time.Duration {
	t.Helper()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr)
	run := begin(t, p.Addr, 1)
	wait(t, 500*time.Millisecond)
	await(t, p, returnWithin, "safe before the fault", safe("primary"))
	began := time.Now()
	o.begin(t, r)
	await(t, p, returnWithin, "fallen back", fallenBack)
	wait(t, 200*time.Millisecond)
	left := time.Now()
	o.end(t, r)
	await(t, p, returnWithin, "back", safe("primary"))
	report := run.Stop()
	requireUnharmed(t, report)
	p.Stop()
	return report.Latency(began.Add(-time.Second), left).Max.Round(time.Millisecond)
}
