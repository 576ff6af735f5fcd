package road

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/test/harness"
)

// books reads Tryton over its REST API, apart from the product's adapter.
type books struct {
	URL, Database, Key string
	Products           []string
}

func openBooks(t *testing.T, erp *harness.ERP) *books {
	t.Helper()
	b := &books{}
	facts(t, erp.Facts, b)
	b.URL = erp.URL
	return b
}

// search reads fields of the records of a model that match a domain.
func (b *books) search(t *testing.T, model string, context map[string]any, domain []any, fields []string, into any) {
	t.Helper()
	coded := func(v any) string {
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.URLEncoding.EncodeToString(j)
	}
	q := url.Values{"d": {coded(domain)}, "f": fields}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/"+b.Database+"/rest/model/"+model+"?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.Key)
	req.Header.Set("X-Tryton-Context", coded(context))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("reading %s: status %d, %v: %s", model, resp.StatusCode, err, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatalf("reading %s: %v: %s", model, err, body)
	}
}

// quantity is what Tryton's own figures say that a location holds of a product
// when everything done is counted, whatever its date.
func (b *books) quantity(t *testing.T, product, location string) string {
	t.Helper()
	var products, companies []struct{ ID int }
	b.search(t, "product.product", map[string]any{}, []any{[]any{"code", "=", product}}, []string{"code"}, &products)
	b.search(t, "company.company", map[string]any{}, []any{}, []string{"currency"}, &companies)
	if len(products) != 1 || len(companies) != 1 {
		t.Fatalf("%d products %s, %d companies", len(products), product, len(companies))
	}
	var found []struct{ Quantity json.Number }
	b.search(t, "stock.location", map[string]any{
		"company": companies[0].ID, "product": products[0].ID, "forecast": false, "with_childs": false,
		"stock_date_end": map[string]any{"__class__": "date", "year": 2999, "month": 1, "day": 1},
	}, []any{[]any{"code", "=", location}}, []string{"quantity"}, &found)
	if len(found) != 1 {
		t.Fatalf("%d locations %s", len(found), location)
	}
	return strings.TrimSuffix(found[0].Quantity.String(), ".0")
}

// document is a stock move in Tryton.
type document struct {
	Ref             string // our posting's id; empty for what was there before
	Kind            string // the document around the move
	Item, From, To  string
	Quantity, State string
	Date            string // on which it counts
}

// documents lists all moves there are, drafts and cancelled ones too.
func (b *books) documents(t *testing.T) []document {
	t.Helper()
	var moves []struct {
		Ref      *string `json:"external_ref"`
		State    string
		Quantity json.Number
		Shipment *string
		Date     struct{ Year, Month, Day int } `json:"effective_date"`
		Product  struct{ Code string }
		From     struct{ Code string } `json:"from_location"`
		To       struct{ Code string } `json:"to_location"`
	}
	b.search(t, "stock.move", map[string]any{}, []any{}, []string{
		"external_ref", "state", "quantity", "shipment", "effective_date", "product.code", "from_location.code", "to_location.code",
	}, &moves)
	all := make([]document, 0, len(moves))
	for _, m := range moves {
		d := document{
			Kind: "move", Item: m.Product.Code, From: m.From.Code, To: m.To.Code,
			Quantity: strings.TrimSuffix(m.Quantity.String(), ".0"), State: m.State,
			Date: fmt.Sprintf("%04d-%02d-%02d", m.Date.Year, m.Date.Month, m.Date.Day),
		}
		if m.Ref != nil {
			d.Ref = *m.Ref
		}
		if m.Shipment != nil && *m.Shipment != "" {
			d.Kind, _, _ = strings.Cut(strings.TrimPrefix(*m.Shipment, "stock."), ",")
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(x, y document) int { return strings.Compare(x.Ref+x.said(), y.Ref+y.said()) })
	return all
}

// said is the document without our reference.
func (d document) said() string {
	return strings.Join([]string{d.Kind, d.Item, d.Quantity, d.From, "→", d.To, d.State, d.Date}, " ")
}
