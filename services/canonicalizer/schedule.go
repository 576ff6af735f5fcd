package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// lookAgain bounds how long a schedule sleeps: a wall clock may be set meanwhile.
const lookAgain = time.Minute

// schedule works on the messages of one scheduled source in its windows. Each has a
// consumer group of its own on raw.bulk: a message that waits for its window holds up
// nobody else's, and the offset says durably what waits.
type schedule struct {
	source inventory.Source
	group  string
	h      *handler // of the bulk class
	log    *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	heads map[int32]head // of partitions that wait
	until []int64        // of a source that is scheduled no more: what the bulk class left it
}

// head is the first message that waits, and when its window opens.
type head struct {
	since inventory.Instant // receipt
	opens time.Time
}

func (s *schedule) windows() *policy.Source {
	if p := s.h.program(s.source); p != nil {
		return p.src
	}
	return &policy.Source{} // gone: its messages are refused at once
}

// batch waits for the window before the first message of the source, then does as the
// bulk class.
func (s *schedule) batch(stop <-chan struct{}) func(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	return func(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
		var own []*stream.Record
		for _, rec := range recs {
			if sourceOf(rec.Key) == s.source && (s.until == nil || rec.Offset < s.until[rec.Partition]) {
				own = append(own, rec)
			}
		}
		var receipts []*stream.Record
		for _, rec := range own { // one at a time: a window may close in between
			if err := s.wait(ctx, stop, rec); err != nil {
				return nil, err
			}
			out, err := s.h.batch(ctx, []*stream.Record{rec})
			if err != nil {
				return nil, err
			}
			receipts = append(receipts, out...)
		}
		return receipts, nil
	}
}

var errStopping = errors.New("stopping before the window opens")

// wait returns when the source's window is open.
func (s *schedule) wait(ctx context.Context, stop <-chan struct{}, rec *stream.Record) error {
	told := false
	defer func() {
		s.mu.Lock()
		delete(s.heads, rec.Partition)
		s.mu.Unlock()
	}()
	for {
		now := s.now()
		opens := s.windows().Opens(now)
		if !opens.After(now) {
			return nil
		}
		s.mu.Lock()
		s.heads[rec.Partition] = head{s.received(rec), opens}
		s.mu.Unlock()
		if !told {
			told = true
			s.log.Info("messages wait for their window", slog.String("source", string(s.source)), slog.Int("partition", int(rec.Partition)),
				slog.Int64("offset", rec.Offset), slog.Time("opens", opens))
		}
		t := time.NewTimer(min(opens.Sub(now), lookAgain))
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("waiting for a window: %w", ctx.Err())
		case <-stop:
			t.Stop()
			return errStopping
		case <-t.C:
		}
	}
}

func (s *schedule) received(rec *stream.Record) inventory.Instant {
	var raw event.RawMessage
	if s.h.codecs.DecodeRaw(rec.Value, &raw) == nil {
		return raw.ReceivedAt
	}
	return inventory.Instant(rec.Timestamp.UnixMilli())
}

// schedules are all of them.
type schedules struct {
	cfg   *Config
	bulk  *handler
	log   *slog.Logger
	now   func() time.Time
	mu    sync.Mutex
	all   []*schedule
	since *prometheus.Desc
	opens *prometheus.Desc
}

func newSchedules(cfg *Config, env service.Env, bulk *handler) *schedules {
	log := env.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &schedules{
		cfg: cfg, bulk: bulk, log: log, now: env.Now,
		since: prometheus.NewDesc("stockweave_canonicalizer_scheduled_oldest_seconds",
			"Age of the oldest message that waits for its window here, by source.", []string{"source"}, nil),
		opens: prometheus.NewDesc("stockweave_canonicalizer_scheduled_opens_seconds",
			"Time until the window opens that messages wait for here, by source.", []string{"source"}, nil),
	}
}

// prefix of the names of their groups.
func (s *schedules) prefix() string { return s.cfg.Group + "-scheduled-" }

// scheduled says whether a record of raw.bulk is left to a schedule.
func (s *schedules) scheduled(rec *stream.Record) bool {
	source := sourceOf(rec.Key)
	p := s.bulk.program(source)
	return p != nil && p.src.LatencyClass == policy.LatencyScheduled && s.has(source)
}

