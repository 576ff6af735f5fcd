package atpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// trips counts the round trips to Redis that are made for requests, and those about rates,
// whoever makes them. It is a hook of the client.
type trips struct{ asked, rates atomic.Int64 }

// forRequest marks the context of a request.
type forRequest struct{}

func (n *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (n *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		n.count(ctx, cmd)
		return next(ctx, cmd)
	}
}

func (n *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		n.count(ctx, cmds...)
		return next(ctx, cmds)
	}
}

func (n *trips) count(ctx context.Context, cmds ...redis.Cmder) {
	said := fmt.Sprint(cmds)
	if ctx.Value(forRequest{}) != nil && strings.Contains(said, "sw:") { // else a connection is greeted
		n.asked.Add(1)
	}
	if strings.Contains(said, ratePrefix) {
		n.rates.Add(1)
	}
}

// TestRoundTrips: a read asks Redis once, of however many items it is and whatever its
// caller's rate, and not at all where the copy answers or the request is refused. Rates are
// settled meanwhile, for no request.
func TestRoundTrips(t *testing.T) {
	w := newWeb(t)
	w.promiseBy(t, policy.ATPPolicy{
		Groups: map[string][]inventory.Location{"web": {"DC1", "DC2"}},
		Kits:   []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "I1", Quantity: inventory.One}, {Item: "I2", Quantity: inventory.One}}}},
	}, policy.Channel{Name: "shop", Entity: "acme", Locations: []inventory.Location{"DC1"}, Listings: map[inventory.Item]string{"I1": "L"}})
	var items []string
	for i := range maxTogether {
		w.flog.commit(t, w.codecs, fmt.Sprintf("I%d", i), int64(i+1), map[inventory.Location]int64{"DC1": 10, "DC2": 1})
		items = append(items, fmt.Sprintf(`{"item":"I%d"}`, i))
	}
	w.run(t, 10)
	w.reader.gather = &gather{load: w.reader.store.items}
	rich, poor := principal("rich", "atp:read:entity=acme"), principal("poor", "atp:read")
	rich.Rate, poor.Rate = policy.Rate{PerSecond: 100_000, Burst: 100_000}, policy.Rate{PerSecond: 0.001, Burst: 1}
	w.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{rich, poor}}})
	n, rdb := &trips{}, w.reader.store.rdb
	rdb.AddHook(n)
	if err := w.api.porter.share(rdb, "r", time.Now, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.api.porter.leases.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	<-w.api.porter.leases.Ready()
	ask := func(who, path, body string, headers ...string) int {
		t.Helper()
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		req := httptest.NewRequestWithContext(context.WithValue(t.Context(), forRequest{}, true), method, path, strings.NewReader(body))
		return w.ask(t, req, append([]string{"Content-Type", "application/json", "X-Api-Key", who}, headers...)...).Code
	}
	is := func(what string, trips int64, status, got int) {
		t.Helper()
		if asked := n.asked.Swap(0); asked != trips || got != status {
			t.Errorf("%s: %d, want %d; Redis was asked %d times, want %d", what, got, status, asked, trips)
		}
	}
	batch := `{"items":[` + strings.Join(items, ",") + `]}`
	each := func(how string, read, again int64) {
		for _, path := range []string{"I1", "I1?location=DC1", "I1?group=web", "I1?channel=shop", "I1?on=2026-12-01&quantity=3", "I3?fields=atp"} {
			is(how+path, read, 200, ask("rich", "/v1/atp/"+path, ""))
			is(how+path+", again", again, 200, ask("rich", "/v1/atp/"+path, ""))
			read = again // it is known now
			if strings.Contains(path, "quantity") {
				read = min(1, read+1) // another item
			}
		}
		is(how+"unchanged", again, 304, ask("rich", "/v1/atp/I1", "", "If-None-Match", "*"))
		is(how+"unknown", 1, 404, ask("rich", "/v1/atp/NOPE", ""))
		is(how+"beyond the scope", 0, 403, ask("rich", "/v1/atp/I1?entity=other", ""))
		is(how+"no item", 0, 400, ask("rich", "/v1/atp/I1?x=1", ""))
		is(how+"a batch", 1, 200, ask("rich", "/v1/atp/batch", batch))
		is(how+"a batch, again", again, 200, ask("rich", "/v1/atp/batch", batch))
	}
	each("from Redis: ", 1, 1)
	is("a kit", 1, 200, ask("rich", "/v1/atp/KIT", ""))
	ask("poor", "/v1/atp/I1", "")
	n.asked.Store(0)
	is("too often", 0, 429, ask("poor", "/v1/atp/I1", ""))
	for _, first := range []bool{false, true} {
		w.reader.local = newLocal(LocalConfig{Bytes: 1 << 20, First: first, Bound: time.Second, Stale: time.Minute})
		w.reader.local.begin("t1", map[int32]int64{0: w.flog.end})
		if first {
			each("from the copy: ", 1, 0)
		} else {
			each("by a mark: ", 1, 1)
		}
	}
	eventually(t, "rates are settled", func() bool { return w.api.porter.leases.Counts().Settled > 0 })
	if n.asked.Load() != 0 || n.rates.Load() == 0 {
		t.Errorf("settled for requests: %d; about rates: %d", n.asked.Load(), n.rates.Load())
	}
}
