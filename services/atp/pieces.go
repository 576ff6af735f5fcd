package atp

import (
	"fmt"
	"strconv"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// pieces reads a ledger's stored pieces out of the runner's state. A piece that
// does not decode is never taken for an absent one: the fault is kept and the
// worker stops on it.
type pieces struct {
	st     *stream.State
	codecs *event.Codecs
	key    inventory.Key
	err    error
}

func (p *pieces) read(kind string, n ...string) (inventory.Piece, bool) {
	key := inventory.StateKey(p.key, kind, n...)
	value := p.st.Get(key)
	if value == nil {
		return inventory.Piece{}, false
	}
	var piece inventory.Piece
	if err := p.codecs.DecodeState([]byte(key), value, &piece); err != nil {
		if p.err == nil {
			p.err = fmt.Errorf("state %s: %w", key, err)
		}
		return inventory.Piece{}, false
	}
	return piece, true
}

func (p *pieces) Head() *inventory.Head {
	piece, _ := p.read(inventory.PieceHead)
	return piece.Head
}

func (p *pieces) Outside() *inventory.Outside {
	piece, _ := p.read(inventory.PieceOutside)
	return piece.Outside
}

func (p *pieces) Location(l inventory.Location) *inventory.LocationState {
	piece, _ := p.read(inventory.PieceLocation, string(l))
	return piece.Location
}

func (p *pieces) IDs(segment int64) []inventory.Seen {
	piece, _ := p.read(inventory.PieceIDs, strconv.FormatInt(segment, 10))
	return piece.IDs
}

func (p *pieces) Journal(l inventory.Location, segment int64) []inventory.Entry {
	piece, _ := p.read(inventory.PieceJournal, string(l), strconv.FormatInt(segment, 10))
	return piece.Journal
}

func (p *pieces) Line(id string) *inventory.Line {
	piece, _ := p.read(inventory.PieceLine, id)
	return piece.Line
}

func (p *pieces) SupplyLine(id string) *inventory.SupplyLine {
	piece, _ := p.read(inventory.PieceSupply, id)
	return piece.Supply
}

func (p *pieces) Ref(hash string) *inventory.RefTarget {
	piece, _ := p.read(inventory.PieceRef, hash)
	return piece.Ref
}

func (p *pieces) View(s inventory.Source, l inventory.Location) *inventory.View {
	piece, _ := p.read(inventory.PieceView, string(s), string(l))
	return piece.View
}
