package compare

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The values of the label result.
const (
	resultMatch    = "match"
	resultMismatch = "mismatch"
	resultIgnored  = "ignored"
)

// metrics counts since the process began, whatever store it was; gauges are
// read from the ledger.
type metrics struct {
	comparisons, divergences *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, l *Ledger) *metrics {
	f := promauto.With(r)
	m := &metrics{
		comparisons: f.NewCounterVec(prometheus.CounterOpts{Name: "lock_sidecar_comparisons_total",
			Help: "Operations of Atlantis whose outcome in both stores was compared."}, []string{"op", "result"}),
		divergences: f.NewCounterVec(prometheus.CounterOpts{Name: "lock_sidecar_divergences_total",
			Help: "Records that were found to differ; one that is seen again counts once until it is resolved."}, []string{"kind"}),
	}
	for _, op := range Operations() { // shown as 0 from the start
		for _, result := range []string{resultMatch, resultMismatch, resultIgnored} {
			m.comparisons.WithLabelValues(string(op), result)
		}
	}
	for _, kind := range Kinds() {
		m.divergences.WithLabelValues(string(kind))
	}
	if r != nil {
		r.MustRegister(newGauges(l))
	}
	return m
}

func (m *metrics) compared(op Operation, c Counts) {
	for result, n := range map[string]uint64{resultMatch: c.Match, resultMismatch: c.Mismatch, resultIgnored: c.Ignored} {
		if n > 0 {
			m.comparisons.WithLabelValues(string(op), result).Add(float64(n))
		}
	}
}

func (m *metrics) diverged(k Kind) { m.divergences.WithLabelValues(string(k)).Inc() }

// gauges shows the ledger at each scrape. What no verification has found out
// is left out: 0 would be a statement.
type gauges struct {
	ledger                            *Ledger
	unresolved, verifiedAt, different *prometheus.Desc
}

var _ prometheus.Collector = (*gauges)(nil)

func newGauges(l *Ledger) *gauges {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("lock_sidecar_"+name, help, nil, nil)
	}
	return &gauges{
		ledger:     l,
		unresolved: desc("divergences_unresolved", "Records that differ between the stores, as far as is known."),
		verifiedAt: desc("verify_last_timestamp_seconds", "When the last verification that came to a verdict began."),
		different:  desc("verify_last_differences", "Differences that it found."),
	}
}

// Describe is documented at prometheus.Collector.
func (g *gauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.unresolved, g.verifiedAt, g.different} {
		out <- d
	}
}

// Collect is documented at prometheus.Collector.
func (g *gauges) Collect(out chan<- prometheus.Metric) {
	t := g.ledger.Totals()
	gauge := func(d *prometheus.Desc, v float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	gauge(g.unresolved, float64(t.Unresolved))
	if t.Verify != nil {
		gauge(g.verifiedAt, float64(t.Verify.At.UnixMilli())/1000)
		gauge(g.different, float64(t.Verify.Differences))
	}
}
