package inventory

import "fmt"

// Tests compare pieces by how they print: by what they hold, not where.

func (o *Order) String() string     { return fmt.Sprintf("%+v", *o) }
func (m *CountMark) String() string { return fmt.Sprintf("%+v", *m) }
func (t *Trimmed) String() string   { return fmt.Sprintf("%+v", *t) }

// A location without more and one whose more is zero are the same: both are stored alike.
func (m *LocationMore) String() string {
	if m == nil || m.IsZero() {
		return "<nil>"
	}
	return fmt.Sprintf("%+v", *m)
}
