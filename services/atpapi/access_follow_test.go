package atpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/stockweave/stockweave/pkg/access/lease"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// stays is a porter by whom nothing changes.
func stays(a *admission) *porter {
	a.over = make(chan struct{})
	p := &porter{limiter: limit.New(8, time.Now), log: slog.New(slog.DiscardHandler)}
	p.now.Store(a)
	return p
}

// permits publishes principals, as a record of policies.v1.
func permits(t *testing.T, codecs *event.Codecs, version int64, files map[string]string) *stream.Record {
	t.Helper()
	content, err := json.Marshal(map[string]any{"files": files})
	if err != nil {
		t.Fatal(err)
	}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.AccessName, Version: version, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "access@%d", version), Value: value}
}

// partner is the file of a principal whose key is given.
func partner(name, key, scopes, more string) map[string]string {
	return map[string]string{"access/" + name + ".yaml": fmt.Sprintf("name: %s\nscopes: [%q]\nkeys: [{id: sw_1, sha256: %q}]\n%s", name, scopes, hashed(key), more)}
}

func status(t *testing.T, p *porter, key string) int {
	t.Helper()
	v, bad := p.enter(t.Context(), http.Header{"X-Api-Key": {key}})
	if bad != nil {
		return bad.status
	}
	leave, bad := p.rate(http.Header{}, v)
	if bad != nil {
		return bad.status
	}
	leave()
	return http.StatusOK
}

var errAway = errors.New("away")

// awayStore shares no rate.
type awayStore struct{}

func (awayStore) Settle(context.Context, []lease.Account) ([]float64, error) { return nil, errAway }

func (awayStore) Meet(context.Context, string, time.Duration) (int, error) { return 0, errAway }

// Keys and rates are those published last. What cannot be used changes nothing, and a
// service that asks for credentials goes on asking when the last principal is gone.
func TestAccessFollowsPolicies(t *testing.T) {
	codecs := event.TestCodecs()
	cfg := &Config{Keys: []Key{{Name: "ops", SHA256: hashed("ops-key")}}}
	p, err := newPorter(cfg, nil, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p.leases = lease.New(awayStore{}, "0", nil, time.Now)
	follows, err := p.follow(codecs, &service.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	follows.Loaded()
	version := int64(0)
	step := func(name string, files map[string]string, want map[string]int, refused string) {
		t.Helper()
		version++
		if err := follows.Apply(permits(t, codecs, version, files)); err != nil {
			t.Fatal(err)
		}
		for key, w := range want {
			if got := status(t, p, key); got != w {
				t.Errorf("%s: %s is told %d, want %d", name, key, got, w)
			}
		}
		if got := follows.Refused()[policy.AccessName]; (got == "") != (refused == "") || !strings.Contains(got, refused) {
			t.Errorf("%s: refused %q, want %q", name, got, refused)
		}
	}
	step("one", partner("a", "key-a", "atp:read", ""), map[string]int{"key-a": 200, "key-b": 401, "ops-key": 200}, "")
	step("the next key", partner("a", "key-b", "atp:read", ""), map[string]int{"key-a": 401, "key-b": 200, "ops-key": 200}, "")
	step("a key of the configuration", partner("a", "ops-key", "atp:read", ""), map[string]int{"key-b": 200, "ops-key": 200}, "key:ops")
	step("a rate", partner("a", "key-b", "atp:read", "rate: {per_second: 0.001, burst: 1}\n"), map[string]int{"key-b": 200}, "")
	if got := status(t, p, "key-b"); got != http.StatusTooManyRequests {
		t.Errorf("the rate is used up: %d", got)
	}
	step("no rate", partner("a", "key-b", "atp:read", ""), map[string]int{"key-b": 200}, "")
	step("nobody", nil, map[string]int{"key-b": 401, "": 401, "ops-key": 200}, "")

	// Without keys it is open until somebody is published, and not again.
	if p, err = newPorter(&Config{}, nil, slog.New(slog.DiscardHandler), time.Now); err != nil {
		t.Fatal(err)
	}
	if follows, err = p.follow(codecs, &service.Env{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	follows.Loaded()
	step("still nobody", nil, map[string]int{"": 200}, "")
	step("somebody", partner("a", "key-a", "atp:read", ""), map[string]int{"": 401, "key-a": 200}, "")
	step("nobody any more", nil, map[string]int{"": 401, "key-a": 401}, "")
}

// A running service refuses a revoked key, and ends the stream of changes of whoever is
// revoked, or may read no more what it tells; that of others goes on.
func TestRevokedWhileStreaming(t *testing.T) {
	r := newRoad(t)
	mini := miniredis.RunT(t)
	files := func(a, b string) map[string]string {
		all := partner("a", "key-a", a, "")
		maps.Copy(all, partner("b", "key-b", b, ""))
		return all
	}
	send := func(version int64, files map[string]string) {
		t.Helper()
		rec := permits(t, r.codecs, version, files)
		r.send(t, event.TopicPolicies, rec.Value, nil)
	}
	send(1, files("atp:read", "atp:read"))
	url, _ := r.serve(t, mini.Addr(), func(cfg *Config) { cfg.Principals = true })
	ask := func(key, path string) (status int, body io.Reader) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Api-Key", key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp.StatusCode, resp.Body
	}
	over := func(body io.Reader) chan struct{} {
		done := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, body); close(done) }()
		return done
	}
	ended := func(step string, stream chan struct{}) {
		t.Helper()
		select {
		case <-stream:
		case <-time.After(5 * time.Second):
			t.Errorf("%s: the stream goes on", step)
		}
	}
	first, told := ask("key-a", "/v1/changes")
	second, too := ask("key-b", "/v1/changes")
	if first != http.StatusOK || second != http.StatusOK {
		t.Fatalf("streams: %d, %d", first, second)
	}
	a, b := over(told), over(too)
	since := time.Now()
	send(2, files("reservations:read", "atp:read"))
	ended("it may read no more", a)
	t.Logf("ended after %v", time.Since(since))
	if got, _ := ask("key-a", "/v1/atp/A"); got != http.StatusForbidden {
		t.Errorf("a reads: %d", got)
	}
	select {
	case <-b:
		t.Error("the stream of another one ended")
	default:
	}
	send(3, partner("a", "key-a", "atp:read", ""))
	ended("revoked", b)
	if got, _ := ask("key-b", "/v1/atp/A"); got != http.StatusUnauthorized {
		t.Errorf("b reads: %d", got)
	}
}
