package scaffold

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
)

// skeleton is the rest of a source whose message is of no known kind: a count of each
// row or list element, from the fields that look like what a count needs.
func (w *writer) skeleton() string {
	switch w.g.Format {
	case policy.FormatCSV, policy.FormatFixed:
		return w.tableRest()
	case policy.FormatJSON, policy.FormatNDJSON:
		return w.jsonRest()
	}
	return w.blank("the document's elements are reached by nodes(\"Root/Line\") and text(\"Field\")")
}

func (w *writer) tableRest() string {
	t := &w.g.Table
	found := roles(t.Columns, func(i int) []string {
		out := make([]string, 0, len(t.Rows))
		for _, r := range t.Rows {
			if i < len(r) {
				out = append(out, strings.TrimSpace(r[i]))
			}
		}
		return out
	})
	var b strings.Builder
	if w.g.Format == policy.FormatFixed {
		b.WriteString("fixed:\n  records:\n    - columns:\n")
		for i, s := range t.Spans {
			fmt.Fprintf(&b, "        - {name: %s, from: %d, width: %d}\n", t.Columns[i], s.From, s.Width)
		}
	} else {
		var parts []string
		if t.Delimiter != "," {
			parts = append(parts, "delimiter: "+quoted(t.Delimiter))
		}
		if t.Decimal != "" {
			parts = append(parts, "decimal: "+quoted(t.Decimal))
		}
		key, names := "columns", t.Columns
		if t.Header {
			key, names = "header", nil
			for _, i := range slices.Sorted(maps.Values(found)) {
				names = append(names, t.Columns[i])
			}
		}
		if len(names) > 0 {
			list := make([]string, len(names))
			for i, n := range names {
				list[i] = quoted(n)
			}
			parts = append(parts, key+": ["+strings.Join(list, ", ")+"]")
		}
		if len(parts) > 0 {
			fmt.Fprintf(&b, "csv: {%s}\n", strings.Join(parts, ", "))
		}
	}
	fields := map[role]string{}
	var value string
	for r, i := range found {
		fields[r] = "$r[" + quoted(t.Columns[i]) + "]"
		if r == roleTime {
			for _, row := range t.Rows {
				value = cmp.Or(value, strings.TrimSpace(row[i]))
			}
		}
	}
	b.WriteString(w.count(fields, ". as {$raw, tree: $r}", "$r.row", "", value))
	return b.String()
}

// count is a mapping to counts: prefix binds $r to a row, or rows lists them.
func (w *writer) count(f map[role]string, prefix, at, rows, when string) string {
	var b strings.Builder
	b.WriteString(w.balance())
	if f[roleTime] == "" || !ours(when) {
		fmt.Fprintf(&b, "as_of: {delay: 15m}   %s\n", w.decide("how old a count is when it comes, for the message states no time that is understood"))
	}
	var ids []string
	for _, x := range []struct {
		role role
		typ  string
	}{{roleItem, "sku"}, {roleGTIN, "gtin"}} {
		if f[x.role] != "" {
			ids = append(ids, fmt.Sprintf("{type: %q, value: %s}", x.typ, f[x.role]))
		}
	}
	if len(ids) == 0 {
		w.decide("which field numbers the item: none looks like it")
	} else if f[roleItem] != "" {
		w.decide("whose item number %s is: sku (yours), vendor or customer; or list them under items", f[roleItem])
	}
	b.WriteString("mapping_version: \"1\"\nmapping: |\n")
	m := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	m("%s", w.decide("whether each is a count (what lies there), a movement (receipt, ship, ...), demand or supply"))
	m("%s  # the message, and what is known of its transmission", prefix)
	open, shut := "| [{", "}]"
	if rows != "" {
		open, shut = "| each("+rows+"; .row as $r | .index as $index | {", "})"
	}
	m("%s kind: \"count\", at: %s,", open, at)
	line := make([]string, 0, 3)
	for _, r := range []role{roleLocation, roleLine, roleItem, roleGTIN} {
		if f[r] != "" && len(line) < 3 {
			line = append(line, `\(`+f[r]+` // "")`)
		}
	}
	if len(line) == 0 && rows == "" {
		line = append(line, `\(`+at+`)`)
	} else if len(line) == 0 {
		line = append(line, `\($index)`)
	}
	number := `($raw.filename // "")`
	if f[roleDocument] != "" {
		number = f[roleDocument]
	}
	m("     document: {type: \"count\", number: (%s | if . == null or . == \"\" then $raw.id else tostring end), line: \"%s\"},", number, strings.Join(line, "/"))
	m("                                  %s", w.decide("document.number, revision and line: a redelivery has the same ones, a correction another revision"))
	m("     ids: [%s],", strings.Join(ids, ", "))
	if f[roleLocation] != "" {
		m("     location: %s,", f[roleLocation])
	}
	if q := f[roleQuantity]; q == "" {
		m("     quantity: null,   %s", w.decide("which field is the quantity: none looks like it"))
	} else {
		m("     quantity: %s,", q)
	}
	if f[roleUnit] != "" {
		m("     unit: %s,   %s", f[roleUnit], w.decide("its words for units, in unit_aliases, where they are not the item master's"))
	}
	if f[roleTime] != "" && ours(when) {
		m("     occurred_at: %s,", f[roleTime])
	} else if f[roleTime] != "" {
		m("     %s", w.decide("%s may be the time; it is written in a way that the mapping has to turn into 2006-01-02T15:04:05", f[roleTime]))
	}
	m("     count: {} %s", shut)
	return b.String()
}

