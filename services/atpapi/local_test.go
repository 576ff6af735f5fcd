package atpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// model drives a projector, a follower and a reader with a copy, each at a pace of its
// own, over a Redis that falls back, is away, and is emptied.
type model struct {
	*rig
	mini     *miniredis.Miniredis
	read     int64 // of the projector
	followed int64
	truth    map[string][]truth // what stood in Redis, from when on
	down     bool
}

type truth struct {
	at      time.Time
	version int64
}

func newModel(t *testing.T, first bool) *model {
	m := miniredis.RunT(t)
	w := &model{rig: newRig(t, &store{}, &fakeLog{topic: "t1"}), mini: m, truth: map[string][]truth{}}
	w.connect(t)
	w.reader.local = newLocal(LocalConfig{Bytes: 1 << 20, First: first, Bound: 100 * time.Millisecond, Stale: 2 * time.Second})
	w.reader.gather = &gather{load: w.reader.store.items}
	var err error
	if w.read, err = w.start(t.Context(), event.TopicPositions, 0); err != nil {
		t.Fatal(err)
	}
	w.reader.local.begin("t1", map[int32]int64{0: 0})
	return w
}

// connect opens new connections. Where a transaction fails at its MULTI, as none does but
// here, the client may use one again in which replies to the rest of it are still to come.
func (w *model) connect(t *testing.T) {
	t.Helper()
	c := DefaultRedis()
	c.Addresses, c.PoolSize = []string{w.mini.Addr()}, 2
	rdb, err := c.client(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	w.reader.store.rdb = rdb
}

// follow passes up to n offsets.
func (w *model) follow(n int64) {
	w.flog.mu.Lock()
	defer w.flog.mu.Unlock()
	items := map[int64][]byte{}
	for _, rec := range w.flog.recs {
		items[rec.Offset] = rec.Key[:len(rec.Key)-len("|DC1")]
	}
	for ; n > 0 && w.followed < w.flog.end; n-- {
		w.reader.local.passed(0, w.followed, items[w.followed])
		w.followed++
	}
}

// project takes in up to n records, or checks.
func (w *model) project(t *testing.T, n int) {
	t.Helper()
	var poll []*stream.Record
	for _, rec := range w.flog.recs {
		if rec.Offset >= w.read && len(poll) < n {
			poll = append(poll, rec)
		}
	}
	var err error
	if len(poll) == 0 {
		err = w.check(t.Context(), event.TopicPositions, 0)
	} else if _, err = w.batch(t.Context(), poll); err == nil {
		w.read = poll[len(poll)-1].Offset + 1
	}
	var back stream.Rewind
	switch {
	case errors.As(err, &back):
		w.read = back.Offset
	case err != nil && !w.down:
		t.Fatal(err)
	}
	w.note(t)
}

// note takes down what stands in Redis now.
func (w *model) note(t *testing.T) {
	t.Helper()
	if w.down {
		return
	}
	for i := range 4 {
		item := fmt.Sprintf("I%d", i)
		values, m, found, err := w.reader.store.item(t.Context(), "acme|"+item)
		if err != nil {
			t.Fatal(err)
		}
		var top int64
		for _, v := range values {
			top = max(top, versionOf(t, v))
		}
		if found && m.caughtUp() {
			w.truth[item] = append(w.truth[item], truth{w.now, top})
		}
	}
}

// since is the least version that was right for a moment at or after a time.
func (w *model) since(item string, from time.Time) int64 {
	least, best := int64(-1), int64(0)
	for _, h := range w.truth[item] {
		best = max(best, h.version)
		if h.at.Before(from) { // of the same instant either may come first
			least = best
		}
	}
	return max(0, least)
}

// TestTheCopyNeverFallsAndKeepsItsBound is Invariant 5 over everything that may happen
// to a copy: whatever a reader sees is not older than what it saw, and not older than
// the answer says.
func TestTheCopyNeverFallsAndKeepsItsBound(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("first=%v", first), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			counted, marked := map[string]int{}, 0
			for range 12 {
				w := newModel(t, first)
				versions, seen := map[string]int64{}, map[string]int64{}
				for range 400 {
					item := fmt.Sprintf("I%d", rng.IntN(4))
					switch op := rng.IntN(100); {
					case op < 15:
						versions[item]++
						w.flog.commit(t, w.codecs, item, versions[item], map[inventory.Location]int64{"DC1": versions[item], "DC2": 1})
					case op < 30:
						w.project(t, 1+rng.IntN(5))
					case op < 45:
						w.follow(int64(1 + rng.IntN(8)))
					case op < 60:
						w.reader.lookOnce(t.Context(), 1)
					case op < 70:
						w.now = w.now.Add(time.Duration(rng.IntN(60)) * time.Millisecond)
					case op == 70:
						w.now = w.now.Add(time.Duration(rng.IntN(3000)) * time.Millisecond)
					case op == 71 && !w.down:
						w.mini.FlushAll()
					case op == 72 || op == 73:
						if w.down = !w.down; w.down {
							w.mini.SetError("away")
						} else {
							w.mini.SetError("")
							w.connect(t)
						}
					default:
						s := w.reader.load(t.Context(), []inventory.Key{{Entity: "acme", Item: inventory.Item(item)}})[0]
						if s.problem != nil {
							counted[s.problem.code]++
							if s.problem.code == codeUnknownItem && seen[item] > 0 {
								t.Fatalf("%s was at version %d and is unknown", item, seen[item])
							}
							continue
						}
						var top int64
						for i := range s.positions {
							top = max(top, s.positions[i].Version)
						}
						switch {
						case top < seen[item]:
							t.Fatalf("%s fell from %d to %d: %+v", item, seen[item], top, s)
						case len(s.positions) != 2 || s.positions[0].States[inventory.OnHand] != inventory.Quantity(top)*inventory.One:
							t.Fatalf("%s at version %d is not what was committed: %+v", item, top, s.positions)
						case top < w.since(item, w.now.Add(-s.copied)):
							t.Fatalf("%s: version %d was not right %v ago: %+v", item, top, s.copied, w.truth[item])
						case s.stale && s.copied > 2*time.Second || !s.stale && s.copied > 100*time.Millisecond:
							t.Fatalf("%s: %v old, stale %v", item, s.copied, s.stale)
						case !s.stale && w.down && !first:
							t.Fatalf("%s: not stale while redis is away", item)
						}
						if s.copied == 0 && !s.stale { // it is what stands there now
							values, _, _, err := w.reader.store.item(t.Context(), "acme|"+item)
							if err != nil {
								t.Fatal(err)
							}
							for l, v := range values {
								if versionOf(t, v) > top {
									t.Fatalf("%s at version %d, and at %s stands %s", item, top, l, v)
								}
							}
						}
						seen[item] = top
						counted[fmt.Sprintf("copied=%v stale=%v", s.copied > 0, s.stale)]++
					}
				}
				marked += int(w.reader.local.reads.mark.Load())
			}
			counted["mark"] = marked
			t.Log(counted)
			want := []string{"copied=false stale=false", "copied=true stale=true", codeUnknownItem, "not_caught_up", "redis_unavailable"}
			if first {
				want = append(want, "copied=true stale=false")
			} else {
				want = append(want, "mark")
			}
			for _, kind := range want {
				if counted[kind] == 0 {
					t.Errorf("never seen: %s in %v", kind, counted)
				}
			}
		})
	}
}

