package atpapi

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

const (
	maxReserveBody = 256 << 10 // bytes
	maxOfAnItem    = 32        // lines of one item, as the ledger takes them
	maxLineName    = 40        // bytes
	maxChannelName = 100       // bytes
)

// modes of a request.
const (
	modeAll     = "all"     // every line or none
	modePartial = "partial" // each item by itself, and of it what fits
)

// reserveRequest is the body of POST /v1/reservations. What lines leave out is the
// request's.
type reserveRequest struct {
	Mode     string        `json:"mode"` // all when empty
	Entity   string        `json:"entity"`
	Channel  string        `json:"channel"`
	Due      string        `json:"due"`
	Priority uint8         `json:"priority"` // 0 is served first
	Hold     *int64        `json:"hold"`     // seconds; this or until, or the configured time
	Until    string        `json:"until"`    // RFC 3339
	Lines    []reserveLine `json:"lines"`
}

type reserveLine struct {
	Line     string `json:"line"` // the caller's name of it; its number from 1 when empty
	Item     string `json:"item"`
	Entity   string `json:"entity"`
	Quantity string `json:"quantity"`
	Location string `json:"location"` // empty: the ledger chooses
	Channel  string `json:"channel"`
	Due      string `json:"due"`
	Priority *uint8 `json:"priority"`
}

// asking is a request that can be put to the ledger.
type asking struct {
	ticket ticket
	lines  []reservation.Line
	until  time.Time
	print  [sha256.Size]byte
}

// readAsking reads a request.
func (a *api) readAsking(r *http.Request, partner, key string) (*asking, *problem) {
	var req reserveRequest
	if p := readJSON(r, maxReserveBody, &req); p != nil {
		return nil, p
	}
	return a.asking(partner, key, &req)
}

// asking bounds a request of a partner.
func (a *api) asking(partner, key string, req *reserveRequest) (*asking, *problem) {
	out := &asking{ticket: ticket{partner: partner, key: key}}
	switch req.Mode {
	case "", modeAll:
	case modePartial:
		out.ticket.partial = true
	default:
		return nil, badBody("bad_mode", "/mode", "mode is all or partial")
	}
	cfg := &a.desk.cfg
	var p *problem
	if out.until, p = holdOf(req.Hold, req.Until, a.now(), cfg.Hold, a.now().Add(cfg.MaxHold)); p != nil {
		return nil, p
	}
	if n := len(req.Lines); n == 0 || n > cfg.MaxLines {
		return nil, badBody("bad_lines", "/lines", "1 to %d lines", cfg.MaxLines)
	}
	for i := range req.Lines {
		l, p := a.readLine(req, i)
		if p != nil {
			return nil, p
		}
		if p := out.add(l, i); p != nil {
			return nil, p
		}
	}
	names := 0
	for _, k := range out.ticket.items {
		names += len(k.Entity) + len(k.Item)
	}
	if len(out.ticket.items) > reservation.MaxItems || names > maxIDNames {
		return nil, badBody("too_many_items", "/lines", "at most %d items, whose names have at most %d bytes together", reservation.MaxItems, maxIDNames)
	}
	same, err := json.Marshal(req) // however it was written
	if err != nil {
		return nil, broken(err)
	}
	out.print = idempotent.Fingerprint(same)
	return out, nil
}

func badBody(code, pointer, format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: code, title: "Bad request", detail: fmt.Sprintf(format, args...), pointer: pointer}
}

// add takes a line, whose item may have others.
func (q *asking) add(l reservation.Line, i int) *problem {
	n, sum := 0, l.Quantity
	for j := range q.lines {
		if o := &q.lines[j]; o.Key == l.Key {
			if o.Line == l.Line {
				return badBody("bad_line", fmt.Sprintf("/lines/%d/line", i), "the lines of one item have names of their own")
			}
			n++
			s, err := sum.Add(o.Quantity)
			if err != nil {
				return badBody("bad_quantity", fmt.Sprintf("/lines/%d/quantity", i), "the quantities of one item are too large together")
			}
			sum = s
		}
	}
	if n >= maxOfAnItem {
		return badBody("bad_lines", fmt.Sprintf("/lines/%d", i), "at most %d lines of one item", maxOfAnItem)
	}
	q.lines = append(q.lines, l)
	if !slices.Contains(q.ticket.items, l.Key) {
		q.ticket.items = append(q.ticket.items, l.Key)
	}
	return nil
}

