package event

import (
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// Records as the road carries them: a warehouse's shipment of one line, its
// outcome, and the state of an item at four locations.

const (
	benchAt = inv.Instant(1_767_225_600_000)
	benchID = "0123456789abcdef0123456789abcdef"
)

func benchEvent() inv.Event {
	return inv.Event{
		ID: benchID, Kind: inv.KindMovement, Key: inv.Key{Entity: "ACME", Item: "SKU-004711"}, Source: "wms",
		Document:   inv.Document{Type: "x12_945", Number: "W2026-118823", Line: "1"},
		OccurredAt: benchAt, OccurredBasis: "document", ReceivedAt: benchAt + 1000,
		Refs:     []inv.Ref{{Issuer: "shop", Type: "order", Number: "1001"}},
		Movement: &inv.Movement{Type: inv.Ship, Location: "DC1", Quantity: 3 * inv.One},
		Trace:    inv.Trace{RawID: "fedcba9876543210fedcba9876543210", RawLine: 1, MappingVersion: "wms@3", MasterVersion: 7, UnitFactor: inv.One},
	}
}

func benchOutcome() inv.Outcome {
	ev := benchEvent()
	dc1 := func(a inv.Account) inv.Place { return inv.Place{Location: "DC1", Account: a} }
	return inv.Outcome{
		Kind: inv.Applied, EventID: ev.ID, EventKind: ev.Kind, Key: ev.Key, Source: ev.Source, Document: ev.Document, Refs: ev.Refs,
		Moves: []inv.Move{
			{Type: inv.Pick, From: dc1(inv.OnHand), To: dc1(inv.Picked), Quantity: 3 * inv.One, At: benchAt},
			{Type: inv.Ship, From: dc1(inv.Picked), To: inv.Place{Account: inv.Customer}, Quantity: 3 * inv.One, At: benchAt},
		},
		OccurredAt: benchAt, RecordedAt: benchAt + 2000, Version: 12, PolicyVersion: 1, Line: "shop|order|1001", Trace: ev.Trace,
		Lineage: 1, Partition: 3, Offset: 1_234_567,
	}
}

func benchPosition() inv.Position {
	return inv.Position{
		Key: inv.Key{Entity: "ACME", Item: "SKU-004711"}, Location: "DC1", States: states{120 * inv.One, 3 * inv.One},
		Reserved: []inv.Bucket{{Channel: "shop", Movable: true, Quantity: 5 * inv.One}}, Supply: []inv.Bucket{{Due: 20_500, Quantity: 100 * inv.One}},
		SafetyStock: 5 * inv.One, Version: 12, Part: 1, Parts: 1, RecordedAt: benchAt, EventID: benchID,
		PolicyVersion: 1, Lineage: 1, Partition: 3, Offset: 1_234_567,
	}
}

// benchHead has four locations, ten ids and ten journal entries.
func benchHead() inv.Piece {
	h := &inv.Head{Fence: inv.Fence{Lineage: 1, Offset: 1_234_567, IDHash: 1 << 63}, Clock: benchAt, Version: 12}
	for i, l := range []inv.Location{"DC1", "DC2", "RET", "STORE7"} {
		h.Locations = append(h.Locations, inv.LocationState{Location: l, States: states{inv.Quantity(i) * 120 * inv.One}, Version: int64(i)})
	}
	for i := range 10 {
		h.IDs = append(h.IDs, inv.Seen{ID: uint64(i) << 60, Content: uint32(i) << 30})
		h.Journal = append(h.Journal, inv.Entry{At: benchAt, Location: "DC1", State: inv.Picked, Delta: -3 * inv.One})
	}
	return inv.Piece{Kind: inv.PieceHead, Head: h}
}

func benchAppend[T any](b *testing.B, app func([]byte, *T) ([]byte, error), x T) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = app(dst[:0], &x); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(dst)), "B/value")
}

func benchDecode[T any](b *testing.B, app func([]byte, *T) ([]byte, error), dec func([]byte, *T) error, x T) {
	value, err := app(nil, &x)
	if err != nil {
		b.Fatal(err)
	}
	var into T
	b.ReportAllocs()
	for b.Loop() {
		if err := dec(value, &into); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEvent(b *testing.B) { benchAppend(b, testCodecs(b).AppendEvent, benchEvent()) }
func BenchmarkAppendOutcome(b *testing.B) {
	benchAppend(b, testCodecs(b).AppendOutcome, benchOutcome())
}

func BenchmarkAppendPosition(b *testing.B) {
	benchAppend(b, testCodecs(b).AppendPosition, benchPosition())
}
func BenchmarkAppendHead(b *testing.B) { benchAppend(b, testCodecs(b).AppendState, benchHead()) }

func BenchmarkDecodeEvent(b *testing.B) {
	c := testCodecs(b)
	benchDecode(b, c.AppendEvent, c.DecodeEvent, benchEvent())
}

// BenchmarkDecodeEventInto is the ledger's way: in place, into memory used again.
func BenchmarkDecodeEventInto(b *testing.B) {
	c := testCodecs(b)
	var buf Buf
	benchDecode(b, c.AppendEvent, func(value []byte, _ *inv.Event) error { return c.DecodeEventInto(value, &buf) }, benchEvent())
}

func BenchmarkDecodeOutcome(b *testing.B) {
	c := testCodecs(b)
	benchDecode(b, c.AppendOutcome, c.DecodeOutcome, benchOutcome())
}

func BenchmarkDecodePosition(b *testing.B) {
	c := testCodecs(b)
	benchDecode(b, c.AppendPosition, c.DecodePosition, benchPosition())
}

func BenchmarkDecodeHead(b *testing.B) {
	c := testCodecs(b)
	key := []byte("ACME|SKU-004711|h")
	benchDecode(b, c.AppendState, func(value []byte, into *inv.Piece) error { return c.DecodeState(key, value, into) }, benchHead())
}

func BenchmarkHeaders(b *testing.B) {
	ce := CE{ID: benchID, Source: "/atp", Type: "io.stockweave.inventory.outcome", Time: benchAt}
	b.ReportAllocs()
	for b.Loop() {
		if len(ce.Headers()) != 5 {
			b.Fatal("headers")
		}
	}
}

func BenchmarkEventID(b *testing.B) {
	ev := benchEvent()
	b.ReportAllocs()
	for b.Loop() {
		if EventID(ev.Source, ev.Document) == "" {
			b.Fatal("id")
		}
	}
}
