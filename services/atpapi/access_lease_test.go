package atpapi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/policy"
)

// twin is a replica's porter with its settling under way until the test ends.
func twin(t *testing.T, s *store, name string, rate policy.Rate, reg prometheus.Registerer) *porter {
	t.Helper()
	cfg := DefaultConfig()
	shop := principal("shop", "atp:read")
	shop.Rate = rate
	cfg.Access = policy.Access{Principals: []policy.Principal{shop}}
	p, err := newPorter(&cfg, nil, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.share(s.rdb, name, time.Now, reg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.leases.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-p.leases.Ready()
	return p
}

// knows waits until a replica knows of so many.
func knows(t *testing.T, p *porter, n int) {
	t.Helper()
	eventually(t, "the replicas know each other", func() bool { return p.leases.Counts().Replicas == n })
}

// TestReplicasShareARate: two replicas that are asked as fast as can be grant together
// the rate, and at most a lease more. Neither asks Redis for a request.
func TestReplicasShareARate(t *testing.T) {
	const rate, burst, during = 400, 60, 1500 * time.Millisecond
	onRedis(t, func(t *testing.T, s *store) {
		reg := prometheus.NewRegistry()
		a := twin(t, s, "a", policy.Rate{PerSecond: rate, Burst: burst}, reg)
		b := twin(t, s, "b", policy.Rate{PerSecond: rate, Burst: burst}, nil)
		knows(t, a, 2)
		knows(t, b, 2)
		visit := visitor{id: access.Identity{Principal: &access.Principal{Name: "shop"}}}
		var granted, refused atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for i := range 8 {
			p := []*porter{a, b}[i%2]
			all.Go(func() {
				for time.Since(began) < during {
					h := http.Header{}
					leave, bad := p.rate(h, visit)
					switch {
					case bad == nil:
						leave()
						granted.Add(1)
					case bad.code != "rate_limited" || h.Get("Retry-After") == "" || h.Get("RateLimit") == "":
						t.Errorf("%+v, %v", bad, h)
						return
					default:
						refused.Add(1)
						time.Sleep(50 * time.Microsecond) // of a client: it comes again
					}
				}
			})
		}
		all.Wait()
		took := time.Since(began).Seconds()
		most, least := burst+rate*took+burst/2, 0.7*(burst+rate*took)
		n := float64(granted.Load())
		t.Logf("%.0f granted in %.2f s, at most %.0f; %d refused; %+v, %+v", n, took, most, refused.Load(), a.leases.Counts(), b.leases.Counts())
		if n > most || n < least || refused.Load() == 0 {
			t.Errorf("%.0f granted, want %.0f to %.0f", n, least, most)
		}
		for _, p := range []*porter{a, b} {
			if c := p.leases.Counts(); c.Settled > int64(took*250) || c.Alone > 0 || c.Failed > 0 {
				t.Errorf("%+v", c)
			}
		}
		if n, err := testutil.GatherAndCount(reg, "stockweave_atp_api_rate_requests_total", "stockweave_atp_api_rate_replicas", "stockweave_atp_api_rate_shared"); err != nil || n != 5 {
			t.Errorf("%d metrics, %v", n, err)
		}
	})
}

// TestRatesWithoutRedis: what one replica grants another does not, and while Redis is
// away each grants its part.
func TestRatesWithoutRedis(t *testing.T) {
	srv := newServer(t)
	srv.start(t)
	s := storeAt(t, srv.addr)
	a := twin(t, s, "a", policy.Rate{PerSecond: 0.01, Burst: 20}, nil)
	b := twin(t, s, "b", policy.Rate{PerSecond: 0.01, Burst: 20}, nil)
	knows(t, a, 2)
	knows(t, b, 2)
	visit := visitor{id: access.Identity{Principal: &access.Principal{Name: "shop"}}}
	ask := func(p *porter) (granted int) {
		for range 20 {
			if leave, bad := p.rate(http.Header{}, visit); bad == nil {
				leave()
				granted++
			}
		}
		return granted
	}
	if got := ask(a); got != 10 {
		t.Errorf("%d granted at once, want an even part", got)
	}
	all := 10
	eventually(t, "the rest is granted, by whom it is asked of", func() bool {
		all += ask(a) + ask(b)
		return all >= 20
	})
	// What either does not know yet is one lease at most.
	eventually(t, "both know that nothing is left", func() bool { return ask(a)+ask(b) == 0 })
	if all += ask(a) + ask(b); all > 30 {
		t.Errorf("%d granted of a burst of 20", all)
	}
	srv.kill()
	eventually(t, "it is known that Redis is away", func() bool {
		ask(a)
		return a.leases.Counts().Away
	})
	if got := a.leases.Counts().Alone + int64(ask(a)); got != 10 && got != 20 { // the first ones may have found it out
		t.Errorf("%d granted alone, want an even part of the burst", got)
	}
	srv.start(t)
	eventually(t, "the rate is shared again", func() bool {
		ask(a)
		return !a.leases.Counts().Away
	})
}
