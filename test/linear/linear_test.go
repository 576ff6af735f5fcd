package linear

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/pkg/simulate/reserve"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/stack"
)

const (
	channels  = 5
	callers   = 6    // of a channel, at once
	hot       = 8    // items asked for at a time: the others are idle, before or after
	ofAnItem  = 125  // requests: what is left of an item after so many is little
	heldFor   = 6500 // ms
	stockDC1  = 20 * inventory.One
	stockDC2  = 10 * inventory.One
	partner   = "shop"
	requestID = "%d-%d" // channel and number
)

// Whatever order five channels' requests reach the ledger in, and though a worker is
// killed: every item's answers are those of one order of its requests, nothing is
// oversold, and when all is given back, served or lapsed nothing is claimed (Invariant 4).
func TestRequestsOnARealLog(t *testing.T) {
	requests := 3000
	if os.Getenv("STOCKWEAVE_FAULTS") == "long" {
		requests = 100_000
	}
	if n, err := strconv.Atoi(os.Getenv("REQUESTS")); err == nil {
		requests = n
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("SEED=%d", seed)

	w := newWorld(t)
	l := &load{world: w, history: newHistory(w.Codecs), requests: requests, items: max(3*hot, requests/ofAnItem), seed: seed}
	l.stock()
	began := time.Now()
	l.connect()
	killed := l.kill()
	l.run()
	if !t.Failed() {
		<-killed
	}
	took := time.Since(began)
	shipped := l.giveBack()
	l.rest(shipped)
	most := l.history.check(t, l.model, 30*time.Second+time.Duration(requests)*3*time.Millisecond)

	n := &l.answered
	t.Logf("requests %d (several items %d, held %d), granted %d, denied %d, contended %d, cancelled %d, retried %d, seconds %.1f, requests/s %.0f",
		requests, l.several.Load(), l.held.Load(), n[reservation.Granted].Load(), n[reservation.Denied].Load(), n[reservation.Contended].Load(),
		n[reservation.Cancelled].Load(), len(l.history.retried), took.Seconds(), float64(requests)/took.Seconds())
	t.Logf("oversold %d, leaked 0, %d events over %d items, at most %d of one, %d positions, %d given back, %v shipped",
		len(w.positions.oversold), len(l.history.ops), l.items, most, w.positions.seen, l.gaveBack.Load(), shipped)
	for status, least := range map[reservation.Status]int{reservation.Granted: requests / 20, reservation.Denied: requests / 50} {
		if got := int(n[status].Load()); got < least {
			t.Errorf("%d of %d requests %s: the history says little", got, requests, status)
		}
	}
	if len(l.history.retried) == 0 || l.several.Load() == 0 || l.held.Load() == 0 {
		t.Error("nothing was contended, over several items or held for a time")
	}
}

// load is what the channels do.
type load struct {
	*world
	history  *history
	requests int
	items    int
	seed     uint64
	clients  [channels]*reservation.Client

	next     atomic.Int64  // request
	half     chan struct{} // closed in the middle
	answered [reservation.Cancelled + 1]atomic.Int64
	several  atomic.Int64
	held     atomic.Int64
	gaveBack atomic.Int64

	mu   sync.Mutex
	kept []granted // until served or cancelled
}

// granted is a request that holds what it was granted.
type granted struct {
	channel int
	request reservation.Request
	reply   reservation.Reply
}

func key(n int) inventory.Key {
	return inventory.Key{Entity: "acme", Item: inventory.Item(fmt.Sprintf("item-%05d", n))}
}

// receipts are the stock of an item.
func receipts(k inventory.Key) []*inventory.Event {
	evs := make([]*inventory.Event, 0, 2)
	for loc, q := range map[inventory.Location]inventory.Quantity{"DC1": stockDC1, "DC2": stockDC2} {
		evs = append(evs, movement(k, string(loc), inventory.Movement{Type: inventory.Receipt, Location: loc, Quantity: q}))
	}
	return evs
}

func movement(k inventory.Key, number string, m inventory.Movement) *inventory.Event {
	d := inventory.Document{Type: "wms", Number: string(k.Item) + "-" + number, Line: "1"}
	now := inventory.Instant(time.Now().UnixMilli())
	return &inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: k, Source: "wms", Document: d,
		OccurredAt: now, OccurredBasis: inventory.BasisReceipt, ReceivedAt: now, Movement: &m,
	}
}

