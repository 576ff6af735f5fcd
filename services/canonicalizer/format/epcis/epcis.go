// Package epcis reads GS1 EPCIS events: 2.0 as JSON-LD and XML, 1.2 (and 1.1) as
// XML, in documents, answers to queries or alone, into one shape of tree.
package epcis

import (
	"bytes"
	"fmt"
	"iter"
	"slices"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
	"github.com/stockweave/stockweave/services/canonicalizer/xmltext"
)

// maxEvents of a message: a megabyte has no more that say something.
const maxEvents = 20_000

// Parse is a format.Parse: each event is a unit with the tree
//
//	{type, eventID, eventTime, eventTimeZoneOffset, recordTime, action, bizStep, disposition, transformationID, parentID,
//	 readPoint, bizLocation,                                     // text or null
//	 epcList, childEPCs, inputEPCList, outputEPCList,            // always arrays of texts
//	 quantityList, childQuantityList, inputQuantityList, outputQuantityList: [{epcClass, quantity, uom}],
//	 bizTransactionList: [{type, bizTransaction}], sourceList: [{type, source}], destinationList: [{type, destination}],
//	 sensorElementList, persistentDisposition, errorDeclaration: {declarationTime, reason, correctiveEventIDs}, ilmd, certificationInfo,
//	 extensions: {"namespace/name": value},
//	 document: {id, creationDate, schemaVersion}}
//
// Members of EPCIS are the same whatever the binding: numbers are texts, a quantity
// that is nil is null, words of the Core Business Vocabulary are their short names
// (shipping, in_transit, po), other URIs stay as they are. The QuantityEvent of 1.x
// has its class and quantity in quantityList.
//
// Fault codes: epcis_event of an event, epcis_none and epcis_events of a message;
// and those of JSON and XML.
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		var r reader
		head := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
		if bytes.HasPrefix(head, []byte("{")) || bytes.HasPrefix(head, []byte("[")) {
			tree, fault := jsontext.Read(body)
			if fault != nil {
				yield(format.Unit{Where: "document", Fault: fault})
				return
			}
			r.json(tree)
		} else if fault := r.xml(body, src); fault != nil {
			yield(format.Unit{Where: "document", Fault: fault})
			return
		}
		if !r.list {
			yield(format.Unit{Where: "document", Fault: format.Faultf("epcis_none", "neither a list of events nor an event")})
			return
		}
		if len(r.events) > maxEvents {
			yield(format.Unit{Where: "document", Fault: format.Faultf("epcis_events", "more than %d events", maxEvents)})
			return
		}
		for i, e := range r.events {
			u := format.Unit{Where: fmt.Sprintf("event %d", i+1)}
			if e.element != nil {
				u.Where += fmt.Sprintf(", line %d", e.element.Line)
				e.members = members(e.element)
			}
			u.Tree, u.Fault = e.read(u.Where, r.document)
			if !yield(u) {
				return
			}
		}
	}
}

// reader collects the events of a message in the members of JSON-LD.
type reader struct {
	events   []event
	list     bool // there was a list of events, if an empty one, or an event
	document map[string]any
}

type event struct {
	members any              // of JSON-LD, or else
	element *xmltext.Element // of XML
	context scope
}

// scope has namespaces by prefix, of JSON-LD: of the document, then of the event.
type scope []map[string]string

func (s scope) of(prefix string) (string, bool) {
	for _, names := range slices.Backward(s) {
		if ns, ok := names[prefix]; ok {
			return ns, true
		}
	}
	return "", false
}

// json finds the events of a document, an answer to a query, a list, or one event.
func (r *reader) json(v any) {
	r.document = map[string]any{"id": nil, "creationDate": nil, "schemaVersion": nil}
	switch v := v.(type) {
	case []any:
		r.take(v, nil)
	case map[string]any:
		context := scope{prefixes(v["@context"])}
		for _, k := range [...]string{"id", "creationDate", "schemaVersion"} {
			if s, ok := v[k].(string); ok {
				r.document[k] = s
			}
		}
		body, _ := v["epcisBody"].(map[string]any)
		results, _ := body["queryResults"].(map[string]any)
		below, _ := results["resultsBody"].(map[string]any)
		for _, in := range [...]map[string]any{v, body, results, below} {
			if list, ok := in["eventList"]; ok {
				r.take(list, context)
			}
			if one, ok := in["event"]; ok {
				r.take(one, context)
			}
		}
		if !r.list && eventType(v) != "" {
			r.document["id"] = nil
			r.take(v, nil)
		}
	}
}

// take takes a list of events or one, which JSON-LD may write without its array.
func (r *reader) take(v any, context scope) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	r.list = true
	for _, e := range list[:min(len(list), maxEvents+1)] { // one too many tells
		r.events = append(r.events, event{members: e, context: context})
	}
}

// prefixes reads the prefixes that an @context binds. A context that is only named
// is not fetched: those of EPCIS are known.
func prefixes(context any) map[string]string {
	list, ok := context.([]any)
	if !ok {
		list = []any{context}
	}
	out := map[string]string{}
	for _, c := range list {
		m, _ := c.(map[string]any)
		for k, v := range m {
			if term, ok := v.(map[string]any); ok {
				v = term["@id"]
			}
			if iri, ok := v.(string); ok {
				out[k] = iri
			}
		}
	}
	return out
}
