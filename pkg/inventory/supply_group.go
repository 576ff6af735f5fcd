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

	said bool          // an advice says how much of each
	pool []SupplyEntry // the documents, whole
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
	lines []string // and, after them, the names that mean the same
	same  string   // another ref that stands for this one: it leads to no line by itself
}

// sameName marks, in a ref's target, another ref that means the same: the one that stands
// for it as its line, those it stands for among its lines. It sorts after the id of any line.
const sameName = "~"

// rep is the ref that stands for one: itself, but for names that mean the same. pl may be nil.
func (l *Ledger) rep(pl *plan, hash string) string {
	for range maxSame {
		next := ""
		if t := l.refTarget(hash); t != nil && t.Kind == PieceSupply && strings.HasPrefix(t.Line, sameName) {
			next = t.Line[len(sameName):]
		}
		if pl != nil {
			for i := range pl.lists {
				if r := &pl.lists[i]; r.hash == hash && r.same != "" {
					next = r.same
				}
			}
		}
		if next == "" {
			break
		}
		hash = next
	}
	return hash
}

// repVia is rep of a shortened ref.
func (l *Ledger) repVia(pl *plan, via int64) int64 { return viaOf(l.rep(pl, hashOfVia(via))) }

// maxSame names of one shipment.
const maxSame = 64

// unite makes the names of a document that names no order those of one shipment, from now
// on and for all that was said by them: what one of them leads to, all do. The first by hash
// stands for them, so that the order in which they came leaves no trace.
func (l *Ledger) unite(pl *plan, refs []Ref) *Fault {
	if len(refs) < 2 || slices.ContainsFunc(refs, func(r Ref) bool { return names(PieceSupply, r.Type) }) {
		return nil
	}
	var reps []string
	for i := range refs {
		if h := l.rep(pl, RefHash(refs[i])); !slices.Contains(reps, h) {
			reps = append(reps, h)
		}
	}
	if len(reps) < 2 {
		return nil
	}
	slices.Sort(reps)
	var lines, same []string
	for i, h := range reps {
		for _, id := range l.listOf(pl, h) {
			if !slices.Contains(lines, id) {
				lines = append(lines, id)
			}
		}
		same = append(same, l.sameAs(pl, h)...)
		if i > 0 {
			same = append(same, sameName+h)
		}
	}
	if len(same) >= maxSame {
		return fault(FaultTooMany, "refs", "names of one shipment")
	}
	for _, n := range same {
		l.list(pl, refList{hash: n[len(sameName):], same: reps[0]})
	}
	slices.Sort(lines)
	slices.Sort(same)
	l.list(pl, refList{hash: reps[0], lines: append(lines[:min(len(lines), maxShared+1)], same...)})
	return nil
}

// sameAs are the names that mean the same as a ref that stands for them, marked.
func (l *Ledger) sameAs(pl *plan, hash string) []string {
	all := l.listed(pl, hash)
	i := slices.IndexFunc(all, func(id string) bool { return strings.HasPrefix(id, sameName) })
	if i < 0 {
		return nil
	}
	return slices.Clone(all[i:])
}

// listed is what stands in a ref's list.
func (l *Ledger) listed(pl *plan, hash string) []string {
	for i := range pl.lists {
		if pl.lists[i].hash == hash {
			return pl.lists[i].lines
		}
	}
	if t := l.refTarget(hash); t != nil && t.Kind == PieceSupply {
		return t.Lines
	}
	return nil
}

// list puts a list into the plan, in the place of an earlier one.
func (*Ledger) list(pl *plan, r refList) {
	pl.lists = append(slices.DeleteFunc(pl.lists, func(x refList) bool { return x.hash == r.hash }), r)
}

// listOf are the supply lines that a ref leads to.
func (l *Ledger) listOf(pl *plan, hash string) []string {
	hash = l.rep(pl, hash)
	for i := range pl.lists {
		if pl.lists[i].hash == hash {
			return slices.DeleteFunc(slices.Clone(pl.lists[i].lines), func(id string) bool { return strings.HasPrefix(id, sameName) })
		}
	}
	if t := l.refTarget(hash); t != nil && t.Kind == PieceSupply && len(t.Lines) > 0 {
		return slices.DeleteFunc(slices.Clone(t.Lines), func(id string) bool {
			return strings.HasPrefix(id, sameName) || !l.there(PieceSupply, id)
		})
	}
	if id := l.target(PieceSupply, hash); id != "" {
		return []string{id}
	}
	return nil
}

// viaOfRefs is the ref by which a document shares lines, or 0: the first that names no line
// by itself, or what stands for it.
func (l *Ledger) viaOfRefs(pl *plan, refs []Ref) int64 {
	for i := range refs {
		if !names(PieceSupply, refs[i].Type) {
			return viaOf(l.rep(pl, RefHash(refs[i])))
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
	g.via = l.viaOfRefs(pl, refs)
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
		l.begun(pl, &g, hashOfVia(g.via))
		own := len(g.lines)
		for i := range refs {
			if !names(PieceSupply, refs[i].Type) {
				l.begun(pl, &g, RefHash(refs[i]))
			}
		}
		g.lines = g.lines[:own] // what other names lead to is not this document's
		return g, len(g.lines) > 1
	}
	if g.via == 0 || slices.ContainsFunc(refs, func(r Ref) bool { return names(PieceSupply, r.Type) }) {
		return g, false
	}
	l.begun(pl, &g, hashOfVia(g.via))
	return g, len(g.lines) > 1
}

// begun adds to a group the lines that a ref leads to: those of orders, and those that
// become part of them.
func (l *Ledger) begun(pl *plan, g *group, hash string) {
	for _, id := range l.listOf(pl, hash) {
		switch {
		case slices.Contains(g.lines, id) || slices.Contains(g.begun, id):
		case l.named(PieceSupply, id):
			g.lines = append(g.lines, id)
		default:
			g.begun = append(g.begun, id)
		}
	}
}

// relist makes a ref lead to lines beside those it leads to, but for those that go. Of a
// ref that leads to more than maxShared no document is spread any more.
func (l *Ledger) relist(pl *plan, hash string, lines, gone []string) {
	hash = l.rep(pl, hash)
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
	l.list(pl, refList{hash: hash, lines: append(all, l.sameAs(pl, hash)...)})
}

// withRef adds a ref to those of a line, where it has room.
func withRef(refs []Ref, ref Ref) []Ref {
	if slices.Contains(refs, ref) || len(refs) >= maxLineRefs {
		return refs
	}
	return append(slices.Clip(refs), ref)
}
