package x12

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// reader puts an interchange together, segment by segment.
type reader struct {
	s      *scanner
	isa    *segment // nil: none
	gs     *segment // of the open group, nil outside
	groups int
	sets   int // of the open group
	open   *set
	units  []format.Unit
	cut    bool            // a set was cut off: the truncation is told already
	told   map[string]bool // codes
	flags  []any

	// Of all trees of the interchange, and of the group.
	interchangeTree, groupTree map[string]any

	record *Interchange // for Read; nil else
}

// maxFaults are kept of the segments of a set; the first one is told.
const maxFaults = 100

// set is a transaction set being read.
type set struct {
	st       *segment
	count    int // of the segments between ST and SE
	segments []x12set.Segment
	faults   []Fault
	flags    []any
}

// fault adds a fault of the set's envelope.
func (s *set) fault(code, reason string, args ...any) {
	s.faults = append(s.faults, Fault{Fault: format.Faultf(code, reason, args...)})
}

// faultIn adds a fault of the segment at pos.
func (s *set) faultIn(id string, pos int, code, reason string, args ...any) {
	if len(s.faults) < maxFaults {
		s.faults = append(s.faults, Fault{format.Faultf(code, reason, args...), id, pos - s.st.pos + 1})
	}
}

// interchange reads from ISA to IEA, to the next ISA or to the end. The fault is
// set when there is no interchange here.
func (s *scanner) interchange() (*reader, *format.Fault) {
	isa, fault := s.header()
	if fault != nil {
		return nil, fault
	}
	r := &reader{s: s, isa: isa}
	if s.recording {
		r.record = &Interchange{Element: s.element, Component: s.component, Terminator: s.terminator, Repetition: s.repetition, Recoded: s.recoded}
		if isa != nil {
			r.record.ISA = isa.e
		}
	}
	r.header()
	for {
		if s.peekISA() {
			r.end("x12_missing_iea", "the next interchange begins before IEA")
			return r, nil
		}
		if !s.next() {
			r.end("x12_truncated", "the message ends before IEA")
			return r, nil
		}
		if r.take() {
			for s.blank(); strings.HasPrefix(s.text[s.at:], s.terminator); s.blank() {
				s.at += len(s.terminator) // some double their terminators
			}
			r.empty()
			return r, nil
		}
	}
}

// widths of the elements of ISA (X12.5); ISA16 decides the rest.
var widths = [16]int{3, 2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1}

func (r *reader) header() {
	if r.isa == nil {
		r.flag("no_isa", r.s.pos+1)
		return
	}
	for n, w := range widths {
		if utf8.RuneCountInString(r.isa.e[n]) != w {
			r.flag("isa_not_106", r.isa.pos)
			break
		}
	}
	for n, v := range r.isa.e[:len(widths)] {
		if strings.IndexFunc(v, func(c rune) bool { return c >= utf8.RuneSelf }) >= 0 {
			r.flag("isa_non_ascii", r.isa.pos)
			break
		}
		r.isa.e[n] = format.Trim(v)
	}
	if r.s.recoded {
		r.flag("not_utf8", r.isa.pos)
	}
}

func (r *reader) flag(code string, pos int) { r.flags = append(r.flags, format.Flag(code, pos)) }

// take handles the segment cut last; true after IEA.
func (r *reader) take() bool {
	if r.s.torn == r.s.pos {
		r.torn()
	}
	switch r.s.fields[0] {
	case "GS":
		r.closeSet("x12_missing_se", "a group begins before SE")
		g := r.s.keep()
		if r.gs != nil {
			r.tell("x12_missing_ge", "group %.20s has no GE", r.gs.at(6))
		}
		r.gs, r.sets, r.groupTree = g, 0, nil
		r.groups++
		if r.record != nil {
			r.record.Groups = append(r.record.Groups, Group{GS: g.e})
		}
	case "ST":
		r.closeSet("x12_missing_se", "the next set begins before SE")
		r.open = &set{st: r.s.keep(), segments: make([]x12set.Segment, 0, r.s.usual)}
		r.sets++
		if r.gs == nil && r.isa != nil {
			r.tell("x12_missing_gs", "set %.20s stands outside any group", r.open.st.at(2))
		}
	case "SE":
		if r.open == nil {
			r.tell("x12_missing_st", "SE without ST")
			break
		}
		r.checkSet()
		r.emit(r.s.fields)
	case "GE":
		r.closeSet("x12_missing_se", "the group ends before SE")
		r.checkGroup()
		r.gs, r.groupTree = nil, nil
	case "IEA":
		r.closeSet("x12_missing_se", "the interchange ends before SE")
		if r.gs != nil {
			r.tell("x12_missing_ge", "group %.20s has no GE", r.gs.at(6))
			r.gs = nil
		}
		r.checkInterchange()
		return true
	default:
		r.detail()
	}
	return false
}

