package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

const unmappedHelp = "What is left unmapped is found by taking each value away, mapping again and comparing. So a value that is read\n" +
	"and decides nothing in this very message counts as unmapped (the second of A // B where A is there, one of two\n" +
	"that say the same), envelopes (ISA, GS, UNB, control records) are not looked at, and neither is a unit that is\n" +
	"rejected.\n"

// tried is what source try prints for programs.
type tried struct {
	Source   string                   `json:"source"`
	Mapping  string                   `json:"mapping_version"`
	File     string                   `json:"file"`
	Becomes  json.RawMessage          `json:"becomes"` // as expected files of samples have it
	Leaves   int                      `json:"leaves"`
	Mapped   int                      `json:"mapped"`
	Partly   bool                     `json:"partly,omitempty"`
	Unmapped []canonicalizer.Unmapped `json:"unmapped,omitempty"`
}

// headerFlags are request headers of the message, NAME=VALUE each.
type headerFlags []inventory.Attribute

func (h *headerFlags) String() string { return "" }

// Set is flag.Value.
func (h *headerFlags) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("NAME=VALUE")
	}
	*h = append(*h, inventory.Attribute{Name: name, Value: value})
	return nil
}

// sourceTry shows what a message would become.
func sourceTry(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("source try FILE", stderr,
		"Shows what a message would become: its lines, what is parked or rejected, with the reason and the place, and\n",
		"what of it was left unmapped. Nothing is sent anywhere. Master data is what the samples of the folder define;\n",
		"with --assume-masters whatever the message names is taken as known.\n", unmappedHelp)
	dir := fs.String("policies", "policies", "policies folder")
	name := fs.String("source", "", "source or partner that reads it")
	asJSON := fs.Bool("json", false, "print JSON for programs")
	assume := fs.Bool("assume-masters", false, "take every item, unit and location named as known")
	var headers headerFlags
	fs.Var(&headers, "header", "request header of the message, NAME=VALUE; several times")
	files, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(files) != 1 || *name == "" {
		return fmt.Errorf("%w: name one file, and --source", errMisuse)
	}
	b, err := benchOf(*dir)
	if err != nil {
		return err
	}
	src := b.Source(inventory.Source(*name))
	if src == nil {
		return fmt.Errorf("%w: no source or partner is named %q", errMisuse, *name)
	}
	body, err := readMessage(files[0])
	if err != nil {
		return err
	}
	t, err := b.Try(ctx, src, canonicalizer.Message{Body: body, Filename: filepath.Base(files[0]), Headers: headers},
		canonicalizer.TryOptions{Assume: *assume, Leaves: true})
	if err != nil {
		return err
	}
	if *asJSON {
		becomes, err := t.Result.Render()
		if err != nil {
			return err
		}
		return printJSON(stdout, tried{
			Source: *name, Mapping: src.MappingVersion, File: files[0], Becomes: becomes,
			Leaves: t.Leaves, Mapped: t.Mapped, Partly: t.Partly, Unmapped: t.Unmapped,
		})
	}
	printTry(stdout, t)
	return nil
}

