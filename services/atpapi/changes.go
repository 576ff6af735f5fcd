package atpapi

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/feed"
)

const (
	maxNamed    = 100              // items one stream may name
	defaultWait = 30 * time.Second // of a long poll
	maxWait     = 60 * time.Second
	mimeStream  = "text/event-stream"
)

// changes are the streams of a replica. It is safe for concurrent use.
type changes struct {
	feed    *feed.Feed
	moments *moments
	reader  *reader
	cfg     ChangesConfig
	log     *slog.Logger
	count   *changesMetrics

	mu     sync.Mutex
	open   map[string]int // by caller
	all    int
	ending chan struct{} // closed when no stream may go on
	ended  bool
}

func newChanges(f *feed.Feed, r *reader, cfg ChangesConfig, log *slog.Logger, count *changesMetrics) *changes {
	return &changes{
		feed: f, moments: newMoments(r), reader: r, cfg: cfg, log: log, count: count,
		open: map[string]int{}, ending: make(chan struct{}),
	}
}

// run follows moments until ctx is done, and ends every stream then.
func (s *changes) run(ctx context.Context) error {
	defer s.end()
	return s.moments.run(ctx)
}

func (s *changes) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		close(s.ending)
	}
}

// enter takes one of the places for streams. The caller leaves when it is done.
func (s *changes) enter(name string) (leave func(), bad *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return nil, &problem{status: http.StatusServiceUnavailable, code: "shutting_down", title: "Shutting down", detail: "another replica goes on from the same id"}
	case s.open[name] >= s.cfg.MaxPerCaller:
		return nil, &problem{status: http.StatusTooManyRequests, code: "too_many_streams", title: "Too many streams", detail: "at most " + strconv.Itoa(s.cfg.MaxPerCaller) + " of one caller at a time"}
	case s.all >= s.cfg.MaxStreams:
		return nil, &problem{status: http.StatusServiceUnavailable, code: "no_stream_left", title: "Too many streams", detail: "all streams of this replica are taken"}
	}
	s.open[name]++
	s.all++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.open[name]--; s.open[name] == 0 {
			delete(s.open, name)
		}
	}, nil
}

// subscription is what somebody wants to hear of, and from where on.
type subscription struct {
	like  query            // without an item
	items []inventory.Item // none: all
	named map[inventory.Item]bool
	from  *feed.Bookmark // nil: from now on
	wait  time.Duration  // of a long poll
}

// changed answers GET /v1/changes: a stream of server-sent events (WHATWG HTML §9.2),
// or a long poll where only JSON is accepted.
func (a *api) changed(c echo.Context) error {
	if a.changes == nil {
		return a.problem(c, notReady("changes are not followed yet"))
	}
	kind, bad := accepted(c.Request().Header.Values(echo.HeaderAccept))
	if bad != nil {
		return a.problem(c, bad)
	}
	sub, bad := a.subscription(c.Request(), kind == echo.MIMEApplicationJSON)
	var asked query
	if bad == nil {
		asked = sub.like
		bad = caller(c).reach(&sub.like)
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	who := caller(c)
	leave, bad := a.changes.enter(who.name())
	if bad != nil {
		if bad.status == http.StatusTooManyRequests {
			c.Response().Header().Set(echo.HeaderRetryAfter, strconv.Itoa(int(a.retryAfter.Seconds())))
		}
		return a.problem(c, bad)
	}
	defer leave()
	ctx, done := a.porter.while(c.Request().Context(), c.Request().Header, func(v visitor) bool {
		again := asked
		return v.reach(&again) == nil && again.narrow == sub.like.narrow
	})
	defer done()
	s, bad := a.changes.begin(ctx, sub)
	if bad != nil {
		return a.problem(c, bad)
	}
	defer s.close()
	until := a.changes.cfg.MaxAge
	if !who.id.Expires.IsZero() {
		until = min(until, who.id.Expires.Sub(a.now()))
	}
	if kind == echo.MIMEApplicationJSON {
		return a.poll(ctx, c, s, min(sub.wait, until))
	}
	return a.stream(ctx, c, s, until)
}

// stream writes events until the reader leaves, is dropped, or the stream is ended.
func (a *api) stream(ctx context.Context, c echo.Context, s *changeStream, until time.Duration) error {
	gauge := a.changes.count.open.WithLabelValues("stream")
	gauge.Inc()
	defer gauge.Dec()
	a.count.answers.WithLabelValues("200", "").Inc()
	s.out = newEventWriter(c.Response(), a.changes.cfg.SlowAfter)
	reason, err := s.run(ctx, until)
	if reason != "" {
		a.changes.count.dropped.WithLabelValues(reason).Inc()
		a.log.Info("stream of changes dropped", slog.String("caller", caller(c).name()), slog.String("reason", reason), slog.Any("err", err))
	}
	return nil // what can be said to the reader has been
}

// pollAnswer is what changed since an id, and the id to ask with next.
type pollAnswer struct {
	ID     string      `json:"id"`
	Events []pollEvent `json:"events"`
}

type pollEvent struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

// poll answers when there is something to tell, or when the wait is over.
func (a *api) poll(ctx context.Context, c echo.Context, s *changeStream, wait time.Duration) error {
	gauge := a.changes.count.open.WithLabelValues("poll")
	gauge.Inc()
	defer gauge.Dec()
	rc := http.NewResponseController(c.Response())
	_ = rc.SetReadDeadline(time.Time{})                                     // not every writer has one
	_ = rc.SetWriteDeadline(time.Now().Add(wait + a.changes.cfg.SlowAfter)) //nolint:forbidigo // a deadline of the socket; the same
	out := &collector{answer: pollAnswer{Events: []pollEvent{}}}
	s.out, s.poll = out, true
	if _, err := s.run(ctx, wait); err != nil {
		return a.problem(c, &problem{status: http.StatusServiceUnavailable, code: "changes_unavailable", title: "Changes cannot be told now", cause: err})
	}
	return a.said(c, out.answer)
}

// accepted says whether a stream is wanted or JSON. Whoever says nothing gets the
// stream.
func accepted(headers []string) (string, *problem) {
	if len(headers) == 0 {
		return mimeStream, nil
	}
	asJSON, whatever := false, false
	for part := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		typ, p, err := mime.ParseMediaType(part)
		if q, bad := strconv.ParseFloat(p["q"], 64); err != nil || bad == nil && q == 0 {
			continue
		}
		switch typ {
		case mimeStream, "text/*":
			return mimeStream, nil
		case echo.MIMEApplicationJSON, "application/*":
			asJSON = true
		case "*/*":
			whatever = true
		}
	}
	switch {
	case asJSON:
		return echo.MIMEApplicationJSON, nil
	case whatever:
		return mimeStream, nil
	}
	return "", &problem{status: http.StatusNotAcceptable, code: "not_acceptable", title: "Not acceptable", detail: "there is text/event-stream and application/json"}
}

