package ingest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Whoever has proved nothing cannot use up a partner's rate, whichever way it fails.
func TestStrangersCostThePartnerNothing(t *testing.T) {
	for _, tc := range []struct {
		name, method, path, body string
		header                   [2]string
		code                     string
	}{
		{name: "no signature", path: "/v1/messages/hooks", body: "{}", code: "bad_signature"},
		{name: "SOAP where there is none", path: "/v1/soap/hooks", body: "<a/>", code: "bad_key"},
		{name: "too much", path: "/v1/messages/hooks", body: strings.Repeat("x", policy.MaxMessage+1), code: "too_large"},
		{name: "another content type", path: "/v1/messages/hooks", body: "{}", header: [2]string{"Content-Type", "image/png"}, code: "bad_signature"},
		{name: "a message where there are only tokens", path: "/v1/messages/token", body: "{}", code: "bad_key"},
		{name: "too much SOAP", path: "/v1/soap/token", body: strings.Repeat("x", policy.MaxMessage+1), code: "too_large"},
		{name: "SOAP in a broken encoding", path: "/v1/soap/token", body: "x", header: [2]string{"Content-Encoding", "gzip"}, code: "bad_encoding"},
		{name: "no SOAP", path: "/v1/soap/token", body: "<a>", code: "bad_envelope"},
		{name: "another password", path: "/v1/soap/token", body: soapWith("password", "PasswordText"), code: "bad_signature"},
		{name: "acknowledgements", method: http.MethodGet, path: "/v1/acks/hooks", code: "bad_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := hookServer(t, &log{}, func() time.Time { return noon })
			for _, name := range []string{"hooks", "token"} {
				s.door(inventory.Source(name)).src.Door.Rate = policy.Rate{PerSecond: 0.01, Burst: 1, Concurrent: 1}
			}
			if tc.method == "" {
				tc.method = http.MethodPost
			}
			for range 3 {
				req := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
				if tc.header[0] != "" {
					req.Header.Set(tc.header[0], tc.header[1])
				}
				if w := serve(s, req); !strings.Contains(w.Body.String(), tc.code) {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
			}
			if w := serve(s, hook("msg_1", "{}", noon)()); w.Code != http.StatusAccepted {
				t.Errorf("the partner's hook: %d %s", w.Code, w.Body)
			}
			req := httptest.NewRequest(http.MethodPost, "/v1/soap/token", strings.NewReader(soapWith("pa55word", "PasswordText")))
			req.Header.Set("Content-Type", `application/soap+xml; action="urn:send"`)
			if w := serve(s, req); w.Code != http.StatusOK {
				t.Errorf("the partner's envelope: %d %s", w.Code, w.Body)
			}
		})
	}
}

// slow is a body of which the rest never comes, until it is let go.
type slow struct {
	begun chan struct{}
	end   chan struct{}
}

func (b *slow) Read([]byte) (int, error) {
	select {
	case b.begun <- struct{}{}:
	default:
	}
	<-b.end
	return 0, io.ErrUnexpectedEOF
}

// Bodies of which nobody knows who sends them take half of the places: the other half
// is for those who have shown a key.
func TestStrangersLeaveRoom(t *testing.T) {
	for _, path := range []string{"/v1/messages/hooks", "/v1/soap/token"} {
		l := &log{}
		s := hookServer(t, l, func() time.Time { return noon })
		end := make(chan struct{})
		done := make(chan int)
		for range cap(s.strangers) {
			b := &slow{begun: make(chan struct{}, 1), end: end}
			go func() {
				req := httptest.NewRequest(http.MethodPost, path, b)
				done <- serve(s, req).Code
			}()
			<-b.begun
		}
		if w := serve(s, hook("msg_1", "{}", noon)()); w.Code != http.StatusServiceUnavailable || readProblem(t, w).Code != "overloaded" || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: one more: %d %s", path, w.Code, w.Body)
		}
		req := httptest.NewRequest(http.MethodPost, "/v1/messages/files", bytes.NewReader([]byte("sku\nA\n")))
		req.Header.Set("X-Api-Key", "wms-key")
		if w := serve(s, req); w.Code != http.StatusAccepted {
			t.Errorf("%s: with a key: %d %s", path, w.Code, w.Body)
		}
		close(end)
		for range cap(s.strangers) {
			if c := <-done; c != http.StatusBadRequest && c != http.StatusInternalServerError { // what SOAP 1.1 says of all faults
				t.Errorf("%s: a body that broke off: %d", path, c)
			}
		}
		if w := serve(s, hook("msg_1", "{}", noon)()); w.Code != http.StatusAccepted {
			t.Errorf("%s: the places are not free again: %d %s", path, w.Code, w.Body)
		}
	}
}
