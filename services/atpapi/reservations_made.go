package atpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/reservation"
)

// codeUnderWay is the problem of a request whose first attempt has no answer yet.
const codeUnderWay = "idempotency_key_in_use"

// settled is what came of a request for a reservation. Each dialect has its own words
// for it.
type settled struct {
	status  int // of a view that is shown; 0: the view holds nothing, and is refused
	view    *view
	problem *problem // instead of a view
	later   bool     // after the problem the caller may come again
	at      string   // the id of a reservation that says how it stands
}

// comeAgain is a problem after which the caller may come again.
func comeAgain(p *problem) settled { return settled{problem: p, later: true} }

// say answers with what came of a request.
func (a *api) say(c echo.Context, o settled) error {
	switch {
	case o.problem != nil && o.later:
		if o.at != "" {
			c.Response().Header().Set(echo.HeaderLocation, reservationPath+"/"+o.at)
		}
		return a.later(c, o.problem)
	case o.problem != nil:
		return a.problem(c, o.problem)
	case o.status == 0:
		return a.refuse(c, o.view)
	}
	return a.show(c, o.status, o.view)
}

// request puts a request to the ledger for a visitor, whose scopes it looks at.
func (a *api) request(ctx context.Context, who visitor, client *reservation.Client, q *asking) settled {
	for i := range q.lines {
		l := &q.lines[i]
		if !who.may(access.Need{
			Permission: access.ReservationsWrite, Entity: string(l.Key.Entity), Channel: l.Channel, Location: string(l.Location),
		}) {
			return settled{problem: forbidden()}
		}
	}
	partner := q.ticket.partner
	owner, err := a.desk.enter(partner)
	switch {
	case errors.Is(err, errBusy):
		return comeAgain(&problem{status: http.StatusTooManyRequests, code: "too_many_under_way", title: "Too many requests under way"})
	case err != nil:
		return settled{problem: deskShut(err)}
	}
	known, err := a.desk.begin(ctx, q, owner)
	if err != nil || known != begunMine {
		a.desk.leave(partner)
		if err != nil {
			return settled{problem: deskShut(err)}
		}
		return a.again(ctx, q, known)
	}
	return a.await(ctx, client, q, owner)
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

func keyReused() *problem {
	return &problem{
		status: http.StatusUnprocessableEntity, code: "idempotency_key_reused", title: "The key is another request's",
		detail: "the Idempotency-Key was used for another request",
	}
}

// again answers a request that is not new.
func (a *api) again(ctx context.Context, q *asking, known begun) settled {
	switch known {
	case begunOther:
		return settled{problem: keyReused()}
	case begunPending:
		o := comeAgain(&problem{
			status: http.StatusConflict, code: codeUnderWay, title: "Under way",
			detail: "the first request with this Idempotency-Key has no answer yet; Location says how it stands",
		})
		o.at = q.ticket.String()
		return o
	case begunOpen:
		return comeAgain(&problem{
			status: http.StatusTooManyRequests, code: "too_many_open", title: "Too many open reservations",
			detail: "confirm or cancel some, or let them lapse",
		})
	case begunKnown, begunMine:
	}
	n, err := a.desk.find(ctx, q.ticket.partner, q.ticket.number())
	switch {
	case err != nil:
		return settled{problem: deskShut(err)}
	case n == nil: // it was forgotten this moment
		return settled{problem: deskShut(nil)}
	case n.view.held():
		return settled{status: http.StatusCreated, view: &n.view}
	}
	return settled{view: &n.view}
}

// answered is what came of a run.
type answered struct {
	view *view
	err  error
}

// await runs a request and waits for its answer as long as callers do.
func (a *api) await(ctx context.Context, client *reservation.Client, q *asking, owner string) settled {
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
		return a.tell(got)
	case <-t.C:
	case <-ctx.Done():
	}
	return settled{
		status: http.StatusAccepted, view: &view{ID: q.ticket.String(), Reservation: q.ticket.number(), Status: statusPending},
	}
}

func (a *api) tell(got answered) settled {
	switch v := got.view; {
	case errors.Is(got.err, reservation.ErrRequest):
		return settled{problem: &problem{status: http.StatusBadRequest, code: "bad_body", title: "Bad request", detail: got.err.Error()}}
	case got.err != nil:
		return settled{problem: deskShut(got.err)}
	case v.held():
		return settled{status: http.StatusCreated, view: v}
	case v.Status == statusCancelled && (v.Reason == string(reservation.CodeUnanswered) || a.desk.isClosing()):
		return comeAgain(&problem{
			status: http.StatusServiceUnavailable, code: "unanswered", title: "The ledger did not answer in time",
			detail: "everything of it is given back: ask again with another Idempotency-Key",
		})
	default:
		return settled{view: v}
	}
}
