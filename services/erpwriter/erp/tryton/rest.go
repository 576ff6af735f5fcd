package tryton

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// call makes one request to the REST API of Tryton 8.2 and decodes a good answer.
// A business rule's refusal comes back as *refusal, anything else as an erp.Error.
func (a *Adapter) call(ctx context.Context, trytonCtx map[string]any, method, path string, body, into any) error {
	var b []byte
	var err error
	if body != nil {
		if b, err = json.Marshal(body); err != nil {
			return erp.Refuse(erp.CodeRefused, "encoding the request: %w", err)
		}
	}
	c, err := json.Marshal(trytonCtx)
	if err != nil {
		return erp.Refuse(erp.CodeRefused, "encoding the context: %w", err)
	}
	h := http.Header{
		"Authorization":    {"Bearer " + a.cfg.Key},
		"Content-Type":     {"application/json"},
		"X-Tryton-Context": {base64.URLEncoding.EncodeToString(c)},
	}
	ans, err := a.cfg.Client.Call(ctx, method, a.base+path, h, b)
	if err != nil {
		return err
	}
	switch ans.Status {
	case http.StatusOK:
		if into == nil {
			return nil
		}
		if err := json.Unmarshal(ans.Body, into); err != nil {
			return erp.Block(erp.CodeFault, "reading the answer: %w", err)
		}
		return nil
	case http.StatusBadRequest:
		// A business rule said no; the message is in the key's user's language.
		var p struct{ Message, Description string }
		if json.Unmarshal(ans.Body, &p) == nil && p.Message != "" {
			return &refusal{strings.TrimSpace(p.Message + " " + p.Description)}
		}
		return erp.Block(erp.CodeFault, "status 400 without a message")
	case http.StatusForbidden:
		// What an action answers for a closed period, too, without a message.
		return &refusal{"forbidden: the stock period is closed, or the key's user may not do this"}
	}
	// 500 is HTML: a fault inside the ERP, or a field this version does not have.
	return erp.Block(erp.CodeFault, "status %d", ans.Status)
}

// refusal is a business rule's no.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }

// context is what every call says of itself once the company is known.
func (m *master) context() map[string]any {
	// Warnings ask a person; there is none here, and a date that is tomorrow in
	// the ERP's own zone is no reason to stop.
	return map[string]any{"company": m.company, "_skip_warnings": true}
}

// search reads the records of a model that match a domain, at most limit.
func (a *Adapter) search(ctx context.Context, trytonCtx map[string]any, model string, domain any, limit int, fields []string, into any) error {
	d, err := json.Marshal(domain)
	if err != nil {
		return erp.Refuse(erp.CodeRefused, "encoding the domain: %w", err)
	}
	q := url.Values{"f": fields, "s": {strconv.Itoa(limit)}, "d": {base64.URLEncoding.EncodeToString(d)}}
	if err := a.call(ctx, trytonCtx, http.MethodGet, model+"?"+q.Encode(), nil, into); err != nil {
		return fmt.Errorf("reading %s: %w", model, err)
	}
	return nil
}

// write creates, changes or acts: path below the model, and the fields to read
// back.
func (a *Adapter) write(ctx context.Context, trytonCtx map[string]any, method, path string, body any, fields []string, into any) error {
	if body == nil {
		body = struct{}{}
	}
	return a.call(ctx, trytonCtx, method, path+"?"+url.Values{"f": fields}.Encode(), body, into)
}

// date is a day as Tryton's JSON writes it.
type date struct {
	Class string `json:"__class__"`
	Year  int    `json:"year"`
	Month int    `json:"month"`
	Day   int    `json:"day"`
}

func parseDate(s string) (date, error) {
	var y, m, d int
	if _, err := fmt.Sscanf(s, "%4d-%2d-%2d", &y, &m, &d); err != nil || len(s) != len("2006-01-02") {
		return date{}, erp.Refuse(erp.CodeRefused, "%q is not a date", s)
	}
	return date{"date", y, m, d}, nil
}
