package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The tables of inventory.events and inventory.outcomes, and what they share with
// others.

var documentTable = record("Document",
	word("type", func(x *inv.Document) *string { return &x.Type }),
	text("number", func(x *inv.Document) *string { return &x.Number }),
	optText("revision", func(x *inv.Document) *string { return &x.Revision }),
	optText("line", func(x *inv.Document) *string { return &x.Line }),
).direct(encodeDocument, decodeDocument)

var refTable = record("Ref",
	word("issuer", func(x *inv.Ref) *string { return &x.Issuer }),
	word("type", func(x *inv.Ref) *string { return &x.Type }),
	text("number", func(x *inv.Ref) *string { return &x.Number }),
	optText("line", func(x *inv.Ref) *string { return &x.Line }),
).direct(encodeRef, decodeRef)

var attributeTable = record("Attribute",
	word("name", func(x *inv.Attribute) *string { return &x.Name }),
	prose("value", func(x *inv.Attribute) *string { return &x.Value }),
).direct(encodeAttribute, decodeAttribute)

var traceTable = record("Trace",
	optText("raw_id", func(x *inv.Trace) *string { return &x.RawID }),
	optInteger("raw_line", func(x *inv.Trace) *int32 { return &x.RawLine }),
	optWord("mapping_version", func(x *inv.Trace) *string { return &x.MappingVersion }),
	optLong("master_version", func(x *inv.Trace) *int64 { return &x.MasterVersion }),
	optQuantity("unit_factor", func(x *inv.Trace) *inv.Quantity { return &x.UnitFactor }),
).direct(encodeTrace, decodeTrace)

var movementTable = record("Movement",
	word("type", func(x *inv.Movement) *inv.MovementType { return &x.Type }),
	optWord("location", func(x *inv.Movement) *inv.Location { return &x.Location }),
	optWord("to_location", func(x *inv.Movement) *inv.Location { return &x.ToLocation }),
	optAccount("from_state", func(x *inv.Movement) *inv.Account { return &x.FromState }),
	optAccount("to_state", func(x *inv.Movement) *inv.Account { return &x.ToState }),
	quantity("quantity", func(x *inv.Movement) *inv.Quantity { return &x.Quantity }),
	optProse("reason", func(x *inv.Movement) *string { return &x.Reason }),
	optText("reverses", func(x *inv.Movement) *string { return &x.Reverses }),
	optLong("sequence", func(x *inv.Movement) *int64 { return &x.Sequence }),
).direct(encodeMovement, decodeMovement)

var stateBalanceTable = record("StateBalance",
	account("state", func(x *inv.StateBalance) *inv.Account { return &x.State }),
	quantity("quantity", func(x *inv.StateBalance) *inv.Quantity { return &x.Quantity }),
).direct(encodeStateBalance, decodeStateBalance)

var countTable = record("Count",
	word("location", func(x *inv.Count) *inv.Location { return &x.Location }),
	word("basis", func(x *inv.Count) *inv.Basis { return &x.Basis }),
	accounts("includes", func(x *inv.Count) *[]inv.Account { return &x.Includes }),
	accounts("covers", func(x *inv.Count) *[]inv.Account { return &x.Covers }),
	many("balances", stateBalanceTable, func(x *inv.Count) *[]inv.StateBalance { return &x.Balances }),
	instant("as_of", func(x *inv.Count) *inv.Instant { return &x.AsOf }),
	word("as_of_basis", func(x *inv.Count) *string { return &x.AsOfBasis }),
	optLong("sequence", func(x *inv.Count) *int64 { return &x.Sequence }),
	boolean("complete", func(x *inv.Count) *bool { return &x.Complete }),
	optText("snapshot", func(x *inv.Count) *string { return &x.Snapshot }),
	optInteger("part", func(x *inv.Count) *int32 { return &x.Part }),
	optInteger("parts", func(x *inv.Count) *int32 { return &x.Parts }),
).direct(encodeCount, decodeCount)

