// Package xmltext reads XML 1.0 with namespaces strictly, for the formats that are
// written in it. Document type declarations and entities are refused and nothing is
// fetched; what readers disagree about (a prefix that is not declared, an attribute
// twice) is a fault.
package xmltext

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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

// encodings are the names of what is read, as documents write them.
var encodings = map[string]string{
	"utf-8": policy.UTF8, "utf8": policy.UTF8, "us-ascii": policy.ASCII, "ascii": policy.ASCII,
	"iso-8859-1": policy.Latin1, "iso_8859-1": policy.Latin1, "latin1": policy.Latin1,
	"windows-1252": policy.Windows1252, "cp1252": policy.Windows1252, "utf-16": policy.UTF16,
}

func decode(body []byte, encoding string) ([]byte, *format.Fault) {
	mark := bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff})
	switch name, stated := declared(body); {
	case mark:
		encoding = policy.UTF16
	case stated:
		known, ok := encodings[strings.ToLower(name)]
		if !ok {
			return nil, format.Faultf("xml_encoding", "encoding %.40q is not read", name)
		}
		// A declaration that can be read as ASCII belies UTF-16: then the source decides.
		if known != policy.UTF16 || encoding == "" {
			encoding = known
		}
	}
	body, err := format.Decode(body, encoding)
	if err != nil {
		return nil, format.Faultf("xml_encoding", "%v", err)
	}
	if len(body) > 1 && (body[0] == 0 || body[1] == 0) {
		return nil, format.Faultf("xml_encoding", "UTF-16 or UTF-32 without a byte order mark")
	}
	if at := format.InvalidUTF8(body); at >= 0 {
		return nil, format.Faultf("invalid_utf8", "%s: not UTF-8", format.Place(body, at))
	}
	return body, nil
}

// declared is the encoding of the XML declaration, which is ASCII in every encoding
// that needs one.
func declared(body []byte) (string, bool) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if !bytes.HasPrefix(body, []byte("<?xml")) {
		return "", false
	}
	head := body[:min(len(body), 256)]
	if end := bytes.Index(head, []byte("?>")); end >= 0 {
		head = head[:end]
	}
	_, rest, ok := bytes.Cut(head, []byte("encoding"))
	if rest = bytes.TrimLeft(rest, " \t\r\n"); !ok || len(rest) == 0 || rest[0] != '=' {
		return "", false
	}
	if rest = bytes.TrimLeft(rest[1:], " \t\r\n"); len(rest) == 0 || rest[0] != '"' && rest[0] != '\'' {
		return "", false
	}
	name, _, ok := bytes.Cut(rest[1:], rest[:1])
	return string(name), ok
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

// rawName reads a name (XML 1.0 §2.3), colons included.
func (s *scanner) rawName() string {
	from := s.at
	for s.at < len(s.b) {
		c := s.b[s.at]
		if c < utf8.RuneSelf {
			if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' ||
				s.at > from && (c >= '0' && c <= '9' || c == '-' || c == '.') {
				s.at++
				continue
			}
			break
		}
		r, n := utf8.DecodeRune(s.b[s.at:])
		if !nameStart(r) && (s.at == from || !nameLater(r)) {
			break
		}
		s.at += n
	}
	if s.at == from {
		if s.at >= len(s.b) {
			s.fail(s.at, "xml_syntax", "it ends where a name should be")
		} else {
			r, _ := utf8.DecodeRune(s.b[s.at:])
			s.fail(s.at, "xml_syntax", "%q where a name should be", r)
		}
		return ""
	}
	if s.at-from > 1000 {
		s.fail(from, "xml_syntax", "a name of %d bytes", s.at-from)
		return ""
	}
	return string(s.b[from:s.at])
}

func nameStart(r rune) bool {
	switch {
	case r < 0x80:
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
	case r < 0x300:
		return r >= 0xc0 && r != 0xd7 && r != 0xf7
	}
	return r >= 0x370 && r <= 0x1fff && r != 0x37e || r == 0x200c || r == 0x200d || r >= 0x2070 && r <= 0x218f ||
		r >= 0x2c00 && r <= 0x2fef || r >= 0x3001 && r <= 0xd7ff || r >= 0xf900 && r <= 0xfdcf ||
		r >= 0xfdf0 && r <= 0xfffd || r >= 0x10000 && r <= 0xeffff
}

func isName(s string) bool {
	for i, r := range s {
		if !nameStart(r) && (i == 0 || !nameLater(r) && (r < '0' || r > '9') && r != '-' && r != '.') {
			return false
		}
	}
	return s != ""
}

