package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// NewRetries returns the counter of what is tried again behind the answers. It
// is registered with r; nil leaves it unregistered.
func NewRetries(r prometheus.Registerer) prometheus.Counter {
	return promauto.With(r).NewCounter(prometheus.CounterOpts{Name: "atlantis_enhanced_locking_retries_total",
		Help: "Reads of the enhanced store that were sent again, and tries to join it or to make it equal after one that failed."})
}
