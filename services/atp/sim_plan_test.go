//go:build synctests

package atp

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/reserve"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	simProducers = 4
	simPartners  = 5
	simHot       = 4   // items that partners contend for
	simBusy      = 6   // items with facts of every kind and no requests
	simMany      = 600 // items of one partition whose claims lapse at one moment
	simEpisodes  = 6
	simEpisode   = 2 * time.Minute
	simBusyTime  = simEpisode + 4*time.Minute // both work, and live shortly
	simGap       = 50 * time.Minute           // from one episode's begin to the next one's
)

var simLocations = []inventory.Location{"DC1", "DC2"}

// simPolicy is what a version of the policy says of reservations.
func simPolicy(version int64) reserve.Policy {
	p := reserve.Policy{Ranks: simLocations, Tombstone: 60_000}
	if version == 2 {
		p.Ranks = []inventory.Location{"DC2", "DC1"}
		p.Split, p.PartnerCap, p.ItemCap = true, 8*inventory.One, 20*inventory.One
	}
	return p
}

// simPlan is all that is going to happen, a function of the seed.
type simPlan struct {
	seed   uint64
	sends  [simProducers][]simSend
	faults []simFault
	down   struct{ from, to time.Duration } // nobody works
	policy time.Duration                    // version 2 of the policy
	calm   time.Duration                    // the faults end
	end    time.Duration

	shelves simShelf

	rng    *rand.Rand
	start  inventory.Instant
	number int // of documents
}

type simSend struct {
	at    time.Duration
	event inventory.Event // of no kind: a value that does not decode
}

type simFault struct {
	at   time.Duration
	name string
}

func (w *simWorld) plan() *simPlan {
	p := &simPlan{seed: w.seed, rng: rand.New(rand.NewPCG(w.seed, 5)), start: inventory.Instant(w.start.UnixMilli())}
	names := simFaultNames()
	for e := range simEpisodes {
		begin := time.Duration(e)*simGap + 30*time.Second
		for at := begin; at < begin+simEpisode; at += p.between(time.Second, 5*time.Second) {
			p.faults = append(p.faults, simFault{at, names[p.rng.IntN(len(names))]})
		}
		p.episode(begin)
		p.frost(e, begin)
		for range 8 {
			p.aside(begin + p.between(0, simEpisode))
		}
	}
	p.cold()
	p.many(w.parts)
	p.shelf(w.parts)
	p.down.from = 2*simGap + 10*time.Minute
	p.down.to = p.down.from + 30*time.Minute
	for range 3 { // requests that nobody answers in time
		p.contend(p.down.from+p.between(0, 20*time.Minute), p.hot())
	}
	p.policy = 3*simGap + p.between(0, simEpisode)
	p.calm = (simEpisodes-1)*simGap + 30*time.Second + simEpisode
	p.end = p.calm + 20*time.Minute
	for i := range p.sends {
		slices.SortStableFunc(p.sends[i], func(a, b simSend) int { return cmp.Compare(a.at, b.at) })
	}
	return p
}

// life is when a worker that starts now ends.
func (p *simPlan) life(i int, now time.Duration) time.Duration {
	end := now + []time.Duration{61 * time.Second, 83 * time.Second}[i]
	if begin := now.Truncate(simGap); now-begin > simBusyTime { // the calm before the next episode
		end = begin + simGap
	}
	if now < p.down.from && end > p.down.from {
		end = p.down.from
	}
	return end
}

// rest is until when a worker that would start now stays away: when nobody works, and
// the second one whenever there is little to do.
func (p *simPlan) rest(i int, now time.Duration) time.Duration {
	begin := now.Truncate(simGap)
	switch {
	case now >= p.down.from && now < p.down.to:
		return p.down.to
	case i == 1 && now-begin > simBusyTime && now < p.calm:
		return begin + simGap + 20*time.Second
	}
	return now
}

// tell is the plan in words: the faults, and how much is said when.
func (p *simPlan) tell() []string {
	lines := []string{fmt.Sprintf("seed %d: nobody works from %v to %v, policy 2 at %v", p.seed, p.down.from, p.down.to, p.policy)}
	faults := "faults:"
	for _, f := range p.faults {
		faults += fmt.Sprintf(" %v %s;", f.at.Round(time.Millisecond), f.name)
	}
	lines = append(lines, faults)
	for i := range p.sends {
		s := fmt.Sprintf("producer %d:", i)
		for j := range p.sends[i] {
			if send := &p.sends[i][j]; !isMany(send.event.Key) {
				s += fmt.Sprintf(" %v %s;", send.at.Round(time.Millisecond), tellEvent(&send.event))
			}
		}
		lines = append(lines, s)
	}
	return append(lines, p.tellShelf())
}

