package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// TopicMarks has what partners say is unique. Who comes first in its log holds it.
const TopicMarks = "canonicalizer.marks.v1"

// MarkInterchange is the sort of a mark of an interchange: its value is sender,
// receiver and control number.
const MarkInterchange = "interchange"

// Mark is what a partner says is unique, and the content that came under it. Key on
// the topic: source|sort|value.
type Mark struct {
	Source inv.Source
	Sort   string
	Value  string
	Digest string // SHA-256, hex
	RawID  string
	At     inv.Instant // receipt of the raw message
}

// Key is the mark's key on its topic.
func (m *Mark) Key() string {
	return inv.Escape(string(m.Source)) + "|" + inv.Escape(m.Sort) + "|" + inv.Escape(m.Value)
}

var markTable = record("MarkRecord",
	tag[Mark]("mark"),
	when("mark", record("Mark",
		word("source", func(x *Mark) *inv.Source { return &x.Source }),
		word("sort", func(x *Mark) *string { return &x.Sort }),
		text("value", func(x *Mark) *string { return &x.Value }),
		text("digest", func(x *Mark) *string { return &x.Digest }),
		text("raw_id", func(x *Mark) *string { return &x.RawID }),
		instant("at", func(x *Mark) *inv.Instant { return &x.At }),
	), nil),
)

// AppendMark appends a record of canonicalizer.marks.
func (c *Codecs) AppendMark(dst []byte, x *Mark) ([]byte, error) { return c.marks.append(dst, x) }

// DecodeMark reads a record of canonicalizer.marks.
func (c *Codecs) DecodeMark(value []byte, into *Mark) error { return c.marks.decode(value, into) }
