package atp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// pieces reads a ledger's stored pieces out of the runner's state. A piece that
// does not decode is never taken for an absent one: the fault is kept and the
// worker stops on it.
type pieces struct {
	st      *stream.State
	codecs  *event.Codecs
	key     inventory.Key
	headKey string // state key of the piece that every event reads and writes
	err     error
}

func (p *pieces) read(kind string, n ...string) inventory.Piece {
	return p.readKey(inventory.StateKey(p.key, kind, n...))
}

func (p *pieces) readKey(key string) inventory.Piece {
	value := p.st.Get(key)
	if value == nil {
		return inventory.Piece{}
	}
	return p.decode(key, value)
}

func (p *pieces) decode(key string, value []byte) inventory.Piece {
	var piece inventory.Piece
	if err := p.codecs.DecodeState([]byte(key), value, &piece); err != nil {
		if p.err == nil {
			p.err = fmt.Errorf("state %s: %w", key, err)
		}
		return inventory.Piece{}
	}
	return piece
}

func (p *pieces) Head() *inventory.Head {
	return p.readKey(p.headKey).Head
}

func (p *pieces) Location(l inventory.Location) *inventory.LocationState {
	return p.read(inventory.PieceLocation, string(l)).Location
}

func (p *pieces) IDs(segment int64) ([]inventory.Seen, inventory.Instant) {
	piece := p.read(inventory.PieceIDs, strconv.FormatInt(segment, 10))
	return piece.IDs, piece.Latest
}

func (p *pieces) Journal(l inventory.Location, segment int64) []inventory.Entry {
	return p.read(inventory.PieceJournal, string(l), strconv.FormatInt(segment, 10)).Journal
}

func (p *pieces) Line(id string) *inventory.Line {
	return p.read(inventory.PieceLine, id).Line
}

func (p *pieces) SupplyLine(id string) *inventory.SupplyLine {
	return p.read(inventory.PieceSupply, id).Supply
}

func (p *pieces) Ref(hash string) *inventory.RefTarget {
	return p.read(inventory.PieceRef, hash).Ref
}

func (p *pieces) Kept(kind string, n int64) *inventory.Kept {
	return p.read(kind, strconv.FormatInt(n, 10)).Kept
}

func (p *pieces) Lines(f func(*inventory.Line) bool) {
	prefix := inventory.StateKey(p.key, inventory.PieceLine) + "|"
	p.st.Each(func(key string, value []byte) bool {
		if !strings.HasPrefix(key, prefix) {
			return true
		}
		piece := p.decode(key, value)
		return piece.Line == nil || f(piece.Line)
	})
}

func (p *pieces) Names(kind, after string, f func(n string) bool) {
	prefix := inventory.StateKey(p.key, kind) + "|"
	after = prefix + inventory.Escape(after)
	p.st.Each(func(key string, _ []byte) bool {
		if key <= after || !strings.HasPrefix(key, prefix) {
			return key <= after
		}
		return f(inventory.Unescape(key[len(prefix):]))
	})
}

func (p *pieces) View(s inventory.Source, l inventory.Location) *inventory.View {
	return p.read(inventory.PieceView, string(s), string(l)).View
}
