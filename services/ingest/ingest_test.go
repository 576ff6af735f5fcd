package ingest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/acks"
)

var (
	secrets = map[string]string{"SHOP_SECRET": "s3cret", "WMS_KEY": "wms-key"}
	noon    = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func testPolicies() *policy.Set {
	return &policy.Set{Sources: map[inventory.Source]*policy.Source{
		"shop": {
			Name: "shop", Entity: "acme", Format: policy.FormatJSON, StreamKey: "/order/id", DedupeHeader: "X-Message-Id", Headers: []string{"X-Topic"},
			Auth: policy.Auth{HMAC: &policy.HMAC{Header: "X-Signature", Prefix: "sha256=", Encoding: "hex", Algorithm: "sha256", SecretEnv: "SHOP_SECRET"}},
		},
		"web": {
			Name: "web", Entity: "acme", Format: policy.FormatJSON,
			Auth: policy.Auth{HMAC: &policy.HMAC{Header: "X-Hmac", Encoding: "base64", Algorithm: "sha256", SecretEnv: "SHOP_SECRET"}},
		},
		"wms": {
			Name: "wms", Entity: "acme", Format: policy.FormatX12, Limits: policy.Limits{MaxBytes: 1000},
			Auth: policy.Auth{APIKeyEnv: "WMS_KEY", APIKeys: []string{hashed("next-key")}},
		},
	}}
}

// log is the log as the door sees it.
type log struct {
	mu   sync.Mutex
	down error
	recs []*stream.Record
}

func (l *log) produce(_ context.Context, recs ...*stream.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down != nil {
		return l.down
	}
	l.recs = append(l.recs, recs...)
	return nil
}

func (l *log) ping(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down
}

func newTestServer(t *testing.T, l *log, now func() time.Time) *server {
	t.Helper()
	known, err := doors(testPolicies(), func(k string) string { return secrets[k] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Codecs = event.TestCodecs()
	discard := slog.New(slog.DiscardHandler)
	porter, err := newPorter(testPolicies(), known, nil, discard, now)
	if err != nil {
		t.Fatal(err)
	}
	return &server{
		porter: porter,
		cfg:    cfg, log: discard, now: now, random: bytes.NewReader(make([]byte, 1<<16)), slots: make(chan struct{}, 4),
		strangers: make(chan struct{}, 2), acks: acks.NewReader(noAcks{}, cfg.Codecs), asks: make(chan struct{}, mostAcks),
		recv: &receiver{
			codecs: cfg.Codecs, log: discard, now: now, produce: l.produce,
			gate: &gate{ping: l.ping, now: now}, wait: cfg.AckTimeout, took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "t"}),
		},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "r"}, []string{"source", "code"}),
		ids:      idempotent.NewWindow(idsKept, mostIDs, maxAnswer, now),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "m"}, []string{"source", "code"}),
	}
}

