package canonicalizer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Unmapped is a kind of value that makes no difference to what a message becomes.
type Unmapped struct {
	Path  string `json:"path"`  // without indexes: line_items[].title, N1-02, E1EDL20/BOLNR
	At    string `json:"at"`    // where the first of them stands
	Value string `json:"value"` // its beginning
	Count int    `json:"count"`
}

// maxErasures bounds how often a message is mapped to find what is left unmapped.
const maxErasures = 4_000

// unmapped finds the values of a message that its mapping makes no use of: it takes
// each away, a whole branch at first, maps again and compares the lines. So it needs no
// word of the mapping's own, and has limits: a value that is asked for and decides
// nothing in this very message counts as unmapped (what stands behind // while the
// first is there, one of two that say the same), and a unit that is rejected is not
// looked at.
func (t *Try) unmapped(ctx context.Context, p *sourceProgram, raw *event.RawMessage) error {
	e := eraser{ctx: ctx, p: p, r: run{p: p, raw: raw}, found: map[string]*Unmapped{}}
	for u := range p.parse(raw.Body, p.src) {
		if u.Tree == nil || u.Fault != nil {
			continue
		}
		e.tree, e.where = jq.Plain(u.Tree), u.Where
		base, err := e.lines()
		if err != nil {
			return err
		}
		if base == "" {
			continue // rejected: nothing can be told apart
		}
		e.base = base
		if err := e.children(e.tree, nil); err != nil {
			return err
		}
	}
	t.Leaves, t.Mapped, t.Partly = e.leaves, e.mapped, e.runs >= maxErasures
	for _, path := range slices.Sorted(maps.Keys(e.found)) {
		t.Unmapped = append(t.Unmapped, *e.found[path])
	}
	slices.SortStableFunc(t.Unmapped, func(a, b Unmapped) int { return cmp.Compare(b.Count, a.Count) })
	return nil
}

type eraser struct {
	ctx    context.Context //nolint:containedctx // of the one call that it is of
	p      *sourceProgram
	r      run
	tree   any
	where  string
	base   string
	runs   int
	leaves int
	mapped int
	found  map[string]*Unmapped
}

// lines is what the tree is mapped to, as text; empty where it is rejected.
func (e *eraser) lines() (string, error) {
	e.runs++
	mapped, err := e.p.mapping.run(e.ctx, e.r.input(e.tree))
	if _, bad := errors.AsType[*mapError](err); bad {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("mapping: %w", err)
	}
	b, err := json.Marshal(jq.Plain(mapped))
	if err != nil {
		return fmt.Sprint(mapped), nil //nolint:nilerr // what JSON does not take is compared as it prints
	}
	return string(b), nil
}

// step is one step from the root of a tree.
type step struct {
	name  string // of an object
	index int    // of an array, where name is empty
	in    any    // what it is a step in
}

// children takes each child of a node away, and looks into those that matter.
func (e *eraser) children(node any, path []step) error {
	switch n := node.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(n)) {
			if e.structural(n, k, len(path)) {
				continue
			}
			old := n[k]
			if err := e.child(old, append(slices.Clip(path), step{name: k, in: n}), func(v any) { n[k] = v }); err != nil {
				return err
			}
		}
	case []any:
		for i := range n {
			if segmentID(path, i) {
				continue
			}
			old := n[i]
			if err := e.child(old, append(slices.Clip(path), step{index: i, in: n}), func(v any) { n[i] = v }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *eraser) child(old any, path []step, put func(any)) error {
	n := leavesOf(old)
	if n == 0 || e.runs >= maxErasures {
		return nil
	}
	put(erased(old))
	got, err := e.lines()
	put(old)
	if err != nil {
		return err
	}
	_, object := old.(map[string]any)
	_, array := old.([]any)
	switch {
	case got == e.base:
		e.note(old, path)
	case object || array:
		return e.children(old, path)
	default:
		e.leaves++
		e.mapped++
	}
	return nil
}

// note takes the leaves below a node as unmapped.
func (e *eraser) note(node any, path []step) {
	switch n := node.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(n)) {
			if !e.structural(n, k, len(path)) {
				e.note(n[k], append(slices.Clip(path), step{name: k, in: n}))
			}
		}
		return
	case []any:
		for i := range n {
			if segmentID(path, i) {
				continue
			}
			e.note(n[i], append(slices.Clip(path), step{index: i, in: n}))
		}
		return
	}
	if leavesOf(node) == 0 {
		return
	}
	e.leaves++
	name, at := e.name(path)
	u := e.found[name]
	if u == nil {
		u = &Unmapped{Path: name, At: e.where, Value: shorten(fmt.Sprint(node), 60)}
		if at != "" && !strings.Contains(e.where, at) {
			u.At = strings.TrimPrefix(u.At+", "+at, ", ")
		}
		e.found[name] = u
	}
	u.Count++
}

