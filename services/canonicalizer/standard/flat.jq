# Tables with a header, as inventory systems export them: what a column is, is told by
# its name, in the words that English, German, French, Spanish, Dutch, Italian and
# Portuguese exports use. A row is a balance: a count of what is on hand, or of what is
# available, a milestone of any other quantity. What no name tells is not guessed.
#
# .defaults: decimal, the decimal mark, empty where nothing tells it; document, the number of the table where neither a
# column nor the file's name has one.

# A column's name without blanks, marks and accents.
def flat_word: ascii_downcase | gsub("[ _./#()-]"; "")
  | gsub("[áàâãÁÀÂÃ]"; "a") | gsub("[éèêÉÈÊ]"; "e") | gsub("[íìÍÌ]"; "i") | gsub("[óòôõÓÒÔÕ]"; "o") | gsub("[úùÚÙ]"; "u") | gsub("[äÄ]"; "ae") | gsub("[öÖ]"; "oe") | gsub("[üÜ]"; "ue") | gsub("[çÇ]"; "c") | gsub("[ñÑ]"; "n");

def flat_item_words: {
  sku: ["sku", "skuid", "item", "itemno", "itemnumber", "itemid", "itemcode", "itemsku", "article", "articleno", "articlenumber", "material", "materialnumber", "productcode", "productid", "productno", "productsku", "partno", "partnumber", "stockcode",
    "artikel", "artikelnr", "artikelnummer", "artnr", "materialnummer", "sachnummer", "reference", "ref", "codearticle", "codeproduit", "articulo", "codigo", "codigoarticulo", "referencia", "artikelcode", "codicearticolo", "codice", "codigoproduto", "produto"],
  gtin: ["gtin", "ean", "ean13", "eancode", "upc", "upccode", "barcode", "strichcode", "codebarre", "codebarres", "codigobarras", "codigodebarras", "gencod"],
  vendor: ["vendorsku", "vendoritem", "vendoritemno", "supplieritem", "suppliersku", "supplierpartno", "lieferantenartikelnummer", "reffournisseur"],
  customer: ["customeritem", "customersku", "customerpartno", "buyeritem", "kundenartikelnummer"]};

def flat_quantity_words: {
  on_hand: ["onhand", "qtyonhand", "qoh", "onhandunits", "unitsonhand", "instock", "quantityonhand", "onhandqty", "onhandquantity", "soh", "stockonhand", "stock", "stocklevel", "stockqty", "stockquantity", "currentstock", "quantity", "qty", "physicalstock", "physicalinventory", "inventory", "inventoryquantity", "balance",
    "bestand", "lagerbestand", "menge", "istbestand", "stockphysique", "quantite", "qte", "quantiteenstock", "enstock", "existencia", "existencias", "cantidad", "voorraad", "aantal", "giacenza", "quantita", "estoque", "quantidade", "saldo"],
  available: ["available", "availablestock", "availableunits", "qtyavail", "sellableqty", "sellablequantity", "availabletopromise", "availableqty", "availablequantity", "qtyavailable", "quantityavailable", "atp", "availabletosell", "ats", "sellable", "freestock", "verfuegbar", "verfuegbarerbestand", "verfuegbaremenge", "stockdisponible", "disponible", "disponibile", "disponivel", "beschikbaar"],
  reserved: ["reserved", "reservedqty", "reservedquantity", "qtyreserved", "allocated", "allocatedqty", "allocatedquantity", "committed", "committedqty", "qtycommitted", "reserviert", "reserve", "reservado", "gereserveerd"],
  on_order: ["onorder", "qtyonorder", "onorderquantity", "quantityonorder", "onorderqty", "ordered", "bestellt", "encommande", "enpedido", "inbestelling"],
  in_transit: ["intransit", "intransitqty", "transit", "unterwegs", "entransit", "entransito"],
  damaged: ["damaged", "damagedqty", "damagedquantity", "qtydamaged", "defective", "beschaedigt", "endommage", "danado"],
  on_hold: ["onhold", "hold", "quarantine", "blocked", "blockedstock", "gesperrt", "sperrbestand", "bloque", "bloqueado"]};

