package atpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// maxText bounds a parameter that is no identifier, bytes.
const maxText = 1024

// badRequest is a fault of the request.
func badRequest(code, format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, code: code, title: "Bad request", detail: fmt.Sprintf(format, args...)}
}

// params reads the parameters of a request, which stand in it once at most, have a
// value and are of these names alone. An empty value is no value: a channel whose name
// was lost on the way would be answered the number of all stock.
func params(r *http.Request, names ...string) (url.Values, *problem) {
	return paramsOf(r.URL.RawQuery, names...)
}

func paramsOf(text string, names ...string) (url.Values, *problem) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, badRequest("bad_query", "the query cannot be read")
	}
	for name, vs := range values {
		if !slices.Contains(names, name) {
			return nil, badRequest("unknown_parameter", "%.64q is no parameter", name)
		}
		most := maxName
		if name == "fields" || name == "after" {
			most = maxText
		}
		if len(vs) > 1 || vs[0] == "" || len(vs[0]) > most {
			return nil, badRequest("bad_parameter", "%s must stand once, in 1 to %d bytes", name, most)
		}
	}
	return values, nil
}

// query reads and bounds what was asked of one item.
func (a *api) query(r *http.Request) (query, shape, *problem) {
	refuse := func(p *problem) (query, shape, *problem) { return query{}, shape{}, p }
	item, bad := itemOf(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/atp/"))
	if bad != nil {
		return refuse(bad)
	}
	s, known := a.wordings.get(r.URL.RawQuery)
	if !known || s.entity != a.entity {
		text := strings.Clone(r.URL.RawQuery) // what is kept holds no more than itself
		if s, bad = a.read(text); bad != nil {
			return refuse(bad)
		}
		a.wordings.put(text, s)
	}
	s.query.key.Item = item
	return s.query, s.shape, nil
}

// wording is what the parameters of a read say, of whatever item.
type wording struct {
	query  query
	shape  shape
	entity inventory.Entity // where they name none
}

// read reads the parameters of a read.
func (a *api) read(text string) (s wording, bad *problem) {
	values, bad := paramsOf(text, "entity", "location", "group", "channel", "on", "quantity", "fields", "max_age_ms")
	if bad != nil {
		return s, bad
	}
	if s.query, s.shape, bad = a.common(values); bad != nil {
		return s, bad
	}
	s.entity = a.entity
	s.query.quantity, bad = quantityOf(values.Get("quantity"))
	return s, bad
}

const (
	maxWordings = 1024
	maxWorded   = 256 // bytes
)

// wordings are parameters by their text, as they were read before: whoever asks often
// asks of many items in the same words. It is safe for concurrent use.
type wordings struct {
	mu sync.RWMutex
	of map[string]wording
}

func (w *wordings) get(text string) (wording, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s, ok := w.of[text]
	return s, ok
}

func (w *wordings) put(text string, s wording) {
	if len(text) > maxWorded {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil || len(w.of) >= maxWordings {
		w.of = map[string]wording{} // what is asked comes back
	}
	w.of[text] = s
}

// common reads what every read may say.
func (a *api) common(values url.Values) (q query, form shape, bad *problem) {
	q = query{
		key:      inventory.Key{Entity: inventory.Entity(values.Get("entity"))},
		location: inventory.Location(values.Get("location")), group: values.Get("group"), channel: values.Get("channel"),
	}
	if q.on, bad = dayOf(values.Get("on")); bad != nil {
		return q, form, bad
	}
	var fields []string
	if text := values.Get("fields"); text != "" {
		fields = strings.Split(text, ",")
	}
	var age *int64
	if values.Has("max_age_ms") {
		n, err := strconv.ParseInt(values.Get("max_age_ms"), 10, 64)
		if err != nil {
			return q, form, badRequest("bad_parameter", "max_age_ms must be a whole number of milliseconds")
		}
		age = &n
	}
	if form, bad = shapeOf(fields, age); bad != nil {
		bad.pointer = "" // which is for bodies
		return q, form, bad
	}
	if q.key.Entity == "" {
		q.key.Entity = a.entity
	}
	switch {
	case q.key.Entity == "":
		return q, form, badRequest("entity_required", "which legal entity's item?")
	case asked(string(q.location), q.group, q.channel) > 1:
		return q, form, badRequest("conflicting_parameters", "one of location, group and channel")
	}
	return q, form, nil
}