// facts appends what has happened.
func (l *load) facts(evs []*inventory.Event) {
	l.t.Helper()
	producer, err := stream.NewProducer(l.Stream())
	if err != nil {
		l.t.Fatal(err)
	}
	defer producer.Close()
	recs := make([]*stream.Record, len(evs))
	for i, ev := range evs {
		value, err := l.Codecs.AppendEvent(nil, ev)
		if err != nil {
			l.t.Fatal(err)
		}
		recs[i] = &stream.Record{Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value}
	}
	if err := producer.Produce(l.t.Context(), recs...); err != nil {
		l.t.Fatal(err)
	}
}

// stock fills the locations and waits until all of it can be promised.
func (l *load) stock() {
	l.t.Helper()
	var evs []*inventory.Event
	for i := range l.items {
		evs = append(evs, receipts(key(i))...)
	}
	l.facts(evs)
	l.until("the stock is not there", settle, func() bool {
		onHand, _ := l.positions.totals()
		return onHand == inventory.Quantity(l.items)*(stockDC1+stockDC2)
	})
}

// connect opens a client for each channel, with answers in a partition of its own.
func (l *load) connect() {
	l.t.Helper()
	for c := range l.clients {
		producer, err := stream.NewProducer(l.Stream())
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(producer.Close)
		rng := rand.New(rand.NewPCG(l.seed, 1000+uint64(c)))
		var mu sync.Mutex
		client, err := reservation.NewClient(reservation.Config{
			Codecs: l.Codecs, Log: watched{producer, l.history}, Name: fmt.Sprint("channel-", c), Source: "api", ReplyTo: int32(c), Now: time.Now,
			Random: func() float64 {
				mu.Lock()
				defer mu.Unlock()
				return rng.Float64()
			},
		})
		if err != nil {
			l.t.Fatal(err)
		}
		table, err := reservation.Follow(l.Stream(), l.Codecs, int32(c), l.history.began.Add(-time.Minute), func(a *event.Answered) {
			l.history.heard(a)
			client.Answered(a)
		})
		if err != nil {
			l.t.Fatal(err)
		}
		background(l.t, table.Run)
		l.clients[c] = client
	}
}

// kill ends a worker in the middle by kill -9 and starts it again; then what it returns
// is closed.
func (l *load) kill() <-chan struct{} {
	l.half = make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-l.half:
		case <-l.t.Context().Done():
			return
		}
		l.workers[0].Kill9()
		l.workers[0].Restart(l.t)
	}()
	l.t.Cleanup(func() { <-done })
	return done
}

// run makes all requests.
func (l *load) run() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute+time.Duration(l.requests)*10*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for c := range channels {
		for i := range callers {
			wg.Go(func() { l.caller(ctx, c, rand.New(rand.NewPCG(l.seed, uint64(c*callers+i)))) })
		}
	}
	wg.Wait()
	l.until("requests are not answered", settle, func() bool { return l.history.unanswered() == 0 })
	for _, c := range l.clients {
		if err := c.Close(ctx); err != nil {
			l.t.Error(err)
		}
	}
}

// caller asks, and now and then gives back what somebody was granted.
func (l *load) caller(ctx context.Context, channel int, rng *rand.Rand) {
	for {
		n := int(l.next.Add(1)) - 1
		if n >= l.requests {
			return
		}
		if n == l.requests/2 {
			close(l.half)
		}
		r := l.request(rng, channel, n)
		reply, err := l.clients[channel].Reserve(ctx, r)
		if err != nil {
			l.t.Errorf("request %d: %v", n, err)
			return
		}
		l.answered[reply.Status].Add(1)
		if reply.Status == reservation.Granted && r.Hold == 0 {
			l.mu.Lock()
			l.kept = append(l.kept, granted{channel, r, reply})
			l.mu.Unlock()
		}
		if rng.IntN(100) < 12 {
			if g, ok := l.take(rng); ok {
				l.gaveBack.Add(1)
				if err := l.clients[g.channel].Cancel(ctx, g.request); err != nil {
					l.t.Errorf("giving back: %v", err)
				}
			}
		}
	}
}

