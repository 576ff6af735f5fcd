package canonicalizer

import (
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// What ready partners make of messages beside their samples: first the headers that
// tell, then what comes out, or the code it is put aside with.
func TestPartners(t *testing.T) {
	set := load(t, shipped)
	line := `"line_items":[{"id":1,"sku":"SKU-1","quantity":2}]`
	for _, tc := range []struct {
		name, source, topic, body, want string
	}{
		{"topic before content", "shopify", "orders/create", `{"id":1,"name":"#1","cancelled_at":"2026-11-02T09:00:00Z","created_at":"2026-11-02T08:00:00Z",` + line + `}`, "demand ordered 2  [sku:SKU-1] @ 2026-11-02T08:00:00Z"},
		{"content without topic", "shopify", "", `{"id":1,"name":"#1","cancelled_at":"2026-11-02T09:00:00Z","created_at":"2026-11-02T08:00:00Z",` + line + `}`, "demand cancelled 2  [sku:SKU-1] @ 2026-11-02T09:00:00Z"},
		{"asked for, not shipped", "shopify", "fulfillments/create", `{"id":1,"order_id":2,"status":"pending",` + line + `}`, "not_shipped"},
		{"restocks nothing", "shopify", "refunds/create", `{"id":1,"order_id":2,"refund_line_items":[{"id":3,"quantity":1,"restock_type":"no_restock","line_item":{"sku":"SKU-1"}}]}`, "no_stock_fact"},
		{"a level nobody tracks is not dropped", "shopify", "inventory_levels/update", `{"inventory_item_id":5,"location_id":6,"available":null}`, "no_stock_fact"},
		{"a return", "shopify", "returns/approve", `{"id":1,"status":"open","order":{"id":2},"return_line_items":[{"id":3,"quantity":1,"fulfillment_line_item":{"line_item":{"id":4,"sku":"SKU-1"}}}]}`, "milestone return_requested 1  [sku:SKU-1] @"},
		{"shipped as a whole", "amazon", "", `{"NotificationType":"ORDER_CHANGE","Payload":{"OrderChangeNotification":{"AmazonOrderId":"1","OrderChangeTrigger":{"TimeOfOrderChange":"2026-11-02T08:00:00Z"},"Summary":{"OrderStatus":"Shipped","OrderItems":[{"OrderItemId":"1","SellerSKU":"S","Quantity":2,"QuantityShipped":2}]}}}}`, "milestone shipped 2  [SellerSKU:S] @ 2026-11-02T08:00:00Z"},
		{"inside an SNS message", "amazon", "", `{"Type":"Notification","TopicArn":"a","Message":"{\"NotificationType\":\"FBA_OUTBOUND_SHIPMENT_STATUS\",\"EventTime\":\"2026-11-02T08:00:00Z\",\"Payload\":{\"FBAOutboundShipmentStatusNotification\":{\"AmazonShipmentId\":\"D\",\"ShipmentStatus\":\"Created\"}}}"}`, "milestone Created   [shipment:D shipment:shipment:D] @ 2026-11-02T08:00:00Z"},
		{"says nothing of stock", "amazon", "", `{"NotificationType":"FEED_PROCESSING_FINISHED","Payload":{}}`, "no_stock_fact"},
		{"a change, not a level", "bigcommerce", "", `{"scope":"store/product/inventory/updated","data":{"type":"product","id":7,"inventory":{"product_id":7,"method":"relative","value":-2}},"hash":"h","created_at":1793610000}`, "milestone adjusted -2  [product:7] @ 2026-11-02T09:00:00Z"},
		{"refused order", "woocommerce", "", `{"id":1,"status":"failed","date_created_gmt":"2026-11-02T08:00:00",` + line + `}`, "demand cancelled 2  [sku:SKU-1] @ 2026-11-02T08:00:00Z"},
		{"stock nobody manages", "woocommerce", "", `{"id":1,"manage_stock":false,"stock_quantity":null}`, "no_stock_fact"},
		{"a basket", "vendure", "", `{"order":{"code":"V","state":"AddingItems","lines":[]}}`, "draft"},
		{"an issue", "erpnext", "", `{"doctype":"Stock Entry","name":"S","docstatus":1,"purpose":"Material Issue","posting_date":"2026-11-02","items":[{"item_code":"SKU-1","qty":2,"uom":"EA","s_warehouse":"W"}]}`, "milestone issued -2 EA [sku:SKU-1] @W 2026-11-02"},
		{"variant of a product", "dynamics", "", `{"id":"c","productId":"P","dimensions":{"LocationId":"L","ColorId":"red"},"quantities":{"pos":{"outbound":1}}}`, "milestone outbound 1  [sku:P{colorId=red} product:P] @L"},
		{"a refund", "woocommerce", "", `{"id":726,"refunded_by":1,"line_items":[{"id":3,"quantity":-1,"sku":"A"}]}`, "no_stock_fact"},
		{"what has left", "bigcommerce", "", `{"id":1,"order_id":115,"items":[{"order_product_id":194,"product_id":159,"quantity":2}]}`, "milestone shipped 2  [product:159 line:194] @"},
		{"stock by place", "bigcommerce", "", `{"data":[{"identity":{"sku":"B"},"locations":[{"location_id":1,"available_to_sell":3}]}]}`, "count available 3  [sku:B] @1"},
		{"a list of something else", "bigcommerce", "", `[{"id":1}]`, "no_stock_fact"},
		{"what an order has", "amazon", "", `{"payload":{"AmazonOrderId":"9","OrderItems":[{"SellerSKU":"S","OrderItemId":"1","QuantityOrdered":3,"QuantityShipped":1}]}}`, "demand ordered 3  [SellerSKU:S] @milestone shipped 1  [SellerSKU:S] @"},
		{"inbound to FBA", "amazon", "", `{"payload":{"ItemData":[{"ShipmentId":"F","SellerSKU":"S","QuantityShipped":10,"QuantityReceived":0}]}}`, "milestone shipped 10  [SellerSKU:S] @"},
		{"no parcel", "shippo", "", `{"event":"transaction_created","data":{"object_id":"x"}}`, "no_stock_fact"},
		{"a table of something else", "cdc", "", `{"database":"d","table":"product","type":"insert","ts":1,"data":{"id":1,"quantity":2}}`, "unknown_table"},
	} {
		t.Run(tc.source+": "+tc.name, func(t *testing.T) {
			src := set.Partners[inventory.Source(tc.source)]
			if src == nil {
				t.Fatal("no such partner")
			}
			p, err := program(src)
			if err != nil {
				t.Fatal(err)
			}
			raw := &event.RawMessage{ID: "r", Source: src.Name, Body: []byte(tc.body)}
			if tc.topic != "" {
				raw.Headers = []inventory.Attribute{{Name: "x-shopify-topic", Value: tc.topic}}
			}
			r := run{p: p, raw: raw}
			got := ""
			for u := range p.parse(raw.Body, src) {
				mapped, err := p.mapping.run(t.Context(), r.input(u.Tree))
				if bad, ok := err.(*mapError); ok { //nolint:errorlint // run says which it gives
					got += bad.code
					continue
				}
				for _, v := range mapped {
					l, reason := readLine(v)
					switch {
					case reason != "":
						got += reason
					case l.kind == kindError:
						got += l.code
					default:
						f := l.fact("")
						f.Type = ""
						got += factText(&f)
					}
				}
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
