package inventory

// route is where a movement type takes quantity.
type route struct {
	typ      MovementType
	from, to Account
	open     uint8 // which ends the event may choose among the states
	across   bool  // to ToLocation
	line     Stage // the stage a movement with refs brings its line to
	sign     Quantity
}

// Ends of a route that an event may choose.
const (
	openFrom = 1 << iota
	openTo
	openOutside // of a reversal: outside accounts as well
)

// routes is the one table of movement types that events may state. Those that
// only the ledger makes (count_difference and its like) are not in it.
var routes = [...]route{
	{typ: Receipt, from: Supplier, to: OnHand, open: openTo, line: StageReceived, sign: 1},
	{typ: Pick, from: OnHand, to: Picked, line: StagePicked, sign: 1},
	{typ: Unpick, from: Picked, to: OnHand, line: StagePicked, sign: -1},
	{typ: ShortPick, from: OnHand, to: Quarantine, line: StageShort, sign: 1},
	{typ: Ship, from: OnHand, to: Customer, open: openFrom, line: StageShipped, sign: 1},
	{typ: TransferOut, from: OnHand, to: InTransit, open: openFrom, across: true},
	{typ: TransferIn, from: InTransit, to: OnHand, open: openTo, line: StageReceived, sign: 1},
	{typ: ReturnReceipt, from: Customer, to: Returned},
	{typ: Disposition, from: Returned, to: OnHand, open: openTo},
	{typ: Damage, from: OnHand, to: Damaged, open: openFrom},
	{typ: Hold, from: OnHand, to: Quarantine, open: openFrom},
	{typ: Release, from: Quarantine, to: OnHand, open: openTo},
	{typ: ScrapStock, from: OnHand, to: Scrap, open: openFrom},
	{typ: ReturnToVendor, from: OnHand, to: Supplier, open: openFrom},
	{typ: Adjust, from: Adjustment, to: OnHand},
	{typ: OpeningBalance, from: Opening, to: OnHand, open: openTo},
	{typ: Reversal, open: openFrom | openTo | openOutside},
}

func routeOf(t MovementType) *route {
	for i := range routes {
		if routes[i].typ == t {
			return &routes[i]
		}
	}
	return nil
}

// move is the double entry a valid movement states, before any line has its say.
// Ends the type leaves open are the event's; they are on_hand by default.
func (m *Movement) move(r *route, at Instant) Move {
	from, to, q := r.from, r.to, m.Quantity
	if r.open&openFrom != 0 {
		from = m.FromState
	}
	if r.open&openTo != 0 {
		to = m.ToState
	}
	if r.typ == Adjust {
		to = m.adjusted()
		if q < 0 {
			from, to, q = to, from, -q
		}
	}
	mv := Move{Type: m.Type, From: Place{m.Location, from}, To: Place{m.Location, to}, Quantity: q, Reason: m.Reason, At: at}
	if m.ToLocation != "" {
		mv.To.Location = m.ToLocation
	}
	if !from.IsState() {
		mv.From.Location = ""
	}
	if !to.IsState() {
		mv.To.Location = ""
	}
	return mv
}

// adjusted is the state an adjustment changes, whichever end names it.
func (m *Movement) adjusted() Account {
	if m.ToState != OnHand {
		return m.ToState
	}
	return m.FromState
}

// lineOf says which stage of which line a movement with refs advances, and with
// which sign. A reversal takes back what its accounts say; of a transfer's receipt,
// one into on_hand. The stage is empty when the movement belongs to no line.
func (m *Movement) lineOf(r *route) (stage Stage, sign Quantity) {
	if r.typ != Reversal {
		return r.line, r.sign
	}
	switch {
	case m.FromState == Customer && m.ToState.IsState():
		return StageShipped, -1
	case m.FromState == Picked && m.ToState == OnHand:
		return StagePicked, -1
	case m.FromState == Quarantine && m.ToState == OnHand:
		return StageShort, -1
	case m.FromState.IsState() && m.ToState == Supplier, m.FromState == OnHand && m.ToState == InTransit && m.ToLocation == "":
		return StageReceived, -1
	}
	return "", 0
}
