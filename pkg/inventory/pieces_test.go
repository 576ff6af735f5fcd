package inventory_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// memory is Pieces in memory: what the state topic is in production.
type memory struct {
	key    Key
	pieces map[string]Piece
}

func newMemory(k Key) *memory { return &memory{key: k, pieces: map[string]Piece{}} }

// store takes over what a ledger changed and makes the ledger let go of it.
func (m *memory) store(t testing.TB, l *Ledger) {
	t.Helper()
	m.checkPrevious(t, l)
	seen := map[string]bool{}
	l.Changed(func(p Piece) {
		k := StateKey(m.key, p.Kind, p.N...)
		if seen[k] {
			t.Errorf("piece %s yielded twice", k)
		}
		seen[k] = true
		if p.Deleted {
			delete(m.pieces, k)
			return
		}
		if old := m.pieces[k].Head; p.Head != nil && old != nil {
			checkSame(t, l.Same(), old, p.Head)
		}
		m.pieces[k] = clonePiece(p)
	})
	l.ClearChanged()
	l.Changed(func(p Piece) { t.Errorf("piece %s %v still changed", p.Kind, p.N) })
}

// checkPrevious fails where a position does not name the change of its location before
// those that are being stored.
func (m *memory) checkPrevious(t testing.TB, l *Ledger) {
	t.Helper()
	for _, p := range l.ChangedPositions() {
		want := int64(NoPrevious)
		if had := m.version(p.Location); had != 0 {
			want = had
		}
		if p.Previous != want || p.Previous >= p.Version {
			t.Errorf("%s of version %d takes the place of version %d, want %d", p.Location, p.Version, p.Previous, want)
		}
	}
}

// version is that of a location as it is stored; 0: it is not.
func (m *memory) version(name Location) int64 {
	if p, ok := m.pieces[StateKey(m.key, PieceLocation, string(name))]; ok {
		return p.Location.Version
	}
	if p, ok := m.pieces[StateKey(m.key, PieceHead)]; ok {
		for i := range p.Head.Locations {
			if p.Head.Locations[i].Location == name {
				return p.Head.Locations[i].Version
			}
		}
	}
	return 0
}

// checkSame fails where something that is said to be the same is not.
func checkSame(t testing.TB, same Same, old, now *Head) {
	t.Helper()
	was := 0 // among the old ones
	for i := range now.Locations {
		if same.Locations&(1<<i) != 0 {
			if was >= len(old.Locations) || same.Added&(1<<i) != 0 || fmt.Sprint(old.Locations[was]) != fmt.Sprint(now.Locations[i]) {
				t.Errorf("location %d is said to be the same: %+v of %+v, which were %+v", i, now.Locations[i], same, old.Locations)
			}
		}
		if same.Added&(1<<i) == 0 {
			was++
		}
	}
	if n := same.IDs; n > len(now.IDs) || !slices.Equal(old.IDs[:n], now.IDs[:n]) {
		t.Errorf("the first %d ids are said to be the same: %v were %v", n, now.IDs, old.IDs)
	}
	if n := same.Journal; n > len(now.Journal) || fmt.Sprint(old.Journal[:n]) != fmt.Sprint(now.Journal[:n]) {
		t.Errorf("the first %d entries are said to be the same: %+v were %+v", n, now.Journal, old.Journal)
	}
}

func (m *memory) get(kind string, n ...string) Piece {
	return clonePiece(m.pieces[StateKey(m.key, kind, n...)])
}

func (m *memory) Head() *Head                        { return m.get(PieceHead).Head }
func (m *memory) Location(l Location) *LocationState { return m.get(PieceLocation, string(l)).Location }
func (m *memory) Line(id string) *Line               { return m.get(PieceLine, id).Line }
func (m *memory) SupplyLine(id string) *SupplyLine   { return m.get(PieceSupply, id).Supply }
func (m *memory) Ref(hash string) *RefTarget         { return m.get(PieceRef, hash).Ref }
func (m *memory) View(s Source, l Location) *View    { return m.get(PieceView, string(s), string(l)).View }

func (m *memory) IDs(n int64) ([]Seen, Instant) {
	p := m.get(PieceIDs, strconv.FormatInt(n, 10))
	return p.IDs, p.Latest
}

func (m *memory) Names(kind, after string, f func(string) bool) {
	prefix := StateKey(m.key, kind) + "|"
	for _, k := range slices.Sorted(maps.Keys(m.pieces)) {
		if strings.HasPrefix(k, prefix) && k > prefix+Escape(after) && !f(m.pieces[k].N[0]) {
			return
		}
	}
}

func (m *memory) Kept(kind string, n int64) *Kept {
	return m.get(kind, strconv.FormatInt(n, 10)).Kept
}

