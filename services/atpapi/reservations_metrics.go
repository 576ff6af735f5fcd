package atpapi

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// reservationMetrics are those of reservations.
type reservationMetrics struct {
	ended    *prometheus.CounterVec
	took     *prometheus.HistogramVec
	underWay prometheus.Gauge
	unnoted  prometheus.Counter
}

// newReservationMetrics makes and registers them; a nil registerer leaves them unseen.
func newReservationMetrics(reg prometheus.Registerer) (*reservationMetrics, error) {
	m := &reservationMetrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_atp_api_reservations_total", Help: "Reservations by what became of them; those confirmed or cancelled later count once more.",
		}, []string{"status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stockweave_atp_api_reservation_seconds", Help: "Time from a request to its answer, a 202 included, by what was asked.",
			Buckets: prometheus.ExponentialBuckets(0.001, 1.6, 20),
		}, []string{"action"}),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stockweave_atp_api_reservations_under_way", Help: "Requests without an answer.",
		}),
		unnoted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_atp_api_reservations_unnoted_total", Help: "Answered reservations that Redis could not be told of.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.ended, m.took, m.underWay, m.unnoted} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics of reservations: %w", err)
		}
	}
	return m, nil
}
