// Package idoc reads SAP IDocs, as XML (what the XML port writes) and as flat
// records (what the file port writes: control record EDI_DC40 of 524 characters,
// data records EDI_DD40 of 1063), into one shape of tree.
package idoc

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Parse is a format.Parse: each IDoc is a unit, whatever stands around it, with the
// tree
//
//	{type, extension, message, number, root, control: {FIELD: text}, segments: [segment, ...]}
//
// type is IDOCTYP, extension CIMTYP, message MESTYP, number DOCNUM; null where the
// control record does not say. root is the element around it, null in flat files. A
// segment is {id, pos, FIELD: text or null, ..., segments: [...]}: id its type
// (E1EDL20), pos its number in the IDoc from 1. Of a flat segment the dictionary of
// the source does not have the text of its data is SDATA, beside it the fields of SAP's
// own segments that say something of stock (see layouts). "definition" is its name where
// that is not its type.
//
// Fault codes: idoc_control, idoc_structure, idoc_hierarchy, idoc_number,
// idoc_field_twice and idoc_too_deep of one IDoc, idoc_none, idoc_segments and
// idoc_encoding of the message; and those of XML.
func Parse(body []byte, src *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		head := bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
		if bytes.HasPrefix(head, []byte("EDI_DC")) || bytes.HasPrefix(head, []byte("E\x00D\x00I")) || bytes.HasPrefix(head, []byte("\xff\xfeE\x00D\x00")) ||
			bytes.HasPrefix(head, []byte("\xfe\xff\x00E\x00D")) {
			flat(body, src, yield)
			return
		}
		document(body, src, yield)
	}
}

// doc is an IDoc on its way to its tree.
type doc struct {
	where    string
	root     any
	control  map[string]any
	segments []any
	count    int
	fault    *format.Fault
}

func (d *doc) fail(code, reason string, args ...any) {
	if d.fault == nil {
		d.fault = format.Faultf(code, d.where+": "+reason, args...)
	}
}

func (d *doc) unit() format.Unit {
	if d.control["IDOCTYP"] == nil && d.control["MESTYP"] == nil && d.root == nil {
		d.fail("idoc_control", "the control record has neither IDOCTYP nor MESTYP")
	}
	if d.segments == nil {
		d.segments = []any{}
	}
	return format.Unit{Where: d.where, Fault: d.fault, Tree: map[string]any{
		"type": d.control["IDOCTYP"], "extension": d.control["CIMTYP"], "message": d.control["MESTYP"], "number": d.control["DOCNUM"],
		"root": d.root, "control": d.control, "segments": d.segments,
	}}
}

// segment begins a segment; false when there are too many.
func (d *doc) segment(id string) (map[string]any, bool) {
	d.count++
	return map[string]any{"id": id, "pos": d.count, "segments": []any{}}, d.count <= format.MaxSegments
}

func whereOf(n, line int) string { return fmt.Sprintf("IDoc %d, line %d", n, line) }