// subscription reads and bounds what was asked. A bookmark in the header, which a
// reader that comes again has from the stream, goes before the one of the request.
func (a *api) subscription(r *http.Request, poll bool) (*subscription, *problem) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("bad_query", "the query cannot be read")
	}
	sub := &subscription{wait: defaultWait}
	items := values["item"]
	for name, vs := range values {
		most := maxName
		switch name {
		case "item":
			continue
		case "entity", "location", "group", "channel":
			if vs[0] == "" { // see params
				return nil, badRequest("bad_parameter", "%s has no value", name)
			}
		case "after":
			most = feed.MaxBookmark
		case "wait":
			if !poll {
				return nil, badRequest("bad_parameter", "wait is for application/json alone")
			}
		default:
			return nil, badRequest("unknown_parameter", "%.64q is no parameter", name)
		}
		if len(vs) > 1 || len(vs[0]) > most {
			return nil, badRequest("bad_parameter", "%s must stand once, in at most %d bytes", name, most)
		}
	}
	var bad *problem
	if sub.like, _, bad = a.common(url.Values{
		"entity": values["entity"], "location": values["location"], "group": values["group"], "channel": values["channel"],
	}); bad != nil {
		return nil, bad
	}
	if len(items) > maxNamed {
		return nil, badRequest("bad_parameter", "item may stand %d times at most", maxNamed)
	}
	if len(items) > 0 {
		sub.named = map[inventory.Item]bool{}
	}
	for _, it := range items {
		if it == "" || len(it) > maxName {
			return nil, badRequest("bad_item", "an item has between 1 and %d bytes", maxName)
		}
		if !sub.named[inventory.Item(it)] {
			sub.named[inventory.Item(it)] = true
			sub.items = append(sub.items, inventory.Item(it))
		}
	}
	if values.Has("wait") {
		n, err := strconv.Atoi(values.Get("wait"))
		if err != nil || n < 0 || time.Duration(n)*time.Second > maxWait {
			return nil, badRequest("bad_parameter", "wait must be a whole number of seconds up to %d", int(maxWait.Seconds()))
		}
		sub.wait = time.Duration(n) * time.Second
	}
	text := values.Get("after")
	if ids := r.Header.Values("Last-Event-ID"); len(ids) > 0 && ids[0] != "" {
		text = ids[0]
	}
	if text != "" {
		if sub.from, err = feed.ParseBookmark(text); err != nil {
			return nil, badRequest("bad_event_id", "the id to go on from is not one that was sent: %v", err)
		}
	}
	return sub, nil
}

// begin finds where a stream starts.
func (s *changes) begin(ctx context.Context, sub *subscription) (*changeStream, *problem) {
	if err := s.feed.Ready(); err != nil {
		return nil, notReady(err.Error())
	}
	st := &changeStream{changes: s, sub: sub, pending: map[inventory.Key]int64{}, told: map[inventory.Key]uint64{}}
	m, _ := s.moments.get()
	if bad := st.resolve(m); bad != nil {
		return nil, bad
	}
	err := st.begin(ctx, sub.from)
	switch {
	case err == nil:
		return st, nil
	case errors.Is(err, feed.ErrLoading):
		return nil, notReady(err.Error())
	}
	return nil, &problem{status: http.StatusServiceUnavailable, code: "changes_unavailable", title: "Changes cannot be told now", cause: err}
}
