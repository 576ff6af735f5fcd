package pull

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MaxAnswer bounds an answer, bytes.
const MaxAnswer = 8 << 20

// HTTP asks over HTTP. Redirects are not followed: a key must not travel to another
// host. It is safe for concurrent use.
type HTTP struct {
	client *http.Client
	now    func() time.Time
}

var errPrivate = errors.New("the address is one of a private network, which the source does not allow")

// NewHTTP makes a client. Unless private says so, no address of a private network, of
// this machine or of its link is reached, whatever its name resolves to.
func NewHTTP(private bool, now func() time.Time) *HTTP {
	dial := net.Dialer{Timeout: 5 * time.Second}
	if !private {
		dial.Control = func(_, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("reading the address: %w", err)
			}
			if ip := a.Addr().Unmap(); !ip.IsGlobalUnicast() || ip.IsPrivate() {
				return errPrivate
			}
			return nil
		}
	}
	return &HTTP{now: now, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dial.DialContext, TLSHandshakeTimeout: 5 * time.Second, MaxIdleConnsPerHost: 2,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
	}}
}

// Close lets go of idle connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Ask makes one request and reads the whole answer. Faults of the way and of the
// other side's readiness come back as *Fault: no connection, a broken answer, 429 and
// 503 with their Retry-After, a refused key, any 5xx. Other answers are the caller's.
func (h *HTTP) Ask(ctx context.Context, method, target string, header http.Header, body []byte) (int, http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, NewFault(CodeUnreachable, "making the request: %w", bare(err))
	}
	req.Header = header
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, nil, nil, NewFault(CodeUnreachable, "%w", bare(err))
	}
	defer func() { _ = resp.Body.Close() }() // read or given up by now
	b, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, nil, NewFault(CodeUnreachable, "reading the answer: %w", bare(err))
	case len(b) > MaxAnswer:
		return 0, nil, nil, NewFault(CodeTooLarge, "the answer is larger than %d bytes", MaxAnswer)
	}
	switch s := resp.StatusCode; {
	case s == http.StatusTooManyRequests || s == http.StatusServiceUnavailable:
		return s, nil, nil, &Fault{Code: CodeThrottled, RetryAfter: h.retryAfter(resp.Header), Err: fmt.Errorf("status %d", s)}
	case s == http.StatusUnauthorized:
		return s, nil, nil, NewFault(CodeBadKey, "status %d", s)
	case s >= http.StatusInternalServerError:
		return s, nil, nil, NewFault(CodeUnreachable, "status %d", s)
	}
	return resp.StatusCode, resp.Header, b, nil
}

// bare is err without the URL, which may hold what is asked for.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// retryAfter reads Retry-After (RFC 9110 §10.2.3): seconds, or a date.
func (h *HTTP) retryAfter(header http.Header) time.Duration {
	v := strings.TrimSpace(header.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(h.now()))
	}
	return 0
}
