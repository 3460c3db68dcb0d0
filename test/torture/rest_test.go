//go:build torture

package torture_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// backWithin is how long a Redis that is back may still be refused: the second of go-redis, and a slow machine's.
const backWithin = 5 * time.Second

// What goes into the ledger at each rest.
const (
	locksKept    = 6
	statusesKept = 2
)

// rest ends the load and checks everything there is to check while nobody works.
func (w *world) rest(l *load, b block) {
	w.t.Helper()
	well := w.settle()
	l.end()
	if !well || !w.settle() {
		return
	}
	c := newClient(dialTo(w.now))
	defer c.Close()
	from := l.now()
	there, err := w.allThereIs(c)
	to := l.now()
	if err != nil {
		w.tally.violate("at rest: %v", err)
		return
	}
	w.checkHistories(l, there, from, to)
	w.checkLedger(there, l)
	w.checkStores(there)
	w.checkDivergences()
	if w.tally.failedSoFar() {
		return
	}
	w.clean(l, there)
	if b.stop {
		w.stopAndOpen()
	}
	w.snapshot()
	w.tally.blocks++
	w.lossy = false
}

// allThereIs asks again where a Redis is just back and nothing answers in place of it: for up to a second after that,
// go-redis gives who needs one more connection the error of the last that was refused.
func (w *world) allThereIs(c *redis.Client) (there map[string]string, err error) {
	for began := time.Now(); ; w.wait(pollEvery) {
		there, err = served(c)
		refused := err != nil && strings.Contains(err.Error(), "STOREDOWN ")
		if !refused || w.mode != "enhanced" || time.Since(began) > backWithin {
			return there, err
		}
	}
}

func (w *world) now() string { return w.addr.Load().(string) }

// checkHistories adds what is there in the end as a last read of each key, and holds all to the model.
func (w *world) checkHistories(l *load, there map[string]string, from, to int64) {
	events := l.history
	for _, r := range l.records {
		read := porcupine.Operation{ClientId: 0, Input: call{op: "get"}, Call: from, Return: to}
		last := reply{}
		if value, is := there[r.key]; is {
			known, is := l.written.Load(value)
			if !is || known.(written).of != r {
				w.tally.violate("%s holds bytes that nobody wrote there", r.key)
				continue
			}
			last.held = known.(written).version
		}
		read.Output = last
		events = append(events, event{r, read})
	}
	w.tally.keys += len(l.records)
	for _, wrong := range check(events, w.dir) {
		w.tally.violate("%s", wrong)
	}
}

// checkLedger ensures that what was acknowledged in earlier blocks is as it was, and that there is nothing else but what
// this block has written.
func (w *world) checkLedger(there map[string]string, l *load) {
	for key, value := range w.ledger.records {
		if got, is := there[key]; !is || got != value {
			w.tally.violate("acknowledged record %s: there %t, as it was %t", key, is, got == value)
		}
	}
	ours := map[string]bool{}
	for _, r := range l.records {
		ours[r.key] = true
	}
	for key := range there {
		if _, is := w.ledger.records[key]; !is && !ours[key] {
			w.tally.violate("%s is there, and nobody wrote it", key)
		}
	}
}

// checkStores reads both stores without the sidecar's help, and has it verify them.
func (w *world) checkStores(there map[string]string) {
	w.t.Helper()
	if w.mode == "enhanced" {
		w.compare("Redis", w.inRedis(), there)
		return
	}
	if w.mode != "legacy" {
		w.verb("verify", "--timeout", "20s")
		w.compare("Redis", w.inRedis(), there)
	}
	file := filepath.Join(w.dir, fmt.Sprintf("rest-%d.db", w.tally.blocks))
	w.verb("backup", file)
	w.compare("atlantis.db", wireKeys(sidecar.ReadAtlantisDB(w.t, file)), there)
	if !w.tally.failedSoFar() {
		require.NoError(w.t, os.Remove(file))
	}
}

