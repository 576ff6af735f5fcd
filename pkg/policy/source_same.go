package policy

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// SameMapping says whether two versions of a source read messages alike, so that one
// mapping_version may stand for both: the same message becomes the same lines, of the
// same meaning. Names of items and units may be added or taken away, as the item master
// grows without a version: a line that was understood is never understood otherwise.
// What decides only whether a message is let in, when it is read or who is answered is
// not compared, nor are the limits.
func SameMapping(a, b *Source) bool {
	return a.Format == b.Format && a.Encoding == b.Encoding && a.Mapping == b.Mapping && a.Entity == b.Entity && a.DefaultLocation == b.DefaultLocation &&
		maps.Equal(a.Defaults, b.Defaults) && a.TimeZone == b.TimeZone && a.AsOf == b.AsOf && sameBalance(a.Balance, b.Balance) &&
		sameFormat(a, b) && maps.EqualFunc(a.IDTypes, b.IDTypes, slices.Equal[[]string]) &&
		agree(a.UnitAliases, b.UnitAliases) && agree(itemsOf(a), itemsOf(b))
}

// sameBalance compares what balances count; the order of states says nothing.
func sameBalance(a, b *Balance) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Basis == b.Basis && a.Complete == b.Complete && sameStates(a.Includes, b.Includes) && sameStates(a.Covers, b.Covers)
}

func sameStates(a, b []inventory.Account) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// sameFormat compares how the source's own format is read, with its dictionary.
func sameFormat(a, b *Source) bool {
	switch a.Format {
	case FormatCSV:
		return reflect.DeepEqual(a.CSV, b.CSV)
	case FormatX12:
		return a.X12 == b.X12
	case FormatFixed:
		return reflect.DeepEqual(a.Fixed, b.Fixed)
	case FormatXML, FormatEPCIS:
		return a.XML == b.XML
	case FormatIDoc:
		return a.XML == b.XML && reflect.DeepEqual(a.IDoc.Fields, b.IDoc.Fields)
	}
	return true
}

func itemsOf(s *Source) map[[2]string]inventory.Item {
	out := make(map[[2]string]inventory.Item, len(s.Items))
	for _, n := range s.Items {
		out[[2]string{strings.ToLower(n.Type), n.Value}] = n.Item
	}
	return out
}

// agree says whether no name means two things.
func agree[K, V comparable](a, b map[K]V) bool {
	for k, v := range a {
		if other, both := b[k]; both && other != v {
			return false
		}
	}
	return true
}
