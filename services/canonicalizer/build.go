// Package canonicalizer turns raw messages into canonical events: bytes → tree
// (format, code) → lines (mapping, data) → resolved events (raw.messages, raw.bulk and raw.retry →
// inventory.events, orders.events, shipments.events, returns.events, master.items,
// master.locations, canonicalizer.parked, canonicalizer.deadletter,
// canonicalizer.receipts, raw.retry).
//
// It is at-least-once with deterministic ids: a message canonicalized twice gives
// the same events, and duplicates are the ledger's job.
package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// The records of one append at most: of the real-time class, and of the bulk
// class, which waits for the ledger before each: a few milliseconds of its work.
const (
	maxChunk  = 5_000
	bulkChunk = 250
)

// Config is the service's configuration.
type Config struct {
	Kafka    stream.Config `yaml:"-"`
	Codecs   *event.Codecs `yaml:"-"`
	Policies *policy.Set   `yaml:"-"`

	Group string `yaml:"group"`
	// MaxRecords bounds the raw messages of one poll of a partition.
	MaxRecords int `yaml:"max_records"`
	// Ledger is the consumer group of the ledger, which the bulk class waits for.
	Ledger string `yaml:"ledger"`
	// BulkShare is the share of one core's time that mapping bulk messages takes at
	// most, in (0, 1].
	BulkShare float64 `yaml:"bulk_share"`
	// RetryRate is the number of parked lines of a partition that run again in a second
	// at most, when the master data they wait for has come.
	RetryRate int `yaml:"retry_rate"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{Group: "canonicalizer", MaxRecords: 200, Ledger: "atp", BulkShare: .5, RetryRate: 200}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Group == "" {
		errs = append(errs, errors.New("canonicalizer.group: required"))
	}
	if c.MaxRecords < 1 || c.MaxRecords > 10_000 {
		errs = append(errs, errors.New("canonicalizer.max_records: must be between 1 and 10000"))
	}
	if c.Ledger == "" {
		errs = append(errs, errors.New("canonicalizer.ledger: required"))
	}
	if c.BulkShare < .01 || c.BulkShare > 1 {
		errs = append(errs, errors.New("canonicalizer.bulk_share: must be between 0.01 and 1"))
	}
	if c.RetryRate < 10 || c.RetryRate > 100_000 {
		errs = append(errs, errors.New("canonicalizer.retry_rate: must be between 10 and 100000 lines a second"))
	}
	return errors.Join(errs...)
}

// Build wires the service and starts nothing. A mapping that does not compile is
// an error.
func Build(_ context.Context, cfg Config, env service.Env) ([]service.Task, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Codecs == nil || cfg.Policies == nil {
		return nil, errors.New("canonicalizer: codecs and policies are required")
	}
	sources, err := programs(cfg.Policies)
	if err != nil {
		return nil, err
	}
	lines := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockweave_canonicalizer_lines_total", Help: "Lines of raw messages, by source and what became of them.",
	}, []string{"source", "became"})
	snapshots := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stockweave_canonicalizer_full_snapshots_total", Help: "Full snapshots of locations, by source and whether their end was said.",
	}, []string{"source", "became"})
	for _, c := range []prometheus.Collector{lines, snapshots} {
		if env.Metrics == nil {
			break
		}
		if err := env.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	m := newMasters()
	items, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicItems, Apply: m.applyItems(cfg.Codecs)})
	if err != nil {
		return nil, fmt.Errorf("reading items: %w", err)
	}
	locations, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicLocations, Apply: m.applyLocations(cfg.Codecs)})
	if err != nil {
		return nil, fmt.Errorf("reading locations: %w", err)
	}
	producer, err := stream.NewProducer(cfg.Kafka, stream.WithOwnPartition(event.TopicParked))
	if err != nil {
		return nil, fmt.Errorf("opening producer: %w", err)
	}
	byNumber, err := stream.NewProducer(cfg.Kafka, stream.WithOwnPartition())
	if err != nil {
		producer.Close()
		return nil, fmt.Errorf("opening producer: %w", err)
	}
	brake, err := stream.NewBrake(cfg.Kafka, cfg.Ledger, event.TopicEvents)
	if err != nil {
		producer.Close()
		byNumber.Close()
		return nil, fmt.Errorf("building brake: %w", err)
	}
	shut := func() {
		producer.Close()
		byNumber.Close()
		brake.Close()
	}
	h := &handler{
		codecs: cfg.Codecs, sources: sources, masters: m, lines: lines, snapshots: snapshots, produce: producer.Produce, toPartition: byNumber.Produce,
		chunk: maxChunk,
	}
	numbers, err := h.useMarks(&cfg, env.Now())
	if err != nil {
		shut()
		return nil, err
	}
	published, err := h.follow(&cfg, env) // before the handler is copied for the classes
	if err != nil {
		shut()
		return nil, err
	}
	retries, err := newRetrying(&cfg, env, h, brake.Wait)
	if err != nil {
		shut()
		return nil, err
	}
	shutAll := func() {
		shut()
		retries.reads.Close()
	}
	h.acks = acksFrom(cfg.Codecs, retries.reads)
	bulk := *h
	bulk.chunk, bulk.wait, bulk.turn = bulkChunk, brake.Wait, make(chan struct{}, 1)
	bulk.pace = &pace{share: cfg.BulkShare, now: env.Now}
	planned := newSchedules(&cfg, env, &bulk)
	bulk.leaves = planned.scheduled
	if env.Metrics != nil {
		if err := env.Metrics.Register(planned); err != nil {
			shutAll()
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	worker, err := h.worker(&cfg, cfg.Group, event.TopicRaw)
	if err != nil {
		shutAll()
		return nil, err
	}
	cfg.MaxRecords = 1 // of up to 10,000 lines; the next is mapped when the ledger has them
	bulkWorker, err := bulk.worker(&cfg, cfg.Group+"-bulk", event.TopicRawBulk)
	if err != nil {
		shutAll()
		return nil, err
	}
	env.Health.Ready("canonicalizer", worker.Ready)
	env.Health.Ready("canonicalizer-bulk", bulkWorker.Ready)
	env.Health.Ready("canonicalizer-retry", retries.worker.Ready)
	work := whenLoaded(func(ctx context.Context) error {
		partitions, err := partitionsOf(ctx, cfg.Kafka)
		if err != nil {
			return err
		}
		parked, err := parkedParts(ctx, cfg.Kafka)
		if err != nil {
			return err
		}
		h.live.Loaded()
		h.partitions, bulk.partitions = partitions, partitions
		h.parkedParts, bulk.parkedParts = parked, parked
		if err := planned.prepare(ctx); err != nil {
			return err
		}
		return service.Run(ctx, worker.Run, bulkWorker.Run, planned.run, retries.table.Run, whenLoaded(retries.worker.Run, retries.table.Loaded()))
	}, items.Loaded(), locations.Loaded(), numbers.Loaded(), published.Loaded())
	return []service.Task{items.Run, locations.Run, numbers.Run, published.Run, func(ctx context.Context) error {
		defer shutAll()
		return work(ctx)
	}}, nil
}

// worker reads the messages of a latency class.
func (h *handler) worker(cfg *Config, group, topic string) (*stream.Worker, error) {
	w, err := stream.NewWorker(stream.WorkerConfig{
		Config: cfg.Kafka, Group: group, Topics: []string{topic},
		Dead: deadLetter(cfg.Codecs), Batch: h.lane, MaxRecords: cfg.MaxRecords,
		Lost: func(string, int32) { h.acks.forget() },
	})
	if err != nil {
		return nil, fmt.Errorf("building worker %s: %w", group, err)
	}
	return w, nil
}

// whenLoaded starts a task when all tables are loaded. Master data is known up to
// now before the first message: else a restart would park what was never missing
// (EXACTLY-ONCE §9).
func whenLoaded(task service.Task, loaded ...<-chan struct{}) service.Task {
	return func(ctx context.Context) error {
		for _, l := range loaded {
			select {
			case <-l:
			case <-ctx.Done():
				return nil
			}
		}
		return task(ctx)
	}
}

// handler canonicalizes the messages of one partition in their order. Partitions
// run beside each other.
type handler struct {
	codecs  *event.Codecs
	sources map[inventory.Source]*sourceProgram
	live    *follow.Sources[*sourceProgram] // where sources follow policies.v1
	masters *masters
	lines   *prometheus.CounterVec
	produce func(ctx context.Context, recs ...*stream.Record) error

	// Of the latency class.
	chunk int                             // records of one append, at most
	wait  func(ctx context.Context) error // before each append; nil: at once
	turn  chan struct{}                   // of one batch after the other, of all partitions; nil: beside each other
	pace  *pace                           // of mapping; nil: as fast as it goes
	// leaves says of a record that another worker has it; nil: none.
	leaves func(rec *stream.Record) bool

	// Of ends of full snapshots, which concern every partition of the events.
	snapshots   *prometheus.CounterVec
	partitions  int32
	toPartition func(ctx context.Context, recs ...*stream.Record) error

	marks *marks // nil: no number is unique

	// Of lines that are parked and run again.
	parkedParts int32 // partitions of canonicalizer.parked
	waits       *waits
	retries     *prometheus.CounterVec

	acks *acks // nil: no source gets any
}

// lane is batch without what others work on.
func (h *handler) lane(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	if h.leaves != nil {
		recs = slices.DeleteFunc(slices.Clone(recs), h.leaves)
	}
	if len(recs) == 0 {
		return nil, nil
	}
	return h.batch(ctx, recs)
}

// batch writes everything the messages become and returns their receipts, which
// the worker writes: a receipt exists only when all it names is durable
// (Invariant 2), and the offset is committed after that (Invariant 1). So does the
// end of a full snapshot: it follows its lines in every partition.
func (h *handler) batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	if h.turn != nil {
		select {
		case h.turn <- struct{}{}:
			defer func() { <-h.turn }()
		case <-ctx.Done(): // whoever has the turn may wait for long
			return nil, fmt.Errorf("waiting for a turn: %w", ctx.Err())
		}
	}
	var pending, ends, receipts []*stream.Record
	flush := func() error {
		for chunk := range slices.Chunk(pending, h.chunk) {
			if h.wait != nil {
				if err := h.wait(ctx); err != nil {
					return fmt.Errorf("waiting for the ledger: %w", err)
				}
			}
			if err := h.produce(ctx, chunk...); err != nil {
				return fmt.Errorf("appending what messages became: %w", err)
			}
		}
		pending = nil
		return nil
	}
	var replayed map[*stream.Record]map[string]string
	if h.marks != nil {
		var err error
		if replayed, err = h.marks.screen(ctx, recs); err != nil {
			return nil, err
		}
	}
	for _, rec := range recs {
		out, end, receipt, err := h.message(ctx, rec, replayed[rec])
		if err != nil {
			return nil, err
		}
		pending, ends = append(pending, out...), append(ends, end...)
		if receipt != nil {
			receipts = append(receipts, receipt)
		}
		if len(pending) > h.chunk {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	if len(ends) > 0 {
		if err := h.toPartition(ctx, ends...); err != nil {
			return nil, fmt.Errorf("appending ends of snapshots: %w", err)
		}
	}
	return receipts, nil
}

// message is what one raw message becomes, and what follows when that is durable: the
// ends of its full snapshots, and its receipt. That is nil when the message itself
// cannot be read: then it is a dead letter and nothing else.
// Interchanges that are replayed, by the values of their marks, are refused.
func (h *handler) message(ctx context.Context, rec *stream.Record, replayed map[string]string) (out, ends []*stream.Record, receipt *stream.Record, err error) {
	var raw event.RawMessage
	if err := h.codecs.DecodeRaw(rec.Value, &raw); err != nil {
		// Its beginning is kept; the whole of it stands where the dead letter says.
		short := *rec
		short.Value = rec.Value[:min(len(rec.Value), maxKept)]
		dead, err := deadLetter(h.codecs)(stream.DeadLetter{Record: &short, Code: "undecodable", Reason: err.Error()})
		if err != nil {
			return nil, nil, nil, err
		}
		return []*stream.Record{dead}, nil, nil, nil
	}
	var res Result
	p := h.program(raw.Source) // one for all of the message
	if p != nil {
		screened := *p
		screened.parse = without(p.parse, replayed)
		if res, err = canonicalizeAt(ctx, &screened, &raw, h.masters, h.pace); err != nil {
			return nil, nil, nil, err
		}
	} else {
		r := run{p: &sourceProgram{src: &policy.Source{Name: raw.Source}}, raw: &raw, lines: 1}
		r.refuse("", reject("unknown_source", "no policy has the source %.64q any more", string(raw.Source)), nil)
		r.out.Receipt = r.receipt()
		res = r.out
	}
	defer res.release()
	w := writer{codecs: h.codecs, input: rec, trace: traceOf(rec), at: raw.ReceivedAt}
	if p != nil && h.acks != nil {
		list, err := h.acknowledge(ctx, p.src, &raw, replayed, &res)
		if err == nil {
			err = w.acks(list)
		}
		if err != nil {
			return nil, nil, nil, fmt.Errorf("acknowledging message %s: %w", raw.ID, err)
		}
	}
	if h.parkedParts > 0 {
		w.parkedIn = stream.Partition([]byte(event.StreamKey(raw.Source, raw.StreamKey)), h.parkedParts)
	}
	if err := w.records(&res); err != nil {
		return nil, nil, nil, err
	}
	if receipt, err = w.receipt(&res.Receipt); err != nil {
		return nil, nil, nil, err
	}
	if ends, err = w.ends(&res, &raw, h.partitions); err != nil {
		return nil, nil, nil, err
	}
	// Known here at once, not when the table has read it back, so that the next
	// message may use it. Nothing rests on it if the append fails: the message is
	// canonicalized again and gives the same versions.
	for i := range res.Items {
		h.masters.putItem(&res.Items[i])
	}
	for i := range res.Locations {
		h.masters.putLocation(&res.Locations[i])
	}
	for became, n := range map[string]int{
		"event": len(res.Events), "master": len(res.Items) + len(res.Locations),
		"milestone": len(res.Milestones), "parked": len(res.Parked), "rejected": len(res.Rejected),
	} {
		h.lines.WithLabelValues(string(raw.Source), became).Add(float64(n))
	}
	for became, n := range map[string]int{"ended": len(res.Ends), "open": len(res.Open)} {
		if n > 0 {
			h.snapshots.WithLabelValues(string(raw.Source), became).Add(float64(n))
		}
	}
	return w.out, ends, receipt, nil
}
