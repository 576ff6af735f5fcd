package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

func wirePolicies() *policy.Set {
	key := policy.Auth{APIKeyEnv: "WMS_KEY"}
	return &policy.Set{Sources: map[inventory.Source]*policy.Source{
		"events": {Name: "events", Entity: "acme", Format: policy.FormatJSON, StreamKey: "/id", HTTP: policy.HTTP{Batch: true}, Auth: key, Limits: policy.Limits{MaxBytes: 4000}},
		"counts": {
			Name: "counts", Entity: "acme", Format: policy.FormatCSV, LatencyClass: policy.LatencyBulk, Auth: key,
			HTTP: policy.HTTP{MaxFileBytes: 64 << 20, PartRows: 10_000},
		},
		"files": {Name: "files", Entity: "acme", Format: policy.FormatX12, Auth: key},
		"soap":  {Name: "soap", Entity: "acme", Format: policy.FormatXML, HTTP: policy.HTTP{SOAP: &policy.SOAP{}}, Auth: key},
		"hooks": {Name: "hooks", Entity: "acme", Format: policy.FormatJSON, Auth: policy.Auth{Signature: &policy.Signature{Scheme: policy.SchemeStandard, SecretEnvs: []string{"STD_KEY"}}}},
	}}
}

// wire is a built door with a broker behind it.
type wire struct {
	url     string
	kafka   stream.Config
	metrics *prometheus.Registry

	mu   sync.Mutex
	raws map[string]event.RawMessage // by id
	all  int
	at   map[string]string // topic by id
}

