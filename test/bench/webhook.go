//go:build bench

package bench

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The load of a door. Connections are kept alive, and each has at most one request
// under way.
const (
	hookOrders = 2_000
	hookConns  = 32
	hookSecret = "a secret of the bench"
	hookKey    = "key-of-the-bench"
)

// newOrders are requests as they stand on the wire, each with an order of its own,
// signed as Shopify signs.
func newOrders() ([][]byte, error) {
	out := make([][]byte, hookOrders)
	for i := range out {
		body, err := order(820982911946154508 + i)
		if err != nil {
			return nil, fmt.Errorf("making an order: %w", err)
		}
		mac := hmac.New(sha256.New, []byte(hookSecret))
		mac.Write(body)
		out[i] = fmt.Appendf(nil, "POST /v1/messages/shop HTTP/1.1\r\nHost: door\r\nUser-Agent: Shopify-Captain-Hook\r\nContent-Type: application/json\r\n"+
			"Authorization: Bearer %s\r\nX-Shopify-Topic: orders/create\r\nX-Shopify-Webhook-Id: %032d\r\nX-Shopify-Hmac-Sha256: %s\r\nContent-Length: %d\r\n\r\n%s",
			hookKey, i, base64.StdEncoding.EncodeToString(mac.Sum(nil)), len(body), body)
	}
	return out, nil
}

// order is an orders/create webhook as Shopify documents it, less some of its fields,
// of three lines and about 8 kB.
func order(id int) ([]byte, error) {
	type object = map[string]any
	money := func(amount string) object {
		of := object{"amount": amount, "currency_code": "USD"}
		return object{"shop_money": of, "presentment_money": of}
	}
	address := object{
		"first_name": "Steve", "last_name": "Shipper", "address1": "123 Shipping Street", "address2": nil, "phone": "555-555-SHIP", "city": "Shippington", "zip": "40003",
		"province": "Kentucky", "province_code": "KY", "country": "United States", "country_code": "US", "company": "Shipping Company", "latitude": 38.1, "longitude": -85.7, "name": "Steve Shipper",
	}
	var lines []object
	for i := range 3 {
		lines = append(lines, object{
			"id": id*10 + i, "admin_graphql_api_id": fmt.Sprintf("gid://shopify/LineItem/%d", id*10+i), "attributed_staffs": []any{}, "current_quantity": i + 1, "fulfillable_quantity": i + 1,
			"fulfillment_service": "manual", "fulfillment_status": nil, "gift_card": false, "grams": 567, "name": "IPod Nano - 8GB", "price": "199.00", "price_set": money("199.00"),
			"product_exists": true, "product_id": 632910392, "properties": []object{{"name": "gift", "value": "no"}}, "quantity": i + 1, "requires_shipping": true, "sku": fmt.Sprintf("IPOD2008BLACK-%d", i),
			"taxable": true, "title": "IPod Nano - 8GB", "total_discount": "0.00", "total_discount_set": money("0.00"), "variant_id": 808950810, "variant_inventory_management": "shopify", "variant_title": "Black",
			"tax_lines": []object{{"channel_liable": nil, "price": "15.92", "price_set": money("15.92"), "rate": 0.08, "title": "State tax"}}, "duties": []any{}, "discount_allocations": []any{},
		})
	}
	o := object{
		"id": id, "admin_graphql_api_id": fmt.Sprintf("gid://shopify/Order/%d", id), "name": fmt.Sprintf("#%d", id%100_000), "order_number": id % 100_000, "email": "jon@example.com", "currency": "USD",
		"created_at": "2026-11-02T08:30:00-05:00", "processed_at": "2026-11-02T08:30:00-05:00", "updated_at": "2026-11-02T08:30:00-05:00", "financial_status": "paid", "fulfillment_status": nil,
		"tags": "tag1, tag2", "test": true, "billing_address": address, "shipping_address": address, "line_items": lines, "payment_gateway_names": []string{"visa", "bogus"},
		"customer": object{"id": 115310627314723954, "email": "john@example.com", "first_name": "John", "last_name": "Smith", "state": "disabled", "verified_email": true, "default_address": address},
		"shipping_lines": []object{{
			"id": 271878346596884015, "discounted_price": "0.00", "discounted_price_set": money("0.00"), "is_removed": false, "price": "10.00", "price_set": money("10.00"),
			"source": "shopify", "title": "Generic Shipping", "tax_lines": []any{}, "discount_allocations": []any{},
		}},
	}
	for _, name := range []string{"current_subtotal_price", "current_total_discounts", "current_total_price", "current_total_tax", "subtotal_price", "total_discounts", "total_line_items_price", "total_price", "total_tax"} {
		o[name], o[name+"_set"] = "398.00", money("398.00")
	}
	return json.Marshal(o)
}

// hookServer is a process that takes webhooks.
type hookServer struct {
	addr string
	pid  int
}

// hooked is what a load came to.
type hooked struct {
	took []time.Duration // in order of size; of a load at a rate, from when it was due
	wall time.Duration
	cpu  time.Duration // of the server
}

func (h hooked) rate() float64   { return float64(len(h.took)) / h.wall.Seconds() }
func (h hooked) micros() float64 { return float64(h.cpu.Microseconds()) / float64(len(h.took)) }
func (h hooked) p99() float64 {
	return float64(h.took[int(.99*float64(len(h.took)-1))].Microseconds()) / 1000
}

// load sends orders for a time: at a rate a second, or as fast as the connections take
// them when it is 0. What is not taken ends the test.
func (s hookServer) load(t *testing.T, orders [][]byte, rate float64, within time.Duration) hooked {
	t.Helper()
	var mu sync.Mutex
	var out hooked
	var work sync.WaitGroup
	before, began := s.used(t), time.Now()
	for n := range hookConns {
		work.Go(func() {
			took, err := s.send(orders, n, rate/hookConns, began, began.Add(within))
			mu.Lock()
			defer mu.Unlock()
			out.took = append(out.took, took...)
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	out.wall, out.cpu = time.Since(began), s.used(t)-before
	if t.Failed() {
		t.FailNow()
	}
	slices.Sort(out.took)
	return out
}

// send is the load of the n-th connection.
func (s hookServer) send(orders [][]byte, n int, rate float64, began, end time.Time) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var took []time.Duration
	for i := 0; ; i++ {
		due := time.Now()
		if rate > 0 { // the connections take turns
			due = began.Add(time.Duration((float64(i) + float64(n)/hookConns) / rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		if due.After(end) {
			return took, nil
		}
		if _, err := conn.Write(orders[(i*hookConns+n)%len(orders)]); err != nil {
			return nil, fmt.Errorf("sending: %w", err)
		}
		resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // it is read to its end, and the connection goes on
		if err != nil {
			return nil, fmt.Errorf("reading an answer: %w", err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, fmt.Errorf("reading an answer: %w", err)
		}
		if resp.StatusCode != http.StatusAccepted {
			return nil, fmt.Errorf("not taken: %s: %s", resp.Status, b)
		}
		took = append(took, time.Since(due))
	}
}

// used is the processor time, user and system, of the server so far; clock ticks are
// hundredths of a second (proc_pid_stat(5)).
func (s hookServer) used(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
