// Package xml reads XML documents, and SOAP 1.1 and 1.2 around them, for mappings.
package xml

import (
	"fmt"
	"iter"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/soap"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/xmltext"
)

// Parse is a format.Parse: the document is a unit with the tree {"Root": [element]},
// see xmltext.Element.Tree; or each element at policy.XML.Unit is one, {"Order": [element],
// "#head": the document without such elements}. The whole document is read first:
// of one that breaks off nothing comes out.
//
// A SOAP envelope is taken off: the tree then begins at the children of its Body,
// beside "#soap" (1.1 or 1.2) and "#header". A SOAP Fault is a unit with the fault
// soap_fault and "#fault" {code, subcode, reason, detail}.
//
// Fault codes: those of xmltext, xml_no_unit, soap_envelope and soap_fault.
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		root, fault := xmltext.Read(body, src.XML.Doctype, src.Encoding)
		if fault != nil {
			yield(format.Unit{Where: "document", Fault: fault})
			return
		}
		list, extra := []*xmltext.Element{root}, map[string]any{}
		if v := soap.VersionOf(root.NS); v != "" && root.Name == "Envelope" {
			var bad *xmltext.Element
			if list, bad, fault = envelope(root, v, extra); fault != nil {
				u := format.Unit{Where: "document", Fault: fault}
				if bad != nil {
					u.Tree = extra
				}
				yield(u)
				return
			}
		}
		if src.XML.Unit == "" {
			xmltext.Put(extra, "", list, nil)
			yield(format.Unit{Tree: extra, Where: "document"})
			return
		}
		each(list, src.XML.Unit, extra, yield)
	}
}

// each makes a unit of every element at a path.
func each(list []*xmltext.Element, path string, extra map[string]any, yield func(format.Unit) bool) {
	found, half := xmltext.Find(list, strings.Split(path, "/")[1:])
	if !half {
		yield(format.Unit{Where: "document", Fault: format.Faultf("xml_no_unit", "there is nothing at %s", path)})
		return
	}
	if len(found) > format.MaxRows {
		yield(format.Unit{Where: "document", Fault: format.Faultf("xml_too_large", "%d units, more than %d", len(found), format.MaxRows)})
		return
	}
	drop := make(map[*xmltext.Element]bool, len(found))
	for _, e := range found {
		drop[e] = true
	}
	xmltext.Put(extra, "", list, drop)
	for i, e := range found {
		tree := map[string]any{e.Name: []any{e.Tree()}, "#head": extra}
		if !yield(format.Unit{Tree: tree, Where: fmt.Sprintf("%s %d, line %d", e.Name, i+1, e.Line)}) {
			return
		}
	}
}

// envelope takes a SOAP envelope off (SOAP 1.1 §4, SOAP 1.2 part 1 §5). A fault
// comes back with the element that is one.
func envelope(root *xmltext.Element, version string, extra map[string]any) ([]*xmltext.Element, *xmltext.Element, *format.Fault) {
	var body *xmltext.Element
	header := map[string]any{}
	for _, c := range root.Children {
		switch {
		case c.NS == root.NS && c.Name == "Header" && body == nil && len(header) == 0:
			xmltext.Put(header, "", c.Children, nil)
		case c.NS == root.NS && c.Name == "Body" && body == nil:
			body = c
		default:
			// SOAP 1.1 lets other elements follow the body; nobody knows what they say.
			return nil, nil, format.Faultf("soap_envelope", "<%.60s> at line %d does not belong into an envelope", c.Name, c.Line)
		}
	}
	if body == nil {
		return nil, nil, format.Faultf("soap_envelope", "an envelope without a body")
	}
	extra["#soap"], extra["#header"] = version, header
	for _, c := range body.Children {
		if c.NS != root.NS || c.Name != "Fault" {
			continue
		}
		f := soapFault(c, version)
		extra["#fault"] = f
		return nil, c, format.Faultf("soap_fault", "line %d: the sender reports a fault: %.100s: %.300s", c.Line, f["code"], f["reason"])
	}
	return body.Children, nil, nil
}

func soapFault(e *xmltext.Element, version string) map[string]any {
	text := func(e *xmltext.Element) any {
		if t := e.Trimmed(); t != "" {
			return t
		}
		return nil
	}
	var f map[string]any
	var detail *xmltext.Element
	if version == soap.V11 { // §4.4: the parts have no namespace
		f = map[string]any{"code": text(e.Child("faultcode")), "reason": text(e.Child("faultstring"))}
		detail = e.Child("detail")
	} else { // part 1 §5.4
		code := e.Child("Code")
		f = map[string]any{"code": text(code.Child("Value")), "reason": text(e.Child("Reason").Child("Text"))}
		f["subcode"] = text(code.Child("Subcode").Child("Value"))
		detail = e.Child("Detail")
	}
	if detail != nil {
		f["detail"] = detail.TreeIn(detail.NS, nil)
	}
	return f
}
