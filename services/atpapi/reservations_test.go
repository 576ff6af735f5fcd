package atpapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

const (
	twoA  = `{"lines":[{"item":"A","quantity":"2"}]}`
	twoAB = `{"hold":60,"lines":[{"item":"A","quantity":"2"},{"item":"B","quantity":"1","location":"DC1","line":"b"}]}`
)

// Granted, read, confirmed, cancelled: what the ledger claims is what callers are told.
func TestReserveOverHTTP(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 5)
	b.stock("B", "DC1", 5)
	r := b.replica()
	one := r.reserve("shop", "one", twoA)
	one.want(t, "one item", 201, "granted")
	if len(one.Lines) != 1 || one.Lines[0].Location != "DC1" || one.Lines[0].Quantity != "2" || one.Lines[0].Line != "1" {
		t.Errorf("lines %+v", one.Lines)
	}
	if one.header.Get("Location") != reservationPath+"/"+one.ID || one.Reservation != reservation.ID("shop", "one") || !strings.HasPrefix(one.ID, one.Reservation) {
		t.Errorf("it is called %+v", one)
	}
	until, err := time.Parse(time.RFC3339, one.Until)
	if d := until.Sub(b.now()); err != nil || d > 15*time.Minute || d < 14*time.Minute {
		t.Errorf("until %s", one.Until)
	}
	two := r.reserve("shop", "two", twoAB)
	two.want(t, "two items", 201, "granted")
	b.wantClaimed("both", "A", 4)
	b.wantClaimed("both", "B", 1)
	if len(two.Lines) != 2 || two.Lines[1].Line != "b" {
		t.Errorf("lines %+v", two.Lines)
	}
	r.at(http.MethodGet, two.ID, "", "shop", "").want(t, "read", 200, "granted")
	r.at(http.MethodGet, two.Reservation, "", "reader", "").want(t, "read by another", 404, "unknown_reservation")
	r.at(http.MethodPost, two.ID, "/confirm", "shop", `{"lines":[{"line":"b","quantity":"1"}]}`).want(t, "in part", 400, "bad_body")
	r.at(http.MethodPost, two.ID, "/confirm", "shop", " null").want(t, "no object", 400, "bad_body")
	r.at(http.MethodGet, two.ID, "", "shop", "").want(t, "in part", 200, "granted")
	kept := r.at(http.MethodPost, two.ID, "/confirm", "shop", "{}")
	if kept.want(t, "confirmed", 200, "confirmed"); kept.Until != "" || len(kept.Lines) != 2 {
		t.Errorf("%+v", kept)
	}
	r.at(http.MethodPost, two.ID, "/confirm", "shop", "").want(t, "confirmed again", 200, "confirmed")
	r.at(http.MethodPatch, two.ID, "", "shop", `{"hold":60}`).want(t, "extended when confirmed", 409, "confirmed")

	b.ahead.Store((16 * time.Minute).Milliseconds())
	r.at(http.MethodGet, one.ID, "", "shop", "").want(t, "its time is over", 200, "lapsed")
	r.at(http.MethodPost, one.ID, "/confirm", "shop", "").want(t, "confirmed too late", 409, "reservation_over")
	r.at(http.MethodGet, two.ID, "", "shop", "").want(t, "a confirmed one stays", 200, "confirmed")
	b.wantClaimed("a confirmed one stays", "B", 1)
	for range 2 {
		r.at(http.MethodDelete, two.ID, "", "shop", "").want(t, "cancelled", 204, "")
	}
	b.wantClaimed("cancelled", "A", 0)
	b.wantClaimed("cancelled", "B", 0)
	r.at(http.MethodGet, two.ID, "", "shop", "").want(t, "cancelled", 200, "cancelled")
	r.at(http.MethodPost, two.ID, "/confirm", "shop", "").want(t, "confirmed when cancelled", 409, "reservation_over")
	r.reserve("shop", "two", twoAB).want(t, "asked for again when cancelled", 409, "reservation_over")
	b.wantClaimed("asked for again when cancelled", "A", 0)
}

