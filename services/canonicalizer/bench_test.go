//go:build bench

package canonicalizer

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// The bars: canonicalizing an order webhook, mapping included, against decoding the
// same JSON with encoding/json; and what X12 and CSV give a core, MB/s.
const (
	mostJSON = 2.5
	leastMBs = 30.0
)

// benchRounds is how many times each row is measured; the median counts. Each round
// measures everything, so that what else the machine does falls on all alike.
const benchRounds = 5

// TestBenchCanonicalizer prints what a message of each kind costs: its parser alone,
// with the mapping, canonicalized to events, and with the records encoded; and the floor,
// which is all of that but the mapping. Run by make bench/canonicalizer.
func TestBenchCanonicalizer(t *testing.T) {
	rows := slices.DeleteFunc(benchRows(t), func(r *benchRow) bool { return !strings.Contains(r.name, os.Getenv("BENCH_ROW")) })
	for range benchRounds {
		for _, r := range rows {
			for i := range r.stages {
				r.measured[i] = append(r.measured[i], nanoseconds(r.stages[i]))
			}
		}
	}
	fmt.Printf("%-22s %8s %6s | %9s %9s %9s %9s %9s | %s\n", "", "bytes", "lines", "parse", "+mapping", "+events", "+records", "floor", "against")
	for _, r := range rows {
		var ns [len(r.stages)]float64
		for i := range ns {
			slices.Sort(r.measured[i])
			ns[i] = r.measured[i][benchRounds/2]
		}
		fmt.Printf("%-22s %8d %6d |", r.name, len(r.body), r.lines)
		if r.json {
			for _, n := range ns[1:] {
				fmt.Printf(" %8.2fx", n/ns[0])
			}
			fmt.Printf(" | encoding/json, %.1f µs; bar %.1fx: %s\n", ns[0]/1e3, mostJSON, met(ns[3]/ns[0] <= mostJSON))
			continue
		}
		for _, n := range ns[1:] {
			fmt.Printf(" %9.1f", float64(len(r.body))/n*1e3)
		}
		fmt.Printf(" | MB/s a core; bar %.0f: %s\n", leastMBs, met(float64(len(r.body))/ns[3]*1e3 >= leastMBs))
	}
}

// BenchmarkCanonicalizer is one row and stage at a time, with its allocations: for
// whoever works on them, by -bench 'Canonicalizer/CSV_counts/records'.
func BenchmarkCanonicalizer(b *testing.B) {
	for _, r := range benchRows(b) {
		for i, name := range []string{"json", "parse", "mapping", "events", "records", "floor"} {
			if r.stages[i] == nil {
				continue
			}
			b.Run(r.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(r.body)))
				b.ReportAllocs()
				for b.Loop() {
					r.stages[i]()
				}
			})
		}
	}
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "not met"
}

// nanoseconds is what one call takes of the processor, the collector of garbage
// included: others on the machine do not count.
func nanoseconds(f func()) float64 {
	if f == nil {
		return 0
	}
	for n := 1; ; n *= 2 {
		start := processor()
		for range n {
			f()
		}
		if took := processor() - start; took > 200*time.Millisecond {
			return float64(took.Nanoseconds()) / float64(n)
		}
	}
}

func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type benchRow struct {
	name     string
	body     []byte
	json     bool
	lines    int
	stages   [6]func() // encoding/json, parse, mapping, events, records; floor
	measured [6][]float64
}

