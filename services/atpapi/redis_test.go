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
	one := []call{{items: []*fields{{key: "acme|A", names: []string{"DC1"}, values: []string{number(7) + "x"}}}, next: 8}}
	tests := map[string]struct {
		stands   *mark
		believed int64
		want     string
	}{
		"no mark":          {nil, 0, errMissing.Error()},
		"another topic":    {&mark{topic: "t0", next: 50}, 0, errForeign.Error()},
		"being emptied":    {&mark{topic: "!t1"}, 0, errForeign.Error()},
		"behind":           {&mark{topic: "t1", next: 3}, 5, "redis is back at offset 3"},
		"where it was":     {&mark{topic: "t1", next: 5}, 5, ""},
		"ahead by another": {&mark{topic: "t1", next: 9}, 5, ""},
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