// The same key is the same request; another body is none, and another partner's key is
// another.
func TestIdempotencyKeys(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r, other := b.replica(), b.replica()
	r.send(http.MethodPost, reservationPath, "shop", twoA).want(t, "no key", 400, "idempotency_key_required")
	r.reserve("shop", "a\tb", twoA).want(t, "a bad key", 400, "bad_idempotency_key")
	first := r.reserve("shop", "k", twoA)
	first.want(t, "first", 201, "granted")
	for name, replica := range map[string]*replica{"the same": r, "another": other} {
		again := replica.reserve("shop", "k", ` { "lines" : [ {"quantity":"2", "item":"A"} ] } `)
		if again.want(t, name, 201, "granted"); again.ID != first.ID || len(again.Lines) != 1 || again.Until != first.Until {
			t.Errorf("%s: %+v, not %+v", name, again, first)
		}
		replica.reserve("shop", "k", `{"lines":[{"item":"A","quantity":"3"}]}`).want(t, name, 422, "idempotency_key_reused")
	}
	if n := b.asked(); n != 1 {
		t.Errorf("the ledger was asked %d times", n)
	}
	rival := r.reserve("rival", "k", twoA)
	if rival.want(t, "another partner", 201, "granted"); rival.ID == first.ID {
		t.Error("two partners have one reservation")
	}
	b.wantClaimed("two partners", "A", 4)

	// What is refused is remembered, too.
	r.reserve("shop", "much", `{"lines":[{"item":"A","quantity":"7"}]}`).want(t, "contended", 409, "contended")
	r.at(http.MethodDelete, rival.ID, "", "rival", "").want(t, "cancelled", 204, "")
	other.reserve("shop", "much", `{"lines":[{"item":"A","quantity":"7"}]}`).want(t, "contended, again", 409, "contended")

	// Redis has forgotten all: the ledger has not.
	b.mini.FlushAll()
	again := other.reserve("shop", "k", twoA)
	if again.want(t, "after a flush", 201, "granted"); again.ID != first.ID {
		t.Errorf("%+v", again)
	}
	b.wantClaimed("after a flush", "A", 2)
}

// While a request is under way nobody makes it twice, and it can be called off by way
// of any replica.
func TestUnderWay(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	b.stock("B", "DC1", 10)
	quick := func(c *ReservationsConfig) { c.Wait = 30 * time.Millisecond }
	r, other := b.replica(quick), b.replica(quick)
	b.set(func(b *bench) { b.mute = true })
	slow := r.reserve("shop", "slow", twoA)
	slow.want(t, "slow", 202, "pending")
	if slow.header.Get("Retry-After") != "1" || slow.header.Get("Location") != reservationPath+"/"+slow.ID {
		t.Errorf("header %v", slow.header)
	}
	for name, replica := range map[string]*replica{"the same": r, "another": other} {
		in := replica.reserve("shop", "slow", twoA)
		if in.want(t, name, 409, "idempotency_key_in_use"); in.header.Get("Retry-After") != "1" || in.header.Get("Location") == "" {
			t.Errorf("%s: header %v", name, in.header)
		}
		replica.reserve("shop", "slow", twoAB).want(t, name, 422, "idempotency_key_reused")
		replica.at(http.MethodGet, slow.ID, "", "shop", "").want(t, name, 200, "pending")
		replica.at(http.MethodPost, slow.ID, "/confirm", "shop", "").want(t, name, 409, "not_answered")
	}
	off := r.reserve("shop", "off", twoAB)
	off.want(t, "slow", 202, "pending")
	other.at(http.MethodDelete, off.ID, "", "shop", "").want(t, "called off elsewhere", 204, "")
	b.speak()
	eventually(t, "it is granted", func() bool { return other.at(http.MethodGet, slow.ID, "", "shop", "").Status == statusGranted })
	b.wantClaimed("granted late", "A", 2)
	eventually(t, "nothing is under way", func() bool {
		r.desk.mu.Lock()
		defer r.desk.mu.Unlock()
		return len(r.desk.underWay) == 0
	})
	r.at(http.MethodGet, off.ID, "", "shop", "").want(t, "called off", 200, "cancelled")
	b.wantClaimed("called off", "B", 0)
	b.wantClaimed("called off", "A", 2)
}

