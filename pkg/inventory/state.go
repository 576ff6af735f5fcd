package inventory

import "strings"

// The private state of a key is a handful of pieces, each under its own state
// key "entity|item|kind|n", so that a change writes only what it touched. The
// letters are stored and never change.
const (
	PieceHead     = "h" // one per key
	PieceLocation = "l" // n = location; only beyond MaxHeadLocations
	PieceIDs      = "d" // n = segment number: event ids seen
	PieceJournal  = "j" // n = location|segment: as-of entries; below zero, sums of them by the minute
	PieceLine     = "c" // n = line: one demand line or reservation
	PieceSupply   = "s" // n = line: one supply line
	PieceParked   = "p" // n = number: parked events
	PieceView     = "v" // n = system|location: claimed view
	PieceRef      = "r" // n = hash of a business ref: the line it names
	PieceWaiting  = "w" // n = number: waiting orphans, held snapshots
)

// Limits of the layout.
const (
	MaxHeadLocations = 64  // more split into PieceLocation
	MaxRecentIDs     = 32  // in the head; older ones move to segments
	MaxRecentEntries = 32  // journal entries in the head; older ones move to segments
	SegmentSize      = 256 // ids or entries in a full, from then on immutable, segment
)

// Fence says how far a key's ledger has applied its log: an event at or below it
// is a counted no-op, and the event at it must be the same one.
type Fence struct {
	Lineage int64
	Offset  int64  // -1 or below: nothing yet
	IDHash  uint64 // HashID of the event at Offset
}

// Head is the piece every event reads and most write.
type Head struct {
	Fence     Fence
	Clock     Instant // key clock: the latest RecordedAt seen, never falls
	Version   int64   // +1 per event that changed a fact of the item (Invariant 5)
	HasSafety bool
	Safety    Quantity
	Locations []LocationState // sorted by Location, at most MaxHeadLocations
	Split     []Location      // sorted; the locations beyond, each in a PieceLocation of its own
	IDs       []Seen          // newest last, at most MaxRecentIDs
	IDCount   int64           // ids moved to segments so far: segment n holds [n*SegmentSize, (n+1)*SegmentSize)
	Latest    Instant         // when the latest event remembered so far occurred
	Journal   []Entry         // newest last, at most MaxRecentEntries
	Outside   Outside         // most movements touch it, so it stands here
	Window    Window          // of remembered ids
	Book      Book            // what stands in the c and s pieces
	Queue     Queue           // what stands in the p and w pieces
	Viewed    Instant         // events up to here may bear on the variance of a claimed view; 0: none is compared
	Frozen    Frozen
}

// Window says which event ids are remembered. Older event times park.
type Window struct {
	Start Instant // ids of events that occurred before are forgotten; 0: none is
	From  int64   // segments below this one are gone
}

// Book counts the claims and supply lines of a key, so that limits and the next
// expiry are known without reading them.
type Book struct {
	Lines     int32   // demand lines and reservations with an open claim
	Supplies  int32   // supply lines with something to come
	Tentative int32   // reservations that will lapse
	ExpiresAt Instant // when the first of those does; 0: none
	SweepAt   Instant // when closed lines are looked for next; 0: there is no line
	Swept     string  // while they are: the last piece looked at, its kind and id
}

// Queue counts the events a key keeps aside.
type Queue struct {
	Parked int32   // pieces p
	Held   int32   // pieces w
	Bytes  int32   // of both, about
	Next   int64   // number of the next piece, never used again
	Until  Instant // when the first of them is decided without what it waits for; 0: none is
}

// Frozen is set while a key takes no events: they stay in the log until an operator
// appends them again, in order.
type Frozen struct {
	Since  Instant // 0: not frozen
	Offset int64   // of the first event not taken
	Count  int64   // how many were not
	Taken  int64   // offset of the last of which a copy was taken; below Offset: the copy of that comes next
	Last   int64   // offset of the last one not taken when it came; 0: none, or not known
	Code   Code
}

// LocationState is what a key knows of one location.
type LocationState struct {
	Location Location
	States   [NumStates]Quantity
	Version  int64         // item version of its last change
	More     *LocationMore // nil: nothing of it
}

// LocationMore is what many locations do not have: most events of an item read what it
// knows of each location, so that is kept small.
type LocationMore struct {
	HasSafety    bool
	Safety       Quantity
	Reserved     []Bucket // sum of open claims of the lines, sorted
	Supply       []Bucket
	LastCount    *CountMark // never written to: a later one takes its place
	JournalCount int64      // entries moved to segments so far, as IDCount
	Trimmed      *Trimmed   // nil: all of it is exact; as LastCount
}

