package ingest

import (
	"context"
	"errors"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

func (x *tenants) ids(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, r := range x.log.recs {
		var raw event.RawMessage
		if err := event.TestCodecs().DecodeRaw(r.Value, &raw); err != nil {
			t.Fatal(err)
		}
		out = append(out, raw.ID)
	}
	return out
}

func TestIdempotencyKey(t *testing.T) {
	x := newTenants(t, nil, nil)
	first := x.send("erp", `{"a":1}`, "X-Api-Key", "erp-key", "Idempotency-Key", `"k1"`)
	if first.Code != 202 {
		t.Fatal(first.Code, first.Body)
	}
	again := x.send("erp", `{"a":1}`, "X-Api-Key", "erp-key", "Idempotency-Key", "k1") // without quotes it is the same key
	if again.Code != 202 || again.Body.String() != first.Body.String() || again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
		t.Errorf("%d %s, first %s", again.Code, again.Body, first.Body)
	}
	if len(x.log.recs) != 1 {
		t.Errorf("%d messages", len(x.log.recs))
	}
	for _, tc := range []struct{ name, body, key, header, value, code string }{
		{"another body", `{"a":2}`, "erp-key", "Idempotency-Key", "k1", "idempotency_key_reused"},
		{"another file", `{"a":1}`, "erp-key", "X-Filename", "b.json", "idempotency_key_reused"},
		{"another partner's key", `{"a":1}`, "all-key", "Idempotency-Key", "k1", "accepted"},
		{"no key", `{"a":1}`, "erp-key", "Idempotency-Key", "", "bad_idempotency_key"},
		{"open quotes", `{"a":1}`, "erp-key", "Idempotency-Key", `"k1`, "bad_idempotency_key"},
	} {
		h := []string{"X-Api-Key", tc.key, "Idempotency-Key", "k1", tc.header, tc.value}
		if w := x.send("erp", tc.body, h...); code(t, w) != tc.code {
			t.Errorf("%s: %d %s", tc.name, w.Code, w.Body)
		} else if tc.code == "idempotency_key_reused" && w.Code != 422 || tc.code == "bad_idempotency_key" && w.Code != 400 {
			t.Errorf("%s: %d", tc.name, w.Code)
		}
	}
	if ids := x.ids(t); len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("%v", ids)
	}
	// Whoever may not send learns nothing of keys.
	if w := x.send("erp", `{"a":2}`, "X-Api-Key", "guess", "Idempotency-Key", "k1"); code(t, w) != "bad_key" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What a process does not remember, or another one is asked, has the same id for the
// same message, and another for another.
func TestIdempotencyBeyondMemory(t *testing.T) {
	var ids [][]string
	for range 2 {
		x := newTenants(t, nil, nil) // starts again, or is another replica
		x.send("erp", `{"a":1}`, "X-Api-Key", "erp-key", "Idempotency-Key", "k1")
		x.now = x.now.Add(keysKept)
		x.send("erp", `{"a":1}`, "X-Api-Key", "erp-key", "Idempotency-Key", "k1")
		x.now = x.now.Add(keysKept)
		x.send("erp", `{"a":2}`, "X-Api-Key", "erp-key", "Idempotency-Key", "k1")
		x.send("erp", `{"a":1}`, "X-Api-Key", "erp-key")
		ids = append(ids, x.ids(t))
	}
	a, b := ids[0], ids[1]
	if len(a) != 4 || a[0] != a[1] || a[0] != b[0] || a[0] == a[2] || a[2] != b[2] || a[0] == a[3] || a[0][12] != '8' || a[3][12] != '7' {
		t.Errorf("%v\n%v", a, b)
	}
}

func TestIdempotencyUnderWayAndFailed(t *testing.T) {
	x := newTenants(t, nil, nil)
	in, out := make(chan struct{}), make(chan error)
	x.s.recv.produce = func(context.Context, ...*stream.Record) error {
		in <- struct{}{}
		return <-out
	}
	send := func() (int, string) {
		w := x.send("erp", "{}", "X-Api-Key", "erp-key", "Idempotency-Key", "k1")
		return w.Code, code(t, w)
	}
	done := make(chan string)
	go func() { _, c := send(); done <- c }()
	<-in
	if status, c := send(); status != 409 || c != "idempotency_key_in_use" {
		t.Errorf("%d %s", status, c)
	}
	out <- errors.New("no broker")
	if c := <-done; c != "kafka_unavailable" {
		t.Error(c)
	}
	// It may not be stored: the key is free, and the id the same.
	x.s.recv.produce = x.log.produce
	x.now = x.now.Add(2 * probeEvery)
	if status, c := send(); status != 202 {
		t.Errorf("%d %s", status, c)
	}
	if status, _ := send(); status != 202 || len(x.log.recs) != 1 {
		t.Errorf("%d, %d messages", status, len(x.log.recs))
	}
}

func TestIdempotencyRequired(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) { set.Sources["erp"].Door.IdempotencyKey = policy.IdempotencyRequired })
	if w := x.send("erp", "{}", "X-Api-Key", "erp-key"); w.Code != 400 || code(t, w) != "idempotency_key_required" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := x.send("erp", "{}", "X-Api-Key", "erp-key", "Idempotency-Key", "a"); w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What is read as it comes is compared by its content when all of it was read, not by
// its length.
func TestIdempotencyOfStreams(t *testing.T) {
	x := newTenants(t, nil, func(set *policy.Set) { set.Sources["erp"].HTTP.Batch = true })
	send := func(body string) (int, string, string) {
		w := x.send("erp", body, "X-Api-Key", "erp-key", "Idempotency-Key", "k1", "Content-Type", "application/x-ndjson")
		if w.Code == 207 {
			return w.Code, "", w.Body.String()
		}
		return w.Code, code(t, w), w.Body.String()
	}
	status, _, first := send("{\"a\":1}\n{\"a\":2}\n")
	if status != 207 {
		t.Fatal(status, first)
	}
	if status, _, again := send("{\"a\":1}\n{\"a\":2}\n"); status != 207 || again != first {
		t.Errorf("%d %s, first %s", status, again, first)
	}
	if status, c, body := send("{\"a\":1}\n{\"a\":3}\n"); status != 422 || c != "idempotency_key_reused" {
		t.Errorf("another body of the same length: %d %s", status, body)
	}
	if len(x.log.recs) != 2 {
		t.Errorf("%d messages", len(x.log.recs))
	}
}
