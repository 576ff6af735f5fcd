package road

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// The road from the first message to the last figure. The steps build on one
// another: one that fails ends the test.
func TestRoad(t *testing.T) {
	w := newWorld(t)
	w.Start(t, stack.Services()...)
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"the door refuses", w.doorRefuses},
		{"the day", w.day},
		{"a value changed by hand is put right", w.changedByHand},
		{"everything again", w.again},
	} {
		if !t.Run(step.name, step.run) {
			return
		}
	}
	// The registry was stopped after the apply: everything above went without it.
	if resp, err := w.http.Get(w.Registry.URL() + "/subjects"); err == nil {
		defer resp.Body.Close()
		t.Errorf("the registry answers %s; it was to be down", resp.Status)
	}
}

// doorRefuses: what may not come in gets its own code and leaves nothing behind.
func (w *world) doorRefuses(t *testing.T) {
	order := []byte(`{"id": 1, "order_number": 9, "line_items": [{"id": 1, "sku": "SKU-1", "quantity": 1}]}`)
	huge := bytes.Repeat([]byte("x"), policy.MaxMessage+1)
	for _, c := range []struct {
		name   string
		step   road.Step
		body   []byte
		status int
		code   string
	}{
		{"a wrong signature", road.Step{Source: "shop", Signature: "another secret"}, order, http.StatusUnauthorized, "bad_signature"},
		{"a wrong key", road.Step{Source: "wms-count", Key: "another key"}, order, http.StatusUnauthorized, "bad_key"},
		{"an unknown source", road.Step{Source: "nobody"}, order, http.StatusUnauthorized, "bad_key"},
		{"too large", road.Step{Source: "wms-count"}, huge, http.StatusRequestEntityTooLarge, "too_large"},
		{"another content type", road.Step{Source: "erp", ContentType: "text/html"}, order, http.StatusUnsupportedMediaType, "unsupported_media_type"},
		{"nothing at all", road.Step{Source: "erp"}, nil, http.StatusBadRequest, "empty_body"},
	} {
		c.step.Status = c.status
		a, err := w.sender.Post(t.Context(), c.step, c.body)
		if err != nil || a.Status != c.status || a.Code != c.code {
			t.Errorf("%s: %d %q, %v; want %d %s", c.name, a.Status, a.Code, err, c.status, c.code)
		}
	}
	t.Run("too large without saying so", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Ingest()+"/v1/messages/wms-count", io.MultiReader(bytes.NewReader(huge)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+w.sender.Key)
		req.Header.Set("Content-Type", "text/csv")
		resp, err := w.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
	ends, err := w.Kafka.Admin(t).ListEndOffsets(t.Context(), event.TopicRaw)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range ends.Offsets().Sorted() {
		if end.At != 0 {
			t.Errorf("%s/%d holds %d messages that the door refused", end.Topic, end.Partition, end.At)
		}
	}
}

// day plays the scenario, a message at a time, and looks at every end.
func (w *world) day(t *testing.T) {
	before := w.books.documents(t)
	if len(before) != 3 {
		t.Fatalf("the ERP begins with %d moves, not the 3 of its opening stock", len(before))
	}
	began := time.Now()
	for _, s := range w.scenario.Steps {
		w.send(t, s)
		if err := w.tail.Settle(t.Context(), w.sent, settleLimit); err != nil {
			t.Fatalf("%s: %v", s.Say, err)
		}
	}
	w.settle(t)
	t.Logf("%d messages to every end in %s", len(w.sent), time.Since(began).Round(time.Millisecond))

	if d := differences(w.look(t), expected(t)); d != "" {
		t.Errorf("the figures differ:\n%s", d)
	}
	w.documentsAreThePlan(t)
	w.everyLineHasItsOutcome(t)
}

// documentsAreThePlan: one document in the ERP for each movement, each once.
func (w *world) documentsAreThePlan(t *testing.T) {
	t.Helper()
	w.tail.Lock()
	planned := slices.Sorted(maps.Keys(w.tail.Postings))
	for id, r := range w.tail.Results {
		if r.Status != event.Posted {
			t.Errorf("posting %s is %s: %s %s", id, r.Status, r.Code, r.Reason)
		}
	}
	w.tail.Unlock()
	var refs, said []string
	for _, d := range w.books.documents(t) {
		if d.Ref == "" {
			continue // opening stock
		}
		refs, said = append(refs, d.Ref), append(said, d.said())
	}
	if !slices.Equal(refs, planned) {
		t.Errorf("the ERP has the references %q, planned are %q", refs, planned)
	}
	want := postings()
	slices.Sort(said)
	slices.Sort(want)
	if !slices.Equal(said, want) {
		t.Errorf("the ERP's documents:\n%q\nwant\n%q", said, want)
	}
}

// everyLineHasItsOutcome: Invariant 2, over the whole scenario.
func (w *world) everyLineHasItsOutcome(t *testing.T) {
	t.Helper()
	w.tail.Lock()
	defer w.tail.Unlock()
	if len(w.tail.Receipts) != len(w.sent) {
		t.Errorf("%d receipts for %d messages", len(w.tail.Receipts), len(w.sent))
	}
	decided := map[string]int{}
	for _, o := range w.tail.Outcomes {
		decided[o.EventID]++
	}
	var rejected, parked int
	told := map[string]int{}
	for id, r := range w.tail.Receipts {
		if n := len(r.EventIDs) + int(r.Rejected+r.Parked+r.Masters); n != int(r.Lines) {
			t.Errorf("message %s has %d lines, and %d things became of them", id, r.Lines, n)
		}
		rejected, parked = rejected+int(r.Rejected), parked+int(r.Parked)
		for _, e := range r.EventIDs {
			told[e]++
		}
	}
	if !maps.Equal(decided, told) {
		t.Errorf("outcomes by event: %v, told by receipts: %v", decided, told)
	}
	if len(w.tail.Dead) != rejected || len(w.tail.Parked) != parked {
		t.Errorf("%d dead letters and %d parked lines; receipts say %d and %d", len(w.tail.Dead), len(w.tail.Parked), rejected, parked)
	}
	// Both lines of the truncated set, and the count of "1o".
	if want := []string{"bad_quantity", "x12_truncated", "x12_truncated"}; !slices.Equal(codes(w.tail.Dead), want) {
		t.Errorf("dead letters %q, want %q", codes(w.tail.Dead), want)
	}
	if len(w.tail.Parked) != 1 || w.tail.Parked[0].Missing != "item:sku:SKU-9" {
		t.Errorf("parked: %+v", w.tail.Parked)
	}
	kinds := map[inventory.OutcomeKind]int{}
	for _, o := range w.tail.Outcomes {
		kinds[o.Kind]++
	}
	// No news are the two lines of the repeated order; noted are the ERP's copies of
	// them, since the ERP originates no demand.
	want := map[inventory.OutcomeKind]int{inventory.Applied: len(story()), inventory.Duplicate: 2, inventory.Noted: 2}
	if !maps.Equal(kinds, want) {
		t.Errorf("outcomes %v, want %v", kinds, want)
	}
}

func codes(dead []event.DeadLetter) []string {
	var all []string
	for _, d := range dead {
		all = append(all, d.Code)
	}
	slices.Sort(all)
	return all
}

// changedByHand: what somebody changes at a channel is found by reading back, told,
// and put right (Invariant 7).
func (w *world) changedByHand(t *testing.T) {
	want := expected(t)
	for _, c := range []struct{ channel, listing, item string }{{"webshop", "SKU-1", "SKU-1"}, {"market", "MKT-0002", "SKU-2"}} {
		const byHand = 999 * inventory.One
		w.channels[c.channel].SetByHand(c.listing, byHand)
		key := c.channel + "|" + inventory.Key{Entity: "acme", Item: inventory.Item(c.item)}.String()
		var r event.OfferResult
		within(t, 20*time.Second, func() bool {
			w.tail.Lock()
			defer w.tail.Unlock()
			r = w.tail.Confirmed[key]
			return r.Status == event.Corrected
		}, func() { t.Fatalf("%s was changed by hand, and the last result is %+v", c.channel, r) })
		v, _ := w.channels[c.channel].Value(c.listing)
		if r.Seen != byHand || v.Quantity != want["channel "+c.channel+" "+c.listing] {
			t.Errorf("%s: found %s, corrected to %s; result %+v", c.channel, byHand, v.Quantity, r)
		}
	}
	if d := differences(w.look(t), want); d != "" {
		t.Errorf("the figures differ:\n%s", d)
	}
}

// again ends and starts every service, with the registry still down, and sends the
// whole input a second time, all at once. Nothing may change anywhere.
func (w *world) again(t *testing.T) {
	began := time.Now()
	w.Stop(t, stack.Services()...)
	w.Start(t, stack.Services()...)
	t.Logf("six services ended and started in %s", time.Since(began).Round(time.Millisecond))

	documents := w.books.documents(t)
	shown := w.calls()
	w.tail.Lock()
	events, outcomes, history := len(w.tail.Events), len(w.tail.Outcomes), len(w.tail.History)
	dead, parked := codes(w.tail.Dead), w.tail.Parked
	positions, plan, offers := maps.Clone(w.tail.Positions), maps.Clone(w.tail.Postings), maps.Clone(w.tail.Offers)
	known := map[string]bool{}
	for i := range w.tail.Events {
		known[w.tail.Events[i].ID] = true
	}
	w.tail.Unlock()

	began = time.Now()
	for _, s := range w.scenario.Steps {
		w.send(t, s)
	}
	w.settle(t)
	t.Logf("the same messages again, at rest after %s", time.Since(began).Round(time.Millisecond))

	w.tail.Lock()
	if n := len(w.tail.Events) - events; n != events {
		t.Errorf("the second pass gave %d events, the first %d", n, events)
	}
	for i := range w.tail.Events {
		if !known[w.tail.Events[i].ID] {
			t.Errorf("the second pass gave an event of its own: %+v", w.tail.Events[i])
		}
	}
	if n := len(w.tail.Outcomes) - outcomes; n != outcomes {
		t.Errorf("the second pass gave %d outcomes, the first %d", n, outcomes)
	}
	for i := range w.tail.Outcomes[outcomes:] {
		if o := &w.tail.Outcomes[outcomes+i]; o.Kind != inventory.Duplicate || len(o.Moves) != 0 {
			t.Errorf("%s %s of %s is no duplicate: %s %v, moves %v", o.Source, o.Document.Number, o.Key, o.Kind, o.Codes, o.Moves)
		}
	}
	if n := len(w.tail.History) - history; n != 0 {
		t.Errorf("%d positions were published for nothing new", n)
	}
	if a, b := dump(positions), dump(w.tail.Positions); a != b {
		t.Errorf("positions differ:\n%s\nbefore:\n%s", b, a)
	}
	if a, b := dump(plan), dump(w.tail.Postings); a != b {
		t.Errorf("the plan differs:\n%s\nbefore:\n%s", b, a)
	}
	if a, b := dump(offers), dump(w.tail.Offers); a != b {
		t.Errorf("offers differ:\n%s\nbefore:\n%s", b, a)
	}
	if got, want := codes(w.tail.Dead), slices.Sorted(slices.Values(slices.Concat(dead, dead))); !slices.Equal(got, want) {
		t.Errorf("dead letters %q, want %q", got, want)
	}
	for _, p := range w.tail.Parked {
		if p.ID != parked[0].ID {
			t.Errorf("another line is parked: %+v", p)
		}
	}
	w.tail.Unlock()

	if now := w.books.documents(t); !slices.Equal(now, documents) {
		t.Errorf("the ERP's documents:\n%+v\nbefore:\n%+v", now, documents)
	}
	if now := w.calls(); !maps.Equal(now, shown) {
		t.Errorf("channels were called to set values: %v, before %v", now, shown)
	}
	if d := differences(w.look(t), expected(t)); d != "" {
		t.Errorf("the figures differ:\n%s", d)
	}
}

// calls counts the attempts to set a value, by channel.
func (w *world) calls() map[string]int {
	n := map[string]int{}
	for name, c := range w.channels {
		n[name] = len(c.Calls())
	}
	return n
}

// within polls until a condition holds; late is called when it does not in time.
func within(t *testing.T, limit time.Duration, holds func() bool, late func()) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			late()
			return
		case <-tick.C:
		}
	}
}
