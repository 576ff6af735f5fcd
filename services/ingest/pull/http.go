package pull

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stockweave/stockweave/pkg/outbound"
)

// MaxAnswer bounds an answer, bytes.
const MaxAnswer = 8 << 20

// HTTP asks over HTTP. Redirects are not followed: a key must not travel to another
// host. It is safe for concurrent use.
type HTTP struct {
	client *http.Client
	now    func() time.Time
}

// NewHTTP makes a client. Unless private says so, no address of a private network, of
// this machine or of its link is reached, whatever its name resolves to.
func NewHTTP(private bool, now func() time.Time) *HTTP {
	cfg := outbound.Config{}
	if !private {
		cfg.Control = outbound.Guard(nil)
	}
	return &HTTP{now: now, client: outbound.Client(cfg)}
}

// Close lets go of idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Ask makes one request and reads the whole answer. Faults of the way and of the
// other side's readiness come back as *Fault: no connection, a broken answer, 429 and
// 503 with their Retry-After, a refused key, any 5xx. Other answers are the caller's.
func (h *HTTP) Ask(ctx context.Context, method, target string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, NewFault(CodeUnreachable, "making the request: %w", outbound.Bare(err))
	}
	req.Header = header
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, nil, nil, NewFault(CodeUnreachable, "%w", outbound.Bare(err))
	}
	defer func() { _ = resp.Body.Close() }() // read or given up by now
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, nil, NewFault(CodeUnreachable, "reading the answer: %w", outbound.Bare(err))
	case len(b) > MaxAnswer:
		return 0, nil, nil, NewFault(CodeTooLarge, "the answer is larger than %d bytes", MaxAnswer)
	}
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		return s, nil, nil, &Fault{Code: CodeThrottled, RetryAfter: outbound.RetryAfter(resp.Header, h.now(), maxRetryAfter), Err: fmt.Errorf("status %d", s)}
	case s == http.StatusUnauthorized:
		return s, nil, nil, NewFault(CodeBadKey, "status %d", s)
	case s >= http.StatusInternalServerError:
		return s, nil, nil, NewFault(CodeUnreachable, "status %d", s)
	}
	return resp.StatusCode, resp.Header, b, nil
}
