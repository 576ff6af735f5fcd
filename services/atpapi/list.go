package atpapi

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
)

const (
	defaultPage = 100
	maxPage     = 1000
	// maxExamined bounds the items that are looked at for one page.
	maxExamined = 10_000
	// maxSteps bounds the calls of Redis for one page: it may hold much besides.
	maxSteps = 200
)

// pageQuery asks for a page of the items of an entity.
type pageQuery struct {
	like     query // of each item
	below    inventory.Quantity
	lessOnly bool // below is asked for
	since    inventory.Instant
	limit    int
	after    cursor
}

// cursor is a place in the list. The zero cursor is its beginning.
type cursor struct {
	node int
	at   uint64 // a place of SCAN
	life uint32 // of the servers, when it was found
	of   uint32 // the question
}

const cursorVersion = 1

// String is the cursor as it is handed out: nobody should read it.
func (c cursor) String() string {
	b := []byte{cursorVersion}
	b = binary.BigEndian.AppendUint16(b, uint16(c.node)) //nolint:gosec // servers of a cluster: at most 16384
	b = binary.BigEndian.AppendUint64(b, c.at)
	b = binary.BigEndian.AppendUint32(b, c.life)
	b = binary.BigEndian.AppendUint32(b, c.of)
	return base64.RawURLEncoding.EncodeToString(b)
}

var errCursor = errors.New("not a cursor")

func parseCursor(s string) (cursor, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 19 || b[0] != cursorVersion {
		return cursor{}, errCursor
	}
	return cursor{
		int(binary.BigEndian.Uint16(b[1:])), binary.BigEndian.Uint64(b[3:]),
		binary.BigEndian.Uint32(b[11:]), binary.BigEndian.Uint32(b[15:]),
	}, nil
}

// page is what a page of the list says.
type page struct {
	Items    []any  `json:"items"`
	Next     string `json:"next,omitempty"`
	Examined int    `json:"examined"`
}

// list answers GET /v1/atp.
func (a *api) list(c echo.Context) error {
	began := a.now()
	q, form, bad := a.pageQuery(c.Request())
	if bad == nil {
		bad = caller(c).reach(&q.like)
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	out, bad := a.page(c.Request().Context(), q, form)
	if bad != nil {
		return a.problem(c, bad)
	}
	a.count.took.Observe(a.now().Sub(began).Seconds())
	a.count.answers.WithLabelValues("200", "").Inc()
	c.Response().Header().Set(echo.HeaderCacheControl, "no-cache")
	return c.JSON(http.StatusOK, out)
}

// pageQuery reads and bounds what was asked.
func (a *api) pageQuery(r *http.Request) (pageQuery, shape, *problem) {
	refuse := func(p *problem) (pageQuery, shape, *problem) { return pageQuery{}, shape{}, p }
	v, bad := params(r, "entity", "location", "group", "channel", "on", "fields", "max_age_ms", "below", "recorded_since", "after", "limit")
	if bad != nil {
		return refuse(bad)
	}
	q := pageQuery{limit: defaultPage}
	var form shape
	if q.like, form, bad = a.common(v); bad != nil {
		return refuse(bad)
	}
	if q.lessOnly = v.Get("below") != ""; q.lessOnly {
		if q.below, bad = quantityOf(v.Get("below")); bad != nil {
			return refuse(badRequest("bad_quantity", "below must be a decimal above 0 such as 12.5"))
		}
	}
	if s := v.Get("recorded_since"); s != "" {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.UnixMilli() <= 0 {
			return refuse(badRequest("bad_parameter", "recorded_since must be a time such as 2026-11-24T12:00:00Z"))
		}
		q.since = inventory.Instant(t.UnixMilli())
	}
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return refuse(badRequest("bad_parameter", "limit must be between 1 and %d", maxPage))
		}
		q.limit = n
	}
	of := question(v)
	if s := v.Get("after"); s != "" {
		c, err := parseCursor(s)
		if err != nil || c.of != of {
			return refuse(badRequest("bad_cursor", "after must be the next of a page of the same question"))
		}
		q.after = c
	}
	q.after.of = of
	return q, form, nil
}

// question names what a list is of, whatever the page, its size and its fields.
func question(v url.Values) uint32 {
	h := fnv.New32a()
	for _, name := range []string{"entity", "location", "group", "channel", "on", "below", "recorded_since"} {
		_, _ = h.Write([]byte(url.QueryEscape(v.Get(name)) + "&")) // never fails
	}
	return h.Sum32()
}

