package event

import "github.com/hamba/avro/v2"

// one is a record within a record.
func one[T, V any](name string, t *table[V], get func(*T) *V) field[T] {
	through := func(dec func(*reader, *V)) func(*reader, *T) {
		return func(r *reader, x *T) { dec(r, get(x)) }
	}
	return field[T]{
		name: name,
		enc:  func(w *writer, x *T) { t.enc(w, get(x)) },
		dec:  through(t.dec),
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			dec, same, err := t.bind(s)
			return through(dec), same, err
		},
	}
}

// when is a nullable record whose fields stand in T itself; present says whether
// it is there. A nil present means always: a value without it is refused.
func when[T any](name string, t *table[T], present func(*T) bool) field[T] {
	through := func(dec func(*reader, *T)) func(*reader, *T) {
		return func(r *reader, x *T) {
			switch {
			case r.some():
				dec(r, x)
			case present == nil && r.err == nil:
				r.failf("%s is missing", name)
			}
		}
	}
	return field[T]{
		name: name,
		enc: func(w *writer, x *T) {
			if present == nil || present(x) {
				w.some()
				t.enc(w, x)
			} else {
				w.null()
			}
		},
		dec: through(t.dec),
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			dec, same, err := bindNullable(t, s)
			return through(dec), same, err
		},
	}
}

// opt is a nullable record behind a pointer: a body.
func opt[T, V any](name string, t *table[V], get func(*T) **V) field[T] {
	through := func(dec func(*reader, *V)) func(*reader, *T) {
		return func(r *reader, x *T) { *get(x) = decodeBody(r, dec) }
	}
	return field[T]{
		name: name,
		enc:  func(w *writer, x *T) { encodeBody(w, *get(x), t.enc) },
		dec:  through(t.dec),
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			dec, same, err := bindNullable(t, s)
			return through(dec), same, err
		},
	}
}

// encodeZeroable writes a nullable record whose zero value is null.
func encodeZeroable[V comparable](w *writer, v *V, enc func(*writer, *V)) {
	var zero V
	if *v == zero {
		w.null()
		return
	}
	w.some()
	enc(w, v)
}

// decodeZeroable is the opposite of encodeZeroable; v is zero before.
func decodeZeroable[V any](r *reader, v *V, dec func(*reader, *V)) {
	if r.some() {
		dec(r, v)
	}
}

// zeroable is a nullable record whose zero value is null.
func zeroable[T any, V comparable](name string, t *table[V], get func(*T) *V) field[T] {
	through := func(dec func(*reader, *V)) func(*reader, *T) {
		return func(r *reader, x *T) { decodeZeroable(r, get(x), dec) }
	}
	return field[T]{
		name: name,
		enc:  func(w *writer, x *T) { encodeZeroable(w, get(x), t.enc) },
		dec:  through(t.dec),
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			dec, same, err := bindNullable(t, s)
			return through(dec), same, err
		},
	}
}

// absent is a body that T never has: null when written, skipped when read.
func absent[T any](name string) field[T] {
	return field[T]{
		name: name,
		enc:  func(w *writer, _ *T) { w.null() },
		dec: func(r *reader, _ *T) {
			if r.some() {
				r.failf("%s is not expected here", name)
			}
		},
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			if _, err := nullable(s); err != nil {
				return nil, false, err
			}
			skip, err := skipper(s, 0)
			return func(r *reader, _ *T) { skip(r) }, true, err
		},
	}
}

// many is an array of records.
func many[T, V any](name string, t *table[V], get func(*T) *[]V) field[T] {
	through := func(dec func(*reader, *V), minSize int) func(*reader, *T) {
		return func(r *reader, x *T) { *get(x) = decodeAll(r, minSize, dec) }
	}
	return field[T]{
		name: name,
		enc:  func(w *writer, x *T) { encodeAll(w, *get(x), t.enc) },
		dec:  through(t.dec, len(t.fields)), // no field is shorter than a byte
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			a, ok := deref(s).(*avro.ArraySchema)
			if !ok {
				return nil, false, mismatch("array", s)
			}
			dec, same, err := t.bind(a.Items())
			return through(dec, max(1, minSize(a.Items(), 0))), same, err
		},
	}
}

func encodeAll[V any](w *writer, vs []V, enc func(*writer, *V)) {
	if len(vs) == 0 {
		w.null()
		return
	}
	w.count(len(vs))
	for i := range vs {
		enc(w, &vs[i])
	}
	w.null()
}

// decodeAll reads an array whose elements take at least minSize bytes each.
func decodeAll[V any](r *reader, minSize int, dec func(*reader, *V)) []V {
	if r.i < len(r.b) && r.b[r.i] == 0 { // none, as a rule
		r.i++
		return nil
	}
	var vs []V
	for n := r.block(0, minSize); n > 0; n = r.block(len(vs), minSize) {
		if vs == nil {
			vs = make([]V, 0, n)
		}
		for range n {
			var zero V
			vs = append(vs, zero)
			dec(r, &vs[len(vs)-1])
		}
		if r.err != nil {
			return nil
		}
	}
	return vs
}

// encodeBody writes a nullable record behind a pointer.
func encodeBody[V any](w *writer, v *V, enc func(*writer, *V)) {
	if v == nil {
		w.null()
		return
	}
	w.some()
	enc(w, v)
}

// decodeBody is the opposite of encodeBody.
func decodeBody[V any](r *reader, dec func(*reader, *V)) *V {
	if !r.some() {
		return nil
	}
	v := new(V)
	dec(r, v)
	return v
}

// encodeList writes an array of values without parts.
func encodeList[V any](w *writer, vs []V, enc func(*writer, V)) {
	w.count(len(vs))
	for _, v := range vs {
		enc(w, v)
	}
	if len(vs) > 0 {
		w.null()
	}
}

// decodeList is the opposite of encodeList.
func decodeList[V any](r *reader, dec func(*reader) V) []V {
	var vs []V
	for n := r.block(0, 1); n > 0; n = r.block(len(vs), 1) {
		if vs == nil {
			vs = make([]V, 0, n)
		}
		for range n {
			vs = append(vs, dec(r))
		}
	}
	return vs
}

// apart is a field that stands in another record of ours, behind a pointer that is nil
// while all of that is zero.
func apart[T any, V any, P interface {
	*V
	IsZero() bool
}](get func(*T) **V, f field[V]) field[T] {
	through := func(dec func(*reader, *V)) func(*reader, *T) {
		return func(r *reader, x *T) {
			v := *get(x)
			if v == nil {
				v = new(V)
			}
			dec(r, v)
			if !P(v).IsZero() {
				*get(x) = v
			}
		}
	}
	return field[T]{
		name: f.name,
		enc: func(w *writer, x *T) {
			v := *get(x)
			if v == nil {
				v = new(V)
			}
			f.enc(w, v)
		},
		dec: through(f.dec),
		bind: func(s avro.Schema) (func(*reader, *T), bool, error) {
			dec, same, err := f.bind(s)
			return through(dec), same, err
		},
	}
}
