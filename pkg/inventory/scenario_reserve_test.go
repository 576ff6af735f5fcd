package inventory_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// parseRequest reads a request: "try PARTNER ID LINES", "confirm PARTNER ID",
// "abandon PARTNER ID", or a tick.
func parseRequest(ev *Event, verb string, rest []string) []string {
	if verb == "tick" {
		ev.Kind, ev.Source = KindTick, "ledger"
		return rest
	}
	ev.Kind, ev.Source = KindReservation, "requests"
	action := map[string]Action{"try": Try, "confirm": Confirm, "abandon": Cancel}[verb]
	r := &Reservation{ID: rest[1], Action: action, Partner: rest[0], ReplyTo: -1}
	ev.Reservation = r
	if verb != "try" {
		return rest[2:]
	}
	r.ExpiresAt, _ = clock("23:00")
	if rest[2] != "-" {
		for part := range strings.SplitSeq(rest[2], ",") {
			r.Lines = append(r.Lines, parseRequestLine(part))
		}
	}
	return rest[3:]
}

// parseRequestLine reads "5", "5@DC1" or "A:5@DC1".
func parseRequestLine(s string) ReservationLine {
	var l ReservationLine
	if name, q, ok := strings.Cut(s, ":"); ok {
		l.Line, s = name, q
	}
	q, at, _ := strings.Cut(s, "@")
	l.Location = Location(at)
	var err error
	if l.Quantity, err = ParseQuantity(q); err != nil {
		panic(err)
	}
	return l
}

// requestClause reads a clause of a request and says how many words it took.
func requestClause(r *Reservation, word, arg string) int {
	switch word {
	case "partial":
		r.Partial = true
		return 1
	case "siblings":
		for i := range must(strconv.Atoi(arg)) {
			r.Siblings = append(r.Siblings, Key{Entity: "acme", Item: Item("item" + strconv.Itoa(i))})
		}
	case "until":
		at, ok := clock(arg)
		if !ok {
			panic("time " + arg)
		}
		r.ExpiresAt = at
	}
	return 2
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func allLines(r *Reservation, f func(*ReservationLine)) {
	for i := range r.Lines {
		f(&r.Lines[i])
	}
}

func setReservations(t *testing.T, p *ReservationPolicy, words []string) {
	t.Helper()
	number := func(s string) Quantity { return scenarioQuantity(t, s) }
	switch words[0] {
	case "rank":
		r := SourceRank{}
		for name := range strings.SplitSeq(words[1], ",") {
			r.Locations = append(r.Locations, Location(name))
		}
		if len(words) > 3 && words[2] == "channel" {
			r.Channel = words[3]
		}
		p.Ranks = append(p.Ranks, r)
	case "split":
		p.Split = true
	case "cap":
		if words[1] == "partner" {
			p.PartnerCap = number(words[2])
		} else {
			p.ItemCap = number(words[2])
		}
	case "claims":
		p.MaxClaims = int32(number(words[1]) / One)
	case "tombstone": // minutes
		p.Tombstone = Instant(number(words[1])/One) * 60_000
	}
}

// checkAnswer takes the words about an answer out of those expected: "grants LINES",
// "could N", "lapses LINES".
func checkAnswer(want []string, out *Outcome) ([]string, string) {
	say := func(lines []AnswerLine) string {
		var parts []string
		for _, l := range lines {
			s := l.Quantity.String() + "@" + string(l.Location)
			if l.Line != "" {
				s = l.Line + ":" + s
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ",")
	}
	for _, word := range []string{"grants", "could", "lapses"} {
		i := slices.Index(want, word)
		if i < 0 {
			continue
		}
		arg := want[i+1]
		var got string
		want = slices.Delete(slices.Clone(want), i, i+2)
		switch {
		case word == "lapses":
			var lines []AnswerLine
			for _, l := range out.Lapsed {
				lines = append(lines, AnswerLine{l.Reservation + l.Line, l.Location, l.Quantity})
			}
			got = say(lines)
		case out.Answer == nil:
			return want, "there is no answer"
		case word == "grants":
			got = say(out.Answer.Lines)
		default:
			got = out.Answer.Available.String()
		}
		if got != arg {
			return want, fmt.Sprintf("%s %s, answer %+v", word, got, out.Answer)
		}
	}
	return want, ""
}

// checkReserved compares the book of the ledger, and how a reservation stands.
func checkReserved(g *log, words []string) string {
	b := g.ledger.Book()
	switch words[0] {
	case "claims":
		if got := strconv.Itoa(int(b.Lines)); got != words[1] {
			return got + " lines have an open claim"
		}
	case "expires":
		at, ok := clock(words[1])
		if !ok && words[1] != "never" || b.ExpiresAt != at {
			return fmt.Sprintf("the first of %d expires at %d", b.Tentative, b.ExpiresAt)
		}
	case "held": // held ID STATE
		if !g.reload {
			return ""
		}
		var states []string
		g.mem.Lines(func(ln *Line) bool {
			if ln.Held != nil && ln.Held.Reservation == words[1] {
				states = append(states, string(ln.Held.State))
			}
			return true
		})
		slices.Sort(states)
		if got := strings.Join(states, ","); got != words[2] {
			return "held " + got
		}
	}
	return ""
}
