package canonicalizer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// none are the stored pieces of a key that has none.
type none struct{}

func (none) Head() *inventory.Head                                     { return nil }
func (none) Location(inventory.Location) *inventory.LocationState      { return nil }
func (none) IDs(int64) ([]inventory.Seen, inventory.Instant)           { return nil, 0 }
func (none) Journal(inventory.Location, int64) []inventory.Entry       { return nil }
func (none) Line(string) *inventory.Line                               { return nil }
func (none) SupplyLine(string) *inventory.SupplyLine                   { return nil }
func (none) Ref(string) *inventory.RefTarget                           { return nil }
func (none) View(inventory.Source, inventory.Location) *inventory.View { return nil }
func (none) Kept(string, int64) *inventory.Kept                        { return nil }
func (none) Names(string, string, func(string) bool)                   {}
func (none) Lines(func(*inventory.Line) bool)                          {}

// shelf is one item's ledger, fed with messages as partners send them.
type shelf struct {
	t       *testing.T
	set     *policy.Set
	sources map[inventory.Source]*sourceProgram
	masters *masters
	ledger  *inventory.Ledger
	offset  int64
	raw     int
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	all, m := world(t)
	set := load(t, shipped)
	// The warehouse's orders, read by the standard.
	depot := *all["wms"].src
	depot.Name, depot.Mapping, depot.MappingFile = "depot", "x12_lines", ""
	all["depot"] = programOf(t, &depot)
	key := inventory.Key{Entity: all["wms"].src.Entity, Item: "SKU-1"}
	s := &shelf{t: t, set: set, sources: all, masters: m, ledger: inventory.NewLedger(key, none{})}
	s.send("wms", isa+"ST*944*0001~W17*F*20261101*R1~W07*10*EA**SK*SKU-1~SE*4*0001~GE*1*1~IEA*1*1~")
	return s
}

// send takes a message through its mapping into the ledger.
func (s *shelf) send(source inventory.Source, body string) {
	s.t.Helper()
	s.raw++
	raw := &event.RawMessage{ID: fmt.Sprintf("r%03d", s.raw), Source: source, Body: []byte(body), ReceivedAt: sampleTime}
	p := s.sources[source]
	if p == nil {
		p = programOf(s.t, s.set.Partners[source])
		s.sources[source] = p
	}
	res, err := canonicalize(s.t.Context(), p, raw, s.masters)
	if err != nil || len(res.Rejected)+len(res.Parked) > 0 {
		s.t.Fatalf("%s: %v, %+v, %+v", source, err, res.Rejected, res.Parked)
	}
	for i := range res.Events {
		ev := &res.Events[i]
		ev.RecordedAt = sampleTime + inventory.Instant(s.offset)
		_, err := s.ledger.Apply(&s.set.Ledger, ev, inventory.At{Lineage: 1, Offset: s.offset})
		if s.offset++; err != nil {
			s.t.Fatalf("%s: %+v: %v", source, ev, err)
		}
	}
}

// stands are what is on hand and what is asked for.
func (s *shelf) stands() (onHand, reserved inventory.Quantity) {
	for _, name := range s.ledger.Locations() {
		p, _ := s.ledger.Position(name)
		onHand += p.States[inventory.OnHand]
		for _, b := range p.Reserved {
			reserved += b.Quantity
		}
	}
	return onHand, reserved
}

func (s *shelf) want(when string, onHand, reserved inventory.Quantity) {
	s.t.Helper()
	if h, r := s.stands(); h != onHand*inventory.One || r != reserved*inventory.One {
		s.t.Errorf("%s: %s on hand and %s asked for, want %d and %d", when, h, r, onHand, reserved)
	}
}

const (
	placed  = `{"id":1,"order_number":1001,"created_at":"2026-11-02T08:00:00Z","line_items":[{"id":11,"sku":"SKU-1","quantity":4}]}`
	copied  = `{"number":"SO1","customer_order":"#1001","channel":"shop","date":"2026-11-02","lines":[{"line":"1","item":"SKU-1","quantity":4,"warehouse":"DC1"}]}`
	ordered = isa + "ST*940*0001~W05*N*1001*PO1~N1*WH*W*92*DC1~LX*1~W01*4*EA**SK*SKU-1~SE*6*0001~GE*1*1~IEA*1*1~"
	picking = isa + "ST*945*0001~W06*N*1001*20261102*S0~W12*CC*4*0*4*EA**SK*SKU-1~SE*4*0001~GE*1*1~IEA*1*1~"
	sent    = isa + "ST*945*0001~W06*N*1001*20261102*S1~W12*CC*4*4*0*EA**SK*SKU-1~SE*4*0001~GE*1*1~IEA*1*1~"
)

// The five documents of one order count once, each delivered twice.
func TestFiveDocumentsOfOneOrder(t *testing.T) {
	s := newShelf(t)
	s.want("received", 10, 0)
	for _, d := range []struct {
		when             string
		source           inventory.Source
		body             string
		onHand, reserved inventory.Quantity
	}{
		{"the shop's order", "shop", placed, 10, 4},
		{"the ERP's copy", "erp", copied, 10, 4},
		{"the 940", "depot", ordered, 10, 4},
		{"the warehouse knows of it", "wms", picking, 10, 4},
		{"the 945", "wms", sent, 6, 0},
	} {
		for range 2 {
			s.send(d.source, d.body)
			s.want(d.when, d.onHand, d.reserved)
		}
	}
}

