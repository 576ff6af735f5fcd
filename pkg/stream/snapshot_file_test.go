package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dump renders all that a store holds.
func dump(st *store) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(st.groups)) {
		g := st.groups[name]
		fmt.Fprintf(&b, "%q=%q:", name, g.group)
		for _, p := range g.pieces {
			fmt.Fprintf(&b, " %q=%q", p.key, p.value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// filled is a store of groups with up to most pieces of up to size bytes.
func filled(rng *rand.Rand, groups, most, size int) *store {
	l := &loader{st: newStore()}
	for i := range groups {
		group := fmt.Sprintf("e%d|item-%d", i%3, i)
		if i == 1 {
			group = ""
		}
		for n := range 1 + rng.IntN(most) {
			value := make([]byte, rng.IntN(size))
			for j := range value {
				value[j] = byte(rng.UintN(256))
			}
			key := fmt.Sprintf("%s|%d", group, n)
			if i%5 == 2 {
				key = fmt.Sprintf("other-%d-%d", i, n) // does not begin with its group
			}
			l.put(group, key, value)
		}
	}
	return l.st
}

func testHead() *snapshotHead {
	return &snapshotHead{
		Cluster: "c", Input: "in", InputID: "01", State: "state", StateID: "02", Partition: 3, Partitions: 6, StoreVersion: 1,
		Lineage: 2, Header: []byte("header"), From: 100, LogStart: 7, Epoch: 4, Taken: 1000,
	}
}

// written is the file of a store.
func written(t testing.TB, st *store, until int64) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.snapshot")
	w, err := createSnapshot(path, testHead())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(st.groups)) {
		w.add(st.groups[name])
		if w.full() {
			if err := w.flush(false); err != nil {
				t.Fatal(err)
			}
			if len(w.buf) > snapshotBlock {
				t.Fatalf("%d bytes are held back", len(w.buf))
			}
		}
	}
	if err := w.close(until); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != w.size {
		t.Errorf("the file has %d bytes, its writer says %d", len(b), w.size)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"+temporarySuffix)); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	return b
}

func any1(*snapshotHead, *snapshotTrailer) error { return nil }

func reread(b []byte) (*snapshot, error) {
	return readSnapshot(context.Background(), bytes.NewReader(b), int64(len(b)), any1)
}

func TestSnapshotHoldsWhatTheStoreHeld(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		size := []int{3, 200, 40_000}[seed%3]
		st := filled(rng, rng.IntN(120), 1+rng.IntN(9), size)
		b := written(t, st, 120)
		snap, err := reread(b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, want := dump(snap.store), dump(st); got != want {
			t.Fatalf("seed %d: got\n%swant\n%s", seed, got, want)
		}
		if !bytes.Equal(snap.Header, []byte("header")) || snap.From != 100 || snap.until != 120 || snap.LogStart != 7 || snap.Epoch != 4 || snap.Lineage != 2 {
			t.Errorf("seed %d: %+v %+v", seed, snap.snapshotHead, snap.snapshotTrailer)
		}
		if size == 40_000 && len(b) > 3*snapshotBlock && snap.blocks < 2 {
			t.Errorf("seed %d: %d bytes in one block", seed, len(b))
		}
	}
}

// What was read serves as any other state: its memory is used again and no value runs
// into another.
func TestSnapshotStateCanBeWorkedOn(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	snap, err := reread(written(t, filled(rng, 200, 5, 300), 120))
	if err != nil {
		t.Fatal(err)
	}
	st, want := snap.store, map[string]string{}
	for _, g := range st.groups {
		for _, p := range g.pieces {
			want[p.key] = string(p.value)
		}
	}
	names := slices.Sorted(maps.Keys(st.groups))
	for range 5000 {
		g := st.get(names[rng.IntN(len(names))])
		st.touch(g)
		key := fmt.Sprintf("%s|%d", g.group, rng.IntN(7))
		if n := rng.IntN(400); n == 0 {
			g.Delete(key)
			delete(want, key)
		} else {
			v := g.Room(n)
			for range n {
				v = append(v, byte(rng.UintN(256)))
			}
			g.Put(key, v)
			want[key] = string(v)
		}
		st.settle(g, true)
	}
	got := map[string]string{}
	for _, g := range st.groups {
		for _, p := range g.pieces {
			got[p.key] = string(p.value)
		}
	}
	if !maps.Equal(got, want) {
		t.Error("state worked on from a snapshot is not what was put")
	}
}

// Every byte changed, every cut and every addition is noticed.
func TestTornSnapshotIsNoticed(t *testing.T) {
	b := written(t, filled(rand.New(rand.NewPCG(2, 3)), 6, 3, 40), 120)
	refused := func(what string, b []byte) {
		t.Helper()
		if _, err := reread(b); !errors.Is(err, errSnapshotTorn) && !errors.Is(err, errSnapshotForeign) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range b {
		for _, bit := range []byte{1, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] ^= bit
			refused(fmt.Sprintf("byte %d of %d changed by %#x", i, len(b), bit), c)
		}
		refused(fmt.Sprintf("cut at %d of %d", i, len(b)), b[:i])
		refused(fmt.Sprintf("without byte %d of %d", i, len(b)), slices.Delete(bytes.Clone(b), i, i+1))
	}
	refused("a byte more", append(bytes.Clone(b), 0))
	refused("twice", append(bytes.Clone(b), b...))
	refused("zeros behind", append(bytes.Clone(b), make([]byte, 4096)...))
	refused("zeros", make([]byte, len(b)))
	if _, err := reread(b); err != nil {
		t.Fatal(err)
	}
}

// Blocks that are whole but not in their places are noticed too.
func TestSnapshotBlocksInOrder(t *testing.T) {
	b := written(t, filled(rand.New(rand.NewPCG(5, 3)), 900, 1, 20_000), 120)
	type span struct{ from, to int }
	var blocks []span
	n, _, err := snapshotPrefix(b)
	if err != nil {
		t.Fatal(err)
	}
	for at := headPrefix + n; at < len(b)-trailerBytes; {
		size := blockPrefix + int(b[at]) + int(b[at+1])<<8 + int(b[at+2])<<16
		blocks = append(blocks, span{at, at + size})
		at += size
	}
	if len(blocks) < 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	part := func(s span) []byte { return b[s.from:s.to] }
	x, y := blocks[0], blocks[1]
	for name, c := range map[string][]byte{
		"swapped": slices.Concat(b[:x.from], part(y), part(x), b[y.to:]),
		"dropped": slices.Concat(b[:x.to], b[y.to:]),
		"doubled": slices.Concat(b[:x.to], part(x), b[x.to:]),
	} {
		if _, err := reread(c); !errors.Is(err, errSnapshotTorn) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A group that was copied twice is what it was the second time.
func TestSnapshotGroupTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	w, err := createSnapshot(path, testHead())
	if err != nil {
		t.Fatal(err)
	}
	for _, pieces := range [][]piece{{{"g|a", []byte("1")}, {"g|b", []byte("1")}}, {{"g|b", []byte("2")}, {"g|c", []byte("2")}}} {
		w.add(&State{group: "g", pieces: pieces})
		w.add(&State{group: "empty"})
	}
	if err := w.close(120); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(path)
	snap, err := reread(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := dump(snap.store); got != "\"g\"=\"g\": \"g|b\"=\"2\" \"g|c\"=\"2\"\n" {
		t.Error(got)
	}
}

func TestSnapshotMatches(t *testing.T) {
	if err := testHead().matches(testHead()); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*snapshotHead){
		"cluster":  func(h *snapshotHead) { h.Cluster = "x" },
		"input":    func(h *snapshotHead) { h.Input = "x" },
		"input id": func(h *snapshotHead) { h.InputID = "x" },
		"state":    func(h *snapshotHead) { h.State = "x" },
		"state id": func(h *snapshotHead) { h.StateID = "x" },
		"number":   func(h *snapshotHead) { h.Partition++ },
		"count":    func(h *snapshotHead) { h.Partitions++ },
		"version":  func(h *snapshotHead) { h.StoreVersion++ },
	} {
		h := testHead()
		change(h)
		if err := h.matches(testHead()); !errors.Is(err, errSnapshotForeign) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// Whatever a file holds, it is read to the end or refused. Checksums are made right
// so that what is behind them is met.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte{1, 1, 'g', 1, 1, 'g', 'v'}, uint8(1), uint8(1))
	f.Add([]byte{2, 1, 'g', 2, 1, 'g', 'a', 'v', 2, 0, 'g', 'b'}, uint8(1), uint8(2))
	f.Add([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0}, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, payload []byte, groups, pieces uint8) {
		head, err := appendSnapshotHead(nil, testHead())
		if err != nil {
			t.Fatal(err)
		}
		if len(payload) == 0 {
			return
		}
		b := slices.Concat(head, blockHead(payload), payload)
		b = appendSnapshotTrailer(b, &snapshotTrailer{until: 120, blocks: 1, groups: uint64(groups), pieces: uint64(pieces)}, checksum(b))
		snap, err := reread(b)
		switch {
		case err == nil:
			n := 0
			for _, g := range snap.store.groups {
				n += len(g.pieces)
				if !slices.IsSortedFunc(g.pieces, func(a, b piece) int { return strings.Compare(a.key, b.key) }) {
					t.Error("pieces out of order")
				}
			}
			if n > int(pieces) || len(snap.store.groups) > int(groups) {
				t.Errorf("%d pieces in %d groups, the trailer says %d in %d", n, len(snap.store.groups), pieces, groups)
			}
		case !errors.Is(err, errSnapshotTorn):
			t.Error(err)
		}
	})
}
