// Package client asks the ATP API (services/atpapi/openapi.yaml) from Go. It needs the
// standard library alone. Quantities are decimals in the item's base unit, as text.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config says whom to ask, and how patiently.
type Config struct {
	URL string // of the API, such as https://atp.example
	// Key is an API key. Token, where it is set, is asked for a token before each try.
	Key   string
	Token func(context.Context) (string, error)
	// HTTP sends the requests; a client of ten seconds a request when nil.
	HTTP *http.Client
	// Attempts bounds the tries of one call; 4 when 0. What failed is tried again when
	// the answer was 429, or when it was 502, 503 or 504 or none and the call may be
	// made twice.
	Attempts int
	// MaxWait bounds the wait before one try; 30 s when 0. A Retry-After beyond it ends
	// the call with its problem.
	MaxWait time.Duration
}

const (
	attempts   = 4
	maxWait    = 30 * time.Second
	firstWait  = 100 * time.Millisecond
	maxAnswer  = 64 << 20 // bytes
	maxProblem = 1 << 20
)

// Client is safe for concurrent use.
type Client struct {
	base *url.URL
	cfg  Config
}

// New makes a client; it asks nothing yet.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(cfg.URL, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the URL of the API must be http or https, with a host, without query and fragment")
	}
	if cfg.Key != "" && cfg.Token != nil {
		return nil, errors.New("a key or tokens, not both")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = attempts
	}
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = maxWait
	}
	return &Client{u, cfg}, nil
}

// Problem is an answer that is an error (RFC 9457). Its code is stable.
type Problem struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Detail  string `json:"detail,omitempty"`
	Pointer string `json:"pointer,omitempty"` // into the body sent (RFC 6901)
	// Of reservations: the id, the item that says no, why, and what of it could have
	// been granted.
	ID        string `json:"id,omitempty"`
	Entity    string `json:"entity,omitempty"`
	Item      string `json:"item,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Available string `json:"available,omitempty"`
	// Earliest, of log_expired, is the first time that can be asked for.
	Earliest string `json:"earliest,omitempty"`
	// RetryAfter is when to come again; zero where the answer did not say.
	RetryAfter time.Duration `json:"-"`
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("%d %s", p.Status, p.Code)
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if p.Pointer != "" {
		text += " (at " + p.Pointer + ")"
	}
	return text
}

// Code is the code of the problem that an error is; empty where it is none.
func Code(err error) string {
	if p := (*Problem)(nil); errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// patient is a client that waits so much longer for an answer.
func (c *Client) patient(more time.Duration) *Client {
	p, h := *c, *c.cfg.HTTP
	if h.Timeout > 0 {
		h.Timeout += more
	}
	p.cfg.HTTP = &h
	return &p
}

// call is one operation.
type call struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	in     any // nil: no body
	// again says that making it twice does no harm: it reads, or it has an idempotency
	// key.
	again bool
}

// reply is what came of a call, its body read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do makes a call until it is answered, and reads the answer into out unless that is
// nil or the answer is empty.
func (c *Client) do(ctx context.Context, k *call, out any) (*reply, error) {
	var body []byte
	if k.in != nil {
		var err error
		if body, err = json.Marshal(k.in); err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
	}
	for attempt := 1; ; attempt++ {
		r, err := c.once(ctx, k, body)
		if err == nil {
			if out != nil && len(r.body) > 0 {
				if err := json.Unmarshal(r.body, out); err != nil {
					return nil, fmt.Errorf("reading the answer to %s %s: %w", k.method, k.path, err)
				}
			}
			return r, nil
		}
		wait, may := c.wait(k, err, attempt)
		if !may || ctx.Err() != nil {
			return nil, fmt.Errorf("%s %s: %w", k.method, k.path, err)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("%s %s: %w, after %w", k.method, k.path, ctx.Err(), err)
		}
	}
}

// wait says whether a failed call is tried again, and after how long.
func (c *Client) wait(k *call, err error, attempt int) (time.Duration, bool) {
	if attempt >= c.cfg.Attempts {
		return 0, false
	}
	backoff := min(firstWait<<min(attempt-1, 20), c.cfg.MaxWait)
	backoff = backoff/2 + rand.N(backoff/2+1) //nolint:gosec // so that clients do not come together
	p := (*Problem)(nil)
	if !errors.As(err, &p) {
		fatal := (*fatalError)(nil)
		return backoff, k.again && !errors.As(err, &fatal)
	}
	switch p.Status {
	case http.StatusTooManyRequests:
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if !k.again {
			return 0, false
		}
	default:
		return 0, false
	}
	return max(backoff, p.RetryAfter), p.RetryAfter <= c.cfg.MaxWait
}

// fatalError is a failure that another try does not mend.
type fatalError struct{ error }

// request is one try of a call.
func (c *Client) request(ctx context.Context, k *call, body []byte) (*http.Request, error) {
	u := c.base.String() + k.path
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u, bytes.NewReader(body))
	if err != nil {
		return nil, &fatalError{err}
	}
	maps.Copy(req.Header, k.header)
	req.Header.Set("Accept", "application/json, application/problem+json")
	if k.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	secret := c.cfg.Key
	if c.cfg.Token != nil {
		if secret, err = c.cfg.Token(ctx); err != nil {
			return nil, &fatalError{fmt.Errorf("getting a token: %w", err)}
		}
	}
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	return req, nil
}

// once makes one try. Its error is a *Problem where there was an answer.
func (c *Client) once(ctx context.Context, k *call, body []byte) (*reply, error) {
	req, err := c.request(ctx, k, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.cfg.HTTP.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the request
	}
	defer resp.Body.Close()
	limit := int64(maxAnswer)
	if resp.StatusCode >= http.StatusBadRequest {
		limit = maxProblem
	}
	read, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if int64(len(read)) > limit {
		return nil, &fatalError{fmt.Errorf("an answer of more than %d bytes", limit)}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		return nil, problemOf(resp, read)
	}
	return &reply{resp.StatusCode, resp.Header, read}, nil
}

// problemOf reads a problem; of an answer that is none, from something between, it is
// one without a code.
func problemOf(resp *http.Response, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Code == "" {
		p = &Problem{Title: http.StatusText(resp.StatusCode)}
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(min(s, int(24*time.Hour/time.Second))) * time.Second
	}
	return p
}
