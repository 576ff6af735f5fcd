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

func placeText(p inventory.Place) string {
	if p.Location == "" {
		return p.Account.String()
	}
	return string(p.Location) + "/" + p.Account.String()
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
	fmt.Fprintf(w, "\npromised %s by %s, policy %d\n", p.quantity, p.formula, p.policy)
	for i := range p.steps {
		s := &p.steps[i]
		name := string(s.Name)
		if s.Key != it.Key {
			name = s.Key.String() + " " + name
		}
		fmt.Fprintf(w, "  %-16s %-10s %-10s %10s %10s%s\n", name, s.Location, dayText(s.Day), s.Amount, s.Value, silentText(s.Silent))
	}
	for _, d := range it.Differences {
		fmt.Fprintln(w, "DIFFERS     "+d)
	}
	if it.Incomplete != "" {
		fmt.Fprintln(w, "INCOMPLETE  "+it.Incomplete)
	}
	if len(it.Differences) == 0 && it.Incomplete == "" {
		fmt.Fprintln(w, "the contributions are the position")
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
	fmt.Fprintf(w, "\n%s  version %d, safety stock %s\n", l.Location, l.Position.Version, l.Position.SafetyStock)
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
			fmt.Fprintf(w, "    %s %s: %s -> %s %s\n", m.Type, m.Quantity, placeText(m.From), placeText(m.To), m.Reason)
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

// What stands in JSON: quantities as decimals in text, times as RFC 3339.
type (
	explainedItem struct {
		Entity      string              `json:"entity"`
		Item        string              `json:"item"`
		Partition   int32               `json:"partition"`
		Offset      int64               `json:"applied_through"`
		Version     int64               `json:"version"`
		Frozen      bool                `json:"frozen"`
		Locations   []explainedLocation `json:"locations"`
		Others      []explainedOutcome  `json:"without_move"`
		Before      int                 `json:"without_move_earlier"`
		Promise     explainedPromise    `json:"promise"`
		Differences []string            `json:"differences"`
		Incomplete  string              `json:"incomplete"`
	}
	explainedLocation struct {
		Location      string             `json:"location"`
		Version       int64              `json:"version"`
		SafetyStock   string             `json:"safety_stock"`
		Before        map[string]string  `json:"before"`
		Earlier       int                `json:"earlier"`
		EarlierSum    map[string]string  `json:"earlier_balance"`
		Contributions []explainedOutcome `json:"contributions"`
		Claims        []explainedLine    `json:"claims"`
		Supply        []explainedLine    `json:"supply"`
	}
	explainedOutcome struct {
		Offset     int64             `json:"offset"`
		Lineage    int64             `json:"lineage"`
		Event      string            `json:"event_id"`
		EventKind  string            `json:"event_kind"`
		Outcome    string            `json:"outcome"`
		Codes      []inventory.Code  `json:"codes"`
		Late       bool              `json:"late"`
		Detail     string            `json:"detail"`
		Source     string            `json:"source"`
		Document   string            `json:"document"`
		RawID      string            `json:"raw_id"`
		RawLine    int32             `json:"raw_line"`
		OccurredAt string            `json:"occurred_at"`
		RecordedAt string            `json:"recorded_at"`
		Policy     int64             `json:"policy_version"`
		Moves      []explainedMove   `json:"moves"`
		Balance    map[string]string `json:"balance,omitempty"`
	}
	explainedMove struct {
		Type     string `json:"type"`
		From     string `json:"from"`
		To       string `json:"to"`
		Quantity string `json:"quantity"`
		Reason   string `json:"reason"`
	}
	explainedLine struct {
		Line     string `json:"line"`
		Quantity string `json:"quantity"`
		Due      string `json:"due"`
	}
	explainedPromise struct {
		Formula  string          `json:"formula"`
		Policy   int64           `json:"policy_version"`
		Quantity string          `json:"quantity"`
		Steps    []explainedStep `json:"steps"`
	}
	explainedStep struct {
		Name     string `json:"name"`
		Item     string `json:"item"`
		Location string `json:"location"`
		Day      string `json:"day"`
		Amount   string `json:"amount"`
		Value    string `json:"value"`
	}
)

func statesJSON(s *explain.States) map[string]string {
	m := make(map[string]string, len(s))
	for a, q := range s {
		m[inventory.Account(a).String()] = q.String() //nolint:gosec // below NumStates
	}
	return m
}

func outcomeJSON(o *inventory.Outcome) explainedOutcome {
	x := explainedOutcome{
		Offset: o.Offset, Lineage: o.Lineage, Event: o.EventID, EventKind: string(o.EventKind), Outcome: string(o.Kind), Codes: o.Codes,
		Late: o.Late, Detail: o.Detail, Source: string(o.Source), Document: documentText(&o.Document), RawID: o.Trace.RawID, RawLine: o.Trace.RawLine,
		OccurredAt: instantText(o.OccurredAt), RecordedAt: instantText(o.RecordedAt), Policy: o.PolicyVersion, Moves: []explainedMove{},
	}
	for i := range o.Moves {
		m := &o.Moves[i]
		x.Moves = append(x.Moves, explainedMove{string(m.Type), placeText(m.From), placeText(m.To), m.Quantity.String(), m.Reason})
	}
	return x
}

func explainJSON(w io.Writer, it *explain.Item, p *promise) error {
	x := explainedItem{
		Entity: string(it.Key.Entity), Item: string(it.Key.Item), Partition: it.Partition, Offset: it.Fence.Offset, Version: it.Version,
		Frozen: it.Frozen.Since != 0, Before: it.OthersBefore, Differences: it.Differences, Incomplete: it.Incomplete,
		Promise: explainedPromise{Formula: p.formula, Policy: p.policy, Quantity: p.quantity.String()},
	}
	for i := range it.Locations {
		l := &it.Locations[i]
		y := explainedLocation{
			Location: string(l.Location), Version: l.Position.Version, SafetyStock: l.Position.SafetyStock.String(),
			Before: statesJSON(&l.Before), Earlier: l.Earlier, EarlierSum: statesJSON(&l.Skipped),
		}
		for j := range l.Contributions {
			c := outcomeJSON(&l.Contributions[j].Outcome)
			c.Balance = statesJSON(&l.Contributions[j].Balance)
			y.Contributions = append(y.Contributions, c)
		}
		for _, c := range l.Claims {
			y.Claims = append(y.Claims, explainedLine{c.Line.ID, c.Quantity.String(), dayText(c.Line.Due)})
		}
		for _, s := range l.Supply {
			y.Supply = append(y.Supply, explainedLine{s.Line.ID, s.Quantity.String(), dayText(s.Due)})
		}
		x.Locations = append(x.Locations, y)
	}
	for i := range it.Others {
		x.Others = append(x.Others, outcomeJSON(&it.Others[i]))
	}
	for i := range p.steps {
		s := &p.steps[i]
		x.Promise.Steps = append(x.Promise.Steps, explainedStep{
			string(s.Name), string(s.Key.Item), string(s.Location), dayText(s.Day), s.Amount.String(), s.Value.String(),
		})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(x); err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	return nil
}
