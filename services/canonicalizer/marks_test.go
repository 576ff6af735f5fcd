package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// markLog is the log of marks, of two partitions, read by any number of processes.
type markLog struct {
	next    [2]int64
	recs    []*stream.Record
	readers []*marks
	fault   error
}

func (l *markLog) produce(_ context.Context, recs ...*stream.Record) error {
	if l.fault != nil {
		return l.fault
	}
	for _, r := range recs {
		r.Partition = stream.Partition(r.Key, 2)
		r.Offset = l.next[r.Partition]
		l.next[r.Partition]++
		l.recs = append(l.recs, r)
		for _, m := range l.readers {
			if err := m.apply(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// join is a process that has read the log so far.
func (l *markLog) join(t *testing.T, unique *time.Duration) *marks {
	t.Helper()
	src := &policy.Source{Name: "wms", Format: policy.FormatX12, Mapping: "[]", Door: policy.Door{Unique: unique}}
	p, err := program(src)
	if err != nil {
		t.Fatal(err)
	}
	m := newMarks(event.TestCodecs(), map[inventory.Source]*sourceProgram{"wms": p}, l.produce)
	for _, r := range l.recs {
		if err := m.apply(r); err != nil {
			t.Fatal(err)
		}
	}
	l.readers = append(l.readers, m)
	return m
}

// interchange is one of a set with one segment.
func interchange(number int, sender, text string) string {
	return fmt.Sprintf("ISA*00*          *00*          *ZZ*%-15s*ZZ*A              *261102*1015*U*00401*%09d*0*P*>~GS*SW*W*A*20261102*1015*1*X*004010~"+
		"ST*945*0001~W06*N*%s~SE*3*0001~GE*1*1~IEA*1*%09d~", sender, number, text, number)
}

func rawX12(t *testing.T, id, body string, at time.Duration) *stream.Record {
	t.Helper()
	value, err := event.TestCodecs().AppendRaw(nil, &event.RawMessage{ID: id, Source: "wms", Body: []byte(body), ReceivedAt: inventory.Instant(at.Milliseconds())})
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicRaw, Key: []byte("wms|"), Value: value}
}

func (m *marks) ask(t *testing.T, recs ...*stream.Record) string {
	t.Helper()
	refused, err := m.screen(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range recs {
		for _, holder := range refused[r] {
			out = append(out, holder)
		}
	}
	return strings.Join(out, " ")
}

func TestReplayedInterchange(t *testing.T) {
	l := &markLog{}
	a := l.join(t, nil)
	first := rawX12(t, "m1", interchange(7, "W", "1"), 0)
	for range 2 { // again after a crash: the same message
		if got := a.ask(t, first); got != "" {
			t.Errorf("the first is refused: %s", got)
		}
	}
	if len(l.recs) != 1 {
		t.Errorf("%d marks", len(l.recs))
	}
	b := l.join(t, nil) // another replica, or the same after a restart
	for name, m := range map[string]*marks{"who had it": a, "another": b} {
		for _, tc := range []struct{ name, id, body, want string }{
			{"identical", "m2", interchange(7, "W", "1"), ""},
			{"identical, wrapped in lines", "m3", strings.ReplaceAll(interchange(7, "W", "1"), "~", "~\r\n"), ""},
			{"other content", "m4", interchange(7, "W", "2"), "m1"},
			{"other number", "m5-" + name, interchange(8, "W", "1"), ""},
			{"other sender", "m6-" + name, interchange(7, "V", "1"), ""},
			{"a test", "m7-" + name, strings.Replace(interchange(7, "W", "1"), "*P*>", "*T*>", 1), ""},
			{"beside a new one", "m8", interchange(7, "W", "2") + interchange(9, "W", "1"), "m1"},
		} {
			if got := m.ask(t, rawX12(t, tc.id, tc.body, time.Hour)); got != tc.want {
				t.Errorf("%s, %s: refused for %q, want %q", name, tc.name, got, tc.want)
			}
		}
	}
}

// In one batch the first in the log holds, and what could not be marked is not gone
// on with: nothing is lost, and it comes again.
func TestReplayInOneBatchAndFailures(t *testing.T) {
	l := &markLog{}
	a := l.join(t, nil)
	one, two := rawX12(t, "m1", interchange(7, "W", "1"), 0), rawX12(t, "m2", interchange(7, "W", "2"), 0)
	l.fault = errors.New("no broker")
	if _, err := a.screen(t.Context(), []*stream.Record{one, two}); err == nil {
		t.Error("went on without a mark")
	}
	l.fault = nil
	if got := a.ask(t, one, two); got != "m1" {
		t.Errorf("refused for %q", got)
	}
}

// A process that lags behind waits for its own mark, and sees whose came before.
func TestMarksAreReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &markLog{}
		l.join(t, nil).ask(t, rawX12(t, "m1", interchange(7, "W", "1"), 0))
		l.readers = nil
		slow := l.join(t, nil)
		l.readers = nil
		slow.first, slow.read = map[markKey]holding{}, map[int32]int64{}
		ctx, cancel := context.WithCancel(t.Context())
		two := rawX12(t, "m2", interchange(7, "W", "2"), 0)
		var refused map[*stream.Record]map[string]string
		done := false
		go func() {
			var err error
			if refused, err = slow.screen(ctx, []*stream.Record{two}); err != nil {
				t.Error(err)
			}
			done = true
		}()
		synctest.Wait()
		if done {
			t.Fatal("it did not wait")
		}
		if err := slow.apply(l.recs[0]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if done || len(l.recs) != 2 {
			t.Fatal("its own mark is not read yet", done, len(l.recs))
		}
		if err := slow.apply(l.recs[1]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !done || len(refused[two]) != 1 {
			t.Errorf("%v %v", done, refused)
		}
		cancel()
		if err := slow.wait(ctx, []*stream.Record{{Offset: 1 << 40}}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestNumbersAreUniqueForATime(t *testing.T) {
	hour := time.Hour
	l := &markLog{}
	m := l.join(t, &hour)
	for _, tc := range []struct {
		id   string
		at   time.Duration
		text string
		want string
	}{
		{"m1", 0, "1", ""}, {"m2", hour, "2", "m1"}, {"m3", hour + time.Millisecond, "3", ""}, {"m4", hour + 2*time.Millisecond, "1", "m3"},
	} {
		if got := m.ask(t, rawX12(t, tc.id, interchange(7, "W", tc.text), tc.at)); got != tc.want {
			t.Errorf("%s: refused for %q, want %q", tc.id, got, tc.want)
		}
	}
	never := time.Duration(0)
	free := (&markLog{}).join(t, &never)
	for _, text := range []string{"1", "2"} {
		if got := free.ask(t, rawX12(t, text, interchange(7, "W", text), 0)); got != "" {
			t.Errorf("refused for %s", got)
		}
	}
}

func TestMarksAreBounded(t *testing.T) {
	l := &markLog{}
	m := l.join(t, nil)
	m.most = 10
	for i := range 50 {
		m.ask(t, rawX12(t, fmt.Sprint(i), interchange(i+1, "W", "1"), 0))
	}
	if len(m.first) != 10 || len(m.order) != 10 {
		t.Error(len(m.first), len(m.order))
	}
	if got := m.ask(t, rawX12(t, "x", interchange(50, "W", "2"), 0)); got != "49" {
		t.Errorf("the newest is forgotten: %q", got)
	}
}

// A refused interchange is one dead letter a set, with its reason, and its sets are
// not mapped; others of the message are.
func TestReplayIsVisible(t *testing.T) {
	src := &policy.Source{Name: "wms", Format: policy.FormatX12, Mapping: `error("mapped")`, MappingVersion: "1"}
	p, err := program(src)
	if err != nil {
		t.Fatal(err)
	}
	body := interchange(7, "W", "2") + interchange(8, "W", "1")
	raw := &event.RawMessage{ID: "m2", Source: "wms", Body: []byte(body)}
	marked := interchanges(p, raw)
	if len(marked) != 2 {
		t.Fatalf("%+v", marked)
	}
	p.parse = without(p.parse, map[string]string{marked[0].Value: "m1"})
	res, err := canonicalize(t.Context(), p, raw, newMasters())
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Rejected) != 2 || res.Receipt.Lines != 2 || res.Rejected[0].Code != codeReplayed || !strings.Contains(res.Rejected[0].Reason, "message m1") ||
		res.Rejected[1].Code == codeReplayed {
		t.Errorf("%+v", res.Rejected)
	}
}
