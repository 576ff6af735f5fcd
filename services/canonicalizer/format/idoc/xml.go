package idoc

import (
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/xmltext"
)

func document(body []byte, src *policy.Source, yield func(format.Unit) bool) {
	root, fault := xmltext.Read(body, src.XML.Doctype, src.Encoding)
	if fault != nil {
		yield(format.Unit{Where: "document", Fault: fault})
		return
	}
	found := idocs(nil, root, nil)
	if len(found) == 0 {
		yield(format.Unit{Where: "document", Fault: format.Faultf("idoc_none", "no element IDOC and no control record in <%.60s>", root.Name)})
		return
	}
	n := 0
	for _, f := range found {
		for _, part := range f.split() {
			n++
			d := part.read(n)
			if !yield(d.unit()) {
				return
			}
		}
	}
}

// around is an element that holds an IDoc, and the one around that.
type around struct{ e, parent *xmltext.Element }

// idocs finds the outermost elements that are IDOC or have a control record: the
// port writes <TYPE><IDOC>, others only <IDOC>, or a root of their own.
func idocs(found []around, e, parent *xmltext.Element) []around {
	if e.Name == "IDOC" {
		return append(found, around{e, parent})
	}
	for _, c := range e.Children {
		if isControl(c.Name) {
			return append(found, around{e, parent})
		}
	}
	for _, c := range e.Children {
		found = idocs(found, c, e)
	}
	return found
}

func isControl(name string) bool { return name == "EDI_DC40" || name == "EDI_DC" }

// part is the control record and segments of one IDoc.
type part struct {
	root     any
	line     int
	control  *xmltext.Element
	segments []*xmltext.Element
}

// split cuts at each control record: several IDocs may stand in one wrong element.
func (a around) split() []part {
	var root any
	switch {
	case a.e.Name != "IDOC":
		root = a.e.Name
	case a.parent != nil:
		root = a.parent.Name
	}
	parts := []part{{root: root, line: a.e.Line}}
	for _, c := range a.e.Children {
		last := &parts[len(parts)-1]
		switch {
		case !isControl(c.Name):
			last.segments = append(last.segments, c)
		case last.control == nil:
			last.control = c
			if len(last.segments) > 0 {
				// Segments in front of it belong to nothing.
				last.control = nil
				parts = append(parts, part{root: root, line: c.Line, control: c})
			}
		default:
			parts = append(parts, part{root: root, line: c.Line, control: c})
		}
	}
	return parts
}

func (p *part) read(n int) *doc {
	d := &doc{where: whereOf(n, p.line), root: p.root, control: map[string]any{}}
	if p.control == nil {
		d.fail("idoc_control", "segments without a control record")
	} else {
		for _, c := range p.control.Children {
			d.field(d.control, p.control.Name, c)
		}
	}
	for _, e := range p.segments {
		d.segments = append(d.segments, d.element(e))
	}
	return d
}

// element reads a segment. What has children or the attribute SEGMENT is one, the
// rest are fields.
func (d *doc) element(e *xmltext.Element) map[string]any {
	s, ok := d.segment(e.Name)
	if !ok {
		d.fail("idoc_segments", "more than %d segments", format.MaxSegments)
		return s
	}
	if e.Trimmed() != "" {
		d.fail("idoc_structure", "line %d: text in segment %.60s", e.Line, e.Name)
	}
	var below []any
	for _, c := range e.Children {
		if len(c.Children) > 0 || c.Attr("SEGMENT") != "" {
			below = append(below, d.element(c))
		} else {
			d.field(s, e.Name, c)
		}
	}
	if below != nil {
		s["segments"] = below
	}
	return s
}

func (d *doc) field(m map[string]any, segment string, e *xmltext.Element) {
	if _, twice := m[e.Name]; twice {
		d.fail("idoc_field_twice", "line %d: %.60s of %.60s stands there twice", e.Line, e.Name, segment)
		return
	}
	if len(e.Children) > 0 {
		d.fail("idoc_structure", "line %d: elements in field %.60s of %.60s", e.Line, e.Name, segment)
	}
	m[e.Name] = nil
	if t := strings.TrimSpace(e.Text); t != "" {
		m[e.Name] = t
	}
}
