package edifact

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// reader puts an interchange together, segment by segment.
type reader struct {
	s        *scanner
	unb      segment
	ung      *segment // of the open group, nil outside
	groups   int
	messages int // of the interchange
	inGroup  int // of the open group
	open     *message
	stray    stray
	units    []format.Unit
	cut      bool // a message was cut off: the truncation is told already
	told     map[string]bool
	flags    []any

	// Of all trees of the interchange, of the group, and of messages of one version.
	interchangeTree, groupTree, versionTree map[string]any
	versionOf                               [4]string

	record *Interchange // for Read; nil else
}

// maxFaults are kept of the segments of a message; the first one is told.
const maxFaults = 100

// message is a message being read.
type message struct {
	unh      segment
	raw      string
	count    int // of the segments between UNH and UNT
	segments []any
	faults   []Fault
}

// fault adds a fault of the message's envelope.
func (m *message) fault(code, reason string, args ...any) {
	m.faults = append(m.faults, Fault{Fault: format.Faultf(code, reason, args...)})
}

// faultIn adds a fault of the segment at pos.
func (m *message) faultIn(pos int, f *format.Fault) {
	if len(m.faults) < maxFaults {
		m.faults = append(m.faults, Fault{f, pos - m.unh.pos + 1})
	}
}

// stray are segments outside any message.
type stray struct {
	from, to int // pos; 0: none
	tag      string
}

// interchange reads from UNB to UNZ, to the next header or to the end.
func (s *scanner) interchange() *reader {
	r := &reader{s: s}
	s.cut() // UNB: header has seen it
	r.header()
	for {
		if s.peekHeader() {
			r.end("edifact_missing_unz", "the next interchange begins before UNZ")
			return r
		}
		if !s.cut() {
			r.end("edifact_truncated", "the body ends before UNZ")
			return r
		}
		g, fault := s.parse()
		if r.take(&g, fault) {
			for s.blank(); s.at < len(s.text) && s.text[s.at] == s.service.Terminator; s.blank() {
				s.at++ // some double their terminators
			}
			r.empty()
			return r
		}
	}
}

// header reads UNB: the syntax version and the character set.
func (r *reader) header() {
	s := r.s
	declared := s.service
	s.service.Repetition = 0
	r.unb, _ = s.parse()
	syntax, version := r.unb.comp(1, 1), r.unb.comp(1, 2)
	if version >= "4" {
		s.service.Decimal = 0 // the position in UNA is to be ignored
		if s.service.Repetition = '*'; s.una {
			s.service.Repetition = declared.Repetition
		}
	}
	s.set = charset(syntax)
	if s.set != nil && !s.utf8 {
		r.unb, _ = s.parse() // once more, now that the set is known
	}
	if version == "" {
		r.flag("syntax_version_missing")
	}
	if s.set != nil && !s.ascii {
		switch {
		case syntax == "UNOA" || syntax == "UNOB":
			r.flag("non_ascii")
		case s.utf8:
			r.flag("utf8")
		}
	}
	if s.recording {
		r.record = &Interchange{Service: s.service, UNA: s.una, UNB: s.split()}
	}
	if s.torn == s.pos {
		r.torn(&r.unb)
	}
}

func (r *reader) flag(code string) { r.flags = append(r.flags, format.Flag(code, r.s.pos)) }

// take handles a segment; true after UNZ.
func (r *reader) take(g *segment, fault *format.Fault) bool {
	if r.s.torn == g.pos {
		r.torn(g)
	}
	switch g.id {
	case "UNG", "UNH", "UNT", "UNE", "UNZ":
		if g.id != "UNT" {
			r.closeMessage("edifact_missing_unt", g.id+" stands before UNT")
			r.flush()
		}
	}
	switch g.id {
	case "UNG":
		if r.ung != nil {
			r.tell("edifact_missing_une", "group %.20s has no UNE", r.ung.comp(5, 1))
		}
		kept := *g
		r.ung, r.inGroup, r.groupTree = &kept, 0, nil
		r.groups++
		if r.record != nil {
			r.record.Groups = append(r.record.Groups, Group{UNG: r.s.split()})
		}
	case "UNH":
		r.open = &message{unh: *g, raw: r.s.raw}
		r.messages++
		r.inGroup++
		if r.ung == nil && r.groups > 0 {
			r.tell("edifact_missing_ung", "message %.20s stands outside any group", g.comp(1, 1))
		}
	case "UNT":
		if r.open == nil {
			r.skip(g)
			r.flush()
			break
		}
		r.checkMessage(g)
		r.emit(r.s.split)
	case "UNE":
		r.checkGroup(g)
		r.ung, r.groupTree = nil, nil
	case "UNZ":
		if r.ung != nil {
			r.tell("edifact_missing_une", "group %.20s has no UNE", r.ung.comp(5, 1))
			r.ung = nil
		}
		r.checkInterchange(g)
		return true
	default:
		if r.open == nil {
			r.skip(g)
			break
		}
		if fault != nil {
			r.open.faultIn(g.pos, fault)
		}
		if r.open.count++; r.record != nil {
			break
		}
		r.open.segments = append(r.open.segments, format.Segment(r.s.values.Text(g.id), g.pos, g.e))
	}
	return false
}

