package canonicalizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/gs1"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
)

// textFunctions read numbers, times and identifiers as partners write them. What
// they cannot read comes out as it is, so that the line names it.
func textFunctions() []jq.Function {
	return []jq.Function{
		{Name: "decimal", Min: 1, Max: 1, Call: decimal},
		{Name: "implied", Min: 1, Max: 1, Call: implied},
		{Name: "epoch", Min: 1, Max: 1, Call: epoch},
		{Name: "sap_when", Min: 2, Max: 2, Call: sapWhen},
		{Name: "alpha", Min: 0, Max: 0, Call: alpha},
		{Name: "gs1", Min: 0, Max: 0, Call: gs1ID},
		{Name: "gtin14", Min: 0, Max: 0, Call: gtin14},
		{Name: "digest", Min: 0, Max: 0, Call: contentDigest},
		{Name: "as_number", Min: 0, Max: 0, Call: asNumber},
		{Name: "from_json", Min: 0, Max: 0, Call: fromJSON},
	}
}

// decimal($mark) is a number written with a decimal mark ("." or ","), the other
// mark, blanks or apostrophes between thousands, a sign before or behind: "1.250,5-"
// with "," is "-1250.5".
func decimal(v any, args []any) any {
	mark, _ := args[0].(string)
	if mark != "." && mark != "," {
		return errors.New(`decimal: the mark is "." or ","`)
	}
	s, ok := asText(v)
	if !ok || s == "" {
		return v
	}
	sign, digitsOf := signed(s)
	whole, frac, point := strings.Cut(digitsOf, mark)
	whole, ok = ungrouped(whole, mark)
	if !ok || whole+frac == "" || !digits(whole+frac) || point && frac == "" && whole == "" {
		return v
	}
	if whole == "" {
		whole = "0"
	}
	if frac != "" {
		frac = "." + frac
	}
	return sign + whole + frac
}

// signed takes the sign off a number; SAP writes it behind.
func signed(s string) (sign, number string) {
	switch {
	case strings.HasPrefix(s, "-"):
		return "-", strings.TrimSpace(s[1:])
	case strings.HasSuffix(s, "-"):
		return "-", strings.TrimSpace(s[:len(s)-1])
	case strings.HasPrefix(s, "+"):
		return "", strings.TrimSpace(s[1:])
	case strings.HasSuffix(s, "+"):
		return "", strings.TrimSpace(s[:len(s)-1])
	}
	return "", s
}

// ungrouped takes out what stands between groups of three digits.
func ungrouped(s, mark string) (string, bool) {
	seps := []string{" ", "\u00a0", "\u202f", "'", "’", "."}
	if mark == "." {
		seps[5] = ","
	}
	for _, sep := range seps {
		if !strings.Contains(s, sep) {
			continue
		}
		groups := strings.Split(s, sep)
		for i, g := range groups {
			if i > 0 && len(g) != 3 || i == 0 && (g == "" || len(g) > 3) {
				return "", false
			}
		}
		return strings.Join(groups, ""), true
	}
	return s, true
}

// implied($n) is a whole number whose last n digits are decimals: "0001250" with 2
// is "12.50".
func implied(v any, args []any) any {
	n, ok := gojq.ToInt(args[0])
	if !ok || n < 0 || n > 18 {
		return errors.New("implied: wants how many decimals, 0 to 18")
	}
	s, ok := asText(v)
	if !ok || s == "" {
		return v
	}
	sign, number := signed(s)
	if !digits(number) || len(number) > maxNumber {
		return v
	}
	if len(number) <= n {
		number = strings.Repeat("0", n+1-len(number)) + number
	}
	whole := strings.TrimLeft(number[:len(number)-n], "0")
	if whole == "" {
		whole = "0"
	}
	if n == 0 {
		return sign + whole
	}
	return sign + whole + "." + number[len(number)-n:]
}

