package atpapi

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the service.
type metrics struct {
	applied prometheus.Counter
	dead    prometheus.Counter
	reloads prometheus.Counter
	answers *prometheus.CounterVec
	took    prometheus.Histogram

	answered prometheus.Counter // of answers: 200
	same     prometheus.Counter // and 304
}

// newMetrics makes and registers them; a nil registerer leaves them unseen.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		applied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_atp_api_applied_total", Help: "Position records brought into Redis.",
		}),
		dead: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_atp_api_dead_letters_total", Help: "Position records that could not be projected.",
		}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stockweave_atp_api_reloads_total", Help: "Partitions loaded into Redis from their start.",
		}),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_atp_api_answers_total", Help: "Answers by status and problem code.",
		}, []string{"status", "code"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "stockweave_atp_api_answer_seconds", Help: "Time to answer one read.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 2, 14),
		}),
	}
	m.answered, m.same = m.answers.WithLabelValues("200", ""), m.answers.WithLabelValues("304", "")
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.applied, m.dead, m.reloads, m.answers, m.took} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return m, nil
}
