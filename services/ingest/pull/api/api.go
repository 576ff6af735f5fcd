// Package api reads a JSON API by what the source's policy says of it: where the
// records are in an answer, how answers are divided into pages, what to ask for.
package api

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// Limits of what is asked for one by one.
const (
	maxAsks    = 100_000
	maxAskFile = 4 << 20 // bytes
)

// An Adapter is a pull.Adapter.
type Adapter struct {
	cfg    *policy.PullHTTP
	url    string
	key    string
	batch  int
	client *pull.HTTP
	now    func() time.Time
	// Asks is what to ask for where that is no list or file: ok is false before it is
	// known. It is set before the first question.
	Asks func() (list []string, ok bool)

	asks []string // of this round
}

// New makes an adapter and calls nothing. URL may hold {ask}; key is the secret of the
// API, without the prefix.
func New(cfg *policy.PullHTTP, url, key string, batch int, client *pull.HTTP, now func() time.Time) *Adapter {
	return &Adapter{cfg: cfg, url: url, key: key, batch: batch, client: client, now: now}
}

// position is where a round stands.
type position struct {
	High time.Time `json:"high,omitzero"` // the greatest time seen, of all rounds
	From time.Time `json:"from,omitzero"` // what this round asks from
	Done string    `json:"done,omitempty"`
	Asks int       `json:"asks,omitempty"` // how many have been asked; Done is the last
	Page string    `json:"page,omitempty"` // link, cursor or number of the next page
	Last string    `json:"last,omitempty"` // hash of the last page, where pages are counted
}

// Begin implements pull.Adapter.
func (a *Adapter) Begin(end json.RawMessage) (json.RawMessage, error) {
	p, err := pull.DecodePosition[position](end)
	if err != nil {
		return nil, err
	}
	next := position{High: p.High}
	if !p.High.IsZero() {
		next.From = p.High.Add(-cmp.Or(a.cfg.Since.Overlap, policy.DefaultOverlap))
	}
	a.asks = nil
	return pull.EncodePosition(next)
}

