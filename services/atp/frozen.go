package atp

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// frozenKeys are the keys of the owned partitions that take no events, by when they
// froze, as far as this process has touched them: their events, which it counts, see
// to that.
type frozenKeys map[int32]map[inventory.Key]inventory.Instant

// froze takes what a key's head says; 0 when it takes events.
func (r *reminders) froze(partition int32, key inventory.Key, since inventory.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.frozen[partition]
	if since == 0 {
		delete(of, key)
		return
	}
	if of == nil {
		of = map[inventory.Key]inventory.Instant{}
		if r.frozen == nil {
			r.frozen = frozenKeys{}
		}
		r.frozen[partition] = of
	}
	of[key] = since
}

// oldest is how many keys are frozen, and since when the first of them is.
func (r *reminders) oldest() (n int, since inventory.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range r.frozen {
		for _, at := range of {
			if n++; since == 0 || at < since {
				since = at
			}
		}
	}
	return n, since
}

// frozenMetrics show what an operator must end before retention takes the events
// that frozen keys have not taken.
func (r *reminders) frozenMetrics(now func() time.Time) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "stockweave_atp_frozen_keys",
			Help: "Keys that take no events until an operator releases them.",
		}, func() float64 {
			n, _ := r.oldest()
			return float64(n)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "stockweave_atp_frozen_age_seconds",
			Help: "How long the first of the frozen keys has been. Alert at half the retention of the events.",
		}, func() float64 {
			_, since := r.oldest()
			if since == 0 {
				return 0
			}
			return max(0, now().Sub(time.UnixMilli(int64(since))).Seconds())
		}),
	}
}