// The copy stays within its bytes and keeps what was used last.
func TestTheCopyIsBounded(t *testing.T) {
	l := newLocal(LocalConfig{Bytes: 1 << 20, Bound: time.Second, Stale: time.Minute})
	l.begin("t1", map[int32]int64{0: 0})
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		l.put(0, fmt.Sprintf("acme|I%d", i), &kept{positions: make([]inventory.Position, 2)}, &asOf{mark{topic: "t1"}, at}, mark{})
		if _, _, ok := l.get(0, "acme|I0"); !ok {
			t.Fatalf("what is used all the time was dropped after %d", i)
		}
		if _, bytes, _ := l.holds(); bytes > 1<<20 {
			t.Fatalf("%d bytes", bytes)
		}
	}
	items, bytes, _ := l.holds()
	if _, _, ok := l.get(0, "acme|I9999"); !ok || items < 100 || items == 10_000 || bytes < 1<<19 {
		t.Errorf("%d items, %d bytes, the last one there: %v", items, bytes, ok)
	}
	l.put(0, "acme|I0", &kept{positions: make([]inventory.Position, 10_000)}, &asOf{mark{topic: "t1"}, at}, mark{})
	if _, _, ok := l.get(0, "acme|I0"); ok {
		t.Error("what does not fit left its older state behind")
	}
}

