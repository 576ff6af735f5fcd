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
	"github.com/stockweave/stockweave/pkg/policy"
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
	// pointer to the field of the body that is at fault (RFC 6901); empty: none is.
	pointer string
	cause   error // for the log
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
	local    *local  // nil: there is no copy
	gather   *gather // nil: each reads for itself
	calendar calendar

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

// further says whether a mark is further than what was answered from.
func (m *mark) further(seen *mark) bool {
	return seen.topic != m.topic || m.next >= seen.next && m.reached >= seen.reached && (m.next > seen.next || m.reached > seen.reached)
}

func (r *reader) saw(partition int32, m mark) {
	r.mu.RLock()
	is := m.further(&r.seen[partition])
	r.mu.RUnlock()
	if !is {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.further(&r.seen[partition]) {
		r.seen[partition] = m
	}
}

// readOne answers a query at a time, or says why not. The answer may be one that is kept,
// and others' too: its freshness is beside it.
func (r *reader) readOne(ctx context.Context, q query, now time.Time) (*answer, freshness, *problem) {
	promises := r.policies.Get()
	if len(promises.Kit(q.key)) > 0 {
		got := r.readAll(ctx, []query{q})[0]
		if got.problem != nil {
			return nil, freshness{}, got.problem
		}
		return got.answer, got.answer.Freshness, nil
	}
	u := r.under(promises, now)
	h, copied := r.copiedOne(q.key, now)
	if copied { // most are answered here: what is kept under a policy, that resolves
		if k := h.kept.find(&q, u, now, &r.calendar); k != nil {
			return &k.whole, fresh(now, h.copied, h.stale, h.mark), nil
		}
	}
	w := wanted{query: q, promises: promises, now: now}
	if bad := w.resolve(); bad != nil {
		return nil, freshness{}, bad
	}
	if !copied {
		h = r.load(ctx, []inventory.Key{q.key})[0]
	}
	if h.problem != nil {
		return nil, freshness{}, h.problem
	}
	if k := h.kept.find(&q, u, now, &r.calendar); k != nil {
		return &k.whole, fresh(now, h.copied, h.stale, h.mark), nil
	}
	made, bad := r.make(&w, u, &h)
	if bad != nil {
		return nil, freshness{}, bad
	}
	return made, made.Freshness, nil
}

// result is the answer to a query, or why there is none.
type result struct {
	answer  *answer
	problem *problem
}

// readAll answers queries, in their order, each by what stands in Redis at one moment
// or so: see store.items. They are decided by one policy and one time.
func (r *reader) readAll(ctx context.Context, qs []query) []result {
	return r.readHeld(ctx, qs).results
}

// reading is what readAll answered, and from what. The zero value is ready.
type reading struct {
	results  []result
	promises *policy.Promises
	at       map[inventory.Key]int // index into held
	held     []standing

	asked   []wanted
	keys    []inventory.Key
	answers []answer // room for those that are kept
	sought  sought
}

// room is a slice of n zero values, in the place of an empty one that was cleared.
func room[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// emptied is an empty slice in the place of one, of which it holds nothing.
func emptied[T any](s []T) []T {
	clear(s)
	return s[:0]
}

// forget makes it ready for another use: nothing it answered may be in use any more.
func (g *reading) forget() {
	clear(g.at)
	*g = reading{
		results: emptied(g.results), at: g.at, held: emptied(g.held), asked: emptied(g.asked), keys: emptied(g.keys),
		answers: emptied(g.answers), sought: sought{of: emptied(g.sought.of), seen: emptied(g.sought.seen), index: emptied(g.sought.index)},
	}
}

// readHeld is readAll, with the facts.
func (r *reader) readHeld(ctx context.Context, qs []query) *reading {
	g := &reading{results: make([]result, len(qs))}
	r.readInto(ctx, qs, g)
	return g
}

// readInto answers those queries to which there is no problem among the results yet.
func (r *reader) readInto(ctx context.Context, qs []query, g *reading) {
	out, promises, now := g.results, r.policies.Get(), r.now()
	under, steady := r.under(promises, now), r.heard.Steady()
	if g.promises = promises; g.at == nil {
		g.at = make(map[inventory.Key]int, len(qs))
	}
	asked, at, keys := room(g.asked, len(qs)), g.at, slices.Grow(g.keys, len(qs))
	want := func(k inventory.Key) {
		if _, ok := at[k]; !ok {
			at[k] = len(keys)
			keys = append(keys, k)
		}
	}
	for i := range qs {
		if out[i].problem != nil {
			continue
		}
		w := &asked[i]
		*w = wanted{query: qs[i], promises: promises, now: now, heard: steady}
		if out[i].problem = w.resolve(); out[i].problem != nil {
			continue
		}
		want(w.key)
		for _, part := range promises.Kit(w.key) {
			want(part.Key)
		}
	}
	g.asked, g.keys, g.held, g.answers = asked, keys, room(g.held, len(keys)), room(g.answers, len(qs))
	r.loadInto(ctx, keys, g.held, &g.sought)
	for i := range qs {
		if out[i].problem == nil {
			out[i].answer, out[i].problem = r.from(&asked[i], under, func(k inventory.Key) *standing { return &g.held[at[k]] }, &g.answers[i])
		}
	}
}

// one answers a query of an item that is no kit from what was loaded of it: from the
// answer that is kept, where nothing has changed, which is brought into a.
func (r *reader) one(w *wanted, u under, h *standing, a *answer) (*answer, *problem) {
	if h.problem != nil {
		return nil, h.problem
	}
	if k := h.kept.find(&w.query, u, w.now, &r.calendar); k != nil {
		*a = k.whole
		a.Freshness = fresh(w.now, h.copied, h.stale, h.mark)
		return a, nil
	}
	return r.make(w, u, h)
}

// make answers a query of an item that is no kit, and keeps the answer where that may be
// given again.
func (r *reader) make(w *wanted, u under, h *standing) (*answer, *problem) {
	w.key = h.positions[0].Key // the same, but not a piece of a request, which would be kept with it
	var n leaning
	steady := w.heard
	if steady == nil {
		steady = r.heard.Steady()
	}
	w.leans, w.heard = &n, func(s inventory.Source) inventory.Heard {
		n.silence = true
		return steady(s)
	}
	f := facts{of: map[inventory.Key][]inventory.Position{w.key: h.positions}, marks: []mark{h.mark}, copied: h.copied, stale: h.stale}
	made, bad := r.answer(w, &f)
	if bad != nil || r.local == nil || h.kept == nil || n.silence { // whoever is silent is so by the second
		return made, bad
	}
	if _, err := made.tag(); err == nil { // else whoever writes it says so
		k := &keptAnswer{of: w.query, under: u, days: n.days, whole: *made}
		k.whole.Freshness = freshness{}
		h.kept.keep(k)
		key := w.key.String()
		if partition, _, ok := r.place(key); ok {
			r.local.grown(partition, key, h.kept)
		}
	}
	return made, nil
}

// from answers a query from what was loaded.
func (r *reader) from(w *wanted, u under, loaded func(inventory.Key) *standing, a *answer) (*answer, *problem) {
	parts := w.promises.Kit(w.key)
	if len(parts) == 0 {
		return r.one(w, u, loaded(w.key), a)
	}
	f := facts{of: map[inventory.Key][]inventory.Position{}}
	add := func(k inventory.Key) *problem {
		h := loaded(k)
		if h.problem != nil && h.problem.code != codeUnknownItem {
			return h.problem
		}
		f.marks = append(f.marks, h.mark)
		f.copied, f.stale = max(f.copied, h.copied), f.stale || h.stale
		if h.problem == nil {
			f.of[k] = h.positions
		}
		return nil
	}
	if bad := add(w.key); bad != nil { // a kit need not have facts of its own
		return nil, bad
	}
	for _, part := range parts {
		if bad := add(part.Key); bad != nil {
			return nil, bad
		}
	}
	return r.answer(w, &f)
}

// facts are what stands in Redis of an item, or of a kit and its parts.
type facts struct {
	of     map[inventory.Key][]inventory.Position
	marks  []mark        // of the partitions they came from
	copied time.Duration // at most so long ago they were what stands in Redis
	stale  bool
}

// standing is what stands in Redis of one item, or why that is not known.
type standing struct {
	positions []inventory.Position
	kept      *kept // which they are of
	mark      mark
	copied    time.Duration // at most so long ago it was what stands in Redis
	stale     bool          // of the copy, since Redis does not say
	problem   *problem
}

// stand is what may be answered of what stood in Redis of an item; seen is the mark
// that was answered from before.
func (r *reader) stand(k inventory.Key, of placed, s *stood, seen mark) (*kept, *problem) {
	if bad := s.loaded(seen); bad != nil {
		return nil, bad
	}
	if len(s.values) == 0 {
		return nil, &problem{status: 404, code: codeUnknownItem, title: "Unknown item", detail: fmt.Sprintf("entity %q has no item %q", k.Entity, k.Item)}
	}
	var print uint64
	if r.local != nil {
		// What has been read before is not read again.
		print = printOf(r.local.seed, s.values)
		if last := r.local.last(of.partition, of.key); last != nil && last.print == print && len(last.positions) == len(s.values) {
			return last, nil
		}
	}
	ps, err := r.positions(k, s.values)
	if err != nil {
		return nil, &problem{status: 500, code: "unreadable_position", title: "A stored position cannot be read", cause: err}
	}
	return &kept{positions: ps, print: print}, nil
}

// loaded says why nothing may be answered from a partition.
func (s *stood) loaded(seen mark) *problem {
	switch m := s.mark; {
	case !s.found:
		return notReady("the partition is not loaded")
	case !m.caughtUp():
		return notReady(fmt.Sprintf("the partition is being loaded: %d of %d", m.next, m.target))
	case m.behind(seen):
		// Invariant 5: a Redis that fell back is not answered from, even before the
		// projector has noticed.
		return notReady("the store fell back and is being loaded")
	}
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
