package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The tables of master data and policies.

var identifierTable = record("Identifier",
	word("type", func(x *Identifier) *string { return &x.Type }),
	text("value", func(x *Identifier) *string { return &x.Value }),
	optWord("owner", func(x *Identifier) *string { return &x.Owner }),
)

var itemTable = record("ItemRecord",
	tag[MasterItem]("item"),
	when("item", record("Item",
		word("entity", func(x *MasterItem) *inv.Entity { return &x.Key.Entity }),
		text("item", func(x *MasterItem) *inv.Item { return &x.Key.Item }),
		optProse("description", func(x *MasterItem) *string { return &x.Description }),
		word("base_unit", func(x *MasterItem) *string { return &x.BaseUnit }),
		boolean("indivisible", func(x *MasterItem) *bool { return &x.Indivisible }),
		many("units", record("Unit",
			word("unit", func(x *UnitOf) *string { return &x.Unit }),
			quantity("factor", func(x *UnitOf) *inv.Quantity { return &x.Factor }),
		), func(x *MasterItem) *[]UnitOf { return &x.Units }),
		many("identifiers", identifierTable, func(x *MasterItem) *[]Identifier { return &x.Identifiers }),
		long("version", func(x *MasterItem) *int64 { return &x.Version }),
		boolean("deleted", func(x *MasterItem) *bool { return &x.Deleted }),
		word("source", func(x *MasterItem) *inv.Source { return &x.Source }),
		optText("raw_id", func(x *MasterItem) *string { return &x.RawID }),
		instant("at", func(x *MasterItem) *inv.Instant { return &x.At }),
	), nil),
)

var locationTable = record("LocationRecord",
	tag[MasterLocation]("location"),
	when("location", record("Location",
		word("entity", func(x *MasterLocation) *inv.Entity { return &x.Entity }),
		word("location", func(x *MasterLocation) *inv.Location { return &x.Location }),
		optProse("description", func(x *MasterLocation) *string { return &x.Description }),
		word("class", func(x *MasterLocation) *string { return &x.Class }),
		word("zone", func(x *MasterLocation) *string { return &x.Zone }),
		boolean("valued", func(x *MasterLocation) *bool { return &x.Valued }),
		boolean("publishable", func(x *MasterLocation) *bool { return &x.Publishable }),
		optWord("receipt_to", func(x *MasterLocation) *string { return &x.ReceiptTo }),
		many("aliases", identifierTable, func(x *MasterLocation) *[]Identifier { return &x.Aliases }),
		long("version", func(x *MasterLocation) *int64 { return &x.Version }),
		boolean("deleted", func(x *MasterLocation) *bool { return &x.Deleted }),
		word("source", func(x *MasterLocation) *inv.Source { return &x.Source }),
		optText("raw_id", func(x *MasterLocation) *string { return &x.RawID }),
		instant("at", func(x *MasterLocation) *inv.Instant { return &x.At }),
	), nil),
)

var policyTable = record("PolicyRecord",
	tag[PolicyContent]("content"),
	when("content", record("PolicyContent",
		word("name", func(x *PolicyContent) *string { return &x.Name }),
		long("version", func(x *PolicyContent) *int64 { return &x.Version }),
		text("hash", func(x *PolicyContent) *string { return &x.Hash }),
		blob("content", func(x *PolicyContent) *[]byte { return &x.Content }),
		optInstant("at", func(x *PolicyContent) *inv.Instant { return &x.At }),
	), nil),
)