// epoch($unit) is the RFC 3339 text of a count of "s", "ms", "us", "ns" or "d" since
// 1970-01-01T00:00Z; of days a date.
func epoch(v any, args []any) any {
	s, ok := asText(v)
	if !ok || s == "" {
		return v
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return v
	}
	unit, _ := args[0].(string)
	t, ok := since(n, unit)
	if !ok {
		return errors.New("epoch: the unit is s, ms, us, ns or d")
	}
	if y := t.Year(); y < 0 || y > 9999 {
		return v
	}
	if unit == "d" {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

func since(n int64, unit string) (time.Time, bool) {
	switch unit {
	case "s":
		return time.Unix(n, 0).UTC(), true
	case "ms":
		return time.UnixMilli(n).UTC(), true
	case "us":
		return time.UnixMicro(n).UTC(), true
	case "ns":
		return time.Unix(0, n).UTC(), true
	case "d":
		if n > 1<<40 || n < -1<<40 {
			n = 1 << 40 // beyond any year
		}
		return time.Unix(n*86_400, 0).UTC(), true
	}
	return time.Time{}, false
}

// sap_when($date; $time) joins SAP's DATS and TIMS; initial ones (00000000) are
// none.
func sapWhen(_ any, args []any) any {
	date, _ := args[0].(string)
	clock, _ := args[1].(string)
	if strings.Trim(date, "0 ") == "" {
		return nil
	}
	return x12When(nil, []any{date, clock, nil})
}

// alpha takes off the zeros that SAP puts in front of numbers (conversion exit
// ALPHA); what is not all digits stays.
func alpha(v any, _ []any) any {
	s, ok := v.(string)
	if !ok || !digits(s) {
		return v
	}
	if s = strings.TrimLeft(s, "0"); s == "" {
		return "0"
	}
	return s
}

// gs1 reads an EPC URI, a Digital Link or an element string: {type, value, lot,
// serial}; null when it is none, an error when it is a wrong one.
func gs1ID(v any, _ []any) any {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	id, err := gs1.Parse(s)
	switch {
	case errors.Is(err, gs1.ErrNotGS1):
		return nil
	case err != nil:
		return fmt.Errorf("gs1: %w", err)
	}
	return map[string]any{"type": id.Type, "value": id.Value, "lot": orNull(id.Lot), "serial": orNull(id.Serial)}
}

// gtin14 is a GTIN, UPC or EAN in 14 digits; null when its check digit is wrong.
func gtin14(v any, _ []any) any {
	s, _ := asText(v)
	g, _ := gs1.GTIN14(s)
	return orNull(g)
}

// maxNumber bounds the text of a number that is computed with, bytes: a million
// digits take jq's arithmetic a second.
const maxNumber = 128

// as_number stands behind tonumber: a text too long to be computed with is an
// error.
func asNumber(v any, _ []any) any {
	s, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		s, ok = n.String(), true
	}
	if !ok {
		switch v.(type) {
		case int, float64, *big.Int:
			return v
		}
		return fmt.Errorf("tonumber: %s is no number", jq.TypeOf(v))
	}
	t := strings.TrimSpace(s)
	if len(t) > maxNumber || t == "" || strings.Trim(t, "0123456789.eE+-") != "" {
		return fmt.Errorf("tonumber: %.40q is no number", s)
	}
	if _, err := strconv.ParseFloat(t, 64); err != nil { // also when beyond any double
		return fmt.Errorf("tonumber: %.40q is no number", s)
	}
	return json.Number(bareNumber(t))
}

// bareNumber writes a number as JSON does: without a plus, zeros in front and a point
// without digits on both sides.
func bareNumber(t string) string {
	sign := ""
	if t[0] == '-' || t[0] == '+' {
		sign, t = strings.TrimPrefix(t[:1], "+"), t[1:]
	}
	mantissa, exponent := t, ""
	if i := strings.IndexAny(t, "eE"); i >= 0 {
		mantissa, exponent = t[:i], t[i:]
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if part != "" {
		part = "." + part
	}
	return sign + whole + part + exponent
}

// from_json stands behind fromjson: JSON in a text is read as strictly as a
// message.
func fromJSON(v any, _ []any) any {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("fromjson: wants a text, not %s", jq.TypeOf(v))
	}
	tree, fault := jsontext.Read([]byte(s))
	if fault != nil {
		return fmt.Errorf("fromjson: %s: %s", fault.Code, fault.Reason)
	}
	return tree
}
