package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The tables of inventory.state.

var fenceTable = record("Fence",
	long("lineage", func(x *inv.Fence) *int64 { return &x.Lineage }),
	long("offset", func(x *inv.Fence) *int64 { return &x.Offset }),
	hash64("id_hash", func(x *inv.Fence) *uint64 { return &x.IDHash }),
)

var countMarkTable = record("CountMark",
	instant("as_of", func(x *inv.CountMark) *inv.Instant { return &x.AsOf }),
	optWord("source", func(x *inv.CountMark) *inv.Source { return &x.Source }),
	octet("covers", func(x *inv.CountMark) *uint8 { return &x.Covers }, 256),
	optLong("sequence", func(x *inv.CountMark) *int64 { return &x.Sequence }),
	optText("snapshot", func(x *inv.CountMark) *string { return &x.Snapshot }),
)

var trimmedTable = record("Trimmed",
	long("from", func(x *inv.Trimmed) *int64 { return &x.From }),
	optInstant("blurred", func(x *inv.Trimmed) *inv.Instant { return &x.Blurred }),
	long("sums", func(x *inv.Trimmed) *int64 { return &x.Sums }),
	long("gone", func(x *inv.Trimmed) *int64 { return &x.Gone }),
)

func locationMore(x *inv.LocationState) **inv.LocationMore { return &x.More }

var locationStateTable = record("LocationState",
	word("location", func(x *inv.LocationState) *inv.Location { return &x.Location }),
	one("states", statesTable, func(x *inv.LocationState) *states { return &x.States }),
	apart(locationMore, hasQuantity("safety_stock", func(x *inv.LocationMore) *bool { return &x.HasSafety },
		func(x *inv.LocationMore) *inv.Quantity { return &x.Safety })),
	long("version", func(x *inv.LocationState) *int64 { return &x.Version }),
	apart(locationMore, many("reserved", bucketTable, func(x *inv.LocationMore) *[]inv.Bucket { return &x.Reserved })),
	apart(locationMore, many("supply", bucketTable, func(x *inv.LocationMore) *[]inv.Bucket { return &x.Supply })),
	apart(locationMore, opt("last_count", countMarkTable, func(x *inv.LocationMore) **inv.CountMark { return &x.LastCount })),
	apart(locationMore, long("journal_count", func(x *inv.LocationMore) *int64 { return &x.JournalCount })),
	apart(locationMore, opt("trimmed", trimmedTable, func(x *inv.LocationMore) **inv.Trimmed { return &x.Trimmed })),
).direct(encodeLocationState, decodeLocationState)

var seenTable = record("Seen",
	hash64("id", func(x *inv.Seen) *uint64 { return &x.ID }),
	hash32("content", func(x *inv.Seen) *uint32 { return &x.Content }),
	octet("verdict", func(x *inv.Seen) *inv.Verdict { return &x.Verdict }, 64),
).direct(encodeSeen, decodeSeen)

var orderTable = record("Order",
	word("source", func(x *inv.Order) *inv.Source { return &x.Source }),
	long("sequence", func(x *inv.Order) *int64 { return &x.Sequence }),
)

var entryTable = record("Entry",
	instant("at", func(x *inv.Entry) *inv.Instant { return &x.At }),
	word("location", func(x *inv.Entry) *inv.Location { return &x.Location }),
	octet("state", func(x *inv.Entry) *inv.Account { return &x.State }, inv.NumStates),
	boolean("count", func(x *inv.Entry) *bool { return &x.Count }),
	octet("includes", func(x *inv.Entry) *uint8 { return &x.Includes }, 256),
	opt("order", orderTable, func(x *inv.Entry) **inv.Order { return &x.Order }),
	quantity("delta", func(x *inv.Entry) *inv.Quantity { return &x.Delta }),
	integer("document", func(x *inv.Entry) *int32 { return &x.Document }),
).direct(encodeEntry, decodeEntry)

func outside(name string, a inv.Account) field[inv.Outside] {
	return quantity(name, func(x *inv.Outside) *inv.Quantity { return &x[a-inv.NumStates] })
}

var outsideTable = record("Outside",
	outside("supplier", inv.Supplier),
	outside("customer", inv.Customer),
	outside("adjustment", inv.Adjustment),
	outside("scrap", inv.Scrap),
	outside("consumption", inv.Consumption),
	outside("opening", inv.Opening),
	outside("intercompany", inv.Intercompany),
	outside("conversion", inv.Conversion),
).direct(encodeOutside, decodeOutside)

