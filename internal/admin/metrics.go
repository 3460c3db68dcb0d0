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
	mode, build, epoch, foreignWrites, legacyHealth, legacyWhole, safeFallback,
	fallenBack, soleOwner, conflicts, freezes,
	backendHealth, activeLocks,
	pending, dirty, lag, backfill *prometheus.Desc
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
		epoch:         desc("lock_sidecar_epoch", "Grows with every change of the store that answers."),
		foreignWrites: desc("lock_sidecar_foreign_writes_total", "Times that atlantis.db had been written by another program."),
		legacyHealth:  desc("lock_sidecar_legacy_health", "1 if atlantis.db can be read and takes writes, as far as its disk was asked."),
		legacyWhole:   desc("lock_sidecar_legacy_whole", "1 if atlantis.db holds everything that Atlantis was told OK for."),
		safeFallback:  desc("lock_sidecar_safe_fallback", "1 if atlantis.db could take over from the enhanced store and nothing would be lost; 0 where it answers already."),
		fallenBack:    desc("lock_sidecar_fallen_back", "1 while atlantis.db answers in place of the enhanced store, which failed or was left."),
		soleOwner:     desc("lock_sidecar_sole_owner", "1 if this sidecar alone may use the enhanced store, 0 if another may; not there while that store is away."),
		conflicts:     desc("lock_sidecar_conflicts", "Locks that both stores give to different holders after a fallback, and that nobody has decided."),
		freezes:       desc("lock_sidecar_freezes", "Globs of repositories that operators keep from new lock holders."),
		backendHealth: desc("atlantis_enhanced_locking_backend_health", "1 if the enhanced store answers and is in step; in mode legacy, if atlantis.db is healthy."),
		activeLocks:   desc("atlantis_enhanced_locking_active_locks", "Project locks held, in a store that has all of them; every 10 s where atlantis.db has not."),
		pending:       desc("lock_sidecar_mirror_pending", "Operations that the follower has not done yet."),
		dirty:         desc("lock_sidecar_mirror_dirty_keys", "Records of which the follower has missed a change."),
		lag:           desc("lock_sidecar_mirror_lag_seconds", "Age of the oldest operation that the follower has not done yet."),
		backfill:      desc("lock_sidecar_backfill_records", "Records in the last work of making every record equal.", "state"),
	}
}

// Describe is documented at prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		c.mode, c.build, c.epoch, c.foreignWrites, c.legacyHealth, c.legacyWhole, c.safeFallback, c.fallenBack, c.soleOwner, c.conflicts, c.freezes, c.backendHealth, c.activeLocks,
		c.pending, c.dirty, c.lag, c.backfill,
	} {
		out <- desc
	}
}

// Collect is documented at prometheus.Collector. What is not known, or not in
// use, is left out: 0 would be a statement.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	status := c.sidecar.Status()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	counter := func(desc *prometheus.Desc, value int) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
	for _, mode := range client.Modes() {
		gauge(c.mode, oneIf(mode == status.Mode), mode)
	}
	gauge(c.build, 1, status.Version, runtime.Version())
	gauge(c.epoch, float64(status.Epoch))
	gauge(c.legacyHealth, oneIf(status.Legacy.Healthy))
	gauge(c.legacyWhole, oneIf(status.Legacy.Whole))
	gauge(c.safeFallback, oneIf(status.SafeFallback))
	healthy := status.Legacy.Healthy
	if status.Enhanced != nil {
		healthy = status.Enhanced.Healthy
	}
	gauge(c.backendHealth, oneIf(healthy))
	if counts := held(status); counts != nil {
		gauge(c.activeLocks, float64(counts.ProjectLocks))
	}
	gauge(c.freezes, float64(len(status.Frozen)))
	counter(c.foreignWrites, status.Legacy.ForeignWrites)
	if status.Enhanced == nil {
		return
	}
	gauge(c.pending, float64(status.Mirror.Pending))
	gauge(c.dirty, float64(status.Mirror.Dirty))
	gauge(c.lag, status.Mirror.LagSeconds)
	gauge(c.backfill, float64(status.Backfill.Done), "done")
	gauge(c.backfill, float64(status.Backfill.Total-status.Backfill.Done), "waiting")
	gauge(c.fallenBack, oneIf(status.FallenBack))
	if sole := status.SoleOwner; sole != nil {
		gauge(c.soleOwner, oneIf(*sole))
	}
	gauge(c.conflicts, float64(status.Conflicts))
}

// held is what there is in a store that has all of it, nil if that is not known.
func held(s client.Status) *client.Counts {
	if s.Legacy.Whole {
		return s.Legacy.ByKind
	}
	if s.Enhanced != nil {
		return s.Enhanced.ByKind
	}
	return nil
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
