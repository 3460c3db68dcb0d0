package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// failpoints are the moments between two durable effects at which a test can kill the product, by the names that they
// have in its source.
func failpoints(t *testing.T) (names []string) {
	t.Helper()
	hit := regexp.MustCompile(`failpoint\.Hit\("([^"]+)"\)`)
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2 {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range hit.FindAllSubmatch(source, -1) {
			names = append(names, string(found[1]))
		}
		return err
	}))
	slices.Sort(names)
	names = slices.Compact(names)
	require.NotEmpty(t, names)
	return names
}

// Killed between any two durable effects of a command, a flip, a fallback or a return, the sidecar starts again with
// every answered lock where it was, none held twice, and both stores made equal.
func TestKilledAtAnyStepItGoesOnWhereItWas(t *testing.T) {
	for _, name := range failpoints(t) {
		for _, pass := range passesOf(name) {
			t.Run(fmt.Sprintf("%s:%d", name, pass), func(t *testing.T) {
				t.Parallel()
				dieAt(t, fmt.Sprintf("%s:%d", name, pass))
			})
		}
	}
}

// passesOf says at which of its passes a failpoint kills: what the acts of live do there, in their order.
func passesOf(name string) []int {
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "flip": // to hybrid, to primary, return
		return append([]int{1, 3}, more(2, 4, 5)...)
	case "keep": // the first is at the start, before anything can be asked
		return append([]int{2, 4}, more(3, 5, 6, 7, 8, 9, 10)...)
	case "reconcile": // the first may be before the process is ready, of this one the first two
		if name == "reconcile-remembered" {
			return append([]int{1, 3}, more(2, 4)...)
		}
		return append([]int{1, 2}, more(3, 4)...)
	case "conflict": // when it is found, when it is resolved
		return append([]int{1}, more(2)...)
	case "standby": // the first is at the start, before anything can be asked
		return append([]int{2}, more(3, 4, 5)...)
	case "leave": // by a fault, by an operator
		return append([]int{1}, more(2)...)
	case "legacy", "enhanced": // commands
		return append([]int{1, 20}, more(2, 3, 100)...)
	}
	return []int{1}
}

// more is for "make soak".
func more(passes ...int) []int {
	if !morePasses {
		return nil
	}
	return passes
}

func dieAt(t *testing.T, failpoint string) {
	r := newOutageRig(t)
	dir := filepath.Join(t.TempDir(), "data")
	args := quickly("--mode", "shadow", "--redis-addr", r.proxy.Addr)
	p := sidecar.Start(t, sidecar.Options{
		DataDir: dir, Args: args, Failpoints: true, Unready: true, Env: []string{"FAILPOINT_EXIT=" + failpoint},
	})
	run := load(t, p.Addr, 1)
	h := newChronicle("killed", 3)
	stop := h.watch(t, p.Addr, 6)
	act := live(t, r, p)
	require.False(t, p.Running(), "nothing of what was done has passed %s", failpoint)
	stop()
	report := run.Wait()
	require.Empty(t, report.Violations)
	t.Logf("killed in: %s", act)

	r.proxy.Set(faultproxy.Pass())
	p = sidecar.Start(t, sidecar.Options{DataDir: dir, Args: args, Unready: true})
	s := stateOf(t, p)
	for began := time.Now(); !settled(s) || s.Manual || s.Conflicts > 0; s = stateOf(t, p) { // a conflict is found when the store has been joined, and that may be late
		require.Less(t, time.Since(began), returnWithin, "not settled: %+v", s)
		if s.Manual || s.Conflicts > 0 {
			p.Verb("return", "--timeout", "5s") // refused while there is a conflict
			resolveAll(t, p, "legacy")
		}
		wait(t, pollEvery)
	}
	t.Logf("after the restart: %s, epoch %d", s.Mode, s.Epoch)
	require.Zero(t, s.Conflicts)
	h.read(t, p)
	require.Empty(t, report.Check(served(t, p)))
	report.LeaveApplyLock()
	again := begin(t, p.Addr, 2)
	stop = h.watch(t, p.Addr, 6)
	wait(t, 300*time.Millisecond)
	stop()
	last := again.Stop()
	require.Empty(t, last.Failures)
	require.Empty(t, last.Violations)
	h.read(t, p)
	h.check(t)
	switch s.Mode {
	case "legacy":
		requireRollback(t, p, report, last)
	case "enhanced":
		require.Equal(t, served(t, p), inRedis(t, r.redis))
	default:
		requireEqual(t, p, healWithin)
		require.Equal(t, served(t, p), inRedis(t, r.redis))
		requireRollback(t, p, report, last)
	}
}

