package format

import (
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Row is a record of a table or a file of fixed width, as one of its types reads it.
type Row struct {
	Type  string
	Role  string     // as in policy.Record
	Rank  int        // of its type in the policy: a head ends those of later ones
	Tree  *jq.Object // nil where there is none
	Where string
	Fault *Fault // a row of no known type has RoleUnknown and a fault
}

// RoleUnknown is the role of a row of no type of the policy.
const RoleUnknown = "unknown"

// Assembler makes units of rows by the roles of their types: a row is a unit of its
// own, a head goes with the rows behind it (as "head", by type), a begin has its
// parts in "rows". The zero value is ready; a message has one of its own.
type Assembler struct {
	heads  map[string]any
	ranks  map[string]int
	faults map[string]*Fault // of heads; at most one is told
	open   *Unit
	parts  []any
}

// Add takes the next row. code is the fault code of rows out of place; false when
// yield wants no more.
func (a *Assembler) Add(r Row, code string, yield func(Unit) bool) bool {
	if r.Role == policy.PartRecord && a.open != nil {
		if a.open.Fault == nil {
			a.open.Fault = r.Fault
		}
		a.parts = append(a.parts, treeOf(r.Tree))
		return true
	}
	// Whatever else comes ends the unit that was begun: a part behind it may belong
	// to what could not be read.
	if !a.Flush(yield) {
		return false
	}
	u := Unit{Where: r.Where, Fault: r.Fault, Tree: treeOf(r.Tree)}
	switch r.Role {
	case policy.HeadRecord:
		a.head(r)
		if r.Fault == nil {
			return true
		}
		u.Tree = nil // reported; the rows behind it are refused for it, too
		return yield(u)
	case policy.SkipRecord:
		return true
	case policy.PartRecord:
		u.Fault = Faultf(code, "%s: a part, and no record that begins its unit", r.Where)
		return yield(u)
	case RoleUnknown:
		return yield(u)
	}
	if len(a.heads) > 0 {
		u.Tree = r.Tree.With("head", a.heads)
	}
	for _, typ := range sortedKeys(a.faults) {
		if f := a.faults[typ]; u.Fault == nil {
			u.Fault = Faultf(f.Code, "%s: the head before it cannot be read: %s", r.Where, f.Reason)
		}
	}
	if r.Role == policy.BeginRecord {
		begun := u // of its own: most units are not begun
		a.open, a.parts = &begun, []any{}
		return true
	}
	return yield(u)
}

// sortedKeys are the keys of a map, which most often has none.
func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// treeOf is a row's tree as a value.
func treeOf(o *jq.Object) any {
	if o == nil {
		return nil
	}
	return o
}

// Flush ends the unit that was begun, if any.
func (a *Assembler) Flush(yield func(Unit) bool) bool {
	if a.open == nil {
		return true
	}
	u := *a.open
	if tree, ok := u.Tree.(*jq.Object); ok {
		u.Tree = tree.With("rows", a.parts)
	}
	a.open, a.parts = nil, nil
	return yield(u)
}

// head keeps a head and ends those that stand below it. Units have the map they
// were given, so it is a new one each time.
func (a *Assembler) head(r Row) {
	a.heads, a.faults = maps.Clone(a.heads), maps.Clone(a.faults)
	if a.heads == nil {
		a.heads, a.ranks, a.faults = map[string]any{}, map[string]int{}, map[string]*Fault{}
	}
	for typ, rank := range a.ranks {
		if rank >= r.Rank {
			delete(a.heads, typ)
			delete(a.faults, typ)
			delete(a.ranks, typ)
		}
	}
	a.heads[r.Type], a.ranks[r.Type] = treeOf(r.Tree), r.Rank
	if r.Fault != nil {
		a.faults[r.Type] = r.Fault
	}
}
