package canonicalizer

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// masters is the master data known now: a projection of master.items and
// master.locations, with what this process has itself just written on top. It is
// safe for concurrent use.
type masters struct {
	mu        sync.RWMutex
	items     map[inventory.Key]*event.MasterItem
	byID      map[idKey][]owned
	locations map[placeKey]*event.MasterLocation
	byAlias   map[placeKey][]inventory.Location

	// came is told what each new version answers to; it asks nothing here. Nil: nobody
	// waits.
	came func(refs []reference)
}

type idKey struct {
	entity     inventory.Entity
	typ, value string
}

// owned is an item under an identifier of somebody's numbering.
type owned struct {
	owner string
	item  inventory.Item
}

type placeKey struct {
	entity inventory.Entity
	code   string
}

func newMasters() *masters {
	return &masters{
		items: map[inventory.Key]*event.MasterItem{}, byID: map[idKey][]owned{},
		locations: map[placeKey]*event.MasterLocation{}, byAlias: map[placeKey][]inventory.Location{},
	}
}

// Types of identifier, and the words that mean them: our own, and X12's product
// id qualifiers (data element 235).
const (
	idSKU      = "sku"
	idGTIN     = "gtin"
	idVendor   = "vendor"
	idCustomer = "customer"
)

var identifierTypes = map[string]string{
	"sku": idSKU, "sk": idSKU,
	"gtin": idGTIN, "upc": idGTIN, "ean": idGTIN, "upc_case": idGTIN,
	"up": idGTIN, "ua": idGTIN, "ui": idGTIN, "uk": idGTIN, "en": idGTIN,
	"vendor": idVendor, "vn": idVendor, "va": idVendor, "vc": idVendor, "vp": idVendor,
	"customer": idCustomer, "in": idCustomer, "bp": idCustomer, "cb": idCustomer, "pi": idCustomer,
	"srv": idGTIN, "sa": idVendor, // UNTDID 7143
	"matnr": idSKU, "kdmat": idCustomer, "001": idCustomer, "002": idVendor, "003": idGTIN, // SAP; E1EDP19 says it in digits
	"supplierpartid": idVendor, "buyerpartid": idCustomer, // cXML
}

func identifierType(t string) string {
	switch t { // what most mappings say themselves
	case idSKU, idGTIN, idVendor, idCustomer:
		return t
	}
	var short [8]byte // most words are no longer, and cost no memory
	if low := short[:0]; len(t) <= len(short) && ascii(t) {
		for i := range len(t) {
			low = append(low, lowered(t[i]))
		}
		if known, ok := identifierTypes[string(low)]; ok {
			return known
		}
	}
	t = strings.ToLower(t)
	if known, ok := identifierTypes[t]; ok {
		return known
	}
	return t
}

func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// identifierValue brings GTINs of 8, 12, 13 and 14 digits to one form (GS1 General
// Specifications, section 7: leading zeros to 14 digits).
func identifierValue(typ, value string) string {
	if typ == idGTIN && digits(value) && len(value) >= 8 && len(value) < 14 {
		return strings.Repeat("0", 14-len(value)) + value
	}
	return value
}

// typesOf is what an identifier's type may mean for a source, in the order to try.
func typesOf(src *policy.Source, t string) []string { return appendTypes(nil, src, t) }

func appendTypes(out []string, src *policy.Source, t string) []string {
	types, ok := src.IDTypes[t]
	if !ok {
		return append(out, identifierType(t))
	}
	for i := range types {
		out = append(out, identifierType(types[i]))
	}
	return out
}

// item finds the item that identifiers name. They must not name two. Without any
// that is known the error is nil and so is the item.
func (m *masters) item(src *policy.Source, ids []event.Identifier) (*event.MasterItem, *lineError) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found inventory.Item
	var it *event.MasterItem
	var by *event.Identifier
	for i := range ids {
		id := &ids[i]
		var room [4]string
		for _, typ := range appendTypes(room[:0], src, id.Type) {
			items, n, same := m.named(src.Entity, typ, id)
			if n == 0 {
				continue
			}
			if n > 1 {
				return nil, reject("item_ambiguous", "%s %.64q names %s and %s", id.Type, id.Value, items[0], items[1])
			}
			if found != "" && found != items[0] {
				return nil, reject("item_conflict", "%s %.64q names %s, %s %.64q names %s", by.Type, by.Value, found, id.Type, id.Value, items[0])
			}
			found, by = items[0], id
			if same != nil {
				it = same
			}
			break
		}
	}
	if found == "" {
		return nil, nil //nolint:nilnil // not found is no fault: the line is parked
	}
	if it == nil {
		it = m.items[inventory.Key{Entity: src.Entity, Item: found}]
	}
	return it, nil
}

// named is how many different items there are under an identifier, up to two, and
// these; the item itself where it is the item's own code.
func (m *masters) named(e inventory.Entity, typ string, id *event.Identifier) (out [2]inventory.Item, n int, it *event.MasterItem) {
	if typ == idSKU {
		if it = m.items[inventory.Key{Entity: e, Item: inventory.Item(id.Value)}]; it != nil {
			out[0] = it.Key.Item
			return out, 1, it
		}
	}
	for _, o := range m.byID[idKey{e, typ, identifierValue(typ, id.Value)}] {
		if (id.Owner == "" || o.owner == "" || o.owner == id.Owner) && !slices.Contains(out[:n], o.item) && n < len(out) {
			out[n] = o.item
			n++
		}
	}
	return out, n, nil
}

