package policy

import (
	"cmp"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// limitFile says how much a key remembers and keeps aside; what it leaves out is the
// default of inventory.LimitPolicy. The journal is exact for exact or journal_entries,
// and sums by the minute are kept for horizon.
type limitFile struct {
	Window         span  `yaml:"window" json:"window,omitempty"`
	IDs            int64 `yaml:"ids" json:"ids,omitempty"`
	Exact          span  `yaml:"exact" json:"exact,omitempty"`
	JournalEntries int64 `yaml:"journal_entries" json:"journal_entries,omitempty"`
	Horizon        span  `yaml:"horizon" json:"horizon,omitempty"`
	SupplyLines    int32 `yaml:"supply_lines" json:"supply_lines,omitempty"`
	ParkedEvents   int32 `yaml:"parked_events" json:"parked_events,omitempty"`
	ParkedBytes    int32 `yaml:"parked_bytes" json:"parked_bytes,omitempty"`
}

// policy is the file's policy; none is the zero value.
func (f *limitFile) policy() inventory.LimitPolicy {
	if f == nil {
		return inventory.LimitPolicy{}
	}
	return inventory.LimitPolicy{
		Window: inventory.Instant(f.Window), IDs: f.IDs, Exact: inventory.Instant(f.Exact), Entries: f.JournalEntries,
		Horizon: inventory.Instant(f.Horizon), SupplyLines: f.SupplyLines, Parked: f.ParkedEvents, ParkedBytes: f.ParkedBytes,
	}
}

// setLimits is the opposite of policy.
func (f *ledgerFile) setLimits(p *inventory.LimitPolicy) {
	x := limitFile{
		Window: span(p.Window), IDs: p.IDs, Exact: span(p.Exact), JournalEntries: p.Entries,
		Horizon: span(p.Horizon), SupplyLines: p.SupplyLines, ParkedEvents: p.Parked, ParkedBytes: p.ParkedBytes,
	}
	if x != (limitFile{}) {
		f.Limits = &x
	}
}

// Bounds of the times a key remembers: under an hour a redelivery would pass for a
// new event as a matter of course.
const (
	leastWindow = inventory.Instant(time.Hour / time.Millisecond)
	leastExact  = inventory.Instant(time.Minute / time.Millisecond)

	// What holds in the ledger where the policy says nothing.
	defaultExact   = inventory.Instant(72 * time.Hour / time.Millisecond)
	defaultHorizon = inventory.Instant(14 * 24 * time.Hour / time.Millisecond)
)

// checkLimits looks for times too short to work by. The schema bounds the numbers.
func (l *loader) checkLimits(p *inventory.LimitPolicy) {
	file := l.ledgerFile
	if file == "" {
		return
	}
	if p.Window != 0 && p.Window < leastWindow {
		l.fault(file, "limits.window", "shorter than an hour")
	}
	if p.Exact != 0 && p.Exact < leastExact {
		l.fault(file, "limits.exact", "shorter than a minute")
	}
	exact, horizon := cmp.Or(p.Exact, defaultExact), cmp.Or(p.Horizon, defaultHorizon)
	if p.Horizon != 0 && p.Horizon < leastWindow || horizon < exact {
		l.fault(file, "limits.horizon", "shorter than an hour or than exact")
	}
}
