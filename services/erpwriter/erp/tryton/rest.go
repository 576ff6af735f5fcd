package tryton

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/stockweave/stockweave/pkg/tryton"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// refusal is a business rule's no.
type refusal = tryton.Refusal

// client speaks through the writer's own HTTP client, whose outages keep their fate.
func client(cfg *Config) *tryton.Client {
	return tryton.New(cfg.URL, cfg.Database, cfg.Key, func(ctx context.Context, method, url string, h http.Header, body []byte) (int, []byte, error) {
		ans, err := cfg.Client.Call(ctx, method, url, h, body)
		return ans.Status, ans.Body, err //nolint:wrapcheck // an erp.Error says its fate
	})
}

// fate gives what no business rule said an erp.Error.
func fate(err error) error {
	if f, ok := errors.AsType[*tryton.FormatError](err); ok && f.Request {
		return erp.Refuse(erp.CodeRefused, "%w", err)
	} else if ok {
		return erp.Block(erp.CodeFault, "%w", err)
	}
	if _, ok := errors.AsType[*tryton.StatusError](err); ok {
		return erp.Block(erp.CodeFault, "%w", err)
	}
	return err
}

// context is what every call says of itself once the company is known.
func (m *master) context() map[string]any {
	// Warnings ask a person; there is none here, and a date that is tomorrow in
	// the ERP's own zone is no reason to stop.
	return map[string]any{"company": m.company, "_skip_warnings": true}
}

// search reads the records of a model that match a domain, at most limit.
func (a *Adapter) search(ctx context.Context, trytonCtx map[string]any, model string, domain any, limit int, fields []string, into any) error {
	return fate(a.rest.Search(ctx, trytonCtx, tryton.Query{Model: model, Domain: domain, Limit: limit, Fields: fields}, into))
}

// write creates, changes or acts: path below the model, and the fields to read
// back.
func (a *Adapter) write(ctx context.Context, trytonCtx map[string]any, method, path string, body any, fields []string, into any) error {
	if body == nil {
		body = struct{}{}
	}
	return fate(a.rest.Call(ctx, trytonCtx, method, path+"?"+url.Values{"f": fields}.Encode(), body, into))
}

type date = tryton.Date

func parseDate(s string) (date, error) {
	d, err := tryton.ParseDate(s)
	if err != nil {
		return date{}, erp.Refuse(erp.CodeRefused, "%w", err)
	}
	return d, nil
}
