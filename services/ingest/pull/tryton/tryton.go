// Package tryton reads what has changed in a Tryton ERP: records of the models that
// the source names, in the order in which they were written.
//
// A record has create_date, and write_date once it was changed; both are the start of
// the transaction, which may end, and be seen, after that of a later one. So each
// model is read as two lists, what was created and what was written, each by (time, id),
// and every round goes back by Overlap. What is deleted in Tryton is not seen; a move
// or a purchase that was confirmed is cancelled there, never deleted.
package tryton

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	rest "github.com/stockweave/stockweave/pkg/tryton"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// An Adapter is a pull.Adapter.
type Adapter struct {
	rest    *rest.Client
	lists   []list
	overlap time.Duration
	batch   int
	now     func() time.Time
}

// list is one model by one of its times.
type list struct {
	model  string
	by     string // create_date or write_date
	fields []string
	domain []any
}

// New makes an adapter and calls nothing.
func New(p *policy.PullTryton, url, key string, batch int, asker *pull.HTTP, now func() time.Time) (*Adapter, error) {
	a := &Adapter{batch: batch, now: now, overlap: cmp.Or(p.Overlap, policy.DefaultOverlap)}
	a.rest = rest.New(url, p.Database, key, func(ctx context.Context, method, url string, h http.Header, body []byte) (int, []byte, error) {
		status, _, answer, err := asker.Ask(ctx, method, url, h, body)
		return status, answer, err //nolint:wrapcheck // a Fault says all
	})
	for _, m := range p.Models {
		domain := []any{}
		if m.Domain != "" {
			if err := json.Unmarshal([]byte(m.Domain), &domain); err != nil {
				return nil, fmt.Errorf("reading the domain of %s: %w", m.Model, err)
			}
		}
		fields := append([]string{"create_date", "write_date"}, m.Fields...)
		for _, by := range []string{"create_date", "write_date"} {
			a.lists = append(a.lists, list{m.Model, by, fields, domain})
		}
	}
	return a, nil
}

// place is a record's place in a list.
type place struct {
	Time time.Time `json:"time"`
	ID   int64     `json:"id"`
}

// position is where all lists stand. High is the furthest read, At where the round is.
type position struct {
	List int               `json:"list"`
	High map[string]*place `json:"high"`
	At   map[string]*place `json:"at,omitempty"`
}

// Begin implements pull.Adapter.
func (a *Adapter) Begin(end json.RawMessage) (json.RawMessage, error) {
	p, err := decode(end)
	if err != nil {
		return nil, err
	}
	p.List, p.At = 0, map[string]*place{}
	for name, high := range p.High {
		p.At[name] = &place{Time: high.Time.Add(-a.overlap)} // ids begin at 1
	}
	return pull.EncodePosition(p)
}

func decode(b json.RawMessage) (position, error) {
	p, err := pull.DecodePosition[position](b)
	if err != nil {
		return p, err //nolint:wrapcheck // it says what
	}
	if p.High == nil {
		p.High = map[string]*place{}
	}
	if p.At == nil {
		p.At = map[string]*place{}
	}
	return p, nil
}

func (l *list) name() string { return l.model + "/" + l.by }

// query asks for what lies behind a place.
func (l *list) query(at *place, limit int) rest.Query {
	domain := []any{"AND", l.domain, []any{l.by, "!=", nil}}
	if at != nil {
		t := rest.NewTime(at.Time)
		domain = append(domain, []any{"OR", []any{l.by, ">", t}, []any{"AND", []any{l.by, "=", t}, []any{"id", ">", at.ID}}})
	}
	return rest.Query{Model: l.model, Domain: domain, Order: [][]string{{l.by, "ASC"}, {"id", "ASC"}}, Limit: limit, Fields: l.fields}
}

// Fetch implements pull.Adapter.
func (a *Adapter) Fetch(ctx context.Context, at json.RawMessage) (pull.Page, error) {
	p, err := decode(at)
	if err != nil {
		return pull.Page{}, pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	if p.List < 0 || p.List >= len(a.lists) { // the policy has fewer models now
		p.List = len(a.lists) - 1
	}
	l := &a.lists[p.List]
	var found []json.RawMessage
	if err := a.rest.Search(ctx, nil, l.query(p.At[l.name()], a.batch), &found); err != nil {
		return pull.Page{}, fault(err)
	}
	page := pull.Page{More: true}
	for i, body := range found {
		r, where, err := l.record(body)
		if err != nil {
			return pull.Page{}, pull.NewFault(pull.CodeBadAnswer, "%s, record %d of the answer: %w", l.model, i+1, err)
		}
		if last := p.At[l.name()]; last != nil && !where.after(last) {
			return pull.Page{}, pull.NewFault(pull.CodeBadAnswer, "%s %d comes out of turn", l.model, where.ID)
		}
		p.At[l.name()] = where
		// A clock that was ahead once must not hide what is written after it was put right.
		if high := (&place{minTime(where.Time, a.now()), where.ID}); p.High[l.name()] == nil || high.after(p.High[l.name()]) {
			p.High[l.name()] = high
		}
		page.Records = append(page.Records, r)
	}
	if len(found) < a.batch {
		if p.List++; p.List == len(a.lists) {
			page.More, p.List, p.At = false, 0, nil
		}
	}
	page.Next, err = pull.EncodePosition(p)
	return page, err
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (p *place) after(o *place) bool {
	return p.Time.After(o.Time) || p.Time.Equal(o.Time) && p.ID > o.ID
}

var errDates = errors.New("has no id or no time")

// record is a record of the ERP as a raw message: {"model": ..., "record": {...}}, keys
// in order, so that the same record has the same bytes.
func (l *list) record(body json.RawMessage) (pull.Record, *place, error) {
	var head struct {
		ID      int64      `json:"id"`
		Created *rest.Time `json:"create_date"`
		Written *rest.Time `json:"write_date"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return pull.Record{}, nil, fmt.Errorf("reading id and dates: %w", err)
	}
	version, at := head.Written, head.Created
	if version == nil {
		version = head.Created
	}
	if l.by == "write_date" {
		at = head.Written
	}
	if head.ID < 1 || at == nil {
		return pull.Record{}, nil, errDates
	}
	whole, err := pull.Canonical(body)
	if err != nil {
		return pull.Record{}, nil, err //nolint:wrapcheck // says what it read
	}
	whole = append(append([]byte(`{"model":`+strconv.Quote(l.model)+`,"record":`), whole...), '}')
	id := strconv.FormatInt(head.ID, 10)
	return pull.Record{
		List: l.model, ID: id, Version: version.Go().Format(time.RFC3339Nano), StreamKey: l.model + "," + id,
		ContentType: "application/json", Body: whole,
	}, &place{at.Go(), head.ID}, nil
}

// fault gives errors of the API their code.
func fault(err error) error {
	if f, ok := errors.AsType[*pull.Fault](err); ok {
		return f
	}
	if s, ok := errors.AsType[*rest.StatusError](err); ok && s.Status == http.StatusNotFound {
		return pull.NewFault(pull.CodeBadAnswer, "%w: a model or field that the ERP does not have?", err)
	}
	if _, ok := errors.AsType[*rest.Refusal](err); ok {
		return pull.NewFault(pull.CodeBadKey, "%w", err)
	}
	return pull.NewFault(pull.CodeBadAnswer, "%w", err)
}
