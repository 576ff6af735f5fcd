package canonicalizer

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// waitsCollector shows the lines that wait at the moment they are asked for. Each
// process holds those of all partitions and shows the same.
type waitsCollector struct {
	waits         *waits
	now           func() time.Time
	lines, oldest *prometheus.Desc
}

func newWaitsCollector(w *waits, now func() time.Time) *waitsCollector {
	return &waitsCollector{
		waits: w, now: now,
		lines: prometheus.NewDesc("stockweave_canonicalizer_parked_lines",
			"Lines that wait for master data now, by reason; beyond_limit are those that are not held in memory.", []string{"reason"}, nil),
		oldest: prometheus.NewDesc("stockweave_canonicalizer_parked_oldest_seconds",
			"Age of the oldest line that waits, by reason.", []string{"reason"}, nil),
	}
}

func (c *waitsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.lines
	ch <- c.oldest
}

func (c *waitsCollector) Collect(ch chan<- prometheus.Metric) {
	by, beyond := c.waits.standing()
	now := c.now().UnixMilli()
	for reason, s := range by {
		ch <- prometheus.MustNewConstMetric(c.lines, prometheus.GaugeValue, float64(s.lines), reason)
		ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, float64(max(0, now-int64(s.oldest)))/1000, reason)
	}
	if beyond > 0 {
		ch <- prometheus.MustNewConstMetric(c.lines, prometheus.GaugeValue, float64(beyond), "beyond_limit")
	}
}
