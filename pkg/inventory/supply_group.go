package inventory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxShared lines of one document.
const maxShared = 64

// group are lines that documents share.
type group struct {
	via   int64
	lines []string
	refs  []Ref    // that name the first of them; of those that refs lead to: none
	begun []string // lines of no order yet, which become part of these
}

// viaOf and hashOfVia turn the hash of a ref into a number and back.
func viaOf(hash string) int64 {
	n, _ := strconv.ParseUint(hash, 16, 64) // RefHash made it
	return int64(n)                         //nolint:gosec // its bits
}

func hashOfVia(via int64) string {
	h := strconv.FormatUint(uint64(via), 16) //nolint:gosec // its bits
	return strings.Repeat("0", 16-len(h)) + h
}

// refList are the lines that a ref leads to from now on.
type refList struct {
	hash  string
	lines []string
}

// listOf are the supply lines that a ref leads to.
func (l *Ledger) listOf(pl *plan, hash string) []string {
	for i := range pl.lists {
		if pl.lists[i].hash == hash {
			return pl.lists[i].lines
		}
	}
	if t := l.refTarget(hash); t != nil && t.Kind == PieceSupply && len(t.Lines) > 0 {
		return slices.DeleteFunc(slices.Clone(t.Lines), func(id string) bool { return !l.there(PieceSupply, id) })
	}
	if id := l.target(PieceSupply, hash); id != "" {
		return []string{id}
	}
	return nil
}

// viaOfRefs is the ref by which a document shares lines, or 0: the first that names no line
// by itself.
func viaOfRefs(refs []Ref) int64 {
	for i := range refs {
		if !names(PieceSupply, refs[i].Type) {
			return viaOf(RefHash(refs[i]))
		}
	}
	return 0
}

// orders are those of refs of which two name different lines of one issuer, by number.
func orders(refs []Ref) []Ref {
	var out []Ref
	for i := range refs {
		r := &refs[i]
		if names(PieceSupply, r.Type) && slices.ContainsFunc(refs, func(x Ref) bool {
			return x.Issuer == r.Issuer && x.Type == r.Type && (x.Number != r.Number || x.Line != r.Line && x.Line != "" && r.Line != "")
		}) && !slices.Contains(out, *r) {
			out = append(out, *r)
		}
	}
	slices.SortFunc(out, compareRefs)
	return out
}

func compareRefs(a, b Ref) int {
	return cmp.Or(strings.Compare(a.Issuer, b.Issuer), strings.Compare(a.Type, b.Type),
		compareRevisions(a.Number, b.Number), compareRevisions(a.Line, b.Line))
}

// groupOf are the lines that a document with these refs shares; of one line it is false.
func (l *Ledger) groupOf(pl *plan, refs []Ref, stage Stage) (g group, shared bool) {
	if stage == Ordered {
		return g, false
	}
	g.via = viaOfRefs(refs)
	if os := orders(refs); len(os) > 1 {
		if g.via == 0 {
			set := Ref{Type: "\x00orders"}
			for _, r := range os {
				set.Number += RefHash(r)
			}
			g.via = viaOf(RefHash(set))
		}
		for _, r := range os {
			id := l.target(PieceSupply, RefHash(r))
			if id == "" {
				id = RefHash(r)
			}
			if !slices.Contains(g.lines, id) {
				g.lines, g.refs = append(g.lines, id), append(g.refs, r)
			}
		}
		for _, id := range l.listOf(pl, hashOfVia(g.via)) {
			switch {
			case slices.Contains(g.lines, id):
			case l.named(PieceSupply, id):
				g.lines = append(g.lines, id)
			default:
				g.begun = append(g.begun, id)
			}
		}
		return g, len(g.lines) > 1
	}
	if g.via == 0 || slices.ContainsFunc(refs, func(r Ref) bool { return names(PieceSupply, r.Type) }) {
		return g, false
	}
	g.lines = l.listOf(pl, hashOfVia(g.via))
	return g, len(g.lines) > 1
}

// relist makes a ref lead to lines beside those it leads to, but for those that go. Of a
// ref that leads to more than maxShared no document is spread any more.
func (l *Ledger) relist(pl *plan, hash string, lines, gone []string) {
	had := l.listOf(pl, hash)
	all := slices.DeleteFunc(slices.Clone(had), func(id string) bool { return slices.Contains(gone, id) })
	for _, id := range lines {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	if slices.Sort(all); slices.Equal(all, had) {
		return
	}
	all = all[:min(len(all), maxShared+1)] // one too many tells as much as all of them
	pl.lists = slices.DeleteFunc(pl.lists, func(r refList) bool { return r.hash == hash })
	pl.lists = append(pl.lists, refList{hash, all})
}

// withRef adds a ref to those of a line, where it has room.
func withRef(refs []Ref, ref Ref) []Ref {
	if slices.Contains(refs, ref) || len(refs) >= maxLineRefs {
		return refs
	}
	return append(slices.Clip(refs), ref)
}