// blank is a mapping that says that there is none yet.
func (w *writer) blank(hint string) string {
	return fmt.Sprintf("mapping_version: \"1\"\nmapping: |\n  %s\n  reject(\"not_mapped\"; \"the mapping is not written yet\")\n", w.decide("write the mapping: %s", hint))
}

var simpleKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// jsonRest looks for the list whose elements have an item and a quantity.
func (w *writer) jsonRest() string {
	var doc any
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(w.g.Text, "\ufeff")))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return w.blank("the document is .tree")
	}
	best := listIn(doc, ".tree", 0)
	if best.rows == nil {
		return w.blank("the document is .tree; no list of it has both an item and a quantity")
	}
	fields := map[role]string{}
	var when string
	for r, i := range best.roles {
		fields[r] = "$r" + best.fields[i]
		if r == roleTime {
			when = best.value(i)
		}
	}
	rows := "(" + best.path + ")[]"
	at := fmt.Sprintf(`"%s[\($index - 1)]"`, strings.TrimPrefix(strings.TrimPrefix(best.path, ".tree"), "."))
	if best.single {
		rows, at = best.path, `"document"`
	}
	return w.count(fields, ". as {$raw, $tree}", at, rows, when)
}

// list is a list of objects in a document.
type list struct {
	path   string
	single bool // one object stands for the list
	rows   []map[string]any
	fields []string // paths within a row
	names  []string // their last names
	roles  map[role]int
}

func (l *list) value(i int) string {
	for _, r := range l.rows {
		if v := at(r, l.fields[i]); v != "" {
			return v
		}
	}
	return ""
}

// maxJSONDepth of what is looked at.
const maxJSONDepth = 8

// listIn is the first list that has an item and a quantity, from the top; an object
// that has both stands for a list of one.
func listIn(node any, at string, depth int) list {
	if depth > maxJSONDepth {
		return list{}
	}
	switch n := node.(type) {
	case []any:
		var rows []map[string]any
		for _, x := range n[:min(len(n), maxRows)] {
			if o, ok := x.(map[string]any); ok {
				rows = append(rows, o)
			}
		}
		if len(rows) == len(n[:min(len(n), maxRows)]) && len(rows) > 0 {
			if l := listOf(rows, at); l.rows != nil {
				return l
			}
		}
		if len(n) > 0 {
			return listIn(n[0], at+"[0]", depth+1)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(n)) {
			if l := listIn(n[k], at+key(k), depth+1); l.rows != nil && !l.single {
				return l
			}
		}
		if l := listOf([]map[string]any{n}, at); l.rows != nil {
			l.single = true
			return l
		}
	}
	return list{}
}

func listOf(rows []map[string]any, path string) list {
	l := list{path: path}
	l.add(rows[0], "", 0)
	l.roles = roles(l.names, func(i int) []string {
		var out []string
		for _, r := range rows {
			out = append(out, at(r, l.fields[i]))
		}
		return out
	})
	if taken(l.roles, roleQuantity) && (taken(l.roles, roleItem) || taken(l.roles, roleGTIN)) {
		l.rows = rows
	}
	return l
}

func (l *list) add(o map[string]any, path string, depth int) {
	for _, k := range slices.Sorted(maps.Keys(o)) {
		switch v := o[k].(type) {
		case map[string]any:
			if depth < 2 {
				l.add(v, path+key(k), depth+1)
			}
		case []any:
		default:
			if len(l.fields) < maxColumns {
				l.fields, l.names = append(l.fields, path+key(k)), append(l.names, snake(k))
			}
		}
	}
}

var hump = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// snake is onHandQty as on_hand_qty.
func snake(k string) string { return strings.ToLower(hump.ReplaceAllString(k, "${1}_${2}")) }

// key is a step of a jq path.
func key(k string) string {
	if simpleKey.MatchString(k) {
		return "." + k
	}
	return "[" + quoted(k) + "]"
}

// at is the text at a path that key made.
func at(o map[string]any, path string) string {
	var v any = o
	for path != "" {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		var k string
		if path[0] == '.' {
			end := strings.IndexAny(path[1:], ".[") + 1
			if end == 0 {
				end = len(path)
			}
			k, path = path[1:end], path[end:]
		} else {
			d := json.NewDecoder(strings.NewReader(path[1:]))
			if err := d.Decode(&k); err != nil {
				return ""
			}
			path = path[1+int(d.InputOffset())+1:]
		}
		v = m[k]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
