package policy

import (
	"fmt"
)

// Fault is one thing wrong with one file.
type Fault struct {
	File   string // inside the policies folder; empty when the struct stands alone
	Line   int    // from 1; 0 when not known
	Column int
	Field  string // path within the file, e.g. auth.hmac.encoding
	Reason string
}

func (f *Fault) Error() string {
	s := f.File
	if f.Line > 0 {
		s += fmt.Sprintf(":%d:%d", f.Line, f.Column)
	}
	if s != "" {
		s += ": "
	}
	if f.Field != "" {
		s += f.Field + ": "
	}
	return s + f.Reason
}