var demandTable = record("Demand",
	word("stage", func(x *inv.Demand) *inv.Stage { return &x.Stage }),
	optWord("location", func(x *inv.Demand) *inv.Location { return &x.Location }),
	quantity("quantity", func(x *inv.Demand) *inv.Quantity { return &x.Quantity }),
	optWord("channel", func(x *inv.Demand) *string { return &x.Channel }),
	optDay("due", func(x *inv.Demand) *inv.Day { return &x.Due }),
	boolean("movable", func(x *inv.Demand) *bool { return &x.Movable }),
).direct(encodeDemand, decodeDemand)

var supplyTable = record("Supply",
	word("stage", func(x *inv.Supply) *inv.Stage { return &x.Stage }),
	optWord("location", func(x *inv.Supply) *inv.Location { return &x.Location }),
	quantity("quantity", func(x *inv.Supply) *inv.Quantity { return &x.Quantity }),
	optDay("due", func(x *inv.Supply) *inv.Day { return &x.Due }),
).direct(encodeSupply, decodeSupply)

var keyTable = record("ItemKey",
	word("entity", func(x *inv.Key) *inv.Entity { return &x.Entity }),
	text("item", func(x *inv.Key) *inv.Item { return &x.Item }),
)

var reservationLineTable = record("ReservationLine",
	text("line", func(x *inv.ReservationLine) *string { return &x.Line }),
	optWord("location", func(x *inv.ReservationLine) *inv.Location { return &x.Location }),
	quantity("quantity", func(x *inv.ReservationLine) *inv.Quantity { return &x.Quantity }),
	optWord("channel", func(x *inv.ReservationLine) *string { return &x.Channel }),
	optDay("due", func(x *inv.ReservationLine) *inv.Day { return &x.Due }),
	boolean("movable", func(x *inv.ReservationLine) *bool { return &x.Movable }),
	octet("priority", func(x *inv.ReservationLine) *uint8 { return &x.Priority }, 256),
)

var reservationTable = record("Reservation",
	text("id", func(x *inv.Reservation) *string { return &x.ID }),
	word("action", func(x *inv.Reservation) *inv.Action { return &x.Action }),
	word("partner", func(x *inv.Reservation) *string { return &x.Partner }),
	many("lines", reservationLineTable, func(x *inv.Reservation) *[]inv.ReservationLine { return &x.Lines }),
	boolean("partial", func(x *inv.Reservation) *bool { return &x.Partial }),
	optInstant("expires_at", func(x *inv.Reservation) *inv.Instant { return &x.ExpiresAt }),
	many("siblings", keyTable, func(x *inv.Reservation) *[]inv.Key { return &x.Siblings }),
	integer("reply_to", func(x *inv.Reservation) *int32 { return &x.ReplyTo }),
)

var approvalTable = record("Approval",
	optText("event", func(x *inv.Approval) *string { return &x.Event }),
	word("release", func(x *inv.Approval) *inv.ReleaseKind { return &x.Release }),
	text("author", func(x *inv.Approval) *string { return &x.Author }),
	optProse("reason", func(x *inv.Approval) *string { return &x.Reason }),
)

var snapshotEndTable = record("SnapshotEnd",
	word("source", func(x *inv.SnapshotEnd) *inv.Source { return &x.Source }),
	text("id", func(x *inv.SnapshotEnd) *string { return &x.ID }),
	word("entity", func(x *inv.SnapshotEnd) *inv.Entity { return &x.Entity }),
	word("location", func(x *inv.SnapshotEnd) *inv.Location { return &x.Location }),
	instant("as_of", func(x *inv.SnapshotEnd) *inv.Instant { return &x.AsOf }),
	word("basis", func(x *inv.SnapshotEnd) *inv.Basis { return &x.Basis }),
	accounts("covers", func(x *inv.SnapshotEnd) *[]inv.Account { return &x.Covers }),
	long("lines", func(x *inv.SnapshotEnd) *int64 { return &x.Lines }),
	optText("author", func(x *inv.SnapshotEnd) *string { return &x.Author }),
	optProse("reason", func(x *inv.SnapshotEnd) *string { return &x.Reason }),
	optInteger("part", func(x *inv.SnapshotEnd) *int32 { return &x.Part }),
	optInteger("parts", func(x *inv.SnapshotEnd) *int32 { return &x.Parts }),
)

