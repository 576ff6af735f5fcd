// Package x12 is what the sets of ANSI X12 mean whoever sends them (releases 002001 to
// 008): the mapping x12_lines. What each set becomes is described in policies/README.md.
// Code lists are X12 data elements: 235 (kinds of product id), 673 (quantities), 859
// (activities), 181 (adjustments), 412 (conditions of receipt), 521 (transfers), 668
// (answers to a line), 368 (states of a shipment).
//
// Elements are named by their numbers: W07-02 is El(2) of a W07.
package x12

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// Fault is why a set gave no lines, or a row of it none. It is what reject of jq gives.
type Fault struct{ Code, Reason string }

// TooManyLines is the code of a set of more lines than a message may have.
const TooManyLines = "too_many_lines"

func (f *Fault) Error() string { return f.Code + ": " + f.Reason }

// Value is the error as jq catches it.
func (f *Fault) Value() any { return map[string]any{"code": f.Code, "reason": f.Reason} }

func reject(code, reason string, args ...any) *Fault {
	return &Fault{code, fmt.Sprintf(reason, args...)}
}

// Lines are the lines of a set, from the input of a mapping: its tree and its defaults.
// They hold until the memory is used again. The error is a *Fault, or says what is no set.
func Lines(m *Memory, in any) ([]Line, error) {
	c, err := x12set.Of(jq.Field(in, "tree"))
	if err != nil {
		return nil, fmt.Errorf("x12_lines: %w", err)
	}
	defaults := jq.Field(in, "defaults")
	option := func(name, otherwise string) string {
		if s, _ := jq.Field(defaults, name).(string); s != "" {
			return s
		}
		return otherwise
	}
	r := reading{m: m, c: c, s: c.Segments}
	r.d.orderIssuer, r.d.orderType = option("order_issuer", ""), option("order_type", "order")
	r.d.supplyIssuer, r.d.supplyType = option("supply_issuer", ""), option("supply_type", "purchase_order")
	r.d.ours = option("orders", "") == kindSupply
	r.d.sales = option("sales", "") == kindMovement
	m.n = 0
	if fault := r.set(); fault != nil {
		return nil, fault
	}
	if m.n > mostLines {
		return nil, reject(TooManyLines, "more than %d lines", mostLines)
	}
	r.torn()
	if m.n == 0 {
		return nil, reject("no_lines", "the %s has nothing that is a line", c.ID)
	}
	r.apart()
	return m.lines[:m.n], nil
}

// reading is a set being read.
type reading struct {
	m    *Memory
	c    *x12set.Set
	s    segments
	d    defaults
	sent struct { // what the envelope says of the time
		at    string
		known bool
	}
}

// defaults are those of a source.
type defaults struct {
	orderIssuer, orderType, supplyIssuer, supplyType string
	ours                                             bool // orders are what we have ordered ourselves
	sales                                            bool // sales that are reported move stock
}

func (r *reading) set() *Fault {
	switch r.c.ID {
	case "846":
		r.inventory()
	case "852":
		r.activity()
	case "850":
		return r.purchaseOrder()
	case "860":
		return r.orderChange()
	case "855":
		return r.acknowledgement()
	case "865":
		return r.changeAcknowledgement()
	case "856":
		return r.shipNotice()
	case "861":
		return r.receivingAdvice()
	case "867":
		return r.transfers()
	case "180":
		return r.returns()
	case "940":
		return r.shippingOrder()
	case "943":
		return r.transferAdvice()
	case "944":
		return r.transferReceipt()
	case "945":
		return r.shippingAdvice()
	case "947":
		return r.adjustments()
	case "214":
		return r.shipmentStatus()
	case "210":
		return r.freightInvoice()
	case "990":
		return r.loadTender()
	case "997", "999":
		return r.functional()
	default:
		return reject("unsupported_set", "set %s is not read here", r.c.ID)
	}
	return nil
}

// header is the first of the segments that a set cannot do without; the reason says so.
func (r *reading) header(reason string, ids ...string) (*x12set.Segment, *Fault) {
	for _, id := range ids {
		if h := r.s.seg(id); h != nil {
			return h, nil
		}
	}
	return nil, &Fault{"no_header", reason}
}

// numberOf is the number that a document cannot do without.
func numberOf(s *x12set.Segment, n int) (string, *Fault) {
	if s.El(n) == "" {
		return "", reject("no_number", "%s has no number", s.ID())
	}
	return s.El(n), nil
}

// fail makes a row an error of its own; the others go on.
func (r *reading) fail(at int, f *Fault) {
	l := r.m.add()
	l.Kind, l.At, l.Code, l.Reason = kindError, at, f.Code, f.Reason
}

// torn puts segments aside that have run into the next one, which is lost, and what they
// say themselves is doubtful. In free text the words may stand by chance.
func (r *reading) torn() {
	if len(r.c.Flags) == 0 {
		return
	}
	torn := map[int]bool{}
	for _, f := range r.c.Flags {
		if pos, ok := gojq.ToInt(jq.Field(f, "pos")); ok && jq.Field(f, "code") == "run_together" {
			torn[pos] = true
		}
	}
	for i := range r.s {
		s := &r.s[i]
		if !torn[s.Pos] {
			continue
		}
		switch s.ID() {
		case "MSG", "N1", "N2", "N3", "N4", "NTE", "PER", "PID", "G61", "G69", "MTX", "TXT", "K1":
		default:
			r.fail(s.Pos, reject("x12_run_together", "segment %d %s has run into the next one", s.Pos, s.ID()))
		}
	}
}

// apart tells the lines of documents apart by their line; where a sender repeats it, by
// which one it is. Numbers end with their decimal point no more: some write whole ones so.
func (r *reading) apart() {
	lines := r.m.lines[:r.m.n]
	numbered := true
	for i := range lines {
		lines[i].Quantity = strings.TrimSuffix(lines[i].Quantity, ".")
		numbered = numbered && lines[i].Nth == i+1
	}
	if numbered {
		return
	}
	t := &r.m.table
	t.reset(len(lines))
	var times map[int]int // of lines that are repeated
	for i := range lines {
		l := &lines[i]
		if l.Kind == kindError {
			continue
		}
		first := t.find(t.hash(l.Document.Line)+uint64(l.Nth), i, func(k int) bool { return lines[k].Nth == l.Nth && lines[k].Document == l.Document }) //nolint:gosec // never below 0
		if first == i {
			continue
		}
		if times == nil {
			times = map[int]int{}
		}
		times[first]++
		line := l.Document.Line
		if l.Nth > 0 {
			line, l.Nth = strconv.Itoa(l.Nth), 0
		}
		l.Document.Line = line + "#" + strconv.Itoa(times[first]+1)
	}
}
