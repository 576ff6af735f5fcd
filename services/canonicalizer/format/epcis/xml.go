package epcis

import (
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/xmltext"
)

// xml finds the events of a document, an answer to a query, also in a SOAP
// envelope, or one event, and writes them in the members of JSON-LD.
func (r *reader) xml(body []byte, src *policy.Source) *format.Fault {
	root, fault := xmltext.Read(body, src.XML.Doctype, src.Encoding)
	if fault != nil {
		return fault
	}
	r.document = map[string]any{"id": nil, "creationDate": nil, "schemaVersion": nil}
	if isEvent(root) {
		r.list, r.events = true, []event{{element: root}}
		return nil
	}
	r.find(root)
	return nil
}

func isEvent(e *xmltext.Element) bool {
	_, ok := needsAction[e.Name]
	return ok && own(e)
}

// own says whether an element is of EPCIS itself: without a namespace, as its
// schemas have it, or in one of theirs.
func own(e *xmltext.Element) bool {
	return e.NS == "" || strings.HasPrefix(e.NS, "urn:epcglobal:epcis:xsd:") || strings.HasPrefix(e.NS, "urn:epcglobal:epcis-query:xsd:")
}

func (r *reader) find(e *xmltext.Element) {
	if own(e) && (e.Name == "EPCISDocument" || e.Name == "EPCISQueryDocument") {
		for _, k := range [...]string{"creationDate", "schemaVersion"} {
			if v := e.Attr(k); v != "" {
				r.document[k] = v
			}
		}
	}
	if own(e) && e.Name == "EventList" {
		r.list = true
		r.events = append(r.events, eventsOf(e)...)
		return
	}
	for _, c := range e.Children {
		r.find(c)
	}
}

// eventsOf takes everything in a list as an event: EPCIS 1.2 has the newer types
// in an extension. What is no event is one with a fault.
func eventsOf(e *xmltext.Element) []event {
	var out []event
	for _, c := range e.Children {
		if own(c) && c.Name == "extension" {
			out = append(out, eventsOf(c)...)
			continue
		}
		out = append(out, event{element: c})
	}
	return out
}

// members are an event's, as JSON-LD has them.
func members(e *xmltext.Element) map[string]any {
	m := map[string]any{"type": e.Name}
	into(m, e)
	return m
}

func into(m map[string]any, e *xmltext.Element) {
	for _, c := range e.Children {
		name := c.Name
		if !own(c) {
			put(m, join(c.NS, c.Name), generic(c))
			continue
		}
		switch name {
		case "extension", "baseExtension":
			into(m, c)
			continue
		case "epcList", "childEPCs", "inputEPCList", "outputEPCList":
			put(m, name, texts(c))
		case "quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList":
			put(m, name, objects(c, "quantityElement"))
		case "bizTransactionList", "sourceList", "destinationList":
			put(m, name, typed(c))
		case "readPoint", "bizLocation":
			put(m, name, map[string]any{"id": text(c.Child("id"))})
		case "errorDeclaration":
			d := map[string]any{}
			into(d, c)
			put(m, name, d)
		case "correctiveEventIDs":
			put(m, name, texts(c))
		case "persistentDisposition":
			put(m, name, persistent(c))
		case "sensorElementList":
			put(m, name, sensors(c))
		default:
			put(m, name, generic(c))
		}
	}
}

// put keeps what stands there twice as an array: then it is no text, and a fault.
func put(m map[string]any, key string, v any) {
	old, twice := m[key]
	if !twice {
		m[key] = v
		return
	}
	if list, ok := old.([]any); ok {
		if more, ok := v.([]any); ok {
			m[key] = append(list, more...)
			return
		}
		m[key] = append(list, v)
		return
	}
	m[key] = []any{old, v}
}

func text(e *xmltext.Element) any {
	if e == nil || e.Nil() {
		return nil
	}
	return orNull(e.Trimmed())
}

func texts(e *xmltext.Element) []any {
	out := []any{}
	for _, c := range e.Children {
		if t := text(c); t != nil && own(c) {
			out = append(out, t)
		}
	}
	return out
}

func objects(e *xmltext.Element, name string) []any {
	out := []any{}
	for _, c := range e.Children {
		m := map[string]any{}
		if c.Name == name {
			for _, f := range c.Children {
				put(m, f.Name, text(f))
			}
		}
		out = append(out, m)
	}
	return out
}

// typed are elements with a type as attribute: bizTransaction, source, destination.
func typed(e *xmltext.Element) []any {
	out := []any{}
	for _, c := range e.Children {
		out = append(out, map[string]any{"type": orNull(strings.TrimSpace(c.Attr("type"))), c.Name: text(c)})
	}
	return out
}

func persistent(e *xmltext.Element) map[string]any {
	out := map[string]any{}
	for _, c := range e.Children {
		list, _ := out[c.Name].([]any)
		out[c.Name] = append(list, text(c))
	}
	return out
}

// sensors have their values in attributes (EPCIS 2.0 §7.3.7).
func sensors(e *xmltext.Element) []any {
	attributes := func(e *xmltext.Element) map[string]any {
		m := map[string]any{}
		for _, a := range e.Attrs {
			m[join(a.NS, a.Name)] = a.Value
		}
		return m
	}
	out := []any{}
	for _, s := range e.Children {
		m := map[string]any{}
		var reports []any
		for _, c := range s.Children {
			switch {
			case own(c) && c.Name == "sensorReport":
				reports = append(reports, attributes(c))
			case own(c) && c.Name == "sensorMetadata":
				m[c.Name] = attributes(c)
			default:
				put(m, join(c.NS, c.Name), generic(c))
			}
		}
		if reports != nil {
			m["sensorReport"] = reports
		}
		out = append(out, m)
	}
	return out
}

// generic is an element nobody here knows: its text, or an object of what is in it.
func generic(e *xmltext.Element) any {
	if len(e.Children) == 0 && len(e.Attrs) == 0 {
		return text(e)
	}
	if e.Nil() {
		return nil
	}
	m := map[string]any{}
	for _, a := range e.Attrs {
		m["@"+join(a.NS, a.Name)] = a.Value
	}
	for _, c := range e.Children {
		name := c.Name
		if !own(c) {
			name = join(c.NS, c.Name)
		}
		put(m, name, generic(c))
	}
	if t := e.Trimmed(); t != "" {
		m["#text"] = t
	}
	return m
}
