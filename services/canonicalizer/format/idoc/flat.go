package idoc

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Lengths of records, characters: structures EDI_DC40 and EDI_DD40 of SAP.
const (
	controlLength = 524
	dataLength    = 1063
	dataAt        = 63 // of SDATA in a data record

	maxRecords = 20_000 // of a file: a megabyte has no more that say something
)

// controlFields are those of EDI_DC40, in order.
var controlFields = [...]struct {
	name   string
	length int
}{
	{"TABNAM", 10},
	{"MANDT", 3},
	{"DOCNUM", 16},
	{"DOCREL", 4},
	{"STATUS", 2},
	{"DIRECT", 1},
	{"OUTMOD", 1},
	{"EXPRSS", 1},
	{"TEST", 1},
	{"IDOCTYP", 30},
	{"CIMTYP", 30},
	{"MESTYP", 30},
	{"MESCOD", 3},
	{"MESFCT", 3},
	{"STD", 1},
	{"STDVRS", 6},
	{"STDMES", 6},
	{"SNDPOR", 10},
	{"SNDPRT", 2},
	{"SNDPFC", 2},
	{"SNDPRN", 10},
	{"SNDSAD", 21},
	{"SNDLAD", 70},
	{"RCVPOR", 10},
	{"RCVPRT", 2},
	{"RCVPFC", 2},
	{"RCVPRN", 10},
	{"RCVSAD", 21},
	{"RCVLAD", 70},
	{"CREDAT", 8},
	{"CRETIM", 6},
	{"REFINT", 14},
	{"REFGRP", 14},
	{"REFMES", 14},
	{"ARCKEY", 70},
	{"SERIAL", 20},
}

func flat(body []byte, src *policy.Source, yield func(format.Unit) bool) {
	body, err := format.Decode(body, src.Encoding)
	if err != nil {
		yield(format.Unit{Where: "file", Fault: format.Faultf("idoc_encoding", "%v", err)})
		return
	}
	if at := format.InvalidUTF8(body); at >= 0 {
		yield(format.Unit{Where: "file", Fault: format.Faultf("invalid_utf8", "%s: not UTF-8", format.Place(body, at))})
		return
	}
	if at := bytes.IndexByte(body, 0); at >= 0 {
		yield(format.Unit{Where: "file", Fault: format.Faultf("idoc_encoding", "%s: a NUL", format.Place(body, at))})
		return
	}
	list, broken := records(string(body))
	if len(list) > maxRecords {
		yield(format.Unit{Where: "file", Fault: format.Faultf("idoc_segments", "%d records, more than %d", len(list), maxRecords)})
		return
	}
	f := file{src: src}
	for n, r := range list {
		if f.d != nil && isControlRecord(r) {
			if !yield(f.d.unit()) {
				return
			}
			f.d = nil
		}
		f.record(n+1, r)
		if broken && n == len(list)-1 {
			f.d.fail("idoc_structure", "record %d breaks off after %d characters", n+1, len(r))
		}
	}
	if f.d != nil {
		yield(f.d.unit())
	}
}

// records cuts a file at its line ends, where blanks at the end may be missing; or,
// where it has none, by the lengths: then broken says that the last one is short.
func records(text string) (list [][]rune, broken bool) {
	text = strings.TrimRight(text, "\r\n")
	if strings.Contains(text, "\n") {
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimRight(line, "\r"); strings.TrimSpace(line) != "" && len(list) <= maxRecords {
				list = append(list, []rune(line))
			}
		}
		return list, false
	}
	all := []rune(text)
	for len(all) > 0 && !broken {
		n := dataLength
		if isControlRecord(all) {
			n = controlLength
		}
		broken = n > len(all)
		n = min(n, len(all))
		list, all = append(list, all[:n]), all[n:]
	}
	return list, broken
}

// file is a flat file on its way.
type file struct {
	src    *policy.Source
	d      *doc
	n      int
	number map[string]flatSegment // of the IDoc, by SEGNUM
	levels []flatSegment          // the last one of each level, where no parent is stated
}

type flatSegment struct {
	tree  map[string]any
	depth int
}

func isControlRecord(r []rune) bool { return strings.HasPrefix(string(r[:min(len(r), 6)]), "EDI_DC") }

