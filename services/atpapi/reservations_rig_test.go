package atpapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/apidoc/apidoctest"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/pkg/stream"
)

// bench is a ledger, a Redis and the replicas in front of them.
type bench struct {
	t      *testing.T
	codecs *event.Codecs
	mini   *miniredis.Miniredis
	doc    *apidoctest.Document
	keys   map[string]string // of partners
	guard  *access.Guard
	ahead  atomic.Int64 // ms the replicas' clocks and the log's are ahead

	checking sync.Mutex // of doc

	mu       sync.Mutex
	policy   inventory.Policy
	ledgers  map[inventory.Key]*inventory.Ledger
	offset   int64
	tries    int
	mute     bool // answers wait
	waiting  []func()
	away     bool // the log takes nothing
	replicas []*replica
}

// replica is one atp-api.
type replica struct {
	*bench
	desk   *desk
	client *reservation.Client
	api    *api
	router http.Handler
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		t: t, codecs: event.TestCodecs(), mini: miniredis.RunT(t), doc: readDocument(t), keys: map[string]string{}, ledgers: map[inventory.Key]*inventory.Ledger{},
	}
	var principals []access.Principal
	for name, scopes := range map[string][]string{
		"shop": {"reservations:read", "reservations:write"}, "rival": {"reservations:read", "reservations:write"},
		"narrow": {"reservations:write:entity=acme:channel=web"}, "reader": {"reservations:read"},
	} {
		key, err := access.NewKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s, err := access.ParseScopes(scopes)
		if err != nil {
			t.Fatal(err)
		}
		b.keys[name] = key
		principals = append(principals, access.Principal{Name: name, Scopes: s, Keys: []access.StoredKey{{Hash: access.HashKey(key)}}})
	}
	var err error
	if b.guard, err = access.NewGuard(principals, nil, time.Now); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) now() time.Time {
	return time.Now().Add(time.Duration(b.ahead.Load()) * time.Millisecond)
}

// stock receives an item at a location.
func (b *bench) stock(item string, loc inventory.Location, quantity int64) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	k := inventory.Key{Entity: "acme", Item: inventory.Item(item)}
	d := inventory.Document{Type: "944", Number: item + string(loc)}
	at := inventory.Instant(b.now().UnixMilli())
	b.apply(&inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: k, Source: "wms", Document: d, OccurredAt: at, OccurredBasis: inventory.BasisReceipt,
		Movement: &inventory.Movement{Type: inventory.Receipt, Location: loc, Quantity: inventory.Quantity(quantity) * inventory.One},
	})
}

// apply has the ledger decide; b.mu is held.
func (b *bench) apply(ev *inventory.Event) *event.Answered {
	l := b.ledgers[ev.Key]
	if l == nil {
		l = inventory.NewLedger(ev.Key, noPieces{})
		b.ledgers[ev.Key] = l
	}
	ev.RecordedAt = inventory.Instant(b.now().UnixMilli())
	out, err := l.Apply(&b.policy, ev, inventory.At{Lineage: 1, Offset: b.offset})
	b.offset++
	if err != nil {
		b.t.Error(err)
	}
	a := &event.Answered{Key: ev.Key, EventID: ev.ID, Outcome: out.Kind}
	if out.Answer != nil {
		a.Answer = *out.Answer
	}
	return a
}

// Produce is the log's.
func (b *bench) Produce(ctx context.Context, recs ...*stream.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, rec := range recs {
		var ev inventory.Event
		if err := b.codecs.DecodeEvent(rec.Value, &ev); err != nil {
			return err
		}
		if ev.Reservation.Action == inventory.Try {
			b.tries++
		}
		a := b.apply(&ev)
		tell := func() {
			for _, r := range b.replicas { // all hear all
				r.client.Answered(a)
			}
		}
		if b.mute {
			b.waiting = append(b.waiting, tell)
		} else {
			time.AfterFunc(time.Millisecond, func() {
				b.mu.Lock()
				defer b.mu.Unlock()
				go tell()
			})
		}
	}
	return nil
}

// speak lets answers out again.
func (b *bench) speak() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mute = false
	for _, tell := range b.waiting {
		go tell()
	}
	b.waiting = nil
}

func (b *bench) set(f func(b *bench)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(b)
}

func (b *bench) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tries
}

// claimed is what is claimed of an item.
func (b *bench) claimed(item string) inventory.Quantity {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.ledgers[inventory.Key{Entity: "acme", Item: inventory.Item(item)}]
	if l == nil {
		return 0
	}
	var sum inventory.Quantity
	for _, n := range l.Locations() {
		p, _ := l.Position(n)
		for _, x := range p.Reserved {
			sum += x.Quantity
		}
	}
	return sum
}

