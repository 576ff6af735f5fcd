// Package ack writes the answer to received IDocs: IDocs of message STATUS, basic type
// SYSTAT01, by which an EDI subsystem tells a SAP system what became of what it sent. It
// depends on its arguments alone: the same ones give the same bytes.
package ack

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Options of an answer.
type Options struct {
	Control int       // number (DOCNUM) of the first IDoc written; those after it count on
	At      time.Time // written as it is, in its own zone
}

// Received is an IDoc that was read.
type Received struct {
	Control map[string]any // fields of its control record, as idoc.Parse has them
	// Code and Reason are of its fault; without a Code it was read whole.
	Code, Reason string
}

// Statuses of an IDoc that its sender has passed on: functional acknowledgements.
const (
	positive = "16"
	negative = "17"
)

// Widths of fields (SAP domains of EDI_DC40 and E1STATS), characters.
const (
	maxNumber = 16 // DOCNUM
	maxText   = 70 // STATXT
	maxParam  = 50 // STAPA1
)

// Most is how many IDocs one answer should be about, so that it fits into a record: an IDoc
// of it has less than 2,000 bytes.
const Most = 400

// given are the fields that are given back as they came, and their widths.
var given = [...]struct {
	name string
	most int
}{
	{"DOCNUM", maxNumber},
	{"MANDT", 3},
	{"TEST", 1},
	{"SNDPOR", 10},
	{"SNDPRT", 2},
	{"SNDPFC", 2},
	{"SNDPRN", 10},
	{"RCVPOR", 10},
	{"RCVPRT", 2},
	{"RCVPFC", 2},
	{"RCVPRN", 10},
}

// Told are those of received IDocs that are answered: not those without a number, which
// nobody could find again, nor those of STATUS and ALEAUD.
func Told(in []Received) []Received {
	var out []Received
	for _, r := range in {
		if m := r.field("MESTYP"); r.field("DOCNUM") != "" && m != "STATUS" && m != "ALEAUD" {
			out = append(out, r)
		}
	}
	return out
}

// Answer writes a STATUS IDoc for each received one that is Told, from its receiver to its sender, in one
// document of XML as the XML port reads it. Their order is that of the received ones. It is
// empty where there is none. An error means that a number or the parties make no control
// record.
func Answer(in []Received, o Options) ([]byte, error) {
	if o.Control < 1 {
		return nil, fmt.Errorf("acknowledging: %d is no number of an IDoc", o.Control)
	}
	var w writer
	for i, r := range Told(in) {
		docnum := r.field("DOCNUM")
		for _, f := range given {
			if utf8.RuneCountInString(r.field(f.name)) > f.most {
				return nil, fmt.Errorf("acknowledging: %s of IDoc %.16q has more than %d characters", f.name, docnum, f.most)
			}
		}
		if r.field("SNDPRN") == "" || r.field("RCVPRN") == "" {
			return nil, fmt.Errorf("acknowledging: IDoc %s names no sender or no receiver", docnum)
		}
		if w.out.Len() == 0 {
			w.out.WriteString(xml.Header + "<SYSTAT01>")
		}
		w.idoc(&r, docnum, o.Control+i, o.At)
	}
	if w.out.Len() == 0 {
		return nil, nil
	}
	w.out.WriteString("</SYSTAT01>\n")
	return w.out.Bytes(), nil
}

// field is a text of the control record, empty where there is none.
func (r *Received) field(name string) string {
	s, _ := r.Control[name].(string)
	return s
}

type writer struct{ out bytes.Buffer }

// idoc writes one, with the fields of EDI_DC40 and E1STATS in their order.
func (w *writer) idoc(r *Received, docnum string, number int, at time.Time) {
	w.out.WriteString(`<IDOC BEGIN="1"><EDI_DC40 SEGMENT="1">`)
	w.field("TABNAM", "EDI_DC40")
	w.field("MANDT", r.field("MANDT"))
	w.field("DOCNUM", fmt.Sprintf("%0*d", maxNumber, number))
	w.field("DIRECT", "2") // into the SAP system
	w.field("TEST", r.field("TEST"))
	w.field("IDOCTYP", "SYSTAT01")
	w.field("MESTYP", "STATUS")
	for _, side := range [][2]string{{"SND", "RCV"}, {"RCV", "SND"}} {
		for _, what := range []string{"POR", "PRT", "PFC", "PRN"} {
			w.field(side[0]+what, r.field(side[1]+what))
		}
	}
	w.field("CREDAT", at.Format("20060102"))
	w.field("CRETIM", at.Format("150405"))
	w.out.WriteString(`</EDI_DC40><E1STATS SEGMENT="1">`)
	status, typ := positive, "S"
	if r.Code != "" {
		status, typ = negative, "E"
	}
	w.field("MANDT", r.field("MANDT"))
	w.field("DOCNUM", docnum)
	w.field("LOGDAT", at.Format("20060102"))
	w.field("LOGTIM", at.Format("150405"))
	w.field("STATUS", status)
	w.field("STATXT", cut(r.Reason, maxText))
	w.field("STAPA1", cut(r.Code, maxParam))
	w.field("STATYP", typ)
	w.out.WriteString("</E1STATS></IDOC>")
}

// field writes an element, none for an empty text. What XML 1.0 has no place for is U+FFFD.
func (w *writer) field(name, text string) {
	if text == "" {
		return
	}
	w.out.WriteString("<" + name + ">")
	_ = xml.EscapeText(&w.out, []byte(text)) // a buffer takes everything
	w.out.WriteString("</" + name + ">")
}

// cut is at most the first n characters.
func cut(s string, n int) string {
	chars := slices.Collect(func(yield func(rune) bool) {
		for _, c := range s {
			if n == 0 || !yield(c) {
				return
			}
			n--
		}
	})
	return string(chars)
}
