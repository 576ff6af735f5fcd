package sterling

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// ReserveRequest is the body of POST …/v1/reservations. Each line is a reservation of
// its own, whole or not at all.
type ReserveRequest struct {
	Segments

	// Reference is the caller's name of the order; it is not kept.
	Reference    string        `json:"reference"`
	TimeToExpire *int64        `json:"timeToExpire"` // minutes
	Lines        []ReserveLine `json:"lines"`
}

// ReserveLine asks for a quantity at a node.
type ReserveLine struct {
	Line

	ShipNode          string      `json:"shipNode"`
	DistributionGroup string      `json:"distributionGroup"`
	Quantity          json.Number `json:"quantity"`
}

// maxMinutes bounds timeToExpire before it is a number of seconds.
const maxMinutes = 10 * 366 * 24 * 60

// Holds reads a request, whose transaction names it among those of its entity: the same
// line of the same transaction is the same reservation.
func (d *Door) Holds(entity inventory.Entity, transaction string, r *ReserveRequest) ([]doors.Hold, *doors.Fault) {
	if bad := lines(len(r.Lines), len(r.Lines), func(i int) string { return r.Lines[i].LineID }); bad != nil {
		return nil, bad
	}
	if bad := r.fault(); bad != nil {
		return nil, bad
	}
	var seconds *int64
	if r.TimeToExpire != nil {
		if *r.TimeToExpire < 0 || *r.TimeToExpire > maxMinutes {
			return nil, doors.Bad("bad_hold", "timeToExpire: a number of minutes")
		}
		s := *r.TimeToExpire * 60
		seconds = &s
	}
	out := make([]doors.Hold, 0, len(r.Lines))
	for i := range r.Lines {
		l := &r.Lines[i]
		key, bad := d.key(entity, &l.Line)
		if bad != nil {
			return nil, bad
		}
		if l.DistributionGroup != "" || l.ShipNode == "" {
			return nil, doors.Bad("group_reservation", "line %s: stock is reserved at a shipNode, not in a distribution group", l.LineID)
		}
		if bad := place("shipNode", l.ShipNode); bad != nil {
			return nil, bad
		}
		q, bad := doors.Number(l.Quantity.String(), "line "+l.LineID+": quantity")
		if bad != nil {
			return nil, bad
		}
		out = append(out, doors.Hold{
			Name: strings.Join([]string{inventory.Escape(string(entity)), inventory.Escape(transaction), inventory.Escape(l.LineID)}, "|"), Key: key, Location: inventory.Location(l.ShipNode), Quantity: q.String(), Seconds: seconds,
		})
	}
	return out, nil
}

// ReservedLine says what was reserved of a line: all of it, or 0 and, beside what the
// dialect has, why. A line that has no answer yet may be sent again in its transaction.
type ReservedLine struct {
	LineID        string      `json:"lineId"`
	ReservationID string      `json:"reservationId,omitempty"`
	Quantity      json.Number `json:"reservedQuantity"`
	Message       string      `json:"error_message,omitempty"`
	Code          string      `json:"code,omitempty"`
}

// ReservedAnswer is the body of the answer.
type ReservedAnswer struct {
	Lines []ReservedLine `json:"lines"`
}

// Reserved makes the answer. When nothing is known of any line it is the first one's
// fault: whoever asked should come again.
func Reserved(r *ReserveRequest, held []doors.Held) (*ReservedAnswer, *doors.Fault) {
	out := &ReservedAnswer{Lines: make([]ReservedLine, len(held))}
	known := false
	for i := range held {
		h := &held[i]
		l := ReservedLine{LineID: r.Lines[i].LineID, ReservationID: h.ID, Quantity: json.Number(h.Quantity)}
		if h.Fault != nil {
			l.ReservationID, l.Quantity, l.Message, l.Code = "", "0", h.Fault.Detail, h.Fault.Code
		}
		known = known || h.Fault == nil || h.Fault.Status < http.StatusInternalServerError
		out.Lines[i] = l
	}
	if !known {
		return nil, held[0].Fault
	}
	return out, nil
}

// Refused is the body of an error. 401 and 403 have error and error_description, others
// error_message; all have Stockweave's stable code beside.
type Refused struct {
	Message     string `json:"error_message,omitempty"`
	Error       string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
	Code        string `json:"code"`
}

// Refuse says why a request failed.
func Refuse(f *doors.Fault) Refused {
	if f.Status == http.StatusUnauthorized || f.Status == http.StatusForbidden {
		return Refused{Error: f.Code, Description: f.Detail, Code: f.Code}
	}
	return Refused{Message: f.Detail, Code: f.Code}
}
