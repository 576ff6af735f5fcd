package canonicalizer

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// reference is a hash of a name in the master data of an entity. Two names with one
// hash cost a look more, nothing else.
type reference uint64

func refer(parts ...string) reference {
	return reference(inventory.HashID(strings.Join(parts, "\x00") + "\x00"))
}

// referencesTo are the names an item answers to, those of its units with them: whoever
// waits for a unit waits for its item's next version.
func referencesTo(i *event.MasterItem) []reference {
	e := string(i.Key.Entity)
	out := []reference{refer(e, idSKU, string(i.Key.Item))}
	for _, id := range i.Identifiers {
		typ := identifierType(id.Type)
		out = append(out, refer(e, typ, identifierValue(typ, id.Value)))
	}
	return out
}

func referencesToPlace(l *event.MasterLocation) []reference {
	e := string(l.Entity)
	out := []reference{refer(e, "@", string(l.Location))}
	for _, a := range l.Aliases {
		out = append(out, refer(e, "@", a.Value))
	}
	return out
}

// referencesOf are all names a line states: any of them may be what comes.
func referencesOf(p *sourceProgram, l *line) []reference {
	src := p.src
	e := string(src.Entity)
	var out []reference
	for _, id := range slices.Concat(l.ids, p.names.translate(src, l.ids)) {
		for _, typ := range typesOf(src, id.Type) {
			out = append(out, refer(e, typ, identifierValue(typ, id.Value)))
		}
	}
	places := slices.Concat(l.locations, l.toLocations, []string{string(src.DefaultLocation)})
	for _, code := range places {
		if code != "" {
			out = append(out, refer(e, "@", code))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Limits of what is known of lines that wait.
const (
	// maxWaits bounds the lines that are held, at about 600 bytes each. Others stay on
	// the topic and are looked for again: see waits.full.
	maxWaits = 200_000
	// maxClosed bounds the lines remembered that wait no more.
	maxClosed = 100_000
	// A line sent to be run again that still stands after this is sent again, and after
	// twice as long each further time.
	sendAgain    = time.Minute
	sendAgainMax = time.Hour
)

// waits holds which parked lines stand, and which of them may run again: a projection
// of canonicalizer.parked. It is safe for concurrent use.
type waits struct {
	mu    sync.Mutex
	most  int
	lines map[string]*waitingLine
	byRef map[reference]map[*waitingLine]struct{}
	ready map[int32]*readyLines
	// Of a partition: the lines that stand and are not held, about, and when they were
	// last looked for.
	beyond    map[int32]int
	rescanned map[int32]time.Time

	closed      map[uint64]struct{}
	closedOrder []uint64
}

// waitingLine is a line that stands, by its place on the topic.
type waitingLine struct {
	key       string
	partition int32
	offset    int64
	order     string // of its message: ids of raw messages sort by time
	line      int32
	at        inventory.Instant
	code      string
	source    inventory.Source
	refs      []reference

	queued bool      // among the ready ones
	sent   time.Time // to be run again; zero: not since something came
	tries  int
}

func newWaits(most int) *waits {
	return &waits{
		most: most, lines: map[string]*waitingLine{}, byRef: map[reference]map[*waitingLine]struct{}{}, ready: map[int32]*readyLines{},
		beyond: map[int32]int{}, rescanned: map[int32]time.Time{}, closed: map[uint64]struct{}{},
	}
}

// put holds a line that stands. It reports false where there is no room; one that may
// run at once finds some.
func (w *waits) put(l *waitingLine, runs bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.closed, inventory.HashID(l.key))
	if old := w.lines[l.key]; old != nil { // parked again: the newer record counts
		old.partition, old.offset, old.code = l.partition, l.offset, l.code
		return true
	}
	if len(w.lines) >= w.most && !runs {
		w.beyond[l.partition]++
		return false
	}
	w.lines[l.key] = l
	for _, r := range l.refs {
		if w.byRef[r] == nil {
			w.byRef[r] = map[*waitingLine]struct{}{}
		}
		w.byRef[r][l] = struct{}{}
	}
	return true
}

// close forgets a line that stands no more, and remembers that it does not.
func (w *waits) close(key string, partition int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := inventory.HashID(key)
	if _, known := w.closed[h]; !known {
		if len(w.closedOrder) >= maxClosed {
			delete(w.closed, w.closedOrder[0])
			w.closedOrder = w.closedOrder[1:]
		}
		w.closed[h] = struct{}{}
		w.closedOrder = append(w.closedOrder, h)
	}
	l := w.lines[key]
	if l == nil {
		w.beyond[partition] = max(0, w.beyond[partition]-1)
		return
	}
	delete(w.lines, key)
	for _, r := range l.refs {
		if delete(w.byRef[r], l); len(w.byRef[r]) == 0 {
			delete(w.byRef, r)
		}
	}
}

// isClosed says that a line stands no more. Of one closed long ago it is not known.
func (w *waits) isClosed(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, closed := w.closed[inventory.HashID(key)]
	return closed
}

// came makes the lines ready that wait for any of the names.
func (w *waits) came(refs []reference) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byRef) == 0 {
		return
	}
	for _, r := range refs {
		for l := range w.byRef[r] {
			l.tries = 0
			w.queue(l)
		}
	}
}

