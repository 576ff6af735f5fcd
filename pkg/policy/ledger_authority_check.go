package policy

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Codes of faults of authority.
const (
	CodeUnreachable   = "unreachable" // an earlier rule decides all it could
	CodeUnknownSource = "unknown_source"
)

// checkAuthority looks for rules that decide nothing, or for nobody. known are the
// sources there are.
func checkAuthority(a *inventory.AuthorityPolicy, known func(inventory.Source) bool) error {
	var fs faults
	missing := func(field string, s inventory.Source) {
		if !known(s) {
			fs.add(CodeUnknownSource, field, "no file of sources is named %q", s)
		}
	}
	for i := range a.Owners {
		o := &a.Owners[i]
		field := fmt.Sprintf("owners[%d]", i)
		for j, s := range o.Balance {
			missing(fmt.Sprintf("%s.balance[%d]", field, j), s)
		}
		for j, s := range o.Moves {
			missing(fmt.Sprintf("%s.moves[%d]", field, j), s)
		}
		if o.Until != 0 && o.Until <= o.From {
			fs.add(CodeOutOfRange, field+".until", "must be after from")
		}
		if o.Window != 0 && o.Until == 0 {
			fs.add(CodeRequired, field+".window", "a window is counted from until")
		}
		for j := range i {
			if covers(&a.Owners[j], o) {
				fs.add(CodeUnreachable, field, "owners[%d] stands before it and decides all of it: the most specific goes first", j)
				break
			}
		}
	}
	for i := range a.Handovers {
		h := &a.Handovers[i]
		field := fmt.Sprintf("authority.handovers[%d]", i)
		missing(field+".from", h.From)
		missing(field+".to", h.To)
		if h.From == h.To {
			fs.add(CodeConflicting, field+".to", "is the same as from")
		}
	}
	for i := range a.Modes {
		m := &a.Modes[i]
		field := fmt.Sprintf("authority.modes[%d]", i)
		if m.Source != "" {
			missing(field+".source", m.Source)
		}
		for j := range i {
			if o := &a.Modes[j]; (o.Source == "" || o.Source == m.Source) && (o.Location == "" || o.Location == m.Location) &&
				(o.Facts == 0 || m.Facts != 0 && o.Facts&m.Facts == m.Facts) {
				fs.add(CodeUnreachable, field, "modes[%d] stands before it and decides all of it: the most specific goes first", j)
				break
			}
		}
	}
	for i := range a.Compare {
		c := &a.Compare[i]
		field := fmt.Sprintf("authority.compare[%d]", i)
		missing(field+".source", c.Source)
		for j := range i {
			if o := &a.Compare[j]; o.Source == c.Source && (o.Location == "" || o.Location == c.Location) {
				fs.add(CodeUnreachable, field, "compare[%d] stands before it and decides all of it", j)
				break
			}
		}
		checkComparison(&fs, c, field)
	}
	return errors.Join(fs...)
}

func checkComparison(fs *faults, c *inventory.Comparison, field string) {
	var seen uint8
	for i, m := range c.States {
		if seen&(1<<m.State) != 0 {
			fs.add(CodeDuplicate, fmt.Sprintf("%s.states[%d]", field, i), "%s stands there twice", m.State)
		}
		seen |= 1 << m.State
	}
	packs := func(at string, list []inventory.Quantity) {
		for i, p := range list {
			if p <= 0 || p > inventory.MaxUnitValue {
				fs.add(CodeOutOfRange, fmt.Sprintf("%s[%d]", at, i), "a pack is above zero")
			}
		}
	}
	packs(field+".packs", c.Packs)
	for i := range c.Items {
		t := &c.Items[i]
		at := fmt.Sprintf("%s.items[%d]", field, i)
		packs(at+".packs", t.Packs)
		if t.Value < 0 || t.Value > inventory.MaxUnitValue {
			fs.add(CodeOutOfRange, at+".value", "is not below zero, nor above %s", inventory.MaxUnitValue)
		}
	}
	if c.Alert.Quantity < 0 {
		fs.add(CodeOutOfRange, field+".alert.quantity", "is not below zero")
	}
	if c.Alert.Value < 0 {
		fs.add(CodeOutOfRange, field+".alert.value", "is not below zero")
	}
	if p := c.Alert.Percent; p < 0 || p > inventory.MaxPercent {
		fs.add(CodeOutOfRange, field+".alert.percent", "is from 0 to 100")
	}
}

// covers says whether a rule that stands before another leaves it nothing to
// decide.
func covers(a, b *inventory.Owner) bool {
	set := func(f inventory.Facts) inventory.Facts {
		if f == 0 {
			return inventory.StockFacts
		}
		return f
	}
	return (a.Entity == "" || a.Entity == b.Entity) && (a.Location == "" || a.Location == b.Location) &&
		(a.States == 0 || b.States != 0 && b.States&^a.States == 0) &&
		set(b.Facts)&^set(a.Facts) == 0 &&
		a.From <= b.From && (a.Until == 0 || b.Until != 0 && b.Until <= a.Until)
}
