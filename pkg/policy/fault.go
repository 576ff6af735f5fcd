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
	Code   string // stable, snake_case; empty where nobody branches on it
	Reason string
}

// Codes of faults.
const (
	CodeBadYAML      = "bad_yaml"
	CodeBadShape     = "bad_shape" // not what the JSON Schema of the file takes
	CodeDuplicate    = "duplicate"
	CodeRequired     = "required"
	CodeOutOfRange   = "out_of_range"
	CodeConflicting  = "conflicting" // two things of which only one may be said
	CodeBadTime      = "bad_time"
	CodeBadZone      = "bad_time_zone"
	CodeUnknownGroup = "unknown_group"
	CodeUnknownName  = "unknown_channel"
	CodeKitOfKit     = "kit_of_kit"    // a part that is itself a kit
	CodeFenceOverlap = "fence_overlap" // another channel sells the same stock from other locations
)

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
	s += f.Reason
	if f.Code != "" {
		s += " (" + f.Code + ")"
	}
	return s
}

// faults collects what is wrong with one struct.
type faults []error

func (fs *faults) add(code, field, format string, args ...any) {
	*fs = append(*fs, &Fault{Field: field, Code: code, Reason: fmt.Sprintf(format, args...)})
}