var windowTable = record("Window",
	optInstant("start", func(x *inv.Window) *inv.Instant { return &x.Start }),
	long("from", func(x *inv.Window) *int64 { return &x.From }),
)

var bookTable = record("Book",
	integer("lines", func(x *inv.Book) *int32 { return &x.Lines }),
	integer("supplies", func(x *inv.Book) *int32 { return &x.Supplies }),
	integer("tentative", func(x *inv.Book) *int32 { return &x.Tentative }),
	optInstant("expires_at", func(x *inv.Book) *inv.Instant { return &x.ExpiresAt }),
	optInstant("sweep_at", func(x *inv.Book) *inv.Instant { return &x.SweepAt }),
	optText("swept", func(x *inv.Book) *string { return &x.Swept }),
)

var queueTable = record("Queue",
	integer("parked", func(x *inv.Queue) *int32 { return &x.Parked }),
	integer("held", func(x *inv.Queue) *int32 { return &x.Held }),
	integer("bytes", func(x *inv.Queue) *int32 { return &x.Bytes }),
	long("next", func(x *inv.Queue) *int64 { return &x.Next }),
	optInstant("until", func(x *inv.Queue) *inv.Instant { return &x.Until }),
)

var frozenTable = record("Frozen",
	optInstant("since", func(x *inv.Frozen) *inv.Instant { return &x.Since }),
	long("offset", func(x *inv.Frozen) *int64 { return &x.Offset }),
	long("count", func(x *inv.Frozen) *int64 { return &x.Count }),
	long("taken", func(x *inv.Frozen) *int64 { return &x.Taken }),
	word("code", func(x *inv.Frozen) *inv.Code { return &x.Code }),
	optLong("last", func(x *inv.Frozen) *int64 { return &x.Last }),
)

var headTable = record("Head",
	one("fence", fenceTable, func(x *inv.Head) *inv.Fence { return &x.Fence }),
	optInstant("clock", func(x *inv.Head) *inv.Instant { return &x.Clock }),
	long("version", func(x *inv.Head) *int64 { return &x.Version }),
	hasQuantity("safety_stock", func(x *inv.Head) *bool { return &x.HasSafety },
		func(x *inv.Head) *inv.Quantity { return &x.Safety }),
	many("locations", locationStateTable, func(x *inv.Head) *[]inv.LocationState { return &x.Locations }),
	wordArray("split", func(x *inv.Head) *[]inv.Location { return &x.Split }),
	many("ids", seenTable, func(x *inv.Head) *[]inv.Seen { return &x.IDs }),
	long("id_count", func(x *inv.Head) *int64 { return &x.IDCount }),
	optInstant("latest", func(x *inv.Head) *inv.Instant { return &x.Latest }),
	many("journal", entryTable, func(x *inv.Head) *[]inv.Entry { return &x.Journal }),
	one("outside", outsideTable, func(x *inv.Head) *inv.Outside { return &x.Outside }),
	zeroable("window", windowTable, func(x *inv.Head) *inv.Window { return &x.Window }),
	zeroable("book", bookTable, func(x *inv.Head) *inv.Book { return &x.Book }),
	zeroable("queue", queueTable, func(x *inv.Head) *inv.Queue { return &x.Queue }),
	optInstant("viewed", func(x *inv.Head) *inv.Instant { return &x.Viewed }),
	zeroable("frozen", frozenTable, func(x *inv.Head) *inv.Frozen { return &x.Frozen }),
).direct(encodeHead, decodeHead)

var idSegmentTable = record("IDSegment",
	many("ids", seenTable, func(x *inv.Piece) *[]inv.Seen { return &x.IDs }),
	optInstant("latest", func(x *inv.Piece) *inv.Instant { return &x.Latest }),
)

var journalSegmentTable = record("JournalSegment",
	many("entries", entryTable, func(x *inv.Piece) *[]inv.Entry { return &x.Journal }),
)

var lineEntryTable = record("LineEntry",
	word("source", func(x *inv.LineEntry) *inv.Source { return &x.Source }),
	optWord("location", func(x *inv.LineEntry) *inv.Location { return &x.Location }),
	hash64("document", func(x *inv.LineEntry) *uint64 { return &x.Document }),
	optText("revision", func(x *inv.LineEntry) *string { return &x.Revision }),
	word("stage", func(x *inv.LineEntry) *inv.Stage { return &x.Stage }),
	quantity("quantity", func(x *inv.LineEntry) *inv.Quantity { return &x.Quantity }),
	optInstant("at", func(x *inv.LineEntry) *inv.Instant { return &x.At }),
	optLong("sequence", func(x *inv.LineEntry) *int64 { return &x.Sequence }),
	optAccount("state", func(x *inv.LineEntry) *inv.Account { return &x.State }),
)

