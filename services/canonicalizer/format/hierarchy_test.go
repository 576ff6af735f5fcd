package format

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestHierarchy(t *testing.T) {
	for _, tc := range []struct {
		name, loops string // number parent level, - for none
		infer       bool
		want        string // index of the loop above, depth and flag of each
	}{
		{"as they are numbered", "1 - S,2 1 O,3 2 I,4 2 I,5 1 O", true, "-1/0 0/1 1/2 1/2 0/1"},
		{"a number that comes twice is the last one's", "1 - S,2 1 O,2 1 O,4 2 I", true, "-1/0 0/1 0/1 2/2"},
		{"numbers of their own", "A - S,B A O,7 B I,1 A O", true, "-1/0 0/1 1/2 0/1"},
		{"numbered until one is not", "1 - S,2 1 O,x 2 I,4 2 I,5 x I", true, "-1/0 0/1 1/2 1/2 2/3"},
		{"not as numbers are written", "1 - S,02 1 O,3 2 I,4 02 I", true, "-1/0 0/1 1/2/parent_unknown 1/2"},
		{"a parent that comes later", "1 2 S,2 - O", true, "-1/0/parent_unknown 0/1/parent_missing"},
		{"its own parent", "1 1 S", true, "-1/0/parent_unknown"},
		{"parent 0", "1 0 S,2 0 O", true, "-1/0 0/1/parent_missing"},
		{"by their levels", "- - S,- - O,- - I,- - I,- - O,- - S", true, "-1/0 0/1/parent_missing 1/2/parent_missing 1/2/parent_missing 0/1/parent_missing -1/0"},
		{"levels that say nothing", "1 - 1,2 - 2,3 9 2", false, "-1/0 -1/0 -1/0/parent_unknown"},
		{"a number too long for one", "1 - S,2 99999999999999999999 O", true, "-1/0 0/1/parent_unknown"},
	} {
		var loops []Loop
		for l := range strings.SplitSeq(strings.ReplaceAll(tc.loops, "-", ""), ",") {
			w := strings.Split(l, " ")
			loops = append(loops, Loop{Number: w[0], Parent: w[1], Level: w[2]})
		}
		if err := Hierarchy(loops, tc.infer); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range loops {
			got = append(got, strings.TrimSuffix(fmt.Sprintf("%d/%d/%s", l.Above, l.Depth, l.Flag), "/"))
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, s, tc.want)
		}
	}
	deep := make([]Loop, maxLevels+2)
	for i := range deep {
		deep[i] = Loop{Number: strconv.Itoa(i + 1), Parent: strconv.Itoa(i), Level: "P"}
	}
	if err := Hierarchy(deep[:maxLevels+1], true); err != nil {
		t.Error(err)
	}
	if up := Up(deep, 3); fmt.Sprint(up) != "[2 1 0]" {
		t.Errorf("above the fourth: %v", up)
	}
	if err := Hierarchy(deep, true); err == nil {
		t.Error("seventeen levels pass")
	}
}

// TestHierarchyNumbers: a parent is the last loop before with its number, however the
// loops are numbered.
func TestHierarchyNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		loops := make([]Loop, 1+r.IntN(8))
		for i := range loops {
			loops[i] = Loop{Number: strconv.Itoa(i + 1), Parent: strconv.Itoa(r.IntN(9)), Level: "P"}
			if r.IntN(6) == 0 {
				loops[i].Number = []string{"", "1", "2", "01", "x"}[r.IntN(5)]
			}
		}
		if err := Hierarchy(loops, false); err != nil {
			t.Fatal(err)
		}
		for i, l := range loops {
			want := -1
			for k, before := range loops[:i] {
				if before.Number == l.Parent {
					want = k
				}
			}
			if l.Above != want {
				t.Fatalf("loop %d of %+v is below %d, want %d", i, loops, l.Above, want)
			}
		}
	}
}
