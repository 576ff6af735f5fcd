package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

// pages is an adapter that plays what it is told.
type pages struct {
	calls  []time.Time
	answer func(call int, position string) (Page, error)
}

func (p *pages) Begin(end json.RawMessage) (json.RawMessage, error) {
	var at string
	if end != nil && json.Unmarshal(end, &at) != nil {
		return nil, errors.New("no position")
	}
	return json.Marshal(at)
}

func (p *pages) Fetch(_ context.Context, position json.RawMessage) (Page, error) {
	p.calls = append(p.calls, time.Now())
	var at string
	if err := json.Unmarshal(position, &at); err != nil {
		return Page{}, err
	}
	return p.answer(len(p.calls), at)
}

func page(next string, more bool, ids ...string) (Page, error) {
	p := Page{Next: json.RawMessage(`"` + next + `"`), More: more}
	for _, id := range ids {
		p.Records = append(p.Records, Record{ID: id, Version: "1", Body: []byte(`{"id":"` + id + `"}`)})
	}
	return p, nil
}

// log keeps what is appended and what is saved, in order.
type log struct {
	did    []string
	values map[string]string
	fails  int // so many appends
}

func (l *log) Append(_ context.Context, raws []*event.RawMessage) error {
	if l.fails > 0 {
		l.fails--
		return errors.New("away")
	}
	for _, r := range raws {
		l.did = append(l.did, string(r.Body))
	}
	return nil
}

func (l *log) Load(_ context.Context, key string) ([]byte, bool, error) {
	v, ok := l.values[key]
	return []byte(v), ok, nil
}

func (l *log) Save(_ context.Context, key string, value []byte) error {
	if l.values == nil {
		l.values = map[string]string{}
	}
	l.values[key] = string(value)
	if !strings.HasSuffix(key, "/seen") {
		l.did = append(l.did, "saved "+string(value))
	}
	return nil
}

func feed(a Adapter, l *log, p policy.Poll) *Feed {
	return &Feed{
		Source: &policy.Source{Name: "erp", Zone: time.UTC}, Poll: p, Adapter: a, Append: l, Cursors: l, Key: "erp",
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Random: func() float64 { return 0 }, Metrics: NewMetrics(),
	}
}

// play runs a feed for a time of the virtual clock.
func play(t *testing.T, f *Feed, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestCursorFollowsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{fails: 3}
		a := &pages{answer: func(_ int, at string) (Page, error) {
			if at == "" {
				return page("p1", true, "a", "b")
			}
			return page("end", false, "b", "c")
		}}
		play(t, feed(a, l, policy.Poll{}), 30*time.Second)
		want := []string{`{"id":"a"}`, `{"id":"b"}`, `saved {"position":"p1","open":true}`, `{"id":"c"}`, `saved {"position":"end","open":false}`}
		if !slices.Equal(l.did, want) {
			t.Errorf("%q", l.did)
		}
		if len(a.calls) != 2 {
			t.Errorf("%d questions: a page is asked for once, however often the log fails", len(a.calls))
		}
	})
}

func TestGoesOnWhereItDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		died := errors.New("dead")
		a := &pages{answer: func(_ int, at string) (Page, error) {
			switch at {
			case "":
				return page("p1", true, "a")
			case "p1":
				return Page{}, died
			}
			return page("end", false)
		}}
		play(t, feed(a, l, policy.Poll{}), 10*time.Second)
		a.answer = func(_ int, at string) (Page, error) {
			if at != "p1" {
				t.Errorf("it goes on at %q", at)
			}
			return page("end", false, "z")
		}
		play(t, feed(a, l, policy.Poll{}), 10*time.Second)
		if !strings.Contains(l.values["erp"], `"end"`) {
			t.Errorf("%s", l.values["erp"])
		}
		// Another process, another round: what the last saw is not appended again.
		n := len(l.did)
		a.answer = func(int, string) (Page, error) { return page("end", false, "z", "new") }
		play(t, feed(a, l, policy.Poll{}), 10*time.Second)
		if got := l.did[n:]; !slices.Equal(got, []string{`{"id":"new"}`, `saved {"position":"end","open":false}`}) {
			t.Errorf("%q", got)
		}
	})
}

func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		a := &pages{answer: func(call int, _ string) (Page, error) {
			switch {
			case call == 3:
				return Page{}, &Fault{Code: CodeThrottled, RetryAfter: 2 * time.Minute, Err: errors.New("429")}
			case call < 8:
				return Page{}, NewFault(CodeUnreachable, "500")
			}
			return page("end", false)
		}}
		play(t, feed(a, l, policy.Poll{Every: time.Hour, Retry: policy.Retry{First: time.Second, Most: time.Minute, Open: 5}}), 30*time.Minute)
		var waits []time.Duration
		for i := 1; i < len(a.calls); i++ {
			waits = append(waits, a.calls[i].Sub(a.calls[i-1]))
		}
		// It doubles, a Retry-After is kept, and after five in a row it is tried once a minute.
		want := []time.Duration{time.Second, 2 * time.Second, 2 * time.Minute, 8 * time.Second, time.Minute, time.Minute, time.Minute}
		if !slices.Equal(waits, want) {
			t.Errorf("%v", waits)
		}
	})
}

func TestMaintenanceWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The bubble's clock starts at midnight UTC, 19:00 of the day before in New York.
		zone, err := time.LoadLocation("America/New_York")
		if err != nil {
			t.Fatal(err)
		}
		a := &pages{answer: func(int, string) (Page, error) { return page("end", false) }}
		f := feed(a, &log{}, policy.Poll{Every: 30 * time.Minute, Closed: []policy.Closed{{From: "20:00", Until: "23:00"}, {From: "22:00", Until: "01:30"}}})
		f.Source.Zone = zone
		play(t, f, 9*time.Hour-time.Second)
		for _, at := range a.calls {
			if h := at.In(zone).Hour(); h >= 20 || h < 1 || h == 1 && at.In(zone).Minute() < 30 {
				t.Errorf("asked at %s", at.In(zone))
			}
		}
		// 19:00, 19:30, and from 01:30 to 04:00 each half hour.
		if len(a.calls) != 2+5 {
			t.Errorf("%d questions: %v", len(a.calls), a.calls)
		}
	})
}

func TestTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &slow{}
		f := feed(a, &log{}, policy.Poll{Timeout: 5 * time.Second, Every: time.Hour, Retry: policy.Retry{First: time.Second, Most: time.Second}})
		play(t, f, time.Minute-time.Second)
		if a.calls != 10 {
			t.Errorf("%d questions of 5 s, a second between", a.calls)
		}
	})
}

type slow struct{ calls int }

func (s *slow) Begin(json.RawMessage) (json.RawMessage, error) { return json.RawMessage("null"), nil }

func (s *slow) Fetch(ctx context.Context, _ json.RawMessage) (Page, error) {
	s.calls++
	<-ctx.Done()
	return Page{}, ctx.Err()
}

func TestPageLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		a := &pages{answer: func(_ int, at string) (Page, error) {
			return page(map[string]string{"": "x", "x": "y", "y": "x"}[at], true, "of "+at)
		}}
		play(t, feed(a, l, policy.Poll{Every: time.Minute}), 3*time.Minute-time.Second)
		// Each round stops when it comes by a page again, and the next one starts anew.
		if len(a.calls) > 9 {
			t.Errorf("%d questions", len(a.calls))
		}
		if got := len(l.did); got == 0 {
			t.Error("nothing was taken")
		}
	})
}

func TestTooLargeIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		a := &pages{answer: func(int, string) (Page, error) {
			p, err := page("end", false, "small")
			p.Records = append(p.Records, Record{List: "moves", ID: "7", Version: "v", Body: []byte(strings.Repeat("x", 101))})
			return p, err
		}}
		f := feed(a, l, policy.Poll{})
		f.Source.Limits.MaxBytes = 100
		play(t, f, time.Second)
		if want := `{"bytes":101,"id":"7","limit":100,"list":"moves","refused":"too_large","version":"v"}`; len(l.did) != 3 || l.did[1] != want {
			t.Errorf("%q", l.did)
		}
	})
}

func TestRawID(t *testing.T) {
	ids := map[string]bool{}
	for _, parts := range [][]string{{"a", "b"}, {"ab"}, {"a", "b", ""}, {"", "ab"}, {"a", "c"}} {
		id := RawID(parts...)
		if len(id) != 32 || id[12] != '8' || !strings.ContainsRune("89ab", rune(id[16])) {
			t.Errorf("%s is no UUID version 8", id)
		}
		if id != RawID(parts...) {
			t.Error("another id for the same")
		}
		ids[id] = true
	}
	if len(ids) != 5 {
		t.Errorf("%d ids of five", len(ids))
	}
}

func TestSeenIsBounded(t *testing.T) {
	var s seen
	for i := range maxSeen + 100 {
		s.add(RawID(fmt.Sprint(i)))
	}
	s.turn()
	b := s.encode()
	if len(b) > 8*maxSeen {
		t.Fatalf("%d bytes", len(b))
	}
	var again seen
	if err := again.decode(b); err != nil || again.add(RawID(fmt.Sprint(maxSeen+99))) && again.add(RawID("5")) == false {
		t.Errorf("%v", err)
	}
	if again.decode(b[:7]) == nil {
		t.Error("half a hash was read")
	}
}
