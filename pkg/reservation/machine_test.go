package reservation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	. "github.com/stockweave/stockweave/pkg/reservation"
)

const (
	start  = inventory.Instant(1_790_000_000_000)
	jitter = inventory.Instant(7)
)

func key(item string) inventory.Key {
	return inventory.Key{Entity: "acme", Item: inventory.Item(item)}
}

// requestFor is a request of one unit of each item.
func requestFor(hold inventory.Instant, items ...string) Request {
	r := Request{ID: ID("web", "k1"), Run: "r1", Partner: "web", Source: "api", Hold: hold, ReplyTo: 3}
	for _, it := range items {
		r.Lines = append(r.Lines, Line{Key: key(it), ReservationLine: inventory.ReservationLine{Line: "1", Quantity: inventory.One}})
	}
	return r
}

// script plays a machine by words: what happens, and what the machine then does. An
// event is named "try b", or "again b" in the second attempt.
type script struct {
	t    *testing.T
	m    *Machine
	now  inventory.Instant
	sent map[string]*inventory.Event
	last Output
}

func newScript(t *testing.T, r Request) *script {
	t.Helper()
	m, err := NewMachine(r, DefaultTerms())
	if err != nil {
		t.Fatal(err)
	}
	return &script{t: t, m: m, now: start, sent: map[string]*inventory.Event{}}
}

func (s *script) does(out Output) string {
	s.last = out
	var words []string
	for _, ev := range out.Append {
		step, _, _ := strings.Cut(ev.Document.Line, "/")
		name := step + " " + string(ev.Key.Item)
		s.sent[name] = ev
		words = append(words, name)
	}
	if out.Reply != nil {
		words = append(words, strings.TrimSpace("reply "+out.Reply.Status.String()+" "+string(out.Reply.Code)))
	}
	if out.Done {
		words = append(words, "done")
	}
	return strings.Join(words, ", ")
}

// happens is one thing: "start", "pass", "off", "ack X", "fail X", or an answer to X:
// "granted X", "denied X" and so on.
func (s *script) happens(what string) string {
	s.t.Helper()
	word, name, _ := strings.Cut(what, " ")
	switch word {
	case "start":
		return s.does(s.m.Start(s.now, jitter))
	case "pass":
		return s.does(s.m.Pass(s.now))
	case "off":
		return s.does(s.m.CallOff(s.now))
	}
	ev := s.sent[name]
	if ev == nil {
		s.t.Fatalf("%q was not appended", name)
	}
	switch word {
	case "ack":
		return s.does(s.m.Acked(s.now, ev.ID))
	case "fail":
		return s.does(s.m.Failed(s.now, ev.ID))
	}
	a := event.Answered{Key: ev.Key, EventID: ev.ID, Outcome: inventory.Denied, Answer: inventory.Answer{
		Reservation: ev.Reservation.ID, Action: ev.Reservation.Action, Code: inventory.Code(word),
	}}
	switch word {
	case "granted":
		a.Outcome, a.Answer.Verdict, a.Answer.Code, a.Answer.ExpiresAt = inventory.Applied, inventory.Granted, "", ev.Reservation.ExpiresAt
		a.Answer.Lines = []inventory.AnswerLine{{Line: "1", Location: "DC1", Quantity: inventory.One}}
	case "confirmed":
		a.Outcome, a.Answer.Verdict, a.Answer.Code = inventory.Applied, inventory.Confirmed, ""
	case "denied":
		a.Answer.Verdict, a.Answer.Available = inventory.VerdictDenied, 5
	case "contended":
		a.Answer.Verdict = inventory.Contended
	case "cancelled":
		a.Answer.Verdict = inventory.VerdictCancelled
	case "lapsed":
		a.Answer.Verdict = inventory.Lapsed
	case "parked":
		a.Outcome = inventory.Parked
	default:
		s.t.Fatalf("%q is not known", what)
	}
	return s.does(s.m.Answered(s.now, &a))
}

