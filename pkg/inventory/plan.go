package inventory

import (
	"cmp"
	"slices"
)

// plan is what an event will do: all of it decided, none of it done.
type plan struct {
	kind    OutcomeKind
	at      Instant // business time, clamped
	late    bool
	codes   []Code
	detail  string
	line    string
	moves   []Move
	entries []Entry // journal entries that moves do not make by themselves
	outside Outside
	also    []Seen // other ids to remember

	small [2]local // most events touch one location
	n     int
	more  []local

	counted  counted
	settled  int  // of entries, how many are accounted for: see withdraw
	withdrew bool // from the location of the count in hand
	policy   *Policy
	order    Order       // of the event among its source's own
	acks     []ackChange // see count_available.go
	wait     wait        // see guard.go
	approved bool        // a person let the event pass what holds it
	setting  bool
	views    []*View // claimed views as they will be, before they are compared
	takes    *Handover
	would    []Move // of a rehearsal: what the outcome says in the place of moves

	rehearsed bool
	lines     []lineChange[Line]
	supply    *lineChange[SupplyLine]
	before    *lineChange[SupplyLine]  // that the document in hand was about, in an older revision
	shared    []lineChange[SupplyLine] // that share a document with it: see supply_shared.go
	lists     []refList
	now       Instant // the key clock with this event
	answer    *Answer // to a request
	lapsed    []Lapse
	parking
}

// counted says which states the count in hand sets, and as of when.
type counted struct {
	at     Instant
	states uint8
	mark   CountMark
	place  Location

	corrects bool // it takes the place of the location's last one
}

// lineChange is a line as it will be.
type lineChange[T any] struct {
	id    string
	after *T
	gone  []string // lines that became part of it
	links []string // hashes of refs that name it from now on
}

// local is what a plan does at one location.
type local struct {
	location    Location
	now         *LocationState // nil: not known yet
	delta       [NumStates]Quantity
	reserved    []Bucket
	supply      []Bucket
	newReserved bool
	newSupply   bool
	safety      bool // the safety stock in force changes
	touch       bool // known from now on, even with nothing there
	parked      bool // what waits, or whether the key is frozen, changes
}

func (pl *plan) code(c Code) {
	if !slices.Contains(pl.codes, c) {
		pl.codes = append(pl.codes, c)
	}
}

func (pl *plan) supersede() {
	pl.kind = Superseded
	pl.detail = "the same document is known in this or a later revision"
}

// local finds or adds a location. The result is good until the next call.
func (pl *plan) local(l *Ledger, name Location) *local {
	for i := range pl.locals() {
		if lc := pl.localAt(i); lc.location == name {
			return lc
		}
	}
	lc := local{location: name, now: l.location(name)}
	if pl.n < len(pl.small) {
		pl.small[pl.n] = lc
		pl.n++
		return &pl.small[pl.n-1]
	}
	pl.more = append(pl.more, lc)
	return &pl.more[len(pl.more)-1]
}

func (pl *plan) locals() int { return pl.n + len(pl.more) }

func (pl *plan) localAt(i int) *local {
	if i < pl.n {
		return &pl.small[i]
	}
	return &pl.more[i-pl.n]
}

// move adds a double entry (Invariant 3): what leaves one place enters another.
func (pl *plan) move(l *Ledger, m Move) *Fault {
	if m.Quantity == 0 {
		return nil
	}
	if m.Quantity > MaxQuantity {
		return overflow("movement.quantity")
	}
	if f := pl.shift(l, m.From, -m.Quantity); f != nil {
		return f
	}
	if f := pl.shift(l, m.To, m.Quantity); f != nil {
		return f
	}
	pl.moves = append(pl.moves, m)
	return nil
}

// signed is move in the direction of the sign; backwards it is of type back.
func (pl *plan) signed(l *Ledger, m Move, back MovementType) *Fault {
	if m.Quantity < 0 {
		m.Type, m.From, m.To, m.Quantity = back, m.To, m.From, -m.Quantity
	}
	return pl.move(l, m)
}

func (pl *plan) shift(l *Ledger, p Place, q Quantity) *Fault {
	d := &pl.outside
	if p.Account.IsState() {
		lc := pl.local(l, p.Location)
		s, err := lc.delta[p.Account].Add(q)
		if err != nil {
			return overflow("movement.quantity")
		}
		lc.delta[p.Account] = s
		return nil
	}
	s, err := d[p.Account-NumStates].Add(q)
	if err != nil {
		return overflow("movement.quantity")
	}
	d[p.Account-NumStates] = s
	return nil
}

