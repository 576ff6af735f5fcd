package atpapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// onRedis runs a test on the in-process Redis and on a real server, whose Lua is
// the one that counts.
func onRedis(t *testing.T, test func(t *testing.T, s *store)) {
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		test(t, storeAt(t, m.Addr()))
	})
	t.Run("redis", func(t *testing.T) { test(t, storeAt(t, realRedis(t))) })
}

func storeAt(t *testing.T, addr string) *store {
	t.Helper()
	c := DefaultRedis()
	c.Addresses = []string{addr}
	rdb, err := c.client(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return &store{rdb: rdb}
}

// realRedis starts a redis-server on a free loopback port and stops it at the end.
func realRedis(t *testing.T) string {
	t.Helper()
	s := newServer(t)
	s.start(t)
	return s.addr
}

// read answers a query.
func (r *reader) read(ctx context.Context, q query) (*answer, *problem) {
	a, f, bad := r.readOne(ctx, q, r.now())
	if bad != nil {
		return nil, bad
	}
	whole := *a
	whole.Freshness = f
	return &whole, nil
}

// item reads an item of the first partition and its mark of one moment.
func (s *store) item(ctx context.Context, key string) (values map[string]string, m mark, found bool, err error) {
	out, err := s.items(ctx, []placed{{0, key}})
	if err != nil {
		return nil, m, false, err
	}
	return out[0].values, out[0].mark, out[0].found, nil
}

// restart empties a partition and begins it anew.
func (s *store) restart(ctx context.Context, partition int32, begin mark) error {
	undone := begin
	undone.topic = emptying(begin.topic)
	if err := s.rdb.Set(ctx, markKey(partition), undone.String(), 0).Err(); err != nil {
		return err
	}
	if done, err := s.empty(ctx, partition, undone, begin); err != nil || !done {
		return fmt.Errorf("emptied %v: %w", done, err)
	}
	return nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// version of a stored field, 0 when there is none.
func versionOf(t *testing.T, value string) int64 {
	t.Helper()
	if value == "" {
		return 0
	}
	n, err := strconv.ParseInt(value[:numberWidth], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestVersionsNeverFall lets two writers apply the same commits in any order, each
// several times, while a reader polls: no version it sees ever falls, and the
// locations of one commit change together. It is the test that turns red when the
// script stops comparing versions (Invariant 5).
func TestVersionsNeverFall(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		const commits = 60
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		begin := mark{topic: "t1"}
		if err := s.restart(t.Context(), 0, begin); err != nil {
			t.Fatal(err)
		}
		// Versions beyond 2^53: as doubles they would be equal in pairs.
		const base = int64(1) << 53
		changed := make([][]string, commits)
		all := make([]call, commits)
		shape := rand.New(rand.NewPCG(seed, 0))
		for i := range all {
			f := &fields{key: "acme|A", first: int64(i)}
			for _, l := range []string{"DC1", "DC2", "DC3"} {
				if shape.IntN(2) == 0 {
					f.names = append(f.names, l)
					f.values = append(f.values, number(base+int64(i))+"v"+l)
				}
			}
			changed[i] = f.names
			all[i] = call{items: []*fields{f}, next: int64(i) + 1}
		}
		ctx, stop := context.WithCancel(t.Context())
		var writers, poller sync.WaitGroup
		for w := range 2 {
			writers.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(w)+1))
				for range 3 {
					order := rng.Perm(commits)
					for _, i := range order {
						// A writer with no belief about the offset: the versions alone decide.
						if err := s.apply(t.Context(), 0, "t1", 0, all[i:i+1]); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		polls := 0
		poller.Go(func() {
			var last mark
			seen := map[string]int64{}
			for ctx.Err() == nil {
				values, m, found, err := s.item(t.Context(), "acme|A")
				if err != nil || !found {
					t.Errorf("reading: found %v, %v", found, err)
					return
				}
				polls++
				if m.next < last.next {
					t.Errorf("offset fell from %d to %d", last.next, m.next)
					return
				}
				last = m
				top := int64(0)
				for l, v := range values {
					got := versionOf(t, v)
					if got < seen[l] {
						t.Errorf("version at %s fell from %d to %d", l, seen[l], got)
						return
					}
					seen[l] = got
					top = max(top, got)
				}
				if top > 0 {
					for _, l := range changed[top-base] {
						if versionOf(t, values[l]) < top {
							t.Errorf("commit %d is visible in part: %s is still at %d", top, l, versionOf(t, values[l]))
							return
						}
					}
				}
			}
		})
		writers.Wait()
		stop()
		poller.Wait()
		if polls == 0 {
			t.Error("the reader never read")
		}
		values, m, _, err := s.item(t.Context(), "acme|A")
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int64{}
		for i, ls := range changed {
			for _, l := range ls {
				want[l] = base + int64(i)
			}
		}
		for l, v := range want {
			if got := versionOf(t, values[l]); got != v {
				t.Errorf("at %s version %d, want %d", l, got, v)
			}
		}
		if m.next != commits {
			t.Errorf("mark stands at %d, want %d", m.next, commits)
		}
	})
}

// TestApplyRefusesALostPartition says what a projector learns when Redis is not
// what it was, and that nothing is written then.
func TestApplyRefusesALostPartition(t *testing.T) {
	one := []call{{items: []*fields{{key: "acme|A", names: []string{"DC1"}, values: []string{number(7) + "x"}}}, next: 8, target: 8}}
	tests := map[string]struct {
		stands   *mark
		believed int64
		want     string
	}{
		"no mark":          {nil, 0, errMissing.Error()},
		"another topic":    {&mark{topic: "t0", next: 50, target: 8}, 0, errForeign.Error()},
		"being emptied":    {&mark{topic: emptying("t1"), target: 8}, 0, errForeign.Error()},
		"behind":           {&mark{topic: "t1", next: 3, target: 8}, 5, "redis is back at offset 3"},
		"target fell":      {&mark{topic: "t1", next: 9, target: 7}, 5, "redis is back at offset 9"},
		"where it was":     {&mark{topic: "t1", next: 5, target: 8}, 5, ""},
		"ahead by another": {&mark{topic: "t1", next: 9, target: 8}, 5, ""},
	}
	onRedis(t, func(t *testing.T, s *store) {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				s.rdb.FlushAll(t.Context())
				if tt.stands != nil {
					s.rdb.Set(t.Context(), markKey(0), tt.stands.String(), 0)
				}
				err := s.apply(t.Context(), 0, "t1", tt.believed, one)
				got := ""
				if err != nil {
					got = err.Error()
				}
				if got != tt.want {
					t.Fatalf("got %q, want %q", got, tt.want)
				}
				wrote := s.rdb.Exists(t.Context(), itemKey(0, "acme|A")).Val() == 1
				if wrote != (tt.want == "") {
					t.Errorf("item written: %v", wrote)
				}
				if tt.want == "" {
					m, _, err := s.mark(t.Context(), 0)
					if want := max(tt.stands.next, 8); err != nil || m.next != want {
						t.Errorf("mark at %d, %v, want %d", m.next, err, want)
					}
				}
			})
		}
	})
}

