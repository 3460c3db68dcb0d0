//go:build torture

package torture_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// tally is what a run has come to so far. Its methods are safe for concurrent use.
type tally struct {
	log func(format string, args ...any)

	mu         sync.Mutex
	commands   int
	slowest    [2]time.Duration // on the clients' own way, and on the one through the proxy
	refusals   map[string]int
	errors     map[string]int // by their words, of the network
	failures   int            // of clients on their own way
	lastFail   string
	lates      int
	doubles    int
	violations []string
	faults     map[string]int
	skipped    map[string]int
	keys       int
	blocks     int
	found      int // divergences and conflicts that were injected
	explained  map[string]int
	guarded    int
	demoted    int
}

func newTally(log func(string, ...any)) *tally {
	return &tally{log: log, refusals: map[string]int{}, errors: map[string]int{}, faults: map[string]int{}, skipped: map[string]int{}, explained: map[string]int{}}
}

func (t *tally) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	t.violations = append(t.violations, text)
	n := len(t.violations)
	t.mu.Unlock()
	if n <= 50 {
		t.log("VIOLATION %s", text)
	}
}

func (t *tally) answered(proxied bool, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.commands++
	way := 0
	if proxied {
		way = 1
	}
	t.slowest[way] = max(t.slowest[way], took)
}

func (t *tally) refused(code string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusals[code]++
}

// failed is a command without an answer, or with one that is an error. Only these codes are an answer that may be.
func (t *tally) failed(proxied bool, err error) {
	code := "no answer"
	if answered(err) {
		code, _, _ = strings.Cut(err.Error(), " ")
		if code != "STOREDOWN" && code != "LOADING" {
			t.violate("an answer that may not be: %v", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusals[code]++
	if !proxied {
		t.failures++
		t.lastFail = err.Error()
	}
}

// undisturbed is how many commands of clients on their own way have failed so far, and the last words.
func (t *tally) undisturbed() (int, string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures, t.lastFail
}

func (t *tally) count(into map[string]int, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	into[name]++
}

func (t *tally) late()    { t.mu.Lock(); defer t.mu.Unlock(); t.lates++ }
func (t *tally) doubled() { t.mu.Lock(); defer t.mu.Unlock(); t.doubles++ }

func (t *tally) failedSoFar() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.violations) > 0
}

func (t *tally) summary(seed uint64, took time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "  %-46s %v\n", name, value) }
	total := 0
	for _, n := range t.faults {
		total += n
	}
	fmt.Fprintf(&b, "\ntorture, seed %d, %s\n", seed, took.Round(time.Second))
	line("faults", fmt.Sprintf("%d of %d kinds", total, len(t.faults)))
	for _, name := range slices.Sorted(maps.Keys(t.faults)) {
		line("  "+name, t.faults[name])
	}
	for _, name := range slices.Sorted(maps.Keys(t.skipped)) {
		line("  not possible here: "+name, t.skipped[name])
	}
	line("commands answered and checked", t.commands)
	line("histories checked (keys)", t.keys)
	line("sent twice at once, sent again late", fmt.Sprintf("%d, %d", t.doubles, t.lates))
	for _, code := range slices.Sorted(maps.Keys(t.refusals)) {
		line("refusals: "+code, t.refusals[code])
	}
	line("worst answer; through the proxy", fmt.Sprintf("%s; %s", t.slowest[0].Round(time.Millisecond), t.slowest[1].Round(time.Millisecond)))
	line("rests: stores equal, all acknowledged there", t.blocks)
	line("faults of Redis that nobody noticed", t.guarded)
	line("modes given up because the store was lost", t.demoted)
	line("injected changes, all found", t.found)
	for _, cause := range slices.Sorted(maps.Keys(t.explained)) {
		line("divergences explained: "+cause, t.explained[cause])
	}
	line("violations", len(t.violations))
	return b.String()
}
