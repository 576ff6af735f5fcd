// Package gs1 reads identifiers of GS1: EPC URIs (EPC Tag Data Standard 2.0, §6,
// §7), GS1 Digital Link URIs (Digital Link: URI Syntax 1.3, §4) and element strings
// with brackets (General Specifications, §7.8). It does no I/O.
package gs1

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Types of identifier.
const (
	GTIN = "gtin" // 14 digits
	GLN  = "gln"  // 13 digits
	SSCC = "sscc" // 18 digits
	GRAI = "grai" // 13 digits of the type, without the leading zero of its element string
	GIAI = "giai"
	GDTI = "gdti" // 13 digits of the type
	GSRN = "gsrn" // 18 digits
)

// ID is an identifier: what kind of thing, and with Lot or Serial which of them.
type ID struct {
	Type  string
	Value string // with its check digit
	Lot   string
	// Serial of a GTIN, GRAI or GDTI; extension of a GLN.
	Serial string
}

// Errors of Parse.
var (
	// ErrNotGS1 says that a text is no identifier of GS1 that is known here.
	ErrNotGS1 = errors.New("no GS1 identifier")
	// ErrBad says that it is one, and wrong.
	ErrBad = errors.New("a wrong GS1 identifier")
)

// CheckDigit is the last digit of an identifier whose other digits are given
// (General Specifications §7.9); false when they are not digits.
func CheckDigit(digits string) (byte, bool) {
	sum := 0
	for i := range len(digits) {
		d := digits[len(digits)-1-i]
		if d < '0' || d > '9' {
			return 0, false
		}
		if i%2 == 0 {
			sum += 3 * int(d-'0')
		} else {
			sum += int(d - '0')
		}
	}
	return '0' + byte((10-sum%10)%10), digits != ""
}

// Valid says whether the last digit is the check digit of the others.
func Valid(number string) bool {
	if len(number) < 2 {
		return false
	}
	c, ok := CheckDigit(number[:len(number)-1])
	return ok && c == number[len(number)-1]
}

// GTIN14 is a GTIN of 8, 12, 13 or 14 digits in 14; false when it is none or its
// check digit is wrong.
func GTIN14(number string) (string, bool) {
	switch len(number) {
	case 8, 12, 13, 14:
		if Valid(number) {
			return strings.Repeat("0", 14-len(number)) + number, true
		}
	}
	return "", false
}

// Parse reads an identifier in any of the three forms.
func Parse(s string) (ID, error) {
	switch s = strings.TrimSpace(s); {
	case strings.HasPrefix(s, "urn:epc:"):
		return epc(s)
	case strings.HasPrefix(s, "https://"), strings.HasPrefix(s, "http://"):
		return link(s)
	case strings.HasPrefix(s, "("):
		return elements(s)
	}
	return ID{}, ErrNotGS1
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBad, fmt.Sprintf(format, args...))
}

// schemes are the EPC schemes: how many digits company prefix and reference have
// together, without check digit, and whether the first digit of the reference goes
// in front.
var schemes = map[string]struct {
	typ    string
	digits int
	front  bool
	parts  int
}{
	"id:sgtin":    {GTIN, 13, true, 3},
	"idpat:sgtin": {GTIN, 13, true, 3},
	"class:lgtin": {GTIN, 13, true, 3},
	"id:sgln":     {GLN, 12, false, 3},
	"id:pgln":     {GLN, 12, false, 2},
	"id:sscc":     {SSCC, 17, true, 2},
	"id:grai":     {GRAI, 12, false, 3},
	"idpat:grai":  {GRAI, 12, false, 3},
	"id:gdti":     {GDTI, 12, false, 3},
	"id:gsrn":     {GSRN, 17, false, 2},
	"id:giai":     {GIAI, 0, false, 2},
}