var claimTable = record("Claim",
	optWord("location", func(x *inv.Claim) *inv.Location { return &x.Location }),
	quantity("quantity", func(x *inv.Claim) *inv.Quantity { return &x.Quantity }),
)

var postedTable = record("PostedQuantity",
	optWord("location", func(x *inv.Posted) *inv.Location { return &x.Location }),
	quantity("outflow", func(x *inv.Posted) *inv.Quantity { return &x.Outflow }),
	quantity("shipped", func(x *inv.Posted) *inv.Quantity { return &x.Shipped }),
)

var heldTable = record("Held",
	text("reservation", func(x *inv.Held) *string { return &x.Reservation }),
	text("line", func(x *inv.Held) *string { return &x.Line }),
	word("partner", func(x *inv.Held) *string { return &x.Partner }),
	word("state", func(x *inv.Held) *inv.HeldState { return &x.State }),
	optInstant("expires_at", func(x *inv.Held) *inv.Instant { return &x.ExpiresAt }),
	optInstant("granted_at", func(x *inv.Held) *inv.Instant { return &x.GrantedAt }),
	many("granted", claimTable, func(x *inv.Held) *[]inv.Claim { return &x.Granted }),
	many("siblings", keyTable, func(x *inv.Held) *[]inv.Key { return &x.Siblings }),
	integer("reply_to", func(x *inv.Held) *int32 { return &x.ReplyTo }),
	integer("index", func(x *inv.Held) *int32 { return &x.Index }),
	integer("of", func(x *inv.Held) *int32 { return &x.Of }),
)

var lineTable = record("Line",
	text("id", func(x *inv.Line) *string { return &x.ID }),
	many("refs", refTable, func(x *inv.Line) *[]inv.Ref { return &x.Refs }),
	optWord("channel", func(x *inv.Line) *string { return &x.Channel }),
	optDay("due", func(x *inv.Line) *inv.Day { return &x.Due }),
	boolean("movable", func(x *inv.Line) *bool { return &x.Movable }),
	octet("priority", func(x *inv.Line) *uint8 { return &x.Priority }, 256),
	many("entries", lineEntryTable, func(x *inv.Line) *[]inv.LineEntry { return &x.Entries }),
	many("claims", claimTable, func(x *inv.Line) *[]inv.Claim { return &x.Claims }),
	many("posted", postedTable, func(x *inv.Line) *[]inv.Posted { return &x.Posted }),
	opt("held", heldTable, func(x *inv.Line) **inv.Held { return &x.Held }),
	many("sourced", claimTable, func(x *inv.Line) *[]inv.Claim { return &x.Sourced }),
)

var keptTable = record("Kept",
	one("event", eventTable, func(x *inv.Kept) *inv.Event { return &x.Event }),
	word("code", func(x *inv.Kept) *inv.Code { return &x.Code }),
	optProse("detail", func(x *inv.Kept) *string { return &x.Detail }),
	optInstant("at", func(x *inv.Kept) *inv.Instant { return &x.At }),
	long("lineage", func(x *inv.Kept) *int64 { return &x.Lineage }),
	long("offset", func(x *inv.Kept) *int64 { return &x.Offset }),
	optInstant("until", func(x *inv.Kept) *inv.Instant { return &x.Until }),
)

var supplyEntryTable = record("SupplyEntry",
	word("source", func(x *inv.SupplyEntry) *inv.Source { return &x.Source }),
	optWord("location", func(x *inv.SupplyEntry) *inv.Location { return &x.Location }),
	hash64("document", func(x *inv.SupplyEntry) *uint64 { return &x.Document }),
	optText("revision", func(x *inv.SupplyEntry) *string { return &x.Revision }),
	word("stage", func(x *inv.SupplyEntry) *inv.Stage { return &x.Stage }),
	quantity("quantity", func(x *inv.SupplyEntry) *inv.Quantity { return &x.Quantity }),
	optDay("due", func(x *inv.SupplyEntry) *inv.Day { return &x.Due }),
	optInstant("at", func(x *inv.SupplyEntry) *inv.Instant { return &x.At }),
	optLong("sequence", func(x *inv.SupplyEntry) *int64 { return &x.Sequence }),
	optAccount("state", func(x *inv.SupplyEntry) *inv.Account { return &x.State }),
	boolean("shared", func(x *inv.SupplyEntry) *bool { return &x.Shared }),
	optLong("via", func(x *inv.SupplyEntry) *int64 { return &x.Via }),
)

