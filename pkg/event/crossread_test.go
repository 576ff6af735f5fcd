package event

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	hamba "github.com/hamba/avro/v2"
	twmb "github.com/twmb/avro"

	inv "github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/schemas"
)

// TestCrossRead reads every sample with two generic readers under the released
// schema and finds in each field what the record held, under the field's name.
func TestCrossRead(t *testing.T) {
	for _, s := range samples(testCodecs(t)) {
		t.Run(s.name, func(t *testing.T) {
			value, err := s.encode()
			if err != nil {
				t.Fatal(err)
			}
			payload := value[prefixSize:]
			latest, _ := schemas.Latest(s.topic)
			schema, err := parse(latest.Text)
			if err != nil {
				t.Fatal(err)
			}
			want := goLeaves(s.value)

			r := hamba.NewReader(nil, 0).Reset(payload)
			generic := r.ReadNext(schema)
			if r.Error != nil {
				t.Fatal(r.Error)
			}
			if got := avroLeaves(schema, generic, true); !slices.Equal(got, want) {
				t.Errorf("hamba: %s", difference(got, want))
			}

			other, err := twmb.Parse(latest.Text)
			if err != nil {
				t.Fatal(err)
			}
			generic = nil
			rest, err := other.Decode(payload, &generic)
			if err != nil || len(rest) > 0 {
				t.Fatalf("twmb: %d bytes left, %v", len(rest), err)
			}
			if got := avroLeaves(schema, generic, false); !slices.Equal(got, want) {
				t.Errorf("twmb: %s", difference(got, want))
			}
			// And it writes the same bytes: ours are the shortest form.
			again, err := other.Encode(generic)
			if err != nil || string(again) != string(payload) {
				t.Errorf("twmb writes %d bytes, we %d: %v", len(again), len(payload), err)
			}
		})
	}
}

// TestFingerprint compares the canonical form of the two libraries.
func TestFingerprint(t *testing.T) {
	for _, s := range schemas.All() {
		got, err := Fingerprint(s.Text)
		if err != nil {
			t.Fatal(err)
		}
		other, err := twmb.Parse(s.Text)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%x", sha256.Sum256(other.Canonical())); got != want {
			t.Errorf("%s: %s, not %s", s.Topic, got, want)
		}
	}
	if _, err := Fingerprint(`{"type": "nonsense"}`); err == nil {
		t.Error("nonsense has a fingerprint")
	}
}

func difference(got, want []string) string {
	var b strings.Builder
	for _, s := range got {
		if !slices.Contains(want, s) {
			fmt.Fprintf(&b, "\n  read %s", s)
		}
	}
	for _, s := range want {
		if !slices.Contains(got, s) {
			fmt.Fprintf(&b, "\n  not read %s", s)
		}
	}
	if b.Len() == 0 {
		return "the same leaves, another number of times"
	}
	return b.String()
}

// avroLeaves lists what a generic reader found, as name=value, without the tags
// that only name a topic's one kind.
func avroLeaves(s hamba.Schema, v any, wrapped bool) []string {
	var out []string
	root := s.(*hamba.RecordSchema)
	m := v.(map[string]any)
	for i, f := range root.Fields() {
		if i == 0 && root.Name() != "EventRecord" && root.Name() != "OutcomeRecord" && (root.Name() != "StateRecord" || m["kind"] == "header") {
			continue
		}
		avroLeaf(f.Name(), f.Type(), m[f.Name()], wrapped, &out)
	}
	slices.Sort(out)
	return out
}

