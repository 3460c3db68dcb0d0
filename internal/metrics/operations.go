// Package metrics holds the metrics that more than one package counts. It must
// not know what is counted.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// The results of an operation.
const (
	OK      = "ok"
	Refused = "refused"
	Error   = "error"
)

// Operations counts operations on stores: those that Atlantis waited for, by
// the authority's name, and those behind it, by the follower's.
type Operations struct {
	total     *prometheus.CounterVec
	durations *prometheus.HistogramVec
}

// NewOperations registers the metrics with r; nil leaves them unregistered.
func NewOperations(r prometheus.Registerer) *Operations {
	f := promauto.With(r)
	return &Operations{
		total: f.NewCounterVec(prometheus.CounterOpts{Name: "lock_sidecar_operations_total",
			Help: "Operations by kind, store and result."}, []string{"op", "store", "result"}),
		durations: f.NewHistogramVec(prometheus.HistogramOpts{Name: "lock_sidecar_operation_duration_seconds",
			Help: "Duration of operations by kind and store.", Buckets: Fast()}, []string{"op", "store"}),
	}
}

// Count counts one operation.
func (o *Operations) Count(op, store, result string, took time.Duration) {
	o.total.WithLabelValues(op, store, result).Inc()
	o.durations.WithLabelValues(op, store).Observe(took.Seconds())
}

// Fast are the buckets of durations that should be far below a second: 25 µs
// to 3.7 s.
func Fast() []float64 { return prometheus.ExponentialBuckets(25e-6, 2.5, 14) }
