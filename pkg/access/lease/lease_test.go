package lease

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/access/limit"
)

// memory is a Store of one bucket, by a clock that is moved.
type memory struct {
	now      time.Time
	level    float64
	at       time.Time
	replicas int
	down     error
	settled  int
	during   func() // a settlement; nil: nothing is done
}

func (m *memory) Settle(_ context.Context, accounts []Account) ([]float64, error) {
	if m.down != nil {
		return nil, m.down
	}
	m.settled++
	if m.during != nil {
		m.during()
	}
	out := make([]float64, len(accounts))
	for i, a := range accounts {
		burst := float64(a.Rule.Size())
		if m.at.IsZero() {
			m.level, m.at = burst, m.now
		}
		m.level = max(-burst, min(burst, m.level+a.Rule.PerSecond*m.now.Sub(m.at).Seconds())-float64(a.Spent))
		m.at = m.now
		out[i] = m.level
	}
	return out, nil
}

func (m *memory) Meet(context.Context, string, time.Duration) (int, error) { return m.replicas, m.down }

func newMemory(replicas int) *memory {
	return &memory{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), replicas: replicas}
}

// replica is one that has met the others and settled.
func (m *memory) replica(t testing.TB, r limit.Rule) *Leases {
	l := New(m, "r", map[string]limit.Rule{"shop": r, "free": {Concurrent: 3}}, func() time.Time { return m.now })
	l.meet(t.Context())
	l.settle(t.Context(), true)
	return l
}

// take takes what there is, at most n.
func take(l *Leases, n int) (granted int) {
	for range n {
		if _, ok := l.Take("shop"); ok {
			granted++
		}
	}
	return granted
}

func TestAloneItHasAll(t *testing.T) {
	m := newMemory(1)
	l := m.replica(t, limit.Rule{PerSecond: 10, Burst: 100})
	if got := take(l, 200); got != 100 {
		t.Errorf("%d at once, want the burst", got)
	}
	s, ok := l.Take("shop")
	if ok || s.Remaining != 0 || s.After != 100*time.Millisecond || s.Reset != 10*time.Second || s.Rule.PerSecond != 10 {
		t.Errorf("%+v %v", s, ok)
	}
	l.settle(t.Context(), false)
	m.now = m.now.Add(time.Second)
	if got := take(l, 200); got != 10 {
		t.Errorf("%d after a second, want 10", got)
	}
	if _, ok := l.Take("free"); !ok {
		t.Error("what has no rate is refused")
	}
}

// TestAStaleReplicaGrantsOneLease: and it is paid back.
func TestAStaleReplicaGrantsOneLease(t *testing.T) {
	m := newMemory(2)
	a, b := m.replica(t, limit.Rule{PerSecond: 10, Burst: 100}), m.replica(t, limit.Rule{PerSecond: 10, Burst: 100})
	granted := 0
	for range 50 {
		granted += take(a, 200)
		a.settle(t.Context(), false)
	}
	if granted != 100 {
		t.Errorf("one of two grants %d of the burst", granted)
	}
	if got := take(b, 200); got != 50 { // it has heard nothing
		t.Errorf("the other grants %d, want a lease", got)
	}
	b.settle(t.Context(), false)
	m.now = m.now.Add(4900 * time.Millisecond)
	a.settle(t.Context(), true)
	b.settle(t.Context(), true)
	if got := take(a, 9) + take(b, 9); got != 0 {
		t.Errorf("%d are granted before the debt is paid", got)
	}
	m.now = m.now.Add(300 * time.Millisecond)
	a.settle(t.Context(), true)
	if got := take(a, 9); got != 1 {
		t.Errorf("%d are granted once it is paid, want 1", got)
	}
}

func TestWhileTheStoreIsAway(t *testing.T) {
	m := newMemory(4)
	l := m.replica(t, limit.Rule{PerSecond: 40, Burst: 80})
	m.down = errors.New("away")
	l.settle(t.Context(), true)
	if got := take(l, 200); got != 20 {
		t.Errorf("%d at once, want a quarter of the burst", got)
	}
	m.now = m.now.Add(time.Second)
	if got := take(l, 200); got != 10 {
		t.Errorf("%d in a second, want a quarter of the rate", got)
	}
	if c := l.Counts(); c.Alone != 30 || !c.Away || c.Replicas != 4 || c.Failed != 1 {
		t.Errorf("%+v", c)
	}
	m.down = nil
	l.settle(t.Context(), false)
	if m.level != 50 || l.Counts().Away {
		t.Errorf("what was granted meanwhile is not settled: %v", m.level)
	}
}

