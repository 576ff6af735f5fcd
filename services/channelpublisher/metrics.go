package channelpublisher

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the service.
type metrics struct {
	offers  prometheus.Counter
	calls   *prometheus.CounterVec
	results *prometheus.CounterVec
	behind  *prometheus.CounterVec
}

// newMetrics makes and registers them; a nil registerer leaves them unseen.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		offers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_channel_offers_total", Help: "Offers appended.",
		}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_channel_calls_total", Help: "Calls to channels by kind and outcome.",
		}, []string{"channel", "call", "outcome"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_channel_results_total", Help: "Results by status and code.",
		}, []string{"channel", "status", "code"}),
		behind: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_channel_superseded_total", Help: "Offers that were never sent because a newer one stood.",
		}, []string{"channel"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.offers, m.calls, m.results, m.behind} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
