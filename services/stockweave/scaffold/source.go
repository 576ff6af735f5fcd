package scaffold

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/policies"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

// Draft is a proposed source: files by their path inside a policies folder, what it is
// based on, and what a person has to decide.
type Draft struct {
	Name     inventory.Source  `json:"name"`
	Format   string            `json:"format"`
	BasedOn  string            `json:"based_on"` // a ready partner, a standard, or the fields found
	File     string            `json:"file"`
	Files    map[string][]byte `json:"-"`
	Decide   []string          `json:"decide"`
	Expected string            `json:"expected"`
}

// Ask is what a draft is made from.
type Ask struct {
	Name     string // taken from the file's name when empty
	Entity   string // acme when empty
	Location string // default location
	Filename string
	Body     []byte
}

// New proposes a source for a message, by a bench that has the partners.
func New(ctx context.Context, b *canonicalizer.Bench, ask Ask) (*Draft, error) {
	g, err := Detect(ask.Body, ask.Filename)
	if err != nil {
		return nil, err
	}
	d := &Draft{Name: inventory.Source(nameOf(cmp.Or(ask.Name, ask.Filename))), Format: g.Format}
	if d.Name == "" {
		return nil, fmt.Errorf("%w: no name can be made of %q", ErrUnknown, ask.Filename)
	}
	sample := "samples/" + string(d.Name) + g.Ext(ask.Filename)
	expected := "samples/" + string(d.Name) + ".expected.json"
	d.File, d.Expected = "sources/"+string(d.Name)+".yaml", "sources/"+expected
	d.Decide = append(d.Decide, g.Notes...)

	w := &writer{draft: d, ask: ask, g: &g}
	text, err := w.text(ctx, b)
	if err != nil {
		return nil, err
	}
	samples := fmt.Sprintf("samples:\n  - {file: %s, expected: %s, filename: %s}\n", sample, expected, quoted(filepath.Base(ask.Filename)))
	d.Files = map[string][]byte{d.File: []byte(text + samples), "sources/" + sample: ask.Body}
	src, err := d.source()
	if err != nil {
		return nil, fmt.Errorf("the proposed file does not hold: %w", err)
	}
	if more := w.without(b.Claims(ctx, src)); more != "" {
		d.Files[d.File] = []byte(text + more + samples)
		if src, err = d.source(); err != nil {
			return nil, fmt.Errorf("the proposed file does not hold: %w", err)
		}
	}
	if err := errors.Join(b.Claims(ctx, src)...); err != nil {
		return nil, fmt.Errorf("check would refuse the proposed file: %w", err)
	}
	got, err := b.Sample(ctx, src, src.Samples[0])
	if err != nil {
		return nil, fmt.Errorf("running the sample: %w", err)
	}
	d.Files[d.Expected] = got
	d.Decide = append(d.Decide, "read "+d.Expected+" line by line: it is what the message becomes now")
	return d, nil
}

// source reads the draft as policies are read.
func (d *Draft) source() (*policy.Source, error) {
	files := map[string]string{}
	for name, b := range d.Files {
		files[name] = string(b)
	}
	content, err := json.Marshal(map[string]any{"file": d.File, "files": files})
	if err != nil {
		return nil, fmt.Errorf("encoding the draft: %w", err)
	}
	return policy.DecodeSource(content)
}

var nameParts = regexp.MustCompile(`[^a-z0-9]+`)

func nameOf(s string) string {
	s = strings.TrimSuffix(filepath.Base(s), filepath.Ext(s))
	s = strings.Trim(nameParts.ReplaceAllString(strings.ToLower(s), "-"), "-")
	return strings.Trim(s[:min(len(s), 63)], "-")
}

type writer struct {
	draft *Draft
	ask   Ask
	g     *Guess
}

// decide notes what a person has to decide, and gives the comment for its place.
func (w *writer) decide(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	w.draft.Decide = append(w.draft.Decide, s)
	return "# DECIDE: " + s
}

