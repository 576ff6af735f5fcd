package atp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// stateBudget bounds the pieces of state that a survey holds at once, bytes.
const stateBudget = 64 << 20

// errNotThere is a state that has not come to an end that stands in the log. Whoever
// reads the end committed reads a state that has, so this is never met but where the
// topics do not belong together.
var errNotThere = errors.New("the state has not come to the end of the snapshot")

// survey is what a partition's state says of some ends of full snapshots.
type survey struct {
	header stream.Header
	keys   []string // entity|item of the candidates, sorted
	marks  []mark   // of each of them: the ends it is a candidate for
}

// mark is what the pieces read so far say of an item; a bit stands for an end.
type mark struct {
	known  uint64 // the head knows the location
	split  uint64 // in a piece of its own
	listed uint64 // the head's count is a line of the snapshot
	apart  uint64 // that piece's is
	viewed uint64 // the source has a claimed view of the location
}

// candidate are the ends that the item may be missing from.
func (m *mark) candidate() uint64 { return (m.known | m.viewed) &^ m.lists() }

// lists are the ends that list the item, as far as heads tell.
func (m *mark) lists() uint64 { return m.listed | m.apart&m.split }

// survey reads a partition's state and says of each end which items it lists and
// which it sets to zero.
//
// The state is read twice, since all of it may not fit into memory: the first pass
// keeps a mark for each item that knows one of the locations, the second the pieces
// of those that the marks do not tell listed, as many as the budget allows; where
// that is not all of them, further passes go on. So it takes about 100 bytes for each
// item of the locations, and the budget.
func (c *closing) survey(ctx context.Context, partition int32, ends []*ending) (*survey, error) {
	s := &survey{}
	marks, err := c.heads(ctx, partition, ends, s)
	if err != nil {
		return nil, err
	}
	for _, e := range ends {
		if s.header.Lineage == e.Lineage && s.header.AppliedThrough < e.Offset {
			return nil, fmt.Errorf("%w: it has applied offset %d, the end stands at %d", errNotThere, s.header.AppliedThrough, e.Offset)
		}
	}
	for key, m := range marks {
		lists := m.lists()
		for n, e := range ends {
			if lists&(1<<n) != 0 {
				e.listed++
			}
		}
		if m.candidate() == 0 {
			delete(marks, key)
		}
	}
	s.keys = slices.Sorted(maps.Keys(marks))
	s.marks = make([]mark, len(s.keys))
	for i, key := range s.keys {
		s.marks[i] = *marks[key]
	}
	for from := 0; from < len(s.keys); {
		held, err := c.hold(ctx, partition, ends, s.keys[from:])
		if err != nil {
			return nil, err
		}
		for i, pieces := range held {
			if err := c.judge(ends, s, from+i, pieces); err != nil {
				return nil, err
			}
		}
		from += len(held)
	}
	return s, nil
}