// skip takes a segment that stands outside any message.
func (r *reader) skip(g *segment) {
	if r.stray.from == 0 {
		r.stray = stray{from: g.pos, tag: g.id}
	}
	r.stray.to = g.pos
}

// flush tells of the segments outside any message.
func (r *reader) flush() {
	s := r.stray
	if s.from == 0 {
		return
	}
	r.stray = stray{}
	fault := format.Faultf("edifact_missing_unh", "segments %d to %d, from %.20q, stand outside any message", s.from, s.to, s.tag)
	if r.record != nil {
		r.record.fault(r.ung != nil, fault)
		return
	}
	r.units = append(r.units, format.Unit{Where: fmt.Sprintf("segment %d", s.from), Fault: fault})
}

// torn tells of a segment that lost its terminator.
func (r *reader) torn(g *segment) {
	reason := "segment %d %.10q: a line end and another segment's tag stand inside it"
	if r.open != nil && g.id != "UNT" {
		r.open.faultIn(g.pos, format.Faultf("edifact_missing_terminator", reason, g.pos, g.id))
		return
	}
	r.tell("edifact_missing_terminator", reason, g.pos, g.id)
}

// tell adds a fault of an envelope, at the segment cut last; one of a kind is
// enough for an interchange.
func (r *reader) tell(code, reason string, args ...any) {
	if r.told[code] {
		return
	}
	where := fmt.Sprintf("segment %d", r.s.pos)
	fault := format.Faultf(code, where+": "+reason, args...)
	if r.record != nil {
		r.record.fault(r.ung != nil, fault)
		return
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[code] = true
	r.units = append(r.units, format.Unit{Where: where, Fault: fault})
}

func (r *reader) checkMessage(unt *segment) {
	n := r.open.count + 2 // UNH and UNT count
	if !sameCount(unt.comp(1, 1), n) {
		r.open.fault("edifact_segment_count", "segment %d: UNT says %.20q segments, there are %d", unt.pos, unt.comp(1, 1), n)
	}
	if number(unt.comp(2, 1)) != number(r.open.unh.comp(1, 1)) {
		r.open.fault("edifact_control_number", "segment %d: UNT is for message %.20q, UNH for %.20q",
			unt.pos, unt.comp(2, 1), r.open.unh.comp(1, 1))
	}
}

func (r *reader) checkGroup(une *segment) {
	if r.ung == nil {
		r.tell("edifact_missing_ung", "UNE without UNG")
		return
	}
	if r.record != nil {
		r.record.Groups[len(r.record.Groups)-1].UNE = r.s.split()
	}
	if !sameCount(une.comp(1, 1), r.inGroup) {
		r.tell("edifact_message_count", "UNE says %.20q messages, there are %d", une.comp(1, 1), r.inGroup)
	}
	if number(une.comp(2, 1)) != number(r.ung.comp(5, 1)) {
		r.tell("edifact_control_number", "UNE is for group %.20q, UNG for %.20q", une.comp(2, 1), r.ung.comp(5, 1))
	}
}

func (r *reader) checkInterchange(unz *segment) {
	if r.record != nil {
		r.record.UNZ = r.s.split()
	}
	switch stated := unz.comp(1, 1); {
	case r.groups > 0 && !sameCount(stated, r.groups):
		r.tell("edifact_group_count", "UNZ says %.20q groups, there are %d", stated, r.groups)
	case r.groups == 0 && !sameCount(stated, r.messages):
		r.tell("edifact_message_count", "UNZ says %.20q messages, there are %d", stated, r.messages)
	}
	switch stated, want := unz.comp(2, 1), r.unb.comp(5, 1); {
	case number(stated) != number(want):
		r.tell("edifact_control_number", "UNZ is for interchange %.20q, UNB for %.20q", stated, want)
	case stated != want:
		r.flag("control_text")
	}
}

// closeMessage ends a message that has no UNT.
func (r *reader) closeMessage(code, reason string) {
	if r.open == nil {
		return
	}
	// This goes before whatever else is wrong with it.
	faults := r.open.faults
	r.open.faults = nil
	r.open.fault(code, "segment %d: message %.20s %.20s: %s", r.s.pos, r.open.unh.comp(2, 1), r.open.unh.comp(1, 1), reason)
	r.open.faults = append(r.open.faults, faults...)
	r.emit(nil)
	r.cut = true
}

// end closes an interchange without UNZ.
func (r *reader) end(code, reason string) {
	r.closeMessage(code, reason)
	r.flush()
	if r.record != nil {
		r.record.Faults = append(r.record.Faults, format.Faultf(code, "%s", reason))
	} else if !r.cut {
		// Every message that is here is whole, but nobody can say that all are here.
		r.tell(code, "%s", reason)
	}
	r.empty()
}

// empty makes sure that an interchange is told of, and that its trees have its
// flags.
func (r *reader) empty() {
	if len(r.units) == 0 && (r.record == nil || len(r.record.Messages)+len(r.record.Groups)+len(r.record.Faults) == 0) {
		r.tell("edifact_empty", "the interchange has no messages")
	}
	if len(r.flags) > 0 && r.interchangeTree != nil {
		r.interchangeTree["flags"] = r.flags
	}
}

// emit makes a unit of the open message; unt gives the elements of UNT, nil where
// it is missing. The trees of an interchange share what they have in common:
// nobody changes a tree.
func (r *reader) emit(unt func() []string) {
	o := r.open
	r.open = nil
	unh := &o.unh
	if r.record != nil {
		m := Message{UNH: r.s.splitText(o.raw), Pos: unh.pos, Faults: o.faults}
		if unt != nil {
			m.UNT = unt()
		}
		r.record.message(r.ung != nil, m)
		return
	}
	if o.segments == nil {
		o.segments = []any{}
	}
	text := r.s.values.Text
	decimal := ""
	if r.s.una && r.s.service.Decimal != 0 {
		decimal = string([]byte{r.s.service.Decimal})
	}
	var group any
	if r.ung != nil {
		group = r.group()
	}
	u := format.Unit{
		Where: fmt.Sprintf("message %.20s %.20s at segment %d", unh.comp(2, 1), unh.comp(1, 1), unh.pos),
		Tree: map[string]any{
			"set": unh.comp(2, 1), "control": unh.comp(1, 1), "decimal": text(strings.TrimSpace(decimal)), "pos": unh.pos,
			"version": r.version(unh), "interchange": r.interchange(), "group": group, "segments": o.segments,
		},
	}
	if len(o.faults) > 0 {
		u.Fault = o.faults[0].Fault
	}
	r.units = append(r.units, u)
}

func (r *reader) version(unh *segment) map[string]any {
	of := [4]string{unh.comp(2, 2), unh.comp(2, 3), unh.comp(2, 4), unh.comp(2, 5)}
	if r.versionTree == nil || of != r.versionOf {
		text := r.s.values.Text
		r.versionOf = of
		r.versionTree = map[string]any{"version": text(of[0]), "release": text(of[1]), "agency": text(of[2]), "association": text(of[3])}
	}
	return r.versionTree
}

func (r *reader) interchange() map[string]any {
	if r.interchangeTree == nil {
		b, text := &r.unb, r.s.values.Text
		r.interchangeTree = map[string]any{
			"syntax": text(b.comp(1, 1)), "syntax_version": text(b.comp(1, 2)),
			"sender": text(b.comp(2, 1)), "sender_qualifier": text(b.comp(2, 2)),
			"receiver": text(b.comp(3, 1)), "receiver_qualifier": text(b.comp(3, 2)),
			"date": text(b.comp(4, 1)), "time": text(b.comp(4, 2)), "control": text(b.comp(5, 1)),
			"application": text(b.comp(7, 1)), "ack_requested": b.comp(9, 1) == "1", "agreement": text(b.comp(10, 1)),
			"test": b.comp(11, 1) != "" && b.comp(11, 1) != "0",
		}
	}
	return r.interchangeTree
}

func (r *reader) group() map[string]any {
	if r.groupTree == nil {
		g, text := r.ung, r.s.values.Text
		r.groupTree = map[string]any{
			"code": text(g.comp(1, 1)), "sender": text(g.comp(2, 1)), "sender_qualifier": text(g.comp(2, 2)),
			"receiver": text(g.comp(3, 1)), "receiver_qualifier": text(g.comp(3, 2)),
			"date": text(g.comp(4, 1)), "time": text(g.comp(4, 2)), "control": text(g.comp(5, 1)),
		}
	}
	return r.groupTree
}

// number reads a count or a reference; they are compared without leading zeros,
// which some write and some do not.
func number(s string) string {
	if t := strings.TrimLeft(s, "0"); t != "" {
		return t
	}
	return "0"
}

func sameCount(stated string, n int) bool {
	v, err := strconv.Atoi(stated)
	return err == nil && v == n
}
