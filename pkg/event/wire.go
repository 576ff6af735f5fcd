package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Limits of one value. They are checked before memory is taken, so that bytes
// from a hostile or broken writer cost no more than they are long.
const (
	MaxBody     = 1 << 20            // of a raw message, which ingest enforces
	MaxBytes    = MaxBody + 256<<10  // of any bytes or string: a dead letter keeps a whole raw record
	MaxValue    = MaxBytes + 256<<10 // of an encoded value; topics allow as much
	MaxElements = 10_000             // of any array
)

// aliasUpTo is the length of a value that its strings may keep alive: shorter
// ones are converted once and sliced, longer ones string by string.
const aliasUpTo = 4096

// writer appends Avro's binary encoding (Apache Avro 1.12 specification, "Binary
// Encoding"). The first error sticks.
type writer struct {
	b   []byte
	err error
	// decoded says that every text comes out of a decoded value or our own code, so
	// that its encoding has been checked already.
	decoded bool
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// long appends an int or a long: zig-zag, then seven bits a byte, lowest first.
func (w *writer) long(v int64) {
	u := uint64(v<<1) ^ uint64(v>>63)
	if u < 0x80 {
		w.b = append(w.b, byte(u))
		return
	}
	w.b = binary.AppendUvarint(w.b, u)
}

func (w *writer) null() { w.b = append(w.b, 0) } // branch 0 of ["null", X]; also an empty array, block or string
func (w *writer) some() { w.b = append(w.b, 2) } // branch 1 of ["null", X]

func (w *writer) flag(v bool) {
	var b byte
	if v {
		b = 1
	}
	w.b = append(w.b, b)
}

func (w *writer) text(s string) {
	if len(s) < 0x40 { // one byte of length, which is most of them
		w.b = append(append(w.b, byte(len(s)<<1)), s...)
	} else {
		if len(s) > MaxBytes {
			w.notText(s)
			return
		}
		w.long(int64(len(s)))
		w.b = append(w.b, s...)
	}
	if !w.decoded && !ascii(w.b, len(s)) && !utf8.ValidString(s) {
		w.notText(s)
	}
}

func (w *writer) notText(s string) { w.fail("string of %d bytes is too long or not UTF-8", len(s)) }

// ascii says whether the last n bytes are ASCII, eight at a time.
func ascii(b []byte, n int) bool {
	const high = 0x8080808080808080
	var all uint64
	b = b[len(b)-n : cap(b)]
	for ; n >= 8 && len(b) >= 8; n -= 8 {
		all |= binary.LittleEndian.Uint64(b)
		b = b[8:]
	}
	if n > 0 && len(b) >= 8 { // what follows it is not looked at
		all |= binary.LittleEndian.Uint64(b) << (64 - 8*n)
		n = 0
	}
	for _, c := range b[:n] {
		all |= uint64(c)
	}
	return all&high == 0
}

// prose is text that only people read: what is not UTF-8 in it is replaced, so a
// message that quotes broken input can always be written.
func (w *writer) prose(s string) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	w.text(s)
}

func (w *writer) blob(b []byte) {
	if len(b) > MaxBytes {
		w.fail("%d bytes are more than %d", len(b), MaxBytes)
		return
	}
	w.long(int64(len(b)))
	w.b = append(w.b, b...)
}

// quantity appends decimal(18,4): the length, then the shortest big-endian two's
// complement of the unscaled number.
func (w *writer) quantity(q inventory.Quantity) {
	if q > inventory.MaxQuantity || q < -inventory.MaxQuantity {
		w.fail("%w: %d", inventory.ErrOverflow, q)
		return
	}
	if q == 0 { // most states of most locations
		w.b = append(w.b, 2, 0)
		return
	}
	n := bits.Len64(uint64(q^(q>>63)))/8 + 1
	w.b = append(w.b, byte(n<<1))
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(q)<<(64-8*n))
	w.b = w.b[:len(w.b)-8+n]
}

