# UN/EDIFACT messages as the directories mean them (D.93A to D.24A, and the EANCOM
# subsets), whoever sends them. edifact_lines is the mapping of a message, and a source
# may go on from it; what each message becomes is described in policies/README.md. Code
# lists are UNTDID data elements: 7143 (kinds of item number), 6063 (quantities), 3035
# (parties), 2005 (dates), 1153 (references), 1225 (functions of a message), 1229
# (actions on a line), 4343 (answers), 4501, 7491 and 4499 (stock), 9015 and 4405
# (states of a consignment).

def edi_digits: if . == null then null else gsub("[^0-9]"; "") | if . == "" then null else . end end;
def edi_zero: . != null and test("^[-+]?0*([.]0*)?$");

# ---- Items, parties, places

# Kinds of number (7143) that say something about an item and do not name it.
def edi_aside: IN("NB", "SN", "PV", "HS", "GN", "GD", "TG", "LI", "DR", "EC", "RN", "CC", "BO", "PO", "VO", "CR", "AT", "PD", "CV", "TSN");

# {ids, lot, serial} of a line: LIN, and the PIA that are no substitutes (4347: 1
# additional, 5 identifies).
def edi_item:
  [(.[] | select(.id == "LIN") | [comp(3; 2), comp(3; 1)]),
   (.[] | select(.id == "PIA" and (comp(1; 1) | . == null or IN("1", "5", "ZZZ"))) | . as $p | range(2; 7) as $n | $p | [comp($n; 2), comp($n; 1)])
   | select(.[1] != null)] as $all
  | def of($q): first($all[] | select(.[0] == $q) | .[1]) // null;
    { ids: ([$all[] | select(.[0] // "" | edi_aside | not) | {type: (.[0] // "SKU"), value: .[1]}] | reduce .[] as $i ([]; if any(.[]; . == $i) then . else . + [$i] end) | .[:32]),
      lot: of("NB"), serial: of("SN") };

def edi_role: {
    "BY": "buyer", "SU": "supplier", "SE": "seller", "DP": "ship_to", "ST": "ship_to", "SF": "ship_from", "PW": "ship_from", "WH": "warehouse", "CN": "consignee",
    "CZ": "consignor", "UC": "ultimate_consignee", "UD": "ultimate_customer", "IV": "bill_to", "FW": "forwarder", "CA": "carrier", "SH": "shipper", "SN": "store",
    "GY": "reporting_location", "LSP": "logistics_provider", "DEQ": "collect_from", "PK": "ship_from", "MF": "manufacturer", "OB": "ordered_by", "WD": "warehouse", "WM": "warehouse",
    "MS": "sender", "MR": "recipient"
  }[. // ""] // (if . == null then "party" else "party_" + ascii_downcase end);

# What a NAD calls its party: C082, else the name. Both spellings of a name are one text.
def edi_party: [comp(2; 1), comp(4; 1) // comp(3; 1)] | map(select(. != null));
def edi_roles:
  reduce (.[] | select(.id == "NAD")) as $n ({}; ($n | comp(1; 1) | edi_role) as $role | ($n | edi_party[0]) as $p | if .[$role] or $p == null then . else .[$role] = $p end);
def edi_place($wanted):
  [.[] | select(.id == "NAD")] as $n
  | if $n == [] then null else first($wanted[] as $q | $n[] | select(comp(1; 1) == $q) | edi_party | select(. != [])) // null end;

# What a LOC calls its place: C517, its code else its name.
def edi_loc: [comp(2; 1), comp(2; 4)] | map(select(. != null));

def edi_to: ["DP", "ST", "CN", "UC", "UD"];
def edi_from: ["WH", "WM", "WD", "SF", "PW", "DEQ", "PK"];

# ---- Times, references, quantities

def edi_dtm($wanted): [.[] | select(.id == "DTM")] as $s | if $s == [] then null else first($wanted[] as $q | $s | edifact_when($q) | select(. != null)) // null end;
def edi_due: edi_dtm(["2", "17", "358", "69", "63", "64", "191", "67", "132", "74", "76", "10", "200", "44"]);
def edi_rff($wanted): [.[] | select(.id == "RFF")] as $s | if $s == [] then null else first($wanted[] as $q | $s[] | select(comp(1; 1) == $q) | comp(1; 2) | select(. != null)) // null end;
def edi_order: edi_rff(["ON", "OP", "VN", "CO"]);
# Identities of packages and goods (7405): SSCC, lot, serial.
def edi_gin($wanted): [.[] | select(.id == "GIN" and (comp(1; 1) | IN($wanted[]))) | . as $g | range(2; 7) as $n | $g | comp($n; 1), comp($n; 2) | select(. != null)];
def edi_lot($item): $item.lot // edi_gin(["BX", "NB"])[0] // edi_rff(["BT", "LT"]);

def edi_amount($c): comp(1; 2) | if . == null then null else edifact_number($c.t.decimal) end;
# The quantities of a line: [{code, quantity, unit, near}], near what follows each.
def edi_quantities($c): [loops("QTY")[1:][] | {code: (.[0] | comp(1; 1)), quantity: (.[0] | edi_amount($c)), unit: (.[0] | comp(1; 3)), pos: .[0].pos, near: .} | select(.quantity != null)];
# The first of them with one of the qualifiers, best first.
def edi_quantity($wanted): . as $q | first($wanted[] as $w | $q[] | select(.code == $w)) // null;

# Parts of a line that go to places of their own: LOC with the QTY behind it.
def edi_split($c):
  [loops("LOC")[1:][] | . as $l | qseg("QTY"; "11") // qseg("QTY"; "12") // qseg("QTY"; "21") | select(. != null)
    | {place: ($l[0] | edi_loc), quantity: edi_amount($c), unit: comp(1; 3), due: ($l | edi_due), pos} | select(.place != [] and .quantity != null)];

# ---- Documents

# What a message says of its lines: {number, code, function, response, revision, when,
# roles, head, lines}. lines are the LIN loops in front of UNS; a sub-line (5495) is a
# part of the line above it.
def edi_document:
  . as $c | ($c.s | loops("UNS")[0]) as $s
  | ($s | loops("LIN")) as $l | ($l[0] | seg("BGM")) as $b
  | if $b == null then reject("no_header"; "a message needs a BGM") else . end
  | ($b | comp(3; 1)) as $function | ($l[0] | edi_dtm(["137"])) as $when
  | { number: (($b | comp(2; 1)) // ([$c.t.interchange.control, $c.t.control] | map(select(. != null)) | join("-"))), code: ($b | comp(1; 1)),
      $function, response: ($b | comp(4; 1)), $when, head: $l[0], roles: ($l[0] | edi_roles),
      revision: (if $function != null and ($function | IN("1", "2", "3", "4", "5", "17", "20", "33", "36", "40")) then ($when | edi_digits) // $function else null end),
      gone: ($function != null and ($function | IN("1", "3"))),
      lines: [$l[1:][] | select(.[0] | comp(4; 1) == "1" | not)] };

def edi_stamp($c; $when):
  if $when != null then {occurred_at: $when}
  elif $c.t.interchange.date // "" | test("^([0-9]{2})?[0-9]{6}$") then
    {occurred_at: ((($c.t.interchange.date | if length == 6 then "20" + . else . end) + ($c.t.interchange.time // "")) as $x | $x | if length == 12 or length == 8 then . else .[:8] end), occurred_basis: "envelope"}
  else {} end;

def edi_ref($issuer; $type; $number): if $number == null then [] else [{issuer: $issuer, type: $type, number: $number}] end;
def edi_sales($d; $number): edi_ref($d.order_issuer; $d.order_type // "order"; $number);
def edi_purchase($d; $number): edi_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $number);

def edi_about:
  if . == null then "orders"
  elif IN("shipped", "in_transit", "inbound", "received", "picked", "transfer_in", "transfer_out", "in_question", "damaged") then "shipments"
  elif IN("returned", "return_requested") then "returns" else "orders" end;
def edi_milestone($status; $due): {kind: "milestone", $status, milestone: ({about: ($status | edi_about), $due} | filled)};
def edi_moves($type; $status):
  if .quantity | edi_zero or startswith("-") then . + edi_milestone($status; null) else . + {kind: "movement", $status, movement: {$type}} end;

# ---- INVRPT: what is there, and what moved it

def edi_stock_status: {
    "17": "on_hand", "145": "on_hand", "152": "on_hand", "20": "damaged", "124": "damaged", "27": "on_hold", "198": "in_transit", "21": "on_order", "83": "backordered",
    "12": "shipped", "46": "received", "48": "received", "194": "received", "195": "rejected", "196": "rejected", "61": "returned", "25": "sold", "29": "sold", "30": "sold", "153": "sold",
    "64": "adjusted", "65": "adjusted", "113": "inbound", "66": "committed"
  }[. // ""];

# Kinds of stock (7491) whose balance is none of sound goods.
def edi_kept: {"2": "damaged", "3": "on_hold", "5": "on_hold", "6": "on_hold", "4": "reserved"}[. // ""];

# Of one item at one place and time one number is the count: what is listed twice (by
# lot, say) is none, for the later would stand in the place of the earlier.
def edi_balances:
  ([.[] | select(.kind == "count") | [.status, .ids, .location, .occurred_at] | tojson] | group_by(.) | map(select(length > 1) | {(.[0]): true}) | add) as $twice
  | map(if .kind == "count" and $twice[[.status, .ids, .location, .occurred_at] | tojson]
      then (.quantity // .count.balances[0].quantity) as $q | del(.count) + {quantity: $q} + edi_milestone(.status; null) | .attributes.flags = "listed_twice"
      else . end);

def edi_invrpt:
  . as $c | edi_document as $d | ["WH", "WM", "WD", "LSP", "GY", "SN", "ST", "DP", "SF", "BY"] as $where
  | ($d.head | edi_place($where)) as $site | (($d.head | edi_dtm(["366", "179", "7"])) // $d.when) as $when
  | each($d.lines[];
      .index as $index | .row as $loop | ($loop | edi_item) as $item | select($item.ids != [])
      | ($loop[0] | comp(1; 1)) as $line
      # INV, LOC and NAD hold for the quantities behind them, a LOC in front of all of them
      # for each INV; where the line begins with its quantities, a LOC holds for those in
      # front of it.
      | ([$loop[].id | select(IN("LOC", "QTY"))] | first(.[]) == "QTY") as $behind
      | [foreach ($loop | loops(["INV", "LOC", "NAD", "QTY"])[1:][]) as $b ({inv: null, at: null, of_all: null, n: 0};
          if $b[0].id == "INV" then .at = (if $behind then .at else .of_all end) | .inv = $b[0]
          elif $b[0].id == "LOC" then .at = ($b[0] | edi_loc | if . == [] then null else . end) | if .inv == null and .n == 0 then .of_all = .at else . end
          elif $b[0].id == "NAD" then .at = (([$b[0]] | edi_place($where)) // .at)
          else .n += 1 end; . + {near: $b})] as $blocks
      | [range($blocks | length) | . as $i | $blocks[$i] | select(.near[0].id == "QTY")
          | if $behind then .at = (first($blocks[$i + 1:][] | select(.near[0].id == "LOC") | .at) // .at) else . end] as $found
      | $found[] | .near as $near | $near[0] as $q | ($q | comp(1; 1)) as $code | .inv as $inv
      | (if $inv then $inv | comp(1; 1) else null end) as $way | (if $inv then $inv | comp(2; 1) | edi_kept else null end) as $kept | (if $inv then $inv | comp(3; 1) else null end) as $why
      | ($code | edi_stock_status // (if IN("1", "11") and (($found | length) == 1 or $inv != null) then "on_hand" else null end)) as $stock
      | (if $way != null and $code != "145" and $code != "17" then {"1": "received", "2": "shipped"}[$why // ""] // "adjusted"
         elif $stock == "on_hand" then $kept // $stock else $stock end) as $status
      | select($status != null) | ($q | edi_amount($c)) as $quantity | select($quantity != null)
      | { at: $q.pos, document: {type: "INVRPT", number: $d.number, revision: $d.revision, line: "\($line // $index)/\($code)\(if .n > 1 then "/\(.n)" else "" end)"},
          ids: $item.ids, location: (.at // ($loop | edi_place($where)) // $site), $quantity, unit: ($q | comp(1; 3)),
          attributes: ($d.roles + ($loop | edi_roles) + {lot: ($near | edi_lot(null)) // ($loop | edi_lot($item)), serial: $item.serial, $code, reason: $why} | filled) }
      + edi_stamp($c; ($near | edi_dtm(["179", "366", "7", "94", "137"])) // ($loop | loops("QTY")[0] | edi_dtm(["179", "366", "7", "137"])) // $when)
      | if $way != null and $status == "received" and $way != "1" then edi_moves("receipt"; "received")
        elif $way != null and $status == "shipped" and $way != "2" then edi_moves("ship"; "shipped")
        elif $way != null and ($status | IN("adjusted", "received", "shipped")) then
          if .quantity | edi_zero then . + edi_milestone("adjusted"; null)
          else .quantity |= (ltrimstr("-") | if $way == "1" then "-" + . else . end) | . + {kind: "movement", status: "adjusted", movement: {type: "adjustment", reason: ("4499 " + ($why // "unknown"))}} end
        elif $status == "on_hand" then . + {kind: "count", $status}
        elif $status | IN("damaged", "on_hold") then
          .quantity as $n | del(.quantity) + {kind: "count", $status, count: {balances: [{state: (if $status == "damaged" then "damaged" else "quarantine" end), quantity: $n}]}}
        else . + edi_milestone($status; $near | edi_due) end)
  | edi_balances;

# ---- ORDERS, ORDCHG, ORDRSP

# Our customer's order is demand on us; defaults.orders: supply makes it what we have
# ordered ourselves, due at its delivery party.
def edi_ordered($c; $stage; $due; $place):
  if ($c.d.orders // "demand") == "supply"
  then . + {kind: "supply", supply: ({stage: (if $stage == "cancelled" then "closed" else $stage end), $due} | filled), location: (.location // $place)}
  else . + {kind: "demand", demand: ({$stage, $due} | filled)} end;

def edi_orders($number; $revision; change):
  . as $c | edi_document as $d
  | ($d.head | edi_due) as $due | ($d.head | edi_place(edi_from)) as $from | ($d.head | edi_place(edi_to)) as $to
  | each($d.lines[];
      .index as $index | .row as $loop | ($loop | edi_item) as $item
      | ($loop[0] | change) as $change | ($loop | edi_quantities($c)) as $all
      | ($all | edi_quantity(["21", "131", "113", "1", "12", "47", "11"])) as $q
      | ($loop | edi_split($c)) as $split
      | (if $split == [] then [{place: null, quantity: ($q.quantity? // null), unit: ($q.unit? // null), due: null, pos: $loop[0].pos}] else $split end)[]
      | .place as $place | .due as $own
      | { at: .pos, document: {type: "ORDERS", $number, $revision, line: "\($loop[0] | comp(1; 1) // $index)\(if $place then "/" + $place[0] else "" end)"},
          ids: $item.ids, location: (($loop | edi_place(edi_from)) // $from), quantity, unit: (.unit // $q.unit?), status: $change,
          refs: (if ($c.d.orders // "demand") == "supply" then edi_purchase($c.d; $number) else edi_sales($c.d; $number) end),
          attributes: ($d.roles + ($loop | edi_roles) + (if $place then {ship_to: $place[0]} else {} end) + {lot: ($loop | edi_lot($item)), serial: $item.serial} | filled) }
      + edi_stamp($c; $d.when)
      | ($own // ($loop | edi_due) // $due) as $due
      | ($place // ($loop | edi_place(edi_to)) // $to) as $place
      | if $d.gone then .status = "cancelled" | edi_ordered($c; "cancelled"; $due; $place)
        elif $change != "order_line_deleted" then edi_ordered($c; "ordered"; $due; $place)
        # A line is gone when its quantity is cancelled, or none is ordered any more.
        elif .quantity != null and (.quantity | edi_zero | not) then edi_ordered($c; "cancelled"; $due; $place)
        else .quantity = "0" | edi_ordered($c; "ordered"; $due; $place) end);

def edi_ordrsp:
  . as $c | edi_document as $d
  | ($d.head | edi_order) as $order | ($d.head | edi_due) as $due | ($d.head | edi_place(edi_to)) as $to
  | (if ($d.response // "" | . == "RE") or ($d.function // "" | . == "27") then "rejected" elif $d.gone then "cancelled" else "acked" end) as $whole
  | if $d.lines == [] then
      [{ at: ($d.head | seg("BGM") | .pos), document: {type: "ORDRSP", number: $d.number, revision: $d.revision}, ids: [{type: "order", value: ($order // $d.number)}], location: $to,
         refs: edi_purchase($c.d; $order), attributes: ($d.roles + {code: ($d.response // $d.function)} | filled) } + edi_stamp($c; $d.when) + edi_milestone($whole; $due)]
    else each($d.lines[];
      .index as $index | .row as $loop | ($loop | edi_item) as $item | ($loop[0] | comp(2; 1)) as $action
      | ({"2": "cancelled", "7": "rejected", "10": "rejected", "13": "rejected", "24": "acked"}[$action // ""] // (if $whole == "acked" or $action == null then $whole else "acked" end)) as $status
      | ($loop | edi_quantities($c)) as $all
      | ($all | edi_quantity(["12", "113", "194", "131", "46", "185", "21", "1", "11"])) as $q
      | { at: $loop[0].pos, document: {type: "ORDRSP", number: $d.number, revision: $d.revision, line: "\($loop[0] | comp(1; 1) // $index)"}, ids: $item.ids,
          location: (($loop | edi_place(edi_to)) // $to), refs: edi_purchase($c.d; ($loop | edi_order) // $order),
          attributes: ($d.roles + ($loop | edi_roles) + {code: $action, ordered: ($all | edi_quantity(["21"]) | .quantity?), lot: $item.lot} | filled) } + edi_stamp($c; $d.when)
      | . as $line | (($loop | edi_due) // $due) as $due
      # What is only on back order, or only cancelled, is not confirmed.
      | (if ($all | edi_quantity(["12", "113", "194", "131", "46", "185", "21", "1", "11"])) == null and ($all | any(.[]; .code | IN("83", "85"))) then empty
         else $line + {quantity: $q.quantity?, unit: $q.unit?} + edi_milestone($status; $due) end),
        ($all[] | select((.code | IN("83", "85")) and (.quantity | edi_zero | not)) | . as $more
          | $line + {at: .pos, quantity, unit} + edi_milestone(if .code == "83" then "backordered" else "cancelled" end; ($more.near | edi_due) // $due)
          | .document.line += "/\($more.code)")) end;

# ---- DESADV, RECADV

# The advice of a despatch dates a part of its purchase order, at the place it goes to.
# A LIN stands in the CPS in front of it; what the CPS says of its packages (PAC, PCI,
# GIN) holds for it.
def edi_desadv:
  . as $c | edi_document as $d
  | ($d.head | loops("CPS")[0]) as $head
  | ($head | edi_order) as $order | ($head | edi_place(edi_to)) as $to | ($head | edi_due) as $due
  | (($head | edi_dtm(["11", "110", "186"])) // $d.when) as $when
  | ([$c.s | loops("UNS")[0] | foreach .[] as $s ({cps: null, pack: {}, open: false};
        if $s.id == "CPS" then .cps = ($s | comp(1; 1)) | .pack = {} | .open = true
        elif $s.id == "LIN" then .open = false
        elif $s.id == "GIN" and .open and ($s | comp(1; 1) | IN("BJ", "AW")) then .pack.sscc = (.pack.sscc // ($s | comp(2; 1)))
        elif $s.id == "RFF" and .open and ($s | comp(1; 1) | IN("ON")) then .pack.order = ($s | comp(1; 2))
        else . end; if $s.id == "LIN" then {("\($s.pos)"): ({cps} + .pack)} else empty end)] | add // {}) as $packs
  | each($d.lines[];
      .index as $index | .row[0] as $lin | (.row | loops("CPS")[0]) as $loop | ($loop | edi_item) as $item
      | if $item.ids == [] then reject("no_item"; "LIN \($lin | comp(1; 1)) names no item") else . end
      | ($loop | edi_quantities($c)) as $all | $packs["\($lin.pos)"] as $pack
      | ($all | edi_quantity(["12", "46", "131", "113", "1", "47", "21"])) as $q
      | (($loop | edi_order) // $pack.order // $order) as $po
      | ($loop | edi_split($c) | if ([.[].quantity | tonumber] | add) == ($q.quantity? // "0" | tonumber) then . else [] end) as $split
      | (($loop | edi_due) // $due) as $due
      | (if $split == [] then [{place: null, quantity: $q.quantity?, unit: $q.unit?, pos: $lin.pos}] else $split end)[]
      | .place as $place
      | { at: .pos, document: {type: "DESADV", number: $d.number, revision: $d.revision, line: "\($lin | comp(1; 1) // $index)\(if $place then "/" + $place[0] else "" end)"},
          ids: $item.ids, location: ($place // ($loop | edi_place(edi_to)) // $to), quantity, unit: (.unit // $q.unit?), refs: edi_purchase($c.d; $po),
          attributes: ($d.roles + ($loop | edi_roles) + {$po, sscc: (($loop | edi_gin(["BJ", "AW"])[0]) // $pack.sscc), lot: ($loop | edi_lot($item)), serial: $item.serial,
            expiry: ($loop | edi_dtm(["36", "361"])), ordered: ($all | edi_quantity(["21"]) | .quantity?)} | filled) }
      + edi_stamp($c; ($loop | edi_dtm(["11"])) // $when)
      | (if $d.gone then . + edi_milestone("cancelled"; $due) | .milestone.about = "shipments"
         elif $q == null then reject("bad_quantity"; "LIN \($lin | comp(1; 1)) has no despatched quantity")
         elif .refs == [] or (.quantity | edi_zero or startswith("-")) then . + edi_milestone("shipped"; $due)
         else . + {kind: "supply", status: "shipped", supply: ({stage: "expected", $due} | filled)} end),
        ($all[] | select(.code == "83" and (.quantity | edi_zero | not)) | . as $back
          | { at: .pos, document: {type: "DESADV", number: $d.number, revision: $d.revision, line: "\($lin | comp(1; 1) // $index)/83"}, ids: $item.ids,
              location: $to, quantity, unit, refs: edi_purchase($c.d; $po), attributes: ($d.roles | filled) } + edi_stamp($c; $when) + edi_milestone("backordered"; null)));

def edi_recadv:
  . as $c | edi_document as $d
  | ["WH", "WM", "WD"] + edi_to + ["GY", "BY"] as $where
  | ($d.head | loops("CPS")[0]) as $head | ($head | edi_order) as $order | ($head | edi_place($where)) as $at
  | (($head | edi_dtm(["50", "35", "310", "178"])) // $d.when) as $when
  | each($d.lines[];
      .index as $index | .row as $loop | ($loop | edi_item) as $item | ($loop | edi_quantities($c)) as $all
      | if $item.ids == [] then reject("no_item"; "LIN \($loop[0] | comp(1; 1)) names no item") else . end
      | (($loop | edi_order) // $order) as $po
      | { at: $loop[0].pos, document: {type: "RECADV", number: $d.number, revision: $d.revision, line: "\($loop[0] | comp(1; 1) // $index)"}, ids: $item.ids,
          location: (($loop | edi_place($where)) // $at), refs: edi_purchase($c.d; $po),
          attributes: ($d.roles + ($loop | edi_roles) + {$po, shipment: (($loop | edi_rff(["DQ", "AAK", "AAS"])) // ($head | edi_rff(["DQ", "AAK", "AAS"]))),
            sscc: ($loop | edi_gin(["BJ", "AW"])[0]), lot: ($loop | edi_lot($item)), serial: $item.serial,
            variance: ($loop | seg("QVR") | if . == null then null else comp(1; 1) end), reason: ($loop | seg("QVR") | if . == null then null else comp(2; 1) end)} | filled) }
      + edi_stamp($c; ($loop | edi_dtm(["50", "35", "310"])) // $when)
      | . as $line | ($all | edi_quantity(["194", "48", "46"])) as $q
      | (if $q == null then empty
         elif $d.gone then $line + {quantity: $q.quantity, unit: $q.unit} + edi_milestone("cancelled"; null) | .milestone.about = "shipments"
         else $line + {at: $q.pos, quantity: $q.quantity, unit: $q.unit} | edi_moves("receipt"; "received") end),
        ($all[] | {"195": "rejected", "196": "rejected", "124": "damaged", "61": "returned"}[.code] as $status | select($status != null and (.quantity | edi_zero | not)) | .code as $code
          | $line + {at: .pos, quantity, unit} + edi_milestone($status; null) | .document.line += "/\($code)"));

# ---- SLSRPT: what was sold

# LOC in front of a line is its place of sale, until the next one. 152 is on hand by
# D.96A and sales in many a report: sold where nothing else in the line is, with a flag.
def edi_slsrpt:
  . as $c | ($c.s | loops("UNS")[0]) as $s | ($s | loops(["LOC", "LIN"])[0]) as $head | edi_document as $d
  | ["SN", "ST", "DP", "SE", "SR", "BY"] as $where | ($d.head | edi_place($where)) as $site
  | ($s | [foreach .[] as $x ({at: null, n: 0, lin: false};
      if $x.id == "LOC" and (.lin | not) then .at = ($x | edi_loc | if . == [] then null else . end)
      elif $x.id == "LOC" then .lin = false | .at = ($x | edi_loc | if . == [] then null else . end)
      elif $x.id == "LIN" then .lin = true else . end; if $x.id == "LIN" then {("\($x.pos)"): .at} else empty end)] | add // {}) as $places
  | {from: ($head | edi_dtm(["90", "356", "194", "158"])), to: ($head | edi_dtm(["91", "357", "206", "159"]))} as $period
  | each($d.lines[];
      .index as $index | .row as $loop | ($loop | edi_item) as $item | ($loop | edi_quantities($c)) as $all | select($item.ids != [])
      | any($all[]; .code | IN("153", "25", "29", "30", "28")) as $sales
      | $all[] | .code as $code
      | {"153": "sold", "25": "sold", "28": "sold", "29": "sold", "30": "sold", "47": "sold", "1": "sold", "12": "sold", "61": "returned", "17": "on_hand", "145": "on_hand",
         "152": (if $sales then "on_hand" else "sold" end)}[$code // ""] as $status | select($status != null)
      | select(($sales and ($code | IN("47", "1", "12"))) | not)
      | { at: .pos, document: {type: "SLSRPT", number: $d.number, revision: $d.revision, line: "\($loop[0] | comp(1; 1) // $index)/\($code)"}, ids: $item.ids,
          location: ($places["\($loop[0].pos)"] // ($loop | edi_place($where)) // $site), quantity, unit,
          attributes: ($d.roles + ($loop | edi_roles) + {period_from: $period.from, period_to: $period.to, $code, flags: (if $code == "152" and $status == "sold" then "sold_by_152" else null end)} | filled) }
      + edi_stamp($c; $d.when)
      # .defaults.sales: movement where nobody else tells of sales.
      | if $status == "sold" and $c.d.sales == "movement" then edi_moves("ship"; "sold") else . + edi_milestone($status; null) end)
  | [foreach .[] as $l ({}; if $l.document then ($l.document.line + ($l.location | tojson)) as $k | .[$k] += 1 | .n = .[$k] else .n = 1 end;
      .n as $n | $l | if $n > 1 then .document.line += "/\($n)" else . end)];

# ---- IFTSTA: where a consignment is

def edi_iftsta:
  . as $c | edi_document as $d | ($c.s | loops("CNI")) as $l
  | (if ($l | length) > 1 then $l[1:] else [$c.s] end) as $parts
  | ($l[0] | edi_roles) as $roles
  | each($parts[] | . as $part | loops("STS") as $sts | $sts[1:][] | {own: ., head: $sts[0], cni: $part[0]};
      .index as $index | .row as $r | $r.own[0] as $s | ($r.own + $r.head) as $near
      | (($s | comp(2; 1)) // ($s | comp(1; 1))) as $status
      | if $status == null then reject("no_status"; "STS has no state") else . end
      | ([(if $r.cni.id == "CNI" then {type: "shipment", value: ($r.cni | comp(2; 1))} else empty end),
          ($r.own | edi_gin(["BJ", "AW"])[] | {type: "sscc", value: .}),
          ($near[] | select(.id == "RFF") | {"AAM": "tracking", "CN": "tracking", "CU": "shipment", "SRN": "shipment", "DQ": "shipment", "AAS": "shipment", "UCN": "shipment", "BM": "bol", "BN": "shipment", "ON": "order"}[comp(1; 1) // ""] as $t
            | select($t != null) | {type: $t, value: comp(1; 2)}),
          ($near[] | select(.id == "EQD") | {type: "shipment", value: comp(2; 1)}),
          (if ($parts | length) == 1 and $r.cni.id != "CNI" then $l[0][] | select(.id == "RFF") | {type: "shipment", value: comp(1; 2)} else empty end)]
         | map(select(.value != null)) | reduce .[] as $i ([]; if any(.[]; . == $i) then . else . + [$i] end) | if . == [] then [{type: "shipment", value: $d.number}] else .[:32] end) as $ids
      | (first($r.own[] | select(.id == "LOC") | edi_loc | select(. != [])) // ($r.own | edi_place(["DP", "ST", "CN", "UC"]))) as $place
      | (($r.own | edi_dtm(["334", "7", "178", "186", "35", "133", "136", "132"])) // ($r.head | edi_dtm(["334"])) // (if $r.own | any(.[]; .id == "DTM") then null else $d.when end)) as $when
      | { kind: "milestone", at: $s.pos, document: {type: "IFTSTA", number: ($ids[0].value), line: ([$status, $when, ($r.own | edi_gin(["BJ", "AW"])[0]), $place[0]?] | map(select(. != null)) | join(" "))},
          $ids, location: $place, $status, milestone: ({about: "shipments", due: ($near | edi_due)} | filled),
          attributes: ($roles + ($near | edi_roles) + {category: ($s | comp(1; 1)), reason: ($s | comp(3; 1)), report: $d.number,
            place: (first($near[] | select(.id == "LOC") | comp(2; 4) | select(. != null)) // null), vehicle: ($near | seg("TDT") | if . == null then null else comp(8; 4) end)} | filled) }
      + edi_stamp($c; $when));

# ---- CONTRL: what became of an interchange of ours (0083)

def edi_contrl:
  . as $c | ($c.s | seg("UCI")) as $u
  | if $u == null then reject("no_header"; "a CONTRL needs a UCI") else . end
  | def word: {"4": "rejected", "7": "accepted", "8": "interchange_received"}[. // ""] // "accepted";
    def line($at; $n; $code; $more): { kind: "milestone", $at, document: {type: "CONTRL", number: ($u | comp(1; 1)), line: $n}, ids: [{type: "control", value: $n}], status: ($code | word),
        milestone: {about: (if $more.set // "" | IN("DESADV", "RECADV", "IFTSTA", "IFTMIN") then "shipments" else "orders" end)},
        attributes: ({interchange: ($u | comp(1; 1)), $code, sender: ($u | comp(2; 1)), recipient: ($u | comp(3; 1))} + $more | filled) } + edi_stamp($c; null);
    [$c.s[] | select(.id == "UCM" and comp(3; 1) != null)] as $m
  | if $m == [] then [line($u.pos; $u | comp(1; 1); $u | comp(4; 1); {error: ($u | comp(5; 1))})]
    else [$m[] | line(.pos; comp(1; 1); comp(3; 1); {set: comp(2; 1), error: comp(4; 1)})] end;

# ---- All messages

def edifact_lines:
  .tree as $t | {$t, s: $t.segments, d: (.defaults // {})}
  | if $t.set == "INVRPT" then edi_invrpt
    elif $t.set == "ORDERS" then edi_document as $d | edi_orders($d.number; $d.revision; "ordered")
    # A change is a later revision of the order it refers to.
    elif $t.set == "ORDCHG" then edi_document as $d
      | (if $d.gone and $d.lines == [] then reject("whole_order"; "order \($d.head | edi_order) is cancelled as a whole, without its lines") else . end)
      | edi_orders(($d.head | edi_order) // $d.number; ($d.when | edi_digits) // $d.number; if comp(2; 1) == "2" then "order_line_deleted" else "ordered" end)
    elif $t.set == "ORDRSP" then edi_ordrsp
    elif $t.set == "DESADV" then edi_desadv
    elif $t.set == "RECADV" then edi_recadv
    elif $t.set == "SLSRPT" then edi_slsrpt
    elif $t.set == "IFTSTA" then edi_iftsta
    elif $t.set == "CONTRL" then edi_contrl
    else reject("unsupported_set"; "message \($t.set) is not read here") end
  | if . == [] then reject("no_lines"; "the \($t.set) has nothing that is a line") else . end
  | apart;
