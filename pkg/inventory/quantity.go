package inventory

import (
	"errors"
	"strconv"
	"strings"
)

// Quantity is an amount in the item's base unit at scale 10^-4: 1 unit is
// 10,000. It may be negative. |Quantity| stays within MaxQuantity, so that a sum
// of a few never wraps.
type Quantity int64

// One is a whole base unit; MaxQuantity is the largest magnitude of
// decimal(18,4).
const (
	One         Quantity = 10_000
	MaxQuantity Quantity = 999_999_999_999_999_999
)

// Errors of quantities.
var (
	ErrQuantity = errors.New("inventory: not a quantity")
	ErrOverflow = errors.New("inventory: quantity overflow")
)

// ParseQuantity reads a plain decimal: optional sign, digits, optional point and
// up to four significant decimals. Exponents, separators and blanks are refused.
func ParseQuantity(s string) (Quantity, error) {
	t, neg := s, false
	if t != "" && (t[0] == '-' || t[0] == '+') {
		neg = t[0] == '-'
		t = t[1:]
	}
	whole, frac, point := strings.Cut(t, ".")
	if whole == "" && frac == "" || point && frac == "" {
		return 0, ErrQuantity
	}
	for _, p := range [2]string{whole, frac} {
		for i := range len(p) {
			if p[i] < '0' || p[i] > '9' {
				return 0, ErrQuantity
			}
		}
	}
	frac = strings.TrimRight(frac, "0")
	if len(frac) > 4 {
		return 0, ErrQuantity
	}
	whole = strings.TrimLeft(whole, "0")
	if len(whole) > 14 {
		return 0, ErrOverflow
	}
	n, err := strconv.ParseInt(whole+frac+"0000"[len(frac):], 10, 64)
	if err != nil {
		return 0, ErrOverflow
	}
	if neg {
		n = -n
	}
	return Quantity(n), nil
}

// Add returns q + d, or ErrOverflow beyond MaxQuantity.
func (q Quantity) Add(d Quantity) (Quantity, error) {
	s := q + d // both within MaxQuantity: int64 cannot wrap
	if s > MaxQuantity || s < -MaxQuantity {
		return q, ErrOverflow
	}
	return s, nil
}

// String is the shortest plain decimal.
func (q Quantity) String() string {
	n, sign := int64(q), ""
	if n < 0 {
		n, sign = -n, "-"
	}
	s := strconv.FormatInt(n/int64(One), 10)
	if f := n % int64(One); f != 0 {
		t := strconv.FormatInt(f+int64(One), 10)[1:]
		s += "." + strings.TrimRight(t, "0")
	}
	return sign + s
}
