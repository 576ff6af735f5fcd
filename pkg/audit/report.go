package audit

import "cmp"

// Report is what an audit found.
type Report struct {
	Partitions  int            `json:"partitions"`
	Events      int            `json:"events"`   // looked at, control records apart
	Controls    int            `json:"controls"` // control records
	Outcomes    map[string]int `json:"outcomes"` // by kind
	DeadLetters int            `json:"dead_letters"`
	Waiting     int64          `json:"waiting"` // events the ledger has not come to
	Items       int            `json:"items"`
	Positions   int            `json:"positions"`
	CacheFields int            `json:"cache_fields"` // compared
	Moved       int            `json:"moved"`        // positions and fields that went on while they were compared
	Receipts    int            `json:"receipts"`     // of raw messages
	Milestones  int            `json:"milestones"`   // lines that are one, by the receipts

	// Bad counts items, events without a readable item, and receipts with a fault.
	// Findings has the first fault of each, the earliest first, at most 100.
	Bad      int       `json:"bad"`
	Findings []Finding `json:"findings,omitempty"`

	// Incomplete says why what was to be checked could not be; Notes what was left out
	// without harm; NotChecked what no audit of the topics can tell.
	Incomplete []string `json:"incomplete,omitempty"`
	Notes      []string `json:"notes,omitempty"`
	NotChecked []string `json:"not_checked"`
}

// First is the first bad event, or nil.
func (r *Report) First() *Finding {
	if len(r.Findings) == 0 {
		return nil
	}
	return &r.Findings[0]
}

// maxFindings of a report; the rest is counted.
const maxFindings = 100

// Finding is a bad event: where it stands, and what is wrong. Where what is wrong
// is what came of it, the event is the last one that had to do with it. Of a bad
// receipt it is the receipt, and EventID the raw message's.
type Finding struct {
	Invariant int    `json:"invariant"` // its number in ARCHITECTURE.md
	Check     string `json:"check"`     // a stable word
	Topic     string `json:"topic"`     // of the event
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // -1 where no event is known
	EventID   string `json:"event_id"`
	Key       string `json:"key"`
	Location  string `json:"location,omitempty"`
	Seen      string `json:"seen"` // the record or field that is wrong
	Expected  string `json:"expected"`
	Found     string `json:"found"`

	at int64 // ledger time of the event
}

func byTime(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
}

// The checks, by the words a Finding has.
const (
	MissingOutcome   = "missing_outcome"
	DoubledOutcome   = "doubled_outcome"
	StrayOutcome     = "stray_outcome" // of no event, or of a control record
	ForeignOutcome   = "foreign_outcome"
	UnreadableRecord = "unreadable_record"
	ReceiptSum       = "receipt_sum"  // the lines of a message are not the sum of what they became
	LineMissing      = "line_missing" // a line that a receipt names stands nowhere
	BadMove          = "bad_move"
	UnstatedMove     = "unstated_move"
	Unnamed          = "unnamed_shortage"
	VersionStep      = "version_step"
	PolicyVersion    = "policy_version"
	HeaderBehind     = "header_behind"
	StateDiffers     = "state_differs"
	FenceDiffers     = "fence_differs"
	StateMissing     = "state_missing"
	StateSum         = "state_sum"
	Claims           = "claims_differ"
	Supply           = "supply_differs"
	PositionDiffers  = "position_differs"
	PositionMissing  = "position_missing"
	PositionVersion  = "position_version"
	CacheDiffers     = "cache_differs"
	CacheVersion     = "cache_version"
)

// notChecked is what an audit of the topics leaves open.
func notChecked() []string {
	return []string{
		"2: that events and parked lines a receipt names stand, and messages without a receipt",
		"2: that a duplicate or superseded event was one; event ids are not kept",
		"3: that counts and movements with references led to the right moves; movements without references did",
		"4: reservations: that what was granted was promisable, and the answers; claims and supply are held against the lines in the state, not against the documents",
		"5: what readers saw over HTTP, and positions that compaction has removed",
		"8: ids seen, journal, references, entries of lines, claimed views and safety stock in the state; only a rebuild compares all bytes",
	}
}
