package files

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Metrics of all feeds.
type Metrics struct {
	files, bytes, parts, rounds, acks *prometheus.CounterVec
	oldest, here                      *prometheus.GaugeVec
}

// NewMetrics makes them.
func NewMetrics() *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stockweave_ingest_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "stockweave_ingest_" + name, Help: help}, []string{"source"})
	}
	return &Metrics{
		files:  counter("files_total", "Files by source and outcome: done, ignored, left_behind, or the code of a fault.", "source", "outcome"),
		bytes:  counter("files_bytes_total", "Bytes of files that are done.", "source"),
		parts:  counter("files_parts_total", "Messages of files that the log has.", "source"),
		rounds: counter("files_rounds_failed_total", "Looks at a folder that failed, by code; they are tried again.", "source", "code"),
		acks:   counter("ack_files_total", "Acknowledgements put into partners' folders.", "source"),
		oldest: gauge("files_oldest_seconds", "Age of the oldest file that waits in the folder; 0 with none."),
		here:   gauge("files_waiting", "Files that waited at the last look."),
	}
}

// forget ends the gauges of a source that is looked at no more.
func (m *Metrics) forget(s inventory.Source) {
	m.here.DeleteLabelValues(string(s))
	m.oldest.DeleteLabelValues(string(s))
}

// Register makes them known.
func (m *Metrics) Register(reg prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{m.files, m.bytes, m.parts, m.rounds, m.acks, m.oldest, m.here} {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

func (m *Metrics) took(s inventory.Source, outcome string, size int64) {
	m.files.WithLabelValues(string(s), outcome).Inc()
	if outcome == "done" {
		m.bytes.WithLabelValues(string(s)).Add(float64(size))
	}
}

func (m *Metrics) appended(s inventory.Source, n int) {
	m.parts.WithLabelValues(string(s)).Add(float64(n))
}

func (m *Metrics) put(s inventory.Source) { m.acks.WithLabelValues(string(s)).Inc() }

func (m *Metrics) failed(s inventory.Source, code string) {
	m.rounds.WithLabelValues(string(s), code).Inc()
}

func (m *Metrics) waiting(s inventory.Source, n int, oldest time.Duration) {
	m.here.WithLabelValues(string(s)).Set(float64(n))
	m.oldest.WithLabelValues(string(s)).Set(max(0, oldest).Seconds())
}
