package hooks

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of deliveries.
type metrics struct {
	attempts *prometheus.CounterVec
	took     prometheus.Histogram
	oldest   prometheus.Gauge
	held     *prometheus.GaugeVec
}

// newMetrics makes and registers them; a nil registerer leaves them unseen.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_atp_api_webhook_attempts_total", Help: "Attempts to deliver a message, by result: received, failed, gone, exhausted.",
		}, []string{"result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stockweave_atp_api_webhook_seconds", Help: "Time of an attempt.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stockweave_atp_api_webhook_oldest_undelivered_seconds", Help: "Age of the oldest message of this replica's subscriptions that is not received yet.",
		}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stockweave_atp_api_webhook_subscriptions", Help: "Subscriptions this replica delivers, by status: active, retrying, failing, disabled, forbidden.",
		}, []string{"status"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.attempts, m.took, m.oldest, m.held} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
