# ANSI X12 sets as the standard means them, whoever sends them (releases 002001 to
# 008; elements are named by their numbers: W07-02 is .e[2] of a W07). x12_lines is
# the mapping of a set, and a source may go on from it; what each set becomes is
# described in policies/README.md. Code lists are X12 data elements: 235 (kinds of
# product id), 673 (quantities), 859 (activities), 181 (adjustments), 412 (conditions
# of receipt), 521 (transfers), 668 (answers to a line), 368 (states of a shipment).

def x12_trim: if . == null then null else trim end;
def x12_zero: . != null and test("^[-+]?0*([.]0*)?$");
def x12_magnitude: if . == null then null else ltrimstr("-") | ltrimstr("+") end;
# Some end a whole number with its decimal point.
def x12_decimal: if type == "string" then rtrimstr(".") else . end;
def x12_digits: if . == null then null else gsub("[^0-9]"; "") | if . == "" then null else . end end;
# The first that is not null or blank, of an array.
def x12_first: first(.[] | select(. != null and . != "")) // null;

# ---- Items

# Product id qualifiers (235) that are likely where some qualifier stands.
def x12_qualifier: . != null and ({
    "A1": 1, "A2": 1, "A3": 1, "B8": 1, "BB": 1, "BL": 1, "BO": 1, "BP": 1, "C3": 1, "CB": 1, "CG": 1, "CH": 1, "CL": 1, "CM": 1, "CN": 1, "DR": 1,
    "EA": 1, "EC": 1, "EM": 1, "EN": 1, "EO": 1, "EQ": 1, "F7": 1, "FS": 1, "GD": 1, "GU": 1, "HD": 1, "IB": 1, "IM": 1, "IN": 1, "IS": 1, "IT": 1, "IZ": 1,
    "LT": 1, "MF": 1, "MG": 1, "MN": 1, "MO": 1, "MP": 1, "N1": 1, "N2": 1, "N3": 1, "N4": 1, "N5": 1, "N6": 1, "NH": 1, "NR": 1,
    "OA": 1, "ON": 1, "OP": 1, "PC": 1, "PD": 1, "PI": 1, "PK": 1, "PL": 1, "PN": 1, "PO": 1, "PR": 1, "PU": 1, "PW": 1, "RC": 1, "RR": 1,
    "S1": 1, "SC": 1, "SG": 1, "SK": 1, "SL": 1, "SM": 1, "SN": 1, "SR": 1, "ST": 1, "SW": 1, "SZ": 1, "TP": 1,
    "UA": 1, "UB": 1, "UC": 1, "UD": 1, "UE": 1, "UG": 1, "UH": 1, "UI": 1, "UK": 1, "UL": 1, "UN": 1, "UO": 1, "UP": 1, "UX": 1,
    "VA": 1, "VC": 1, "VE": 1, "VN": 1, "VO": 1, "VP": 1, "VS": 1, "VU": 1, "VX": 1, "XA": 1, "ZB": 1, "ZZ": 1
  }[.] == 1);

# Those that say something about an item and do not name it.
def x12_aside: {
    "B8": 1, "CH": 1, "CL": 1, "CM": 1, "EC": 1, "IZ": 1, "LT": 1, "MF": 1, "PD": 1, "PL": 1, "PO": 1, "RC": 1, "SC": 1, "SL": 1, "SM": 1, "SN": 1, "SZ": 1, "TP": 1, "VE": 1
  }[.] == 1;

# {pairs: [[qualifier, id]], flags} of a segment from element $from on. Some senders
# write each id before its qualifier; where that reading is certain, because no first
# one is a qualifier and each second one is, they are put right.
def x12_pairs($from):
  .e as $e | [range($from; $e | length; 2) | [$e[.], $e[. + 1]] | map(x12_trim)] as $all
  | [$all[] | select(.[0] != null and .[1] != null)] as $pairs
  | if ($pairs | length) > 0 and all($pairs[]; (.[0] | x12_qualifier | not) and (.[1] | x12_qualifier))
    then {pairs: [$pairs[] | [.[1], .[0]]], flags: ["qualifier_order"]}
    else {pairs: $pairs, flags: (if any($all[]; (.[0] == null) != (.[1] == null)) then ["qualifier_without_id"] else [] end)} end;

