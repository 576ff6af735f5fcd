package inventory

// chores are what events leave to be put in order behind them. Each is done in small
// steps, by the event that made it due, so that what the key holds is a function of
// its log and of nothing else.
type chores uint8

const (
	fullIDs      chores = 1 << iota // a segment of ids is full
	fullJournals                    // a segment of a journal is
	fitHead                         // the head may have become too large
)

// lasting is what a key that has it keeps at hand from event to event.
type lasting struct {
	ids   idIndex
	aside []aside // what waits
	read  bool    // it has been read
	also  []Outcome
	full  []Location // whose journal has a full segment more
}

func (l *Ledger) lasting() *lasting {
	if l.last == nil {
		l.last = &lasting{}
	}
	return l.last
}

// begin forgets what is of the last event alone.
func (x *lasting) begin() {
	if len(x.also) > 0 {
		clear(x.also)
		x.also = x.also[:0]
	}
}

// full notes that a segment of a location's journal is.
func (l *Ledger) full(name Location) {
	x := l.lasting()
	x.full = append(x.full, name)
	l.due |= fullJournals
}

// tend does the chores. It comes last of an event.
func (l *Ledger) tend(p *Policy, pl *plan) {
	if b := &l.head.Book; b.SweepAt != 0 && b.SweepAt <= l.head.Clock {
		l.sweep(p)
	}
	if l.due == 0 {
		return
	}
	if l.due&fullIDs != 0 {
		l.forget(p, pl)
	}
	if l.due&fullJournals != 0 {
		for _, name := range l.last.full {
			l.trim(p, name)
		}
		l.last.full = l.last.full[:0]
	}
	if l.due&fitHead != 0 {
		l.fit()
	}
	l.due = 0
}
