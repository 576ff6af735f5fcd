package xmltext

import (
	"strings"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Tree is the element as a mapping sees it:
//
//	"@name"      an attribute; "@xml:lang", "@xsi:type", "@{namespace}name" when it has a namespace
//	"Name"       its children of that name, always an array, in order
//	"{ns}Name"   those that share their name with children of another namespace and
//	             are not in the element's own
//	"#text"      its own text as it stands, when it is more than white space
//	"#ns"        its namespace, where it is not its parent's
//	"#nil"       true where xsi:nil says so
func (e *Element) Tree() map[string]any { return e.TreeIn("", nil) }

// TreeIn is Tree below a parent in a namespace, without the elements of drop.
func (e *Element) TreeIn(parentNS string, drop map[*Element]bool) map[string]any {
	m := make(map[string]any, len(e.Attrs)+1)
	for _, a := range e.Attrs {
		switch {
		case a.NS == nsXSI && a.Name == "nil":
			if v := strings.TrimSpace(a.Value); v == "true" || v == "1" {
				m["#nil"] = true
			}
		default:
			m[a.key()] = a.Value
		}
	}
	if e.NS != parentNS {
		m["#ns"] = e.NS
	}
	if strings.TrimSpace(e.Text) != "" {
		m["#text"] = e.Text
	}
	Put(m, e.NS, e.Children, drop)
	return m
}

func (a *Attr) key() string {
	switch a.NS {
	case "":
		return "@" + a.Name
	case nsXML:
		return "@xml:" + a.Name
	case nsXSI:
		return "@xsi:" + a.Name
	}
	return "@{" + a.NS + "}" + a.Name
}

// Put puts elements below a parent in a namespace into m by name. Two of one name and different namespaces
// are not the same thing, and must not look it.
func Put(m map[string]any, ns string, list []*Element, drop map[*Element]bool) {
	mixed := false
	for _, c := range list {
		if c.NS != list[0].NS {
			mixed = true
		}
	}
	var clash map[string]bool
	if mixed {
		seen := map[string]string{}
		clash = map[string]bool{}
		for _, c := range list {
			if other, ok := seen[c.Name]; ok && other != c.NS {
				clash[c.Name] = true
			}
			seen[c.Name] = c.NS
		}
	}
	for _, c := range list {
		if drop[c] {
			continue
		}
		key := c.Name
		if c.NS != ns && clash[c.Name] {
			key = "{" + c.NS + "}" + c.Name
		}
		same, _ := m[key].([]any)
		m[key] = append(same, c.TreeIn(ns, drop))
	}
}

// Find returns the elements at a path of local names below a list, * for any; half
// is true when all but the last name led somewhere.
func Find(list []*Element, path []string) (found []*Element, half bool) {
	last := len(path) == 1
	half = last
	for _, e := range list {
		if path[0] != "*" && path[0] != e.Name {
			continue
		}
		if last {
			found = append(found, e)
			continue
		}
		below, ok := Find(e.Children, path[1:])
		found, half = append(found, below...), half || ok
	}
	return found, half
}

// Child is the first child of a local name, nil when there is none, also of nil.
func (e *Element) Child(name string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Trimmed is the text without the white space around it; empty of nil.
func (e *Element) Trimmed() string {
	if e == nil {
		return ""
	}
	return strings.TrimSpace(e.Text)
}

// Attr is the value of an attribute without a namespace; empty when it is not
// there.
func (e *Element) Attr(name string) string {
	for _, a := range e.Attrs {
		if a.NS == "" && a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Nil says whether the element is there to say that nothing is (xsi:nil).
func (e *Element) Nil() bool {
	for _, a := range e.Attrs {
		if v := strings.TrimSpace(a.Value); a.NS == nsXSI && a.Name == "nil" && (v == "true" || v == "1") {
			return true
		}
	}
	return false
}

// TreeOfText reads a document that stands in a text, CDATA or a field of JSON, into
// the tree of a mapping.
func TreeOfText(text string) (map[string]any, *format.Fault) {
	root, fault := Read([]byte(text), "", "")
	if fault != nil {
		return nil, fault
	}
	return map[string]any{root.Name: []any{root.Tree()}}, nil
}