func newWire(t *testing.T, set *policy.Set, env map[string]string) *wire {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cfg := DefaultConfig()
	cfg.Kafka = stream.Config{Brokers: cluster.ListenAddrs()}
	admin, err := stream.NewAdmin(cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, spec := range event.TopicSpecs() {
		if spec.Name == event.TopicRaw || spec.Name == event.TopicRawBulk || spec.Name == event.TopicPolicies {
			if _, err = admin.EnsureTopics(t.Context(), false, stream.TopicSpec{Name: spec.Name, Partitions: 2, Replicas: 1, Configs: spec.Configs}); err != nil {
				t.Fatal(err)
			}
		}
	}
	cfg.Codecs, cfg.Policies, cfg.Listen = event.TestCodecs(), set, "127.0.0.1:0"
	cfg.Getenv = func(k string) string { return env[k] }
	bound := make(chan net.Addr, 1)
	cfg.Bound = func(a net.Addr) { bound <- a }
	w := &wire{kafka: cfg.Kafka, metrics: prometheus.NewRegistry(), raws: map[string]event.RawMessage{}, at: map[string]string{}}
	tasks, err := Build(t.Context(), cfg, service.Env{Log: slog.New(slog.DiscardHandler), Metrics: w.metrics, Health: &service.Health{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.url = "http://" + (<-bound).String()
	for _, topic := range []string{event.TopicRaw, event.TopicRawBulk} {
		table, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: topic, Apply: func(rec *stream.Record) error {
			var raw event.RawMessage
			if err := cfg.Codecs.DecodeRaw(rec.Value, &raw); err != nil {
				return err
			}
			raw.Body = bytes.Clone(raw.Body)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.raws[raw.ID], w.at[raw.ID] = raw, topic
			w.all++
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = table.Run(ctx) }()
	}
	return w
}

// stored waits until the log has so many messages.
func (w *wire) stored(t *testing.T, n int) map[string]event.RawMessage {
	t.Helper()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		if w.all >= n {
			defer w.mu.Unlock()
			if w.all > n {
				t.Fatalf("%d messages in the log, want %d", w.all, n)
			}
			return w.raws
		}
		w.mu.Unlock()
		if time.Now().After(until) {
			t.Fatalf("%d messages in the log, want %d", w.all, n)
		}
	}
}

func (w *wire) send(t *testing.T, path string, body io.Reader, header ...string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "wms-key")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, b
}

func gzipped(t *testing.T, s string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// A batch answers for each line, and what it says is stored is in the log.
func TestWireBatch(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	body := `{"id":"a","n":9007199254740993}` + "\n" + `{"id":` + "\n\n" + `{"id":"` + strings.Repeat("x", 4001) + `"}` + "\r\n" + `{"id":"b"}`
	status, _, answer := w.send(t, "/v1/messages/events", gzipped(t, body), "Content-Type", "application/x-ndjson", "Content-Encoding", "gzip", "Idempotency-Key", "k-1")
	var lines []lineAnswer
	if err := json.Unmarshal(answer, &lines); err != nil || status != http.StatusMultiStatus || len(lines) != 4 {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	raws := w.stored(t, 2)
	for i, want := range []lineAnswer{{Line: 1, Status: 202}, {Line: 2, Status: 400, Code: "bad_json"}, {Line: 4, Status: 413, Code: "too_large"}, {Line: 5, Status: 202}} {
		got := lines[i]
		got.ID = ""
		if got != want {
			t.Errorf("line %+v, want %+v", lines[i], want)
		}
		if want.Status == 202 && raws[lines[i].ID].StreamKey != map[int]string{1: "a", 5: "b"}[want.Line] {
			t.Errorf("line %d is %+v in the log", want.Line, raws[lines[i].ID])
		}
	}
	if string(raws[lines[0].ID].Body) != `{"id":"a","n":9007199254740993}` {
		t.Errorf("%q", raws[lines[0].ID].Body)
	}
	for code, want := range map[string]float64{"accepted": 2, "bad_json": 1, "too_large": 1} {
		if got := w.count(t, "stockweave_ingest_messages_total", "events", code); got != want {
			t.Errorf("%v messages counted as %s, want %v", got, code, want)
		}
	}
}

func (w *wire) count(t *testing.T, name, source, code string) float64 {
	t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["source"] == source && labels["code"] == code {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// A file larger than a message comes in parts, which together are the file; the header
// stands in each.
func TestWireFile(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	var file strings.Builder
	file.WriteString("sku,quantity,note\n")
	const rows = 120_000
	for i := range rows {
		fmt.Fprintf(&file, "SKU-%06d,%d,\"a\nb\"\n", i, i)
	}
	for range 2 { // the second time is answered as the first
		status, _, answer := w.send(t, "/v1/messages/counts", gzipped(t, file.String()), "Content-Type", "text/csv", "Content-Encoding", "gzip", "Idempotency-Key", `"count-7"`, "X-Filename", "count.csv")
		var got accepted
		if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusAccepted || got.Rows != rows || got.Parts < 3 {
			t.Fatalf("%d %s %v", status, answer, err)
		}
		raws := w.stored(t, got.Parts)
		var whole strings.Builder
		whole.WriteString("sku,quantity,note\n")
		line := 2
		for part := int32(1); int(part) <= got.Parts; part++ {
			found := false
			for id, raw := range raws {
				if raw.Part != part {
					continue
				}
				found = true
				text, ok := strings.CutPrefix(string(raw.Body), "sku,quantity,note\n")
				if !ok || len(raw.Body) > policy.MaxMessage || raw.FileID != got.ID || raw.Filename != "count.csv" || w.at[id] != event.TopicRawBulk {
					t.Fatalf("part %d: %d bytes of %q", part, len(raw.Body), raw.Filename)
				}
				if len(raw.Headers) != 1 || raw.Headers[0].Name != event.FileLine || raw.Headers[0].Value != fmt.Sprint(line) {
					t.Errorf("part %d: %v, its first row is on line %d", part, raw.Headers, line)
				}
				if want := int32(0); raw.Parts != want && (raw.Parts != part || int(part) != got.Parts) {
					t.Errorf("part %d says it is of %d", part, raw.Parts)
				}
				whole.WriteString(text)
				line += strings.Count(text, "\n")
			}
			if !found {
				t.Fatalf("part %d is missing", part)
			}
		}
		if whole.String() != file.String() {
			t.Error("the parts are not the file")
		}
	}
}

// A small file is one message, byte for byte, comments and blank lines too.
func TestWireSmallFile(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	const body = "# of today\r\n\r\nsku,quantity\r\nA,1"
	if status, _, answer := w.send(t, "/v1/messages/counts", strings.NewReader(body)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, answer)
	}
	for _, raw := range w.stored(t, 1) {
		if string(raw.Body) != body || raw.FileID != "" {
			t.Errorf("%q of file %q", raw.Body, raw.FileID)
		}
	}
}

// What a file has stored before its fault is said, with the line.
func TestWireFileThatBreaksOff(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	body := "sku\n" + strings.Repeat("A\n", 25_000) + strings.Repeat("x", policy.MaxMessage)
	status, _, answer := w.send(t, "/v1/messages/counts", strings.NewReader(body))
	var p problem
	if err := json.Unmarshal(answer, &p); err != nil || status != http.StatusRequestEntityTooLarge || p.Code != "row_too_large" || p.Parts != 3 || !strings.Contains(p.Detail, "line 25002") {
		t.Errorf("%d %s %v", status, answer, err)
	}
	w.stored(t, 3)
}

func TestWireMultipart(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for _, name := range []string{"a.edi", `..\b.edi`} {
		p, err := form.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(p, "ISA*%s~", name)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	status, _, answer := w.send(t, "/v1/messages/files", &b, "Content-Type", form.FormDataContentType())
	var got accepted
	if err := json.Unmarshal(answer, &got); err != nil || status != http.StatusAccepted || len(got.Messages) != 2 || got.ID != got.Messages[0].ID {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	raws := w.stored(t, 2)
	for i, name := range []string{"a.edi", "b.edi"} {
		if raw := raws[got.Messages[i].ID]; raw.Filename != name || !strings.HasPrefix(string(raw.Body), "ISA*") {
			t.Errorf("message %d: %+v", i, raw)
		}
	}
}

// A bomb is refused, and the door goes on.
func TestWireBomb(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	bomb := gzipped(t, strings.Repeat("\x00", 32<<20))
	status, _, answer := w.send(t, "/v1/messages/counts", bomb, "Content-Encoding", "gzip")
	var p problem
	if err := json.Unmarshal(answer, &p); err != nil || status != http.StatusRequestEntityTooLarge || p.Code != "compressed_too_much" {
		t.Errorf("%d %s %v", status, answer, err)
	}
	if status, _, answer := w.send(t, "/v1/messages/files", gzipped(t, "ISA*"), "Content-Encoding", "gzip"); status != http.StatusAccepted {
		t.Errorf("%d %s", status, answer)
	}
	for _, raw := range w.stored(t, 1) {
		if string(raw.Body) != "ISA*" {
			t.Errorf("%q", raw.Body)
		}
	}
}

func TestWireSOAP(t *testing.T) {
	w := newWire(t, wirePolicies(), hookEnv)
	const body = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><o xmlns="urn:o"/></s:Body></s:Envelope>`
	status, h, answer := w.send(t, "/v1/soap/soap", strings.NewReader(body), "Content-Type", "text/xml; charset=utf-8", "SOAPAction", `"urn:send"`)
	if status != http.StatusOK || h.Get("Content-Type") != "text/xml; charset=utf-8" {
		t.Fatalf("%d %s", status, answer)
	}
	for id, raw := range w.stored(t, 1) {
		if string(raw.Body) != body || !strings.Contains(string(answer), "<id>"+id+"</id>") {
			t.Errorf("%q, answered %s", raw.Body, answer)
		}
	}
	status, h, answer = w.send(t, "/v1/soap/soap", strings.NewReader("<!DOCTYPE a [<!ENTITY b 'c'>]>"+body), "Content-Type", "application/soap+xml")
	if status != http.StatusBadRequest || h.Get("Content-Type") != "application/soap+xml; charset=utf-8" || !strings.Contains(string(answer), "dtd_refused") || !strings.Contains(string(answer), "env:Sender") {
		t.Errorf("%d %s", status, answer)
	}
	if got := w.count(t, "stockweave_ingest_requests_total", "soap", "dtd_refused"); got != 1 {
		t.Errorf("%v faults counted", got)
	}
	res, err := http.Get(w.url + "/v1/soap/soap?wsdl")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(b), `location="`+w.url+`/v1/soap/soap"`) {
		t.Errorf("%d %s %v", res.StatusCode, b, err)
	}
	if _, err := testutil.GatherAndLint(w.metrics); err != nil {
		t.Error(err)
	}
}
