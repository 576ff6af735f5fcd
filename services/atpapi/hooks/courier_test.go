package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
)

// posted is an attempt that a receiver saw.
type posted struct {
	after time.Duration // since the first
	id    string
	body  string
}

// door is a receiver that answers as it is told; received once it is told no more.
type door struct {
	began   time.Time
	seen    []posted
	answers []Result
	during  func(n int) // while an attempt is under way
}

func (d *door) Post(_ context.Context, _ *event.Subscription, id string, body []byte) Result {
	if len(d.seen) == 0 {
		d.began = time.Now()
	}
	d.seen = append(d.seen, posted{time.Since(d.began), id, string(body)})
	if d.during != nil {
		d.during(len(d.seen))
	}
	if len(d.answers) == 0 {
		return Result{Status: 204}
	}
	r := d.answers[0]
	d.answers = d.answers[1:]
	return r
}

// rig is a courier with a log and a receiver.
type rig struct {
	*Courier
	door   *door
	saved  []event.Delivery
	buried []event.DeadLetter
	away   atomic.Bool  // the log
	said   bytes.Buffer // in the log of the service
}

func newRig(t *testing.T, d *door, from event.Delivery) *rig {
	t.Helper()
	count, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{door: d}
	cfg := Default()
	sub := &atomic.Pointer[Entry]{}
	sub.Store(&Entry{Subscription: event.Subscription{ID: "s1", Owner: "shop", URL: "https://user:pw@hooks.example/x?token=secret", Epoch: 1}, Offset: 7})
	from.ID, from.Epoch = "s1", 1
	r.Courier = &Courier{sub: sub, d: from, hub: &hubParts{
		cfg: &cfg, poster: d, now: time.Now, log: slog.New(slog.NewTextHandler(&r.said, nil)), count: count, place: func(string) int32 { return 2 },
		save: func(_ context.Context, d *event.Delivery) error {
			if r.away.Load() {
				return errors.New("away")
			}
			r.saved = append(r.saved, *d)
			return nil
		},
		bury: func(_ context.Context, d *event.DeadLetter) error {
			r.buried = append(r.buried, *d)
			return nil
		},
	}}
	return r
}

func (r *rig) last(t *testing.T) event.Delivery {
	t.Helper()
	if len(r.saved) == 0 {
		t.Fatal("nothing was saved")
	}
	return r.saved[len(r.saved)-1]
}

// telling is a batch that says what stands in now.
func telling(now *string, items ...string) *Batch {
	return &Batch{Items: items, From: "from", To: "to", Make: func(bool) (*Message, error) {
		if *now == "" {
			return nil, nil
		}
		return &Message{Type: TypeChanged, Data: map[string]string{"atp": *now}, Says: []byte(*now)}, nil
	}}
}

// TestSchedule: attempts come as the specification's schedule says, a tenth sooner or
// later; then the message is a dead letter and nothing more is sent.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{}
		for range 20 {
			d.answers = append(d.answers, Result{Status: 500, Fault: "status_500"})
		}
		r := newRig(t, d, event.Delivery{Bookmark: "old"})
		says := "5"
		if err := r.Deliver(t.Context(), telling(&says, "A")); !errors.Is(err, ErrStopped) {
			t.Fatalf("%v, want that it is stopped", err)
		}
		want := []time.Duration{
			0, 5 * time.Second, 5*time.Minute + 5*time.Second, 35*time.Minute + 5*time.Second, 2*time.Hour + 35*time.Minute + 5*time.Second,
			7*time.Hour + 35*time.Minute + 5*time.Second, 17*time.Hour + 35*time.Minute + 5*time.Second, 31*time.Hour + 35*time.Minute + 5*time.Second,
			51*time.Hour + 35*time.Minute + 5*time.Second, 75*time.Hour + 35*time.Minute + 5*time.Second,
		}
		if len(d.seen) != len(want) {
			t.Fatalf("%d attempts, want %d", len(d.seen), len(want))
		}
		exact := 0
		for i, w := range want {
			got := d.seen[i].after
			if got < w-w/jitter-time.Second || got > w+w/jitter+time.Second {
				t.Errorf("attempt %d after %v, want about %v", i+1, got, w)
			}
			if got == w {
				exact++
			}
			if d.seen[i].id != d.seen[0].id || d.seen[i].body != d.seen[0].body {
				t.Errorf("attempt %d is another message: %+v", i+1, d.seen[i])
			}
		}
		if exact > 3 {
			t.Errorf("%d attempts came to the moment: there is no jitter", exact)
		}
		if s := r.last(t); s.Stopped != StoppedExhausted || s.Failed != 10 || s.Bookmark != "from" || len(s.Sending) != 1 {
			t.Errorf("it stands at %+v", s)
		}
		if len(r.buried) != 1 {
			t.Fatalf("%d dead letters", len(r.buried))
		}
		l := r.buried[0]
		if l.ID != d.seen[0].id || l.Code != "webhook_exhausted" || l.Topic != event.TopicSubscriptions || l.Partition != 2 || l.Offset != 7 ||
			string(l.Key) != "s1" || string(l.Value) != d.seen[0].body || !strings.Contains(l.Reason, "status_500") {
			t.Errorf("dead letter %+v", l)
		}
		if text := r.said.String(); !strings.Contains(text, "hooks.example") || strings.Contains(text, "pw") || strings.Contains(text, "token") {
			t.Errorf("it is logged as %s", text)
		}
	})
}