func (s *schedules) has(source inventory.Source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.all {
		if x.source == source && x.until == nil {
			return true
		}
	}
	return false
}

// prepare finds what is to be worked on: the scheduled sources, each begun where the
// bulk class stands, and the groups of those that are scheduled no more, whose messages
// of before still wait (Invariant 2).
func (s *schedules) prepare(ctx context.Context) error {
	admin, err := stream.NewAdmin(s.cfg.Kafka)
	if err != nil {
		return fmt.Errorf("connecting for schedules: %w", err)
	}
	defer admin.Close()
	groups, err := admin.Groups(ctx, s.prefix())
	if err != nil {
		return err
	}
	var begin, ends []int64
	if ends, err = admin.EndOffsets(ctx, event.TopicRawBulk); err != nil {
		return fmt.Errorf("looking at %s: %w", event.TopicRawBulk, err)
	}
	known := map[inventory.Source]bool{}
	for name, p := range s.bulk.sources {
		if p.src.LatencyClass != policy.LatencyScheduled {
			continue
		}
		known[name] = true
		if begin == nil {
			if begin, err = s.beginning(ctx, admin, len(ends)); err != nil {
				return err
			}
		}
		if err := admin.Begin(ctx, s.prefix()+string(name), event.TopicRawBulk, begin); err != nil {
			return fmt.Errorf("beginning the schedule of %s: %w", name, err)
		}
		s.add(name, nil)
	}
	for _, group := range groups {
		if name := inventory.Source(strings.TrimPrefix(group, s.prefix())); !known[name] {
			s.add(name, ends)
		}
	}
	return nil
}

func (s *schedules) add(name inventory.Source, until []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, &schedule{
		source: name, group: s.prefix() + string(name), h: s.bulk, log: s.log, now: s.now, heads: map[int32]head{}, until: until,
	})
}

// beginning is where the bulk class stands: what is before it has been worked on.
func (s *schedules) beginning(ctx context.Context, admin *stream.Admin, parts int) ([]int64, error) {
	reads, err := stream.NewRestoreReads(s.cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting for schedules: %w", err)
	}
	defer reads.Close()
	at, err := admin.StartOffsets(ctx, event.TopicRawBulk)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", event.TopicRawBulk, err)
	}
	for p := range parts {
		off, err := reads.GroupOffset(ctx, s.cfg.Group+"-bulk", event.TopicRawBulk, int32(p))
		if err != nil {
			return nil, fmt.Errorf("looking at the bulk class: %w", err)
		}
		at[p] = max(at[p], off)
	}
	return at, nil
}

// run works until ctx is done.
func (s *schedules) run(ctx context.Context) error {
	tasks := make([]service.Task, 0, len(s.all))
	for _, x := range s.all {
		w, err := stream.NewWorker(stream.WorkerConfig{
			Config: s.cfg.Kafka, Group: x.group, Topics: []string{event.TopicRawBulk},
			Dead: deadLetter(s.cfg.Codecs), Batch: x.batch(ctx.Done()), MaxRecords: 100,
			Lost: func(string, int32) { s.bulk.acks.forget() },
		})
		if err != nil {
			return fmt.Errorf("building the schedule of %s: %w", x.source, err)
		}
		tasks = append(tasks, w.Run)
	}
	if len(tasks) == 0 {
		<-ctx.Done()
		return nil
	}
	return service.Run(ctx, tasks...)
}

func (s *schedules) Describe(ch chan<- *prometheus.Desc) {
	ch <- s.since
	ch <- s.opens
}

func (s *schedules) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, x := range s.all {
		x.mu.Lock()
		oldest, opens := 0.0, 0.0
		for _, h := range x.heads {
			oldest = max(oldest, float64(now.UnixMilli()-int64(h.since))/1000)
			opens = max(opens, h.opens.Sub(now).Seconds())
		}
		x.mu.Unlock()
		ch <- prometheus.MustNewConstMetric(s.since, prometheus.GaugeValue, oldest, string(x.source))
		ch <- prometheus.MustNewConstMetric(s.opens, prometheus.GaugeValue, opens, string(x.source))
	}
}
