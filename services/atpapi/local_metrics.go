package atpapi

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// localReads count items by where they were read from.
type localReads struct {
	copy  atomic.Int64 // right by the bound
	mark  atomic.Int64 // right by a mark that Redis was asked for
	redis atomic.Int64
	stale atomic.Int64 // the copy, instead of a Redis that does not say
}

// localMetrics are those of a copy. They are collected when asked for.
type localMetrics struct {
	local *local
	now   func() time.Time

	reads, items, bytes, age *prometheus.Desc
}

// register makes the copy's metrics known.
func (l *local) register(reg prometheus.Registerer, now func() time.Time) error {
	if reg == nil {
		return nil
	}
	err := reg.Register(&localMetrics{
		local: l, now: now,
		reads: prometheus.NewDesc("stockweave_atp_api_copy_reads_total", "Items read, by where from: the copy, the copy by a mark that Redis was asked for, redis, or the copy as stale while Redis does not say.", []string{"from"}, nil),
		items: prometheus.NewDesc("stockweave_atp_api_copy_items", "Items in the local copy.", nil, nil),
		bytes: prometheus.NewDesc("stockweave_atp_api_copy_bytes", "About what the local copy takes.", nil, nil),
		age: prometheus.NewDesc("stockweave_atp_api_copy_age_seconds",
			"How long ago the local copy was known to be right, of the partition where that is longest ago; beyond the bound reads go to Redis.", nil, nil),
	})
	if err != nil {
		return fmt.Errorf("registering metrics of the copy: %w", err)
	}
	return nil
}

// Describe implements prometheus.Collector.
func (m *localMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.reads, m.items, m.bytes, m.age} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *localMetrics) Collect(out chan<- prometheus.Metric) {
	r := &m.local.reads
	for from, n := range map[string]int64{"copy": r.copy.Load(), "mark": r.mark.Load(), "redis": r.redis.Load(), "stale": r.stale.Load()} {
		out <- prometheus.MustNewConstMetric(m.reads, prometheus.CounterValue, float64(n), from)
	}
	items, bytes, oldest := m.local.holds()
	out <- prometheus.MustNewConstMetric(m.items, prometheus.GaugeValue, float64(items))
	out <- prometheus.MustNewConstMetric(m.bytes, prometheus.GaugeValue, float64(bytes))
	if !oldest.IsZero() {
		out <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, max(0, m.now().Sub(oldest).Seconds()))
	}
}

// holds says how many items and bytes there are, and as of when the partition that was
// looked at longest ago is known; zero: one never was.
func (l *local) holds() (items int, bytes int64, oldest time.Time) {
	for i, p := range l.all() {
		p.mu.Lock()
		items, bytes = items+len(p.entries), bytes+p.bytes
		if i == 0 || p.good.at.Before(oldest) {
			oldest = p.good.at
		}
		p.mu.Unlock()
	}
	return items, bytes, oldest
}
