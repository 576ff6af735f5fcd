package erpwriter

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the service; every series carries the ERP's name.
type metrics struct {
	planned *prometheus.CounterVec
	results *prometheus.CounterVec
	retries *prometheus.CounterVec
	open    *prometheus.GaugeVec
	took    *prometheus.HistogramVec
}

// newMetrics makes and registers them; a nil registerer leaves them unseen.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		planned: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_erp_planned_total", Help: "Postings planned.",
		}, []string{"erp"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_erp_results_total", Help: "Postings that came to a result, by status and code.",
		}, []string{"erp", "status", "code"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_erp_retries_total", Help: "Attempts that failed and are made again, by code.",
		}, []string{"erp", "code"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stockweave_erp_breaker_open", Help: "1 while calls are kept away from an ERP that is down.",
		}, []string{"erp"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stockweave_erp_posting_seconds", Help: "From the first attempt to the posted document.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"erp"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.planned, m.results, m.retries, m.open, m.took} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
