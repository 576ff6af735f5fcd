package atp

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// codeSnapshotOpen marks the dead letter of a full snapshot in several messages that can
// never be closed, or that was approved while parts of it are missing.
const codeSnapshotOpen = "snapshot_open"

// maxPartsOf is of how many snapshots of a partition the parts are remembered.
const maxPartsOf = 1024

// partsOf is what parts of one full snapshot have in common, wherever they counted.
type partsOf struct {
	entity  inventory.Entity
	source  inventory.Source
	id      string
	lineage int64
}

func partsOfEnd(x *event.SnapshotEnded) partsOf {
	return partsOf{x.End.Entity, x.End.Source, x.End.ID, x.Lineage}
}

// partsKept are the parts of a full snapshot that have ended.
type partsKept struct {
	parts inventory.SnapshotParts
	at    []inventory.SnapshotEnd // the first of each location
	since inventory.Instant       // when the first of all ended
}

func (k *partsKept) take(x *event.SnapshotEnded) {
	k.parts.Add(&x.End)
	if !slices.ContainsFunc(k.at, func(e inventory.SnapshotEnd) bool { return e.Location == x.End.Location }) {
		k.at = append(k.at, x.End)
	}
	if k.since == 0 || x.RecordedAt < k.since {
		k.since = x.RecordedAt
	}
}

// partsRead are the full snapshots in several messages of a partition, as far as it was
// read: all of them, or those since some were forgotten.
type partsRead struct {
	next   int64 // offset
	of     map[partsOf]*partsKept
	forgot bool
}

// take keeps the end of a part; a word on a snapshot is none.
func (r *partsRead) take(x *event.SnapshotEnded) {
	if x.End.Part == 0 || x.End.Author != "" {
		return
	}
	of := partsOfEnd(x)
	k := r.of[of]
	if k == nil {
		if len(r.of) >= maxPartsOf {
			clear(r.of)
			r.forgot = true
		}
		k = &partsKept{}
		r.of[of] = k
	}
	k.take(x)
}

// read goes on to an offset, and takes what stands before it.
func (r *partsRead) read(ctx context.Context, reads *stream.RestoreReads, codecs *event.Codecs, partition int32, until int64, take func(*event.SnapshotEnded)) error {
	err := reads.Each(ctx, event.TopicSnapshots, partition, r.next, until, func(rec *stream.Record) error {
		var x event.SnapshotEnded
		if codecs.DecodeSnapshot(rec.Value, &x) == nil { // else it has its dead letter
			take(&x)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.next = max(r.next, until)
	return nil
}

// parts are the parts of the end's snapshot that have ended, up to the end. The topic
// itself is the memory: it is read from its start once, and from there on what comes. Of
// one that was forgotten among many it is read from its start again.
func (c *closing) parts(ctx context.Context, e *ending) (_ *partsKept, err error) {
	partition := e.rec.Partition
	c.mu.Lock()
	r := c.read[partition]
	delete(c.read, partition) // until it is read to its end
	c.mu.Unlock()
	failed := func(err error) error { return fmt.Errorf("reading parts of snapshot %s: %w", e.End.ID, err) }
	of := partsOfEnd(&e.SnapshotEnded)
	if r == nil || e.rec.Offset < r.next { // new here, or set back
		r = &partsRead{of: map[partsOf]*partsKept{}}
		if r.next, err = c.reads.LogStart(ctx, event.TopicSnapshots, partition); err != nil {
			return nil, failed(err)
		}
	}
	if r.of[of] == nil && r.forgot {
		again := &partsRead{of: map[partsOf]*partsKept{}}
		if again.next, err = c.reads.LogStart(ctx, event.TopicSnapshots, partition); err != nil {
			return nil, failed(err)
		}
		if err := again.read(ctx, c.reads, c.codecs, partition, r.next, func(x *event.SnapshotEnded) {
			if partsOfEnd(x) == of {
				r.take(x)
			}
		}); err != nil {
			return nil, failed(err)
		}
	}
	if err := r.read(ctx, c.reads, c.codecs, partition, e.rec.Offset, r.take); err != nil {
		return nil, failed(err)
	}
	r.take(&e.SnapshotEnded)
	r.next = e.rec.Offset + 1
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[partition] = r
	if k := r.of[of]; k != nil {
		return k, nil
	}
	return &partsKept{}, nil
}

// whole are the ends to close when a part of a full snapshot has ended: none while parts
// are missing, and else one for each location that any part lists, which all stand in
// the place of the last one to come. Whoever reads that committed finds the lines of all
// parts applied, since each end stands behind its own lines. why is for a person.
func (c *closing) whole(ctx context.Context, e *ending) (all []*ending, why string, err error) {
	kept, err := c.parts(ctx, e)
	if err != nil {
		return nil, "", err
	}
	missing, why := kept.parts.Missing()
	if why == "" && len(missing) > 0 {
		text := PartsText(missing)
		c.log.LogAttrs(ctx, slog.LevelInfo, "full snapshot waits for parts",
			slog.String("snapshot", e.End.ID), slog.String("source", string(e.End.Source)), slog.Int("partition", int(e.Partition)),
			slog.Int("part", int(e.End.Part)), slog.String("missing", text))
		if e.End.Author != "" {
			why = "approved, and these parts of it have not ended: " + text
		}
	}
	if why != "" || len(missing) > 0 {
		return nil, why, nil
	}
	for i := range kept.at {
		p := &kept.at[i]
		if e.End.Author != "" && p.Location != e.End.Location {
			continue
		}
		x := &ending{SnapshotEnded: e.SnapshotEnded, rec: e.rec, policy: e.policy}
		x.End = *p
		x.End.Author, x.End.Reason = e.End.Author, e.End.Reason
		x.names = namesOf(&x.End)
		all = append(all, x)
	}
	return all, "", nil
}

// PartsText names parts, a few of them.
func PartsText(ns []int32) string {
	var b strings.Builder
	for i, n := range ns {
		if i == 10 {
			fmt.Fprintf(&b, " and %d more", len(ns)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, n)
	}
	return b.String()
}
