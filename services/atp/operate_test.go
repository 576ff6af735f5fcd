package atp

import (
	"bytes"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

func head(t *testing.T, c *event.Codecs, h inventory.Head) (stateKey, value []byte) {
	t.Helper()
	stateKey = []byte(inventory.StateKey(key, inventory.PieceHead))
	value, err := c.AppendState(nil, &inventory.Piece{Kind: inventory.PieceHead, Head: &h})
	if err != nil {
		t.Fatal(err)
	}
	return stateKey, value
}

// Two states are alike when they differ in lineages and the schema's id, and in
// nothing else.
func TestAlike(t *testing.T) {
	c := event.TestCodecs()
	same := func(a, b []byte) bool {
		t.Helper()
		k := []byte(inventory.StateKey(key, inventory.PieceHead))
		x, err := Alike(c, k, a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := Alike(c, k, b)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Equal(x, y)
	}
	at := func(lineage, offset, version int64) []byte {
		_, v := head(t, c, inventory.Head{Fence: inventory.Fence{Lineage: lineage, Offset: offset, IDHash: 7}, Version: version})
		return v
	}
	if !same(at(1, 5, 3), at(900, 5, 3)) {
		t.Error("another lineage makes another state")
	}
	if same(at(1, 5, 3), at(1, 6, 3)) || same(at(1, 5, 3), at(1, 5, 4)) {
		t.Error("another offset or version is the same state")
	}
	damaged := append(at(1, 5, 3), 0)
	if same(at(1, 5, 3), damaged) {
		t.Error("a byte too many is the same state")
	}
	renumbered := bytes.Clone(at(1, 5, 3))
	renumbered[0], renumbered[4] = 1, 99 // no such schema: read as it stands
	if same(at(1, 5, 3), renumbered) {
		t.Error("what cannot be read is the same as what can")
	}
	if same(at(1, 5, 3), nil) || same(at(1, 5, 3), []byte{0, 0}) {
		t.Error("a torn value is a state")
	}
}

// The events of a frozen key stand in its log alone.
func TestFrozenKeysAreBound(t *testing.T) {
	c := event.TestCodecs()
	var h inventory.Head
	k, v := head(t, c, h)
	if why, err := bound(c, k, v); err != nil || why != "" {
		t.Errorf("%q, %v", why, err)
	}
	h.Frozen.Since, h.Frozen.Count = 1_790_000_000_000, 1
	k, v = head(t, c, h)
	if why, err := bound(c, k, v); err != nil || why == "" {
		t.Errorf("%q, %v", why, err)
	}
	if why, err := bound(c, []byte(inventory.StateKey(key, inventory.PieceLine, "1")), []byte("whatever")); err != nil || why != "" {
		t.Errorf("%q, %v", why, err)
	}
	if _, err := bound(c, k, v[:8]); err == nil {
		t.Error("a torn head is not bound")
	}
}
