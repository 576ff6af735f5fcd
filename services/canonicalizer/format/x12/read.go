package x12

import (
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Interchange is the envelope of a received interchange: what an acknowledgement
// speaks about.
type Interchange struct {
	Element, Component, Terminator, Repetition string
	ISA                                        []string // by element number; nil: the sets stand in no interchange
	Groups                                     []Group
	// Loose are sets outside any group.
	Loose  []Set
	Faults []*format.Fault // of the interchange, in the order found
	// Recoded: the body is windows-1252, not UTF-8.
	Recoded bool
}

// Group is a functional group.
type Group struct {
	GS, GE []string // by element number; GE is nil where it is missing
	Sets   []Set
	Faults []*format.Fault
}

// Set is a transaction set.
type Set struct {
	ST, SE []string // by element number; SE is empty where it is missing
	Pos    int      // of ST in the message
	Faults []Fault
}

// Fault is what is wrong with a set.
type Fault struct {
	*format.Fault
	Segment string // id of the segment that is wrong, empty where the envelope is
	At      int    // its number in the set, ST is 1; 0 where the envelope is
}

// Read reads the envelopes of a message, as Parse reads them: one entry for each
// interchange. The faults are of what is no interchange at all.
func Read(body []byte) ([]Interchange, []*format.Fault) {
	s := newScanner(body)
	if fault := s.size(); fault != nil {
		return nil, []*format.Fault{fault}
	}
	s.recording = true
	var out []Interchange
	var faults []*format.Fault
	s.read(func(r *reader) bool {
		out = append(out, *r.record)
		return true
	}, func(_ int, fault *format.Fault) bool {
		faults = append(faults, fault)
		return true
	})
	return out, faults
}

func (i *Interchange) fault(inGroup bool, f *format.Fault) {
	if inGroup {
		g := &i.Groups[len(i.Groups)-1]
		g.Faults = append(g.Faults, f)
		return
	}
	i.Faults = append(i.Faults, f)
}

func (i *Interchange) set(inGroup bool, s Set) {
	if inGroup {
		g := &i.Groups[len(i.Groups)-1]
		g.Sets = append(g.Sets, s)
		return
	}
	i.Loose = append(i.Loose, s)
}
