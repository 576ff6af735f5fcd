package canonicalizer

import "testing"

func TestStandardXML(t *testing.T) {
	t.Parallel()
	cxml := func(body string) string {
		return `<?xml version="1.0"?><!DOCTYPE cXML SYSTEM "http://example.org/cXML.dtd"><cXML payloadID="p" timestamp="2026-11-02T10:00:00Z">` + body + `</cXML>`
	}
	standardReads(t, "xml", []standardCase{
		{
			"order", cxml(`<Request><OrderRequest><OrderRequestHeader orderID="O1" orderDate="2026-11-01T09:00:00Z"/><ItemOut quantity="3" lineNumber="1"><ItemID><SupplierPartID>S1</SupplierPartID>` +
				`<BuyerPartID>B1</BuyerPartID></ItemID><ItemDetail><UnitOfMeasure>EA</UnitOfMeasure></ItemDetail></ItemOut></OrderRequest></Request>`),
			[]string{"demand/ordered ordered 3 EA [SupplierPartID:S1 BuyerPartID:B1] @ 2026-11-01T09:00:00Z"},
		},
		{
			"advice", cxml(`<Request><ShipNoticeRequest><ShipNoticeHeader shipmentID="D1" shipmentDate="2026-11-02T09:00:00Z"><Contact role="shipTo"><IdReference identifier="W1" domain="x"/></Contact></ShipNoticeHeader>` +
				`<ShipNoticePortion><OrderReference orderID="P1"/><ShipNoticeItem quantity="2" lineNumber="1"><ItemID><SupplierPartID>S1</SupplierPartID></ItemID><UnitOfMeasure>EA</UnitOfMeasure></ShipNoticeItem></ShipNoticePortion></ShipNoticeRequest></Request>`),
			[]string{"supply/expected shipped 2 EA [SupplierPartID:S1] @W1 2026-11-02T09:00:00Z"},
		},
		{
			"stock", cxml(`<Message><ProductActivityMessage><ProductActivityHeader messageID="M1" creationDate="2026-11-02T08:00:00Z"/><ProductActivityDetails><ItemID><SupplierPartID>S1</SupplierPartID></ItemID>` +
				`<Contact role="locationFrom"><IdReference identifier="W1" domain="x"/></Contact><Inventory><StockOnHandQuantity quantity="7"><UnitOfMeasure>EA</UnitOfMeasure></StockOnHandQuantity></Inventory></ProductActivityDetails></ProductActivityMessage></Message>`),
			[]string{"count on_hand 7 EA [SupplierPartID:S1] @W1 2026-11-02T08:00:00Z"},
		},
		{
			"answer", cxml(`<Request><ConfirmationRequest><ConfirmationHeader confirmID="C1" type="detail" noticeDate="2026-11-02T08:00:00Z"/><OrderReference orderID="P1"/><ConfirmationItem quantity="5" lineNumber="1">` +
				`<UnitOfMeasure>EA</UnitOfMeasure><ConfirmationStatus quantity="3" type="accept"/><ConfirmationStatus quantity="2" type="backordered"/></ConfirmationItem></ConfirmationRequest></Request>`),
			[]string{"milestone acked 3 EA [order:P1] @ 2026-11-02T08:00:00Z", "milestone backordered 2 EA [order:P1] @ 2026-11-02T08:00:00Z"},
		},
		{
			"FedEx", `<TrackReply><TrackDetails><TrackingNumber>99</TrackingNumber><Events><Timestamp>2026-11-02T08:00:00+01:00</Timestamp><EventType>DL</EventType><Address><City>BONN</City><CountryCode>DE</CountryCode></Address></Events></TrackDetails></TrackReply>`,
			[]string{"milestone DL   [tracking:99] @BONN DE 2026-11-02T08:00:00+01:00"},
		},
		{
			"USPS", `<TrackResponse><TrackInfo ID="94"><TrackSummary><EventTime>12:05 am</EventTime><EventDate>April 8, 2026</EventDate><EventCity>PEORIA</EventCity><EventState>IL</EventState><EventCode>01</EventCode></TrackSummary></TrackInfo>` +
				`<TrackInfo ID="95"><Error><Description>not found</Description></Error></TrackInfo></TrackResponse>`,
			[]string{"milestone 01   [tracking:94] @PEORIA IL 2026-04-08T00:05", "!carrier_error"},
		},
		{
			"UPS", `<TrackResponse><Shipment><Package><TrackingNumber>1Z</TrackingNumber><Activity><ActivityLocation><Address><City>LYON</City><CountryCode>FR</CountryCode></Address></ActivityLocation>` +
				`<Status><Type>D</Type><Code>KB</Code></Status><Date>20261102</Date><Time>093000</Time></Activity></Package></Shipment></TrackResponse>`,
			[]string{"milestone D   [tracking:1Z] @LYON FR 2026-11-02T09:30:00"},
		},
		{
			"Amazon feed", `<AmazonEnvelope><MessageType>Inventory</MessageType><Message><MessageID>1</MessageID><Inventory><SKU>S1</SKU><Quantity>4</Quantity></Inventory></Message></AmazonEnvelope>`,
			[]string{"count available 4  [sku:S1] @"},
		},
		{
			"Amazon feed of what was shipped", `<AmazonEnvelope><MessageType>OrderFulfillment</MessageType><Message><MessageID>1</MessageID><OrderFulfillment><AmazonOrderID>1-2-3</AmazonOrderID>` +
				`<FulfillmentDate>2026-11-02T10:00:00Z</FulfillmentDate><Item><AmazonOrderItemCode>77</AmazonOrderItemCode><Quantity>2</Quantity></Item></OrderFulfillment></Message></AmazonEnvelope>`,
			[]string{"milestone shipped 2  [line:77] @ 2026-11-02T10:00:00Z"},
		},
		{
			"DHL", `<r:TrackingResponse xmlns:r="http://www.dhl.com"><AWBInfo><AWBNumber>88</AWBNumber><ShipmentInfo><ShipmentEvent><Date>2026-11-02</Date><Time>12:08:00</Time><ServiceEvent><EventCode>PU</EventCode></ServiceEvent>` +
				`<ServiceArea><ServiceAreaCode>BOM</ServiceAreaCode><Description>Mumbai - India</Description></ServiceArea></ShipmentEvent></ShipmentInfo></AWBInfo>` +
				`<AWBInfo><AWBNumber>89</AWBNumber><Status><ActionStatus>No Shipments Found</ActionStatus></Status></AWBInfo></r:TrackingResponse>`,
			[]string{"milestone PU   [tracking:88] @Mumbai - India|BOM 2026-11-02T12:08:00", "!no_status"},
		},
		{
			"TNT", `<TrackResponse><Consignment><ConsignmentNumber>12</ConsignmentNumber><StatusData><StatusCode>OK</StatusCode><LocalEventDate format="YYYYMMDD">20261102</LocalEventDate>` +
				`<LocalEventTime format="HHMM">1340</LocalEventTime><Depot>QAR</Depot></StatusData></Consignment></TrackResponse>`,
			[]string{"milestone OK   [tracking:12] @QAR 2026-11-02T13:40:00"},
		},
		{
			"Canada Post", `<tracking-detail xmlns="http://www.canadapost.ca/ws/track"><pin>16</pin><significant-events><occurrence><event-identifier>1496</event-identifier><event-date>2026-11-02</event-date>` +
				`<event-time>11:59:59</event-time><event-time-zone>EST</event-time-zone><event-site>SAINTE-FOY</event-site><event-province>QC</event-province></occurrence></significant-events></tracking-detail>`,
			[]string{"milestone 1496   [tracking:16] @SAINTE-FOY QC 2026-11-02T11:59:59-05:00"},
		},
		{
			"Canada Post, in short", `<tracking-summary><pin-summary><pin>17</pin><event-date-time>20261102:101230</event-date-time><event-location>SASKATOON, SK</event-location><event-type>DELIVERED</event-type></pin-summary></tracking-summary>`,
			[]string{"milestone DELIVERED   [tracking:17] @SASKATOON, SK 2026-11-02T10:12:30"},
		},
		{"of no use here", `<Other/>`, []string{"!unsupported_set"}},
	})
}