# {ids, lot, serial, po, flags} of pairs.
def x12_item:
  .flags as $flags | .pairs as $all | [$all[] | select(.[0] | x12_aside | not)] as $named
  | (def of($q): first($all[] | select(.[0] == $q) | .[1]) // null;
     {lot: (of("LT") // of("B8") // of("SL")), serial: of("SN"), po: of("PO")})
  + {ids: [(if $named == [] then $all else $named end)[:32][] | {type: .[0], value: .[1]}], $flags};

# The item of a LIN. Some leave LIN01 out altogether.
def x12_lin:
  if . == null then {ids: [], flags: []}
  elif (.e[1] | x12_qualifier) and .e[2] != null and (.e[2] | x12_qualifier | not) then x12_pairs(1) | x12_item
  else x12_pairs(2) | x12_item end;

# ---- Parties and places

def x12_role: {
    "ST": "ship_to", "SF": "ship_from", "WH": "warehouse", "BY": "buyer", "SE": "seller", "SU": "supplier", "VN": "vendor", "BT": "bill_to",
    "SO": "sold_to", "CN": "consignee", "SH": "shipper", "DE": "depositor", "RL": "reporting_location", "Z7": "mark_for", "MA": "final_destination",
    "CA": "carrier", "MF": "manufacturer", "DS": "distributor", "DB": "distributor_branch", "RC": "receiver", "OB": "ordered_by", "PF": "receives_freight_bill"
  }[. // ""] // (if . == null then "party" else "party_" + ascii_downcase end);

# The parties of an array of segments by role: the code (N104), else the name (N102).
def x12_roles:
  reduce (.[] | select(.id == "N1")) as $n ({};
    ($n.e[1] | x12_role) as $role | if .[$role] then . else .[$role] = ($n.e[4] // $n.e[2]) end);

# The first of the parties $wanted that there is: [code, name]; null for none.
def x12_place($wanted):
  [.[] | select(.id == "N1")] as $n
  | if $n == [] then null else first($wanted[] as $q | $n[] | select(.e[1] == $q) | [.e[4], .e[2]] | map(select(. != null)) | select(. != [])) // null end;

# A line, or one for each of its destinations.
def x12_to($split):
  if $split == [] then . else . as $line | $split[] | . as $to | $line + {location: $to.place, quantity: $to.quantity} | .unit = ($to.unit // .unit)
    | .document.line = "\($line.document.line)/\($to.place[0])" | .attributes.ship_to = $to.place[0] end;

# Destinations of a line that state their own quantities: the (place, quantity) pairs of
# SDQ, else N1 loops with a QTY. [{place, quantity, unit}].
def x12_split($sep):
  [.[] | select(.id == "SDQ") | .e as $e | range(3; 23; 2) | select($e[.] != null and $e[. + 1] != null)
    | {place: [$e[.]], quantity: $e[. + 1], unit: $e[1]}] as $sdq
  | if $sdq != [] then $sdq
    elif any(.[]; .id == "N1") then
      [loops(["N1", "SLN"])[] | select(.[0].id? == "N1") | .[0] as $n | seg("QTY") | select(. != null and $n != null)
        | {place: ([$n.e[4], $n.e[2]] | map(select(. != null))), quantity: .e[2], unit: comp($sep; 3; 1)}]
    else [] end;

# ---- Times

# The text of a DTM's time. DTM05 is a century before release 004010, then the format
# of DTM06.
def x12_dtm_text:
  .e as $e
  | if $e[2] != null then
      x12_when((if ($e[2] | length) == 6 and ($e[5] // "" | test("^[0-9]{2}$")) then $e[5] + $e[2] else $e[2] end); $e[3]; $e[4])
    elif $e[6] == null then null
    elif $e[5] == "DT" then x12_when($e[6][:8]; $e[6][8:]; null)
    else x12_when(($e[6] | split("-"))[0]; null; null) end;

# The first of the dates $wanted (374) that an array of segments has.
def x12_dtm($wanted):
  [.[] | select(.id == "DTM")] as $s
  | if $s == [] then null else first($wanted[] as $q | $s[] | select(.e[1] == $q) | x12_dtm_text | select(. != null)) // null end;

# The same of G62 (432).
def x12_g62($wanted): . as $s | first($wanted[] as $q | $s[] | select(.id == "G62" and .e[1] == $q) | x12_when(.e[2]; .e[4]; .e[5]) | select(. != null)) // null;

# When a delivery is due, best first: delivery requested, estimated, scheduled, required
# by, promised; then shipment requested.
def x12_due: x12_dtm(["002", "017", "067", "371", "063", "074", "106", "010", "037", "038"]);

# What states no time of its own is of the time of its group, else of the interchange.
def x12_stamp($t; $when):
  if $when != null then {occurred_at: $when}
  elif $t.group.date // "" | test("^([0-9]{2})?[0-9]{6}$") then {occurred_at: x12_when($t.group.date; $t.group.time; null), occurred_basis: "envelope"}
  elif $t.interchange.date // "" | test("^[0-9]{6}$") then {occurred_at: x12_when($t.interchange.date; $t.interchange.time; null), occurred_basis: "envelope"}
  else {} end;

# ---- Documents

# A purpose (353) that corrects, cancels or replaces makes another revision, named by
# what orders them: a change number, or a date.
def x12_revision($purpose; $order): if $purpose != null and ($purpose | IN("01", "02", "03", "04", "05", "18", "19", "20", "38", "54")) then ($order | x12_digits) // $purpose else null end;
def x12_cancels: IN("01", "03");

# The number of a document that has none of its own: its set's in its interchange.
def x12_control: [.interchange.control, .group.control, .control] | map(select(. != null and . != "")) | join("-");

# The number that a document cannot do without; of a blanket order with its release.
def x12_number($id; $n): .e[$n] | if . == null then reject("no_number"; "\($id) has no number") else . end;
def x12_released($number; $release): if $release == null then $number else "\($number)/\($release)" end;

# The same of order status (473) and reporting (514) codes.
def x12_w_revision: if . == null or IN("N", "F", "O") then null else . end;

def x12_ref($issuer; $type; $number): if $number == null or $number == "" then [] else [{issuer: $issuer, type: $type, number: $number}] end;
def x12_prf: seg("PRF") | if .e[1]? == null then null else x12_released(.e[1]; .e[2]) end;
def x12_order($d; $number): x12_ref($d.order_issuer; $d.order_type // "order"; $number);
def x12_purchase($d; $number): x12_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $number);

# The value of the first REF, N9 or L11 of an array with one of the qualifiers (128).
def x12_reference($wanted):
  [.[] | if .id == "REF" or .id == "N9" then [.e[1], .e[2]] elif .id == "L11" then [.e[2], .e[1]] else empty end | select(.[1] != null)] as $s
  | if $s == [] then null else first($wanted[] as $q | $s[] | select(.[0] == $q) | .[1]) // null end;
def x12_lot: x12_reference(["LT", "LOT", "BT"]);

# Marks (88) of a package: its SSCC (GS1), and the carrier's number.
def x12_mark($wanted): first(.[] | select(.id == "MAN" and .e[2] != null) | select(.e[1] | IN($wanted[])) | .e[2]) // null;
def x12_sscc: x12_mark(["GM", "AA", "AI"]);
def x12_tracking: x12_reference(["2I", "CN", "WY"]) // x12_mark(["CP"]);

# What a milestone with a status is of.
def x12_about:
  if IN("shipped", "in_transit", "inbound", "received", "picked", "transfer_in", "transfer_out", "in_question", "damaged") then "shipments"
  elif IN("returned", "return_requested") then "returns"
  else "orders" end;

def x12_milestone($status; $due): {kind: "milestone", $status, milestone: ({about: ($status | x12_about), $due} | filled)};
def x12_movement($type; $status): {kind: "movement", $status, movement: {type: $type}};

# A movement of nothing, or one that takes back, is none.
def x12_moves($type; $status):
  if .quantity | . != null and (x12_zero or startswith("-")) then . + x12_milestone($status; null) else . + x12_movement($type; $status) end;

# A balance as the status it is reported under.
def x12_count($status):
  (.quantity | x12_decimal) as $q
  | if $status == "on_hold" then del(.quantity) + {kind: "count", $status, count: {balances: [{state: "quarantine", quantity: $q}]}}
    elif $status == "damaged" then del(.quantity) + {kind: "count", $status, count: {balances: [{state: "damaged", quantity: $q}]}}
    else . + {kind: "count", $status} end;

# ---- 846, 852: what is there

# Quantities (673) that are stock, or moved it. Others are terms, targets and sums.
def x12_quantity_status: {
    "01": "on_hand", "17": "on_hand", "25": "on_hand", "26": "on_hand", "35": "on_hand", "36": "on_hand", "BI": "on_hand", "ES": "on_hand", "RF": "on_hand", "TX": "on_hand",
    "29": "available", "33": "available", "34": "available", "QA": "available", "RJ": "available", "V2": "available",
    "15": "on_hold", "QH": "on_hold", "20": "damaged", "74": "damaged", "86": "in_question", "03": "rejected", "QC": "rejected",
    "45": "on_order", "63": "on_order", "BA": "on_order", "14": "in_transit", "IQ": "in_transit", "BQ": "backordered", "90": "acked",
    "19": "received", "75": "received", "87": "received", "AO": "received", "QD": "received", "76": "returned", "84": "returned", "12": "shipped", "39": "shipped", "SA": "shipped",
    "77": "transfer_in", "78": "transfer_out", "V3": "transfer_out", "32": "sold", "83": "sold", "OF": "sold", "ON": "sold", "RT": "sold", "QB": "dispensed",
    "99": "consumed", "UU": "consumed", "QW": "issued", "BY": "produced", "MF": "produced", "UA": "produced", "A5": "adjusted", "AJ": "adjusted", "QV": "cancelled"
  }[. // ""];

# Activities (859). Sums, plans and levels are not here.
def x12_activity_status: {
    "AB": "shipped", "BS": "sold", "BT": "sold", "MS": "sold", "OF": "sold", "OP": "sold", "Q1": "sold", "QS": "sold", "RE": "sold", "TS": "sold", "WQ": "sold",
    "DG": "damaged", "HL": "on_hold", "QH": "on_hold", "OH": "on_hand", "QB": "on_hand", "QE": "on_hand", "QA": "available", "QO": "out_of_stock",
    "Q2": "returned", "Q3": "returned", "QU": "returned", "RQ": "returned", "Q4": "ordered", "QX": "ordered", "QP": "on_order", "QI": "in_transit", "QR": "received",
    "QT": "adjusted", "PA": "adjusted", "AA": "adjusted", "QW": "issued", "QZ": "transfer_out"
  }[. // ""];

# Cuts a report into its quantities: [{seg, near, lin, own, site}]. near is what follows
# the segment, own what stands between its LIN and the quantities, site the parties
# that hold for it beside those of the heading. An N1 group holds for what follows it
# until the next group; where a document writes it behind its quantities (QTY, then N1,
# within a LIN), for what stands in front of it.
def x12_quantities:
  [loops(["LIN", "N1", "QTY", "ZA"])[1:][]] as $blocks
  | ([$blocks[][0].id] | join(" ") | test("LIN QTY( QTY)* N1")) and ([$blocks[][0].id] | join(" ") | test("LIN( N1)+ QTY") | not) as $behind
  | [foreach $blocks[] as $b ({lin: null, own: [], site: [], group: false};
      $b[0].id as $id
      | if $id == "N1" then .site = (if .group then .site else [] end) + $b | .group = true
        else .group = false | if $id == "LIN" then .lin = $b[0] | .own = $b | .site = (if $behind then [] else .site end) else . end end;
      {id: $b[0].id, seg: $b[0], near: $b, lin, own, site})] as $all
  | (if $behind | not then $all
     else [foreach ($all | reverse)[] as $b ({site: [], group: false};
        if $b.id == "N1" then .site = $b.near + (if .group then .site else [] end) | .group = true
        elif $b.id == "LIN" then {site: [], group: false}
        else .group = false end;
        $b + {site})] | reverse end)
  | map(select(.id == "QTY" or .id == "ZA"));

# The unit of a quantity: its own, else the next UIT's, else that of its LIN.
def x12_unit_of($sep; $q; $n):
  first(($q.seg | comp($sep; $n; 1)), ($q.near, $q.own | seg("UIT") | select(. != null) | comp($sep; 1; 1)) | select(. != null)) // null;

# One line for each quantity, or for each place of its SDQ.
def x12_reported($c; $set; $number; $revision; $when; $head; $wanted):
  ($head | x12_roles) as $roles | ($head | x12_place($wanted)) as $place
  | [x12_quantities[]
      | . as $q | (.seg.e[1] | x12_trim) as $code
      | (if .id == "QTY" then $code | x12_quantity_status else $code | x12_activity_status end) as $status
      | select($status != null)
      | (.lin | x12_lin) as $item | select($item.ids != [])
      | ((.site | x12_place($wanted)) // (.own | x12_place($wanted)) // $place) as $at
      | (if .id == "ZA" and .seg.e[5] != null then x12_when(.seg.e[5]; null; null)
         else .near | x12_dtm(["007", "097", "090", "091", "050", "366"]) end) as $own
      | ((.near | x12_split($c.sep)) as $split | if .id == "ZA" or ($split | length) > 0 and any(.near[]; .id == "SDQ") then $split else [] end) as $split
      | (if $split == [] then [{place: $at, quantity: .seg.e[2], unit: null}] else $split end)[]
      | select(.quantity != null)
      | { at: $q.seg.pos, document: {type: $set, $number, $revision, line: "\($q.lin.e[1] // "at \(($q.lin.pos // $q.seg.pos) - $c.t.pos)")/\($code)\(if $split == [] then "" else "/" + .place[0] end)"},
          ids: $item.ids, location: .place, quantity, unit: (.unit // x12_unit_of($c.sep; $q; 3)), $status,
          due: ($q.near | x12_due),
          attributes: ($roles + ($q.own | x12_roles) + ($q.site | x12_roles) + {
            location_number: (($q.near + $q.own | x12_reference(["LU"])) // ($head | x12_reference(["LU"]))),
            lot: ($item.lot // ($q.near | x12_lot) // ($q.own | x12_lot)), serial: $item.serial, $code, flags: ($item.flags | join(" "))} | filled) }
        + x12_stamp($c.t; $own // $when) ];

# Counts where they are balances, milestones where they are not. Of one item at one
# place only one number is the count: on hand goes before available, and what is
# listed twice (by lot, say) is none, for the later would stand in the place of the
# earlier.
def x12_balances:
  {"on_hand": true, "available": true, "on_hold": true, "damaged": true} as $balance
  | map(if $balance[.status] then .key = ([.ids, .location, .occurred_at] | tojson) else . end)
  | ([.[] | select(.status == "on_hand") | {(.key): true}] | add) as $on_hand
  | ([.[] | select(.key) | .status + .key] | group_by(.) | map(select(length > 1) | {(.[0]): true}) | add) as $twice
  | map(.key as $k | .due as $due | del(.due, .key)
    | if $k == null then . + x12_milestone(.status; $due)
      elif $twice[.status + $k] then . + x12_milestone(.status; $due) | .attributes.flags = ([.attributes.flags, "listed_twice"] | map(select(. != null)) | join(" "))
      elif .status == "available" and $on_hand[$k] then . + x12_milestone(.status; $due)
      else x12_count(.status) end);

def x12_846:
  . as $c | ($c.s | loops("LIN")[0]) as $head | ($head | seg("BIA")) as $b
  | (($head | x12_dtm(["007", "366", "097", "091", "102", "194", "152"])) // x12_when($b.e[4]; $b.e[5]; null)) as $when
  | $c.s[($head | length):]
  | x12_reported($c; "846"; [$b.e[3] // ($c.t | x12_control), $b.e[4], $b.e[5]] | map(select(. != null)) | join("/"); x12_revision($b.e[1]; $b.e[4]); $when; $head; ["WH", "RL", "FA", "SF", "ST"])
  | x12_balances;

def x12_852:
  . as $c | ($c.s | loops("LIN")[0]) as $head | ($head | seg("XQ")) as $x
  | (($head | x12_reference(["IA", "VR", "DP", "DEP"])) as $ref | [$x.e[2], $x.e[3], $ref] | map(select(. != null)) | join("/")) as $number
  | $c.s[($head | length):]
  | x12_reported($c; "852"; if $number == "" then ($c.t | x12_control) else $number end; null; x12_when($x.e[3] // $x.e[2]; null; null); $head; ["RL", "WH", "ST", "BY"])
  | map(if .attributes.code == "QB" then . + x12_stamp($c.t; x12_when($x.e[2]; null; null)) else . end
    | .attributes += ({period_from: $x.e[2], period_to: $x.e[3]} | filled))
  | x12_balances;

# ---- 850, 860, 855, 865: orders

# A line of PO1 or POC: what both have, by the numbers of quantity, unit and ids.
def x12_po_line($c; $q; $u; $ids):
  . as $loop | ([$loop | loops(["SLN"])[0][]]) as $own | $own[0] as $l
  | ($l | x12_pairs($ids) | x12_item) as $i
  | { line: $l, own: $own, split: ($own | x12_split($c.sep)), quantity: ($l.e[$q] // ($own | loops("N1")[0] | seg("QTY") | .e[2]?)),
      unit: ($l | comp($c.sep; $u; 1)), ids: $i.ids,
      due: (($own | x12_due) // ($own | seg("SCH") | if . == null then null else x12_when(.e[6]; null; null) end)),
      attributes: (($own | x12_roles) + {lot: $i.lot, serial: $i.serial, flags: ($i.flags | join(" "))}) };

# Our customer's order is demand on us; defaults.orders: supply makes it what we have
# ordered ourselves, due at its ship-to.
def x12_ordered($c; $kind; $stage; $place):
  if $kind == "supply" then . + {kind: "supply", supply: ({stage: (if $stage == "cancelled" then "closed" else $stage end), due} | filled), location: (.location // $place)}
  else . + {kind: "demand", demand: ({stage: $stage, due} | filled)} end
  | del(.due);

def x12_order_lines($c; $id; $number; $revision; $when; $q; $u; $ids; $cancelled; change):
  ($c.d.orders // "demand") as $kind | ($c.s | loops($id)) as $l | ($l[0] | x12_roles) as $roles
  | ($l[0] | x12_place(["WH", "SF"])) as $from | ($l[0] | x12_place(["ST"])) as $to | ($l[0] | x12_due) as $due
  | each($l[1:][];
      .index as $index | .row | x12_po_line($c; $q; $u; $ids) as $p | ($p.line | change) as $change
      | (if $p.split == [] then [{place: null, quantity: $p.quantity, unit: null}] else $p.split end)[]
      | .place as $place
      | { at: $p.line.pos, document: {type: "850", $number, $revision, line: "\($p.line.e[1] // $index)\(if $place then "/" + $place[0] else "" end)"},
          ids: $p.ids, quantity, unit: (.unit // $p.unit), due: ($p.due // $due), status: $change.status,
          location: (($p.own | x12_place(["WH", "SF"])) // $from),
          refs: (if $kind == "supply" then x12_purchase($c.d; $number) else x12_order($c.d; $number) end),
          attributes: ($roles + $p.attributes + (if $place then {ship_to: $place[0]} else {} end) + {change: $change.code} | filled) }
      + x12_stamp($c.t; $when)
      | if $change.status != "order_line_deleted" then x12_ordered($c; $kind; if $cancelled then "cancelled" else "ordered" end; $place // ($p.own | x12_place(["ST"])) // $to)
        # A line is gone when its quantity is cancelled, or none is ordered any more.
        elif .quantity != null and (.quantity | x12_zero | not) then x12_ordered($c; $kind; "cancelled"; $to)
        else .quantity = "0" | x12_ordered($c; $kind; "ordered"; $to) end);

def x12_850:
  . as $c | ($c.s | seg("BEG")) as $b
  | if $b == null then reject("no_header"; "an 850 needs a BEG") else . end
  | ($b.e[1] // "" | x12_cancels) as $gone
  | x12_order_lines($c; "PO1"; x12_released($b | x12_number("BEG"; 3); $b.e[4]); x12_revision($b.e[1]; $b.e[5]); x12_when($b.e[5]; null; null);
      2; 3; 6; $gone; {status: (if $gone then "cancelled" else "ordered" end), code: null});

# What a change (670) makes of a line.
def x12_change_status: if . != null and IN("DI", "CF") then "order_line_deleted" else "ordered" end;

def x12_860:
  . as $c | ($c.s | seg("BCH")) as $b
  | if $b == null then reject("no_header"; "an 860 needs a BCH") else . end
  | ($b.e[1] // "" | x12_cancels) as $gone
  | if $gone and ($c.s | seg("POC")) == null then reject("whole_order"; "order \($b.e[3]) is cancelled as a whole, without its lines") else . end
  | x12_order_lines($c; "POC"; x12_released($b | x12_number("BCH"; 3); $b.e[4]); ([$b.e[5], $b.e[11], $b.e[6], $c.t.group.date] | map(x12_digits) | x12_first);
      x12_when([$b.e[11], $b.e[6]] | x12_first; null; null);
      3; 5; 8; $gone; {status: (if $gone then "cancelled" else .e[2] | x12_change_status end), code: .e[2]});

# What an answer (668) says of a line.
def x12_answer_status:
  if . == null then "acked"
  elif . == "IB" then "backordered" elif . == "ID" then "cancelled" elif . == "IR" or test("^R[1-8]$") then "rejected"
  elif IN("IF", "IH", "IW") then "on_hold"
  else "acked" end;

# The answer to an order, line by line: by its ACK segments, else as a whole ($type:
# data element 587). It moves nothing; the advice of shipment does.
def x12_answers($c; $set; $id; $number; $revision; $when; $type; $q; $u; $ids; change):
  ($c.s | loops($id)) as $l | ($l[0] | x12_roles) as $roles | ($l[0] | x12_place(["ST"])) as $to | ($l[0] | x12_due) as $due
  | (if $type != null and ($type | IN("RD", "RJ", "RF", "RO")) then "rejected" else "acked" end) as $whole
  | each($l[1:][];
      .index as $index | .row | x12_po_line($c; $q; $u; $ids) as $p
      | { at: $p.line.pos, document: {type: $set, $number, $revision, line: "\($p.line.e[1] // $index)"}, ids: $p.ids,
          location: (($p.own | x12_place(["ST"])) // $to), refs: x12_purchase($c.d; $number),
          attributes: ($roles + $p.attributes | filled) } as $line
      | ($p.line | change) as $change | [$p.own[] | select(.id == "ACK")] as $acks
      | if $acks == [] then $line + {quantity: $p.quantity, unit: $p.unit} + x12_milestone($change // $whole; $p.due // $due) | x12_to($p.split)
        else
          ($acks | to_entries[]) | .key as $n | .value as $a
          | ($a.e[1] | x12_answer_status) as $said
          | ($a | x12_pairs(7) | x12_item | .ids) as $named # a substitute, where another item was ordered
          | $line + {at: $a.pos, quantity: ($a.e[2] // $p.quantity), unit: (($a | comp($c.sep; 3; 1)) // $p.unit), ids: (if $p.ids == [] then $named else $p.ids end)}
            + x12_milestone(if $change == "order_line_deleted" and $said == "acked" then $change else $said end; x12_when($a.e[5]; null; null) // $p.due // $due)
          | .document.line += (if $n == 0 then "" else "/\($n + 1)" end)
          | .attributes += ({code: $a.e[1], answered: ($named | map("\(.type) \(.value)") | join(" "))} | filled) end
      | . + x12_stamp($c.t; $when));

def x12_855:
  . as $c | ($c.s | seg("BAK")) as $b
  | if $b == null then reject("no_header"; "an 855 needs a BAK") else . end
  | x12_answers($c; "855"; "PO1"; x12_released($b | x12_number("BAK"; 3); $b.e[5]); ($b.e[9] | x12_digits); x12_when($b.e[9]; null; null); $b.e[2]; 2; 3; 6; null);

def x12_865:
  . as $c | ($c.s | seg("BCA")) as $b
  | if $b == null then reject("no_header"; "an 865 needs a BCA") else . end
  | ([$b.e[12], $b.e[11], $b.e[10]] | map(select(. != null and test("^([0-9]{2})?[0-9]{6}$"))) | x12_first) as $day
  | x12_answers($c; "865"; "POC"; x12_released($b | x12_number("BCA"; 3); $b.e[4]); ([$b.e[5], $day, $b.e[6]] | map(x12_digits) | x12_first); x12_when($day; null; null); $b.e[2]; 3; 5; 8;
      if .e[2] | x12_change_status == "order_line_deleted" then "order_line_deleted" else null end);

# ---- 856: what is on its way

# An HL with a quantity (SN1) is a line, unless one above it is one already: what stands
# below an item divides it and adds nothing. What it does not say itself, the loops
# above it say: the nearest counts.
def x12_856:
  . as $c | ($c.s | seg("BSN")) as $b
  | if $b == null then reject("no_header"; "an 856 needs a BSN") else . end
  | ($c.s | loops("HL")[0]) as $head | ($c.s | try hl catch reject("bad_hierarchy"; .)) as $hl
  | [$hl[] | .segments | {item: (any(.[]; .id == "LIN") and any(.[]; .id == "SN1")), roles: x12_roles, to: x12_place(["ST"])}] as $of
  | ($head | x12_roles) as $roles | ($head | x12_place(["ST"])) as $to
  | ($b.e[1] // "" | x12_cancels) as $gone
  | each(
      $hl | to_entries[] | select(any(.value.segments[]; .id == "SN1" and .e[2] != null)) | select(any(.value.up[]; $of[.].item) | not);
      .row.key as $i | .row.value as $h | [$h.segments, ($h.up[] | $hl[.].segments), $head] as $chain
      | ($h.segments | if ([.[] | select(.id == "LIN")] | length) > 1 then loops("LIN")[1:][] else . end) as $own
      | ($own | seg("SN1")) as $sn | select($sn != null)
      | (first($own, $chain[1:][] | seg("LIN") | select(. != null)) // null) as $lin | ($lin | x12_lin) as $item
      | if $lin == null then reject("no_item"; "HL \($h.number) has a quantity and no LIN, nor has one above it") else . end
      | ((first($chain[] | x12_prf | select(. != null)) // null) // $item.po // (first($chain[] | x12_reference(["PO"]) | select(. != null)) // null)) as $po
      | (first($chain[] | x12_dtm(["011"]) | select(. != null)) // x12_when($b.e[3]; $b.e[4]; null)) as $when
      | (first($chain[] | x12_due | select(. != null)) // null) as $due
      | (def near($q): first($chain[] | x12_reference($q) | select(. != null)) // null;
         { at: $sn.pos, document: {type: "856", number: ($b.e[2] // near(["PK", "BM", "SI"]) // ($c.t | x12_control)), revision: x12_revision($b.e[1]; (($b.e[3] // "") + ($b.e[4] // ""))), line: "\($h.number // $i + 1)"},
           ids: $item.ids, quantity: $sn.e[2], unit: ($sn | comp($c.sep; 3; 1)),
           location: ($of[$i].to // (first($h.up[] | $of[.].to | select(. != null)) // null) // $to),
           refs: x12_purchase($c.d; $po),
           attributes: ($roles + ([$h.up | reverse[] | $of[.].roles] | add) + $of[$i].roles + {
             $po, lot: ($item.lot // ($own | x12_lot)), serial: $item.serial, ordered: $sn.e[5], tracking: (first($chain[] | x12_tracking | select(. != null)) // null), bol: near(["BM"]),
             sscc: (first($chain[] | x12_sscc | select(. != null)) // null), flags: ($item.flags + $h.flags | join(" "))} | filled) })
      + x12_stamp($c.t; $when)
      | ($sn.e[8] | x12_answer_status) as $said
      | if $gone then . + x12_milestone("cancelled"; $due) | .milestone.about = "shipments"
        elif (.quantity | x12_zero) and ($said != "acked") then (.quantity = ($sn.e[5] // .quantity)) + x12_milestone($said; $due)
        elif .refs == [] then . + x12_milestone("shipped"; $due)
        else . + {kind: "supply", status: "shipped", supply: ({stage: "expected", $due} | filled)} end
      | x12_to([$own[] | select(.id == "SDQ")] | x12_split($c.sep)));

# ---- 861: what was received

def x12_861:
  . as $c | ($c.s | seg("BRA")) as $b
  | if $b == null then reject("no_header"; "an 861 needs a BRA") else . end
  | ($c.s | if (map(.id) | (index("LIN") // infinite) < (index("RCD") // infinite)) then loops("LIN") else loops("RCD") end) as $l
  | ($l[0] | x12_roles) as $roles | ($l[0] | x12_place(["RC", "WH", "ST"])) as $at | ($l[0] | x12_reference(["PO"]) // x12_prf) as $po
  | (($l[0] | x12_dtm(["050", "035", "140"])) // x12_when($b.e[2]; $b.e[5]; null)) as $when
  | each($l[1:][];
      .index as $index | .row as $loop | ($loop | seg("LIN") | x12_lin) as $item
      | $loop[] | select(.id == "RCD") | . as $r
      | (first(($loop | x12_prf), $item.po, ($loop | x12_reference(["PO"])), $po | select(. != null)) // null) as $order
      | { at: $r.pos, document: {type: "861", number: ($b.e[1] // ($c.t | x12_control)), revision: x12_revision($b.e[3]; (($b.e[2] // "") + ($b.e[5] // ""))), line: "\($r.e[1] // $index)"},
          ids: $item.ids, location: (($loop | x12_place(["RC", "WH", "ST"])) // $at), refs: x12_purchase($c.d; $order),
          attributes: ($roles + ($loop | x12_roles) + {po: $order, shipment: ($loop | x12_reference(["SI", "BM", "PK"])), lot: ($item.lot // ($loop | x12_lot)), serial: $item.serial, flags: ($item.flags | join(" "))} | filled) }
      + x12_stamp($c.t; ($loop | x12_dtm(["050", "035"])) // $when)
      | . as $line
      | (if $r.e[2] == null then empty else $line + {quantity: $r.e[2], unit: ($r | comp($c.sep; 3; 1))} | x12_moves("receipt"; "received") end),
        (if $r.e[4] == null or ($r.e[4] | x12_zero) then empty
         else $line + {quantity: $r.e[4], unit: ($r | comp($c.sep; 5; 1))} + x12_milestone("returned"; null) | .document.line += "/returned" end),
        (range(6; 21; 3) as $n | select($r.e[$n] != null and ($r.e[$n] | test("[0-9]") and (x12_zero | not)))
         | $line + {quantity: $r.e[$n], unit: (($r | comp($c.sep; $n + 1; 1)) // ($r | comp($c.sep; 3; 1)))} + x12_milestone("in_question"; null)
         | .document.line += "/\($n)" | .attributes.condition = $r.e[$n + 2] | .attributes |= filled));

# ---- 867: what was sold or transferred on

# What a transfer (521; PTD06 says which way) is.
def x12_transfer_status($way):
  if $way == "TI" then "transfer_in" elif $way == "TO" then "transfer_out" elif $way != null and ($way | IN("CD", "DM")) then "returned"
  elif . == null then "sold"
  elif IN("BN", "RB", "RP", "RU", "RV") then "returned"
  elif IN("IB", "BJ") then "transfer_out"
  elif IN("IA", "SA", "SC", "TD", "BT") then "adjusted"
  elif . == "RC" then "received"
  elif IN("BC", "BD", "BE", "BG", "BH", "BI", "BL", "BM", "CC", "CO", "SM") then "issued"
  else "sold" end;

def x12_867:
  . as $c | ($c.s | seg("BPT")) as $b
  | if $b == null then reject("no_header"; "an 867 needs a BPT") else . end
  | ["SF", "WH", "DS", "DB", "SE", "RL"] as $from
  | ($c.s | loops("PTD")) as $l | ($l[0] | x12_roles) as $roles | ($l[0] | x12_place($from)) as $at
  | ($l[0] | x12_dtm(["003", "011", "091"])) as $when
  | each(
      # Price adjustments move nothing.
      $l[1:] | to_entries[] | select(.value[0].e[1] != "PA" and .value[0].e[1] != "PB");
      .row.key as $n | .row.value as $loop | $loop[0] as $p
      | ($loop | loops("QTY")) as $q | ($q[0] | seg("LIN")) as $before | ($q[0] | x12_reference(["PO", "CO"])) as $order
      | $q[1:] | to_entries[] | .key as $m | .value as $near | $near[0] as $qty
      | (($near | seg("LIN")) // (if $m == 0 then $before else ($q[$m] | seg("LIN")) // $before end)) as $lin | ($lin | x12_lin) as $item | select($item.ids != [] and $qty.e[2] != null)
      | (($qty.e[1] | if IN("01", "02", "38") then null else x12_quantity_status end) as $s
         | ($p.e[1] | x12_transfer_status($p.e[6])) as $t | if $s == null or ($s == "sold" and $t != "sold") then $t else $s end) as $status
      | { at: $qty.pos, document: {type: "867", number: ($b.e[2] // ($c.t | x12_control)), revision: x12_revision($b.e[1]; $b.e[3]), line: "\($n + 1)/\($m + 1)"},
          ids: $item.ids, quantity: $qty.e[2], unit: (($qty | comp($c.sep; 3; 1)) // ($near | seg("UIT") | if . == null then null else comp($c.sep; 1; 1) end)),
          location: (($q[0] | x12_place($from)) // $at),
          attributes: ($roles + ($q[0] | x12_roles) + {$order, transfer: $p.e[1], lot: ($item.lot // ($near | x12_lot)), serial: $item.serial, flags: ($item.flags | join(" "))} | filled) }
      + x12_milestone($status; null)
      + x12_stamp($c.t; ($near | x12_dtm(["003", "011", "035", "187", "514"])) // ($q[0] | x12_dtm(["003", "011", "035", "187", "514"])) // $when // x12_when($b.e[3]; null; null)));

# ---- 180: what is to come back

def x12_180:
  . as $c | ($c.s | seg("BGN")) as $b
  | if $b == null then reject("no_header"; "a 180 needs a BGN") else . end
  | ($c.s | if any(.[]; .id == "BLI") then loops("BLI") else loops("LIN") end) as $l | ($l[0] | x12_roles) as $roles
  | (x12_when($b.e[3]; $b.e[4]; $b.e[5])) as $when | ($l[0] | x12_prf) as $po
  | each($l[1:][];
      .index as $index | .row as $loop | $loop[0] as $l0 | ($loop | seg("QTY")) as $q
      | (if $l0.id == "BLI"
         then ($l0 | x12_pairs(8)) as $more | {pairs: ([[$l0.e[1], $l0.e[2]] | select(.[0] != null and .[1] != null)] + $more.pairs), flags: $more.flags} | x12_item
         else $l0 | x12_lin end) as $item
      | { at: $l0.pos, document: {type: "180", number: ($b.e[2] // ($c.t | x12_control)), revision: x12_revision($b.e[1]; (($b.e[3] // "") + ($b.e[4] // ""))), line: $index},
          ids: $item.ids, quantity: (if $l0.id == "BLI" then $l0.e[3] else null end // $q.e[2]?),
          unit: (if $l0.id == "BLI" then $l0 | comp($c.sep; 4; 1) else null end // ($q | if . == null then null else comp($c.sep; 3; 1) end)),
          attributes: ($roles + ($loop | x12_roles) + {
            po: (($loop | x12_prf) // $po), disposition: ($loop | seg("RDR") | .e[1]?), reason: ($loop | seg("RDR") | .e[2]?),
            rma: (($loop | x12_reference(["RZ", "QJ", "1Z"])) // ($l[0] | x12_reference(["RZ", "QJ", "1Z"]))), lot: $item.lot, serial: $item.serial, flags: ($item.flags | join(" "))} | filled) }
      + x12_milestone("return_requested"; null) + x12_stamp($c.t; $when));

# ---- 940, 943, 944, 945, 947: the warehouse

# {quantity, unit, ids, lot, flags} of a warehouse line. Some write another set's.
def x12_w_line($c):
  def of($q; $u; $upc; $pairs; $lot): . as $s | x12_ids($upc; $pairs; $lot)
    | .ids as $all | [$all[] | select(.type | x12_aside | not)] as $named
    | .lot = (.lot // first($all[] | select(.type == "LT") | .value) // null) | if $named != [] then .ids = $named else . end
    | . + {quantity: $s.e[$q], unit: ($s | comp($c.sep; $u; 1))};
  if .id == "W01" then of(1; 2; 3; [4, 6, 15]; 13)
  elif .id == "W04" then of(1; 2; 3; [4, 6, 14]; 999)
  elif .id == "W07" then of(1; 2; 3; [4, 6, 10]; 8)
  elif .id == "W12" then of(3; 5; 6; [7, 17, 21]; 9)
  else of(2; 3; 4; [5, 7, 17]; 9) end;

def x12_w_attributes($loop; $near; $i; $roles):
  $roles + {lot: ($i.lot // ($loop | x12_lot) // ($near | x12_lot)), serial: ($loop | x12_reference(["SE"])),
    po: ($loop | x12_reference(["PO"])), tracking: (($loop | x12_tracking) // ($near | x12_tracking)), sscc: (($loop | x12_sscc) // ($near | x12_sscc)), flags: ($i.flags | join(" "))};

# Warehouse lines with their LX loops: [{line, loop, near}].
def x12_w_rows($ids):
  . as $s | ([$ids[] as $id | select(any($s[]; .id == $id)) | $id][0]) as $id
  | if $id == null then []
    else [foreach loops([$id, "LX"])[1:][] as $b ({near: []};
        if $b[0].id == "LX" then .near = $b else . end; {line: $b[0], loop: $b, near} | select(.line.id == $id))] end;

def x12_940:
  . as $c | ($c.s | seg("W05")) as $w
  | if $w == null then reject("no_header"; "a 940 needs a W05") else . end
  | if $w.e[1] == "X" then reject("simulation"; "a simulated order") else . end
  | ($w.e[1] // "" | IN("D", "F")) as $gone
  | ($c.s | x12_roles) as $roles | ($c.s | x12_place(["WH", "SF"])) as $site | ($c.s | x12_g62(["02", "10", "17", "38", "04"])) as $due
  | each($c.s | x12_w_rows(["W01", "W04", "W12"])[];
      .index as $index | .row as $r | ($r.line | x12_w_line($c)) as $i
      | { at: $r.line.pos, document: {type: "940", number: ($w | x12_number("W05"; 2)), revision: ($w.e[1] | x12_w_revision | if . == "F" or . == "D" then null else . end), line: $index},
          ids: $i.ids, location: $site, quantity: $i.quantity, unit: $i.unit,
          refs: x12_order($c.d; $w.e[2]),
          attributes: (x12_w_attributes($r.loop; $r.near; $i; $roles) + {po: $w.e[3]} | filled),
          kind: "demand", status: (if $gone then "cancelled" else "ordered" end), demand: ({stage: (if $gone then "cancelled" else "ordered" end), $due} | filled) }
      + x12_stamp($c.t; null));

def x12_943:
  . as $c | ($c.s | seg("W06") // seg("W05") // seg("W17")) as $w
  | if $w == null then reject("no_header"; "a 943 needs a W06") else . end
  | ($c.s | x12_roles) as $roles | ($c.s | x12_place(["WH", "ST"])) as $site | ($c.s | x12_g62(["17", "02", "35", "53"])) as $due
  | (if $w.id == "W06" then $w.e[3] elif $w.id == "W17" then $w.e[2] else null end) as $day
  | (($c.s | x12_g62(["11"])) // x12_when($day; null; null)) as $when
  | each($c.s | x12_w_rows(["W04", "W12", "W07", "W01"])[];
      .index as $index | .row as $r | ($r.line | x12_w_line($c)) as $i
      | { at: $r.line.pos, document: {type: "943", number: (if $w.id == "W06" then $w.e[2] // $w.e[4] elif $w.id == "W17" then $w.e[3] else $w.e[2] end // ($c.t | x12_control)), revision: ($w.e[1] | x12_w_revision), line: $index},
          ids: $i.ids, location: $site, quantity: $i.quantity, unit: $i.unit,
          refs: x12_purchase($c.d; if $w.id == "W17" then $w.e[4] else $w.e[2] end),
          attributes: (x12_w_attributes($r.loop; $r.near; $i; $roles) + {shipment: (if $w.id == "W06" then $w.e[4] else null end)} | filled) }
      + x12_stamp($c.t; $when)
      | if .refs == [] then . + x12_milestone("in_transit"; $due)
        else . + {kind: "supply", status: "in_transit", supply: ({stage: "expected", $due} | filled)} end);

# What a condition of receipt (412) makes of a quantity beside the receipt.
def x12_condition_status: {"01": "damaged", "04": "in_question", "05": "in_question", "08": "rejected", "09": "on_hold", "13": "in_question"}[. // ""];

def x12_944:
  . as $c | ($c.s | seg("W17")) as $w
  | if $w == null then reject("no_header"; "a 944 needs a W17") else . end
  | ($c.s | x12_roles) as $roles | ($c.s | x12_place(["WH", "ST"])) as $site
  | (if $w.e[7] == null then ($c.s | x12_g62(["09", "19", "35"])) as $g | if $g != null and ($g | startswith(x12_when($w.e[2]; null; null) // "-")) then $g else x12_when($w.e[2]; null; null) end
     else x12_when($w.e[2]; $w.e[7]; null) end) as $when
  | each($c.s | x12_w_rows(["W07", "W04", "W12"])[];
      .index as $index | .row as $r | ($r.line | x12_w_line($c)) as $i
      | { at: $r.line.pos, document: {type: "944", number: ($w.e[3] // $w.e[4] // ($c.t | x12_control)), revision: ($w.e[1] | x12_w_revision), line: $index},
          ids: $i.ids, location: $site, quantity: $i.quantity, unit: $i.unit, refs: x12_purchase($c.d; $w.e[4]),
          attributes: (x12_w_attributes($r.loop; $r.near; $i; $roles) + {shipment: $w.e[5]} | filled) }
      + x12_stamp($c.t; $when)
      | . as $line
      | x12_moves("receipt"; "received"),
        ($r.loop | to_entries[] | select(.value.id == "W13") | .key as $n | .value as $x | ($x.e[3] | x12_condition_status) as $s
         | select($s != null and $x.e[1] != null)
         | $line + {at: $x.pos, quantity: $x.e[1], unit: (($x | comp($c.sep; 2; 1)) // $line.unit)} + x12_milestone($s; null)
         | .milestone.about = "shipments" | .document.line = "\($index)/\($n)" | .attributes.condition = $x.e[3]));

# What a state of a shipment line (368) means where nothing of it was shipped.
def x12_unshipped_status:
  if . == null then "shipped" elif IN("BK", "BO", "BP", "IB") then "backordered" elif IN("CA", "CK", "CN", "DE", "ID") then "cancelled" elif IN("IR", "RJ") then "rejected" else "shipped" end;

def x12_945:
  . as $c | ($c.s | seg("W06")) as $w
  | if $w == null then reject("no_header"; "a 945 needs a W06") else . end
  | ($c.s | x12_roles) as $roles | ($c.s | x12_place(["SF", "WH"])) as $site | ($c.s | x12_tracking) as $tracking
  | (($c.s | x12_g62(["11", "35"])) // x12_when($w.e[3]; null; null)) as $when
  | each($c.s | x12_w_rows(["W12", "W04", "W07"])[];
      .index as $index | .row as $r | ($r.line | x12_w_line($c)) as $i
      | { at: $r.line.pos, document: {type: "945", number: ($w.e[4] // $w.e[2] // ($c.t | x12_control)), revision: ($w.e[1] | x12_w_revision), line: $index},
          ids: $i.ids, location: $site, quantity: $i.quantity, unit: $i.unit, refs: x12_order($c.d; $w.e[2]),
          attributes: ({$tracking} + (x12_w_attributes($r.loop; $r.near; $i; $roles) | filled) + {shipment: $w.e[4]}
            + (if $r.line.id == "W12" then {code: $r.line.e[1], ordered: $r.line.e[2]} else {} end) | filled) }
      + x12_stamp($c.t; $when)
      | ($r.line.e[1] | x12_unshipped_status) as $said
      | if (.quantity == null and $said == "shipped") or (.quantity != null and (.quantity | x12_zero | not)) then x12_moves("ship"; "shipped")
        elif $r.line.id == "W12" and $said != "shipped" then .quantity = (([$r.line.e[4], $r.line.e[2]] | map(select(. != null and (x12_zero | not)))[0] | x12_magnitude) // "0") | . + x12_milestone($said; null)
        elif .refs == [] then . + x12_milestone("shipped"; null)
        # Nothing shipped of a line moves nothing: the warehouse knows of it, no more.
        else . + {kind: "demand", status: "shipped", demand: {stage: "allocated"}} end);

# Reasons of adjustments (181).
def x12_adjustment_reason: {
    "03": "shipment greater than reported", "04": "receipt less than reported", "05": "put on hold", "06": "book adjustment decrease", "07": "dumped or destroyed",
    "51": "located", "52": "reworked", "53": "shipment less than reported", "54": "receipt greater than reported", "55": "taken off hold", "56": "book adjustment increase",
    "AA": "physical count", "AB": "accounting error", "AC": "condition change", "AD": "purpose change", "AE": "reidentification", "AF": "stock number change", "AG": "ownership change",
    "AK": "transfer", "AR": "order shipment error", "AS": "recouping", "AU": "damaged in facility", "AV": "damaged in transit", "AW": "product recall", "AX": "shelf life",
    "AY": "receipt error", "BD": "nonrecoverable", "CD": "donation", "CR": "customer return", "CS": "sample", "PC": "reserved for customer", "UD": "unauthorized destruction"
  }[. // ""];

# W19-02 is a credit or, below zero, a debit. Where the reason is a loss by its name a
# number without a sign is one as well.
def x12_947:
  . as $c | ($c.s | seg("W15")) as $w
  | if $w == null then reject("no_header"; "a 947 needs a W15") else . end
  | ($c.s | x12_roles) as $roles | ($c.s | x12_place(["WH", "SF", "ST"])) as $site
  | (($c.s | x12_g62(["07", "09", "16"])) // x12_when($w.e[1]; null; null)) as $when
  | each($c.s | x12_w_rows(["W19"])[];
      .index as $index | .row as $r | $r.line.e[1] as $code | ($r.line | x12_w_line($c)) as $i
      | { at: $r.line.pos, document: {type: "947", number: ($w.e[2] // $w.e[3] // ($c.t | x12_control)), line: $index},
          ids: $i.ids, location: $site, quantity: $i.quantity, unit: $i.unit, refs: [],
          attributes: (x12_w_attributes($r.loop; $r.near; $i; $roles) + {depositor_adjustment: $w.e[3], $code, inventory_type: $r.line.e[16]} | filled) }
      + x12_stamp($c.t; $when)
      | (.quantity // "") as $q
      | if $code == "05" then .quantity = ($q | x12_magnitude) | x12_moves("hold"; "on_hold")
        elif $code == "55" then .quantity = ($q | x12_magnitude) | x12_moves("release"; "available")
        elif ($code | IN("AU", "AV")) and ($q | startswith("-")) then .quantity = ($q | x12_magnitude) | x12_moves("damage"; "adjusted")
        elif ($code | IN("06", "07", "BD", "UD")) and $q != "" and ($q | x12_zero | not) and ($q | startswith("-") | not) then .quantity = "-" + ($q | ltrimstr("+")) | .attributes.flags = ([.attributes.flags, "sign_of_reason"] | map(select(. != null)) | join(" "))
        else . end
      | if .kind != null then . elif .quantity | x12_zero then . + x12_milestone("adjusted"; null)
        else . + {kind: "movement", status: "adjusted", movement: {type: "adjustment", reason: "\($code) \($code | x12_adjustment_reason // "adjustment")"}} end);

# ---- 210, 214, 990: carriers

def x12_shipment_ids: [.[] | select(.value != null and .value != "")] | map({type, value: (.value | x12_trim)}) | unique_by(.value);

def x12_214:
  . as $c | ($c.s | seg("B10")) as $b
  | if $b == null then reject("no_header"; "a 214 needs a B10") else . end
  | ($c.s | loops(["LX", "AT7"])) as $l | ($l[0] | x12_roles) as $roles
  | [$l[0][] | select(.id == "L11")] as $refs
  | ([{type: "tracking", value: $b.e[1]}, {type: "shipment", value: $b.e[2]}]
     + [$refs[] | (.e[2] // "") as $q | {"BM": "bol", "CN": "tracking", "2I": "tracking", "SI": "shipment", "MB": "bol"}[$q] as $type | select($type != null) | {$type, value: .e[1]}] | x12_shipment_ids) as $ids
  | each($l[1:][] | select(.[0].id == "AT7");
      .row as $near | $near[0] as $a | ($near | seg("MS1")) as $m
      | ($m | if . == null then null else [.e[1], .e[2], .e[3]] | map(select(. != null and . != "") | x12_trim) | if . == [] then null else [join(" ")] end end) as $place
      | x12_when($a.e[5]; $a.e[6]; $a.e[7]) as $when | ($a.e[1] // $a.e[3]) as $status
      | if $status == null then reject("no_status"; "AT7 has neither a status nor an appointment") else . end
      | { kind: "milestone", at: $a.pos, document: {type: "214", number: ($b.e[1] // $b.e[2] // ($c.t | x12_control) | x12_trim), line: ([$status, $when, $place[0]?] | map(select(. != null)) | join(" "))},
          $ids, location: $place, $status, milestone: {about: "shipments"},
          attributes: ($roles + {scac: $b.e[3], reason: ($a.e[2] // $a.e[4]), equipment: ($near | seg("MS2") | if . == null then null else [.e[1], .e[2]] | map(select(. != null)) | join("") end),
            po: ($refs + $near | x12_reference(["PO"]))} | filled) }
      + x12_stamp($c.t; $when));

def x12_210:
  . as $c | ($c.s | seg("B3")) as $b
  | if $b == null then reject("no_header"; "a 210 needs a B3") else . end
  # B307 is of type N2: the last two digits are cents.
  | ($b.e[7] // "" | capture("^(?<sign>-?)(?<d>[0-9]+)$") // null) as $n
  | (if $n == null then null else ($n.d | if length < 3 then "000"[:3 - length] + . else . end) as $d | $n.sign + $d[:-2] + "." + $d[-2:] end) as $amount
  | [{ kind: "milestone", at: $b.pos, document: {type: "210", number: ($b.e[2] // $b.e[3] // ($c.t | x12_control)), revision: (if ($b.e[8] // "") == "" then null else $b.e[8] end)},
       ids: ([{type: "tracking", value: $b.e[2]}, {type: "shipment", value: $b.e[3]}, {type: "bol", value: ($c.s | x12_reference(["BM"]))}] | x12_shipment_ids),
       status: "freight_invoice", quantity: $amount, unit: (($c.s | seg("C3") | .e[1]?) // ($c.s | seg("CUR") | .e[2]?)), milestone: {about: "shipments"},
       attributes: (($c.s | loops("LX")[0] | x12_roles) + {delivered: $b.e[9], scac: $b.e[11]} | filled) }
     + x12_stamp($c.t; x12_when($b.e[6]; null; null))];

def x12_990:
  . as $c | ($c.s | seg("B1")) as $b
  | if $b == null then reject("no_header"; "a 990 needs a B1") else . end
  | if $b.e[4] == null then reject("no_status"; "B1 has no reservation action") else . end
  | [{ kind: "milestone", at: $b.pos, document: {type: "990", number: ($b.e[2] // ($c.t | x12_control)), line: "\($b.e[4]) \($b.e[3] // "")"},
       ids: ([{type: "shipment", value: $b.e[2]}, {type: "tracking", value: ($c.s | x12_reference(["CN", "2I"]))}] | x12_shipment_ids), status: $b.e[4], milestone: {about: "shipments"},
       attributes: ({scac: $b.e[1], reason: ($c.s | seg("V9") | .e[8]?)} | filled) } + x12_stamp($c.t; x12_when($b.e[3]; null; null))];

# ---- 997, 999: acknowledgements

# What an answer to a set or group (717, 715) comes to.
def x12_accepted: if . == null then null elif IN("A", "E") then "accepted" elif . == "P" then "partially_accepted" else "rejected" end;

# The topic of the sets of a functional group (479).
def x12_group_about: if . != null and IN("SH", "OW", "SW", "AR", "RE", "AW", "IM", "QM", "GF", "SM", "RC") then "shipments" elif . == "AN" then "returns" else "orders" end;

def x12_acknowledged:
  . as $c | $c.t.set as $set | ($c.s | seg("AK1")) as $g
  | if $g == null then reject("no_header"; "a \($set) needs an AK1") else . end
  | ($c.s | loops(["AK2", "AK9"])[1:]) as $l | ($c.s | seg("AK9")) as $all
  | def line($at; $id; $status; $more): { kind: "milestone", $at, document: {type: $set, number: "\($g.e[1])-\($g.e[2])", line: $id}, ids: [{type: "control", value: $id}], $status,
      milestone: {about: ($g.e[1] | x12_group_about)}, attributes: ({group: $g.e[2], group_type: $g.e[1], version: $g.e[3]} + $more | filled) } + x12_stamp($c.t; null);
    [$l[] | select(.[0].id == "AK2") | .[0] as $a | (first(.[] | select(.id == "AK5" or .id == "IK5")) // null) as $r
      | (($r.e[1]? // $all.e[1]?) | x12_accepted) as $status | select($status != null)
      | line($a.pos; $a.e[2]; $status; {set: $a.e[1], code: $r.e[1]?, errors: ([$r.e[2:7]?[]? | select(. != null)] | join(" "))})] as $sets
  | if $sets != [] then $sets
    elif $all.e[1]? == null then []
    else [line($all.pos; $g.e[2]; $all.e[1] | x12_accepted; {code: $all.e[1]})] end;

# ---- All sets

# A segment that has run into the next one has lost it, and what it says itself is
# doubtful: it is put aside. In free text the words may stand by chance.
def x12_torn($t; $s):
  [$t.flags // [] | .[] | select(.code == "run_together") | .pos] as $torn
  | if $torn == [] then .
    else . + [$s[] | select(IN(.pos; $torn[])) | select(.id | IN("MSG", "N1", "N2", "N3", "N4", "NTE", "PER", "PID", "G61", "G69", "MTX", "TXT", "K1") | not)
        | {kind: "error", at: .pos, code: "x12_run_together", reason: "segment \(.pos) \(.id) has run into the next one"}] end;

def x12_lines:
  .tree as $t | {$t, s: $t.segments, d: (.defaults // {}), sep: ($t.component // "")} as $c
  | $c
  | if $t.set == "846" then x12_846
    elif $t.set == "852" then x12_852
    elif $t.set == "850" then x12_850
    elif $t.set == "860" then x12_860
    elif $t.set == "855" then x12_855
    elif $t.set == "865" then x12_865
    elif $t.set == "856" then x12_856
    elif $t.set == "861" then x12_861
    elif $t.set == "867" then x12_867
    elif $t.set == "180" then x12_180
    elif $t.set == "940" then x12_940
    elif $t.set == "943" then x12_943
    elif $t.set == "944" then x12_944
    elif $t.set == "945" then x12_945
    elif $t.set == "947" then x12_947
    elif $t.set == "214" then x12_214
    elif $t.set == "210" then x12_210
    elif $t.set == "990" then x12_990
    elif $t.set == "997" or $t.set == "999" then x12_acknowledged
    else reject("unsupported_set"; "set \($t.set) is not read here") end
  | x12_torn($t; $c.s)
  | if . == [] then reject("no_lines"; "the \($t.set) has nothing that is a line") else . end
  | map(if .quantity then .quantity |= x12_decimal else . end)
  | apart;