// A copy that comes before the order it is of counts nothing, and once the order is
// there it counts once.
func TestCopiesBeforeTheOrder(t *testing.T) {
	for _, first := range [][2]string{{"erp", copied}, {"depot", ordered}} {
		s := newShelf(t)
		s.send(inventory.Source(first[0]), first[1])
		s.want("the copy alone", 10, 0)
		s.send("shop", placed)
		s.want("and the order", 10, 4)
		s.send("erp", copied)
		s.send("depot", ordered)
		s.send("wms", sent)
		s.want("shipped", 6, 0)
	}
}

// The ERP's copy ties its own number to the shop's order: a warehouse that knows only the
// ERP's ships that order.
func TestCopyTiesNumbers(t *testing.T) {
	s := newShelf(t)
	depot := *s.sources["wms"].src
	depot.Name, depot.Defaults = "wms", map[string]string{"order_issuer": "erp"}
	byERP := strings.Replace(sent, "*1001*", "*SO1*", 1)
	s.send("shop", placed)
	s.send("erp", copied)
	s.sources["wms"] = programOf(t, &depot)
	s.send("wms", byERP)
	s.want("shipped under the ERP's number", 6, 0)
}

// A cancellation releases what is asked for and does not bring back what was shipped; a
// refund of kind return is expected and counts when it arrives.
func TestRefunds(t *testing.T) {
	cancelled := strings.Replace(placed, `"created_at"`, `"cancelled_at":"2026-11-02T09:00:00Z","created_at"`, 1)
	s := newShelf(t)
	s.send("shop", placed)
	s.send("shop", cancelled)
	s.want("cancelled", 10, 0)
	s.send("erp", copied)
	s.want("the copy of a cancelled order", 10, 0)

	s = newShelf(t)
	s.send("shop", placed)
	s.send("wms", sent)
	s.send("shop", cancelled)
	s.want("cancelled after it was shipped", 6, 0)

	order := `{"id":1,"name":"#1002","created_at":"2026-11-02T08:00:00Z","line_items":[{"id":11,"sku":"SKU-1","quantity":4}]}`
	refund := func(kind string) string {
		return `{"id":7,"order_id":1,"created_at":"2026-11-02T10:00:00Z","refund_line_items":[{"id":8,"line_item_id":11,"quantity":1,"restock_type":"` + kind + `","line_item":{"id":11,"sku":"SKU-1"}}]}`
	}
	s = newShelf(t)
	ledger := s.set.Ledger
	ledger.Origins = append(ledger.Origins, "shopify")
	s.set.Ledger = ledger
	s.send("shopify", order)
	s.want("a shop's order", 10, 4)
	s.send("shopify", refund("cancel"))
	s.want("one of four cancelled", 10, 3)
	s.send("shopify", refund("return"))
	s.want("one to come back: nothing is here yet", 10, 3)
}

// What was sold is told by 852 and SLSRPT as milestones, which feed rates: they move
// nothing, however often they come.
func TestSalesReportsMoveNothing(t *testing.T) {
	all, m := world(t)
	for name, tc := range map[string]struct{ format, mapping, body string }{
		"852":    {policy.FormatX12, "x12_lines", isa + "ST*852*0001~XQ*H*20261101*20261102~LIN**SK*SKU-1~ZA*QS*5*EA~SDQ*EA*92*DC1*5~CTT*1~SE*7*0001~GE*1*1~IEA*1*1~"},
		"SLSRPT": {policy.FormatEDIFACT, "edifact_lines", "UNB+UNOC:3+S+R+261102:1015+1'UNH+1+SLSRPT:D:96A:UN'BGM+73E+9+9'DTM+356:20261102:102'LOC+162+DC1::92'LIN+1++00100000000014:SRV'QTY+153:5'UNT+7+1'UNZ+1+1'"},
	} {
		src := *all["wms"].src
		src.Format, src.Mapping, src.MappingFile = tc.format, tc.mapping, ""
		res, err := canonicalize(t.Context(), programOf(t, &src), &event.RawMessage{ID: "r", Source: "wms", Body: []byte(tc.body), ReceivedAt: sampleTime}, m)
		if err != nil {
			t.Fatal(err)
		}
		sold := 0
		for _, x := range res.Milestones {
			if x.Status == "sold" {
				sold++
			}
		}
		if sold == 0 {
			t.Errorf("%s: no sale is told: %+v", name, res)
		}
		for i := range res.Events {
			if k := res.Events[i].Kind; k == inventory.KindMovement || k == inventory.KindDemand {
				t.Errorf("%s: a sale is %+v", name, res.Events[i])
			}
		}

		// Where nobody else tells of them, its source says that they move stock.
		src.Defaults = map[string]string{"sales": "movement"}
		res, err = canonicalize(t.Context(), programOf(t, &src), &event.RawMessage{ID: "r", Source: "wms", Body: []byte(tc.body), ReceivedAt: sampleTime}, m)
		if err != nil || len(res.Events) != 1 || res.Events[0].Kind != inventory.KindMovement || res.Events[0].Movement.Type != inventory.Ship ||
			res.Events[0].Movement.Quantity != 5*inventory.One {
			t.Errorf("%s as movements: %v %+v", name, err, res)
		}
	}
}