// TestTwoEmptyOnePartition holds what two projectors do that find Redis empty at once:
// what stands there afterwards is nobody's to remove, and a target does not fall.
func TestTwoEmptyOnePartition(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		ctx := t.Context()
		retarget := func(topic string, end int64) mark {
			t.Helper()
			m, err := s.retarget(ctx, 0, topic, end)
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		empty := func(undone, begin mark) bool {
			t.Helper()
			done, err := s.empty(ctx, 0, undone, begin)
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		stands := func(when string, want int) {
			t.Helper()
			if n, err := s.rdb.Exists(ctx, itemKey(0, "acme|A")).Result(); err != nil || int(n) != want {
				t.Errorf("%s: %d items, %v, want %d", when, n, err, want)
			}
		}
		item := call{items: []*fields{{key: "acme|A", names: []string{"DC1"}, values: []string{number(7) + "x"}}}, next: 8, target: 8}

		s.rdb.HSet(ctx, itemKey(0, "acme|A"), "DC1", number(99)+"left over")
		first, second := retarget("t1", 8), retarget("t1", 9)
		if first != second || !first.emptied() || first.log() != "t1" || first.caughtUp() {
			t.Fatalf("the second of two finds %+v, the first %+v", second, first)
		}
		begin := mark{topic: "t1", target: 8}
		if !empty(first, begin) {
			t.Fatal("the first is not done")
		}
		stands("emptied", 0)
		if err := s.apply(ctx, 0, "t1", 0, []call{item}); err != nil {
			t.Fatal(err)
		}
		if empty(second, mark{topic: "t1", target: 9}) {
			t.Error("the second, which comes too late, is done")
		}
		stands("loaded", 1)
		if m := retarget("t1", 9); m.emptied() || m.target != 9 || m.next != 8 {
			t.Errorf("the second goes on from %+v", m)
		}
		if m := retarget("t1", 8); m.target != 9 {
			t.Errorf("the target fell: %+v", m)
		}

		// The same once more, for another reason: who still empties it for the first removes nothing.
		if err := s.apply(ctx, 0, "t1", 8, []call{{next: 10, target: 9}}); err != nil {
			t.Fatal(err)
		}
		if m := retarget("t1", 8); !m.emptied() || m == first {
			t.Errorf("ahead of the log: %+v", m)
		}
		if empty(first, begin) {
			t.Error("the one of before is done")
		}
		stands("for the second time", 1)
		if m := retarget("t2", 5); !m.emptied() || m.log() != "t2" {
			t.Errorf("another log: %+v", m)
		}
	})
}

// TestScriptsAreForgotten covers a server that lost its script cache in between.
func TestScriptsAreForgotten(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		if err := s.restart(t.Context(), 0, mark{topic: "t1"}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := s.rdb.ScriptFlush(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			calls := []call{
				{items: []*fields{{key: "acme|A", names: []string{"DC1"}, values: []string{number(int64(i)) + "x"}}}, next: int64(2*i + 1)},
				{next: int64(2*i + 2)},
			}
			if err := s.apply(t.Context(), 0, "t1", int64(2*i), calls); err != nil {
				t.Fatal(err)
			}
		}
		m, found, err := s.mark(t.Context(), 0)
		if err != nil || !found || m.next != 6 {
			t.Errorf("mark %+v, %v, %v", m, found, err)
		}
	})
}

func TestMarkRoundTrip(t *testing.T) {
	for _, m := range []mark{{}, {1, 2, 3, 4, 5, "abc"}, {1<<63 - 1, 1 << 53, 1<<53 + 1, 9, 1 << 60, "!x y"}} {
		got, err := parseMark(m.String())
		if err != nil || got != m {
			t.Errorf("%+v came back as %+v, %v", m, got, err)
		}
	}
	for _, s := range []string{"", "1 2 3 4 5 t", mark{}.String()[:40], fmt.Sprintf("%020d %020d %020d %019dx %020d t", 1, 2, 3, 4, 5)} {
		if _, err := parseMark(s); err == nil {
			t.Errorf("%q was taken for a mark", s)
		}
	}
}
