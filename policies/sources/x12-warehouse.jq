# X12 944 and 945, release 004010 and later. Elements are named by their numbers in
# the standard: W07-02 is .e[2] of a W07.

# The party N1*$q: its id (N104), else its name (N102).
def party($q): (seg("N1"; $q)) as $n
  | if $n == null then null else [$n.e[4], $n.e[2]] | map(select(. != null)) end;

# When it happened: the date qualified 11 (shipped) or whichever there is, else the
# header's.
def when($header): (seg("G62"; "11") // seg("G62")) as $g
  | if $g == null then x12_when($header; null; null) else x12_when($g.e[2]; $g.e[4]; $g.e[5]) end;

# Original and full reports are the first revision; other reporting codes (514) tell
# another.
def revision: if . == null or IN("N", "F", "O") then null else . end;

# W12 lines, each with what stands near it: its LX loop, else the whole set.
def shipped: . as $all | loops("LX") as $l
  | if ($l | length) > 1 then $l[1:][] else $all end
  | . as $near | .[] | select(.id == "W12") | {w: ., near: $near, pos};

.tree as $t | .defaults as $d | $t.segments as $s
| if $t.set == "944" then
    ($s | seg("W17")) as $w
    | if $w == null then reject("no_header"; "a 944 needs a W17") else . end
    | ($s | when($w.e[2])) as $when | ($s | party("WH")) as $site
    | [$s | loops("W07")[1:][]] as $loops
    | if $loops == [] then reject("no_lines"; "a 944 needs a W07") else . end
    | each($loops[];
        .index as $index | .row as $loop | $loop[0] as $l | ($l | x12_ids(3; [4, 6]; 8)) as $i
        | { kind: "movement", at: $l.pos,
            document: {type: "944", number: $w.e[3], revision: ($w.e[1] | revision), line: $index},
            ids: $i.ids, location: $site, quantity: $l.e[1], unit: $l.e[2], occurred_at: $when,
            movement: {type: "receipt"},
            refs: [if $w.e[4] then {issuer: $d.supply_issuer, type: $d.supply_type, number: $w.e[4]} else empty end],
            attributes: ({lot: $i.lot, po: ($loop | seg("N9"; "PO") | .e[2]?), shipment: $w.e[5], flags: ($i.flags | join(" "))} | filled) })
  elif $t.set == "945" then
    ($s | seg("W06")) as $w
    | if $w == null then reject("no_header"; "a 945 needs a W06") else . end
    | ($s | when($w.e[3])) as $when | ($s | party("SF") // party("WH")) as $site
    | [$s | shipped] as $lines
    | if $lines == [] then reject("no_lines"; "a 945 needs a W12") else . end
    | each($lines[];
        .index as $index | .row as $r | $r.w as $l | ($l | x12_ids(6; [7, 17]; 9)) as $i
        | [if $w.e[2] then {issuer: $d.order_issuer, type: "order", number: $w.e[2]} else empty end] as $refs
        | { at: $l.pos,
            # Partial shipments of one order differ in their shipment number.
            document: {type: "945", number: ($w.e[4] // $w.e[2]), revision: ($w.e[1] | revision), line: $index},
            ids: $i.ids, location: $site, quantity: ($l.e[3] // "0"), unit: $l.e[5], occurred_at: $when, refs: $refs,
            attributes: ({
              lot: $i.lot, status: $l.e[1], ordered: $l.e[2], ship_to: ($s | party("ST") | .[0]?),
              tracking: (($r.near | seg("N9"; "2I")) // ($s | seg("N9"; "2I")) | .e[2]?), flags: ($i.flags | join(" "))
            } | filled) }
        # Nothing shipped of a line moves nothing: the warehouse knows of it, no more.
        | if (.quantity | test("^0*([.]0*)?$"))
          then . + {kind: "demand", demand: {stage: "allocated"}}
          else . + {kind: "movement", movement: {type: "ship"}} end)
  else reject("unsupported_set"; "set \($t.set) is not read here") end
