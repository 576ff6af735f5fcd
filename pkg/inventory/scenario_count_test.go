package inventory_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// setCounting reads a rule about counts, lines or lanes: see testdata/README.md.
func setCounting(t *testing.T, p *Policy, words []string) {
	t.Helper()
	number := func(s string) Quantity { return scenarioQuantity(t, s) }
	minutes := func(s string) Instant { return scenarioMinutes(t, s) }
	wild := func(s string) string {
		if s == "*" {
			return ""
		}
		return s
	}
	from := 1
	var c CountSource
	var n Lane
	switch words[0] {
	case "counts":
		c.Source, from = Source(wild(words[1])), 2
	case "lane":
		n.Source, n.Location, n.Title, from = Source(wild(words[1])), Location(wild(words[2])), Title(words[3]), 4
	}
	for i := from; i+1 < len(words); i += 2 {
		switch w, arg := words[i], words[i+1]; w {
		case "precision":
			c.Precision = minutes(arg)
		case "skew":
			c.Skew = minutes(arg)
		case "ambiguous":
			c.Ambiguous = Ambiguity(arg)
		case "assume_ack_after":
			c.AssumeAckAfter = minutes(arg)
		case "agreeing":
			c.Agreeing = int(number(arg) / One)
		case "relative":
			c.Guard.Relative = number(arg)
		case "absolute":
			c.Guard.Absolute = number(arg)
		case "value":
			c.Guard.Value = number(arg)
		case "zero_outs":
			c.Guard.ZeroOuts = arg == "held"
		case "zero_share":
			c.ZeroShare = number(arg)
		case "link_wait":
			p.Lines.LinkWait = minutes(arg)
		case "unlinked":
			p.Lines.Unlinked = Unlinked(arg)
		case "short":
			p.Lines.Short = Shortage(arg)
		default:
			t.Fatalf("policy word %q", w)
		}
	}
	switch words[0] {
	case "counts":
		p.Counts.Sources = append(p.Counts.Sources, c)
	case "lane":
		p.Lanes = append(p.Lanes, n)
	}
}

// parseApproval reads "approve DOC" and "drop DOC"; the document's label stands for
// the event it came in.
func parseApproval(ev *Event, verb string, rest []string, docs map[string]string) []string {
	id, ok := docs[rest[0]]
	if !ok {
		panic("no document " + rest[0])
	}
	ev.Kind, ev.Source = KindApproval, "console"
	ev.Approval = &Approval{Event: id, Release: ReleaseApply, Author: "ann"}
	if verb == "drop" {
		ev.Approval.Release, ev.Approval.Reason = ReleaseDrop, "miscounted"
	}
	return rest[1:]
}

// countClause reads a clause of a count, or the sequence of a movement.
func countClause(ev *Event, word, arg string) (used int) {
	switch word {
	case "sequence":
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			panic(err)
		}
		if ev.Count != nil {
			ev.Count.Sequence = n
		} else {
			ev.Movement.Sequence = n
		}
		return 2
	case "inferred":
		ev.Count.AsOfBasis = BasisReceipt
	case "snapshot":
		ev.Count.Snapshot, ev.Count.Complete = arg, true
		return 2
	}
	return 1
}

// checkAlso compares the kinds of the outcomes of what was set aside before, and
// their codes.
func checkAlso(also []Outcome, want []string) string {
	var got []string
	for i := range also {
		got = append(got, string(also[i].Kind))
		for _, c := range also[i].Codes {
			got = append(got, string(c))
		}
	}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("of others: want %v, got %v", want, got)
	}
	return ""
}

// A ledger says when time alone decides something of it.
func TestWakeAt(t *testing.T) {
	policy := Policy{Origins: []Source{"shop"}, Lines: LinePolicy{LinkWait: 30 * 60_000, Unlinked: UnlinkedClaims}}
	g := after(t, policy, "opening DC1 5 recorded 09:00")
	is := func(want string) {
		t.Helper()
		at, _ := clock(want)
		if got := g.ledger.WakeAt(); got != at {
			t.Errorf("wakes at %d, want %d", got, at)
		}
	}
	send := func(line string) {
		t.Helper()
		ev, err := parseEvent(strings.Fields(line), int(g.offset), map[string]string{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.append(*ev); err != nil {
			t.Fatal(err)
		}
	}
	is("")
	send("order erp 1001 3 at DC1 recorded 10:10")
	is("10:40")
	send("order erp 1002 3 at DC1 recorded 10:05")
	is("10:35")
	send("tick recorded 10:36")
	is("10:40")
	send("order shop 1001 3 at DC1 recorded 10:37")
	is("")
}
