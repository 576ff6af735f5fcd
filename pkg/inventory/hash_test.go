package inventory_test

import (
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// Hashes stand in stored state: these values never change.
func TestHashesAreStable(t *testing.T) {
	ev := sample()
	for _, c := range []struct {
		name      string
		got, want uint64
	}{
		{"id of 32 hex digits", HashID("0123456789abcdef0123456789abcdef"), 0x0123456789abcdef},
		{"capitals", HashID("0123456789ABCDEF0123456789ABCDEF"), 0x0123456789abcdef},
		{"any other id", HashID("order-1001"), 0x2e681292c686c08c},
		{"32 characters that are no hex", HashID("0123456789abcdef0123456789abcdeg"), 0x1527b9731f0fda2},
		{"content", uint64(ContentHash(&ev)), 0x101a334a},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, c.got, c.want)
		}
	}
	if got := RefHash(Ref{Issuer: "shop", Type: "order", Number: "1001"}); got != "023a98b5bce5798e" {
		t.Errorf("ref hash %s", got)
	}
}

func TestRefHashKeepsPartsApart(t *testing.T) {
	seen := map[string]Ref{}
	for _, r := range []Ref{
		{Issuer: "a", Type: "b", Number: "c", Line: "d"},
		{Issuer: "ab", Type: "", Number: "c", Line: "d"},
		{Issuer: "", Type: "ab", Number: "c", Line: "d"},
		{Issuer: "a", Type: "b", Number: "cd", Line: ""},
		{Issuer: "a", Type: "b", Number: "", Line: "cd"},
	} {
		h := RefHash(r)
		if other, ok := seen[h]; ok {
			t.Errorf("%+v and %+v share %s", r, other, h)
		}
		seen[h] = r
	}
}

func sample() Event {
	return Event{
		ID: "1", Kind: KindMovement, Key: scenarioKey, Source: "wms",
		Document:   Document{Type: "945", Number: "77", Revision: "1", Line: "2"},
		OccurredAt: 1_700_000_000_000, OccurredBasis: BasisDocument,
		ReceivedAt: 1, RecordedAt: 2,
		Refs:     []Ref{{Issuer: "shop", Type: "order", Number: "1001"}},
		Movement: &Movement{Type: Ship, Location: "DC1", Quantity: 3 * One},
	}
}

// The content hash sees what the source stated, and nothing of how or when we
// came to know it.
func TestContentHash(t *testing.T) {
	base := sample()
	count := func() Event {
		ev := sample()
		ev.Kind, ev.Movement = KindCount, nil
		ev.Count = &Count{
			Location: "DC1", Basis: Physical, Covers: []Account{OnHand, Picked}, Includes: []Account{Picked},
			Balances: []StateBalance{{OnHand, 5}}, AsOf: 9, AsOfBasis: BasisDocument,
		}
		return ev
	}
	for _, c := range []struct {
		name   string
		base   func() Event
		change func(*Event)
		same   bool
	}{
		{"receipt time", sample, func(e *Event) { e.ReceivedAt = 99 }, true},
		{"log time", sample, func(e *Event) { e.RecordedAt = 99 }, true},
		{"trace", sample, func(e *Event) { e.Trace = Trace{RawID: "r", MappingVersion: "2", MasterVersion: 3} }, true},
		{"attributes", sample, func(e *Event) { e.Attributes = []Attribute{{"lot", "L1"}} }, true},
		{"stated time", sample, func(e *Event) { e.OccurredAt++ }, false},
		{"quantity", sample, func(e *Event) { e.Movement.Quantity++ }, false},
		{"location", sample, func(e *Event) { e.Movement.Location = "DC2" }, false},
		{"item", sample, func(e *Event) { e.Key.Item = "other" }, false},
		{"ref", sample, func(e *Event) { e.Refs[0].Number = "1002" }, false},
		{"one more ref", sample, func(e *Event) { e.Refs = append(e.Refs, Ref{Type: "asn", Number: "1"}) }, false},
		{"document line", sample, func(e *Event) { e.Document.Line = "3" }, false},
		{"count quantity", count, func(e *Event) { e.Count.Balances[0].Quantity++ }, false},
		{"count includes", count, func(e *Event) { e.Count.Includes = nil }, false},
		{"stated as-of", count, func(e *Event) { e.Count.AsOf++ }, false},
	} {
		was := c.base()
		ev := c.base()
		c.change(&ev)
		if got := ContentHash(&ev) == ContentHash(&was); got != c.same {
			t.Errorf("%s: same hash %v", c.name, got)
		}
	}
	for _, basis := range []string{BasisReceipt, BasisFile, BasisEnvelope} {
		a, b := base, base
		a.OccurredBasis, b.OccurredBasis = basis, basis
		b.OccurredAt++
		if got, want := ContentHash(&a) == ContentHash(&b), basis == BasisReceipt; got != want {
			t.Errorf("time known by %s: same hash %v", basis, got)
		}
	}
}