// A replica that dies between grant and cancel, a Redis that is emptied or away: who has
// the id gives back what it holds by way of any other, and nobody gives back what is
// another's.
func TestCancelIsNeverLost(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	b.stock("B", "DC1", 10)
	first := b.replica()
	mine, flushed, away := first.reserve("shop", "1", twoAB), first.reserve("shop", "2", twoAB), first.reserve("shop", "3", twoAB)
	theirs := first.reserve("rival", "1", twoAB)
	b.wantClaimed("all", "A", 8)
	if err := first.desk.close(t.Context(), first.client); err != nil {
		t.Fatal(err)
	}
	first.reserve("shop", "4", twoA).want(t, "closed", 503, "reservations_unavailable")

	next := b.replica()
	_, rest, _ := strings.Cut(mine.ID, ".")
	for name, id := range map[string]string{
		"another's": theirs.ID, "another's number": theirs.Reservation, "another's number, one's own items": theirs.Reservation + "." + rest,
		"none": "x", "empty items": mine.Reservation + ".", "cut": mine.ID[:len(mine.ID)-5], "bad base64": mine.Reservation + ".!!", "too long": mine.ID + strings.Repeat("A", maxIDText),
	} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			if got := next.at(method, id, "", "shop", ""); got.status != 404 && name != "cut" {
				t.Errorf("%s: %s %d", name, method, got.status)
			}
		}
		if got := next.at(http.MethodPost, id, "/confirm", "shop", ""); got.status != 404 && name != "cut" {
			t.Errorf("%s: confirm %d", name, got.status)
		}
	}
	b.wantClaimed("nothing of the rival's is given back", "A", 8)
	next.at(http.MethodDelete, mine.Reservation, "", "shop", "").want(t, "by its number", 204, "")
	b.wantClaimed("by its number", "A", 6)

	b.mini.FlushAll()
	next.at(http.MethodGet, flushed.ID, "", "shop", "").want(t, "flushed", 404, "unknown_reservation")
	next.at(http.MethodDelete, flushed.Reservation, "", "shop", "").want(t, "by number when flushed", 404, "unknown_reservation")
	next.at(http.MethodPost, flushed.ID, "/confirm", "shop", "").want(t, "flushed", 200, "confirmed")
	next.at(http.MethodDelete, flushed.ID, "", "shop", "").want(t, "flushed", 204, "")
	b.wantClaimed("flushed", "B", 2)
	b.mini.Close()
	next.at(http.MethodGet, away.ID, "", "shop", "").want(t, "away", 503, "reservations_unavailable")
	next.reserve("shop", "5", twoA).want(t, "away", 503, "reservations_unavailable")
	next.at(http.MethodDelete, away.ID, "", "shop", "").want(t, "away", 204, "")
	b.wantClaimed("away", "A", 2)
	b.wantClaimed("away", "B", 1)
}