func signHex(body string) string {
	m := hmac.New(sha256.New, []byte(secrets["SHOP_SECRET"]))
	m.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

func signBase64(body string) string {
	m := hmac.New(sha256.New, []byte(secrets["SHOP_SECRET"]))
	m.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

func TestDoor(t *testing.T) {
	const body = `{"order":{"id":1001}}`
	key := map[string]string{"X-Api-Key": "wms-key", "Content-Type": "text/plain"}
	with := func(h map[string]string, more ...string) map[string]string {
		out := map[string]string{}
		maps.Copy(out, h)
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	for _, tc := range []struct {
		name, source, body string
		header             map[string]string
		chunked            bool
		status             int
		code               string
	}{
		{name: "hmac hex", source: "shop", body: body, header: map[string]string{"X-Signature": signHex(body), "Content-Type": "application/json; charset=utf-8"}, status: 202},
		{name: "hmac base64", source: "web", body: body, header: map[string]string{"X-Hmac": signBase64(body)}, status: 202},
		{name: "signature of another body", source: "shop", body: body + " ", header: map[string]string{"X-Signature": signHex(body)}, status: 401, code: "bad_signature"},
		{name: "no signature", source: "shop", body: body, status: 401, code: "bad_signature"},
		{name: "signature without its prefix", source: "shop", body: body, header: map[string]string{"X-Signature": signHex(body)[7:]}, status: 401, code: "bad_signature"},
		{name: "signature that is no hex", source: "shop", body: body, header: map[string]string{"X-Signature": "sha256=zz"}, status: 401, code: "bad_signature"},
		{name: "a key is no signature", source: "shop", body: body, header: map[string]string{"X-Api-Key": "wms-key"}, status: 401, code: "bad_signature"},
		{name: "key in its header", source: "wms", body: "ISA*", header: key, status: 202},
		{name: "key as bearer", source: "wms", body: "ISA*", header: map[string]string{"Authorization": "bearer wms-key"}, status: 202},
		{name: "the next key", source: "wms", body: "ISA*", header: map[string]string{"X-Api-Key": "next-key"}, status: 202},
		{name: "wrong key", source: "wms", body: "ISA*", header: map[string]string{"X-Api-Key": "wms-kex"}, status: 401, code: "bad_key"},
		{name: "the hash is no key", source: "wms", body: "ISA*", header: map[string]string{"X-Api-Key": hashed("next-key")}, status: 401, code: "bad_key"},
		{name: "no key", source: "wms", body: "ISA*", status: 401, code: "bad_key"},
		{name: "unknown source, as a wrong key", source: "nobody", body: "x", header: key, status: 401, code: "bad_key"},
		{name: "at the limit", source: "wms", body: strings.Repeat("x", 1000), header: key, status: 202},
		{name: "over the limit", source: "wms", body: strings.Repeat("x", 1001), header: key, status: 413, code: "too_large"},
		{name: "over the limit, no length stated", source: "wms", body: strings.Repeat("x", 1001), header: key, chunked: true, status: 413, code: "too_large"},
		{name: "over 1 MiB", source: "web", body: strings.Repeat("x", 1<<20+1), status: 413, code: "too_large"},
		{name: "wrong media type", source: "wms", body: "ISA*", header: with(key, "Content-Type", "application/x-www-form-urlencoded"), status: 415, code: "unsupported_media_type"},
		{name: "not gzip", source: "wms", body: "ISA*", header: with(key, "Content-Encoding", "gzip"), status: 400, code: "bad_encoding"},
		{name: "another encoding", source: "wms", body: "ISA*", header: with(key, "Content-Encoding", "br"), status: 415, code: "unsupported_encoding"},
		{name: "charset", source: "wms", body: "ISA*", header: with(key, "Content-Type", "text/plain; charset=utf-16"), status: 415, code: "unsupported_charset"},
		{name: "empty", source: "wms", body: " \n", header: key, status: 400, code: "empty_body"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &log{}
			s := newTestServer(t, l, func() time.Time { return noon })
			req := httptest.NewRequest(http.MethodPost, "/v1/messages/"+tc.source, strings.NewReader(tc.body))
			if tc.chunked {
				req.ContentLength = -1
			}
			for k, v := range tc.header {
				req.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			s.handler().ServeHTTP(w, req)
			if w.Code != tc.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tc.status, w.Body)
			}
			if tc.status == 202 {
				if len(l.recs) != 1 {
					t.Fatalf("%d records in the log", len(l.recs))
				}
				return
			}
			if len(l.recs) != 0 {
				t.Error("a refused message is in the log")
			}
			p := readProblem(t, w)
			if p.Code != tc.code || p.Status != tc.status || p.Type != "urn:stockweave:problem:"+tc.code {
				t.Errorf("problem %+v, want code %s", p, tc.code)
			}
			for _, s := range secrets {
				if strings.Contains(w.Body.String(), s) {
					t.Error("the problem repeats a secret")
				}
			}
		})
	}
}

func readProblem(t *testing.T, w *httptest.ResponseRecorder) problem {
	t.Helper()
	if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q", ct)
	}
	var p problem
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&p); err != nil {
		t.Fatal(err)
	}
	if _, codes := readAPI(t); codes[p.Code] != w.Code {
		t.Errorf("%d %s is not in the OpenAPI document", w.Code, p.Code)
	}
	return p
}

func TestUnknownSourceLooksLikeAWrongKey(t *testing.T) {
	s := newTestServer(t, &log{}, func() time.Time { return noon })
	answer := func(source string) string {
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/"+source, strings.NewReader("x"))
		req.Header.Set("X-Api-Key", "guess")
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, req)
		return w.Result().Status + w.Body.String()
	}
	if a, b := answer("wms"), answer("nobody"); a != b {
		t.Errorf("a known source answers %s, an unknown one %s", a, b)
	}
}

// The bulk class has a topic of its own (EXACTLY-ONCE §9).
func TestLatencyClass(t *testing.T) {
	for class, topic := range map[string]string{"": event.TopicRaw, policy.LatencyRealTime: event.TopicRaw, policy.LatencyBulk: event.TopicRawBulk} {
		l := &log{}
		s := newTestServer(t, l, func() time.Time { return noon })
		s.door("wms").src.LatencyClass = class
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/wms", strings.NewReader("ISA"))
		req.Header.Set("X-Api-Key", "wms-key")
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, req)
		if w.Code != 202 || l.recs[0].Topic != topic {
			t.Errorf("class %q: %d, on %s", class, w.Code, l.recs[0].Topic)
		}
		var raw event.RawMessage
		if err := s.cfg.Codecs.DecodeRaw(l.recs[0].Value, &raw); err != nil || string(raw.Body) != "ISA" {
			t.Errorf("class %q: %q, %v", class, raw.Body, err)
		}
	}
}