// TestGone: 410 is for good, at once.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{answers: []Result{{Status: 410, Fault: faultGone}}}
		r := newRig(t, d, event.Delivery{})
		says := "5"
		if err := r.Deliver(t.Context(), telling(&says, "A")); !errors.Is(err, ErrStopped) || len(d.seen) != 1 {
			t.Errorf("%v after %d attempts", err, len(d.seen))
		}
		if r.since.Load() != 0 {
			t.Error("nothing waits for it any more, and it is counted as not delivered")
		}
		if s := r.last(t); s.Stopped != StoppedGone || len(r.buried) != 1 || r.buried[0].Code != "webhook_gone" {
			t.Errorf("%+v, %d dead letters", s, len(r.buried))
		}
	})
}

// TestRetryAfter: a receiver may ask for a longer wait than the schedule's, not for a
// shorter one, and not for more than a day.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{answers: []Result{
			{Status: 429, Fault: "status_429", After: 90 * time.Second},
			{Status: 503, Fault: "status_503", After: time.Second},
			{Status: 503, Fault: "status_503", After: 1000 * time.Hour},
		}}
		r := newRig(t, d, event.Delivery{})
		says := "5"
		if err := r.Deliver(t.Context(), telling(&says, "A")); err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{90 * time.Second, 5 * time.Minute, 24 * time.Hour} {
			if got := d.seen[i+1].after - d.seen[i].after; got < want-want/jitter || got > want+want/jitter {
				t.Errorf("wait %d was %v, want about %v", i+1, got, want)
			}
		}
	})
}

// TestLatestWins: what is told after a failure is what is so then, under another id where
// it says something else, even when it says again what was said two attempts before.
func TestLatestWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := "5"
		fail := Result{Fault: faultTimeout}
		d := &door{answers: []Result{fail, fail, fail, fail}, during: func(n int) { says = []string{"5", "7", "5", "5", "5", "5"}[n-1] }}
		r := newRig(t, d, event.Delivery{})
		if err := r.Deliver(t.Context(), telling(&says, "A")); err != nil {
			t.Fatal(err)
		}
		var ids, told []string
		for _, p := range d.seen {
			var e struct{ Data map[string]string }
			if err := json.Unmarshal([]byte(p.body), &e); err != nil {
				t.Fatal(err)
			}
			ids, told = append(ids, p.id), append(told, e.Data["atp"])
		}
		if got := strings.Join(told, " "); got != "5 5 7 5 5" {
			t.Fatalf("told %s", got)
		}
		if ids[0] != ids[1] || ids[1] == ids[2] || ids[2] == ids[3] || ids[3] == ids[0] || ids[3] != ids[4] {
			t.Errorf("ids %v", ids)
		}
		if says = "5"; r.Deliver(t.Context(), telling(&says, "A")) != nil || d.seen[5].id == ids[4] {
			t.Error("a further message that says the same has the id of the one before")
		}
	})
}

// TestNothingLeft: when there is nothing to tell any more the message is not sent.
func TestNothingLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := "5"
		d := &door{answers: []Result{{Fault: faultTimeout}}, during: func(int) { says = "" }}
		r := newRig(t, d, event.Delivery{})
		if err := r.Deliver(t.Context(), telling(&says, "A")); err != nil || len(d.seen) != 1 || r.Bookmark() != "to" || r.d.Failed != 0 || r.d.Received != 0 {
			t.Errorf("%v, %d attempts, %+v", err, len(d.seen), r.d)
		}
	})
}