// text is the source's file but for its samples.
func (w *writer) text(ctx context.Context, b *canonicalizer.Bench) (string, error) {
	if w.g.Format == policy.FormatJSON || w.g.Format == policy.FormatNDJSON {
		if partner := w.partner(ctx, b); partner != "" {
			return w.copied(partner)
		}
	}
	if mapping, kinds := w.standard(ctx); mapping != "" {
		w.draft.BasedOn = "the standard (" + mapping + ")"
		return w.head() + w.standardRest(mapping, kinds), nil
	}
	w.draft.BasedOn = "the fields found"
	return w.head() + w.skeleton(), nil
}

// partner is the ready partner that understands the message best: facts, and nothing
// put aside. Empty when none does.
func (w *writer) partner(ctx context.Context, b *canonicalizer.Bench) string {
	best, most := "", 0
	for _, name := range slices.Sorted(maps.Keys(b.Sources())) {
		src := b.Source(name)
		if !strings.HasPrefix(src.File, "partners/") || src.Format != w.g.Format {
			continue
		}
		facts, problems, err := canonicalizer.Facts(ctx, src, w.ask.Body)
		if err != nil || len(problems) > 0 {
			continue
		}
		if len(facts) > most {
			best, most = string(name), len(facts)
		}
	}
	return best
}

var (
	nameLine    = regexp.MustCompile(`(?m)^name: .*$`)
	entityLine  = regexp.MustCompile(`(?m)^entity: .*$`)
	samplesPart = regexp.MustCompile(`(?ms)^samples:.*\z`)
	secretName  = regexp.MustCompile(`\bSTOCKWEAVE_[A-Z0-9_]+`)
)

// copied is a shipped partner's file under the new name.
func (w *writer) copied(partner string) (string, error) {
	b, err := fs.ReadFile(policies.Examples, path.Join("partners", partner+".yaml"))
	if err != nil {
		return "", fmt.Errorf("reading the ready partner %s: %w", partner, err)
	}
	w.draft.BasedOn = "partners/" + partner + ".yaml"
	text := nameLine.ReplaceAllString(string(b), "name: "+string(w.draft.Name))
	if w.ask.Entity != "" {
		text = entityLine.ReplaceAllString(text, "entity: "+quoted(w.ask.Entity))
	}
	text = samplesPart.ReplaceAllString(text, "")
	if names := slices.Compact(slices.Sorted(slices.Values(secretName.FindAllString(text, -1)))); len(names) > 0 {
		w.decide("the secrets of the partner stand in %s of the environment", strings.Join(names, ", "))
	}
	w.decide("compare default_location, balance and defaults with what %s means at yours", partner)
	return text, nil
}

// standard is the mapping of the message's standard, and the kinds of line it gives.
func (w *writer) standard(ctx context.Context) (mapping string, kinds map[inventory.Kind]bool) {
	mapping = map[string]string{
		policy.FormatX12: "x12_lines", policy.FormatEDIFACT: "edifact_lines", policy.FormatIDoc: "idoc_lines", policy.FormatEPCIS: "epcis_lines",
		policy.FormatXML: "xml_lines",
	}[w.g.Format]
	if mapping == "" {
		return "", nil
	}
	src := &policy.Source{
		Name: w.draft.Name, Entity: "acme", Format: w.g.Format, Mapping: mapping, MappingVersion: "1", Zone: time.UTC, X12: policy.X12{Bare: w.g.Bare},
		XML: policy.XML{Doctype: policy.DoctypeIgnore},
	}
	facts, problems, err := canonicalizer.Facts(ctx, src, w.ask.Body)
	if err != nil {
		return mapping, nil
	}
	kinds = map[inventory.Kind]bool{}
	for _, f := range facts {
		kinds[f.Kind] = true
	}
	if len(facts) == 0 && w.g.Format == policy.FormatXML {
		return "", nil // no XML of a kind that is known
	}
	for i, p := range problems {
		if i == 3 {
			w.decide("and %d things more that the standard's mapping does not read", len(problems)-i)
			break
		}
		w.decide("the standard's mapping does not read all of it (%s: %.150s)", p.Code, p.Reason)
	}
	return mapping, kinds
}

