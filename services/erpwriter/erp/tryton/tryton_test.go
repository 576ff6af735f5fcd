package tryton_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
	"github.com/stockweave/stockweave/services/erpwriter/erp/erptest"
	"github.com/stockweave/stockweave/services/erpwriter/erp/tryton"
)

// facts is what test/tryton/up.sh prints.
type facts struct {
	URL, Database, Key, Company, Supplier, Customer string
}

// live reads the facts of a running Tryton, or skips and says so.
func live(t *testing.T) facts {
	t.Helper()
	path := os.Getenv("TRYTON_FACTS")
	if path == "" {
		t.Skip("NOT RUN: the Tryton contract needs TRYTON_FACTS, the facts.json of test/tryton/up.sh")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f facts
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f facts) open(wrap func(http.RoundTripper) http.RoundTripper) *tryton.Adapter {
	c := erp.NewClient(30 * time.Second)
	c.HTTP.Transport = wrap(c.HTTP.Transport)
	return tryton.New(tryton.Config{
		URL: f.URL, Database: f.Database, Key: f.Key, Company: f.Company,
		Supplier: f.Supplier, Customer: f.Customer, Client: c,
	})
}

func same(rt http.RoundTripper) http.RoundTripper { return rt }

// ask reads from Tryton beside the adapter.
func (f facts) ask(t *testing.T, trytonCtx, path string, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+"/"+f.Database+"/rest/model/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.Key)
	req.Header.Set("X-Tryton-Context", base64.URLEncoding.EncodeToString([]byte(trytonCtx)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", path, resp.StatusCode, err, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func domain(s string) string {
	return "d=" + url.QueryEscape(base64.URLEncoding.EncodeToString([]byte(s)))
}

// quantity is what Tryton says a location holds up to today, children excluded.
func (f facts) quantity(t *testing.T, item inventory.Item, place string) inventory.Quantity {
	t.Helper()
	var products []struct{ ID int }
	f.ask(t, `{}`, "product.product?"+domain(`[["code","=",`+quoted(string(item))+`]]`), &products)
	if len(products) != 1 {
		t.Fatalf("%d products %s", len(products), item)
	}
	now := time.Now()
	c, err := json.Marshal(map[string]any{
		"company": 1, "product": products[0].ID, "forecast": false, "with_childs": false,
		"stock_date_end": map[string]any{"__class__": "date", "year": now.Year(), "month": int(now.Month()), "day": now.Day()},
	})
	if err != nil {
		t.Fatal(err)
	}
	var at []struct{ Quantity json.Number }
	f.ask(t, string(c), "stock.location?f=quantity&"+domain(`[["code","=",`+quoted(place)+`]]`), &at)
	if len(at) != 1 {
		t.Fatalf("%d locations %s", len(at), place)
	}
	q, err := inventory.ParseQuantity(at[0].Quantity.String())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string always encodes
	return string(b)
}

func TestContract(t *testing.T) {
	f := live(t)
	erptest.Run(t, erptest.Harness{
		Open: func(_ *testing.T, wrap func(http.RoundTripper) http.RoundTripper) erp.ERP { return f.open(wrap) },
		Quantity: func(t *testing.T, item inventory.Item, place string) inventory.Quantity {
			t.Helper()
			return f.quantity(t, item, place)
		},
		// A person's receipt is one without our reference: an empty one is none.
		Foreign: func(t *testing.T, r erp.Request) {
			t.Helper()
			r.Ref = ""
			a := f.open(same)
			d, err := a.Create(t.Context(), r)
			if err == nil {
				_, err = a.Finish(t.Context(), d)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		Item: "SKU-1", Supplier: "supplier", Customer: "customer", Adjustment: "lost_found",
		Storage: "DC1/storage", State: "DC1/picked", Second: "DC2/storage", Road: "TRANSIT",
		Date: time.Now().Add(-48 * time.Hour).UTC().Format(time.DateOnly),
	})
}

// What Tryton refuses must come back as a person would want to read it.
func TestRefusals(t *testing.T) {
	f := live(t)
	a := f.open(same)
	r := erp.Request{
		Ref: erptest.Ref(), Type: inventory.Receipt, PostingDate: "2026-11-01",
		Lines: []erp.Line{{Item: "SKU-1", From: "supplier", To: "DC1/storage", Quantity: inventory.One}},
	}
	for _, c := range []struct {
		name, code string
		edit       func(*erp.Request)
	}{
		{"a fraction of an indivisible unit", erp.CodeRefused, func(r *erp.Request) { r.Lines[0].Quantity = inventory.One / 2 }},
		{"a bad date", erp.CodeRefused, func(r *erp.Request) { r.PostingDate = "20261101" }},
		{"supplier to customer", erp.CodeUnsupported, func(r *erp.Request) { r.Lines[0].To = "customer" }},
		{"beyond exact numbers", erp.CodeRefused, func(r *erp.Request) { r.Lines[0].Quantity = inventory.MaxQuantity }},
		{"two lines", erp.CodeUnsupported, func(r *erp.Request) { r.Lines = append(r.Lines, r.Lines[0]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := r
			x.Lines = append([]erp.Line(nil), r.Lines...)
			c.edit(&x)
			_, err := a.Create(t.Context(), x)
			var e *erp.Error
			if !errors.As(err, &e) || e.Fate != erp.Permanent || e.Code != c.code {
				t.Fatalf("got %v, want a permanent %s", err, c.code)
			}
		})
	}
	t.Run("a wrong key is nobody's document's fault", func(t *testing.T) {
		g := f
		g.Key = "wrong"
		_, _, err := g.open(same).Find(t.Context(), erptest.Ref())
		var e *erp.Error
		if !errors.As(err, &e) || e.Fate != erp.Unknown {
			t.Fatalf("got %v, want an outage", err)
		}
	})
	t.Run("a date ahead of the ERP's own", func(t *testing.T) {
		x := r
		x.Ref, x.PostingDate = erptest.Ref(), time.Now().Add(36*time.Hour).UTC().Format(time.DateOnly)
		d, err := a.Create(t.Context(), x)
		if err == nil {
			d, err = a.Finish(t.Context(), d)
		}
		if err != nil || d.State != erp.Done {
			t.Fatalf("got %+v, %v", d, err)
		}
	})
}