// What was read before something that was answered already is not taken in: what was
// shown of the item meanwhile may have been dropped, and nothing else would tell.
func TestTheCopyTakesNothingOlderThanAnAnswer(t *testing.T) {
	l := newLocal(DefaultLocal())
	l.begin("t1", map[int32]int64{0: 10})
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	l.put(0, "acme|A", &kept{positions: make([]inventory.Position, 1)}, &asOf{mark{topic: "t1", next: 10}, at}, mark{topic: "t1", next: 11})
	if _, when, ok := l.get(0, "acme|A"); ok {
		t.Errorf("kept as of %d, and 11 was answered from", when.mark.next)
	}
	l.put(0, "acme|A", &kept{positions: make([]inventory.Position, 1)}, &asOf{mark{topic: "t1", next: 11}, at}, mark{topic: "t1", next: 11})
	if _, _, ok := l.get(0, "acme|A"); !ok {
		t.Error("what is as new as the answers is not kept")
	}
}

// A mark counts only when the log has been followed up to it, and one that waits is
// not pushed on by later ones.
func TestMarksWaitForTheFollower(t *testing.T) {
	l := newLocal(LocalConfig{Bytes: 1 << 20, Bound: time.Second, Stale: time.Minute})
	l.begin("t1", map[int32]int64{0: 10})
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	l.put(0, "acme|A", &kept{positions: make([]inventory.Position, 1)}, &asOf{mark{topic: "t1", next: 10}, at}, mark{})
	good := func() int64 {
		_, when, _ := l.get(0, "acme|A")
		return when.mark.next
	}
	for n := range int64(5) {
		l.stands(0, mark{topic: "t1", next: 12 + n}, at.Add(time.Duration(n+1)))
	}
	if got := good(); got != 10 {
		t.Fatalf("right as of %d before the log was followed", got)
	}
	l.passed(0, 10, []byte("acme|B"))
	l.passed(0, 11, nil)
	if got := good(); got != 12 {
		t.Fatalf("right as of %d, want 12", got)
	}
	l.passed(0, 12, []byte("acme|A"))
	l.stands(0, mark{topic: "t1", next: 13}, at.Add(time.Minute))
	if got := good(); got != 12 {
		t.Fatalf("it changed at 12, and is right as of %d", got)
	}
	for i := range 2 * recentChanges {
		l.passed(0, int64(13+i), fmt.Appendf(nil, "acme|X%d", i))
	}
	l.put(0, "acme|C", &kept{positions: make([]inventory.Position, 1)}, &asOf{mark{topic: "t1", next: 13}, at}, mark{})
	l.stands(0, mark{topic: "t1", next: 13 + recentChanges}, at.Add(2*time.Minute))
	if _, when, _ := l.get(0, "acme|C"); when.mark.next != 13 {
		t.Errorf("nobody knows what changed at 13, and it is right as of %d", when.mark.next)
	}
}