// Denied and contended are told apart, and parts are granted where parts will do.
func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 3)
	b.stock("A", "DC2", 3)
	b.stock("B", "DC1", 1)
	r := b.replica()
	no := r.reserve("shop", "1", `{"lines":[{"item":"A","quantity":"1"},{"item":"B","quantity":"4"}]}`)
	if no.want(t, "denied", 409, "denied"); no.refusal.Item != "B" || no.refusal.Available != "1" || no.refusal.Reason != "not_enough" || no.header.Get("Retry-After") != "" {
		t.Errorf("%+v", no)
	}
	eventually(t, "nothing of it is kept", func() bool { return b.claimed("A") == 0 })
	if got := r.at(http.MethodGet, no.refusal.ID, "", "shop", ""); got.Status != statusDenied || len(got.Refused) != 1 {
		t.Errorf("%+v", got)
	}
	r.reserve("rival", "1", `{"lines":[{"item":"B","quantity":"1"}]}`).want(t, "granted", 201, "granted")
	busy := r.reserve("shop", "2", `{"lines":[{"item":"B","quantity":"1"}]}`)
	if busy.want(t, "contended", 409, "contended"); busy.header.Get("Retry-After") != "1" || busy.refusal.Item != "B" || busy.refusal.Available != "0" {
		t.Errorf("%+v", busy)
	}
	part := r.reserve("shop", "3", `{"mode":"partial","lines":[{"item":"A","quantity":"2","location":"DC2"},{"item":"A","quantity":"4","location":"DC1"},{"item":"B","quantity":"1"}]}`)
	part.want(t, "in parts", 201, "partial")
	if len(part.Lines) != 2 || part.Lines[0].Quantity != "2" || part.Lines[1].Quantity != "3" || len(part.Refused) != 1 || part.Refused[0].Item != "B" || part.Refused[0].Status != "contended" {
		t.Errorf("%+v", part)
	}
	if part.Lines[0].Reservation != (&ticket{partner: "shop", key: "3"}).numberOf(inventory.Key{Entity: "acme", Item: "A"}) {
		t.Errorf("an order would name %s", part.Lines[0].Reservation)
	}
	b.wantClaimed("in parts", "A", 5)
	later := r.at(http.MethodPatch, part.ID, "", "shop", `{"hold":3600}`)
	if later.want(t, "extended", 200, "partial"); later.Until <= part.Until {
		t.Errorf("until %s, and before %s", later.Until, part.Until)
	}
	r.at(http.MethodDelete, part.ID, "", "shop", "").want(t, "cancelled", 204, "")
	b.wantClaimed("cancelled", "A", 0)
	b.wantClaimed("the rival's stays", "B", 1)
	r.reserve("shop", "4", `{"mode":"partial","lines":[{"item":"B","quantity":"1"},{"item":"C","quantity":"1"}]}`).want(t, "nothing in parts", 409, "denied")
	b.set(func(b *bench) { b.policy.Reservations.PartnerCap = inventory.One })
	capped := r.reserve("shop", "5", twoA)
	if capped.want(t, "capped", 409, "denied"); capped.refusal.Reason != "partner_cap" || capped.refusal.Available != "1" {
		t.Errorf("%+v", capped)
	}
}

// A hold is extended up to the longest since it was made, by way of any replica.
func TestExtend(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	b.stock("B", "DC1", 10)
	hour := func(c *ReservationsConfig) { c.MaxHold = time.Hour }
	r, other := b.replica(hour), b.replica(hour)
	got := r.reserve("shop", "1", twoAB) // for a minute
	b.ahead.Store(50_000)
	longer := other.at(http.MethodPost, got.ID, "/extend", "shop", `{"hold":1800}`)
	longer.want(t, "extended", 200, "granted")
	b.ahead.Store(120_000)
	r.at(http.MethodGet, got.ID, "", "shop", "").want(t, "extended", 200, "granted")
	r.at(http.MethodPatch, got.ID, "", "shop", `{"hold":3599}`).want(t, "too long since it was made", 400, "hold_too_long")
	r.at(http.MethodPatch, got.ID, "", "shop", `{}`).want(t, "no time", 400, "bad_until")
	r.at(http.MethodPatch, got.ID, "", "shop", `{"hold":1}`).want(t, "too short", 400, "hold_too_short")
	b.ahead.Store(time.Hour.Milliseconds())
	r.at(http.MethodPatch, got.ID, "", "shop", `{"hold":60}`).want(t, "lapsed", 409, "reservation_over")
	r.reserve("shop", "2", `{"lines":[{"item":"A","quantity":"10"}]}`).want(t, "it has lapsed in the ledger", 201, "granted")
}

