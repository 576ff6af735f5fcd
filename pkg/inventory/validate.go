package inventory

// Limits of an event.
const (
	maxText       = 255  // bytes of an identifier
	maxLongText   = 1024 // bytes of a reason or an attribute's value
	maxRefs       = 16
	maxAttributes = 64
	maxInstant    = Instant(253_402_300_799_999) // 9999-12-31T23:59:59.999Z
	maxDay        = Day(2_932_896)               // 9999-12-31
)

// Validate says whether the event states one fact in full. It looks at the event
// alone; the error is a *Fault with the path of the first faulty field.
func (ev *Event) Validate() error {
	if f := ev.check(); f != nil {
		return f
	}
	return nil
}

func (ev *Event) check() *Fault {
	switch {
	case ev.ID == "":
		return fault(FaultNoID, "id", "")
	case len(ev.ID) > maxText:
		return fault(FaultTooLong, "id", "")
	case ev.Source == "":
		return fault(FaultNoSource, "source", "")
	case len(ev.Source) > maxText:
		return fault(FaultTooLong, "source", "")
	}
	if f := ev.checkBody(); f != nil {
		return f
	}
	if ev.Kind == KindControl {
		return nil // for a partition: no key, no time of business
	}
	switch {
	case ev.Key.Entity == "" || ev.Key.Item == "":
		return fault(FaultNoKey, "key", "entity and item are both needed")
	case len(ev.Key.Entity) > maxText || len(ev.Key.Item) > maxText:
		return fault(FaultTooLong, "key", "")
	case ev.OccurredAt == 0:
		return fault(FaultNoTime, "occurred_at", "")
	case ev.OccurredAt < 0 || ev.OccurredAt > maxInstant:
		return fault(FaultTime, "occurred_at", "")
	case !knownBasis(ev.OccurredBasis):
		return fault(FaultTimeBasis, "occurred_basis", ev.OccurredBasis)
	}
	if f := ev.checkDocument(); f != nil {
		return f
	}
	switch ev.Kind {
	case KindMovement:
		return ev.Movement.check()
	case KindCount:
		return ev.Count.check()
	case KindDemand:
		return ev.Demand.check(len(ev.Refs))
	case KindSupply:
		return ev.Supply.check(len(ev.Refs))
	case KindReservation:
		return ev.Reservation.check()
	case KindApproval:
		return ev.Approval.check()
	case KindTick:
	case KindSetting:
		if q := ev.Setting.SafetyStock; q > MaxQuantity || q < -MaxQuantity {
			return fault(FaultQuantity, "setting.safety_stock", "")
		}
		if len(ev.Setting.Location) > maxText {
			return fault(FaultTooLong, "setting.location", "")
		}
	case KindControl:
	}
	return nil
}

func (ev *Event) checkBody() *Fault {
	var has bool
	switch ev.Kind {
	case KindMovement:
		has = ev.Movement != nil
	case KindCount:
		has = ev.Count != nil
	case KindDemand:
		has = ev.Demand != nil
	case KindSupply:
		has = ev.Supply != nil
	case KindReservation:
		has = ev.Reservation != nil
	case KindApproval:
		has = ev.Approval != nil
	case KindTick:
		has = true
	case KindSetting:
		has = ev.Setting != nil
	case KindControl:
		has = ev.Control != nil
	default:
		return fault(FaultKind, "kind", string(ev.Kind))
	}
	bodies := flag(ev.Movement != nil) + flag(ev.Count != nil) + flag(ev.Demand != nil) +
		flag(ev.Supply != nil) + flag(ev.Reservation != nil) + flag(ev.Approval != nil) +
		flag(ev.Setting != nil) + flag(ev.Control != nil)
	if !has || bodies != 1-flag(ev.Kind == KindTick) {
		return fault(FaultBody, "kind", "exactly the body the kind names is needed")
	}
	return nil
}

func (ev *Event) checkDocument() *Fault {
	d := &ev.Document
	if len(d.Type) > maxText || len(d.Number) > maxText || len(d.Revision) > maxText || len(d.Line) > maxText {
		return fault(FaultTooLong, "document", "")
	}
	if len(ev.Refs) > maxRefs {
		return fault(FaultTooMany, "refs", "")
	}
	for i := range ev.Refs {
		r := &ev.Refs[i]
		if r.Type == "" || r.Number == "" {
			return fault(FaultRef, "refs", "type and number are both needed")
		}
		if len(r.Issuer) > maxText || len(r.Type) > maxText || len(r.Number) > maxText || len(r.Line) > maxText {
			return fault(FaultTooLong, "refs", "")
		}
	}
	if len(ev.Attributes) > maxAttributes {
		return fault(FaultTooMany, "attributes", "")
	}
	for i := range ev.Attributes {
		if a := &ev.Attributes[i]; len(a.Name) > maxText || len(a.Value) > maxLongText {
			return fault(FaultTooLong, "attributes", a.Name[:min(len(a.Name), maxText)])
		}
	}
	return nil
}

