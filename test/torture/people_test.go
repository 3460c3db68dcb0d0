//go:build torture

package torture_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func flipThereAndBack(w *world, f fault) {
	home := w.mode
	var others []string
	for _, mode := range []string{"legacy", "shadow", "hybrid", "primary", "enhanced"} {
		if mode != home {
			others = append(others, mode)
		}
	}
	w.flip(others[f.pick%len(others)])
	w.wait(f.lasts / 2)
	w.flip(home)
}

func fallBackAndReturn(w *world, f fault) {
	w.act("fallback", "--reason", "torture")
	w.wait(f.lasts)
	w.settle() // it may be refused while the follower is behind
}

func drillOutage(w *world, f fault) {
	w.act("drill", "outage", "--for", (time.Second + f.lasts/2).String(), "--reason", "torture")
}

func lookAround(w *world, f fault) {
	w.verb("verify", "--timeout", "20s")
	file := filepath.Join(w.dir, fmt.Sprintf("backup-%d.db", time.Now().UnixNano()))
	w.verb("backup", file)
	sidecar.CheckAtlantisDB(w.t, file)
	require.NoError(w.t, os.Remove(file))
	w.verb("drill", "rollback")
}

// secondSidecar comes with a data directory of its own to the store that has an owner.
func secondSidecar(w *world, f fault) {
	p := sidecar.Start(w.t, sidecar.Options{Args: w.serveArgs()})
	c := p.Client(w.t)
	const key = "pr/acme/second/./default/"
	value := traffic.LockJSON("acme/second", ".", 1, 1)
	if err := c.Set(w.t.Context(), key, value, 0).Err(); err != nil {
		w.tally.violate("second sidecar: its own legacy: %v", err)
	}
	w.wait(f.lasts)
	if got := c.Get(w.t.Context(), key).Val(); got != value {
		w.tally.violate("second sidecar: its lock is gone")
	}
	document, err := p.Status(w.t.Context())
	var s state
	require.NoError(w.t, err)
	require.NoError(w.t, json.Unmarshal([]byte(document), &s))
	if s.Enhanced.Healthy {
		w.tally.violate("second sidecar: it takes part in a store that has an owner")
	}
	p.Stop()
}

// tamper changes a record in Redis that no pull request works on, has verify find it, and repair make the stores equal:
// to legacy's where legacy answers, to the changed one where Redis does.
func tamper(w *world, f fault) {
	key, changed := w.ledger.toChange(f.pick)
	if key == "" {
		w.tally.violate("there is no lock that can be changed by hand")
		return
	}
	w.ledger.injected(key)
	w.rewrite(key, changed)
	for began := time.Now(); ; w.wait(pollEvery) {
		stdout, stderr, code := w.p.Verb("verify", "--json", "--timeout", "10s")
		var v struct {
			Verdict     string
			Differences []struct{ Kind, Record string }
		}
		s, _ := w.state()
		switch {
		case s.Conflicts > 0 || s.FallenBack: // an overloaded machine: legacy took over just now
			w.resolve(key, changed, f.pick)
			return
		case json.Unmarshal([]byte(stdout), &v) == nil && code == exitNo && v.Verdict == "none":
			w.gentle(true)
			if time.Since(began) < wellWithin {
				continue
			}
		}
		if code != exitNo || len(v.Differences) != 1 || v.Differences[0].Record != key {
			w.tally.violate("verify does not find that %s was changed, or finds more: %d %s%s", key, code, stdout, stderr)
			return
		}
		break
	}
	w.gentle(false)
	var r struct{ Different, Repaired int }
	document := w.verb("repair", "--json", "--timeout", "20s")
	if json.Unmarshal([]byte(document), &r) == nil && r.Different > r.Repaired { // legacy took over in the middle of it
		w.resolve(key, changed, f.pick)
		return
	}
	if w.mode != "shadow" {
		w.ledger.set(key, changed)
	}
	w.tally.found++
}

// makeConflict changes a lock in Redis while legacy answers, and decides for one side.
func makeConflict(w *world, f fault) {
	key, changed := w.ledger.toChange(f.pick)
	if key == "" {
		w.tally.violate("there is no lock that can be changed by hand")
		return
	}
	w.act("fallback", "--reason", "torture")
	w.ledger.injected(key)
	w.rewrite(key, changed)
	w.resolve(key, changed, f.pick)
}

// resolve waits for the conflict that a changed lock is to become, and decides it.
func (w *world) resolve(key, changed string, pick int) {
	w.t.Helper()
	w.p.Verb("return", "--timeout", "2s")
	var s state
	for began := time.Now(); s.Conflicts == 0; w.wait(pollEvery) {
		s, _ = w.state()
		if time.Since(began) > wellWithin {
			w.tally.violate("%s was changed while legacy answered, and there is no conflict: %+v", key, s)
			return
		}
	}
	var list struct {
		Conflicts []struct {
			ID     int
			Record string
		}
	}
	document := w.verb("conflicts", "list", "--json")
	if json.Unmarshal([]byte(document), &list) != nil || len(list.Conflicts) != 1 || list.Conflicts[0].Record != key {
		w.tally.violate("conflicts are not %s alone: %s", key, document)
		return
	}
	keep := []string{"legacy", "enhanced"}[pick%2]
	w.verb("conflicts", "resolve", itoa(list.Conflicts[0].ID), "--keep", keep, "--reason", "torture")
	if keep == "enhanced" {
		w.ledger.set(key, changed)
	}
	w.settle()
	w.tally.found++
}
