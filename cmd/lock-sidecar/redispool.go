package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// poolCollector shows the connections to the enhanced store in Redis, taken at
// each scrape.
type poolCollector struct {
	client                                           redis.UniversalClient
	hits, misses, timeouts, stale, connections, idle *prometheus.Desc
}

var _ prometheus.Collector = (*poolCollector)(nil)

func newPoolCollector(client redis.UniversalClient) *poolCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("lock_sidecar_redis_pool_"+name, help, nil, nil)
	}
	return &poolCollector{
		client:      client,
		hits:        desc("hits_total", "Times that a free connection to Redis was found."),
		misses:      desc("misses_total", "Times that a connection to Redis had to be opened."),
		timeouts:    desc("timeouts_total", "Times that no connection to Redis was free in time."),
		stale:       desc("stale_connections_total", "Connections to Redis that were dropped because they were old or broken."),
		connections: desc("connections", "Connections to Redis."),
		idle:        desc("idle_connections", "Connections to Redis that are not in use."),
	}
}

// Describe is documented at prometheus.Collector.
func (p *poolCollector) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(p, out) }

// Collect is documented at prometheus.Collector.
func (p *poolCollector) Collect(out chan<- prometheus.Metric) {
	s := p.client.PoolStats()
	for _, m := range []struct {
		desc  *prometheus.Desc
		kind  prometheus.ValueType
		value uint32
	}{
		{p.hits, prometheus.CounterValue, s.Hits},
		{p.misses, prometheus.CounterValue, s.Misses},
		{p.timeouts, prometheus.CounterValue, s.Timeouts},
		{p.stale, prometheus.CounterValue, s.StaleConns},
		{p.connections, prometheus.GaugeValue, s.TotalConns},
		{p.idle, prometheus.GaugeValue, s.IdleConns},
	} {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.value))
	}
}