// segmentID says whether element i of the array at a path is the id of a segment.
func segmentID(path []step, i int) bool {
	if i > 0 || len(path) == 0 || path[len(path)-1].name != "e" {
		return false
	}
	seg, ok := path[len(path)-1].in.(map[string]any)
	return ok && seg["pos"] != nil
}

// structural says whether a name is the format's own and not the sender's word, or of
// the envelope, which says nothing of stock.
func (e *eraser) structural(node map[string]any, name string, depth int) bool {
	switch e.p.src.Format {
	case policy.FormatX12, policy.FormatEDIFACT:
		return depth == 0 && name != "segments" || depth > 0 && (name == "id" || name == "pos")
	case policy.FormatIDoc:
		return depth == 0 && name != "segments" || node["segments"] != nil && (name == "id" || name == "pos")
	case policy.FormatXML:
		return strings.HasPrefix(name, "#") && name != "#text"
	case policy.FormatCSV, policy.FormatFixed:
		return name == "row" || name == "type" && depth == 0
	case policy.FormatEPCIS:
		return depth == 0 && name == "document"
	}
	return false
}

// name is a path as the format's people write it, and the segment it is in.
func (e *eraser) name(path []step) (name, at string) {
	switch e.p.src.Format {
	case policy.FormatX12, policy.FormatEDIFACT:
		for i, s := range path {
			seg, ok := s.in.(map[string]any)
			if !ok || s.name != "e" || i+1 == len(path) {
				continue
			}
			name = fmt.Sprintf("%v-%02d", seg["id"], path[i+1].index)
			for _, c := range path[i+2:] {
				name += fmt.Sprintf(".%d", c.index+1)
			}
			return name, fmt.Sprintf("segment %v", seg["pos"])
		}
	case policy.FormatIDoc:
		var names []string
		for _, s := range path {
			seg, ok := s.in.(map[string]any)
			switch {
			case !ok || s.name == "segments" && len(names) == 0 && seg["pos"] == nil:
			case s.name == "segments":
				names = append(names, fmt.Sprint(seg["id"]))
			default:
				names, at = append(names, fmt.Sprint(seg["id"]), s.name), fmt.Sprintf("segment %v", seg["pos"])
			}
		}
		return strings.Join(names, "/"), at
	case policy.FormatXML:
		var names []string
		for _, s := range path {
			if s.name != "" && s.name != "#text" {
				names = append(names, s.name)
			}
		}
		return strings.Join(names, "/"), ""
	}
	var b, exact strings.Builder
	for _, s := range path {
		if s.name == "" {
			b.WriteString("[]")
			fmt.Fprintf(&exact, "[%d]", s.index)
			continue
		}
		for _, w := range []*strings.Builder{&b, &exact} {
			if w.Len() > 0 {
				w.WriteByte('.')
			}
			w.WriteString(s.name)
		}
	}
	if at = exact.String(); at == b.String() {
		at = ""
	}
	return b.String(), at
}

// erased is what stands for a node that is taken away: null, and for a segment one
// that nobody asks for.
func erased(node any) any {
	n, ok := node.(map[string]any)
	if !ok || n["pos"] == nil || n["id"] == nil {
		return nil
	}
	if _, ok := n["e"]; ok {
		return map[string]any{"id": "", "pos": n["pos"], "e": []any{""}}
	}
	if _, ok := n["segments"]; ok {
		return map[string]any{"id": "", "pos": n["pos"], "segments": []any{}}
	}
	return nil
}

// leavesOf counts the values below a node that say something.
func leavesOf(node any) int {
	n := 0
	switch v := node.(type) {
	case nil:
	case string:
		if v != "" {
			n = 1
		}
	case map[string]any:
		for _, c := range v {
			n += leavesOf(c)
		}
	case []any:
		for _, c := range v {
			n += leavesOf(c)
		}
	default:
		n = 1
	}
	return n
}
