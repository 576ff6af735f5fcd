package atp

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// decreed is one policy for all versions.
type decreed struct{ policy *inventory.Policy }

func (d decreed) Ledger(int64, string) (*inventory.Policy, error) { return d.policy, nil }

// oneKey is a worker that owns one key. Every event is a transaction, which the test
// commits or aborts.
type oneKey struct {
	t    *testing.T
	key  inventory.Key
	proc *processor
	st   *stream.State
	next int64 // offset
}

const oneKeyAt = inventory.Instant(1_790_000_000_000)

func newOneKey(t *testing.T, k inventory.Key, p inventory.Policy) *oneKey {
	t.Helper()
	codecs := event.TestCodecs()
	w := &oneKey{t: t, key: k, st: stream.NewState(k.String()), proc: &processor{codecs: codecs, policies: decreed{&p}}}
	w.proc.remind = w.restored()
	return w
}

// decide steps and flushes an event of the key, and gives its outcome.
func (w *oneKey) decide(at inventory.Instant, ev *inventory.Event) (decided inventory.Outcome) {
	w.t.Helper()
	ev.Key = w.key
	value, err := w.proc.codecs.AppendEvent(nil, ev)
	if err != nil {
		w.t.Fatal(err)
	}
	emit := func(r *stream.Record) {
		if r.Topic != event.TopicOutcomes || decided.EventID != "" {
			return
		}
		if err := w.proc.codecs.DecodeOutcome(r.Value, &decided); err != nil {
			w.t.Fatal(err)
		}
	}
	rec := &stream.Record{Key: []byte(w.key.String()), Value: value, Offset: w.next, Timestamp: time.UnixMilli(int64(at))}
	w.next++
	if err := w.proc.Step(stream.Input{Record: rec, Lineage: 1, Header: &stream.Header{Lineage: 1}}, w.st, emit); err != nil {
		w.t.Fatal(err)
	}
	if err := w.proc.Flush(w.st, emit); err != nil {
		w.t.Fatal(err)
	}
	return decided
}

// commit decides events at one time, and each is kept.
func (w *oneKey) commit(at inventory.Instant, evs ...*inventory.Event) {
	w.t.Helper()
	for _, ev := range evs {
		w.decide(at, ev)
		w.st.Merge()
		w.proc.remind.Settled(true)
	}
}

// divert decides an event whose transaction aborts and which goes to the dead letters.
func (w *oneKey) divert(at inventory.Instant, ev *inventory.Event) {
	w.t.Helper()
	w.decide(at, ev)
	w.st.Drop()
	w.proc.remind.Settled(false)
}

// ticks lets the ticks that are due at a time reach the log, and says how many.
func (w *oneKey) ticks(at inventory.Instant) int {
	w.t.Helper()
	due := w.proc.remind.due(at)
	for i := range due {
		ev := due[i].tick(at)
		if o := w.decide(at, &ev); o.Kind == inventory.Rejected {
			w.t.Errorf("a tick is rejected: %v %s", o.Codes, o.Detail)
		}
		w.st.Merge()
	}
	return len(due)
}

// restored are the reminders of a worker that reads the state.
func (w *oneKey) restored() *reminders {
	r := newReminders(w.proc.codecs, slog.New(slog.DiscardHandler))
	r.Owned(0, w.st.Each)
	return r
}

func (w *oneKey) wantWaiting(what string, r *reminders, want int) {
	w.t.Helper()
	if n := r.waiting(); n != want {
		w.t.Errorf("%s: %d keys wait, want %d", what, n, want)
	}
}

func (w *oneKey) wantFrozen(what string, r *reminders, want int) {
	w.t.Helper()
	if n, _ := r.oldest(); n != want {
		w.t.Errorf("%s: %d keys are frozen, want %d", what, n, want)
	}
}

func tryUntil(until inventory.Instant) *inventory.Event {
	return request("R1", inventory.Reservation{
		ID: "R1", Action: inventory.Try, Partner: "web", ReplyTo: -1, ExpiresAt: until,
		Lines: []inventory.ReservationLine{{Line: "1", Location: "DC1", Quantity: inventory.One}},
	})
}

// release is an operator's word on one event that waits, or on the key.
func release(number string, kind inventory.ReleaseKind, of string) *inventory.Event {
	e := receipt(number, 1)
	e.Document.Type, e.Source, e.Kind, e.Movement = "approval", "console", inventory.KindApproval, nil
	e.ID = event.EventID("console", e.Document)
	e.Approval = &inventory.Approval{Event: of, Release: kind, Author: "ann", Reason: "cleared"}
	return e
}

