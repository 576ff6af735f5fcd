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

// whole are the ends to close when a part of a full snapshot has ended: none while parts
// are missing, and else one for each location that any part lists, which all stand in
// the place of the last one to come. Whoever reads that committed finds the lines of all
// parts applied, since each end stands behind its own lines. why is for a person.
//
// The topic itself is the memory: each end of a part reads what ended before it.
func (c *closing) whole(ctx context.Context, e *ending) (all []*ending, why string, err error) {
	start, err := c.reads.LogStart(ctx, event.TopicSnapshots, e.rec.Partition)
	if err != nil {
		return nil, "", fmt.Errorf("looking for parts of snapshot %s: %w", e.End.ID, err)
	}
	var parts []inventory.SnapshotEnd
	if e.End.Author == "" { // a word on a snapshot is no part of it
		parts = append(parts, e.End)
	}
	err = c.reads.Each(ctx, event.TopicSnapshots, e.rec.Partition, start, e.rec.Offset, func(rec *stream.Record) error {
		var x event.SnapshotEnded
		if c.codecs.DecodeSnapshot(rec.Value, &x) != nil {
			return nil // it has its dead letter
		}
		if x.End.SameSnapshot(&e.End) && x.End.Author == "" && x.Lineage == e.Lineage {
			parts = append(parts, x.End)
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading parts of snapshot %s: %w", e.End.ID, err)
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
