package x12

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// TestSet: a set is its tree and the tree is the set, whole or member by member.
func TestSet(t *testing.T) {
	for _, body := range []string{
		interchange("*", ">", "~", aSet, 1),
		interchange("*", ":", "~", strings.Replace(aSet, "W06*N*1~", "W06*N*CANQTY*17**~*A~N1*ST~", 1), 1),
		"ST*945*0001~W06*N*1~SE*3*0001~",
	} {
		for u := range Parse([]byte(body), &policy.Source{X12: policy.X12{Bare: true}}) {
			c, ok := u.Tree.(*x12set.Set)
			if !ok {
				t.Fatalf("%T", u.Tree)
			}
			tree, _ := c.Value().(map[string]any)
			for _, key := range []string{"set", "control", "version", "component", "pos", "interchange", "group", "segments", "flags", "other"} {
				if !reflect.DeepEqual(tree[key], c.Field(key)) || !reflect.DeepEqual(jq.Plain(tree[key]), jq.Plain(jq.Field(c, key))) {
					t.Errorf("%s: %v, want %v", key, c.Field(key), tree[key])
				}
			}
			for _, form := range []any{tree, jq.Plain(tree)} {
				again, err := x12set.Of(form)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(jq.Plain(again), jq.Plain(c)) || len(c.Segments) == 0 {
					t.Errorf("%v\nis read as\n%v", jq.Plain(c), jq.Plain(again))
				}
			}
		}
	}
}
