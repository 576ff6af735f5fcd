package access

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"
)

// HTTPS is a Fetch over TLS 1.2 and later that follows no redirect.
func HTTPS() Fetch {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: fetchTimeout, ResponseHeaderTimeout: fetchTimeout, IdleConnTimeout: time.Minute,
		MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true,
	}
	return By(&http.Client{Transport: t})
}

// By is a Fetch by a client of the caller's, which is changed to follow no redirect.
func By(client *http.Client) Fetch {
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, url string, limit int64) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, fmt.Errorf("asking for keys: %w", err)
		}
		req.Header.Set("Accept", "application/jwk-set+json, application/json")
		res, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("asking for keys: %w", err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("asking for keys: status %d", res.StatusCode)
		}
		b, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
		if err != nil {
			return nil, fmt.Errorf("reading keys: %w", err)
		}
		if int64(len(b)) > limit {
			return nil, fmt.Errorf("reading keys: more than %d bytes", limit)
		}
		return b, nil
	}
}