// Fetch implements pull.Adapter.
func (a *Adapter) Fetch(ctx context.Context, at json.RawMessage) (pull.Page, error) {
	p, err := pull.DecodePosition[position](at)
	if err != nil {
		return pull.Page{}, pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	if a.cfg.Ask != nil && a.asks == nil {
		if a.asks, err = a.list(); err != nil {
			return pull.Page{}, pull.NewFault(codeAsk, "%w", err)
		}
		if p.Asks > len(a.asks) || p.Asks > 0 && a.asks[p.Asks-1] != p.Done {
			p.Asks, p.Page = 0, "" // another list than before the restart
		}
	}
	if a.cfg.Ask != nil && p.Asks == len(a.asks) {
		p.Asks, p.Done = 0, ""
		next, err := pull.EncodePosition(p)
		return pull.Page{Next: next}, err
	}
	page, next, err := a.page(ctx, &p)
	if err != nil {
		return pull.Page{}, err
	}
	p.Page = next
	if page.More = next != ""; !page.More {
		p.Last = ""
	}
	if a.cfg.Ask != nil && next == "" {
		p.Done = a.asks[p.Asks]
		if p.Asks++; p.Asks < len(a.asks) {
			page.More = true
		} else {
			p.Asks, p.Done = 0, ""
		}
	}
	page.Next, err = pull.EncodePosition(p)
	return page, err
}

// codeAsk: the list of what to ask for cannot be read.
const codeAsk = "ask_list"

var errUnknown = errors.New("what to ask for is not known yet")

// list is what to ask for.
func (a *Adapter) list() ([]string, error) {
	if a.cfg.Ask.Shipments != nil {
		if a.Asks != nil {
			if list, ok := a.Asks(); ok {
				return list[:min(len(list), maxAsks)], nil
			}
		}
		return nil, errUnknown
	}
	if a.cfg.Ask.File == "" {
		return append([]string{}, a.cfg.Ask.List...), nil
	}
	f, err := os.Open(a.cfg.Ask.File)
	if err != nil {
		return nil, fmt.Errorf("opening the list of what to ask for: %w", err)
	}
	defer f.Close()
	in, all := bufio.NewScanner(io.LimitReader(f, maxAskFile)), []string{}
	for in.Scan() {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(all) == maxAsks {
			return nil, fmt.Errorf("the list of what to ask for has more than %d lines", maxAsks)
		}
		all = append(all, line)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("reading the list of what to ask for: %w", err)
	}
	return all, nil
}

// page asks for one page and returns what leads to the next, empty at the last.
func (a *Adapter) page(ctx context.Context, p *position) (pull.Page, string, error) {
	u, err := a.target(p)
	if err != nil {
		return pull.Page{}, "", pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	h := http.Header{"Accept": {"application/json"}}
	for k, v := range a.cfg.Headers {
		h.Set(k, v)
	}
	if a.cfg.Auth.Header != "" {
		h.Set(a.cfg.Auth.Header, a.cfg.Auth.Prefix+a.key)
	}
	status, header, body, err := a.client.Ask(ctx, http.MethodGet, u.String(), h, nil)
	switch {
	case err != nil:
		return pull.Page{}, "", err //nolint:wrapcheck // a Fault says all
	case status == http.StatusForbidden:
		return pull.Page{}, "", pull.NewFault(pull.CodeBadKey, "status 403")
	case status == http.StatusNotFound && a.cfg.Ask != nil, status == http.StatusNoContent:
		return pull.Page{}, "", nil // what is asked for is not known there, or has nothing yet
	case status != http.StatusOK:
		return pull.Page{}, "", pull.NewFault(pull.CodeBadAnswer, "status %d", status)
	}
	doc, err := tree(body)
	if err != nil {
		return pull.Page{}, "", pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	page, err := a.records(doc, p)
	if err != nil {
		return pull.Page{}, "", pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	next, err := a.next(doc, header, u, p, &page)
	if fault, ok := errors.AsType[*pull.Fault](err); ok {
		return pull.Page{}, "", fault
	} else if err != nil {
		return pull.Page{}, "", pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	return page, next, nil
}

var errHost = errors.New("the next page is on another host: the key does not go there")

// target is the URL of a page.
func (a *Adapter) target(p *position) (*url.URL, error) {
	text := a.url
	if a.cfg.Ask != nil {
		ask := a.asks[p.Asks]
		path, query, _ := strings.Cut(text, "?")
		text = strings.ReplaceAll(path, "{ask}", url.PathEscape(ask))
		if query != "" {
			text += "?" + strings.ReplaceAll(query, "{ask}", url.QueryEscape(ask))
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the URL: %w", errors.Unwrap(err))
	}
	if a.cfg.Page.By == policy.PageLink && p.Page != "" {
		link, err := u.Parse(p.Page)
		if err != nil {
			return nil, fmt.Errorf("reading the link to the next page: %w", errors.Unwrap(err))
		}
		if link.Scheme != u.Scheme || link.Host != u.Host || link.User != nil {
			return nil, errHost
		}
		return link, nil
	}
	q := u.Query()
	if s := a.cfg.Since; s.Param != "" && !p.From.IsZero() {
		q.Set(s.Param, p.From.UTC().Format(time.RFC3339))
	}
	switch pg := a.cfg.Page; pg.By {
	case policy.PageCursor:
		if p.Page != "" {
			q.Set(pg.Param, p.Page)
		}
	case policy.PageNumber:
		q.Set(pg.Param, cmp.Or(p.Page, strconv.Itoa(pg.First)))
	}
	if a.cfg.Page.Size != "" {
		q.Set(a.cfg.Page.Size, strconv.Itoa(a.batch))
	}
	u.RawQuery = q.Encode()
	return u, nil
}

// next is what leads to the page behind this one.
func (a *Adapter) next(doc any, h http.Header, u *url.URL, p *position, page *pull.Page) (string, error) {
	switch pg := a.cfg.Page; pg.By {
	case policy.PageLink:
		link := linkNext(h.Values("Link"))
		if pg.Next != "" {
			link, _ = text(doc, pg.Next)
		}
		if link == "" {
			return "", nil
		}
		// Kept whole: what it is relative to is this page.
		to, err := u.Parse(link)
		if err != nil {
			return "", fmt.Errorf("reading the link to the next page: %w", errors.Unwrap(err))
		}
		return to.String(), nil
	case policy.PageCursor:
		next, _ := text(doc, pg.Next)
		return next, nil
	case policy.PageNumber:
		if len(page.Records) == 0 {
			return "", nil
		}
		h := fnv.New64a()
		for i := range page.Records {
			_, _ = h.Write(page.Records[i].Body) // a hash takes all
		}
		last := strconv.FormatUint(h.Sum64(), 16)
		if last == p.Last {
			return "", pull.NewFault(pull.CodePageLoop, "page %s has what the page before it had", p.Page)
		}
		p.Last = last
		n, err := strconv.Atoi(cmp.Or(p.Page, strconv.Itoa(pg.First)))
		if err != nil {
			return "", fmt.Errorf("reading the number of the page: %w", err)
		}
		return strconv.Itoa(n + 1), nil
	}
	return "", nil
}

// records are those of an answer.
func (a *Adapter) records(doc any, p *position) (pull.Page, error) {
	items, ok := find(doc, a.cfg.Items)
	if !ok || items == nil {
		return pull.Page{}, fmt.Errorf("there is nothing at %s", a.cfg.Items)
	}
	list, ok := items.([]any)
	if !ok {
		if a.cfg.Items != "" && a.cfg.Ask == nil {
			return pull.Page{}, fmt.Errorf("what is at %s is no array", a.cfg.Items)
		}
		list = []any{items}
	}
	var page pull.Page
	for i, item := range list {
		body, err := pull.Encode(item)
		if err != nil {
			return page, fmt.Errorf("record %d: %w", i+1, err)
		}
		r := pull.Record{ContentType: "application/json", Body: body}
		for _, of := range []struct {
			at   string
			into *string
		}{{a.cfg.ID, &r.ID}, {a.cfg.Version, &r.Version}, {a.cfg.StreamKey, &r.StreamKey}} {
			if of.at == "" {
				continue
			}
			if *of.into, ok = text(item, of.at); !ok {
				return page, fmt.Errorf("record %d has no text at %s", i+1, of.at)
			}
		}
		if a.cfg.Ask != nil && a.cfg.StreamKey == "" {
			r.StreamKey = a.asks[p.Asks]
		}
		if at := a.cfg.Since.At; at != "" {
			if err := a.reach(item, at, p); err != nil {
				return page, fmt.Errorf("record %d: %w", i+1, err)
			}
		}
		page.Records = append(page.Records, r)
	}
	return page, nil
}

// reach moves High to a record's time, never beyond now.
func (a *Adapter) reach(item any, at string, p *position) error {
	s, _ := text(item, at)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("no RFC 3339 time at %s: %q", at, s)
	}
	if now := a.now(); t.After(now) {
		t = now
	}
	if t.After(p.High) {
		p.High = t
	}
	return nil
}
