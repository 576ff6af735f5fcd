// Package xmltext reads XML 1.0 with namespaces strictly, for the formats that are
// written in it. Document type declarations and entities are refused and nothing is
// fetched; what readers disagree about (a prefix that is not declared, an attribute
// twice) is a fault.
package xmltext

import (
	"bytes"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Namespaces that are bound without a declaration, or that mean something here.
const (
	nsXML   = "http://www.w3.org/XML/1998/namespace"
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
	nsXSI   = "http://www.w3.org/2001/XMLSchema-instance"
)

const (
	maxAttrs = 256 // of one element
	maxScope = 256 // namespaces bound where an element stands
)

// Element is an element as it was written: children in order, text joined.
type Element struct {
	NS, Name string // Name is the local name
	Attrs    []Attr
	Children []*Element
	Text     string // its own, also what stands between children; line ends are \n
	Line     int
}

// Attr is an attribute; an unprefixed one has no namespace. Declarations of
// namespaces are none.
type Attr struct{ NS, Name, Value string }

// Read reads a document (XML 1.0, Fifth Edition; Namespaces in XML 1.0, Third
// Edition) into its root. A document type declaration is refused; see
// policy.XML.Doctype. The encoding is that of a byte order mark, else what the
// document declares, else the one given, else UTF-8.
//
// Fault codes: xml_syntax, xml_doctype, xml_entity, xml_namespace, xml_attribute,
// xml_char, xml_encoding, invalid_utf8, xml_too_deep and xml_too_large; reasons have
// line and column.
func Read(body []byte, doctype, encoding string) (*Element, *format.Fault) {
	body, fault := decode(body, encoding)
	if fault != nil {
		return nil, fault
	}
	s := scanner{b: body, doctype: doctype, names: map[string]string{}, line: 1}
	root := s.document()
	if s.fault != nil {
		s.fault.Reason = format.Place(body, s.faultAt) + ": " + s.fault.Reason
		return nil, s.fault
	}
	return root, nil
}

// scanner walks a document once. After the first fault nothing else is read.
type scanner struct {
	b       []byte
	at      int
	doctype string
	line    int // of counted
	counted int
	names   map[string]string // names and namespaces seen
	scope   []binding         // of prefixes, the innermost last
	budget  format.Budget
	fault   *format.Fault
	faultAt int
}

type binding struct{ prefix, ns string }

func (s *scanner) fail(at int, code, reason string, args ...any) {
	if s.fault == nil {
		s.fault, s.faultAt = format.Faultf(code, reason, args...), at
	}
}

func (s *scanner) has(prefix string) bool {
	return len(s.b)-s.at >= len(prefix) && string(s.b[s.at:s.at+len(prefix)]) == prefix
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// space skips white space and says whether there was any.
func (s *scanner) space() bool {
	from := s.at
	for s.at < len(s.b) && isSpace(s.b[s.at]) {
		s.at++
	}
	return s.at > from
}

func (s *scanner) document() *Element {
	s.declaration()
	var root *Element
	seenDoctype := false
	for s.fault == nil {
		s.space()
		switch {
		case s.at >= len(s.b):
			if root == nil {
				s.fail(s.at, "xml_syntax", "there is no element")
			}
			return root
		case s.misc():
		case s.has("<!DOCTYPE"):
			if root != nil || seenDoctype {
				s.fail(s.at, "xml_syntax", "a document type declaration out of place")
			}
			seenDoctype = true
			s.dtd()
		case root == nil && s.has("<"):
			root = s.tree()
		case root != nil:
			s.fail(s.at, "xml_syntax", "something follows the document")
		default:
			s.fail(s.at, "xml_syntax", "text before the document")
		}
	}
	return nil
}

// declaration reads <?xml version="1.0" encoding="..." standalone="..."?>.
func (s *scanner) declaration() {
	if !s.has("<?xml") || s.at+5 < len(s.b) && !isSpace(s.b[s.at+5]) {
		return
	}
	start := s.at
	s.at += len("<?xml")
	order := []string{"version", "encoding", "standalone"}
	for s.fault == nil {
		spaced := s.space()
		if s.has("?>") {
			s.at += 2
			if len(order) == 3 {
				s.fail(start, "xml_syntax", "an XML declaration without a version")
			}
			return
		}
		at := s.at
		name := s.rawName()
		for len(order) > 0 && order[0] != name && order[0] != "version" {
			order = order[1:]
		}
		if len(order) == 0 || order[0] != name || !spaced {
			s.fail(at, "xml_syntax", "an XML declaration that is none")
			return
		}
		order = order[1:]
		value := s.attrValue()
		if name == "version" && !strings.HasPrefix(value, "1.") {
			s.fail(at, "xml_syntax", "XML version %.20q", value)
		}
	}
}

// misc skips a comment or a processing instruction.
func (s *scanner) misc() bool {
	at := s.at
	switch {
	case s.has("<!--"):
		end := bytes.Index(s.b[s.at+4:], []byte("--"))
		if end < 0 {
			s.fail(at, "xml_syntax", "a comment that does not end")
			return true
		}
		body := s.b[s.at+4 : s.at+4+end]
		s.at += 4 + end + 2
		if !s.has(">") {
			s.fail(s.at-2, "xml_syntax", "-- inside a comment")
			return true
		}
		s.at++
		s.chars(at+4, body)
	case s.has("<?"):
		s.at += 2
		name := s.rawName()
		if s.fault == nil && (strings.EqualFold(name, "xml") || strings.Contains(name, ":")) {
			s.fail(at, "xml_syntax", "a processing instruction named %.20q", name)
			return true
		}
		from := s.at
		end := bytes.Index(s.b[s.at:], []byte("?>"))
		if s.fault != nil || end < 0 || end > 0 && !isSpace(s.b[s.at]) {
			s.fail(at, "xml_syntax", "a processing instruction that does not end")
			return true
		}
		s.at += end + 2
		s.chars(from, s.b[from:from+end])
	default:
		return false
	}
	return true
}

// dtd refuses a document type declaration, or skips one that declares nothing
// itself. What it names is never fetched.
func (s *scanner) dtd() {
	at := s.at
	if s.doctype != policy.DoctypeIgnore {
		s.fail(at, "xml_doctype", "a document type declaration")
		return
	}
	s.at += len("<!DOCTYPE")
	if !s.space() {
		s.fail(s.at, "xml_syntax", "a document type declaration that is none")
	}
	s.rawName()
	s.space()
	literals := 0
	switch {
	case s.has("SYSTEM"):
		literals = 1
	case s.has("PUBLIC"):
		literals = 2
	}
	if literals > 0 {
		s.at += len("SYSTEM")
	}
	for range literals {
		if !s.space() || s.at >= len(s.b) || s.b[s.at] != '"' && s.b[s.at] != '\'' {
			s.fail(s.at, "xml_syntax", "a document type declaration without its name in quotes")
			return
		}
		end := bytes.IndexByte(s.b[s.at+1:], s.b[s.at])
		if end < 0 {
			s.fail(s.at, "xml_syntax", "a document type declaration that does not end")
			return
		}
		s.chars(s.at+1, s.b[s.at+1:s.at+1+end])
		s.at += end + 2
	}
	switch s.space(); {
	case s.has("["):
		s.fail(s.at, "xml_doctype", "a document type declaration that declares something")
	case s.has(">"):
		s.at++
	default:
		s.fail(s.at, "xml_syntax", "a document type declaration that does not end")
	}
}

// tree reads an element and all below it, without recursion.
func (s *scanner) tree() *Element {
	root, written, closed := s.open()
	if closed || s.fault != nil {
		return root
	}
	type level struct {
		e     *Element
		qname []byte // as its end must repeat it
		scope int    // bindings before its child
		text  []byte // goes on after a child
	}
	stack := []level{{e: root, qname: written}}
	for s.fault == nil {
		top := &stack[len(stack)-1]
		if s.at >= len(s.b) {
			s.fail(s.at, "xml_syntax", "it ends inside <%.60s>, which begins at line %d", top.qname, top.e.Line)
			break
		}
		switch {
		case s.b[s.at] != '<':
			top.text = s.charData(top.text)
		case s.has("</"):
			s.end(top.qname, top.e)
			if len(top.text) > 0 {
				top.e.Text = string(top.text)
				if !s.budget.Text(len(top.text)) {
					s.tooLarge()
				}
			}
			stack = stack[:len(stack)-1]
			if len(stack) == 0 {
				return root
			}
			s.scope = s.scope[:stack[len(stack)-1].scope]
		case s.has("<![CDATA["):
			top.text = s.cdata(top.text)
		case s.misc():
		case s.has("<!"):
			s.fail(s.at, "xml_syntax", "a declaration inside an element")
		default:
			if len(stack) >= format.MaxDepth {
				s.fail(s.at, "xml_too_deep", "deeper than %d", format.MaxDepth)
				break
			}
			top.scope = len(s.scope)
			e, written, closed := s.open()
			if s.fault != nil {
				break
			}
			top.e.Children = append(top.e.Children, e)
			if closed {
				s.scope = s.scope[:top.scope]
				continue
			}
			stack = append(stack, level{e: e, qname: written})
		}
	}
	return nil
}

func (s *scanner) tooLarge() {
	s.fail(s.at, "xml_too_large", "more elements than %d bytes of memory hold", format.MaxTree)
}
