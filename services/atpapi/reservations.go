package atpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

const reservationPath = "/v1/reservations"

// anybody is the partner of whoever is let in without a name.
const anybody = "anybody"

// reservations adds the routes. A reservation is its partner's alone: to others it is
// unknown.
func (a *api) reservations(e *echo.Echo) {
	e.POST(reservationPath, a.authorised(access.ReservationsWrite, a.timed("reserve", a.reserve)))
	e.GET(reservationPath+"/:id", a.authorised(access.ReservationsRead, a.timed("read", a.reservation)))
	e.PATCH(reservationPath+"/:id", a.authorised(access.ReservationsWrite, a.timed("extend", a.extend)))
	e.DELETE(reservationPath+"/:id", a.authorised(access.ReservationsWrite, a.timed("cancel", a.cancel)))
	e.POST(reservationPath+"/:id/confirm", a.authorised(access.ReservationsWrite, a.timed("confirm", a.confirm)))
	e.POST(reservationPath+"/:id/extend", a.authorised(access.ReservationsWrite, a.timed("extend", a.extend)))
}

// timed refuses until the ledger's answers are heard, and times what is let through.
func (a *api) timed(action string, next func(c echo.Context, client *reservation.Client) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		client, leave := a.desk.visit()
		if client == nil {
			return a.problem(c, deskShut(nil))
		}
		defer leave()
		began := a.now()
		defer func() { a.desk.count.took.WithLabelValues(action).Observe(a.now().Sub(began).Seconds()) }()
		return next(c, client)
	}
}

func deskShut(cause error) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, code: "reservations_unavailable", title: "No reservations now",
		detail: "the ledger or the memory of keys cannot be reached, or the service is starting or ending; nothing was changed", cause: cause,
	}
}

func partnerOf(c echo.Context) string {
	if name := caller(c).name(); name != "" {
		return name
	}
	return anybody
}

// reserve answers POST /v1/reservations.
func (a *api) reserve(c echo.Context, client *reservation.Client) error {
	partner := partnerOf(c)
	key, err := idempotent.Key(c.Request().Header)
	switch {
	case err != nil:
		return a.problem(c, badRequest("bad_idempotency_key", "%s", err.Error()))
	case key == "":
		return a.problem(c, badRequest("idempotency_key_required", "send an Idempotency-Key: with it the same request may be sent again"))
	}
	q, bad := a.readAsking(c.Request(), partner, key)
	if bad != nil {
		return a.problem(c, bad)
	}
	return a.say(c, a.request(c.Request().Context(), caller(c), client, q))
}

// find reads the book. What has lapsed meanwhile says so, and so does what nobody will
// answer.
func (d *desk) find(ctx context.Context, partner, number string) (*noted, error) {
	ctx, cancel := context.WithTimeout(ctx, bookTime)
	defer cancel()
	n, err := d.book.find(ctx, partner, number)
	if err != nil || n == nil {
		return nil, err
	}
	switch v := &n.view; {
	case v.Status == statusPending && d.now().After(n.lease):
		v.Status = statusUnanswered
	case v.held() && v.Until != "":
		if until, err := time.Parse(time.RFC3339, v.Until); err == nil && !d.now().Before(until) {
			v.Status, v.Lines = statusLapsed, nil
		}
	}
	return n, nil
}

func unknownReservation() *problem {
	return &problem{
		status: http.StatusNotFound, code: "unknown_reservation", title: "Unknown reservation",
		detail: "there is none of this id, or it is over for long, or not yours",
	}
}

// named reads the id of the path.
func (a *api) named(c echo.Context, needs access.Permission, needsBook bool) (*ticket, *noted, *problem) {
	t, n, bad := a.recall(c.Request().Context(), partnerOf(c), c.Param("id"), needsBook)
	if bad == nil && !caller(c).mayAll(needs, t) {
		bad = unknownReservation()
	}
	return t, n, bad
}