func (a *api) readLine(req *reserveRequest, i int) (reservation.Line, *problem) {
	in := &req.Lines[i]
	bad := func(code, field, format string, args ...any) (reservation.Line, *problem) {
		return reservation.Line{}, badBody(code, fmt.Sprintf("/lines/%d/%s", i, field), format, args...)
	}
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	entity := or(in.Entity, or(req.Entity, string(a.entity)))
	channel := or(in.Channel, req.Channel)
	switch {
	case in.Item == "" || len(in.Item) > maxName:
		return bad("bad_item", "item", "an item has 1 to %d bytes", maxName)
	case entity == "":
		return bad("entity_required", "entity", "which legal entity's item?")
	case len(entity) > maxName:
		return bad("bad_parameter", "entity", "at most %d bytes", maxName)
	case len(in.Location) > maxName:
		return bad("bad_parameter", "location", "at most %d bytes", maxName)
	case len(channel) > maxChannelName:
		return bad("bad_parameter", "channel", "at most %d bytes", maxChannelName)
	case len(in.Line) > maxLineName:
		return bad("bad_parameter", "line", "at most %d bytes", maxLineName)
	case in.Quantity == "":
		return bad("bad_quantity", "quantity", "how much?")
	}
	q, p := quantityOf(in.Quantity)
	if p != nil {
		p.pointer = fmt.Sprintf("/lines/%d/quantity", i)
		return reservation.Line{}, p
	}
	due, p := dayOf(or(in.Due, req.Due))
	if p != nil {
		p.pointer, p.detail = fmt.Sprintf("/lines/%d/due", i), "due must be a day such as 2026-11-24"
		return reservation.Line{}, p
	}
	l := reservation.Line{
		Key: inventory.Key{Entity: inventory.Entity(entity), Item: inventory.Item(in.Item)},
		ReservationLine: inventory.ReservationLine{
			Line: or(in.Line, strconv.Itoa(i+1)), Location: inventory.Location(in.Location), Quantity: q, Channel: channel, Due: due, Priority: req.Priority,
		},
	}
	if in.Priority != nil {
		l.Priority = *in.Priority
	}
	return l, nil
}

// minHold is more than a request may take to be answered: nothing is granted that lapses
// at once.
const minHold = 10 * time.Second

// holdOf is when a reservation ends that is neither confirmed nor cancelled.
func holdOf(seconds *int64, until string, now time.Time, otherwise time.Duration, latest time.Time) (time.Time, *problem) {
	at, pointer := now.Add(otherwise), "/hold"
	switch {
	case seconds != nil && until != "":
		return time.Time{}, badBody("conflicting_parameters", "/until", "one of hold and until")
	case seconds != nil:
		if *seconds < 0 || *seconds > int64(10*366*24*time.Hour/time.Second) {
			return time.Time{}, badBody("bad_hold", pointer, "hold is a number of seconds")
		}
		at = now.Add(time.Duration(*seconds) * time.Second)
	case until != "":
		pointer = "/until"
		t, err := time.Parse(time.RFC3339, until)
		if err != nil {
			return time.Time{}, badBody("bad_until", pointer, "until is a time such as 2026-11-24T18:00:00Z")
		}
		at = t
	}
	switch {
	case at.Before(now.Add(minHold)):
		return time.Time{}, badBody("hold_too_short", pointer, "at least %d seconds from now", int(minHold.Seconds()))
	case at.After(latest):
		return time.Time{}, badBody("hold_too_long", pointer, "until %s at most", latest.UTC().Format(time.RFC3339))
	}
	return at, nil
}
