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
	"github.com/stockweave/stockweave/pkg/stream"
)

// formula names the function answers are computed by. It changes when the same
// facts give another number (Invariant 9).
const formula = "atp/1"

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
	atp      policy.ATPPolicy
	channels []policy.Channel
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

// query is a request for one item.
type query struct {
	key      inventory.Key
	location inventory.Location // empty: all
	channel  string             // empty: none
}

// answer is what is known of an item.
type answer struct {
	Entity        string         `json:"entity"`
	Item          string         `json:"item"`
	ATP           string         `json:"atp"`
	Version       int64          `json:"version"`
	PolicyVersion int64          `json:"policy_version"`
	Formula       string         `json:"formula"`
	Locations     []atLocation   `json:"locations"`
	Channel       *channelAnswer `json:"channel,omitempty"`
	Freshness     freshness      `json:"freshness"`

	etag string
}

// atLocation is an item at a location. Quantities are plain decimals in the base
// unit.
type atLocation struct {
	Location    string            `json:"location"`
	ATP         string            `json:"atp"` // 0 or more; signed inside
	States      map[string]string `json:"states"`
	Reserved    string            `json:"reserved"`
	Supply      string            `json:"supply"`
	SafetyStock string            `json:"safety_stock"`
	Day         string            `json:"day"`
	Publishable bool              `json:"publishable"`
	Version     int64             `json:"version"`
	RecordedAt  string            `json:"recorded_at"`
	EventID     string            `json:"event_id"`
}

// channelAnswer is what a channel should show.
type channelAnswer struct {
	Name     string `json:"name"`
	Listing  string `json:"listing"`
	Quantity string `json:"quantity"`
}

// freshness says how much the answer may lag behind the ledger: every position
// that stood in the log AgeMS before the answer is in it.
type freshness struct {
	AgeMS      int64  `json:"age_ms"`
	CaughtUp   bool   `json:"caught_up"`
	RecordedAt string `json:"recorded_at,omitempty"` // ledger time of the partition's last position
}

// read answers a query or says why not.
func (r *reader) read(ctx context.Context, q query) (*answer, *problem) {
	ch, bad := r.channel(q)
	if bad != nil {
		return nil, bad
	}
	key := q.key.String()
	partition, seen, ok := r.place(key)
	if !ok {
		return nil, notReady("the number of partitions is not known yet")
	}
	values, m, found, err := r.store.item(ctx, partition, key)
	switch {
	case err != nil:
		return nil, &problem{status: 503, code: "redis_unavailable", title: "The store does not answer", cause: err}
	case !found:
		return nil, notReady("the partition is not loaded")
	case !m.caughtUp():
		return nil, notReady(fmt.Sprintf("the partition is being loaded: %d of %d", m.next, m.target))
	case m.topic == seen.topic && m.next < seen.next:
		// Invariant 5: a Redis that fell back is not answered from, even before the
		// projector has noticed.
		return nil, notReady("the store fell back and is being loaded")
	case len(values) == 0:
		return nil, &problem{status: 404, code: "unknown_item", title: "Unknown item", detail: fmt.Sprintf("entity %q has no item %q", q.key.Entity, q.key.Item)}
	}
	ps, err := r.positions(q.key, values)
	if err != nil {
		return nil, &problem{status: 500, code: "unreadable_position", title: "A stored position cannot be read", cause: err}
	}
	r.saw(partition, m)
	return r.answer(q, ch, ps, m)
}

func notReady(detail string) *problem {
	return &problem{status: 503, code: "not_caught_up", title: "Not caught up", detail: detail}
}

func (r *reader) channel(q query) (*policy.Channel, *problem) {
	if q.channel == "" {
		return nil, nil
	}
	i := slices.IndexFunc(r.channels, func(c policy.Channel) bool { return c.Name == q.channel })
	switch {
	case i < 0:
		return nil, &problem{status: 404, code: "unknown_channel", title: "Unknown channel", detail: fmt.Sprintf("no channel %q", q.channel)}
	case !r.channels[i].Sells(q.key):
		return nil, &problem{status: 404, code: "not_listed", title: "Not listed", detail: fmt.Sprintf("channel %q does not list the item", q.channel)}
	}
	return &r.channels[i], nil
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

// answer computes what the facts mean today (DOMAIN §8).
func (r *reader) answer(q query, ch *policy.Channel, ps []inventory.Position, m mark) (*answer, *problem) {
	now := r.now()
	today := func(l inventory.Location) inventory.Day { return r.places.Day(now, q.key.Entity, l) }
	a := &answer{Entity: string(q.key.Entity), Item: string(q.key.Item), Formula: formula}
	var days []string
	var promised []inventory.Position
	for i := range ps {
		p := &ps[i]
		// Of the item, whatever part of it is asked for: a version only grows.
		a.Version = max(a.Version, p.Version)
		a.PolicyVersion = max(a.PolicyVersion, p.PolicyVersion)
		if q.location != "" && p.Location != q.location {
			continue
		}
		at := r.atLocation(p, today(p.Location))
		if !slices.Contains(days, at.Day) {
			days = append(days, at.Day)
		}
		a.Locations = append(a.Locations, at)
		if at.Publishable || q.location != "" {
			promised = append(promised, *p)
		}
	}
	if len(a.Locations) == 0 {
		return nil, &problem{status: 404, code: "unknown_location", title: "Unknown location", detail: fmt.Sprintf("the item has nothing recorded at %q", q.location)}
	}
	if ch != nil {
		group := ch.From(ps)
		a.ATP = r.atp.Network(group, today).String()
		a.Channel = &channelAnswer{Name: ch.Name, Listing: ch.Listing(q.key.Item), Quantity: ch.Promise(ps, &r.atp, today).String()}
	} else {
		a.ATP = r.atp.Network(promised, today).String()
	}
	slices.Sort(days)
	a.etag = fmt.Sprintf(`W/"%d-%d-%s"`, a.Version, a.PolicyVersion, strings.Join(days, "."))
	a.Freshness = freshness{
		AgeMS: max(0, now.UnixMilli()-m.watermark), CaughtUp: m.caughtUp(), RecordedAt: instant(inventory.Instant(m.recorded)),
	}
	return a, nil
}

func (r *reader) atLocation(p *inventory.Position, today inventory.Day) atLocation {
	states := make(map[string]string, inventory.NumStates)
	for s, q := range p.States {
		states[inventory.Account(s).String()] = q.String() //nolint:gosec // NumStates is 6
	}
	return atLocation{
		Location: string(p.Location), ATP: max(0, r.atp.At(p, today)).String(), States: states,
		Reserved: total(p.Reserved).String(), Supply: total(p.Supply).String(), SafetyStock: p.SafetyStock.String(),
		Day: place.Date(today), Publishable: r.publishable(p.Key.Entity, p.Location),
		Version: p.Version, RecordedAt: instant(p.RecordedAt), EventID: p.EventID,
	}
}

func total(bs []inventory.Bucket) inventory.Quantity {
	var sum inventory.Quantity
	for _, b := range bs {
		s, err := sum.Add(b.Quantity)
		if err != nil {
			return inventory.MaxQuantity
		}
		sum = s
	}
	return sum
}

func instant(t inventory.Instant) string {
	if t == 0 {
		return ""
	}
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

// publishable says whether a location's stock may be shown. One without a master
// record is: leaving its stock out would hide it.
func (r *reader) publishable(e inventory.Entity, l inventory.Location) bool {
	pl, ok := r.places.Of(e, l)
	return !ok || pl.Publishable
}
