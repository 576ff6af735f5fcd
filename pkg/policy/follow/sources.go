// Package follow keeps the sources of a service what policies.v1 says: a change takes
// effect between two messages, without a restart.
package follow

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// CodeRefused is the exception code of a source that was published and cannot be used.
const CodeRefused = "source_refused"

// keptVersions of a source are tried, newest first, when the newest cannot be used.
const keptVersions = 5

// Sources are the sources of a service, each made ready to use as a T. It starts with
// those of the service's own files, and from the first list in policies.v1 on has what
// is published. Get and Last are safe for concurrent use with everything else.
type Sources[T any] struct {
	codecs  *event.Codecs
	log     *slog.Logger
	prepare func(*policy.Source) (T, error)
	before  func(live map[inventory.Source]T) error
	changed func(name inventory.Source, old T, had bool, now T)
	refused *prometheus.GaugeVec
	version prometheus.Gauge

	now atomic.Pointer[roster[T]]

	mu       sync.Mutex // of what follows; the topic comes from one goroutine
	loaded   bool
	contents map[inventory.Source]map[int64][]byte // by version, the newest few
	list     map[inventory.Source]int64
	listed   int64 // version of the list; 0: none is published
	reasons  map[inventory.Source]string
}

// roster is one moment's sources. It is never changed.
type roster[T any] struct {
	live map[inventory.Source]entry[T] // that may send
	last map[inventory.Source]entry[T] // those as well that may no more
}

type entry[T any] struct {
	version int64 // 0: of the service's own files
	ready   T
}

// Config says what a service's sources are.
type Config[T any] struct {
	Codecs *event.Codecs
	Log    *slog.Logger
	// Own are the sources of the service's own files, ready to use.
	Own map[inventory.Source]T
	// Prepare makes a source ready: compiles its mapping, reads its secrets anew. An
	// error refuses it, and the version before goes on.
	Prepare func(*policy.Source) (T, error)
	// Before, when set, is told the sources that are about to be in force. An error
	// refuses all of the change.
	Before func(live map[inventory.Source]T) error
	// Changed, when set, is told of each source that is in force in another version than
	// before, when it is; had is false of one that was not there. It must not ask the
	// sources for what they refuse.
	Changed func(name inventory.Source, old T, had bool, now T)
	Metrics prometheus.Registerer // nil: none
	Prefix  string                // of metrics: stockweave_ingest
}

// New starts with the service's own sources.
func New[T any](cfg Config[T]) (*Sources[T], error) {
	s := &Sources[T]{
		codecs: cfg.Codecs, log: cfg.Log, prepare: cfg.Prepare, before: cfg.Before, changed: cfg.Changed,
		contents: map[inventory.Source]map[int64][]byte{}, reasons: map[inventory.Source]string{},
		refused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: cfg.Prefix + "_source_refused", Help: "1 while the published version of a source cannot be used and an older one goes on, or none.",
		}, []string{"source"}),
		version: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: cfg.Prefix + "_sources_version", Help: "Version of the published list of sources in use; 0: the service's own files.",
		}),
	}
	if cfg.Metrics != nil {
		for _, c := range []prometheus.Collector{s.refused, s.version} {
			if err := cfg.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("registering metrics: %w", err)
			}
		}
	}
	own := &roster[T]{live: map[inventory.Source]entry[T]{}}
	for name, ready := range cfg.Own {
		own.live[name] = entry[T]{ready: ready}
	}
	own.last = own.live
	s.now.Store(own)
	return s, nil
}

// Get is a source that may send now.
func (s *Sources[T]) Get(name inventory.Source) (T, bool) {
	e, ok := s.now.Load().live[name]
	return e.ready, ok
}

// All are those that may send now, by name.
func (s *Sources[T]) All() map[inventory.Source]T { return readyOf(s.now.Load().live) }

// Last is a source that may send, or its last version where it may no more: what it
// sent before is still read.
func (s *Sources[T]) Last(name inventory.Source) (T, bool) {
	e, ok := s.now.Load().last[name]
	return e.ready, ok
}

// everySource stands for all of a list in reasons.
const everySource = "*"

func readyOf[T any](live map[inventory.Source]entry[T]) map[inventory.Source]T {
	out := make(map[inventory.Source]T, len(live))
	for name, e := range live {
		out[name] = e.ready
	}
	return out
}

// Refused tells which sources are not what is published, and why.
func (s *Sources[T]) Refused() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]string, len(s.reasons))
	for name, why := range s.reasons {
		out[string(name)] = CodeRefused + ": " + why
	}
	return out
}

