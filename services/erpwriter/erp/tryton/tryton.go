// Package tryton posts to a Tryton 8.2 ERP over its REST API
// (/<database>/rest/model/…, user application "rest", Bearer key).
//
// Creating a document and carrying it through its states are separate
// transactions there, so every step is found again by the external reference of
// its move. The module in test/tryton/module adds that field and makes it unique;
// see README.md.
package tryton

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/tryton"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// Config says how to reach a Tryton database.
type Config struct {
	URL      string // of the server, without the database
	Database string
	Key      string // of a validated "rest" user application
	Company  string // party name of the company; empty when there is one only
	Supplier string // party code that stands for suppliers
	Customer string // party code that stands for customers
	Client   *erp.Client
}

// Adapter is an erp.ERP. It is safe for concurrent use.
type Adapter struct {
	cfg  Config
	rest *tryton.Client

	mu     sync.Mutex // held while master is learned
	master *master
}

// New makes an adapter and calls nothing.
func New(cfg Config) *Adapter {
	if cfg.Client == nil {
		cfg.Client = erp.NewClient(0)
	}
	return &Adapter{cfg: cfg, rest: client(&cfg)}
}

// moveRecord is a stock.move as read.
type moveRecord struct {
	ID       int         `json:"id"`
	State    string      `json:"state"`
	Ref      string      `json:"external_ref"`
	Quantity json.Number `json:"quantity"`
	Shipment string      `json:"shipment"` // "model,id", empty for a move by itself
	Product  struct {
		Code string `json:"code"`
	} `json:"product"`
	From struct {
		Code string `json:"code"`
	} `json:"from_location"`
	To struct {
		Code string `json:"code"`
	} `json:"to_location"`
}

func moveFields() []string {
	return []string{"state", "external_ref", "quantity", "shipment", "product.code", "from_location.code", "to_location.code"}
}

// record is what is read back of any document.
type record struct {
	ID      int    `json:"id"`
	State   string `json:"state"`
	Number  string `json:"number"`
	Transit int    `json:"transit_location"`
}

func fieldsOf(model string) []string {
	switch model {
	case modelMove:
		return []string{"state"}
	case modelInternal:
		return []string{"state", "number", "transit_location"}
	}
	return []string{"state", "number"}
}

// Find implements erp.ERP.
func (a *Adapter) Find(ctx context.Context, ref string) (erp.Document, bool, error) {
	m, err := a.load(ctx)
	if err != nil {
		return erp.Document{}, false, err
	}
	var found []moveRecord
	domain := []any{[]any{"external_ref", "=", ref}, []any{"company", "=", m.company}}
	if err := a.search(ctx, m.context(), modelMove, domain, 2, moveFields(), &found); err != nil {
		return erp.Document{}, false, settle(err)
	}
	if len(found) == 0 {
		return erp.Document{}, false, nil
	}
	if found[0].Ref != ref {
		return erp.Document{}, false, erp.Block(erp.CodeFault, "asked for reference %q, got %q", ref, found[0].Ref)
	}
	d, err := a.document(ctx, m, found[0])
	return d, err == nil, err
}

// document completes a move with the shipment around it.
func (a *Adapter) document(ctx context.Context, m *master, mv moveRecord) (erp.Document, error) {
	q, err := quantity(mv.Quantity)
	if err != nil {
		return erp.Document{}, err
	}
	d := erp.Document{
		Handle: modelMove + "," + strconv.Itoa(mv.ID), Number: "move " + strconv.Itoa(mv.ID), State: stateOf(mv.State),
		Lines: []erp.Line{{Item: inventory.Item(mv.Product.Code), From: mv.From.Code, To: mv.To.Code, Quantity: q}},
	}
	if mv.Shipment == "" {
		return d, nil
	}
	model, id, err := parseHandle(mv.Shipment)
	if err != nil {
		return d, err
	}
	r, err := a.read(ctx, m, model, id)
	if err != nil {
		return d, err
	}
	return name(d, model, r), nil
}

