package policy

import "fmt"

// Acks say which acknowledgements a source gets of what it sends: they tell whether a
// document could be read, not what came of its lines.
type Acks struct {
	// X12 is the answer to a group: AckFunctional or AckImplementation; none when empty.
	X12 string `yaml:"x12"`
	// TA1 says when the interchange itself is answered: TA1Error, TA1Always, or when
	// empty where it asks for it (ISA14) or is at fault.
	TA1 string `yaml:"ta1"`
	// CONTRL answers EDIFACT interchanges.
	CONTRL bool `yaml:"contrl"`
}

// Acknowledgements of X12, and when the interchange is answered.
const (
	AckFunctional     = "997"
	AckImplementation = "999"

	TA1Error  = "error"
	TA1Always = "always"
)

// validate reports every fault of a source's acknowledgements.
func (a *Acks) validate(s *Source) []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: "acks." + field, Reason: fmt.Sprintf(format, args...)})
	}
	if a.X12 != "" && a.X12 != AckFunctional && a.X12 != AckImplementation {
		bad("x12", "must be 997 or 999, not %q", a.X12)
	}
	if a.TA1 != "" && a.TA1 != TA1Error && a.TA1 != TA1Always {
		bad("ta1", "must be error or always, not %q", a.TA1)
	}
	if a.TA1 != "" && a.X12 == "" {
		bad("ta1", "goes with an acknowledgement of groups: say x12 too")
	}
	if a.X12 != "" && s.Format != FormatX12 {
		bad("x12", "only a source of the x12 format gets one")
	}
	if a.X12 != "" && s.X12.Bare {
		bad("x12", "sets without an interchange name nobody to answer")
	}
	if a.CONTRL && s.Format != FormatEDIFACT {
		bad("contrl", "only a source of the edifact format gets one")
	}
	return errs
}
