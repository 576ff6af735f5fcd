package canonicalizer

import (
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// itemNames is what a source calls items, by the type and value of a number in the
// form master data has them (GTINs in 14 digits).
type itemNames map[itemName]inventory.Item

type itemName struct{ typ, value string }

// namesOf reads the cross-reference of a source. Two numbers that mean one must not
// name two items.
func namesOf(src *policy.Source) (itemNames, error) {
	if len(src.Items) == 0 {
		return nil, nil //nolint:nilnil // it has none
	}
	out := make(itemNames, len(src.Items))
	for _, n := range src.Items {
		typ := typesOf(src, n.Type)[0]
		k := itemName{typ, identifierValue(typ, n.Value)}
		if other, twice := out[k]; twice && other != n.Item {
			return nil, fmt.Errorf("%s: items: %s %q names %s and %s", src.File, n.Type, n.Value, other, n.Item)
		}
		out[k] = n.Item
	}
	return out, nil
}

// translate puts the source's own names in front of a line's ids, as codes of the item
// master; the others stay, for they must not name another item.
func (names itemNames) translate(src *policy.Source, ids []event.Identifier) []event.Identifier {
	if len(names) == 0 {
		return ids
	}
	var own, others []event.Identifier
	for _, id := range ids {
		if item, ok := names.of(src, id); ok {
			own = append(own, event.Identifier{Type: idSKU, Value: string(item)})
			continue
		}
		others = append(others, id)
	}
	return append(own, others...)
}

func (names itemNames) of(src *policy.Source, id event.Identifier) (inventory.Item, bool) {
	for _, typ := range typesOf(src, id.Type) {
		if item, ok := names[itemName{typ, identifierValue(typ, id.Value)}]; ok {
			return item, true
		}
	}
	return "", false
}
