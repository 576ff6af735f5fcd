package event

import (
	"encoding/binary"

	"github.com/hamba/avro/v2"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// A table describes a record: its fields in the order of the latest schema, each
// with an encode and a decode function. Writing follows the table. Reading
// follows the schema the value was written with, see bind. NewCodecs compares
// each table with its .avsc, so the two never drift apart.
type table[T any] struct {
	name   string // without namespace
	fields []field[T]
	enc    func(w *writer, x *T)
	dec    func(r *reader, x *T) // of a value written with exactly this table
}

// field is one field of a record. Its functions reach into the record that T is.
type field[T any] struct {
	name string
	enc  func(w *writer, x *T)
	dec  func(r *reader, x *T)
	// bind returns how to decode the field written with a type, and whether that
	// type is exactly ours.
	bind func(s avro.Schema) (func(r *reader, x *T), bool, error)
}

// record makes a table that goes field by field.
func record[T any](name string, fields ...field[T]) *table[T] {
	return &table[T]{
		name: name, fields: fields,
		enc: func(w *writer, x *T) {
			for i := range fields {
				fields[i].enc(w, x)
			}
		},
		dec: func(r *reader, x *T) {
			for i := range fields {
				fields[i].dec(r, x)
			}
		},
	}
}

// direct replaces the loops over the fields by straight code, for the records that
// stand on the way of every event. TestDirect holds both to the same bytes.
func (t *table[T]) direct(enc func(w *writer, x *T), dec func(r *reader, x *T)) *table[T] {
	t.enc, t.dec = enc, dec
	return t
}

// simple is a field of a type without parts.
func simple[T any](name, typ string, enc func(w *writer, x *T), dec func(r *reader, x *T)) field[T] {
	return field[T]{name: name, enc: enc, dec: dec, bind: func(s avro.Schema) (func(r *reader, x *T), bool, error) {
		return dec, true, expect(typ, s)
	}}
}

// text is a string of which there are many different ones: ids and numbers.
func text[T any, V ~string](name string, get func(*T) *V) field[T] {
	return simple(name, "string",
		func(w *writer, x *T) { w.text(string(*get(x))) },
		func(r *reader, x *T) { *get(x) = V(r.text()) })
}

func optText[T any, V ~string](name string, get func(*T) *V) field[T] {
	return simple(name, "null|string",
		func(w *writer, x *T) { w.optText(string(*get(x))) },
		func(r *reader, x *T) { *get(x) = V(r.optText()) })
}

// word is a string of which there are few different ones: kinds and locations.
func word[T any, V ~string](name string, get func(*T) *V) field[T] {
	return simple(name, "string",
		func(w *writer, x *T) { w.text(string(*get(x))) },
		func(r *reader, x *T) { *get(x) = V(r.word()) })
}

func optWord[T any, V ~string](name string, get func(*T) *V) field[T] {
	return simple(name, "null|string",
		func(w *writer, x *T) { w.optText(string(*get(x))) },
		func(r *reader, x *T) { *get(x) = V(r.optWord()) })
}

// prose is text for people.
func prose[T any](name string, get func(*T) *string) field[T] {
	return simple(name, "string",
		func(w *writer, x *T) { w.prose(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.text() })
}

func optProse[T any](name string, get func(*T) *string) field[T] {
	return simple(name, "null|string",
		func(w *writer, x *T) { w.optProse(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.optText() })
}

// tag is the kind of a topic that has only one.
func tag[T any](kind string) field[T] {
	return simple("kind", "string",
		func(w *writer, _ *T) { w.text(kind) },
		func(r *reader, _ *T) {
			if got := r.word(); got != kind && r.err == nil {
				r.failf("kind %q is not known", got)
			}
		})
}

func blob[T any](name string, get func(*T) *[]byte) field[T] {
	return simple(name, "bytes",
		func(w *writer, x *T) { w.blob(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.blob() })
}

func boolean[T any](name string, get func(*T) *bool) field[T] {
	return simple(name, "boolean",
		func(w *writer, x *T) { w.flag(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.flag() })
}

func long[T any](name string, get func(*T) *int64) field[T] {
	return simple(name, "long",
		func(w *writer, x *T) { w.long(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.long() })
}

func optLong[T any](name string, get func(*T) *int64) field[T] {
	return simple(name, "null|long",
		func(w *writer, x *T) { w.optLong(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.optLong() })
}

func integer[T any](name string, get func(*T) *int32) field[T] {
	return simple(name, "int",
		func(w *writer, x *T) { w.long(int64(*get(x))) },
		func(r *reader, x *T) { *get(x) = r.int() })
}

func optInteger[T any](name string, get func(*T) *int32) field[T] {
	return simple(name, "null|int",
		func(w *writer, x *T) { w.optLong(int64(*get(x))) },
		func(r *reader, x *T) { *get(x) = r.optInt() })
}

// octet is a small number or a set of bits, an int on the wire.
func octet[T any, V ~uint8](name string, get func(*T) *V, limit int) field[T] {
	return simple(name, "int",
		func(w *writer, x *T) {
			if v := int(*get(x)); v >= limit {
				w.fail("%s %d is not below %d", name, v, limit)
			}
			w.long(int64(*get(x)))
		},
		func(r *reader, x *T) { *get(x) = V(r.below(limit)) })
}

func instant[T any](name string, get func(*T) *inventory.Instant) field[T] {
	return simple(name, "long.timestamp-millis",
		func(w *writer, x *T) { w.long(int64(*get(x))) },
		func(r *reader, x *T) { *get(x) = inventory.Instant(r.long()) })
}

func optInstant[T any](name string, get func(*T) *inventory.Instant) field[T] {
	return simple(name, "null|long.timestamp-millis",
		func(w *writer, x *T) { w.optLong(int64(*get(x))) },
		func(r *reader, x *T) { *get(x) = inventory.Instant(r.optLong()) })
}

func optDay[T any](name string, get func(*T) *inventory.Day) field[T] {
	return simple(name, "null|int.date",
		func(w *writer, x *T) { w.optLong(int64(*get(x))) },
		func(r *reader, x *T) { *get(x) = inventory.Day(r.optInt()) })
}

// optDate is a day written 2006-01-02 in the record.
func optDate[T any](name string, get func(*T) *string) field[T] {
	return simple(name, "null|int.date",
		func(w *writer, x *T) {
			s := *get(x)
			if s == "" {
				w.null()
				return
			}
			day, ok := parseDate(s)
			if !ok {
				w.fail("%s %q is not a date", name, s)
				return
			}
			w.some()
			w.long(int64(day))
		},
		func(r *reader, x *T) {
			if !r.some() {
				return
			}
			day := r.int()
			if day < firstDay || day > lastDay {
				r.failf("%s is beyond the calendar", name)
				return
			}
			*get(x) = string(appendDate(nil, day))
		})
}

const decimalType = "bytes.decimal(18,4)"

func quantity[T any](name string, get func(*T) *inventory.Quantity) field[T] {
	return simple(name, decimalType,
		func(w *writer, x *T) { w.quantity(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.quantity() })
}

func optQuantity[T any](name string, get func(*T) *inventory.Quantity) field[T] {
	return simple(name, "null|"+decimalType,
		func(w *writer, x *T) { w.optQuantity(*get(x), *get(x) != 0) },
		func(r *reader, x *T) { *get(x), _ = r.optQuantity() })
}

// hasQuantity is a quantity for which zero and absent differ.
func hasQuantity[T any](name string, has func(*T) *bool, get func(*T) *inventory.Quantity) field[T] {
	return simple(name, "null|"+decimalType,
		func(w *writer, x *T) { w.optQuantity(*get(x), *has(x)) },
		func(r *reader, x *T) { *get(x), *has(x) = r.optQuantity() })
}

func account[T any](name string, get func(*T) *inventory.Account) field[T] {
	return simple(name, "string",
		func(w *writer, x *T) { w.account(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.account() })
}

// optAccount encodes on_hand, the default, as null.
func optAccount[T any](name string, get func(*T) *inventory.Account) field[T] {
	return simple(name, "null|string",
		func(w *writer, x *T) { w.optAccount(*get(x)) },
		func(r *reader, x *T) { *get(x) = r.optAccount() })
}

func hash64[T any](name string, get func(*T) *uint64) field[T] {
	return simple(name, "fixed(8)",
		func(w *writer, x *T) { w.b = binary.BigEndian.AppendUint64(w.b, *get(x)) },
		func(r *reader, x *T) {
			if from, to := r.skip(8); from != to {
				*get(x) = binary.BigEndian.Uint64(r.b[from:to])
			}
		})
}

func hash32[T any](name string, get func(*T) *uint32) field[T] {
	return simple(name, "fixed(4)",
		func(w *writer, x *T) { w.b = binary.BigEndian.AppendUint32(w.b, *get(x)) },
		func(r *reader, x *T) {
			if from, to := r.skip(4); from != to {
				*get(x) = binary.BigEndian.Uint32(r.b[from:to])
			}
		})
}

// array is a list of values without parts.
func array[T, V any](name, typ string, get func(*T) *[]V, enc func(w *writer, v V), dec func(r *reader) V) field[T] {
	return simple(name, "["+typ+"]",
		func(w *writer, x *T) { encodeList(w, *get(x), enc) },
		func(r *reader, x *T) { *get(x) = decodeList(r, dec) })
}

func texts[T any](name string, get func(*T) *[]string) field[T] {
	return array(name, "string", get, (*writer).text, (*reader).text)
}

// wordArray is an array of strings of which there are few different ones.
func wordArray[T any, V ~string](name string, get func(*T) *[]V) field[T] {
	return array(name, "string", get,
		func(w *writer, v V) { w.text(string(v)) },
		func(r *reader) V { return V(r.word()) })
}

func accounts[T any](name string, get func(*T) *[]inventory.Account) field[T] {
	return array(name, "string", get, (*writer).account, (*reader).account)
}

// textArray is wordArray of texts that hardly repeat.
func textArray[T any](name string, get func(*T) *[]string) field[T] {
	return array(name, "string", get, (*writer).text, (*reader).text)
}
