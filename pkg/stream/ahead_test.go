package stream

import (
	"slices"
	"testing"
)

// told is an object that notes when it is warmed.
type told struct {
	group string
	order *[]string
}

func (o *told) Warm() int {
	*o.order = append(*o.order, o.group)
	return 1
}

// The objects of groups that come next are warmed before the first of them is worked on,
// as many at a time as are bound to be near then; what is not there yet is not made.
func TestWhatComesIsWarmed(t *testing.T) {
	var order []string
	st := newStore()
	for _, g := range []string{"a", "b", "d"} {
		st.get(g).SetObject(&told{g, &order})
	}
	st.get("bare")
	p := &partition{store: st}
	var recs []*Record
	for _, key := range []string{"a", "new", "b", "bare"} {
		recs = append(recs, &Record{Key: []byte(key)})
	}
	for range warmAhead { // four of them are the next ones
		recs = append(recs, &Record{Key: []byte("d")})
	}
	var tx txn
	for i := range recs {
		tx.comes(p, i, recs[i:])
		order = append(order, "step")
	}
	d, step := []string{"d"}, []string{"step"}
	want := slices.Concat([]string{"a", "b"}, slices.Repeat(d, warmAhead-4), slices.Repeat(step, warmAhead), slices.Repeat(d, 4), slices.Repeat(step, 4))
	if !slices.Equal(order, want) {
		t.Errorf("%v\nwant\n%v", order, want)
	}
	if st.groups["new"] != nil || len(st.groups) != 4 {
		t.Errorf("%d groups, of which one was made", len(st.groups))
	}

	order = nil
	ds := []touched{{p, st.get("b")}, {p, st.get("bare")}, {p, st.get("a")}}
	st.get("a").set("a|h", []byte("value"))
	for i := range ds {
		tx.comesAgain(i, ds[i:])
		order = append(order, "flush")
	}
	if want := []string{"b", "a", "flush", "flush", "flush"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}