// heads is the first pass: the marks of all items that may have to do with an end.
func (c *closing) heads(ctx context.Context, partition int32, ends []*ending, s *survey) (map[string]*mark, error) {
	marks := map[string]*mark{}
	of := func(group []byte) *mark {
		m := marks[string(group)]
		if m == nil {
			m = new(mark)
			marks[string(group)] = m
		}
		return m
	}
	var piece inventory.Piece
	found := false
	_, err := c.reads.Fold(ctx, event.TopicState, partition, func(rec *stream.Record) error {
		if string(rec.Key) == stream.HeaderKey {
			var err error
			found = true
			if s.header, err = (headerCodec{c.codecs}).DecodeHeader(rec.Value); err != nil {
				return fmt.Errorf("header of the state: %w", err)
			}
			return nil
		}
		group, kind := cut(rec.Key)
		var about uint64
		for n, e := range ends {
			switch {
			case !begins(group, e.names.entity):
			case string(kind) == inventory.PieceHead, string(kind) == e.names.place, string(kind) == e.names.view:
				about |= 1 << n
			}
		}
		if about == 0 || rec.Value == nil {
			return nil
		}
		if kind[0] == inventory.PieceView[0] {
			of(group).viewed |= about
			return nil
		}
		if err := c.codecs.DecodeState(rec.Key, rec.Value, &piece); err != nil {
			return fmt.Errorf("state %q: %w", rec.Key, err)
		}
		if piece.Location != nil {
			m := of(group)
			m.apart &^= about
			for n, e := range ends {
				if about&(1<<n) != 0 && e.End.Lists(piece.Location) {
					m.apart |= 1 << n
				}
			}
			return nil
		}
		var now mark
		for n, e := range ends {
			if about&(1<<n) != 0 {
				now.see(piece.Head, &e.End, 1<<n)
			}
		}
		if now.known == 0 && marks[string(group)] == nil {
			return nil
		}
		m := of(group)
		m.known, m.split, m.listed = now.known, now.split, now.listed
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%w: it has no header", errNotThere)
	}
	return marks, err
}

// see notes what a head says of an end.
func (m *mark) see(h *inventory.Head, end *inventory.SnapshotEnd, bit uint64) {
	if h == nil {
		return
	}
	if _, ok := slices.BinarySearch(h.Split, end.Location); ok {
		m.known |= bit
		m.split |= bit
		return
	}
	i, ok := slices.BinarySearchFunc(h.Locations, end.Location, func(st inventory.LocationState, l inventory.Location) int {
		return strings.Compare(string(st.Location), string(l))
	})
	if !ok {
		return
	}
	m.known |= bit
	if end.Lists(&h.Locations[i]) {
		m.listed |= bit
	}
}

// held are the pieces of an item that its standing is told from.
type held map[string][]byte

// hold reads the pieces of the first of the keys given, of as many as the budget
// allows but at least of one.
func (c *closing) hold(ctx context.Context, partition int32, ends []*ending, keys []string) ([]held, error) {
	places := make(map[string]int, len(keys))
	for i, key := range keys {
		places[key] = i
	}
	all := make([]held, len(keys))
	size := 0
	_, err := c.reads.Fold(ctx, event.TopicState, partition, func(rec *stream.Record) error {
		group, kind := cut(rec.Key)
		at, ok := places[string(group)]
		if !ok || at >= len(all) || !tells(ends, kind) {
			return nil
		}
		if all[at] == nil {
			all[at] = held{}
		}
		if old, ok := all[at][string(rec.Key)]; ok {
			size -= len(rec.Key) + len(old)
			delete(all[at], string(rec.Key))
		}
		if rec.Value == nil {
			return nil
		}
		all[at][string(rec.Key)] = bytes.Clone(rec.Value) // not the whole batch
		size += len(rec.Key) + len(rec.Value)
		for size > c.budget && len(all) > 1 {
			last := len(all) - 1
			for key, value := range all[last] {
				size -= len(key) + len(value)
			}
			all[last] = nil
			all = all[:last]
		}
		return nil
	})
	return all, err
}

// tells says whether a standing may be told from pieces of a kind and n.
func tells(ends []*ending, kind []byte) bool {
	switch {
	case string(kind) == inventory.PieceHead, begins(kind, inventory.PieceIDs+"|"),
		begins(kind, inventory.PieceParked+"|"), begins(kind, inventory.PieceWaiting+"|"):
		return true
	}
	for _, e := range ends {
		if string(kind) == e.names.place || string(kind) == e.names.view || begins(kind, e.names.journal) {
			return true
		}
	}
	return false
}

// judge asks the ledger of a candidate what the ends mean for it.
func (c *closing) judge(ends []*ending, s *survey, at int, pcs held) error {
	group := s.keys[at]
	key, err := event.ParseKey(group)
	if err != nil {
		return fmt.Errorf("state key %q: %w", group, err)
	}
	st := stream.NewState(group)
	for k, v := range pcs {
		st.Put(k, v)
	}
	from := &pieces{st: st, codecs: c.codecs, key: key, headKey: group + "|" + inventory.PieceHead}
	led := inventory.NewLedger(key, from)
	for n, e := range ends {
		if s.marks[at].candidate()&(1<<n) == 0 {
			continue
		}
		switch led.SnapshotStanding(&e.End) {
		case inventory.SnapshotListed:
			e.listed++
		case inventory.SnapshotUnlisted:
			e.zero = append(e.zero, int32(at)) //nolint:gosec // a partition has fewer items
		case inventory.SnapshotUnknown:
			e.left++
		case inventory.SnapshotApart:
		}
	}
	return from.err // a piece that is not read is never taken for an absent one
}

// cut takes entity|item off a state key; the rest is kind and n.
func cut(key []byte) (group, kind []byte) {
	n := len(groupOf(key))
	return key[:n], bytes.TrimPrefix(key[n:], []byte{'|'})
}

// names are the parts of state keys that an end is about.
type names struct {
	entity  string // how the keys of its items begin
	place   string // kind and n of the location's own piece
	view    string // of its source's view of the location
	journal string // how those of the location's journal begin
}

func namesOf(end *inventory.SnapshotEnd) names {
	place := "|" + inventory.Escape(string(end.Location))
	return names{
		entity: inventory.Escape(string(end.Entity)) + "|", place: inventory.PieceLocation + place,
		view:    inventory.PieceView + "|" + inventory.Escape(string(end.Source)) + place,
		journal: inventory.PieceJournal + place + "|",
	}
}

// begins says whether a key begins with a text.
func begins(key []byte, text string) bool {
	return len(key) >= len(text) && string(key[:len(text)]) == text
}