func TestRawMessage(t *testing.T) {
	l := &log{}
	s := newTestServer(t, l, func() time.Time { return noon })
	body := `{"order":{"id":9007199254740993}}`
	req := httptest.NewRequest(http.MethodPost, "/v1/messages/shop", strings.NewReader(body))
	for k, v := range map[string]string{
		"X-Signature": signHex(body), "X-Message-Id": "m-1", "X-Topic": "orders/create", "X-Filename": `C:\in\..\orders.json`,
		"Authorization": "Bearer hidden", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	} {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, req)
	var got accepted
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 202 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	rec := l.recs[0]
	if rec.Topic != event.TopicRaw || string(rec.Key) != "shop|9007199254740993" {
		t.Errorf("record %s %q", rec.Topic, rec.Key)
	}
	if !rec.Timestamp.IsZero() {
		t.Error("the record carries a timestamp of its own")
	}
	headers := map[string]string{}
	for _, h := range rec.Headers {
		headers[h.Key] = string(h.Value)
	}
	for k, want := range map[string]string{"dedupe_key": "m-1", "ce_id": got.ID, "ce_type": "raw.message", "traceparent": req.Header.Get("traceparent")} {
		if headers[k] != want {
			t.Errorf("header %s = %q, want %q", k, headers[k], want)
		}
	}
	var raw event.RawMessage
	if err := event.TestCodecs().DecodeRaw(rec.Value, &raw); err != nil {
		t.Fatal(err)
	}
	if raw.ID != got.ID || len(raw.ID) != 32 || raw.ID[12] != '7' || string(raw.Body) != body || raw.Filename != "orders.json" ||
		raw.ReceivedAt != inventory.Instant(noon.UnixMilli()) || len(raw.Headers) != 1 || raw.Headers[0].Value != "orders/create" {
		t.Errorf("raw message %+v", raw)
	}
	if bytes.Contains(rec.Value, []byte("hidden")) {
		t.Error("a secret is in the log")
	}
}

func TestIDsSortByReceipt(t *testing.T) {
	random := bytes.NewReader(bytes.Repeat([]byte{0xff}, 64))
	a, err := newID(noon, random)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newID(noon.Add(time.Millisecond), bytes.NewReader(make([]byte, 16)))
	if err != nil {
		t.Fatal(err)
	}
	if a >= b {
		t.Errorf("%s is not before %s", a, b)
	}
	if _, err := newID(noon, bytes.NewReader(nil)); err == nil {
		t.Error("an id without randomness")
	}
}

// Invariant 1: while the log does not take messages nobody gets a 202, and the door
// says when to come back; it opens by itself.
func TestLogDown(t *testing.T) {
	l := &log{down: errors.New("no broker")}
	now := noon
	s := newTestServer(t, l, func() time.Time { return now })
	send := func() *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/wms", strings.NewReader("ISA*"))
		req.Header.Set("X-Api-Key", "wms-key")
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, req)
		return w
	}
	for range 3 {
		w := send()
		if p := readProblem(t, w); w.Code != http.StatusServiceUnavailable || p.Code != "kafka_unavailable" || w.Header().Get("Retry-After") != "5" {
			t.Fatalf("%d %+v", w.Code, p)
		}
	}
	if s.recv.gate.ready() == nil {
		t.Error("ready while the log is down")
	}
	l.mu.Lock()
	l.down = nil
	l.mu.Unlock()
	now = now.Add(2 * probeEvery)
	if w := send(); w.Code != http.StatusAccepted {
		t.Errorf("%d after the log is back", w.Code)
	}
}

func TestOverload(t *testing.T) {
	s := newTestServer(t, &log{}, func() time.Time { return noon })
	for range cap(s.slots) {
		s.slots <- struct{}{}
	}
	req := httptest.NewRequest(http.MethodPost, "/v1/messages/wms", strings.NewReader("ISA*"))
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, req)
	if p := readProblem(t, w); p.Code != "overloaded" || w.Code != 503 {
		t.Errorf("%d %+v", w.Code, p)
	}
}

func TestOtherRoutes(t *testing.T) {
	s := newTestServer(t, &log{}, func() time.Time { return noon })
	for path, code := range map[string]string{"GET /v1/messages/wms": "method_not_allowed", "POST /else": "not_found"} {
		method, target, _ := strings.Cut(path, " ")
		w := httptest.NewRecorder()
		s.handler().ServeHTTP(w, httptest.NewRequest(method, target, nil))
		if p := readProblem(t, w); p.Code != code {
			t.Errorf("%s: %+v", path, p)
		}
	}
}