func (w *world) compare(store string, got, want map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if value, is := got[key]; value != want[key] {
			w.tally.violate("%s of %s: there %t, and not what is served", key, store, is)
		}
	}
	for key := range got {
		if _, is := want[key]; !is {
			w.tally.violate("%s of %s is not served", key, store)
		}
	}
}

// wireKeys are the records of atlantis.db by the keys that Atlantis uses in Redis.
func wireKeys(records sidecar.Records) map[string]string {
	keys := map[string]string{}
	for bucket, before := range map[string]string{"runLocks": "pr/", "globalLocks": "global/", "pulls": ""} {
		for key, value := range records[bucket] {
			keys[before+key] = value
		}
	}
	return keys
}

// checkDivergences ensures that every divergence has a cause or was injected, and that every injected one was found.
func (w *world) checkDivergences() {
	found := map[string]bool{}
	last := w.ledger.seen
	for _, name := range []string{"divergences.1.jsonl", "divergences.jsonl"} {
		f, err := os.Open(filepath.Join(w.data(), name))
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var d struct {
				ID                  uint64
				Kind, Record, Cause string
				Operation           string
			}
			if json.Unmarshal(lines.Bytes(), &d) != nil || d.ID <= w.ledger.seen {
				continue
			}
			if d.ID > last { // not its resolution
				cause, _, _ := strings.Cut(d.Cause, ":")
				if d.Cause == "" {
					cause = "changed by hand"
				}
				w.tally.count(w.tally.explained, cause)
			}
			last = max(last, d.ID)
			found[d.Record] = true
			if d.Cause == "" && !w.ledger.foreign[d.Record] {
				w.tally.violate("false divergence %d: %s of %s by %s", d.ID, d.Kind, d.Record, d.Operation)
			}
		}
		_ = f.Close()
	}
	w.ledger.seen = last
}

// clean gives up everything but a few records that stay for ever.
func (w *world) clean(l *load, there map[string]string) {
	c := newClient(dialTo(w.now))
	defer c.Close()
	locks, statuses := 0, 0
	for _, key := range slices.Sorted(maps.Keys(there)) {
		if _, is := w.ledger.records[key]; is {
			continue
		}
		if locks < locksKept && strings.HasPrefix(key, "pr/") {
			w.ledger.set(key, there[key])
			locks++
			continue
		}
		if statuses < statusesKept && strings.Contains(key, "::") {
			w.ledger.set(key, there[key])
			statuses++
			continue
		}
		if n, err := c.Del(w.t.Context(), key).Result(); n != 1 || err != nil {
			w.tally.violate("DEL %s at rest: %d, %v", key, n, err)
		}
	}
}

// stopAndOpen stops the sidecar in order; sidecar.Process.Stop opens atlantis.db in Atlantis's own way and checks it.
func (w *world) stopAndOpen() {
	w.t.Helper()
	if w.mode != "legacy" && w.mode != "enhanced" {
		w.verb("verify", "--timeout", "20s") // so that the follower has done all
	}
	w.p.Stop()
	w.keepLog()
	got := wireKeys(sidecar.ReadAtlantisDB(w.t, filepath.Join(w.data(), "atlantis.db")))
	want := w.ledger.records
	if w.mode == "enhanced" {
		want = nil
	}
	w.compare("atlantis.db, opened as Atlantis does", got, want)
	for _, old := range globbed(w.t, filepath.Join(w.data(), "atlantis.db.retired-*")) {
		require.NoError(w.t, os.Remove(old))
	}
	w.start()
	w.settle()
}

// snapshot keeps the state of Redis for a fault that puts it back.
func (w *world) snapshot() {
	w.t.Helper()
	w.send("SAVE")
	w.old = filepath.Join(filepath.Dir(w.redisDir), "old")
	require.NoError(w.t, os.RemoveAll(w.old))
	require.NoError(w.t, os.Mkdir(w.old, 0o700))
	content, err := os.ReadFile(filepath.Join(w.redisDir, "dump.rdb"))
	require.NoError(w.t, err)
	require.NoError(w.t, os.WriteFile(filepath.Join(w.old, "dump.rdb"), content, 0o600))
}
