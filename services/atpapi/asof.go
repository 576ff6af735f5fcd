package atpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// pastAnswer is what stood of an item at a past time: quantities by state and, by when things
// were recorded, what was promised, or why that is not told.
type pastAnswer struct {
	Entity    string            `json:"entity"`
	Item      string            `json:"item"`
	AsOf      string            `json:"as_of,omitempty"`
	KnownAt   string            `json:"known_at,omitempty"`
	Group     string            `json:"group,omitempty"`
	Channel   string            `json:"channel,omitempty"`
	Version   int64             `json:"version"` // of the item, now
	States    map[string]string `json:"states"`  // of all locations
	Locations []pastLocation    `json:"locations"`
	Promise   *pastPromise      `json:"promise,omitempty"`
	Untold    *untold           `json:"untold,omitempty"` // in its place
	Log       pastLog           `json:"log"`
}

// pastLocation is what stood at a location.
type pastLocation struct {
	Location    string            `json:"location"`
	States      map[string]string `json:"states"`
	Publishable bool              `json:"publishable"`
	Untold      string            `json:"untold,omitempty"` // code of why no more was told of it then
}

// pastLog is what it was told from: outcomes of a partition, from an offset up to below
// another.
type pastLog struct {
	Partition int32 `json:"partition"`
	From      int64 `json:"from"`
	To        int64 `json:"to"`
}

// orPast answers a read that is as of a past time from the log, any other by next.
func (a *api) orPast(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		// Other reads pay no more than this. A name that is escaped is not found, and then
		// refused: it is no parameter of theirs.
		if past(c.Request().URL.RawQuery) {
			if v := c.QueryParams(); v.Has("as_of") || v.Has("known_at") {
				return a.pastItem(c)
			}
		}
		return next(c)
	}
}

// past says whether a query may be as of a past time.
func past(query string) bool {
	return strings.Contains(query, "as_of") || strings.Contains(query, "known_at")
}

// pastItem answers GET /v1/atp/{item}?as_of=&known_at=.
func (a *api) pastItem(c echo.Context) error {
	q, m, bad := a.pastQuery(c.Request())
	if bad == nil {
		bad = caller(c).reachBy(access.ATPRead, &q)
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	w, bad := a.reader.want(q)
	if bad != nil {
		return a.problem(c, bad)
	}
	now := a.reader.load(c.Request().Context(), []inventory.Key{q.key})[0]
	if now.problem != nil {
		return a.problem(c, now.problem)
	}
	told, b, bad := a.then(c, w, m, &now)
	if bad != nil {
		return a.unproved(c, bad)
	}
	out := a.pastAnswer(w, m, told)
	if q.location != "" && len(out.Locations) == 0 {
		return a.problem(c, unknownLocation(q.location))
	}
	if bad := a.promisedThen(out, w, &b, told); bad != nil {
		return a.problem(c, bad)
	}
	return a.said(c, out)
}

func (a *api) pastQuery(r *http.Request) (q query, m explain.When, bad *problem) {
	item, bad := itemOf(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/atp/"))
	if bad != nil {
		return q, m, bad
	}
	v, bad := params(r, "entity", "location", "group", "channel", "on", "quantity", "as_of", "known_at")
	if bad != nil {
		return q, m, bad
	}
	if q, _, bad = a.common(v); bad != nil {
		return q, m, bad
	}
	q.key.Item = item
	if q.quantity, bad = quantityOf(v.Get("quantity")); bad != nil {
		return q, m, bad
	}
	if m, bad = a.when(v); bad == nil && m.AsOf != 0 && (q.on != 0 || q.quantity != 0) {
		bad = badRequest("conflicting_parameters", "what was promised is told by known_at alone")
	}
	return q, m, bad
}

// then takes the item back to the time, and the question with it.
func (a *api) then(c echo.Context, w *wanted, m explain.When, now *standing) (told *explain.Past, b before, bad *problem) {
	bad = a.prove(c, kindAsOf, func(ctx context.Context, spent *explain.Spent) (err error) {
		if b, err = a.asked(ctx, w, m, spent); err != nil {
			return err
		}
		told, err = explain.Then(ctx, explain.ThenConfig{
			Reads: a.prover.reads, Codecs: a.reader.codecs, Key: w.key, When: m, Now: inventory.Instant(w.now.UnixMilli()),
			Positions: now.positions, Since: inventory.Instant(now.mark.watermark), Budget: a.prover.cfg.budget(), Spent: spent,
			Held: b.w != nil, Locations: b.within(),
		})
		return err //nolint:wrapcheck // it becomes a problem
	})
	return told, b, bad
}

func (a *api) pastAnswer(w *wanted, m explain.When, told *explain.Past) *pastAnswer {
	out := &pastAnswer{
		Entity: string(w.key.Entity), Item: string(w.key.Item), AsOf: instant(m.AsOf), KnownAt: instant(m.KnownAt),
		Group: w.query.group, Channel: w.query.channel, Version: told.Version, Locations: []pastLocation{},
		Log: pastLog{told.Partition, told.From, told.To},
	}
	var sum explain.States
	for i := range told.Locations {
		l := &told.Locations[i]
		if !w.shows(l.Location) {
			continue
		}
		for s, q := range l.States {
			sum[s] += q
		}
		out.Locations = append(out.Locations, pastLocation{
			string(l.Location), explain.StatesText(&l.States), a.reader.publishable(w.key.Entity, l.Location), "",
		})
	}
	out.States = explain.StatesText(&sum)
	return out
}
