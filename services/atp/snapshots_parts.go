package atp

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// codeSnapshotOpen marks the dead letter of a full snapshot in several messages that can
// never be closed, or that was approved while parts of it are missing.
const codeSnapshotOpen = "snapshot_open"

// maxPartsOf is of how many snapshots of a partition the parts are remembered.
const maxPartsOf = 16

// partsOf is what parts of one full snapshot have in common, wherever they counted.
type partsOf struct {
	entity  inventory.Entity
	source  inventory.Source
	id      string
	lineage int64
}

func (e *ending) partsOf() partsOf {
	return partsOf{e.End.Entity, e.End.Source, e.End.ID, e.Lineage}
}

// partsRead are the parts of some full snapshots of a partition, as far as it was read.
type partsRead struct {
	next int64 // offset
	of   map[partsOf][]inventory.SnapshotEnd
}

// take keeps a part of a snapshot that is asked about; a word on a snapshot is no part
// of it.
func (r *partsRead) take(e *ending) {
	of := e.partsOf()
	if parts, asked := r.of[of]; asked && e.End.Author == "" {
		r.of[of] = append(parts, e.End)
	}
}

// parts are the parts of the end's snapshot that have ended, up to the end. The topic
// itself is the memory: it is read from its start for the first part of a snapshot that
// comes, and from there on for the others.
func (c *closing) parts(ctx context.Context, e *ending) (_ []inventory.SnapshotEnd, err error) {
	partition := e.rec.Partition
	c.mu.Lock()
	r := c.read[partition]
	delete(c.read, partition) // until it is read to its end
	c.mu.Unlock()
	if r == nil {
		r = &partsRead{of: map[partsOf][]inventory.SnapshotEnd{}}
	}
	of := e.partsOf()
	if _, asked := r.of[of]; !asked || e.rec.Offset < r.next {
		if !asked && len(r.of) == maxPartsOf {
			clear(r.of)
		}
		r.of[of] = nil
		for x := range r.of {
			r.of[x] = nil
		}
		if r.next, err = c.reads.LogStart(ctx, event.TopicSnapshots, partition); err != nil {
			return nil, fmt.Errorf("looking for parts of snapshot %s: %w", e.End.ID, err)
		}
	}
	err = c.reads.Each(ctx, event.TopicSnapshots, partition, r.next, e.rec.Offset, func(rec *stream.Record) error {
		x := ending{rec: rec}
		if c.codecs.DecodeSnapshot(rec.Value, &x.SnapshotEnded) == nil { // else it has its dead letter
			r.take(&x)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading parts of snapshot %s: %w", e.End.ID, err)
	}
	r.take(e)
	r.next = e.rec.Offset + 1
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[partition] = r
	return r.of[of], nil
}

// whole are the ends to close when a part of a full snapshot has ended: none while parts
// are missing, and else one for each location that any part lists, which all stand in
// the place of the last one to come. Whoever reads that committed finds the lines of all
// parts applied, since each end stands behind its own lines. why is for a person.
func (c *closing) whole(ctx context.Context, e *ending) (all []*ending, why string, err error) {
	parts, err := c.parts(ctx, e)
	if err != nil {
		return nil, "", err
	}
	missing, why := inventory.SnapshotWhole(parts)
	if why == "" && len(missing) > 0 {
		text := partsText(missing)
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
	seen := map[inventory.Location]bool{}
	for i := range parts {
		p := &parts[i]
		if seen[p.Location] || e.End.Author != "" && p.Location != e.End.Location {
			continue
		}
		seen[p.Location] = true
		x := &ending{SnapshotEnded: e.SnapshotEnded, rec: e.rec, policy: e.policy}
		x.End = *p
		x.End.Author, x.End.Reason = e.End.Author, e.End.Reason
		x.names = namesOf(&x.End)
		all = append(all, x)
	}
	return all, "", nil
}

// partsText names parts, a few of them.
func partsText(ns []int32) string {
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
