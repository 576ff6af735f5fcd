package stream

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// snapshotWriter writes one snapshot file. It appears under its name once it is
// whole and durable, or not at all. One goroutine uses it.
type snapshotWriter struct {
	f    *os.File
	path string // where it is to stand

	buf  []byte // encoded and not yet written
	cuts []int  // where blocks end in buf
	size int64  // of the file so far
	sum  uint32 // CRC of it
	end  snapshotTrailer
}

// createSnapshot begins a file that is to stand at path.
func createSnapshot(path string, h *snapshotHead) (*snapshotWriter, error) {
	head, err := appendSnapshotHead(nil, h)
	if err != nil {
		return nil, err
	}
	// A name of its own: whoever shares the folder by mistake writes another file.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+temporarySuffix)
	if err != nil {
		return nil, fmt.Errorf("creating snapshot: %w", err)
	}
	w := &snapshotWriter{f: f, path: path, buf: make([]byte, 0, snapshotBlock+snapshotBlock/8)}
	if err := w.write(head); err != nil {
		w.discard()
		return nil, err
	}
	return w, nil
}

func (w *snapshotWriter) write(b []byte) error {
	n, err := w.f.Write(b)
	w.size += int64(n)
	if err != nil {
		return fmt.Errorf("writing snapshot: %w", err)
	}
	w.sum = extend(w.sum, b)
	return nil
}

// add copies a group's committed pieces. It writes nothing: flush does.
func (w *snapshotWriter) add(st *State) {
	if len(st.pieces) == 0 {
		return
	}
	w.end.groups++
	w.end.pieces += uint64(len(st.pieces))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(st.pieces)))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(st.group)))
	w.buf = append(w.buf, st.group...)
	for i := range st.pieces {
		p := &st.pieces[i]
		w.buf = binary.AppendUvarint(w.buf, uint64(len(p.key)))
		w.buf = binary.AppendUvarint(w.buf, uint64(len(p.value)))
		w.buf = append(w.buf, p.key...)
		w.buf = append(w.buf, p.value...)
		if w.pending() >= snapshotBlock {
			w.cuts = append(w.cuts, len(w.buf))
		}
	}
}

// pending is the size of the block under way.
func (w *snapshotWriter) pending() int {
	if n := len(w.cuts); n > 0 {
		return len(w.buf) - w.cuts[n-1]
	}
	return len(w.buf)
}

// full reports whether flush is due, so that memory stays bounded.
func (w *snapshotWriter) full() bool { return len(w.cuts) > 0 }

// flush writes what add has copied, the block under way only when last is set.
func (w *snapshotWriter) flush(last bool) error {
	if last && w.pending() > 0 {
		w.cuts = append(w.cuts, len(w.buf))
	}
	from := 0
	for _, to := range w.cuts {
		block := w.buf[from:to]
		if len(block) > maxSnapshotBlock {
			return fmt.Errorf("writing snapshot: a block of %d bytes, over %d", len(block), maxSnapshotBlock)
		}
		if err := w.write(blockHead(block)); err != nil {
			return err
		}
		if err := w.write(block); err != nil {
			return err
		}
		w.end.blocks++
		from = to
	}
	w.cuts = w.cuts[:0]
	w.buf = w.buf[:copy(w.buf, w.buf[from:])]
	if cap(w.buf) > 8*snapshotBlock && len(w.buf) < snapshotBlock { // after a group beyond measure
		w.buf = append(make([]byte, 0, snapshotBlock+snapshotBlock/8), w.buf...)
	}
	return nil
}

// close makes the file whole and durable, and puts it in the place of the one
// before. until is how far the state had come when the last piece was copied.
func (w *snapshotWriter) close(until int64) error {
	err := w.flush(true)
	if err == nil {
		w.end.until = until
		err = w.write(appendSnapshotTrailer(nil, &w.end, w.sum))
	}
	if err == nil {
		err = w.f.Sync()
	}
	if err != nil {
		w.discard()
		return fmt.Errorf("closing snapshot: %w", err)
	}
	if err := w.f.Close(); err != nil {
		_ = os.Remove(w.f.Name()) // the first error counts
		return fmt.Errorf("closing snapshot: %w", err)
	}
	Crash("snapshot_written")
	if err := os.Rename(w.f.Name(), w.path); err != nil {
		_ = os.Remove(w.f.Name())
		return fmt.Errorf("closing snapshot: %w", err)
	}
	Crash("snapshot_renamed")
	return syncFolder(filepath.Dir(w.path))
}

// discard ends it without a trace.
func (w *snapshotWriter) discard() {
	_ = w.f.Close() // nobody reads it
	_ = os.Remove(w.f.Name())
}

// syncFolder makes a rename durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening folder: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing folder: %w", err)
	}
	return nil
}
