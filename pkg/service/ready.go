package service

import "github.com/prometheus/client_golang/prometheus"

// Collector tells in metrics what /readyz does: stockweave_ready is 1 while no check
// fails. The checks are asked when the metrics are.
func (h *Health) Collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stockweave_ready", Help: "1 while the replica is ready; 0 while it restores, loads or cannot work, as /readyz says.",
	}, func() float64 {
		if len(h.Check()) > 0 {
			return 0
		}
		return 1
	})
}
