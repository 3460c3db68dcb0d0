package resp

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics of one server.
type metrics struct {
	panics   prometheus.Counter
	rejected *prometheus.CounterVec
}

// newMetrics registers them; connections is asked at each scrape.
func newMetrics(r prometheus.Registerer, connections func() int) *metrics {
	with := promauto.With(r)
	with.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "lock_sidecar_atlantis_connections",
		Help: "Open connections of the Redis protocol listener.",
	}, func() float64 { return float64(connections()) })
	m := &metrics{
		panics: with.NewCounter(prometheus.CounterOpts{
			Name: "lock_sidecar_connection_panics_total",
			Help: "Commands that panicked, each of which cost its connection.",
		}),
		rejected: with.NewCounterVec(prometheus.CounterOpts{
			Name: "lock_sidecar_connections_rejected_total",
			Help: "Connections that the server ended: evicted, full, memory, protocol, slow_reader, timeout.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{"evicted", "full", "memory", "protocol", "slow_reader", "timeout"} {
		m.rejected.WithLabelValues(reason) // shown as 0 from the start
	}
	return m
}