// take is one of the last that were granted.
func (l *load) take(rng *rand.Rand) (granted, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) == 0 {
		return granted{}, false
	}
	i := max(0, len(l.kept)-1-rng.IntN(30))
	g := l.kept[i]
	l.kept = slices.Delete(l.kept, i, i+1)
	return g, true
}

// request is for one item, or a few of those that are asked for now.
func (l *load) request(rng *rand.Rand, channel, n int) reservation.Request {
	r := reservation.Request{ID: reservation.ID(partner, fmt.Sprintf(requestID, channel, n)), Partner: partner}
	items := 1
	if rng.IntN(100) < 40 {
		items = 2 + rng.IntN(2)
		l.several.Add(1)
	}
	// One item held for a time is tentative for all of it: many would contend everything.
	if n := rng.IntN(100); n < 5 || n < 25 && items > 1 {
		r.Hold = inventory.Instant(time.Now().UnixMilli() + heldFor)
		l.held.Add(1)
	}
	first := n * (l.items - hot) / l.requests
	for _, i := range rng.Perm(hot)[:items] {
		for name := range 1 + rng.IntN(2) {
			r.Lines = append(r.Lines, reservation.Line{Key: key(first + i), ReservationLine: inventory.ReservationLine{
				Line: strconv.Itoa(name + 1), Quantity: inventory.Quantity(1+rng.IntN(3)) * inventory.One,
				Location: []inventory.Location{"", "", "DC1", "DC2"}[rng.IntN(4)],
			}})
		}
	}
	return r
}

// model is that of the policies of this repository, which the ledger decides by.
func (l *load) model(k inventory.Key) porcupine.Model {
	return model(reserve.Policy{
		Ranks: []inventory.Location{"DC1", "DC2"}, PartnerCap: 1000 * inventory.One, Tombstone: 10 * 60_000,
	}, receipts(k))
}

// giveBack ends what is kept: every other is shipped, the others are cancelled. It
// returns what left.
func (l *load) giveBack() (shipped inventory.Quantity) {
	l.t.Helper()
	var evs []*inventory.Event
	for i, g := range l.kept {
		if i%2 == 0 {
			r := g.request
			r.Run, r.Source, r.ReplyTo = "end", "api", -1
			cancels, err := reservation.Cancels(r, inventory.Instant(time.Now().UnixMilli()))
			if err != nil {
				l.t.Fatal(err)
			}
			evs = append(evs, cancels...)
			continue
		}
		for n, line := range g.reply.Lines {
			shipped += line.Quantity
			ev := movement(line.Key, fmt.Sprint(g.request.ID, "-", n), inventory.Movement{Type: inventory.Ship, Location: line.Location, Quantity: line.Quantity})
			ev.Refs = []inventory.Ref{{Issuer: partner, Type: "reservation", Number: g.request.ID, Line: line.Line}}
			evs = append(evs, ev)
		}
	}
	l.facts(evs)
	return shipped
}

// rest waits until what is held for a time has lapsed, by the ticks of the workers, and
// wants every figure to be what was received less what was shipped.
func (l *load) rest(shipped inventory.Quantity) {
	l.t.Helper()
	l.Rest(l.t, settle, []stack.Reader{{Group: "atp", Topic: event.TopicEvents}})
	want := inventory.Quantity(l.items)*(stockDC1+stockDC2) - shipped
	limit := time.After(heldFor*time.Millisecond + 10*time.Second) // nothing is left to the tries' own 30 s
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		onHand, claimed := l.positions.totals()
		if claimed == 0 && onHand == want {
			break
		}
		select {
		case <-limit:
			l.t.Fatalf("%v is claimed still; %v on hand, not %v", claimed, onHand, want)
		case <-tick.C:
		}
	}
	l.positions.mu.Lock()
	defer l.positions.mu.Unlock()
	slices.SortFunc(l.positions.oversold, cmp.Compare[string])
	if n := len(l.positions.oversold); n > 0 {
		l.t.Errorf("%d positions are oversold: %s", n, l.positions.oversold[0])
	}
	if l.history.twice > 0 {
		l.t.Errorf("%d answers more than requests", l.history.twice)
	}
}