func benchRows(t testing.TB) []*benchRow {
	set := load(t, shipped)
	all, err := programs(withPartners(set))
	if err != nil {
		t.Fatal(err)
	}
	x12, err := program(&policy.Source{
		Name: "edi", Entity: "acme", Format: policy.FormatX12, Mapping: "x12_lines", MappingVersion: "1", File: "edi", Zone: time.UTC, DefaultLocation: "DC1",
		Balance: &policy.Balance{Basis: "available", Covers: []inventory.Account{inventory.OnHand}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := newMasters()
	m.putLocation(&event.MasterLocation{Entity: "acme", Location: "DC1", Version: 1})
	for i := range 500 {
		m.putItem(&event.MasterItem{Key: inventory.Key{Entity: "acme", Item: inventory.Item(benchItem(i))}, BaseUnit: "EA", Version: 1})
	}
	rows := []*benchRow{
		{name: "JSON order, shop", body: benchOrder(), json: true},
		{name: "JSON order, shopify", body: benchOrder(), json: true},
		{name: "X12 856", body: benchX12("SH", "856", bench856)},
		{name: "X12 846", body: benchX12("IB", "846", bench846)},
		{name: "X12 940", body: benchX12("OW", "940", bench940)},
		{name: "X12 945", body: benchX12("SW", "945", bench945)},
		{name: "CSV counts", body: benchCSV()},
	}
	for i, p := range []*sourceProgram{all["shop"], all["shopify"], x12, x12, x12, x12, all["wms-count"]} {
		benchStages(t, rows[i], p, m)
	}
	return rows
}

func benchStages(t testing.TB, row *benchRow, p *sourceProgram, m *masters) {
	raw := &event.RawMessage{ID: strings.Repeat("a", 32), Source: p.src.Name, Body: row.body, ReceivedAt: sampleTime}
	res, err := canonicalize(t.Context(), p, raw, m)
	if err != nil {
		t.Fatal(err)
	}
	row.lines = int(res.Receipt.Lines)
	if len(res.Rejected) > 0 || len(res.Parked) > 0 || row.lines == 0 {
		t.Fatalf("%s: %d lines, rejected %v, parked %v", row.name, row.lines, res.Rejected[:min(1, len(res.Rejected))], res.Parked[:min(1, len(res.Parked))])
	}
	codecs := event.TestCodecs()
	input := &stream.Record{Topic: "raw", Key: []byte("k")}
	row.stages = [6]func(){
		func() {
			var v any
			if err := json.Unmarshal(row.body, &v); err != nil {
				t.Fatal(err)
			}
		},
		func() {
			for range p.parse(row.body, p.src) { //nolint:revive // it is the work
			}
		},
		func() {
			r := run{p: p, raw: raw, runner: p.mapping.program.Runner()}
			defer r.forget()
			for u := range p.parse(row.body, p.src) {
				if _, err := r.mapped(t.Context(), u.Tree); err != nil {
					t.Fatal(err)
				}
			}
		},
		func() {
			res, err := canonicalize(t.Context(), p, raw, m)
			if err != nil {
				t.Fatal(err)
			}
			res.release()
		},
		func() {
			res, err := canonicalize(t.Context(), p, raw, m)
			if err != nil {
				t.Fatal(err)
			}
			w := writer{codecs: codecs, input: input, at: sampleTime}
			if err := w.records(&res); err != nil {
				t.Fatal(err)
			}
			res.release()
		},
	}
	// What is left without any mapping: the message is parsed, and the events it becomes
	// are named, held against their limits and written.
	row.stages[5] = func() {
		row.stages[1]()
		events := slices.Clone(res.Events)
		for i := range events {
			events[i].ID = event.EventID(p.src.Name, events[i].Document)
			if err := events[i].Validate(); err != nil {
				t.Fatal(err)
			}
		}
		w := writer{codecs: codecs, input: input, at: sampleTime}
		if err := w.records(&Result{Events: events, Milestones: res.Milestones}); err != nil {
			t.Fatal(err)
		}
	}
	if !row.json {
		row.stages[0] = nil
	}
}

func benchItem(i int) string { return fmt.Sprintf("SKU-%06d", i%500) }

// benchOrder is an orders/create webhook as Shopify documents it, of three lines.
func benchOrder() []byte {
	money := func(amount string) string {
		return fmt.Sprintf(`{"shop_money":{"amount":%q,"currency_code":"USD"},"presentment_money":{"amount":%q,"currency_code":"USD"}}`, amount, amount)
	}
	address := `{"first_name":"Steve","address1":"123 Shipping Street","phone":"555-555-SHIP","city":"Shippington","zip":"40003","province":"Kentucky","country":"United States","last_name":"Shipper","address2":null,"company":"Shipping Company","latitude":38.1,"longitude":-85.7,"name":"Steve Shipper","country_code":"US","province_code":"KY"}`
	var lines []string
	for i := range 3 {
		lines = append(lines, fmt.Sprintf(`{"id":%d,"admin_graphql_api_id":"gid://shopify/LineItem/%d","attributed_staffs":[],"current_quantity":%d,"fulfillable_quantity":%d,"fulfillment_service":"manual","fulfillment_status":null,"gift_card":false,"grams":567,"name":"IPod Nano - 8GB","price":"199.00","price_set":%s,"product_exists":true,"product_id":632910392,"properties":[{"name":"gift","value":"no"}],"quantity":%d,"requires_shipping":true,"sku":%q,"taxable":true,"title":"IPod Nano - 8GB","total_discount":"0.00","total_discount_set":%s,"variant_id":808950810,"variant_inventory_management":"shopify","variant_title":"Black","vendor":null,"tax_lines":[{"channel_liable":null,"price":"15.92","price_set":%s,"rate":0.08,"title":"State tax"}],"duties":[],"discount_allocations":[]}`,
			866550311766439020+i, 866550311766439020+i, i+1, i+1, money("199.00"), i+1, benchItem(i), money("0.00"), money("15.92")))
	}
	return fmt.Appendf(nil, `{"id":820982911946154508,"admin_graphql_api_id":"gid://shopify/Order/820982911946154508","app_id":null,"browser_ip":null,"buyer_accepts_marketing":true,"cancel_reason":null,"cancelled_at":null,"cart_token":null,"checkout_id":null,"checkout_token":null,"client_details":null,"closed_at":null,"confirmation_number":null,"confirmed":false,"contact_email":"jon@example.com","created_at":"2026-11-02T08:30:00-05:00","currency":"USD","current_subtotal_price":"398.00","current_subtotal_price_set":%[1]s,"current_total_discounts":"0.00","current_total_discounts_set":%[1]s,"current_total_price":"398.00","current_total_price_set":%[1]s,"current_total_tax":"0.00","current_total_tax_set":%[1]s,"customer_locale":"en","device_id":null,"discount_codes":[],"email":"jon@example.com","estimated_taxes":false,"financial_status":"paid","fulfillment_status":null,"landing_site":null,"location_id":null,"name":"#9999","note":null,"note_attributes":[],"number":234,"order_number":1234,"order_status_url":"https://jsmith.myshopify.com/548380009/orders/123456abcd/authenticate?key=abcdefg","payment_gateway_names":["visa","bogus"],"phone":null,"presentment_currency":"USD","processed_at":"2026-11-02T08:30:00-05:00","source_name":"web","subtotal_price":"388.00","subtotal_price_set":%[1]s,"tags":"tag1, tag2","tax_exempt":false,"tax_lines":[],"taxes_included":false,"test":true,"token":"123456abcd","total_discounts":"20.00","total_discounts_set":%[1]s,"total_line_items_price":"398.00","total_line_items_price_set":%[1]s,"total_outstanding":"398.00","total_price":"388.00","total_price_set":%[1]s,"total_tax":"0.00","total_tax_set":%[1]s,"total_weight":0,"updated_at":"2026-11-02T08:30:00-05:00","user_id":null,"billing_address":%[2]s,"shipping_address":%[2]s,"customer":{"id":115310627314723954,"email":"john@example.com","created_at":null,"updated_at":null,"first_name":"John","last_name":"Smith","state":"disabled","note":null,"verified_email":true,"multipass_identifier":null,"tax_exempt":false,"phone":null,"currency":"USD","tax_exemptions":[],"default_address":%[2]s},"discount_applications":[],"fulfillments":[],"line_items":[%[3]s],"payment_terms":null,"refunds":[],"shipping_lines":[{"id":271878346596884015,"carrier_identifier":null,"code":null,"discounted_price":"0.00","discounted_price_set":%[1]s,"is_removed":false,"phone":null,"price":"10.00","price_set":%[1]s,"source":"shopify","title":"Generic Shipping","tax_lines":[],"discount_allocations":[]}]}`,
		money("398.00"), address, strings.Join(lines, ","))
}

// benchX12 is an interchange of sets of about 200 kB together, 40 lines a set.
func benchX12(group, set string, write func(b *strings.Builder, n, line int)) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "ISA*00*          *00*          *ZZ*WAREHOUSE      *ZZ*ACME           *261102*1015*U*00401*000000001*0*P*>~\nGS*%s*WAREHOUSE*ACME*20261102*1015*1*X*004010~\n", group)
	sets := 0
	for b.Len() < 200_000 {
		sets++
		var body strings.Builder
		write(&body, sets, 0)
		for line := 1; line <= 40; line++ {
			write(&body, sets, line)
		}
		fmt.Fprintf(&b, "ST*%s*%04d~\n%sSE*%d*%04d~\n", set, sets, body.String(), strings.Count(body.String(), "~")+2, sets)
	}
	fmt.Fprintf(&b, "GE*%d*1~\nIEA*1*000000001~\n", sets)
	return []byte(b.String())
}

func bench856(b *strings.Builder, n, line int) {
	if line == 0 {
		fmt.Fprintf(b, "BSN*00*SHIP-%05d*20261102*1015*0001~\nHL*1**S~\nTD1*CTN*12****G*250*LB~\nTD5**2*UPSN*M*UPS GROUND~\nREF*BM*BOL-%05d~\nDTM*011*20261102*1015~\nN1*SF*ACME SUPPLY*92*SUP1~\nN1*ST*ACME DC*92*DC1~\nHL*2*1*O~\nPRF*PO-%05d***20261020~\n", n, n, n)
		return
	}
	fmt.Fprintf(b, "HL*%d*2*I~\nLIN*%d*SK*%s*UP*012345678905~\nSN1*%d*%d*EA~\nPID*F****WIDGET, BLUE, LARGE~\n", line+2, line, benchItem(n+line), line, line%20+1)
}

func bench846(b *strings.Builder, n, line int) {
	if line == 0 {
		fmt.Fprintf(b, "BIA*00*DD*INV-%05d*20261102*1015~\nDTM*007*20261102*1015~\nN1*WH*ACME DC*92*DC1~\n", n)
		return
	}
	fmt.Fprintf(b, "LIN*%d*SK*%s*UP*012345678905~\nPID*F****WIDGET, BLUE, LARGE~\nQTY*33*%d*EA~\n", line, benchItem(n*40+line), line*7)
}

func bench940(b *strings.Builder, n, line int) {
	if line == 0 {
		fmt.Fprintf(b, "W05*N*ORD-%05d*PO-%05d~\nN1*ST*JANE DOE*92*C-100~\nN3*1 MAIN STREET~\nN4*LOUISVILLE*KY*40202*US~\nN1*WH*ACME DC*92*DC1~\nG62*10*20261104~\nW66*PP*M***UPS GROUND~\n", n, n)
		return
	}
	fmt.Fprintf(b, "LX*%d~\nW01*%d*EA*012345678905*SK*%s~\nG69*WIDGET, BLUE, LARGE~\n", line, line%9+1, benchItem(n+line))
}

func bench945(b *strings.Builder, n, line int) {
	if line == 0 {
		fmt.Fprintf(b, "W06*N*ORD-%05d*20261102*SHIP-%05d**PO-%05d~\nN1*ST*JANE DOE*92*C-100~\nN1*SF*ACME DC*92*DC1~\nG62*11*20261102~\nW27*M*UPSN*UPS GROUND~\n", n, n, n)
		return
	}
	fmt.Fprintf(b, "LX*%d~\nMAN*GM*00123456789012345678~\nW12*CC*%d*%d*0*EA**SK*%s~\n", line, line%9+1, line%9+1, benchItem(n+line))
}

func benchCSV() []byte {
	var b strings.Builder
	b.WriteString("count_id,sku,location,quantity,unit,as_of,sequence\n")
	for i := 0; b.Len() < 200_000; i++ {
		fmt.Fprintf(&b, "COUNT-2026-11-02,%s,DC1,%d,EA,2026-11-02T10:15:00Z,%d\n", benchItem(i), i%977, i+1)
	}
	return []byte(b.String())
}
