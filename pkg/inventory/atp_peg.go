package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// PegClaim is an open claim of one line at a location.
type PegClaim struct {
	Line      string
	Channel   string
	Priority  int     // lower is served first
	Due       Day     // zero counts today
	GrantedAt Instant // when it was granted or first recorded
	Quantity  Quantity
	Movable   bool
}

// PegSupply is what is still to come of one supply line at a location.
type PegSupply struct {
	Line     string
	Due      Day // zero: undated, serves nothing
	Quantity Quantity
}

// PegFrom is what a claim is pegged to.
type PegFrom string

// What serves a claim.
const (
	FromOnHand  PegFrom = "on_hand"
	FromSupply  PegFrom = "supply"
	FromNothing PegFrom = "nothing" // no stock and no dated supply is left for it
)

// Peg says what serves a quantity of a claim.
type Peg struct {
	Line     string
	From     PegFrom
	Supply   string // line, FromSupply only
	Day      Day    // it is there: today for on hand and for overdue supply that is kept; zero for nothing
	Late     bool   // after the claim is due
	Quantity Quantity
}

// Risk is a line that will not be served whole and in time as things stand.
type Risk struct {
	Line    string
	Channel string
	Due     Day // as the claim states it
	Movable bool
	Late    Quantity // comes after it is due
	By      Day      // the last of what is late comes; zero: nothing does
	Short   Quantity // nothing is there for it at all
}

// Pegging is who gets what at a location. The pegs of a claim sum to its quantity.
type Pegging struct {
	Pegs   []Peg  // by claim, in the order they were served
	AtRisk []Risk // in the same order
}

// PegClaims pegs claims at a location to what is on hand and to dated supply, by
// priority, due day, grant time, and at last line. A claim takes what is there in
// time and comes last, so that what is there sooner is left to those who need it
// sooner; then what is late and comes first. Safety stock serves claims. What is on
// hand below zero is made good out of the first supply. Supply counts as in ATP, but
// for the horizon: none. It takes O(n log n) time and changes no argument.
func PegClaims(onHand Quantity, claims []PegClaim, supply []PegSupply, today Day, keepDays int) Pegging {
	st := newStock(onHand, supply, today, keepDays)
	order := make([]PegClaim, 0, len(claims))
	for _, c := range claims {
		if c.Quantity > 0 {
			order = append(order, c)
		}
	}
	slices.SortStableFunc(order, func(a, b PegClaim) int {
		return cmp.Or(
			cmp.Compare(a.Priority, b.Priority),
			cmp.Compare(max(today, a.Due), max(today, b.Due)),
			cmp.Compare(a.GrantedAt, b.GrantedAt),
			strings.Compare(a.Line, b.Line),
		)
	})
	var out Pegging
	for i := range order {
		c := &order[i]
		due := max(today, c.Due)
		risk := Risk{Line: c.Line, Channel: c.Channel, Due: c.Due, Movable: c.Movable}
		need := c.Quantity
		for need > 0 {
			n, ok := st.latest(due)
			if !ok {
				n, ok = st.after(due)
			}
			if !ok {
				break
			}
			peg := st.take(n, need)
			peg.Line, peg.Late = c.Line, peg.Day > due
			if peg.Late {
				risk.Late += peg.Quantity
				risk.By = peg.Day
			}
			need -= peg.Quantity
			out.Pegs = append(out.Pegs, peg)
		}
		if need > 0 {
			risk.Short = need
			out.Pegs = append(out.Pegs, Peg{Line: c.Line, From: FromNothing, Quantity: need})
		}
		if risk.Late > 0 || risk.Short > 0 {
			out.AtRisk = append(out.AtRisk, risk)
		}
	}
	return out
}

// stock is what claims can be pegged to, by the day it is there. down and up lead
// past lots that are used up; both shorten as they are followed.
type stock struct {
	lots     []Peg // From, Supply, Day, and the quantity left
	down, up []int // down[n+1]: n or the next below that is left, plus 1; up[n]: n or the next above
}

func newStock(onHand Quantity, supply []PegSupply, today Day, keepDays int) *stock {
	st := &stock{lots: []Peg{{From: FromOnHand, Day: today, Quantity: max(0, onHand)}}}
	for _, s := range supply {
		if counts(s.Due, today, max(0, keepDays)) && s.Quantity > 0 {
			st.lots = append(st.lots, Peg{From: FromSupply, Supply: s.Line, Day: max(today, s.Due), Quantity: s.Quantity})
		}
	}
	slices.SortStableFunc(st.lots[1:], func(a, b Peg) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Supply, b.Supply))
	})
	st.down, st.up = make([]int, len(st.lots)+1), make([]int, len(st.lots)+1)
	for i := range st.down {
		st.down[i], st.up[i] = i, i
	}
	hole := max(0, -onHand)
	for n := range st.lots {
		l := &st.lots[n]
		t := min(hole, l.Quantity)
		l.Quantity -= t
		hole -= t
		st.passed(n)
	}
	return st
}

// latest is the last lot that is there by day and has something left.
func (st *stock) latest(day Day) (int, bool) {
	n := follow(st.down, st.by(day)) - 1
	return n, n >= 0
}

// after is the first lot after day that has something left.
func (st *stock) after(day Day) (int, bool) {
	n := follow(st.up, st.by(day))
	return n, n < len(st.lots)
}

// by is how many lots are there by day.
func (st *stock) by(day Day) int {
	n, _ := slices.BinarySearchFunc(st.lots, day, func(l Peg, d Day) int {
		if l.Day <= d {
			return -1
		}
		return 1
	})
	return n
}

func (st *stock) take(n int, need Quantity) Peg {
	peg := st.lots[n]
	peg.Quantity = min(need, peg.Quantity)
	st.lots[n].Quantity -= peg.Quantity
	st.passed(n)
	return peg
}

// passed leads past a lot that is used up.
func (st *stock) passed(n int) {
	if st.lots[n].Quantity == 0 {
		st.down[n+1], st.up[n] = n, n+1
	}
}

func follow(to []int, i int) int {
	for to[i] != i {
		to[i] = to[to[i]]
		i = to[i]
	}
	return i
}

// PegClaimsOf are the line's open claims at a location, at most one. It was granted
// when the first order of it was.
func PegClaimsOf(ln *Line, at Location, priority int) []PegClaim {
	granted := Instant(0)
	for i := range ln.Entries {
		if e := &ln.Entries[i]; e.Stage == Ordered && (granted == 0 || e.At < granted) {
			granted = e.At
		}
	}
	var out []PegClaim
	for _, c := range ln.Claims {
		if c.Location == at && c.Quantity > 0 {
			out = append(out, PegClaim{
				Line: ln.ID, Channel: ln.Channel, Priority: priority, Due: ln.Due,
				GrantedAt: granted, Quantity: c.Quantity, Movable: ln.Movable,
			})
		}
	}
	return out
}

// PegSupplyOf is what is still to come of the line at a location, by due day.
func PegSupplyOf(ln *SupplyLine, at Location) []PegSupply {
	var out []PegSupply
	for _, o := range ln.Open {
		if o.Location == at {
			out = append(out, PegSupply{Line: ln.ID, Due: o.Due, Quantity: o.Quantity})
		}
	}
	return out
}
