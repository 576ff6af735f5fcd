package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// report is what one document of one source says of a line. Entries of a line are
// kept sorted by source, document and stage, so the order of arrival leaves no
// trace.
type report struct {
	source   Source
	document uint64
	stage    Stage
	revision string
	location Location
	quantity Quantity
	at       Instant
	sequence int64
	state    Account
}

type reported interface {
	LineEntry | SupplyEntry
	report() report
}

func (e LineEntry) report() report {
	return report{e.Source, e.Document, e.Stage, e.Revision, e.Location, e.Quantity, e.At, e.Sequence, e.State}
}

func (e SupplyEntry) report() report {
	return report{e.Source, e.Document, e.Stage, e.Revision, e.Location, e.Quantity, e.At, e.Sequence, e.State}
}

// maxEntries of one line.
const maxEntries = 256

// put adds an entry, or replaces that of the same document where the entry's
// revision is newer; otherwise it returns false and changes nothing. The slice is
// the caller's own.
func put[E reported](es []E, e E) ([]E, bool) {
	n := e.report()
	i, found := slices.BinarySearchFunc(es, n, func(x E, n report) int {
		r := x.report()
		return cmp.Or(
			strings.Compare(string(r.source), string(n.source)),
			cmp.Compare(r.document, n.document),
			strings.Compare(string(r.stage), string(n.stage)),
		)
	})
	if !found {
		return slices.Insert(es, i, e), true
	}
	if compareRevisions(n.revision, es[i].report().revision) <= 0 {
		return es, false
	}
	es[i] = e
	return es, true
}

// checkEntries keeps the sums over a line's documents within range.
func checkEntries[E reported](es []E) *Fault {
	if len(es) > maxEntries {
		return fault(FaultTooManyDocuments, "refs", "of one line")
	}
	var sum Quantity
	for i := range es {
		q := es[i].report().quantity
		var err error
		if sum, err = sum.Add(max(q, -q)); err != nil {
			return overflow("quantity")
		}
	}
	return nil
}

