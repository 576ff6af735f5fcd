# Documents in XML that mean the same whoever sends them: cXML (1.2), the answers of
# carriers' tracking services (FedEx TrackReply, USPS and UPS TrackResponse) and Amazon's
# inventory feed. xml_lines is the mapping of a document; what each becomes is described
# in policies/README.md.

def xml_first: first(.[] | select(. != null and . != "")) // null;
def xml_place: map(select(. != null and . != "")) | if . == [] then null else . end;
# Words of a place that are there, as one name.
def xml_words: map(select(. != null)) | if . == [] then null else [join(" ")] end;
def xml_milestone($about; $status; $due): {kind: "milestone", $status, milestone: ({$about, $due} | filled)};

# ---- cXML

def cxml_ids: [("SupplierPartID", "BuyerPartID") as $n | {type: $n, value: text($n)} | select(.value != null)];
# The ids of a line: its ItemID, and the maker's number in its detail.
def cxml_item: (nodes("ItemID") | if . == [] then [] else .[0] | cxml_ids end) + [{type: "ManufacturerPartID", value: (text("ItemDetail/ManufacturerPartID") // text("ShipNoticeItemDetail/ManufacturerPartID"))} | select(.value != null)];
def cxml_unit: text("ItemDetail/UnitOfMeasure") // text("UnitOfMeasure") // text("ShipNoticeItemDetail/UnitOfMeasure");
# Contacts by role, and ShipTo and BillTo: the code, else the name.
def cxml_code: [text("@addressID"), text("IdReference/@identifier"), text("Name")] | xml_place;
def cxml_roles:
  reduce ((nodes("Contact")[] | [text("@role"), (cxml_code // [])[0]]), (nodes("ShipTo/Address")[] | ["ship_to", (cxml_code // [])[0]]), (nodes("BillTo/Address")[] | ["bill_to", (cxml_code // [])[0]])) as $p ({};
    if $p[0] == null or $p[1] == null then . else .[{"shipTo": "ship_to", "shipFrom": "ship_from", "locationFrom": "location_from", "locationTo": "location_to"}[$p[0]] // ($p[0] | ascii_downcase)] = $p[1] end);
def cxml_contact($wanted): nodes("Contact") as $c | first($wanted[] as $w | $c[] | select(text("@role") == $w) | cxml_code | select(. != null)) // null;
def cxml_order($d; $number; $line): if $number == null then [] else [{issuer: $d.supply_issuer, type: ($d.supply_type // "purchase_order"), $number, $line} | with_entries(select(.value != null))] end;

def cxml_order_request($d; $when):
  nodes("OrderRequestHeader")[0] as $h | ($h | text("@orderID")) as $number
  | if $number == null then reject("no_number"; "an OrderRequest has no orderID") else . end
  | ($h | text("@type")) as $type | ($h | text("@requestedDeliveryDate")) as $due
  | each(nodes("ItemOut")[];
      .index as $n | .row as $i | ($h | cxml_roles) + ($i | cxml_roles) as $roles
      | { at: $n, document: {type: "OrderRequest", $number, revision: (if $type == "update" or $type == "delete" then ($h | text("@orderVersion")) // ($h | text("@orderDate")) else null end), line: (($i | text("@lineNumber")) // "\($n)")},
          ids: ($i | cxml_item), quantity: ($i | text("@quantity")), unit: ($i | cxml_unit), occurred_at: ($h | text("@orderDate") // $when),
          refs: [{issuer: $d.order_issuer, type: ($d.order_type // "order"), $number} | with_entries(select(.value != null))], attributes: ($roles | filled) }
      | (($i | text("@requestedDeliveryDate")) // $due) as $due
      | (if $type == "delete" then "cancelled" else "ordered" end) as $stage
      | if ($d.orders // "demand") == "supply" then . + {kind: "supply", status: $stage, location: $roles.ship_to, supply: ({stage: (if $stage == "cancelled" then "closed" else $stage end), $due} | filled)}
        else . + {kind: "demand", status: $stage, demand: ({$stage, $due} | filled)} end);

def cxml_ship_notice($d; $when):
  nodes("ShipNoticeHeader")[0] as $h | ($h | text("@shipmentID")) as $number
  | if $number == null then reject("no_number"; "a ShipNoticeRequest has no shipmentID") else . end
  | ($h | text("@operation") == "delete") as $gone | ($h | text("@deliveryDate")) as $due
  | (($h | text("@shipmentDate")) // ($h | text("@noticeDate")) // $when) as $at
  | [nodes("ShipControl")[] | {carrier: text("CarrierIdentifier"), number: text("ShipmentIdentifier")}] as $control
  | ($control[0].number? // null) as $tracking
  | {document: {type: "ShipNoticeRequest", $number, revision: (if $gone or ($h | text("@operation") == "update") then ($h | text("@noticeDate")) // "update" else null end)}, occurred_at: $at} as $base
  | [nodes("ShipNoticePortion")[] | . as $p | (text("OrderReference/@orderID") // text("OrderReference/DocumentReference/@payloadID")) as $po | nodes("ShipNoticeItem")[] | {item: ., $po}] as $items
  | if $items == [] then
      # Without lines it is about the shipment alone.
      [$base + {ids: ([$control[] | select(.number != null) | {type: "tracking", value: .number}] + [{type: "shipment", value: $number}]),
        refs: cxml_order($d; text("ShipNoticePortion/OrderReference/@orderID"); null), attributes: ($h | cxml_roles | filled)}
       | . + xml_milestone("shipments"; if $gone then "cancelled" else "shipped" end; $due)]
    else each($items[];
      .index as $n | .row.item as $i | .row.po as $po | ($h | cxml_roles) as $roles
      | $base + { at: $n, ids: ($i | cxml_item), quantity: ($i | text("@quantity")), unit: ($i | cxml_unit), location: $roles.ship_to, refs: cxml_order($d; $po; null),
          attributes: ($roles + {$po, $tracking, carrier: ($control[0].carrier? // null), order_line: ($i | text("@lineNumber")), lot: ($i | text("Batch/SupplierBatchID") // text("SupplierBatchID"))} | filled) }
      | .document.line = (($i | text("@shipNoticeLineNumber")) // "\($n)")
      | if $gone then . + xml_milestone("shipments"; "cancelled"; $due)
        elif $po == null then . + xml_milestone("shipments"; "shipped"; $due)
        else . + {kind: "supply", status: "shipped", supply: ({stage: "expected", $due} | filled)} end) end;

# Quantities of an Inventory element that are stock; others are levels and targets.
def cxml_stock: {
    "StockOnHandQuantity": "on_hand", "UnrestrictedUseQuantity": "available", "BlockedQuantity": "on_hold", "QualityInspectionQuantity": "on_hold", "StockInQualityInspectionQuantity": "on_hold",
    "StockInTransitQuantity": "in_transit", "InTransitQuantity": "in_transit", "AvailableQuantity": "available", "PromotionQuantity": null, "IncrementQuantity": null, "SubcontractingStockInTransferQuantity": "in_transit"
  }[.];

def cxml_activity($d; $when):
  (nodes("ProductActivityHeader") + nodes("InventoryStatusHeader"))[0] as $h | (($h | text("@messageID")) // text("@payloadID")) as $number
  | if $number == null then reject("no_number"; "a ProductActivityMessage has no messageID") else . end
  | (($h | text("@creationDate")) // $when) as $at
  | each(nodes("ProductActivityDetails")[];
      .index as $n | .row as $p
      | ($p | cxml_contact(["locationFrom", "inventoryOwner", "warehouse", "shipFrom", "locationTo", "shipTo"])) as $place
      | ($p | nodes("Inventory")) as $inventories
      | any($inventories[]; nodes("StockOnHandQuantity") != []) as $on_hand
      | $inventories[] | to_entries[] | select(.key | cxml_stock != null) | .key as $key | .value[] as $q
      | ($key | cxml_stock) as $status
      | { at: $n, document: {type: "ProductActivityMessage", $number, line: "\($n)/\($key)"}, ids: ($p | cxml_item | if . == [] then [{type: "ManufacturerPartID", value: ($p | text("ManufacturerPartID"))} | select(.value != null)] else . end),
          location: $place, quantity: ($q | text("@quantity")), unit: ($q | text("UnitOfMeasure")), occurred_at: $at, attributes: ($p | cxml_roles | filled) }
      | if $status == "on_hold" then .quantity as $x | del(.quantity) + {kind: "count", $status, count: {balances: [{state: "quarantine", quantity: $x}]}}
        elif $status == "on_hand" or ($status == "available" and ($on_hand | not)) then . + {kind: "count", $status}
        else . + xml_milestone(if $status == "in_transit" then "shipments" else "orders" end; $status; null) end);

def cxml_confirmation($d; $when):
  nodes("ConfirmationHeader")[0] as $h | text("OrderReference/@orderID") as $po
  | (($h | text("@confirmID")) // $po) as $number
  | if $number == null then reject("no_number"; "a ConfirmationRequest has neither a confirmID nor an orderID") else . end
  | {"accept": "acked", "allDetail": "acked", "detail": "acked", "backordered": "backordered", "reject": "rejected", "except": "acked", "unknown": "on_hold", "requestToPay": "acked", "replace": "acked"} as $words
  | ($words[$h | text("@type") // "accept"] // "acked") as $whole
  | {document: {type: "ConfirmationRequest", $number, revision: (if $h | text("@operation") == "update" then $h | text("@noticeDate") else null end)}, occurred_at: (($h | text("@noticeDate")) // $when), refs: cxml_order($d; $po; null)} as $base
  | if nodes("ConfirmationItem") == [] then [$base + {ids: [{type: "order", value: ($po // $number)}], attributes: ($h | cxml_roles | filled)} + xml_milestone("orders"; $whole; null)]
    else each(nodes("ConfirmationItem")[] | . as $i | nodes("ConfirmationStatus") | to_entries[] | {item: $i, n: .key, status: .value};
      .row.item as $i | .row.status as $s | .row.n as $n
      | $base + {ids: (($s | nodes("ItemIn")[0]? // null | if . == null then [] else cxml_item end) | if . == [] then $i | cxml_item else . end | if . == [] then [{type: "order", value: ($po // $number)}] else . end),
          quantity: ($s | text("@quantity")), unit: (($s | text("UnitOfMeasure")) // ($i | text("UnitOfMeasure"))), attributes: (($h | cxml_roles) + {order_line: ($i | text("@lineNumber"))} | filled)}
      | .document.line = "\($i | text("@lineNumber") // "0")\(if $n > 0 then "/\($n + 1)" else "" end)"
      | . + xml_milestone("orders"; $words[$s | text("@type") // ""] // $whole; $s | text("@deliveryDate"))) end;

def cxml_lines($d):
  text("@timestamp") as $when
  | if nodes("Request/OrderRequest") != [] then nodes("Request/OrderRequest")[0] | cxml_order_request($d; $when)
    elif nodes("Request/ShipNoticeRequest") != [] then nodes("Request/ShipNoticeRequest")[0] | cxml_ship_notice($d; $when)
    elif nodes("Request/ConfirmationRequest") != [] then nodes("Request/ConfirmationRequest")[0] | cxml_confirmation($d; $when)
    elif nodes("Message/ProductActivityMessage") != [] then nodes("Message/ProductActivityMessage")[0] | cxml_activity($d; $when)
    else reject("unsupported_set"; "this cXML is not read here") end;

# ---- Carriers

def xml_month: {"jan": "01", "feb": "02", "mar": "03", "apr": "04", "may": "05", "jun": "06", "jul": "07", "aug": "08", "sep": "09", "oct": "10", "nov": "11", "dec": "12"}[.[:3] | ascii_downcase];
def xml_two: if length == 1 then "0" + . else . end;
# "April 28, 2015" and "9:01 am" as a local time; what is written otherwise stays.
def xml_us_when($date; $clock):
  if $date == null then null else
  ($date | capture("^(?<m>[A-Za-z]+)\\.? +(?<d>[0-9]{1,2}), *(?<y>[0-9]{4})$") // null) as $x
  | (if $x == null or ($x.m | xml_month) == null then $date else "\($x.y)-\($x.m | xml_month)-\($x.d | xml_two)" end) as $day
  | ($clock // "" | capture("^(?<h>[0-9]{1,2}):(?<m>[0-9]{2}) *(?<p>[AaPp])\\.?[Mm]") // null) as $c
  | if $c == null then $day
    else (($c.h | tonumber) % 12 + (if $c.p | ascii_downcase == "p" then 12 else 0 end) | tostring | xml_two) as $h | "\($day)T\($h):\($c.m)" end end;

def xml_scan($number; $status; $when; $place; $more):
  { kind: "milestone", document: {type: "tracking", $number, line: ([$status, $when, $place[0]?] | map(select(. != null)) | join(" "))},
    ids: [{type: "tracking", value: $number}], location: $place, $status, milestone: {about: "shipments"}, attributes: ($more | filled) }
  + (if $when == null then {} else {occurred_at: $when} end);
# The newest event first. Its code is the status; the address is that of the scan.
def fedex_lines:
  each((nodes("CompletedTrackDetails/TrackDetails") + nodes("TrackDetails"))[] | . as $t | (text("TrackingNumber")) as $number | select($number != null)
      | if nodes("Events") == [] then {$number, status: text("StatusDetail/Code"), when: text("StatusDetail/CreationTime"), address: nodes("StatusDetail/Location"), why: text("StatusDetail/AncillaryDetails/Reason"), text: text("StatusDetail/Description")}
        else nodes("Events")[] | {$number, status: text("EventType"), when: text("Timestamp"), address: nodes("Address"), why: text("StatusExceptionCode"), text: text("EventDescription")} end;
    .row as $e
    | if $e.status == null then reject("no_status"; "an event of \($e.number) has no code") else . end
    | xml_scan($e.number; $e.status; $e.when;
        ($e.address | [text("City"), text("StateOrProvinceCode"), text("PostalCode"), text("CountryCode")] | xml_words);
        {carrier: "fedex", reason: $e.why, description: $e.text}));

def usps_lines:
  each(nodes("TrackInfo")[] | . as $t | text("@ID") as $number | if nodes("Error") != [] then {$number, error: text("Error/Description")} else (nodes("TrackSummary") + nodes("TrackDetail"))[] | {$number, event: .} end;
    .row as $r | $r.event as $e
    | if $r.error then reject("carrier_error"; "\($r.number): \($r.error)") else . end
    | ($e | (text("EventCode") // text("Event") // text)) as $status
    | if $status == null then reject("no_status"; "an event of \($r.number) has no code") else . end
    | xml_scan($r.number; $status; xml_us_when($e | text("EventDate"); $e | text("EventTime"));
        ($e | [text("EventCity"), text("EventState")] | xml_words);
        {carrier: "usps", postal_code: ($e | text("EventZIPCode")), country: ($e | text("EventCountry")), description: ($e | text("Event"))}));

def ups_lines:
  each(nodes("Shipment")[] | . as $s | (nodes("Package") | if . == [] then [$s] else . end)[] | (text("TrackingNumber") // ($s | text("InquiryNumber/Value")) // ($s | text("ShipmentIdentificationNumber"))) as $number
      | nodes("Activity")[] | {$number, event: .};
    .row.number as $number | .row.event as $e
    | ($e | (text("Status/Type") // text("Status/StatusType/Code"))) as $status
    | if $status == null then reject("no_status"; "an activity of \($number) has no code") else . end
    | xml_scan($number; $status; x12_when($e | text("Date"); $e | text("Time"); null);
        ($e | [text(["ActivityLocation", "Address", "City"]), text(["ActivityLocation", "Address", "StateProvinceCode"]), text(["ActivityLocation", "Address", "PostalCode"]), text(["ActivityLocation", "Address", "CountryCode"])] | xml_words);
        {carrier: "ups", code: ($e | text("Status/Code") // text("Status/StatusCode/Code")), description: ($e | text("Status/Description") // text("Status/StatusType/Description"))}));

# DHL (XML-PI): the service area is named by its code and in words.
def dhl_lines:
  each(nodes("AWBInfo")[] | . as $i | text("AWBNumber") as $number
      | nodes("ShipmentInfo/ShipmentEvent") as $events
      | if $events == [] then {$number, event: null, why: (text("Status/Condition/ConditionData") // text("Status/ActionStatus") // "no event")} else $events[] | {$number, event: .} end;
    .row as $r | $r.event as $e
    | if $e == null then reject("no_status"; "\($r.number): \($r.why)") else . end
    | ($e | text("ServiceEvent/EventCode")) as $status
    | if $status == null then reject("no_status"; "an event of \($r.number) has no code") else . end
    | xml_scan($r.number; $status; ($e | if text("Date") == null then null else text("Date") + (if text("Time") == null then "" else "T" + text("Time") end) end);
        ($e | [text("ServiceArea/Description"), text("ServiceArea/ServiceAreaCode")] | xml_place); {carrier: "dhl", description: ($e | text("ServiceEvent/Description"))}));

# TNT (ExpressConnect Tracking).
def tnt_lines:
  each(nodes("Consignment")[] | text("ConsignmentNumber") as $number | nodes("StatusData")[] | {$number, event: .};
    .row.number as $number | .row.event as $e | ($e | text("StatusCode")) as $status
    | if $status == null then reject("no_status"; "a status of \($number) has no code") else . end
    | xml_scan($number; $status; x12_when($e | text("LocalEventDate"); $e | text("LocalEventTime"); null);
        ($e | [text("DepotName"), text("Depot")] | xml_place); {carrier: "tnt", description: ($e | text("StatusDescription"))}));

# Canada Post: the events of a parcel, or the last one of each.
def canada_post_when: if . == null then null else capture("^(?<d>[0-9]{8}):(?<t>[0-9]{6})$") // null | if . == null then null else x12_when(.d; .t; null) end end;
def canada_post_lines:
  text("pin") as $number | each((nodes("significant-events/occurrence")[] | {event: .}), (nodes("pin-summary")[] | {summary: .});
    .row.event as $e | .row.summary as $s
    | xml_scan(if $s then $s | text("pin") else $number end;
        if $s then $s | text("event-type") else $e | text("event-identifier") end;
        if $s then $s | text("event-date-time") | canada_post_when else $e | x12_when(text("event-date") // "" | gsub("-"; "") | if . == "" then null else . end; text("event-time") // "" | gsub(":"; "") | if . == "" then null else . end; text("event-time-zone") // "" | {"EST": "ES", "EDT": "ED", "CST": "CS", "CDT": "CD", "MST": "MS", "MDT": "MD", "PST": "PS", "PDT": "PD"}[.]) end;
        if $s then [$s | text("event-location")] | xml_place else $e | [text("event-site"), text("event-province")] | xml_words end;
        {carrier: "canada_post", description: (($e // $s) | text("event-description"))})
    | if .status == null then reject("no_status"; "an event has no code") else . end);

# ---- Amazon's feeds

# What the seller has shipped of an order.
def amazon_fulfillment($n):
  . as $f | (text("AmazonOrderID") // text("MerchantOrderID")) as $order | (text("MerchantFulfillmentID") // $order) as $number
  | if $number == null then reject("no_number"; "message \($n) of the feed names no order") else . end
  | nodes("Item") as $items
  | (if $items == [] then [null] else $items end) | to_entries[] | .key as $k | .value as $i
  | { kind: "milestone", at: $n, status: "shipped", milestone: {about: "shipments"}, document: {type: "order_fulfillment", number: $number, line: "\($n)/\($k + 1)"},
      ids: (if $i == null then [{type: "order", value: $order}] else [({type: "line", value: ($i | text("AmazonOrderItemCode"))}, {type: "line", value: ($i | text("MerchantOrderItemID"))}) | select(.value != null)] end),
      quantity: (if $i == null then null else $i | text("Quantity") end), occurred_at: ($f | text("FulfillmentDate")),
      refs: (if $order == null then [] else [{issuer: "amazon", type: "order", number: $order}] end),
      attributes: ({tracking: ($f | text("FulfillmentData/ShipperTrackingNumber")), carrier: (($f | text("FulfillmentData/CarrierCode")) // ($f | text("FulfillmentData/CarrierName")))} | filled) };

def amazon_inventory($raw; $m; $n):
  text("Quantity") as $q
  | if $q == null then reject("bad_quantity"; "SKU \(text("SKU")) states no quantity") else . end
  | { kind: "count", at: $n, document: {type: "inventory_feed", number: ([$raw.id, "feed"] | xml_first), line: (($m | text("MessageID")) // "\($n)")}, ids: [{type: "sku", value: text("SKU")}],
      location: text("FulfillmentCenterID"), quantity: $q, status: "available" };

def amazon_feed($raw):
  each(nodes("Message")[];
    .index as $n | .row as $m
    | if ($m | nodes("Inventory")) != [] then $m | nodes("Inventory")[0] | amazon_inventory($raw; $m; $n)
      elif ($m | nodes("OrderFulfillment")) != [] then $m | nodes("OrderFulfillment")[] | amazon_fulfillment($n)
      else reject("unsupported_set"; "message \($n) of the feed is neither inventory nor a fulfilment") end);

def xml_lines:
  (.defaults // {}) as $d | .raw as $raw | .tree as $t
  | (if $t.cXML then $t.cXML[0] | cxml_lines($d)
     elif $t.TrackReply then $t.TrackReply[0] | fedex_lines
     elif $t.TrackResponse then $t.TrackResponse[0] | if nodes("TrackInfo") != [] then usps_lines elif nodes("Consignment") != [] then tnt_lines else ups_lines end
     elif $t.TrackingResponse then $t.TrackingResponse[0] | dhl_lines
     elif $t["tracking-detail"] then $t["tracking-detail"][0] | canada_post_lines
     elif $t["tracking-summary"] then $t["tracking-summary"][0] | canada_post_lines
     elif $t.AmazonEnvelope then $t.AmazonEnvelope[0] | amazon_feed($raw)
     else reject("unsupported_set"; "a document \($t | keys | map(select(startswith("#") | not)) | join(" ")) is not read here") end)
  | if . == [] then reject("no_lines"; "the document has nothing that is a line") else . end
  | apart;