func TestMissingSecrets(t *testing.T) {
	_, err := doors(testPolicies(), func(string) string { return "" }, nil)
	for _, want := range []string{"SHOP_SECRET", "WMS_KEY"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

func TestStreamKey(t *testing.T) {
	for _, tc := range []struct{ pointer, body, want string }{
		{"/id", `{"id":"A|1"}`, "A|1"},
		{"/a~1b/0", `{"a/b":["x"]}`, "x"},
		{"/id", `{"id":{}}`, ""},
		{"/id", `{`, ""},
		{"/a/9", `{"a":[1]}`, ""},
		{"/a/-1", `{"a":[1]}`, ""},
		{"/a/1/b", ` [] `, ""},
		{"/a/1/b", `{"x": {"a": [0, {"b": 1}]}, "y": "}\\\"{", "a" : [ {"b": [[9], "]"]} , {"c": null, "b": -1.50e2 } ] }`, "-1.50e2"},
		{"/a", `{"b": [{"a": 1}, "a"], "\u0061": "\u00e9\n", "a": "second"}`, "é\n"},
		{"/a", "\xef\xbb\xbf{\"a\":\"x\"} behind", "x"},
		{"/id", `{"id": "A", "damaged`, "A"},
		{"/id", `{"a": "\`, ""},
		{"/id", `{"a" 1, "id": 2}`, ""},
		{"/id", `{"id": 01}`, ""},
		{"/id", `{"id": true}`, ""},
		{"/id", strings.Repeat(`{"a":[`, 100_000), ""},
		{"/", `{"": 7}`, "7"},
	} {
		if got := streamKey(&policy.Source{StreamKey: tc.pointer}, []byte(tc.body)); got != tc.want {
			t.Errorf("%s of %s = %q, want %q", tc.pointer, tc.body, got, tc.want)
		}
	}
}

// TestAgainstKafka runs the built service against a broker: what is answered 202 is
// in the log, byte for byte, the largest message too.
func TestAgainstKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := DefaultConfig()
	cfg.Kafka = stream.Config{Brokers: cluster.ListenAddrs()}
	admin, err := stream.NewAdmin(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, spec := range event.TopicSpecs() {
		if spec.Name == event.TopicRaw || spec.Name == event.TopicPolicies {
			_, err = admin.EnsureTopics(t.Context(), false, stream.TopicSpec{Name: spec.Name, Partitions: 3, Replicas: 1, Configs: spec.Configs})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.Codecs, cfg.Policies = event.TestCodecs(), testPolicies()
	cfg.Getenv = func(k string) string { return secrets[k] }
	cfg.Listen = "127.0.0.1:0"
	bound := make(chan net.Addr, 1)
	cfg.Bound = func(a net.Addr) { bound <- a }
	health := &service.Health{}
	tasks, err := Build(t.Context(), cfg, service.Env{
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Health: health, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	url := "http://" + (<-bound).String() + "/v1/messages/web"

	bodies := map[string]string{}
	for _, body := range []string{`{"a":1}`, `{"a":1}`, `{"pad":"` + noise(policy.MaxMessage-10) + `"}`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Hmac", signBase64(body))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if err != nil || res.StatusCode != http.StatusAccepted {
			t.Fatalf("%d bytes: %d %s %v", len(body), res.StatusCode, b, err)
		}
		var a accepted
		if err := json.Unmarshal(b, &a); err != nil {
			t.Fatal(err)
		}
		bodies[a.ID] = body
	}
	if len(bodies) != 3 {
		t.Fatalf("%d ids for 3 messages", len(bodies))
	}
	found := make(chan event.RawMessage, 16)
	table, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicRaw, Apply: func(rec *stream.Record) error {
		var raw event.RawMessage
		if err := cfg.Codecs.DecodeRaw(rec.Value, &raw); err != nil {
			return err
		}
		raw.Body = bytes.Clone(raw.Body)
		found <- raw
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = table.Run(ctx) }()
	for range 3 {
		select {
		case raw := <-found:
			if bodies[raw.ID] != string(raw.Body) {
				t.Errorf("message %s of %d bytes is not the one sent", raw.ID, len(raw.Body))
			}
			delete(bodies, raw.ID)
		case <-time.After(20 * time.Second):
			t.Fatal("not in the log")
		}
	}
	if bad := health.Check(); len(bad) > 0 {
		t.Errorf("not ready: %v", bad)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-"[x>>26]
	}
	return string(b)
}
