package linear

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/reserve"
	"github.com/stockweave/stockweave/pkg/stream"
)

// longest is how long an item's history may be: checking a longer one takes too long.
const longest = 5000

// A history is every request event that was appended, by when it was called and when
// its answer was heard. It is safe for concurrent use.
type history struct {
	codecs *event.Codecs
	began  time.Time

	mu      sync.Mutex
	ops     map[string]*op // by event id
	open    int            // without an answer
	twice   int            // answered more often than appended
	retried map[string]bool
}

// op is an event and its answer.
type op struct {
	ev         *inventory.Event
	call, back int64 // ns
	appended   int
	heard      int
	at         inventory.Instant // ledger time
	lines      []inventory.AnswerLine
	offset     int64
	said       reserve.Answer
}

func newHistory(codecs *event.Codecs) *history {
	return &history{codecs: codecs, began: time.Now(), ops: map[string]*op{}, retried: map[string]bool{}}
}

// watched appends, and notes what.
type watched struct {
	*stream.Producer
	h *history
}

func (w watched) Produce(ctx context.Context, recs ...*stream.Record) error {
	for _, rec := range recs {
		if err := w.h.called(rec); err != nil {
			return err
		}
	}
	return w.Producer.Produce(ctx, recs...)
}

func (h *history) called(rec *stream.Record) error {
	var ev inventory.Event
	if err := h.codecs.DecodeEvent(rec.Value, &ev); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.ops[ev.ID]
	if o == nil {
		o = &op{ev: &ev, call: time.Since(h.began).Nanoseconds()}
		h.ops[ev.ID] = o
		h.open++
	}
	o.appended++
	if strings.HasPrefix(ev.Document.Line, "again/") {
		h.retried[ev.Document.Revision] = true
	}
	return nil
}

func (h *history) heard(a *event.Answered) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.ops[a.EventID]
	if o == nil {
		return
	}
	if o.heard++; o.heard > o.appended {
		h.twice++
	}
	if o.heard > 1 {
		return
	}
	h.open--
	o.back, o.at, o.offset = time.Since(h.began).Nanoseconds(), a.RecordedAt, a.Offset
	o.said, o.lines = reserve.Of(&a.Answer), a.Answer.Lines
}

func (h *history) unanswered() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// within is the part of an operation's time in which the log had its event, by the log's
// own clock, which is this machine's: whatever order explains the shorter ones explains
// the whole ones, and there are far fewer to try.
func (h *history) within(o *op) (call, back int64) {
	from := (int64(o.at) - h.began.UnixMilli()) * int64(time.Millisecond)
	from -= int64(h.began.Nanosecond()) % int64(time.Millisecond)
	call, back = max(o.call, from), min(o.back, from+int64(time.Millisecond)-1)
	if call > back { // the clocks say otherwise
		return o.call, o.back
	}
	return call, back
}

// items are the operations of each item, by when they were called.
func (h *history) items() map[inventory.Key][]porcupine.Operation {
	all := map[inventory.Key][]porcupine.Operation{}
	for _, o := range h.ops {
		k := o.ev.Key
		call, back := h.within(o)
		all[k] = append(all[k], porcupine.Operation{Input: o.ev, Call: call, Output: heard{o.at, o.said, o.lines, o.offset}, Return: back})
	}
	for _, ops := range all {
		slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	}
	return all
}

// heard is when the log had an event, and the answer.
type heard struct {
	at     inventory.Instant
	answer reserve.Answer
	lines  []inventory.AnswerLine
	offset int64 // not looked at by the model
}

