package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Reserve asks for stock to be set aside.
type Reserve struct {
	Mode     string        `json:"mode,omitempty"` // all, the default, or partial
	Entity   string        `json:"entity,omitempty"`
	Channel  string        `json:"channel,omitempty"`
	Due      string        `json:"due,omitempty"`
	Priority int           `json:"priority,omitempty"`
	Hold     *int64        `json:"hold,omitempty"` // seconds; one of Hold and Until
	Until    string        `json:"until,omitempty"`
	Lines    []ReserveLine `json:"lines"`
}

// ReserveLine is an item of it; what it leaves empty the request says.
type ReserveLine struct {
	Line     string `json:"line,omitempty"`
	Item     string `json:"item"`
	Entity   string `json:"entity,omitempty"`
	Quantity string `json:"quantity"`
	Location string `json:"location,omitempty"` // the ledger chooses when empty
	Channel  string `json:"channel,omitempty"`
	Due      string `json:"due,omitempty"`
	Priority *int   `json:"priority,omitempty"`
}

// Reservation is how one stands.
type Reservation struct {
	ID          string         `json:"id"`
	Reservation string         `json:"reservation"` // the number in the ledger
	Status      string         `json:"status"`
	Mode        string         `json:"mode,omitempty"`
	Until       string         `json:"until,omitempty"`
	Reason      string         `json:"reason,omitempty"`
	Lines       []ReservedLine `json:"lines,omitempty"`
	Refused     []RefusedItem  `json:"refused,omitempty"`
}

// ReservedLine is what is held of a line at a location.
type ReservedLine struct {
	Line        string `json:"line"`
	Entity      string `json:"entity"`
	Item        string `json:"item"`
	Location    string `json:"location"`
	Quantity    string `json:"quantity"`
	Reservation string `json:"reservation,omitempty"` // this item's own, in mode partial
}

// RefusedItem is an item that said no.
type RefusedItem struct {
	Entity    string `json:"entity"`
	Item      string `json:"item"`
	Status    string `json:"status"`
	Reason    string `json:"reason,omitempty"`
	Available string `json:"available"`
}

// NewKey is an idempotency key that nobody else has. It is kept with the order: only a
// call with the same key is the same call.
func NewKey() string { return rand.Text() }

// Reserve makes a reservation. The key names the request: sent again it is not made
// twice, so that the call is tried again as often as Config says. The problems denied
// and contended are answers of the ledger; after the latter ask under another key. A
// reservation that is pending goes on: see Reservation.
func (c *Client) Reserve(ctx context.Context, key string, r Reserve) (*Reservation, error) {
	if key == "" {
		return nil, errors.New("a reservation needs an idempotency key")
	}
	return c.reservation(ctx, &call{
		method: http.MethodPost, path: "/v1/reservations", header: http.Header{"Idempotency-Key": {key}}, in: r, again: true,
	})
}

func (c *Client) reservation(ctx context.Context, k *call) (*Reservation, error) {
	out := &Reservation{}
	if _, err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

func reservationPath(id string) string { return "/v1/reservations/" + url.PathEscape(id) }

// Reservation asks how one stands.
func (c *Client) Reservation(ctx context.Context, id string) (*Reservation, error) {
	return c.reservation(ctx, &call{method: http.MethodGet, path: reservationPath(id), again: true})
}

// Confirm keeps one until it is served or cancelled.
func (c *Client) Confirm(ctx context.Context, id string) (*Reservation, error) {
	return c.reservation(ctx, &call{method: http.MethodPost, path: reservationPath(id) + "/confirm", again: true})
}

// Extend lets one lapse at another time, to the second.
func (c *Client) Extend(ctx context.Context, id string, until time.Time) (*Reservation, error) {
	in := struct {
		Until string `json:"until"`
	}{until.UTC().Format(time.RFC3339)}
	return c.reservation(ctx, &call{method: http.MethodPatch, path: reservationPath(id), in: in, again: true})
}

// Cancel gives one back. It may be sent again, at any time.
func (c *Client) Cancel(ctx context.Context, id string) error {
	_, err := c.do(ctx, &call{method: http.MethodDelete, path: reservationPath(id), again: true}, nil)
	return err
}
