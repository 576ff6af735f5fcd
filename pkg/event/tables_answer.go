package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// The table of reservations.answers.

var answeredTable = record("Answered",
	word("entity", func(x *Answered) *inv.Entity { return &x.Key.Entity }),
	text("item", func(x *Answered) *inv.Item { return &x.Key.Item }),
	text("event_id", func(x *Answered) *string { return &x.EventID }),
	word("outcome", func(x *Answered) *inv.OutcomeKind { return &x.Outcome }),
	one("answer", answerTable, func(x *Answered) *inv.Answer { return &x.Answer }),
	optInstant("recorded_at", func(x *Answered) *inv.Instant { return &x.RecordedAt }),
	long("version", func(x *Answered) *int64 { return &x.Version }),
	long("policy_version", func(x *Answered) *int64 { return &x.PolicyVersion }),
	long("lineage", func(x *Answered) *int64 { return &x.Lineage }),
	integer("partition", func(x *Answered) *int32 { return &x.Partition }),
	long("offset", func(x *Answered) *int64 { return &x.Offset }),
)

var answerRecordTable = record("AnswerRecord",
	tag[Answered]("answer"),
	when("answered", answeredTable, nil),
)