var settingTable = record("Setting",
	optWord("location", func(x *inv.Setting) *inv.Location { return &x.Location }),
	quantity("safety_stock", func(x *inv.Setting) *inv.Quantity { return &x.SafetyStock }),
)

var controlTable = record("Control",
	long("policy_version", func(x *inv.Control) *int64 { return &x.PolicyVersion }),
	text("policy_hash", func(x *inv.Control) *string { return &x.PolicyHash }),
	opt("snapshot", snapshotEndTable, func(x *inv.Control) **inv.SnapshotEnd { return &x.Snapshot }),
)

var eventTable = record("EventRecord",
	word("kind", func(x *inv.Event) *inv.Kind { return &x.Kind }),
	text("id", func(x *inv.Event) *string { return &x.ID }),
	optWord("entity", func(x *inv.Event) *inv.Entity { return &x.Key.Entity }),
	optText("item", func(x *inv.Event) *inv.Item { return &x.Key.Item }),
	word("source", func(x *inv.Event) *inv.Source { return &x.Source }),
	one("document", documentTable, func(x *inv.Event) *inv.Document { return &x.Document }),
	optInstant("occurred_at", func(x *inv.Event) *inv.Instant { return &x.OccurredAt }),
	optWord("occurred_basis", func(x *inv.Event) *string { return &x.OccurredBasis }),
	optInstant("received_at", func(x *inv.Event) *inv.Instant { return &x.ReceivedAt }),
	many("refs", refTable, func(x *inv.Event) *[]inv.Ref { return &x.Refs }),
	many("attributes", attributeTable, func(x *inv.Event) *[]inv.Attribute { return &x.Attributes }),
	zeroable("trace", traceTable, func(x *inv.Event) *inv.Trace { return &x.Trace }),
	opt("movement", movementTable, func(x *inv.Event) **inv.Movement { return &x.Movement }),
	opt("count", countTable, func(x *inv.Event) **inv.Count { return &x.Count }),
	opt("demand", demandTable, func(x *inv.Event) **inv.Demand { return &x.Demand }),
	opt("supply", supplyTable, func(x *inv.Event) **inv.Supply { return &x.Supply }),
	opt("reservation", reservationTable, func(x *inv.Event) **inv.Reservation { return &x.Reservation }),
	opt("approval", approvalTable, func(x *inv.Event) **inv.Approval { return &x.Approval }),
	opt("setting", settingTable, func(x *inv.Event) **inv.Setting { return &x.Setting }),
	opt("control", controlTable, func(x *inv.Event) **inv.Control { return &x.Control }),
).direct(encodeEvent, decodeEvent)

var placeTable = record("Place",
	optWord("location", func(x *inv.Place) *inv.Location { return &x.Location }),
	account("account", func(x *inv.Place) *inv.Account { return &x.Account }),
)

var moveTable = record("Move",
	word("type", func(x *inv.Move) *inv.MovementType { return &x.Type }),
	one("from", placeTable, func(x *inv.Move) *inv.Place { return &x.From }),
	one("to", placeTable, func(x *inv.Move) *inv.Place { return &x.To }),
	quantity("quantity", func(x *inv.Move) *inv.Quantity { return &x.Quantity }),
	optProse("reason", func(x *inv.Move) *string { return &x.Reason }),
	optInstant("at", func(x *inv.Move) *inv.Instant { return &x.At }),
).direct(encodeMove, decodeMove)