// read reads a document of any model.
func (a *Adapter) read(ctx context.Context, m *master, model string, id int) (record, error) {
	var found []record
	if err := a.search(ctx, m.context(), model, []any{[]any{"id", "=", id}}, 1, fieldsOf(model), &found); err != nil {
		return record{}, settle(err)
	}
	if len(found) == 0 {
		return record{}, erp.Block(erp.CodeFault, "%s %d is not there", model, id)
	}
	return found[0], nil
}

// name gives d the handle, number and state of a record.
func name(d erp.Document, model string, r record) erp.Document {
	d.Handle = model + "," + strconv.Itoa(r.ID)
	d.State = stateOf(r.State)
	d.Number = strings.TrimPrefix(model, "stock.") + " "
	if r.Number != "" {
		d.Number += r.Number
	} else {
		d.Number += "#" + strconv.Itoa(r.ID) // a draft has no number yet
	}
	return d
}

// FindBusiness implements erp.ERP: the shipments of the request's kind that carry
// its number as their reference.
func (a *Adapter) FindBusiness(ctx context.Context, r erp.Request) ([]erp.Document, error) {
	m, p, from, to, err := a.resolve(ctx, r)
	if err != nil {
		return nil, err
	}
	model, err := modelFor(from, to)
	if err != nil {
		return nil, err
	}
	ours, theirs, theirType, err := way(model)
	if err != nil || r.Business == "" {
		return nil, nil
	}
	here := to
	if ours == "from_location" {
		here = from
	}
	inside := here.warehouse
	if inside == 0 {
		inside = here.ID
	}
	domain := []any{
		[]any{"shipment.reference", "=", r.Business, model},
		[]any{"external_ref", "=", nil},
		[]any{"company", "=", m.company},
		[]any{"product", "=", p.ID},
		[]any{"state", "!=", "cancelled"},
		[]any{theirs + ".type", "=", theirType},
		[]any{ours, "child_of", []int{inside}, "parent"},
	}
	var found []moveRecord
	if err := a.search(ctx, m.context(), modelMove, domain, 100, moveFields(), &found); err != nil {
		return nil, settle(err)
	}
	var out []erp.Document
	for _, mv := range found {
		d, err := a.document(ctx, m, mv)
		if err != nil {
			return nil, err
		}
		// The move is what is adopted; its own state says whether stock has left or
		// arrived.
		d.Handle = modelMove + "," + strconv.Itoa(mv.ID)
		d.State = stateOf(mv.State)
		out = append(out, d)
	}
	return out, nil
}

// Adopt implements erp.ERP. The module lets nobody change a reference once it is
// set, so of two that adopt one move the second is refused.
func (a *Adapter) Adopt(ctx context.Context, d erp.Document, ref string) error {
	m, err := a.load(ctx)
	if err != nil {
		return err
	}
	_, id, err := parseHandle(d.Handle)
	if err != nil {
		return err
	}
	path := modelMove + "/" + strconv.Itoa(id)
	err = a.write(ctx, m.context(), http.MethodPut, path, map[string]any{"external_ref": ref}, []string{"external_ref"}, nil)
	var no *refusal
	if !errors.As(err, &no) {
		return err
	}
	return fmt.Errorf("%w: %s", erp.ErrExists, no.Message)
}

// Create implements erp.ERP. A request has one line: a posting is one move.
func (a *Adapter) Create(ctx context.Context, r erp.Request) (erp.Document, error) {
	m, p, from, to, err := a.resolve(ctx, r)
	if err != nil {
		return erp.Document{}, err
	}
	model, err := modelFor(from, to)
	if err != nil {
		return erp.Document{}, err
	}
	b, err := body(m, model, r, p, from, to)
	if err != nil {
		return erp.Document{}, err
	}
	var made record
	if err := a.write(ctx, m.context(), http.MethodPost, model, b, fieldsOf(model), &made); err != nil {
		return erp.Document{}, a.taken(ctx, r.Ref, err)
	}
	return name(erp.Document{Lines: r.Lines}, model, made), nil
}

