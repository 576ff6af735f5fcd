package main

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/road"
)

// latencies measures, from the outside, how long it takes from an event being
// durable to its version being answered over HTTP. It is safe for concurrent use.
type latencies struct {
	api  string
	now  func() time.Time
	http *http.Client
	work chan inventory.Position

	mu   sync.Mutex
	took map[string]time.Duration // event id → durable to visible
}

func newLatencies(api string, now func() time.Time) *latencies {
	return &latencies{
		api: api, now: now, http: &http.Client{Timeout: 2 * time.Second},
		work: make(chan inventory.Position, 4096), took: map[string]time.Duration{},
	}
}

// seen hands over a position just read from the log; when too many are waiting it
// is not measured.
func (l *latencies) seen(p inventory.Position) {
	select {
	case l.work <- p:
	default:
	}
}

// visibleWithin bounds the wait for one version.
const visibleWithin = 2 * time.Second

func (l *latencies) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-l.work:
			l.measure(ctx, p)
		}
	}
}

func (l *latencies) measure(ctx context.Context, p inventory.Position) {
	durable := time.UnixMilli(int64(p.RecordedAt))
	deadline := l.now().Add(visibleWithin)
	for l.now().Before(deadline) && ctx.Err() == nil {
		answer, err := l.get(ctx, p.Key)
		if err == nil && answer.Version >= p.Version {
			l.mu.Lock()
			if _, again := l.took[p.EventID]; !again {
				l.took[p.EventID] = l.now().Sub(durable)
			}
			l.mu.Unlock()
			return
		}
	}
}

// of is what an event took; false when it changed nothing or was not measured.
func (l *latencies) of(event string) (time.Duration, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d, ok := l.took[event]
	return d, ok
}

// percentiles of all measured, in milliseconds.
func (l *latencies) percentiles() map[string]float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]time.Duration, 0, len(l.took))
	for _, d := range l.took {
		all = append(all, d)
	}
	slices.Sort(all)
	out := map[string]float64{}
	if len(all) == 0 {
		return out
	}
	for name, share := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1} {
		out[name] = float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
	}
	return out
}

func (l *latencies) get(ctx context.Context, k inventory.Key) (*road.ATP, error) {
	return road.Ask(ctx, l.http, l.api, k)
}
