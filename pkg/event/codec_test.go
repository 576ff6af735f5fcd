package event

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/schemas"
)

// TestRoundTrip also fails when a field is added to a record and forgotten here.
func TestRoundTrip(t *testing.T) {
	for _, s := range samples(testCodecs(t)) {
		t.Run(s.name, func(t *testing.T) {
			value, err := s.encode()
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.decode(value)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, s.value) {
				t.Errorf("got  %+v\nwant %+v", got, s.value)
			}
			again, err := s.encode()
			if err != nil || string(again) != string(value) {
				t.Errorf("a second encoding differs: %v", err)
			}
		})
	}
}

func TestZeroValues(t *testing.T) {
	c := testCodecs(t)
	for _, s := range []sample{
		sampleOf("raw", TopicRaw, RawMessage{}, c.AppendRaw, c.DecodeRaw),
		sampleOf("event", TopicEvents, inv.Event{}, c.AppendEvent, c.DecodeEvent),
		sampleOf("outcome", TopicOutcomes, inv.Outcome{}, c.AppendOutcome, c.DecodeOutcome),
		sampleOf("position", TopicPositions, inv.Position{}, c.AppendPosition, c.DecodePosition),
		sampleOf("posting", TopicPostings, Posting{}, c.AppendPosting, c.DecodePosting),
		sampleOf("offer", TopicOffers, Offer{}, c.AppendOffer, c.DecodeOffer),
		sampleOf("header", TopicState, StateHeader{AppliedThrough: -1}, c.AppendStateHeader, c.DecodeStateHeader),
	} {
		value, err := s.encode()
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if got, err := s.decode(value); err != nil || !reflect.DeepEqual(got, s.value) {
			t.Errorf("%s: %+v, %v", s.name, got, err)
		}
	}
}

