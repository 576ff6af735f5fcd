// Package simulate holds counterparts that stand for real systems in tests and in
// the demo: an ERP and a channel, each with a ledger of its own and faults that can
// be scripted or drawn from a seed. They know nothing of the services.
package simulate

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// maxChannelCalls bounds the ledger of set calls a simulated channel remembers.
const maxChannelCalls = 1_000_000

// ChannelValue is what a simulated channel shows for a listing, and the offer it
// came from. Quantity is a plain decimal.
type ChannelValue struct {
	Listing       string `json:"listing"`
	Quantity      string `json:"quantity"`
	Version       int64  `json:"version"`
	PolicyVersion int64  `json:"policy_version"`
	Day           string `json:"day"`
}

// newer says whether v comes from a newer offer than o: by item version, then
// policy version, then local day, all of which only grow.
func (v *ChannelValue) newer(o *ChannelValue) bool {
	return cmp.Or(cmp.Compare(v.Version, o.Version), cmp.Compare(v.PolicyVersion, o.PolicyVersion), strings.Compare(v.Day, o.Day)) > 0
}

// ChannelCall is one call that tried to set a value.
type ChannelCall struct {
	ChannelValue

	Via     string // put or webhook
	ID      string // of a webhook delivery
	Applied bool   // false: refused as older
}

// ChannelOptions shape a simulated channel.
type ChannelOptions struct {
	// Listings, when not empty, are all the listings it has; others are 404.
	Listings []string
	// Key, when set, is the bearer token every request to /listings must carry.
	Key string
	// Secret, when set, is the Standard Webhooks secret (whsec_…) deliveries are
	// signed with; without it POST /webhook is 404.
	Secret string
}

// Channel is a shop or marketplace in memory, spoken to over HTTP (it is an
// http.Handler). It remembers every set call, refuses a value from an older offer
// than the one it shows, and lets a test change a value by hand underneath. It is
// safe for concurrent use.
type Channel struct {
	opts   ChannelOptions
	known  map[string]bool
	faults channelFaults

	mu       sync.Mutex
	values   map[string]ChannelValue
	hidden   map[string]ChannelValue // accepted, not shown yet
	calls    []ChannelCall
	seen     map[string]bool // webhook ids
	counters map[string]int
	changed  chan struct{}
}

// NewChannel makes a channel that shows nothing yet.
func NewChannel(opts ChannelOptions) *Channel {
	c := &Channel{
		opts: opts, values: map[string]ChannelValue{}, hidden: map[string]ChannelValue{},
		seen: map[string]bool{}, counters: map[string]int{}, changed: make(chan struct{}),
	}
	if len(opts.Listings) > 0 {
		c.known = map[string]bool{}
		for _, l := range opts.Listings {
			c.known[l] = true
		}
	}
	return c
}

// Value is what the channel shows for a listing.
func (c *Channel) Value(listing string) (ChannelValue, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[listing]
	return v, ok
}

// Values lists what the channel shows, by listing.
func (c *Channel) Values() []ChannelValue {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.values), func(a, b ChannelValue) int { return strings.Compare(a.Listing, b.Listing) })
}

// Calls returns the set calls so far, oldest first.
func (c *Channel) Calls() []ChannelCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// Counters say how often each thing happened: calls by operation, sets, stale,
// repeated deliveries, edits by hand, and faults by kind.
func (c *Channel) Counters() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counters)
}

// Changed returns a channel that is closed at the next change of a shown value.
func (c *Channel) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// SetByHand changes a shown quantity as somebody at the channel would: nothing is
// noted in the ledger of calls and the offer it came from stays.
func (c *Channel) SetByHand(listing string, q inventory.Quantity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.values[listing]
	v.Listing, v.Quantity = listing, q.String()
	c.show(v)
	c.counters["edits"]++
}

// ShowHidden shows what was accepted under ChannelLag and not shown until now.
func (c *Channel) ShowHidden() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, v := range c.hidden {
		delete(c.hidden, l)
		c.show(v)
	}
}

// show needs the lock.
func (c *Channel) show(v ChannelValue) {
	c.values[v.Listing] = v
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Channel) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counters[what]++
}

// channelRefusal is a business error of the channel with its HTTP status.
type channelRefusal struct {
	status  int
	Code    string        `json:"code"`
	Detail  string        `json:"detail"`
	Current *ChannelValue `json:"current,omitempty"`
}

// set is the channel's compare-and-set: a value from an older offer than the one
// that stands is refused; the same offer may be set again.
func (c *Channel) set(v ChannelValue, via, id string, hide bool) (ChannelValue, *channelRefusal) {
	q, err := inventory.ParseQuantity(v.Quantity)
	switch {
	case err != nil || q < 0:
		return v, &channelRefusal{status: 422, Code: "bad_quantity", Detail: "quantity must be a plain decimal of 0 or more"}
	case c.known != nil && !c.known[v.Listing]:
		return v, &channelRefusal{status: 404, Code: "unknown_listing", Detail: "no listing " + v.Listing}
	}
	v.Quantity = q.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	call := ChannelCall{ChannelValue: v, Via: via, ID: id}
	if len(c.calls) >= maxChannelCalls {
		return v, &channelRefusal{status: 507, Code: "full", Detail: "the channel remembers too many calls already"}
	}
	if id != "" {
		if c.seen[id] { // a redelivery; it may set again what was changed underneath
			c.counters["repeated"]++
		}
		c.seen[id] = true
	}
	cur, ok := c.values[v.Listing]
	if h, hid := c.hidden[v.Listing]; hid {
		cur, ok = h, true
	}
	if ok && cur.newer(&v) {
		c.counters["stale"]++
		c.calls = append(c.calls, call)
		return v, &channelRefusal{status: 409, Code: "stale", Detail: "a newer offer stands", Current: &cur}
	}
	call.Applied = true
	c.calls = append(c.calls, call)
	c.counters["sets"]++
	if hide {
		c.hidden[v.Listing] = v
		return v, nil
	}
	delete(c.hidden, v.Listing)
	c.show(v)
	return v, nil
}