func (m *Movement) check() *Fault {
	r := routeOf(m.Type)
	switch {
	case r == nil:
		return fault(FaultMovementType, "movement.type", string(m.Type[:min(len(m.Type), maxText)]))
	case m.Location == "":
		return fault(FaultNoLocation, "movement.location", "")
	case len(m.Location) > maxText || len(m.ToLocation) > maxText:
		return fault(FaultTooLong, "movement.location", "")
	case r.across && m.ToLocation == "":
		return fault(FaultNoLocation, "movement.to_location", "")
	case m.ToLocation != "" && !r.across && r.typ != Reversal:
		return fault(FaultNoLocation, "movement.to_location", "only a transfer out has one")
	case len(m.Reason) > maxLongText:
		return fault(FaultTooLong, "movement.reason", "")
	case len(m.Reverses) > maxText:
		return fault(FaultTooLong, "movement.reverses", "")
	case r.typ == Adjust && m.Reason == "":
		return fault(FaultNoReason, "movement.reason", "an adjustment needs one")
	case r.typ == Reversal && m.Reverses == "":
		return fault(FaultNoReversed, "movement.reverses", "")
	case m.Quantity > MaxQuantity || m.Quantity < -MaxQuantity:
		return fault(FaultQuantity, "movement.quantity", "beyond 99999999999999.9999")
	case m.Quantity < 0 && r.typ != Adjust, m.Quantity == 0 && r.typ != OpeningBalance:
		return fault(FaultQuantity, "movement.quantity", "must be above zero")
	}
	limit := Account(NumStates)
	if r.open&openOutside != 0 {
		limit = Intercompany // the accounts from here on are for linked legs
	}
	if m.FromState >= limit {
		return fault(FaultState, "movement.from_state", m.FromState.String())
	}
	if m.ToState >= limit {
		return fault(FaultState, "movement.to_state", m.ToState.String())
	}
	if mv := m.move(r, 0); mv.From == mv.To {
		return fault(FaultSameAccount, "movement.to_state", "from and to are the same")
	}
	return nil
}

func (c *Count) check() *Fault {
	switch {
	case c.Location == "":
		return fault(FaultNoLocation, "count.location", "")
	case len(c.Location) > maxText:
		return fault(FaultTooLong, "count.location", "")
	case c.Basis != Physical && c.Basis != Sellable && c.Basis != Available:
		return fault(FaultBasis, "count.basis", "physical, sellable or available must be declared")
	case c.AsOf == 0:
		return fault(FaultNoTime, "count.as_of", "")
	case c.AsOf < 0 || c.AsOf > maxInstant:
		return fault(FaultTime, "count.as_of", "")
	case !knownBasis(c.AsOfBasis):
		return fault(FaultTimeBasis, "count.as_of_basis", c.AsOfBasis)
	case len(c.Covers) == 0 || len(c.Covers) > NumStates:
		return fault(FaultCovers, "count.covers", "the states it reports must be declared")
	case len(c.Balances) == 0 || len(c.Balances) > NumStates:
		return fault(FaultBalances, "count.balances", "one per reported state")
	case !partsRight(c.Part, c.Parts), c.Part != 0 && (!c.Complete || c.Snapshot == ""):
		return fault(FaultParts, "count.part", "a part of a full snapshot is numbered from 1 to at most 10000")
	case len(c.Includes) > NumStates, c.Basis != Physical && len(c.Includes) > 0:
		return fault(FaultIncludes, "count.includes", "only a physical number includes other states")
	}
	for _, a := range c.Covers {
		if !a.IsState() {
			return fault(FaultCovers, "count.covers", a.String())
		}
	}
	for _, a := range c.Includes {
		if !a.IsState() || a == OnHand {
			return fault(FaultIncludes, "count.includes", a.String())
		}
	}
	covers, seen := set(c.Covers), uint8(0)
	for _, b := range c.Balances {
		if !b.State.IsState() || covers&b.State.bit() == 0 || seen&b.State.bit() != 0 {
			return fault(FaultBalances, "count.balances", "each covered state at most once")
		}
		seen |= b.State.bit()
		if b.Quantity > MaxQuantity || b.Quantity < -MaxQuantity {
			return fault(FaultQuantity, "count.balances", "beyond 99999999999999.9999")
		}
	}
	return nil
}

