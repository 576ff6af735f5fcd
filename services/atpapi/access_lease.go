package atpapi

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/pkg/access/lease"
	"github.com/stockweave/stockweave/pkg/access/limit"
)

// ratePrefix is of the keys of shared rates.
const ratePrefix = "sw:rate:"

// share makes the rates those of all replicas together.
func (p *porter) share(rdb redis.UniversalClient, replica string, now func() time.Time, reg prometheus.Registerer) error {
	p.leases = lease.New(lease.NewRedis(rdb, ratePrefix), replica, p.now.Load().rates, now)
	if reg == nil {
		return nil
	}
	if err := reg.Register(newLeaseMetrics(p.leases)); err != nil {
		return fmt.Errorf("registering metrics of rates: %w", err)
	}
	return nil
}

// shared takes one request from a bucket that all replicas have together. How many are
// under way at a time each replica counts for itself.
func (p *porter) shared(h http.Header, name string, rule limit.Rule) (leave func(), bad *problem) {
	leave = func() {}
	if rule.Concurrent > 0 {
		state, refused, left := p.limiter.Enter(name, limit.Rule{Concurrent: rule.Concurrent})
		limit.Set(h, "partner", state)
		if refused != limit.Allowed {
			return nil, tooMany(h, state)
		}
		leave = func() { left(false) }
	}
	if rule.PerSecond > 0 {
		state, ok := p.leases.Take(name)
		limit.Set(h, "partner", state)
		if !ok {
			leave()
			return nil, tooOften(h, state)
		}
	}
	return leave, nil
}

func tooOften(h http.Header, s limit.State) *problem {
	limit.Wait(h, s.After)
	return &problem{status: http.StatusTooManyRequests, code: "rate_limited", title: "Too many requests", detail: "see RateLimit"}
}

func tooMany(h http.Header, s limit.State) *problem {
	limit.Wait(h, s.After)
	return &problem{status: http.StatusTooManyRequests, code: "too_many_concurrent", title: "Too many requests at a time"}
}

// leaseMetrics are those of shared rates. They are collected when asked for.
type leaseMetrics struct {
	leases                              *lease.Leases
	requests, settlements, replicas, up *prometheus.Desc
}

func newLeaseMetrics(l *lease.Leases) *leaseMetrics {
	return &leaseMetrics{
		leases:      l,
		requests:    prometheus.NewDesc("stockweave_atp_api_rate_requests_total", "Requests of principals with a rate: granted, refused, or granted alone while Redis was away.", []string{"result"}, nil),
		settlements: prometheus.NewDesc("stockweave_atp_api_rate_settlements_total", "Settlements with Redis of what was granted.", []string{"result"}, nil),
		replicas:    prometheus.NewDesc("stockweave_atp_api_rate_replicas", "Replicas among which rates are shared, as far as is known.", nil, nil),
		up:          prometheus.NewDesc("stockweave_atp_api_rate_shared", "1 while rates are shared; 0 while each replica grants its part alone.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *leaseMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.requests, m.settlements, m.replicas, m.up} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *leaseMetrics) Collect(out chan<- prometheus.Metric) {
	c := m.leases.Counts()
	count := func(d *prometheus.Desc, n int64, result string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), result)
	}
	count(m.requests, c.Granted, "granted")
	count(m.requests, c.Refused, "refused")
	count(m.requests, c.Alone, "alone")
	count(m.settlements, c.Settled, "ok")
	count(m.settlements, c.Failed, "failed")
	shared := 1.0
	if c.Away {
		shared = 0
	}
	out <- prometheus.MustNewConstMetric(m.replicas, prometheus.GaugeValue, float64(c.Replicas))
	out <- prometheus.MustNewConstMetric(m.up, prometheus.GaugeValue, shared)
}
