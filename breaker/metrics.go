package breaker

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func (s *Store) register(r prometheus.Registerer) {
	f := promauto.With(r)
	s.panics = f.NewCounter(prometheus.CounterOpts{Name: "lock_sidecar_follower_panics_total",
		Help: "Operations that panicked in the store behind the circuit breaker."})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "atlantis_enhanced_locking_circuit_breaker_state",
		Help: "0 closed, 1 open, 2 half-open."}, func() float64 {
		switch s.Health().State {
		case Open:
			return 1
		case HalfOpen:
			return 2
		}
		return 0
	})
}
