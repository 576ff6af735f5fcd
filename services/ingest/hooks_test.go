package ingest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

var hookEnv = map[string]string{"WMS_KEY": "wms-key", "STD_KEY": "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", "WSS": "pa55word"}

func hookServer(t *testing.T, l *log, now func() time.Time) *server {
	t.Helper()
	s := newTestServer(t, l, now)
	set := wirePolicies()
	set.Sources["token"] = &policy.Source{
		Name: "token", Entity: "acme", Format: policy.FormatXML, HTTP: policy.HTTP{SOAP: &policy.SOAP{Actions: []string{"urn:send"}}},
		Auth: policy.Auth{WSSecurity: &policy.WSSecurity{Username: "wms", PasswordEnvs: []string{"WSS"}, Text: true}},
	}
	known, err := doors(set, func(k string) string { return hookEnv[k] }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.porter, err = newPorter(set, known, nil, s.log, now); err != nil {
		t.Fatal(err)
	}
	return s
}

// hook is a signed request; sent, it can be sent again as it was.
func hook(id, body string, at time.Time) func() *http.Request {
	stamp := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte("0123456789abcdef"))
	m.Write([]byte(id + "." + stamp + "." + body))
	sig := "v1," + base64.StdEncoding.EncodeToString(m.Sum(nil))
	return func() *http.Request {
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/hooks", strings.NewReader(body))
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", stamp)
		req.Header.Set("Webhook-Signature", sig)
		return req
	}
}

func serve(s *server, req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, req)
	return w
}

// What is played again within the window is not taken again, and gets the answer that
// it had; one that was not stored is taken when it comes again.
func TestSignedOnce(t *testing.T) {
	l := &log{}
	now := noon
	s := hookServer(t, l, func() time.Time { return now })
	send := hook("msg_1", `{"id":1}`, noon)

	l.down = errors.New("no broker")
	if w := serve(s, send()); w.Code != http.StatusServiceUnavailable {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	l.down, now = nil, now.Add(2*probeEvery)
	first := serve(s, send())
	now = now.Add(4 * time.Minute)
	again := serve(s, send())
	if first.Code != http.StatusAccepted || again.Code != first.Code || again.Body.String() != first.Body.String() || len(l.recs) != 1 {
		t.Errorf("%d %s, then %d %s; %d messages in the log", first.Code, first.Body, again.Code, again.Body, len(l.recs))
	}
	if w := serve(s, hook("msg_1", `{"id":2}`, now)()); w.Code != http.StatusConflict || readProblem(t, w).Code != "repeated_id" {
		t.Errorf("another body under the id: %d %s", w.Code, w.Body)
	}
	if w := serve(s, hook("msg_2", `{"id":1}`, now)()); w.Code != http.StatusAccepted {
		t.Errorf("another id: %d %s", w.Code, w.Body)
	}
	now = now.Add(2 * time.Minute)
	if w := serve(s, send()); w.Code != http.StatusUnauthorized || readProblem(t, w).Code != "stale_signature" {
		t.Errorf("outside the window: %d %s", w.Code, w.Body)
	}
	forged := send()
	forged.Header.Set("Webhook-Id", "msg_3")
	if w := serve(s, forged); w.Code != http.StatusUnauthorized || readProblem(t, w).Code != "bad_signature" {
		t.Errorf("another id, the same signature: %d %s", w.Code, w.Body)
	}
	if len(l.recs) != 2 {
		t.Errorf("%d messages in the log", len(l.recs))
	}
}

// Lines that the log does not take are said to be so, and are not remembered as done.
func TestBatchWhileTheLogIsDown(t *testing.T) {
	l := &log{down: errors.New("no broker")}
	now := noon
	s := hookServer(t, l, func() time.Time { return now })
	send := func() *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/events", strings.NewReader("{\"id\":1}\nnot JSON\n"))
		req.Header.Set("X-Api-Key", "wms-key")
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Idempotency-Key", "k")
		return serve(s, req)
	}
	w := send()
	if want := `[{"line":1,"status":503,"code":"kafka_unavailable"},{"line":2,"status":400,"code":"bad_json"}]`; strings.TrimSpace(w.Body.String()) != want || w.Header().Get("Retry-After") != "5" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	l.down, now = nil, now.Add(2*probeEvery)
	if w := send(); w.Code != http.StatusMultiStatus || !strings.Contains(w.Body.String(), `{"line":1,"status":202,"id":`) || len(l.recs) != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A file that is sent again with its key, to a door that does not remember it, makes
