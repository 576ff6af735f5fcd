package scaffold

import (
	"regexp"
	"strings"
	"time"
)

// A role is what a field seems to say.
type role string

// Roles, by which a mapping needs them first.
const (
	roleItem     role = "item"
	roleGTIN     role = "gtin"
	roleQuantity role = "quantity"
	roleUnit     role = "unit"
	roleLocation role = "location"
	roleTime     role = "time"
	roleDocument role = "document"
	roleLine     role = "line"
)

// Words in the names of fields, of several languages; the first rule that matches.
var roleWords = []struct {
	role  role
	words *regexp.Regexp
}{
	{roleGTIN, regexp.MustCompile(`(^|[_. -])(gtin|ean|upc|barcode|isbn)([0-9]*)($|[_. -])`)},
	{roleUnit, regexp.MustCompile(`(^|[_. -])(uom|unit|unit_of_measure|einheit|me|unite|unidad|um)($|[_. -])`)},
	{roleQuantity, regexp.MustCompile(`(qty|quantit|quantity|menge|bestand|on_?hand|onhand|available|soh|stock|units|cantidad|hoeveelheid|quantita|antal)`)},
	{roleLine, regexp.MustCompile(`(^|[_. -])(line|pos|position|line_?no|line_?number|zeile)($|[_. -])`)},
	{roleItem, regexp.MustCompile(`(sku|article|artikel|artnr|material|matnr|item|product_?(id|code|no|number)|part_?(no|number|nr)|referencia|reference_article)`)},
	{roleLocation, regexp.MustCompile(`(warehouse|location|lager|filiale|markt|site|store|depot|whse|branch|plant|werk|magasin|almacen|facility)`)},
	{roleTime, regexp.MustCompile(`(date|datum|time|timestamp|as_?of|updated|created|fecha|zeit|_at$)`)},
	{roleDocument, regexp.MustCompile(`(^id$|doc|order|auftrag|bestell|number|nummer|batch|^ref|reference|receipt|shipment|delivery|count_id)`)},
}

// roles assigns each role to the first field that seems to have it, by name and by
// what stands in it. Values of a field are in cells.
func roles(names []string, cells func(i int) []string) map[role]int {
	out := map[role]int{}
	for _, rule := range roleWords {
		for i, n := range names {
			if taken(out, rule.role) || has(out, i) || !rule.words.MatchString(strings.ToLower(n)) {
				continue
			}
			if fits(rule.role, cells(i)) {
				out[rule.role] = i
			}
		}
	}
	// Columns without a word that tells: by their values.
	for _, byValue := range []role{roleGTIN, roleTime, roleQuantity, roleItem} {
		if taken(out, byValue) || byValue == roleItem && taken(out, roleGTIN) {
			continue
		}
		for i := range names {
			if !has(out, i) && surely(byValue, cells(i)) {
				out[byValue] = i
				break
			}
		}
	}
	return out
}

// has says whether a field has a role.
func has(m map[role]int, i int) bool {
	for _, n := range m {
		if n == i {
			return true
		}
	}
	return false
}

// taken says whether a role has a field.
func taken(m map[role]int, r role) bool { _, ok := m[r]; return ok }

// fits says whether values do not speak against a role.
func fits(r role, values []string) bool {
	for _, v := range values {
		switch {
		case v == "":
		case r == roleQuantity && !number.MatchString(v) && !decimalComma.MatchString(v) && !decimalPoint.MatchString(v),
			r == roleTime && !isDate(v):
			return false
		}
	}
	return true
}

// surely says whether values by themselves speak for a role.
func surely(r role, values []string) bool {
	n := 0
	for _, v := range values {
		if v == "" {
			continue
		}
		n++
		switch r { //nolint:exhaustive // of the others no value tells
		case roleGTIN:
			if !gtin(v) {
				return false
			}
		case roleTime:
			if !isDate(v) {
				return false
			}
		case roleQuantity:
			if !number.MatchString(v) || len(v) > 7 {
				return false
			}
		case roleItem:
			if len(v) < 2 || len(v) > 40 || strings.ContainsAny(v, " ,") {
				return false
			}
		default:
			return false
		}
	}
	return n > 0
}

// isDate says whether a text is a date or a time as people and systems write them.
func isDate(s string) bool {
	for _, layout := range []string{
		time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006/01/02", "02.01.2006", "02.01.2006 15:04",
		"01/02/2006", "02/01/2006", "20060102", "200601021504", "20060102150405",
	} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// ours says whether a mapping may hand a time on as it is.
func ours(s string) bool {
	for _, layout := range []string{time.RFC3339, time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "20060102", "200601021504", "20060102150405"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// gtin says whether a text is a GTIN of 12 to 14 digits with its check digit (GS1
// General Specifications, section 7.9).
func gtin(s string) bool {
	if len(s) < 12 || len(s) > 14 {
		return false
	}
	sum := 0
	for i := range len(s) {
		c := s[len(s)-1-i]
		if c < '0' || c > '9' {
			return false
		}
		weight := 1
		if i%2 == 1 {
			weight = 3
		}
		sum += weight * int(c-'0')
	}
	return sum%10 == 0
}