def flat_other_words: {
  location: ["location", "locationcode", "locationid", "locationno", "warehouse", "warehousecode", "warehouseid", "warehouseno", "site", "siteid", "sitecode", "store", "storeid", "storecode", "storeno", "storenumber", "storagelocation", "stocklocation", "facilityid", "facilitycode",
    "fulfillmentcenter", "branchcode", "shop", "outlet", "locationname", "warehousename", "storename", "sitename", "plant", "depot", "dc", "facility", "branch", "lager", "lagerort", "standort", "werk", "filiale", "entrepot", "magasin", "almacen", "tienda", "magazijn", "vestiging", "magazzino", "deposito", "armazem"],
  unit: ["unit", "uom", "unitofmeasure", "einheit", "me", "mengeneinheit", "unite", "unidad", "eenheid", "unita", "unidade"],
  when: ["date", "asof", "asofdate", "snapshotdate", "snapshottime", "timestamp", "datetime", "countedat", "countdate", "inventorydate", "stockdate", "updatedat", "lastupdated", "datum", "stichtag", "bestandsdatum", "fecha", "data", "dateinventaire"],
  document: ["countid", "countno", "documentno", "documentnumber", "docno", "reportid", "snapshotid", "inventoryid", "belegnummer", "zaehlliste"],
  lot: ["lot", "lotno", "lotnumber", "batch", "batchno", "charge", "chargennummer", "lote", "partij", "lotto"],
  row: []};

def unique_in_order: reduce .[] as $x ([]; if any(.[]; . == $x) then . else . + [$x] end);

# The columns of a row by their meaning: {meaning: [column]}, in the order of the words.
def flat_columns($words): . as $names | $words
  | with_entries(.value |= [ .[] as $w | $names | to_entries[] | select(.value == $w) | .key ]) | with_entries(select(.value != []));

def flat_cell($row; $columns): first(($columns // [])[] | $row[.] | select(. != null and . != "")) // null;

# What is counted in pieces has no fraction.
def flat_pieces: . // "" | ascii_upcase | IN("EA", "EACH", "PCE", "PC", "PCS", "PIECE", "PIECES", "ST", "STK", "UN", "UNIT", "UNITS", "C62", "H87");
def flat_number($mark; $unit):
  if $mark != "" then decimal($mark)
  elif test("^[-+]?[1-9][0-9]{0,2}[.,][0-9]{3}$") | not then decimal(".")
  elif $unit | flat_pieces then gsub("[.,]"; "")
  else reject("ambiguous_number"; "\(.) is thousands or a fraction, and nothing in the table tells which") end;

def flat_lines: . as $in | .tree as $row | ($in.defaults.decimal // ".") as $mark
  | ($row | with_entries(select(.key != "row") | .value = (.key | flat_word))) as $names
  | ($names | flat_columns(flat_item_words)) as $items
  | ($names | flat_columns(flat_quantity_words)) as $amounts
  | ($names | flat_columns(flat_other_words)) as $other
  | ([$names | keys[]] | join(", ")) as $said
  | if $items == {} then reject("no_item_column"; "no column is known to name an item: \($said)")
    elif $amounts == {} then reject("no_stock_column"; "no column is known to be a quantity of stock: \($said)") else . end
  | [ $items | to_entries[] | .key as $type | flat_cell($row; .value) | select(. != null) | {$type, value: .} ] as $ids
  | flat_cell($row; $other.location) as $place | flat_cell($row; $other.when) as $when | flat_cell($row; $other.unit) as $unit
  | (flat_cell($row; $other.document) // (if ($in.raw.filename // "") != "" then $in.raw.filename else null end) // $in.defaults.document // $when // ($row | digest)) as $number
  # What is reserved is a claim on what is there, no stock of its own.
  | [ $amounts | to_entries[] | .key as $status | select($status != "reserved") | flat_cell($row; .value) as $said
      | select($said != null)
      | { at: $row.row, status: $status, $ids, quantity: ($said | flat_number($mark; $unit)), $unit, occurred_at: $when,
          document: {type: "table", $number, line: "\($place // "")/\([$ids[].value] | join("/"))/\($status)"},
          attributes: ({lot: flat_cell($row; $other.lot), reserved: flat_cell($row; $amounts.reserved)} | filled) }
        + (if $place == null then {} else {location: ([$other.location[] | $row[.] | select(. != null and . != "")] | unique_in_order)} end)
        + (if $status | IN("on_hand", "available") then {kind: "count"} else {kind: "milestone", milestone: {about: "shipments"}} end)
      | filled ]
  # Of what is on hand and what of it is available only one can be counted.
  | if any(.[]; .status == "on_hand") then map(if .status == "available" then .kind = "milestone" | .milestone = {about: "shipments"} else . end) else . end
  | if . == [] then reject("no_quantity"; "row \($row.row) states no quantity") else . end;
