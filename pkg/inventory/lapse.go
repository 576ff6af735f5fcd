package inventory

// Lapse is a claim of a reservation that ended by itself.
type Lapse struct {
	Reservation string
	Line        string
	Location    Location
	Quantity    Quantity
	ExpiresAt   Instant
}

// maxLapses are named in one outcome; the reservations' own lines know all.
const maxLapses = 256

// lapse frees what reservations hold whose time is over at now, the key's clock: a
// claim is free at its expiry, without anybody sweeping (EXACTLY-ONCE §6).
func (l *Ledger) lapse(pl *plan, now Instant) *Fault {
	pl.now = now
	if b := &l.head.Book; b.ExpiresAt == 0 || b.ExpiresAt > now {
		return nil
	}
	for _, e := range l.soon().order {
		if e.at > now {
			break
		}
		before := l.line(e.line)
		if before.expires() != e.at {
			continue // no such line in this ledger's pieces: the shell stops on it
		}
		after := *before
		held := *before.Held
		held.State = HeldLapsed
		after.Held = &held
		if _, f := l.claims(pl, []*Line{before}, &after); f != nil {
			return f
		}
		pl.lines = append(pl.lines, lineChange[Line]{id: e.line, after: &after})
		for _, c := range before.Claims {
			if len(pl.lapsed) < maxLapses {
				pl.lapsed = append(pl.lapsed, Lapse{held.Reservation, held.Line, c.Location, c.Quantity, e.at})
			}
		}
	}
	if len(pl.lines) > 0 {
		pl.code(CodeLapsed)
	}
	return nil
}

// tick is an event that brings time and nothing else.
func (pl *plan) tick() {
	if len(pl.lines) == 0 {
		pl.kind = Noted
		pl.detail = "nothing had lapsed"
	}
}
