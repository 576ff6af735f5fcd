package canonicalizer

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Coverage is how much of a folder of messages a source reads.
type Coverage struct {
	Source    inventory.Source `json:"source"`
	Documents int              `json:"documents"`
	Whole     int              `json:"whole"`    // of them, those with lines and no reject
	Rejected  int              `json:"rejected"` // of them, those of which nothing comes
	Lines     int              `json:"lines"`
	Leaves    int              `json:"leaves"` // values in the messages that could be read
	Mapped    int              `json:"mapped"` // of them, those that matter to what comes out
	Partly    int              `json:"partly"` // documents too large to look at each value
	Unmapped  []Unmapped       `json:"unmapped,omitempty"`
	Codes     []CodeCount      `json:"rejects,omitempty"`
}

// CodeCount is how often lines were rejected under a code.
type CodeCount struct {
	Code    string `json:"code"`
	Count   int    `json:"count"`
	Example string `json:"example"`
	File    string `json:"file"`
}

// Covering sums up tries of a source, one message after the other.
type Covering struct {
	bench *Bench
	p     *sourceProgram
	out   Coverage
	paths map[string]*Unmapped
	codes map[string]*CodeCount
}

// Covering begins with a source.
func (b *Bench) Covering(src *policy.Source) (*Covering, error) {
	p, err := b.program(src)
	if err != nil {
		return nil, err
	}
	return &Covering{bench: b, p: p, out: Coverage{Source: src.Name}, paths: map[string]*Unmapped{}, codes: map[string]*CodeCount{}}, nil
}

// Add tries a message. Nothing waits for master data.
func (c *Covering) Add(ctx context.Context, file string, body []byte) error {
	t, err := c.bench.try(ctx, c.p, Message{Body: body, Filename: file}, TryOptions{Assume: true, Leaves: true})
	if err != nil {
		return err
	}
	c.out.Documents++
	lines := int(t.Result.Receipt.Lines)
	c.out.Lines += lines
	switch rejected := len(t.Result.Rejected); {
	case rejected == 0 && lines > 0:
		c.out.Whole++
	case rejected == lines:
		c.out.Rejected++
	}
	c.out.Leaves += t.Leaves
	c.out.Mapped += t.Mapped
	if t.Partly {
		c.out.Partly++
	}
	for _, u := range t.Unmapped {
		known := c.paths[u.Path]
		if known == nil {
			known = &Unmapped{Path: u.Path, At: file + ": " + u.At}
			c.paths[u.Path] = known
		}
		known.Count += u.Count
	}
	for i := range t.Result.Rejected {
		d := &t.Result.Rejected[i]
		known := c.codes[d.Code]
		if known == nil {
			known = &CodeCount{Code: d.Code, Example: d.Reason, File: file}
			c.codes[d.Code] = known
		}
		known.Count++
	}
	return nil
}

// Sum is what came out so far; the most frequent first.
func (c *Covering) Sum() Coverage {
	out := c.out
	for _, u := range c.paths {
		out.Unmapped = append(out.Unmapped, *u)
	}
	slices.SortFunc(out.Unmapped, func(a, b Unmapped) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Path, b.Path))
	})
	for _, code := range slices.Sorted(maps.Keys(c.codes)) {
		out.Codes = append(out.Codes, *c.codes[code])
	}
	slices.SortStableFunc(out.Codes, func(a, b CodeCount) int { return cmp.Compare(b.Count, a.Count) })
	return out
}