// IsZero says whether there is nothing in it.
func (m *LocationMore) IsZero() bool {
	return !m.HasSafety && m.Safety == 0 && len(m.Reserved)+len(m.Supply) == 0 && m.LastCount == nil && m.JournalCount == 0 && m.Trimmed == nil
}

// more is for writing.
func (st *LocationState) more() *LocationMore {
	if st.More == nil {
		st.More = new(LocationMore)
	}
	return st.More
}

// Reserved is the sum of open claims of the lines, sorted. It is not to be written to.
func (st *LocationState) Reserved() []Bucket {
	if st.More == nil {
		return nil
	}
	return st.More.Reserved
}

// Supply is what is to come, sorted. It is not to be written to.
func (st *LocationState) Supply() []Bucket {
	if st.More == nil {
		return nil
	}
	return st.More.Supply
}

// Safety is the location's own safety stock; false where that of the item holds.
func (st *LocationState) Safety() (Quantity, bool) {
	if st.More == nil {
		return 0, false
	}
	return st.More.Safety, st.More.HasSafety
}

// journalCount is how many entries have moved to segments so far.
func (st *LocationState) journalCount() int64 {
	if st.More == nil {
		return 0
	}
	return st.More.JournalCount
}

// lastCount is the latest count, zero when there was none.
func (st *LocationState) lastCount() (m CountMark) {
	if st.isCounted() {
		m = *st.More.LastCount
	}
	return m
}

// isCounted says whether there was a count.
func (st *LocationState) isCounted() bool { return st.More != nil && st.More.LastCount != nil }

// trimmed is how far back the journal is exact, zero when all of it is.
func (st *LocationState) trimmed() (t Trimmed) {
	if st.More != nil && st.More.Trimmed != nil {
		t = *st.More.Trimmed
	}
	return t
}

// Trimmed says how far back a location's journal is exact.
type Trimmed struct {
	From    int64   // segments below this one are gone, or sums
	Blurred Instant // entries up to here are sums by the minute, or gone; a count as of before is inexact
	Sums    int64   // segments of sums so far: number i is piece -1-i
	Gone    int64   // those of sums below this one are gone
}

// CountMark remembers the latest count of a location by its as-of time.
type CountMark struct {
	AsOf     Instant
	Source   Source
	Covers   uint8  // bit n: Account n; above the states, see countSequenced
	Sequence int64  // of the source, 0 when it has none
	Snapshot string // the full snapshot it was part of
}

// Seen is an event id already decided.
type Seen struct {
	ID      uint64 // HashID
	Content uint32 // content hash: same id with another one is a conflict
	Verdict Verdict
}

// Entry is one dated change of one state at one location: position as of T is
// the position now less the entries after T.
type Entry struct {
	At       Instant
	Location Location
	Delta    Quantity
	Order    *Order // only of sources that have one, never written to; see order
	State    Account
	Count    bool  // made at a count's as-of: marks the count even when the difference is zero
	Includes uint8 // of a count: bit n, its number includes Account n beside State; above, see isSuspect
	Document int32 // of a count: countDocument; see correctCount
}

// order is the entry's place in its source's own order, zero when it has none.
func (e *Entry) order() (o Order) {
	if e.Order != nil {
		o = *e.Order
	}
	return o
}

// Order is a place in a source's own order of its movements and counts.
type Order struct {
	Source   Source
	Sequence int64
}

// entry is the place as an entry keeps it.
func (o Order) entry() *Order {
	if o == (Order{}) {
		return nil
	}
	return &o
}

// Line is a demand line: what was ordered, cancelled, picked and shipped of it,
// kept by document so that revisions replace and copies take the maximum.
type Line struct {
	ID       string
	Refs     []Ref
	Channel  string
	Due      Day
	Movable  bool
	Priority uint8 // 0 is served first
	Entries  []LineEntry
	Claims   []Claim // open claim by location, as last recomputed
	Posted   []Posted
	Held     *Held   // of a reservation
	Sourced  []Claim // where what was ordered without a location is served from, in that order
}

// Held is what a reservation holds on a line until an order takes its place.
type Held struct {
	Reservation string
	Line        string // of the request
	Partner     string
	State       HeldState
	ExpiresAt   Instant // tentative: it lapses then; a tombstone: it is forgotten then
	GrantedAt   Instant
	Granted     []Claim
	Siblings    []Key // of the request, as many as fit; in its first line
	ReplyTo     int32
	Index       int32 // place among the lines of its reservation
	Of          int32 // places the reservation uses; true in the first
}

// HeldState is how far a reservation has come.
type HeldState string

// The states of a reservation's hold.
const (
	HeldTentative HeldState = "tentative"
	HeldConfirmed HeldState = "confirmed"
	HeldCancelled HeldState = "cancelled" // a tombstone: a try that comes later is not granted
	HeldLapsed    HeldState = "lapsed"
	HeldOrdered   HeldState = "ordered" // an order took its place: it claims nothing
)

