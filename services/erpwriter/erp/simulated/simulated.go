// Package simulated speaks to the simulated ERP: the plainest adapter, and the one
// the contract is read from.
package simulated

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// Config says how to reach it.
type Config struct {
	URL    string
	Key    string
	Client *erp.Client
}

// Adapter is an erp.ERP. It is safe for concurrent use.
type Adapter struct {
	cfg    Config
	header http.Header
}

// New makes an adapter and calls nothing.
func New(cfg Config) *Adapter {
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	if cfg.Client == nil {
		cfg.Client = erp.NewClient(0)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if cfg.Key != "" {
		h.Set("Authorization", "Bearer "+cfg.Key)
	}
	return &Adapter{cfg: cfg, header: h}
}

type line struct {
	Item     string `json:"item"`
	From     string `json:"from"`
	To       string `json:"to"`
	Quantity string `json:"quantity"`
}

type document struct {
	ID          int    `json:"id,omitempty"`
	Number      string `json:"number,omitempty"`
	State       string `json:"state,omitempty"`
	Reference   string `json:"reference"`
	Business    string `json:"business,omitempty"`
	Type        string `json:"type,omitempty"`
	Date        string `json:"document_date"`
	PostingDate string `json:"posting_date"`
	Reason      string `json:"reason,omitempty"`
	Description string `json:"description,omitempty"`
	Lines       []line `json:"lines"`
}

// Find implements erp.ERP.
func (a *Adapter) Find(ctx context.Context, ref string) (erp.Document, bool, error) {
	var found []document
	if err := a.call(ctx, http.MethodGet, "/documents?reference="+url.QueryEscape(ref), nil, &found); err != nil {
		return erp.Document{}, false, fmt.Errorf("finding a document: %w", err)
	}
	if len(found) == 0 {
		return erp.Document{}, false, nil
	}
	if found[0].Reference != ref {
		// An answer to another question is no answer; ask again.
		return erp.Document{}, false, erp.Block(erp.CodeFault, "finding a document: asked for %q, got %q", ref, found[0].Reference)
	}
	d, err := read(found[0])
	return d, true, err
}

// FindBusiness implements erp.ERP.
func (a *Adapter) FindBusiness(ctx context.Context, r erp.Request) ([]erp.Document, error) {
	if r.Business == "" {
		return nil, nil
	}
	var found []document
	if err := a.call(ctx, http.MethodGet, "/documents?business="+url.QueryEscape(r.Business), nil, &found); err != nil {
		return nil, fmt.Errorf("finding a business document: %w", err)
	}
	var out []erp.Document
	for _, f := range found {
		d, err := read(f)
		if err != nil {
			return nil, err
		}
		if f.Business == r.Business && f.Type == string(r.Type) && d.State != erp.Cancelled && sameWay(d.Lines, r.Lines) {
			out = append(out, d)
		}
	}
	return out, nil
}

func sameWay(a, b []erp.Line) bool {
	return slices.EqualFunc(a, b, func(x, y erp.Line) bool {
		return x.Item == y.Item && x.From == y.From && x.To == y.To
	})
}

// Adopt implements erp.ERP.
func (a *Adapter) Adopt(ctx context.Context, d erp.Document, ref string) error {
	body := map[string]string{"reference": ref}
	if err := a.call(ctx, http.MethodPost, "/documents/"+d.Handle+"/reference", body, nil); err != nil {
		return fmt.Errorf("adopting document %s: %w", d.Number, err)
	}
	return nil
}

// Create implements erp.ERP.
func (a *Adapter) Create(ctx context.Context, r erp.Request) (erp.Document, error) {
	d := document{
		Reference: r.Ref, Business: r.Business, Type: string(r.Type), Date: r.DocumentDate,
		PostingDate: r.PostingDate, Reason: r.Reason, Description: r.Description,
	}
	for _, l := range r.Lines {
		d.Lines = append(d.Lines, line{string(l.Item), l.From, l.To, l.Quantity.String()})
	}
	var made document
	if err := a.call(ctx, http.MethodPost, "/documents", d, &made); err != nil {
		return erp.Document{}, fmt.Errorf("creating a document: %w", err)
	}
	return read(made)
}

// Finish implements erp.ERP.
func (a *Adapter) Finish(ctx context.Context, d erp.Document) (erp.Document, error) {
	if d.State == erp.Done {
		return d, nil
	}
	var done document
	if err := a.call(ctx, http.MethodPost, "/documents/"+d.Handle+"/post", nil, &done); err != nil {
		return d, fmt.Errorf("posting document %s: %w", d.Number, err)
	}
	return read(done)
}

func (a *Adapter) call(ctx context.Context, method, path string, body, into any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return erp.Refuse(erp.CodeRefused, "encoding the request: %w", err)
		}
	}
	ans, err := a.cfg.Client.Call(ctx, method, a.cfg.URL+path, a.header, b)
	if err != nil {
		return err
	}
	if ans.Status == http.StatusOK {
		if into == nil {
			return nil
		}
		if err := json.Unmarshal(ans.Body, into); err != nil {
			return erp.Block(erp.CodeFault, "reading the answer: %w", err)
		}
		return nil
	}
	var p struct{ Code, Detail string }
	if json.Unmarshal(ans.Body, &p) != nil || p.Code == "" {
		return erp.Block(erp.CodeFault, "status %d", ans.Status)
	}
	switch p.Code {
	case "reference_exists":
		return erp.ErrExists
	case "unknown_item":
		return erp.Refuse(erp.CodeUnknownItem, "%s", p.Detail)
	case "unknown_place":
		return erp.Refuse(erp.CodeUnknownPlace, "%s", p.Detail)
	case "not_a_draft", "locked":
		// Somebody else was faster, or cancelled it: the next look-up tells.
		return erp.Block("erp_"+p.Code, "%s", p.Detail)
	}
	return erp.Refuse(erp.CodeRefused, "%s: %s", p.Code, p.Detail)
}

func read(d document) (erp.Document, error) {
	out := erp.Document{Handle: strconv.Itoa(d.ID), Number: d.Number}
	switch d.State {
	case "draft":
		out.State = erp.Open
	case "posted":
		out.State = erp.Done
	case "cancelled":
		out.State = erp.Cancelled
	default:
		return out, erp.Block(erp.CodeFault, "document %s is in state %q", d.Number, d.State)
	}
	for _, l := range d.Lines {
		q, err := inventory.ParseQuantity(l.Quantity)
		if err != nil {
			return out, erp.Block(erp.CodeFault, "document %s has quantity %q: %w", d.Number, l.Quantity, err)
		}
		out.Lines = append(out.Lines, erp.Line{Item: inventory.Item(l.Item), From: l.From, To: l.To, Quantity: q})
	}
	return out, nil
}
