package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/road"
)

// A player sends a scenario's messages one after the other, waits for each to come
// to rest, and prints what became of it, a line a hop.
type player struct {
	scenario *road.Scenario
	stage    *stage
	out      io.Writer

	sent  []string // raw ids
	wrong []string // doors that answered otherwise than the scenario says
	mark  progress
}

// progress is how much of each list has been printed.
type progress struct{ events, outcomes, history, dead, parked int }

func (p *player) play(ctx context.Context) error {
	for i, s := range p.scenario.Steps {
		if err := p.step(ctx, i+1, s); err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, s.Say, err)
		}
	}
	return nil
}

func (p *player) step(ctx context.Context, n int, s road.Step) error {
	answer, err := p.stage.sender().Send(ctx, p.scenario, s)
	if err != nil {
		return err
	}
	status := answer.Status
	fmt.Fprintf(p.out, "%2d  %s\n", n, s.Say)
	what := answer.ID
	if what == "" {
		what = answer.Code
	}
	fmt.Fprintf(p.out, "      message   %s → %d %s\n", s.Source, status, what)
	if status != s.Status {
		p.wrong = append(p.wrong, fmt.Sprintf("step %d (%s): door answered %d, expected %d", n, s.Say, status, s.Status))
	}
	if status != http.StatusAccepted {
		return nil
	}
	p.sent = append(p.sent, answer.ID)
	if err := p.stage.tail.Settle(ctx, p.sent, settleWithin); err != nil {
		return err
	}
	p.hops(ctx, answer.ID)
	return nil
}

// hops prints what the message just sent led to.
func (p *player) hops(ctx context.Context, raw string) {
	t := p.stage.tail
	t.Lock()
	events, outcomes := t.Events[p.mark.events:], t.Outcomes[p.mark.outcomes:]
	history, dead, parked := t.History[p.mark.history:], t.Dead[p.mark.dead:], t.Parked[min(p.mark.parked, len(t.Parked)):]
	receipt := t.Receipts[raw]
	p.mark = progress{len(t.Events), len(t.Outcomes), len(t.History), len(t.Dead), len(t.Parked)}
	t.Unlock()

	fmt.Fprintf(p.out, "      receipt   %d lines: %d events, %d masters, %d milestones, %d rejected, %d parked\n",
		receipt.Lines, len(receipt.EventIDs), receipt.Masters, receipt.Milestones, receipt.Rejected, receipt.Parked)
	for _, e := range events {
		fmt.Fprintf(p.out, "      event     %s %s\n", e.Key.Item, sayEvent(&e.Event))
	}
	for i := range outcomes {
		o := &outcomes[i]
		fmt.Fprintf(p.out, "      outcome   %s %s%s\n", o.Key.Item, sayOutcome(o), p.visibleIn(o.EventID))
	}
	for _, d := range dead {
		fmt.Fprintf(p.out, "      rejected  line %d: %s: %s\n", d.Line, d.Code, d.Reason)
	}
	for _, d := range parked {
		fmt.Fprintf(p.out, "      parked    line %d: %s: waits for %s\n", d.Line, d.Code, d.Missing)
	}
	var keys []inventory.Key
	for i := range history {
		if !slices.Contains(keys, history[i].Key) {
			keys = append(keys, history[i].Key)
		}
	}
	for _, k := range keys {
		if a, err := p.stage.latency.get(ctx, k); err == nil {
			fmt.Fprintf(p.out, "      atp       %s %s\n", k.Item, sayAnswer(a))
		}
	}
	p.outside(events, keys)
	fmt.Fprintln(p.out)
}

// outside prints the ERP documents that the events led to and what channels show.
func (p *player) outside(events []road.Event, keys []inventory.Key) {
	t := p.stage.tail
	t.Lock()
	defer t.Unlock()
	ids := make([]string, 0, len(events))
	for i := range events {
		ids = append(ids, events[i].ID)
	}
	var lines []string
	for _, posting := range t.Postings {
		if !slices.ContainsFunc(posting.EventIDs, func(id string) bool { return slices.Contains(ids, id) }) {
			continue
		}
		r := t.Results[posting.ID]
		for _, l := range posting.Lines {
			lines = append(lines, fmt.Sprintf("      erp       %s: %s %s %s, %s → %s: %s %s",
				posting.ERP, posting.Type, l.Item, l.Quantity, sayPlace(l.From), sayPlace(l.To), r.Status, r.Reference))
		}
	}
	slices.Sort(lines)
	lines = slices.Compact(lines)
	var shown []string
	for _, o := range t.Confirmed {
		if slices.Contains(keys, o.Key) {
			shown = append(shown, fmt.Sprintf("      channel   %s: %s shows %s (%s%s, version %d)", o.Channel, o.Key.Item, o.Quantity, o.Status, because(o.Code, o.Reason), o.Version))
		}
	}
	slices.Sort(shown)
	for _, l := range append(lines, shown...) {
		fmt.Fprintln(p.out, l)
	}
}

func (p *player) visibleIn(event string) string {
	if d, ok := p.stage.latency.of(event); ok {
		return fmt.Sprintf(" (%d ms durable → Redis)", d.Round(time.Millisecond).Milliseconds())
	}
	return ""
}

func sayEvent(e *inventory.Event) string {
	switch {
	case e.Movement != nil:
		return fmt.Sprintf("%s %s at %s", e.Movement.Type, e.Movement.Quantity, e.Movement.Location)
	case e.Count != nil:
		parts := make([]string, 0, len(e.Count.Balances))
		for _, b := range e.Count.Balances {
			parts = append(parts, fmt.Sprintf("%s %s", b.State, b.Quantity))
		}
		return fmt.Sprintf("count at %s: %s, as of %s", e.Count.Location, strings.Join(parts, ", "), sayInstant(e.Count.AsOf))
	case e.Demand != nil:
		return fmt.Sprintf("demand %s %s at %s", e.Demand.Stage, e.Demand.Quantity, e.Demand.Location)
	case e.Supply != nil:
		return fmt.Sprintf("supply %s %s at %s", e.Supply.Stage, e.Supply.Quantity, e.Supply.Location)
	}
	return string(e.Kind)
}

func sayInstant(i inventory.Instant) string {
	return time.UnixMilli(int64(i)).UTC().Format("2006-01-02T15:04Z")
}

func sayOutcome(o *inventory.Outcome) string {
	var b strings.Builder
	b.WriteString(string(o.Kind))
	if o.Late {
		b.WriteString(" late")
	}
	for _, c := range o.Codes {
		b.WriteString(" !" + string(c))
	}
	for _, m := range o.Moves {
		fmt.Fprintf(&b, "; %s %s %s → %s", m.Type, m.Quantity, sayPlace(m.From), sayPlace(m.To))
	}
	return b.String()
}

func sayPlace(p inventory.Place) string {
	if p.Location == "" {
		return p.Account.String()
	}
	return fmt.Sprintf("%s/%s", p.Location, p.Account)
}

func sayAnswer(a *road.ATP) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (version %d)", a.ATP, a.Version)
	for _, l := range a.Locations {
		fmt.Fprintf(&b, "; %s on_hand %s reserved %s atp %s", l.Location, l.States["on_hand"], l.Reserved, l.ATP)
	}
	return b.String()
}

// because is a result's code and reason, where it has one.
func because(code, reason string) string {
	if code == "" {
		return ""
	}
	return ": " + code + ", " + reason
}
