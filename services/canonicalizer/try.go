package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Bench runs single messages by the sources of a set, without a log. Master data is
// what the samples of the set define, as for CheckSamples. It is safe for concurrent
// use.
type Bench struct {
	set      *policy.Set
	programs map[inventory.Source]*sourceProgram
	masters  *masters
}

// NewBench compiles every mapping of a set.
func NewBench(set *policy.Set) (*Bench, error) {
	set = withPartners(set)
	all, err := programs(set)
	if err != nil {
		return nil, err
	}
	m, err := sampleMasters(set, all)
	if err != nil {
		return nil, err
	}
	return &Bench{set, all, m}, nil
}

// program is a source ready to run; one that is not of the set is compiled.
func (b *Bench) program(src *policy.Source) (*sourceProgram, error) {
	if p := b.programs[src.Name]; p != nil && p.src == src {
		return p, nil
	}
	return program(src)
}

// Source is one of the set's, or a ready partner; nil when there is none.
func (b *Bench) Source(name inventory.Source) *policy.Source { return b.set.Sources[name] }

// Sources are those of the set and the ready partners, by name.
func (b *Bench) Sources() map[inventory.Source]*policy.Source { return b.set.Sources }

// Message is what is tried.
type Message struct {
	ID       string // of the raw message; zeros when empty
	Body     []byte
	Filename string
	Headers  []inventory.Attribute
	Received inventory.Instant // when samples are, when 0
}

// Try is what a source would make of a message.
type Try struct {
	Result   Result
	Unmapped []Unmapped
	Leaves   int  // values in the message
	Mapped   int  // of them, those that matter to what comes out
	Partly   bool // the message is too large to look at each of its values
}

// TryOptions say how a message is tried.
type TryOptions struct {
	// Assume takes every item, unit and location that the message names as known, so
	// that nothing waits for master data; a unit is one base unit then.
	Assume bool
	// Leaves looks at what the mapping makes no use of.
	Leaves bool
}

// Try runs a message through a source. The error is set only where the source does not
// compile or ctx ends.
func (b *Bench) Try(ctx context.Context, src *policy.Source, msg Message, opt TryOptions) (*Try, error) {
	p, err := b.program(src)
	if err != nil {
		return nil, err
	}
	return b.try(ctx, p, msg, opt)
}

func (b *Bench) try(ctx context.Context, p *sourceProgram, msg Message, opt TryOptions) (*Try, error) {
	raw := &event.RawMessage{
		ID: msg.ID, Source: p.src.Name, Body: msg.Body, Filename: msg.Filename, Headers: msg.Headers, ReceivedAt: msg.Received,
	}
	if raw.ID == "" {
		raw.ID = "00000000000000000000000000000000"
	}
	if raw.ReceivedAt == 0 {
		raw.ReceivedAt = sampleTime
	}
	var m *masters
	var err error
	if opt.Assume {
		m, err = assumed(ctx, p, raw)
	} else {
		m, err = b.masters.with(p)
	}
	if err != nil {
		return nil, err
	}
	out := &Try{}
	if out.Result, err = canonicalize(ctx, p, raw, m); err != nil {
		return nil, err
	}
	if opt.Leaves {
		if err := out.unmapped(ctx, p, raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// assumed is master data in which everything that a message names is known. Numbers
// that stand in one line are of one item.
func assumed(ctx context.Context, p *sourceProgram, raw *event.RawMessage) (*masters, error) {
	m := newMasters()
	r := run{p: p, raw: raw}
	for u := range p.parse(raw.Body, p.src) {
		if u.Tree == nil {
			continue
		}
		mapped, err := p.mapping.run(ctx, r.input(u.Tree))
		if _, bad := errors.AsType[*mapError](err); bad {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("mapping: %w", err)
		}
		for _, v := range mapped {
			l, reason := readLine(v)
			if reason != "" {
				continue
			}
			m.assume(p, &l)
		}
	}
	return m, nil
}

func (m *masters) assume(p *sourceProgram, l *line) {
	for _, at := range [][]string{l.locations, l.toLocations} {
		if len(at) > 0 {
			m.assumeLocation(p.src.Entity, at[0])
		}
	}
	if d := p.src.DefaultLocation; d != "" {
		m.assumeLocation(p.src.Entity, string(d))
	}
	ids := p.names.translate(p.src, itemNumbers(p.src, l.ids))
	if len(ids) == 0 {
		return
	}
	unit := l.unit
	if alias, ok := p.src.UnitAliases[unit]; ok {
		unit = alias
	}
	item := &event.MasterItem{Key: inventory.Key{Entity: p.src.Entity, Item: inventory.Item(ids[0].Value)}, BaseUnit: unit, Version: 1}
	if known, fault := m.item(p.src, ids); fault != nil {
		return // two items: that is said of the line
	} else if known != nil {
		again := *known
		item = &again
	}
	for _, id := range ids {
		item.Identifiers = append(item.Identifiers, event.Identifier{Type: typesOf(p.src, id.Type)[0], Value: id.Value})
	}
	if _, gone := factorOf(item, unit, p.src); gone != nil {
		item.Units = append(slices.Clip(item.Units), event.UnitOf{Unit: unit, Factor: inventory.One})
	}
	m.putItem(item)
}

func (m *masters) assumeLocation(entity inventory.Entity, code string) {
	if known, fault := m.location(entity, []string{code}); known == nil && fault == nil {
		m.putLocation(&event.MasterLocation{Entity: entity, Location: inventory.Location(code), Class: "dc", Zone: "UTC", ReceiptTo: "on_hand", Version: 1})
	}
}

// Render is the JSON of a result that expected files of samples have.
func (r *Result) Render() ([]byte, error) { return render(r) }

// Sample is what a sample of a source becomes, in the JSON of expected files.
func (b *Bench) Sample(ctx context.Context, src *policy.Source, s policy.Sample) ([]byte, error) {
	body, err := src.ReadSample(s.File)
	if err != nil {
		return nil, err
	}
	t, err := b.Try(ctx, src, Message{Body: body, Filename: s.Filename}, TryOptions{})
	if err != nil {
		return nil, err
	}
	return render(&t.Result)
}

// TimeText is an instant as expected files of samples have it.
func TimeText(t inventory.Instant) string { return renderTime(t) }
