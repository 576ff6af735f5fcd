// Package heard serves those who promise by the policy's rules for silent owners: it
// knows when each source was last heard, from canonicalizer.receipts, and what the
// system claims that takes its place, from inventory.views.
package heard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/stream"
)

// watchEvery is how often it is looked whether an owner has fallen silent, to say so.
const watchEvery = time.Second

// Config is what Sources are made of.
type Config struct {
	Kafka    stream.Config
	Codecs   *event.Codecs
	Policies *current.Policy
	Now      func() time.Time
	Log      *slog.Logger
	Metrics  prometheus.Registerer // nil: unseen
	Prefix   string                // of the names of the metrics
}

// Sources are the last words of all sources: a receipt is written for every raw
// message, whatever became of it, and says when the door took it. It does not say of
// which location, so an owner is heard everywhere at once. Nothing is read while the
// policy has no rule for silent owners, and not more than twice the longest
// heartbeat at a start. It is safe for concurrent use.
type Sources struct {
	cfg    Config
	table  func(since time.Time, apply func(*stream.Record) error) (table, error)
	loaded latch
	desc   *prometheus.Desc

	mu    sync.RWMutex
	at    map[inventory.Source]inventory.Instant
	since inventory.Instant // from when on all is known; 0: nothing has been read
	said  []bool            // by rule: what watch said last
	of    *policy.Promises  // whose rules
}

// table is a stream.Table.
type table interface {
	Run(ctx context.Context) error
	Loaded() <-chan struct{}
}

// New makes Sources that have heard nobody. An error is that of a metric that exists
// already.
func New(cfg Config) (*Sources, error) {
	s := &Sources{
		cfg: cfg, loaded: newLatch("reading when owners were last heard"), at: map[inventory.Source]inventory.Instant{},
		table: func(since time.Time, apply func(*stream.Record) error) (table, error) {
			return stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicReceipts, Since: since, Apply: apply})
		},
		desc: prometheus.NewDesc(cfg.Prefix+"_owner_heard_seconds",
			"Time since an owner with a rule for its silence was last heard; at least so much where that is longer ago than what was read.", []string{"owner"}, nil),
	}
	if cfg.Metrics != nil {
		if err := cfg.Metrics.Register(s); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return s, nil
}

// Heard is what is known of a source's last word. Before anything has been read
// nobody is silent.
func (s *Sources) Heard(source inventory.Source) inventory.Heard {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.since == 0 {
		return inventory.Heard{Since: math.MaxInt64}
	}
	return inventory.Heard{At: s.at[source], Since: s.since}
}

// Steady is Heard for the questions of one answer: whatever comes meanwhile, of a
// source it says the same. One goroutine uses it.
func (s *Sources) Steady() func(inventory.Source) inventory.Heard {
	var said map[inventory.Source]inventory.Heard
	return func(source inventory.Source) inventory.Heard {
		h, ok := said[source]
		if !ok {
			if said == nil {
				said = map[inventory.Source]inventory.Heard{}
			}
			h = s.Heard(source)
			said[source] = h
		}
		return h
	}
}

// Silent says of each rule whether its owner is silent.
func (s *Sources) Silent(rules []inventory.SilenceRule, now inventory.Instant) []bool {
	if len(rules) == 0 {
		return nil
	}
	out := make([]bool, len(rules))
	for i := range rules {
		out[i] = rules[i].Silent(s.Heard(rules[i].Owner), now)
	}
	return out
}

// Loaded is closed when the rules in force at the start can be obeyed.
func (s *Sources) Loaded() <-chan struct{} { return s.loaded.done }

// Ready is nil from then on.
func (s *Sources) Ready() error { return s.loaded.ready() }

// latch is closed once, when what it stands for has been done.
type latch struct {
	what string
	done chan struct{}
}

func newLatch(what string) latch { return latch{what, make(chan struct{})} }

// close is called by one goroutine, any number of times.
func (l *latch) close() {
	if l.ready() != nil {
		close(l.done)
	}
}

func (l *latch) ready() error {
	select {
	case <-l.done:
		return nil
	default:
		return errors.New(l.what)
	}
}

// ended is the error of a table that ended with err, or nil where that was to be.
func (l *latch) ended(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil
	case err == nil:
		err = errors.New("the table ended")
	}
	return fmt.Errorf("%s: %w", l.what, err)
}

// reading is a table that is being read.
type reading struct {
	table  table
	cancel context.CancelFunc
	done   chan error
}

// start runs a table beside the caller.
func start(ctx context.Context, t table) *reading {
	inner, cancel := context.WithCancel(ctx)
	r := &reading{table: t, cancel: cancel, done: make(chan error, 1)}
	go func() {
		defer close(r.done)
		r.done <- t.Run(inner)
	}()
	return r
}

