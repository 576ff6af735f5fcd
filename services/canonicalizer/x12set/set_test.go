package x12set

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

// TestOf: elements that a program has made are read as texts.
func TestOf(t *testing.T) {
	c, err := Of(map[string]any{"set": "945", "segments": []any{
		map[string]any{"id": "W12", "pos": json.Number("7"), "e": []any{"W12", " CC ", 5, 2.5, json.Number("1.50"), nil, true, big.NewInt(9), []any{}}},
		map[string]any{"id": nil, "e": nil},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(c.Segments[0].E, "*"), "W12*CC*5*2.5*1.50***9*"; got != want || c.Segments[0].Pos != 7 {
		t.Errorf("%s at %d, want %s at 7", got, c.Segments[0].Pos, want)
	}
	if s := &c.Segments[1]; s.ID() != "" || s.El(1) != "" || s.El(-1) != "" || (*Segment)(nil).El(0) != "" {
		t.Errorf("%+v", s)
	}
	for _, tree := range []any{nil, 7, map[string]any{}, map[string]any{"segments": []any{7}}, map[string]any{"segments": []any{map[string]any{"id": 7}}}} {
		if _, err := Of(tree); err == nil {
			t.Errorf("%v is a set", tree)
		}
	}
}
