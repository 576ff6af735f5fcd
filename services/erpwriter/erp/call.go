package erp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Limits of a call to an ERP.
const (
	MaxAnswer      = 1 << 20
	DefaultTimeout = 15 * time.Second
	maxRetryAfter  = 5 * time.Minute
)

// Answer is what an ERP replied: any status, a body within MaxAnswer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Client makes the calls to one ERP. It is safe for concurrent use.
type Client struct {
	HTTP *http.Client
	// Gate, when set, is waited for before each call: the ERP's throttle. Its wait
	// is not part of the call's timeout.
	Gate func(context.Context) error
}

// NewClient makes a client for one ERP: every call ends within timeout, and
// redirects are not followed, because a key must not travel to another host.
func NewClient(timeout time.Duration) *Client {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{HTTP: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}}
}

// Call makes one HTTP request. Transport faults, throttling, gateway errors and a
// refused key come back as outages: they say nothing about the document. An
// oversize answer is blocked. Everything else is for the adapter to read.
func (c *Client) Call(ctx context.Context, method, url string, header http.Header, body []byte) (Answer, error) {
	if c.Gate != nil {
		if err := c.Gate(ctx); err != nil {
			return Answer{}, Outage(CodeThrottled, 0, fmt.Errorf("waiting for a turn: %w", err))
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return Answer{}, Outage(CodeUnreachable, 0, fmt.Errorf("making the request: %w", err))
	}
	maps.Copy(req.Header, header)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, Outage(CodeUnreachable, 0, err)
	}
	defer func() { _ = resp.Body.Close() }() // read or given up by now
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err != nil {
		return Answer{}, Outage(CodeUnreachable, 0, fmt.Errorf("reading the answer: %w", err))
	}
	if len(b) > MaxAnswer {
		return Answer{}, Block(CodeTooLarge, "the answer exceeds %d bytes", MaxAnswer)
	}
	a := Answer{Status: resp.StatusCode, Header: resp.Header, Body: b}
	switch a.Status {
	case http.StatusUnauthorized:
		return a, Outage(CodeDenied, 0, fmt.Errorf("status %d", a.Status))
	case http.StatusTooManyRequests:
		return a, Outage(CodeThrottled, retryAfter(resp.Header), errors.New("status 429"))
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return a, Outage(CodeUnreachable, retryAfter(resp.Header), fmt.Errorf("status %d", a.Status))
	}
	return a, nil
}

// retryAfter reads delay-seconds (RFC 9110, 10.2.3); a date is not worth a clock.
func retryAfter(h http.Header) time.Duration {
	s, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || s < 0 {
		return 0
	}
	return min(time.Duration(s)*time.Second, maxRetryAfter)
}
