package canonicalizer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// sampleTime is when every sample is received: 2026-11-02T12:00:00Z.
const sampleTime = inventory.Instant(1_793_620_800_000)

// CheckSamples compiles every mapping and runs every sample; the error joins all
// differences. Master data is what the samples of the set themselves define.
func CheckSamples(set *policy.Set) error {
	set = withPartners(set)
	all, err := programs(set)
	if err != nil {
		return err
	}
	m, err := sampleMasters(set, all)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := all[name]
		own, err := m.with(p)
		if err != nil {
			return err
		}
		for _, s := range p.src.Samples {
			got, err := runSample(p, s, own)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			want, err := p.src.ReadSample(s.Expected)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if err := compareSample(got, want); err != nil {
				errs = append(errs, fmt.Errorf("%s: sample %s: %w", p.src.File, s.File, err))
			}
		}
	}
	return errors.Join(errs...)
}

// withPartners is the set with its ready partners among its sources; a source goes
// before the partner of its name.
func withPartners(set *policy.Set) *policy.Set {
	all := *set
	all.Sources = maps.Clone(set.Partners)
	if all.Sources == nil {
		all.Sources = map[inventory.Source]*policy.Source{}
	}
	maps.Copy(all.Sources, set.Sources)
	return &all
}

// partnersFolder has the ready partners. What their samples define is theirs alone: a
// shop's items are no other's.
const partnersFolder = "partners/"

