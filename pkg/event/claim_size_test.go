package event

import (
	"fmt"
	"strings"
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// nothing is a key of which nothing is stored yet.
type nothing struct{ inv.Pieces }

func (nothing) Head() *inv.Head                          { return nil }
func (nothing) Line(string) *inv.Line                    { return nil }
func (nothing) Ref(string) *inv.RefTarget                { return nil }
func (nothing) Names(string, string, func(string) bool)  {}
func (nothing) Lines(func(*inv.Line) bool)               {}
func (nothing) Location(inv.Location) *inv.LocationState { return nil }

// A claim is 512 bytes at most, with ids as the services make them, split over as many
// locations as a line may be, of a request over many items (EXACTLY-ONCE §2).
func TestClaimsAreSmall(t *testing.T) {
	key := inv.Key{Entity: "acme", Item: "SKU-000001"}
	policy := inv.Policy{Reservations: inv.ReservationPolicy{Split: true}}
	l := inv.NewLedger(key, nothing{})
	apply := func(ev inv.Event) inv.Outcome {
		ev.Key, ev.Source, ev.OccurredAt, ev.OccurredBasis, ev.RecordedAt = key, "api", 1_790_000_000_000, inv.BasisDocument, 1_790_000_000_000
		out, err := l.Apply(&policy, &ev, inv.At{Lineage: 1, Offset: l.Fence().Offset + 1})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for i := range 12 {
		apply(inv.Event{ID: fmt.Sprintf("%032d", i), Kind: inv.KindMovement, Movement: &inv.Movement{
			Type: inv.Receipt, Location: inv.Location(fmt.Sprintf("WAREHOUSE-%02d", i)), Quantity: 1_000_000_000_0001,
		}})
	}
	r := inv.Reservation{
		ID: strings.Repeat("f", 32), Action: inv.Try, Partner: "a-marketplace", ExpiresAt: 1_790_000_030_000, ReplyTo: 5, Partial: true,
	}
	for i := range 64 {
		r.Siblings = append(r.Siblings, inv.Key{Entity: "acme", Item: inv.Item(fmt.Sprintf("SKU-%06d", i))})
	}
	for i := range 3 {
		r.Lines = append(r.Lines, inv.ReservationLine{
			Line: strings.Repeat("l", 30) + fmt.Sprint(i), Channel: "a-marketplace", Quantity: 4_000_000_000_0001, Due: 20_999, Movable: true, Priority: 9,
		})
	}
	if out := apply(inv.Event{ID: strings.Repeat("e", 32), Kind: inv.KindReservation, Reservation: &r}); out.Answer.Verdict != inv.Granted {
		t.Fatalf("%+v", out.Answer)
	}
	apply(inv.Event{ID: strings.Repeat("d", 32), Kind: inv.KindReservation, Reservation: &inv.Reservation{ID: r.ID, Action: inv.Confirm}})
	c, lines := testCodecs(t), 0
	l.Changed(func(p inv.Piece) {
		if p.Line == nil {
			return
		}
		lines++
		value, err := c.AppendState(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		if len(value) > 512 {
			t.Errorf("%d bytes, %d locations, %d siblings", len(value), len(p.Line.Held.Granted), len(p.Line.Held.Siblings))
		}
	})
	if lines != 3 {
		t.Errorf("%d claims", lines)
	}
}
