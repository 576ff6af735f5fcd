package atp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Limits of closing full snapshots.
const (
	closeTogether = 64   // ends that share one reading of the state; a bit each
	zeroBatch     = 1000 // zero counts in the log that are not applied yet (EXACTLY-ONCE §9)
	appliedLook   = 20 * time.Millisecond
	closeDrain    = 2 * time.Second
)

// typeSnapshot is the CloudEvents type of the end of a full snapshot.
const typeSnapshot = "inventory.snapshot"

// Codes of dead letters of ends of full snapshots.
const (
	codeSnapshotEnd     = "snapshot_end"     // it does not name a snapshot
	codeSnapshotGuard   = "snapshot_guard"   // it would set too much to zero: an approval closes it
	codeSnapshotLeft    = "snapshot_left"    // closed, but for items of which nobody can tell whether they were there
	codeSnapshotLineage = "snapshot_lineage" // the state is of an earlier life of the ledger
)

// ended passes the end of a full snapshot on to who closes it. The transaction that
// it leaves in has applied every line before it, so that who reads it committed finds
// them in the state.
func (p *processor) ended(in stream.Input, ev *inventory.Event, emit func(*stream.Record)) error {
	x := event.SnapshotEnded{
		End: *ev.Control.Snapshot, EventID: ev.ID, RecordedAt: ev.RecordedAt,
		PolicyVersion: in.Header.PolicyVersion, Lineage: in.Lineage, Partition: in.Partition, Offset: in.Offset,
	}
	if err := x.End.Validate(); err != nil {
		return stream.Reject(codeSnapshotEnd, err)
	}
	if x.End.AsOf > ev.RecordedAt+inventory.Skew { // so its lines wait for a person
		return stream.Rejectf(codeSnapshotEnd, "snapshot %s is as of more than five minutes after it was recorded", x.End.ID)
	}
	policy, err := p.policies.Ledger(in.Header.PolicyVersion, "")
	if err != nil {
		return fmt.Errorf("policy of partition %d: %w: %w", in.Partition, stream.ErrStop, err)
	}
	// As its lines' time was: what came between is not what it leaves out.
	x.End.AsOf = policy.Counts.Clamped(x.End.Source, x.End.AsOf, cmp.Or(ev.ReceivedAt, ev.RecordedAt))
	value, err := p.codecs.AppendSnapshot(nil, &x)
	if err != nil {
		return fmt.Errorf("encoding the end of snapshot %s: %w", x.End.ID, err)
	}
	emit(&stream.Record{
		Topic: event.TopicSnapshots, Value: value, Headers: p.headers(x.EventID, typeSnapshot, ev.RecordedAt, in.Headers),
		Key: []byte(inventory.Escape(string(x.End.Entity)) + "|" + inventory.Escape(string(x.End.Location)) + "|" + inventory.Escape(string(x.End.Source))),
	})
	return nil
}

// closing sets to zero what full snapshots did not list: for each end that a
// partition has come to it reads that partition's state and appends a zero count for
// each item that is not on the list, outside transactions, as everything is appended
// to the log (EXACTLY-ONCE §1).
//
// What is appended is a function of end and item, so to do it again is harmless. A
// zero that the ledger has applied marks its item as the snapshot's lines do, so the
// state itself is the cursor: after a restart no more than zeroBatch are said twice,
// and the guard, which sees those items as listed, stays passed.
type closing struct {
	group    string // the ledger's
	codecs   *event.Codecs
	policies Policies
	reads    *stream.RestoreReads
	produce  func(ctx context.Context, recs ...*stream.Record) error
	dead     stream.DeadLetters
	budget   int // bytes of state held at once
	log      *slog.Logger

	mu   sync.Mutex // of read: partitions run beside each other
	read map[int32]*partsRead

	closed, guarded, zeroes, left prometheus.Counter
	waiting                       *waitingGauges
	now                           func() time.Time
}