// the same messages.
func TestPartsOfAFileHaveTheSameIDs(t *testing.T) {
	var ids [2][]string
	for i := range ids {
		l := &log{}
		s := hookServer(t, l, func() time.Time { return noon.Add(time.Duration(i) * time.Hour) })
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/counts", strings.NewReader("sku\n"+strings.Repeat("A\n", 25_000)))
		req.Header.Set("X-Api-Key", "wms-key")
		req.Header.Set("Idempotency-Key", "count-7")
		if w := serve(s, req); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		for _, rec := range l.recs {
			var raw event.RawMessage
			if err := s.cfg.Codecs.DecodeRaw(rec.Value, &raw); err != nil {
				t.Fatal(err)
			}
			ids[i] = append(ids[i], raw.FileID+"/"+raw.ID)
		}
	}
	if len(ids[0]) != 3 || !slices.Equal(ids[0], ids[1]) || ids[0][0] == ids[0][1] {
		t.Errorf("%v, then %v", ids[0], ids[1])
	}
}

func TestBatchHasAnEnd(t *testing.T) {
	l := &log{}
	s := hookServer(t, l, func() time.Time { return noon })
	s.door("events").src.Limits.MaxBytes = policy.MaxMessage
	s.random = endless{}
	req := httptest.NewRequest(http.MethodPost, "/v1/messages/events", strings.NewReader(strings.Repeat("{}\n", maxBatchLines+5)))
	req.Header.Set("X-Api-Key", "wms-key")
	req.Header.Set("Content-Type", "application/x-ndjson")
	w := serve(s, req)
	if !strings.HasSuffix(strings.TrimSpace(w.Body.String()), `{"line":10001,"status":413,"code":"too_many_lines"}]`) || len(l.recs) != maxBatchLines {
		t.Errorf("%d messages, answered %s", len(l.recs), w.Body.String()[max(0, w.Body.Len()-100):])
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// The token's digest was made with OpenSSL:
//
//	printf 'bytes-of-nonce-162026-11-02T12:00:00Zpa55word' | openssl dgst -sha1 -binary | base64
func soapWith(password, typ string) string {
	const ns = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
	return `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><w:Security xmlns:w="` + ns + `wssecurity-secext-1.0.xsd" xmlns:u="` + ns +
		`wssecurity-utility-1.0.xsd" s:mustUnderstand="true"><w:UsernameToken><w:Username>wms</w:Username><w:Password Type="` + ns + `username-token-profile-1.0#` + typ + `">` +
		password + `</w:Password><w:Nonce>Ynl0ZXMtb2Ytbm9uY2UtMTY=</w:Nonce><u:Created>2026-11-02T12:00:00Z</u:Created></w:UsernameToken></w:Security></s:Header><s:Body><o/></s:Body></s:Envelope>`
}

func TestSOAPToken(t *testing.T) {
	const digest = "7JRcNkYX0oe98cIr0qdkUmVmuIc="
	post := func(s *server, path, body, action string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		req.Header.Set("Content-Type", `application/soap+xml; charset=utf-8; action="`+action+`"`)
		return serve(s, req)
	}
	for _, tc := range []struct {
		name, path, body, action string
		late                     time.Duration
		status                   int
		code                     string
	}{
		{name: "digest", body: soapWith(digest, "PasswordDigest"), status: 200},
		{name: "text", body: soapWith("pa55word", "PasswordText"), status: 200},
		{name: "wrong digest", body: soapWith("AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "PasswordDigest"), status: 401, code: "bad_signature"},
		{name: "wrong text", body: soapWith("password", "PasswordText"), status: 401, code: "bad_signature"},
		{name: "the digest as text", body: soapWith(digest, "PasswordText"), status: 401, code: "bad_signature"},
		{name: "another user", body: strings.Replace(soapWith(digest, "PasswordDigest"), ">wms<", ">erp<", 1), status: 401, code: "bad_signature"},
		{name: "another time", body: strings.Replace(soapWith(digest, "PasswordDigest"), "12:00:00", "12:00:01", 1), status: 401, code: "bad_signature"},
		{name: "late", body: soapWith(digest, "PasswordDigest"), late: 6 * time.Minute, status: 401, code: "stale_signature"},
		{name: "no token", body: `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><o/></s:Body></s:Envelope>`, status: 401, code: "bad_signature"},
		{name: "another action", body: soapWith(digest, "PasswordDigest"), action: "urn:other", status: 400, code: "unknown_action"},
		{name: "not where there are no tokens", path: "/v1/messages/token", body: soapWith(digest, "PasswordDigest"), status: 401, code: "bad_key"},
		{name: "a source that is not known", path: "/v1/soap/nobody", body: soapWith(digest, "PasswordDigest"), status: 401, code: "bad_key"},
		{name: "no envelope, from nobody", body: "<a>", status: 400, code: "bad_envelope"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &log{}
			s := hookServer(t, l, func() time.Time { return noon.Add(tc.late) })
			if tc.path == "" {
				tc.path = "/v1/soap/token"
			}
			if tc.action == "" {
				tc.action = "urn:send"
			}
			w := post(s, tc.path, tc.body, tc.action)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.code) {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if tc.status != 200 {
				if len(l.recs) != 0 {
					t.Error("a refused message is in the log")
				}
				return
			}
			var raw event.RawMessage
			if err := s.cfg.Codecs.DecodeRaw(l.recs[0].Value, &raw); err != nil || string(raw.Body) !=
				`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header></s:Header><s:Body><o/></s:Body></s:Envelope>` {
				t.Errorf("%q, %v", raw.Body, err)
			}
			// The same again is answered and not stored; another body under its nonce is refused.
			if again := post(s, tc.path, tc.body, tc.action); again.Body.String() != w.Body.String() || len(l.recs) != 1 {
				t.Errorf("%d %s, %d messages", again.Code, again.Body, len(l.recs))
			}
			if other := post(s, tc.path, strings.Replace(tc.body, "<o/>", "<p/>", 1), tc.action); other.Code != http.StatusBadRequest || !strings.Contains(other.Body.String(), "repeated_id") || len(l.recs) != 1 {
				t.Errorf("another body: %d %s", other.Code, other.Body)
			}
		})
	}
}

func TestMultipartAndPolicies(t *testing.T) {
	for _, tc := range []struct {
		name, body, boundary string
		status               int
		code                 string
		change               func(*policy.Source)
	}{
		{name: "another boundary", boundary: "c", body: "--b\r\n\r\n1\r\n--b--", status: 400, code: "bad_multipart"},
		{name: "no file", boundary: "b", body: "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--", status: 400, code: "bad_multipart"},
		{name: "a field that is the message", boundary: "b", body: "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--", status: 202, change: func(s *policy.Source) { s.HTTP.Part = "a" }},
		{name: "an empty file", boundary: "b", body: "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\n\r\n \r\n--b--", status: 400, code: "empty_body"},
		{name: "a picture", boundary: "b", body: "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\nContent-Type: image/png\r\n\r\n1\r\n--b--", status: 415, code: "unsupported_media_type"},
		{name: "a source that says what it sends", boundary: "b", body: "", status: 415, code: "unsupported_media_type", change: func(s *policy.Source) { s.ContentTypes = []string{"text/plain"} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &log{}
			s := hookServer(t, l, func() time.Time { return noon })
			d := s.door("files")
			if tc.change != nil {
				tc.change(d.src)
			}
			req := httptest.NewRequest(http.MethodPost, "/v1/messages/files", strings.NewReader(tc.body))
			req.Header.Set("X-Api-Key", "wms-key")
			req.Header.Set("Content-Type", "multipart/form-data; boundary="+tc.boundary)
			w := serve(s, req)
			if w.Code != tc.status || tc.code != "" && readProblem(t, w).Code != tc.code || len(l.recs) != map[bool]int{true: 1}[tc.status == 202] {
				t.Errorf("%d %s, %d messages", w.Code, w.Body, len(l.recs))
			}
		})
	}
}