// settled is a sidecar that has nothing left to do after a start.
func settled(s state) bool {
	switch s.Mode {
	case "legacy":
		return true
	case "shadow":
		return s.Enhanced.Healthy && s.StoreID != "" && slices.Contains([]string{"none", "done"}, s.Backfill.State)
	case "enhanced":
		return s.Enhanced.Healthy
	}
	return safe(s.Mode)(s) || s.Shared && inMode(s.Mode)(s) && s.Enhanced.Healthy
}

// live makes a sidecar do all that it can do, one act after the other, until it is killed in one, and returns that one's
// name.
func live(t *testing.T, r *outageRig, p *sidecar.Process) string {
	verb := func(args ...string) func() {
		return func() { p.Verb(args...) } // what it answers is of no interest: it may see the end of the process
	}
	mode := func(args ...string) func() {
		return verb(append(append([]string{"mode"}, args...), "--force", "--reason", "acceptance test")...)
	}
	acts := []struct {
		name string
		do   func()
		then func(state) bool
	}{
		{"start in shadow", func() {}, settled},
		{"flip to hybrid", mode("hybrid", "--percent", "50"), safe("hybrid")},
		{"flip to primary", mode("primary"), safe("primary")},
		{"fallback", func() { r.proxy.Set(faultproxy.Fault{Refuse: true}) }, fallenBack},
		{"return", func() { r.proxy.Set(faultproxy.Pass()) }, safe("primary")},
		{"manual fallback", verb("fallback", "--reason", "acceptance test"), fallenBack},
		{"manual return", verb("return"), safe("primary")},
		{"a conflict", func() { tear(t, r, p) }, func(s state) bool { return s.Conflicts == 1 }},
		{"a decision", func() { resolveAll(t, p, "enhanced"); p.Verb("return") }, safe("primary")},
		{"flip to enhanced", mode("enhanced"), inMode("enhanced")},
		{"flip back to primary", mode("primary"), safe("primary")},
		{"flip back to shadow", mode("shadow"), settled},
		{"flip back to legacy", mode("legacy"), func(s state) bool { return s.Mode == "legacy" }},
		{"flip from legacy to primary", mode("primary"), safe("primary")},
		{"admission", verb("admit", "11111111111111111111111111111111", "--reason", "acceptance test"), func(s state) bool { return s.Shared }},
	}
	for _, act := range acts {
		act.do()
		if !survives(t, p, act.do, act.then) {
			return act.name
		}
	}
	return "nothing"
}

const tornLock = "pr/acme/torn/./default/"

// tear lets somebody change a lock in Redis while legacy answers.
func tear(t *testing.T, r *outageRig, p *sidecar.Process) {
	t.Helper()
	c := impatient(t, p)
	_ = c.Set(t.Context(), tornLock, lockJSON("acme/torn", ".", 1), 0).Err() // its answer, like those of the verbs, is of no interest
	p.Verb("fallback", "--reason", "acceptance test")
	if r.redis.HGet(t.Context(), tornKey(t, r), "raw").Err() == nil {
		r.do(t, "HSET", tornKey(t, r), "raw", lockJSON("acme/torn", ".", 9), "owner_num", "9")
	}
	p.Verb("return", "--timeout", "2s")
}

// tornKey is where Redis has the lock, or would have it in partition 0.
func tornKey(t *testing.T, r *outageRig) (key string) {
	t.Helper()
	for partition := range 16 {
		key = fmt.Sprintf("%slock:{%02d}:%s", prefix, 15-partition, strings.TrimPrefix(tornLock, "pr/"))
		if r.redis.Exists(t.Context(), key).Val() == 1 {
			return key
		}
	}
	return key
}

// resolveAll decides every conflict that there is, as far as the sidecar lives.
func resolveAll(t *testing.T, p *sidecar.Process, keep string) {
	t.Helper()
	document, err := p.Status(t.Context())
	if err != nil {
		return
	}
	var s state
	readJSON(t, document, &s)
	if s.Conflicts == 0 {
		return
	}
	var list struct{ Conflicts []struct{ ID int } }
	text, _, _ := p.Verb("conflicts", "list", "--json")
	_ = json.Unmarshal([]byte(text), &list) // nothing, if the process has ended
	for _, c := range list.Conflicts {
		p.Verb("conflicts", "resolve", fmt.Sprint(c.ID), "--keep", keep, "--reason", "acceptance test")
	}
}

// survives waits until the status is as wanted; false means that the process has ended. An act that was refused, because
// a follower was behind just then, is done again.
func survives(t *testing.T, p *sidecar.Process, again func(), is func(state) bool) bool {
	t.Helper()
	var s state
	asked := time.Now()
	for began := time.Now(); p.Running(); wait(t, pollEvery) {
		if time.Since(asked) > 5*time.Second {
			again()
			asked = time.Now()
		}
		require.Less(t, time.Since(began), returnWithin, "neither killed nor done: %+v", s)
		document, err := p.Status(t.Context())
		if err != nil {
			continue // it may be on its way out
		}
		readJSON(t, document, &s)
		if is(s) {
			return true
		}
	}
	return false
}
