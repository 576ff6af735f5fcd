package tryton

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// maxDepth bounds the walk from a location up to its warehouse.
const maxDepth = 16

// master is what the adapter has learned of the ERP's own records. Ids never
// change, so what is known stays known; what is missing is asked for again.
type master struct {
	company  int
	currency int
	supplier party
	customer party

	mu        sync.Mutex
	products  map[string]product
	locations map[string]location // by code
}

type party struct {
	ID        int   `json:"id"`
	Addresses []int `json:"addresses"`
}

type product struct {
	ID   int             `json:"id"`
	Code string          `json:"code"`
	Unit int             `json:"default_uom"`
	Cost json.RawMessage `json:"cost_price"`
}

type location struct {
	ID     int    `json:"id"`
	Code   string `json:"code"`
	Type   string `json:"type"`
	Parent int    `json:"parent"`

	warehouse int // 0: none
}

// load learns the company and the parties once; a failure is tried again at the
// next call.
func (a *Adapter) load(ctx context.Context) (*master, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.master != nil {
		return a.master, nil
	}
	m := &master{products: map[string]product{}, locations: map[string]location{}}
	domain := []any{}
	if a.cfg.Company != "" {
		domain = append(domain, []any{"party.name", "=", a.cfg.Company})
	}
	var companies []struct{ ID, Currency int }
	if err := a.search(ctx, nil, "company.company", domain, 2, []string{"currency"}, &companies); err != nil {
		return nil, setUp(err)
	}
	if len(companies) != 1 {
		return nil, erp.Outage(codeSetUp, 0, &refusal{Message: "not exactly one company called " + quote(a.cfg.Company)})
	}
	m.company, m.currency = companies[0].ID, companies[0].Currency
	for _, p := range []struct {
		code string
		into *party
	}{{a.cfg.Supplier, &m.supplier}, {a.cfg.Customer, &m.customer}} {
		var found []party
		if err := a.search(ctx, m.context(), "party.party", []any{[]any{"code", "=", p.code}}, 1, []string{"addresses"}, &found); err != nil {
			return nil, setUp(err)
		}
		if len(found) == 0 || len(found[0].Addresses) == 0 {
			return nil, erp.Outage(codeSetUp, 0, &refusal{Message: "no party with an address has code " + quote(p.code)})
		}
		*p.into = found[0]
	}
	a.master = m
	return m, nil
}

// codeSetUp says that the connection's own configuration does not fit the ERP: no
// document's fault, so it is waited for.
const codeSetUp = "erp_setup"

// setUp makes a refusal met while learning an outage.
func setUp(err error) error {
	if _, refused := errors.AsType[*refusal](err); refused {
		return erp.Outage(codeSetUp, 0, err)
	}
	return err
}

func quote(s string) string { return `"` + s + `"` }

// product finds a product by its code, which is our item.
func (a *Adapter) product(ctx context.Context, m *master, code string) (product, error) {
	m.mu.Lock()
	p, ok := m.products[code]
	m.mu.Unlock()
	if ok {
		return p, nil
	}
	var found []product
	err := a.search(ctx, m.context(), "product.product", []any{[]any{"code", "=", code}}, 2,
		[]string{"code", "default_uom", "cost_price"}, &found)
	if err != nil {
		return p, settle(err)
	}
	if len(found) != 1 {
		return p, erp.Refuse(erp.CodeUnknownItem, "%d products have code %q", len(found), code)
	}
	if string(found[0].Cost) == "null" || len(found[0].Cost) == 0 {
		found[0].Cost = json.RawMessage(`{"__class__":"Decimal","decimal":"0"}`)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.products[code] = found[0]
	return found[0], nil
}

// location finds a location by its code, and the warehouse it lies in.
func (a *Adapter) location(ctx context.Context, m *master, code string) (location, error) {
	m.mu.Lock()
	l, ok := m.locations[code]
	m.mu.Unlock()
	if ok {
		return l, nil
	}
	fields := []string{"code", "type", "parent"}
	var found []location
	if err := a.search(ctx, m.context(), "stock.location", []any{[]any{"code", "=", code}}, 2, fields, &found); err != nil {
		return l, settle(err)
	}
	if len(found) != 1 {
		return l, erp.Refuse(erp.CodeUnknownPlace, "%d locations have code %q", len(found), code)
	}
	l = found[0]
	for at, depth := l, 0; at.Parent != 0 && depth < maxDepth; depth++ {
		var up []location
		if err := a.search(ctx, m.context(), "stock.location", []any{[]any{"id", "=", at.Parent}}, 1, fields, &up); err != nil {
			return l, settle(err)
		}
		if len(up) == 0 {
			break
		}
		at = up[0]
		if at.Type == "warehouse" {
			l.warehouse = at.ID
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locations[code] = l
	return l, nil
}