func nameLater(r rune) bool {
	return r == 0xb7 || r >= 0x300 && r <= 0x36f || r == 0x203f || r == 0x2040
}

// attrValue reads = and a value in quotes, normalized (XML 1.0 §3.3.3).
func (s *scanner) attrValue() string {
	s.space()
	if s.fault != nil || !s.has("=") {
		s.fail(s.at, "xml_syntax", "an attribute without =")
		return ""
	}
	s.at++
	s.space()
	if !s.has(`"`) && !s.has("'") {
		s.fail(s.at, "xml_syntax", "an attribute without quotes")
		return ""
	}
	quote := s.b[s.at]
	s.at++
	var out []byte
	for s.at < len(s.b) && s.fault == nil {
		switch c := s.b[s.at]; {
		case c == quote:
			s.at++
			return string(out)
		case c == '<':
			s.fail(s.at, "xml_syntax", "< in an attribute")
		case c == '&':
			out = s.reference(out)
		case c == '\r' && s.at+1 < len(s.b) && s.b[s.at+1] == '\n':
			s.at++
		case isSpace(c):
			out = append(out, ' ')
			s.at++
		default:
			out = s.char(out)
		}
	}
	s.fail(s.at, "xml_syntax", "an attribute that does not end")
	return ""
}

// charData reads text up to the next markup.
func (s *scanner) charData(out []byte) []byte {
	for s.at < len(s.b) && s.fault == nil {
		switch c := s.b[s.at]; {
		case c == '<':
			return out
		case c == '&':
			out = s.reference(out)
		case c == '\r':
			out = s.lineEnd(out)
		case c == ']' && s.has("]]>"):
			s.fail(s.at, "xml_syntax", "]]> in text")
		default:
			out = s.char(out)
		}
	}
	return out
}

func (s *scanner) cdata(out []byte) []byte {
	at := s.at
	s.at += len("<![CDATA[")
	for s.at < len(s.b) && s.fault == nil {
		switch c := s.b[s.at]; {
		case c == ']' && s.has("]]>"):
			s.at += 3
			return out
		case c == '\r':
			out = s.lineEnd(out)
		default:
			out = s.char(out)
		}
	}
	s.fail(at, "xml_syntax", "a CDATA section that does not end")
	return out
}

// lineEnd makes \r\n and \r a \n (XML 1.0 §2.11).
func (s *scanner) lineEnd(out []byte) []byte {
	s.at++
	if s.at < len(s.b) && s.b[s.at] == '\n' {
		s.at++
	}
	return append(out, '\n')
}

func (s *scanner) char(out []byte) []byte {
	if c := s.b[s.at]; c >= ' ' && c < utf8.RuneSelf {
		s.at++
		return append(out, c)
	}
	r, n := utf8.DecodeRune(s.b[s.at:])
	if !isChar(r) {
		s.fail(s.at, "xml_char", "character %#x", r)
		return out
	}
	s.at += n
	return utf8.AppendRune(out, r)
}

// chars checks text that is not kept.
func (s *scanner) chars(at int, b []byte) {
	if i := bytes.IndexFunc(b, func(r rune) bool { return !isChar(r) }); i >= 0 {
		s.fail(at+i, "xml_char", "a character that XML does not have")
	}
}

// isChar is production 2 of XML 1.0.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= ' ' && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

// reference reads a character reference or one of the five entities of XML itself.
func (s *scanner) reference(out []byte) []byte {
	at := s.at
	end := bytes.IndexByte(s.b[at:min(len(s.b), at+80)], ';')
	if end < 0 {
		s.fail(at, "xml_syntax", "an & that begins no reference")
		return out
	}
	name := string(s.b[at+1 : at+end])
	s.at += end + 1
	switch name {
	case "lt":
		return append(out, '<')
	case "gt":
		return append(out, '>')
	case "amp":
		return append(out, '&')
	case "apos":
		return append(out, '\'')
	case "quot":
		return append(out, '"')
	}
	digits, base := strings.TrimPrefix(name, "#"), 10
	if digits == name {
		if !isName(name) {
			s.fail(at, "xml_syntax", "an & that begins no reference")
		} else {
			s.fail(at, "xml_entity", "entity &%.60s; is not one of XML's own five", name)
		}
		return out
	}
	if strings.HasPrefix(digits, "x") {
		digits, base = digits[1:], 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || strings.ContainsAny(digits, "_+") || n > utf8.MaxRune || !isChar(rune(n)) {
		s.fail(at, "xml_char", "&%.60s; is no character of XML", name)
		return out
	}
	return utf8.AppendRune(out, rune(n))
}