// TestAMarkShowsWhatStands: an item of the copy is what stands at a mark if nothing of it
// was taken in since it was read, as far as the log has been followed, and no further.
func TestAMarkShowsWhatStands(t *testing.T) {
	l := newLocal(LocalConfig{Bytes: 1 << 20, Bound: time.Second, Stale: time.Minute})
	l.begin("t1", map[int32]int64{0: 10})
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	read := &kept{positions: make([]inventory.Position, 1)}
	l.put(0, "acme|A", read, &asOf{mark{topic: "t1", next: 10, reached: 10}, at}, mark{})
	stands := func(topic string, next, reached int64) bool {
		return l.standsAt(0, "acme|A", &asOf{mark{topic: topic, next: next, reached: reached}, at}) == read
	}
	if !stands("t1", 10, 10) || !l.likely(0, "acme|A") {
		t.Error("it is what was read just now")
	}
	if stands("t1", 9, 10) || stands("t2", 10, 10) {
		t.Error("a Redis that fell back, or is another log's, shows it")
	}
	if stands("t1", 12, 12) || l.likely(0, "acme|A") {
		t.Error("the log has not been followed that far")
	}
	l.passed(0, 10, []byte("acme|B"))
	if stands("t1", 11, 12) {
		t.Error("what was taken in behind the mark may be of the item")
	}
	l.passed(0, 11, nil)
	if !stands("t1", 11, 12) || !l.likely(0, "acme|A") {
		t.Error("nothing of it came")
	}
	l.passed(0, 12, []byte("acme|A"))
	if stands("t1", 13, 13) || stands("t1", 12, 13) || l.likely(0, "acme|A") {
		t.Error("it has changed")
	}
}

// What is asked for at the same time is read together, each item once, and never before
// it was asked for.
func TestGather(t *testing.T) {
	var reads, items, asked atomic.Int64
	enter, leave := make(chan struct{}), make(chan struct{})
	g := &gather{load: func(_ context.Context, of []placed) ([]stood, error) {
		reads.Add(1)
		items.Add(int64(len(of)))
		enter <- struct{}{}
		<-leave
		out := make([]stood, len(of))
		for i := range of {
			if of[i].key == "bad" {
				return nil, errors.New("away")
			}
			out[i] = stood{found: true, mark: mark{topic: of[i].key}}
		}
		return out, nil
	}}
	var all sync.WaitGroup
	ask := func(keys ...string) {
		of := make([]placed, len(keys))
		for i, k := range keys {
			of[i].key = k
		}
		asked.Add(1)
		all.Go(func() {
			got, err := g.items(t.Context(), of)
			if err != nil {
				t.Error(err)
				return
			}
			for i, k := range keys {
				if got[i].mark.topic != k {
					t.Errorf("asked for %s, got %s", k, got[i].mark.topic)
				}
			}
		})
	}
	for range gathersAtOnce {
		ask("a")
		<-enter
	}
	for i := range 50 { // they wait for one of the two
		ask("a", fmt.Sprintf("b%d", i%3))
	}
	eventually(t, "all wait", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.waiting) == 50
	})
	go func() {
		for range enter {
		}
	}()
	close(leave)
	all.Wait()
	if r, i := reads.Load(), items.Load(); r > gathersAtOnce+2 || i > 2+2*4 {
		t.Errorf("%d reads of %d items for %d requests", r, i, asked.Load())
	}
	if _, err := g.items(t.Context(), []placed{{0, "bad"}}); err == nil {
		t.Error("a fault is nobody's")
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	g.running = gathersAtOnce
	if _, err := g.items(gone, []placed{{0, "a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
}

// TestRedisAway runs the service on a log and a real Redis that is killed: what was
// read is answered from the copy, as it was and marked so, what was not is refused; a
// Redis that comes back empty gives the same answers again.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprintf("first=%v", first), func(t *testing.T) {
			t.Parallel()
			srv := newServer(t)
			srv.start(t)
			r := newRoad(t)
			for i := range 3 {
				r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), 1, map[inventory.Location]int64{"DC1": 5, "DC2": 2})
			}
			url, _ := r.serve(t, srv.addr, func(c *Config) {
				c.Local.First, c.Redis.Timeout = first, 200*time.Millisecond
			})
			is := func(item string, code int, atp string, ok func(*freshness) bool) func() bool {
				return func() bool {
					c, a := get(t, url, item)
					if c == 200 && a.ATP != "7" && a.ATP != "9" {
						t.Fatalf("%s: %+v", item, a)
					}
					return c == code && a.ATP == atp && ok(&a.Freshness)
				}
			}
			sure := func(f *freshness) bool { return !f.Stale && f.CaughtUp }
			eventually(t, "I0 is answered", is("I0", 200, "7", sure))
			if first {
				eventually(t, "from the copy", is("I0", 200, "7", func(f *freshness) bool { return f.CopyMS != nil && *f.CopyMS <= 100 }))
			}
			r.write(t, kgo.TryCommit, "I0", 2, map[inventory.Location]int64{"DC1": 7, "DC2": 2})
			eventually(t, "the change is seen", is("I0", 200, "9", sure))
			srv.kill()
			eventually(t, "I0 is answered as stale", is("I0", 200, "9", func(f *freshness) bool {
				return f.Stale && !f.CaughtUp && f.CopyMS != nil && f.AgeMS >= 0
			}))
			if code, _ := get(t, url, "I1"); code != 503 {
				t.Errorf("never read, and redis away: %d", code)
			}
			if code, _ := get(t, url, "NOPE"); code != 503 {
				t.Errorf("nobody knows whether it exists: %d", code)
			}
			srv.start(t)
			eventually(t, "I0 is answered by redis again", is("I0", 200, "9", func(f *freshness) bool { return sure(f) && (first || f.CopyMS == nil) }))
			eventually(t, "an unknown item is known to be", func() bool {
				code, _ := get(t, url, "NOPE")
				return code == 404
			})
		})
	}
}