// Each line is what happens, at "+ms" since the start, and what is done about it.
func TestRunsOfARequest(t *testing.T) {
	const kept, held = 0, start + 60_000
	for _, c := range []struct {
		name  string
		hold  inventory.Instant
		items string
		lines string
	}{
		{"granted when all confirms are acked", kept, "b a", `
			start: try a, try b
			granted b:
			ack try a:
			granted a: confirm a, confirm b
			ack confirm a:
			ack confirm b: reply granted, done`},
		{"an answer says that it stands on the log", kept, "a b", `
			start: try a, try b
			granted a:
			granted b: confirm a, confirm b
			confirmed a:
			confirmed b: reply granted, done`},
		{"one item held for a time is one decision", held, "a", `
			start: try a
			granted a: reply granted, done`},
		{"one item that is kept is confirmed", kept, "a", `
			start: try a
			granted a: confirm a
			ack confirm a: reply granted, done`},
		{"denied: all is given back, the unanswered too, and the refused is not", kept, "a b c", `
			start: try a, try b, try c
			granted a:
			denied b: cancel a, cancel c, reply denied denied
			granted c:
			ack cancel a:
			ack cancel c: done`},
		{"contended: give back, pause, once more in the order of keys", kept, "b a", `
			start: try a, try b
			granted b:
			contended a: release b
			+6 ack release b:
			+7 pass: again a
			+7 granted again a: again b
			+7 granted again b: confirm a, confirm b
			+7 ack confirm a:
			+7 ack confirm b: reply granted, done`},
		{"nothing is tried again before what was granted is given back", kept, "a b", `
			start: try a, try b
			contended a: release b
			+7 pass:
			+9 granted b:
			+9 ack release b: again a`},
		{"contended again: denied", kept, "a b", `
			start: try a, try b
			granted b:
			contended a: release b
			ack release b:
			+7 pass: again a
			+7 granted again a: again b
			+7 contended again b: cancel a, reply contended contended
			+8 ack cancel a: done`},
		{"one item contended has nothing to give back", kept, "a", `
			start: try a
			contended a:
			+7 pass: again a
			+7 contended again a: reply contended contended, done`},
		{"an answer to the first attempt is none to the second", kept, "a b", `
			start: try a, try b
			contended a: release b
			ack release b:
			+7 pass: again a
			+7 granted b:
			+7 denied again a: cancel b, reply denied denied
			+8 ack cancel b: done`},
		{"what was not given back in time is cancelled", kept, "a b", `
			start: try a, try b
			granted b:
			contended a: release b
			+7 pass:
			+25000 pass: cancel b
			+25001 ack release b:
			+25001 ack cancel b: reply cancelled unanswered, done`},
		{"too late to confirm: nothing is said before all is given back", kept, "a b", `
			start: try a, try b
			granted a:
			granted b: confirm a, confirm b
			+100 ack confirm a:
			+25000 ack confirm b: cancel a, cancel b
			+25001 ack cancel a:
			+25002 ack cancel b: reply cancelled unanswered, done`},
		{"just in time", kept, "a b", `
			start: try a, try b
			granted a:
			granted b: confirm a, confirm b
			+100 ack confirm a:
			+24999 ack confirm b: reply granted, done`},
		{"unanswered", kept, "a b", `
			start: try a, try b
			granted a:
			+25000 pass: cancel a, cancel b
			+25001 granted b:
			+25001 ack cancel b:
			+25002 ack cancel a: reply cancelled unanswered, done`},
		{"a confirm that lapsed", kept, "a b", `
			start: try a, try b
			granted a:
			granted b: confirm a, confirm b
			ack confirm a:
			lapsed b: cancel a, cancel b
			ack confirm b:
			ack cancel a:
			ack cancel b: reply cancelled lapsed, done`},
		{"what is not decided is given back", kept, "a", `
			start: try a
			parked a: cancel a, reply denied parked
			ack cancel a: done`},
		{"cancelled before its try", kept, "a b", `
			start: try a, try b
			cancelled a: cancel b
			ack cancel b: reply cancelled cancelled, done`},
		{"what fails is appended again, as long as it is needed", kept, "a b", `
			start: try a, try b
			fail try a:
			+199 pass:
			+200 pass: try a
			+200 fail try a:
			+300 denied b: cancel a, reply denied denied
			+301 fail cancel a:
			+399 pass:
			+400 pass: cancel a
			+401 ack cancel a: done`},
		{"called off", kept, "a b", `
			start: try a, try b
			granted a:
			off: cancel a, cancel b
			ack cancel a:
			ack cancel b: reply cancelled called_off, done`},
		{"called off when it is granted already", held, "a", `
			start: try a
			granted a: reply granted, done
			off: done`},
		{"no time to hold anything", start + 5000, "a", `
			start: reply cancelled unanswered, done`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, requestFor(c.hold, strings.Fields(c.items)...))
			for line := range strings.Lines(strings.TrimSpace(c.lines)) {
				what, want, _ := strings.Cut(strings.TrimSpace(line), ":")
				want = strings.TrimSpace(want)
				if rest, ok := strings.CutPrefix(what, "+"); ok {
					ms, then, _ := strings.Cut(rest, " ")
					var n int64
					if _, err := fmt.Sscan(ms, &n); err != nil {
						t.Fatal(err)
					}
					s.now, what = start+inventory.Instant(n), then
				}
				// answers are named by the item alone
				if word, rest, ok := strings.Cut(what, " "); ok && word != "ack" && word != "fail" && !strings.Contains(rest, " ") {
					action := "try "
					if word == "confirmed" || word == "lapsed" {
						action = "confirm "
					}
					what = word + " " + action + rest
				}
				if got := s.happens(what); got != want {
					t.Fatalf("%s: %q, want %q", line, got, want)
				}
			}
			if done := strings.HasSuffix(c.lines, "done"); done != s.last.Done || done != (s.last.Wake == 0) {
				t.Errorf("at the end it waits still: %+v", s.last)
			}
		})
	}
}

