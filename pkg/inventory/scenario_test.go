package inventory_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// The language of testdata/*.txt is described in testdata/README.md.

var scenarioKey = Key{Entity: "acme", Item: "shirt"}

const scenarioDay = Day(20_514) // 2026-03-02, "today"

func clock(s string) (Instant, bool) {
	c, err := time.Parse("15:04", s)
	if err != nil {
		return 0, false
	}
	return Instant(int64(scenarioDay)*86_400_000 + int64(c.Hour()*60+c.Minute())*60_000), true
}

type scenario struct {
	name  string
	steps []step
}

// step is one line: an event, an expectation, a policy, or a block to permute.
type step struct {
	line    int
	text    string
	event   *Event
	outcome []string // expected words; empty: applied
	expect  []string
	policy  []string
	block   []step
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		for _, s := range parseScenarios(t, f) {
			t.Run(strings.TrimSuffix(filepath.Base(f), ".txt")+"/"+s.name, func(t *testing.T) {
				for _, run := range orders(s.steps) {
					play(t, f, run, false)
					play(t, f, run, true)
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// orders are all ways to play the steps: every permutation of every block.
func orders(steps []step) [][]step {
	runs := [][]step{nil}
	for _, s := range steps {
		choices := [][]step{{s}}
		if s.block != nil {
			choices = permutations(s.block)
		}
		var next [][]step
		for _, r := range runs {
			for _, c := range choices {
				next = append(next, append(slices.Clone(r), c...))
			}
		}
		runs = next
	}
	return runs
}

func permutations(block []step) [][]step {
	if len(block) <= 1 {
		return [][]step{block}
	}
	var all [][]step
	for i := range block {
		rest := slices.Delete(slices.Clone(block), i, i+1)
		for _, p := range permutations(rest) {
			all = append(all, append([]step{block[i]}, p...))
		}
	}
	return all
}

func play(t *testing.T, file string, steps []step, reload bool) {
	t.Helper()
	g := newLog(t, scenarioKey, reload)
	var order []string
	var sent []Event
	for i, s := range steps {
		switch {
		case s.policy != nil:
			setPolicy(t, &g.policy, s.policy)
		case s.event != nil:
			ev := *s.event
			if ev.RecordedAt == 0 {
				ev.RecordedAt, _ = clock("20:00")
				ev.RecordedAt += Instant(i) * 1000
			}
			order = append(order, fmt.Sprint(s.line))
			out, err := g.append(ev)
			if diff := checkOutcome(s.outcome, &out, err); diff != "" {
				t.Errorf("%s:%d: %s\n%s (lines played: %s, reload %v)", file, s.line, s.text, diff, strings.Join(order, " "), reload)
			}
			if err == nil {
				sent = append(sent, ev)
			}
		default:
			if diff := checkExpectation(g, s.expect); diff != "" {
				t.Errorf("%s:%d: %s\n%s (lines played: %s, reload %v)", file, s.line, s.text, diff, strings.Join(order, " "), reload)
			}
		}
	}
	// Everything once more: nothing changes.
	before, version := g.positions(), g.ledger.Version()
	for _, ev := range sent {
		out, err := g.append(ev)
		if err != nil || out.Kind != Duplicate && out.Kind != Conflict || len(out.Moves) > 0 {
			t.Errorf("%s: sent again, %s %s became %s, %v", file, ev.Kind, ev.Document.Number, out.Kind, err)
		}
	}
	if !reflect.DeepEqual(before, g.positions()) || version != g.ledger.Version() {
		t.Errorf("%s: sending everything again changed the position", file)
	}
	checkBook(t, g, strings.Join(order, " "))
}

func setPolicy(t *testing.T, p *Policy, words []string) {
	t.Helper()
	list := func(s string) (ss []Source) {
		for x := range strings.SplitSeq(s, ",") {
			ss = append(ss, Source(x))
		}
		return ss
	}
	switch words[0] {
	case "origins":
		p.Origins = list(words[1])
	case "limit":
		setLimit(t, &p.Limits, words[1], words[2])
	case "counts", "lines", "lane":
		setCounting(t, p, words)
	case "owner", "handover", "mode", "compare":
		setAuthority(t, &p.Authority, words)
	case "rank", "split", "cap", "claims", "tombstone":
		setReservations(t, &p.Reservations, words)
	default:
		t.Fatalf("policy %q", words[0])
	}
}

// checkOutcome compares kind, flags and codes; "moves n" counts the moves. The
// word "any" accepts everything but a rejection.
func checkOutcome(want []string, out *Outcome, err error) string {
	var got []string
	if err != nil {
		var f *Fault
		if !errors.As(err, &f) {
			return "error is no Fault: " + err.Error()
		}
		got = []string{"rejected", string(f.Code)}
	} else {
		got = []string{string(out.Kind)}
		if out.Late {
			got = append(got, "late")
		}
		for _, c := range out.Codes {
			got = append(got, string(c))
		}
	}
	want, diff := checkAnswer(want, out)
	if diff != "" {
		return diff
	}
	if i := slices.Index(want, "moves"); i >= 0 {
		if n, _ := strconv.Atoi(want[i+1]); n != len(out.Moves) {
			return fmt.Sprintf("made %d moves: %+v", len(out.Moves), out.Moves)
		}
		want = slices.Delete(slices.Clone(want), i, i+2)
	}
	if slices.Equal(want, []string{"any"}) && err == nil {
		return ""
	}
	if len(want) == 0 {
		want = []string{"applied"}
		if err == nil {
			got = got[:1] // flags not asked for
		}
	}
	a, b := slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))
	if !slices.Equal(a, b) {
		return fmt.Sprintf("want %v, got %v (%s)", want, got, out.Detail)
	}
	return ""
}

func checkExpectation(g *log, words []string) string {
	num := func(s string) Quantity { return scenarioQuantity(g.t, s) }
	switch words[0] {
	case "network":
		if got := Network(g.positions(), scenarioDay, 30, 0); got != num(words[1]) {
			return fmt.Sprintf("network ATP is %v", got)
		}
		return ""
	case "version":
		if got := fmt.Sprint(g.ledger.Version()); got != words[1] {
			return "version is " + got
		}
		return ""
	case "outside":
		a, err := ParseAccount(words[1])
		if err != nil {
			return err.Error()
		}
		if got := g.ledger.Outside(a); got != num(words[2]) {
			return fmt.Sprintf("%v is %v", a, got)
		}
		return ""
	case "unknown":
		if _, ok := g.ledger.Position(Location(words[1])); ok {
			return "location is known"
		}
		return ""
	case "also":
		return checkAlso(g.also, words[1:])
	case "view", "variance":
		return checkView(g, words)
	case "claims", "expires", "held":
		return checkReserved(g, words)
	}
	p, ok := g.ledger.Position(Location(words[0]))
	if !ok {
		return "location is not known"
	}
	sum := func(bs []Bucket) (q Quantity) {
		for _, b := range bs {
			q += b.Quantity
		}
		return q
	}
	var diffs []string
	for i := 1; i+1 < len(words); i += 2 {
		var got Quantity
		switch w := words[i]; w {
		case "reserved":
			got = sum(p.Reserved)
		case "supply":
			got = sum(p.Supply)
		case "parked":
			got = p.ParkedOut
		case "frozen":
			got = 0
			if p.Frozen {
				got = One
			}
		case "atp":
			got = ATP(&p, scenarioDay, 30, 0)
		case "safety":
			got = p.SafetyStock
		default:
			a, err := ParseAccount(w)
			if err != nil || !a.IsState() {
				return "no such figure: " + w
			}
			got = p.States[a]
		}
		if got != num(words[i+1]) {
			diffs = append(diffs, fmt.Sprintf("%s is %v", words[i], got))
		}
	}
	return strings.Join(diffs, ", ")
}
