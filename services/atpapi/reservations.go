package atpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
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
	for i := range q.lines {
		l := &q.lines[i]
		if !caller(c).may(access.Need{
			Permission: access.ReservationsWrite, Entity: string(l.Key.Entity), Channel: l.Channel, Location: string(l.Location),
		}) {
			return a.problem(c, forbidden())
		}
	}
	owner, err := a.desk.enter(partner)
	switch {
	case errors.Is(err, errBusy):
		return a.later(c, &problem{status: http.StatusTooManyRequests, code: "too_many_under_way", title: "Too many requests under way"})
	case err != nil:
		return a.problem(c, deskShut(err))
	}
	known, err := a.desk.begin(c.Request().Context(), q, owner)
	if err != nil || known != begunMine {
		a.desk.leave(partner)
		if err != nil {
			return a.problem(c, deskShut(err))
		}
		return a.again(c, q, known)
	}
	return a.await(c, client, q, owner)
}

// begin asks the book whether the request is new.
func (d *desk) begin(ctx context.Context, q *asking, owner string) (begun, error) {
	ctx, cancel := context.WithTimeout(ctx, bookTime)
	defer cancel()
	now := d.now()
	return d.book.begin(ctx, &start{
		partner: q.ticket.partner, number: q.ticket.number(), owner: owner, id: q.ticket.String(), print: q.print,
		now: now, lease: now.Add(d.lease), mostOpen: d.cfg.MaxOpen, keep: max(0, q.until.Sub(now)) + d.cfg.MaxHold + d.cfg.Remember,
	})
}

// again answers a request that is not new.
func (a *api) again(c echo.Context, q *asking, known begun) error {
	switch known {
	case begunOther:
		return a.problem(c, &problem{
			status: http.StatusUnprocessableEntity, code: "idempotency_key_reused", title: "The key is another request's",
			detail: "the Idempotency-Key was used for another request",
		})
	case begunPending:
		c.Response().Header().Set(echo.HeaderLocation, reservationPath+"/"+q.ticket.String())
		return a.later(c, &problem{
			status: http.StatusConflict, code: "idempotency_key_in_use", title: "Under way",
			detail: "the first request with this Idempotency-Key has no answer yet; Location says how it stands",
		})
	case begunOpen:
		return a.later(c, &problem{
			status: http.StatusTooManyRequests, code: "too_many_open", title: "Too many open reservations",
			detail: "confirm or cancel some, or let them lapse",
		})
	case begunKnown, begunMine:
	}
	n, err := a.desk.find(c.Request().Context(), q.ticket.partner, q.ticket.number())
	switch {
	case err != nil:
		return a.problem(c, deskShut(err))
	case n == nil: // it was forgotten this moment
		return a.problem(c, deskShut(nil))
	case n.view.held():
		return a.show(c, http.StatusCreated, &n.view)
	}
	return a.refuse(c, &n.view)
}

// answered is what came of a run.
type answered struct {
	view *view
	err  error
}

// await runs a request and waits for its answer as long as callers do.
func (a *api) await(c echo.Context, client *reservation.Client, q *asking, owner string) error {
	d := a.desk
	done := make(chan answered, 1)
	go func() {
		defer d.leave(q.ticket.partner)
		v, err := d.run(client, q, owner)
		done <- answered{v, err}
	}()
	t := time.NewTimer(d.cfg.Wait)
	defer t.Stop()
	select {
	case got := <-done:
		return a.tell(c, got)
	case <-t.C:
	case <-c.Request().Context().Done():
	}
	return a.show(c, http.StatusAccepted, &view{ID: q.ticket.String(), Reservation: q.ticket.number(), Status: statusPending})
}