// mayAll says whether a visitor may something of the entity of each item. Of which channel
// a reservation is its id does not say (ADR 30).
func (v visitor) mayAll(needs access.Permission, t *ticket) bool {
	return !slices.ContainsFunc(t.items, func(k inventory.Key) bool { return !v.mayOf(needs, k.Entity) })
}

// recall reads an id that a partner presents. What the book knows is there where it is
// needed or it could be read.
func (a *api) recall(ctx context.Context, partner, id string, needsBook bool) (*ticket, *noted, *problem) {
	t, number, full, err := readTicket(partner, id)
	if err != nil {
		return nil, nil, unknownReservation()
	}
	n, err := a.desk.find(ctx, partner, number)
	switch {
	case err != nil && (needsBook || !full):
		return nil, nil, deskShut(err)
	case err != nil: // all that is needed is in the id
		a.log.Warn("the book of reservations cannot be read", slog.Any("err", err))
	case n == nil && (needsBook || !full):
		return nil, nil, unknownReservation()
	case n != nil && !full:
		if t, _, full, err = readTicket(partner, n.id); err != nil || !full {
			return nil, nil, unknownReservation()
		}
	}
	return &t, n, nil
}

// reservation answers GET /v1/reservations/{id}.
func (a *api) reservation(c echo.Context, _ *reservation.Client) error {
	_, n, bad := a.named(c, access.ReservationsRead, true)
	if bad != nil {
		return a.problem(c, bad)
	}
	if n.view.Status == statusPending {
		c.Response().Header().Set(echo.HeaderRetryAfter, "1")
	}
	return a.show(c, http.StatusOK, &n.view)
}

// cancel answers DELETE /v1/reservations/{id}: when it returns 204 the ledger has been
// told, whether anything was held or not.
func (a *api) cancel(c echo.Context, client *reservation.Client) error {
	t, n, bad := a.named(c, access.ReservationsWrite, false)
	if bad != nil {
		return a.problem(c, bad)
	}
	if bad := a.giveBack(c.Request().Context(), client, t, n); bad != nil {
		return a.problem(c, bad)
	}
	a.count.answers.WithLabelValues("204", "").Inc()
	return c.NoContent(http.StatusNoContent)
}

// giveBack tells the ledger that a reservation is over, whether anything is held or not.
func (a *api) giveBack(ctx context.Context, client *reservation.Client, t *ticket, n *noted) *problem {
	d := a.desk
	within, stop := context.WithTimeout(ctx, d.cfg.Wait+bookTime)
	defer stop()
	rs := t.known()
	errs := make([]error, len(rs))
	atOnce(rs, func(i int) { errs[i] = client.Cancel(within, rs[i]) })
	if err := errors.Join(errs...); err != nil {
		return &problem{
			status: http.StatusServiceUnavailable, code: "not_cancelled", title: "Not cancelled yet",
			detail: "the ledger could not be told for certain: send the request again", cause: err,
		}
	}
	d.count.ended.WithLabelValues(statusCancelled).Inc()
	v := &view{ID: t.String(), Reservation: t.number(), Status: statusCancelled}
	if n != nil {
		v.Mode = n.view.Mode
	}
	a.renew(ctx, t.partner, v, time.Time{})
	return nil
}

// renew writes what became of a reservation after its answer. Where that fails the book
// says what was: it is for readers only.
func (a *api) renew(ctx context.Context, partner string, v *view, until time.Time) {
	d := a.desk
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookTime)
	defer cancel()
	if err := d.book.change(call, partner, "", v, d.open(v, until), d.keep(v, until)); err != nil {
		a.log.Warn("what became of a reservation is not noted", slog.String("reservation", v.Reservation), slog.Any("err", err))
		d.count.unnoted.Inc()
	}
}

