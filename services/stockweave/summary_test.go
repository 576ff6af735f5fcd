package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/road"
)

// Each line of each message is one of what the summary lists (Invariant 2).
func TestSummaryAddsUp(t *testing.T) {
	tail := road.NewTail(event.TestCodecs(), time.Now)
	p := &player{scenario: &road.Scenario{}, stage: &stage{tail: tail, latency: newLatencies("", time.Now)}}
	tail.Outcomes = []inventory.Outcome{{Kind: inventory.Applied}}
	tail.Dead, tail.Parked = make([]event.DeadLetter, 2), make([]event.ParkedLine, 3)
	tail.Receipts["r"] = event.Receipt{RawID: "r", Lines: 15, Masters: 4, Milestones: 5}
	if s := p.summary(); len(s.Differences) > 0 || s.Milestones != 5 {
		t.Errorf("%d milestones, differences %q", s.Milestones, s.Differences)
	}
	tail.Receipts["r"] = event.Receipt{RawID: "r", Lines: 15, Masters: 4, Milestones: 4}
	want := "lines: 15, but outcomes + rejected + parked + masters + milestones are 14"
	if s := p.summary(); !slices.Equal(s.Differences, []string{want}) {
		t.Errorf("differences %q", s.Differences)
	}
}