func (w *writer) account(a inventory.Account) {
	if a >= inventory.NumAccounts {
		w.fail("%w: %d", inventory.ErrAccount, a)
		return
	}
	w.text(a.String())
}

// The opt methods write null for what is not stated.

func (w *writer) optText(s string) {
	if s == "" {
		w.null()
		return
	}
	w.some()
	w.text(s)
}

func (w *writer) optProse(s string) {
	if s == "" {
		w.null()
		return
	}
	w.some()
	w.prose(s)
}

func (w *writer) optLong(v int64) {
	if v == 0 {
		w.null()
		return
	}
	w.some()
	w.long(v)
}

func (w *writer) optQuantity(q inventory.Quantity, stated bool) {
	if !stated {
		w.null()
		return
	}
	w.some()
	w.quantity(q)
}

func (w *writer) optAccount(a inventory.Account) {
	if a == inventory.OnHand {
		w.null()
		return
	}
	w.some()
	w.account(a)
}

// count opens an array of n elements; where n is zero it also closes it.
func (w *writer) count(n int) {
	if n > MaxElements {
		w.fail("%d elements are more than %d", n, MaxElements)
	}
	w.long(int64(n))
}

// errEnd is what reading beyond the end gives.
var errEnd = errors.New("unexpected end")

// reader takes Avro's binary encoding apart. The first error sticks; after it
// every read gives a zero.
type reader struct {
	b     []byte
	i     int
	s     string // b, converted when a string first needs it
	last  string // the last word: the next one is often the same
	nth   int    // words read into a Buf
	err   error
	words *words
	into  *Buf // nil: texts and bodies get memory of their own
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.i, err)
	}
	r.b, r.i = nil, 0
}

func (r *reader) failf(format string, args ...any) {
	if r.err == nil {
		r.fail(fmt.Errorf(format, args...))
	}
}

func (r *reader) long() int64 {
	if r.i < len(r.b) {
		if c := r.b[r.i]; c < 0x80 {
			r.i++
			return int64(c>>1) ^ -int64(c&1)
		}
	}
	return r.longer()
}

func (r *reader) longer() int64 {
	u, n := binary.Uvarint(r.b[r.i:])
	switch {
	case n == 0:
		r.fail(errEnd)
		return 0
	case n < 0:
		r.failf("number is longer than 64 bits")
		return 0
	}
	r.i += n
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) int() int32 {
	v := r.long()
	if v > math.MaxInt32 || v < math.MinInt32 {
		r.failf("number %d does not fit 32 bits", v)
		return 0
	}
	return int32(v)
}

// The opt methods read null as what is not stated.

func (r *reader) optText() string {
	if r.some() {
		return r.text()
	}
	return ""
}

func (r *reader) optWord() string {
	if r.some() {
		return r.word()
	}
	return ""
}

func (r *reader) optLong() int64 {
	if r.some() {
		return r.long()
	}
	return 0
}

func (r *reader) optInt() int32 {
	if r.some() {
		return r.int()
	}
	return 0
}

func (r *reader) optQuantity() (q inventory.Quantity, stated bool) {
	if r.some() {
		return r.quantity(), true
	}
	return 0, false
}

// below reads a number from 0 to limit - 1.
func (r *reader) below(limit int) int {
	v := r.long()
	if v < 0 || v >= int64(limit) {
		r.failf("number %d is not below %d", v, limit)
		return 0
	}
	return int(v)
}

// some reads the branch of ["null", X]: true for X.
func (r *reader) some() bool {
	if r.i < len(r.b) {
		if c := r.b[r.i]; c&^2 == 0 {
			r.i++
			return c != 0
		}
	}
	return r.noBranch()
}

func (r *reader) noBranch() bool {
	if r.i >= len(r.b) {
		r.fail(errEnd)
	} else {
		r.failf("union branch %d of 2", r.b[r.i])
	}
	return false
}

func (r *reader) flag() bool {
	if r.i >= len(r.b) {
		r.fail(errEnd)
		return false
	}
	c := r.b[r.i]
	if c > 1 {
		r.failf("boolean %d", c)
		return false
	}
	r.i++
	return c == 1
}