// settle turns differences of a location's states into moves: what one state
// lacks another one has first, and only the rest against adjustment.
func (pl *plan) settle(l *Ledger, name Location, diff [NumStates]Quantity, at Instant, across, rest MovementType) *Fault {
	for from := range Account(NumStates) {
		for to := range Account(NumStates) {
			q := min(-diff[from], diff[to])
			if q <= 0 {
				continue
			}
			m := Move{Type: across, From: Place{name, from}, To: Place{name, to}, Quantity: q, At: at}
			if f := pl.move(l, m); f != nil {
				return f
			}
			diff[from] += q
			diff[to] -= q
		}
	}
	for a := range Account(NumStates) {
		m := Move{Type: rest, From: Place{Account: Adjustment}, To: Place{name, a}, Quantity: diff[a], At: at}
		if f := pl.signed(l, m, rest); f != nil {
			return f
		}
	}
	return nil
}

// byCount says whether the move was made by a count: its entries are stated apart.
func byCount(t MovementType) bool {
	return t == CountDifference || t == CountRestatement || t == CountStateChange
}

// effects are the entries the plan makes at a location, by time.
func (pl *plan) effects(name Location) []Entry {
	var es []Entry
	for i := range pl.moves {
		m := &pl.moves[i]
		if byCount(m.Type) {
			continue
		}
		if m.From.Account.IsState() && m.From.Location == name {
			es = append(es, pl.entry(m, m.From, -m.Quantity))
		}
		if m.To.Account.IsState() && m.To.Location == name {
			es = append(es, pl.entry(m, m.To, m.Quantity))
		}
	}
	for _, e := range pl.entries[pl.settled:] {
		if e.Location == name {
			es = append(es, e)
		}
	}
	slices.SortStableFunc(es, func(a, b Entry) int { return cmp.Compare(a.At, b.At) })
	return es
}

// conclude checks that every sum stays within range, and names what a person
// should look at.
func (l *Ledger) conclude(pl *plan) *Fault {
	var none LocationState
	known := len(l.head.Locations) + len(l.head.Split)
	for i := range pl.locals() {
		lc := pl.localAt(i)
		now := lc.now
		if now == nil {
			now = &none
			known++
		}
		if known > maxLocations {
			return fault(FaultTooManyLocations, "location", "")
		}
		for a, d := range lc.delta {
			if d == 0 {
				continue
			}
			q, err := now.States[a].Add(d)
			if err != nil {
				return overflow("movement.quantity")
			}
			if d < 0 && q < 0 {
				pl.code(CodeNegative)
			}
		}
		lc.newReserved = lc.newReserved && !slices.Equal(lc.reserved, now.Reserved())
		lc.newSupply = lc.newSupply && !slices.Equal(lc.supply, now.Supply())
		pl.checkOversold(lc, now)
	}
	for a, d := range pl.outside {
		if _, err := l.head.Outside[a].Add(d); err != nil {
			return overflow("movement.quantity")
		}
	}
	return nil
}

// maxLocations of one item.
const maxLocations = 10_000

// checkOversold raises the code when what is there and what will come no longer
// cover the claims, and this event made it worse. Safety stock does not count: it
// may be sold by decision.
func (pl *plan) checkOversold(lc *local, now *LocationState) {
	reserved, supply := now.Reserved(), now.Supply()
	if lc.newReserved {
		reserved = lc.reserved
	}
	if lc.newSupply {
		supply = lc.supply
	}
	if len(reserved) == 0 {
		return
	}
	before := cover(now.States[OnHand], now.Reserved(), now.Supply())
	after := cover(now.States[OnHand]+lc.delta[OnHand], reserved, supply)
	if after < 0 && after < before {
		pl.code(CodeOversold)
	}
}

func cover(onHand Quantity, reserved, supply []Bucket) Quantity {
	for i := range supply {
		onHand = saturate(onHand, supply[i].Quantity)
	}
	for i := range reserved {
		onHand = saturate(onHand, -reserved[i].Quantity)
	}
	return onHand
}

// saturate adds within MaxQuantity.
func saturate(a, b Quantity) Quantity {
	return max(-MaxQuantity, min(MaxQuantity, a+b))
}

// changed says whether the location's facts differ afterwards.
func (lc *local) changed() bool {
	return lc.delta != [NumStates]Quantity{} || lc.newReserved || lc.newSupply || lc.safety || lc.parked || lc.now == nil && lc.touch
}
