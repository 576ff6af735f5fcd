package canonicalizer

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// lineError is why a line is rejected.
type lineError struct{ code, reason string }

func (e *lineError) Error() string { return e.code + ": " + e.reason }

func reject(code, format string, args ...any) *lineError {
	return &lineError{code, fmt.Sprintf(format, args...)}
}

// factorOf is how many base units one of the stated unit is; no unit is the base
// unit. A unit that the item master does not have yet is missing.
func factorOf(item *event.MasterItem, unit string, src *policy.Source) (inventory.Quantity, *missing) {
	if alias, ok := src.UnitAliases[unit]; ok {
		unit = alias
	}
	if unit == "" || unit == item.BaseUnit {
		return inventory.One, nil
	}
	for _, u := range item.Units {
		if u.Unit == unit {
			return u.Factor, nil
		}
	}
	unit = shorten(unit, 64)
	return 0, &missing{
		ref: "unit:" + string(item.Key.Item) + ":" + unit, code: "unknown_unit",
		reason: fmt.Sprintf("item %s has no unit %q", item.Key.Item, unit),
	}
}

// inBase converts a stated quantity to base units, exactly or not at all.
func inBase(text string, factor inventory.Quantity, item *event.MasterItem, src *policy.Source) (inventory.Quantity, *lineError) {
	q, fault := quantityOf(text, src)
	if fault != nil {
		return 0, fault
	}
	return baseOf(q, factor, item)
}

// quantityOf reads a quantity as a source states it.
func quantityOf(text string, src *policy.Source) (inventory.Quantity, *lineError) {
	if q, ok := wholeQuantity(text); ok { // in whatever way a source writes others
		return q, nil
	}
	if src.Format == policy.FormatCSV && src.CSV.Decimal == "," {
		if strings.Contains(text, ".") {
			return 0, reject("bad_quantity", "%.64q has a point, and the source writes a decimal comma; where points divide thousands map decimal(\",\") and leave csv.decimal out", text)
		}
		text = strings.Replace(text, ",", ".", 1)
	}
	q, err := inventory.ParseQuantity(text)
	if errors.Is(err, inventory.ErrOverflow) {
		return 0, reject("quantity_overflow", "%.64q is beyond 99999999999999.9999", text)
	}
	if err != nil {
		return 0, reject("bad_quantity", "%.64q is no quantity", text)
	}
	return q, nil
}

// wholeQuantity is inventory.ParseQuantity of digits alone, no more than it takes: what
// most quantities are.
func wholeQuantity(text string) (inventory.Quantity, bool) {
	if text == "" || len(text) > 14 {
		return 0, false
	}
	q := inventory.Quantity(0)
	for i := range len(text) {
		d := text[i] - '0'
		if d > 9 {
			return 0, false
		}
		q = q*10 + inventory.Quantity(d)
	}
	return q * inventory.One, true
}

// baseOf converts a quantity of an item to base units, of which one of the unit it is
// stated in has a factor.
func baseOf(q, factor inventory.Quantity, item *event.MasterItem) (inventory.Quantity, *lineError) {
	base, fault := q, ""
	if factor != inventory.One {
		base, fault = times(q, factor)
	}
	switch {
	case fault != "":
		return 0, reject(fault, "%s times %s base units", q, factor)
	case item.Indivisible && base%inventory.One != 0:
		return 0, reject("fraction_of_indivisible", "%s %s of %s, which is sold whole", base, item.BaseUnit, item.Key.Item)
	}
	return base, nil
}

// times multiplies two quantities; the fault is a code, empty when the product is
// exact.
func times(q, factor inventory.Quantity) (inventory.Quantity, string) {
	neg := q < 0
	if neg {
		q = -q
	}
	hi, lo := bits.Mul64(uint64(q), uint64(factor))
	if hi >= uint64(inventory.One) {
		return 0, "quantity_overflow"
	}
	product, rest := bits.Div64(hi, lo, uint64(inventory.One))
	if rest != 0 {
		return 0, "quantity_precision"
	}
	if product > uint64(inventory.MaxQuantity) {
		return 0, "quantity_overflow"
	}
	if neg {
		return -inventory.Quantity(product), ""
	}
	return inventory.Quantity(product), ""
}