// model is the naive model of an item with some stock, as porcupine takes it. What is
// granted must be granted at its locations, too: a wrong order that only these show would
// be found much later, after too many others.
func model(p reserve.Policy, stock []*inventory.Event) porcupine.Model {
	return porcupine.Model{
		Init: func() any {
			m := reserve.New(p)
			for _, ev := range stock {
				m.Step(ev)
			}
			return m
		},
		Step: func(state, input, output any) (bool, any) {
			m, out := state.(*reserve.Model).Clone(), output.(heard)
			m.Step(&inventory.Event{RecordedAt: out.at}) // what is over then is over first
			claimed := map[inventory.Location]inventory.Quantity{}
			for _, at := range p.Ranks {
				claimed[at] = m.Reserved(at)
			}
			ev := *input.(*inventory.Event)
			ev.RecordedAt = out.at
			if m.Step(&ev) != out.answer {
				return false, m
			}
			// No reservation is tried while it holds something.
			if r := ev.Reservation; r.Action == inventory.Try && len(r.Lines) > 0 {
				for _, l := range out.lines {
					claimed[l.Location] += l.Quantity
				}
				for at, q := range claimed {
					if m.Reserved(at) != q {
						return false, m
					}
				}
			}
			return true, m
		},
		Equal: func(a, b any) bool { return a.(*reserve.Model).Equal(b.(*reserve.Model)) },
		DescribeOperation: func(input, output any) string {
			r := input.(*inventory.Event).Reservation
			return fmt.Sprintf("%s %s %+v: %+v", r.Action, r.ID[:4], r.Lines, output)
		},
	}
}

// check makes sure that every item's history can be explained, and that one with an
// answer that could not have been given cannot.
func (h *history) check(t *testing.T, m func(inventory.Key) porcupine.Model, limit time.Duration) (most int) {
	t.Helper()
	began := time.Now()
	all := h.items()
	wrong := false
	for k, ops := range all {
		most = max(most, len(ops))
		if len(ops) > longest {
			t.Errorf("%s has a history of %d", k, len(ops))
			continue
		}
		if got := porcupine.CheckOperationsTimeout(m(k), ops, max(time.Second, limit-time.Since(began))); got != porcupine.Ok {
			t.Errorf("%s: %d operations: %s", k, len(ops), got)
			inLog(t, m(k), ops)
		}
	}
	for k, ops := range all {
		if wrong = wrong || madeUp(t, m(k), ops); wrong {
			break
		}
	}
	if !wrong {
		t.Error("no history has a denial early enough to make up another answer")
	}
	return most
}

// inLog says where in the order of the log an answer is another one than the model's.
func inLog(t *testing.T, m porcupine.Model, ops []porcupine.Operation) {
	t.Helper()
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Output.(heard).offset - b.Output.(heard).offset) })
	state := m.Init()
	for i, o := range ops {
		ok, next := m.Step(state, o.Input, o.Output)
		if !ok {
			ev := o.Input.(*inventory.Event)
			x := *ev
			x.RecordedAt = o.Output.(heard).at
			t.Errorf("%s, operation %d of %d in the log: %s; the model says %+v", ev.Key, i, len(ops),
				m.DescribeOperation(o.Input, o.Output), state.(*reserve.Model).Clone().Step(&x))
			return
		}
		state = next
	}
}

// madeUp gives one early try more than there is, and wants that to be found. The rest of
// the history is left out, since every order of what stands before is tried; it is cut
// where nothing is under way.
func madeUp(t *testing.T, m porcupine.Model, ops []porcupine.Operation) bool {
	t.Helper()
	denied := slices.IndexFunc(ops, func(o porcupine.Operation) bool {
		return o.Output.(heard).answer.Verdict == inventory.VerdictDenied && o.Input.(*inventory.Event).Reservation.Action == inventory.Try
	})
	var end int64
	for i, o := range ops {
		if denied >= 0 && i > denied && o.Call > end {
			ops = ops[:i]
			break
		}
		end = max(end, o.Return)
	}
	if denied < 0 || len(ops) > 300 {
		return false
	}
	if got := porcupine.CheckOperationsTimeout(m, ops, 10*time.Second); got != porcupine.Ok {
		t.Errorf("the first %d operations: %s", len(ops), got)
	}
	ops = slices.Clone(ops)
	ops[denied].Output = heard{at: ops[denied].Output.(heard).at, answer: reserve.Answer{Verdict: inventory.Granted, Granted: 1000 * inventory.One}}
	got := porcupine.CheckOperationsTimeout(m, ops, 5*time.Second)
	if got == porcupine.Ok {
		t.Errorf("with one answer of %d made up: %s", len(ops), got)
	}
	return got == porcupine.Illegal // else it took too long: another item's may not
}
