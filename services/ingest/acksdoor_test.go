package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/acks"
)

// noAcks is a log that is away.
type noAcks struct{}

var errAway = errors.New("no broker")

func (noAcks) Topic(context.Context, string) (string, int32, error)        { return "", 0, errAway }
func (noAcks) LogStart(context.Context, string, int32) (int64, error)      { return 0, errAway }
func (noAcks) HighWatermark(context.Context, string, int32) (int64, error) { return 0, errAway }
func (noAcks) Each(context.Context, string, int32, int64, int64, func(*stream.Record) error) error {
	return errAway
}

// ackLog is one partition with an acknowledgement of each source.
type ackLog struct {
	recs []*stream.Record
	wait chan struct{} // when set, reads end when it does
}

func (l *ackLog) Topic(context.Context, string) (string, int32, error)   { return "", 1, nil }
func (l *ackLog) LogStart(context.Context, string, int32) (int64, error) { return 0, nil }
func (l *ackLog) HighWatermark(context.Context, string, int32) (int64, error) {
	return int64(len(l.recs)), nil
}

func (l *ackLog) Each(_ context.Context, _ string, _ int32, from, until int64, f func(*stream.Record) error) error {
	if l.wait != nil {
		l.wait <- struct{}{}
		<-l.wait
	}
	for _, rec := range l.recs[from:until] {
		if err := f(rec); err != nil {
			return err
		}
	}
	return nil
}

func newAckLog(t *testing.T, codecs *event.Codecs, sources ...inventory.Source) *ackLog {
	t.Helper()
	l := &ackLog{}
	for i, name := range sources {
		value, err := codecs.AppendAck(nil, &event.PartnerAck{
			ID: fmt.Sprint(i), Source: name, RawID: "raw", Document: "997", Status: event.AckAccepted, Control: 1, Numbers: 1, Body: []byte("ISA*" + string(name)),
		})
		if err != nil {
			t.Fatal(err)
		}
		l.recs = append(l.recs, &stream.Record{Offset: int64(i), Value: value})
	}
	return l
}

// Invariant 10: a partner reads the acknowledgements of what it may send, and a source
// that it may not ask for looks like one that is not there.
func TestWhoMayReadAcks(t *testing.T) {
	x := newTenants(t, nil, nil)
	x.s.acks = acks.NewReader(newAckLog(t, x.s.cfg.Codecs, "erp", "wms", "shop"), x.s.cfg.Codecs)
	const ok, key, scope = "read", "bad_key", "insufficient_scope"
	sources := []string{"erp", "wms", "shop", "nobody"} // shop has only a signature
	for _, tc := range []struct {
		name   string
		header [2]string
		want   [4]string
	}{
		{"nothing", [2]string{}, [4]string{key, key, key, key}},
		{"a signature", [2]string{"X-Signature", signHex("")}, [4]string{key, key, key, key}},
		{"wrong key", [2]string{"X-Api-Key", "guess"}, [4]string{key, key, key, key}},
		{"key of a source", [2]string{"X-Api-Key", "wms-key"}, [4]string{key, ok, key, key}},
		{"key of a principal", [2]string{"X-Api-Key", "erp-key"}, [4]string{ok, scope, scope, scope}},
		{"key for all sources", [2]string{"X-Api-Key", "all-key"}, [4]string{ok, ok, scope, scope}},
		{"key for other things", [2]string{"X-Api-Key", "reader-key"}, [4]string{scope, scope, scope, scope}},
		{"token", [2]string{"Authorization", "Bearer " + x.token(t, "erp", "messages:write:source=erp")}, [4]string{ok, scope, scope, scope}},
		{"token that says less", [2]string{"Authorization", "Bearer " + x.token(t, "erp", "atp:read")}, [4]string{scope, scope, scope, scope}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			told := map[string]string{}
			for i, source := range sources {
				req := httptest.NewRequest(http.MethodGet, "/v1/acks/"+source, nil)
				if tc.header[0] != "" {
					req.Header.Set(tc.header[0], tc.header[1])
				}
				w := serve(x.s, req)
				if tc.want[i] != ok {
					if c := readProblem(t, w).Code; c != tc.want[i] {
						t.Errorf("%s: %s, want %s", source, c, tc.want[i])
					}
					said := w.Body.String() + fmt.Sprint(w.Header())
					if other, seen := told[tc.want[i]]; seen && other != said {
						t.Errorf("%s is told %s, another %s", source, said, other)
					}
					told[tc.want[i]] = said
					continue
				}
				var page acks.Page
				if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != http.StatusOK || len(page.Acks) != 1 || page.Acks[0].Body != "ISA*"+source {
					t.Errorf("%s: %d %s", source, w.Code, w.Body)
				}
			}
		})
	}
}

func TestAcksOfADoor(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) { set.Sources["wms"].Door.Rate = policy.Rate{PerSecond: 0.01, Burst: 8} })
	get := func(query string) *httptest.ResponseRecorder {
		req := httptest.NewRequest(http.MethodGet, "/v1/acks/wms"+query, nil)
		req.Header.Set("X-Api-Key", "wms-key")
		return serve(x.s, req)
	}
	if w := get(""); w.Code != http.StatusServiceUnavailable || readProblem(t, w).Code != "acks_unavailable" || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	l := newAckLog(t, x.s.cfg.Codecs, "wms")
	x.s.acks = acks.NewReader(l, x.s.cfg.Codecs)
	if w := get("?after=-1"); w.Code != http.StatusBadRequest || readProblem(t, w).Code != "bad_after" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := get(""); w.Code != http.StatusOK || w.Header().Get("RateLimit") == "" || !strings.Contains(w.Body.String(), `"after":"1"`) {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	// No more of them look at the log at a time than there are places.
	x.s.asks = make(chan struct{}, 1)
	l.wait = make(chan struct{})
	done := make(chan int)
	go func() { done <- get("").Code }()
	<-l.wait
	if w := get(""); w.Code != http.StatusServiceUnavailable || readProblem(t, w).Code != "overloaded" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	l.wait <- struct{}{}
	if c := <-done; c != http.StatusOK {
		t.Error(c)
	}
	l.wait = nil
	for range 3 {
		get("")
	}
	if w := get(""); w.Code != http.StatusTooManyRequests || readProblem(t, w).Code != "rate_limited" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
