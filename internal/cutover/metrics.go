package cutover

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

type metrics struct {
	fallbacks prometheus.Counter
	lost      prometheus.Counter
	held      prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, k *Keeper) *metrics {
	f := promauto.With(r)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "lock_sidecar_refusing",
		Help: "1 while commands are refused because neither store may answer them."}, func() float64 {
		if _, down := k.Router.Assignment(); down != nil {
			return 1
		}
		return 0
	})
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "lock_sidecar_fallback_wanted",
		Help: "1 while the enhanced store answers and legacy is meant to take over should it fail: not in mode enhanced, not with other sidecars, not without legacy-fallback."}, func() float64 {
		if a, _ := k.Router.Assignment(); k.standbyOn(a) {
			return 1
		}
		return 0
	})
	return &metrics{
		fallbacks: f.NewCounter(prometheus.CounterOpts{Name: "lock_sidecar_fallbacks_total", Help: "How often legacy took over from the enhanced store."}),
		lost:      f.NewCounter(prometheus.CounterOpts{Name: "lock_sidecar_modes_given_up_total", Help: "How often a mode was given up because its enhanced store was lost."}),
		held: f.NewHistogram(prometheus.HistogramOpts{Name: "lock_sidecar_flip_held_seconds", Help: "How long commands were held for a flip or a return.",
			Buckets: prometheus.ExponentialBuckets(1e-4, 2.5, 12)}),
	}
}

// LegacyWhole reports whether atlantis.db has everything that was answered OK, and
// why not.
func (k *Keeper) LegacyWhole() (whole bool, why string) {
	a, _ := k.Router.Assignment()
	if !a.Answers(shadow.EnhancedSide) {
		return true, ""
	}
	if a.Mode == shadow.Enhanced {
		return false, "legacy is retired"
	}
	return k.Router.Standby.Whole()
}
