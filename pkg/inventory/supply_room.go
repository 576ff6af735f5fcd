package inventory

import "slices"

// roomOf is how much each line takes of what a document of a group says: by the advice,
// or what is open, in both without what the parts that stand there already take.
func (l *Ledger) roomOf(pl *plan, lines []*SupplyLine, g *group, e *SupplyEntry) []Quantity {
	room := make([]Quantity, len(lines))
	said := g.said && takes(e.Stage)
	for i, ln := range lines {
		own, parts := accountOf(ln.Entries, e, false), accountOf(ln.Entries, e, true)
		if said {
			of := func(x SupplyEntry) bool { return l.repVia(pl, x.Via) != g.via }
			own, parts = slices.DeleteFunc(own, of), slices.DeleteFunc(parts, of)
			room[i] = saturate(reached(own, Expected, e.Location, forever), -taken(own, e))
		} else {
			for _, o := range open(own) {
				if o.Location == e.Location {
					room[i] = saturate(room[i], o.Quantity)
				}
			}
		}
		room[i] = max(0, saturate(room[i], -taken(parts, e)))
	}
	return room
}

// taken is what entries take of what a document is spread over.
func taken(es []SupplyEntry, e *SupplyEntry) Quantity {
	if !takes(e.Stage) {
		return reached(es, e.Stage, e.Location, forever)
	}
	return saturate(reached(es, StageReceived, e.Location, forever), reached(es, Closed, e.Location, forever))
}

// takes says whether a stage takes of what is open.
func takes(s Stage) bool { return s != Expected && s != StageDespatched }

func received(s Stage) bool { return s == StageReceived || s == StageCorroborated }

// accountOf are entries of a line, those of documents of its own or the parts of others, as
// the source of a document sees them: what was received is what it says itself, since what
// another says of the line may be the same goods.
func accountOf(es []SupplyEntry, of *SupplyEntry, shared bool) []SupplyEntry {
	kept := make([]SupplyEntry, 0, len(es))
	for _, x := range es {
		if x.Shared != shared {
			continue
		}
		own := x.Source == of.Source
		switch {
		case !takes(of.Stage) && shared && !own:
			continue
		case received(of.Stage) && received(x.Stage):
			if !own || x.Stage != of.Stage {
				continue
			}
			x.Stage = StageReceived
		}
		kept = append(kept, x)
	}
	return kept
}

// fill spreads a quantity: each takes what it has room for, the last the rest.
func fill(room []Quantity, q Quantity) []Quantity {
	parts := make([]Quantity, len(room))
	for i := range room {
		t := max(0, min(room[i], q))
		parts[i], q = t, q-t
	}
	parts[len(parts)-1] += q
	return parts
}
