package compare_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/compare"
)

// model is the ledger as it would be written without a thought for memory.
type model struct {
	operations  map[compare.Operation]compare.Counts
	kinds       map[compare.Kind]uint64
	unexplained uint64
	open        map[string]bool // record → explained
}

func newModel() *model {
	return &model{map[compare.Operation]compare.Counts{}, map[compare.Kind]uint64{}, 0, map[string]bool{}}
}

func (m *model) diverge(record string, kind compare.Kind, op compare.Operation, cause string, ignored bool) {
	counts := m.operations[op]
	if ignored {
		counts.Ignored++
	} else {
		counts.Mismatch++
	}
	if slices.Contains(compare.Operations(), op) {
		m.operations[op] = counts
	}
	if ignored {
		return
	}
	explained, again := m.open[record]
	if !again {
		m.kinds[kind]++
	}
	if cause == "" && (!again || explained) {
		m.unexplained++
	}
	m.open[record] = cause != "" && (!again || explained)
}

// Whatever happens in whatever order, over restarts too, the ledger's sums are those of a plain count.
func TestLedgerAccounting(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(t, compare.Rule{Keys: "*/ignored", Kind: compare.AnyKind, Reason: "test"})
		defer func() { b.log.Close() }()
		m := newModel()
		ops := append(compare.Operations(), compare.Verify, compare.Reconcile)
		records := []string{"pr/a/b/1", "pr/a/b/2", "pr/a/b/3", "pr/a/ignored"}
		r.Repeat(map[string]func(*rapid.T){
			"match": func(r *rapid.T) {
				op := rapid.SampledFrom(compare.Operations()).Draw(r, "op")
				b.ledger.Matched(op)
				counts := m.operations[op]
				counts.Match++
				m.operations[op] = counts
			},
			"diverge": func(r *rapid.T) {
				d := divergence(rapid.SampledFrom(records).Draw(r, "record"),
					rapid.SampledFrom(compare.Kinds()).Draw(r, "kind"), rapid.SampledFrom(ops).Draw(r, "op"))
				d.Cause = rapid.SampledFrom([]string{"", "crash"}).Draw(r, "cause")
				ignored := d.Record == "pr/a/ignored"
				require.Equal(r, !ignored, b.ledger.Diverged(d))
				m.diverge(d.Record, d.Kind, d.Operation, d.Cause, ignored)
			},
			"resolve": func(r *rapid.T) {
				record := rapid.SampledFrom(records).Draw(r, "record")
				b.ledger.Resolve(record, "repaired")
				delete(m.open, record)
			},
			"explain": func(r *rapid.T) {
				record := rapid.SampledFrom(records).Draw(r, "record")
				b.ledger.Explain(record, "found out", "an operator decides")
				if explained, open := m.open[record]; open && !explained {
					m.unexplained--
				}
				delete(m.open, record)
			},
			"verify": func(r *rapid.T) {
				b.time = b.time.Add(time.Second)
				differences := rapid.IntRange(0, 1).Draw(r, "differences")
				b.ledger.Verified(compare.Judge(b.time, 3, differences, nil))
				if differences == 0 {
					clear(m.open)
				}
			},
			"reset":   func(*rapid.T) { b.ledger.Reset("store", "test"); m = newModel() },
			"restart": func(*rapid.T) { b.restart() },
			"": func(r *rapid.T) {
				have, found := b.ledger.Totals(), uint64(0)
				for _, n := range m.kinds {
					found += n
				}
				require.Equal(r, m.operations, have.Operations)
				require.Equal(r, m.kinds, have.Kinds)
				require.Equal(r, []uint64{found, m.unexplained, uint64(len(m.open))},
					[]uint64{have.Divergences, have.Unexplained, have.Unresolved})
				open := map[string]bool{}
				for _, d := range b.ledger.Unresolved() {
					open[d.Record] = d.Cause != ""
				}
				require.True(r, maps.Equal(m.open, open), "%v %v", m.open, open)
			},
		})
	})
}
