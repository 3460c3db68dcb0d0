package census

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// collector shows the last count. What is not known is left out: 0 would be a
// statement.
type collector struct {
	census            *Census
	repos, used, most *prometheus.Desc
}

var _ prometheus.Collector = (*collector)(nil)

func newCollector(c *Census) *collector {
	return &collector{
		census: c,
		repos: prometheus.NewDesc("lock_sidecar_authority_repos",
			"Repositories with a lock or a pull status, by the store that answers for them.", []string{"store"}, nil),
		used: prometheus.NewDesc("lock_sidecar_redis_used_memory_bytes",
			"Memory that the Redis of the enhanced store uses, all nodes together.", nil, nil),
		most: prometheus.NewDesc("lock_sidecar_redis_max_memory_bytes",
			"Memory that it may use (maxmemory), all nodes together; 0 if one has no limit.", nil, nil),
	}
}

// Describe is documented at prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.repos, c.used, c.most} {
		out <- d
	}
}

// Collect is documented at prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	n := c.census.last()
	gauge := func(d *prometheus.Desc, v int64, labels ...string) {
		if v >= 0 {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
		}
	}
	if n.repos != nil {
		for _, side := range []shadow.Side{shadow.LegacySide, shadow.EnhancedSide} {
			gauge(c.repos, int64(n.repos[side]), string(side))
		}
	}
	if n.memory != nil {
		gauge(c.used, n.memory.used)
		gauge(c.most, n.memory.most)
	}
}
