package kill_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/test/fold"
)

const (
	itemCount = 200
	window    = 20 * time.Minute // of business time that one wave covers
	safety    = 5                // safety stock of SKU-1 at DC1, as the shipped policy has it
)

// A message is a body as its source sends it.
type message struct {
	step road.Step
	body []byte
}

// A load is messages in waves and what they say, as facts for the fold. Messages
// of one wave may come in any order; a wave begins when the one before stands on
// the ledger's log. So a count always finds the same movements before it, and the
// ERP document of its difference is the same in every run.
type load struct {
	waves    [][]message
	facts    []fold.Fact
	messages int
}

// order is a shop order that later messages go on with.
type order struct {
	number   int
	wave     int
	location string
	at       time.Time
	lines    []orderLine
	changed  bool // cancelled or edited: once is enough
}

type orderLine struct{ id, item, qty, left int }

// maker makes a load; everything follows from its seed.
type maker struct {
	rng    *rand.Rand
	base   time.Time
	out    load
	wave   []message
	index  int // of the wave
	next   int // number of the next document
	orders []*order
	sent   []message // of earlier waves, for duplicates
}

// newLoad makes n messages. Times lie in the past: base is the first one's.
func newLoad(seed uint64, n int, base time.Time) *load {
	m := &maker{rng: rand.New(rand.NewPCG(seed, 7)), base: base.UTC().Truncate(time.Hour), next: 1000}
	m.masters()
	m.opening()
	size := min(max(n/30, 40), 500)
	for m.out.messages < n {
		if m.index%4 == 3 {
			m.counts(min(size/8, n-m.out.messages))
		} else {
			m.movements(min(size, n-m.out.messages))
		}
	}
	return &m.out
}

func sku(i int) string { return fmt.Sprintf("SKU-%d", i+1) }

// close ends the wave.
func (m *maker) close() {
	m.rng.Shuffle(len(m.wave), func(i, j int) { m.wave[i], m.wave[j] = m.wave[j], m.wave[i] })
	m.out.waves = append(m.out.waves, m.wave)
	m.sent = append(m.sent, m.wave...)
	m.wave = nil
	m.index++
}

func (m *maker) send(source, contentType string, body []byte) {
	m.wave = append(m.wave, message{step: road.Step{Source: source, ContentType: contentType, File: source, Status: 202}, body: body})
	m.out.messages++
}

func (m *maker) fact(f fold.Fact) { m.out.facts = append(m.out.facts, f) }

func (m *maker) number() int {
	m.next++
	return m.next
}

// at is a time within the window of a wave, to the second.
func (m *maker) at(wave int) time.Time {
	return m.base.Add(time.Duration(wave)*window + time.Duration(m.rng.IntN(int(window/time.Second)-60))*time.Second)
}

func (m *maker) site() string { return []string{"DC1", "DC1", "DC2"}[m.rng.IntN(3)] }

// items picks distinct items; the first ones are asked for more often.
func (m *maker) items(n int) []int {
	var picked []int
	for len(picked) < n {
		i := m.rng.IntN(itemCount)
		if m.rng.IntN(4) == 0 {
			i = m.rng.IntN(10)
		}
		if !slices.Contains(picked, i) {
			picked = append(picked, i)
		}
	}
	return picked
}

func (m *maker) masters() {
	m.send("master-locations", "text/csv", []byte(`location,description,class,time_zone,valued,publishable,receipt_to,aliases
DC1,Central warehouse,dc,America/New_York,yes,yes,on_hand,WH01
DC2,West coast 3PL,3pl,America/Los_Angeles,yes,yes,on_hand,WH02
`))
	m.close()
	rows := []string{"item,description,base_unit,indivisible,units,gtin,upc,vendor_item,customer_item"}
	for i := range itemCount {
		rows = append(rows, fmt.Sprintf("%s,Item %d,EA,yes,CA=12,,,V-%d,", sku(i), i, i+1))
	}
	m.send("master-items", "text/csv", csv(rows))
	m.close()
}

func csv(rows []string) []byte { return []byte(strings.Join(rows, "\n") + "\n") }

