package traffic

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Report is what came of a run.
type Report struct {
	Samples []Sample
	// Failures are the errors of commands; a refusal is none.
	Failures []error
	// Violations say what no client may ever see: a lock it holds in other hands or gone, or another pull status than
	// the one it wrote.
	Violations []string

	clients []*pullRequest
}

// Check holds the contents of a store, wire key to value, to what was answered: every lock that a client was granted
// and every status that it wrote is there byte for byte, and no lock of a client that gave it up. A change whose answer
// never came may have been made or not. It returns what is wrong, one sentence each.
func (r *Report) Check(store map[string]string) (wrong []string) {
	known := map[string]bool{}
	expect := func(p *pullRequest, key, value string) {
		known[key] = true
		got := store[key]
		if got == value || key == p.open.key && got == p.open.value {
			return
		}
		wrong = append(wrong, fmt.Sprintf("pull #%d: %s: %s, want %s", p.number, key, brief(got), brief(value)))
	}
	for _, p := range r.clients {
		for key, value := range p.held {
			expect(p, key, value)
		}
		expect(p, p.statusKey(), p.status)
		if p.admin && p.looked {
			expect(p, applyLock, p.applyLock)
		}
		if p.open.key != "" && store[p.open.key] == p.open.value {
			known[p.open.key] = true
		}
	}
	for _, p := range r.clients {
		for path := range p.paths {
			if key := lockKey(p.repo, path); store[key] != "" && !known[key] {
				known[key] = true
				wrong = append(wrong, fmt.Sprintf("%s: %s, want none", key, brief(store[key])))
			}
		}
	}
	return wrong
}

// LeaveApplyLock ends what Check expects of the apply lock: all runs on a store have the same one, and a later one turns it
// on and off too.
func (r *Report) LeaveApplyLock() {
	for _, p := range r.clients {
		p.looked = false
	}
}

// Writes is how many commands changed something, or tried to.
func (r *Report) Writes() (n int) {
	for _, s := range r.Samples {
		if s.Op != "get" && s.Op != "scan" {
			n++
		}
	}
	return n
}

// Latency sums up samples.
type Latency struct {
	N                int
	Median, P99, Max time.Duration
}

func (l Latency) String() string {
	return fmt.Sprintf("%d commands, median %s, p99 %s, max %s", l.N,
		l.Median.Round(time.Microsecond), l.P99.Round(time.Microsecond), l.Max.Round(time.Microsecond))
}

// Latency of the samples between two moments; the zero moments are the beginning and the end.
func (r *Report) Latency(from, to time.Time) Latency {
	var took []time.Duration
	for _, s := range r.Samples {
		if (from.IsZero() || !s.At.Before(from)) && (to.IsZero() || s.At.Before(to)) {
			took = append(took, s.Took)
		}
	}
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	return Latency{N: len(took), Median: took[len(took)/2], P99: took[len(took)*99/100], Max: took[len(took)-1]}
}

// String tells what was sent, for a log.
func (r *Report) String() string {
	ops := map[string]int{}
	for _, s := range r.Samples {
		ops[s.Op]++
	}
	var b strings.Builder
	for _, op := range []string{"get", "set", "del", "eval", "scan"} {
		fmt.Fprintf(&b, "%d %s, ", ops[op], op)
	}
	fmt.Fprintf(&b, "%d failures, %d violations; %s", len(r.Failures), len(r.Violations), r.Latency(time.Time{}, time.Time{}))
	return b.String()
}