func (w *writer) head() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Proposed from %s. Lines with DECIDE need a person.", oneLine(filepath.Base(w.ask.Filename)))
	line("name: %s", w.draft.Name)
	line("description: %s", w.decideText("what this partner sends"))
	line("entity: %s   %s", quoted(cmp.Or(w.ask.Entity, "acme")), w.decide("the legal entity of everything it sends"))
	line("format: %s", w.g.Format)
	if w.g.Encoding != "" {
		line("encoding: %s", w.g.Encoding)
	}
	line("auth:")
	env := "STOCKWEAVE_" + strings.ToUpper(strings.ReplaceAll(string(w.draft.Name), "-", "_")) + "_KEY"
	line("  api_key_env: %s   %s", env, w.decide("how it proves who it is: this key in the environment, hashes in api_keys, or a signature"))
	line("default_location: %s   %s", quoted(cmp.Or(w.ask.Location, "DC1")), w.decide("where a line names no location"))
	line("time_zone: UTC   %s", w.decide("of times that state none"))
	if w.g.Bare {
		line("x12: {bare: true}")
	}
	if w.g.Format == policy.FormatXML && w.g.Doctype {
		line("xml: {doctype: ignore}")
	}
	return b.String()
}

func (w *writer) decideText(s string) string {
	w.draft.Decide = append(w.draft.Decide, "say in description "+s)
	return "DECIDE " + s
}

// standardRest is what follows where the standard's mapping reads the message.
func (w *writer) standardRest(mapping string, kinds map[inventory.Kind]bool) string {
	var b strings.Builder
	if kinds[inventory.KindCount] {
		b.WriteString(w.balance())
		fmt.Fprintf(&b, "as_of: {delay: 15m}   %s\n", w.decide("how old a count is that states no time"))
	}
	if kinds[inventory.KindDemand] || kinds[inventory.KindMovement] {
		fmt.Fprintf(&b, "defaults: {order_issuer: shop, supply_issuer: erp, supply_type: purchase_order}   %s\n",
			w.decide("whose numbers its orders and purchase orders are, so that one order under several papers counts once"))
	}
	fmt.Fprintf(&b, "mapping_version: \"1\"\nmapping: %s\n", mapping)
	return b.String()
}

func (w *writer) balance() string {
	return "balance: {basis: physical, covers: [on_hand]}   " +
		w.decide("what its counts count: physical (on the shelf), sellable or available (orders taken off), and of which states") + "\n"
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// without states what one sample alone does not show: a person replaces it.
func (w *writer) without(missing []error) string {
	var parts []string
	for _, err := range missing {
		f, ok := errors.AsType[*policy.Fault](err)
		if !ok {
			continue
		}
		switch f.Code {
		case canonicalizer.CodeNoRevision:
			w.decide("which field tells a correction from the first version (document.revision), with a sample of one; else say in without.revision why there are none")
			parts = append(parts, "revision: \"DECIDE: why its documents are never corrected, else map document.revision\"")
		case canonicalizer.CodeNoRefs:
			w.decide("which order or purchase order its lines belong to (refs), so that they count once; else say in without.refs why there is none")
			parts = append(parts, "refs: \"DECIDE: why there is no order to refer to, else map refs\"")
		case canonicalizer.CodeNoAsOf:
			w.decide("of when its counts are: occurred_at, or as_of.delay; else say in without.as_of why nobody knows")
			parts = append(parts, "as_of: \"DECIDE: why nobody knows of when its counts are\"")
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "without:\n  " + strings.Join(parts, "\n  ") + "\n"
}
