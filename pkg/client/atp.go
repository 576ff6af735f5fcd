package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Where says of what stock a question is: at most one is set; none is all of it.
type Where struct {
	Location string
	Group    string
	Channel  string
}

// Query asks about one item.
type Query struct {
	Item   string
	Entity string // the API's own when empty
	Where
	On       string        // a day such as 2026-12-01; today when empty
	Quantity string        // from which day on may it be promised? empty: that is not asked
	Fields   []string      // all when empty; the others are zero
	MaxAge   time.Duration // an older answer is the problem stale; 0: any
}

func values(entity string, w Where, on string, fields []string, maxAge time.Duration) url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"entity": entity, "location": w.Location, "group": w.Group, "channel": w.Channel, "on": on, "fields": strings.Join(fields, ","),
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if maxAge > 0 {
		v.Set("max_age_ms", strconv.FormatInt(max(1, maxAge.Milliseconds()), 10))
	}
	return v
}

// instant is a time as the API takes it, to the millisecond.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Get asks about one item.
func (c *Client) Get(ctx context.Context, q Query) (*Answer, error) {
	a, _, err := c.GetChanged(ctx, q, "")
	return a, err
}

// GetChanged asks about one item of which an answer with this ETag is known already.
// changed is false, and there is no answer, while that is still so.
func (c *Client) GetChanged(ctx context.Context, q Query, etag string) (a *Answer, changed bool, err error) {
	v := values(q.Entity, q.Where, q.On, q.Fields, q.MaxAge)
	if q.Quantity != "" {
		v.Set("quantity", q.Quantity)
	}
	k := &call{method: http.MethodGet, path: "/v1/atp/" + url.PathEscape(q.Item), query: v, again: true}
	if etag != "" {
		k.header = http.Header{"If-None-Match": {etag}}
	}
	a = &Answer{}
	r, err := c.do(ctx, k, a)
	switch {
	case err != nil:
		return nil, false, err
	case r.status == http.StatusNotModified:
		return nil, false, nil
	}
	a.ETag = r.header.Get("ETag")
	return a, true, nil
}

// BatchQuery asks one question of up to 1,000 items.
type BatchQuery struct {
	Entity string // of items that name none
	Where
	On       string
	Quantity string // of each item
	Fields   []string
	MaxAge   time.Duration
	Items    []BatchItem
}

// BatchItem is an item of a batch.
type BatchItem struct {
	Item   string `json:"item"`
	Entity string `json:"entity,omitempty"`
	// ETag of an answer that is held, or its Version: the result has the status 304 and no
	// answer while that holds. By version a change of policy or of the day is not seen.
	ETag         string `json:"etag,omitempty"`
	SinceVersion int64  `json:"since_version,omitempty"`
}

// Batch asks about many items. Each has a result, in the order asked: some may have an
// answer and others a problem.
func (c *Client) Batch(ctx context.Context, q BatchQuery) (*BatchAnswer, error) {
	in := struct {
		Entity   string      `json:"entity,omitempty"`
		Location string      `json:"location,omitempty"`
		Group    string      `json:"group,omitempty"`
		Channel  string      `json:"channel,omitempty"`
		On       string      `json:"on,omitempty"`
		Quantity string      `json:"quantity,omitempty"`
		Fields   []string    `json:"fields,omitempty"`
		MaxAge   int64       `json:"max_age_ms,omitempty"`
		Items    []BatchItem `json:"items"`
	}{q.Entity, q.Location, q.Group, q.Channel, q.On, q.Quantity, q.Fields, 0, q.Items}
	if q.MaxAge > 0 {
		in.MaxAge = max(1, q.MaxAge.Milliseconds())
	}
	out := &BatchAnswer{}
	if _, err := c.do(ctx, &call{method: http.MethodPost, path: "/v1/atp/batch", in: in, again: true}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// ListQuery asks about all items that have facts.
type ListQuery struct {
	Entity string
	Where
	On            string
	Below         string    // those of which less than this may be promised; all when empty
	RecordedSince time.Time // those with something recorded then or later; all when zero
	Fields        []string
	MaxAge        time.Duration
	Limit         int    // of a page, about; the API's own when 0
	After         string // the Next of a page; the first when empty
}

// Page asks for one page of a list.
func (c *Client) Page(ctx context.Context, q ListQuery) (*Page, error) {
	v := values(q.Entity, q.Where, q.On, q.Fields, q.MaxAge)
	for name, value := range map[string]string{"below": q.Below, "after": q.After} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if !q.RecordedSince.IsZero() {
		v.Set("recorded_since", instant(q.RecordedSince))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	out := &Page{}
	if _, err := c.do(ctx, &call{method: http.MethodGet, path: "/v1/atp", query: v, again: true}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// List goes through all pages. An item may come twice; it ends with the first error.
func (c *Client) List(ctx context.Context, q ListQuery) iter.Seq2[*Answer, error] {
	return func(yield func(*Answer, error) bool) {
		for {
			p, err := c.Page(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range p.Items {
				if !yield(&p.Items[i], nil) {
					return
				}
			}
			if p.Next == "" {
				return
			}
			q.After = p.Next
		}
	}
}