// detail takes a segment of a set.
func (r *reader) detail() {
	s := r.s
	id := s.fields[0]
	if r.open == nil {
		r.tell("x12_stray_segment", "%.10q stands outside any set", id)
		return
	}
	if len(s.fields) > format.MaxElements+1 {
		r.open.faultIn(id, s.pos, "x12_elements", "segment %d %.10q has more than %d elements", s.pos, id, format.MaxElements)
		s.fields = s.fields[:1]
	}
	r.open.count++
	if r.record != nil {
		return
	}
	e := s.list(len(s.fields))
	copy(e, s.fields)
	for i := 1; i < len(e)-1; i++ {
		if endsAsTag(e[i]) {
			r.runTogether()
		}
	}
	r.open.segments = append(r.open.segments, x12set.Segment{Pos: s.pos, E: e})
}

// runTogether flags the segment cut last.
func (r *reader) runTogether() {
	if len(r.open.flags) < maxFaults {
		r.open.flags = append(r.open.flags, format.Flag("run_together", r.s.pos))
	}
}

// endsAsTag says whether an element looks as if the terminator behind it were
// missing: it ends as a segment begins. Text may do so by chance.
func endsAsTag(v string) bool {
	if len(v) < 4 {
		return false
	}
	switch v[len(v)-3:] {
	case "ACK", "AT7", "BIA", "CTT", "DTM", "G62", "LIN", "MAN", "MEA", "PID", "PO1", "PO4", "PRF", "QTY", "REF",
		"SLN", "SN1", "TD1", "TD3", "TD5", "UIT", "W01", "W04", "W07", "W12", "W14", "W19", "W20", "W27", "W66":
		return true
	}
	return false
}

// torn tells of a segment that lost its terminator.
func (r *reader) torn() {
	reason := "segment %d %.10q: a line end and another segment's id stand inside it"
	if r.open != nil && r.s.fields[0] != "SE" {
		r.open.faultIn(r.s.fields[0], r.s.pos, "x12_missing_terminator", reason, r.s.pos, r.s.fields[0])
		return
	}
	r.tell("x12_missing_terminator", reason, r.s.pos, r.s.fields[0])
}

