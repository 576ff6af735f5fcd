package policy

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// countFile is how far the counts of a source are believed.
type countFile struct {
	Source         inventory.Source    `yaml:"source" json:"source,omitempty"`
	Precision      span                `yaml:"precision" json:"precision,omitempty"`
	Skew           span                `yaml:"skew" json:"skew,omitempty"`
	Ambiguous      inventory.Ambiguity `yaml:"ambiguous" json:"ambiguous,omitempty"`
	AssumeAckAfter span                `yaml:"assume_ack_after" json:"assume_ack_after,omitempty"`
	Agreeing       int                 `yaml:"agreeing" json:"agreeing,omitempty"`
	Guard          *guardFile          `yaml:"guard" json:"guard,omitempty"`
	ZeroShare      inventory.Quantity  `yaml:"zero_share" json:"zero_share,omitempty"`
}

type guardFile struct {
	Relative inventory.Quantity `yaml:"relative" json:"relative,omitempty"`
	Absolute inventory.Quantity `yaml:"absolute" json:"absolute,omitempty"`
	Value    inventory.Quantity `yaml:"value" json:"value,omitempty"`
	ZeroOuts bool               `yaml:"zero_outs" json:"zero_outs,omitempty"`
}

// linesFile is what becomes of demand that is not what its origin said.
type linesFile struct {
	LinkWait span               `yaml:"link_wait" json:"link_wait,omitempty"`
	Unlinked inventory.Unlinked `yaml:"unlinked" json:"unlinked,omitempty"`
	Short    inventory.Shortage `yaml:"short" json:"short,omitempty"`
}

// laneFile is whose goods on their way are.
type laneFile struct {
	Source   inventory.Source   `yaml:"source" json:"source,omitempty"`
	Location inventory.Location `yaml:"location" json:"location,omitempty"`
	Title    inventory.Title    `yaml:"title" json:"title"`
	Residual span               `yaml:"residual" json:"residual,omitempty"`
}

// counting is the policy of counts, lines and lanes.
func (f *ledgerFile) counting(p *inventory.Policy) {
	for i := range f.Counts {
		c := &f.Counts[i]
		s := inventory.CountSource{
			Source: c.Source, Precision: inventory.Instant(c.Precision), Skew: inventory.Instant(c.Skew), Ambiguous: c.Ambiguous,
			AssumeAckAfter: inventory.Instant(c.AssumeAckAfter), Agreeing: c.Agreeing, ZeroShare: c.ZeroShare,
		}
		if g := c.Guard; g != nil {
			s.Guard = inventory.CountGuard{Relative: g.Relative, Absolute: g.Absolute, Value: g.Value, ZeroOuts: g.ZeroOuts}
		}
		p.Counts.Sources = append(p.Counts.Sources, s)
	}
	if l := f.Lines; l != nil {
		p.Lines = inventory.LinePolicy{LinkWait: inventory.Instant(l.LinkWait), Unlinked: l.Unlinked, Short: l.Short}
	}
	for _, n := range f.Lanes {
		p.Lanes = append(p.Lanes, inventory.Lane{Source: n.Source, Location: n.Location, Title: n.Title, Residual: inventory.Instant(n.Residual)})
	}
}

// setCounting is the opposite of counting.
func (f *ledgerFile) setCounting(p *inventory.Policy) {
	for i := range p.Counts.Sources {
		s := &p.Counts.Sources[i]
		c := countFile{
			Source: s.Source, Precision: span(s.Precision), Skew: span(s.Skew), Ambiguous: s.Ambiguous,
			AssumeAckAfter: span(s.AssumeAckAfter), Agreeing: s.Agreeing, ZeroShare: s.ZeroShare,
		}
		if g := s.Guard; g != (inventory.CountGuard{}) {
			c.Guard = &guardFile{Relative: g.Relative, Absolute: g.Absolute, Value: g.Value, ZeroOuts: g.ZeroOuts}
		}
		f.Counts = append(f.Counts, c)
	}
	if l := p.Lines; l != (inventory.LinePolicy{}) {
		f.Lines = &linesFile{LinkWait: span(l.LinkWait), Unlinked: l.Unlinked, Short: l.Short}
	}
	for _, n := range p.Lanes {
		f.Lanes = append(f.Lanes, laneFile{Source: n.Source, Location: n.Location, Title: n.Title, Residual: span(n.Residual)})
	}
}

// checkCounting looks for what the shape of the file cannot say. known are the
// sources there are.
func checkCounting(p *inventory.Policy, known func(inventory.Source) bool) error {
	var fs faults
	for i := range p.Counts.Sources {
		s := &p.Counts.Sources[i]
		field := fmt.Sprintf("counts[%d]", i)
		if s.Source != "" && !known(s.Source) {
			fs.add(CodeUnknownSource, field+".source", "no file of sources is named %q", s.Source)
		}
		for j := range i {
			if p.Counts.Sources[j].Source == s.Source {
				fs.add(CodeUnreachable, field, "counts[%d] stands before it and decides all of it", j)
				break
			}
		}
		if s.Ambiguous != "" && s.Precision+s.Skew == 0 {
			fs.add(CodeRequired, field+".ambiguous", "nothing is ambiguous without precision or skew")
		}
		if s.Precision+s.Skew > inventory.MaxDoubt {
			fs.add(CodeOutOfRange, field+".precision", "with skew, is at most %s", span(inventory.MaxDoubt).text())
		}
		share := func(name string, q, most inventory.Quantity) {
			if q < 0 || q > most {
				fs.add(CodeOutOfRange, field+"."+name, "is from 0 to %s", most)
			}
		}
		share("zero_share", s.ZeroShare, inventory.One)
		share("guard.relative", s.Guard.Relative, 1000*inventory.One)
		share("guard.absolute", s.Guard.Absolute, inventory.MaxQuantity)
		share("guard.value", s.Guard.Value, inventory.MaxQuantity)
	}
	if l := &p.Lines; l.Unlinked != "" && l.LinkWait == 0 {
		fs.add(CodeRequired, "lines.unlinked", "is decided after link_wait")
	}
	for i, n := range p.Lanes {
		field := fmt.Sprintf("lanes[%d]", i)
		if n.Source != "" && !known(n.Source) {
			fs.add(CodeUnknownSource, field+".source", "no file of sources is named %q", n.Source)
		}
		for j := range i {
			if o := &p.Lanes[j]; (o.Source == "" || o.Source == n.Source) && (o.Location == "" || o.Location == n.Location) {
				fs.add(CodeUnreachable, field, "lanes[%d] stands before it and decides all of it", j)
				break
			}
		}
	}
	return errors.Join(fs...)
}

func (s span) text() string {
	b, _ := s.MarshalText() // never fails
	return string(b)
}
