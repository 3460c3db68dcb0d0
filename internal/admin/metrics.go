package admin

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// Collector shows a sidecar's status as metrics, taken at each scrape, so that
// the two never differ.
type Collector struct {
	sidecar Sidecar
	mode, build, foreignWrites, legacyWhole,
	backendHealth, activeLocks *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector that is to be registered once.
func NewCollector(s Sidecar) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &Collector{
		sidecar:       s,
		mode:          desc("lock_sidecar_mode", "1 for the current mode, 0 for the others.", "mode"),
		build:         desc("lock_sidecar_build_info", "1, with what was built.", "version", "go_version"),
		foreignWrites: desc("lock_sidecar_foreign_writes_total", "Times that atlantis.db had been written by another program."),
		legacyWhole:   desc("lock_sidecar_legacy_whole", "1 if atlantis.db holds everything that Atlantis was told OK for."),
		backendHealth: desc("atlantis_enhanced_locking_backend_health", "1 if the store that answers is healthy."),
		activeLocks:   desc("atlantis_enhanced_locking_active_locks", "Project locks held."),
	}
}

// Describe is documented at prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{c.mode, c.build, c.foreignWrites, c.legacyWhole, c.backendHealth, c.activeLocks} {
		out <- desc
	}
}

// Collect is documented at prometheus.Collector. What is not known is left
// out: 0 locks would be a statement.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	status := c.sidecar.Status()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	for _, mode := range client.Modes() {
		gauge(c.mode, oneIf(mode == status.Mode), mode)
	}
	gauge(c.build, 1, status.Version, runtime.Version())
	gauge(c.legacyWhole, oneIf(status.Legacy.Whole))
	gauge(c.backendHealth, oneIf(status.Legacy.Healthy))
	if counts := status.Legacy.ByKind; counts != nil {
		gauge(c.activeLocks, float64(counts.ProjectLocks))
	}
	out <- prometheus.MustNewConstMetric(c.foreignWrites, prometheus.CounterValue, float64(status.Legacy.ForeignWrites))
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
