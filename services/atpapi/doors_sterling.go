package atpapi

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/services/atpapi/doors"
	"github.com/stockweave/stockweave/services/atpapi/doors/sterling"
)

const sterlingPath = "/inventory/:tenantId/v1"

// sterlingRoutes are those of Sterling Inventory Visibility that read and reserve.
func (a *api) sterlingRoutes(e *echo.Echo) {
	e.POST(sterlingPath+"/availability/node", a.guarded(a.saySterling, access.ATPRead, sterlingQuery(a, (*sterling.Door).Node)))
	e.POST(sterlingPath+"/availability/network", a.guarded(a.saySterling, access.ATPRead, sterlingQuery(a, (*sterling.Door).Network)))
	e.POST(sterlingPath+"/reservations", a.guarded(a.saySterling, access.ReservationsWrite, a.timed("reserve", a.sterlingReserve)))
	e.DELETE(sterlingPath+"/reservations/:reservationId", a.guarded(a.saySterling, access.ReservationsWrite, a.timed("cancel", a.sterlingCancel)))
}

func (a *api) saySterling(c echo.Context, p *problem) error {
	return c.JSON(p.status, sterling.Refuse(faultOf(p)))
}

// tenant is whose items the tenant of the path has. Who may ask of some entities alone is
// not told which tenants there are beside.
func (a *api) tenant(c echo.Context, needs access.Permission) (inventory.Entity, *problem) {
	e, ok := a.dialects.sterling.Entity(c.Param("tenantId"))
	if !caller(c).mayOf(needs, e) {
		return "", forbidden()
	}
	if !ok {
		return "", problemOf(&doors.Fault{Status: http.StatusNotFound, Code: "unknown_tenant", Detail: "there is no such tenant here"})
	}
	return e, nil
}

// sterlingQuery answers a question of one of the two shapes.
func sterlingQuery[T any](a *api, read func(*sterling.Door, inventory.Entity, *T, inventory.Day) (*sterling.Query, *doors.Fault)) echo.HandlerFunc {
	return func(c echo.Context) error {
		var in T
		entity, p := a.tenant(c, access.ATPRead)
		if p == nil {
			p = readJSON(c.Request(), maxBatchBody, &in)
		}
		if p != nil {
			return a.problem(c, p)
		}
		q, bad := read(a.dialects.sterling, entity, &in, a.today())
		return a.sterlingAnswer(c, q, bad)
	}
}

func (a *api) sterlingAnswer(c echo.Context, q *sterling.Query, bad *doors.Fault) error {
	if bad != nil {
		return a.problem(c, problemOf(bad))
	}
	told, p := a.told(c, q.Asks)
	if p != nil {
		return a.problem(c, p)
	}
	var since []doors.Told
	if later := q.Later(told); len(later) > 0 {
		if since, p = a.told(c, later); p != nil {
			return a.problem(c, p)
		}
	}
	out, bad := q.Answer(told, since, a.now())
	if bad != nil {
		return a.problem(c, problemOf(bad))
	}
	return a.said(c, out)
}

// sterlingReserve makes a reservation of each line. The Transaction-Id names the request;
// without one, as in the dialect, the same request sent again is another.
func (a *api) sterlingReserve(c echo.Context, client *reservation.Client) error {
	var in sterling.ReserveRequest
	entity, p := a.tenant(c, access.ReservationsWrite)
	if p == nil {
		p = readJSON(c.Request(), maxReserveBody, &in)
	}
	if p != nil {
		return a.problem(c, p)
	}
	transaction := c.Request().Header.Get("Transaction-Id")
	switch {
	case len(transaction) > maxName:
		return a.problem(c, badRequest("bad_parameter", "Transaction-Id: at most %d bytes", maxName))
	case transaction == "":
		transaction = rand.Text()
	}
	holds, bad := a.dialects.sterling.Holds(entity, transaction, &in)
	if bad != nil {
		return a.problem(c, problemOf(bad))
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), bulkTime)
	defer cancel()
	who, partner := caller(c), partnerOf(c)
	for i := range holds {
		if !who.may(access.Need{Permission: access.ReservationsWrite, Entity: string(entity), Location: string(holds[i].Location)}) {
			return a.problem(c, forbidden())
		}
	}
	held := make([]doors.Held, len(holds))
	a.many(len(holds), func(i int) { held[i] = a.hold(ctx, who, partner, client, "sterling", &holds[i], false) })
	out, bad := sterling.Reserved(&in, held)
	if bad != nil {
		return a.problem(c, problemOf(bad))
	}
	return a.said(c, out)
}

func (a *api) sterlingCancel(c echo.Context, client *reservation.Client) error {
	entity, p := a.tenant(c, access.ReservationsWrite)
	if p != nil {
		return a.problem(c, p)
	}
	ctx := c.Request().Context()
	t, n, p := a.recall(ctx, partnerOf(c), c.Param("reservationId"), false)
	if p == nil && t.items[0].Entity != entity {
		p = unknownReservation()
	}
	if p == nil {
		p = a.giveBack(ctx, client, t, n)
	}
	if p != nil {
		return a.problem(c, p)
	}
	a.count.answers.WithLabelValues("204", "").Inc()
	return c.NoContent(http.StatusNoContent)
}
