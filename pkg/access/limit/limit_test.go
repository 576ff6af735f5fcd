package limit

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

type clock struct{ ns atomic.Int64 }

func (c *clock) now() time.Time       { return noon.Add(time.Duration(c.ns.Load())) }
func (c *clock) pass(d time.Duration) { c.ns.Add(int64(d)) }

func TestRate(t *testing.T) {
	c := &clock{}
	l := New(10, c.now)
	r := Rule{PerSecond: 2, Burst: 3}
	ask := func(want Refusal, remaining int, after time.Duration) {
		t.Helper()
		s, refused, leave := l.Enter("a", r)
		if refused != want || s.Remaining != remaining || s.After != after || (leave == nil) != (want != Allowed) {
			t.Errorf("at %v: %v, %+v", c.now().Sub(noon), refused, s)
		}
		if leave != nil {
			leave(false)
		}
	}
	ask(Allowed, 2, 0)
	ask(Allowed, 1, 0)
	ask(Allowed, 0, 0)
	ask(TooOften, 0, 500*time.Millisecond)
	c.pass(499 * time.Millisecond)
	ask(TooOften, 0, time.Millisecond)
	c.pass(time.Millisecond)
	ask(Allowed, 0, 0)
	ask(TooOften, 0, 500*time.Millisecond)
	c.pass(time.Hour) // no more than the burst is saved up
	for i := range 3 {
		ask(Allowed, 2-i, 0)
	}
	ask(TooOften, 0, 500*time.Millisecond)
	if _, refused, _ := l.Enter("b", r); refused != Allowed {
		t.Error("one pays for another")
	}
}

func TestConcurrent(t *testing.T) {
	c := &clock{}
	l := New(10, c.now)
	r := Rule{PerSecond: 1, Burst: 10, Concurrent: 2}
	_, _, first := l.Enter("a", r)
	_, _, second := l.Enter("a", r)
	before, refused, leave := l.Enter("a", r)
	if refused != TooMany || leave != nil || before.After <= 0 {
		t.Fatalf("%v %+v", refused, before)
	}
	first(false)
	first(false) // a second time counts for nothing
	_, refused, third := l.Enter("a", r)
	if refused != Allowed {
		t.Fatal("a place is free")
	}
	if _, refused, _ = l.Enter("a", r); refused != TooMany {
		t.Error("a place was given back twice")
	}
	second(true)
	third(true)
	// Four came in, one for nothing refused, two were given back: one of ten is gone,
	// and this one.
	if s, _, _ := l.Enter("a", r); s.Remaining != 8 {
		t.Errorf("%+v", s)
	}
}

func TestFree(t *testing.T) {
	l := New(1, (&clock{}).now)
	for range 1000 {
		if _, refused, leave := l.Enter("a", Rule{}); refused != Allowed || leave == nil {
			t.Fatal("refused")
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := &clock{}
	l := New(100, c.now)
	r := Rule{PerSecond: 1, Burst: 1, Concurrent: 1}
	for i := range 100 {
		if _, refused, _ := l.Enter(fmt.Sprint(i), r); refused != Allowed {
			t.Fatal(i)
		}
	}
	// Those that find no room share a bucket.
	if _, refused, _ := l.Enter("x", r); refused != Allowed {
		t.Error("the first without room")
	}
	if _, refused, _ := l.Enter("y", r); refused == Allowed {
		t.Error("names without end buy rates without end")
	}
	if _, refused, _ := l.Enter("0", r); refused == Allowed {
		t.Error("a bucket in use was given away")
	}
	if l.Len() != 100 {
		t.Error(l.Len())
	}
	l = New(100, c.now)
	for i := range 1000 {
		_, _, leave := l.Enter(fmt.Sprint(i), r)
		leave(false)
		c.pass(time.Second)
	}
	if l.Len() > 100 {
		t.Error(l.Len())
	}
}

func TestSlowAndFastRules(t *testing.T) {
	for _, r := range []Rule{{PerSecond: 1e-9, Burst: 1_000_000}, {PerSecond: 1e12}, {PerSecond: 0.001, Burst: 1}} {
		c := &clock{}
		l := New(1, c.now)
		if s, refused, _ := l.Enter("a", r); refused != Allowed || s.Remaining < 0 || s.Reset < 0 {
			t.Errorf("%+v: %v %+v", r, refused, s)
		}
	}
}

// Under many at once no more get in than the rule says, whoever comes first.
func TestRace(t *testing.T) {
	c := &clock{}
	l := New(4, c.now)
	r := Rule{PerSecond: 1, Burst: 50, Concurrent: 5}
	var in, most, allowed atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 200 {
				_, refused, leave := l.Enter("a", r)
				if refused != Allowed {
					continue
				}
				allowed.Add(1)
				n := in.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				_, _, other := l.Enter(fmt.Sprint(i), r)
				if other != nil {
					other(true)
				}
				in.Add(-1)
				leave(false)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 50 || most.Load() > 5 {
		t.Errorf("%d of 50 allowed, %d of 5 at a time", allowed.Load(), most.Load())
	}
}

func TestHeaders(t *testing.T) {
	h := http.Header{}
	Set(h, "partner", State{Rule: Rule{PerSecond: 10, Burst: 100}, Remaining: 42, Reset: 5800 * time.Millisecond})
	Set(h, `s"x`, State{Rule: Rule{Concurrent: 4}})
	Set(h, "slow", State{Rule: Rule{PerSecond: 0.5, Burst: 1}})
	Wait(h, time.Millisecond)
	for name, want := range map[string]string{
		HeaderPolicy:  `"partner";q=100;w=10, "s\"x-concurrent";q=4;qu="concurrent-requests", "slow";q=1;w=2`,
		HeaderLimit:   `"partner";r=42;t=6, "slow";r=0;t=0`,
		"Retry-After": "1",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