// LineEntry is what one document of one source says of a stage at a location.
type LineEntry struct {
	Source   Source
	Location Location
	Document uint64 // HashID of type, number and document line
	Revision string
	Stage    Stage // Ordered, Cancelled, Allocated, or StagePicked, StageShipped, or a short one
	Quantity Quantity
	At       Instant // business time of the document
	Sequence int64   // in its source's own order, 0 when it has none
	State    Account // of a shipment: the state it left; OnHand: the shelf, or what was picked from it
}

// Stages of a demand line that physical movements bring it to.
const (
	StagePicked  Stage = "picked"
	StageShipped Stage = "shipped"
)

// Claim is the open claim of a line at a location.
type Claim struct {
	Location Location
	Quantity Quantity
}

// Posted is what a line has moved at a location so far; the difference to what it
// should have moved is what an event posts.
type Posted struct {
	Location Location
	Outflow  Quantity // left on_hand: max(picked, shipped)
	Shipped  Quantity // of that, reached the customer
}

// SupplyLine is a purchase order or transfer line.
type SupplyLine struct {
	ID      string
	Refs    []Ref
	Entries []SupplyEntry
	Open    []SupplyOpen
}

// SupplyEntry is what one document of one source says of a supply stage.
type SupplyEntry struct {
	Source   Source
	Location Location
	Document uint64
	Revision string
	Stage    Stage // Ordered, Expected, Closed, or StageReceived, StageDespatched, StageCorroborated
	Quantity Quantity
	Due      Day
	At       Instant // business time of the document
	Sequence int64   // in its source's own order, 0 when it has none
	State    Account // of a receipt: the state it went into
	Shared   bool    // a part of what the document says: other lines have the rest
	Via      int64   // the ref, shortened, by which the document may share lines; 0: none
}

// StageReceived is the supply stage a receipt brings a line to.
const StageReceived Stage = "received"

// SupplyOpen is what is still to come of a line at a location.
type SupplyOpen struct {
	Location Location
	Due      Day
	Quantity Quantity
}

// Outside is one cumulative for each outside account of a key, indexed by
// Account - NumStates.
type Outside [NumAccounts - NumStates]Quantity

// RefTarget is the line a business ref names.
type RefTarget struct {
	Kind  string // PieceLine or PieceSupply
	Line  string
	Lines []string // of a ref that leads to several supply lines: all of them, sorted
}

// Piece is one record of the private state. Exactly one body is set unless
// Deleted, which is a tombstone.
type Piece struct {
	Kind    string
	N       []string // the parts of n, unescaped
	Deleted bool

	Head     *Head
	Location *LocationState
	IDs      []Seen
	Latest   Instant // of IDs: no event remembered up to their last one occurred later
	Journal  []Entry
	Line     *Line
	Supply   *SupplyLine
	View     *View
	Ref      *RefTarget
	Kept     *Kept
}

// Kept is an event set aside: parked, waiting for its line, or held for approval.
type Kept struct {
	Event   Event // as it came; its RecordedAt is At
	Code    Code  // why
	Detail  string
	At      Instant // ledger time it was set aside
	Lineage int64
	Offset  int64
	Until   Instant // when it is decided without what it waits for; 0: never
}

// StateKey is the piece's key in inventory.state: "entity|item|kind" and, where
// the kind has one, "|n", with every part escaped.
func StateKey(k Key, kind string, n ...string) string {
	var b strings.Builder
	b.WriteString(k.String())
	b.WriteByte('|')
	b.WriteString(kind)
	for _, p := range n {
		b.WriteByte('|')
		b.WriteString(Escape(p))
	}
	return b.String()
}

// String is the key as it stands on topics: escaped entity and item joined by '|'.
func (k Key) String() string { return Escape(string(k.Entity)) + "|" + Escape(string(k.Item)) }

// Append appends the key as String writes it.
func (k Key) Append(b []byte) []byte {
	b = append(append(b, Escape(string(k.Entity))...), '|')
	return append(b, Escape(string(k.Item))...)
}

// PositionKey is the key of a position or view record.
func PositionKey(k Key, l Location) string { return k.String() + "|" + Escape(string(l)) }

// Escape percent-encodes '|', '%' and control bytes, so that joined parts never
// collide.
func Escape(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; c == '|' || c == '%' || c < 0x20 || c == 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		if c := s[i]; c == '|' || c == '%' || c < 0x20 || c == 0x7f {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// Unescape is the opposite of Escape; what no Escape wrote stays as it is.
func Unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	digit := func(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := digit(s[i+1]), digit(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