func avroLeaf(name string, s hamba.Schema, v any, wrapped bool, out *[]string) {
	if v == nil {
		return
	}
	switch s := deref(s).(type) {
	case *hamba.UnionSchema:
		if wrapped {
			for _, inner := range v.(map[string]any) {
				v = inner
			}
		}
		avroLeaf(name, s.Types()[1], v, wrapped, out)
	case *hamba.RecordSchema:
		for _, f := range s.Fields() {
			avroLeaf(f.Name(), f.Type(), v.(map[string]any)[f.Name()], wrapped, out)
		}
	case *hamba.ArraySchema:
		for _, e := range v.([]any) {
			avroLeaf(name, s.Items(), e, wrapped, out)
		}
	default:
		*out = append(*out, strings.ReplaceAll(name, "_", "")+"="+leafText(spell(s), v))
	}
}

func leafText(typ string, v any) string {
	switch v := v.(type) {
	case *big.Rat:
		return new(big.Rat).Mul(v, big.NewRat(10_000, 1)).RatString()
	case time.Time:
		if typ == "int.date" {
			return fmt.Sprint(v.Unix() / 86_400)
		}
		return fmt.Sprint(v.UnixMilli())
	case string:
		return v
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice || r.Kind() == reflect.Array {
		return fmt.Sprintf("%x", v)
	}
	return fmt.Sprint(v)
}

// goLeaves lists what a record holds in the same form.
func goLeaves(x any) []string {
	var out []string
	goLeaf("", reflect.ValueOf(x).Elem(), &out)
	slices.Sort(out)
	return out
}

var leafNames = map[string]string{"safety": "safetystock", "filesha256": "sha256"}

func goLeaf(name string, v reflect.Value, out *[]string) {
	switch x := v.Interface().(type) {
	case inv.Account:
		*out = append(*out, name+"="+x.String())
		return
	case [inv.NumStates]inv.Quantity:
		for i, q := range x {
			*out = append(*out, fmt.Sprintf("%s=%d", strings.ReplaceAll(inv.Account(i).String(), "_", ""), int64(q)))
		}
		return
	case inv.Outside:
		for i, q := range x {
			*out = append(*out, fmt.Sprintf("%s=%d", inv.Account(i+inv.NumStates), int64(q)))
		}
		return
	case inv.Entry:
		// A journal's state is a number: it is private and written by the hundred.
		*out = append(*out, fmt.Sprintf("state=%d", uint8(x.State)))
		for i := range v.NumField() {
			if f := v.Type().Field(i).Name; f != "State" {
				goLeaf(strings.ToLower(f), v.Field(i), out)
			}
		}
		return
	case []byte:
		*out = append(*out, fmt.Sprintf("%s=%x", name, x))
		return
	case uint64:
		*out = append(*out, fmt.Sprintf("%s=%016x", name, x))
		return
	case uint32:
		*out = append(*out, fmt.Sprintf("%s=%08x", name, x))
		return
	}
	switch kind := v.Kind(); {
	case kind == reflect.Pointer:
		if !v.IsNil() {
			goLeaf(name, v.Elem(), out)
		}
	case kind == reflect.Struct:
		for f, value := range v.Fields() {
			field := strings.ToLower(f.Name)
			if slices.Contains([]string{"hassafety", "hasquantity", "hasstated"}, field) || field == "deleted" && v.Type() == reflect.TypeFor[inv.Piece]() {
				continue
			}
			if better, ok := leafNames[field]; ok {
				field = better
			}
			goLeaf(field, value, out)
		}
	case kind == reflect.Slice:
		for i := range v.Len() {
			goLeaf(name, v.Index(i), out)
		}
	case kind == reflect.String:
		s := v.String()
		if day, err := time.Parse(time.DateOnly, s); err == nil {
			s = fmt.Sprint(day.Unix() / 86_400)
		}
		*out = append(*out, name+"="+s)
	case v.CanInt():
		if v.Type() == reflect.TypeFor[inv.Instant]() && v.Int() == 0 {
			return // an event's RecordedAt is not in it
		}
		*out = append(*out, fmt.Sprintf("%s=%d", name, v.Int()))
	default:
		*out = append(*out, fmt.Sprintf("%s=%v", name, v.Interface()))
	}
}