// TestGoesOn: a sender that goes on after another one's end sends what was under way under
// the same id, at the time that was set, and counts on.
func TestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := "5"
		d := &door{answers: []Result{{Fault: faultTimeout}, {Fault: faultTimeout}}}
		ctx, cancel := context.WithCancel(t.Context())
		d.during = func(n int) {
			if n == 2 {
				time.AfterFunc(time.Minute, cancel)
			}
		}
		r := newRig(t, d, event.Delivery{Bookmark: "old"})
		if err := r.Deliver(ctx, telling(&says, "A")); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		at := r.last(t)
		if at.Failed != 2 || at.Bookmark != "from" || fmt.Sprint(at.Sending) != "[A]" || at.Next == 0 {
			t.Fatalf("it stands at %+v", at)
		}
		time.Sleep(time.Minute)
		next := &door{answers: []Result{{Fault: faultTimeout}}}
		other := newRig(t, next, at)
		if err := other.Deliver(t.Context(), telling(&says, "A")); err != nil {
			t.Fatal(err)
		}
		first := next.began.Sub(d.began) - d.seen[1].after
		if first < 270*time.Second || first > 330*time.Second {
			t.Errorf("the third attempt came %v after the second", first)
		}
		if next.seen[0].id != d.seen[0].id || next.seen[1].after < 27*time.Minute {
			t.Errorf("%+v after %+v", next.seen, d.seen)
		}
		// Nothing more is under way: a message that says the same is another one.
		other.Settle(t.Context())
		if s := other.last(t); s.Bookmark != "to" || s.Print != "" || s.Sending != nil || s.Received == 0 || s.Failed != 0 {
			t.Errorf("it stands at %+v", s)
		}
		// What was received and not saved as such is sent again under its id.
		third := &door{}
		again := newRig(t, third, at)
		if err := again.Deliver(t.Context(), telling(&says, "A")); err != nil || third.seen[0].id != d.seen[0].id {
			t.Errorf("%v, %+v", err, third.seen)
		}
	})
}

// TestEnded: an attempt that its sender broke off is none that failed.
func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	d := &door{answers: []Result{{Fault: faultTimeout}}, during: func(int) { cancel() }}
	r := newRig(t, d, event.Delivery{})
	says := "5"
	if err := r.Deliver(ctx, telling(&says, "A")); !errors.Is(err, context.Canceled) || r.d.Failed != 0 || r.d.Next != 0 || len(r.saved) != 1 {
		t.Errorf("%v: it stands at %+v, saved %d times", err, r.d, len(r.saved))
	}
}

// TestSavedBefore: nothing is sent that the log does not have; a log that is away is
// waited for.
func TestSavedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := "5"
		d := &door{}
		r := newRig(t, d, event.Delivery{})
		r.away.Store(true)
		began := time.Now()
		time.AfterFunc(10*time.Second, func() {
			if len(d.seen) > 0 {
				t.Error("it was sent before the log had it")
			}
			r.away.Store(false)
		})
		if err := r.Deliver(t.Context(), telling(&says, "A", "B")); err != nil {
			t.Fatal(err)
		}
		if d.began.Sub(began) < 10*time.Second || len(r.saved) != 1 || r.saved[0].Print == "" || fmt.Sprint(r.saved[0].Sending) != "[A B]" {
			t.Errorf("sent after %v, saved %+v", d.began.Sub(began), r.saved)
		}
	})
}

// TestPassed: a place is passed only while nothing is under way.
func TestPassed(t *testing.T) {
	r := newRig(t, &door{}, event.Delivery{Bookmark: "a"})
	r.Passed("")
	r.Passed("b")
	if r.Bookmark() != "b" {
		t.Error("it was not passed")
	}
	r.Settle(t.Context())
	r.Settle(t.Context())
	if len(r.saved) != 1 || r.saved[0].Bookmark != "b" {
		t.Errorf("saved %+v", r.saved)
	}
	r = newRig(t, &door{}, event.Delivery{Bookmark: "a", Print: "x", Sending: []string{"A"}})
	if r.Passed("b"); r.Bookmark() != "a" {
		t.Error("what is under way was passed over")
	}
}
