package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

func now() time.Time { return time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC) }

// carrier is an API that answers as it is told, by the request's URI.
func carrier(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	return srv.URL
}

func adapter(t *testing.T, url string, cfg policy.PullHTTP) *Adapter {
	t.Helper()
	client := pull.NewHTTP(true, now)
	t.Cleanup(client.Close)
	return New(&cfg, url, "a-key", 50, client, now)
}

// round reads a whole round from where the last one ended.
func round(t *testing.T, a *Adapter, end json.RawMessage) (bodies []string, next json.RawMessage, err error) {
	t.Helper()
	at, err := a.Begin(end)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		page, err := a.Fetch(t.Context(), at)
		if err != nil {
			return bodies, at, err
		}
		for _, r := range page.Records {
			bodies = append(bodies, string(r.Body))
		}
		if at = page.Next; !page.More {
			return bodies, at, nil
		}
	}
	t.Fatal("the round does not end")
	return nil, nil, nil
}

func code(err error) string {
	if f, ok := errors.AsType[*pull.Fault](err); ok {
		return f.Code
	}
	return fmt.Sprint(err)
}

func TestPages(t *testing.T) {
	link := carrier(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("p") == "" {
			w.Header().Add("Link", `</list?p=0>; rel="prev", </list?p=2>; rel="next last"`)
		}
		fmt.Fprintf(w, `{"events": [{"n": 1.50, "p": %q}]}`, r.URL.Query().Get("p"))
	})
	got, _, err := round(t, adapter(t, link+"/list", policy.PullHTTP{Items: "/events", Page: policy.PullPage{By: policy.PageLink}}), nil)
	if want := []string{`{"n":1.50,"p":""}`, `{"n":1.50,"p":"2"}`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("link: %q, %v", got, err)
	}
	cursor := carrier(t, func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{"": `"b&c"`, "b&c": "null"}[r.URL.Query().Get("after")]
		fmt.Fprintf(w, `{"data": [{"q": %q}], "next": %s}`, r.URL.RawQuery, next)
	})
	got, _, err = round(t, adapter(t, cursor+"/?x=1", policy.PullHTTP{Items: "/data", Page: policy.PullPage{By: policy.PageCursor, Next: "/next", Param: "after", Size: "n"}}), nil)
	if want := []string{`{"q":"n=50&x=1"}`, `{"q":"after=b%26c&n=50&x=1"}`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("cursor: %q, %v", got, err)
	}
	number := carrier(t, func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.Query().Get("page"); p == "3" {
			fmt.Fprint(w, `[]`)
		} else {
			fmt.Fprintf(w, `[%s]`, p)
		}
	})
	got, _, err = round(t, adapter(t, number, policy.PullHTTP{Page: policy.PullPage{By: policy.PageNumber, Param: "page", First: 1}}), nil)
	if err != nil || !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("number: %q, %v", got, err)
	}
	same := carrier(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"the": "same"}]`) })
	_, _, err = round(t, adapter(t, same, policy.PullHTTP{Page: policy.PullPage{By: policy.PageNumber, Param: "page", First: 1}}), nil)
	if code(err) != pull.CodePageLoop {
		t.Errorf("an API that knows no pages: %v", err)
	}
}

// TestKeyStaysHome wants no key on another host, whatever a page or an answer says.
func TestKeyStaysHome(t *testing.T) {
	asked := 0
	other := carrier(t, func(http.ResponseWriter, *http.Request) { asked++ })
	home := carrier(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a-key" {
			t.Error("no key")
		}
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, other, http.StatusFound)
			return
		}
		fmt.Fprintf(w, `{"items": [1], "next": %q}`, other+"/2")
	})
	cfg := policy.PullHTTP{Items: "/items", Auth: policy.PullAuth{Header: "Authorization", Prefix: "Bearer ", KeyEnv: "K"}, Page: policy.PullPage{By: policy.PageLink, Next: "/next"}}
	if _, _, err := round(t, adapter(t, home, cfg), nil); !errors.Is(err, errHost) {
		t.Errorf("%v", err)
	}
	if _, _, err := round(t, adapter(t, home+"/redirect", cfg), nil); code(err) != pull.CodeBadAnswer {
		t.Errorf("%v", err)
	}
	if asked != 0 {
		t.Error("the other host was asked")
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   string
		after  time.Duration
	}{
		"429 in seconds": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "17")
			w.WriteHeader(http.StatusTooManyRequests)
		}, pull.CodeThrottled, 17 * time.Second},
		"503 until a date": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", now().Add(time.Minute).Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		}, pull.CodeThrottled, time.Minute},
		"429 of nonsense": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "-1e99")
			w.WriteHeader(http.StatusTooManyRequests)
		}, pull.CodeThrottled, 0},
		"500":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, pull.CodeUnreachable, 0},
		"401":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, pull.CodeBadKey, 0},
		"404":       {http.NotFound, pull.CodeBadAnswer, 0},
		"truncated": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items": [{"a": 1}, {"b`) }, pull.CodeBadAnswer, 0},
		"short body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"items": []}`)
		}, pull.CodeUnreachable, 0},
		"text behind": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items": []}{}`) }, pull.CodeBadAnswer, 0},
		"no items":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"error": "x"}`) }, pull.CodeBadAnswer, 0},
		"no id":       {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"items": [{"x": 1}]}`) }, pull.CodeBadAnswer, 0},
		"an answer without end": {func(w http.ResponseWriter, _ *http.Request) {
			blank := []byte(strings.Repeat(" ", 1<<20))
			for range pull.MaxAnswer>>20 + 1 {
				if _, err := w.Write(blank); err != nil {
					return
				}
			}
		}, pull.CodeTooLarge, 0},
	} {
		url := carrier(t, c.answer)
		_, _, err := round(t, adapter(t, url, policy.PullHTTP{Items: "/items", ID: "/id"}), nil)
		f, ok := errors.AsType[*pull.Fault](err)
		if !ok || f.Code != c.code || f.RetryAfter != c.after {
			t.Errorf("%s: %v, %+v", name, err, f)
		}
	}
	// A private address is not reached unless the source says so.
	a := New(&policy.PullHTTP{}, "http://127.0.0.1:1/", "", 1, pull.NewHTTP(false, now), now)
	if _, _, err := round(t, a, nil); err == nil || !strings.Contains(err.Error(), "not a public host's") {
		t.Errorf("%v", err)
	}
}

