package explain

import (
	"fmt"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
)

// Report is an explanation in JSON: quantities as decimals in text, times as RFC 3339,
// accounts as account or LOCATION/account.
type Report struct {
	Entity      string             `json:"entity"`
	Item        string             `json:"item"`
	AsOf        string             `json:"as_of,omitempty"`
	KnownAt     string             `json:"known_at,omitempty"`
	Partition   int32              `json:"partition"`       // of the events, and of everything made of them
	Offset      int64              `json:"applied_through"` // of the last event that the numbers are of
	Version     int64              `json:"version"`
	Frozen      bool               `json:"frozen"`
	Locations   []ReportedLocation `json:"locations"`
	Others      []ReportedOutcome  `json:"without_move"`
	Before      int                `json:"without_move_earlier"`
	Promise     *ReportedPromise   `json:"promise,omitempty"` // left out of a time in the past
	Differences []string           `json:"differences"`
	Incomplete  string             `json:"incomplete"`
	Withheld    bool               `json:"withheld,omitempty"` // what others did is not for whoever asked
}

// ReportedLocation is a location in a Report.
type ReportedLocation struct {
	Location      string            `json:"location"`
	States        map[string]string `json:"states"` // what the contributions come to
	Version       int64             `json:"version"`
	SafetyStock   string            `json:"safety_stock"`
	Before        map[string]string `json:"before"`
	Earlier       int               `json:"earlier"`
	EarlierSum    map[string]string `json:"earlier_balance"`
	Contributions []ReportedOutcome `json:"contributions"`
	Claims        []ReportedLine    `json:"claims"`
	Supply        []ReportedLine    `json:"supply"`
}

// ReportedOutcome is an outcome, and where it came from.
type ReportedOutcome struct {
	Offset     int64             `json:"offset"` // of the event
	Lineage    int64             `json:"lineage"`
	OutcomeAt  *int64            `json:"outcome_offset,omitempty"` // where the outcome itself stands
	Event      string            `json:"event_id"`
	EventKind  string            `json:"event_kind"`
	Outcome    string            `json:"outcome"`
	Codes      []inventory.Code  `json:"codes"`
	Late       bool              `json:"late"`
	Detail     string            `json:"detail"`
	Source     string            `json:"source"`
	Document   ReportedDocument  `json:"document"`
	Raw        ReportedRaw       `json:"raw"`
	OccurredAt string            `json:"occurred_at"`
	RecordedAt string            `json:"recorded_at"`
	Version    int64             `json:"version"` // of the item, after
	Policy     int64             `json:"policy_version"`
	Line       string            `json:"line,omitempty"` // demand or supply line
	Moves      []ReportedMove    `json:"moves"`
	Balance    map[string]string `json:"balance,omitempty"`
}

// ReportedDocument is the document that stated an event.
type ReportedDocument struct {
	Type     string `json:"type"`
	Number   string `json:"number"`
	Revision string `json:"revision,omitempty"`
	Line     string `json:"line,omitempty"`
}

// ReportedRaw is the raw message that an event was made of, and by what.
type ReportedRaw struct {
	ID            string `json:"id"`
	Line          int32  `json:"line"`
	Mapping       string `json:"mapping_version,omitempty"`
	MasterVersion int64  `json:"master_version,omitempty"`
	UnitFactor    string `json:"unit_factor,omitempty"` // base units a unit of the message
}

// ReportedMove is a move of an outcome.
type ReportedMove struct {
	Type     string `json:"type"`
	From     string `json:"from"`
	To       string `json:"to"`
	Quantity string `json:"quantity"`
	Reason   string `json:"reason,omitempty"`
	At       string `json:"at"` // business time it counts from
}

// ReportedLine is a claim or what is still to come of a supply line.
type ReportedLine struct {
	Line     string        `json:"line"`
	Quantity string        `json:"quantity"`
	Due      string        `json:"due,omitempty"`
	Channel  string        `json:"channel,omitempty"`
	Refs     []ReportedRef `json:"refs"`
}

// ReportedRef is a business reference.
type ReportedRef struct {
	Issuer string `json:"issuer"`
	Type   string `json:"type"`
	Number string `json:"number"`
	Line   string `json:"line,omitempty"`
}

// ReportedPromise tells how what is promised comes about.
type ReportedPromise struct {
	Formula  string         `json:"formula"`
	Policy   int64          `json:"policy_version"`
	Quantity string         `json:"quantity"`
	Steps    []ReportedStep `json:"steps"`
}

// ReportedStep is a term of the formula. It is added to the value before, or, where it
// is a start, is the value.
type ReportedStep struct {
	Name     string            `json:"name"`
	Item     string            `json:"item"`
	Location string            `json:"location,omitempty"`
	Day      string            `json:"day,omitempty"`
	Start    bool              `json:"start,omitempty"`
	Amount   string            `json:"amount"`
	Value    string            `json:"value"`
	Override *ReportedOverride `json:"override,omitempty"`
	Silent   *ReportedSilence  `json:"silent,omitempty"`
}

// ReportedOverride is a person's number.
type ReportedOverride struct {
	Kind   string `json:"kind"`
	Until  string `json:"until,omitempty"`
	Author string `json:"author"`
	Reason string `json:"reason,omitempty"`
}

// ReportedSilence is about an owner that has said nothing for too long.
type ReportedSilence struct {
	Owner   string `json:"owner"`
	HeardAt string `json:"heard_at,omitempty"`
	Then    string `json:"then"`
	View    string `json:"view,omitempty"`
	AsOf    string `json:"as_of,omitempty"`
	Unmet   bool   `json:"unmet,omitempty"`
}

