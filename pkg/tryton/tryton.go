// Package tryton speaks the REST API of a Tryton 8.2 ERP
// (/<database>/rest/model/…, a user application "rest", Bearer key). What a record
// means is its users' business.
package tryton

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Do makes one HTTP request and returns the status and the body of the answer, both
// bounded in time and size. Its errors come back from every call as they are.
type Do func(ctx context.Context, method, url string, header http.Header, body []byte) (status int, answer []byte, err error)

// A Client is one database of one server. It is safe for concurrent use if Do is.
type Client struct {
	base, key string
	do        Do
}

// New makes a client and calls nothing. URL is the server's, without the database.
func New(serverURL, database, key string, do Do) *Client {
	return &Client{base: strings.TrimSuffix(serverURL, "/") + "/" + url.PathEscape(database) + "/rest/model/", key: key, do: do}
}

// A Refusal is a business rule's no. Message is for people, in the language of the
// key's user.
type Refusal struct{ Message string }

func (r *Refusal) Error() string { return r.Message }

// A StatusError is an answer that is neither a result nor a refusal: a fault inside the
// ERP, a field that this version does not have, a key that is none.
type StatusError struct {
	Status int
	Reason string
}

func (e *StatusError) Error() string {
	if e.Reason != "" {
		return fmt.Sprintf("status %d %s", e.Status, e.Reason)
	}
	return fmt.Sprintf("status %d", e.Status)
}

// A FormatError is a request that cannot be written, or an answer that cannot be read.
type FormatError struct {
	Request bool
	Err     error
}

func (e *FormatError) Error() string {
	if e.Request {
		return "encoding the request: " + e.Err.Error()
	}
	return "reading the answer: " + e.Err.Error()
}

func (e *FormatError) Unwrap() error { return e.Err }

// Call makes one request. Context is Tryton's own (company, say); path goes below
// /rest/model/. A result is decoded into into, unless it is nil.
func (c *Client) Call(ctx context.Context, trytonCtx map[string]any, method, path string, body, into any) error {
	var b []byte
	var err error
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return &FormatError{true, err}
		}
	}
	said, err := json.Marshal(trytonCtx)
	if err != nil {
		return &FormatError{true, err}
	}
	status, answer, err := c.do(ctx, method, c.base+path, http.Header{
		"Authorization":    {"Bearer " + c.key},
		"Content-Type":     {"application/json"},
		"X-Tryton-Context": {base64.URLEncoding.EncodeToString(said)},
	}, b)
	if err != nil {
		return err
	}
	switch status {
	case http.StatusOK:
		if into == nil {
			return nil
		}
		if err := json.Unmarshal(answer, into); err != nil {
			return &FormatError{false, err}
		}
		return nil
	case http.StatusBadRequest:
		// A business rule said no.
		var p struct{ Message, Description string }
		if json.Unmarshal(answer, &p) == nil && p.Message != "" {
			return &Refusal{strings.TrimSpace(p.Message + " " + p.Description)}
		}
		return &StatusError{status, "without a message"}
	case http.StatusForbidden:
		// What an action answers for a closed period, too, without a message.
		return &Refusal{"forbidden: the stock period is closed, or the key's user may not do this"}
	}
	return &StatusError{Status: status} // 500 is HTML
}

// A Query selects records of a model.
type Query struct {
	Model  string
	Domain any        // what they must meet, in Tryton's form
	Order  [][]string // {field, "ASC" or "DESC"}; the model's own when empty
	Limit  int
	Fields []string // a.b is a field of the record that field a names
}

// Search reads the records of a query.
func (c *Client) Search(ctx context.Context, trytonCtx map[string]any, q Query, into any) error {
	d, err := json.Marshal(q.Domain)
	if err != nil {
		return &FormatError{true, err}
	}
	v := url.Values{"f": q.Fields, "s": {strconv.Itoa(q.Limit)}, "d": {base64.URLEncoding.EncodeToString(d)}}
	if len(q.Order) > 0 {
		o, err := json.Marshal(q.Order)
		if err != nil {
			return &FormatError{true, err}
		}
		v.Set("o", base64.URLEncoding.EncodeToString(o))
	}
	if err := c.Call(ctx, trytonCtx, http.MethodGet, url.PathEscape(q.Model)+"?"+v.Encode(), nil, into); err != nil {
		return fmt.Errorf("reading %s: %w", q.Model, err)
	}
	return nil
}