// confirm answers POST /v1/reservations/{id}/confirm: it is kept until it is served or
// cancelled.
func (a *api) confirm(c echo.Context, client *reservation.Client) error {
	if c.Request().ContentLength != 0 { // quantities, say, which cannot be confirmed by themselves
		if bad := readJSON(c.Request(), maxReserveBody, &struct{}{}); bad != nil {
			return a.problem(c, bad)
		}
	}
	t, n, bad := a.named(c, access.ReservationsWrite, false)
	if bad == nil && n != nil && n.view.Status == statusPending {
		bad = notAnswered()
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	return a.say(c, a.keep(c.Request().Context(), client, t, n, time.Time{}))
}

func notAnswered() *problem {
	return &problem{status: http.StatusConflict, code: "not_answered", title: "Not answered yet", detail: "the request has no answer yet"}
}

// extendRequest is the body of an extension.
type extendRequest struct {
	Hold  *int64 `json:"hold"`
	Until string `json:"until"`
}

// extend answers PATCH /v1/reservations/{id} and POST …/extend: another time at which it
// lapses, within the longest hold since it was made.
func (a *api) extend(c echo.Context, client *reservation.Client) error {
	var req extendRequest
	if bad := readJSON(c.Request(), maxReserveBody, &req); bad != nil {
		return a.problem(c, bad)
	}
	t, n, bad := a.named(c, access.ReservationsWrite, true)
	if bad != nil {
		return a.problem(c, bad)
	}
	switch {
	case n.view.Status == statusPending:
		return a.problem(c, notAnswered())
	case n.view.Status == statusConfirmed:
		return a.problem(c, &problem{
			status: http.StatusConflict, code: "confirmed", title: "Confirmed already", detail: "it is kept until it is served or cancelled",
		})
	case !n.view.held():
		return a.refuse(c, &n.view)
	case req.Hold == nil && req.Until == "":
		return a.problem(c, badBody("bad_until", "/until", "until when?"))
	}
	until, bad := holdOf(req.Hold, req.Until, a.now(), a.desk.cfg.Hold, n.made.Add(a.desk.cfg.MaxHold))
	if bad != nil {
		return a.problem(c, bad)
	}
	return a.say(c, a.keep(c.Request().Context(), client, t, n, until))
}

// keep keeps what was granted until a time, or for good. Of one in parts it keeps what
// there is.
func (a *api) keep(ctx context.Context, client *reservation.Client, t *ticket, n *noted, until time.Time) settled {
	d := a.desk
	within, stop := context.WithTimeout(ctx, d.cfg.Wait+bookTime)
	defer stop()
	at := inventory.Instant(0)
	if !until.IsZero() {
		at = inventory.Instant(until.UnixMilli())
	}
	rs := t.known()
	replies, errs := make([]reservation.Reply, len(rs)), make([]error, len(rs))
	atOnce(rs, func(i int) { replies[i], errs[i] = client.Keep(within, rs[i], at) })
	switch err := errors.Join(errs...); {
	case errors.Is(err, reservation.ErrUnderWay):
		return settled{problem: notAnswered()}
	case err != nil:
		return settled{problem: &problem{
			status: http.StatusServiceUnavailable, code: "not_confirmed", title: "Not confirmed yet",
			detail: "the ledger did not say so in time: send the request again", cause: err,
		}}
	}
	v := viewOf(t, at, replies, nil)
	switch {
	case !v.held() && v.Status == statusDenied: // the ledger does not decide now
		return comeAgain(&problem{
			status: http.StatusConflict, code: "not_decided", title: "Not decided", detail: "the ledger does not decide about the item now: " + v.Reason,
		})
	case !v.held() && v.Reason == string(inventory.CodeUnknown):
		return settled{problem: unknownReservation()}
	case !v.held():
		if v.Reason == string(inventory.CodeLapsed) {
			v.Status = statusLapsed
		}
		a.renew(ctx, t.partner, v, time.Time{})
		return settled{view: v}
	}
	if v.Refused = nil; n != nil && n.view.Status == statusPartial {
		v.Status, v.Refused = statusPartial, n.view.Refused
	}
	if at == 0 {
		v.Status, v.Until = statusConfirmed, ""
		d.count.ended.WithLabelValues(statusConfirmed).Inc()
	}
	a.renew(ctx, t.partner, v, until)
	return settled{status: http.StatusOK, view: v}
}
