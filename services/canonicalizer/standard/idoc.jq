# SAP IDocs as the basic types mean them, whoever sends them; fields and segments have
# their names of the data dictionary. idoc_lines is the mapping of an IDoc, and a source
# may go on from it; what each becomes is described in policies/README.md.

def sap_number: if . == null then null else decimal(".") end;
def sap_zero: . != null and test("^-?0*([.]0*)?$");
def sap_first: first(.[] | select(. != null and . != "")) // null;

# A material under its number, without the zeros in front and as it stands.
def sap_material($names): . as $s
  | [$names[] as $n | $s[$n] | select(. != null and . != "")][0] as $m
  | if $m == null then [] else [{type: "MATNR", value: ($m | alpha)}] + (if ($m | alpha) == $m then [] else [{type: "MATNR", value: $m}] end) end;

# A place is a plant and, where it is stated, a storage location in it.
def sap_place($plant; $at): [$plant, $at] | map(select(. != null and . != "")) | if .[0] == null or $plant == null or $plant == "" then null else [join("/")] end;

# Partners by role (PARVW, PARTNER_Q).
def sap_role: {"AG": "sold_to", "WE": "ship_to", "RE": "bill_to", "RG": "payer", "LF": "vendor", "SP": "carrier", "RS": "bill_from", "OSP": "shipping_point", "OSO": "sales_organisation"}[. // ""] // ("partner_" + (. // "" | ascii_downcase));
def sap_roles:
  reduce (.. | objects | select(.id? == "E1EDKA1" or .id? == "E1EDPA1" or .id? == "E1ADRM1" or .id? == "E1EDT44")) as $p ({};
    (($p.PARVW // $p.PARTNER_Q) | sap_role) as $r | ([$p.PARTN, $p.LIFNR, $p.PARTNER_ID, $p.NAME1] | sap_first) as $id
    | if $id == null or .[$r] then . else .[$r] = $id end);

def sap_milestone($about; $status; $due): {kind: "milestone", $status, milestone: ({$about, $due} | filled)};
def sap_stamp($t; $when):
  if $when != null then {occurred_at: $when}
  else sap_when($t.control.CREDAT; $t.control.CRETIM) as $sent | if $sent == null then {} else {occurred_at: $sent, occurred_basis: "envelope"} end end;
def sap_ref($issuer; $type; $number; $line): if $number == null or $number == "" then [] else [{issuer: $issuer, $type, number: $number, line: $line} | with_entries(select(.value != null))] end;

# ---- MATMAS: a material

def sap_matmas:
  . as $t
  | each(under("E1MARAM")[];
      .row as $m
      | ($m | sap_material(["MATNR_LONG", "MATNR"])) as $ids
      | if $ids == [] then reject("no_item"; "E1MARAM has no MATNR") else . end
      | if $m.MEINS == null then reject("bad_unit"; "material \($ids[0].value) has no base unit") else . end
      | [$m.segments[] | select(.id == "E1MAKTM")] as $texts
      | { kind: "item", item: $ids[0].value, base_unit: $m.MEINS,
          description: ((first($texts[] | select(.SPRAS_ISO == "EN" or .SPRAS == "E")) // $texts[0]).MAKTX? // null),
          deleted: ($m.LVORM == "X" or $m.MSGFN == "003"),
          units: [$m.segments[] | select(.id == "E1MARMM" and .MEINH != null and .MEINH != $m.MEINS and .UMREZ != null)
            | (.UMREZ | sap_number | tonumber) as $n | ((.UMREN // "1") | sap_number | tonumber) as $d
            # A factor has four decimals; what has more is no unit of stock.
            | select($d > 0 and ($n * 10000) % $d == 0) | {unit: .MEINH, factor: ($n / $d | tostring)}] | unique_by(.unit),
          identifiers: ($ids[1:] + [$m.EAN11, ($m.segments[] | select(.id == "E1MARMM" and .MEINH == $m.MEINS) | .EAN11), ($m.segments[] | select(.id == "E1MEANM" and (.MEINH == null or .MEINH == $m.MEINS)) | .EAN11)
            | select(. != null) | {type: "ean", value: .}] | unique) }
      | filled);

# ---- MBGMCR, WMMBXY: goods movements

# What a movement type (BWART) does. way: in, out, to another place, or a change of state;
# back says that it takes back what another one did.
def sap_movement: {
    "101": {does: "receipt", status: "received"}, "102": {does: "return_to_vendor", status: "received", back: true}, "103": {does: "receipt", status: "received", state: "quarantine"},
    "104": {does: "return_to_vendor", status: "received", state: "quarantine", back: true}, "105": {does: "release", status: "available"}, "106": {does: "hold", status: "on_hold"},
    "107": {does: "receipt", status: "received", state: "quarantine"}, "109": {does: "release", status: "available"},
    "122": {does: "return_to_vendor", status: "returned"}, "123": {does: "receipt", status: "received", back: true}, "124": {does: "return_to_vendor", status: "returned", state: "quarantine"},
    "161": {does: "return_to_vendor", status: "returned"}, "162": {does: "receipt", status: "returned", back: true},
    "131": {does: "receipt", status: "received"}, "132": {does: "out", status: "received", back: true},
    "501": {does: "receipt", status: "received"}, "502": {does: "return_to_vendor", status: "received", back: true}, "503": {does: "receipt", status: "received", state: "quarantine"},
    "505": {does: "receipt", status: "received", state: "quarantine"}, "511": {does: "receipt", status: "received"}, "512": {does: "return_to_vendor", status: "received", back: true},
    "521": {does: "receipt", status: "received"}, "522": {does: "out", status: "received", back: true}, "531": {does: "receipt", status: "produced"}, "532": {does: "out", status: "produced", back: true},
    "201": {does: "out", status: "issued"}, "202": {does: "in", status: "issued", back: true}, "221": {does: "out", status: "issued"}, "222": {does: "in", status: "issued", back: true},
    "231": {does: "out", status: "issued"}, "232": {does: "in", status: "issued", back: true}, "241": {does: "out", status: "issued"}, "242": {does: "in", status: "issued", back: true},
    "251": {does: "out", status: "sold"}, "252": {does: "in", status: "sold", back: true}, "261": {does: "out", status: "consumed"}, "262": {does: "in", status: "consumed", back: true},
    "281": {does: "out", status: "issued"}, "282": {does: "in", status: "issued", back: true}, "291": {does: "out", status: "issued"}, "292": {does: "in", status: "issued", back: true},
    "543": {does: "out", status: "consumed"}, "544": {does: "in", status: "consumed", back: true},
    "301": {does: "move"}, "302": {does: "move", back: true}, "303": {does: "leave"}, "305": {does: "arrive"}, "311": {does: "move"}, "312": {does: "move", back: true},
    "313": {does: "leave"}, "315": {does: "arrive"}, "351": {does: "leave"}, "641": {does: "leave"}, "643": {does: "leave"}, "645": {does: "move"}, "647": {does: "move"}, "309": {does: "convert"}, "310": {does: "convert", back: true},
    "321": {does: "release", status: "available"}, "322": {does: "hold", status: "on_hold"}, "343": {does: "release", status: "available"}, "344": {does: "hold", status: "on_hold"},
    "349": {does: "none", status: "on_hold"}, "350": {does: "none", status: "on_hold"},
    "551": {does: "scrap", status: "adjusted"}, "552": {does: "in", status: "adjusted", back: true}, "553": {does: "scrap", status: "adjusted", state: "quarantine"}, "555": {does: "scrap", status: "adjusted", state: "quarantine"},
    "561": {does: "opening", status: "on_hand"}, "562": {does: "out", status: "adjusted", back: true}, "563": {does: "opening", status: "on_hold", state: "quarantine"}, "565": {does: "opening", status: "on_hold", state: "quarantine"},
    "601": {does: "ship", status: "shipped"}, "602": {does: "in", status: "shipped", back: true}, "631": {does: "ship", status: "shipped"},
    "651": {does: "return_receipt", status: "returned"}, "652": {does: "none", status: "returned", back: true}, "653": {does: "return_receipt", status: "returned"}, "654": {does: "none", status: "returned", back: true},
    "655": {does: "return_receipt", status: "returned"}, "657": {does: "return_receipt", status: "returned"},
    "701": {does: "in", status: "adjusted"}, "702": {does: "out", status: "adjusted"}, "711": {does: "out", status: "adjusted"}, "712": {does: "in", status: "adjusted"},
    "703": {does: "none", status: "adjusted"}, "704": {does: "none", status: "adjusted", minus: true}, "707": {does: "none", status: "adjusted"}, "708": {does: "none", status: "adjusted", minus: true},
    "713": {does: "none", status: "adjusted", minus: true}, "714": {does: "none", status: "adjusted"}
  }[.];

# A line with the movement its type makes; .to is the other place, .other the other
# material, .stock the stock type (INSMK), .sign the debit or credit sign (SHKZG).
def sap_moved:
  .move as $type | ($type // "" | sap_movement) as $m | .to as $to | .other as $other | .sign as $sign
  | (if .stock != null and (.stock | IN("X", "S", "2", "3", "Q")) then "quarantine" else null end) as $stock
  | .location as $from
  | if $type == null then reject("no_movement_type"; "a goods movement without a movement type has no direction") else . end
  | if $m == null then reject("unknown_movement_type"; "movement type \($type) is not read here") else . end
  | del(.move, .to, .other, .stock, .sign)
  | .attributes += ({move_type: $type, flags: (if $m.back then "reversal" else null end)} | filled)
  | ($m.state // $stock) as $state
  | def moves($t; $status; $more): . + {kind: "movement", status: $status, movement: ({type: $t} + $more)};
    def state($key): if $state == null then {} else {($key): $state} end;
    def adjust($status; $sign): .quantity |= $sign + ltrimstr("-") | moves("adjustment"; $status; {reason: "movement type \($type)"});
    # Stock of another state than on_hand is not adjusted here: what is said is kept.
    if .quantity | sap_zero then . + sap_milestone("shipments"; $m.status // "adjusted"; null)
    elif $m.does == "receipt" or $m.does == "opening" then moves($m.does; $m.status; state("to_state"))
    elif $m.does == "return_to_vendor" or $m.does == "scrap" or $m.does == "ship" then moves($m.does; $m.status; state("from_state"))
    elif $m.does | IN("release", "hold", "return_receipt") then moves($m.does; $m.status; {})
    elif $m.does == "in" then adjust($m.status; "")
    elif $m.does == "out" then adjust($m.status; "-")
    elif $m.does == "none" then (if $m.minus then .quantity |= "-" + ltrimstr("-") else . end) + sap_milestone(if $m.status == "returned" then "returns" else "shipments" end; $m.status; null)
    elif $m.does == "convert" then
      adjust("adjusted"; if $m.back then "" else "-" end),
      (select($other != []) | .ids = $other | .location = ($to // $from) | .document.line += "/to" | adjust("adjusted"; if $m.back then "-" else "" end))
    # Two ends: a line each. A document that lists them apart says by its sign which one it is.
    elif $m.does == "move" and $to != null and $sign == null then
      (if $m.back then [$to, $from] else [$from, $to] end) as $way
      | (.location = $way[0] | moves("transfer_out"; "transfer_out"; {}) | .to_location = $way[1]),
        (.location = $way[1] | .document.line += "/to" | moves("transfer_in"; "transfer_in"; {}))
    elif $m.does == "arrive" or $sign == "S" then moves("transfer_in"; "transfer_in"; {})
    elif $to != null then moves("transfer_out"; "transfer_out"; {}) | .to_location = $to
    else . + sap_milestone("shipments"; "transfer_out"; null) end;

def sap_moves_number($t; $names): (first($names[] | select(. != null and . != "")) // $t.number) as $n
  | if $n == null or $n == "" then reject("no_number"; "a goods movement needs a document number") else $n end;

def sap_mbgmcr($d):
  . as $t | (if under("E1MBGMCR")[0].TESTRUN? == "X" then reject("simulation"; "a test run posts nothing") else . end)
  | (under("E1BP2017_GM_HEAD_01")[0] // {}) as $h | (under("E1BP2017_GM_CODE")[0].GM_CODE? // null) as $code
  | sap_moves_number($t; [$t.number, $h.REF_DOC_NO, $h.REF_DOC_NO_LONG]) as $number
  | (sap_when($h.PSTNG_DATE; null) // sap_when($h.DOC_DATE; null)) as $when
  | each(under("E1BP2017_GM_ITEM_CREATE")[];
      .index as $n | .row as $i
      | { at: $i.pos, document: {type: "MBGMCR", $number, line: ($i.LINE_ID // "\($n)")}, ids: ($i | sap_material(["MATERIAL_LONG", "MATERIAL"])), location: sap_place($i.PLANT; $i.STGE_LOC),
          quantity: ($i.ENTRY_QNT | sap_number), unit: ([$i.ENTRY_UOM, $i.ENTRY_UOM_ISO] | sap_first),
          refs: sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $i.PO_NUMBER; $i.PO_ITEM),
          attributes: ({lot: $i.BATCH, order: $i.ORDERID, delivery: $i.DELIV_NUMB, reason: $i.MOVE_REAS, cost_center: $i.COSTCENTER, po: $i.PO_NUMBER, gm_code: $code, reference: $h.REF_DOC_NO, special_stock: $i.SPEC_STOCK} | filled),
          move: $i.MOVE_TYPE, stock: $i.STCK_TYPE, sign: null, other: ($i | sap_material(["MOVE_MAT_LONG", "MOVE_MAT"])),
          to: (if $i.MOVE_PLANT == null and $i.MOVE_STLOC == null then null else sap_place($i.MOVE_PLANT // $i.PLANT; $i.MOVE_STLOC) end) }
      + sap_stamp($t; $when) | sap_moved);

# The movement type that takes back what one does: the next number (XSTOB asks for it).
def sap_reversal: if . != null and test("^[0-9]{2}[13579]$") then tonumber + 1 | tostring else reject("unknown_movement_type"; "a reversal of movement type \(.) is not read here") end;

def sap_wmmbxy($d):
  . as $t | (under("E1MBXYH")[0] // {}) as $h
  | sap_moves_number($t; [$h.MBLNR, $t.number, $h.XBLNR]) as $number
  | (sap_when($h.BUDAT; null) // sap_when($h.BLDAT; null)) as $when
  | each(under("E1MBXYI")[];
      .index as $n | .row as $i | ($i.ERFMG != null and $i.ERFMG != "" and ($i.ERFMG | sap_number | sap_zero | not)) as $entry
      | { at: $i.pos, document: {type: "WMMBXY", $number, line: ($i.ZEILE // "\($n)")}, ids: ($i | sap_material(["MATNR_LONG", "MATNR"])), location: sap_place($i.WERKS; $i.LGORT),
          quantity: ((if $entry then $i.ERFMG else $i.MENGE end) | sap_number), unit: (if $entry then [$i.ERFME, $i.MEINS] else [$i.MEINS, $i.ERFME] end | sap_first),
          refs: sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $i.EBELN; $i.EBELP),
          attributes: ({lot: $i.CHARG, order: $i.AUFNR, reason: $i.GRUND, cost_center: $i.KOSTL, po: $i.EBELN, reference: $h.XBLNR, special_stock: $i.SOBKZ} | filled),
          move: (if $i.XSTOB == "X" then $i.BWART | sap_reversal else $i.BWART end), stock: $i.INSMK, sign: $i.SHKZG, other: ($i | sap_material(["UMMAT"])),
          to: (if $i.UMWRK == null and $i.UMLGO == null then null else sap_place($i.UMWRK // $i.WERKS; $i.UMLGO) end) }
      + sap_stamp($t; $when) | sap_moved);

# ---- DELVRY: deliveries (SHPCON, WHSCON, DESADV, SHPORD, WHSORD), and SHPMNT

# Dates of a delivery (E1EDT13), actual before planned: 015 goods issue, 010 picking,
# 007 delivery.
def sap_date($q): [.segments[]? | select(.id == "E1EDT13" and .QUALF == $q)][0]
  | if . == null then null else sap_when(.ISDD; if (.ISDZ // "") | test("^0*$") then null else .ISDZ end) // sap_when(.NTANF; if (.NTANZ // "") | test("^0*$") then null else .NTANZ end) end;

def sap_delivery($t; $d; $message; $shipment):
  . as $h | ($h | sap_roles) as $roles
  # E1EDL21 is the header's other half.
  | ($h.LFART // (first($h.segments[] | select(.id == "E1EDL21") | .LFART | select(. != null)) // null)) as $type
  | [$h.segments[] | select(.id == "E1EDL18") | .QUALF] as $said | ($type // "" | IN("EL", "EG", "LR", "EK")) as $inbound
  | if $h.VBELN == null or $h.VBELN == "" then reject("no_number"; "a delivery has no VBELN") else . end
  | ($h | (sap_when($h.WADAT_IST; null) // sap_date("015") // sap_date("006") // sap_date("010") // sap_when($h.WADAT; null) // sap_when($h.BLDAT; null))) as $when
  | ($h | sap_date("007") // sap_when($h.LFDAT; null) // sap_date("017")) as $due
  | [$h.segments[] | select(.id == "E1EDL37")] as $units
  | [$h.segments[] | select(.id == "E1EDL24")] as $items
  | ([$items[] | .HIPOS // .UEPOS | select(. != null and test("[1-9]"))] | unique) as $parents
  | $items | to_entries[] | .key as $n | .value as $i | ($i.LFIMG // $i.LGMNG | sap_number) as $quantity
  # A line that is divided (by batch) has its quantity in the parts.
  | select(($quantity == null or ($quantity | sap_zero)) and ($i.POSNR as $p | $parents | index($p)) | not)
  | [$i.segments[] | select(.id == "E1EDL19") | .QUALF] as $own
  | (first($i.segments[] | select(.id == "E1EDL43" and (.QUALF == "C" or .QUALF == "V")) | .BELNR | select(. != null)) // null) as $order
  | (first($i.segments[], $h.segments[] | select(.id == "E1EDL41" and (.QUALI == "001" or .QUALI == null)) | .BSTNR | select(. != null)) // null) as $po
  | (first($units[] | select(any(.segments[]; .id == "E1EDL44" and (.POSNR == $i.POSNR))) | .EXIDV | select(. != null)) // null) as $sscc
  | sap_place($i.WERKS; $i.LGORT) as $here
  | { at: $i.pos, document: {type: $message, number: $h.VBELN, line: ($i.POSNR // "\($n + 1)")},
      ids: (($i | sap_material(["MATNR_LONG", "MATNR", "MATWA"])) + [({type: "KDMAT", value: $i.KDMAT}, {type: "ean", value: $i.EAN11}) | select(.value != null and .value != "")]),
      location: $here, quantity: $quantity, unit: (if $i.LFIMG then [$i.VRKME, $i.MEINS] else [$i.MEINS, $i.VRKME] end | sap_first),
      refs: sap_ref($d.order_issuer; $d.order_type // "order"; $order // $i.VGBEL // $po; null),
      attributes: ($roles + {lot: $i.CHARG, expiry: sap_when($i.VFDAT; null), plant: $i.WERKS, storage_location: $i.LGORT, shipping_point: $h.VSTEL, warehouse: $h.LGNUM, delivery_type: $type,
        $po, order: ($order // $i.VGBEL), $sscc, bol: $h.BOLNR, tracking: ($h.TRAID // null), shipment: $shipment} | filled) }
  + sap_stamp($t; $when)
  | if .quantity == null then reject("bad_quantity"; "item \($i.POSNR) has no quantity") else . end
  | (.quantity | sap_zero) as $none
  | def at_ship_to: .location = (if $roles.ship_to then [$roles.ship_to] else $here end);
    if $message == "SHPMNT" then . + sap_milestone("shipments"; "shipped"; $due)
    elif $message | IN("SHPORD", "WHSORD") then
      if $inbound then . + {kind: "supply", status: "inbound", refs: sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $i.VGBEL // $po; null), supply: ({stage: "expected", $due} | filled)}
      else . + {kind: "demand", status: "ordered", demand: ({stage: "ordered", $due} | filled)} | .refs += (if .refs == [] then sap_ref(null; "delivery"; $h.VBELN; $i.POSNR) else [] end) end
    elif ($message | IN("SHPCON", "WHSCON")) or (($message != "DESADV") and any(($said + $own)[]; IN("PIC", "PGI"))) then
      if $none then . + sap_milestone("shipments"; if $inbound then "received" else "picked" end; null)
      elif $inbound then .refs = sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $i.VGBEL // $po; null) | . + {kind: "movement", status: "received", movement: {type: "receipt"}}
      elif any(($said + $own)[]; . == "PGI") then . + {kind: "movement", status: "shipped", movement: {type: "ship"}}
      else . + {kind: "movement", status: "picked", movement: {type: "pick"}} end
    # An advice dates a part of the purchase order of whoever gets it.
    else .refs = sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $po // $order // $i.VGBEL; null) | at_ship_to
      | if .refs == [] or $none then . + sap_milestone("shipments"; "shipped"; $due)
        else . + {kind: "supply", status: "shipped", supply: ({stage: "expected", $due} | filled)} end end;

def sap_shpmnt($d):
  . as $t | under("E1EDT20")[0] as $s
  | (under("E1EDL20")) as $deliveries
  | if $deliveries == [] then
      [{kind: "milestone", at: $s.pos, document: {type: "SHPMNT", number: $s.TKNUM}, ids: [{type: "shipment", value: $s.TKNUM}], status: "shipped", milestone: {about: "shipments"},
        attributes: ($s | sap_roles + {carrier: $s.TDLNR} | filled)} + sap_stamp($t; sap_when($s.DATBG; $s.UATBG))]
    else each($deliveries[]; .row | sap_delivery($t; $d; "SHPMNT"; $s.TKNUM)) end;

# ---- ORDERS, ORDCHG, ORDRSP

def sap_orders($d; $message):
  . as $t | $t.segments as $s | (under("E1EDK01")[0] // {}) as $k | ($t | sap_roles) as $roles
  | def doc($q): first($s[] | select(.id == "E1EDK02" and .QUALF == $q)) // {};
    def day($q): first($s[] | select(.id == "E1EDK03" and .IDDAT == $q) | sap_when(.DATUM; .UZEIT) | select(. != null)) // null;
    def ids: [.segments[] | select(.id == "E1EDP19" and .IDTNR != null and .IDTNR != "" and (.QUALF | IN("001", "002", "003", "010", "011", "012")))
      | {type: .QUALF, value: (.IDTNR | alpha)}, (if (.IDTNR | alpha) == .IDTNR then empty else {type: .QUALF, value: .IDTNR} end)];
    ([doc("001").BELNR, $k.BELNR, doc("002").BELNR, $t.number] | sap_first) as $number
  | if $number == null then reject("no_number"; "an order needs a number") else . end
  | (day("012") // sap_when(doc("001").DATUM; null) // day("022") // day("029") // sap_when(doc("002").DATUM; null)) as $when | day("002") as $due
  | ($message != "ORDERS" or ($k.ACTION // "" | IN("002", "003"))) as $changes
  | ($t | first(.segments[] | select(.id == "E1EDKA1" and .PARVW == "WE") | [.PARTN, .LIFNR, .NAME1] | sap_first) // null) as $to
  | each(under("E1EDP01")[];
      .index as $n | .row as $p | ($p | ids) as $ids
      | [$p.segments[] | select(.id == "E1EDP20")] as $plan
      | (first($plan[] | sap_when(.EDATU; null) | select(. != null)) // (first($p.segments[] | select(.id == "E1EDP03" and .IDDAT == "002") | sap_when(.DATUM; null)) // null) // $due) as $due
      | ($p.MENGE // ($plan[0].WMENG? // null) | sap_number) as $ordered
      | { at: $p.pos, document: {type: (if $message == "ORDCHG" then "ORDERS" else $message end), $number, revision: (if $changes then ($when // $t.control.CREDAT // $t.number) else null end), line: ($p.POSEX // "\($n)")},
          $ids, location: sap_place($p.WERKS; $p.LGORT), quantity: $ordered, unit: ($p.MENEE // $p.PMENE),
          attributes: ($roles + ($p | sap_roles) + {action: $p.ACTION, rejection: $p.ABGRU, plant: $p.WERKS} | filled) }
      + sap_stamp($t; $when)
      | ($p.ACTION == "003" or $k.ACTION == "003") as $gone
      | if $message == "ORDRSP" then
          ([$plan[] | .WMENG | select(. != null) | sap_number]) as $confirmed
          | .refs = sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $number; null)
          | .quantity = (if ($confirmed | length) == 1 then $confirmed[0] elif $confirmed == [] then $ordered else [$confirmed[] | tonumber] | add | tostring end)
          | . + sap_milestone("orders"; if $gone or ($p.ABGRU // "") != "" then "rejected" elif .quantity != null and (.quantity | sap_zero) then "backordered" else "acked" end; $due)
        elif ($d.orders // "demand") == "supply" then
          .refs = sap_ref($d.supply_issuer; $d.supply_type // "purchase_order"; $number; null) | .location = (.location // (if $to then [$to] else null end))
          | . + {kind: "supply", status: (if $gone then "order_line_deleted" else "ordered" end), supply: ({stage: (if $gone then "closed" else "ordered" end), $due} | filled)}
        else
          .refs = sap_ref($d.order_issuer; $d.order_type // "order"; $number; null)
          | . + {kind: "demand", status: (if $gone then "order_line_deleted" else "ordered" end), demand: ({stage: (if $gone then "cancelled" else "ordered" end), $due} | filled)} end);

# ---- All IDocs

# The message type; where the control record has none, that of the basic type.
def sap_message: (.message // "") as $m | if $m != "" then $m else (.type // .root // "" | sub("[0-9]+$"; "")) end;

def idoc_lines:
  (.defaults // {}) as $d | .tree as $t | ($t | sap_message) as $message
  | $t
  | if under("E1MARAM") != [] then sap_matmas
    elif under("E1BP2017_GM_ITEM_CREATE") != [] then sap_mbgmcr($d)
    elif under("E1MBXYI") != [] then sap_wmmbxy($d)
    elif under("E1EDT20") != [] then sap_shpmnt($d)
    elif under("E1EDL20") != [] then each(under("E1EDL20")[]; .row | sap_delivery($t; $d; $message; null))
    elif under("E1EDP01") != [] and ($message | IN("ORDERS", "ORDCHG", "ORDRSP")) then sap_orders($d; $message)
    else reject("unsupported_set"; "an IDoc \($t.type // $t.root) of message \($message) is not read here") end
  | if . == [] then reject("no_lines"; "the IDoc has nothing that is a line") else . end
  | apart;
