package acks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// log is one partition in memory.
type log struct {
	start int64
	recs  []*stream.Record
	err   error

	codecs *event.Codecs
}

func (l *log) Topic(context.Context, string) (string, int32, error)   { return "", 1, l.err }
func (l *log) LogStart(context.Context, string, int32) (int64, error) { return l.start, nil }
func (l *log) HighWatermark(context.Context, string, int32) (int64, error) {
	return int64(len(l.recs)), nil
}

func (l *log) Each(_ context.Context, _ string, _ int32, from, until int64, f func(*stream.Record) error) error {
	for _, rec := range l.recs[from:until] {
		if err := f(rec); err != nil {
			return err
		}
	}
	return nil
}

func (l *log) put(t *testing.T, source inventory.Source, id string, body []byte) {
	t.Helper()
	if l.codecs == nil {
		l.codecs = event.TestCodecs()
	}
	value, err := l.codecs.AppendAck(nil, &event.PartnerAck{
		ID: id, Source: source, RawID: "raw-" + id, Interchange: "7", Document: "997", Status: event.AckAccepted, Control: 1, Numbers: 1,
		ContentType: "application/edi-x12", Body: body, At: 1_700_000_000_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	l.recs = append(l.recs, &stream.Record{Offset: int64(len(l.recs)), Value: value})
}

func get(t *testing.T, l *log, path string) (int, Page, string) {
	t.Helper()
	mux := http.NewServeMux()
	code := ""
	mux.HandleFunc("GET /v1/acks/{source}", NewReader(l, l.codecs).Handler(func(w http.ResponseWriter, status int, c, _ string) {
		code = c
		w.WriteHeader(status)
	}))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	var page Page
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, page, code
}

// A partner reads his own acknowledgements in order, a page at a time, each once.
func TestPages(t *testing.T) {
	l := &log{}
	for i := range 250 {
		l.put(t, "wms", fmt.Sprint(i), fmt.Appendf(nil, "ISA*%d~", i))
		l.put(t, "other", fmt.Sprint("o", i), []byte("secret"))
		if i == 7 {
			l.put(t, "wms", "7", []byte("ISA*7~")) // written twice
		}
	}
	after, got := "", []string{}
	for n := 0; ; n++ {
		status, page, _ := get(t, l, "/v1/acks/wms?after="+after)
		if status != http.StatusOK || len(page.Acks) > maxPage || n > 5 {
			t.Fatalf("%d, %d documents", status, len(page.Acks))
		}
		for _, d := range page.Acks {
			got = append(got, d.Body)
		}
		after = page.After
		if !page.More {
			break
		}
	}
	for i, b := range got {
		if b != fmt.Sprintf("ISA*%d~", i) {
			t.Fatalf("document %d is %s", i, b)
		}
	}
	if len(got) != 250 {
		t.Errorf("%d documents", len(got))
	}
	_, page, _ := get(t, l, "/v1/acks/wms?after="+after)
	if len(page.Acks) != 0 || page.After != after || page.More {
		t.Errorf("at the end: %+v", page)
	}
}

func TestBodyAndFaults(t *testing.T) {
	l := &log{}
	l.put(t, "wms", "1", []byte("ISA*\xe9~"))
	status, page, _ := get(t, l, "/v1/acks/wms")
	if status != http.StatusOK || len(page.Acks) != 1 || page.Acks[0].Encoding != "base64" || page.Acks[0].Body != "SVNBKul+" || page.Acks[0].After != "1" ||
		page.Acks[0].MessageID != "raw-1" || page.Acks[0].ReceivedAt != "2023-11-14T22:13:20Z" {
		t.Errorf("%d %+v", status, page)
	}
	if status, _, code := get(t, l, "/v1/acks/wms?after=x"); status != http.StatusBadRequest || code != "bad_after" {
		t.Errorf("%d %s", status, code)
	}
	l.err = errors.New("no broker")
	if status, _, code := get(t, l, "/v1/acks/wms"); status != http.StatusServiceUnavailable || code != "acks_unavailable" {
		t.Errorf("%d %s", status, code)
	}
}
