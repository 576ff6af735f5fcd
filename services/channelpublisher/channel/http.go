package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/outbound"
)

const (
	maxAnswer     = 64 << 10 // bytes of an answer that are read; more is a fault
	maxReason     = 300      // bytes of a refusal's reason that are kept
	maxRetryAfter = 5 * time.Minute
	maxIdle       = 16
)

// Client makes the bounded HTTP client of an adapter: see pkg/outbound. Unless private
// addresses are allowed no name and no second look-up can lead inside.
func Client(s Settings) *http.Client {
	cfg := outbound.Config{Timeout: s.Timeout, Idle: maxIdle}
	if !s.AllowPrivate {
		cfg.Control = outbound.Guard(nil)
	}
	return outbound.Client(cfg)
}

// BaseURL checks a configured address: absolute, http or https, without user
// information or fragment.
func BaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("url: cannot be read") // the text may hold a secret
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("url: must be http or https with a host, without user information or fragment")
	}
	return u, nil
}

// Do sends a request and turns the answer into a body or one of the errors that
// Channel promises.
func Do(ctx context.Context, c *http.Client, method, address string, header http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	req.Header = header
	resp, err := c.Do(req)
	if err != nil {
		err = outbound.Bare(err)
		if errors.Is(err, outbound.ErrPrivate) {
			return nil, &Refusal{Code: "private_address", Reason: "channel: " + err.Error() + " (allow_private is off)"}
		}
		return nil, fmt.Errorf("calling channel: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read; there is nothing to add
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		if len(answer) > maxAnswer {
			return nil, fmt.Errorf("reading answer: larger than %d bytes", maxAnswer)
		}
		return answer, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		return nil, &Throttled{After: retryAfter(resp.Header)}
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode == http.StatusTooEarly:
		return nil, fmt.Errorf("calling channel: status %d", resp.StatusCode)
	}
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(answer, &p) // a body nobody understands still has its status
	switch {
	case resp.StatusCode == http.StatusConflict && p.Code == "stale":
		return nil, ErrStale
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return nil, ErrUnknownListing
	case p.Code == "":
		p.Code = "status_" + strconv.Itoa(resp.StatusCode)
	}
	return nil, &Refusal{Code: bound(p.Code, 64), Reason: bound(p.Detail, maxReason)}
}

func bound(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return string(bytes.ToValidUTF8([]byte(s), nil))
}

// retryAfter reads the delay in seconds (RFC 9110 §10.2.3); a date or nonsense
// counts as one second.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || n < 0 {
		return time.Second
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
