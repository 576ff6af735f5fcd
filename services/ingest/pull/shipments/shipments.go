// Package shipments knows which shipments of a carrier are under way, from the
// milestones that every source tells of them.
package shipments

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// most bounds the numbers remembered, open and over; beyond it the oldest are forgotten.
const most = 100_000

// idTracking is the type of a tracking number, in identifiers and as an attribute.
const idTracking = "tracking"

// Open is the shipments of a carrier by tracking number. A number opens with a milestone
// of the carrier that another source told, and is over with one that says so, whoever
// told it: what comes late does not open it again. It is safe for concurrent use.
type Open struct {
	rule     policy.AskShipments
	own      inventory.Source // asks for them: what it tells opens none
	carriers []string         // lower case
	done     []string
	now      func() time.Time
	loaded   atomic.Bool

	mu   sync.Mutex
	most int
	all  map[string]shipment
}

type shipment struct {
	told inventory.Instant // when its last milestone was received
	over bool
}

// New makes one that knows nothing yet.
func New(rule policy.AskShipments, own inventory.Source, now func() time.Time) *Open {
	lower := func(all []string) []string {
		out := make([]string, len(all))
		for i, s := range all {
			out[i] = strings.ToLower(s)
		}
		return out
	}
	rule = rule.Defaults()
	return &Open{
		rule: rule, own: own, carriers: lower(rule.Carriers), done: lower(rule.Done), now: now, most: most, all: map[string]shipment{},
	}
}

// Since is the time from which on milestones matter.
func (o *Open) Since() time.Time { return o.now().Add(-o.rule.For) }

// Loaded says that all milestones since then have been applied once.
func (o *Open) Loaded() { o.loaded.Store(true) }

// Apply takes a milestone; the same one again changes nothing.
func (o *Open) Apply(m *event.Milestone) {
	carrier := strings.ToLower(attribute(m, "carrier"))
	status, _, _ := strings.Cut(strings.ToLower(m.Status), "/")
	meant, over := slices.Contains(o.carriers, carrier), slices.Contains(o.done, status)
	if !meant && !over {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, number := range o.numbers(m) {
		s, known := o.all[number]
		switch {
		case known && s.over:
		case over && (known || meant || m.Source == o.own):
			o.put(number, shipment{max(s.told, m.ReceivedAt), true})
		case !over && meant && m.Source != o.own:
			o.put(number, shipment{told: max(s.told, m.ReceivedAt)})
		}
	}
}

// numbers are the tracking numbers of a milestone, without the carrier's name before them.
func (o *Open) numbers(m *event.Milestone) []string {
	var out []string
	add := func(number string) {
		if carrier, bare, ok := strings.Cut(number, ":"); ok && slices.Contains(o.carriers, strings.ToLower(carrier)) {
			number = bare
		}
		if number != "" && len(number) <= 255 && !slices.Contains(out, number) {
			out = append(out, number)
		}
	}
	for _, id := range m.Identifiers {
		if id.Type == idTracking {
			add(id.Value)
		}
	}
	add(attribute(m, idTracking))
	return out
}

func attribute(m *event.Milestone, name string) string {
	for _, a := range m.Attributes {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

func (o *Open) put(number string, s shipment) {
	if _, known := o.all[number]; !known && len(o.all) >= o.most {
		o.forget()
	}
	o.all[number] = s
}

// forget drops what is too old, and where all are young the oldest tenth.
func (o *Open) forget() {
	since := inventory.Instant(o.Since().UnixMilli())
	maps.DeleteFunc(o.all, func(_ string, s shipment) bool { return s.told < since })
	if len(o.all) < o.most {
		return
	}
	told := make([]inventory.Instant, 0, len(o.all))
	for _, s := range o.all {
		told = append(told, s.told)
	}
	slices.Sort(told)
	limit := told[len(told)/10]
	maps.DeleteFunc(o.all, func(_ string, s shipment) bool { return s.told <= limit })
}

// List is the numbers to ask for, in their order; ok is false before all is loaded.
func (o *Open) List() (numbers []string, ok bool) {
	if !o.loaded.Load() {
		return nil, false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	since := inventory.Instant(o.Since().UnixMilli())
	maps.DeleteFunc(o.all, func(_ string, s shipment) bool { return s.told < since })
	numbers = []string{}
	for number, s := range o.all {
		if !s.over {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, true
}
