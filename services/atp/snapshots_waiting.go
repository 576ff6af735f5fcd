package atp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// WaitingBack is how far back snapshots are looked for that wait: a part that has not come
// by then is of no use any more.
const WaitingBack = 7 * 24 * time.Hour

// waitingLook is from one look at what waits to the next.
const waitingLook = time.Minute

// WaitingSnapshot is a full snapshot in several messages of which parts have not ended:
// until they do, nothing that it leaves out becomes zero.
type WaitingSnapshot struct {
	Entity     inventory.Entity
	Source     inventory.Source
	ID         string
	Locations  []inventory.Location // of the parts that have ended, sorted
	AsOf       inventory.Instant
	Since      inventory.Instant // when the first part ended, ledger time
	Ended      int               // parts, in the partition that has fewest
	Missing    []int32           // parts, in any partition, sorted; the one behind the last stands for "how many there are"
	Partitions int               // in which any is missing
}

// Waiting follows inventory.snapshots and knows which full snapshots wait for parts. One
// that a later full snapshot of its source has overtaken at each of its locations is of no
// use any more, and waits for nothing. It is not safe for use by several goroutines.
type Waiting struct {
	reads  *stream.RestoreReads
	codecs *event.Codecs
	of     map[int32]*partsRead
	closed map[closedAt]inventory.Instant
}

// closedAt is where a full snapshot without parts has ended.
type closedAt struct {
	partition int32
	entity    inventory.Entity
	source    inventory.Source
	place     inventory.Location
}

// NewWaiting has not looked yet.
func NewWaiting(reads *stream.RestoreReads, codecs *event.Codecs) *Waiting {
	return &Waiting{reads: reads, codecs: codecs, of: map[int32]*partsRead{}, closed: map[closedAt]inventory.Instant{}}
}

// Look reads what has come, and says what waits now of snapshots whose first part ended
// since a time: the longest wait first. That time never falls from one look to the next.
func (w *Waiting) Look(ctx context.Context, since time.Time) ([]WaitingSnapshot, error) {
	_, partitions, err := w.reads.Topic(ctx, event.TopicSnapshots)
	if err != nil {
		return nil, fmt.Errorf("looking for ends of snapshots: %w", err)
	}
	for p := range partitions {
		if err := w.look(ctx, p, since); err != nil {
			return nil, fmt.Errorf("reading ends of snapshots of partition %d: %w", p, err)
		}
	}
	w.forget(inventory.Instant(since.UnixMilli()))
	return w.waiting(), nil
}

// forget lets go of what is whole, of what was overtaken and of what is from before a time.
func (w *Waiting) forget(since inventory.Instant) {
	for p, r := range w.of {
		for of, k := range r.of {
			if missing, why := k.parts.Missing(); why != "" || len(missing) > 0 {
				continue
			}
			for i := range k.at {
				w.close(p, &k.at[i])
			}
			delete(r.of, of)
		}
	}
	for p, r := range w.of {
		maps.DeleteFunc(r.of, func(_ partsOf, k *partsKept) bool { return k.since < since || w.overtaken(p, k) })
	}
}

func (w *Waiting) close(p int32, e *inventory.SnapshotEnd) {
	at := closedAt{p, e.Entity, e.Source, e.Location}
	w.closed[at] = max(w.closed[at], e.AsOf)
}

func (w *Waiting) overtaken(p int32, k *partsKept) bool {
	return !slices.ContainsFunc(k.at, func(e inventory.SnapshotEnd) bool {
		return w.closed[closedAt{p, e.Entity, e.Source, e.Location}] < e.AsOf
	})
}

func (w *Waiting) look(ctx context.Context, p int32, since time.Time) error {
	r := w.of[p]
	if r == nil {
		from, found, err := w.reads.OffsetAt(ctx, event.TopicSnapshots, p, since)
		if err != nil {
			return err
		}
		if !found {
			if from, err = w.reads.LastStable(ctx, event.TopicSnapshots, p); err != nil {
				return err
			}
		}
		r = &partsRead{of: map[partsOf]*partsKept{}, next: from}
		w.of[p] = r
	}
	end, err := w.reads.LastStable(ctx, event.TopicSnapshots, p)
	if err != nil {
		return err
	}
	return r.read(ctx, w.reads, w.codecs, p, end, func(x *event.SnapshotEnded) {
		if x.End.Part == 0 {
			w.close(p, &x.End)
		}
		r.take(x)
	})
}

// waiting merges what the partitions say.
func (w *Waiting) waiting() []WaitingSnapshot {
	latest := map[partsOf]int64{} // lineage
	name := func(of partsOf) partsOf { of.lineage = 0; return of }
	for _, r := range w.of {
		for of := range r.of {
			latest[name(of)] = max(latest[name(of)], of.lineage)
		}
	}
	found := map[partsOf]*WaitingSnapshot{}
	for _, r := range w.of {
		for of, k := range r.of {
			missing, why := k.parts.Missing()
			if of.lineage < latest[name(of)] || why != "" {
				continue // of an earlier life, or told of in a dead letter
			}
			s := found[name(of)]
			if s == nil {
				s = &WaitingSnapshot{
					Entity: of.entity, Source: of.source, ID: of.id, AsOf: k.at[0].AsOf, Since: k.since, Ended: k.parts.Count(),
				}
				found[name(of)] = s
			}
			s.Since, s.Ended = min(s.Since, k.since), min(s.Ended, k.parts.Count())
			s.Partitions++
			s.Missing = append(s.Missing, missing...)
			for i := range k.at {
				s.Locations = append(s.Locations, k.at[i].Location)
			}
		}
	}
	all := make([]WaitingSnapshot, 0, len(found))
	for _, s := range found {
		slices.Sort(s.Missing)
		slices.Sort(s.Locations)
		s.Missing, s.Locations = slices.Compact(s.Missing), slices.Compact(s.Locations)
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b WaitingSnapshot) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), strings.Compare(string(a.Source), string(b.Source)), strings.Compare(a.ID, b.ID))
	})
	return all
}

// waitingGauges show what waits; every member of the group shows all of it.
type waitingGauges struct {
	number, since prometheus.Gauge
}

func newWaitingGauges() *waitingGauges {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "stockweave", Subsystem: "atp", Name: name, Help: help})
	}
	return &waitingGauges{
		number: gauge("full_snapshots_waiting", "Full snapshots in several messages of which parts have not come: what they leave out is not zero yet. The same for every member of the group."),
		since:  gauge("full_snapshots_waiting_since_seconds", "When the first part came of the one that waits longest, in seconds since 1970; 0: none waits."),
	}
}

func (g *waitingGauges) show(all []WaitingSnapshot) {
	g.number.Set(float64(len(all)))
	g.since.Set(0)
	if len(all) > 0 {
		g.since.Set(float64(all[0].Since) / 1000)
	}
}

// watch shows what waits, from time to time, until ctx ends. It fails on nothing: what it
// shows is no part of the work.
func (c *closing) watch(ctx context.Context) {
	w := NewWaiting(c.reads, c.codecs)
	tick := time.NewTicker(waitingLook)
	defer tick.Stop()
	for {
		switch all, err := w.Look(ctx, c.now().Add(-WaitingBack)); {
		case err == nil:
			c.waiting.show(all)
		case ctx.Err() == nil:
			c.log.LogAttrs(ctx, slog.LevelWarn, "cannot say which full snapshots wait for parts", slog.Any("err", err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
