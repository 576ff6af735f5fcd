package d365

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/doors"
)

// Reserve is a record of POST …/onhand/reserve and reserve/bulk. Its id is the name of
// the request among those of its organisation: sent again it is counted once.
type Reserve struct {
	ID                    string                            `json:"id"`
	OrganizationID        string                            `json:"organizationId"`
	ProductID             string                            `json:"productId"`
	DimensionDataSource   string                            `json:"dimensionDataSource"`
	Dimensions            map[string]string                 `json:"dimensions"`
	QuantityDataSource    string                            `json:"quantityDataSource"`
	Quantities            map[string]map[string]json.Number `json:"quantities"` // or Modifier and Quantity
	Modifier              string                            `json:"modifier"`
	Quantity              json.Number                       `json:"quantity"`
	IfCheckAvailForReserv *bool                             `json:"ifCheckAvailForReserv"`
}

// reserving are the published measures that a soft reservation adds to.
var reserving = []string{"softreserved", "softreservordered", "softreservphysical"} //nolint:gochecknoglobals // a constant

// Hold reads a record.
func (d *Door) Hold(r *Reserve) (*doors.Hold, *doors.Fault) {
	if bad := named(r.ID); bad != nil {
		return nil, bad
	}
	if r.IfCheckAvailForReserv != nil && !*r.IfCheckAvailForReserv {
		return nil, doors.Bad("unchecked_reservation", "ifCheckAvailForReserv: the ledger always looks whether there is enough; give back with unreserve")
	}
	entity, bad := d.entity(r.OrganizationID)
	if bad != nil {
		return nil, bad
	}
	value, bad := d.values(r.Dimensions, true)
	if bad != nil {
		return nil, bad
	}
	item, loc, bad := d.names(r.ProductID, value)
	if bad != nil {
		return nil, bad
	}
	source, modifier, quantity := r.QuantityDataSource, r.Modifier, r.Quantity
	if len(r.Quantities) > 0 {
		if quantity != "" || modifier != "" {
			return nil, doors.Bad("bad_quantity", "one of quantity and quantities")
		}
		n := 0
		for s, measures := range r.Quantities {
			for m, q := range measures {
				source, modifier, quantity = s, m, q
				n++
			}
		}
		if n != 1 {
			return nil, doors.Bad("bad_quantity", "quantities: one measure of one data source")
		}
	}
	if source != "" && !strings.EqualFold(source, "iv") || !slices.Contains(reserving, strings.ToLower(modifier)) {
		return nil, doors.Bad("unknown_measure", "%.64q of %.64q is no soft reservation; %s of iv are", modifier, source, strings.Join(reserving, ", "))
	}
	n, bad := doors.Number(quantity.String(), "quantity")
	if bad != nil {
		return nil, bad
	}
	h := &doors.Hold{
		Name: inventory.Escape(r.OrganizationID) + "|" + inventory.Escape(r.ID),
		Key:  inventory.Key{Entity: entity, Item: item}, Location: loc, Quantity: n.String(),
	}
	if d.hold > 0 {
		seconds := int64(d.hold.Seconds())
		h.Seconds = &seconds
	}
	return h, nil
}

// Kept says whether what is granted is kept until it is given back, as in the dialect.
func (d *Door) Kept() bool { return d.hold == 0 }

func named(id string) *doors.Fault {
	if id == "" || len(id) > doors.MaxName {
		return doors.Bad("bad_record", "id: 1 to %d bytes, which name the request", doors.MaxName)
	}
	return nil
}

