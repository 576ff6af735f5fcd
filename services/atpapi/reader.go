package atpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/policy/heard"
	"github.com/stockweave/stockweave/pkg/stream"
)

// problem is why there is no answer.
type problem struct {
	status int
	code   string // stable, snake_case
	title  string
	detail string
	cause  error // for the log
}

func (p *problem) Error() string { return p.code + ": " + p.detail }

// reader answers from Redis. It is safe for concurrent use.
type reader struct {
	store    *store
	codecs   *event.Codecs
	places   *place.Places
	policies *current.Policy
	heard    *heard.Sources
	views    *heard.Views
	now      func() time.Time

	mu         sync.RWMutex
	partitions int32
	seen       []mark // by partition: the furthest mark answered from
}

// setPartitions tells how many partitions positions have; before, nothing can be
// found.
func (r *reader) setPartitions(n int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.partitions, r.seen = n, make([]mark, n)
}

// place finds an item's partition and the furthest mark answered from so far.
func (r *reader) place(key string) (partition int32, seen mark, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.partitions == 0 {
		return 0, mark{}, false
	}
	partition = stream.Partition([]byte(key), r.partitions)
	return partition, r.seen[partition], true
}

func (r *reader) saw(partition int32, m mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := &r.seen[partition]; s.topic != m.topic || m.next > s.next {
		*s = m
	}
}

// read answers a query or says why not.
func (r *reader) read(ctx context.Context, q query) (*answer, *problem) {
	w := wanted{query: q, promises: r.policies.Get(), now: r.now(), heard: r.heard.Steady()}
	if bad := w.resolve(); bad != nil {
		return nil, bad
	}
	f := facts{of: map[inventory.Key][]inventory.Position{}}
	parts := w.promises.Kit(q.key)
	if bad := r.load(ctx, q.key, &f); bad != nil && (len(parts) == 0 || bad.code != codeUnknownItem) {
		return nil, bad // a kit need not have facts of its own
	}
	for _, part := range parts {
		if bad := r.load(ctx, part.Key, &f); bad != nil && bad.code != codeUnknownItem {
			return nil, bad
		}
	}
	return r.answer(&w, &f)
}

// facts are what stands in Redis of an item, or of a kit and its parts.
type facts struct {
	of    map[inventory.Key][]inventory.Position
	marks []mark // of the partitions they came from
}

// load reads the facts of one item.
func (r *reader) load(ctx context.Context, k inventory.Key, f *facts) *problem {
	key := k.String()
	partition, seen, ok := r.place(key)
	if !ok {
		return notReady("the number of partitions is not known yet")
	}
	values, m, found, err := r.store.item(ctx, partition, key)
	switch {
	case err != nil:
		return &problem{status: 503, code: "redis_unavailable", title: "The store does not answer", cause: err}
	case !found:
		return notReady("the partition is not loaded")
	case !m.caughtUp():
		return notReady(fmt.Sprintf("the partition is being loaded: %d of %d", m.next, m.target))
	case m.topic == seen.topic && m.next < seen.next:
		// Invariant 5: a Redis that fell back is not answered from, even before the
		// projector has noticed.
		return notReady("the store fell back and is being loaded")
	}
	f.marks = append(f.marks, m)
	if len(values) == 0 {
		return &problem{status: 404, code: codeUnknownItem, title: "Unknown item", detail: fmt.Sprintf("entity %q has no item %q", k.Entity, k.Item)}
	}
	ps, err := r.positions(k, values)
	if err != nil {
		return &problem{status: 500, code: "unreadable_position", title: "A stored position cannot be read", cause: err}
	}
	r.saw(partition, m)
	f.of[k] = ps
	return nil
}

const codeUnknownItem = "unknown_item"

func notReady(detail string) *problem {
	return &problem{status: 503, code: "not_caught_up", title: "Not caught up", detail: detail}
}

// positions decodes the fields of an item, sorted by location.
func (r *reader) positions(key inventory.Key, values map[string]string) ([]inventory.Position, error) {
	ps := make([]inventory.Position, 0, len(values))
	for location, value := range values {
		if len(value) < numberWidth {
			return nil, fmt.Errorf("position at %q is too short", location)
		}
		var p inventory.Position
		if err := r.codecs.DecodePosition([]byte(value[numberWidth:]), &p); err != nil {
			return nil, fmt.Errorf("decoding position at %q: %w", location, err)
		}
		if p.Key != key || string(p.Location) != location || number(p.Version) != value[:numberWidth] {
			return nil, errors.New("position is not the one its field names")
		}
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b inventory.Position) int { return strings.Compare(string(a.Location), string(b.Location)) })
	return ps, nil
}
