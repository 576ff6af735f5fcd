package audit

import (
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

type states = [inventory.NumStates]inventory.Quantity

const numOutside = inventory.NumAccounts - inventory.NumStates

// item is what the topics of a partition say of one item.
type item struct {
	key string // as it stands on topics

	// The fold of the outcomes.
	known   bool  // version is
	version int64 // after the last outcome
	offset  int64 // of the last event that the ledger remembers; -1 before the first
	id      uint64
	clock   inventory.Instant
	places  []place // sorted by location
	outside [numOutside]inventory.Quantity
	short   bool // some event was named for a shortage
	froze   bool // it was frozen once: its key clock stood still meanwhile
	lineage int64
	waits   map[spot]uint64 // events set aside: the hash of the id

	// As they stand, undecoded.
	head      piece
	more      pieces
	positions []stored // sorted by location

	bad bool
}

// spot is where an event stands in the log.
type spot struct{ lineage, offset int64 }

// place is the fold of the moves at a location.
type place struct {
	location string
	states   states
	offset   int64 // of the last event that changed it
}

// stored is a location's latest position.
type stored struct {
	location string
	value    []byte
	at       int64 // offset in the positions
	version  int64
	moved    bool // a later one than the state's is in the log
	compared bool
}

// piece is a record of the state.
type piece struct {
	value []byte
	at    int64
}

func (p *piece) set(rec *stream.Record) {
	p.value, p.at = append(p.value[:0], rec.Value...), rec.Offset
}

// pieces are those of which an item has many, by "kind|n".
type pieces map[string]*piece

func (ps *pieces) set(kind []byte, rec *stream.Record) {
	if rec.Value == nil {
		delete(*ps, string(kind))
		return
	}
	if *ps == nil {
		*ps = pieces{}
	}
	p := (*ps)[string(kind)]
	if p == nil {
		p = &piece{}
		(*ps)[string(kind)] = p
	}
	p.set(rec)
}

func (p *part) item(key []byte) *item {
	it := p.items[string(key)]
	if it == nil {
		it = &item{key: string(key), offset: -1}
		p.items[it.key] = it
	}
	return it
}

// place finds or adds a location. It is good until the next call.
func (it *item) place(name string) *place {
	i, found := slices.BinarySearchFunc(it.places, name, func(p place, n string) int { return strings.Compare(p.location, n) })
	if !found {
		it.places = slices.Insert(it.places, i, place{location: name, offset: -1})
	}
	return &it.places[i]
}

// stored finds or adds a location. It is good until the next call.
func (it *item) stored(name string) *stored {
	i, found := slices.BinarySearchFunc(it.positions, name, func(s stored, n string) int { return strings.Compare(s.location, n) })
	if !found {
		it.positions = slices.Insert(it.positions, i, stored{location: name})
	}
	return &it.positions[i]
}