// Bad requests are refused with their place, and change nothing.
func TestBadReservations(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica(func(c *ReservationsConfig) { c.MaxLines, c.MaxHold = 3, time.Hour })
	line := `{"item":"A","quantity":"1"}`
	long := strings.Repeat("x", 256)
	for _, tt := range []struct{ body, code, pointer string }{
		{`{`, "bad_body", ""},
		{`{"lines":[` + line + `],"x":1}`, "bad_body", "/x"},
		{`{"lines":[]}`, "bad_lines", "/lines"},
		{`{"lines":[` + line + `,` + line + `,` + line + `,` + line + `]}`, "bad_lines", "/lines"},
		{`{"mode":"some","lines":[` + line + `]}`, "bad_mode", "/mode"},
		{`{"hold":60,"until":"2030-01-01T00:00:00Z","lines":[` + line + `]}`, "conflicting_parameters", "/until"},
		{`{"hold":-1,"lines":[` + line + `]}`, "bad_hold", "/hold"},
		{`{"hold":9223372036854775807,"lines":[` + line + `]}`, "bad_hold", "/hold"},
		{`{"hold":9,"lines":[` + line + `]}`, "hold_too_short", "/hold"},
		{`{"hold":3700,"lines":[` + line + `]}`, "hold_too_long", "/hold"},
		{`{"until":"tomorrow","lines":[` + line + `]}`, "bad_until", "/until"},
		{`{"until":"2020-01-01T00:00:00Z","lines":[` + line + `]}`, "hold_too_short", "/until"},
		{`{"lines":[` + line + `,{"item":"","quantity":"1"}]}`, "bad_item", "/lines/1/item"},
		{`{"lines":[{"item":"A","quantity":"0"}]}`, "bad_quantity", "/lines/0/quantity"},
		{`{"lines":[{"item":"A","quantity":""}]}`, "bad_quantity", "/lines/0/quantity"},
		{`{"lines":[{"item":"A","quantity":"-2"}]}`, "bad_quantity", "/lines/0/quantity"},
		{`{"lines":[{"item":"A","quantity":"1","due":"soon"}]}`, "bad_day", "/lines/0/due"},
		{`{"lines":[{"item":"A","quantity":"1","location":"` + long + `"}]}`, "bad_parameter", "/lines/0/location"},
		{`{"channel":"` + long + `","lines":[` + line + `]}`, "bad_parameter", "/lines/0/channel"},
		{`{"lines":[{"item":"A","quantity":"1","line":"a"},{"item":"A","quantity":"1","line":"a"}]}`, "bad_line", "/lines/1/line"},
	} {
		got := r.reserve("shop", "k", tt.body)
		if got.status != 400 || got.refusal.Code != tt.code || got.refusal.Pointer != tt.pointer {
			t.Errorf("%.60s: %d %s %s, want %s %s", tt.body, got.status, got.refusal.Code, got.refusal.Pointer, tt.code, tt.pointer)
		}
	}
	if r.asked() != 0 || len(b.mini.Keys()) != 0 {
		t.Errorf("asked %d times, Redis has %v", r.asked(), b.mini.Keys())
	}
	for name, body := range map[string]string{
		"another entity": `{"entity":"other","channel":"web","lines":[` + line + `]}`, "no channel": `{"lines":[` + line + `]}`,
		"one line of another channel": `{"channel":"web","lines":[` + line + `,{"item":"B","quantity":"1","channel":"x"}]}`,
	} {
		r.reserve("narrow", "k", body).want(t, name, 403, "insufficient_scope")
	}
	r.reserve("reader", "k", twoA).want(t, "who may only read", 403, "insufficient_scope")
	if r.asked() != 0 {
		t.Error("what is forbidden was asked for")
	}
	r.reserve("narrow", "k", `{"channel":"web","lines":[`+line+`]}`).want(t, "within its scope", 201, "granted")
}

