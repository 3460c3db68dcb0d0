package compare_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
)

// A rule covers its keys and its kind; what it covers is counted apart and not recorded.
func TestRulesIgnoreWhatTheyCover(t *testing.T) {
	b := newBench(t,
		compare.Rule{Keys: "pr/acme/*", Kind: compare.Missing, Reason: "known"},
		compare.Rule{Keys: "global/*", Kind: compare.AnyKind, Reason: "known"})
	for _, c := range []struct {
		key     string
		kind    compare.Kind
		op      compare.Operation
		ignored bool
	}{
		{"pr/acme/a/", compare.Missing, compare.Get, true},
		{"pr/acme/a/", compare.Missing, compare.Verify, true},
		{"pr/acme/a/", compare.Extra, compare.Get, false},
		{"pr/other/a/", compare.Missing, compare.Get, false},
		{"global/apply/lock", compare.Value, compare.Get, true},
	} {
		require.Equal(t, !c.ignored, b.ledger.Diverged(divergence(c.key, c.kind, c.op)), c)
	}
	require.Equal(t, compare.Counts{Mismatch: 2, Ignored: 2}, b.ledger.Totals().Comparisons())
	require.Equal(t, 2.0, b.metric("lock_sidecar_comparisons_total", "ignored"))
	require.Len(t, b.ledger.Unresolved(), 2)
	require.Len(t, b.lines(), 2)
}

// A rule ends at its time, and the log says so once.
func TestExpiredRuleStopsAndSaysSoOnce(t *testing.T) {
	b := newBench(t)
	b.rules = []compare.Rule{{Keys: "*", Kind: compare.AnyKind, Reason: "until the move", Until: b.time.Add(time.Hour)}}
	b.restart()
	b.time = b.time.Add(time.Hour - 1)
	require.False(t, b.ledger.Diverged(divergence(lockA.String(), compare.Value, compare.Get)))
	b.time = b.time.Add(1)
	for range 3 {
		require.True(t, b.ledger.Diverged(divergence(lockA.String(), compare.Value, compare.Get)))
	}
	require.Equal(t, 1, strings.Count(b.text.String(), `ignore rule expired: keys="*" kind=any reason="until the move"`))
}

// A rule written for a divergence that is known ends it at the next start.
func TestNewRuleEndsOldDivergence(t *testing.T) {
	b := newBench(t)
	b.ledger.Diverged(divergence(lockA.String(), compare.Value, compare.Get))
	b.rules = []compare.Rule{{Keys: "pr/*", Kind: compare.Value, Reason: "written by hand"}}
	b.restart()
	require.Empty(t, b.ledger.Unresolved())
	require.Equal(t, "ignored: written by hand", b.ledger.Recent(1)[0].Resolved.How)
}

// A rule that says too little is refused.
func TestIncompleteRulesAreRefused(t *testing.T) {
	for want, rule := range map[string]compare.Rule{
		"names no keys": {Kind: compare.AnyKind, Reason: "r"},
		"has no reason": {Keys: "*", Kind: compare.AnyKind},
		"unknown kind":  {Keys: "*", Kind: "other", Reason: "r"},
	} {
		_, err := compare.OpenLedger(compare.LedgerOptions{Dir: t.TempDir(), Rules: []compare.Rule{rule}})
		require.ErrorContains(t, err, want)
	}
}
