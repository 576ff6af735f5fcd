package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// TopicCursors has how far ingest's transports have come.
const TopicCursors = "ingest.cursors.v1"

// Cursor is how far a transport has come: everything before it is in the log.
type Cursor struct {
	Key   string // on the topic: source|flow
	Value []byte // the transport's own
	At    inv.Instant
}

var cursorTable = record("CursorRecord",
	tag[Cursor]("cursor"),
	when("cursor", record("Cursor",
		text("key", func(x *Cursor) *string { return &x.Key }),
		blob("value", func(x *Cursor) *[]byte { return &x.Value }),
		instant("at", func(x *Cursor) *inv.Instant { return &x.At }),
	), nil),
)

// AppendCursor appends a record of ingest.cursors.
func (c *Codecs) AppendCursor(dst []byte, x *Cursor) ([]byte, error) {
	return c.cursors.append(dst, x)
}

// DecodeCursor reads a record of ingest.cursors.
func (c *Codecs) DecodeCursor(value []byte, into *Cursor) error {
	return c.cursors.decode(value, into)
}
