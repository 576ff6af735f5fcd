package heard

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/stream"
)

const minute = 60_000 // ms

// topic is a topic in memory: what it holds, and the tables that read it.
type topic struct {
	t      *testing.T
	codecs *event.Codecs
	slow   time.Duration // that loading takes

	mu     sync.Mutex
	recs   []*stream.Record // by time
	tables []*fakeTable
}

type fakeTable struct {
	topic  *topic
	since  time.Time
	apply  func(*stream.Record) error
	loaded chan struct{}
	fail   chan error
	ended  atomic.Bool
}

func (f *fakeTable) Loaded() <-chan struct{} { return f.loaded }

func (f *fakeTable) Run(ctx context.Context) error {
	defer func() { f.ended.Store(true) }()
	select {
	case <-time.After(f.topic.slow):
	case <-ctx.Done():
		return nil
	}
	f.topic.mu.Lock()
	for _, r := range f.topic.recs {
		if !r.Timestamp.Before(f.since) {
			if err := f.apply(r); err != nil {
				f.topic.t.Error(err)
			}
		}
	}
	f.topic.mu.Unlock()
	close(f.loaded)
	select {
	case err := <-f.fail:
		return err
	case <-ctx.Done():
		return nil
	}
}

// says appends a receipt of a message that came at a time, and lets the tables that
// are loaded see it.
func (tp *topic) says(s inventory.Source, at time.Time) {
	tp.t.Helper()
	value, err := tp.codecs.AppendReceipt(nil, &event.Receipt{RawID: "r", Source: s, Lines: 1, Rejected: 1, At: inventory.Instant(at.UnixMilli())})
	if err != nil {
		tp.t.Fatal(err)
	}
	tp.append(value)
}

// open is a table over the topic.
func (tp *topic) open(since time.Time, apply func(*stream.Record) error) *fakeTable {
	f := &fakeTable{topic: tp, since: since, apply: apply, loaded: make(chan struct{}), fail: make(chan error, 1)}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.tables = append(tp.tables, f)
	return f
}

// readers are the tables that were opened, and whether each has ended.
func (tp *topic) readers() (ended []bool) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	for _, f := range tp.tables {
		ended = append(ended, f.ended.Load())
	}
	return ended
}

func (tp *topic) append(value []byte) {
	tp.t.Helper()
	rec := &stream.Record{Value: value, Timestamp: time.Now()}
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.recs = append(tp.recs, rec)
	for _, f := range tp.tables {
		select {
		case <-f.loaded:
			if f.ended.Load() {
				continue
			}
			if err := f.apply(rec); err != nil {
				tp.t.Error(err)
			}
		default:
		}
	}
}

