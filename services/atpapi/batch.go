package atpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
)

const (
	maxBatch     = 1000    // items of one request
	maxBatchBody = 1 << 20 // bytes
)

// batchRequest asks one question of many items.
type batchRequest struct {
	Entity   string      `json:"entity"`
	Location string      `json:"location"`
	Group    string      `json:"group"`
	Channel  string      `json:"channel"`
	On       string      `json:"on"`
	Quantity string      `json:"quantity"` // of each item
	Fields   []string    `json:"fields"`   // empty: all
	MaxAge   *int64      `json:"max_age_ms"`
	Items    []batchItem `json:"items"`
}

type batchItem struct {
	Item   string `json:"item"`
	Entity string `json:"entity"` // empty: the request's
	// What the caller holds of it, of which an answer would say nothing new; empty, 0: nothing.
	ETag         string `json:"etag"`
	SinceVersion int64  `json:"since_version"`
}

// holds says whether the caller has an answer, by its name, or the facts that it is made of.
// A kit's parts have versions of their own, so a version says nothing of it.
func (it *batchItem) holds(a *answer, etag string) bool {
	byVersion := it.SinceVersion > 0 && len(a.Kit) == 0 && a.Version <= it.SinceVersion
	return byVersion || it.ETag != "" && matches([]string{it.ETag}, etag)
}

// batchAnswer has a result for each item, in the order asked: some may be answered
// and others not.
type batchAnswer struct {
	Answered int           `json:"answered"`
	Failed   int           `json:"failed"`
	Results  []batchResult `json:"results"`
}

type batchResult struct {
	Item    string       `json:"item"`
	Entity  string       `json:"entity"`
	Status  int          `json:"status"`
	ETag    string       `json:"etag,omitempty"`
	Answer  any          `json:"answer,omitempty"` // an *answer, or what was selected of one
	Problem *problemBody `json:"problem,omitempty"`
	// Freshness is of what the caller holds, where that is so still: there is no answer then.
	Freshness *freshness `json:"freshness,omitempty"`
}

// append adds the whole, encoded, to b.
func (o *batchAnswer) append(b []byte) ([]byte, error) {
	b = strconv.AppendInt(append(b, `{"answered":`...), int64(o.Answered), 10)
	b = strconv.AppendInt(append(b, `,"failed":`...), int64(o.Failed), 10)
	b = append(b, `,"results":[`...)
	for i := range o.Results {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = o.Results[i].append(b); err != nil {
			return nil, fmt.Errorf("encoding result %d: %w", i, err)
		}
	}
	return append(b, "]}"...), nil
}

// append adds the result, encoded, to b. Answers that are named are encoded already.
func (r *batchResult) append(b []byte) ([]byte, error) {
	a, named := r.Answer.(*answer)
	if !named || a.body == nil || r.Problem != nil {
		text, err := json.Marshal(r)
		return append(b, text...), err //nolint:wrapcheck // the whole says which
	}
	b = appendString(append(b, `{"item":`...), r.Item)
	b = appendString(append(b, `,"entity":`...), r.Entity)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(r.Status), 10)
	b = append(append(append(b, `,"etag":"W/\"`...), r.ETag[len(`W/"`):len(r.ETag)-1]...), `\""`...) // see tag
	return append(a.append(append(b, `,"answer":`...), &a.Freshness), '}'), nil
}

// batchRoom is what a batch is worked out in. It is used again from batch to batch.
type batchRoom struct {
	items   []batchItem
	queries []query
	reading reading
	results []batchResult
}

// forget makes it ready for another use: nothing of it may be in use any more.
func (o *batchRoom) forget() {
	o.items, o.queries, o.results = emptied(o.items), emptied(o.queries), emptied(o.results)
	o.reading.forget()
}

// batch answers POST /v1/atp/batch.
func (a *api) batch(c echo.Context) error {
	began, in := a.now(), a.rooms.get()
	defer func() {
		in.forget()
		a.rooms.put(in)
	}()
	shape, bad := a.queries(c.Request(), in)
	if bad != nil {
		return a.problem(c, bad)
	}
	qs, got := in.queries, a.reach(c, in)
	in.results = room(in.results, len(qs))
	out := batchAnswer{Results: in.results}
	whole := got[0].problem
	for i := range got {
		r := &out.Results[i]
		r.Item, r.Entity = string(qs[i].key.Item), string(qs[i].key.Entity)
		p := got[i].problem
		if p == nil {
			p = shape.fresh(&got[i].answer.Freshness)
		}
		if p == nil {
			p = r.say(got[i].answer, shape.fields, &in.items[i])
		}
		if p != nil {
			out.Failed++
			r.Status, r.Problem = p.status, p.body()
			if p.status < http.StatusInternalServerError {
				whole = nil
			}
			continue
		}
		whole = nil
		out.Answered++
	}
	if whole != nil { // of none is anything known: whoever asked should come again
		return a.problem(c, whole)
	}
	p := a.buffers.get()
	defer a.buffers.put(p)
	body, err := out.append(*p)
	if err != nil {
		return a.problem(c, unwritable(err))
	}
	*p = append(body, '\n')
	a.count.took.Observe(a.now().Sub(began).Seconds())
	a.count.answered.Inc()
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-cache")
	h.Set(echo.HeaderContentLength, strconv.Itoa(len(*p))) // compressed, it is taken away again
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, *p)
}

