package compare_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
)

// A divergence is counted, logged once without values, listed, and over when it is resolved.
func TestDivergenceFromFoundToResolved(t *testing.T) {
	b := newBench(t)
	b.ledger.Reset("store-1", "first start")
	b.ledger.Matched(compare.Get)
	require.True(t, b.ledger.Diverged(divergence(lockA.String(), compare.Owner, compare.Acquire)))
	found := b.time
	require.Contains(t, b.text.String(), "[WARN]  divergence found: id=1 kind=owner record=pr/acme/infra/./default/ operation=acquire "+
		`legacy_holder="pull #12 of acme/infra" enhanced_holder="pull #13 of acme/infra" cause="" unresolved=1`)
	b.time = b.time.Add(time.Minute)
	b.text.Reset()
	require.True(t, b.ledger.Diverged(divergence(lockA.String(), compare.Value, compare.Get)))
	require.Empty(t, b.text.String(), "seen again: told already")

	open := b.ledger.Unresolved()
	require.Len(t, open, 1)
	require.Equal(t, []any{uint64(1), found, b.time, uint64(2), compare.Value, compare.Get},
		[]any{open[0].ID, open[0].At, open[0].Last, open[0].Seen, open[0].Kind, open[0].Operation})
	require.Equal(t, 1.0, b.metric("lock_sidecar_divergences_unresolved", ""))

	b.ledger.Resolve(lockA.String(), "repaired")
	b.ledger.Resolve(lockA.String(), "repaired twice")
	require.Empty(t, b.ledger.Unresolved())
	require.Zero(t, b.metric("lock_sidecar_divergences_unresolved", ""))
	recent := b.ledger.Recent(10)
	require.Len(t, recent, 1)
	require.Equal(t, &compare.Resolution{At: b.time, How: "repaired"}, recent[0].Resolved)

	require.Equal(t, compare.Totals{
		StoreID: "store-1", Since: found, Reason: "first start", Divergences: 1, Unexplained: 1,
		Kinds: map[compare.Kind]uint64{compare.Owner: 1},
		Operations: map[compare.Operation]compare.Counts{
			compare.Get: {Match: 1, Mismatch: 1}, compare.Acquire: {Mismatch: 1},
		},
	}, b.ledger.Totals())
	require.Equal(t, compare.Counts{Match: 1, Mismatch: 2}, b.ledger.Totals().Comparisons())
	require.Equal(t, 2.0, b.metric("lock_sidecar_comparisons_total", "mismatch"))
	require.Equal(t, 2.0, b.metric("lock_sidecar_comparisons_total", "get"))
	require.Equal(t, 1.0, b.metric("lock_sidecar_divergences_total", "owner"))
	require.Zero(t, b.metric("lock_sidecar_divergences_total", "value"))
}

// What Atlantis did not do is no comparison, but a difference that verify finds is a divergence.
func TestOwnWorkIsNotCountedAsComparison(t *testing.T) {
	b := newBench(t)
	for _, op := range []compare.Operation{compare.Verify, compare.Reconcile} {
		b.ledger.Matched(op)
		require.True(t, b.ledger.Diverged(divergence("pr/a/"+string(op), compare.Missing, op)))
	}
	require.Empty(t, b.ledger.Totals().Operations)
	require.Equal(t, uint64(2), b.ledger.Totals().Divergences)
}

// An explained divergence is no warning; one that is seen without its cause later is unexplained, once.
func TestCauseExplainsUntilItDoesNot(t *testing.T) {
	b := newBench(t)
	d := divergence(lockA.String(), compare.Missing, compare.Reconcile)
	d.Cause = "missed while away"
	b.ledger.Diverged(d)
	b.ledger.Diverged(d)
	require.NotContains(t, b.text.String(), "divergence found")
	require.Zero(t, b.ledger.Totals().Unexplained)
	d.Cause = ""
	b.ledger.Diverged(d)
	b.ledger.Diverged(d)
	require.Equal(t, uint64(1), b.ledger.Totals().Unexplained)
	require.Equal(t, uint64(1), b.ledger.Totals().Divergences)
	require.Equal(t, 1, strings.Count(b.text.String(), "divergence found"))
	d.Cause = "missed while away"
	b.ledger.Diverged(d)
	require.Empty(t, b.ledger.Unresolved()[0].Cause, "a later cause does not excuse it")
}