func TestSince(t *testing.T) {
	var asked []string
	url := carrier(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("from"))
		fmt.Fprint(w, `[{"at": "2026-11-02T11:00:00Z"}, {"at": "2026-11-02T12:30:00+02:00"}, {"at": "2030-01-01T00:00:00Z"}]`)
	})
	cfg := policy.PullHTTP{Since: policy.PullSince{Param: "from", At: "/at", Overlap: 5 * time.Minute}}
	_, end, err := round(t, adapter(t, url, cfg), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = round(t, adapter(t, url, cfg), end); err != nil {
		t.Fatal(err)
	}
	// A time of the future does not carry the cursor beyond now.
	if want := []string{"", "2026-11-02T11:55:00Z"}; !slices.Equal(asked, want) {
		t.Errorf("%q", asked)
	}
}

// TestAsks asks for open shipments one by one, and goes on in the middle.
func TestAsks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "open")
	write := func(s string) {
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var asked []string
	url := carrier(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath())
		if strings.HasSuffix(r.URL.Path, "unknown") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `{"events": [{"e": 1}]}`)
	}) + "/track/{ask}"
	cfg := policy.PullHTTP{Items: "/events", Ask: &policy.PullAsk{File: file}}
	if _, _, err := round(t, adapter(t, url, cfg), nil); code(err) != codeAsk {
		t.Errorf("without a file: %v", err)
	}
	write("# open\nT1\n\nT/2\nunknown\nT4\n")
	a := adapter(t, url, cfg)
	got, end, err := round(t, a, nil)
	if err != nil || len(got) != 3 {
		t.Errorf("%q, %v", got, err)
	}
	if want := []string{"/track/T1", "/track/T%2F2", "/track/unknown", "/track/T4"}; !slices.Equal(asked, want) {
		t.Errorf("%q", asked)
	}
	// Another process goes on behind T/2, if the list is still the same there.
	at, err := a.Begin(end)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p, err := a.Fetch(t.Context(), at)
		if err != nil || p.Records[0].StreamKey == "" {
			t.Fatalf("%+v, %v", p, err)
		}
		at = p.Next
	}
	asked = nil
	if _, err := adapter(t, url, cfg).Fetch(t.Context(), at); err != nil || asked[0] != "/track/unknown" {
		t.Errorf("%q, %v", asked, err)
	}
	write("T9\n")
	asked = nil
	if _, err := adapter(t, url, cfg).Fetch(t.Context(), at); err != nil || asked[0] != "/track/T9" {
		t.Errorf("%q, %v", asked, err)
	}
	a = adapter(t, url, policy.PullHTTP{Items: "/events", Ask: &policy.PullAsk{Shipments: &policy.AskShipments{}}})
	known := false
	a.Asks = func() ([]string, bool) { return []string{"S1"}, known }
	if _, _, err := round(t, a, nil); code(err) != codeAsk {
		t.Errorf("before it is known what to ask for: %v", err)
	}
	known, asked = true, nil
	if _, _, err := round(t, a, nil); err != nil || !slices.Equal(asked, []string{"/track/S1"}) {
		t.Errorf("%q, %v", asked, err)
	}
	write("")
	if got, _, err := round(t, adapter(t, url, cfg), nil); err != nil || len(got) != 0 {
		t.Errorf("nothing open: %q, %v", got, err)
	}
}

func TestGivesUpInTime(t *testing.T) {
	url := carrier(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := adapter(t, url, policy.PullHTTP{}).Fetch(ctx, json.RawMessage(`{}`)); code(err) != pull.CodeUnreachable {
		t.Errorf("%v", err)
	}
}
