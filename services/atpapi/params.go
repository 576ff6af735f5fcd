package atpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
	values, err := url.ParseQuery(r.URL.RawQuery)
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
	// The raw path is unescaped exactly once, whatever the router saw.
	item, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/atp/"))
	if err != nil || item == "" {
		return refuse(badRequest("bad_item", "the item in the path cannot be read"))
	}
	values, bad := params(r, "entity", "location", "group", "channel", "on", "quantity", "fields", "max_age_ms")
	if bad != nil {
		return refuse(bad)
	}
	q, form, bad := a.common(values)
	if bad != nil {
		return refuse(bad)
	}
	if q.quantity, bad = quantityOf(values.Get("quantity")); bad != nil {
		return refuse(bad)
	}
	if len(item) > maxName {
		return refuse(badRequest("bad_item", "an item has at most %d bytes", maxName))
	}
	q.key.Item = inventory.Item(item)
	return q, form, nil
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
