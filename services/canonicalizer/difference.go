package canonicalizer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Difference is what changes when one version of a source takes the place of another.
// What has no line of its own, such as a whole message that is rejected, counts too.
type Difference struct {
	Old      string    `json:"old"` // mapping versions
	New      string    `json:"new"`
	Messages int       `json:"messages"`
	Touched  int       `json:"messages_changed"`
	Same     int       `json:"same"`
	Changed  int       `json:"changed"`
	Added    int       `json:"added"`
	Removed  int       `json:"removed"`
	Examples []Example `json:"examples,omitempty"`
}

// Differs says whether anything does.
func (d *Difference) Differs() bool { return d.Changed+d.Added+d.Removed > 0 }

// Example is one thing that differs, in the JSON of expected files of samples.
type Example struct {
	Message string          `json:"message"` // id of the raw message, or its file
	Kind    string          `json:"kind"`    // changed, added, removed
	Old     json.RawMessage `json:"old,omitempty"`
	New     json.RawMessage `json:"new,omitempty"`
}

// maxExamples of each kind are kept.
const maxExamples = 5

// Differing compares two versions of a source, message by message.
type Differing struct {
	bench    *Bench
	old, new *sourceProgram
	out      Difference
	kept     map[string]int
}

// Differing begins with two versions.
func (b *Bench) Differing(old, changed *policy.Source) (*Differing, error) {
	p, err := b.program(old)
	if err != nil {
		return nil, err
	}
	q, err := b.program(changed)
	if err != nil {
		return nil, err
	}
	return &Differing{bench: b, old: p, new: q, out: Difference{Old: old.MappingVersion, New: changed.MappingVersion}, kept: map[string]int{}}, nil
}

// Add runs a message through both. Nothing waits for master data, which is taken to
// know whatever the message names.
func (d *Differing) Add(ctx context.Context, name string, msg Message) error {
	var sides [2]map[string]json.RawMessage
	for i, p := range []*sourceProgram{d.old, d.new} {
		t, err := d.bench.try(ctx, p, msg, TryOptions{Assume: true})
		if err != nil {
			return err
		}
		if sides[i], err = linesOf(&t.Result); err != nil {
			return err
		}
	}
	d.out.Messages++
	touched := false
	for _, key := range slices.Sorted(maps.Keys(sides[0])) {
		was, is := sides[0][key], sides[1][key]
		switch {
		case is == nil:
			d.out.Removed++
			d.example(name, "removed", was, nil)
		case string(was) != string(is):
			d.out.Changed++
			d.example(name, "changed", was, is)
		default:
			d.out.Same++
			continue
		}
		touched = true
	}
	for _, key := range slices.Sorted(maps.Keys(sides[1])) {
		if sides[0][key] == nil {
			d.out.Added++
			d.example(name, "added", nil, sides[1][key])
			touched = true
		}
	}
	if touched {
		d.out.Touched++
	}
	return nil
}

// Sum is what came out so far.
func (d *Differing) Sum() Difference { return d.out }

func (d *Differing) example(message, kind string, was, is json.RawMessage) {
	if d.kept[kind]++; d.kept[kind] <= maxExamples {
		d.out.Examples = append(d.out.Examples, Example{Message: message, Kind: kind, Old: was, New: is})
	}
}

// linesOf are the lines of a result by what tells one from another: the id that the
// ledger knows an event by, the key of a master record, the place of what is put aside.
func linesOf(r *Result) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	put := func(key string, v any) error {
		for n := 2; out[key] != nil; n++ {
			key = fmt.Sprintf("%s#%d", key, n)
		}
		b, err := json.Marshal(jq.Plain(v))
		if err != nil {
			return fmt.Errorf("rendering a line: %w", err)
		}
		out[key] = b
		return nil
	}
	for i := range r.Events {
		if err := put("event "+r.Events[i].ID, renderEvent(&r.Events[i])); err != nil {
			return nil, err
		}
	}
	for i := range r.Milestones {
		if err := put("milestone "+r.Milestones[i].ID, renderMilestone(&r.Milestones[i])); err != nil {
			return nil, err
		}
	}
	for i := range r.Items {
		m := r.Items[i]
		m.Version = 0
		if err := put("item "+m.Key.String(), m); err != nil {
			return nil, err
		}
	}
	for i := range r.Locations {
		l := r.Locations[i]
		l.Version = 0
		if err := put("location "+string(l.Location), l); err != nil {
			return nil, err
		}
	}
	for i := range r.Parked {
		p := &r.Parked[i]
		if err := put(fmt.Sprintf("parked %d", p.Line), renderedFault{Line: p.Line, Code: p.Code, Missing: p.Missing}); err != nil {
			return nil, err
		}
	}
	for _, list := range [][]event.DeadLetter{r.Rejected, r.Open} {
		for i := range list {
			x := &list[i]
			if err := put(fmt.Sprintf("rejected %d %s", x.Line, x.Code), renderedFault{Line: x.Line, Code: x.Code, Reason: x.Reason}); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}