// newClosing wires the worker; run it to work.
func newClosing(cfg Config, policies Policies, dead stream.DeadLetters, env service.Env) (service.Task, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "stockweave", Subsystem: "atp", Name: name, Help: help})
	}
	c := &closing{
		group: cfg.Group, codecs: cfg.Codecs, policies: policies, dead: dead, budget: stateBudget, log: env.Log,
		read:    map[int32]*partsRead{},
		waiting: newWaitingGauges(), now: env.Now,
		closed:  counter("full_snapshots_closed_total", "Ends of full snapshots, by partition, after which what was not listed is zero."),
		guarded: counter("full_snapshots_guarded_total", "Ends of full snapshots, by partition, that would set too much to zero and wait for an approval."),
		zeroes:  counter("full_snapshot_zeroes_total", "Zero counts appended for items that a full snapshot did not list."),
		left:    counter("full_snapshot_left_total", "Items left as they are: their keys are frozen, or their journals do not reach back to the snapshot."),
	}
	for _, m := range []prometheus.Collector{c.closed, c.guarded, c.zeroes, c.left, c.waiting.number, c.waiting.since} {
		if cfg.Kafka.Metrics == nil {
			break
		}
		if err := cfg.Kafka.Metrics.Register(m); err != nil {
			return nil, fmt.Errorf("registering metrics of full snapshots: %w", err)
		}
	}
	worker, err := stream.NewWorker(stream.WorkerConfig{
		Config: cfg.Kafka, Group: ClosingGroup(cfg.Group), Topics: []string{event.TopicSnapshots}, ReadCommitted: true,
		Dead: dead, Batch: c.batch, MaxRecords: closeTogether, Drain: closeDrain,
	})
	if err != nil {
		return nil, fmt.Errorf("building the worker of full snapshots: %w", err)
	}
	return func(ctx context.Context) error {
		producer, err := stream.NewProducer(cfg.Kafka)
		if err != nil {
			return fmt.Errorf("opening the producer of full snapshots: %w", err)
		}
		defer producer.Close()
		reads, err := stream.NewRestoreReads(cfg.Kafka)
		if err != nil {
			return fmt.Errorf("connecting to read state: %w", err)
		}
		defer reads.Close()
		c.produce, c.reads = producer.Produce, reads
		look, stop := context.WithCancel(ctx)
		var watching sync.WaitGroup
		watching.Go(func() { c.watch(look) })
		defer watching.Wait() // before what it reads with is closed
		defer stop()
		return worker.Run(ctx)
	}, nil
}

// ClosingGroup is the consumer group that closes the full snapshots of a ledger.
func ClosingGroup(ledger string) string { return ledger + "-snapshots" }

// ending is an end of a full snapshot in hand.
type ending struct {
	event.SnapshotEnded
	rec    *stream.Record
	policy *inventory.Policy
	names  names

	listed int64   // items of the partition that it lists
	left   int64   // items of which that is not known
	zero   []int32 // those it sets to zero, by their place among the candidates
}

