package reservation_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	. "github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/pkg/stream"
)

// fakeLog is a log with its ledgers: an ack takes 2 ms, an answer 5 ms more.
type fakeLog struct {
	t      *testing.T
	codecs *event.Codecs

	mu      sync.Mutex
	ledgers map[inventory.Key]*inventory.Ledger
	offset  int64
	fails   int           // appends that fail
	halves  int           // appends that fail behind their first record
	late    time.Duration // answers, more than they are
	silent  bool          // no answers
	events  []string
	client  *Client
}

func newFakeLog(t *testing.T, items ...string) *fakeLog {
	t.Helper()
	f := &fakeLog{t: t, codecs: event.TestCodecs(), ledgers: map[inventory.Key]*inventory.Ledger{}}
	for _, it := range items {
		f.ledgers[key(it)] = inventory.NewLedger(key(it), nothing{})
		d := inventory.Document{Type: "944", Number: it}
		now := inventory.Instant(time.Now().UnixMilli())
		f.apply(&inventory.Event{
			ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: key(it), Source: "wms", Document: d,
			OccurredAt: now, OccurredBasis: inventory.BasisReceipt,
			Movement: &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: 3 * inventory.One},
		})
	}
	var err error
	f.client, err = NewClient(Config{
		Codecs: f.codecs, Log: f, Name: "0@1", Source: "api", ReplyTo: 3, Now: time.Now, Random: func() float64 { return 0.5 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeLog) apply(ev *inventory.Event) *event.Answered {
	ev.RecordedAt = inventory.Instant(time.Now().UnixMilli())
	out, err := f.ledgers[ev.Key].Apply(&inventory.Policy{}, ev, inventory.At{Lineage: 1, Offset: f.offset})
	f.offset++
	if err != nil {
		f.t.Error(err)
	}
	a := &event.Answered{Key: ev.Key, EventID: ev.ID, Outcome: out.Kind}
	if out.Answer != nil {
		a.Answer = *out.Answer
	}
	return a
}

func (f *fakeLog) Produce(_ context.Context, recs ...*stream.Record) error {
	time.Sleep(2 * time.Millisecond)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return errors.New("no leader")
	}
	var fault error
	if f.halves > 0 {
		f.halves--
		recs, fault = recs[:1], errors.New("no leader of the other partitions")
	}
	for _, rec := range recs {
		var ev inventory.Event
		if err := f.codecs.DecodeEvent(rec.Value, &ev); err != nil {
			f.t.Error(err)
		}
		if rec.Topic != event.TopicEvents || string(rec.Key) != ev.Key.String() || !rec.Timestamp.IsZero() {
			f.t.Errorf("%s under %s in %s", ev.Key, rec.Key, rec.Topic)
		}
		a := f.apply(&ev)
		f.events = append(f.events, fmt.Sprint(ev.Reservation.Action, " ", ev.Key.Item))
		if !f.silent {
			time.AfterFunc(5*time.Millisecond+f.late, func() { f.client.Answered(a) })
		}
	}
	return fault
}

func (f *fakeLog) reserved(item string) inventory.Quantity {
	f.mu.Lock()
	defer f.mu.Unlock()
	q, _ := reserved(f.ledgers[key(item)])
	return q
}

func (f *fakeLog) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

func ask(name string, quantity inventory.Quantity, items ...string) Request {
	r := requestFor(0, items...)
	r.ID, r.Run, r.Source, r.ReplyTo = ID("web", name), "", "", 0
	for i := range r.Lines {
		r.Lines[i].Quantity = quantity * inventory.One
	}
	return r
}

func TestClient(t *testing.T) {
	for name, play := range map[string]func(t *testing.T, f *fakeLog){
		"granted, cancelled": func(t *testing.T, f *fakeLog) {
			began := time.Now()
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b"))
			if err != nil || reply.Status != Granted || len(reply.Lines) != 2 || reply.Lines[1].Quantity != 2*inventory.One {
				t.Errorf("%+v, %v", reply, err)
			}
			// try, its answer, and the confirm's ack: nothing else is waited for
			if took := time.Since(began); took != 9*time.Millisecond {
				t.Errorf("it took %s", took)
			}
			if err := f.client.Cancel(t.Context(), ask("1", 2, "a", "b")); err != nil || f.reserved("a") != 0 || f.reserved("b") != 0 {
				t.Errorf("%v, and %v is claimed", err, f.reserved("a"))
			}
		},
		"denied, with nothing left behind": func(t *testing.T, f *fakeLog) {
			if reply, err := f.client.Reserve(t.Context(), ask("1", 3, "b")); err != nil || reply.Status != Granted {
				t.Errorf("%+v, %v", reply, err)
			}
			reply, err := f.client.Reserve(t.Context(), ask("2", 1, "a", "b"))
			if err != nil || reply.Status != Denied || reply.Key != key("b") || reply.Code != inventory.CodeNotEnough {
				t.Errorf("%+v, %v", reply, err)
			}
			synctest.Wait()
			time.Sleep(10 * time.Millisecond)
			if q := f.reserved("a"); q != 0 {
				t.Errorf("%v is claimed", q)
			}
		},
		"asked twice at once": func(t *testing.T, f *fakeLog) {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					if reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a")); err != nil || reply.Status != Granted {
						t.Errorf("%+v, %v", reply, err)
					}
				})
			}
			synctest.Wait()
			if _, err := f.client.Reserve(t.Context(), ask("1", 1, "a")); !errors.Is(err, ErrOther) {
				t.Errorf("another request: %v", err)
			}
			wg.Wait()
			if n := f.count(); n != 2 {
				t.Errorf("%d events, not a try and a confirm", n)
			}
		},
		"a log that fails": func(t *testing.T, f *fakeLog) {
			f.fails = 3
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b"))
			if err != nil || reply.Status != Granted {
				t.Errorf("%+v, %v", reply, err)
			}
		},
		// Whether the first of two stands is not known before its answer comes: until then both
		// are appended again, and the copy changes nothing.
		"a log that takes one of two": func(t *testing.T, f *fakeLog) {
			f.halves, f.late = 1, time.Second
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b"))
			if err != nil || reply.Status != Granted || len(reply.Lines) != 2 || f.reserved("a") != 2*inventory.One || f.reserved("b") != 2*inventory.One {
				t.Errorf("%+v, %v, and %v and %v are claimed", reply, err, f.reserved("a"), f.reserved("b"))
			}
			if got, want := fmt.Sprint(f.events), "[try a try a try b confirm a confirm b]"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		},
		"a log that takes one of two, and answers soon": func(t *testing.T, f *fakeLog) {
			f.halves = 1
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b"))
			if err != nil || reply.Status != Granted || f.reserved("a") != 2*inventory.One || f.reserved("b") != 2*inventory.One {
				t.Errorf("%+v, %v, and %v and %v are claimed", reply, err, f.reserved("a"), f.reserved("b"))
			}
			if got, want := fmt.Sprint(f.events), "[try a try b confirm a confirm b]"; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		},
		"what cannot be encoded": func(t *testing.T, f *fakeLog) {
			r := ask("1", 2, "a", "b")
			r.Partner = "a\xff"
			if _, err := f.client.Reserve(t.Context(), r); !errors.Is(err, ErrRequest) || f.count() != 0 {
				t.Errorf("%v after %d events", err, f.count())
			}
			r.Partner = ""
			if reply, err := f.client.Reserve(t.Context(), r); err != nil || reply.Status != Granted {
				t.Errorf("the same in words that can be written: %+v, %v", reply, err)
			}
		},
		"a caller who goes away and comes back": func(t *testing.T, f *fakeLog) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := f.client.Reserve(ctx, ask("1", 2, "a")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a"))
			if err != nil || reply.Status != Granted || f.count() != 2 {
				t.Errorf("%+v, %v after %d events", reply, err, f.count())
			}
		},
		"nobody answers": func(t *testing.T, f *fakeLog) {
			f.silent = true
			began := time.Now()
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b"))
			if err != nil || reply.Status != Cancelled || reply.Code != CodeUnanswered || f.reserved("a")+f.reserved("b") != 0 {
				t.Errorf("%+v, %v", reply, err)
			}
			if took := time.Since(began); took != 25*time.Second+2*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		},
		"called off": func(t *testing.T, f *fakeLog) {
			f.silent = true
			go func() {
				time.Sleep(time.Second)
				if err := f.client.Cancel(t.Context(), ask("1", 2, "a", "b")); err != nil {
					t.Error(err)
				}
			}()
			reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b"))
			if err != nil || reply.Status != Cancelled || reply.Code != CodeCalledOff {
				t.Errorf("%+v, %v", reply, err)
			}
			time.Sleep(time.Second)
		},
		"closed": func(t *testing.T, f *fakeLog) {
			f.silent = true
			var wg sync.WaitGroup
			wg.Go(func() {
				if reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a", "b")); err != nil || reply.Code != CodeCalledOff {
					t.Errorf("%+v, %v", reply, err)
				}
			})
			time.Sleep(time.Second)
			if err := f.client.Close(t.Context()); err != nil || f.reserved("a") != 0 {
				t.Errorf("%v, and %v is claimed", err, f.reserved("a"))
			}
			wg.Wait()
			if _, err := f.client.Reserve(t.Context(), ask("2", 1, "a")); !errors.Is(err, ErrClosed) {
				t.Errorf("%v", err)
			}
		},
		"kept, for good": func(t *testing.T, f *fakeLog) {
			r := ask("1", 2, "a", "b")
			r.Hold = inventory.Instant(time.Now().Add(time.Minute).UnixMilli())
			if reply, err := f.client.Reserve(t.Context(), r); err != nil || reply.Status != Granted {
				t.Fatalf("%+v, %v", reply, err)
			}
			reply, err := f.client.Keep(t.Context(), r, 0)
			if err != nil || reply.Status != Granted || len(reply.Lines) != 2 {
				t.Errorf("%+v, %v", reply, err)
			}
			time.Sleep(time.Hour)
			if reply, err := f.client.Keep(t.Context(), r, 0); err != nil || reply.Status != Granted || f.reserved("a") != 2*inventory.One {
				t.Errorf("an hour later: %+v, %v", reply, err)
			}
		},
		"kept when one of them is gone": func(t *testing.T, f *fakeLog) {
			r := ask("1", 2, "a", "b")
			if reply, err := f.client.Reserve(t.Context(), r); err != nil || reply.Status != Granted {
				t.Fatalf("%+v, %v", reply, err)
			}
			one := r
			one.Lines = one.Lines[1:]
			if err := f.client.Cancel(t.Context(), one); err != nil {
				t.Fatal(err)
			}
			reply, err := f.client.Keep(t.Context(), r, 0)
			if err != nil || reply.Status != Cancelled || reply.Key != key("b") || reply.Code != inventory.CodeCancelled || len(reply.Lines) != 0 {
				t.Errorf("%+v, %v", reply, err)
			}
			if q := f.reserved("a"); q != 0 {
				t.Errorf("%v of the other is kept", q)
			}
		},
		"kept before it is answered": func(t *testing.T, f *fakeLog) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			if _, err := f.client.Reserve(ctx, ask("1", 2, "a")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if _, err := f.client.Keep(t.Context(), ask("1", 2, "a"), 0); !errors.Is(err, ErrUnderWay) {
				t.Errorf("%v", err)
			}
		},
		"kept, and nobody answers": func(t *testing.T, f *fakeLog) {
			if reply, err := f.client.Reserve(t.Context(), ask("1", 2, "a")); err != nil || reply.Status != Granted {
				t.Fatalf("%+v, %v", reply, err)
			}
			f.silent = true
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := f.client.Keep(ctx, ask("1", 2, "a"), 0); !errors.Is(err, context.DeadlineExceeded) || f.reserved("a") == 0 {
				t.Errorf("%v, %v is claimed", err, f.reserved("a"))
			}
		},
		"in part": func(t *testing.T, f *fakeLog) {
			r := ask("1", 5, "a")
			r.Partial, r.Hold = true, inventory.Instant(time.Now().Add(time.Minute).UnixMilli())
			reply, err := f.client.Reserve(t.Context(), r)
			if err != nil || reply.Status != Granted || len(reply.Lines) != 1 || reply.Lines[0].Quantity != 3*inventory.One {
				t.Errorf("%+v, %v", reply, err)
			}
			two := ask("2", 5, "a", "b")
			two.Partial = true
			if _, err := f.client.Reserve(t.Context(), two); !errors.Is(err, ErrRequest) {
				t.Errorf("two items in part: %v", err)
			}
		},
		"bad requests": func(t *testing.T, f *fakeLog) {
			if _, err := f.client.Reserve(t.Context(), ask("1", 0, "a")); !errors.Is(err, ErrRequest) || f.count() != 0 {
				t.Errorf("%v after %d events", err, f.count())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeLog(t, "a", "b")
				play(t, f)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := f.client.Close(ctx); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // what is on its way arrives
			})
		})
	}
}

func TestClientNeedsAll(t *testing.T) {
	if _, err := NewClient(Config{}); err == nil {
		t.Error("no error")
	}
}
