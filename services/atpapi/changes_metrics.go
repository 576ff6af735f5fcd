package atpapi

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// changesMetrics are those of streams of changes.
type changesMetrics struct {
	open    *prometheus.GaugeVec
	events  *prometheus.CounterVec
	dropped *prometheus.CounterVec
	lag     prometheus.Histogram
}

// newChangesMetrics makes and registers them; a nil registerer leaves them unseen.
func newChangesMetrics(reg prometheus.Registerer) (*changesMetrics, error) {
	m := &changesMetrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stockweave_atp_api_changes_open", Help: "Streams of changes that are open, by kind: stream or poll.",
		}, []string{"kind"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_atp_api_changes_events_total", Help: "Events told, by name.",
		}, []string{"event"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_atp_api_changes_dropped_total", Help: "Streams that were dropped, by reason.",
		}, []string{"reason"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stockweave_atp_api_changes_lag_seconds", Help: "Time from a position's entry in the log to its event.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.open, m.events, m.dropped, m.lag} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