// TestDecodeOverwrites: nothing of a target's former content stays.
func TestDecodeOverwrites(t *testing.T) {
	c := testCodecs(t)
	ev := filledEvent(inv.KindCount)
	value, err := c.AppendEvent(nil, &inv.Event{Kind: inv.KindMovement, Movement: &inv.Movement{Type: inv.Receipt}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DecodeEvent(value, &ev); err != nil {
		t.Fatal(err)
	}
	want := inv.Event{Kind: inv.KindMovement, Movement: &inv.Movement{Type: inv.Receipt}}
	if !reflect.DeepEqual(ev, want) {
		t.Errorf("%+v", ev)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	c := testCodecs(t)
	ev := filledEvent(inv.KindMovement)
	alone, err := c.AppendEvent(nil, &ev)
	if err != nil {
		t.Fatal(err)
	}
	both, err := c.AppendEvent([]byte("before"), &ev)
	if err != nil || string(both) != "before"+string(alone) {
		t.Errorf("%q, %v", both, err)
	}
	ev.Movement.Quantity = inv.MaxQuantity + 1
	same, err := c.AppendEvent(both, &ev)
	if !errors.Is(err, inv.ErrOverflow) || string(same) != string(both) {
		t.Errorf("after an error: %d bytes, %v", len(same), err)
	}
}

func TestUnencodable(t *testing.T) {
	c := testCodecs(t)
	tests := map[string]struct {
		change func(*inv.Event)
		want   string
	}{
		"quantity":      {func(e *inv.Event) { e.Movement.Quantity = -inv.MaxQuantity - 1 }, "overflow"},
		"account":       {func(e *inv.Event) { e.Movement.ToState = inv.NumAccounts }, "not an account"},
		"not UTF-8":     {func(e *inv.Event) { e.Document.Number = "\xff" }, "not UTF-8"},
		"long":          {func(e *inv.Event) { e.Document.Number = strings.Repeat("x", MaxBytes+1) }, "too long"},
		"many elements": {func(e *inv.Event) { e.Refs = make([]inv.Ref, MaxElements+1) }, "elements"},
		"long in all": {func(e *inv.Event) {
			e.Document.Number, e.Document.Line = strings.Repeat("x", MaxBytes), strings.Repeat("x", MaxBytes)
		}, "bytes are more than"},
	}
	for name, test := range tests {
		ev := filledEvent(inv.KindMovement)
		test.change(&ev)
		if _, err := c.AppendEvent(nil, &ev); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.AppendPosting(nil, &Posting{PostingDate: "2026-02-30"}); err == nil {
		t.Error("a date that does not exist is written")
	}
	if _, err := c.AppendDeadLetter(nil, &DeadLetter{Service: "nobody"}); err == nil {
		t.Error("a dead letter of an unknown service is written")
	}
	if _, err := c.AppendMilestone(nil, &Milestone{About: "invoices"}); err == nil {
		t.Error("a milestone about anything is written")
	}
	piece := filledPiece(inv.PieceHead, "Head")
	piece.Head.Journal[0].State = inv.Supplier
	if _, err := c.AppendState(nil, &piece); !errors.Is(err, inv.ErrAccount) {
		t.Errorf("a journal entry outside: %v", err)
	}
}

// TestDeadLetterIsAlwaysWritable: neither its size nor its text may stop it.
func TestDeadLetterIsAlwaysWritable(t *testing.T) {
	c := testCodecs(t)
	in := DeadLetter{Service: "atp", Reason: "bad \xff byte", Key: make([]byte, 3<<20), Value: make([]byte, 3<<20)}
	value, err := c.AppendDeadLetter(nil, &in)
	if err != nil {
		t.Fatal(err)
	}
	var out DeadLetter
	if err := c.DecodeDeadLetter(value, &out); err != nil {
		t.Fatal(err)
	}
	if out.Reason != "bad \uFFFD byte" || len(out.Value) != MaxBody || len(in.Value) != 3<<20 {
		t.Errorf("reason %q, value %d", out.Reason, len(out.Value))
	}
	// The largest raw record fits whole.
	raw, err := c.AppendRaw(nil, &RawMessage{Source: "shop", Body: make([]byte, MaxBody), Filename: strings.Repeat("f", 10_000)})
	if err != nil {
		t.Fatal(err)
	}
	if value, err = c.AppendDeadLetter(nil, &DeadLetter{Service: "canonicalizer", Value: raw}); err != nil {
		t.Fatal(err)
	}
	if err := c.DecodeDeadLetter(value, &out); err != nil || len(out.Value) != len(raw) {
		t.Errorf("value %d of %d, %v", len(out.Value), len(raw), err)
	}
}

func TestState(t *testing.T) {
	c := testCodecs(t)
	piece := filledPiece(inv.PieceJournal, "Journal")
	piece.N = []string{"A|1%", "3"}
	key := []byte(inv.StateKey(inv.Key{Entity: "E|1", Item: "I"}, piece.Kind, piece.N...))
	value, err := c.AppendState(nil, &piece)
	if err != nil {
		t.Fatal(err)
	}
	var got inv.Piece
	if err := c.DecodeState(key, value, &got); err != nil || !reflect.DeepEqual(got, piece) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.DecodeState(key, nil, &got); err != nil || !got.Deleted || got.Kind != "j" || !reflect.DeepEqual(got.N, piece.N) || got.Journal != nil {
		t.Errorf("tombstone: %+v, %v", got, err)
	}
	if value, err := c.AppendState(nil, &got); err != nil || value != nil {
		t.Errorf("a deleted piece has value %x, %v", value, err)
	}
	for _, bad := range []string{"", "|header", "e|i", "|i|h", "e|i|", "e|i|h", "e|i|j|1|2|3|4|5"} {
		got = filledPiece(inv.PieceHead, "Head")
		if err := c.DecodeState([]byte(bad), value, &got); !errors.Is(err, ErrUndecodable) || !reflect.DeepEqual(got, inv.Piece{}) {
			t.Errorf("key %q: %+v, %v", bad, got, err)
		}
	}
	// A kind of a later build is kept, not guessed.
	value, err = c.AppendState(nil, &inv.Piece{Kind: "z"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DecodeState([]byte("e|i|z|7"), value, &got); err != nil || got.Kind != "z" || got.N[0] != "7" {
		t.Errorf("%+v, %v", got, err)
	}
	// A header is no piece, a piece no header.
	header, err := c.AppendStateHeader(nil, &StateHeader{Lineage: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DecodeState([]byte("e|i|header"), header, &got); !errors.Is(err, ErrUndecodable) {
		t.Errorf("a header as a piece: %v", err)
	}
	var h StateHeader
	if err := c.DecodeStateHeader(value, &h); !errors.Is(err, ErrUndecodable) {
		t.Errorf("a piece as a header: %v", err)
	}
}

func TestDirect(t *testing.T) {
	direct(t, documentTable)
	direct(t, refTable)
	direct(t, traceTable)
	direct(t, movementTable)
	direct(t, attributeTable)
	direct(t, stateBalanceTable)
	direct(t, countTable)
	direct(t, demandTable)
	direct(t, supplyTable)
	direct(t, eventTable)
	direct(t, moveTable)
	direct(t, outcomeTable)
	direct(t, statesTable)
	direct(t, bucketTable)
	direct(t, positionBody)
	direct(t, seenTable)
	direct(t, entryTable)
	direct(t, locationStateTable)
	direct(t, outsideTable)
	direct(t, headTable)
}

// direct compares a table's straight code with its fields.
func direct[T any](t *testing.T, tab *table[T]) {
	t.Helper()
	loops := record(tab.name, tab.fields...)
	x := filled[T]()
	if ev, ok := any(&x).(*inv.Event); ok {
		ev.RecordedAt = 0
	}
	var a, b writer
	tab.enc(&a, &x)
	loops.enc(&b, &x)
	if string(a.b) != string(b.b) || a.err != nil || b.err != nil {
		t.Errorf("%s: % x by hand, % x by table", tab.name, a.b, b.b)
	}
	var y, z T
	tab.dec(&reader{b: a.b, words: newWords()}, &y)
	loops.dec(&reader{b: a.b, words: newWords()}, &z)
	if !reflect.DeepEqual(x, y) || !reflect.DeepEqual(x, z) {
		t.Errorf("%s: %+v by hand, %+v by table, not %+v", tab.name, y, z, x)
	}
}

func TestTestCodecs(t *testing.T) {
	if TestCodecs() == nil {
		t.Fatal("tables and schemas differ")
	}
	described := map[string]bool{}
	for _, s := range schemas.All() {
		described[s.Topic] = true
	}
	if len(TopicSpecs()) != len(described)+1 { // all but schemas.v1
		t.Errorf("%d topics, %d of them with schemas", len(TopicSpecs()), len(described))
	}
}

// TestConcurrentUse means something under -race.
func TestConcurrentUse(t *testing.T) {
	all := samples(testCodecs(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for _, s := range all {
					value, err := s.encode()
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := s.decode(value); err != nil || !reflect.DeepEqual(got, s.value) {
						t.Errorf("%s: %v", s.name, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestASCII: a text that is no UTF-8 is found at any length, wherever it stands in it and
// however much room there is behind.
func TestASCII(t *testing.T) {
	for n := range 40 {
		for room := range 10 {
			b := append(make([]byte, 0, 3+n+room), "\xff\xff\xff"...)
			b = append(b, strings.Repeat("a", n)...)
			for i := n; i < cap(b)-3; i++ {
				b[:cap(b)][3+i] = 0xff
			}
			if !ascii(b, n) {
				t.Fatalf("%d bytes of ASCII are none with room for %d more", n, room)
			}
			for i := range n {
				b[3+i] = 0x80
				if ascii(b, n) {
					t.Fatalf("byte %d of %d is not seen with room for %d more", i, n, room)
				}
				b[3+i] = 'a'
			}
		}
	}
	for n := range 40 {
		var w writer
		if w.text(strings.Repeat("a", n) + "\xff"); w.err == nil {
			t.Errorf("%d letters and no UTF-8 are written", n)
		}
		w = writer{}
		if w.text(strings.Repeat("a", n) + "é"); w.err != nil {
			t.Error(w.err)
		}
	}
}
