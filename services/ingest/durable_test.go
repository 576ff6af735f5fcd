package ingest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/stream"
)

// entrance is a way in: a request, how often the log is asked for it, and what the answer
// has when all went well.
type entrance struct {
	request  func() *http.Request
	asks     int
	answered string
}

func waysIn() map[string]entrance {
	post := func(path, contentType, body string) func() *http.Request {
		return func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("X-Api-Key", "wms-key")
			r.Header.Set("Content-Type", contentType)
			return r
		}
	}
	part := "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.edi\"\r\n\r\nISA\r\n"
	batch := hook("msg_2", "{\"a\":1}\n{\"a\":2}\n", noon)
	return map[string]entrance{
		"one message":    {post("/v1/messages/events", "application/json", `{"id":1}`), 1, `{"id":"`},
		"signed message": {hook("msg_1", `{"id":1}`, noon), 1, `{"id":"`},
		"multipart":      {post("/v1/messages/files", "multipart/form-data; boundary=b", part+part+"--b--\r\n"), 1, `"messages":[`},
		"batch":          {post("/v1/messages/events", "application/x-ndjson", strings.Repeat("{}\n", batchGroup+1)), 2, `"status":202`},
		"signed batch": {func() *http.Request {
			r := batch()
			r.Header.Set("Content-Type", "application/x-ndjson")
			return r
		}, 1, `"status":202`},
		"parts of a file": {post("/v1/messages/counts", "text/csv", "sku\n"+strings.Repeat("A\n", 15_000)), 2, `"parts":2`},
		"SOAP": {post("/v1/soap/soap", "text/xml",
			`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><o/></s:Body></s:Envelope>`), 1, `<id>`},
	}
}

// Invariant 1: nobody is told that a message was taken before the log has it, whatever
// the way in; of a long body nothing more is taken meanwhile.
func TestNoAnswerBeforeTheLogHasIt(t *testing.T) {
	for name, entrance := range waysIn() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := hookServer(t, &log{}, func() time.Time { return noon })
				s.random = endless{}
				s.door("hooks").src.HTTP.Batch = true
				asked, ack := 0, make(chan struct{})
				s.recv.produce = func(context.Context, ...*stream.Record) error { asked++; <-ack; return nil }
				w, done := httptest.NewRecorder(), false
				go func() { s.handler().ServeHTTP(w, entrance.request()); done = true }()
				for n := 1; n <= entrance.asks; n++ {
					synctest.Wait()
					if done || asked != n || w.Body.Len() > 0 {
						t.Errorf("asked %d times of %d, answered %d %s", asked, n, w.Code, w.Body)
					}
					ack <- struct{}{}
				}
				synctest.Wait()
				if !done || asked != entrance.asks || !strings.Contains(w.Body.String(), entrance.answered) {
					t.Errorf("asked %d times, answered %d %s", asked, w.Code, w.Body)
				}
			})
		})
	}
}

// What the log did not take is not said to be taken, and is taken when it comes again.
func TestWhatTheLogDidNotTakeMayComeAgain(t *testing.T) {
	for name, entrance := range waysIn() {
		t.Run(name, func(t *testing.T) {
			l := &log{down: errors.New("no broker")}
			now := noon
			s := hookServer(t, l, func() time.Time { return now })
			s.random = endless{}
			s.door("hooks").src.HTTP.Batch = true
			if w := serve(s, entrance.request()); strings.Contains(w.Body.String(), entrance.answered) || !strings.Contains(w.Body.String(), "kafka_unavailable") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			l.down, now = nil, now.Add(2*probeEvery)
			if w := serve(s, entrance.request()); !strings.Contains(w.Body.String(), entrance.answered) || strings.Contains(w.Body.String(), "kafka_unavailable") || len(l.recs) == 0 {
				t.Errorf("%d %s, %d messages", w.Code, w.Body, len(l.recs))
			}
		})
	}
}