func tellEvent(ev *inventory.Event) string {
	s := fmt.Sprintf("%s %s %s", ev.Key.Item, ev.Document.Type, ev.Document.Number)
	switch {
	case ev.Reservation != nil:
		r := ev.Reservation
		s += fmt.Sprintf(" %s %s by %s until %d", r.Action, r.ID, r.Partner, r.ExpiresAt)
		for _, l := range r.Lines {
			s += fmt.Sprintf(" %v@%s", l.Quantity, l.Location)
		}
	case ev.Movement != nil:
		s += fmt.Sprintf(" %s %v@%s", ev.Movement.Type, ev.Movement.Quantity, ev.Movement.Location)
	case ev.Demand != nil:
		s += fmt.Sprintf(" %s %v@%s", ev.Demand.Stage, ev.Demand.Quantity, ev.Demand.Location)
	case ev.Approval != nil:
		s += fmt.Sprintf(" %s %s", ev.Approval.Release, ev.Approval.Event)
	case ev.Count != nil:
		s += fmt.Sprintf(" %v@%s as of %d", ev.Count.Balances, ev.Count.Location, ev.Count.AsOf)
	}
	for _, r := range ev.Refs {
		s += " " + r.Type + "=" + r.Number
	}
	return s
}

func (p *simPlan) between(from, to time.Duration) time.Duration {
	return from + time.Duration(p.rng.Int64N(int64(to-from)))
}

func (p *simPlan) oneIn(n int) bool { return p.rng.IntN(n) == 0 }

// send lets a producer say an event at a time, and now and then once more later.
func (p *simPlan) send(at time.Duration, ev inventory.Event) {
	at = max(at, time.Second)
	by := p.rng.IntN(simProducers)
	p.sends[by] = append(p.sends[by], simSend{at, ev})
	if p.oneIn(8) {
		by := p.rng.IntN(simProducers)
		p.sends[by] = append(p.sends[by], simSend{at + p.between(0, 3*time.Minute), ev})
	}
}

// event is the frame of one; its time of business lies up to some minutes before.
func (p *simPlan) event(at time.Duration, kind inventory.Kind, item string, source inventory.Source) inventory.Event {
	p.number++
	d := inventory.Document{Type: string(kind), Number: strconv.Itoa(p.number), Line: "1"}
	happened := at
	if p.oneIn(3) {
		happened -= p.between(0, 10*time.Minute)
	}
	return inventory.Event{
		ID: event.EventID(source, d), Kind: kind, Key: inventory.Key{Entity: "acme", Item: inventory.Item(item)}, Source: source, Document: d,
		OccurredAt: p.start + inventory.Instant(happened.Milliseconds()), OccurredBasis: inventory.BasisDocument,
		ReceivedAt: p.start + inventory.Instant(at.Milliseconds()),
	}
}

func (p *simPlan) units(n int) inventory.Quantity {
	return inventory.Quantity(1+p.rng.IntN(n)) * inventory.One
}

func (p *simPlan) location() inventory.Location { return simLocations[p.rng.IntN(len(simLocations))] }

func (p *simPlan) hot() string { return "hot-" + strconv.Itoa(p.rng.IntN(simHot)) }

// episode is a time in which much happens.
func (p *simPlan) episode(begin time.Duration) {
	for range 10 {
		p.contend(begin+p.between(0, simEpisode), p.hot())
	}
	for range 30 {
		p.fact(begin+p.between(-time.Minute, simEpisode), p.hot())
	}
	for range 40 {
		p.busy(begin + p.between(-time.Minute, simEpisode))
	}
	// an event that is refused, and one that cannot be read
	at := begin + p.between(0, simEpisode)
	bad := p.event(at, inventory.KindReservation, "hot-0", "api")
	bad.Reservation = &inventory.Reservation{ID: "bad", Action: "grab", ReplyTo: 1}
	p.send(at, bad)
	p.sends[0] = append(p.sends[0], simSend{at, inventory.Event{Key: inventory.Key{Entity: "acme", Item: "hot-1"}}})
}