// cameFrom makes all lines of a source ready: what it calls things has changed.
func (w *waits) cameFrom(source inventory.Source) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if l.source == source {
			l.tries = 0
			w.queue(l)
		}
	}
}

// wake makes one line ready.
func (w *waits) wake(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.lines[key]; l != nil {
		w.queue(l)
	}
}

func (w *waits) queue(l *waitingLine) {
	if l.queued {
		return
	}
	l.queued = true
	q := w.ready[l.partition]
	if q == nil {
		q = &readyLines{}
		w.ready[l.partition] = q
	}
	heap.Push(q, l)
}

// take returns up to n ready lines of a partition, in the order of their messages and
// lines, and takes them for sent.
func (w *waits) take(partition int32, n int, now time.Time) []*waitingLine {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.ready[partition]
	if q == nil {
		return nil
	}
	for len(q.sent) > 0 && !now.Before(q.sent[0].due) {
		s := q.sent[0]
		q.sent = q.sent[1:]
		if l := w.lines[s.key]; l != nil && l.sent.Equal(s.at) {
			w.queue(l)
		}
	}
	var out []*waitingLine
	for len(out) < n && q.Len() > 0 {
		l, _ := heap.Pop(q).(*waitingLine)
		l.queued = false
		if w.lines[l.key] != l {
			continue // closed since
		}
		l.sent = now
		again := min(sendAgain<<min(l.tries, 10), sendAgainMax)
		l.tries++
		q.remember(sentLine{l.key, now, now.Add(again)})
		out = append(out, l)
	}
	return out
}

// rest says that a line taken was not sent: what it waits for is not there after all,
// and the next that comes makes it ready.
func (w *waits) rest(l *waitingLine) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.sent = time.Time{}
}

// rescan says whether the topic is to be read again for lines of a partition that are
// not held: now and then, and when there is room for many. Another count of them begins.
func (w *waits) rescan(partition int32, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.beyond[partition] == 0 || len(w.lines) >= w.most/2 && now.Sub(w.rescanned[partition]) < rescanEvery {
		return false
	}
	w.rescanned[partition], w.beyond[partition] = now, 0
	return true
}

// standing is how many lines wait for a reason, and since when the oldest does.
type standing struct {
	lines  int
	oldest inventory.Instant
}

func (w *waits) standing() (by map[string]standing, beyond int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	by = map[string]standing{}
	for _, l := range w.lines {
		s := by[l.code]
		if s.lines++; s.lines == 1 || l.at < s.oldest {
			s.oldest = l.at
		}
		by[l.code] = s
	}
	for _, n := range w.beyond {
		beyond += n
	}
	return by, beyond
}

// readyLines is a heap by message and line, and what was taken from it.
type readyLines struct {
	lines []*waitingLine
	sent  []sentLine // by due
}

type sentLine struct {
	key     string
	at, due time.Time
}

func (q *readyLines) remember(s sentLine) {
	i, _ := slices.BinarySearchFunc(q.sent, s.due, func(o sentLine, due time.Time) int {
		return cmp.Or(o.due.Compare(due), -1)
	})
	q.sent = slices.Insert(q.sent, i, s)
}

func (q *readyLines) Len() int { return len(q.lines) }
func (q *readyLines) Less(i, j int) bool {
	a, b := q.lines[i], q.lines[j]
	return cmp.Or(strings.Compare(a.order, b.order), cmp.Compare(a.line, b.line)) < 0
}
func (q *readyLines) Swap(i, j int) { q.lines[i], q.lines[j] = q.lines[j], q.lines[i] }
func (q *readyLines) Push(x any)    { q.lines = append(q.lines, x.(*waitingLine)) }
func (q *readyLines) Pop() any {
	last := q.lines[len(q.lines)-1]
	q.lines = q.lines[:len(q.lines)-1]
	return last
}
