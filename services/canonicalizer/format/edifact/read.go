package edifact

import (
	"strings"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Interchange is the envelope of a received interchange: what an acknowledgement
// speaks about. Segments are their elements as they stand in the body, release
// characters and bytes of the character set included, from the tag: what is
// written back by the same service characters needs no change.
type Interchange struct {
	Service  Service // repetition is zero where the syntax has none
	UNA      bool    // the service string advice stood in front
	UNB, UNZ []string
	Groups   []Group
	Messages []Message // outside any group
	Faults   []*format.Fault
}

// Group is a group of messages.
type Group struct {
	UNG, UNE []string // UNE is nil where it is missing
	Messages []Message
	Faults   []*format.Fault
}

// Message is a message.
type Message struct {
	UNH, UNT []string // UNT is nil where it is missing
	Pos      int      // of UNH in the body
	Faults   []Fault
}

// Fault is what is wrong with a message.
type Fault struct {
	*format.Fault
	At int // the number of the segment that is wrong, UNH is 1; 0 where the envelope is
}

// Read reads the envelopes of a body, as Parse reads them: one entry for each
// interchange. The faults are of what is no interchange at all.
func Read(body []byte) ([]Interchange, []*format.Fault) {
	s, fault := newScanner(body)
	if fault == nil {
		fault = s.size()
	}
	if fault != nil {
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

// split gives the elements of the segment cut last as they stand.
func (s *scanner) split() []string { return s.splitText(s.raw) }

func (s *scanner) splitText(text string) []string {
	text = format.Trim(text)
	var out []string
	for more := true; more && len(out) < format.MaxElements; {
		var part string
		part, text, more = s.until(text, s.service.Element, s.service.Release != 0)
		out = append(out, part)
	}
	// A release character that the end of the body left alone would release what is
	// written behind it.
	if last, c := out[len(out)-1], string([]byte{s.service.Release}); (len(last)-len(strings.TrimRight(last, c)))%2 == 1 && s.service.Release != 0 {
		out[len(out)-1] = last[:len(last)-1]
	}
	return out
}

func (i *Interchange) fault(inGroup bool, f *format.Fault) {
	if inGroup {
		g := &i.Groups[len(i.Groups)-1]
		g.Faults = append(g.Faults, f)
		return
	}
	i.Faults = append(i.Faults, f)
}

func (i *Interchange) message(inGroup bool, m Message) {
	if inGroup {
		g := &i.Groups[len(i.Groups)-1]
		g.Messages = append(g.Messages, m)
		return
	}
	i.Messages = append(i.Messages, m)
}