// Everything survives a restart, and ids go on.
func TestLedgerSurvivesRestart(t *testing.T) {
	b := newBench(t)
	b.ledger.Reset("store-1", "first start")
	b.ledger.Matched(compare.Scan)
	b.ledger.Diverged(divergence("pr/a/b/1", compare.Extra, compare.Delete))
	b.ledger.Diverged(divergence("pr/a/b/2", compare.Value, compare.Put))
	b.ledger.Resolve("pr/a/b/1", "repaired")
	b.ledger.Verified(compare.Judge(b.time, 7, 1, nil))
	totals, recent := b.ledger.Totals(), b.ledger.Recent(10)
	b.restart()
	require.Equal(t, totals, b.ledger.Totals())
	require.Equal(t, recent, b.ledger.Recent(10))
	require.Equal(t, 1.0, b.metric("lock_sidecar_divergences_unresolved", ""))
	require.Zero(t, b.metric("lock_sidecar_comparisons_total", ""), "counters are the process's own")
	b.ledger.Diverged(divergence("pr/a/b/3", compare.Value, compare.Put))
	require.Equal(t, uint64(3), b.ledger.Recent(1)[0].ID)

	info, err := os.Stat(filepath.Join(b.dir, compare.EvidenceFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// Evidence about another store is worth nothing.
func TestResetForgetsTheOtherStore(t *testing.T) {
	b := newBench(t)
	b.ledger.Reset("store-1", "first start")
	b.ledger.Matched(compare.Get)
	b.ledger.Diverged(divergence(lockA.String(), compare.Owner, compare.Acquire))
	b.ledger.Verified(compare.Judge(b.time, 7, 1, nil))
	b.time = b.time.Add(time.Hour)
	b.ledger.Reset("store-2", "store emptied")
	require.Equal(t, compare.Totals{StoreID: "store-2", Since: b.time, Reason: "store emptied",
		Operations: map[compare.Operation]compare.Counts{}, Kinds: map[compare.Kind]uint64{}}, b.ledger.Totals())
	require.Empty(t, b.ledger.Recent(10))
	require.Contains(t, b.text.String(), `evidence begins anew: store_id=store-2 reason="store emptied"`)
}

// A file that cannot be used is no evidence, and that is said; the next save mends it.
func TestUnreadableEvidenceIsNoEvidence(t *testing.T) {
	for _, text := range []string{"", "{", `{"schema":2,"totals":{"store_id":"x"}}`, `{"schema":1,"totals":[]}`} {
		b := newBench(t)
		require.NoError(t, os.WriteFile(filepath.Join(b.dir, compare.EvidenceFile), []byte(text), 0o600))
		b.log.Close()
		b.open()
		require.Empty(t, b.ledger.Totals().StoreID)
		require.Contains(t, b.text.String(), "evidence cannot be read, counting begins anew")
		b.ledger.Reset("store-1", "first start")
		b.restart()
		require.Equal(t, "store-1", b.ledger.Totals().StoreID)
	}
}

// A save that fails loses nothing and leaves the old file as it was.
func TestFailedSaveIsTriedAgain(t *testing.T) {
	b := newBench(t)
	b.ledger.Reset("store-1", "first start")
	require.NoError(t, b.ledger.Save())
	path := filepath.Join(b.dir, compare.EvidenceFile)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(path+".next", 0o700)) // what is in the way of the new file
	require.NoError(t, os.WriteFile(path+".next/x", nil, 0o600))
	b.ledger.Matched(compare.Get)
	require.ErrorContains(t, b.ledger.Save(), "save "+path)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, os.RemoveAll(path+".next"))
	b.restart()
	require.Equal(t, compare.Counts{Match: 1}, b.ledger.Totals().Comparisons())
}

// evidence.json lists the oldest thousand and counts the rest, until a verification finds the stores equal.
func TestManyUnresolvedAreCapped(t *testing.T) {
	b := newBench(t)
	for i := range 1500 {
		b.ledger.Diverged(divergence(fmt.Sprintf("pr/a/b/%d", i), compare.Missing, compare.Verify))
	}
	require.Equal(t, 1000, strings.Count(b.text.String(), "divergence found"), "a warning each, up to a point")
	require.Len(t, b.ledger.Unresolved(), 1500)
	b.restart()
	require.Len(t, b.ledger.Unresolved(), 1000)
	require.Equal(t, uint64(1500), b.ledger.Totals().Unresolved)
	require.Equal(t, "pr/a/b/0", b.ledger.Unresolved()[0].Record)
	b.time = b.time.Add(time.Second)
	b.ledger.Verified(compare.Judge(b.time, 0, 0, nil))
	require.Equal(t, uint64(1500), b.ledger.Totals().Unresolved, "no verdict")
	require.Equal(t, -1.0, b.metric("lock_sidecar_verify_last_differences", ""))
	b.ledger.Verified(compare.Judge(b.time, 9000, 0, nil))
	require.Zero(t, b.ledger.Totals().Unresolved)
	require.Equal(t, float64(b.time.Unix()), b.metric("lock_sidecar_verify_last_timestamp_seconds", ""))
	require.Zero(t, b.metric("lock_sidecar_verify_last_differences", ""))
	require.LessOrEqual(t, len(b.ledger.Recent(5000)), 200)
}

// A verification says nothing of what was seen after it began.
func TestVerificationDoesNotEndLaterDivergences(t *testing.T) {
	b := newBench(t)
	began := b.time
	b.time = b.time.Add(time.Second)
	b.ledger.Diverged(divergence(lockA.String(), compare.Missing, compare.Get))
	b.ledger.Verified(compare.Judge(began, 5, 0, nil))
	require.Len(t, b.ledger.Unresolved(), 1)
}

// Each line of the log on disk is the divergence as the API shows it, without a value.
func TestDivergenceLogTellsBeginAndEnd(t *testing.T) {
	b := newBench(t)
	b.ledger.Diverged(divergence(lockA.String(), compare.Owner, compare.Acquire))
	b.ledger.Diverged(divergence(lockA.String(), compare.Owner, compare.Get))
	b.ledger.Resolve(lockA.String(), "repaired")
	lines := b.lines()
	require.Len(t, lines, 2)
	var first, last map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &last))
	for _, field := range []string{"id", "at", "kind", "record", "operation", "legacy", "enhanced"} {
		require.Contains(t, first, field)
	}
	require.Nil(t, first["resolved"])
	require.Equal(t, "repaired", last["resolved"].(map[string]any)["how"])
	require.Equal(t, 2.0, last["seen"])
	for _, text := range append(lines, b.text.String()) {
		require.NotContains(t, text, token)
	}
}

// All methods may be called at once; no comparison is lost.
func TestLedgerCountsConcurrently(t *testing.T) {
	b := newBench(t)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 200 {
				b.ledger.Matched(compare.Get)
				key := fmt.Sprintf("pr/a/b/%d", i%10)
				b.ledger.Diverged(divergence(key, compare.Value, compare.Put))
				if w == 0 {
					b.ledger.Resolve(key, "repaired")
					b.ledger.Verified(compare.Judge(b.time, 1, 0, nil))
					_ = b.ledger.Recent(5)
				}
				if i%50 == 0 && b.ledger.Save() != nil {
					t.Error("save failed")
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, compare.Counts{Match: 800, Mismatch: 800}, b.ledger.Totals().Comparisons())
}