// sampleMasters takes the items and locations that samples of sources define.
func sampleMasters(set *policy.Set, all map[inventory.Source]*sourceProgram) (*masters, error) {
	m := newMasters()
	for _, name := range slices.Sorted(maps.Keys(set.Sources)) {
		if strings.HasPrefix(set.Sources[name].File, partnersFolder) {
			continue
		}
		if err := m.define(all[name]); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// with is the master data that samples of a source see.
func (m *masters) with(p *sourceProgram) (*masters, error) {
	if !strings.HasPrefix(p.src.File, partnersFolder) {
		return m, nil
	}
	own := newMasters()
	for _, i := range m.items {
		own.putItem(i)
	}
	for _, l := range m.locations {
		own.putLocation(l)
	}
	return own, own.define(p)
}

func (m *masters) define(p *sourceProgram) error {
	for _, s := range p.src.Samples {
		res, err := sampleResult(p, s, newMasters())
		if err != nil {
			return err
		}
		for i := range res.Items {
			m.putItem(&res.Items[i])
		}
		for i := range res.Locations {
			m.putLocation(&res.Locations[i])
		}
	}
	return nil
}

func sampleResult(p *sourceProgram, s policy.Sample, m *masters) (Result, error) {
	body, err := p.src.ReadSample(s.File)
	if err != nil {
		return Result{}, err
	}
	raw := &event.RawMessage{ID: "00000000000000000000000000000000", Source: p.src.Name, Body: body, Filename: s.Filename, ReceivedAt: sampleTime}
	return canonicalize(context.Background(), p, raw, m)
}

func runSample(p *sourceProgram, s policy.Sample, m *masters) ([]byte, error) {
	res, err := sampleResult(p, s, m)
	if err != nil {
		return nil, err
	}
	return render(&res)
}

func compareSample(got, want []byte) error {
	var compact bytes.Buffer
	if err := json.Indent(&compact, want, "", "  "); err != nil {
		return fmt.Errorf("reading expected output: %w", err)
	}
	g, w := bytes.Split(bytes.TrimSpace(got), []byte("\n")), bytes.Split(bytes.TrimSpace(compact.Bytes()), []byte("\n"))
	for i := range max(len(g), len(w)) {
		var a, b []byte
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("line %d: expected %q, got %q", i+1, bytes.TrimSpace(b), bytes.TrimSpace(a))
		}
	}
	return nil
}

// rendered is a result as people write and read it.
type rendered struct {
	Lines      int32               `json:"lines"`
	Events     []renderedEvent     `json:"events,omitempty"`
	Items      []renderedItem      `json:"items,omitempty"`
	Locations  []renderedLocation  `json:"locations,omitempty"`
	Milestones []renderedMilestone `json:"milestones,omitempty"`
	Parked     []renderedFault     `json:"parked,omitempty"`
	Rejected   []renderedFault     `json:"rejected,omitempty"`
	Ends       []renderedEnd       `json:"snapshots,omitempty"`
	Open       []renderedFault     `json:"open_snapshots,omitempty"`
}

// renderedEnd is the end of a full snapshot.
type renderedEnd struct {
	Snapshot string `json:"snapshot"`
	Location string `json:"location"`
	AsOf     string `json:"as_of"`
	Lines    int64  `json:"lines"`
}

type renderedEvent struct {
	Kind       string            `json:"kind"`
	Type       string            `json:"type,omitempty"`
	Item       string            `json:"item"`
	Location   string            `json:"location"`
	ToLocation string            `json:"to_location,omitempty"`
	From       string            `json:"from_state,omitempty"`
	To         string            `json:"to_state,omitempty"`
	Quantity   string            `json:"quantity,omitempty"`
	Balances   map[string]string `json:"balances,omitempty"`
	OccurredAt string            `json:"occurred_at"`
	Basis      string            `json:"occurred_basis"`
	Due        string            `json:"due,omitempty"`
	Channel    string            `json:"channel,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Document   string            `json:"document"`
	Refs       []string          `json:"refs,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

type renderedMilestone struct {
	About      string            `json:"about"`
	Status     string            `json:"status"`
	Item       string            `json:"item,omitempty"`
	IDs        []string          `json:"ids,omitempty"`
	Location   string            `json:"location,omitempty"`
	Quantity   string            `json:"quantity,omitempty"` // of an item, in base units; else as stated
	Unit       string            `json:"unit,omitempty"`
	OccurredAt string            `json:"occurred_at"`
	Basis      string            `json:"occurred_basis"`
	Due        string            `json:"due,omitempty"`
	Document   string            `json:"document"`
	Refs       []string          `json:"refs,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
}

type renderedItem struct {
	Item        string            `json:"item"`
	BaseUnit    string            `json:"base_unit"`
	Indivisible bool              `json:"indivisible,omitempty"`
	Units       map[string]string `json:"units,omitempty"`
	Identifiers []string          `json:"identifiers,omitempty"`
}

type renderedLocation struct {
	Location    string   `json:"location"`
	Class       string   `json:"class"`
	Zone        string   `json:"time_zone"`
	Publishable bool     `json:"publishable,omitempty"`
	ReceiptTo   string   `json:"receipt_to"`
	Aliases     []string `json:"aliases,omitempty"`
}

type renderedFault struct {
	Line    int32  `json:"line"`
	Code    string `json:"code"`
	Missing string `json:"missing,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// render is the canonical JSON of a result.
func render(r *Result) ([]byte, error) {
	out := rendered{Lines: r.Receipt.Lines}
	for i := range r.Events {
		out.Events = append(out.Events, renderEvent(&r.Events[i]))
	}
	for i := range r.Items {
		m := &r.Items[i]
		it := renderedItem{Item: string(m.Key.Item), BaseUnit: m.BaseUnit, Indivisible: m.Indivisible, Units: map[string]string{}}
		for _, u := range m.Units {
			it.Units[u.Unit] = u.Factor.String()
		}
		for _, id := range m.Identifiers {
			it.Identifiers = append(it.Identifiers, id.Type+":"+id.Value)
		}
		out.Items = append(out.Items, it)
	}
	for i := range r.Locations {
		m := &r.Locations[i]
		l := renderedLocation{Location: string(m.Location), Class: m.Class, Zone: m.Zone, Publishable: m.Publishable, ReceiptTo: m.ReceiptTo}
		for _, a := range m.Aliases {
			l.Aliases = append(l.Aliases, a.Value)
		}
		out.Locations = append(out.Locations, l)
	}
	for i := range r.Milestones {
		out.Milestones = append(out.Milestones, renderMilestone(&r.Milestones[i]))
	}
	for _, p := range r.Parked {
		out.Parked = append(out.Parked, renderedFault{Line: p.Line, Code: p.Code, Missing: p.Missing})
	}
	for _, d := range r.Rejected {
		out.Rejected = append(out.Rejected, renderedFault{Line: d.Line, Code: d.Code, Reason: d.Reason})
	}
	for i := range r.Ends {
		e := &r.Ends[i]
		out.Ends = append(out.Ends, renderedEnd{Snapshot: e.ID, Location: string(e.Location), AsOf: renderTime(e.AsOf), Lines: e.Lines})
	}
	for _, d := range r.Open {
		out.Open = append(out.Open, renderedFault{Code: d.Code, Reason: d.Reason})
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("rendering result: %w", err)
	}
	return append(b, '\n'), nil
}

func renderEvent(ev *inventory.Event) renderedEvent {
	e := renderedEvent{
		Kind: string(ev.Kind), Item: string(ev.Key.Item), Basis: ev.OccurredBasis, OccurredAt: renderTime(ev.OccurredAt),
		Document: renderDocument(&ev.Document), Refs: renderRefs(ev.Refs), Attributes: renderAttributes(ev.Attributes),
	}
	if m := ev.Movement; m != nil {
		e.Type, e.Location, e.ToLocation = string(m.Type), string(m.Location), string(m.ToLocation)
		e.From, e.To, e.Quantity, e.Reason = m.FromState.String(), m.ToState.String(), m.Quantity.String(), m.Reason
	}
	if c := ev.Count; c != nil {
		e.Type, e.Location, e.Balances = string(c.Basis), string(c.Location), map[string]string{}
		for _, b := range c.Balances {
			e.Balances[b.State.String()] = b.Quantity.String()
		}
	}
	if x := ev.Demand; x != nil {
		e.Type, e.Location, e.Quantity, e.Channel, e.Due = string(x.Stage), string(x.Location), x.Quantity.String(), x.Channel, renderDay(x.Due)
	}
	if x := ev.Supply; x != nil {
		e.Type, e.Location, e.Quantity, e.Due = string(x.Stage), string(x.Location), x.Quantity.String(), renderDay(x.Due)
	}
	return e
}

func renderMilestone(m *event.Milestone) renderedMilestone {
	x := renderedMilestone{
		About: m.About, Status: m.Status, Item: string(m.Item), Location: string(m.Location),
		Basis: m.OccurredBasis, OccurredAt: renderTime(m.OccurredAt), Due: renderDay(m.Due),
		Document: renderDocument(&m.Document), Refs: renderRefs(m.Refs), Attributes: renderAttributes(m.Attributes),
	}
	for _, id := range m.Identifiers {
		x.IDs = append(x.IDs, id.Type+":"+id.Value)
	}
	switch {
	case m.HasQuantity:
		x.Quantity, x.Unit = m.Quantity.String(), m.BaseUnit
	case m.HasStated:
		x.Quantity, x.Unit = m.StatedQuantity.String(), m.StatedUnit
	}
	return x
}

func renderDocument(d *inventory.Document) string {
	return d.Type + "/" + d.Number + "/" + d.Revision + "/" + d.Line
}

func renderRefs(refs []inventory.Ref) []string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Issuer+"/"+r.Type+"/"+r.Number+"/"+r.Line)
	}
	return out
}

func renderAttributes(as []inventory.Attribute) map[string]string {
	if len(as) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, a := range as {
		out[a.Name] = a.Value
	}
	return out
}

func renderTime(t inventory.Instant) string {
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02T15:04:05.999Z")
}

func renderDay(d inventory.Day) string {
	if d == 0 {
		return ""
	}
	return time.Unix(int64(d)*86_400, 0).UTC().Format(time.DateOnly)
}
