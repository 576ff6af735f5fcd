package stream

// A Warmer is an object of a State whose memory the runner has read shortly before its
// group is worked on. A partition's groups fill far more memory than the processor's
// caches, and a Step waits for one part of its group after the other: reads of many
// groups that do not depend on each other wait together.
type Warmer interface {
	// Warm reads a little of each part that most calls of Step and Flush read, and
	// changes nothing. What it returns keeps the reads from being left out.
	Warm() int
}

// warmAhead is how many groups are read ahead: enough for their waits to be one, few
// enough for the first to be near still when the last has its turn.
const warmAhead = 24

// comes reads ahead for the first of recs, where it is time to: i is how many records
// there were before. A record's group is taken to be its key; where it is not, this is in
// vain and no more.
func (t *txn) comes(p *partition, i int, recs []*Record) {
	if i%warmAhead != 0 {
		return
	}
	t.near = t.near[:0]
	for _, rec := range recs[:min(warmAhead, len(recs))] {
		t.near = append(t.near, p.store.groups[stringOf(rec.Key)])
	}
	t.warm()
}

// comesAgain is comes for the flush of groups.
func (t *txn) comesAgain(i int, ds []touched) {
	if i%warmAhead != 0 {
		return
	}
	t.near = t.near[:0]
	for _, d := range ds[:min(warmAhead, len(ds))] {
		t.near = append(t.near, d.st)
	}
	t.warm()
	const line = 64 // of a cache
	for _, st := range t.near {
		if len(st.pieces) == 0 {
			continue
		}
		for v := st.pieces[0].value; len(v) > 0; v = v[min(line, len(v)):] {
			t.warmed += int(v[0])
		}
	}
}

func (t *txn) warm() {
	for _, st := range t.near { // by itself: what follows depends on it
		if st != nil {
			t.warmed += len(st.pieces)
		}
	}
	for _, st := range t.near {
		if st == nil {
			continue
		}
		if w, ok := st.object.(Warmer); ok {
			t.warmed += w.Warm()
		}
		if len(st.pieces) > 0 {
			t.warmed += len(st.pieces[0].key)
		}
	}
}