// Report is the explanation in JSON, without a promise.
func (it *Item) Report() *Report {
	x := &Report{
		Entity: string(it.Key.Entity), Item: string(it.Key.Item), AsOf: text(it.When.AsOf), KnownAt: text(it.When.KnownAt),
		Partition: it.Partition, Offset: it.Fence.Offset, Version: it.Version, Frozen: it.Frozen.Since != 0,
		Locations: []ReportedLocation{}, Others: []ReportedOutcome{}, Before: it.OthersBefore,
		Differences: append([]string{}, it.Differences...), Incomplete: it.Incomplete,
	}
	for i := range it.Locations {
		x.Locations = append(x.Locations, it.Locations[i].report())
	}
	for i := range it.Others {
		x.Others = append(x.Others, reportOutcome(&it.Others[i]))
	}
	return x
}

func (l *Location) report() ReportedLocation {
	balance := l.Balance()
	y := ReportedLocation{
		Location: string(l.Location), States: StatesText(&balance), Version: l.Position.Version, SafetyStock: l.Position.SafetyStock.String(),
		Before: StatesText(&l.Before), Earlier: l.Earlier, EarlierSum: StatesText(&l.Skipped),
		Contributions: []ReportedOutcome{}, Claims: []ReportedLine{}, Supply: []ReportedLine{},
	}
	for i := range l.Contributions {
		c := &l.Contributions[i]
		o := reportOutcome(&c.Outcome)
		o.OutcomeAt, o.Balance = &c.At, StatesText(&c.Balance)
		y.Contributions = append(y.Contributions, o)
	}
	for _, c := range l.Claims {
		y.Claims = append(y.Claims, ReportedLine{c.Line.ID, c.Quantity.String(), date(c.Line.Due), c.Line.Channel, reportRefs(c.Line.Refs)})
	}
	for _, s := range l.Supply {
		y.Supply = append(y.Supply, ReportedLine{s.Line.ID, s.Quantity.String(), date(s.Due), "", reportRefs(s.Line.Refs)})
	}
	return y
}

func reportRefs(refs []inventory.Ref) []ReportedRef {
	out := make([]ReportedRef, 0, len(refs))
	for _, r := range refs {
		out = append(out, ReportedRef{r.Issuer, r.Type, r.Number, r.Line})
	}
	return out
}

func reportOutcome(o *inventory.Outcome) ReportedOutcome {
	t := &o.Trace
	x := ReportedOutcome{
		Offset: o.Offset, Lineage: o.Lineage, Event: o.EventID, EventKind: string(o.EventKind), Outcome: string(o.Kind),
		Codes: append([]inventory.Code{}, o.Codes...), Late: o.Late, Detail: o.Detail, Source: string(o.Source),
		Document:   ReportedDocument{o.Document.Type, o.Document.Number, o.Document.Revision, o.Document.Line},
		Raw:        ReportedRaw{ID: t.RawID, Line: t.RawLine, Mapping: t.MappingVersion, MasterVersion: t.MasterVersion},
		OccurredAt: text(o.OccurredAt), RecordedAt: text(o.RecordedAt), Version: o.Version, Policy: o.PolicyVersion, Line: o.Line,
		Moves: []ReportedMove{},
	}
	if t.UnitFactor != 0 {
		x.Raw.UnitFactor = t.UnitFactor.String()
	}
	for i := range o.Moves {
		m := &o.Moves[i]
		x.Moves = append(x.Moves, ReportedMove{string(m.Type), PlaceText(m.From), PlaceText(m.To), m.Quantity.String(), m.Reason, text(m.At)})
	}
	return x
}

// ReportPromise tells the steps of a promise; there is one at least.
func ReportPromise(policy int64, steps []inventory.Step) *ReportedPromise {
	p := &ReportedPromise{Formula: inventory.PromiseFormula, Policy: policy, Quantity: steps[len(steps)-1].Value.String()}
	for i := range steps {
		s := &steps[i]
		x := ReportedStep{
			Name: string(s.Name), Item: string(s.Key.Item), Location: string(s.Location), Day: date(s.Day), Start: s.Start,
			Amount: s.Amount.String(), Value: s.Value.String(),
		}
		if o := s.Override; o != nil {
			x.Override = &ReportedOverride{string(o.Kind), text(o.Until), o.Author, o.Reason}
		}
		if q := s.Silent; q != nil {
			x.Silent = &ReportedSilence{string(q.Owner), text(q.Heard), string(q.Action), string(q.Fallback), text(q.AsOf), q.Unmet}
		}
		p.Steps = append(p.Steps, x)
	}
	return p
}

// Withhold takes out what tells of documents, where they are not for whoever asked.
func (x *Report) Withhold() {
	x.Withheld, x.Others, x.Before, x.Differences = true, []ReportedOutcome{}, 0, []string{}
	for i := range x.Locations {
		l := &x.Locations[i]
		l.Contributions, l.Claims, l.Supply = []ReportedOutcome{}, []ReportedLine{}, []ReportedLine{}
		l.Earlier, l.EarlierSum = 0, l.States
		l.Before = l.States
	}
}

// StatesText are quantities by the names of states.
func StatesText(s *States) map[string]string {
	m := make(map[string]string, len(s))
	for a, q := range s {
		m[inventory.Account(a).String()] = q.String() //nolint:gosec // below NumStates
	}
	return m
}

// PlaceText is an account, at a location when it is a state.
func PlaceText(p inventory.Place) string {
	if p.Location == "" {
		return p.Account.String()
	}
	return fmt.Sprintf("%s/%s", p.Location, p.Account)
}

func text(t inventory.Instant) string {
	if t == 0 {
		return ""
	}
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func date(d inventory.Day) string {
	if d == 0 {
		return ""
	}
	return place.Date(d)
}
