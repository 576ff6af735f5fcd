package inventory_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// setAuthority reads a rule of authority: see testdata/README.md.
func setAuthority(t *testing.T, a *AuthorityPolicy, words []string) {
	t.Helper()
	number := func(s string) Quantity { return scenarioQuantity(t, s) }
	minutes := func(s string) Instant { return scenarioMinutes(t, s) }
	moment := func(s string) Instant {
		at, ok := clock(s)
		if !ok {
			t.Fatalf("not a time: %q", s)
		}
		return at
	}
	sources := func(s string) (ss []Source) {
		for x := range strings.SplitSeq(s, ",") {
			ss = append(ss, Source(x))
		}
		return ss
	}
	facts := func(s string) (set Facts) {
		for x := range strings.SplitSeq(s, ",") {
			f, ok := ParseFact(x)
			if !ok {
				t.Fatalf("no kind of fact: %q", x)
			}
			set |= f
		}
		return set
	}
	states := func(s, by string) (set uint8) {
		for x := range strings.SplitSeq(s, by) {
			st, err := ParseAccount(x)
			if err != nil {
				t.Fatalf("no state: %q", x)
			}
			set |= 1 << st
		}
		return set
	}
	any := func(s string) string { return strings.TrimPrefix(s, "*") }
	var o Owner
	var h Handover
	var m ModeRule
	var c Comparison
	from := 2
	switch words[0] {
	case "owner":
		o.Location = Location(any(words[1]))
	case "handover":
		h.Location = Location(any(words[1]))
	case "mode":
		m.Source, m.Location, from = Source(any(words[1])), Location(any(words[2])), 4
		m.Mode = map[string]Mode{"live": ModeLive, "shadow": ModeShadow, "observe": ModeObserve}[words[3]]
	case "compare":
		c.Source = Source(words[1])
	}
	for i := from; i+1 < len(words); i += 2 {
		w, arg := words[i], words[i+1]
		switch {
		case w == "balance":
			o.Balance = sources(arg)
		case w == "moves":
			o.Moves = sources(arg)
		case w == "facts":
			o.Facts, h.Facts, m.Facts = facts(arg), facts(arg), facts(arg)
		case w == "states":
			o.States, h.States = states(arg, ","), states(arg, ",")
		case w == "entity":
			o.Entity, h.Entity = Entity(arg), Entity(arg)
		case w == "from" && words[0] == "handover":
			h.From = Source(arg)
		case w == "to":
			h.To = Source(arg)
		case w == "from":
			o.From = moment(arg)
		case w == "until":
			o.Until = moment(arg)
		case w == "at" && words[0] == "compare":
			c.Location = Location(arg)
		case w == "at":
			h.At = moment(arg)
		case w == "window":
			o.Window, h.Window = minutes(arg), minutes(arg)
		case w == "lag":
			c.Lag = minutes(arg)
		case w == "alert":
			c.Alert.Quantity = number(arg)
		case w == "percent":
			c.Alert.Percent = number(arg)
		case w == "worth":
			c.Alert.Value = number(arg)
		case w == "value":
			c.Items = []ItemTerms{{Key: scenarioKey, Value: number(arg)}}
		case w == "snapshots":
			n, _ := strconv.Atoi(arg)
			c.Alert.Snapshots = int32(n)
		case w == "dwell":
			c.Alert.Dwell = minutes(arg)
		case w == "map": // on_hand=on_hand+picked
			name, sum, _ := strings.Cut(arg, "=")
			st, err := ParseAccount(name)
			if err != nil {
				t.Fatalf("no state: %q", name)
			}
			sum, claims := strings.CutSuffix(sum, "-claims")
			c.States = append(c.States, StateMap{State: st, Ledger: states(sum, "+"), AfterClaims: claims})
		default:
			t.Fatalf("policy word %q", w)
		}
	}
	switch words[0] {
	case "owner":
		a.Owners = append(a.Owners, o)
	case "handover":
		a.Handovers = append(a.Handovers, h)
	case "mode":
		a.Modes = append(a.Modes, m)
	case "compare":
		a.Compare = append(a.Compare, c)
	}
}

// viewOf is a claimed view as it stands.
func viewOf(g *log, s Source, l Location) *View {
	for _, v := range g.ledger.ChangedViews() {
		if v.Source == s && v.Location == l {
			return &v
		}
	}
	return g.mem.View(s, l)
}

// checkView checks "view SOURCE LOCATION N", which may be "none", or "variance
// SOURCE LOCATION FIGURE N …".
func checkView(g *log, words []string) string {
	v := viewOf(g, Source(words[1]), Location(words[2]))
	number := func(s string) Quantity { return scenarioQuantity(g.t, s) }
	if v == nil {
		if words[3] == "none" {
			return ""
		}
		return "there is no view"
	}
	if words[0] == "view" {
		for i := 3; i < len(words); i++ {
			if v.Balances[i-3].Quantity != number(words[i]) {
				return fmt.Sprintf("view is %+v", *v)
			}
		}
		return ""
	}
	n := v.Variance
	if n == nil {
		if words[3] == "none" {
			return ""
		}
		return "there is no variance"
	}
	for i := 3; i < len(words); i++ {
		w, arg := words[i], ""
		if i+1 < len(words) {
			arg = words[i+1]
		}
		ok := false
		switch w {
		case "net":
			ok = n.Net == number(arg)
		case "absolute":
			ok = n.Absolute == number(arg)
		case "unexplained":
			ok = n.Unexplained == number(arg)
		case "largest":
			ok = n.Streak.Largest == number(arg)
		case "snapshots":
			ok = fmt.Sprint(n.Streak.Snapshots) == arg
		case "in_flight":
			ok = fmt.Sprint(n.InFlightEvents) == arg
		case "since":
			at, _ := clock(arg)
			ok = n.Streak.Since == at
		case "looks":
			ok = string(n.Diagnosis) == arg
		case "alert", "quiet":
			ok = n.Alert == (w == "alert")
			i--
		}
		if !ok {
			return fmt.Sprintf("%s: variance is %+v", w, *n)
		}
		i++
	}
	return ""
}