func cut(r []rune, from, length int) string {
	if from >= len(r) {
		return ""
	}
	return strings.TrimSpace(string(r[from:min(from+length, len(r))]))
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (f *file) record(line int, r []rune) {
	if f.d == nil {
		f.n++
		f.d = &doc{where: whereOf(f.n, line), control: map[string]any{}}
		f.number, f.levels = map[string]flatSegment{}, nil
		if !isControlRecord(r) {
			f.d.fail("idoc_control", "segments without a control record")
		} else {
			f.control(r)
			return
		}
	}
	f.data(line, r)
}

func (f *file) control(r []rune) {
	if name := cut(r, 0, 10); name != "EDI_DC40" {
		f.d.fail("idoc_control", "control record %.10q; only EDI_DC40 is read", name)
		return
	}
	at := 0
	for _, c := range controlFields {
		f.d.control[c.name] = orNull(cut(r, at, c.length))
		at += c.length
	}
}

func (f *file) data(line int, r []rune) {
	d := f.d
	name, number, parent := cut(r, 0, 30), cut(r, 49, 6), cut(r, 55, 6)
	if name == "" {
		d.fail("idoc_structure", "record %d: a segment without a name", line)
	}
	if doc, _ := d.control["DOCNUM"].(string); doc != "" {
		if own := cut(r, 33, 16); own != "" && own != doc {
			d.fail("idoc_number", "record %d: a segment of IDoc %s inside %s", line, own, doc)
		}
	}
	id := segmentType(name)
	tree, ok := d.segment(id)
	if !ok {
		d.fail("idoc_segments", "more than %d segments", format.MaxSegments)
		return
	}
	if id != name {
		tree["definition"] = name
	}
	fields, known := f.src.IDoc.Fields[name]
	if !known {
		fields, known = f.src.IDoc.Fields[id]
	}
	if !known {
		fields = layouts[id]
	}
	for _, x := range fields {
		tree[x.Name] = orNull(cut(r, dataAt+x.Offset, x.Length))
	}
	if !known {
		tree["SDATA"] = nil
		if len(r) > dataAt {
			tree["SDATA"] = orNull(strings.TrimRight(string(r[dataAt:min(len(r), dataLength)]), " "))
		}
	}
	f.hang(line, flatSegment{tree, 1}, number, parent, cut(r, 61, 2))
}

// hang puts a segment below the one its record names, or by its level where it
// names none.
func (f *file) hang(line int, s flatSegment, number, parent, level string) {
	d := f.d
	var above *flatSegment
	n, _ := strconv.Atoi(level)
	switch {
	case strings.Trim(parent, "0") != "":
		p, ok := f.number[parent]
		if !ok {
			d.fail("idoc_hierarchy", "record %d: segment %s is not there to be above it", line, parent)
			break
		}
		above = &p
	case parent == "" && n > 1:
		if len(f.levels) < n-1 {
			d.fail("idoc_hierarchy", "record %d: level %d, and nothing is above it", line, n)
			break
		}
		above = &f.levels[n-2]
	}
	if above != nil {
		s.depth = above.depth + 1
	}
	if s.depth > format.MaxDepth/2 {
		d.fail("idoc_too_deep", "record %d: deeper than %d", line, format.MaxDepth/2)
		return
	}
	if number != "" {
		if _, twice := f.number[number]; twice {
			d.fail("idoc_hierarchy", "record %d: segment %s stands there twice", line, number)
		}
		f.number[number] = s
	}
	if above == nil {
		d.segments = append(d.segments, s.tree)
	} else {
		list, _ := above.tree["segments"].([]any)
		above.tree["segments"] = append(list, s.tree)
	}
	if n >= 1 && n <= len(f.levels)+1 {
		f.levels = append(f.levels[:n-1], s)
	}
}

// segmentType is the type of a segment definition: E2EDL20005 is version 005 of
// E1EDL20. Flat files have definitions, documentation and XML have types.
func segmentType(name string) string {
	if len(name) < 4 || name[0] != 'E' && name[0] != 'Z' || name[1] != '2' {
		return name
	}
	base := name
	if n := len(name) - 3; n > 3 && strings.Trim(name[n:], "0123456789") == "" {
		base = name[:n]
	}
	return name[:1] + "1" + base[2:]
}