// A tick is an event of any key that can have claims, however long its name.
func TestTicksReachAKeyWithALongName(t *testing.T) {
	w := newOneKey(t, inventory.Key{Entity: "acme", Item: inventory.Item(strings.Repeat("x", 251))}, inventory.Policy{})
	w.commit(oneKeyAt, receipt("N1", 10*inventory.One), tryUntil(oneKeyAt+1000))
	w.wantWaiting("before", w.proc.remind, 1)
	if n := w.ticks(oneKeyAt + 10_000); n != 1 {
		t.Errorf("%d ticks", n)
	}
	w.wantWaiting("lapsed", w.proc.remind, 0)
}

// A try that was flushed and then diverted has claimed nothing: the first tick finds
// that out, and is the last.
func TestDivertedTryIsNotRemindedOfForEver(t *testing.T) {
	w := newOneKey(t, keyOf(1), inventory.Policy{})
	w.commit(oneKeyAt, receipt("N1", 10*inventory.One))
	w.divert(oneKeyAt, tryUntil(oneKeyAt+1000))
	w.ticks(oneKeyAt + 10_000)
	w.wantWaiting("after a tick", w.proc.remind, 0)
	if n := w.ticks(oneKeyAt + 20_000); n != 0 {
		t.Errorf("%d more ticks", n)
	}
}

// frozenKey has one event that waits and, being able to keep no second, is frozen.
func frozenKey(t *testing.T) *oneKey {
	t.Helper()
	w := newOneKey(t, keyOf(1), inventory.Policy{Limits: inventory.LimitPolicy{Parked: 1}})
	w.commit(oneKeyAt, receipt("N1", 10*inventory.One), reversal("V1", "R1", inventory.One), reversal("V2", "R2", inventory.One))
	w.wantFrozen("at first", w.proc.remind, 1)
	return w
}

// A key that takes events again is not counted as frozen, though its ledger was
// evicted or the worker restarted in between.
func TestThawedKeyIsNotCountedFrozen(t *testing.T) {
	w := frozenKey(t)
	w.st.SetObject(nil) // evicted
	w.commit(oneKeyAt, release("A1", inventory.ReleaseDrop, ""))
	w.wantFrozen("thawed after an eviction", w.proc.remind, 0)

	w = frozenKey(t)
	w.st.SetObject(nil)
	w.proc.remind = w.restored()
	w.wantFrozen("after a restart", w.proc.remind, 1)
	w.commit(oneKeyAt, release("A1", inventory.ReleaseDrop, ""))
	w.wantFrozen("thawed after a restart", w.proc.remind, 0)
}

// What was flushed and then diverted neither froze the key nor thawed it: its next
// event says so.
func TestDivertedFreezeIsNotCounted(t *testing.T) {
	w := newOneKey(t, keyOf(1), inventory.Policy{Limits: inventory.LimitPolicy{Parked: 1}})
	w.commit(oneKeyAt, receipt("N1", 10*inventory.One), reversal("V1", "R1", inventory.One))
	w.divert(oneKeyAt, reversal("V2", "R2", inventory.One))
	w.commit(oneKeyAt, receipt("N2", inventory.One))
	w.wantFrozen("never frozen", w.proc.remind, 0)

	w = frozenKey(t)
	w.divert(oneKeyAt, release("A1", inventory.ReleaseDrop, ""))
	w.commit(oneKeyAt, receipt("N2", inventory.One))
	w.wantFrozen("never thawed", w.proc.remind, 1)
}

// An event behind one that waits for a person waits for its order too, and time alone
// decides when that has not come: a worker that restarts knows.
func TestOwnedFindsWaitsAmongWhatIsParked(t *testing.T) {
	w := newOneKey(t, keyOf(1), inventory.Policy{Origins: []inventory.Source{"shop"}, Lines: inventory.LinePolicy{LinkWait: 30_000}})
	first := reversal("V1", "R1", inventory.One)
	behind := receipt("V1", 1) // of the same document
	behind.Document.Type, behind.Document.Line = "reversal", "2"
	behind.ID = event.EventID("wms", behind.Document)
	behind.Kind, behind.Movement = inventory.KindDemand, nil
	behind.Refs = []inventory.Ref{{Issuer: "shop", Type: "order", Number: "7"}}
	behind.Demand = &inventory.Demand{Stage: inventory.Ordered, Location: "DC1", Quantity: inventory.One}
	w.commit(oneKeyAt, receipt("N1", 10*inventory.One), first, behind, release("A1", inventory.ReleaseDrop, first.ID))
	w.wantWaiting("before a restart", w.proc.remind, 1)
	w.st.Each(func(key string, _ []byte) bool {
		if _, rest := split(key); strings.HasPrefix(rest, inventory.PieceLine+"|") || strings.HasPrefix(rest, inventory.PieceWaiting+"|") {
			t.Errorf("the state has %s, by which the wait would be found anyway", rest)
		}
		return true
	})
	w.wantWaiting("after it", w.restored(), 1)
}
