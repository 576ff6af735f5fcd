package tryton

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	rest "github.com/stockweave/stockweave/pkg/tryton"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// rec is a record of the ERP; times are minutes of a day.
type rec struct {
	id               int64
	created, written int // 0: never
}

func minute(n int) time.Time { return time.Date(2026, 11, 2, 0, n, 0, 123_456_000, time.UTC) }

// erp answers searches by what the domain says of a time and an id, as Tryton would.
type erp struct {
	recs   []rec
	asked  int
	broken func(w http.ResponseWriter) bool
}

func (e *erp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.asked++
	if e.broken != nil && e.broken(w) {
		return
	}
	var domain []any
	b, err := base64.URLEncoding.DecodeString(r.URL.Query().Get("d"))
	if err != nil || json.Unmarshal(b, &domain) != nil || r.Header.Get("Authorization") != "Bearer key" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	by := domain[2].([]any)[0].(string)
	from, id := time.Time{}, int64(0)
	if len(domain) > 3 { // OR [by > t] [AND [by = t] [id > n]]
		or := domain[3].([]any)
		var t rest.Time
		text, _ := json.Marshal(or[1].([]any)[2])
		_ = json.Unmarshal(text, &t)
		from, id = t.Go(), int64(or[2].([]any)[2].([]any)[2].(float64))
	}
	type hit struct {
		at time.Time
		rec
	}
	var hits []hit
	for _, x := range e.recs {
		at := x.created
		if by == "write_date" {
			at = x.written
		}
		if t := minute(at); at != 0 && (t.After(from) || t.Equal(from) && x.id > id) {
			hits = append(hits, hit{t, x})
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return int(a.id - b.id)
	})
	limit, _ := strconv.Atoi(r.URL.Query().Get("s"))
	out := []map[string]any{}
	for _, h := range hits[:min(limit, len(hits))] {
		v := map[string]any{"id": h.id, "create_date": rest.NewTime(minute(h.created)), "write_date": nil}
		if h.written != 0 {
			v["write_date"] = rest.NewTime(minute(h.written))
		}
		out = append(out, v)
	}
	_ = json.NewEncoder(w).Encode(out)
}

func open(t *testing.T, e *erp, batch int, now time.Time) *Adapter {
	t.Helper()
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	clock := func() time.Time { return now }
	client := pull.NewHTTP(true, clock)
	t.Cleanup(client.Close)
	a, err := New(&policy.PullTryton{Database: "db", Overlap: 10 * time.Minute, Models: []policy.TrytonModel{{Model: "stock.move", Fields: []string{"state"}}}}, srv.URL, "key", batch, client, clock)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// round reads a whole round; what it read as id@version.
func round(t *testing.T, a *Adapter, end json.RawMessage) ([]string, json.RawMessage) {
	t.Helper()
	at, err := a.Begin(end)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 50 {
		p, err := a.Fetch(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			v, err := time.Parse(time.RFC3339Nano, r.Version)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s@%d", r.ID, v.Hour()*60+v.Minute()))
		}
		if at = p.Next; !p.More {
			return got, at
		}
	}
	t.Fatal("the round does not end")
	return nil, nil
}

func TestRounds(t *testing.T) {
	e := &erp{}
	for id := range int64(7) { // seven of one transaction: a page ends among them
		e.recs = append(e.recs, rec{id: id + 1, created: 30})
	}
	e.recs[2].written = 31
	a := open(t, e, 3, minute(60))
	got, end := round(t, a, nil)
	if want := []string{"1@30", "2@30", "3@31", "4@30", "5@30", "6@30", "7@30", "3@31"}; !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	// A transaction that began at 28 ends only now; one that began at 15 is beyond the
	// overlap of ten minutes.
	e.recs = append(e.recs, rec{id: 8, created: 28}, rec{id: 9, created: 15}, rec{id: 10, created: 40})
	got, _ = round(t, a, end)
	if !slices.Contains(got, "8@28") || !slices.Contains(got, "10@40") || slices.Contains(got, "9@15") {
		t.Errorf("%v", got)
	}
}

// TestClockAhead wants what is written after a wrong clock was put right.
func TestClockAhead(t *testing.T) {
	e := &erp{recs: []rec{{id: 1, created: 600}}}
	a := open(t, e, 10, minute(60))
	_, end := round(t, a, nil)
	e.recs = append(e.recs, rec{id: 2, created: 61})
	if got, _ := round(t, a, end); !slices.Contains(got, "2@61") {
		t.Errorf("%v", got)
	}
}

func TestAnswersOutOfTurn(t *testing.T) {
	for name, c := range map[string]struct{ answer, code string }{
		"no time":   {`[{"id": 1, "create_date": null}]`, pull.CodeBadAnswer},
		"no id":     {`[{"create_date": {"__class__": "datetime", "year": 2026, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0}}]`, pull.CodeBadAnswer},
		"no list":   {`{"message": "x"}`, pull.CodeBadAnswer},
		"truncated": {`[{"id": 1, "cre`, pull.CodeBadAnswer},
	} {
		a := open(t, &erp{broken: func(w http.ResponseWriter) bool { fmt.Fprint(w, c.answer); return true }}, 10, minute(60))
		at, err := a.Begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Fetch(t.Context(), at); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