func printTry(out io.Writer, t *canonicalizer.Try) {
	r := &t.Result
	fmt.Fprintf(out, "%d lines: %d events, %d milestones, %d items and locations, %d parked, %d rejected\n", r.Receipt.Lines,
		len(r.Events), len(r.Milestones), len(r.Items)+len(r.Locations), len(r.Parked), len(r.Rejected))
	printBecome(out, r)
	for i := range r.Ends {
		fmt.Fprintf(out, "full snapshot of %s: what it leaves out becomes zero\n", oneLine(string(r.Ends[i].Location)))
	}
	for i := range r.Parked {
		p := &r.Parked[i]
		wrapped(out, "  ", fmt.Sprintf("parked, line %d (%s): %s", p.Line, p.Code, p.Reason))
	}
	for i := range r.Rejected {
		d := &r.Rejected[i]
		wrapped(out, "  ", fmt.Sprintf("rejected, line %d (%s): %s", d.Line, d.Code, d.Reason))
	}
	for i := range r.Open {
		wrapped(out, "  ", fmt.Sprintf("no full snapshot (%s): %s", r.Open[i].Code, r.Open[i].Reason))
	}
	if len(r.Parked) > 0 {
		fmt.Fprintln(out, "what is parked waits for master data; --assume-masters shows what it becomes then")
	}
	if t.Leaves == 0 {
		return
	}
	fmt.Fprintf(out, "\n%d of %d values matter to that", t.Mapped, t.Leaves)
	if t.Partly {
		fmt.Fprint(out, " (the message is too large to look at all of them)")
	}
	fmt.Fprintln(out)
	if len(t.Unmapped) == 0 {
		return
	}
	fmt.Fprintln(out, "unmapped:")
	g := grid{right: map[int]bool{1: true}}
	g.add("path", "times", "first at", "value")
	for _, u := range t.Unmapped {
		g.add(u.Path, strconv.Itoa(u.Count), u.At, u.Value)
	}
	g.print(out)
}

func printBecome(out io.Writer, r *canonicalizer.Result) {
	g := grid{right: map[int]bool{5: true}}
	g.add("line", "what", "item", "location", "state", "quantity", "when", "document")
	for i := range r.Events {
		ev := &r.Events[i]
		what, location, state, quantity := string(ev.Kind), "", "", ""
		switch {
		case ev.Movement != nil:
			m := ev.Movement
			what, location, quantity = string(m.Type), string(m.Location), m.Quantity.String()
			state = m.ToState.String()
			if m.ToLocation != "" {
				location += " → " + string(m.ToLocation)
			}
		case ev.Count != nil:
			what, location = "count "+string(ev.Count.Basis), string(ev.Count.Location)
			var states, quantities []string
			for _, b := range ev.Count.Balances {
				states, quantities = append(states, b.State.String()), append(quantities, b.Quantity.String())
			}
			state, quantity = strings.Join(states, "/"), strings.Join(quantities, "/")
		case ev.Demand != nil:
			what, location, quantity = "demand "+string(ev.Demand.Stage), string(ev.Demand.Location), ev.Demand.Quantity.String()
		case ev.Supply != nil:
			what, location, quantity = "supply "+string(ev.Supply.Stage), string(ev.Supply.Location), ev.Supply.Quantity.String()
		}
		g.add(strconv.Itoa(int(ev.Trace.RawLine)), what, string(ev.Key.Item), location, state, quantity,
			canonicalizer.TimeText(ev.OccurredAt)+basisMark(ev.OccurredBasis), paperText(&ev.Document))
	}
	for i := range r.Milestones {
		m := &r.Milestones[i]
		item := string(m.Item)
		if item == "" && len(m.Identifiers) > 0 {
			item = m.Identifiers[0].Value
		}
		quantity := ""
		switch {
		case m.HasQuantity:
			quantity = m.Quantity.String()
		case m.HasStated:
			quantity = m.StatedQuantity.String()
		}
		g.add(strconv.Itoa(int(m.Trace.RawLine)), m.About+": "+m.Status, item, string(m.Location), "", quantity,
			canonicalizer.TimeText(m.OccurredAt)+basisMark(m.OccurredBasis), paperText(&m.Document))
	}
	for i := range r.Items {
		g.add("", "item", string(r.Items[i].Key.Item), "", "", "", "", r.Items[i].Description)
	}
	for i := range r.Locations {
		g.add("", "location", "", string(r.Locations[i].Location), "", "", "", r.Locations[i].Description)
	}
	g.print(out)
}

// basisMark tells a time that the message does not state.
func basisMark(basis string) string {
	if basis == inventory.BasisReceipt {
		return "?"
	}
	return ""
}

func paperText(d *inventory.Document) string {
	s := d.Type + " " + d.Number
	if d.Revision != "" {
		s += " rev " + d.Revision
	}
	if d.Line != "" {
		s += " line " + d.Line
	}
	return s
}