func (a *api) tell(c echo.Context, got answered) error {
	switch v := got.view; {
	case errors.Is(got.err, reservation.ErrRequest):
		return a.problem(c, &problem{status: http.StatusBadRequest, code: "bad_body", title: "Bad request", detail: got.err.Error()})
	case got.err != nil:
		return a.problem(c, deskShut(got.err))
	case v.held():
		return a.show(c, http.StatusCreated, v)
	case v.Status == statusCancelled && (v.Reason == string(reservation.CodeUnanswered) || a.desk.isClosing()):
		return a.later(c, &problem{
			status: http.StatusServiceUnavailable, code: "unanswered", title: "The ledger did not answer in time",
			detail: "everything of it is given back: ask again with another Idempotency-Key",
		})
	default:
		return a.refuse(c, v)
	}
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

// named reads the id of the path. What the book knows is there where it is needed or it
// could be read.
func (a *api) named(c echo.Context, needsBook bool) (*ticket, *noted, *problem) {
	partner := partnerOf(c)
	t, number, full, err := readTicket(partner, c.Param("id"))
	if err != nil {
		return nil, nil, unknownReservation()
	}
	n, err := a.desk.find(c.Request().Context(), partner, number)
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
	_, n, bad := a.named(c, true)
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
	t, n, bad := a.named(c, false)
	if bad != nil {
		return a.problem(c, bad)
	}
	d := a.desk
	ctx, stop := context.WithTimeout(c.Request().Context(), d.cfg.Wait+bookTime)
	defer stop()
	rs := t.known()
	errs := make([]error, len(rs))
	atOnce(rs, func(i int) { errs[i] = client.Cancel(ctx, rs[i]) })
	if err := errors.Join(errs...); err != nil {
		return a.problem(c, &problem{
			status: http.StatusServiceUnavailable, code: "not_cancelled", title: "Not cancelled yet",
			detail: "the ledger could not be told for certain: send the request again", cause: err,
		})
	}
	d.count.ended.WithLabelValues(statusCancelled).Inc()
	v := &view{ID: t.String(), Reservation: t.number(), Status: statusCancelled}
	if n != nil {
		v.Mode = n.view.Mode
	}
	a.renew(c, t.partner, v, time.Time{})
	a.count.answers.WithLabelValues("204", "").Inc()
	return c.NoContent(http.StatusNoContent)
}

// renew writes what became of a reservation after its answer. Where that fails the book
// says what was: it is for readers only.
func (a *api) renew(c echo.Context, partner string, v *view, until time.Time) {
	d := a.desk
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), bookTime)
	defer cancel()
	if err := d.book.change(ctx, partner, "", v, d.open(v, until), d.keep(v, until)); err != nil {
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
	t, n, bad := a.named(c, false)
	if bad == nil && n != nil && n.view.Status == statusPending {
		bad = notAnswered()
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	return a.keep(c, client, t, n, time.Time{})
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
	t, n, bad := a.named(c, true)
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
	return a.keep(c, client, t, n, until)
}

// keep keeps what was granted until a time, or for good. Of one in parts it keeps what
// there is.
func (a *api) keep(c echo.Context, client *reservation.Client, t *ticket, n *noted, until time.Time) error {
	d := a.desk
	ctx, stop := context.WithTimeout(c.Request().Context(), d.cfg.Wait+bookTime)
	defer stop()
	at := inventory.Instant(0)
	if !until.IsZero() {
		at = inventory.Instant(until.UnixMilli())
	}
	rs := t.known()
	replies, errs := make([]reservation.Reply, len(rs)), make([]error, len(rs))
	atOnce(rs, func(i int) { replies[i], errs[i] = client.Keep(ctx, rs[i], at) })
	switch err := errors.Join(errs...); {
	case errors.Is(err, reservation.ErrUnderWay):
		return a.problem(c, notAnswered())
	case err != nil:
		return a.problem(c, &problem{
			status: http.StatusServiceUnavailable, code: "not_confirmed", title: "Not confirmed yet",
			detail: "the ledger did not say so in time: send the request again", cause: err,
		})
	}
	v := viewOf(t, at, replies, nil)
	switch {
	case !v.held() && v.Status == statusDenied: // the ledger does not decide now
		return a.later(c, &problem{
			status: http.StatusConflict, code: "not_decided", title: "Not decided", detail: "the ledger does not decide about the item now: " + v.Reason,
		})
	case !v.held() && v.Reason == string(inventory.CodeUnknown):
		return a.problem(c, unknownReservation())
	case !v.held():
		if v.Reason == string(inventory.CodeLapsed) {
			v.Status = statusLapsed
		}
		a.renew(c, t.partner, v, time.Time{})
		return a.refuse(c, v)
	}
	if v.Refused = nil; n != nil && n.view.Status == statusPartial {
		v.Status, v.Refused = statusPartial, n.view.Refused
	}
	if at == 0 {
		v.Status, v.Until = statusConfirmed, ""
		d.count.ended.WithLabelValues(statusConfirmed).Inc()
	}
	a.renew(c, t.partner, v, until)
	return a.show(c, http.StatusOK, v)
}
