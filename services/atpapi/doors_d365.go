package atpapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/services/atpapi/doors"
	"github.com/stockweave/stockweave/services/atpapi/doors/d365"
)

const d365Path = "/api/environment/:environmentId/onhand"

// d365Routes are those of Dynamics 365 Inventory Visibility that read and reserve. Those
// that write stock are not here: stock comes by messages.
func (a *api) d365Routes(e *echo.Echo) {
	read := func(next echo.HandlerFunc) echo.HandlerFunc {
		return a.guarded(a.sayD365, access.ATPRead, func(c echo.Context) error {
			if bad := a.environment(c); bad != nil {
				return a.problem(c, bad)
			}
			return next(c)
		})
	}
	write := func(action string, next func(echo.Context, *reservation.Client) error) echo.HandlerFunc {
		return a.guarded(a.sayD365, access.ReservationsWrite, a.timed(action, func(c echo.Context, client *reservation.Client) error {
			if bad := a.environment(c); bad != nil {
				return a.problem(c, bad)
			}
			return next(c, client)
		}))
	}
	e.GET(d365Path, read(a.d365Get))
	e.POST(d365Path+"/indexquery", read(d365Query(a, (*d365.Door).Index)))
	e.POST(d365Path+"/exactquery", read(d365Query(a, (*d365.Door).Exact)))
	e.POST(d365Path+"/reserve", write("reserve", one(a, a.d365Reserve)))
	e.POST(d365Path+"/reserve/bulk", write("reserve", bulk(a, a.d365Reserve)))
	e.POST(d365Path+"/unreserve", write("cancel", one(a, a.d365Unreserve)))
	e.POST(d365Path+"/unreserve/bulk", write("cancel", bulk(a, a.d365Unreserve)))
}

// sayD365 says a problem as a record that failed.
func (a *api) sayD365(c echo.Context, p *problem) error {
	return c.JSON(p.status, d365.Failed("", faultOf(p)))
}

// environment refuses an environment that is not the door's, and a version of the dialect
// that is not known.
func (a *api) environment(c echo.Context) *problem {
	if !a.dialects.d365.Admits(c.Param("environmentId")) {
		return problemOf(&doors.Fault{Status: http.StatusNotFound, Code: "unknown_environment", Detail: "there is no such environment here"})
	}
	if v := c.Request().Header.Values("Api-Version"); len(v) > 0 && v[0] != "1.0" {
		return problemOf(doors.Bad("unknown_version", "Api-Version: 1.0 is spoken here"))
	}
	return nil
}

func (a *api) d365Get(c echo.Context) error {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return a.problem(c, badRequest("bad_query", "the query cannot be read"))
	}
	q, bad := a.dialects.d365.Get(values, a.today())
	return a.d365Answer(c, q, bad)
}

// d365Query answers a query of one of the two shapes.
func d365Query[T any](a *api, read func(*d365.Door, *T, inventory.Day) (*d365.Query, *doors.Fault)) echo.HandlerFunc {
	return func(c echo.Context) error {
		var in T
		if p := readJSON(c.Request(), maxBatchBody, &in); p != nil {
			return a.problem(c, p)
		}
		q, bad := read(a.dialects.d365, &in, a.today())
		return a.d365Answer(c, q, bad)
	}
}

func (a *api) d365Answer(c echo.Context, q *d365.Query, bad *doors.Fault) error {
	if bad != nil {
		return a.problem(c, problemOf(bad))
	}
	told, p := a.told(c, q.Asks)
	if p != nil {
		return a.problem(c, p)
	}
	rows, bad := q.Answer(told)
	if bad != nil {
		return a.problem(c, problemOf(bad))
	}
	return a.said(c, rows)
}

// record does what one record of a request asks.
type record[T any] func(ctx context.Context, c echo.Context, client *reservation.Client, in *T) d365.Record

// one answers a request of one record with the record's status.
func one[T any](a *api, do record[T]) func(echo.Context, *reservation.Client) error {
	return func(c echo.Context, client *reservation.Client) error {
		var in T
		if p := readJSON(c.Request(), maxReserveBody, &in); p != nil {
			return a.problem(c, p)
		}
		r := do(c.Request().Context(), c, client, &in)
		a.count.answers.WithLabelValues(strconv.Itoa(r.StatusCode), r.Code).Inc()
		h := c.Response().Header()
		h.Set(echo.HeaderCacheControl, "no-store")
		if r.StatusCode >= http.StatusInternalServerError || r.StatusCode == http.StatusTooManyRequests || r.Code == statusContended {
			h.Set(echo.HeaderRetryAfter, strconv.Itoa(retrySoon))
		}
		return c.JSON(r.StatusCode, r)
	}
}

// bulk answers each record by itself, in the order sent; what fails takes nothing from the
// others.
func bulk[T any](a *api, do record[T]) func(echo.Context, *reservation.Client) error {
	return func(c echo.Context, client *reservation.Client) error {
		var in []T
		if p := readJSON(c.Request(), maxBatchBody, &in); p != nil {
			return a.problem(c, p)
		}
		if len(in) == 0 || len(in) > d365.MaxRecords {
			return a.problem(c, problemOf(doors.Bad("too_many_records", "1 to %d records for each request, not %d", d365.MaxRecords, len(in))))
		}
		ctx, cancel := context.WithTimeout(c.Request().Context(), bulkTime)
		defer cancel()
		out := make([]d365.Record, len(in))
		a.many(len(in), func(i int) { out[i] = do(ctx, c, client, &in[i]) })
		return a.said(c, out)
	}
}

func (a *api) d365Reserve(ctx context.Context, c echo.Context, client *reservation.Client, in *d365.Reserve) d365.Record {
	d := a.dialects.d365
	h, bad := d.Hold(in)
	if bad != nil {
		return d365.Failed(in.ID, bad)
	}
	held := a.hold(ctx, caller(c), partnerOf(c), client, "d365", h, d.Kept())
	return d365.Reserved(in.ID, &held)
}

func (a *api) d365Unreserve(ctx context.Context, c echo.Context, client *reservation.Client, in *d365.Unreserve) d365.Record {
	r, bad := a.dialects.d365.Release(in)
	if bad != nil {
		return d365.Failed(in.ID, bad)
	}
	t, n, p := a.recall(ctx, partnerOf(c), r.ID, false)
	if p == nil && (t.items[0].Entity != r.Entity || !caller(c).mayAll(access.ReservationsWrite, t)) {
		p = unknownReservation()
	}
	if p == nil {
		p = a.giveBack(ctx, client, t, n)
	}
	if p != nil {
		a.warn(p)
		return d365.Failed(in.ID, faultOf(p))
	}
	return d365.Released(in, r)
}
