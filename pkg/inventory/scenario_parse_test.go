package inventory_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func parseScenarios(t *testing.T, file string) []scenario {
	t.Helper()
	in, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	var block *[]step
	docs := map[string]string{} // label → event id, within a scenario
	n := 0
	for text := range strings.Lines(string(in)) {
		n++
		text, _, _ = strings.Cut(text, "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if words[0] == "scenario" {
			all = append(all, scenario{name: strings.Join(words[1:], "_")})
			clear(docs)
			continue
		}
		cur := &all[len(all)-1]
		s := step{line: n, text: strings.TrimSpace(text)}
		switch words[0] {
		case "policy":
			s.policy = words[1:]
		case "=>":
			s.expect = words[1:]
		case "permute":
			block = &[]step{}
			continue
		case "end":
			s.block, block = *block, nil
		default:
			i := slices.Index(words, "->")
			if i >= 0 {
				s.outcome, words = words[i+1:], words[:i]
			} else if block != nil {
				s.outcome = []string{"any"}
			}
			ev, err := parseEvent(words, n, docs)
			if err != nil {
				t.Fatalf("%s:%d: %v", file, n, err)
			}
			s.event = ev
		}
		if block != nil && s.event != nil {
			*block = append(*block, s)
		} else {
			cur.steps = append(cur.steps, s)
		}
	}
	return all
}

// testID is the id of a document: source, type, number, revision, line.
func testID(parts ...string) string {
	var b []byte
	for i := range max(5, len(parts)) {
		p := ""
		if i < len(parts) {
			p = parts[i]
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:16])
}