func epc(s string) (ID, error) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(s, "urn:epc:"), ":")
	name, rest, ok := strings.Cut(rest, ":")
	scheme, known := schemes[kind+":"+name]
	if !ok || !known {
		return ID{}, ErrNotGS1
	}
	parts := strings.SplitN(rest, ".", scheme.parts)
	if len(parts) != scheme.parts || !digits(parts[0]) || len(parts[0]) < 6 || len(parts[0]) > 12 {
		return ID{}, bad("%.100q has no company prefix of 6 to 12 digits or not %d parts", s, scheme.parts)
	}
	prefix, ref := parts[0], parts[1]
	id := ID{Type: scheme.typ}
	if scheme.typ == GIAI {
		own, err := unescape(ref)
		id.Value = prefix + own
		return id, err
	}
	number := prefix + ref
	if len(number) != scheme.digits || !digits(number) || scheme.front && ref == "" {
		return ID{}, bad("%.100q has not %d digits", s, scheme.digits)
	}
	if scheme.front {
		number = ref[:1] + prefix + ref[1:]
	}
	c, _ := CheckDigit(number)
	id.Value = number + string(c)
	if len(parts) < 3 {
		return id, nil
	}
	third, err := unescape(parts[2])
	if err != nil || third == "" {
		return ID{}, bad("%.100q: serial or lot", s)
	}
	switch {
	case kind == "idpat" && third != "*":
		return ID{}, bad("%.100q is a pattern of serial numbers", s)
	case kind == "idpat", id.Type == GLN && third == "0":
	case kind == "class":
		id.Lot = third
	default:
		id.Serial = third
	}
	return id, nil
}

func unescape(s string) (string, error) {
	out, err := url.PathUnescape(s)
	if err != nil {
		return "", bad("%.100q: %v", s, err)
	}
	return out, nil
}

// primary keys by application identifier (General Specifications §3).
var primary = map[string]string{
	"00": SSCC, "01": GTIN, "414": GLN, "417": GLN, "253": GDTI, "8003": GRAI, "8004": GIAI, "8017": GSRN, "8018": GSRN,
}

// link reads a Digital Link: the first key in its path and the qualifiers behind
// it; a domain and what stands in front of the key say nothing.
func link(s string) (ID, error) {
	u, err := url.Parse(s)
	if err != nil {
		return ID{}, ErrNotGS1
	}
	path := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i := 0; i+1 < len(path); i++ {
		if _, ok := primary[path[i]]; !ok {
			continue
		}
		var pairs [][2]string
		for j := i; j+1 < len(path); j += 2 {
			v, err := unescape(path[j+1])
			if err != nil {
				return ID{}, err
			}
			pairs = append(pairs, [2]string{path[j], v})
		}
		id, err := build(pairs)
		if errors.Is(err, ErrBad) && i+3 < len(path) {
			continue // a folder that looks like a key, /00/01/...
		}
		return id, err
	}
	return ID{}, ErrNotGS1
}

// elements reads (01)09506000134352(10)ABC.
func elements(s string) (ID, error) {
	var pairs [][2]string
	for s != "" {
		ai, rest, ok := strings.Cut(strings.TrimPrefix(s, "("), ")")
		if !ok || s[0] != '(' || !digits(ai) || len(ai) < 2 || len(ai) > 4 {
			return ID{}, ErrNotGS1
		}
		value := rest
		s = ""
		if i := strings.IndexByte(rest, '('); i >= 0 {
			value, s = rest[:i], rest[i:]
		}
		pairs = append(pairs, [2]string{ai, value})
	}
	for i, p := range pairs {
		if _, ok := primary[p[0]]; ok {
			pairs[0], pairs[i] = pairs[i], pairs[0]
			return build(pairs)
		}
	}
	return ID{}, ErrNotGS1
}

// build makes an identifier of application identifiers and values, the key first.
func build(pairs [][2]string) (ID, error) {
	id, value := ID{Type: primary[pairs[0][0]]}, pairs[0][1]
	want := 0
	switch id.Type {
	case GTIN:
		var ok bool
		if value, ok = GTIN14(value); !ok {
			return ID{}, bad("GTIN %.40q", pairs[0][1])
		}
	case GLN:
		want = 13
	case SSCC, GSRN:
		want = 18
	case GRAI:
		if len(value) < 14 || value[0] != '0' {
			return ID{}, bad("GRAI %.40q", value)
		}
		value, id.Serial, want = value[1:14], value[14:], 13
	case GDTI:
		if len(value) < 13 {
			return ID{}, bad("GDTI %.40q", value)
		}
		value, id.Serial, want = value[:13], value[13:], 13
	case GIAI:
		if len(value) < 5 || len(value) > 30 {
			return ID{}, bad("GIAI %.40q", value)
		}
	}
	if want > 0 && (len(value) != want || !Valid(value)) {
		return ID{}, bad("%s %.40q: %d digits, the last a check digit", strings.ToUpper(id.Type), value, want)
	}
	id.Value = value
	for _, p := range pairs[1:] {
		switch {
		case p[0] == "10" && id.Type == GTIN:
			id.Lot = p[1]
		case p[0] == "21" && id.Type == GTIN, p[0] == "254" && id.Type == GLN:
			id.Serial = p[1]
		}
	}
	return id, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
