package xmltext

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// open reads a start tag, or an empty element: then closed is true. qname is its
// name as it was written.
func (s *scanner) open() (e *Element, qname []byte, closed bool) {
	s.line += bytes.Count(s.b[s.counted:s.at], []byte("\n"))
	s.counted = s.at
	start := s.at
	e = &Element{Line: s.line}
	if !s.budget.Node() {
		s.tooLarge()
	}
	s.at++
	from := s.at
	s.rawName()
	if s.fault != nil {
		return e, nil, false
	}
	qname = s.b[from:s.at]
	type attr struct {
		prefix, name, value string
		at                  int
	}
	var attrs []attr
	for s.fault == nil {
		spaced := s.space()
		if s.at >= len(s.b) {
			s.fail(s.at, "xml_syntax", "it ends inside a tag")
			break
		}
		if s.b[s.at] == '>' {
			s.at++
			break
		}
		if s.has("/>") {
			s.at, closed = s.at+2, true
			break
		}
		at := s.at
		from := s.at
		s.rawName()
		if s.fault != nil {
			break
		}
		if !spaced {
			s.fail(at, "xml_syntax", "no white space before an attribute")
		}
		prefix, name := s.split(at, s.b[from:s.at])
		value := s.attrValue()
		if !s.budget.Text(len(value)) || !s.budget.Member() || !s.budget.Elem() {
			s.tooLarge()
		}
		if len(attrs) >= maxAttrs {
			s.fail(at, "xml_too_large", "more than %d attributes", maxAttrs)
		}
		if prefix == "xmlns" || prefix == "" && name == "xmlns" {
			s.bind(at, prefix, name, value)
		}
		attrs = append(attrs, attr{prefix, name, value, at})
	}
	for _, a := range attrs {
		if s.fault != nil {
			break
		}
		x := Attr{Name: a.name, Value: a.value}
		switch {
		case a.prefix == "xmlns" || a.prefix == "" && a.name == "xmlns":
			x.NS, x.Name = nsXMLNS, a.prefix+":"+a.name
		case a.prefix != "":
			x.NS = s.resolve(a.at, a.prefix)
		}
		for i := range e.Attrs {
			if e.Attrs[i].Name == x.Name && e.Attrs[i].NS == x.NS {
				s.fail(a.at, "xml_attribute", "attribute %.60q stands there twice", a.name)
			}
		}
		e.Attrs = append(e.Attrs, x)
	}
	// Declarations took part so that none is there twice; now they have done.
	kept := e.Attrs[:0]
	for _, a := range e.Attrs {
		if a.NS != nsXMLNS {
			kept = append(kept, a)
		}
	}
	if e.Attrs = kept; len(kept) == 0 {
		e.Attrs = nil
	}
	prefix, name := s.split(start, qname)
	e.Name, e.NS = name, s.resolve(start, prefix)
	return e, qname, closed
}

// bind declares a namespace (Namespaces in XML 1.0 §3, §5).
func (s *scanner) bind(at int, prefix, name, ns string) {
	if prefix == "" {
		name = "" // the default
	}
	switch {
	case name == "xmlns" || ns == nsXMLNS || (name == "xml") != (ns == nsXML):
		s.fail(at, "xml_namespace", "prefix %.60q cannot stand for %.100q", name, ns)
	case ns == "" && name != "":
		s.fail(at, "xml_namespace", "prefix %.60q stands for nothing", name)
	}
	if len(s.scope) >= maxScope {
		s.fail(at, "xml_too_large", "more than %d namespaces in scope", maxScope)
	}
	s.scope = append(s.scope, binding{name, s.intern([]byte(ns))})
}

func (s *scanner) resolve(at int, prefix string) string {
	if prefix == "xml" {
		return nsXML
	}
	for _, b := range slices.Backward(s.scope) {
		if b.prefix == prefix {
			return b.ns
		}
	}
	if prefix != "" {
		s.fail(at, "xml_namespace", "prefix %.60q is not declared", prefix)
	}
	return ""
}

// split cuts a qualified name.
func (s *scanner) split(at int, qname []byte) (prefix, name string) {
	before, after, found := bytes.Cut(qname, []byte(":"))
	if !found {
		return "", s.intern(qname)
	}
	first, _ := utf8.DecodeRune(after)
	if len(before) == 0 || len(after) == 0 || bytes.IndexByte(after, ':') >= 0 || !nameStart(first) {
		s.fail(at, "xml_namespace", "%.60q is no qualified name", qname)
	}
	return s.intern(before), s.intern(after)
}

func (s *scanner) intern(b []byte) string {
	if t, ok := s.names[string(b)]; ok {
		return t
	}
	t := string(b)
	if !s.budget.Text(len(t)) {
		s.tooLarge()
	}
	if len(s.names) < 1024 {
		s.names[t] = t
	}
	return t
}

// end reads an end tag.
func (s *scanner) end(qname []byte, e *Element) {
	at := s.at
	s.at += 2
	from := s.at
	s.rawName()
	if s.fault == nil && !bytes.Equal(s.b[from:s.at], qname) {
		s.fail(at, "xml_syntax", "</%.60s> ends <%.60s>, which begins at line %d", s.b[from:s.at], qname, e.Line)
		return
	}
	s.space()
	if !s.has(">") {
		s.fail(s.at, "xml_syntax", "an end tag that does not end")
		return
	}
	s.at++
}
