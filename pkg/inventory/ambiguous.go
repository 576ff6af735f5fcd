package inventory

// CodeAmbiguous says that something happened so near a count that their times do
// not tell which came first; policy decided, or an approval does.
const CodeAmbiguous Code = "ambiguous"

// follows says whether an entry came after what a count counted. Against a count
// of its own source the source's sequence decides; within what both sources' times
// may be off it is unsure, and policy decides; else their times do. Counts follow
// each other by their as-of alone.
//
// It is a function of the two and the policy, not of what else is known: that
// makes the position one of all events, whatever the order they come in. It need
// not be the same way round for two counts, and restate does not ask for that.
func (c *CountPolicy) follows(e *Entry, m *mark) (after, unsure bool) {
	after = e.At > m.at
	if e.Count {
		return after, false
	}
	o := e.order()
	if o.Sequence != 0 && m.order.Sequence != 0 && o.Source == m.order.Source {
		return o.Sequence > m.order.Sequence, false
	}
	if len(c.Sources) == 0 {
		return after, false
	}
	w := c.window(m.order.Source) + c.window(o.Source)
	if w == 0 || e.At-m.at > w || m.at-e.At > w {
		return after, false
	}
	switch c.ambiguity(m.order.Source, o.Source) {
	case Included:
		return false, true
	case Excluded:
		return true, true
	case HeldBack:
	}
	return after, true
}

// ambiguity is how a policy takes what is unsure: as the count's source says,
// else the other one's.
func (c *CountPolicy) ambiguity(count, other Source) Ambiguity {
	if x := c.of(count); x != nil && x.Ambiguous != "" && count != "" {
		return x.Ambiguous
	}
	if x := c.of(other); x != nil && other != "" {
		return x.Ambiguous
	}
	return ""
}

// unsure names an event that is near a count, and holds it where policy says so.
func (pl *plan) unsure(count, other Source) {
	pl.code(CodeAmbiguous)
	if !pl.approved && pl.policy.Counts.ambiguity(count, other) == HeldBack {
		pl.hold(CodeAmbiguous, "so near a count that their times do not tell which came first")
	}
}

// mayPrecede says whether anything dated first, later than every count of a
// location, can all the same be in the number of one.
func (pl *plan) mayPrecede(last *CountMark, first Instant) bool {
	if pl.policy == nil {
		return false
	}
	if c := &pl.policy.Counts; len(c.Sources) > 0 && first <= last.AsOf+c.widest() {
		return true
	}
	if last.Covers&countSequenced == 0 {
		return false
	}
	inOrder := func(o Order) bool {
		return o.Sequence == 0 || o.Source == last.Source && last.Sequence != 0 && o.Sequence > last.Sequence
	}
	if !inOrder(pl.order) {
		return true
	}
	for i := range pl.entries {
		if e := &pl.entries[i]; !e.Count && !inOrder(e.order()) {
			return true
		}
	}
	return false
}

// Marks that CountMark.Covers keeps beside the states, of all counts of the
// location, so that most events need not look for such a count.
const (
	countSequenced = 1 << 6 // one had a place in its source's sequence
	countAvailable = 1 << 7 // one was of available stock; of an entry's Includes: this one was
)
