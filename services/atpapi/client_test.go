package atpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/apidoc/apidoctest"
	"github.com/stockweave/stockweave/pkg/client"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// direct brings requests to a handler without a network.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// TestClient drives the operations of the document through the client.
func TestClient(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10, "DC2": 4})
	w.flog.commit(t, w.codecs, "a/b %|c", 4, map[inventory.Location]int64{"DC1": 2})
	w.flog.commit(t, w.codecs, "batch", 5, map[inventory.Location]int64{"DC1": 1})
	w.run(t, 10)
	limited := principal("partner", "atp:read:entity=acme")
	w.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{limited}}})
	called := count(t, w.router)
	c, err := client.New(client.Config{URL: "http://atp.example/", Key: "partner", HTTP: &http.Client{Transport: direct{w.router}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()

	a, err := c.Get(ctx, client.Query{Item: "A", Quantity: "12", MaxAge: time.Hour})
	if err != nil || a.ATP != "14" || a.Version != 3 || len(a.Locations) != 2 || a.Locations[0].States["on_hand"] != "10" || a.Promisable.On != "2026-11-24" {
		t.Fatalf("%+v %v", a, err)
	}
	again, changed, err := c.GetChanged(ctx, client.Query{Item: "A", Quantity: "12"}, a.ETag)
	if err != nil || changed || again != nil {
		t.Errorf("unchanged: %+v %v %v", again, changed, err)
	}
	for item, want := range map[string]string{"a/b %|c": "2", "batch": "1"} {
		if a, err := c.Get(ctx, client.Query{Item: item, Where: client.Where{Location: "DC1"}, Fields: []string{"atp"}}); err != nil || a.ATP != want || a.Item != "" {
			t.Errorf("%s: %+v %v", item, a, err)
		}
	}
	if a, err := c.Get(ctx, client.Query{Item: "A", Where: client.Where{Channel: "shop"}, On: "2026-12-01"}); err != nil || a.Channel.Listing != "L-1" || a.On != "2026-12-01" {
		t.Errorf("of a channel: %+v %v", a, err)
	}
	b, err := c.Batch(ctx, client.BatchQuery{
		Where: client.Where{Group: "web"}, Quantity: "1", On: "2026-12-01", MaxAge: time.Hour,
		Items: []client.BatchItem{{Item: "A"}, {Item: "NOPE"}, {Item: "A", Entity: "other"}},
	})
	if err != nil || b.Answered != 1 || b.Failed != 2 || b.Results[0].Answer.ATP != "14" || b.Results[0].ETag == "" ||
		b.Results[1].Problem.Code != "unknown_item" || b.Results[2].Problem.Code != "insufficient_scope" {
		t.Errorf("batch: %+v %v", b, err)
	}
	held := []client.BatchItem{{Item: "A", ETag: b.Results[0].ETag}, {Item: "a/b %|c", SinceVersion: 4}, {Item: "A", SinceVersion: 2}}
	if b, err = c.Batch(ctx, client.BatchQuery{Where: client.Where{Group: "web"}, Quantity: "1", On: "2026-12-01", Items: held}); err != nil || b.Answered != 3 ||
		b.Results[0].Status != 304 || b.Results[0].Answer != nil || !b.Results[0].Freshness.CaughtUp || b.Results[1].Status != 304 || b.Results[2].Answer.Version != 3 {
		t.Errorf("batch of what is held: %+v %v", b, err)
	}
	got := map[string]bool{}
	for a, err := range c.List(ctx, client.ListQuery{Below: "3", Limit: 1, RecordedSince: time.UnixMilli(1), Fields: []string{"item"}}) {
		if err != nil {
			t.Fatal(err)
		}
		got[a.Item] = true
	}
	if len(got) != 2 || got["A"] {
		t.Errorf("list: %v", got)
	}
	for code, q := range map[string]client.Query{
		"unknown_item": {Item: "NOPE"}, "insufficient_scope": {Item: "A", Entity: "other"}, "bad_day": {Item: "A", On: "soon"},
		"unknown_channel": {Item: "A", Where: client.Where{Channel: "NOPE"}},
	} {
		if _, err := c.Get(ctx, q); client.Code(err) != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
	wantCalled(t, w.doc, "/v1/atp", called)
}

// wantCalled: every operation under a path that the client is for was called.
func wantCalled(t *testing.T, doc *apidoctest.Document, under string, called map[string]bool) {
	t.Helper()
	for _, op := range doc.Operations() {
		_, path, _ := strings.Cut(op, " ")
		// An older spelling of another it has not; see TestExplain of what people ask.
		if strings.HasPrefix(path, under) && !strings.HasSuffix(path, "/extend") && !strings.HasSuffix(path, "/explain") && !called[op] {
			t.Errorf("the client never called %s", op)
		}
	}
}

// count notes which operations are called.
func count(t *testing.T, router http.Handler) map[string]bool {
	t.Helper()
	e, ok := router.(*echo.Echo)
	if !ok {
		t.Fatal("no router")
	}
	called := map[string]bool{}
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			called[c.Request().Method+" "+strings.NewReplacer(":item", "{item}", ":id", "{id}").Replace(c.Path())] = true
			return next(c)
		}
	})
	return called
}