// take reads a length and steps over as many bytes.
func (r *reader) take() (from, to int) {
	if i := r.i; i < len(r.b) {
		if c := r.b[i]; c&0x81 == 0 { // a length of one byte
			if to := i + 1 + int(c>>1); to <= len(r.b) {
				r.i = to
				return i + 1, to
			}
		}
	}
	return r.takeAny()
}

func (r *reader) takeAny() (from, to int) {
	n := r.long()
	if n < 0 || n > MaxBytes {
		r.failf("length %d is not within %d", n, MaxBytes)
		return 0, 0
	}
	return r.skip(int(n))
}

func (r *reader) skip(n int) (from, to int) {
	if n > len(r.b)-r.i {
		r.fail(errEnd)
		return 0, 0
	}
	from, to = r.i, r.i+n
	r.i = to
	return from, to
}

// text reads a string of which there are many different ones.
func (r *reader) text() string {
	from, to := r.take()
	if from == to {
		return ""
	}
	var s string
	switch {
	case r.into != nil:
		s = unsafe.String(&r.b[from], to-from)
	case len(r.b) <= aliasUpTo:
		if r.s == "" {
			r.s = string(r.b)
		}
		s = r.s[from:to]
	default:
		s = string(r.b[from:to])
	}
	if !utf8.ValidString(s) {
		r.failf("string is not UTF-8")
		return ""
	}
	return s
}

// word reads a string of which there are few different ones.
func (r *reader) word() string {
	from, to := r.take()
	if from == to {
		return ""
	}
	b := r.b[from:to]
	last := &r.last
	if r.into != nil && r.nth < len(r.into.words) {
		last = &r.into.words[r.nth]
		r.nth++
	}
	if string(b) != *last {
		s, ok := r.words.get(b)
		if !ok {
			r.failf("string is not UTF-8")
			return ""
		}
		*last = s
	}
	return *last
}

// blob reads bytes, which alias the value.
func (r *reader) blob() []byte {
	from, to := r.take()
	if from == to {
		return nil
	}
	return r.b[from:to:to]
}

func (r *reader) quantity() inventory.Quantity {
	// The common short forms, without a second bounds check.
	if b := r.b[r.i:]; len(b) >= 2 && b[0] == 2 {
		r.i += 2
		return inventory.Quantity(int8(b[1]))
	}
	n := r.long()
	if n < 1 || n > 8 {
		r.failf("decimal of %d bytes", n)
		return 0
	}
	from, to := r.skip(int(n))
	if from == to {
		return 0
	}
	v := int64(int8(r.b[from]))
	for _, c := range r.b[from+1 : to] {
		v = v<<8 | int64(c)
	}
	q := inventory.Quantity(v)
	if q > inventory.MaxQuantity || q < -inventory.MaxQuantity {
		r.fail(inventory.ErrOverflow)
		return 0
	}
	return q
}

func (r *reader) account() inventory.Account {
	name := r.word()
	a, err := inventory.ParseAccount(name)
	if err != nil && r.err == nil {
		r.failf("%w: %q", err, name)
	}
	return a
}

func (r *reader) optAccount() inventory.Account {
	if r.some() {
		return r.account()
	}
	return inventory.OnHand
}

// block reads the header of an array's next block: its elements, each of at
// least minSize bytes, with have read before. Zero ends the array.
func (r *reader) block(have, minSize int) int {
	n := r.long()
	if n == 0 {
		return 0
	}
	if n < 0 { // a size in bytes follows; it helps to skip, and is not needed to read
		n = -n
		if r.long() < 0 {
			r.failf("negative block size")
			return 0
		}
	}
	if n < 0 || n > int64(MaxElements-have) {
		r.failf("array of more than %d elements", MaxElements)
		return 0
	}
	if n*int64(minSize) > int64(len(r.b)-r.i) {
		r.fail(errEnd)
		return 0
	}
	return int(n)
}
