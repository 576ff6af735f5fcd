# Events of GS1 EPCIS 1.2 and 2.0 as the standard means them (EPCIS §7.4, CBV §7 and
# §8). epcis_lines is the mapping of an event, and a source may go on from it.
#
# Every line is a milestone: an event says that goods were seen in a step, and leaves
# open whether it is the first report of a movement, a copy, or a second look at goods
# that moved before. What an event moves is for a source to say, which knows its partner.


# What numbers a thing that is no stock: people and services, assets, documents,
# coupons, consignments, parties, places.
def epcis_aside: IN("gsrn", "gsrnp", "giai", "grai", "gdti", "gcn", "cpn", "ginc", "gsin", "pgln", "sgln", "sgcn", "gln");

# The scheme and value of a URI: ["sgtin", "0614141.107346.2017"] of a Pure Identity
# or class URI, "idpat:sgtin" of a pattern, which keeps it apart from an instance;
# null of any other.
def epcis_urn:
  capture("^urn:epc:(?<form>id|class|idpat):(?<scheme>[a-z]+):(?<value>.+)$"; "i")?
  | (.form | ascii_downcase) as $form
  | [(if $form == "idpat" then "idpat:" else "" end) + (.scheme | ascii_downcase), .value];

# {ids, lot, serial, aside} of the URI of an object or a class: its own scheme first,
# then the GTIN, by which item masters know it.
def epcis_thing:
  . as $uri | (first(epcis_urn) // null) as $urn | (try gs1 catch null) as $key
  | (($urn[0]? // $key.type? // "epc") | ltrimstr("idpat:")) as $scheme
  | ($uri | capture("/(01|gtin)/(?<gtin>[0-9]{8,14})([/?]|$)")?.gtin // null) as $link
  | { aside: ($scheme | epcis_aside),
      lot: $key.lot?, serial: $key.serial?,
      ids: ([ if $urn != null then {type: $urn[0], value: $urn[1]} else empty end,
              if $key != null and $key.value != $urn[1]? then {type: $key.type, value: $key.value}
              elif $key == null and $link != null then {type: "gtin", value: $link} else empty end,
              if $urn == null then {type: "epc", value: $uri} else empty end ]) };

# Names of a place: the text a trading partner writes it with, its GLN, the URI.
def epcis_place:
  if . == null then null else
    . as $uri | [ (epcis_urn | "\(.[0]):\(.[1])"), (((try gs1 catch null | if .type? == "gln" then .value else null end) // ($uri | capture("^https?://.*/(414|gln)/(?<gln>[0-9]{13})([/?#]|$)")?.gln // empty)) | ., "gln:\(.)"), $uri ]
  end;

# The number in the URI of a business transaction (CBV §8.4, §8.5): behind its
# issuer's GLN, or the last part of an address.
def epcis_number:
  if test("^urn:epcglobal:cbv:bt:"; "i") then ltrimstr("urn:epcglobal:cbv:bt:") | split(":") | .[1:] | join(":")
  elif test("^https?://"; "i") then sub("[?#].*$"; "") | rtrimstr("/") | split("/") | last
  else . end;

def epcis_refs($d):
  [ .bizTransactionList[]
    | select(.bizTransaction != null)
    | {po: "purchase_order", desadv: "advice", inv: "invoice", rma: "return", pedigree: "pedigree", bol: "bill_of_lading", prodorder: "production_order", recadv: "receiving_advice"}
        as $types
    | {issuer: (if .type == "po" then $d.supply_issuer else null end), type: ($types[.type // ""] // .type // "transaction"), number: (.bizTransaction | epcis_number)}
    | select(.number != "") | with_entries(select(.value != null)) ];

# Where two events have no id, what and when tells them apart (CBV §8.9 makes event
# ids from it).
def epcis_event_number:
  .eventID // ([.eventTime, .type, .action, .bizStep, .readPoint, .bizLocation, .parentID, .transformationID] | map(select(. != null)) | join(" ") | .[:200]);

# [{list, index, uri, quantity, uom}] of the goods an event is about: single objects,
# one each, then quantities of a class. An aggregation or a transaction that names no
# goods is about its parent as a whole.
def epcis_goods:
  def objects($list): .[$list] | to_entries[] | {list: $list, index: .key, uri: .value, quantity: 1, uom: null};
  def classes($list): .[$list] | to_entries[] | select(.value.epcClass != null) | {list: $list, index: .key, uri: .value.epcClass, quantity: .value.quantity, uom: .value.uom};
  [ objects("epcList"), classes("quantityList"), objects("childEPCs"), classes("childQuantityList"),
    objects("inputEPCList"), classes("inputQuantityList"), objects("outputEPCList"), classes("outputQuantityList") ];

def epcis_status($list):
  if $list | startswith("input") then "consumed"
  elif $list | startswith("output") then "produced"
  else [.bizStep, .disposition] | map(select(. != null and . != "")) | if . == [] then null else join("/") end end;

def epcis_negative: if . == null then null else tostring | if test("^-") or test("^0*([.]0*)?$") then . else "-" + ltrimstr("+") end end;

def epcis_lines:
  .defaults as $d | .tree as $e
  | if $e.errorDeclaration != null then
      reject("declared_in_error"; "event \($e | epcis_event_number) is declared to be an error (\($e.errorDeclaration.reason? // "without a reason")): what corrects it counts")
    else . end
  | ($e | epcis_goods) as $named
  | (if $named == [] and $e.parentID != null then [{list: "parentID", index: 0, uri: $e.parentID, quantity: 1, uom: null}] else $named end) as $goods
  | [ $goods[] | . + {thing: (.uri | epcis_thing)} | select(.thing.aside | not) ] as $stock
  | if $stock == [] then reject("no_goods"; "event \($e | epcis_event_number) names no goods: \([$goods[].uri][:3] | join(", "))") else . end
  | ($e | epcis_event_number) as $number | ($e | epcis_refs($d)) as $refs
  | [ $stock[] | . as $g
      | { kind: "milestone", at: "\($g.list)[\($g.index)]",
          document: {type: "epcis", number: $number, line: "\($g.list)/\($g.index)"},
          status: (($e | epcis_status($g.list)) // ($e.action // $e.type | ascii_downcase)),
          ids: $g.thing.ids,
          location: (($e.bizLocation // $e.readPoint) | epcis_place),
          quantity: (if $g.list | startswith("input") then $g.quantity | epcis_negative else $g.quantity end), unit: $g.uom,
          occurred_at: $e.eventTime, refs: $refs,
          attributes: ({ lot: $g.thing.lot, serial: $g.thing.serial, parent: (if $g.list == "parentID" then null else $e.parentID end),
                         event: $e.type, action: $e.action, step: (if $e.type == "TransformationEvent" then $e.bizStep else null end),
                         transformation: $e.transformationID,
                         read_point: (if $e.bizLocation != null then $e.readPoint else null end),
                         from: ([$e.sourceList[]? | .source | select(. != null)] | join(" ")), to: ([$e.destinationList[]? | .destination | select(. != null)] | join(" ")) } | filled),
          milestone: {about: (if $e.disposition == "returned" or any($refs[]; .type == "return") then "returns" else "shipments" end)} }
      | filled ];