// tell adds a fault of an envelope, at the segment cut last; one of a kind is
// enough for an interchange.
func (r *reader) tell(code, reason string, args ...any) {
	if r.told[code] && r.record == nil {
		return
	}
	where := fmt.Sprintf("segment %d", r.s.pos)
	fault := format.Faultf(code, where+": "+reason, args...)
	if r.record != nil {
		r.record.fault(r.gs != nil, fault)
		return
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[code] = true
	r.units = append(r.units, format.Unit{Where: where, Fault: fault})
}

// checkSet compares SE, the segment cut last, with what it closes.
func (r *reader) checkSet() {
	se := segment{r.s.pos, r.s.fields}
	n := r.open.count + 2 // ST and SE count
	if !sameCount(se.at(1), n) {
		r.open.fault("x12_segment_count", "segment %d: SE says %.20q segments, there are %d", se.pos, se.at(1), n)
	}
	if number(se.at(2)) != number(r.open.st.at(2)) {
		r.open.fault("x12_control_number", "segment %d: SE is for set %.20q, ST for %.20q", se.pos, se.at(2), r.open.st.at(2))
	}
}

func (r *reader) checkGroup() {
	ge := segment{r.s.pos, r.s.fields}
	if r.gs == nil {
		r.tell("x12_missing_gs", "GE without GS")
		return
	}
	if r.record != nil {
		g := &r.record.Groups[len(r.record.Groups)-1]
		g.GE = r.s.keep().e
	}
	if !sameCount(ge.at(1), r.sets) {
		r.tell("x12_group_count", "GE says %.20q sets, there are %d", ge.at(1), r.sets)
	}
	if number(ge.at(2)) != number(r.gs.at(6)) {
		r.tell("x12_control_number", "GE is for group %.20q, GS for %.20q", ge.at(2), r.gs.at(6))
	}
}

func (r *reader) checkInterchange() {
	iea := segment{r.s.pos, r.s.fields}
	if r.isa == nil {
		r.tell("x12_stray_segment", "IEA without ISA")
		return
	}
	if !sameCount(iea.at(1), r.groups) {
		r.tell("x12_interchange_count", "IEA says %.20q groups, there are %d", iea.at(1), r.groups)
	}
	switch stated, want := iea.at(2), r.isa.at(13); {
	case number(stated) != number(want):
		r.tell("x12_control_number", "IEA is for interchange %.20q, ISA for %.20q", stated, want)
	case stated != want:
		r.flag("control_text", iea.pos)
	}
}

// closeSet ends a set that has no SE.
func (r *reader) closeSet(code, reason string) {
	if r.open == nil {
		return
	}
	// This goes before whatever else is wrong with it.
	faults := r.open.faults
	r.open.faults = nil
	r.open.fault(code, "segment %d: set %.20s %.20s: %s", r.s.pos, r.open.st.at(1), r.open.st.at(2), reason)
	r.open.faults = append(r.open.faults, faults...)
	r.emit(nil)
	r.cut = true
}

// end closes an interchange without IEA.
func (r *reader) end(code, reason string) {
	r.closeSet(code, reason)
	if r.isa != nil && !r.cut {
		// Every set that is here is whole, but nobody can say that all are here.
		r.tell(code, "%s", reason)
	} else if r.record != nil && r.isa != nil {
		r.record.fault(false, format.Faultf(code, "%s", reason))
	}
	if r.isa == nil && r.gs != nil {
		r.tell("x12_missing_ge", "group %.20s has no GE", r.gs.at(6))
	}
	r.empty()
}

// empty makes sure that an interchange is told of, and that its trees have its
// flags.
func (r *reader) empty() {
	if len(r.units) == 0 && (r.record == nil || len(r.record.Loose)+len(r.record.Groups) == 0) {
		r.tell("x12_empty", "the interchange has no sets")
	}
	if len(r.flags) > 0 && r.interchangeTree != nil {
		r.interchangeTree["flags"] = r.flags
	}
}

// emit makes a unit of the open set. The trees of an interchange share what they
// have in common: nobody changes a tree.
func (r *reader) emit(se []string) {
	st, o := r.open.st, r.open
	if r.record != nil {
		r.record.set(r.gs != nil, Set{ST: st.e, SE: append([]string(nil), se...), Pos: st.pos, Faults: o.faults})
		r.open = nil
		return
	}
	if r.interchangeTree == nil {
		r.interchangeTree = map[string]any{
			"sender_qualifier": r.isa.at(5), "sender": r.isa.at(6), "receiver_qualifier": r.isa.at(7), "receiver": r.isa.at(8),
			"date": r.isa.at(9), "time": r.isa.at(10), "control": r.isa.at(13), "test": r.isa.at(15) == "T",
			"version": r.isa.at(12), "repetition": orNull(r.s.repetition), "ack_requested": r.isa.at(14) == "1",
		}
	}
	if r.groupTree == nil {
		r.groupTree = map[string]any{
			"code": r.gs.at(1), "sender": r.gs.at(2), "receiver": r.gs.at(3), "date": r.gs.at(4), "time": r.gs.at(5), "control": r.gs.at(6),
		}
	}
	r.s.usual = min(len(o.segments), mostUsual)
	tree := &x12set.Set{
		ID: st.at(1), Control: st.at(2), Version: r.gs.at(8), Component: r.s.component, Pos: st.pos,
		Interchange: r.interchangeTree, Group: r.groupTree, Segments: o.segments, Flags: o.flags,
	}
	if r.isa == nil && !r.s.allowBare {
		o.fault("x12_no_isa", "segment %d: set %.20s %.20s stands in no interchange", st.pos, st.at(1), st.at(2))
	}
	u := format.Unit{Where: fmt.Sprintf("set %.20s %.20s at segment %d", st.at(1), st.at(2), st.pos), Tree: tree}
	if len(o.faults) > 0 {
		u.Fault = o.faults[0].Fault
	}
	r.units = append(r.units, u)
	r.open = nil
}