// contend lets partners reach for one item at about the same time. What each says after
// its try comes late, twice or before it.
func (p *simPlan) contend(at time.Duration, item string) {
	for partner := range 3 + p.rng.IntN(simPartners-2) {
		begin := at + p.between(0, 3*time.Second)
		p.number++
		id := fmt.Sprintf("R%d", p.number)
		ask := func(at time.Duration, r inventory.Reservation) inventory.Event {
			ev := p.event(at, inventory.KindReservation, item, "api")
			r.ID, r.Partner, r.ReplyTo = id, "partner-"+strconv.Itoa(partner), int32(p.rng.IntN(8))-1
			ev.Reservation = &r
			return ev
		}
		ttl := p.between(5*time.Second, time.Minute)
		try := inventory.Reservation{
			Action: inventory.Try, Partial: p.oneIn(4), ExpiresAt: p.start + inventory.Instant((begin + ttl).Milliseconds()),
		}
		for i := range 1 + p.rng.IntN(2) {
			l := inventory.ReservationLine{Line: strconv.Itoa(i), Quantity: p.units(5)}
			if p.oneIn(2) {
				l.Location = p.location()
			}
			try.Lines = append(try.Lines, l)
		}
		p.send(begin, ask(begin, try))
		if p.oneIn(6) { // a change
			try.Lines = []inventory.ReservationLine{{Line: "0", Quantity: p.units(5)}}
			later := begin + p.between(0, ttl)
			p.send(later, ask(later, try))
		}
		if p.oneIn(2) { // in time, late, or before the try
			later := begin + p.between(-2*time.Second, ttl+ttl/2)
			r := inventory.Reservation{Action: inventory.Confirm}
			if p.oneIn(3) {
				r.ExpiresAt = p.start + inventory.Instant((later + p.between(time.Second, 4*time.Minute)).Milliseconds())
			}
			p.send(later, ask(later, r))
			if p.oneIn(2) {
				p.order(later+p.between(-5*time.Second, time.Minute), item, id)
			}
		}
		if p.oneIn(3) {
			later := begin + p.between(-3*time.Second, 2*ttl)
			p.send(later, ask(later, inventory.Reservation{Action: inventory.Cancel}))
		}
	}
}

// order orders what may be reserved, and ships it, before or after.
func (p *simPlan) order(at time.Duration, item, reservation string) {
	p.number++
	n := p.number
	ref := inventory.Ref{Issuer: "shop", Type: "order", Number: strconv.Itoa(n)}
	ev := p.event(at, inventory.KindDemand, item, "shop")
	ev.Refs = []inventory.Ref{ref}
	if reservation != "" {
		ev.Refs = append(ev.Refs, inventory.Ref{Issuer: "web", Type: "reservation", Number: reservation})
	}
	// all documents of an order are about one location
	ev.Demand = &inventory.Demand{Stage: inventory.Ordered, Quantity: p.units(4), Location: simLocations[n%len(simLocations)]}
	p.send(at, ev)
	if !p.oneIn(3) {
		later := at + p.between(-20*time.Second, 2*time.Minute)
		ship := p.event(later, inventory.KindMovement, item, "wms")
		ship.Refs = []inventory.Ref{ref}
		ship.Movement = &inventory.Movement{Type: inventory.Ship, Location: simLocations[n%len(simLocations)], Quantity: p.units(4)}
		p.send(later, ship)
	}
}

// fact states something of an item that partners contend for.
func (p *simPlan) fact(at time.Duration, item string) {
	switch n := p.rng.IntN(10); {
	case n < 5:
		ev := p.event(at, inventory.KindMovement, item, "wms")
		ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: p.location(), Quantity: p.units(3)}
		p.send(at, ev)
		if p.oneIn(6) { // another content under the same id
			m := *ev.Movement
			m.Quantity += inventory.One
			ev.Movement = &m
			p.send(at+p.between(0, time.Minute), ev)
		}
	case n < 6:
		ev := p.event(at, inventory.KindMovement, item, "wms")
		ev.Movement = &inventory.Movement{Type: inventory.Damage, Location: p.location(), Quantity: p.units(2)}
		p.send(at, ev)
	case n < 8:
		p.count(at, item)
	default:
		p.order(at, item, "")
	}
}

