package inventory

// Codes of what lies beyond the window of remembered ids.
const (
	CodeBeforeWindow   Code = "before_window"   // it occurred before the window: its id may be forgotten
	CodeWindowAdvanced Code = "window_advanced" // too many events: the window is shorter than policy says
)

// when an event occurred, for the window of ids. It is the same whenever the event
// is sent again, and never beyond what the log's time allows.
func when(ev *Event) Instant {
	received := ev.ReceivedAt
	if received == 0 || ev.RecordedAt != 0 && received > ev.RecordedAt {
		received = ev.RecordedAt
	}
	if received != 0 && ev.OccurredAt > received+Skew {
		return received
	}
	return ev.OccurredAt
}

// beforeWindow says whether an event may have been seen and forgotten.
func (l *Ledger) beforeWindow(ev *Event) bool {
	switch ev.Kind {
	case KindTick, KindApproval, KindControl:
		return false // they do no harm twice
	case KindMovement, KindCount, KindDemand, KindSupply, KindReservation, KindSetting:
	}
	return when(ev) < l.head.Window.Start
}

// forgetStep is how many segments of ids go at once.
const forgetStep = 2

// forget lets go of the oldest ids: those of before the window, and those beyond the
// number policy keeps in any case. Events from before the last one forgotten cannot
// be told from repeats any more; they park.
func (l *Ledger) forget(p *Policy, pl *plan) {
	w := &l.head.Window
	for range forgetStep {
		held := l.head.IDCount - w.From*SegmentSize + int64(len(l.head.IDs))
		if l.head.IDCount < (w.From+1)*SegmentSize {
			return // the open segment
		}
		seg := l.idSegment(w.From)
		young := seg.latest >= l.head.Clock-p.Limits.window()
		if young && held-SegmentSize < p.Limits.ids() {
			return
		}
		if young {
			pl.code(CodeWindowAdvanced)
		}
		l.index().drop(seg.ids)
		seg.ids, seg.gone, seg.dirty = nil, true, true
		w.Start = max(w.Start, seg.latest+1)
		w.From++
	}
}
