package inventory_test

import (
	"slices"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func TestSnapshotParts(t *testing.T) {
	ends := func(parts ...[2]int32) (es []SnapshotEnd) {
		for _, p := range parts {
			e := snapshotEnd()
			e.Part, e.Parts = p[0], p[1]
			es = append(es, *e)
		}
		return es
	}
	differs := func(es []SnapshotEnd, f func(*SnapshotEnd)) []SnapshotEnd {
		f(&es[len(es)-1])
		return es
	}
	for _, c := range []struct {
		name    string
		ends    []SnapshotEnd
		missing []int32
		why     string
	}{
		{"all there", ends([2]int32{2, 2}, [2]int32{1, 2}), nil, ""},
		{"the last knows how many", ends([2]int32{1, 0}, [2]int32{2, 2}), nil, ""},
		{"one alone", ends([2]int32{1, 1}), nil, ""},
		{"twice", ends([2]int32{1, 2}, [2]int32{1, 2}), []int32{2}, ""},
		{"nobody knows how many", ends([2]int32{1, 0}, [2]int32{3, 0}), []int32{2, 4}, ""},
		{"the last first", ends([2]int32{3, 3}), []int32{1, 2}, ""},
		{"they disagree", ends([2]int32{1, 2}, [2]int32{2, 3}), nil, "disagree"},
		{"beyond the last", ends([2]int32{2, 2}, [2]int32{3, 0}), nil, "disagree"},
		{"one is all of it", ends([2]int32{1, 2}, [2]int32{0, 0}), nil, "all of it"},
		{"another time", differs(ends([2]int32{1, 2}, [2]int32{2, 2}), func(e *SnapshotEnd) { e.AsOf++ }), nil, "different times"},
		{"another basis", differs(ends([2]int32{1, 2}, [2]int32{2, 2}), func(e *SnapshotEnd) { e.Basis = Physical }), nil, "different things"},
		{"no number", differs(ends([2]int32{1, 2}, [2]int32{2, 2}), func(e *SnapshotEnd) { e.Part = -1 }), nil, "no number"},
		{"too high a number", differs(ends([2]int32{1, 2}, [2]int32{2, 2}), func(e *SnapshotEnd) { e.Part = 10_001 }), nil, "no number"},
		{"other states", differs(ends([2]int32{1, 2}, [2]int32{2, 2}), func(e *SnapshotEnd) { e.Covers = []Account{OnHand} }), nil, "different things"},
	} {
		var s SnapshotParts
		for i := range c.ends {
			s.Add(&c.ends[i])
		}
		missing, why := s.Missing()
		if !slices.Equal(missing, c.missing) || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %v %q", c.name, missing, why)
		}
	}
}

// A part is numbered, of a full snapshot that has a name, and says so in its content.
func TestPartsOfSnapshotsAreChecked(t *testing.T) {
	count := func(part, parts int32, snapshot string) Event {
		ev, err := parseEvent(strings.Fields("count DC1 5 as of 10:00"), 1, map[string]string{})
		if err != nil {
			t.Fatal(err)
		}
		ev.Count.Complete, ev.Count.Snapshot, ev.Count.Part, ev.Count.Parts = true, snapshot, part, parts
		return *ev
	}
	for _, c := range []struct {
		part, parts int32
		snapshot    string
		ok          bool
	}{{0, 0, "S", true}, {1, 2, "S", true}, {2, 2, "S", true}, {3, 0, "S", true}, {3, 2, "S", false}, {0, 2, "S", false}, {-1, 0, "S", false}, {1, 10_001, "S", false}, {1, 2, "", false}} {
		ev := count(c.part, c.parts, c.snapshot)
		if err := ev.Validate(); (err == nil) != c.ok {
			t.Errorf("part %d of %d of %q: %v", c.part, c.parts, c.snapshot, err)
		}
		end := snapshotEnd()
		end.Part, end.Parts = c.part, c.parts
		if err := end.Validate(); c.snapshot != "" && (err == nil) != c.ok {
			t.Errorf("end of part %d of %d: %v", c.part, c.parts, err)
		}
	}
	a, b := count(1, 2, "S"), count(2, 2, "S")
	if ContentHash(&a) == ContentHash(&b) {
		t.Error("parts have one content")
	}
}
