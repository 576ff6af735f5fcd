package canonicalizer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Codes of sources that cannot say what the ledger must know.
const (
	CodeNoBasis    = "no_balance_basis"
	CodeNoAsOf     = "no_as_of"
	CodeNoRefs     = "no_refs"
	CodeNoRevision = "no_revision"
)

// CheckClaims refuses sources whose samples show that they leave out what the ledger
// must know: what a count counts and of when it is, what demand and supply belong to,
// and which of two versions of a document a movement or a supply line is of. What a
// partner's messages truly have none of is stated in its file, with the reason.
func CheckClaims(set *policy.Set) error {
	b, err := NewBench(set)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(b.set.Sources)) {
		errs = append(errs, b.Claims(context.Background(), b.set.Sources[name])...)
	}
	return errors.Join(errs...)
}

// Claims is what CheckClaims says of one source. What waits for master data is judged
// as if it were there.
func (b *Bench) Claims(ctx context.Context, src *policy.Source) []error {
	p, err := b.program(src)
	if err != nil {
		return []error{err}
	}
	var c claims
	for _, s := range src.Samples {
		body, err := src.ReadSample(s.File)
		if err != nil {
			return []error{err}
		}
		t, err := b.try(ctx, p, Message{Body: body, Filename: s.Filename}, TryOptions{Assume: true})
		if err != nil {
			return []error{err}
		}
		c.sample(s.File, &t.Result)
	}
	return c.faults(src)
}

// claims is what samples of one source leave out; each the first sample that does.
type claims struct {
	noBasis, noAsOf, noRefs string
	// What of movements and supply says which version of its document it is.
	documents map[string]*documentClaim // by type of document
}

type documentClaim struct {
	sample  string
	revised bool
}

// sample takes what a sample becomes.
func (c *claims) sample(file string, r *Result) {
	first := func(s *string) { *s = cmp.Or(*s, file) }
	for i := range r.Rejected {
		switch r.Rejected[i].Code {
		case "balance_undeclared":
			first(&c.noBasis)
		case string(inventory.FaultNoRefs): // of demand or supply
			first(&c.noRefs)
		}
	}
	for i := range r.Events {
		ev := &r.Events[i]
		if ev.Kind == inventory.KindCount && ev.OccurredBasis == inventory.BasisReceipt {
			first(&c.noAsOf)
		}
		if ev.Kind == inventory.KindMovement || ev.Kind == inventory.KindSupply {
			c.document(file, ev)
		}
	}
}

func (c *claims) document(file string, ev *inventory.Event) {
	if c.documents == nil {
		c.documents = map[string]*documentClaim{}
	}
	d := c.documents[ev.Document.Type]
	if d == nil {
		d = &documentClaim{sample: file}
		c.documents[ev.Document.Type] = d
	}
	d.revised = d.revised || ev.Document.Revision != "" || ev.Movement != nil && ev.Movement.Reverses != "" ||
		slices.ContainsFunc(ev.Attributes, func(a inventory.Attribute) bool { return a.Name == "purpose" })
}

// faults are what is wrong, each with what to do about it.
func (c *claims) faults(src *policy.Source) []error {
	var errs []error
	bad := func(code, field, reason string) {
		errs = append(errs, &policy.Fault{File: src.File, Field: field, Code: code, Reason: reason})
	}
	if c.noBasis != "" {
		bad(CodeNoBasis, "balance", c.noBasis+" has counts, and nothing says what they count: declare balance.basis (physical, sellable or available) and balance.covers")
	}
	if c.noAsOf != "" && src.Without.AsOf == "" && src.AsOf.Delay == 0 {
		bad(CodeNoAsOf, "as_of", c.noAsOf+" has counts without a time: map occurred_at, declare as_of.delay (how old a count is when it comes), or say in without.as_of why nobody knows")
	}
	if c.noRefs != "" && src.Without.Refs == "" {
		bad(CodeNoRefs, "mapping", c.noRefs+" has demand or supply without refs: the order or purchase order that other documents name too; without them the ledger refuses it. Map refs, or milestones where nothing is owed; or say in without.refs why there are none")
	}
	// A mapping of the standard reads the purpose wherever the standard has one.
	if standardMapping(src) {
		return errs
	}
	var never []string
	sample := ""
	for _, typ := range slices.Sorted(maps.Keys(c.documents)) {
		if d := c.documents[typ]; !d.revised {
			never, sample = append(never, typ), cmp.Or(sample, d.sample)
		}
	}
	if len(never) > 0 && src.Without.Revision == "" {
		bad(CodeNoRevision, "mapping", sample+": no sample has a revision, a purpose or a reversal of "+strings.Join(never, ", ")+
			": map document.revision and add a sample of a correction, or say in without.revision why these are never corrected")
	}
	return errs
}

// standardMapping says whether a source is read as its standard means.
func standardMapping(src *policy.Source) bool {
	s, ok := standardOf(src.Format)
	return ok && strings.Contains(src.Mapping, s.mapping)
}