var supplyOpenTable = record("SupplyOpen",
	optWord("location", func(x *inv.SupplyOpen) *inv.Location { return &x.Location }),
	optDay("due", func(x *inv.SupplyOpen) *inv.Day { return &x.Due }),
	quantity("quantity", func(x *inv.SupplyOpen) *inv.Quantity { return &x.Quantity }),
)

var supplyLineTable = record("SupplyLine",
	text("id", func(x *inv.SupplyLine) *string { return &x.ID }),
	many("refs", refTable, func(x *inv.SupplyLine) *[]inv.Ref { return &x.Refs }),
	many("entries", supplyEntryTable, func(x *inv.SupplyLine) *[]inv.SupplyEntry { return &x.Entries }),
	many("open", supplyOpenTable, func(x *inv.SupplyLine) *[]inv.SupplyOpen { return &x.Open }),
)

var refTargetTable = record("RefTarget",
	word("kind", func(x *inv.RefTarget) *string { return &x.Kind }),
	text("line", func(x *inv.RefTarget) *string { return &x.Line }),
	textArray("lines", func(x *inv.RefTarget) *[]string { return &x.Lines }),
)

// kindHeader is the kind of the partition header's record.
const kindHeader = "header"

var pieceTable = record("StateRecord",
	word("kind", func(x *inv.Piece) *string { return &x.Kind }),
	opt("head", headTable, func(x *inv.Piece) **inv.Head { return &x.Head }),
	opt("location", locationStateTable, func(x *inv.Piece) **inv.LocationState { return &x.Location }),
	when("ids", idSegmentTable, func(x *inv.Piece) bool { return len(x.IDs) > 0 || x.Kind == inv.PieceIDs }),
	when("journal", journalSegmentTable, func(x *inv.Piece) bool { return len(x.Journal) > 0 || x.Kind == inv.PieceJournal }),
	opt("line", lineTable, func(x *inv.Piece) **inv.Line { return &x.Line }),
	opt("supply", supplyLineTable, func(x *inv.Piece) **inv.SupplyLine { return &x.Supply }),
	opt("view", viewBody, func(x *inv.Piece) **inv.View { return &x.View }),
	opt("ref", refTargetTable, func(x *inv.Piece) **inv.RefTarget { return &x.Ref }),
	opt("kept", keptTable, func(x *inv.Piece) **inv.Kept { return &x.Kept }),
	absent[inv.Piece]("header"),
)

// encodeHeadPiece is pieceTable's encoding of a head, in parts.
func encodeHeadPiece(w *writer, x *inv.Piece, p *headParts) {
	p.from = len(w.b) - prefixSize
	w.text(x.Kind)
	w.some()
	encodeHeadBy(w, x.Head, p)
	for range len(pieceTable.fields) - 2 {
		w.null()
	}
}

var stateHeaderTable = record("StateRecord",
	tag[StateHeader](kindHeader),
	absent[StateHeader]("head"),
	absent[StateHeader]("location"),
	absent[StateHeader]("ids"),
	absent[StateHeader]("journal"),
	absent[StateHeader]("line"),
	absent[StateHeader]("supply"),
	absent[StateHeader]("view"),
	absent[StateHeader]("ref"),
	absent[StateHeader]("kept"),
	when("header", record("StateHeader",
		long("lineage", func(x *StateHeader) *int64 { return &x.Lineage }),
		word("cluster", func(x *StateHeader) *string { return &x.Cluster }),
		word("topic_id", func(x *StateHeader) *string { return &x.TopicID }),
		word("topic", func(x *StateHeader) *string { return &x.Topic }),
		integer("partition", func(x *StateHeader) *int32 { return &x.Partition }),
		integer("partitions", func(x *StateHeader) *int32 { return &x.Partitions }),
		word("partitioner", func(x *StateHeader) *string { return &x.Partitioner }),
		integer("store_version", func(x *StateHeader) *int32 { return &x.StoreVersion }),
		long("applied_through", func(x *StateHeader) *int64 { return &x.AppliedThrough }),
		long("policy_version", func(x *StateHeader) *int64 { return &x.PolicyVersion }),
		word("origin", func(x *StateHeader) *string { return &x.Origin }),
		long("previous_end", func(x *StateHeader) *int64 { return &x.PreviousEnd }),
		long("start", func(x *StateHeader) *int64 { return &x.Start }),
	), nil),
)