// count counts a location as of some minutes ago.
func (p *simPlan) count(at time.Duration, item string) {
	ev := p.event(at, inventory.KindCount, item, "wms")
	ev.Count = &inventory.Count{
		Location: p.location(), Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand},
		AsOf: ev.ReceivedAt - inventory.Instant(p.between(0, 10*time.Minute).Milliseconds()), AsOfBasis: inventory.BasisDocument,
		Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: p.units(12)}},
	}
	p.send(at, ev)
}

// busy states something of an item that nobody reserves.
func (p *simPlan) busy(at time.Duration) {
	item := "busy-" + strconv.Itoa(p.rng.IntN(simBusy))
	ref := []inventory.Ref{{Issuer: "shop", Type: "order", Number: "B" + strconv.Itoa(p.rng.IntN(20))}}
	po := []inventory.Ref{{Issuer: "erp", Type: "purchase_order", Number: "P" + strconv.Itoa(p.rng.IntN(9))}}
	source := []inventory.Source{"wms", "3pl"}[p.rng.IntN(2)]
	move := func(typ inventory.MovementType, refs []inventory.Ref) inventory.Event {
		ev := p.event(at, inventory.KindMovement, item, source)
		ev.Refs, ev.Movement = refs, &inventory.Movement{Type: typ, Location: p.location(), Quantity: p.units(5)}
		return ev
	}
	var ev inventory.Event
	switch p.rng.IntN(10) {
	case 0, 1:
		ev = move([]inventory.MovementType{inventory.Pick, inventory.Ship, inventory.Unpick}[p.rng.IntN(3)], ref)
	case 2:
		ev = move(inventory.TransferOut, nil)
		ev.Movement.Location, ev.Movement.ToLocation = "DC1", "DC2"
	case 3:
		ev = move(inventory.Receipt, po)
	case 4:
		ev = p.event(at, inventory.KindSupply, item, "erp")
		ev.Refs = po
		ev.Supply = &inventory.Supply{
			Stage:    []inventory.Stage{inventory.Ordered, inventory.Expected, inventory.Closed}[p.rng.IntN(3)],
			Location: p.location(), Quantity: p.units(9), Due: 11_000,
		}
	case 5, 6:
		ev = p.event(at, inventory.KindDemand, item, "shop")
		ev.Refs = ref
		ev.Demand = &inventory.Demand{
			Stage:    []inventory.Stage{inventory.Ordered, inventory.Ordered, inventory.Cancelled, inventory.Allocated}[p.rng.IntN(4)],
			Location: p.location(), Quantity: p.units(5), Due: 11_000,
		}
	case 7:
		p.count(at, item)
		return
	case 8:
		ev = p.event(at, inventory.KindSetting, item, "op")
		ev.Setting = &inventory.Setting{Location: p.location(), SafetyStock: p.units(3)}
	default:
		ev = move(inventory.Receipt, nil)
	}
	p.send(at, ev)
}

// many are claims of one partition that all lapse at one moment, on keys that nothing
// else happens to.
func (p *simPlan) many(parts int32) {
	at := simGap + 10*time.Minute
	many := simMany
	if n := p.seed % 5; n != 2 && n != 4 { // only those have as many as are rationed
		many /= 10
	}
	for n, found := 0, 0; found < many; n++ {
		item := "many-" + strconv.Itoa(n)
		key := inventory.Key{Entity: "acme", Item: inventory.Item(item)}
		if stream.Partition([]byte(key.String()), parts) != 0 {
			continue
		}
		found++
		by := found % simProducers
		ev := p.event(at, inventory.KindMovement, item, "wms")
		ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: inventory.One}
		p.sends[by] = append(p.sends[by], simSend{at, ev})
		try := p.event(at, inventory.KindReservation, item, "api")
		try.Reservation = &inventory.Reservation{
			ID: "M" + item, Action: inventory.Try, Partner: "partner-0", ReplyTo: -1,
			ExpiresAt: p.start + inventory.Instant((at + time.Minute).Milliseconds()),
			Lines:     []inventory.ReservationLine{{Line: "1", Location: "DC1", Quantity: inventory.One}},
		}
		p.sends[by] = append(p.sends[by], simSend{at, try})
	}
}
