package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
)

// snapshot is one that was read.
type snapshot struct {
	*snapshotHead
	*snapshotTrailer
	store  *store
	header Header
}

// readSnapshot reads a file of size bytes into a store. check is asked first, and
// its error returned. Every other error but that of ctx says that the file is torn
// or foreign; memory stays bounded by the file's size whatever is in it.
func readSnapshot(ctx context.Context, file io.ReaderAt, size int64, check func(*snapshotHead, *snapshotTrailer) error) (*snapshot, error) {
	r := &snapshotReader{src: io.NewSectionReader(file, 0, size), left: size}
	prefix, err := r.next(headPrefix)
	if err != nil {
		return nil, err
	}
	prefix = append([]byte(nil), prefix...)
	n, sum, err := snapshotPrefix(prefix)
	if err != nil {
		return nil, err
	}
	body, err := r.next(n)
	if err != nil {
		return nil, err
	}
	head, err := decodeSnapshotHead(prefix, body, sum)
	if err != nil {
		return nil, err
	}
	if r.left < int64(trailerBytes) {
		return nil, torn("no room for a trailer")
	}
	raw := make([]byte, trailerBytes)
	if _, err := file.ReadAt(raw, size-int64(trailerBytes)); err != nil && !errors.Is(err, io.EOF) {
		return nil, torn("reading its trailer: %w", err)
	}
	trailer, err := decodeSnapshotTrailer(raw)
	if err != nil {
		return nil, err
	}
	if err := check(head, trailer); err != nil {
		return nil, err
	}
	r.left -= int64(trailerBytes)
	st, err := r.groups(ctx, trailer)
	if err != nil {
		return nil, err
	}
	return &snapshot{snapshotHead: head, snapshotTrailer: trailer, store: st}, nil
}

type snapshotReader struct {
	src  io.Reader
	left int64 // bytes before the trailer
	sum  uint32
	buf  []byte // of next
}

// next returns the next n bytes; they stand until it is called again.
func (r *snapshotReader) next(n int) ([]byte, error) {
	if int64(n) > r.left {
		return nil, torn("it ends %d bytes early", int64(n)-r.left)
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n, n+n/8)
	}
	b := r.buf[:n]
	if _, err := io.ReadFull(r.src, b); err != nil {
		return nil, torn("reading it: %w", err)
	}
	r.left -= int64(n)
	r.sum = extend(r.sum, b)
	return b, nil
}

// groups reads the blocks into a store.
func (r *snapshotReader) groups(ctx context.Context, t *snapshotTrailer) (*store, error) {
	// A piece takes two bytes at least and a group has one: no count can make more
	// room than the file can fill.
	st := newStore()
	st.groups = make(map[string]*State, min(t.groups, uint64(r.left)/2)) //nolint:gosec // not negative
	l := snapshotLoader{loader: loader{st: st}}
	var blocks uint64
	for ; r.left > 0; blocks++ {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		prefix, err := r.next(blockPrefix)
		if err != nil {
			return nil, err
		}
		n, sum := binary.LittleEndian.Uint32(prefix), binary.LittleEndian.Uint32(prefix[4:])
		if n == 0 || n > maxSnapshotBlock {
			return nil, torn("a block of %d bytes", n)
		}
		block, err := r.next(int(n))
		if err != nil {
			return nil, err
		}
		if checksum(block) != sum {
			return nil, torn("checksum of block %d", blocks)
		}
		if err := l.load(block); err != nil {
			return nil, err
		}
	}
	if l.want > 0 || blocks != t.blocks || l.groups != t.groups || l.pieces != t.pieces || r.sum != t.sum {
		return nil, torn("it does not hold what its trailer says")
	}
	return st, nil
}

// snapshotLoader puts a snapshot's groups into a store.
type snapshotLoader struct {
	loader
	cur    *State
	called string // the name of cur, in the block; good until cur has a piece
	want   uint64 // pieces of cur still to come
	groups uint64
	pieces uint64
}

var errPayload = errors.New("a length beyond the block")

// load takes a block's payload.
func (l *snapshotLoader) load(b []byte) error {
	for len(b) > 0 {
		first, n := binary.Uvarint(b)
		if n <= 0 {
			return torn("%w", errPayload)
		}
		b = b[n:]
		second, n := binary.Uvarint(b)
		if n <= 0 {
			return torn("%w", errPayload)
		}
		b = b[n:]
		size := uint64(len(b))
		if l.want == 0 {
			if second > size || first == 0 || first > maxSnapshotPieces {
				return torn("%w", errPayload)
			}
			l.group(b[:second], first)
			b = b[second:]
			continue
		}
		if first > size || second > size-first {
			return torn("%w", errPayload)
		}
		if err := l.piece(b[:first], b[first:first+second]); err != nil {
			return err
		}
		b = b[first+second:]
	}
	if l.want > 0 && len(l.cur.pieces) == 0 { // the name is gone with the block
		return torn("a block ends behind the name of a group")
	}
	return nil
}

// maxSnapshotPieces of one group.
const maxSnapshotPieces = 1 << 24

func (l *snapshotLoader) group(name []byte, pieces uint64) {
	l.want = pieces
	l.groups++
	l.called = stringOf(name)
	l.cur = l.state() // it takes the place of one of that name: the later one counts
}

func (l *snapshotLoader) piece(key, value []byte) error {
	st := l.cur
	if st.pieces == nil {
		// Never more room than a few: a count is believed as far as its pieces come.
		st.pieces = l.rows.cut(int(min(l.want, rowChunk/4)), rowChunk)[:0] //nolint:gosec // small
	}
	n := len(st.pieces)
	if n > 0 && st.pieces[n-1].key >= stringOf(key) {
		return torn("keys of a group out of order")
	}
	st.pieces = append(st.pieces, piece{l.name(stringOf(key)), l.value(value)})
	if n == 0 {
		l.enter(st, l.called)
	}
	l.want--
	l.pieces++
	return nil
}