func (m *memory) Lines(f func(*Line) bool) {
	prefix := StateKey(m.key, PieceLine) + "|"
	for _, k := range slices.Sorted(maps.Keys(m.pieces)) {
		if strings.HasPrefix(k, prefix) && !f(clonePiece(m.pieces[k]).Line) {
			return
		}
	}
}

func (m *memory) Journal(l Location, n int64) []Entry {
	return m.get(PieceJournal, string(l), strconv.FormatInt(n, 10)).Journal
}

// clonePiece copies a piece down to the last slice, as encoding and decoding would.
func clonePiece(p Piece) Piece {
	p.N = slices.Clone(p.N)
	p.IDs = slices.Clone(p.IDs)
	p.Journal = slices.Clone(p.Journal)
	if p.Head != nil {
		h := *p.Head
		h.IDs, h.Journal, h.Split = slices.Clone(h.IDs), slices.Clone(h.Journal), slices.Clone(h.Split)
		h.Locations = slices.Clone(h.Locations)
		for i := range h.Locations {
			h.Locations[i] = cloneLocation(h.Locations[i])
		}
		p.Head = &h
	}
	if p.Location != nil {
		l := cloneLocation(*p.Location)
		p.Location = &l
	}
	if p.Line != nil {
		l := *p.Line
		l.Refs, l.Entries = slices.Clone(l.Refs), slices.Clone(l.Entries)
		l.Claims, l.Posted, l.Sourced = slices.Clone(l.Claims), slices.Clone(l.Posted), slices.Clone(l.Sourced)
		if l.Held != nil {
			h := *l.Held
			h.Granted = slices.Clone(h.Granted)
			l.Held = &h
		}
		p.Line = &l
	}
	if p.Supply != nil {
		s := *p.Supply
		s.Refs, s.Entries, s.Open = slices.Clone(s.Refs), slices.Clone(s.Entries), slices.Clone(s.Open)
		p.Supply = &s
	}
	if p.View != nil {
		v := *p.View
		v.Balances = slices.Clone(v.Balances)
		p.View = &v
	}
	if p.Kept != nil {
		k := *p.Kept
		p.Kept = &k
	}
	if p.Ref != nil {
		r := *p.Ref
		p.Ref = &r
	}
	return p
}

func cloneLocation(l LocationState) LocationState {
	if l.More != nil {
		m := *l.More
		m.Reserved, m.Supply = slices.Clone(m.Reserved), slices.Clone(m.Supply)
		l.More = &m
	}
	return l
}

// log is a ledger with a log in front of it.
// transaction is how many events a log whose ledger is kept stores at once.
const transaction = 4

type log struct {
	t      testing.TB
	policy Policy
	mem    *memory
	ledger *Ledger
	offset int64
	reload bool // forget the ledger after each event and restore it from its pieces
	also   []Outcome
}

func newLog(t testing.TB, k Key, reload bool) *log {
	m := newMemory(k)
	return &log{t: t, mem: m, ledger: NewLedger(k, m), reload: reload}
}

// append applies an event at the next offset and checks what must always hold.
func (g *log) append(ev Event) (Outcome, error) {
	g.t.Helper()
	return g.appendAt(ev, At{Lineage: 1, Offset: g.offset})
}

// appendAt is append, at the next offset as a copy or not.
func (g *log) appendAt(ev Event, place At) (Outcome, error) {
	g.t.Helper()
	g.offset++
	if done, err := g.ledger.Noop(place.Lineage, place.Offset, ev.ID); done || err != nil {
		g.t.Fatalf("offset %d: noop %v, %v", place.Offset, done, err)
	}
	before := g.ledger.Version()
	out, err := g.ledger.Apply(&g.policy, &ev, place)
	if s := g.ledger.Sum(); s != 0 {
		g.t.Fatalf("after %s %s: accounts sum to %v", ev.Kind, ev.ID, s)
	}
	g.also = slices.Clone(g.ledger.Also())
	if v := g.ledger.Version(); v < before || v > before+1+int64(len(g.also)) || err != nil && v != before {
		g.t.Fatalf("version went from %d to %d", before, v)
	}
	if g.reload || g.offset%transaction == 0 {
		g.mem.store(g.t, g.ledger)
	}
	if g.reload {
		g.ledger = NewLedger(g.mem.key, g.mem)
	}
	return out, err
}

// positions are all positions, without what depends on the order of events.
func (g *log) positions() []Position {
	var ps []Position
	for _, name := range g.ledger.Locations() {
		p, ok := g.ledger.Position(name)
		if !ok {
			g.t.Fatalf("location %s is listed and not known", name)
		}
		p.Version = 0
		ps = append(ps, p)
	}
	return ps
}