// compareRevisions orders revisions of a document: none before any, numbers by
// value, everything else as text.
func compareRevisions(a, b string) int {
	if digits(a) && digits(b) {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		if len(a) != len(b) {
			return cmp.Compare(len(a), len(b))
		}
	}
	return strings.Compare(a, b)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// reached is how far a stage has come at a location, by documents up to a time.
// Documents of one source add; of several sources the one that says most counts.
func reached[E reported](es []E, stage Stage, at Location, through Instant) Quantity {
	return reachedBy(nil, es, stage, at, moment{at: through})
}

// reachedBy is reached up to a moment.
func reachedBy[E reported](c *CountPolicy, es []E, stage Stage, at Location, through moment) Quantity {
	return mostSaid(es, func(r report) bool { return r.stage == stage && r.location == at && r.moment(c).compare(through) <= 0 })
}

// mostSaid is what the source says that says most in the reports asked for. Entries
// stand by source.
func mostSaid[E reported](es []E, of func(report) bool) Quantity {
	var most, sum Quantity
	var source Source
	for i := range es {
		r := es[i].report()
		if !of(r) {
			continue
		}
		if r.source != source {
			most = max(most, sum)
			source, sum = r.source, 0
		}
		sum += r.quantity
	}
	return max(most, sum)
}

// byState is how far a stage has come at a location in each state, up to a moment: as
// much as the source says that says most; of it in other states than on_hand what the
// one says that says most of that. A state may be below zero, where more was taken back
// there than was put; the rest is then as much more.
func byState[E reported](c *CountPolicy, es []E, stage Stage, at Location, through moment) (in [NumStates]Quantity) {
	var most Quantity
	var told uint8
	for i := 0; i < len(es); {
		var q [NumStates]Quantity
		var tells uint8
		source := es[i].report().source
		for ; i < len(es); i++ { // entries stand by source
			r := es[i].report()
			if r.source != source {
				break
			}
			if r.stage == stage && r.location == at && r.state.IsState() && r.moment(c).compare(through) <= 0 {
				q[r.state] += r.quantity
				tells |= r.state.bit()
			}
		}
		sum := summed(q)
		if sum < 0 {
			continue // it took back more than it said
		}
		most = max(most, sum)
		for a := range Account(NumStates) {
			if tells&a.bit() != 0 && (told&a.bit() == 0 || q[a] > in[a]) {
				in[a] = q[a]
			}
		}
		told |= tells
	}
	rest := most
	for _, q := range in {
		rest -= min(0, q)
	}
	for a := Account(NumStates - 1); a > OnHand; a-- {
		in[a] = min(in[a], rest)
		rest -= max(0, in[a])
	}
	in[OnHand] = rest + min(0, in[OnHand])
	return in
}

// statesOf adds the states that a stage names at a location, as bits.
func statesOf[E reported](states uint8, es []E, stage Stage, at Location) uint8 {
	for i := range es {
		if r := es[i].report(); r.stage == stage && r.location == at && r.state.IsState() {
			states |= r.state.bit()
		}
	}
	return states
}

func summed(qs [NumStates]Quantity) (sum Quantity) {
	for _, q := range qs {
		sum += q
	}
	return sum
}

// leading is the source that says most of a stage over all locations; of equals
// the first by name.
func leading[E reported](es []E, stage Stage) Source {
	var source, lead Source
	most, sum := Quantity(-1), Quantity(-1)
	for i := range es {
		r := es[i].report()
		if r.stage != stage {
			continue
		}
		if r.source != source {
			if sum > most {
				lead, most = source, sum
			}
			source, sum = r.source, 0
		}
		sum += r.quantity
	}
	if sum > most {
		lead = source
	}
	return lead
}

// reported is whose report of a stage a reversal takes back: that of its own source
// or, where that has none, of the source that says most at the location. It is empty
// where the event's line knows of none: it was swept, or the refs are others.
func (l *Ledger) reported(ev *Event, pl *plan, stage Stage) Source {
	at := ev.Movement.Location
	if stage == StageReceived {
		var es []SupplyEntry
		for _, id := range l.resolve(pl, PieceSupply, ev.Refs).found {
			es = append(es, l.supplyLine(id).Entries...)
		}
		return reporter(es, stage, at, ev.Source)
	}
	var es []LineEntry
	for _, id := range l.resolve(pl, PieceLine, plainRefs(ev.Refs)).found {
		es = append(es, l.planned(pl, id).Entries...)
	}
	return reporter(es, stage, at, ev.Source)
}

// reporter is the source itself where it reports a stage at a location, else the one
// that reports most of it, of equals the first by name; empty: nobody does.
func reporter[E reported](es []E, stage Stage, at Location, source Source) (by Source) {
	var most Quantity
	for i := range es {
		r := es[i].report()
		if !sameStage(r.stage, stage) || r.location != at {
			continue
		}
		if r.source == source {
			return source
		}
		var sum Quantity
		for j := range es {
			if x := es[j].report(); sameStage(x.stage, stage) && x.location == at && x.source == r.source {
				sum += x.quantity
			}
		}
		if sum > most || sum == most && sum > 0 && r.source < by {
			by, most = r.source, sum
		}
	}
	return by
}

// sequenceOf is the movement's place in the order of a source: of its own one alone.
func (ev *Event) sequenceOf(s Source) int64 {
	if s != ev.Source {
		return 0
	}
	return ev.Movement.Sequence
}

// places adds the locations that entries name, those of the given stages or of
// all, to a sorted list without repeats.
func places[E reported](ls []Location, es []E, stages ...Stage) []Location {
	for i := range es {
		r := es[i].report()
		if len(stages) > 0 && !slices.Contains(stages, r.stage) {
			continue
		}
		if j, found := slices.BinarySearch(ls, r.location); !found {
			ls = slices.Insert(ls, j, r.location)
		}
	}
	return ls
}

// moment is when a line changed: a time and, where counts ask for it, the place in
// its source's own order. Of one time those without one come first; the order
// among the others is any, as long as it is always the same.
type moment struct {
	at    Instant
	order Order
}

func (m moment) compare(n moment) int {
	return cmp.Or(cmp.Compare(m.at, n.at), strings.Compare(string(m.order.Source), string(n.order.Source)),
		cmp.Compare(m.order.Sequence, n.order.Sequence))
}

// moment of a report, as far as policy asks for its order; nil asks for none.
func (r *report) moment(c *CountPolicy) moment {
	if c == nil {
		return moment{at: r.at}
	}
	return moment{r.at, c.order(r.source, r.sequence)}
}

// moments adds those at which stages changed at a location to a sorted list
// without repeats.
func moments[E reported](c *CountPolicy, ms []moment, es []E, at Location, stages ...Stage) []moment {
	for i := range es {
		r := es[i].report()
		if r.location != at || !slices.Contains(stages, r.stage) {
			continue
		}
		m := r.moment(c)
		if j, found := slices.BinarySearchFunc(ms, m, moment.compare); !found {
			ms = slices.Insert(ms, j, m)
		}
	}
	return ms
}

// forever is after every time.
const forever = maxInstant + 1