// Stock is not hoarded: open reservations and requests under way are bounded.
func TestCaps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.stock("A", "DC1", 100)
	r := b.replica(func(c *ReservationsConfig) { c.MaxOpen, c.MaxUnderWay, c.Wait = 2, 2, 700*time.Millisecond })
	first := r.reserve("shop", "1", twoA)
	r.reserve("shop", "2", twoA).want(t, "second", 201, "granted")
	full := r.reserve("shop", "3", twoA)
	if full.want(t, "third", 429, "too_many_open"); full.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	r.reserve("shop", "1", twoA).want(t, "what is there may be asked for again", 201, "granted")
	r.reserve("rival", "1", twoA).want(t, "another partner", 201, "granted")
	r.at(http.MethodPost, first.ID, "/confirm", "shop", "").want(t, "confirmed", 200, "confirmed")
	r.reserve("shop", "3", twoA).want(t, "a confirmed one is not open", 201, "granted")
	r.reserve("shop", "4", twoA).want(t, "full again", 429, "too_many_open")
	b.ahead.Store((16 * time.Minute).Milliseconds())
	r.reserve("shop", "5", twoA).want(t, "they have lapsed", 201, "granted")
	r.reserve("shop", "6", `{"lines":[{"item":"A","quantity":"1000"}]}`).want(t, "denied", 409, "denied")
	r.reserve("shop", "7", twoA).want(t, "a denied one is not open", 201, "granted")

	b.ahead.Store((48 * time.Minute).Milliseconds())
	b.set(func(b *bench) { b.mute = true })
	r.reserve("shop", "8", twoA).want(t, "slow", 202, "pending")
	r.reserve("shop", "9", twoA).want(t, "slow", 202, "pending")
	r.reserve("shop", "10", twoA).want(t, "too many under way", 429, "too_many_under_way")
	r.reserve("rival", "10", twoA).want(t, "another partner", 202, "pending")
	b.speak()
}

// At the end what is not answered is called off, and its caller hears so.
func TestDeskCloses(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica(func(c *ReservationsConfig) { c.Wait = 100 * time.Millisecond })
	b.set(func(b *bench) { b.mute = true })
	r.reserve("shop", "1", twoA).want(t, "slow", 202, "pending")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := r.desk.close(ctx, r.client); err != nil {
		t.Error(err)
	}
	b.wantClaimed("called off", "A", 0)
	next := b.replica()
	id := (&ticket{partner: "shop", key: "1", items: []inventory.Key{{Entity: "acme", Item: "A"}}}).String()
	next.at(http.MethodGet, id, "", "shop", "").want(t, "called off", 200, "cancelled")
	b.speak()
}

// A replica that is gone leaves a request that nobody answers: asked for again it is made
// again, as the same.
func TestUnanswered(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica(func(c *ReservationsConfig) { c.Wait = 20 * time.Millisecond })
	b.set(func(b *bench) { b.mute = true })
	slow := r.reserve("shop", "1", twoA)
	b.set(func(b *bench) { b.replicas = nil }) // it hears no more
	b.ahead.Store(leaseTime.Milliseconds() + 1)
	next := b.replica()
	next.at(http.MethodGet, slow.ID, "", "shop", "").want(t, "nobody answers", 200, "unanswered")
	b.set(func(b *bench) { b.mute, b.waiting = false, nil })
	next.reserve("shop", "1", twoA).want(t, "made again", 201, "granted")
	b.wantClaimed("made again", "A", 2)
}

// A request that takes long, while the log is away say, is made by nobody else.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r, other := b.replica(func(c *ReservationsConfig) { c.Wait = 20 * time.Millisecond }), b.replica()
	r.desk.lease = 300 * time.Millisecond
	b.set(func(b *bench) { b.mute = true })
	slow := r.reserve("shop", "1", twoA)
	began := time.Now()
	eventually(t, "several leases later", func() bool { return time.Since(began) > 4*r.desk.lease })
	other.at(http.MethodGet, slow.ID, "", "shop", "").want(t, "it goes on", 200, "pending")
	other.reserve("shop", "1", twoA).want(t, "it goes on", 409, "idempotency_key_in_use")
	b.speak()
	eventually(t, "it is granted", func() bool { return other.at(http.MethodGet, slow.ID, "", "shop", "").Status == statusGranted })
}

