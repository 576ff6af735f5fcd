package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// When is a time in the past, or two. AsOf is by when things happened, KnownAt by when
// the ledger recorded them; zero leaves out nothing.
type When struct {
	AsOf    time.Time
	KnownAt time.Time
}

func (m When) set(v url.Values) {
	for name, t := range map[string]time.Time{"as_of": m.AsOf, "known_at": m.KnownAt} {
		if !t.IsZero() {
			v.Set(name, instant(t))
		}
	}
}

// PastQuery asks what stood of an item at a past time, which is not zero.
type PastQuery struct {
	Item   string
	Entity string // the API's own when empty
	Where
	When
	// On, a day such as 2026-12-01, and Quantity are those of Get, of a KnownAt alone.
	On       string
	Quantity string
}

// AsOf asks what stood of an item at a time in the past: quantities by state and, of a
// KnownAt alone, what was promised then, or why that is not told. Before what the log holds it is the problem log_expired, whose
// Earliest is the first time that can be asked for.
func (c *Client) AsOf(ctx context.Context, q PastQuery) (*Past, error) {
	v := values(q.Entity, q.Where, q.On, nil, 0)
	if q.Quantity != "" {
		v.Set("quantity", q.Quantity)
	}
	q.set(v)
	out := &Past{}
	if _, err := c.do(ctx, &call{method: http.MethodGet, path: "/v1/atp/" + url.PathEscape(q.Item), query: v, again: true}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// ExplainQuery asks what makes the numbers of an item.
type ExplainQuery struct {
	Item   string
	Entity string // the API's own when empty
	Where
	On    string // a day such as 2026-12-01; today when empty
	Limit int    // of contributions, about; the API's own when 0
	When         // now when zero
}

// Explain asks what makes the numbers of an item. It costs the API some seconds of
// reading: it is for people who ask about one number.
func (c *Client) Explain(ctx context.Context, q ExplainQuery) (*Explanation, error) {
	v := values(q.Entity, q.Where, q.On, nil, 0)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	q.set(v)
	out := &Explanation{}
	k := &call{method: http.MethodGet, path: "/v1/atp/" + url.PathEscape(q.Item) + "/explain", query: v, again: true}
	if _, err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Past is what stood of an item at a past time, by the names of states, and what was
// promised then: Promise, or in its place Untold.
type Past struct {
	Entity    string            `json:"entity"`
	Item      string            `json:"item"`
	AsOf      string            `json:"as_of,omitempty"`
	KnownAt   string            `json:"known_at,omitempty"`
	Group     string            `json:"group,omitempty"`
	Channel   string            `json:"channel,omitempty"`
	Version   int64             `json:"version"` // of the item, now
	States    map[string]string `json:"states"`  // of all these locations
	Locations []PastLocation    `json:"locations"`
	Promise   *PastPromise      `json:"promise,omitempty"`
	Untold    *Untold           `json:"untold,omitempty"`
	Log       PastLog           `json:"log"`
}

// PastPromise is what was promised at a past time, by the policy of then.
type PastPromise struct {
	ATP           string      `json:"atp"`
	On            string      `json:"on,omitempty"`
	PolicyVersion int64       `json:"policy_version"`
	Formula       string      `json:"formula"` // of now
	Frozen        bool        `json:"frozen,omitempty"`
	Override      *Override   `json:"override,omitempty"`
	Locations     []Location  `json:"locations"` // but for those that have an Untold
	Promisable    *Promisable `json:"promisable,omitempty"`
	Channel       *Channel    `json:"channel,omitempty"`
}

// Untold is why what was promised is not told: its stable code, and for people.
type Untold struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// PastLocation is what stood at a location.
type PastLocation struct {
	Location    string            `json:"location"`
	States      map[string]string `json:"states"`
	Publishable bool              `json:"publishable"`
	Untold      string            `json:"untold,omitempty"` // code of why its states alone are told
}

// PastLog is the outcomes of a partition that it was told from: from one offset up to
// below another.
type PastLog struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

// Explanation is what makes the numbers of an item.
type Explanation struct {
	Entity         string              `json:"entity"`
	Item           string              `json:"item"`
	AsOf           string              `json:"as_of,omitempty"`
	KnownAt        string              `json:"known_at,omitempty"`
	Partition      int32               `json:"partition"`
	AppliedThrough int64               `json:"applied_through"` // offset of the last event that the numbers are of
	Version        int64               `json:"version"`
	Frozen         bool                `json:"frozen"`
	Locations      []ExplainedLocation `json:"locations"`
	// WithoutMove are the last outcomes that moved nothing, WithoutMoveEarlier how many
	// are left out.
	WithoutMove        []Contribution    `json:"without_move"`
	WithoutMoveEarlier int               `json:"without_move_earlier"`
	Promise            *ExplainedPromise `json:"promise,omitempty"` // nil of a time in the past
	// Differences are where the sums are not what stands; there should be none.
	Differences []string `json:"differences"`
	Incomplete  string   `json:"incomplete"` // why the contributions do not begin with the first
	Withheld    bool     `json:"withheld,omitempty"`
}

// ExplainedLocation is what makes the states of one.
type ExplainedLocation struct {
	Location       string            `json:"location"`
	States         map[string]string `json:"states"`
	Version        int64             `json:"version"`
	SafetyStock    string            `json:"safety_stock"`
	Before         map[string]string `json:"before"` // what stood before the first outcome read
	Earlier        int               `json:"earlier"`
	EarlierBalance map[string]string `json:"earlier_balance"`
	Contributions  []Contribution    `json:"contributions"`
	Claims         []OpenLine        `json:"claims"`
	Supply         []OpenLine        `json:"supply"`
}

// Contribution is what the ledger did with one event.
type Contribution struct {
	Offset        int64             `json:"offset"` // of the event
	Lineage       int64             `json:"lineage"`
	OutcomeOffset int64             `json:"outcome_offset,omitempty"`
	EventID       string            `json:"event_id"`
	EventKind     string            `json:"event_kind"`
	Outcome       string            `json:"outcome"`
	Codes         []string          `json:"codes"`
	Late          bool              `json:"late"`
	Detail        string            `json:"detail"`
	Source        string            `json:"source"`
	Document      Document          `json:"document"`
	Raw           Raw               `json:"raw"`
	OccurredAt    string            `json:"occurred_at"`
	RecordedAt    string            `json:"recorded_at"`
	Version       int64             `json:"version"`
	PolicyVersion int64             `json:"policy_version"`
	Line          string            `json:"line,omitempty"`
	Moves         []Move            `json:"moves"`
	Balance       map[string]string `json:"balance,omitempty"` // after it
}

// Document is the document that stated an event.
type Document struct {
	Type     string `json:"type"`
	Number   string `json:"number"`
	Revision string `json:"revision,omitempty"`
	Line     string `json:"line,omitempty"`
}

// Raw is the raw message that an event was made of, and by what.
type Raw struct {
	ID             string `json:"id"`
	Line           int32  `json:"line"`
	MappingVersion string `json:"mapping_version,omitempty"`
	MasterVersion  int64  `json:"master_version,omitempty"`
	UnitFactor     string `json:"unit_factor,omitempty"`
}

// Move is a double entry between two places: an account, or LOCATION/state.
type Move struct {
	Type     string `json:"type"`
	From     string `json:"from"`
	To       string `json:"to"`
	Quantity string `json:"quantity"`
	Reason   string `json:"reason,omitempty"`
	At       string `json:"at"` // business time it counts from
}

// OpenLine is the open part of a demand or supply line.
type OpenLine struct {
	Line     string `json:"line"`
	Quantity string `json:"quantity"`
	Due      string `json:"due,omitempty"`
	Channel  string `json:"channel,omitempty"`
	Refs     []Ref  `json:"refs"`
}

// Ref is a business reference.
type Ref struct {
	Issuer string `json:"issuer"`
	Type   string `json:"type"`
	Number string `json:"number"`
	Line   string `json:"line,omitempty"`
}

// ExplainedPromise is the terms of the formula; the last value is the quantity.
type ExplainedPromise struct {
	Formula       string `json:"formula"`
	PolicyVersion int64  `json:"policy_version"`
	Quantity      string `json:"quantity"`
	Steps         []Step `json:"steps"`
}

// Step is a term: it is added to the value before, or the value begins with it.
type Step struct {
	Name     string             `json:"name"`
	Item     string             `json:"item"`
	Location string             `json:"location,omitempty"`
	Day      string             `json:"day,omitempty"`
	Start    bool               `json:"start,omitempty"`
	Amount   string             `json:"amount"`
	Value    string             `json:"value"`
	Override *ExplainedOverride `json:"override,omitempty"`
	Silent   *ExplainedSilence  `json:"silent,omitempty"`
}

// ExplainedOverride is a person's number, and whose.
type ExplainedOverride struct {
	Kind   string `json:"kind"`
	Until  string `json:"until,omitempty"`
	Author string `json:"author"`
	Reason string `json:"reason,omitempty"`
}

// ExplainedSilence is about an owner that has said nothing for too long.
type ExplainedSilence struct {
	Owner   string `json:"owner"`
	HeardAt string `json:"heard_at,omitempty"`
	Then    string `json:"then"`
	View    string `json:"view,omitempty"`
	AsOf    string `json:"as_of,omitempty"`
	Unmet   bool   `json:"unmet,omitempty"`
}