// values reads dimensions of a record, by name in lower case.
func (d *Door) values(dimensions map[string]string, all bool) (func(string) string, *doors.Fault) {
	of := make(map[string]string, len(dimensions))
	for name, v := range dimensions {
		folded := strings.ToLower(name)
		if !slices.Contains(d.dimensions, folded) {
			return nil, unknown(name)
		}
		if _, twice := of[folded]; twice {
			return nil, doors.Bad("bad_record", "dimensions: %.64q stands twice", name)
		}
		if v == "" || len(v) > doors.MaxName {
			return nil, doors.Bad("missing_dimension", "dimensions: %.64q: 1 to %d bytes", name, doors.MaxName)
		}
		of[folded] = v
	}
	for _, name := range d.dimensions {
		if all && of[name] == "" {
			return nil, doors.Bad("missing_dimension", "dimensions: which %s?", name)
		}
	}
	return func(name string) string { return of[name] }, nil
}

// Unreserve is a record of POST …/onhand/unreserve and unreserve/bulk.
type Unreserve struct {
	ID             string            `json:"id"`
	OrganizationID string            `json:"organizationId"`
	ReservationID  string            `json:"reservationId"`
	Dimensions     map[string]string `json:"dimensions"`
	OffsetQty      json.Number       `json:"OffsetQty"`
}

// Release is a reservation to be given back.
type Release struct {
	ID     string // as Held had it
	Entity inventory.Entity
	Excess inventory.Quantity // what was to be given back beyond what was held
}

// behind what is known of a reservation by its id stands how much it is.
const behind = "~"

// Release reads a record. A reservation is given back as a whole: the ledger has no
// part of one.
func (d *Door) Release(u *Unreserve) (*Release, *doors.Fault) {
	if bad := named(u.ID); bad != nil {
		return nil, bad
	}
	entity, bad := d.entity(u.OrganizationID)
	if bad != nil {
		return nil, bad
	}
	if _, bad := d.values(u.Dimensions, false); bad != nil {
		return nil, bad
	}
	id, text, ok := strings.Cut(u.ReservationID, behind)
	held, err := inventory.ParseQuantity(text)
	if !ok || err != nil || held <= 0 {
		return nil, &doors.Fault{Status: http.StatusNotFound, Code: "unknown_reservation", Detail: "reservationId: none that was answered here"}
	}
	offset, bad := doors.Number(u.OffsetQty.String(), "OffsetQty")
	if bad != nil {
		return nil, bad
	}
	if offset < held {
		return nil, doors.Bad("partial_unreserve", "OffsetQty: %s is reserved, and is given back as a whole", held)
	}
	return &Release{ID: id, Entity: entity, Excess: offset - held}, nil
}

// Processing statuses of a record. The first two are published; what a record says that
// failed is not.
const (
	success        = "success"
	partialSuccess = "partialSuccess"
	failed         = "failed"
)

// Record is what came of a record, and, with neither id, the body of every error. The
// id is the request's, so that the records of a bulk answer can be told apart.
type Record struct {
	ReservationID string       `json:"reservationId,omitempty"`
	Invalid       *json.Number `json:"totalInvalidOffsetQtyByReservId,omitempty"`
	ID            string       `json:"id"`
	Status        string       `json:"processingStatus"`
	Message       string       `json:"message"`
	StatusCode    int          `json:"statusCode"`
	// Code is of Stockweave's, beside what the dialect has: stable, where message is for
	// people.
	Code string `json:"code,omitempty"`
}

// Reserved says what came of a reservation.
func Reserved(id string, h *doors.Held) Record {
	if h.Fault != nil {
		return Failed(id, h.Fault)
	}
	return Record{ReservationID: h.ID + behind + h.Quantity, ID: id, Status: success, StatusCode: http.StatusOK}
}

// Released says that a reservation was given back.
func Released(u *Unreserve, r *Release) Record {
	n := json.Number(r.Excess.String())
	out := Record{ReservationID: u.ReservationID, Invalid: &n, ID: u.ID, Status: success, StatusCode: http.StatusOK}
	if r.Excess > 0 {
		out.Status = partialSuccess
	}
	return out
}

// Failed says why a record, or a whole request, failed.
func Failed(id string, f *doors.Fault) Record {
	return Record{ID: id, Status: failed, Message: f.Detail, StatusCode: f.Status, Code: f.Code}
}