// location finds the first of the candidates that is known, by its code or an
// alias. Without any the error is nil and so is the location.
func (m *masters) location(e inventory.Entity, candidates []string) (*event.MasterLocation, *lineError) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, code := range candidates {
		if l, ok := m.locations[placeKey{e, code}]; ok {
			return l, nil
		}
		switch names := m.byAlias[placeKey{e, code}]; {
		case len(names) > 1:
			return nil, reject("location_ambiguous", "%.64q names %s and %s", code, names[0], names[1])
		case len(names) == 1:
			return m.locations[placeKey{e, string(names[0])}], nil
		}
	}
	return nil, nil //nolint:nilnil // not found is no fault: the line is parked
}

// versionOf is the version a master record of this content gets: the known one's
// when nothing changed, else one more (Invariant 5).
func (m *masters) versionOfItem(i *event.MasterItem) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	old, ok := m.items[i.Key]
	if !ok {
		return 1
	}
	if sameItem(old, i) {
		return old.Version
	}
	return old.Version + 1
}

func (m *masters) versionOfLocation(l *event.MasterLocation) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	old, ok := m.locations[placeKey{l.Entity, string(l.Location)}]
	if !ok {
		return 1
	}
	if sameLocation(old, l) {
		return old.Version
	}
	return old.Version + 1
}

func sameItem(a, b *event.MasterItem) bool {
	return a.Description == b.Description && a.BaseUnit == b.BaseUnit && a.Indivisible == b.Indivisible && a.Deleted == b.Deleted &&
		slices.Equal(a.Units, b.Units) && slices.Equal(a.Identifiers, b.Identifiers)
}

func sameLocation(a, b *event.MasterLocation) bool {
	return a.Description == b.Description && a.Class == b.Class && a.Zone == b.Zone && a.Valued == b.Valued &&
		a.Publishable == b.Publishable && a.ReceiptTo == b.ReceiptTo && a.Deleted == b.Deleted && slices.Equal(a.Aliases, b.Aliases)
}

// putItem takes a version; an older one than is known changes nothing.
func (m *masters) putItem(i *event.MasterItem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.came != nil {
		defer func() { m.came(referencesTo(i)) }()
	}
	old := m.items[i.Key]
	if old != nil {
		if old.Version > i.Version {
			return
		}
		m.dropItem(old)
	}
	m.items[i.Key] = i
	for _, id := range i.Identifiers {
		k := idKey{i.Key.Entity, identifierType(id.Type), ""}
		k.value = identifierValue(k.typ, id.Value)
		m.byID[k] = append(m.byID[k], owned{id.Owner, i.Key.Item})
	}
}

func (m *masters) dropItem(old *event.MasterItem) {
	for _, id := range old.Identifiers {
		k := idKey{old.Key.Entity, identifierType(id.Type), ""}
		k.value = identifierValue(k.typ, id.Value)
		m.byID[k] = slices.DeleteFunc(m.byID[k], func(o owned) bool { return o.item == old.Key.Item })
	}
	delete(m.items, old.Key)
}

func (m *masters) putLocation(l *event.MasterLocation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.came != nil {
		defer func() { m.came(referencesToPlace(l)) }()
	}
	key := placeKey{l.Entity, string(l.Location)}
	if old := m.locations[key]; old != nil {
		if old.Version > l.Version {
			return
		}
		m.dropLocation(old)
	}
	m.locations[key] = l
	for _, a := range l.Aliases {
		k := placeKey{l.Entity, a.Value}
		if !slices.Contains(m.byAlias[k], l.Location) {
			m.byAlias[k] = append(m.byAlias[k], l.Location)
		}
	}
}

func (m *masters) dropLocation(old *event.MasterLocation) {
	for _, a := range old.Aliases {
		k := placeKey{old.Entity, a.Value}
		m.byAlias[k] = slices.DeleteFunc(m.byAlias[k], func(l inventory.Location) bool { return l == old.Location })
	}
	delete(m.locations, placeKey{old.Entity, string(old.Location)})
}

// applyItems and applyLocations take records of the two topics.
func (m *masters) applyItems(c *event.Codecs) func(*stream.Record) error {
	return func(rec *stream.Record) error {
		if rec.Value == nil {
			return nil // a tombstone comes after retirement; events of the past still name it
		}
		i := &event.MasterItem{}
		if err := c.DecodeItem(rec.Value, i); err != nil {
			return fmt.Errorf("decoding item %q: %w", rec.Key, err)
		}
		m.putItem(i)
		return nil
	}
}

func (m *masters) applyLocations(c *event.Codecs) func(*stream.Record) error {
	return func(rec *stream.Record) error {
		if rec.Value == nil {
			return nil
		}
		l := &event.MasterLocation{}
		if err := c.DecodeLocation(rec.Value, l); err != nil {
			return fmt.Errorf("decoding location %q: %w", rec.Key, err)
		}
		m.putLocation(l)
		return nil
	}
}
