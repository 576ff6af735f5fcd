package x12

import (
	"fmt"

	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// reader puts an interchange together, segment by segment.
type reader struct {
	s        *scanner
	isa      *segment
	gs       *segment // of the open group, nil outside
	groups   int
	sets     int // of the open group
	open     *set
	units    []format.Unit
	cut      bool // a set was cut off: the truncation is told already
	tellOnce map[string]bool
}

// set is a transaction set being read.
type set struct {
	st       *segment
	segments []*segment
	fault    *format.Fault
}

// interchange reads from ISA to IEA, to the next ISA or to the end. The fault is
// set when there is no interchange here.
func (s *scanner) interchange() ([]format.Unit, *format.Fault) {
	isa, fault := s.isa()
	if fault != nil {
		return nil, fault
	}
	r := &reader{s: s, isa: isa, tellOnce: map[string]bool{}}
	for {
		if s.peekISA() {
			r.end("x12_missing_iea", "the next interchange begins before IEA")
			return r.units, nil
		}
		g := s.next()
		if g == nil {
			r.end("x12_truncated", "the message ends before IEA")
			return r.units, nil
		}
		if r.take(g) {
			for s.space(); len(s.rest) > 0 && s.rest[0] == s.terminator; s.space() {
				s.rest = s.rest[1:] // some double their terminators
			}
			if len(r.units) == 0 {
				r.tell(g, "x12_empty", "the interchange has no sets")
			}
			return r.units, nil
		}
	}
}

// take handles a segment; true after IEA.
func (r *reader) take(g *segment) bool {
	switch g.id() {
	case "GS":
		r.closeSet("x12_missing_se", "a group begins before SE")
		if r.gs != nil {
			r.tell(g, "x12_missing_ge", "group %s has no GE", r.gs.at(6))
		}
		r.gs, r.sets = g, 0
		r.groups++
	case "ST":
		r.closeSet("x12_missing_se", "the next set begins before SE")
		r.open = &set{st: g}
		r.sets++
		if r.gs == nil {
			r.tell(g, "x12_missing_gs", "set %s stands outside any group", g.at(2))
		}
	case "SE":
		if r.open == nil {
			r.tell(g, "x12_missing_st", "SE without ST")
			break
		}
		r.checkSet(g)
		r.emit()
	case "GE":
		r.closeSet("x12_missing_se", "the group ends before SE")
		r.checkGroup(g)
		r.gs = nil
	case "IEA":
		r.closeSet("x12_missing_se", "the interchange ends before SE")
		if r.gs != nil {
			r.tell(g, "x12_missing_ge", "group %s has no GE", r.gs.at(6))
		}
		r.checkInterchange(g)
		return true
	default:
		if r.open == nil {
			r.tell(g, "x12_stray_segment", "%.10q stands outside any set", g.id())
			break
		}
		if len(g.e) > format.MaxElements+1 && r.open.fault == nil {
			r.open.fault = format.Faultf("x12_elements", "segment %d %.10q has more than %d elements", g.pos, g.id(), format.MaxElements)
			g.e = g.e[:1]
		}
		r.open.segments = append(r.open.segments, g)
	}
	return false
}

// tell adds a fault of an envelope; one of a kind is enough for an interchange.
func (r *reader) tell(g *segment, code, reason string, args ...any) {
	if r.tellOnce[code] {
		return
	}
	r.tellOnce[code] = true
	where := fmt.Sprintf("segment %d", g.pos)
	r.units = append(r.units, format.Unit{Where: where, Fault: format.Faultf(code, where+": "+reason, args...)})
}

func (r *reader) checkSet(se *segment) {
	n := len(r.open.segments) + 2 // ST and SE count
	switch {
	case r.open.fault != nil:
	case !sameCount(se.at(1), n):
		r.open.fault = format.Faultf("x12_segment_count",
			"segment %d: SE says %.20q segments, there are %d", se.pos, se.at(1), n)
	case number(se.at(2)) != number(r.open.st.at(2)):
		r.open.fault = format.Faultf("x12_control_number",
			"segment %d: SE is for set %.20q, ST for %.20q", se.pos, se.at(2), r.open.st.at(2))
	}
}

func (r *reader) checkGroup(ge *segment) {
	switch {
	case r.gs == nil:
		r.tell(ge, "x12_missing_gs", "GE without GS")
	case !sameCount(ge.at(1), r.sets):
		r.tell(ge, "x12_group_count", "GE says %.20q sets, there are %d", ge.at(1), r.sets)
	case number(ge.at(2)) != number(r.gs.at(6)):
		r.tell(ge, "x12_control_number", "GE is for group %.20q, GS for %.20q", ge.at(2), r.gs.at(6))
	}
}

func (r *reader) checkInterchange(iea *segment) {
	switch {
	case !sameCount(iea.at(1), r.groups):
		r.tell(iea, "x12_interchange_count", "IEA says %.20q groups, there are %d", iea.at(1), r.groups)
	case number(iea.at(2)) != number(r.isa.at(13)):
		r.tell(iea, "x12_control_number", "IEA is for interchange %.20q, ISA for %.20q", iea.at(2), r.isa.at(13))
	}
}

// closeSet ends a set that has no SE.
func (r *reader) closeSet(code, reason string) {
	if r.open == nil {
		return
	}
	r.open.fault = format.Faultf(code, "segment %d: set %.20s %.20s: %s", r.s.pos, r.open.st.at(1), r.open.st.at(2), reason)
	r.emit()
	r.cut = true
}

// end closes an interchange without IEA.
func (r *reader) end(code, reason string) {
	r.closeSet(code, reason)
	if !r.cut {
		// Every set that is here is whole, but nobody can say that all are here.
		r.tell(&segment{pos: r.s.pos}, code, "%s", reason)
	}
}

func (r *reader) emit() {
	st := r.open.st
	segments := make([]any, len(r.open.segments))
	for i, g := range r.open.segments {
		e := make([]any, len(g.e))
		for k, v := range g.e {
			if v != "" {
				e[k] = v
			}
		}
		segments[i] = map[string]any{"id": g.id(), "pos": g.pos, "e": e}
	}
	r.units = append(r.units, format.Unit{
		Where: fmt.Sprintf("set %.20s %.20s at segment %d", st.at(1), st.at(2), st.pos),
		Fault: r.open.fault,
		Tree: map[string]any{
			"set": st.at(1), "control": st.at(2), "version": r.gs.at(8), "component": string([]byte{r.s.component}), "pos": st.pos,
			"interchange": map[string]any{
				"sender_qualifier": r.isa.at(5), "sender": r.isa.at(6), "receiver_qualifier": r.isa.at(7), "receiver": r.isa.at(8),
				"date": r.isa.at(9), "time": r.isa.at(10), "control": r.isa.at(13), "test": r.isa.at(15) == "T",
			},
			"group": map[string]any{
				"code": r.gs.at(1), "sender": r.gs.at(2), "receiver": r.gs.at(3), "date": r.gs.at(4), "time": r.gs.at(5), "control": r.gs.at(6),
			},
			"segments": segments,
		},
	})
	r.open = nil
}
