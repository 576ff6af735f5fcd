package atpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
)

// maxName bounds an identifier in a request, bytes.
const maxName = 255

// api is the HTTP surface: it reads requests, asks the reader, writes answers.
type api struct {
	reader     *reader
	entity     inventory.Entity
	keys       [][sha256.Size]byte
	retryAfter time.Duration
	now        func() time.Time
	log        *slog.Logger
	count      *metrics
}

// handler is:
//
//	GET /v1/atp/{item}?entity=&on=2006-01-02&(location=|group=|channel=)
//
// Without on it is about today. Answers carry an ETag of item version, policy
// version, local days, the overrides that hold and the owners that are silent; problems are RFC 9457 with a
// stable code.
func (a *api) handler() http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = a.failed
	e.GET("/v1/atp/:item", a.authorised(a.item))
	return e
}

// problemBody is a problem detail (RFC 9457), with its code beside the type.
type problemBody struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

func (a *api) problem(c echo.Context, p *problem) error {
	if p.status >= http.StatusInternalServerError {
		a.log.Warn("read not answered", slog.String("code", p.code), slog.String("detail", p.detail), slog.Any("err", p.cause))
	}
	a.count.answers.WithLabelValues(strconv.Itoa(p.status), p.code).Inc()
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, "application/problem+json")
	h.Set(echo.HeaderCacheControl, "no-store")
	if p.status == http.StatusServiceUnavailable {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(a.retryAfter.Seconds())))
	}
	if p.status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, "Bearer")
	}
	return c.JSON(p.status, problemBody{
		Type: "urn:stockweave:problem:" + p.code, Title: p.title, Status: p.status, Code: p.code, Detail: p.detail,
	})
}

// failed answers what no handler did: an unknown path, a wrong method.
func (a *api) failed(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p := &problem{status: http.StatusInternalServerError, code: "internal", title: "Internal error", cause: err}
	if he := (*echo.HTTPError)(nil); errors.As(err, &he) {
		switch he.Code {
		case http.StatusNotFound:
			p = &problem{status: he.Code, code: "no_such_path", title: "No such path"}
		case http.StatusMethodNotAllowed:
			p = &problem{status: he.Code, code: "method_not_allowed", title: "Method not allowed"}
		}
	}
	if err := a.problem(c, p); err != nil {
		a.log.Debug("writing problem", slog.Any("err", err))
	}
}

// authorised lets in who presents a known key as a bearer token or X-API-Key.
func (a *api) authorised(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if len(a.keys) == 0 {
			return next(c) // a loopback address, as the configuration checks
		}
		key := c.Request().Header.Get("X-API-Key")
		if bearer, ok := strings.CutPrefix(c.Request().Header.Get(echo.HeaderAuthorization), "Bearer "); ok {
			key = bearer
		}
		sum := sha256.Sum256([]byte(key))
		found := 0
		for i := range a.keys { // all of them: the time tells nothing
			found |= subtle.ConstantTimeCompare(sum[:], a.keys[i][:])
		}
		if key == "" || found != 1 {
			return a.problem(c, &problem{status: http.StatusUnauthorized, code: "unauthorised", title: "Unauthorised", detail: "the API key is missing or unknown"})
		}
		return next(c)
	}
}

func (a *api) item(c echo.Context) error {
	began := a.now()
	q, bad := a.query(c)
	if bad != nil {
		return a.problem(c, bad)
	}
	ans, bad := a.reader.read(c.Request().Context(), q)
	if bad != nil {
		return a.problem(c, bad)
	}
	h := c.Response().Header()
	h.Set("ETag", ans.etag)
	h.Set(echo.HeaderCacheControl, "no-cache")
	defer func() { a.count.took.Observe(a.now().Sub(began).Seconds()) }()
	if matches(c.Request().Header.Values("If-None-Match"), ans.etag) {
		a.count.answers.WithLabelValues("304", "").Inc()
		return c.NoContent(http.StatusNotModified)
	}
	a.count.answers.WithLabelValues("200", "").Inc()
	return c.JSON(http.StatusOK, ans)
}

// query reads and bounds what was asked.
func (a *api) query(c echo.Context) (query, *problem) {
	bad := func(code, detail string) (query, *problem) {
		return query{}, &problem{status: http.StatusBadRequest, code: code, title: "Bad request", detail: detail}
	}
	// The raw path is unescaped exactly once, whatever the router saw.
	item, err := url.PathUnescape(strings.TrimPrefix(c.Request().URL.EscapedPath(), "/v1/atp/"))
	if err != nil || item == "" {
		return bad("bad_item", "the item in the path cannot be read")
	}
	params, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return bad("bad_query", "the query cannot be read")
	}
	for name, values := range params {
		switch name {
		case "entity", "location", "group", "channel", "on":
		default:
			return bad("unknown_parameter", strconv.Quote(name)+" is no parameter")
		}
		if len(values) > 1 || len(values[0]) > maxName {
			return bad("bad_parameter", name+" must stand once, in at most 255 bytes")
		}
	}
	q := query{
		key:      inventory.Key{Entity: inventory.Entity(params.Get("entity")), Item: inventory.Item(item)},
		location: inventory.Location(params.Get("location")), group: params.Get("group"), channel: params.Get("channel"),
	}
	asked := 0
	for _, name := range []string{"location", "group", "channel"} {
		if params.Get(name) != "" {
			asked++
		}
	}
	if on := params.Get("on"); on != "" {
		t, err := time.Parse(time.DateOnly, on)
		if err != nil || t.Unix() <= 0 {
			return bad("bad_day", "on must be a day such as 2026-11-24")
		}
		q.on = place.DayAt(t, time.UTC)
	}
	if q.key.Entity == "" {
		q.key.Entity = a.entity
	}
	switch {
	case len(item) > maxName:
		return bad("bad_item", "an item has at most 255 bytes")
	case q.key.Entity == "":
		return bad("entity_required", "which legal entity's item?")
	case asked > 1:
		return bad("conflicting_parameters", "one of location, group and channel")
	}
	return q, nil
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

// hashes decodes the configured keys.
func hashes(keys []Key) ([][sha256.Size]byte, error) {
	out := make([][sha256.Size]byte, len(keys))
	for i, k := range keys {
		b, err := hex.DecodeString(k.SHA256)
		if err != nil || len(b) != sha256.Size {
			return nil, errors.New("api key hash is not 64 hex digits")
		}
		copy(out[i][:], b)
	}
	return out, nil
}