// say names the answer, and takes what is selected of it, unless the caller holds it.
func (r *batchResult) say(a *answer, fields selection, it *batchItem) *problem {
	var err error
	if r.ETag, err = a.tag(); err != nil {
		return unwritable(err)
	}
	if it.holds(a, r.ETag) {
		r.Status, r.Freshness = http.StatusNotModified, &a.Freshness
		return nil
	}
	r.Status = http.StatusOK
	if r.Answer, err = fields.of(a); err != nil {
		r.ETag = ""
		return unwritable(err)
	}
	return nil
}

// reach answers the queries that the caller may ask, and refuses the others.
func (a *api) reach(c echo.Context, in *batchRoom) []result {
	who, out := caller(c), room(in.reading.results, len(in.queries))
	for i := range in.queries {
		out[i].problem = who.reach(&in.queries[i])
	}
	in.reading.results = out
	a.reader.readInto(c.Request().Context(), in.queries, &in.reading)
	return out
}

// queries reads and bounds a batch.
func (a *api) queries(r *http.Request, in *batchRoom) (shape, *problem) {
	bad := func(code, pointer, format string, args ...any) (shape, *problem) {
		return shape{}, &problem{status: http.StatusBadRequest, code: code, title: "Bad request", detail: fmt.Sprintf(format, args...), pointer: pointer}
	}
	body, p := readBody(r, maxBatchBody)
	if p != nil {
		return shape{}, p
	}
	req := batchRequest{Items: in.items[:0]}
	plain := req.plain(string(body))
	if in.items = req.Items; !plain {
		req = batchRequest{}
		if p := decodeBody(body, &req); p != nil {
			return shape{}, p
		}
		in.items = req.Items
	}
	for _, n := range [...]struct{ pointer, name string }{
		{"/entity", req.Entity}, {"/location", req.Location}, {"/group", req.Group}, {"/channel", req.Channel},
	} {
		if len(n.name) > maxName {
			return bad("bad_parameter", n.pointer, "at most %d bytes", maxName)
		}
	}
	like := query{
		key:      inventory.Key{Entity: inventory.Entity(req.Entity)},
		location: inventory.Location(strings.Clone(req.Location)), group: strings.Clone(req.Group), channel: strings.Clone(req.Channel),
	} // what is kept with an answer is no piece of a body
	if like.key.Entity == "" {
		like.key.Entity = a.entity
	}
	if asked(req.Location, req.Group, req.Channel) > 1 {
		return bad("conflicting_parameters", "", "one of location, group and channel")
	}
	if like.on, p = dayOf(req.On); p != nil {
		p.pointer = "/on"
		return shape{}, p
	}
	if like.quantity, p = quantityOf(req.Quantity); p != nil {
		p.pointer = "/quantity"
		return shape{}, p
	}
	form, p := shapeOf(req.Fields, req.MaxAge)
	if p != nil {
		return shape{}, p
	}
	if len(req.Items) == 0 || len(req.Items) > maxBatch {
		return bad("bad_batch", "/items", "between 1 and %d items, not %d", maxBatch, len(req.Items))
	}
	in.queries = room(in.queries, len(req.Items))
	for i, it := range req.Items {
		q := &in.queries[i]
		*q = like
		q.key.Item = inventory.Item(it.Item)
		if it.Entity != "" {
			q.key.Entity = inventory.Entity(it.Entity)
		}
		at := "/items/" + strconv.Itoa(i)
		switch {
		case it.Item == "" || len(it.Item) > maxName:
			return bad("bad_item", at+"/item", "an item has between 1 and %d bytes", maxName)
		case len(it.Entity) > maxName:
			return bad("bad_parameter", at+"/entity", "at most %d bytes", maxName)
		case len(it.ETag) > maxName:
			return bad("bad_parameter", at+"/etag", "at most %d bytes", maxName)
		case it.SinceVersion < 0:
			return bad("bad_parameter", at+"/since_version", "a version is 0 or more")
		case q.key.Entity == "":
			return bad("entity_required", at+"/entity", "which legal entity's item?")
		}
	}
	return form, nil
}

// dayOf reads the day of delivery asked for; empty is today.
func dayOf(on string) (inventory.Day, *problem) {
	if on == "" {
		return 0, nil
	}
	t, err := time.Parse(time.DateOnly, on)
	if err != nil || t.Unix() <= 0 {
		return 0, &problem{status: http.StatusBadRequest, code: "bad_day", title: "Bad request", detail: "on must be a day such as 2026-11-24"}
	}
	return place.DayAt(t, time.UTC), nil
}

// quantityOf reads the quantity asked about; empty is none.
func quantityOf(s string) (inventory.Quantity, *problem) {
	if s == "" {
		return 0, nil
	}
	q, err := inventory.ParseQuantity(s)
	if err != nil || q <= 0 {
		return 0, &problem{status: http.StatusBadRequest, code: "bad_quantity", title: "Bad request", detail: "quantity must be a decimal above 0 such as 12.5, in the item's base unit"}
	}
	return q, nil
}

// asked counts the names that are given.
func asked(names ...string) (n int) {
	for _, name := range names {
		if name != "" {
			n++
		}
	}
	return n
}