// replica starts another one.
func (b *bench) replica(change ...func(*ReservationsConfig)) *replica {
	b.t.Helper()
	cfg := DefaultReservations()
	for _, f := range change {
		f(&cfg)
	}
	count, err := newMetrics(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	counted, err := newReservationMetrics(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: b.mini.Addr(), MaxRetries: -1, DialTimeout: 100 * time.Millisecond, ContextTimeoutEnabled: true})
	b.t.Cleanup(func() { _ = rdb.Close() })
	log := slog.New(slog.DiscardHandler)
	name := lifeName(fmt.Sprint(len(b.replicas)), b.now())
	d := newDesk(cfg, &book{rdb: rdb}, name, b.now, log, counted)
	client, err := reservation.NewClient(reservation.Config{
		Codecs: b.codecs, Log: b, Name: name, Source: requestSource, ReplyTo: 0, Now: b.now, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	d.client.Store(client)
	a := &api{
		entity: "acme", retryAfter: time.Second, now: b.now, log: log, count: count, desk: d,
		porter: stays(&admission{guard: b.guard}),
	}
	r := &replica{b, d, client, a, a.handler()}
	b.set(func(b *bench) { b.replicas = append(b.replicas, r) })
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.close(ctx, client); err != nil {
			b.t.Errorf("closing: %v", err)
		}
	})
	return r
}

// reply is an answer over HTTP.
type httpReply struct {
	status int
	header http.Header
	view
	refusal struct {
		ID, Code, Pointer, Item, Reason, Available string
	}
}

// ask asks with headers and holds the answer against the document.
func (r *replica) ask(method, path, body string, headers ...string) (status int, h http.Header, answer []byte) {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	r.router.ServeHTTP(rec, req)
	b, err := io.ReadAll(rec.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	r.checking.Lock()
	defer r.checking.Unlock()
	if err := r.doc.Check(req, rec.Code, rec.Header(), b); err != nil {
		r.t.Errorf("not as documented: %v", err)
	}
	return rec.Code, rec.Header(), b
}

// send asks as a partner.
func (r *replica) send(method, path, partner, body string, headers ...string) (out httpReply) {
	r.t.Helper()
	var b []byte
	out.status, out.header, b = r.ask(method, path, body, append(headers, "X-Api-Key", r.keys[partner])...)
	if len(b) > 0 {
		into := any(&out.view)
		if out.status >= 400 {
			into = &out.refusal
		}
		if err := json.Unmarshal(b, into); err != nil {
			r.t.Fatalf("%s: %v", b, err)
		}
	}
	return out
}

func (r *replica) reserve(partner, key, body string) httpReply {
	r.t.Helper()
	return r.send(http.MethodPost, reservationPath, partner, body, "Idempotency-Key", key)
}

func (r *replica) at(method, id, more, partner, body string) httpReply {
	r.t.Helper()
	return r.send(method, reservationPath+"/"+id+more, partner, body)
}

// want holds status and code of an answer.
func (h httpReply) want(t *testing.T, what string, status int, word string) {
	t.Helper()
	if got := h.refusal.Code + h.Status; h.status != status || word != "" && got != word {
		t.Errorf("%s: %d %s, want %d %s (%+v)", what, h.status, got, status, word, h)
	}
}

func (b *bench) wantClaimed(what, item string, quantity int64) {
	b.t.Helper()
	if q := b.claimed(item); q != inventory.Quantity(quantity)*inventory.One {
		b.t.Errorf("%s: %s of %s is claimed, want %d", what, q, item, quantity)
	}
}

// noPieces is an empty store.
type noPieces struct{}

func (noPieces) Head() *inventory.Head                                     { return nil }
func (noPieces) Location(inventory.Location) *inventory.LocationState      { return nil }
func (noPieces) IDs(int64) ([]inventory.Seen, inventory.Instant)           { return nil, 0 }
func (noPieces) Journal(inventory.Location, int64) []inventory.Entry       { return nil }
func (noPieces) Line(string) *inventory.Line                               { return nil }
func (noPieces) SupplyLine(string) *inventory.SupplyLine                   { return nil }
func (noPieces) Ref(string) *inventory.RefTarget                           { return nil }
func (noPieces) View(inventory.Source, inventory.Location) *inventory.View { return nil }
func (noPieces) Kept(string, int64) *inventory.Kept                        { return nil }
func (noPieces) Names(string, string, func(string) bool)                   {}
func (noPieces) Lines(func(*inventory.Line) bool)                          {}