// page finds the items of a page. Where no item of the list could be there all is
// said of it; an item that comes, goes or is moved to another server meanwhile may be
// missed.
func (a *api) page(ctx context.Context, q pageQuery, form shape) (*page, *problem) {
	away := func(err error) (*page, *problem) {
		return nil, &problem{status: http.StatusServiceUnavailable, code: "redis_unavailable", title: "The store does not answer", cause: err}
	}
	if bad := a.known(&q.like); bad != nil {
		return nil, bad
	}
	nodes, err := a.reader.store.scanNodes(ctx)
	if err != nil {
		return away(err)
	}
	at := q.after
	if at.node >= len(nodes) || at.life != 0 && at.life != life(ctx, nodes, at.node) {
		return nil, &problem{status: http.StatusGone, code: "cursor_expired", title: "Begin again", detail: "the servers of the store are others than those of the page before"}
	}
	out, seen := &page{Items: []any{}}, map[inventory.Key]bool{}
	for steps := 0; at.node < len(nodes) && steps < maxSteps; steps++ {
		keys, next, err := nodes[at.node].scan(ctx, q.like.key.Entity, at.at, int64(q.limit))
		if err != nil {
			return away(err)
		}
		var qs []query
		for _, k := range keys {
			if !seen[k] {
				seen[k] = true
				one := q.like
				one.key = k
				qs = append(qs, one)
			}
		}
		if bad := a.take(ctx, out, &q, form, qs); bad != nil {
			return nil, bad
		}
		at.at = next
		if next == 0 {
			at.node++
		}
		if len(out.Items) >= q.limit || out.Examined >= maxExamined {
			break
		}
	}
	// A store that is being loaded has not all items: that is not known of those that
	// are there.
	if bad := a.reader.settled(ctx); bad != nil {
		return nil, bad
	}
	if at.node < len(nodes) {
		at.life = life(ctx, nodes, at.node)
		out.Next = at.String()
	}
	return out, nil
}

// known refuses a group or a channel that the policy does not have.
func (a *api) known(q *query) *problem {
	w := wanted{query: *q, promises: a.reader.policies.Get()}
	if bad := w.resolve(); bad != nil && bad.code != codeNotListed {
		return bad
	}
	return nil
}

// take adds to a page those of the items that belong in it.
func (a *api) take(ctx context.Context, out *page, q *pageQuery, form shape, qs []query) *problem {
	if len(qs) == 0 {
		return nil
	}
	out.Examined += len(qs)
	for _, got := range a.reader.readAll(ctx, qs) {
		switch {
		case got.problem != nil && got.problem.status == http.StatusNotFound:
			continue // gone meanwhile, not at the location, not listed by the channel
		case got.problem != nil:
			return got.problem
		case !q.wants(got.answer):
			continue
		}
		if bad := form.fresh(&got.answer.Freshness); bad != nil {
			return bad
		}
		part, err := form.fields.of(got.answer)
		if err != nil {
			return unwritable(err)
		}
		out.Items = append(out.Items, part)
	}
	return nil
}

// wants says whether an answer is one of those asked for.
func (q *pageQuery) wants(a *answer) bool {
	if q.lessOnly {
		promised := a.ATP
		if a.Channel != nil {
			promised = a.Channel.Quantity
		}
		if n, err := inventory.ParseQuantity(promised); err != nil || n >= q.below {
			return false
		}
	}
	return q.since == 0 || a.recorded >= q.since
}

// settled says why it is not known which items there are.
func (r *reader) settled(ctx context.Context) *problem {
	r.mu.RLock()
	n := r.partitions
	r.mu.RUnlock()
	if n == 0 {
		return notReady("the number of partitions is not known yet")
	}
	marks, err := r.store.allMarks(ctx, int(n))
	if err != nil {
		return &problem{status: http.StatusServiceUnavailable, code: "redis_unavailable", title: "The store does not answer", cause: err}
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for p, seen := range r.seen {
		switch m, ok := marks[int32(p)]; { //nolint:gosec // partition counts are int32
		case !ok:
			return notReady("a partition is not loaded")
		case !m.caughtUp():
			return notReady("a partition is being loaded")
		case m.behind(seen):
			return notReady("the store fell back and is being loaded")
		}
	}
	return nil
}
