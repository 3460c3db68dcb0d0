//go:build torture

package torture_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

const (
	partitions = 16
	foreigner  = 9_000_000 // pull requests from here on are those that somebody writes into Redis by hand
)

// ledger holds the records that stay over rests: what was acknowledged once must be there for ever.
type ledger struct {
	records map[string]string
	foreign map[string]bool // changed by hand: a divergence of theirs is no false one
	seen    uint64          // the last divergence that was looked at
	fences  map[string]fenced
	seqs    [partitions]uint64
	changes int
}

type fenced struct {
	fence uint64
	raw   string
}

func newLedger() *ledger {
	return &ledger{records: map[string]string{}, foreign: map[string]bool{}, fences: map[string]fenced{}}
}

func (l *ledger) set(key, value string) { l.records[key] = value }
func (l *ledger) injected(key string)   { l.foreign[key] = true }

// foundLedger writes the first records that stay.
func (w *world) foundLedger() {
	c := newClient(dialTo(w.now))
	defer c.Close()
	for n := range 2 * locksKept {
		path := fmt.Sprintf("envs/%d", n)
		key, value := "pr/acme/ledger/"+path+"/default/", traffic.LockJSON("acme/ledger", path, foreigner-1-n, 1)
		require.NoError(w.t, c.Set(w.t.Context(), key, value, 0).Err())
		w.ledger.set(key, value)
	}
}

// rename follows the boot of an Atlantis since v0.40, for which the sidecar brings old lock keys into the present format.
func (l *ledger) rename() {
	for key, value := range maps.Clone(l.records) {
		if strings.HasPrefix(key, "pr/") && strings.HasSuffix(key, "/default") {
			delete(l.records, key)
			l.records[key+"/"] = value
		}
	}
}

// renew forgets what belongs to one enhanced store and one data directory.
func (l *ledger) renew() {
	l.seen, l.fences, l.seqs = 0, map[string]fenced{}, [partitions]uint64{}
}

// toChange picks a lock that nobody has changed by hand yet, and what somebody makes of it: another holder's.
func (l *ledger) toChange(pick int) (key, changed string) {
	var locks []string
	for _, key := range slices.Sorted(maps.Keys(l.records)) {
		if strings.HasPrefix(key, "pr/") && !l.foreign[key] {
			locks = append(locks, key)
		}
	}
	if len(locks) == 0 {
		return "", ""
	}
	key = locks[pick%len(locks)]
	words := strings.Split(key, "/") // pr, owner, name, envs, path, workspace, …
	l.changes++
	return key, traffic.LockJSON(words[1]+"/"+words[2], words[3]+"/"+words[4], foreigner+l.changes, 1)
}

// rewrite changes a lock in Redis as somebody at a shell would.
func (w *world) rewrite(key, raw string) {
	w.t.Helper()
	for n := range partitions {
		name := fmt.Sprintf("%slock:{%02d}:%s", w.prefix, n, strings.TrimPrefix(key, "pr/"))
		if w.admin.Exists(w.t.Context(), name).Val() == 1 {
			w.send("HSET", name, "raw", raw, "owner_num", foreigner+w.ledger.changes)
			return
		}
	}
	w.tally.violate("%s is not in Redis: it cannot be changed there", key)
}

// served is what a client is told, record by record.
func served(c *redis.Client) (map[string]string, error) {
	records, ctx := map[string]string{}, context.Background()
	var keys []string
	for cursor := uint64(0); ; {
		page, next, err := c.Scan(ctx, cursor, "*", 1000).Result()
		if err != nil {
			return nil, err
		}
		if keys = append(keys, page...); next == 0 {
			break
		}
		cursor = next
	}
	for _, key := range keys {
		value, err := c.Get(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("get %s, which was listed: %w", key, err)
		}
		records[key] = value
	}
	return records, nil
}

// inRedis reads the enhanced store's records by their Redis keys, as somebody without our code does, and holds fences
// and sequences to what they were.
func (w *world) inRedis() map[string]string {
	w.t.Helper()
	ctx := w.t.Context()
	wire := map[string]string{"lock": "pr/", "command": "global/", "pull": ""}
	records := map[string]string{}
	scan := w.admin.Scan(ctx, 0, w.prefix+"*", 1000).Iterator()
	for scan.Next(ctx) {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(scan.Val(), w.prefix), ":")
		before, is := wire[kind]
		if !is {
			continue
		}
		_, name, _ := strings.Cut(rest, "}:")
		fields, err := w.admin.HMGet(ctx, scan.Val(), "raw", "fence").Result()
		require.NoError(w.t, err)
		raw, _ := fields[0].(string)
		records[before+name] = raw
		if kind == "lock" {
			w.checkFence(before+name, raw, number(fields[1]))
		}
	}
	require.NoError(w.t, scan.Err())
	for n := range partitions {
		seq := number(w.admin.HGet(ctx, fmt.Sprintf("%shead:{%02d}", w.prefix, n), "seq").Val())
		if seq < w.ledger.seqs[n] {
			w.tally.violate("seq of partition %d went back from %d to %d", n, w.ledger.seqs[n], seq)
		}
		w.ledger.seqs[n] = seq
	}
	return records
}

// checkFence ensures that a fence never falls, and rises when the lock has another holder.
func (w *world) checkFence(key, raw string, fence uint64) {
	last, is := w.ledger.fences[key]
	w.ledger.fences[key] = fenced{fence, raw}
	if fence == 0 || is && (fence < last.fence) {
		w.tally.violate("fence of %s went from %d to %d", key, last.fence, fence)
	}
}

func number(field any) (n uint64) {
	text, _ := field.(string)
	_, _ = fmt.Sscan(text, &n) // 0 if there is none
	return n
}
