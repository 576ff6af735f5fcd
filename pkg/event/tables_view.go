package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The tables of inventory.views. A view is a piece of the state as well.

var viewMoveTable = record("ViewMove",
	instant("at", func(x *inv.ViewMove) *inv.Instant { return &x.At }),
	account("state", func(x *inv.ViewMove) *inv.Account { return &x.State }),
	quantity("quantity", func(x *inv.ViewMove) *inv.Quantity { return &x.Quantity }),
)

var inFlightTable = record("InFlight",
	word("kind", func(x *inv.InFlight) *string { return &x.Kind }),
	instant("at", func(x *inv.InFlight) *inv.Instant { return &x.At }),
	account("state", func(x *inv.InFlight) *inv.Account { return &x.State }),
	quantity("quantity", func(x *inv.InFlight) *inv.Quantity { return &x.Quantity }),
)

var streakTable = record("Streak",
	integer("snapshots", func(x *inv.Streak) *int32 { return &x.Snapshots }),
	instant("since", func(x *inv.Streak) *inv.Instant { return &x.Since }),
	quantity("largest", func(x *inv.Streak) *inv.Quantity { return &x.Largest }),
)

var varianceTable = record("Variance",
	instant("as_of", func(x *inv.Variance) *inv.Instant { return &x.AsOf }),
	many("ledger", stateBalanceTable, func(x *inv.Variance) *[]inv.StateBalance { return &x.Ledger }),
	quantity("net", func(x *inv.Variance) *inv.Quantity { return &x.Net }),
	quantity("absolute", func(x *inv.Variance) *inv.Quantity { return &x.Absolute }),
	quantity("unexplained", func(x *inv.Variance) *inv.Quantity { return &x.Unexplained }),
	quantity("unexplained_net", func(x *inv.Variance) *inv.Quantity { return &x.UnexplainedNet }),
	many("in_flight", inFlightTable, func(x *inv.Variance) *[]inv.InFlight { return &x.InFlight }),
	integer("in_flight_events", func(x *inv.Variance) *int32 { return &x.InFlightEvents }),
	boolean("inexact", func(x *inv.Variance) *bool { return &x.Inexact }),
	zeroable("streak", streakTable, func(x *inv.Variance) *inv.Streak { return &x.Streak }),
	zeroable("past", streakTable, func(x *inv.Variance) *inv.Streak { return &x.Past }),
	boolean("alert", func(x *inv.Variance) *bool { return &x.Alert }),
	optWord("diagnosis", func(x *inv.Variance) *inv.Code { return &x.Diagnosis }),
	optProse("diagnosis_detail", func(x *inv.Variance) *string { return &x.DiagnosisDetail }),
	optInstant("diagnosis_event", func(x *inv.Variance) *inv.Instant { return &x.DiagnosisEvent }),
	optWord("diagnosis_location", func(x *inv.Variance) *inv.Location { return &x.DiagnosisLocation }),
)

var stateSequenceTable = record("StateSequence",
	account("state", func(x *inv.StateSequence) *inv.Account { return &x.State }),
	long("sequence", func(x *inv.StateSequence) *int64 { return &x.Sequence }),
)

var viewBody = record("View",
	word("entity", func(x *inv.View) *inv.Entity { return &x.Key.Entity }),
	text("item", func(x *inv.View) *inv.Item { return &x.Key.Item }),
	word("location", func(x *inv.View) *inv.Location { return &x.Location }),
	word("source", func(x *inv.View) *inv.Source { return &x.Source }),
	word("basis", func(x *inv.View) *inv.Basis { return &x.Basis }),
	accounts("includes", func(x *inv.View) *[]inv.Account { return &x.Includes }),
	many("balances", stateBalanceTable, func(x *inv.View) *[]inv.StateBalance { return &x.Balances }),
	many("moved", viewMoveTable, func(x *inv.View) *[]inv.ViewMove { return &x.Moved }),
	optInstant("blurred", func(x *inv.View) *inv.Instant { return &x.Blurred }),
	optInstant("as_of", func(x *inv.View) *inv.Instant { return &x.AsOf }),
	optLong("sequence", func(x *inv.View) *int64 { return &x.Sequence }),
	many("older", stateSequenceTable, func(x *inv.View) *[]inv.StateSequence { return &x.Older }),
	optInteger("document", func(x *inv.View) *int32 { return &x.Document }),
	optInstant("recorded_at", func(x *inv.View) *inv.Instant { return &x.RecordedAt }),
	text("event_id", func(x *inv.View) *string { return &x.EventID }),
	long("version", func(x *inv.View) *int64 { return &x.Version }),
	opt("variance", varianceTable, func(x *inv.View) **inv.Variance { return &x.Variance }),
)

var viewTable = record("ViewRecord",
	tag[inv.View]("view"),
	when("view", viewBody, nil),
)
