package event

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hamba/avro/v2"
)

const (
	namespace = "io.stockweave.v1"
	maxDepth  = 32 // of nested types in a writer's schema
)

var errDepth = errors.New("schema is nested too deeply")

// parse reads a schema without touching the library's global cache, where equal
// names of two topics would meet.
func parse(schema string) (avro.Schema, error) {
	return avro.ParseWithCache(schema, "", &avro.SchemaCache{})
}

// bind returns how to read a value written with s into T: by the writer's order,
// fields by name, what we do not know skipped, what it lacks left zero. That is
// all of Avro's schema resolution that FULL_TRANSITIVE evolution by nullable
// fields needs. It also says whether s is exactly the table.
func (t *table[T]) bind(s avro.Schema) (func(r *reader, x *T), bool, error) {
	rec, ok := deref(s).(*avro.RecordSchema)
	if !ok || rec.FullName() != namespace+"."+t.name {
		return nil, false, mismatch("record "+t.name, s)
	}
	same := len(rec.Fields()) == len(t.fields)
	steps := make([]func(*reader, *T), 0, len(rec.Fields()))
	for i, f := range rec.Fields() {
		step, at, exact, err := t.bindField(f)
		if err != nil {
			return nil, false, fmt.Errorf("%s.%s: %w", t.name, f.Name(), err)
		}
		same = same && exact && at == i
		steps = append(steps, step)
	}
	if same {
		return t.dec, true, nil
	}
	return func(r *reader, x *T) {
		for _, step := range steps {
			step(r, x)
		}
	}, false, nil
}

func (t *table[T]) bindField(f *avro.Field) (step func(*reader, *T), at int, exact bool, err error) {
	for i := range t.fields {
		if t.fields[i].name == f.Name() {
			step, exact, err = t.fields[i].bind(f.Type())
			return step, i, exact, err
		}
	}
	skip, err := skipper(f.Type(), 0)
	return func(r *reader, _ *T) { skip(r) }, -1, false, err
}

func bindNullable[T any](t *table[T], s avro.Schema) (func(*reader, *T), bool, error) {
	inner, err := nullable(s)
	if err != nil {
		return nil, false, err
	}
	return t.bind(inner)
}

// nullable returns X of ["null", X].
func nullable(s avro.Schema) (avro.Schema, error) {
	u, ok := deref(s).(*avro.UnionSchema)
	if !ok || len(u.Types()) != 2 || u.Types()[0].Type() != avro.Null {
		return nil, mismatch("nullable", s)
	}
	return u.Types()[1], nil
}

func deref(s avro.Schema) avro.Schema {
	if ref, ok := s.(*avro.RefSchema); ok {
		return ref.Schema()
	}
	return s
}

func expect(typ string, s avro.Schema) error {
	if spell(s) != typ {
		return mismatch(typ, s)
	}
	return nil
}

func mismatch(want string, s avro.Schema) error {
	return fmt.Errorf("type is %s, not %s", spell(s), want)
}

// spell is a short spelling of a type, enough to compare types without parts.
func spell(s avro.Schema) string {
	switch s := deref(s).(type) {
	case *avro.RecordSchema:
		return "record " + s.FullName()
	case *avro.FixedSchema:
		return fmt.Sprintf("fixed(%d)", s.Size())
	case *avro.ArraySchema:
		return "[" + spell(s.Items()) + "]"
	case *avro.UnionSchema:
		names := make([]string, len(s.Types()))
		for i, t := range s.Types() {
			names[i] = spell(t)
		}
		return strings.Join(names, "|")
	case *avro.PrimitiveSchema:
		name := string(s.Type())
		if l := s.Logical(); l != nil {
			name += "." + string(l.Type())
			if d, ok := l.(*avro.DecimalLogicalSchema); ok {
				name += fmt.Sprintf("(%d,%d)", d.Precision(), d.Scale())
			}
		}
		return name
	default:
		return string(s.Type())
	}
}

// minSize is the least a value of s takes, in bytes.
func minSize(s avro.Schema, depth int) int {
	if depth > maxDepth {
		return 0
	}
	switch s := deref(s).(type) {
	case *avro.NullSchema:
		return 0
	case *avro.FixedSchema:
		return s.Size()
	case *avro.RecordSchema:
		n := 0
		for _, f := range s.Fields() {
			n += minSize(f.Type(), depth+1)
		}
		return n
	default:
		return 1
	}
}

// skipper returns how to step over a value of s. Depth bounds recursive schemas.
func skipper(s avro.Schema, depth int) (func(*reader), error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	switch s := deref(s).(type) {
	case *avro.RecordSchema:
		parts := make([]func(*reader), len(s.Fields()))
		for i, f := range s.Fields() {
			part, err := skipper(f.Type(), depth+1)
			if err != nil {
				return nil, err
			}
			parts[i] = part
		}
		return func(r *reader) {
			for _, part := range parts {
				part(r)
			}
		}, nil
	case *avro.ArraySchema:
		return skipBlocks(s.Items(), false, depth)
	case *avro.MapSchema:
		return skipBlocks(s.Values(), true, depth)
	case *avro.UnionSchema:
		return skipUnion(s, depth)
	case *avro.FixedSchema:
		return func(r *reader) { r.skip(s.Size()) }, nil
	}
	skip, ok := map[avro.Type]func(*reader){
		avro.Null:    func(*reader) {},
		avro.Boolean: func(r *reader) { r.flag() },
		avro.Int:     func(r *reader) { r.long() },
		avro.Long:    func(r *reader) { r.long() },
		avro.Enum:    func(r *reader) { r.long() },
		avro.Float:   func(r *reader) { r.skip(4) },
		avro.Double:  func(r *reader) { r.skip(8) },
		avro.String:  func(r *reader) { r.take() },
		avro.Bytes:   func(r *reader) { r.take() },
	}[s.Type()]
	if !ok {
		return nil, fmt.Errorf("type %s is not supported", s.Type())
	}
	return skip, nil
}

func skipBlocks(item avro.Schema, keyed bool, depth int) (func(*reader), error) {
	skip, err := skipper(item, depth+1)
	if err != nil {
		return nil, err
	}
	least := minSize(item, depth+1)
	if keyed {
		least++
	}
	return func(r *reader) {
		have := 0
		for n := r.block(0, least); n > 0; n = r.block(have, least) {
			have += n
			if least == 0 {
				continue // elements of nothing: no reason to visit them
			}
			for range n {
				if keyed {
					r.take()
				}
				skip(r)
			}
		}
	}, nil
}

func skipUnion(u *avro.UnionSchema, depth int) (func(*reader), error) {
	branches := make([]func(*reader), len(u.Types()))
	for i, t := range u.Types() {
		skip, err := skipper(t, depth+1)
		if err != nil {
			return nil, err
		}
		branches[i] = skip
	}
	return func(r *reader) {
		n := r.long()
		if n < 0 || n >= int64(len(branches)) {
			r.failf("union branch %d of %d", n, len(branches))
			return
		}
		branches[n](r)
	}, nil
}
