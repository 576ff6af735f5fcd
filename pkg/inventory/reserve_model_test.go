package inventory_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	. "github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/reserve"
)

// reserveOp is one step of a history of reservations, in small numbers so that a
// failure is easy to read.
type reserveOp struct {
	kind     int
	id       int // of the reservation or order
	partner  int
	lines    []reserveLine
	partial  bool
	located  int // 0: not
	quantity int
	later    int // minutes that pass before it
	ttl      int // minutes
	again    int // of the op to send again
}

type reserveLine struct{ name, quantity, located int }

const (
	opTry = iota
	opConfirm
	opCancel
	opOrder
	opOrderFor // names a reservation
	opShip
	opReceipt
	opTick
	opAgain
)

var reserveLocations = []Location{"", "DC1", "DC2", "DC3"}

func drawReserveOp(t *rapid.T) reserveOp {
	n := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
	op := reserveOp{
		// more tries than anything else
		kind: []int{opTry, opTry, opTry, opTry, opConfirm, opConfirm, opCancel, opOrder, opOrderFor, opShip, opReceipt, opTick, opAgain}[n("kind", 13)],
		id:   n("id", 6), later: n("later", 4),
	}
	switch op.kind {
	case opTry:
		op.partner, op.partial, op.ttl = n("partner", 2), n("partial", 3) == 0, n("ttl", 8)
		for range n("lines", 4) {
			name := n("name", 4)
			if !slices.ContainsFunc(op.lines, func(l reserveLine) bool { return l.name == name }) {
				op.lines = append(op.lines, reserveLine{name, n("quantity", 6) + 1, n("located", len(reserveLocations))})
			}
		}
	case opConfirm:
		op.ttl = n("ttl", 8)
	case opOrder, opOrderFor, opShip, opReceipt:
		op.partner, op.located, op.quantity = n("for", 6), n("located", 3)+1, n("quantity", 5)+1
	case opAgain:
		op.again = n("again", 20)
	}
	return op
}

func (op reserveOp) event(i int, now Instant) Event {
	ev := Event{
		Key: scenarioKey, Source: "test", OccurredBasis: BasisDocument, OccurredAt: now, RecordedAt: now,
		Document: Document{Type: "op", Number: strconv.Itoa(i)},
	}
	ev.ID = testID("op", strconv.Itoa(i))
	order := Ref{Issuer: "shop", Type: "order", Number: strconv.Itoa(op.id)}
	q := Quantity(op.quantity) * One
	switch op.kind {
	case opTry, opConfirm, opCancel:
		r := &Reservation{
			ID: "R" + strconv.Itoa(op.id), Action: []Action{Try, Confirm, Cancel}[op.kind], Partner: "P" + strconv.Itoa(op.partner),
			Partial: op.partial, ReplyTo: -1,
		}
		if op.kind == opTry || op.kind == opConfirm && op.ttl > 0 {
			r.ExpiresAt = now + Instant(op.ttl)*60_000
		}
		for _, l := range op.lines {
			r.Lines = append(r.Lines, ReservationLine{
				Line: []string{"", "A", "B", "C"}[l.name], Quantity: Quantity(l.quantity) * One, Location: reserveLocations[l.located],
			})
		}
		ev.Kind, ev.Reservation = KindReservation, r
	case opOrder, opOrderFor:
		ev.Kind, ev.Refs = KindDemand, []Ref{order}
		if op.kind == opOrderFor {
			ev.Refs = append(ev.Refs, Ref{Issuer: "web", Type: "reservation", Number: "R" + strconv.Itoa(op.partner)})
		}
		// all documents of an order are about one location
		ev.Demand = &Demand{Stage: Ordered, Quantity: q, Location: reserveLocations[1+op.id%3]}
	case opShip:
		ev.Kind, ev.Refs = KindMovement, []Ref{order}
		ev.Movement = &Movement{Type: Ship, Location: reserveLocations[op.located], Quantity: q}
	case opReceipt:
		ev.Kind, ev.Movement = KindMovement, &Movement{Type: Receipt, Location: reserveLocations[op.located], Quantity: q}
	default:
		ev.Kind = KindTick
	}
	return ev
}