// taken tells the refusal of a reference that is there already from any other,
// without reading the message, which is for people and in their language.
func (a *Adapter) taken(ctx context.Context, ref string, err error) error {
	if _, refused := errors.AsType[*refusal](err); !refused {
		return err
	}
	if _, ok, findErr := a.Find(ctx, ref); findErr != nil {
		return findErr
	} else if ok {
		return erp.ErrExists
	}
	return settle(err)
}

// maxSteps bounds the buttons pressed on one document.
const maxSteps = 10

// Finish implements erp.ERP: it presses one button after the other. Each is a
// transaction of its own, so a crash between leaves a document that the next
// Finish takes up where it stands.
func (a *Adapter) Finish(ctx context.Context, d erp.Document) (erp.Document, error) {
	if d.State == erp.Done {
		return d, nil
	}
	m, err := a.load(ctx)
	if err != nil {
		return d, err
	}
	model, id, err := parseHandle(d.Handle)
	if err != nil {
		return d, err
	}
	r, err := a.read(ctx, m, model, id)
	if err != nil {
		return d, err
	}
	for range maxSteps {
		if d = name(d, model, r); d.State != erp.Open {
			return d, nil
		}
		button, err := next(model, r.State, r.Transit != 0)
		if err != nil {
			return d, err
		}
		before := r
		path := model + "/" + strconv.Itoa(id) + "/" + button
		if err := a.write(ctx, m.context(), http.MethodPost, path, nil, fieldsOf(model), &r); err != nil {
			var no *refusal
			if !errors.As(err, &no) {
				return d, fmt.Errorf("%s on %s: %w", button, d.Number, err)
			}
			// Another hand may have pressed it first.
			now, readErr := a.read(ctx, m, model, id)
			if readErr != nil {
				return d, readErr
			}
			if now.State == before.State {
				return d, erp.Refuse(erp.CodeRefused, "%s on %s: %s", button, d.Number, no.Message)
			}
			r = now
			continue
		}
		if r.State == before.State {
			return d, erp.Block(erp.CodeFault, "%s on %s: it stays %s", button, d.Number, r.State)
		}
	}
	return d, erp.Block(erp.CodeFault, "%s is not done after %d steps", d.Number, maxSteps)
}

// resolve finds the ERP's own records for the request's one line.
func (a *Adapter) resolve(ctx context.Context, r erp.Request) (m *master, p product, from, to location, err error) {
	if len(r.Lines) != 1 {
		return nil, p, from, to, erp.Refuse(erp.CodeUnsupported, "a document has one line, not %d", len(r.Lines))
	}
	l := r.Lines[0]
	if l.Quantity <= 0 || l.Quantity > maxExact {
		return nil, p, from, to, erp.Refuse(erp.CodeRefused, "quantity %s is beyond what the ERP's numbers hold exactly", l.Quantity)
	}
	if m, err = a.load(ctx); err != nil {
		return
	}
	if p, err = a.product(ctx, m, string(l.Item)); err != nil {
		return
	}
	if from, err = a.location(ctx, m, l.From); err != nil {
		return
	}
	to, err = a.location(ctx, m, l.To)
	return
}

// settle gives a plain refusal its fate: permanent.
func settle(err error) error {
	if _, refused := errors.AsType[*refusal](err); refused {
		return &erp.Error{Fate: erp.Permanent, Code: erp.CodeRefused, Err: err}
	}
	return err
}

// maxExact is the largest quantity that Tryton's binary floats hold to its last
// digit: 15 significant ones.
const maxExact inventory.Quantity = 999_999_999_999_999

// number is a quantity as a JSON number.
func number(q inventory.Quantity) json.Number { return json.Number(q.String()) }

func quantity(n json.Number) (inventory.Quantity, error) {
	q, err := inventory.ParseQuantity(n.String())
	if err != nil {
		return 0, erp.Block(erp.CodeFault, "reading quantity %q: %w", n, err)
	}
	return q, nil
}

func parseHandle(h string) (model string, id int, err error) {
	model, n, ok := strings.Cut(h, ",")
	if id, err = strconv.Atoi(n); !ok || err != nil {
		return "", 0, erp.Block(erp.CodeFault, "%q is no reference to a record", h)
	}
	return model, id, nil
}
