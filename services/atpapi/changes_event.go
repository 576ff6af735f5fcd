package atpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Names of events.
const (
	eventOpen    = "open"    // it begins: what is read from now on is as new as the id
	eventChange  = "change"  // an item has changed
	eventProblem = "problem" // an item has changed, and what to cannot be read
	eventRecheck = "recheck" // any number may be another one: read again what is held
	eventReset   = "reset"   // changes before the id may be missing: read again what is held
	eventDropped = "dropped" // it ends; go on from the id
	eventClosed  = "closed"  // the same, in good order
)

// openEvent says how a stream begins.
type openEvent struct {
	Entity        string `json:"entity"`
	Resumed       bool   `json:"resumed"` // from the id that was asked for
	PolicyVersion int64  `json:"policy_version"`
}

// reasonOf says why.
type reasonOf struct {
	Reason        string `json:"reason"`
	PolicyVersion int64  `json:"policy_version,omitempty"`
}

// changeEvent is an item as it stands now: what a read of the same scope answers, but
// for its locations.
type changeEvent struct {
	Entity        string          `json:"entity"`
	Item          string          `json:"item"`
	Location      string          `json:"location,omitempty"`
	Group         string          `json:"group,omitempty"`
	ATP           string          `json:"atp"`
	Version       int64           `json:"version"`
	PolicyVersion int64           `json:"policy_version"`
	Formula       string          `json:"formula"`
	Frozen        bool            `json:"frozen,omitempty"`
	Override      *overrideAnswer `json:"override,omitempty"`
	Silent        []silentAnswer  `json:"silent,omitempty"`
	Channel       *channelAnswer  `json:"channel,omitempty"`
	Freshness     *freshness      `json:"freshness,omitempty"`
}

// problemEvent is an item that cannot be told of.
type problemEvent struct {
	Entity  string       `json:"entity"`
	Item    string       `json:"item"`
	Problem *problemBody `json:"problem"`
}

func (s *changeStream) opened(resumed bool) openEvent {
	return openEvent{Entity: string(s.sub.like.key.Entity), Resumed: resumed, PolicyVersion: s.m.promises.Version()}
}

// flush tells of the first pending items whose facts are here, and says whether there
// were any. Those of others stay.
func (s *changeStream) flush(ctx context.Context) (some bool, err error) {
	n := min(len(s.order), maxTogether)
	qs := make([]query, n)
	for i, k := range s.order[:n] {
		qs[i] = s.sub.like
		qs[i].key = k
	}
	got := s.reader.readHeld(ctx, qs)
	floor := append([]int64(nil), s.sent.Floor...)
	var events []told
	later := s.order[n:len(s.order):len(s.order)]
	for i, k := range s.order[:n] {
		if !s.stands(got, k, floor) {
			later = append(later, k)
			continue
		}
		at := s.pending[k]
		delete(s.pending, k)
		some = true
		e, ok := s.event(k, &got.results[i])
		if !ok {
			continue
		}
		events = append(events, e)
		if at > 0 {
			s.count.lag.Observe(time.Duration(max(0, s.reader.now().UnixMilli()-at) * int64(time.Millisecond)).Seconds())
		}
	}
	s.order, s.sent.Floor = later, floor
	if len(events) == 0 {
		return some, nil
	}
	// The facts are told from the first event on, and all changes with the last.
	events[0].id = s.id()
	events[0].from = events[0].id
	if len(s.order) == 0 {
		s.settle()
		if id := s.id(); id != "" {
			events[len(events)-1].id = id
		}
	}
	return some, s.tell(events)
}

// stands says whether an answer is of facts that are new enough, and raises floor to
// them. Invariant 5: none is older than what the reader was told before, and each has
// every change that the next id says the reader knows of.
func (s *changeStream) stands(got *reading, k inventory.Key, floor []int64) bool {
	if _, looked := got.at[k]; !looked {
		return true // the policy knows no such thing
	}
	keys := []inventory.Key{k}
	for _, part := range got.promises.Kit(k) {
		keys = append(keys, part.Key)
	}
	next := s.tail.Next()
	marks := make([]int64, len(keys))
	parts := make([]int32, len(keys))
	for i, key := range keys {
		h := &got.held[got.at[key]]
		if p := h.problem; p != nil && p.status == http.StatusServiceUnavailable {
			return false
		}
		partition, _, ok := s.reader.place(key.String())
		if !ok || int(partition) >= len(next) || h.mark.topic != s.sent.Topic || h.mark.next < max(s.sent.Floor[partition], next[partition]) {
			return false
		}
		parts[i], marks[i] = partition, h.mark.next
	}
	for i, p := range parts {
		floor[p] = max(floor[p], marks[i])
	}
	return true
}

// event is what there is to tell of an item; false: nothing.
func (s *changeStream) event(k inventory.Key, r *result) (told, bool) {
	if p := r.problem; p != nil {
		if p.status < http.StatusInternalServerError {
			return told{}, false // not within the scope
		}
		return told{name: eventProblem, data: problemEvent{string(k.Entity), string(k.Item), p.body()}}, true
	}
	a := r.answer
	e := changeEvent{
		Entity: a.Entity, Item: a.Item, Location: string(s.sub.like.location), Group: a.Group, ATP: a.ATP, Version: a.Version,
		PolicyVersion: a.PolicyVersion, Formula: a.Formula, Frozen: a.Frozen, Override: a.Override, Silent: a.Silent, Channel: a.Channel,
	}
	if len(s.sub.items) > 0 {
		sum, err := print(&e)
		if last, before := s.told[k]; err == nil && before && last == sum {
			return told{}, false // looked at again, and the same
		}
		s.told[k] = sum
	}
	e.Freshness = &a.Freshness
	return told{name: eventChange, data: &e}, true
}

// print is a number that is another one when the event says something else.
func print(e *changeEvent) (uint64, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("encoding event: %w", err)
	}
	h := fnv.New64a()
	_, _ = h.Write(b) // never fails
	return h.Sum64(), nil
}
