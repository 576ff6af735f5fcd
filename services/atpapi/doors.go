package atpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/reservation"
	"github.com/stockweave/stockweave/services/atpapi/doors"
	"github.com/stockweave/stockweave/services/atpapi/doors/d365"
	"github.com/stockweave/stockweave/services/atpapi/doors/sterling"
)

// DoorsConfig opens doors for systems that speak another dialect. By default they are
// shut.
type DoorsConfig struct {
	D365     d365.Config     `yaml:"d365"`
	Sterling sterling.Config `yaml:"sterling"`
}

// DefaultDoors is what holds where the file says nothing.
func DefaultDoors() DoorsConfig {
	return DoorsConfig{D365: d365.DefaultConfig(), Sterling: sterling.DefaultConfig()}
}

// Validate reports every fault at once.
func (c *DoorsConfig) Validate() error {
	_, err := c.open()
	return err
}

// dialects are the doors that are open; nil: shut.
type dialects struct {
	d365     *d365.Door
	sterling *sterling.Door
}

func (c *DoorsConfig) open() (dialects, error) {
	var out dialects
	var errs [2]error
	out.d365, errs[0] = d365.New(&c.D365)
	out.sterling, errs[1] = sterling.New(&c.Sterling)
	for i, name := range [...]string{"d365", "sterling"} {
		if errs[i] != nil {
			errs[i] = fmt.Errorf("atp_api.doors.%s: %w", name, errs[i])
		}
	}
	return out, errors.Join(errs[:]...)
}

// behindDoors adds the routes of all dialects.
func (a *api) behindDoors(e *echo.Echo) {
	a.d365Routes(e)
	a.sterlingRoutes(e)
}

// spoken writes a problem in the words of a dialect.
type spoken func(c echo.Context, p *problem) error

const spokenKey = "dialect"

// door has all problems of a handler said in a dialect, also those of whoever guards it.
func door(in spoken, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Set(spokenKey, in)
		return next(c)
	}
}

// faultOf is a problem as doors know it.
func faultOf(p *problem) *doors.Fault {
	detail := p.detail
	if detail == "" {
		detail = p.title
	}
	return &doors.Fault{Status: p.status, Code: p.code, Detail: detail}
}

// problemOf is the other way.
func problemOf(f *doors.Fault) *problem {
	return &problem{status: f.Status, code: f.Code, title: http.StatusText(f.Status), detail: f.Detail}
}

// today is the day in UTC, from which doors count.
func (a *api) today() inventory.Day { return place.DayAt(a.now(), time.UTC) }

// told answers the questions of a door by the reader, within the caller's scopes. What
// the scopes do not reach is refused whole, whatever else was asked.
func (a *api) told(c echo.Context, asks []doors.Ask) ([]doors.Told, *problem) {
	qs := make([]query, len(asks))
	for i := range asks {
		k := &asks[i]
		qs[i] = query{key: k.Key, location: k.Location, group: k.Group, on: k.On, quantity: k.Quantity}
	}
	who := caller(c)
	for i := range qs {
		if bad := who.reach(&qs[i]); bad != nil {
			return nil, bad
		}
	}
	out := make([]doors.Told, len(qs))
	for i, got := range a.reader.readAll(c.Request().Context(), qs) {
		if got.problem != nil {
			if got.problem.status >= http.StatusInternalServerError { // nor is it better of the others
				return nil, got.problem
			}
			out[i].Fault = faultOf(got.problem)
			continue
		}
		out[i] = tell(got.answer)
	}
	return out, nil
}

// tell is an answer as doors know it, in the words of GET /v1/atp.
func tell(a *answer) doors.Told {
	t := doors.Told{Quantities: map[string]string{doors.ATP: a.ATP}}
	if len(a.Locations) == 1 {
		l := &a.Locations[0]
		maps.Copy(t.Quantities, l.States)
		t.Quantities[doors.Reserved], t.Quantities[doors.Supply], t.Quantities[doors.SafetyStock] = l.Reserved, l.Supply, l.SafetyStock
	}
	if a.Promisable != nil {
		t.From = a.Promisable.On
	}
	return t
}

// atATime is how many reservations of one request go to the ledger at a time, at most:
// half of what the caller may have under way.
const atATime = 32

// bulkTime bounds a request with many reservations.
const bulkTime = 20 * time.Second

// many calls f for each of n, some at a time, and returns when all are done.
func (a *api) many(n int, f func(i int)) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, max(1, min(atATime, a.desk.cfg.MaxUnderWay/2)))
	for i := range n {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			f(i)
		})
	}
	wg.Wait()
}

// hold makes a reservation for a door; kept: until it is given back.
func (a *api) hold(ctx context.Context, who visitor, partner string, client *reservation.Client, dialect string, h *doors.Hold, kept bool) doors.Held {
	if ctx.Err() != nil { // the time of the whole request is over
		return doors.Held{Fault: faultOf(deskShut(nil))}
	}
	key := dialect + "-" + idempotent.ID([]byte(dialect), []byte(h.Name))
	q, bad := a.asking(partner, key, &reserveRequest{
		Entity: string(h.Key.Entity), Hold: h.Seconds,
		Lines: []reserveLine{{Item: string(h.Key.Item), Location: string(h.Location), Quantity: h.Quantity}},
	})
	if bad != nil {
		return doors.Held{Fault: faultOf(bad)}
	}
	o := a.request(ctx, who, client, q)
	if kept && o.problem == nil && o.view.held() && o.view.Status != statusConfirmed {
		o = a.keep(ctx, client, &q.ticket, nil, time.Time{})
	}
	switch {
	case o.problem != nil && o.problem.code == codeUnderWay, o.problem == nil && o.view.Status == statusPending:
		return doors.Held{Fault: &doors.Fault{
			Status: http.StatusServiceUnavailable, Code: statusPending, Detail: "there is no answer yet: send the same request again",
		}}
	case o.problem != nil:
		if !o.later {
			a.warn(o.problem)
		}
		return doors.Held{Fault: faultOf(o.problem)}
	case !o.view.held():
		p, _ := refusalOf(o.view)
		return doors.Held{Fault: faultOf(p)}
	}
	return doors.Held{ID: o.view.ID, Quantity: h.Quantity}
}

// guarded is a handler of a door behind a permission.
func (a *api) guarded(in spoken, needs access.Permission, next echo.HandlerFunc) echo.HandlerFunc {
	return door(in, a.authorised(needs, next))
}