// Apply takes one record of policies.v1. Sources come before the list that names them.
func (s *Sources[T]) Apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil
	}
	var c event.PolicyContent
	if err := s.codecs.DecodePolicy(rec.Value, &c); err != nil {
		return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch name, isSource := strings.CutPrefix(c.Name, policy.SourcePrefix); {
	case isSource:
		s.keep(inventory.Source(name), c.Version, c.Content)
	case c.Name == policy.SourcesName && c.Version >= s.listed:
		list, err := policy.DecodeSources(c.Content)
		if err != nil {
			return fmt.Errorf("version %d: %w", c.Version, err)
		}
		s.list, s.listed = list, c.Version
		if s.loaded { // before, only the newest list is worth the work
			s.change()
		}
	}
	return nil
}

func (s *Sources[T]) keep(name inventory.Source, version int64, content []byte) {
	all := s.contents[name]
	if all == nil {
		all = map[int64][]byte{}
		s.contents[name] = all
	}
	all[version] = slices.Clone(content)
	for len(all) > keptVersions {
		delete(all, slices.Min(slices.Collect(maps.Keys(all))))
	}
}

// Loaded puts the newest list in force: the topic has been read once. Until then the
// service must not use any source.
func (s *Sources[T]) Loaded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = true
	if s.listed > 0 {
		s.change()
	}
}

// Again tries a list that was refused as a whole once more: what it lacked may be there
// by now.
func (s *Sources[T]) Again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded && s.reasons[everySource] != "" {
		s.change()
	}
}

// change puts the list in force, all of it at once.
func (s *Sources[T]) change() {
	old := s.now.Load()
	next := &roster[T]{live: map[inventory.Source]entry[T]{}, last: maps.Clone(old.last)}
	for name := range s.contents { // those that may no more, as they were last
		if _, listed := s.list[name]; listed || old.last[name].version > 0 {
			continue
		}
		if e, _, ok := s.newest(name, s.latest(name), old); ok {
			next.last[name] = e
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.list)) {
		e, why, ok := s.newest(name, s.list[name], old)
		if ok {
			next.live[name], next.last[name] = e, e
		}
		s.note(name, s.list[name], why)
	}
	for name := range s.reasons {
		if _, listed := s.list[name]; !listed && name != everySource {
			s.note(name, 0, "")
		}
	}
	if s.before != nil {
		err := s.before(readyOf(next.live))
		why := ""
		if err != nil {
			why = err.Error()
		}
		s.note(everySource, s.listed, why)
		if err != nil {
			return // nothing changes
		}
	}
	s.now.Store(next)
	if s.changed != nil {
		for _, name := range slices.Sorted(maps.Keys(next.live)) {
			was, had := old.last[name]
			if now := next.live[name]; !had || was.version != now.version {
				s.changed(name, was.ready, had, now.ready)
			}
		}
	}
	s.version.Set(float64(s.listed))
	s.log.Info("sources changed", slog.Int64("sources_version", s.listed), slog.Int("sources", len(next.live)), slog.Int("refused", len(s.reasons)))
}

func (s *Sources[T]) latest(name inventory.Source) int64 {
	return slices.Max(slices.Collect(maps.Keys(s.contents[name])))
}

// newest is a source in the version that is listed; where that cannot be used, with the
// reason, as it is now, else in the newest version before that can.
func (s *Sources[T]) newest(name inventory.Source, version int64, old *roster[T]) (e entry[T], why string, ok bool) {
	// Not what is the same as before: a version never gets another content. But one that
	// was refused may lack no more what it lacked.
	if e, ok := old.last[name]; ok && e.version == version {
		return e, "", true
	}
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(s.contents[name]))) {
		if v > version {
			continue
		}
		if e, have := old.last[name]; have && v < version && e.version == v {
			return e, why, true
		}
		ready, err := s.ready(name, s.contents[name][v])
		if err == nil {
			return entry[T]{v, ready}, why, true
		}
		if why == "" {
			why = fmt.Sprintf("version %d: %v", v, err)
		}
	}
	if why == "" {
		why = fmt.Sprintf("version %d is not published", version)
	}
	e, ok = old.last[name]
	return e, why, ok
}

func (s *Sources[T]) ready(name inventory.Source, content []byte) (T, error) {
	var none T
	src, err := policy.DecodeSource(content)
	if err != nil {
		return none, err
	}
	if src.Name != name {
		return none, fmt.Errorf("it is of source %s", src.Name)
	}
	return s.prepare(src)
}

// note makes a refusal visible, once for each reason; "" takes it back.
func (s *Sources[T]) note(name inventory.Source, version int64, why string) {
	if why == "" {
		if _, was := s.reasons[name]; was {
			delete(s.reasons, name)
			s.refused.DeleteLabelValues(string(name))
		}
		return
	}
	s.refused.WithLabelValues(string(name)).Set(1)
	if s.reasons[name] == why {
		return
	}
	s.reasons[name] = why
	s.log.Error("a published source is refused; the one before goes on", slog.String("code", CodeRefused),
		slog.String("source", string(name)), slog.Int64("version", version), slog.String("reason", why))
}