func (r *reading) stop() {
	if r != nil {
		r.cancel()
		for range r.done { // whatever it says: it was told to end
		}
	}
}

// ended is closed, or has an error, when the table ended by itself.
func (r *reading) ended() <-chan error {
	if r == nil {
		return nil
	}
	return r.done
}

// Run reads until ctx is done. It may be called once, when the policy is loaded.
func (s *Sources) Run(ctx context.Context) error {
	var now *reading
	defer func() { now.stop() }()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		promises, next := s.cfg.Policies.Next()
		longest := promises.Heartbeat()
		from := s.cfg.Now().Add(-2 * longest)
		switch {
		case longest == 0:
			now.stop()
			now = nil
			s.forget()
		case !s.knows(from):
			// What is read already goes on being followed: nobody is to look silent
			// because the past is being read.
			wider, err := s.read(ctx, from)
			if err != nil {
				return err
			}
			select {
			case <-wider.table.Loaded():
				s.Covers(from)
			case err := <-wider.done:
				wider.cancel()
				return s.loaded.ended(ctx, err)
			}
			now.stop()
			now = wider
		}
		s.loaded.close()
		for changed := false; !changed; {
			s.watch(promises)
			select {
			case <-next:
				changed = true
			case <-tick.C:
			case err := <-now.ended():
				return s.loaded.ended(ctx, err)
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

func (s *Sources) read(ctx context.Context, since time.Time) (*reading, error) {
	t, err := s.table(since, s.Apply)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.loaded.what, err)
	}
	return start(ctx, t), nil
}

// Apply takes one receipt. One that cannot be read is passed over: its source is
// heard a little less, and the numbers of others do not wait for it.
func (s *Sources) Apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil
	}
	var r event.Receipt
	if err := s.cfg.Codecs.DecodeReceipt(rec.Value, &r); err != nil {
		s.cfg.Log.Warn("a receipt cannot be read", slog.Int("partition", int(rec.Partition)), slog.Int64("offset", rec.Offset), slog.Any("err", err))
		return nil
	}
	// A door whose clock was ahead must not keep an owner's silence from being seen.
	at := min(r.At, inventory.Instant(s.cfg.Now().UnixMilli()))
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, known := s.at[r.Source]; !known {
		s.at[inventory.Source(strings.Clone(string(r.Source)))] = at
	} else if before < at {
		s.at[r.Source] = at
	}
	return nil
}

// knows says whether all that was said since is known.
func (s *Sources) knows(since time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.since != 0 && s.since <= inventory.Instant(since.UnixMilli())
}

// Covers says that all receipts since then have been applied.
func (s *Sources) Covers(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = max(1, inventory.Instant(since.UnixMilli()))
}

func (s *Sources) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.at = 0, map[inventory.Source]inventory.Instant{}
}

// watch says which owners have fallen silent, and which are heard again.
func (s *Sources) watch(promises *policy.Promises) {
	rules := promises.Silence()
	now := inventory.Instant(s.cfg.Now().UnixMilli())
	silent := s.Silent(rules, now)
	if s.of != promises { // what was said was of other rules
		s.of, s.said = promises, make([]bool, len(rules))
	}
	for i := range rules {
		if silent[i] == s.said[i] {
			continue
		}
		r := &rules[i]
		log := s.cfg.Log.With(slog.String("owner", string(r.Owner)), slog.String("entity", string(r.Entity)), slog.String("location", string(r.Location)))
		if silent[i] {
			log.Warn("an owner is silent", slog.String("then", string(r.Then)), slog.Int64("last_heard_ms", int64(s.Heard(r.Owner).At)))
		} else {
			log.Info("an owner is heard again")
		}
	}
	s.said = silent
}

// Describe is prometheus.Collector's.
func (s *Sources) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }

// Collect is prometheus.Collector's.
func (s *Sources) Collect(ch chan<- prometheus.Metric) {
	now := inventory.Instant(s.cfg.Now().UnixMilli())
	seen := map[inventory.Source]bool{}
	rules := s.cfg.Policies.Get().Silence()
	for i := range rules {
		owner := rules[i].Owner
		h := s.Heard(owner)
		if seen[owner] || h.Since > now { // nothing has been read yet
			continue
		}
		seen[owner] = true
		m, err := prometheus.NewConstMetric(s.desc, prometheus.GaugeValue, float64(now-max(h.At, h.Since))/1000, string(owner))
		if err != nil {
			m = prometheus.NewInvalidMetric(s.desc, err)
		}
		ch <- m
	}
}