// The events say what a ledger, and a run after this one, need to know.
func TestEventsOfARequest(t *testing.T) {
	r := requestFor(start+60_000, "b", "a", "b")
	r.Lines[2].Line = "2"
	s := newScript(t, r)
	s.happens("start")
	try := s.sent["try b"]
	switch rsv := try.Reservation; {
	case len(rsv.Lines) != 2 || rsv.Lines[1].Line != "2":
		t.Errorf("lines %+v", rsv.Lines)
	case !slices.Equal(rsv.Siblings, []inventory.Key{key("a"), key("b")}):
		t.Errorf("siblings %v", rsv.Siblings)
	case rsv.ExpiresAt != start+30_000 || rsv.ReplyTo != 3 || rsv.Partner != "web" || try.Source != "api":
		t.Errorf("try %+v", rsv)
	}
	s.happens("granted try a")
	s.happens("granted try b")
	if at := s.sent["confirm b"].Reservation.ExpiresAt; at != start+60_000 {
		t.Errorf("confirmed until %d", at)
	}
	ids := map[string]string{}
	for name, ev := range s.sent {
		if other, twice := ids[ev.ID]; twice {
			t.Errorf("%q and %q have one id", name, other)
		}
		ids[ev.ID] = name
	}
	late := newScript(t, r)
	late.happens("start")
	late.happens("contended try a")
	late.happens("ack release b")
	late.now += jitter
	late.happens("pass")
	if at := late.sent["again a"].Reservation.ExpiresAt; at != start+30_000 {
		t.Errorf("the second try lapses at %d: which comes last would matter", at)
	}
	if rsv := late.sent["release b"].Reservation; rsv.Action != inventory.Try || len(rsv.Lines) != 0 {
		t.Errorf("released by %+v: it would leave a tombstone", rsv)
	}
	r.Run = "r2"
	again := newScript(t, r)
	again.happens("start")
	if ev := again.sent["try b"]; ev.ID == try.ID || ev.Reservation.ID != try.Reservation.ID {
		t.Errorf("another run has event %s of reservation %s, as this one", ev.ID, ev.Reservation.ID)
	}
	cancels, err := Cancels(r, start)
	if err != nil || len(cancels) != 2 || cancels[1].Key != key("b") || cancels[1].Reservation.ID != r.ID {
		t.Errorf("cancels %v, %v", cancels, err)
	}
}

func TestBadRequests(t *testing.T) {
	for name, change := range map[string]func(*Request){
		"no id":       func(r *Request) { r.ID = "" },
		"no run":      func(r *Request) { r.Run = "" },
		"no lines":    func(r *Request) { r.Lines = nil },
		"no item":     func(r *Request) { r.Lines[0].Key.Item = "" },
		"no quantity": func(r *Request) { r.Lines[0].Quantity = 0 },
		"too many": func(r *Request) {
			for i := range MaxItems {
				r.Lines = append(r.Lines, Line{key(fmt.Sprint(i)), inventory.ReservationLine{Quantity: 1}})
			}
		},
	} {
		r := requestFor(0, "a")
		change(&r)
		if _, err := NewMachine(r, DefaultTerms()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if a, b := Jitter(0), Jitter(0.999999); a != 5 || b != 20 {
		t.Errorf("jitter from %d to %d", a, b)
	}
}
