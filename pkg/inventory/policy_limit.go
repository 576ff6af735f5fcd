package inventory

// LimitPolicy says how much a key remembers and how much it keeps aside. Zero is
// the default of each.
type LimitPolicy struct {
	Window      Instant // how long an event id is remembered, in event time, ms; 14 days
	IDs         int64   // so many are, however short that is; 100,000
	Exact       Instant // how long a journal is kept entry by entry, ms; 72 h
	Entries     int64   // of a location, at most; 4,096
	Horizon     Instant // how long its sums by the minute are kept, ms, within 64 segments of them; 14 days
	SupplyLines int32   // with something to come, of an item; 2,000
	Parked      int32   // events kept aside, of a key; 1,000
	ParkedBytes int32   // of those events, about; 1 MiB
}

// Defaults of LimitPolicy.
const (
	day                = Instant(24 * 60 * 60 * 1000)
	defaultWindow      = 14 * day
	defaultIDs         = 100_000
	defaultExact       = 3 * day
	defaultEntries     = 4096
	defaultHorizon     = 14 * day
	defaultSupplyLines = 2000
	defaultParked      = 1000
	defaultParkedBytes = 1 << 20
)

func (p *LimitPolicy) window() Instant    { return or(p.Window, defaultWindow) }
func (p *LimitPolicy) ids() int64         { return or(p.IDs, defaultIDs) }
func (p *LimitPolicy) exact() Instant     { return or(p.Exact, defaultExact) }
func (p *LimitPolicy) entries() int64     { return or(p.Entries, defaultEntries) }
func (p *LimitPolicy) horizon() Instant   { return or(p.Horizon, defaultHorizon) }
func (p *LimitPolicy) supplyLines() int32 { return or(p.SupplyLines, defaultSupplyLines) }
func (p *LimitPolicy) parked() int32      { return or(p.Parked, defaultParked) }
func (p *LimitPolicy) parkedBytes() int32 { return or(p.ParkedBytes, defaultParkedBytes) }

func or[N Instant | int64 | int32](n, otherwise N) N {
	if n > 0 {
		return n
	}
	return otherwise
}