// parseEvent reads one event. The first words are fixed by the verb; clauses
// follow in any order.
func parseEvent(words []string, line int, docs map[string]string) (ev *Event, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot read %q: %v", strings.Join(words, " "), r)
		}
	}()
	verb := words[0]
	ev = &Event{
		Key: scenarioKey, Source: "wms", OccurredBasis: BasisDocument,
		Document: Document{Type: verb, Number: "line" + strconv.Itoa(line)},
	}
	ev.OccurredAt, _ = clock("09:00")
	number := func(s string) Quantity {
		q, e := ParseQuantity(s)
		if e != nil {
			panic(e)
		}
		return q
	}
	var c *Count
	rest := words[1:]
	switch verb {
	case "opening":
		ev.Kind, ev.Source = KindMovement, "setup"
		ev.OccurredAt, _ = clock("08:00")
		ev.Movement = &Movement{Type: OpeningBalance, Location: Location(rest[0]), Quantity: number(rest[1])}
		rest = rest[2:]
	case "count":
		c = &Count{Location: Location(rest[0]), Basis: Sellable, Covers: []Account{OnHand}, AsOfBasis: BasisDocument}
		if rest[1] == "-" {
			c.Covers = nil
		} else {
			c.Balances = []StateBalance{{OnHand, number(rest[1])}}
		}
		ev.Kind, ev.Count = KindCount, c
		rest = rest[2:]
	case "safety":
		ev.Kind, ev.Source = KindSetting, "policy"
		ev.Setting = &Setting{SafetyStock: number(rest[0])}
		rest = rest[1:]
	case "order", "cancel", "allocate":
		stage := map[string]Stage{"order": Ordered, "cancel": Cancelled, "allocate": Allocated}[verb]
		ev.Kind, ev.Source = KindDemand, Source(rest[0])
		ev.Refs = parseRefs(rest[1], "shop", "order")
		ev.Demand = &Demand{Stage: stage, Quantity: number(rest[2])}
		rest = rest[3:]
	case "unfreeze", "give_up":
		ev.Kind, ev.Source = KindApproval, "console"
		ev.Approval = &Approval{Release: ReleaseUnfreeze, Author: "ann"}
		if verb == "give_up" {
			ev.Approval.Release = ReleaseDrop
		}
	case "approve", "drop":
		rest = parseApproval(ev, verb, rest, docs)
	case "try", "confirm", "abandon", "tick":
		rest = parseRequest(ev, verb, rest)
	case "purchase", "advise", "close":
		stage := map[string]Stage{"purchase": Ordered, "advise": Expected, "close": Closed}[verb]
		ev.Kind, ev.Source = KindSupply, Source(rest[0])
		ev.Refs = parseRefs(rest[1], "buyer", "purchase_order")
		ev.Supply = &Supply{Stage: stage, Quantity: number(rest[2])}
		rest = rest[3:]
	default:
		m := &Movement{Type: MovementType(verb), Quantity: number(rest[2])}
		ev.Kind, ev.Source, ev.Movement = KindMovement, Source(rest[0]), m
		issuer, typ := "shop", "order"
		if m.Type == Receipt || m.Type == TransferIn {
			issuer, typ = "buyer", "purchase_order"
		}
		ev.Refs = parseRefs(rest[1], issuer, typ)
		rest = rest[3:]
	}
	place := func(l Location) {
		switch {
		case ev.Movement != nil && ev.Movement.Location == "":
			ev.Movement.Location = l
		case ev.Movement != nil:
			ev.Movement.ToLocation = l
		case ev.Demand != nil:
			ev.Demand.Location = l
		case ev.Supply != nil:
			ev.Supply.Location = l
		case ev.Setting != nil:
			ev.Setting.Location = l
		}
	}
	state := func(s string) Account {
		a, e := ParseAccount(s)
		if e != nil {
			panic(e)
		}
		return a
	}
	label := ""
	for len(rest) > 0 {
		w := rest[0]
		arg := ""
		if len(rest) > 1 {
			arg = rest[1]
		}
		used := 2
		switch w {
		case "at", "from", "to", "of", "as":
			at, isTime := clock(arg)
			switch {
			case w == "as":
				used = 1
			case isTime && c != nil:
				c.AsOf, ev.OccurredAt = at, at
			case isTime:
				ev.OccurredAt = at
			default:
				place(Location(arg))
			}
		case "by":
			ev.Source = Source(arg)
		case "until", "partial", "siblings":
			used = requestClause(ev.Reservation, w, arg)
		case "doc":
			ev.Document.Number, label = arg, arg
		case "label":
			label = arg
		case "type":
			ev.Document.Type = arg
		case "rev":
			ev.Document.Revision = arg
		case "due":
			n, e := strconv.Atoi(arg)
			if e != nil {
				panic(e)
			}
			if ev.Reservation != nil {
				allLines(ev.Reservation, func(l *ReservationLine) { l.Due = scenarioDay + Day(n) })
			} else if d := scenarioDay + Day(n); ev.Demand != nil {
				ev.Demand.Due = d
			} else {
				ev.Supply.Due = d
			}
		case "channel":
			if ev.Reservation != nil {
				allLines(ev.Reservation, func(l *ReservationLine) { l.Channel = arg })
			} else {
				ev.Demand.Channel = arg
			}
		case "movable":
			ev.Demand.Movable = true
			used = 1
		case "physical", "available", "sellable":
			c.Basis = Basis(w)
			used = 1
		case "sequence", "inferred", "snapshot":
			used = countClause(ev, w, arg)
		case "includes":
			for s := range strings.SplitSeq(arg, ",") {
				c.Includes = append(c.Includes, state(s))
			}
		case "from_state":
			ev.Movement.FromState = state(arg)
		case "to_state":
			ev.Movement.ToState = state(arg)
		case "reason":
			ev.Movement.Reason = arg
		case "reverses":
			if parts := strings.Split(arg, "/"); len(parts) == 3 { // not told yet: SOURCE/TYPE/DOC
				ev.Movement.Reverses = testID(parts[0], parts[1], parts[2], "")
			} else if ev.Movement.Reverses = docs[arg]; ev.Movement.Reverses == "" {
				ev.Movement.Reverses = arg
			}
		case "recorded", "received":
			at, ok := clock(arg)
			if !ok {
				panic("time " + arg)
			}
			if w == "recorded" {
				ev.RecordedAt = at
			} else {
				ev.ReceivedAt = at
			}
		default:
			if c == nil {
				panic("word " + w)
			}
			a := state(w)
			c.Covers = append(c.Covers, a)
			c.Balances = append(c.Balances, StateBalance{a, number(arg)})
		}
		rest = rest[min(used, len(rest)):]
	}
	d := ev.Document
	ev.ID = testID(string(ev.Source), d.Type, d.Number, d.Revision)
	if label != "" {
		docs[label] = ev.ID
	}
	return ev, nil
}

// parseRefs reads "-", "1001", "erp:1001", "erp:shipment:S1" or, with a line,
// "web:reservation:R1:A", joined by commas.
func parseRefs(s, issuer, typ string) []Ref {
	if s == "-" {
		return nil
	}
	var refs []Ref
	for part := range strings.SplitSeq(s, ",") {
		r := Ref{Issuer: issuer, Type: typ}
		switch p := strings.Split(part, ":"); len(p) {
		case 1:
			r.Number = p[0]
		case 2:
			r.Issuer, r.Number = p[0], p[1]
		default:
			r.Issuer, r.Type, r.Number = p[0], p[1], p[2]
			if len(p) > 3 {
				r.Line = p[3]
			}
		}
		refs = append(refs, r)
	}
	return refs
}

// scenarioQuantity reads a quantity of a rule.
func scenarioQuantity(t testing.TB, s string) Quantity {
	t.Helper()
	q, err := ParseQuantity(s)
	if err != nil {
		t.Fatalf("not a quantity: %q", s)
	}
	return q
}

// scenarioMinutes reads a time span of a rule.
func scenarioMinutes(t testing.TB, s string) Instant {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("not minutes: %q", s)
	}
	return Instant(n) * 60_000
}