var answerLineTable = record("AnswerLine",
	text("line", func(x *inv.AnswerLine) *string { return &x.Line }),
	word("location", func(x *inv.AnswerLine) *inv.Location { return &x.Location }),
	quantity("quantity", func(x *inv.AnswerLine) *inv.Quantity { return &x.Quantity }),
)

var answerTable = record("Answer",
	text("reservation", func(x *inv.Answer) *string { return &x.Reservation }),
	word("action", func(x *inv.Answer) *inv.Action { return &x.Action }),
	octet("verdict", func(x *inv.Answer) *inv.Verdict { return &x.Verdict }, 256),
	optWord("code", func(x *inv.Answer) *inv.Code { return &x.Code }),
	many("lines", answerLineTable, func(x *inv.Answer) *[]inv.AnswerLine { return &x.Lines }),
	optInstant("expires_at", func(x *inv.Answer) *inv.Instant { return &x.ExpiresAt }),
	quantity("available", func(x *inv.Answer) *inv.Quantity { return &x.Available }),
	integer("reply_to", func(x *inv.Answer) *int32 { return &x.ReplyTo }),
)

var lapseTable = record("Lapse",
	text("reservation", func(x *inv.Lapse) *string { return &x.Reservation }),
	text("line", func(x *inv.Lapse) *string { return &x.Line }),
	word("location", func(x *inv.Lapse) *inv.Location { return &x.Location }),
	quantity("quantity", func(x *inv.Lapse) *inv.Quantity { return &x.Quantity }),
	optInstant("expires_at", func(x *inv.Lapse) *inv.Instant { return &x.ExpiresAt }),
)

var outcomeTable = record("OutcomeRecord",
	word("kind", func(x *inv.Outcome) *inv.OutcomeKind { return &x.Kind }),
	boolean("late", func(x *inv.Outcome) *bool { return &x.Late }),
	wordArray("codes", func(x *inv.Outcome) *[]inv.Code { return &x.Codes }),
	optProse("detail", func(x *inv.Outcome) *string { return &x.Detail }),
	text("event_id", func(x *inv.Outcome) *string { return &x.EventID }),
	word("event_kind", func(x *inv.Outcome) *inv.Kind { return &x.EventKind }),
	optWord("entity", func(x *inv.Outcome) *inv.Entity { return &x.Key.Entity }),
	optText("item", func(x *inv.Outcome) *inv.Item { return &x.Key.Item }),
	word("source", func(x *inv.Outcome) *inv.Source { return &x.Source }),
	one("document", documentTable, func(x *inv.Outcome) *inv.Document { return &x.Document }),
	many("refs", refTable, func(x *inv.Outcome) *[]inv.Ref { return &x.Refs }),
	many("moves", moveTable, func(x *inv.Outcome) *[]inv.Move { return &x.Moves }),
	optInstant("occurred_at", func(x *inv.Outcome) *inv.Instant { return &x.OccurredAt }),
	optInstant("recorded_at", func(x *inv.Outcome) *inv.Instant { return &x.RecordedAt }),
	long("version", func(x *inv.Outcome) *int64 { return &x.Version }),
	long("policy_version", func(x *inv.Outcome) *int64 { return &x.PolicyVersion }),
	optText("line", func(x *inv.Outcome) *string { return &x.Line }),
	opt("answer", answerTable, func(x *inv.Outcome) **inv.Answer { return &x.Answer }),
	many("lapsed", lapseTable, func(x *inv.Outcome) *[]inv.Lapse { return &x.Lapsed }),
	many("attributes", attributeTable, func(x *inv.Outcome) *[]inv.Attribute { return &x.Attributes }),
	zeroable("trace", traceTable, func(x *inv.Outcome) *inv.Trace { return &x.Trace }),
	long("lineage", func(x *inv.Outcome) *int64 { return &x.Lineage }),
	integer("partition", func(x *inv.Outcome) *int32 { return &x.Partition }),
	long("offset", func(x *inv.Outcome) *int64 { return &x.Offset }),
).direct(encodeOutcome, decodeOutcome)