func rules(t *testing.T, version int64, rs ...policy.Silence) *policy.Promises {
	t.Helper()
	p, err := policy.NewPromises(&policy.ATPPolicy{Version: version, Silence: rs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// publish makes another policy hold.
func publish(t *testing.T, c *event.Codecs, p *current.Policy, version int64, rs ...policy.Silence) {
	t.Helper()
	content, hash, err := policy.EncodeATP(&policy.ATPPolicy{Version: version, Silence: rs}, nil)
	if err != nil {
		t.Fatal(err)
	}
	value, err := c.AppendPolicy(nil, &event.PolicyContent{Name: policy.ATPName, Version: version, Hash: hash, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Apply(&stream.Record{Value: value}); err != nil {
		t.Fatal(err)
	}
}

// listen runs Sources over a topic by a policy.
func listen(t *testing.T, tp *topic, p *current.Policy, log *slog.Logger) (s *Sources, end func() error) {
	t.Helper()
	s, err := New(Config{Codecs: tp.codecs, Policies: p, Now: time.Now, Log: log, Prefix: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.table = func(since time.Time, apply func(*stream.Record) error) (table, error) {
		return tp.open(since, apply), nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() error {
		cancel()
		return <-done
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// silentAt says of each rule whether its owner is silent now.
func silentAt(s *Sources, p *current.Policy) string {
	var out []string
	rs := p.Get().Silence()
	for i, silent := range s.Silent(rs, inventory.Instant(time.Now().UnixMilli())) {
		if silent {
			out = append(out, string(rs[i].Owner))
		}
	}
	return strings.Join(out, " ")
}

// An owner falls silent by time alone, and speaks again; what was said before the
// start is known, and loading hides nobody's silence for longer than it takes.
func TestOwnersFallSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := &topic{t: t, codecs: event.TestCodecs(), slow: 5 * time.Second}
		log := &lines{}
		time.Sleep(24 * time.Hour)
		tp.says("old", time.Now())
		time.Sleep(3 * time.Hour)
		tp.says("wms", time.Now().Add(-10*time.Minute)) // it stood in a queue for so long
		tp.says("gone", time.Now().Add(-90*time.Minute))
		p := current.New(tp.codecs, rules(t, 1,
			policy.Silence{Owner: "wms", Heartbeat: 60 * minute, Then: inventory.SilenceZero},
			policy.Silence{Owner: "gone", Heartbeat: 60 * minute, Then: inventory.SilenceHold},
			policy.Silence{Owner: "old", Heartbeat: 60 * minute, Then: inventory.SilenceHold},
		), quiet())
		s, end := listen(t, tp, p, slog.New(slog.NewTextHandler(log, nil)))
		time.Sleep(4 * time.Second)
		if got := silentAt(s, p); got != "" || s.Ready() == nil {
			t.Errorf("before anything is read %q is silent, ready %v", got, s.Ready())
		}
		<-s.Loaded()
		if got := silentAt(s, p); got != "gone old" || s.Ready() != nil {
			t.Errorf("%q is silent, ready %v", got, s.Ready())
		}
		if h := s.Heard("gone"); h.At != inventory.Instant(time.Now().Add(-90*time.Minute-5*time.Second).UnixMilli()) {
			t.Errorf("gone was heard %+v", h)
		}
		steady := s.Steady()
		before := steady("wms")
		if got := gauges(t, s); got["gone"] != 5405 || got["wms"] != 605 || got["old"] != 7205 {
			t.Errorf("gauges %v", got)
		}
		time.Sleep(50*time.Minute - 5*time.Second) // an hour after its message came, to the millisecond
		if got := silentAt(s, p); got != "gone old" {
			t.Errorf("within the heartbeat %q is silent", got)
		}
		time.Sleep(time.Millisecond)
		if got := silentAt(s, p); got != "wms gone old" {
			t.Errorf("%q is silent", got)
		}
		time.Sleep(2 * time.Second)
		tp.says("wms", time.Now().Add(time.Hour)) // by a clock that is ahead
		if got := silentAt(s, p); got != "gone old" {
			t.Errorf("when it speaks again %q is silent", got)
		}
		if h := steady("wms"); h != before || h == s.Heard("wms") {
			t.Errorf("of one answer it was heard %+v, then %+v", before, h)
		}
		tp.says("wms", time.Now().Add(-2*time.Hour)) // an old message, late
		tp.append([]byte("junk"))
		if got := silentAt(s, p); got != "gone old" {
			t.Errorf("after an old message %q is silent", got)
		}
		time.Sleep(61 * time.Minute)
		if got := silentAt(s, p); got != "wms gone old" {
			t.Errorf("a clock that was ahead: %q is silent", got)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		// It was said when it happened.
		if n := log.count("an owner is silent", "owner=wms"); n != 2 {
			t.Errorf("said %d times that wms is silent", n)
		}
		if n := log.count("an owner is heard again", "owner=wms"); n != 1 {
			t.Errorf("said %d times that wms is heard again", n)
		}
	})
}

// Without rules nothing is read; with other rules as much as they need, and while
// more is read nobody is forgotten.
func TestRulesWhileRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := &topic{t: t, codecs: event.TestCodecs(), slow: 90 * time.Minute}
		time.Sleep(24 * time.Hour)
		tp.says("erp", time.Now())
		time.Sleep(3 * time.Hour)
		p := current.New(tp.codecs, rules(t, 1), quiet())
		s, end := listen(t, tp, p, quiet())
		<-s.Loaded()
		if len(tp.readers()) != 0 {
			t.Fatal("receipts are read for nobody")
		}
		wms := policy.Silence{Owner: "wms", Heartbeat: 60 * minute, Then: inventory.SilenceZero}
		gone := policy.Silence{Owner: "gone", Heartbeat: 60 * minute, Then: inventory.SilenceZero}
		publish(t, tp.codecs, p, 2, wms, gone)
		time.Sleep(91 * time.Minute)
		if got := silentAt(s, p); got != "wms gone" || !slices.Equal(tp.readers(), []bool{false}) {
			t.Errorf("%q is silent by %v", got, tp.readers())
		}
		tp.says("wms", time.Now())
		// erp spoke longer ago than has been read: until it has, nobody calls it silent.
		publish(t, tp.codecs, p, 3, wms, gone, policy.Silence{Owner: "erp", Heartbeat: 300 * minute, Then: inventory.SilenceZero})
		for range 8 {
			time.Sleep(10 * time.Minute)
			if got := silentAt(s, p); got != "gone" {
				t.Errorf("while more is read %q is silent", got)
			}
			tp.says("wms", time.Now())
		}
		time.Sleep(20 * time.Minute)
		if h := s.Heard("erp"); h.At == 0 || !slices.Equal(tp.readers(), []bool{true, false}) {
			t.Errorf("erp was heard %+v by %v", h, tp.readers())
		}
		if got := silentAt(s, p); got != "gone erp" {
			t.Errorf("%q is silent", got)
		}
		// What is read is enough for less.
		publish(t, tp.codecs, p, 4, wms)
		time.Sleep(time.Minute)
		if !slices.Equal(tp.readers(), []bool{true, false}) {
			t.Error("less was read anew")
		}
		publish(t, tp.codecs, p, 5)
		time.Sleep(time.Minute)
		if !slices.Equal(tp.readers(), []bool{true, true}) || s.Heard("wms").At != 0 {
			t.Error("receipts are read for nobody")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestATableThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := &topic{t: t, codecs: event.TestCodecs()}
		p := current.New(tp.codecs, rules(t, 1, policy.Silence{Owner: "wms", Heartbeat: minute, Then: inventory.SilenceHold}), quiet())
		s, err := New(Config{Codecs: tp.codecs, Policies: p, Now: time.Now, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		s.table = func(since time.Time, apply func(*stream.Record) error) (table, error) {
			f := tp.open(since, apply)
			f.fail <- boom
			return f, nil
		}
		if err := s.Run(context.Background()); !errors.Is(err, boom) {
			t.Errorf("it goes on: %v", err)
		}
	})
}

// gauges are the metrics by owner.
func gauges(t *testing.T, s *Sources) map[string]float64 {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(s); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "test_owner_heard_seconds" {
			t.Errorf("metric %s", f.GetName())
		}
		for _, m := range f.GetMetric() {
			out[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return out
}

// lines are log lines.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) count(has ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for _, line := range l.all {
		for _, h := range has {
			if !strings.Contains(line, h) {
				continue next
			}
		}
		n++
	}
	return n
}