func (m *maker) opening() {
	at := m.base.Add(time.Duration(m.index) * window)
	for from := 0; from < itemCount; from += 50 {
		rows := []string{"batch,location,sku,quantity,unit,as_of,state"}
		for i := from; i < from+50; i++ {
			for _, site := range []string{"DC1", "DC2"} {
				qty := 200 + m.rng.IntN(200)
				rows = append(rows, fmt.Sprintf("B%d,%s,%s,%d,EA,%s,", from, site, sku(i), qty, stamp(at)))
				m.fact(fold.Fact{Kind: fold.Opening, Item: sku(i), Location: site, Qty: fold.Whole(int64(qty)), At: at})
			}
		}
		m.send("opening", "text/csv", csv(rows))
	}
	m.close()
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// movements is a wave of everything but counts.
func (m *maker) movements(n int) {
	for end := m.out.messages + n; m.out.messages < end; {
		switch p := m.rng.IntN(100); {
		case p < 40 || len(m.orders) == 0:
			m.order()
		case p < 64:
			m.shipment(m.index)
		case p < 66 && m.index > 5:
			m.shipment(m.index - 1 - m.rng.IntN(3)) // late: counts of then are restated
		case p < 76:
			m.receipt()
		case p < 84:
			m.returned()
		case p < 90:
			m.echo()
		case p < 94:
			m.cancel()
		case p < 96:
			m.edit()
		case p < 98:
			m.again()
		default:
			m.faulty()
		}
	}
	m.close()
}

func (m *maker) order() {
	o := &order{number: m.number(), wave: m.index, location: m.site(), at: m.at(m.index)}
	for _, i := range m.items(1 + m.rng.IntN(3)) {
		qty := 1 + m.rng.IntN(6)
		o.lines = append(o.lines, orderLine{id: m.number(), item: i, qty: qty, left: qty})
	}
	m.orders = append(m.orders, o)
	m.shop(o, "")
	m.ordered(o, 1)
}

// shop sends an order as its webhook does. Topic and times tell a new one, an edit
// and a cancellation apart.
func (m *maker) shop(o *order, what string) {
	type line struct {
		ID       int    `json:"id"`
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	body := map[string]any{
		"id": 5550000000 + o.number, "name": fmt.Sprintf("#%d", o.number), "order_number": o.number,
		"created_at": stamp(o.at), "updated_at": stamp(o.at), "cancelled_at": nil,
	}
	if o.location != "DC1" { // the source's default
		body["location_id"] = o.location
	}
	switch what {
	case "edit":
		body["updated_at"] = stamp(m.at(m.index))
	case "cancel":
		at := stamp(m.at(m.index))
		body["updated_at"], body["cancelled_at"] = at, at
	}
	var lines []line
	for _, l := range o.lines {
		lines = append(lines, line{l.id, sku(l.item), l.qty})
	}
	body["line_items"] = lines
	m.sendJSON("shop", body)
}

func (m *maker) sendJSON(source string, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps and texts always marshal
	}
	m.send(source, "application/json", b)
}

func (m *maker) ordered(o *order, revision int) {
	for _, l := range o.lines {
		m.fact(fold.Fact{
			ID: fmt.Sprintf("order %d line %d", o.number, l.id), Revision: revision, Kind: fold.Order, Item: sku(l.item),
			Location: o.location, Qty: fold.Whole(int64(l.qty)), Order: fmt.Sprint(o.number), At: o.at,
		})
	}
}

// earlier picks an order of an earlier wave that was not changed yet, or nil.
func (m *maker) earlier() *order {
	for range 20 {
		if o := m.orders[m.rng.IntN(len(m.orders))]; o.wave < m.index && !o.changed {
			o.changed = true
			return o
		}
	}
	return nil
}

func (m *maker) cancel() {
	o := m.earlier()
	if o == nil {
		m.order()
		return
	}
	m.shop(o, "cancel")
	for _, l := range o.lines {
		m.fact(fold.Fact{Kind: fold.Cancel, Item: sku(l.item), Location: o.location, Qty: fold.Whole(int64(l.qty)), Order: fmt.Sprint(o.number), At: m.at(m.index)})
	}
}

func (m *maker) edit() {
	o := m.earlier()
	if o == nil {
		m.order()
		return
	}
	for i := range o.lines {
		o.lines[i].qty += 1 + m.rng.IntN(3)
	}
	m.shop(o, "edit")
	m.ordered(o, 2)
}

// shipment is a 945 for an order of this wave or before, whole or in part, now and
// then from the other site, dated in a wave's window.
func (m *maker) shipment(wave int) {
	o := m.orders[m.rng.IntN(len(m.orders))]
	if m.rng.IntN(2) == 0 { // the latest: its order may come after it
		o = m.orders[len(m.orders)-1-m.rng.IntN(min(5, len(m.orders)))]
	}
	site, at := o.location, m.at(wave)
	if m.rng.IntN(12) == 0 {
		site = map[string]string{"DC1": "DC2", "DC2": "DC1"}[site]
	}
	set := []string{fmt.Sprintf("W06*N*%d*%s*SH-%d", o.number, at.Format("20060102"), m.number()), warehouse(site), shipped(at)}
	for i := range o.lines {
		l := &o.lines[i]
		if l.left == 0 {
			set = append(set, fmt.Sprintf("W12*BO*%d*0*%d*EA**SK*%s", l.qty, l.qty, sku(l.item))) // nothing moves
			continue
		}
		qty := 1 + m.rng.IntN(l.left)
		l.left -= qty
		set = append(set, fmt.Sprintf("W12*CC*%d*%d*0*EA**SK*%s", l.qty, qty, sku(l.item)))
		m.fact(fold.Fact{Kind: fold.Ship, Item: sku(l.item), Location: site, Qty: fold.Whole(int64(qty)), Order: fmt.Sprint(o.number), At: at})
	}
	m.send("wms", "application/edi-x12", x12("SW", "945", at, m.number(), set))
}

func warehouse(site string) string {
	return fmt.Sprintf("N1*%s*%s*91*%s", "WH", map[string]string{"DC1": "CENTRAL", "DC2": "WEST"}[site], map[string]string{"DC1": "WH01", "DC2": "WH02"}[site])
}

func shipped(at time.Time) string {
	return "G62*11*" + at.Format("20060102") + "*4*" + at.Format("150405") + "*UT"
}

// x12 wraps a transaction set in its envelope.
func x12(group, set string, at time.Time, control int, segments []string) []byte {
	all := []string{
		fmt.Sprintf("ISA*00*          *00*          *ZZ*WAREHOUSE1     *ZZ*ACME           *%s*%s*U*00401*%09d*0*P*>", at.Format("060102"), at.Format("1504"), control),
		fmt.Sprintf("GS*%s*WAREHOUSE1*ACME*%s*%s*%d*X*004010", group, at.Format("20060102"), at.Format("1504"), control),
		fmt.Sprintf("ST*%s*0001", set),
	}
	all = append(all, segments...)
	all = append(all, fmt.Sprintf("SE*%d*0001", len(segments)+2), fmt.Sprintf("GE*1*%d", control), fmt.Sprintf("IEA*1*%09d", control))
	return []byte(strings.Join(all, "~\n") + "~\n")
}

func (m *maker) receipt() {
	site, at, po := m.site(), m.at(m.index), m.number()
	set := []string{fmt.Sprintf("W17*F*%s*RC-%d*PO-%d", at.Format("20060102"), m.number(), po), warehouse(site), shipped(at)}
	for _, i := range m.items(1 + m.rng.IntN(4)) {
		qty, unit, each := 1+m.rng.IntN(20), "EA", 1
		if m.rng.IntN(2) == 0 {
			unit, each = "CA", 12
		}
		set = append(set, fmt.Sprintf("W07*%d*%s**VN*V-%d", qty, unit, i+1))
		m.fact(fold.Fact{Kind: fold.Receipt, Item: sku(i), Location: site, Qty: fold.Whole(int64(qty * each)), At: at})
	}
	m.send("wms", "application/edi-x12", x12("RE", "944", at, m.number(), set))
}

func (m *maker) returned() {
	site, at := m.site(), m.at(m.index)
	var items []map[string]any
	for _, i := range m.items(1 + m.rng.IntN(2)) {
		qty := 1 + m.rng.IntN(2)
		items = append(items, map[string]any{"sku": sku(i), "quantity": qty, "condition": "opened"})
		m.fact(fold.Fact{Kind: fold.Return, Item: sku(i), Location: site, Qty: fold.Whole(int64(qty)), At: at})
	}
	m.sendJSON("returns", map[string]any{"rma": fmt.Sprintf("R-%d", m.number()), "warehouse": site, "received_at": stamp(at), "items": items})
}

// echo is the ERP's copy of an order: it adds nothing.
func (m *maker) echo() {
	o := m.orders[m.rng.IntN(len(m.orders))]
	var lines []map[string]any
	for i, l := range o.lines {
		lines = append(lines, map[string]any{"line": (i + 1) * 10, "item": sku(l.item), "quantity": l.qty, "warehouse": o.location})
	}
	m.sendJSON("erp", map[string]any{
		"number": fmt.Sprintf("SO-%d", m.number()), "customer_order": o.number, "channel": "shop", "date": stamp(m.at(m.index)), "lines": lines,
	})
}

// again is a message of an earlier wave, word for word.
func (m *maker) again() {
	old := m.sent[m.rng.IntN(len(m.sent))]
	if strings.HasPrefix(old.step.Source, "master-") { // a master record is versioned, not deduplicated
		m.order()
		return
	}
	m.send(old.step.Source, old.step.ContentType, old.body)
}

// faulty is a message of which some lines are good: the others are rejected or
// wait for an item nobody knows.
func (m *maker) faulty() {
	if m.rng.IntN(2) == 0 {
		at := m.at(m.index)
		set := []string{fmt.Sprintf("W06*N*%d*%s*SH-%d", m.number(), at.Format("20060102"), m.number()), warehouse("DC1"), "W12*CC*1*1*0*EA**SK*" + sku(0)}
		body := x12("SW", "945", at, m.number(), set)
		m.send("wms", "application/edi-x12", body[:strings.Index(string(body), "SE*")]) // truncated
		return
	}
	o := &order{number: m.number(), wave: m.index, location: "DC1", at: m.at(m.index), changed: true}
	i := m.items(1)[0]
	o.lines = []orderLine{{id: m.number(), item: i, qty: 2, left: 2}, {id: m.number(), item: itemCount + 7, qty: 1}}
	m.shop(o, "")
	o.lines = o.lines[:1] // nobody knows the other
	m.ordered(o, 1)
	m.orders = append(m.orders, o)
}

// counts is a wave of shelf counts as of its end: each item and site at most once.
func (m *maker) counts(n int) {
	asOf := m.base.Add(time.Duration(m.index+1) * window).Add(-time.Second)
	all := m.rng.Perm(2 * itemCount)
	for c := range max(n, 1) {
		const rows = 12
		if (c+1)*rows > len(all) {
			break
		}
		id := m.number()
		lines := []string{"count_id,location,sku,quantity,as_of,unit"}
		for _, k := range all[c*rows : (c+1)*rows] {
			site, item, qty := fmt.Sprintf("DC%d", k%2+1), sku(k/2), 150+m.rng.IntN(150)
			lines = append(lines, fmt.Sprintf("C-%d,%s,%s,%d,%s,EA", id, site, item, qty, stamp(asOf)))
			m.fact(fold.Fact{Kind: fold.Count, Item: item, Location: site, Qty: fold.Whole(int64(qty)), At: asOf})
		}
		m.send("wms-count", "text/csv", csv(lines))
	}
	m.close()
}

func TestLoadIsTheSameForOneSeed(t *testing.T) {
	base := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	a, b := newLoad(1, 2000, base), newLoad(1, 2000, base)
	if a.messages < 2000 || a.messages > 2010 || !slices.Equal(a.facts, b.facts) {
		t.Fatalf("%d messages, %d and %d facts", a.messages, len(a.facts), len(b.facts))
	}
	kinds := map[string]int{}
	for w, wave := range a.waves {
		for i := range wave {
			if string(wave[i].body) != string(b.waves[w][i].body) {
				t.Fatalf("wave %d message %d differs", w, i)
			}
			kinds[wave[i].step.Source]++
		}
	}
	for _, source := range []string{"shop", "wms", "wms-count", "returns", "erp", "opening"} {
		if kinds[source] == 0 {
			t.Errorf("no message of %s", source)
		}
	}
	t.Log(len(a.waves), "waves", kinds)
}
