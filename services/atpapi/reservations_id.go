package atpapi

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

// Bounds of the names in an id: it is part of a path.
const (
	maxIDNames = 3000 // bytes of all items' names
	maxIDText  = 5000 // characters of an id
)

// ticket is what a reservation is known by over HTTP. Its text carries all that giving
// it back needs, so that any replica can at any time, whatever it and Redis remember;
// and it is worth nothing to anybody but its partner, since the reservation that is meant
// is the hash of whoever asks and the key it carries:
//
//	id = 32 hex digits of the reservation "." base64url(mode key items)
type ticket struct {
	partner string
	key     string // Idempotency-Key
	partial bool
	items   []inventory.Key // distinct, in the order asked
}

// number is the reservation's id in the ledger: what an order names it by. Of one in
// parts each item has its own.
func (t *ticket) number() string { return reservation.ID(t.partner, t.key) }

// numberOf is the id that an item of one in parts has. No Idempotency-Key has a blank.
func (t *ticket) numberOf(k inventory.Key) string {
	return reservation.ID(t.partner, t.key+" "+k.String())
}

func (t *ticket) String() string {
	b := []byte{'a'}
	if t.partial {
		b[0] = 'p'
	}
	b = appendText(b, t.key)
	entity := inventory.Entity("")
	for _, k := range t.items {
		name := k.Entity
		if name == entity {
			name = "" // that of the one before
		}
		entity = k.Entity
		b = appendText(appendText(b, string(name)), string(k.Item))
	}
	return t.number() + "." + base64.RawURLEncoding.EncodeToString(b)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// errTicket is an id that is none, or somebody else's: which of them is not said.
var errTicket = errors.New("no id of a reservation of this partner")

// readTicket reads an id that its partner presents. One without what follows the point
// is only a number: then full is false and nothing else is known.
func readTicket(partner, text string) (t ticket, number string, full bool, err error) {
	number, rest, full := strings.Cut(text, ".")
	if len(text) > maxIDText || !isNumber(number) {
		return ticket{}, "", false, errTicket
	}
	if !full {
		return ticket{partner: partner}, number, false, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(rest)
	if err != nil || len(b) == 0 || b[0] != 'a' && b[0] != 'p' {
		return ticket{}, "", false, errTicket
	}
	t = ticket{partner: partner, partial: b[0] == 'p'}
	var ok bool
	if t.key, b, ok = cutText(b[1:]); !ok || t.key == "" {
		return ticket{}, "", false, errTicket
	}
	entity := ""
	for len(b) > 0 {
		var name, item string
		if name, b, ok = cutText(b); !ok {
			return ticket{}, "", false, errTicket
		}
		if item, b, ok = cutText(b); !ok || item == "" {
			return ticket{}, "", false, errTicket
		}
		if name != "" {
			entity = name
		}
		t.items = append(t.items, inventory.Key{Entity: inventory.Entity(entity), Item: inventory.Item(item)})
	}
	// It is what was sent, of this partner and by the byte: no reservation has two ids.
	if len(t.items) == 0 || len(t.items) > reservation.MaxItems || t.items[0].Entity == "" || t.String() != text {
		return ticket{}, "", false, errTicket
	}
	return t, number, true, nil
}

func cutText(b []byte) (s string, rest []byte, ok bool) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > maxName || n > uint64(len(b)-w) {
		return "", nil, false
	}
	return string(b[w : w+int(n)]), b[w+int(n):], true //nolint:gosec // at most maxName
}

func isNumber(s string) bool {
	if len(s) != 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// requests are what the ledger knows of the reservation, one or, in parts, one for each
// item; lines are those asked for, where it is asked.
func (t *ticket) requests(lines []reservation.Line, hold inventory.Instant) []reservation.Request {
	if !t.partial {
		return []reservation.Request{{ID: t.number(), Partner: t.partner, Lines: lines, Hold: hold}}
	}
	rs := make([]reservation.Request, len(t.items))
	at := make(map[inventory.Key]int, len(t.items))
	for i, k := range t.items {
		at[k] = i
		rs[i] = reservation.Request{ID: t.numberOf(k), Partner: t.partner, Hold: hold, Partial: true}
	}
	for _, l := range lines {
		r := &rs[at[l.Key]]
		r.Lines = append(r.Lines, l)
	}
	return rs
}

// known are the requests where only their items count.
func (t *ticket) known() []reservation.Request {
	lines := make([]reservation.Line, len(t.items))
	for i, k := range t.items {
		lines[i] = reservation.Line{Key: k, ReservationLine: inventory.ReservationLine{Quantity: inventory.One}}
	}
	return t.requests(lines, 0)
}
