package atpapi

import (
	"compress/gzip"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/apidoc"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// maxName bounds an identifier in a request, bytes.
const maxName = 255

// api is the HTTP surface: it reads requests, asks the reader, writes answers.
type api struct {
	reader     *reader
	entity     inventory.Entity
	porter     *porter
	desk       *desk // of reservations; nil: there are none
	retryAfter time.Duration
	now        func() time.Time
	log        *slog.Logger
	count      *metrics
	changes    *changes
	// subscribers are those to whom changes are sent; nil: nobody.
	subscribers *subscribers
	dialects    dialects
	prover      *prover // nil: the log is not read
	buffers     buffers
	rooms       pool[batchRoom]
	fixed       fixed
	wordings    wordings
}

// handler is:
//
//	GET /v1/atp/{item}?entity=&on=2006-01-02&quantity=&(location=|group=|channel=)&fields=&max_age_ms=
//	GET /v1/atp/{item}?as_of=&known_at=&entity=&(location=|group=|channel=)
//	GET /v1/atp/{item}/explain
//	POST /v1/atp/batch
//	GET /v1/atp?entity=&below=&recorded_since=&limit=&after=
//	GET /v1/changes?entity=&item=&(location=|group=|channel=)&after=&wait=
//	POST, GET /v1/subscriptions; GET, PATCH, DELETE /v1/subscriptions/{id}; POST …/secret, …/test
//	GET /openapi.json, /docs
//
// and, in other systems' dialects, what a.behindDoors adds.
//
// Without on it is about today. Answers carry an ETag of item version, policy
// version, local days, the overrides that hold and the owners that are silent; problems are RFC 9457 with a
// stable code.
func (a *api) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = a.failed
	a.fixed = fixedHeaders()
	e.Use(middleware.GzipWithConfig(middleware.GzipConfig{Level: gzip.BestSpeed, MinLength: minCompressed, Skipper: a.uncompressed}))
	doc, err := apidoc.FromYAML(openAPI)
	if err == nil {
		err = apidoc.Serve(e, doc)
	}
	if err != nil { // a test reads it
		a.log.Error("the OpenAPI document is not served", slog.Any("err", err))
	}
	e.GET("/v1/atp", a.authorised(access.ATPRead, a.list))
	e.GET("/v1/atp/:item", a.authorised(access.ATPRead, a.orPast(a.item)))
	e.GET("/v1/atp/:item/explain", a.authorised(access.ATPExplain, a.explained))
	e.POST("/v1/atp/batch", a.authorised(access.ATPRead, a.batch))
	e.GET(changesPath, a.authorised(access.ATPRead, a.changed))
	a.reservations(e)
	a.webhooks(e)
	a.behindDoors(e)
	return e
}

const changesPath = "/v1/changes"

// withHead answers HEAD as GET, of which the server sends all but the body (RFC 9110
// §9.3.2). A stream would never end.
func withHead(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead && r.URL.Path != changesPath {
			r = r.WithContext(r.Context()) // by its own the server knows what not to send
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// brief says that a request is a read of one item as it is now, which is answered from
// memory where the copy answers first, or by one question to Redis, that has its own time.
func brief(u *url.URL) bool {
	item, ok := strings.CutPrefix(u.Path, "/v1/atp/")
	return ok && item != "" && strings.IndexByte(item, '/') < 0 && !past(u.RawQuery)
}

// minCompressed is the least body that is worth compressing, bytes.
const minCompressed = 1 << 10

// streamed says that an answer has no end, and is sent as it comes.
func streamed(c echo.Context) bool {
	return strings.Contains(c.Request().Header.Get(echo.HeaderAccept), "text/event-stream")
}

// uncompressed says that an answer is sent as it is: one that is streamed, and all to
// whom does not take others, who is told that there are.
func (a *api) uncompressed(c echo.Context) bool {
	if streamed(c) {
		return true
	}
	if takesGzip(c.Request().Header.Get(echo.HeaderAcceptEncoding)) {
		return false
	}
	c.Response().Header()[echo.HeaderVary] = a.fixed.vary
	return true
}

// takesGzip says whether a header Accept-Encoding (RFC 9110 §12.5.3) takes gzip.
func takesGzip(header string) bool {
	for one := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(one, ";")
		if strings.TrimSpace(coding) != "gzip" {
			continue
		}
		_, q, stated := strings.Cut(weight, "=")
		n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		return !stated || err != nil || n > 0
	}
	return false
}

// problemBody is a problem detail (RFC 9457), with its code beside the type.
type problemBody struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	// Pointer is the field of the body that is at fault (RFC 6901).
	Pointer string `json:"pointer,omitempty"`
}

