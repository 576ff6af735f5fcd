package sterling

import (
	"encoding/json"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// common is what requests for availability say.
type common struct {
	Segments

	// ConsiderSafetyStock may be true: it is always taken off.
	ConsiderSafetyStock *bool `json:"considerSafetyStock"`
}

func (c *common) fault() *doors.Fault {
	if c.ConsiderSafetyStock != nil && !*c.ConsiderSafetyStock {
		return doors.Bad("safety_stock_kept", "considerSafetyStock: the safety stock is not for sale")
	}
	return c.Segments.fault()
}

// NodeRequest is the body of POST …/v1/availability/node.
type NodeRequest struct {
	common

	Lines []NodeLine `json:"lines"`
}

// NodeLine asks for an item at nodes.
type NodeLine struct {
	Line

	ShipNodes []string `json:"shipNodes"`
}

// NetworkRequest is the body of POST …/v1/availability/network.
type NetworkRequest struct {
	common

	DistributionGroupID string        `json:"distributionGroupId"`
	Lines               []NetworkLine `json:"lines"`
}

// NetworkLine asks for an item in a distribution group, the request's where it names
// none.
type NetworkLine struct {
	Line

	DistributionGroupID string `json:"distributionGroupId"`
}

// Query is a request for availability that was read.
type Query struct {
	// Asks are the questions it comes to, whose answers go to Later and Answer in this
	// order.
	Asks []doors.Ask

	horizon inventory.Day // zero: the future is not asked about
	each    int           // asks of an action
	network bool          // of groups, not of nodes
	lines   []lineOf
}

// lineOf is an answer to come.
type lineOf struct {
	id     string
	places []string // as the request names them
}

// Node reads a request. Today is the day in UTC.
func (d *Door) Node(entity inventory.Entity, r *NodeRequest, today inventory.Day) (*Query, *doors.Fault) {
	actions := 0
	for i := range r.Lines {
		actions += len(r.Lines[i].ShipNodes)
	}
	if bad := lines(actions, len(r.Lines), func(i int) string { return r.Lines[i].LineID }); bad != nil {
		return nil, bad
	}
	if bad := r.fault(); bad != nil {
		return nil, bad
	}
	q := d.query(today)
	for i := range r.Lines {
		l := &r.Lines[i]
		key, bad := d.key(entity, &l.Line)
		if bad != nil {
			return nil, bad
		}
		if len(l.ShipNodes) == 0 {
			return nil, doors.Bad("bad_parameter", "line %s: shipNodes: at least one", l.LineID)
		}
		for _, n := range l.ShipNodes {
			if bad := place("shipNodes", n); bad != nil {
				return nil, bad
			}
			q.ask(doors.Ask{Key: key, Location: inventory.Location(n)})
		}
		q.lines = append(q.lines, lineOf{l.LineID, l.ShipNodes})
	}
	return q, nil
}

// Network reads a request. Today is the day in UTC.
func (d *Door) Network(entity inventory.Entity, r *NetworkRequest, today inventory.Day) (*Query, *doors.Fault) {
	if bad := lines(len(r.Lines), len(r.Lines), func(i int) string { return r.Lines[i].LineID }); bad != nil {
		return nil, bad
	}
	if bad := r.fault(); bad != nil {
		return nil, bad
	}
	q := d.query(today)
	q.network = true
	for i := range r.Lines {
		l := &r.Lines[i]
		key, bad := d.key(entity, &l.Line)
		if bad != nil {
			return nil, bad
		}
		name := l.DistributionGroupID
		if name == "" {
			name = r.DistributionGroupID
		}
		if bad := place("distributionGroupId", name); bad != nil {
			return nil, bad
		}
		group := name
		if ours, ok := d.cfg.Groups[name]; ok {
			group = ours
		}
		q.ask(doors.Ask{Key: key, Group: group})
		q.lines = append(q.lines, lineOf{l.LineID, []string{name}})
	}
	return q, nil
}

func (d *Door) query(today inventory.Day) *Query {
	q := &Query{each: 1}
	if d.cfg.Horizon > 0 {
		q.horizon, q.each = today+inventory.Day(d.cfg.Horizon), 2
	}
	return q
}

func (q *Query) ask(a doors.Ask) {
	q.Asks = append(q.Asks, a)
	if q.horizon != 0 {
		a.On = q.horizon
		q.Asks = append(q.Asks, a)
	}
}

// amounts are what an action was told: now, and more by the horizon.
func (q *Query) amounts(told []doors.Told, action int) (now, more inventory.Quantity, bad *doors.Fault) {
	of := told[action*q.each : (action+1)*q.each]
	var n [2]inventory.Quantity
	for i := range of {
		if of[i].Fault != nil {
			return 0, 0, of[i].Fault
		}
		var err error
		if n[i], err = inventory.ParseQuantity(of[i].Quantities[doors.ATP]); err != nil {
			return 0, 0, &doors.Fault{Status: 500, Code: "unwritable_answer", Detail: "a quantity cannot be read"} //nolint:mnd // of HTTP
		}
	}
	return n[0], max(0, n[1]-n[0]), nil
}

// Later are the questions since when there is more than now, of the actions of which
// there is; their answers go to Answer.
func (q *Query) Later(told []doors.Told) []doors.Ask {
	var out []doors.Ask
	for i := range len(told) / q.each {
		if now, more, bad := q.amounts(told, i); bad == nil && more > 0 {
			a := q.Asks[i*q.each]
			a.Quantity = now + 1 // the least there is
			out = append(out, a)
		}
	}
	return out
}

// Times are written as published samples have them; never is what they have where
// there is nothing.
const (
	timeLayout = "2006-01-02T15:04:05.000-0700"
	never      = "2500-01-01T00:00:00.000+0000"
)

// Amount is availability at a node or in a group. On hand is what may be promised for
// today; future is what may be for the horizon's day beyond that, so that the total is the
// larger of the two. For a later day less may be: of claims the formula looks only so far
// ahead.
type Amount struct {
	ShipNode            string      `json:"shipNode,omitempty"`
	DistributionGroupID string      `json:"distributionGroupId,omitempty"`
	Total               json.Number `json:"totalAvailableQuantity"`
	Onhand              json.Number `json:"onhandAvailableQuantity"`
	OnhandEarliest      string      `json:"onhandEarliestShipTs"`
	OnhandLatest        string      `json:"onhandLatestShipTs"`
	Future              json.Number `json:"futureAvailableQuantity"`
	FutureEarliest      string      `json:"futureEarliestShipTs"`
	FutureLatest        string      `json:"futureLatestShipTs"`
	Earliest            string      `json:"earliestShipTs"`
	Latest              string      `json:"latestShipTs"`
}

// AnswerLine answers a line, by nodes or by groups.
type AnswerLine struct {
	LineID string    `json:"lineId"`
	Nodes  *[]Amount `json:"shipNodeAvailability,omitempty"`
	Groups *[]Amount `json:"networkAvailabilities,omitempty"`
}

// Answer is the body of an answer.
type Answer struct {
	Lines []AnswerLine `json:"lines"`
}

// Answer makes the body of the answers to Asks and to Later. A place where nothing is
// recorded of the item is left out of its line.
func (q *Query) Answer(told, later []doors.Told, now time.Time) (*Answer, *doors.Fault) {
	out := &Answer{Lines: []AnswerLine{}}
	action := 0
	for i := range q.lines {
		l := &q.lines[i]
		amounts := []Amount{}
		for _, name := range l.places {
			at := action
			action++
			if told[at*q.each].Missing() {
				continue
			}
			here, more, bad := q.amounts(told, at)
			if bad != nil {
				return nil, bad
			}
			a := Amount{
				Total: number(here + more), Onhand: number(here), Future: number(more), OnhandEarliest: never, OnhandLatest: never,
				FutureEarliest: never, FutureLatest: never, Earliest: never, Latest: never,
			}
			if q.network {
				a.DistributionGroupID = name
			} else {
				a.ShipNode = name
			}
			if more > 0 {
				a.FutureEarliest, a.FutureLatest = midnight(q.horizon), midnight(q.horizon)
				if len(later) > 0 {
					if from, err := time.Parse(time.DateOnly, later[0].From); err == nil && later[0].Fault == nil {
						a.FutureEarliest = from.Format(timeLayout)
					}
					later = later[1:]
				}
				a.Earliest, a.Latest = a.FutureEarliest, a.FutureLatest
			}
			if here > 0 {
				ts := now.UTC().Format(timeLayout)
				a.OnhandEarliest, a.OnhandLatest, a.Earliest = ts, ts, ts
				if more == 0 {
					a.Latest = ts
				}
			}
			amounts = append(amounts, a)
		}
		line := AnswerLine{LineID: l.id}
		if q.network {
			line.Groups = &amounts
		} else {
			line.Nodes = &amounts
		}
		out.Lines = append(out.Lines, line)
	}
	return out, nil
}

func number(q inventory.Quantity) json.Number { return json.Number(q.String()) }

func midnight(d inventory.Day) string {
	return time.Unix(int64(d)*int64(24*time.Hour/time.Second), 0).UTC().Format(timeLayout)
}
