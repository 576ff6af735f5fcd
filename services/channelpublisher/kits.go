package channelpublisher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/stream"
)

// kitParts holds the positions of every item that is a part of a kit. A kit's parts
// may stand in any partition, and the member that has the kit's own partition offers
// the kit; so each member reads all positions and keeps those of parts. It is safe
// for concurrent use.
type kitParts struct {
	codecs   *event.Codecs
	policies *current.Policy
	table    func(apply func(*stream.Record) error) (table, error)

	mu      sync.Mutex
	parts   map[string]inventory.Key // that are kept, by Key.String
	loaded  bool
	items   map[inventory.Key]*item
	changes int64
	changed map[inventory.Key]int64 // by part: the last of the changes
}

// table is a stream.Table.
type table interface {
	Run(ctx context.Context) error
	Loaded() <-chan struct{}
}

// run follows the positions of parts, anew whenever a policy has other parts.
func (s *kitParts) run(ctx context.Context) error {
	for ctx.Err() == nil {
		promises, next := s.policies.Next()
		parts := promises.Parts()
		if len(parts) == 0 {
			s.begin(nil)
			s.setLoaded()
			select {
			case <-next:
			case <-ctx.Done():
			}
			continue
		}
		if err := s.follow(ctx, parts); err != nil {
			return fmt.Errorf("reading the parts of kits: %w", err)
		}
	}
	return nil
}

// follow reads until a policy has other parts.
func (s *kitParts) follow(ctx context.Context, parts []inventory.Key) error {
	s.begin(parts)
	t, err := s.table(s.apply)
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() {
		defer cancel()
		loaded := t.Loaded()
		for {
			now, next := s.policies.Next()
			if !slices.Equal(now.Parts(), parts) {
				return
			}
			select {
			case <-loaded:
				loaded = nil
				s.setLoaded()
			case <-next:
			case <-inner.Done():
				return
			}
		}
	})
	err = t.Run(inner)
	stopped := inner.Err() != nil
	cancel()
	watching.Wait()
	if err == nil && !stopped {
		return errors.New("the table ended")
	}
	return err
}

// begin forgets everything: what is kept from here on are these parts.
func (s *kitParts) begin(parts []inventory.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.parts = false, map[string]inventory.Key{}
	for _, k := range parts {
		s.parts[k.String()] = k
	}
	s.items, s.changed = map[inventory.Key]*item{}, map[inventory.Key]int64{}
}

func (s *kitParts) setLoaded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = true
}

// ready is nil when kits can be offered.
func (s *kitParts) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil
	}
	return errors.New("loading the parts of kits")
}

// apply takes one position. An unreadable one is passed over here: the evaluator
// sends it to the dead letters.
func (s *kitParts) apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil
	}
	key := string(rec.Key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.parts[key[:max(0, strings.LastIndexByte(key, '|'))]] // the rest is the location
	if !ok {
		return nil
	}
	var pos inventory.Position
	if err := s.codecs.DecodePosition(rec.Value, &pos); err != nil || pos.Key != k {
		return nil //nolint:nilerr // see above
	}
	it := s.items[k]
	if it == nil {
		it = newItem()
		s.items[k] = it
	}
	it.take(&pos)
	s.changes++
	s.changed[k] = s.changes
	return nil
}

// since are the parts that have changed since, in order, and how far that is.
func (s *kitParts) since(seen int64) (parts []inventory.Key, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == seen {
		return nil, seen
	}
	for k, n := range s.changed {
		if n > seen {
			parts = append(parts, k)
		}
	}
	slices.SortFunc(parts, compareKeys)
	return parts, s.changes
}

// add puts the positions of parts into facts; ok is false while they are being
// loaded, and whole while only parts of a commit are here.
func (s *kitParts) add(parts []inventory.Part, f known) (ok, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole = true
	for i := range parts {
		k := parts[i].Key
		if _, kept := s.parts[k.String()]; !kept {
			return false, false // of a newer policy: not read yet
		}
		if it := s.items[k]; it != nil {
			f[k] = it.positions()
			whole = whole && it.whole()
		}
	}
	return s.loaded, whole
}

// kitsOf are the kits a partition answers for, in order.
func (e *evaluator) kitsOf(p *partition, promises *policy.Promises) []inventory.Key {
	var out []inventory.Key
	for _, k := range promises.Kits() {
		if stream.Partition([]byte(k.String()), p.count) == p.id {
			out = append(out, k)
		}
	}
	return out
}

// refreshKits marks the kits of which a part has changed. It needs the lock.
func (e *evaluator) refreshKits(p *partition) {
	parts, now := e.kits.since(p.parts)
	if now == p.parts {
		return
	}
	p.parts = now
	promises := e.policies.Get()
	mine := map[inventory.Key]bool{}
	for _, k := range e.kitsOf(p, promises) {
		mine[k] = true
	}
	for _, part := range parts {
		for _, k := range promises.KitsWith(part) {
			if mine[k] {
				p.dirty[k] = true
			}
		}
	}
}

// addParts adds what a kit is made of to its facts; false while more of it is to
// come. The rest of a commit comes at once: a kit waits for it from one check to the
// next, and no longer.
func (e *evaluator) addParts(p *partition, kit inventory.Key, parts []inventory.Part, f known, complete bool) bool {
	ok, whole := e.kits.add(parts, f)
	if !ok {
		return false
	}
	if whole || complete && p.half[kit] {
		delete(p.half, kit)
		return true
	}
	if complete {
		p.half[kit] = true
	}
	return false
}
