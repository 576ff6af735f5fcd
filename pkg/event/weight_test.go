package event

import (
	"fmt"
	"strings"
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// The ledger bounds its pieces by what it reckons they take: never less than their
// encoding, and not much more.
func TestWeightIsThatOfTheEncoding(t *testing.T) {
	c := testCodecs(t)
	long := strings.Repeat("x", 200)
	pieces := []inv.Piece{}
	for _, kind := range []string{inv.PieceLocation, inv.PieceLine, inv.PieceSupply, inv.PieceParked} {
		pieces = append(pieces, filledPiece(kind, pieceBodies[kind]), filledPiece(kind, pieceBodies[kind]))
	}
	for i := range pieces {
		p := &pieces[i]
		if i%2 == 0 {
			continue
		}
		switch {
		case p.Location != nil:
			for n := range 500 {
				p.Location.More.Reserved = append(p.Location.More.Reserved, inv.Bucket{Due: inv.Day(n), Channel: long, Quantity: inv.MaxQuantity - inv.Quantity(n)})
				p.Location.More.Supply = append(p.Location.More.Supply, inv.Bucket{Due: inv.Day(n), Quantity: inv.Quantity(n)})
			}
			for a := range p.Location.States {
				p.Location.States[a] = -inv.MaxQuantity
			}
		case p.Line != nil:
			for n := range 256 {
				p.Line.Entries = append(p.Line.Entries, inv.LineEntry{
					Source: inv.Source(long), Location: inv.Location(long), Document: 1 << 63, Revision: fmt.Sprint(n), Stage: inv.Ordered,
					Quantity: inv.Quantity(n) * inv.One, At: 1_790_000_000_000, State: inv.Quarantine,
				})
				p.Line.Sourced = append(p.Line.Sourced, inv.Claim{Location: inv.Location(long), Quantity: inv.MaxQuantity})
			}
		case p.Supply != nil:
			for n := range 256 {
				p.Supply.Entries = append(p.Supply.Entries, inv.SupplyEntry{
					Source: inv.Source(long), Location: inv.Location(long), Document: 1 << 63, Revision: fmt.Sprint(n), Stage: inv.Ordered,
					Quantity: inv.Quantity(n) * inv.One, Due: 20_000, At: 1_790_000_000_000, Sequence: 1 << 60, Shared: true, Via: -1 << 63,
				})
				p.Supply.Open = append(p.Supply.Open, inv.SupplyOpen{Location: inv.Location(long), Due: 20_000, Quantity: inv.One})
			}
		case p.Kept != nil:
			p.Kept.Event = filledEvent(inv.KindReservation)
			for n := range 32 {
				p.Kept.Event.Attributes = append(p.Kept.Event.Attributes, inv.Attribute{Name: fmt.Sprint(n), Value: long + long})
				p.Kept.Event.Reservation.Siblings = append(p.Kept.Event.Reservation.Siblings, inv.Key{Entity: inv.Entity(long), Item: inv.Item(long)})
			}
		}
	}
	for _, kind := range []inv.Kind{inv.KindMovement, inv.KindCount, inv.KindDemand, inv.KindSupply, inv.KindSetting} {
		p := filledPiece(inv.PieceParked, "Kept")
		p.Kept.Event = filledEvent(kind)
		pieces = append(pieces, p)
	}
	for i := range pieces {
		value, err := c.AppendState(nil, &pieces[i])
		if err != nil {
			t.Fatal(err)
		}
		if w := pieces[i].Weight(); w < len(value) || w > len(value)+len(value)/4+256 {
			t.Errorf("piece %d of kind %s is reckoned %d bytes and has %d", i, pieces[i].Kind, w, len(value))
		}
	}
}

// The head of a busy key stays within 8 KiB, whatever its locations have: those that
// are too much have pieces of their own.
func TestHeadStaysSmall(t *testing.T) {
	c := testCodecs(t)
	for _, due := range []int{1, 12} { // days that claims are due on, at each location
		key := inv.Key{Entity: "acme", Item: "SKU-1"}
		l := inv.NewLedger(key, noPieces{})
		p := inv.Policy{}
		offset, split, largest := int64(0), 0, 0
		send := func(ev inv.Event) {
			ev.ID, ev.Key, ev.Source, ev.OccurredBasis = fmt.Sprintf("%016x%016x", offset, offset), key, "warehouse-1", inv.BasisDocument
			ev.OccurredAt = 1_790_000_000_000 + inv.Instant(offset)
			ev.RecordedAt = ev.OccurredAt
			ev.Document = inv.Document{Type: "945", Number: fmt.Sprint(offset)}
			if _, err := l.Apply(&p, &ev, inv.At{Lineage: 1, Offset: offset}); err != nil {
				t.Fatal(err)
			}
			offset++
			l.Changed(func(piece inv.Piece) {
				if piece.Head == nil {
					return
				}
				value, err := c.AppendState(nil, &piece)
				if err != nil {
					t.Fatal(err)
				}
				largest, split = max(largest, len(value)), len(piece.Head.Split)
			})
		}
		for n := range 64 {
			at := inv.Location(fmt.Sprintf("DC-%02d", n))
			send(inv.Event{Kind: inv.KindMovement, Movement: &inv.Movement{Type: inv.Receipt, Location: at, Quantity: 123 * inv.One}})
			for d := range due {
				send(inv.Event{
					Kind: inv.KindDemand, Refs: []inv.Ref{{Issuer: "shop", Type: "order", Number: fmt.Sprint(offset)}},
					Demand: &inv.Demand{Stage: inv.Ordered, Location: at, Quantity: inv.One, Due: inv.Day(20_000 + d), Channel: "web"},
				})
			}
		}
		if largest > 8<<10 {
			t.Errorf("with %d days the head has %d bytes", due, largest)
		}
		if due > 1 != (split > 0) {
			t.Errorf("with %d days %d locations stand apart (head %d)", due, split, largest)
		}
	}
}

// noPieces is a ledger that keeps everything in hand.
type noPieces struct{}

func (noPieces) Head() *inv.Head                          { return nil }
func (noPieces) Location(inv.Location) *inv.LocationState { return nil }
func (noPieces) IDs(int64) ([]inv.Seen, inv.Instant)      { return nil, 0 }
func (noPieces) Journal(inv.Location, int64) []inv.Entry  { return nil }
func (noPieces) Line(string) *inv.Line                    { return nil }
func (noPieces) SupplyLine(string) *inv.SupplyLine        { return nil }
func (noPieces) Ref(string) *inv.RefTarget                { return nil }
func (noPieces) View(inv.Source, inv.Location) *inv.View  { return nil }
func (noPieces) Kept(string, int64) *inv.Kept             { return nil }
func (noPieces) Names(string, string, func(string) bool)  {}
func (noPieces) Lines(func(*inv.Line) bool)               {}
