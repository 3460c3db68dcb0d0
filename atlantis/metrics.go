package atlantis

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
)

// The operations and results of the label values of operations_total.
const (
	opGet     = "get"
	opAcquire = "acquire"
	opPut     = "put"
	opDelete  = "delete"
	opEval    = "eval"
	opScan    = "scan"

	resultOK      = metrics.OK
	resultRefused = metrics.Refused
	resultError   = metrics.Error
)

// The faults of Atlantis on Redis that do not happen here.
const (
	faultDoubleGrant  = "double_grant"
	faultGhostListing = "ghost_listing"
	faultPrefixUnlock = "prefix_unlock"
	faultStaleDelete  = "stale_delete"
	faultTornListing  = "torn_listing"
)

// counters are the metrics of commands.
type counters struct {
	store      func() string
	operations *metrics.Operations
	prevented  *prometheus.CounterVec

	allOperations, errors                        prometheus.Counter
	acquisitions, acquired, acquireFailed, freed prometheus.Counter
	acquisition, hold                            prometheus.Histogram
}

func newCounters(o Options) *counters {
	f := promauto.With(o.Registerer)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "atlantis_enhanced_locking_" + name, Help: help})
	}
	m := &counters{
		store:      o.StoreName,
		operations: o.Operations,
		prevented: f.NewCounterVec(prometheus.CounterOpts{Name: "lock_sidecar_prevented_total",
			Help: "Faults of Atlantis's Redis backend that would have happened and did not."}, []string{"fault"}),
		allOperations: counter("operations_total", "Commands of Atlantis."),
		errors:        counter("errors_total", "Commands that the store could not answer; refusals are none."),
		acquisitions:  counter("acquisitions_total", "Attempts to take a project lock."),
		acquired:      counter("acquisitions_success_total", "Project locks taken."),
		acquireFailed: counter("acquisitions_failed_total", "Attempts to take a project lock that the store could not answer; refusals are none."),
		freed:         counter("releases_total", "Project locks released."),
		acquisition: f.NewHistogram(prometheus.HistogramOpts{Name: "atlantis_enhanced_locking_acquisition_duration_seconds",
			Help: "Time to take a project lock.", Buckets: metrics.Fast()}),
		hold: f.NewHistogram(prometheus.HistogramOpts{Name: "atlantis_enhanced_locking_hold_duration_seconds",
			Help:    "How long released project locks were held, by Atlantis's clock.",
			Buckets: []float64{1, 10, 60, 600, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400, 14 * 86400, 30 * 86400}}),
	}
	for _, fault := range []string{faultDoubleGrant, faultGhostListing, faultPrefixUnlock, faultStaleDelete, faultTornListing} {
		m.prevented.WithLabelValues(fault) // shown as 0 from the start
	}
	return m
}

// done counts one command.
func (m *counters) done(op, result string, took time.Duration) {
	m.operations.Count(op, m.store(), result, took)
	m.allOperations.Inc()
	if result == resultError {
		m.errors.Inc()
	}
}

func (m *counters) prevent(fault string, n int) { m.prevented.WithLabelValues(fault).Add(float64(n)) }