func TestStaleIsSaid(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	w.reader.local = newLocal(DefaultLocal())
	w.reader.local.begin("t1", map[int32]int64{0: w.flog.end})
	etag := w.get(t, "/v1/atp/A").Header().Get("ETag")
	w.mini.SetError("away")
	w.now = w.now.Add(30 * time.Second)
	rec := w.get(t, "/v1/atp/A")
	var a answer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != 200 || rec.Header().Get("ETag") != etag {
		t.Fatalf("%d %s %v", rec.Code, rec.Body, err)
	}
	if f := a.Freshness; !f.Stale || f.CaughtUp || f.CopyMS == nil || *f.CopyMS != 30_000 || f.AgeMS < 30_000 || a.ATP != "10" {
		t.Errorf("%+v", a)
	}
	w.now = w.now.Add(31 * time.Second)
	if rec := w.get(t, "/v1/atp/A"); rec.Code != 503 || rec.Header().Get("Retry-After") != "2" {
		t.Errorf("beyond the bound: %d %s", rec.Code, rec.Body)
	}
}

func TestLocalConfig(t *testing.T) {
	for want, change := range map[string]func(*LocalConfig){
		"": func(*LocalConfig) {},
		"atp_api.local.bytes: must be 0, which switches it off, or between 1 MiB and 1 TiB": func(c *LocalConfig) { c.Bytes = 5 },
		"atp_api.local.first: needs bytes":                                                  func(c *LocalConfig) { c.Bytes, c.First = 0, true },
		"atp_api.local.bound: must be between 10ms and 10s":                                 func(c *LocalConfig) { c.Bound = time.Millisecond },
		"atp_api.local.stale: must be between bound and 24h":                                func(c *LocalConfig) { c.Stale = time.Millisecond },
	} {
		c := DefaultLocal()
		change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
