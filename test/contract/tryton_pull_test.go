package contract_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	rest "github.com/stockweave/stockweave/pkg/tryton"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/pull"
	"github.com/stockweave/stockweave/services/ingest/pull/tryton"
	"github.com/stockweave/stockweave/test/harness"
)

// pulled is a log in memory.
type pulled struct {
	mu   sync.Mutex
	raws []*event.RawMessage
}

func (p *pulled) Append(_ context.Context, raws []*event.RawMessage) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.raws = append(p.raws, raws...)
	return nil
}

// of are the messages that contain a text, and how many ids they have.
func (p *pulled) of(text string) (bodies []string, ids int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := map[string]bool{}
	for _, r := range p.raws {
		if strings.Contains(string(r.Body), text) {
			bodies = append(bodies, string(r.Body))
			known[r.ID] = true
		}
	}
	return bodies, len(known)
}

// TestTrytonPull reads a real ERP with the fields and domains of the shipped source.
func TestTrytonPull(t *testing.T) {
	e := harness.Tryton(t, "")
	var facts struct{ Database, Key string }
	if err := json.Unmarshal(e.Facts, &facts); err != nil {
		t.Fatal(err)
	}
	set, err := policy.Load("../../policies")
	if err != nil {
		t.Fatal(err)
	}
	src := set.Partners["tryton"]
	p := *src.Transport.Pull.Tryton
	p.Models = p.Models[:3] // the server has no module for purchases
	client := pull.NewHTTP(true, time.Now)
	t.Cleanup(client.Close)
	log, cursors := &pulled{}, &cursor.Memory{}
	start := func(batch int) (stop func()) {
		a, err := tryton.New(&p, e.URL, facts.Key, batch, client, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		f := &pull.Feed{
			Source: src, Poll: policy.Poll{Every: 200 * time.Millisecond, Batch: batch}, Adapter: a, Append: log, Cursors: cursors, Key: "tryton",
			Log: slog.New(slog.DiscardHandler), Now: time.Now, Random: func() float64 { return 0 }, Metrics: pull.NewMetrics(),
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = f.Run(ctx)
		}()
		stop = sync.OnceFunc(func() { cancel(); <-ended })
		t.Cleanup(stop)
		return stop
	}
	stop := start(3) // pages of three
	await(t, "products and locations", func() bool {
		items, _ := log.of(`"model":"product.product"`)
		places, _ := log.of(`"code":"DC1/storage"`)
		return len(items) >= 3 && len(places) >= 1
	})
	api := rest.New(e.URL, facts.Database, facts.Key, func(ctx context.Context, method, url string, h http.Header, body []byte) (int, []byte, error) {
		status, _, b, err := client.Ask(ctx, method, url, h, body)
		return status, b, err
	})
	move := newMove(t, api)
	text := fmt.Sprintf(`"id":%d,`, move)
	moves := func() int { _, ids := log.of(`"model":"stock.move"`); return ids }
	await(t, "the draft", func() bool { return moves() == 1 })
	if err := api.Call(t.Context(), map[string]any{"company": 1}, http.MethodPost, fmt.Sprintf("stock.move/%d/do", move), struct{}{}, nil); err != nil {
		t.Fatal(err)
	}
	await(t, "the same move, done", func() bool {
		bodies, _ := log.of(`"state":"done"`)
		return len(bodies) > 0 && strings.Contains(bodies[0], text)
	})
	stop()
	// Another process goes on. What it reads again, since the cursor was not saved or by
	// the overlap, has the ids it had.
	known := map[string]bool{}
	for _, r := range log.raws {
		known[r.ID] = true
	}
	stop = start(100)
	second := newMove(t, api)
	await(t, "a move after the restart", func() bool {
		_, ids := log.of(fmt.Sprintf(`"id":%d,`, second))
		return ids > 0 && moves() == 3
	})
	stop()
	for _, r := range log.raws {
		if !known[r.ID] && !strings.Contains(string(r.Body), fmt.Sprintf(`"id":%d,`, second)) {
			t.Errorf("read again under another id: %s", r.Body)
		}
	}
}

// newMove drafts a receipt of five pieces.
func newMove(t *testing.T, api *rest.Client) int {
	t.Helper()
	find := func(model, field, value string) int {
		var found []struct{ ID int }
		q := rest.Query{Model: model, Domain: []any{[]any{field, "=", value}}, Limit: 1, Fields: []string{"id"}}
		if err := api.Search(t.Context(), nil, q, &found); err != nil || len(found) != 1 {
			t.Fatalf("%s %s: %v, %v", model, value, found, err)
		}
		return found[0].ID
	}
	day, err := rest.ParseDate(time.Now().UTC().Format(time.DateOnly))
	if err != nil {
		t.Fatal(err)
	}
	var unit []struct {
		Unit int `json:"default_uom"`
	}
	item := find("product.product", "code", "SKU-1")
	if err := api.Search(t.Context(), nil, rest.Query{Model: "product.product", Domain: []any{[]any{"id", "=", item}}, Limit: 1, Fields: []string{"default_uom"}}, &unit); err != nil {
		t.Fatal(err)
	}
	var made struct{ ID int }
	err = api.Call(t.Context(), map[string]any{"company": 1}, http.MethodPost, "stock.move?f=state", map[string]any{
		"product": item, "unit": unit[0].Unit, "quantity": 5, "company": 1, "planned_date": day, "effective_date": day,
		"from_location": find("stock.location", "code", "lost_found"), "to_location": find("stock.location", "code", "DC1/storage"),
	}, &made)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}

func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		case <-tick.C:
		}
	}
}