func drawReservePolicy(t *rapid.T) reserve.Policy {
	n := func(label string, to int) int { return rapid.IntRange(0, to-1).Draw(t, label) }
	return reserve.Policy{
		Ranks: [][]Location{{"DC1", "DC2", "DC3"}, {"DC3", "DC1"}}[n("ranks", 2)], Split: n("split", 2) == 1,
		PartnerCap: Quantity(n("partner cap", 3)*6) * One, ItemCap: Quantity(n("item cap", 3)*9) * One,
		MaxClaims: n("max claims", 3) * 4, Tombstone: 3 * 60_000,
	}
}

// reserveRun plays a history against the ledger and the model.
type reserveRun struct {
	t     *rapid.T
	g     *log
	model *reserve.Model
	sent  []Event
	was   []Outcome
	now   Instant
	told  []int // what was sent, by number; below zero, minus one, what was sent again
	ops   int
}

// tells is the history in words.
func (r *reserveRun) tells() (s string) {
	for _, i := range r.told {
		if i < 0 {
			s += "again " + r.sent[-i-1].Document.Number + "\n"
		} else {
			s += tellRequest(&r.sent[i])
		}
	}
	return s
}

func (r *reserveRun) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s\nafter:\n%s", fmt.Sprintf(format, args...), r.tells())
}

func (r *reserveRun) play(op reserveOp) {
	r.ops++
	r.now += Instant(op.later) * 60_000
	if op.kind == opAgain {
		if len(r.sent) > 0 {
			r.again(op.again % len(r.sent))
		}
		return
	}
	ev := op.event(len(r.sent), r.now)
	var before map[Location]Quantity
	if ev.Reservation != nil {
		before = r.free()
	}
	r.told, r.sent = append(r.told, len(r.sent)), append(r.sent, ev)
	out, err := r.g.append(ev)
	if err != nil {
		r.fail("%v", err)
	}
	r.was = append(r.was, out)
	want := r.model.Step(&ev)
	if got := reserve.Of(out.Answer); got != want {
		r.fail("answered %+v, the model says %+v", got, want)
	}
	r.compare()
	if ev.Reservation == nil {
		return
	}
	// Invariant 4: nothing is granted that is not there. A claim that was there before
	// may stay, even where facts oversold.
	for at, q := range r.free() {
		if q < 0 && q < before[at] && len(out.Lapsed) == 0 {
			r.fail("at %s %v is free, and was %v", at, q, before[at])
		}
	}
}

// again sends an event a second time: a request gets its first verdict, and only time
// passes.
func (r *reserveRun) again(i int) {
	ev := r.sent[i]
	ev.RecordedAt = r.now
	r.told = append(r.told, -i-1)
	out, err := r.g.append(ev)
	if err != nil || out.Kind != Duplicate || len(out.Moves) > 0 {
		r.fail("%s became %s, %v", ev.Document.Number, out.Kind, err)
	}
	if a, b := out.Answer, r.was[i].Answer; (a == nil) != (b == nil) || a != nil && (a.Verdict != b.Verdict || a.Code != b.Code) {
		r.fail("answered %+v, and first %+v", a, b)
	}
	r.model.Step(&Event{RecordedAt: r.now})
	r.compare()
}

// free is what is on hand and not claimed, by location.
func (r *reserveRun) free() map[Location]Quantity {
	free := map[Location]Quantity{}
	for _, p := range r.g.positions() {
		free[p.Location] = p.States[OnHand] - reservedAt(&p)
	}
	return free
}

func reservedAt(p *Position) (q Quantity) {
	for _, b := range p.Reserved {
		q += b.Quantity
	}
	return q
}

func (r *reserveRun) compare() {
	r.t.Helper()
	for _, at := range r.model.Locations() {
		p, _ := r.g.ledger.Position(at)
		if p.States[OnHand] != r.model.OnHand(at) || reservedAt(&p) != r.model.Reserved(at) {
			r.fail("%s: on hand %v, reserved %v; the model says %v, %v", at, p.States[OnHand], reservedAt(&p), r.model.OnHand(at), r.model.Reserved(at))
		}
	}
	b := r.g.ledger.Book()
	if int(b.Lines) != r.model.Claims() || b.ExpiresAt != r.model.Expires() {
		r.fail("book %+v; the model says %d claims, the first expires at %d", b, r.model.Claims(), r.model.Expires())
	}
}