// batch closes the snapshots that ended in a partition, in their order. What a person
// must see goes to the dead letters, which the worker writes before it commits.
func (c *closing) batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	var letters []*stream.Record
	letter := func(rec *stream.Record, code, format string, args ...any) error {
		out, err := c.dead(stream.DeadLetter{Record: rec, Code: code, Reason: fmt.Sprintf(format, args...)})
		if err != nil {
			return fmt.Errorf("making dead letter: %w", err)
		}
		letters = append(letters, out)
		return nil
	}
	ends := make([]*ending, 0, len(recs))
	for _, rec := range recs {
		e := &ending{rec: rec}
		err := c.codecs.DecodeSnapshot(rec.Value, &e.SnapshotEnded)
		switch {
		case err != nil:
			err = letter(rec, "undecodable", "%v", err)
		case e.Partition != rec.Partition:
			err = letter(rec, codeSnapshotEnd, "the end of partition %d stands in partition %d", e.Partition, rec.Partition)
		default:
			e.names = namesOf(&e.End)
			if e.policy, err = c.policies.Ledger(e.PolicyVersion, ""); err != nil {
				break
			}
			if e.End.Part == 0 {
				ends = append(ends, e)
				break
			}
			all, why, fail := c.whole(ctx, e)
			if err = fail; why != "" {
				err = letter(rec, codeSnapshotOpen, "snapshot %s of %s is not closed: %s", e.End.ID, e.End.Source, why)
			}
			ends = append(ends, all...)
		}
		if err != nil {
			return nil, err
		}
	}
	for some := range slices.Chunk(ends, closeTogether) {
		if err := c.closeAll(ctx, recs[0].Partition, some, letter); err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// closeAll closes snapshots, of a partition, that share one reading of the state.
func (c *closing) closeAll(ctx context.Context, partition int32, ends []*ending, letter func(*stream.Record, string, string, ...any) error) error {
	found, err := c.survey(ctx, partition, ends)
	if err != nil {
		return fmt.Errorf("reading what partition %d holds: %w", partition, err)
	}
	for i, e := range ends {
		var err error
		zeroed := int64(len(e.zero))
		of := fmt.Sprintf("snapshot %s of %s at %s", e.End.ID, e.End.Source, e.End.Location)
		switch {
		case found.header.Lineage < e.Lineage:
			err = letter(e.rec, codeSnapshotLineage, "%s ended in lineage %d, the state is of lineage %d", of, e.Lineage, found.header.Lineage)
		case e.End.Author == "" && e.policy.Counts.ZeroesTooMany(e.End.Source, e.listed, zeroed):
			c.guarded.Inc()
			err = letter(e.rec, codeSnapshotGuard, "%s lists %d items of partition %d and would set %d to zero: an approval closes it", of, e.listed, e.Partition, zeroed)
		default:
			if err = c.close(ctx, e, found.keys); err == nil && e.left > 0 {
				err = letter(e.rec, codeSnapshotLeft,
					"%s: %d items of partition %d were left as they are: frozen (approve it when they are released), or counted for a time that is forgotten", of, e.left, e.Partition)
			}
		}
		if err != nil {
			return fmt.Errorf("closing %s (%d of %d): %w", of, i+1, len(ends), err)
		}
	}
	return nil
}

// close appends the zero counts of one snapshot.
func (c *closing) close(ctx context.Context, e *ending, keys []string) error {
	for rest := e.zero; len(rest) > 0; {
		n := min(len(rest), zeroBatch)
		recs := make([]*stream.Record, n)
		for i, at := range rest[:n] {
			var err error
			if recs[i], err = c.zero(e, keys[at]); err != nil {
				return err
			}
		}
		rest = rest[n:]
		if err := c.produce(ctx, recs...); err != nil {
			return fmt.Errorf("appending %d zero counts: %w", n, err)
		}
		c.zeroes.Add(float64(n))
		if err := c.applied(ctx, e.Partition); err != nil {
			return fmt.Errorf("waiting until zero counts are applied: %w", err)
		}
	}
	c.closed.Inc()
	c.left.Add(float64(e.left))
	c.log.LogAttrs(ctx, slog.LevelInfo, "full snapshot closed",
		slog.String("snapshot", e.End.ID), slog.String("source", string(e.End.Source)), slog.String("location", string(e.End.Location)),
		slog.Int("partition", int(e.Partition)), slog.Int64("listed", e.listed), slog.Int("zeroed", len(e.zero)), slog.Int64("left", e.left),
		slog.String("author", e.End.Author))
	return nil
}

// zero is the record that says of an item that nothing of it is there.
func (c *closing) zero(e *ending, group string) (*stream.Record, error) {
	key, err := event.ParseKey(group)
	if err != nil {
		return nil, fmt.Errorf("state key %q: %w", group, err)
	}
	ev := e.End.Zero(key)
	ev.ReceivedAt = e.RecordedAt // of the end: of every repeat the same
	value, err := c.codecs.AppendEvent(nil, &ev)
	if err != nil {
		return nil, fmt.Errorf("encoding the zero count of %s: %w", group, err)
	}
	return &stream.Record{
		Topic: event.TopicEvents, Key: []byte(group), Value: value, Headers: event.HeadersOf[stream.RecordHeader](&ev, source),
	}, nil
}

// applied waits until the ledger has applied its log as far as it goes now: what is
// appended next then finds no queue of its own making, and nobody's request waits
// behind more than one batch of zeroes.
func (c *closing) applied(ctx context.Context, partition int32) error {
	end, err := c.reads.HighWatermark(ctx, event.TopicEvents, partition)
	if err != nil {
		return fmt.Errorf("asking for the log's end: %w", err)
	}
	look := time.NewTicker(appliedLook)
	defer look.Stop()
	for {
		at, err := c.reads.GroupOffset(ctx, c.group, event.TopicEvents, partition)
		if err != nil {
			return fmt.Errorf("asking for the ledger's offset: %w", err)
		}
		if at >= end {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
