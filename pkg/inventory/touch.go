package inventory

// Touch reads a little of each part that most events read, and changes nothing. A ledger
// that was not used for long is far from the processor; whoever is to use many touches
// them first, so that the waits for them are one. The sum means nothing.
func (l *Ledger) Touch() int {
	h := &l.head
	n := len(l.key.Item) + int(h.Version) + len(h.Split) + int(h.Latest) +
		int(h.Outside[0]) + int(h.Window.From) + int(h.Book.SweepAt) + int(h.Frozen.Since) + len(h.Frozen.Code) +
		int(l.same.Locations) + len(l.changes)
	for i := range h.Locations {
		n += int(h.Locations[i].Version)
	}
	const together = 4 // stand in one line of a cache
	for i := 0; i < len(h.IDs); i += together {
		n += int(h.IDs[i].Content)
	}
	if k := len(h.Journal); k > 0 {
		n += int(h.Journal[k-1].State)
	}
	if cap(l.changes) > 0 {
		n += len(l.changes[:1][0].location)
	}
	for i := range l.changes { // the ids are the events', and those are read by now
		if id := l.changes[i].eventID; id != "" {
			n += int(id[0]) + int(id[len(id)-1])
		}
	}
	return n
}
