package compare_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
)

// bench is a ledger in a directory with what it logs and counts, and a clock
// that the test moves.
type bench struct {
	testing.TB
	dir     string
	rules   []compare.Rule
	time    time.Time
	text    *bytes.Buffer // log lines of all ledgers so far
	ledger  *compare.Ledger
	log     *compare.Log
	metrics *prometheus.Registry
}

func newBench(t testing.TB, rules ...compare.Rule) *bench {
	b := &bench{TB: t, dir: t.TempDir(), rules: rules, time: time.Date(2026, 8, 20, 9, 0, 0, 0, time.UTC), text: &bytes.Buffer{}}
	b.open()
	t.Cleanup(func() { b.log.Close() })
	return b
}

func (b *bench) open() {
	b.Helper()
	logger := hclog.New(&hclog.LoggerOptions{Output: b.text, Level: hclog.Info, DisableTime: true})
	b.log, b.metrics = compare.OpenLog(b.dir, logger), prometheus.NewRegistry()
	var err error
	b.ledger, err = compare.OpenLedger(compare.LedgerOptions{
		Dir: b.dir, Rules: b.rules, Log: b.log, Logger: logger, Registerer: b.metrics, Now: func() time.Time { return b.time },
	})
	require.NoError(b, err)
}

// restart saves and opens again.
func (b *bench) restart() {
	b.Helper()
	require.NoError(b, b.ledger.Save())
	b.log.Close()
	b.open()
}

// lines are those of the divergence log.
func (b *bench) lines() []string {
	b.Helper()
	b.log.Close()
	text, err := os.ReadFile(filepath.Join(b.dir, compare.LogFile))
	require.NoError(b, err)
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// metric sums the samples of a metric with the label value, "" for any; absent is -1.
func (b *bench) metric(name, label string) float64 {
	b.Helper()
	families, err := b.metrics.Gather()
	require.NoError(b, err)
	sum, found := 0.0, false
	for _, f := range families {
		for _, m := range f.GetMetric() {
			match := label == ""
			for _, l := range m.GetLabel() {
				match = match || l.GetValue() == label
			}
			if f.GetName() == name && match {
				sum, found = sum+m.GetGauge().GetValue()+m.GetCounter().GetValue(), true
			}
		}
	}
	if !found {
		return -1
	}
	return sum
}

func divergence(key string, kind compare.Kind, op compare.Operation) compare.Divergence {
	return compare.Divergence{
		Record: key, Kind: kind, Operation: op,
		Legacy:   compare.SideOf(record(lockA, 3, held(12)), time.Millisecond),
		Enhanced: compare.SideOf(record(lockA, 9, held(13)), 2*time.Millisecond),
	}
}
