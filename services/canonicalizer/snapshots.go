package canonicalizer

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// codeSnapshotOpen marks the dead letter of a full snapshot whose end is not said.
const codeSnapshotOpen = "snapshot_open"

// snapshotEndType is the document type of the end of a full snapshot.
const snapshotEndType = "snapshot_end"

// snapshotOf is the id of the full snapshot that a document is, where its mapping
// names none.
func snapshotOf(d *inventory.Document) string {
	id := d.Type + "/" + d.Number
	if d.Revision != "" {
		id += "/" + d.Revision
	}
	return id
}

// partOf says which part of a full snapshot in several messages the line is of. The last
// one needs no number of parts: its own is that.
func (n *countLine) partOf(c *inventory.Count) *lineError {
	if n.part == 0 && n.parts == 0 && !n.last {
		return nil
	}
	parts := n.parts
	switch {
	case !c.Complete:
		return reject(string(inventory.FaultParts), "a count that is not complete has no parts")
	case n.last && parts != 0 && parts != n.part:
		return reject(string(inventory.FaultParts), "part %d of %d is not the last", n.part, parts)
	case n.last:
		parts = n.part
	}
	if n.part < 1 || n.part > math.MaxInt32 || parts < 0 || parts > math.MaxInt32 {
		return reject(string(inventory.FaultParts), "part %d of %d", n.part, parts)
	}
	c.Part, c.Parts = int32(n.part), int32(parts) // validated with the event
	return nil
}

// snapshots looks for the full snapshots that the message lists. What a snapshot does
// not list is set to zero, so its end is said only where nothing is in doubt: every
// line of the message was understood, a location is listed in one snapshot, and all its
// lines state one time. Of a message that states none, a second delivery would speak of
// another moment.
func (r *run) snapshots() {
	type name struct {
		id     string
		entity inventory.Entity
		place  inventory.Location
	}
	at, of := map[name]int{}, map[name]int{} // by all of it, and how many by the location
	var ends []inventory.SnapshotEnd
	var doubts []string
	for i := range r.out.Events {
		ev := &r.out.Events[i]
		c := ev.Count
		if c == nil || !c.Complete {
			continue
		}
		n := name{c.Snapshot, ev.Key.Entity, c.Location}
		k, known := at[n]
		if !known {
			k = len(ends)
			at[n] = k
			of[name{entity: n.entity, place: n.place}]++
			ends, doubts = append(ends, inventory.SnapshotEnd{
				Source: ev.Source, ID: c.Snapshot, Entity: ev.Key.Entity, Location: c.Location, AsOf: c.AsOf, Basis: c.Basis, Covers: c.Covers,
				Part: c.Part, Parts: c.Parts,
			}), append(doubts, "")
		}
		ends[k].Lines++
		switch {
		case r.raw.FileID != "" && (r.raw.Part != 1 || r.raw.Parts != 1):
			doubts[k] = "the message is a part of a file, and does not list all"
		case len(r.out.Rejected)+len(r.out.Parked) > 0:
			doubts[k] = fmt.Sprintf("of the message's lines %d are rejected and %d parked", len(r.out.Rejected), len(r.out.Parked))
		case c.AsOfBasis == inventory.BasisReceipt:
			doubts[k] = "nothing states its time"
		case c.Part != ends[k].Part || c.Parts != ends[k].Parts:
			doubts[k] = "its lines state different parts"
		case c.AsOf != ends[k].AsOf:
			doubts[k] = "its lines state different times"
		}
	}
	for k := range ends {
		e := &ends[k]
		why := doubts[k]
		if n := of[name{entity: e.Entity, place: e.Location}]; why == "" && n > 1 {
			why = fmt.Sprintf("the message lists the location in %d snapshots", n)
		}
		if err := e.Validate(); why == "" && err != nil {
			why = err.Error()
		}
		if why == "" {
			r.out.Ends = append(r.out.Ends, *e)
			continue
		}
		r.out.Open = append(r.out.Open, event.DeadLetter{
			ID:      event.EventID(e.Source, inventory.Document{Type: snapshotEndType, Number: e.ID, Revision: partText(e), Line: string(e.Location)}),
			Service: serviceName, Code: codeSnapshotOpen, RawID: r.raw.ID, Source: e.Source, At: r.raw.ReceivedAt,
			Reason: shorten(fmt.Sprintf("snapshot %s of %s is not closed, what it does not list stays as it is: %s", e.ID, e.Location, why), maxReason),
		})
	}
}

// partText tells the parts of a snapshot apart in ids; empty of one in one message.
func partText(e *inventory.SnapshotEnd) string {
	if e.Part == 0 {
		return ""
	}
	return "part " + strconv.Itoa(int(e.Part))
}

// ends are the control records of a message's full snapshots, one a partition. Their
// ids are functions of snapshot and partition.
func (w *writer) ends(r *Result, raw *event.RawMessage, partitions int32) ([]*stream.Record, error) {
	var out []*stream.Record
	for i := range r.Ends {
		end := &r.Ends[i]
		for p := range partitions {
			doc := inventory.Document{
				Type: snapshotEndType, Number: end.ID, Line: inventory.Escape(string(end.Location)) + "|" + strconv.Itoa(int(p)),
			}
			doc.Revision = partText(end)
			ev := inventory.Event{
				ID: event.EventID(end.Source, doc), Kind: inventory.KindControl, Source: end.Source, Document: doc,
				OccurredAt: end.AsOf, OccurredBasis: inventory.BasisDocument, ReceivedAt: raw.ReceivedAt,
				Control: &inventory.Control{Snapshot: end},
				Trace:   inventory.Trace{RawID: raw.ID, MappingVersion: r.Receipt.Mapping},
			}
			value, err := w.codecs.AppendEvent(nil, &ev)
			if err != nil {
				return nil, fmt.Errorf("encoding the end of snapshot %s: %w", end.ID, err)
			}
			rec := w.make(event.TopicEvents, event.ControlKey, value, ev.ID, event.TypeOf(&ev))
			rec.Partition = p
			out = append(out, rec)
		}
	}
	return out, nil
}

// partitionsOf asks how many partitions the events have: the end of a snapshot
// concerns each of them. A generation of topics never changes it.
func partitionsOf(ctx context.Context, cfg stream.Config) (int32, error) {
	reads, err := stream.NewRestoreReads(cfg)
	if err != nil {
		return 0, fmt.Errorf("connecting for %s: %w", event.TopicEvents, err)
	}
	defer reads.Close()
	_, n, err := reads.Topic(ctx, event.TopicEvents)
	if err != nil {
		return 0, fmt.Errorf("counting the partitions of %s: %w", event.TopicEvents, err)
	}
	return n, nil
}
