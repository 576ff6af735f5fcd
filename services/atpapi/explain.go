package atpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
)

const (
	defaultExplained = 100 // contributions
	maxExplained     = 10_000
)

// explainQuery asks what makes a number.
type explainQuery struct {
	query
	when  explain.When
	limit int // contributions
}

// explained answers GET /v1/atp/{item}/explain.
func (a *api) explained(c echo.Context) error {
	q, bad := a.explainQuery(c.Request())
	if bad == nil {
		bad = caller(c).reachBy(access.ATPExplain, &q.query)
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	w, bad := a.reader.want(q.query)
	if bad != nil {
		return a.problem(c, bad)
	}
	it, bad := a.proof(c, w, &q)
	if bad != nil {
		return a.unproved(c, bad)
	}
	hideElsewhere(it, func(l inventory.Location) bool {
		return caller(c).may(access.Need{Permission: access.ATPExplain, Entity: string(q.key.Entity), Location: string(l)})
	})
	report, bad := a.report(c.Request().Context(), w, &q, it)
	if bad != nil {
		return a.problem(c, bad)
	}
	switch whole := (access.Need{Permission: access.ATPExplain, Entity: string(q.key.Entity)}); {
	case w.narrow: // of a channel: the documents at its locations are not its own alone
		report.Withhold()
	case !caller(c).may(whole): // of a location: these are of all of them
		report.Others, report.Before = []explain.ReportedOutcome{}, 0
	}
	return a.said(c, report)
}

// hideElsewhere takes locations of which the caller may not be told out of the moves to
// and from them.
func hideElsewhere(it *explain.Item, may func(inventory.Location) bool) {
	for i := range it.Locations {
		cs := it.Locations[i].Contributions
		for j := range cs {
			moves := cs[j].Outcome.Moves
			for k := range moves {
				for _, at := range [...]*inventory.Location{&moves[k].From.Location, &moves[k].To.Location} {
					if *at != "" && *at != it.Locations[i].Location && !may(*at) {
						*at = ""
					}
				}
			}
		}
	}
}

// explainQuery reads and bounds what was asked.
func (a *api) explainQuery(r *http.Request) (q explainQuery, bad *problem) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1/atp/")
	item, bad := itemOf(strings.TrimSuffix(path, "/explain"))
	if bad != nil {
		return q, bad
	}
	v, bad := params(r, "entity", "location", "group", "channel", "on", "limit", "as_of", "known_at")
	if bad != nil {
		return q, bad
	}
	if q.query, _, bad = a.common(v); bad != nil {
		return q, bad
	}
	q.key.Item = item
	if q.when, bad = a.when(v); bad != nil {
		return q, bad
	}
	if !q.when.Now() && q.on != 0 {
		return q, badRequest("conflicting_parameters", "what is promised on a day is told of now alone")
	}
	q.limit = defaultExplained
	if s := v.Get("limit"); s != "" {
		if q.limit, _ = strconv.Atoi(s); q.limit < 1 || q.limit > maxExplained {
			return q, badRequest("bad_parameter", "limit must be between 1 and %d", maxExplained)
		}
	}
	return q, nil
}

// itemOf unescapes the item of a path, exactly once, whatever the router saw.
func itemOf(escaped string) (inventory.Item, *problem) {
	item, err := url.PathUnescape(escaped)
	if err != nil || item == "" || len(item) > maxName {
		return "", badRequest("bad_item", "an item in the path has 1 to %d bytes, percent-encoded", maxName)
	}
	return inventory.Item(item), nil
}

// when reads the time that is asked of.
func (a *api) when(v url.Values) (m explain.When, bad *problem) {
	now := a.now()
	for _, p := range [...]struct {
		name string
		into *inventory.Instant
	}{{"as_of", &m.AsOf}, {"known_at", &m.KnownAt}} {
		name, s := p.name, v.Get(p.name)
		if s == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.UnixMilli() <= 0 {
			return m, badRequest("bad_time", "%s must be a time such as 2026-11-24T12:00:00Z, with + as %%2B", name)
		}
		if t.After(now) {
			return m, badRequest("bad_time", "%s is in the future", name)
		}
		*p.into = inventory.Instant(t.UnixMilli())
	}
	return m, nil
}

// want is a query with what policies say of it now.
func (r *reader) want(q query) (*wanted, *problem) {
	w := &wanted{query: q, promises: r.policies.Get(), now: r.now(), heard: r.heard.Steady()}
	return w, w.resolve()
}

// proof reads the item's contributions. Of a kit without facts of its own there are none.
func (a *api) proof(c echo.Context, w *wanted, q *explainQuery) (it *explain.Item, bad *problem) {
	limit := q.limit
	if w.narrow {
		limit = 1 // none is shown
	}
	bad = a.prove(c, kindExplain, func(ctx context.Context, spent *explain.Spent) (err error) {
		it, err = explain.Read(ctx, explain.Config{
			Reads: a.prover.reads, Codecs: a.reader.codecs, Key: w.key, Locations: w.group, Limit: limit,
			When: q.when, Now: inventory.Instant(w.now.UnixMilli()), Budget: a.prover.cfg.budget(), Spent: spent,
		})
		return err //nolint:wrapcheck // it becomes a problem
	})
	if bad != nil && bad.code == codeUnknownItem && len(w.promises.Kit(w.key)) > 0 && q.when.Now() {
		return &explain.Item{Key: w.key}, nil
	}
	return it, bad
}

// report is the proof in JSON, with what is promised by it now: the number that a read
// answers where Redis has come as far.
func (a *api) report(ctx context.Context, w *wanted, q *explainQuery, it *explain.Item) (*explain.Report, *problem) {
	f := facts{of: map[inventory.Key][]inventory.Position{}}
	for i := range it.Locations {
		if p := it.Locations[i].Position; p.Location != "" {
			f.of[w.key] = append(f.of[w.key], p)
		}
	}
	report := it.Report()
	if q.when.Now() {
		if bad := a.promised(ctx, w, &f, report); bad != nil {
			return nil, bad
		}
	}
	if w.location != "" && len(it.Locations) == 0 && !f.at(w.location) {
		return nil, unknownLocation(w.location)
	}
	return report, nil
}

func unknownLocation(l inventory.Location) *problem {
	return &problem{status: http.StatusNotFound, code: "unknown_location", title: "Unknown location", detail: fmt.Sprintf("the item has nothing recorded at %q", l)}
}

// promised puts into a report how what is promised now comes about. Of a kit the facts of
// its parts are those in Redis.
func (a *api) promised(ctx context.Context, w *wanted, f *facts, report *explain.Report) *problem {
	var parts []inventory.Key
	for _, part := range w.promises.Kit(w.key) {
		parts = append(parts, part.Key)
	}
	for i, s := range a.reader.load(ctx, parts) {
		switch {
		case s.problem == nil:
			f.of[parts[i]] = s.positions
		case s.problem.code != codeUnknownItem:
			return s.problem
		}
	}
	if bad := a.reader.reachable(w, f); bad != nil {
		return bad
	}
	of := w.promises.Facts(w.key, func(k inventory.Key) []inventory.Position { return f.of[k] })
	report.Promise = explain.ReportPromise(of.PolicyVersion, inventory.Explain(a.reader.question(w, w.group, a.reader.shown(w, f), w.channel)))
	return nil
}
