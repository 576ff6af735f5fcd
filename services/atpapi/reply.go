package atpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

// The statuses of a view, beside statusPending.
const (
	statusGranted    = "granted"    // all that was asked for
	statusPartial    = "partial"    // some of it
	statusConfirmed  = "confirmed"  // kept until it is served or cancelled
	statusDenied     = "denied"     // it does not fit
	statusContended  = "contended"  // it fits but for what others may yet give up
	statusCancelled  = "cancelled"  // given back
	statusLapsed     = "lapsed"     // its time was over
	statusUnanswered = "unanswered" // whoever was to answer is gone
)

// view is a reservation as callers see it.
type view struct {
	ID          string       `json:"id"`
	Reservation string       `json:"reservation"` // number by which an order names it
	Status      string       `json:"status"`
	Mode        string       `json:"mode,omitempty"`
	Until       string       `json:"until,omitempty"` // when it lapses by itself
	Lines       []viewLine   `json:"lines,omitempty"` // what is held
	Refused     []viewRefuse `json:"refused,omitempty"`
	Reason      string       `json:"reason,omitempty"` // why it is over
}

// viewLine is what a line was granted at a location.
type viewLine struct {
	Line     string `json:"line"`
	Entity   string `json:"entity"`
	Item     string `json:"item"`
	Location string `json:"location"`
	Quantity string `json:"quantity"`
	// Reservation is the number of this item's own, where it has one.
	Reservation string `json:"reservation,omitempty"`
}

// viewRefuse is an item that said no.
type viewRefuse struct {
	Entity    string `json:"entity"`
	Item      string `json:"item"`
	Status    string `json:"status"`
	Reason    string `json:"reason,omitempty"`
	Available string `json:"available"` // what could have been granted
}

// viewOf is what the replies to a ticket's requests say together.
func viewOf(t *ticket, until inventory.Instant, replies []reservation.Reply, lines []reservation.Line) *view {
	v := &view{ID: t.String(), Reservation: t.number(), Mode: modeAll}
	if t.partial {
		v.Mode = modePartial
	}
	short := make(map[inventory.Key]inventory.Quantity, len(t.items)) // of an item less was granted than asked for
	for i := range lines {
		short[lines[i].Key] += lines[i].Quantity
	}
	for i := range replies {
		r := &replies[i]
		for _, l := range r.Lines {
			line := viewLine{
				Line: l.Line, Entity: string(l.Key.Entity), Item: string(l.Key.Item), Location: string(l.Location), Quantity: l.Quantity.String(),
			}
			if t.partial {
				line.Reservation = t.numberOf(l.Key)
			}
			short[l.Key] -= l.Quantity
			v.Lines = append(v.Lines, line)
		}
		if r.Status == reservation.Granted {
			continue
		}
		k := r.Key
		if k == (inventory.Key{}) {
			k = t.items[min(i, len(t.items)-1)]
		}
		v.Refused = append(v.Refused, viewRefuse{
			Entity: string(k.Entity), Item: string(k.Item), Status: r.Status.String(), Reason: string(r.Code), Available: max(0, r.Available).String(),
		})
	}
	switch {
	case len(v.Lines) == 0:
		v.Status, v.Reason = worst(v.Refused)
	default:
		v.Status = statusGranted
		for _, q := range short {
			if q > 0 {
				v.Status = statusPartial
			}
		}
	}
	if len(v.Lines) > 0 {
		v.Until = instant(until)
	}
	return v
}

// worst is how nothing was granted: denied where one is, since asking again would not
// help that, then contended.
func worst(refused []viewRefuse) (status, reason string) {
	status = statusCancelled
	for _, r := range refused {
		switch {
		case r.Status == statusDenied:
			return statusDenied, r.Reason
		case r.Status == statusContended && status != statusContended:
			status, reason = statusContended, r.Reason
		case reason == "":
			reason = r.Reason
		}
	}
	return status, reason
}

// held says whether the view's lines are.
func (v *view) held() bool {
	return v.Status == statusGranted || v.Status == statusPartial || v.Status == statusConfirmed
}

// refusal is the problem of a request that was not granted, with the item that said no.
type refusal struct {
	*problemBody
	ID        string `json:"id,omitempty"`
	Entity    string `json:"entity,omitempty"`
	Item      string `json:"item,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Available string `json:"available,omitempty"`
}

// retrySoon is what a caller is told to wait, in seconds.
const retrySoon = 1

// show answers with a view.
func (a *api) show(c echo.Context, status int, v *view) error {
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-store")
	if status != http.StatusOK {
		h.Set(echo.HeaderLocation, reservationPath+"/"+v.ID)
	}
	if status == http.StatusAccepted {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(retrySoon))
	}
	a.count.answers.WithLabelValues(strconv.Itoa(status), "").Inc()
	return c.JSON(status, v)
}

// refuse answers with a view that holds nothing. That stock is refused is no fault of the
// server's, so it is 409 also when it is contended: what retries a 503 by itself would
// come again with the same key, and get the same answer.
func (a *api) refuse(c echo.Context, v *view) error {
	if v.Status == statusContended {
		c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(retrySoon))
	}
	p, r := refusalOf(v)
	return a.write(c, p, r)
}

// refusalOf is why a view holds nothing.
func refusalOf(v *view) (*problem, *refusal) {
	r := &refusal{ID: v.ID, Reason: v.Reason}
	for i := range v.Refused {
		if f := &v.Refused[i]; f.Status == v.Status {
			r.Entity, r.Item, r.Reason = f.Entity, f.Item, f.Reason
			if v.Status != statusCancelled {
				r.Available = f.Available
			}
			break
		}
	}
	p := &problem{status: http.StatusConflict, code: "reservation_over", title: "The reservation is over"}
	switch v.Status {
	case statusDenied:
		p.code, p.title = "denied", "Not enough"
		p.detail = fmt.Sprintf("%s of %s can be granted", r.Available, r.Item)
	case statusContended:
		p.code, p.title = "contended", "Wanted by others as well"
		p.detail = "it fits but for what others may yet give up: ask again soon, with another Idempotency-Key"
	case statusLapsed:
		p.detail = "it has lapsed: ask again with another Idempotency-Key"
	default:
		p.detail = "everything of it is given back: ask again with another Idempotency-Key"
	}
	r.problemBody = p.body()
	return p, r
}

// write answers with a problem that says more than the plain one.
func (a *api) write(c echo.Context, p *problem, body any) error {
	a.count.answers.WithLabelValues(strconv.Itoa(p.status), p.code).Inc()
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "application/problem+json")
	h.Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(p.status, body)
}

// later is a problem after which the caller may come again.
func (a *api) later(c echo.Context, p *problem) error {
	c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(retrySoon))
	return a.write(c, p, p.body())
}
