package stream

import (
	"bytes"
	"slices"
	"strings"
	"unsafe"
)

// State is what a group holds: its pieces as committed, and beside them what the
// open transaction has staged. One goroutine uses it.
//
// Keys and values given to Put are kept, not copied: the caller must not write to
// them afterwards. Values that Get returns must not be written to.
type State struct {
	group  string
	pieces []piece  // committed, by key
	over   *overlay // staged by the open transaction; nil when it has not touched the group
	object any

	cache *objectCache
	spare *spare // memory of replaced values
	slot  int    // in cache, from 1; 0: not there
	used  bool   // since the cache last looked
}

// A piece is one state record. In an overlay a nil value is a tombstone.
type piece struct {
	key   string
	value []byte
}

// overlay holds staged pieces in the order of their first Put.
type overlay struct {
	pieces []piece
	index  map[string]int // built when pieces are many
	undo   []undo         // of the Step under way
	inStep bool
	kept   bool  // a Step has succeeded: Flush is due
	first  int64 // offset of the record whose Step that was
	last   int64 // offset of the record that touched the group last
}

type undo struct {
	at    int
	value []byte
	fresh bool // the piece was appended
}

// few pieces are looked through.
const few = 4

// indexed is the number of staged pieces from which on a map finds them.
const indexed = 24

// NewState returns an empty state, for tests of processors.
func NewState(group string) *State { return &State{group: group, spare: new(spare)} }

// Group names the state.
func (s *State) Group() string { return s.group }

// Get returns the value of a piece, the staged one first; nil when absent.
func (s *State) Get(key string) []byte {
	if s.over != nil {
		if i := s.over.find(key); i >= 0 {
			return s.over.pieces[i].value
		}
	}
	if i, ok := s.search(key); ok {
		return s.pieces[i].value
	}
	return nil
}

// Own is the state's own memory of a key that it holds, else the key. Who names a
// piece often is served fastest by it.
func (s *State) Own(key string) string {
	if i, ok := s.search(key); ok {
		return s.pieces[i].key
	}
	return key
}

// Put stages a piece. It reaches the log only if its bytes differ from what is
// committed.
func (s *State) Put(key string, value []byte) {
	if value == nil {
		value = []byte{} // nil on the log is a tombstone
	}
	s.stage(key, value)
}

// Room is empty memory for a value of n bytes that is to be Put. It may be that of
// a value which a commit has replaced: who uses Room must Put every value once, and
// under one key.
func (s *State) Room(n int) []byte {
	if s.spare == nil {
		return make([]byte, 0, n)
	}
	return s.spare.room(n)
}

// Delete stages a tombstone.
func (s *State) Delete(key string) { s.stage(key, nil) }

// Each calls f for every piece in the order of keys, staged ones first, until f
// returns false. f must not change the state.
func (s *State) Each(f func(key string, value []byte) bool) {
	if s.over == nil || len(s.over.pieces) == 0 {
		for i := range s.pieces {
			if !f(s.pieces[i].key, s.pieces[i].value) {
				return
			}
		}
		return
	}
	staged := slices.Clone(s.over.pieces)
	slices.SortFunc(staged, func(a, b piece) int { return strings.Compare(a.key, b.key) })
	i, j := 0, 0
	for i < len(s.pieces) || j < len(staged) {
		var p piece
		switch {
		case j == len(staged) || i < len(s.pieces) && s.pieces[i].key < staged[j].key:
			p = s.pieces[i]
			i++
		default:
			if i < len(s.pieces) && s.pieces[i].key == staged[j].key {
				i++
			}
			p = staged[j]
			j++
		}
		if p.value != nil && !f(p.key, p.value) {
			return
		}
	}
}

// Object returns the group's decoded form, or nil when it must be made again from
// the pieces.
func (s *State) Object() any { return s.object }

// SetObject keeps the group's decoded form. It may hold changes that Flush has
// still to put; it is gone after an abort, a restore or a revocation, and after a
// rejection too unless earlier records of the same transaction have changed the
// group.
func (s *State) SetObject(o any) {
	s.object = o
	if s.cache != nil {
		if o == nil {
			s.cache.remove(s)
		} else {
			s.cache.use(s)
		}
	}
}

// Merge makes what is staged the committed state, as a commit does. The runner
// calls it; besides it only tests of processors do.
func (s *State) Merge() {
	if s.over == nil {
		return
	}
	for i := range s.over.pieces {
		s.set(s.over.pieces[i].key, s.over.pieces[i].value)
	}
	s.over = nil
}

// Drop forgets what is staged and the object, as an abort does. The runner calls
// it; besides it only tests of processors do.
func (s *State) Drop() {
	s.over = nil
	s.SetObject(nil)
}

func (s *State) stage(key string, value []byte) {
	if s.over == nil {
		s.over = new(overlay)
	}
	o := s.over
	i := o.find(key)
	if o.inStep {
		if i >= 0 {
			o.undo = append(o.undo, undo{at: i, value: o.pieces[i].value})
		} else {
			o.undo = append(o.undo, undo{at: len(o.pieces), fresh: true})
		}
	}
	if i >= 0 {
		o.pieces[i].value = value
		return
	}
	o.pieces = append(o.pieces, piece{key, value})
	switch {
	case o.index != nil:
		o.index[key] = len(o.pieces) - 1
	case len(o.pieces) > indexed:
		o.index = make(map[string]int, 4*indexed)
		for i := range o.pieces {
			o.index[o.pieces[i].key] = i
		}
	}
}

