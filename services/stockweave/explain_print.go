package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
)

func instantText(t inventory.Instant) string {
	if t == 0 {
		return "-"
	}
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func dayText(d inventory.Day) string {
	if d == 0 {
		return ""
	}
	return place.Date(d)
}

func statesText(s *explain.States) string {
	var b strings.Builder
	for a, q := range s {
		if q != 0 || a == int(inventory.OnHand) {
			fmt.Fprintf(&b, " %s %s", inventory.Account(a), q) //nolint:gosec // below NumStates
		}
	}
	return strings.TrimPrefix(b.String(), " ")
}

func documentText(d *inventory.Document) string {
	s := d.Type + " " + d.Number
	if d.Revision != "" {
		s += " revision " + d.Revision
	}
	if d.Line != "" {
		s += " line " + d.Line
	}
	return s
}

// outcomeText is an outcome in two lines: what came of what, and where it came from.
func outcomeText(w io.Writer, o *inventory.Outcome) {
	what := make([]string, 0, 2+len(o.Codes))
	what = append(what, string(o.Kind))
	for _, c := range o.Codes {
		what = append(what, string(c))
	}
	if o.Late {
		what = append(what, "late")
	}
	fmt.Fprintf(w, "  offset %d  %s  %s: %s\n", o.Offset, instantText(o.RecordedAt), o.EventKind, strings.Join(what, " "))
	fmt.Fprintf(w, "    event %s  %s, %s  of %s, raw %s line %d, policy %d\n",
		o.EventID, o.Source, documentText(&o.Document), instantText(o.OccurredAt), o.Trace.RawID, o.Trace.RawLine, o.PolicyVersion)
	if o.Detail != "" {
		fmt.Fprintf(w, "    %s\n", o.Detail)
	}
}

func explainText(w io.Writer, it *explain.Item, p *promise) {
	fmt.Fprintf(w, "%s  partition %d, applied through offset %d, version %d\n", it.Key, it.Partition, it.Fence.Offset, it.Version)
	if it.Frozen.Since != 0 {
		fmt.Fprintf(w, "FROZEN since %s at offset %d: %s, %d events are not taken\n",
			instantText(it.Frozen.Since), it.Frozen.Offset, it.Frozen.Code, it.Frozen.Count)
	}
	for i := range it.Locations {
		explainLocation(w, &it.Locations[i])
	}
	if it.OthersBefore+len(it.Others) > 0 {
		fmt.Fprintf(w, "\nwithout a move: %d\n", it.OthersBefore+len(it.Others))
		if it.OthersBefore > 0 {
			fmt.Fprintf(w, "  %d earlier\n", it.OthersBefore)
		}
		for i := range it.Others {
			outcomeText(w, &it.Others[i])
		}
	}
	if p != nil {
		promiseText(w, it, p)
	}
	for _, d := range it.Differences {
		fmt.Fprintln(w, "DIFFERS     "+d)
	}
	if it.Incomplete != "" {
		fmt.Fprintln(w, "INCOMPLETE  "+it.Incomplete)
	}
	if len(it.Differences) == 0 && it.Incomplete == "" {
		fmt.Fprintln(w, sumText(it))
	}
}

func sumText(it *explain.Item) string {
	if it.When.Now() {
		return "the contributions are the position"
	}
	return "the contributions, with what came after, are the position"
}

func promiseText(w io.Writer, it *explain.Item, p *promise) {
	fmt.Fprintf(w, "\npromised %s by %s, policy %d\n", p.quantity, p.formula, p.policy)
	for i := range p.steps {
		s := &p.steps[i]
		name := string(s.Name)
		if s.Key != it.Key {
			name = s.Key.String() + " " + name
		}
		fmt.Fprintf(w, "  %-16s %-10s %-10s %10s %10s%s\n", name, s.Location, dayText(s.Day), s.Amount, s.Value, silentText(s.Silent))
	}
}

// silentText says whose silence a step is about, and what was made of it.
func silentText(s *inventory.Silent) string {
	switch {
	case s == nil:
		return ""
	case s.Unmet:
		return fmt.Sprintf("  %s is silent: no view to fall back to", s.Owner)
	case s.Fallback != "":
		return fmt.Sprintf("  %s is silent: %s of %s as of %s", s.Owner, s.Action, s.Fallback, instantText(s.AsOf))
	}
	return fmt.Sprintf("  %s is silent: %s", s.Owner, s.Action)
}

func explainLocation(w io.Writer, l *explain.Location) {
	if l.Position.Location == "" { // of a time in the past
		fmt.Fprintf(w, "\n%s\n", l.Location)
	} else {
		fmt.Fprintf(w, "\n%s  version %d, safety stock %s\n", l.Location, l.Position.Version, l.Position.SafetyStock)
	}
	if l.Before != (explain.States{}) {
		fmt.Fprintf(w, "  before what the log tells: %s\n", statesText(&l.Before))
	}
	if l.Earlier > 0 {
		fmt.Fprintf(w, "  %d earlier = %s\n", l.Earlier, statesText(&l.Skipped))
	}
	for i := range l.Contributions {
		c := &l.Contributions[i]
		outcomeText(w, &c.Outcome)
		for j := range c.Outcome.Moves {
			m := &c.Outcome.Moves[j]
			fmt.Fprintf(w, "    %s %s: %s -> %s %s\n", m.Type, m.Quantity, explain.PlaceText(m.From), explain.PlaceText(m.To), m.Reason)
		}
		fmt.Fprintf(w, "    = %s\n", statesText(&c.Balance))
	}
	for i := range l.Claims {
		c := &l.Claims[i]
		fmt.Fprintf(w, "  claim %s of %s%s %s\n", c.Quantity, c.Line.ID, refsText(c.Line.Refs), dayText(c.Line.Due))
	}
	for i := range l.Supply {
		s := &l.Supply[i]
		fmt.Fprintf(w, "  supply %s of %s%s %s\n", s.Quantity, s.Line.ID, refsText(s.Line.Refs), dayText(s.Due))
	}
}

func refsText(refs []inventory.Ref) string {
	var b strings.Builder
	for _, r := range refs {
		fmt.Fprintf(&b, " (%s %s %s %s)", r.Issuer, r.Type, r.Number, r.Line)
	}
	return b.String()
}

func explainJSON(w io.Writer, it *explain.Item, p *promise) error {
	x := it.Report()
	if p != nil {
		x.Promise = explain.ReportPromise(p.policy, p.steps)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(x); err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	return nil
}
