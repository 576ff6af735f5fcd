package atpapi

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// explainMetrics are those of what is answered from the log.
type explainMetrics struct {
	took    *prometheus.HistogramVec
	records prometheus.Counter
	bytes   prometheus.Counter
	open    prometheus.Gauge
	refused *prometheus.CounterVec
}

// newExplainMetrics makes and registers them; a nil registerer leaves them unseen.
func newExplainMetrics(reg prometheus.Registerer) (*explainMetrics, error) {
	m := &explainMetrics{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "stockweave_atp_api_explain_seconds", Help: "Time to read the log for one question, by kind: explain or as_of.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		}, []string{"kind"}),
		records: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_atp_api_explain_records_total", Help: "Records of the log read for explanations and times in the past.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_atp_api_explain_bytes_total", Help: "Bytes of their keys and values.",
		}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "stockweave_atp_api_explain_open", Help: "Questions for which the log is read now.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_atp_api_explain_refused_total", Help: "Questions that the log was not read for or did not answer, by code.",
		}, []string{"code"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.took, m.records, m.bytes, m.open, m.refused} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