func (o *overlay) find(key string) int {
	if o.index != nil {
		if i, ok := o.index[key]; ok {
			return i
		}
		return -1
	}
	last := len(key) - 1
	for i := range o.pieces {
		// Keys of one group differ at their end, if anywhere.
		if k := o.pieces[i].key; len(k) == len(key) && (last < 0 || k[last] == key[last] && k == key) {
			return i
		}
	}
	return -1
}

// rollback takes back what the Step under way has staged.
func (o *overlay) rollback() {
	for _, u := range slices.Backward(o.undo) {
		if u.fresh {
			if o.index != nil {
				delete(o.index, o.pieces[u.at].key)
			}
			o.pieces = o.pieces[:u.at]
		} else {
			o.pieces[u.at].value = u.value
		}
	}
	o.undo = o.undo[:0]
}

func (o *overlay) reset() {
	clear(o.pieces)
	clear(o.undo)
	*o = overlay{pieces: o.pieces[:0], undo: o.undo[:0]}
}

func (s *State) search(key string) (int, bool) {
	if len(s.pieces) <= few {
		for i := range s.pieces { // the same memory: no need to look at it
			if k := s.pieces[i].key; len(k) == len(key) && unsafe.StringData(k) == unsafe.StringData(key) {
				return i, true
			}
		}
	}
	lo, hi := 0, len(s.pieces)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.pieces[mid].key < key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(s.pieces) && s.pieces[lo].key == key
}

// set changes a committed piece; nil removes it.
func (s *State) set(key string, value []byte) {
	i, ok := s.search(key)
	switch {
	case ok && value == nil:
		s.pieces = slices.Delete(s.pieces, i, i+1)
	case ok:
		s.spare.take(s.pieces[i].value, value)
		s.pieces[i].value = value
	case value != nil:
		if len(s.pieces) == 0 && strings.HasPrefix(key, s.group) {
			s.group = key[:len(s.group)] // share the bytes
		}
		s.pieces = slices.Insert(s.pieces, i, piece{key, value})
	}
}

// changed reports whether a staged piece differs from the committed one.
func (s *State) changed(p piece) bool {
	i, ok := s.search(p.key)
	if p.value == nil {
		return ok
	}
	return !ok || !bytes.Equal(s.pieces[i].value, p.value)
}

// store is the state of one partition: what is committed in groups, with the
// overlays of the open transaction on them.
type store struct {
	groups map[string]*State
	cache  *objectCache
	spare  *spare
	free   []*overlay
}

func newStore() *store {
	return &store{groups: map[string]*State{}, cache: new(objectCache), spare: new(spare)}
}

// get returns the group's state, made when absent. The name may be transient: it
// is copied when kept.
func (s *store) get(group string) *State {
	if st := s.groups[group]; st != nil {
		return st
	}
	st := &State{group: strings.Clone(group), cache: s.cache, spare: s.spare}
	s.groups[st.group] = st
	return st
}

// each calls yield with every committed piece until it says false.
func (s *store) each(yield func(key string, value []byte) bool) {
	for _, st := range s.groups {
		for i := range st.pieces {
			if !yield(st.pieces[i].key, st.pieces[i].value) {
				return
			}
		}
	}
}

// touch gives the state an overlay; it reports whether that is new.
func (s *store) touch(st *State) bool {
	if st.over != nil {
		return false
	}
	if n := len(s.free); n > 0 {
		st.over, s.free = s.free[n-1], s.free[:n-1]
	} else {
		st.over = new(overlay)
	}
	if st.object != nil {
		s.cache.use(st)
	}
	return true
}

// settle ends the transaction for a touched state: merged or dropped.
func (s *store) settle(st *State, commit bool) {
	o := st.over
	if commit {
		st.Merge()
	} else {
		st.Drop()
	}
	if o != nil && len(o.pieces) <= 4*indexed {
		o.reset()
		s.free = append(s.free, o)
	}
	if len(st.pieces) == 0 {
		s.cache.remove(st)
		delete(s.groups, st.group)
	}
}

// objectCache bounds how many groups of a partition keep their decoded form. It
// goes around in a ring and drops what was not used since it last came by: near
// enough to the least recently used, and a use touches nothing but the group.
type objectCache struct {
	limit int
	ring  []*State
	hand  int
}

func (c *objectCache) use(s *State) {
	s.used = true
	if s.slot == 0 {
		c.ring = append(c.ring, s)
		s.slot = len(c.ring)
	}
}

func (c *objectCache) remove(s *State) {
	if s.slot == 0 {
		return
	}
	last := len(c.ring) - 1
	c.ring[s.slot-1] = c.ring[last]
	c.ring[s.slot-1].slot = s.slot
	c.ring[last] = nil
	c.ring = c.ring[:last]
	s.slot = 0
}

// evict drops objects beyond the limit; between transactions only, when no object
// holds what has not been put.
func (c *objectCache) evict() {
	for len(c.ring) > c.limit {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		s := c.ring[c.hand]
		if s.used {
			s.used = false
			c.hand++
			continue
		}
		c.remove(s)
		s.object = nil
	}
}