func (d *Demand) check(refs int) *Fault {
	switch {
	case d.Stage != Ordered && d.Stage != Cancelled && d.Stage != Allocated:
		return fault(FaultStage, "demand.stage", string(d.Stage[:min(len(d.Stage), maxText)]))
	case len(d.Channel) > maxText:
		return fault(FaultTooLong, "demand.channel", "")
	}
	return checkLine("demand", d.Location, d.Quantity, d.Due, refs)
}

func (s *Supply) check(refs int) *Fault {
	if s.Stage != Ordered && s.Stage != Expected && s.Stage != Closed {
		return fault(FaultStage, "supply.stage", string(s.Stage[:min(len(s.Stage), maxText)]))
	}
	return checkLine("supply", s.Location, s.Quantity, s.Due, refs)
}

func (r *Reservation) check() *Fault {
	switch {
	case r.ID == "":
		return fault(FaultNoID, "reservation.id", "")
	case len(r.ID) > maxText || len(r.Partner) > maxText:
		return fault(FaultTooLong, "reservation.partner", "")
	case r.Action != Try && r.Action != Confirm && r.Action != Cancel:
		return fault(FaultAction, "reservation.action", string(r.Action[:min(len(r.Action), maxText)]))
	case r.ExpiresAt < 0 || r.ExpiresAt > maxInstant:
		return fault(FaultTime, "reservation.expires_at", "")
	case r.Action == Try && r.ExpiresAt == 0:
		return fault(FaultBody, "reservation.expires_at", "a try needs a time it lapses at")
	case r.Action != Try && len(r.Lines) > 0:
		return fault(FaultBody, "reservation.lines", "only a try has lines")
	case len(r.Lines) > maxRequestLines || len(r.Siblings) > maxSiblings:
		return fault(FaultTooMany, "reservation.lines", "of one request")
	}
	for i := range r.Lines {
		n := &r.Lines[i]
		switch {
		case len(n.Line) > maxText || len(n.Location) > maxText || len(n.Channel) > maxText:
			return fault(FaultTooLong, "reservation.lines", "")
		case len(r.ID)+len(r.Partner)+len(n.Line)+len(n.Channel) > maxClaimText:
			return fault(FaultTooLong, "reservation.lines.line", "with the names beside it")
		case n.Quantity <= 0 || n.Quantity > MaxQuantity:
			return fault(FaultQuantity, "reservation.lines.quantity", "must be above zero")
		case n.Due < 0 || n.Due > maxDay:
			return fault(FaultTime, "reservation.lines.due", "")
		}
		for j := range i {
			if r.Lines[j].Line == n.Line {
				return fault(FaultBody, "reservation.lines.line", "each line has its own name")
			}
		}
	}
	for _, k := range r.Siblings {
		if k.Entity == "" || k.Item == "" || len(k.Entity) > maxText || len(k.Item) > maxText {
			return fault(FaultNoKey, "reservation.siblings", "")
		}
	}
	return nil
}

// Limits of a request.
const (
	maxRequestLines = 32 // of one item
	maxSiblings     = 64
	maxClaimText    = 256 // bytes of the names in a claim, so that it stays small
)

func (a *Approval) check() *Fault {
	switch {
	case a.Release != ReleaseApply && a.Release != ReleaseDrop && a.Release != ReleaseUnfreeze:
		return fault(FaultAction, "approval.release", string(a.Release[:min(len(a.Release), maxText)]))
	case a.Event == "" && a.Release == ReleaseApply:
		return fault(FaultNoID, "approval.event", "")
	case a.Author == "":
		return fault(FaultNoAuthor, "approval.author", "")
	case len(a.Event) > maxText || len(a.Author) > maxText || len(a.Reason) > maxLongText:
		return fault(FaultTooLong, "approval", "")
	}
	return nil
}

func checkLine(body string, l Location, q Quantity, due Day, refs int) *Fault {
	switch {
	case l == "" && body != "demand": // demand without one is sourced
		return fault(FaultNoLocation, body+".location", "")
	case len(l) > maxText:
		return fault(FaultTooLong, body+".location", "")
	case q < 0 || q > MaxQuantity:
		return fault(FaultQuantity, body+".quantity", "must not be below zero")
	case due < 0 || due > maxDay:
		return fault(FaultTime, body+".due", "")
	case refs == 0:
		return fault(FaultNoRefs, "refs", "without one its line is unknown")
	}
	return nil
}

func knownBasis(b string) bool {
	return b == BasisDocument || b == BasisFile || b == BasisEnvelope || b == BasisReceipt
}
