package pull

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Metrics are those of all sources that are asked. A nil one counts nothing. It is safe
// for concurrent use.
type Metrics struct {
	records *prometheus.CounterVec
	faults  *prometheus.CounterVec
	down    *prometheus.GaugeVec
	last    *prometheus.GaugeVec
}

// NewMetrics makes them; they are to be registered.
func NewMetrics() *Metrics {
	source := []string{"source"}
	return &Metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_ingest_polled_records_total", Help: "Records read from sources that are asked, by what became of them: appended, seen (read before), too_large.",
		}, []string{"source", "result"}),
		faults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "stockweave_ingest_poll_faults_total", Help: "Questions to sources that failed, by code.",
		}, []string{"source", "code"}),
		down: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stockweave_ingest_poll_down", Help: "1 while a source that is asked counts as down.",
		}, source),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "stockweave_ingest_poll_last_round_seconds", Help: "When the last whole round of a source ended, Unix time.",
		}, source),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.records.Describe(ch)
	m.faults.Describe(ch)
	m.down.Describe(ch)
	m.last.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.records.Collect(ch)
	m.faults.Collect(ch)
	m.down.Collect(ch)
	m.last.Collect(ch)
}

// Record counts a record by what became of it.
func (m *Metrics) Record(s inventory.Source, result string, n int) {
	if m != nil && n > 0 {
		m.records.WithLabelValues(string(s), result).Add(float64(n))
	}
}

// Fault counts a question that failed.
func (m *Metrics) Fault(s inventory.Source, code string) {
	if m != nil {
		m.faults.WithLabelValues(string(s), code).Inc()
	}
}

// Open says whether a source counts as down.
func (m *Metrics) Open(s inventory.Source, down bool) {
	if m == nil {
		return
	}
	v := 0.0
	if down {
		v = 1
	}
	m.down.WithLabelValues(string(s)).Set(v)
}

// Round says that all there was has been read.
func (m *Metrics) Round(s inventory.Source, at time.Time) {
	if m != nil {
		m.last.WithLabelValues(string(s)).Set(float64(at.UnixMilli()) / 1000)
	}
}

// Forget ends the gauges of a source that is asked no more, or by somebody else.
func (m *Metrics) Forget(s inventory.Source) {
	if m != nil {
		m.down.DeleteLabelValues(string(s))
		m.last.DeleteLabelValues(string(s))
	}
}
