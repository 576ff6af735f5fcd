package stream

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// show renders what a state holds, as a processor sees it.
func show(s *State) string {
	var b strings.Builder
	s.Each(func(k string, v []byte) bool {
		fmt.Fprintf(&b, "%s=%s ", k, v)
		return true
	})
	return strings.TrimSpace(b.String())
}

func TestStateStages(t *testing.T) {
	s := NewState("g")
	s.Put("g|b", []byte("1"))
	s.Put("g|a", []byte("2"))
	if got := show(s); got != "g|a=2 g|b=1" {
		t.Error(got)
	}
	s.Merge()
	s.Put("g|b", []byte("3"))
	s.Put("g|c", nil)
	s.Delete("g|a")
	if got := show(s); got != "g|b=3 g|c=" {
		t.Error(got)
	}
	if s.Get("g|a") != nil || string(s.Get("g|b")) != "3" || s.Get("g|c") == nil || s.Get("g|x") != nil {
		t.Error("Get disagrees with Each")
	}
	s.SetObject(7)
	s.Drop()
	if got := show(s); got != "g|a=2 g|b=1" || s.Object() != nil {
		t.Error(got, s.Object())
	}
	if s.Group() != "g" {
		t.Error(s.Group())
	}
}

func TestStateEachStops(t *testing.T) {
	s := NewState("g")
	for _, k := range []string{"1", "2", "3"} {
		s.Put(k, []byte(k))
	}
	s.Merge()
	n := 0
	s.Each(func(string, []byte) bool { n++; return n < 2 })
	s.Put("4", []byte("4"))
	s.Each(func(string, []byte) bool { n++; return n < 4 })
	if n != 4 {
		t.Error(n)
	}
}

// Any run of puts, deletes, failed steps, commits and aborts leaves what a plain map
// with snapshots would.
func TestStateAgainstMap(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		st := newStore()
		committed := map[string]string{}
		keys := 1 + rng.IntN(80) // beyond indexed too
		for range 8 {
			s := st.get("g")
			st.touch(s)
			staged := maps.Clone(committed)
			for range rng.IntN(6) {
				s.over.inStep = true
				step := maps.Clone(staged)
				for range rng.IntN(60) {
					k := fmt.Sprintf("g|%02d", rng.IntN(keys))
					if rng.IntN(3) == 0 {
						s.Delete(k)
						delete(step, k)
					} else {
						v := fmt.Sprint(rng.IntN(1000))
						s.Put(k, []byte(v))
						step[k] = v
					}
				}
				s.over.inStep = false
				if rng.IntN(3) == 0 {
					s.over.rollback()
				} else {
					s.over.undo = s.over.undo[:0]
					staged = step
				}
				if got, want := show(s), showMap(staged); got != want {
					t.Fatalf("seed %d: staged\n%s, want\n%s", seed, got, want)
				}
			}
			changed := map[string]string{}
			maps.Copy(changed, committed)
			for i := range s.over.pieces {
				if p := s.over.pieces[i]; s.changed(p) {
					if p.value == nil {
						delete(changed, p.key)
					} else {
						changed[p.key] = string(p.value)
					}
				}
			}
			if got, want := showMap(changed), showMap(staged); got != want {
				t.Fatalf("seed %d: the changelog would hold\n%s, want\n%s", seed, got, want)
			}
			commit := rng.IntN(2) == 0
			st.settle(s, commit)
			if commit {
				committed = staged
			}
			if _, kept := st.groups["g"]; kept != (len(committed) > 0) {
				t.Fatalf("seed %d: group kept: %v with %d pieces", seed, kept, len(committed))
			}
			if got, want := show(st.get("g")), showMap(committed); got != want {
				t.Fatalf("seed %d: committed\n%s, want\n%s", seed, got, want)
			}
		}
	}
}

func showMap(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%s ", k, m[k])
	}
	return strings.TrimSpace(b.String())
}

func TestStoreLoads(t *testing.T) {
	st := newStore()
	l := &loader{st: st}
	buf := []byte("value")
	l.put("g", "g|b", buf)
	l.put("g", "g|a", []byte("1"))
	l.put("g", "g|c", []byte("1"))
	l.put("g", "g|a", nil)
	l.put("h", "h|a", nil)
	copy(buf, "XXXXX") // the fetched batch is used again
	if got := show(st.groups["g"]); got != "g|b=value g|c=1" || len(st.groups) != 1 {
		t.Error(got, len(st.groups))
	}
	l.put("g", "g|b", nil)
	l.put("g", "g|c", nil)
	if len(st.groups) != 0 {
		t.Error("an empty group is kept")
	}
}

// Decoded groups are bounded, what is in use going last, and never one of an open
// transaction.
func TestObjectsAreBounded(t *testing.T) {
	st := newStore()
	st.cache.limit = 3
	use := func(names ...string) {
		var open []*State
		for _, n := range names {
			s := st.get(n)
			st.touch(s)
			s.Put(n+"|h", []byte("1"))
			if s.Object() == nil {
				s.SetObject(n)
			}
			open = append(open, s)
		}
		for _, s := range open {
			if s.Object() == nil {
				t.Errorf("%s lost its object in an open transaction", s.Group())
			}
			st.settle(s, true)
		}
		st.cache.evict()
	}
	held := func() []string {
		var names []string
		for n, s := range st.groups {
			if s.Object() != nil {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		return names
	}
	use("a", "b", "c")
	use("d") // one of the others goes, and the ring has gone around once
	if got := held(); len(got) != 3 {
		t.Fatal(got)
	}
	for i := range 20 {
		keep := held()[0]
		use(keep)
		use(fmt.Sprint("new", i))
		if got := held(); !slices.Contains(got, keep) || len(st.cache.ring) != 3 {
			t.Fatalf("%s was used last and is gone: %q", keep, got)
		}
	}
	use("e", "f", "g", "h") // all of one transaction; beyond the limit only until it has ended
	if len(st.cache.ring) != 3 {
		t.Error(len(st.cache.ring))
	}
	s := st.cache.ring[1]
	st.touch(s)
	st.settle(s, false) // an abort drops the object
	if s.Object() != nil || len(st.cache.ring) != 2 {
		t.Error(s.Object(), len(st.cache.ring))
	}
	for i, s := range st.cache.ring {
		if s.slot != i+1 || s.Object() == nil {
			t.Error(i, s.slot)
		}
	}
}