func (p *problem) body() *problemBody {
	return &problemBody{
		Type: "urn:stockweave:problem:" + p.code, Title: p.title, Status: p.status, Code: p.code, Detail: p.detail, Pointer: p.pointer,
	}
}

// warn tells whoever runs the service of a problem that is no fault of the request.
func (a *api) warn(p *problem) {
	if p.status >= http.StatusInternalServerError {
		a.log.Warn("read not answered", slog.String("code", p.code), slog.String("detail", p.detail), slog.Any("err", p.cause))
	}
}

func (a *api) problem(c echo.Context, p *problem) error {
	a.warn(p)
	a.count.answers.WithLabelValues(strconv.Itoa(p.status), p.code).Inc()
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-store")
	if p.status == http.StatusServiceUnavailable {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(a.retryAfter.Seconds())))
	}
	switch p.code {
	case "bad_key":
		h.Set(echo.HeaderWWWAuthenticate, "Bearer")
	case "bad_token":
		h.Set(echo.HeaderWWWAuthenticate, `Bearer error="invalid_token"`)
	case "insufficient_scope":
		h.Set(echo.HeaderWWWAuthenticate, `Bearer error="insufficient_scope"`)
	}
	if say, ok := c.Get(spokenKey).(spoken); ok {
		return say(c, p)
	}
	h.Set(echo.HeaderContentType, "application/problem+json")
	return c.JSON(p.status, p.body())
}

// said counts an answer that nobody may store, and sends it.
func (a *api) said(c echo.Context, body any) error {
	a.count.answers.WithLabelValues("200", "").Inc()
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.JSON(http.StatusOK, body)
}

// broken is what is wrong with the service itself.
func broken(cause error) *problem {
	return &problem{status: http.StatusInternalServerError, code: "internal", title: "Internal error", cause: cause}
}

// failed answers what no handler did: an unknown path, a wrong method.
func (a *api) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := broken(err)
	if he := (*echo.HTTPError)(nil); errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			p = &problem{status: he.Code, code: "no_such_path", title: "No such path"}
		case http.StatusMethodNotAllowed:
			p = &problem{status: he.Code, code: "method_not_allowed", title: "Method not allowed"}
			h := c.Response().Header()
			if allow := h.Get(echo.HeaderAllow); strings.Contains(allow, http.MethodGet) && c.Request().URL.Path != changesPath {
				h.Set(echo.HeaderAllow, allow+", "+http.MethodHead)
			}
		}
	}
	if err := a.problem(c, p); err != nil {
		a.log.Debug("writing problem", slog.Any("err", err))
	}
}

func (a *api) item(c echo.Context) error {
	began := a.now()
	q, shape, bad := a.query(c.Request())
	if bad == nil {
		bad = caller(c).reach(&q)
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	ans, fresh, bad := a.reader.readOne(c.Request().Context(), q, began)
	if bad == nil {
		bad = shape.fresh(&fresh)
	}
	if bad != nil {
		return a.problem(c, bad)
	}
	etag, err := ans.tag()
	if err != nil {
		return a.problem(c, unwritable(err))
	}
	h := c.Response().Header()
	h["Etag"], h[echo.HeaderCacheControl] = ans.etag, a.fixed.noCache
	defer func() { a.count.took.Observe(a.now().Sub(began).Seconds()) }()
	if asked := c.Request().Header["If-None-Match"]; len(asked) > 0 && matches(asked, etag) {
		a.count.same.Inc()
		h.Set(freshnessHeader, fresh.header())
		return c.NoContent(http.StatusNotModified)
	}
	a.count.answered.Inc()
	if shape.fields == nil {
		return a.send(c, ans, &fresh)
	}
	whole := *ans
	whole.Freshness = fresh
	part, err := shape.fields.of(&whole)
	if err != nil {
		return a.problem(c, unwritable(err))
	}
	return c.JSON(http.StatusOK, part)
}

// matches is the weak comparison of RFC 9110 §13.1.2.
func matches(headers []string, etag string) bool {
	opaque := strings.TrimPrefix(etag, "W/")
	for _, h := range headers {
		for one := range strings.SplitSeq(h, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == opaque {
				return true
			}
		}
	}
	return false
}
