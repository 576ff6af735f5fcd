package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// summary is what a scenario ended with. Lines = outcomes + rejected + parked
// (Invariant 2); lines of master data and of milestones have no outcome.
type summary struct {
	Messages    int                `json:"messages"`
	Lines       int                `json:"lines"`
	Masters     int                `json:"masters"`
	Milestones  int                `json:"milestones"`
	Events      int                `json:"events"`
	Outcomes    map[string]int     `json:"outcomes"`
	Rejected    int                `json:"rejected"`
	Parked      int                `json:"parked"`
	Positions   int                `json:"positions"`
	Documents   int                `json:"documents"`
	Offers      int                `json:"offers"`
	LatencyMS   map[string]float64 `json:"durable_to_redis_ms"`
	Differences []string           `json:"differences"`
}

func (p *player) summary() *summary {
	t := p.stage.tail
	t.Lock()
	s := &summary{
		Messages: t.Raws, Events: len(t.Events), Outcomes: map[string]int{}, Rejected: len(t.Dead), Parked: len(t.Parked),
		Positions: len(t.Positions), Offers: len(t.Offers), LatencyMS: p.stage.latency.percentiles(), Differences: append([]string{}, p.wrong...), // an empty list, never null
	}
	for i := range t.Outcomes {
		s.Outcomes[string(t.Outcomes[i].Kind)]++
	}
	for _, r := range t.Receipts {
		s.Lines += int(r.Lines)
		s.Masters += int(r.Masters)
		s.Milestones += int(r.Milestones)
	}
	for _, r := range t.Results {
		if r.Reference != "" {
			s.Documents++
		}
	}
	outcomes := len(t.Outcomes)
	t.Unlock()

	if want := outcomes + s.Rejected + s.Parked + s.Masters + s.Milestones; s.Lines != want {
		s.differ("lines: %d, but outcomes + rejected + parked + masters + milestones are %d", s.Lines, want)
	}
	p.compare(s)
	return s
}

func (s *summary) differ(format string, args ...any) {
	s.Differences = append(s.Differences, fmt.Sprintf(format, args...))
}

func (s *summary) equal(what, got, want string) {
	g, err1 := inventory.ParseQuantity(got)
	w, err2 := inventory.ParseQuantity(want)
	if err1 != nil || err2 != nil || g != w {
		s.differ("%s: %q, expected %q", what, got, want)
	}
}

// compare holds the scenario's expected figures against what ATP over HTTP, the
// ERPs and the channels themselves say.
func (p *player) compare(s *summary) {
	want := &p.scenario.Expected
	for item, w := range want.ATP {
		a, err := p.stage.latency.get(context.Background(), inventory.Key{Entity: inventory.Entity(p.scenario.Entity), Item: inventory.Item(item)})
		if err != nil {
			s.differ("atp of %s: %v", item, err)
			continue
		}
		if w.ATP != "" {
			s.equal("atp of "+item, a.ATP, w.ATP)
		}
		got := map[string]map[string]string{}
		for _, l := range a.Locations {
			got[l.Location] = maps.Clone(l.States)
			got[l.Location]["reserved"], got[l.Location]["atp"] = l.Reserved, l.ATP
		}
		for loc, states := range w.Locations {
			for state, q := range states {
				s.equal(fmt.Sprintf("%s of %s at %s", state, item, loc), got[loc][state], q)
			}
		}
	}
	for item, places := range want.ERP {
		for place, q := range places {
			for name, erp := range p.stage.erps {
				s.equal(fmt.Sprintf("%s in ERP %s at %s", item, name, place), erp.Quantity(item, place).String(), q)
			}
		}
	}
	for name, items := range want.Channels {
		ch, ok := p.stage.channels[name]
		if !ok {
			s.differ("channel %s: not in the policies", name)
			continue
		}
		for listing, q := range items {
			v, ok := ch.Value(listing)
			if !ok {
				s.differ("%s in channel %s: not shown", listing, name)
				continue
			}
			s.equal(fmt.Sprintf("%s in channel %s", listing, name), v.Quantity, q)
		}
	}
	for kind, n := range want.Outcomes {
		s.count("outcomes "+kind, s.Outcomes[kind], &n)
	}
	s.count("rejected", s.Rejected, want.Rejected)
	s.count("parked", s.Parked, want.Parked)
	s.count("messages", s.Messages, want.Messages)
	slices.Sort(s.Differences)
}

func (s *summary) count(what string, got int, want *int) {
	if want != nil && got != *want {
		s.differ("%s: %d, expected %d", what, got, *want)
	}
}

func (s *summary) print(w io.Writer) {
	fmt.Fprintf(w, "%d messages, %d lines = ", s.Messages, s.Lines)
	for _, kind := range slices.Sorted(maps.Keys(s.Outcomes)) {
		fmt.Fprintf(w, "%d %s + ", s.Outcomes[kind], kind)
	}
	fmt.Fprintf(w, "%d rejected + %d parked + %d masters + %d milestones\n", s.Rejected, s.Parked, s.Masters, s.Milestones)
	fmt.Fprintf(w, "%d events, %d positions, %d ERP documents, %d offers\n", s.Events, s.Positions, s.Documents, s.Offers)
	fmt.Fprintf(w, "durable → visible in Redis: p50 %.0f ms, p90 %.0f ms, p99 %.0f ms\n", s.LatencyMS["p50"], s.LatencyMS["p90"], s.LatencyMS["p99"])
	if len(s.Differences) == 0 {
		fmt.Fprintln(w, "every figure is as the scenario expects")
	}
	for _, d := range s.Differences {
		fmt.Fprintln(w, "DIFFERS  "+d)
	}
}
