package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The table of inventory.snapshots.

var snapshotEndedTable = record("SnapshotEnded",
	one("end", snapshotEndTable, func(x *SnapshotEnded) *inv.SnapshotEnd { return &x.End }),
	text("event_id", func(x *SnapshotEnded) *string { return &x.EventID }),
	optInstant("recorded_at", func(x *SnapshotEnded) *inv.Instant { return &x.RecordedAt }),
	long("policy_version", func(x *SnapshotEnded) *int64 { return &x.PolicyVersion }),
	long("lineage", func(x *SnapshotEnded) *int64 { return &x.Lineage }),
	integer("partition", func(x *SnapshotEnded) *int32 { return &x.Partition }),
	long("offset", func(x *SnapshotEnded) *int64 { return &x.Offset }),
)

var snapshotRecordTable = record("SnapshotRecord",
	tag[SnapshotEnded]("end"),
	when("ended", snapshotEndedTable, nil),
)