// Many at once, over two replicas, of which some are the same: never more is granted than
// there is, and each is granted once.
func TestReserveAtOnce(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 20)
	replicas := []*replica{b.replica(), b.replica()}
	var mu sync.Mutex
	granted := map[string]string{} // by key
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			key := string(rune('a' + i%20))
			got := replicas[i%2].reserve("shop", key, twoA)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case got.status == 201:
				if id := granted[key]; id != "" && id != got.ID {
					t.Errorf("%s is %s and %s", key, id, got.ID)
				}
				granted[key] = got.ID
			case got.status != 409:
				t.Errorf("%+v", got)
			}
		})
	}
	wg.Wait()
	if len(granted) != 10 {
		t.Errorf("%d granted, not 10", len(granted))
	}
	b.wantClaimed("all", "A", 20)
	for key, id := range granted {
		replicas[len(key)%2].at(http.MethodDelete, id, "", "shop", "").want(t, "cancelled", 204, "")
	}
	b.wantClaimed("all given back", "A", 0)
}

func TestReplyPartition(t *testing.T) {
	for _, tt := range []struct {
		instance string
		want     int32
	}{{"0", 0}, {"atp-api-4", 1}, {"5", 2}, {"99999999999999999999", -1}, {"blue", -1}, {"", -1}} {
		got := replyPartition(tt.instance, 3)
		if got < 0 || got > 2 || tt.want >= 0 && got != tt.want {
			t.Errorf("%q: %d, want %d", tt.instance, got, tt.want)
		}
	}
}

func FuzzReadTicket(f *testing.F) {
	whole := ticket{partner: "shop", key: "k", partial: true, items: []inventory.Key{{Entity: "acme", Item: "A"}, {Entity: "acme", Item: "B"}, {Entity: "x", Item: "A"}}}
	f.Add(whole.String())
	f.Add(whole.number())
	f.Add(whole.String() + "\n") // no base64 of ours
	f.Fuzz(func(t *testing.T, text string) {
		got, number, full, err := readTicket("shop", text)
		if err != nil || !full {
			return
		}
		again, n, _, err := readTicket("shop", got.String())
		if err != nil || n != number || len(again.items) != len(got.items) || got.String() != text {
			t.Errorf("%q is read as %+v, then as %+v: %v", text, got, again, err)
		}
	})
}

// What the ledger does not answer in time is given back, and its caller told so, also when
// the replica ends.
func TestNotInTime(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *bench, r *replica){
		"too late": func(b *bench, _ *replica) {
			b.ahead.Store(26_000)
			b.speak()
		},
		"the replica ends": func(b *bench, r *replica) {
			if err := r.desk.close(b.t.Context(), r.client); err != nil {
				b.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.stock("A", "DC1", 10)
			b.stock("B", "DC1", 10)
			r := b.replica(func(c *ReservationsConfig) { c.Wait = 5 * time.Second })
			b.set(func(b *bench) { b.mute = true })
			var wg sync.WaitGroup
			wg.Go(func() {
				late := r.reserve("shop", "1", twoAB)
				if late.want(t, name, 503, "unanswered"); late.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			})
			eventually(t, "it is asked", func() bool { return b.asked() == 2 })
			end(b, r)
			wg.Wait()
			b.wantClaimed(name, "A", 0)
			b.wantClaimed(name, "B", 0)
		})
	}
}

// An answer that Redis cannot be told of is told later.
func TestNotedLater(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica()
	b.set(func(b *bench) { b.mute = true })
	var wg sync.WaitGroup
	var got httpReply
	wg.Go(func() { got = r.reserve("shop", "1", twoA) })
	eventually(t, "it is asked", func() bool { return b.asked() == 1 })
	b.mini.SetError("LOADING")
	b.speak()
	wg.Wait()
	got.want(t, "granted", 201, "granted")
	r.at(http.MethodGet, got.ID, "", "shop", "").want(t, "away", 503, "reservations_unavailable")
	b.mini.SetError("")
	eventually(t, "it is noted", func() bool { return r.at(http.MethodGet, got.ID, "", "shop", "").Status == statusGranted })
}