// TestNeverMoreThanTheRate: whatever is asked of whom, and however late it is settled,
// all replicas together grant no more than rate and burst, and the leases that are out.
func TestNeverMoreThanTheRate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(rt, "replicas")
		rule := limit.Rule{PerSecond: float64(rapid.IntRange(1, 400).Draw(rt, "rate")) / 4, Burst: rapid.IntRange(1, 100).Draw(rt, "burst")}
		m := newMemory(n)
		all := make([]*Leases, n)
		for i := range all {
			all[i] = m.replica(t, rule)
		}
		began, granted := m.now, 0
		for range rapid.IntRange(1, 200).Draw(rt, "steps") {
			l := all[rapid.IntRange(0, n-1).Draw(rt, "who")]
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0, 1:
				granted += take(l, rapid.IntRange(1, 20).Draw(rt, "ask"))
			case 2:
				l.settle(t.Context(), false)
			case 3:
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "ms")) * time.Millisecond)
			}
			out := 0.0
			if n > 1 {
				out = float64(n) * max(1, float64(rule.Burst)/float64(n))
			}
			if most := float64(rule.Burst) + rule.PerSecond*m.now.Sub(began).Seconds() + out; float64(granted) > math.Ceil(most) {
				rt.Fatalf("%d replicas granted %d, at most %.1f", n, granted, most)
			}
		}
	})
}

// TestOnlyWhatIsUsedIsSettled: an idle replica asks the store nothing.
func TestOnlyWhatIsUsedIsSettled(t *testing.T) {
	m := newMemory(2)
	l := m.replica(t, limit.Rule{PerSecond: 10, Burst: 100})
	before := m.settled
	l.settle(t.Context(), false)
	if m.settled != before {
		t.Error("nothing was granted, and it is settled")
	}
	if take(l, 1) != 1 {
		t.Fatal("refused")
	}
	l.settle(t.Context(), false)
	if m.settled != before+1 || m.level != 99 {
		t.Errorf("settled %d times, level %v", m.settled-before, m.level)
	}
}

// TestGrantedWhileItIsSettled: that is settled the next time.
func TestGrantedWhileItIsSettled(t *testing.T) {
	m := newMemory(1)
	l := m.replica(t, limit.Rule{PerSecond: 10, Burst: 100})
	granted := take(l, 5)
	m.during = func() { granted += take(l, 3) }
	l.settle(t.Context(), false)
	m.during = nil
	l.settle(t.Context(), false)
	if granted != 8 || m.level != 92 {
		t.Errorf("of %d granted %v is left of 100", granted, m.level)
	}
}

// running is a replica that settles by itself until stop, which waits for its end.
func (m *memory) running(t *testing.T, r limit.Rule) (l *Leases, stop func()) {
	l = New(m, "r", map[string]limit.Rule{"shop": r}, func() time.Time { return m.now })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	<-l.Ready()
	synctest.Wait()
	return l, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestTheLastIsSettled: what was granted before the end is not lost.
func TestTheLastIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(1)
		l, stop := m.running(t, limit.Rule{PerSecond: 10, Burst: 100})
		granted := take(l, 7)
		if stop(); granted != 7 || m.level != 93 {
			t.Errorf("of %d granted %v is left of 100", granted, m.level)
		}
	})
}

// TestNobodyMakesItSettleOften: however often it is asked for what there is not.
func TestNobodyMakesItSettleOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(1)
		l, stop := m.running(t, limit.Rule{PerSecond: 1, Burst: 1})
		before, began := m.settled, time.Now()
		for time.Since(began) < 20*settleLeast {
			take(l, 10)
			time.Sleep(settleLeast / 10)
		}
		stop()
		if n := m.settled - before; n < 10 || n > 22 {
			t.Errorf("settled %d times in %v", n, time.Since(began))
		}
	})
}

// TestWithoutRates: there is nothing to share and nobody to wait for, until a rate is
// published; one that ends is shared no more.
func TestWithoutRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(1)
		l := New(m, "r", map[string]limit.Rule{"free": {Concurrent: 3}}, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		<-l.Ready()
		time.Sleep(time.Second)
		if c := l.Counts(); c.Settled+c.Failed != 0 {
			t.Errorf("the store is asked: %+v", c)
		}
		l.Set(map[string]limit.Rule{"shop": {PerSecond: 1, Burst: 2}})
		time.Sleep(time.Second)
		granted := 0
		for range 5 {
			if _, ok := l.Take("shop"); ok {
				granted++
			}
		}
		time.Sleep(settleEvery)
		if c := l.Counts(); granted != 2 || c.Away || c.Settled == 0 {
			t.Errorf("%d of 5 are granted: %+v", granted, c)
		}
		l.Set(nil)
		if _, ok := l.Take("shop"); !ok {
			t.Error("a rate that ended refuses")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