// end lets all time pass and cancels what is left: nothing leaks.
func (r *reserveRun) end() {
	r.now += 1 << 40
	tick := reserveOp{kind: opTick}.event(len(r.sent), r.now)
	r.play(reserveOp{kind: opTick})
	if b := r.g.ledger.Book(); b.Tentative != 0 || b.ExpiresAt != 0 || r.model.Tentative("") != 0 {
		r.fail("at the end of %s: %+v", tick.ID, b)
	}
	for id := range 6 {
		r.play(reserveOp{kind: opCancel, id: id})
	}
	checkBook(r.t, r.g, r.tells())
}

// checkBook compares what is summed up with the lines themselves: positions' buckets
// are the sum of the open claims, and the book counts them.
func checkBook(t interface{ Fatalf(string, ...any) }, g *log, tells string) {
	g.mem.store(g.t, g.ledger)
	claims := map[Location]Quantity{}
	var lines, expiring int32
	var first Instant
	g.mem.Lines(func(ln *Line) bool {
		if len(ln.Claims) > 0 {
			lines++
		}
		for _, c := range ln.Claims {
			claims[c.Location] += c.Quantity
		}
		ordered := slices.ContainsFunc(ln.Entries, func(e LineEntry) bool { return e.Stage == Ordered })
		if h := ln.Held; h != nil && !ordered && (h.State == HeldTentative || h.State == HeldConfirmed) && h.ExpiresAt != 0 && len(h.Granted) > 0 {
			expiring++
			if first == 0 || h.ExpiresAt < first {
				first = h.ExpiresAt
			}
		}
		return true
	})
	for _, p := range g.positions() {
		if got := reservedAt(&p); got != claims[p.Location] {
			t.Fatalf("%s: reserved %v, open claims %v\nafter:\n%s", p.Location, got, claims[p.Location], tells)
		}
	}
	if b := g.ledger.Book(); b.Lines != lines || b.Tentative != expiring || b.ExpiresAt != first {
		t.Fatalf("book %+v; there are %d lines, %d that lapse, the first at %d\nafter:\n%s", b, lines, expiring, first, tells)
	}
}

func tellRequest(ev *Event) string {
	s := fmt.Sprintf("%s %s at minute %d", ev.Document.Number, ev.Kind, ev.RecordedAt/60_000)
	switch {
	case ev.Reservation != nil:
		r := ev.Reservation
		s += fmt.Sprintf(" %s %s by %s until minute %d, partial %v", r.Action, r.ID, r.Partner, r.ExpiresAt/60_000, r.Partial)
		for _, l := range r.Lines {
			s += fmt.Sprintf(", %q %v@%s", l.Line, l.Quantity, l.Location)
		}
	case ev.Demand != nil:
		s += fmt.Sprintf(" %v@%s", ev.Demand.Quantity, ev.Demand.Location)
	case ev.Movement != nil:
		s += fmt.Sprintf(" %s %v@%s", ev.Movement.Type, ev.Movement.Quantity, ev.Movement.Location)
	}
	for _, ref := range ev.Refs {
		s += " " + ref.Type + " " + ref.Number
	}
	return s + "\n"
}

// The ledger answers every history of requests and facts as the naive model does; it
// never oversells by a request, repetitions change nothing, and nothing is leaked
// (Invariant 4). CHECKS of the make target sim says how many histories.
func TestReservationsAreAsTheModelSays(t *testing.T) {
	op := rapid.Custom(drawReserveOp)
	played := 0
	defer func() { t.Logf("%d operations", played) }()
	rapid.Check(t, func(rt *rapid.T) {
		policy := drawReservePolicy(rt)
		run := &reserveRun{t: rt, g: newLog(t, scenarioKey, rapid.IntRange(0, 3).Draw(rt, "reload") == 0), model: reserve.New(policy), now: 1000 * 60_000}
		run.g.policy = policy.Ledger()
		for _, at := range reserveLocations[1:] {
			run.play(reserveOp{kind: opReceipt, located: slices.Index(reserveLocations, at), quantity: 8})
		}
		least := rapid.IntRange(1, 120).Draw(rt, "at least")
		for _, o := range rapid.SliceOfN(op, least, least+60).Draw(rt, "ops") {
			run.play(o)
		}
		checkBook(rt, run.g, run.tells())
		run.end()
		played += run.ops
	})
}