// TestClientReserves drives the operations of reservations through the client, against
// the ledger.
func TestClientReserves(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 5)
	r := b.replica()
	called := count(t, r.router)
	c, err := client.New(client.Config{URL: "http://atp.example", Key: b.keys["shop"], HTTP: &http.Client{Transport: direct{r.router}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ask := client.Reserve{Lines: []client.ReserveLine{{Item: "A", Quantity: "3"}}}
	key := client.NewKey()
	got, err := c.Reserve(ctx, key, ask)
	if err != nil || got.Status != "granted" || len(got.Lines) != 1 || got.Lines[0].Quantity != "3" {
		t.Fatalf("%+v %v", got, err)
	}
	if again, err := c.Reserve(ctx, key, ask); err != nil || again.ID != got.ID {
		t.Errorf("again: %+v %v", again, err)
	}
	b.wantClaimed("once", "A", 3)
	_, err = c.Reserve(ctx, client.NewKey(), client.Reserve{Lines: []client.ReserveLine{{Item: "A", Quantity: "6"}}})
	if p := (*client.Problem)(nil); !errors.As(err, &p) || p.Code != "denied" || p.Item != "A" || p.Available != "2" {
		t.Errorf("more than there is: %+v", err)
	}
	if one, err := c.Reservation(ctx, got.ID); err != nil || one.Reservation != got.Reservation {
		t.Errorf("read: %+v %v", one, err)
	}
	until := b.now().Add(20 * time.Minute)
	if one, err := c.Extend(ctx, got.ID, until); err != nil || !strings.HasPrefix(one.Until, until.UTC().Format("2006-01-02T15:04:05")) {
		t.Errorf("extended: %+v %v", one, err)
	}
	if one, err := c.Confirm(ctx, got.ID); err != nil || one.Status != "confirmed" {
		t.Errorf("confirmed: %+v %v", one, err)
	}
	if err := c.Cancel(ctx, got.ID); err != nil {
		t.Error(err)
	}
	b.wantClaimed("cancelled", "A", 0)
	if _, err := c.Reserve(ctx, "", ask); err == nil {
		t.Error("without a key")
	}
	wantCalled(t, readDocument(t), "/v1/reservations", called)
}

// TestClientTypes: the client has the fields of the document, no more and no fewer.
func TestClientTypes(t *testing.T) {
	doc := readDocument(t)
	for name, typ := range map[string]reflect.Type{
		"Answer": reflect.TypeFor[client.Answer](), "Location": reflect.TypeFor[client.Location](), "KitPart": reflect.TypeFor[client.KitPart](),
		"Channel": reflect.TypeFor[client.Channel](), "Override": reflect.TypeFor[client.Override](), "Silent": reflect.TypeFor[client.Silent](),
		"Promisable": reflect.TypeFor[client.Promisable](), "Freshness": reflect.TypeFor[client.Freshness](), "Problem": reflect.TypeFor[client.Problem](),
		"BatchAnswer": reflect.TypeFor[client.BatchAnswer](), "BatchResult": reflect.TypeFor[client.BatchResult](), "Page": reflect.TypeFor[client.Page](),
		"Reservation": reflect.TypeFor[client.Reservation](), "ReserveRequest": reflect.TypeFor[client.Reserve](),
		"Past": reflect.TypeFor[client.Past](), "Explanation": reflect.TypeFor[client.Explanation](), "ExplainedLocation": reflect.TypeFor[client.ExplainedLocation](),
		"Contribution": reflect.TypeFor[client.Contribution](), "OpenLine": reflect.TypeFor[client.OpenLine](), "ExplainedPromise": reflect.TypeFor[client.ExplainedPromise](),
	} {
		var has []string
		for f := range typ.Fields() {
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "-" {
				has = append(has, tag)
			}
		}
		slices.Sort(has)
		if want := doc.Properties(name); !slices.Equal(has, want) {
			t.Errorf("%s: the client has %q, the document %q", name, has, want)
		}
	}
	// And of what the service itself writes.
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(client.Answer{}); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&b)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&answer{}); err != nil {
		t.Error(err)
	}
}
