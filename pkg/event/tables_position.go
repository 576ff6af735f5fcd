package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The tables of inventory.positions.

type states = [inv.NumStates]inv.Quantity

var statesTable = record("States",
	quantity("on_hand", func(x *states) *inv.Quantity { return &x[inv.OnHand] }),
	quantity("picked", func(x *states) *inv.Quantity { return &x[inv.Picked] }),
	quantity("in_transit", func(x *states) *inv.Quantity { return &x[inv.InTransit] }),
	quantity("damaged", func(x *states) *inv.Quantity { return &x[inv.Damaged] }),
	quantity("returned", func(x *states) *inv.Quantity { return &x[inv.Returned] }),
	quantity("quarantine", func(x *states) *inv.Quantity { return &x[inv.Quarantine] }),
).direct(encodeStates, decodeStates)

var bucketTable = record("Bucket",
	optDay("due", func(x *inv.Bucket) *inv.Day { return &x.Due }),
	optWord("channel", func(x *inv.Bucket) *string { return &x.Channel }),
	boolean("movable", func(x *inv.Bucket) *bool { return &x.Movable }),
	quantity("quantity", func(x *inv.Bucket) *inv.Quantity { return &x.Quantity }),
).direct(encodeBucket, decodeBucket)

var positionBody = record("Position",
	word("entity", func(x *inv.Position) *inv.Entity { return &x.Key.Entity }),
	text("item", func(x *inv.Position) *inv.Item { return &x.Key.Item }),
	word("location", func(x *inv.Position) *inv.Location { return &x.Location }),
	one("states", statesTable, func(x *inv.Position) *states { return &x.States }),
	many("reserved", bucketTable, func(x *inv.Position) *[]inv.Bucket { return &x.Reserved }),
	many("supply", bucketTable, func(x *inv.Position) *[]inv.Bucket { return &x.Supply }),
	optQuantity("parked_out", func(x *inv.Position) *inv.Quantity { return &x.ParkedOut }),
	boolean("frozen", func(x *inv.Position) *bool { return &x.Frozen }),
	quantity("safety_stock", func(x *inv.Position) *inv.Quantity { return &x.SafetyStock }),
	long("version", func(x *inv.Position) *int64 { return &x.Version }),
	integer("part", func(x *inv.Position) *int32 { return &x.Part }),
	integer("parts", func(x *inv.Position) *int32 { return &x.Parts }),
	optInstant("recorded_at", func(x *inv.Position) *inv.Instant { return &x.RecordedAt }),
	optText("event_id", func(x *inv.Position) *string { return &x.EventID }),
	long("policy_version", func(x *inv.Position) *int64 { return &x.PolicyVersion }),
	long("lineage", func(x *inv.Position) *int64 { return &x.Lineage }),
	integer("partition", func(x *inv.Position) *int32 { return &x.Partition }),
	long("offset", func(x *inv.Position) *int64 { return &x.Offset }),
	optLong("previous", func(x *inv.Position) *int64 { return &x.Previous }),
).direct(encodePosition, decodePosition)

var positionTable = record("PositionRecord",
	tag[inv.Position]("position"),
	when("position", positionBody, nil),
)
