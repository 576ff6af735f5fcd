package simulate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// maxERPDocuments bounds what a simulated ERP remembers.
const maxERPDocuments = 1_000_000

// ERPLine moves a quantity of an item between two places of the ERP.
type ERPLine struct {
	Item     string             `json:"item"`
	From     string             `json:"from"`
	To       string             `json:"to"`
	Quantity inventory.Quantity `json:"-"`
	Amount   string             `json:"quantity"` // Quantity as a plain decimal
}

// ERPDocument is a document of the simulated ERP. Its lines have moved stock only
// once its state is "posted".
type ERPDocument struct {
	ID          int       `json:"id"`
	Number      string    `json:"number"`
	Reference   string    `json:"reference"`
	Business    string    `json:"business,omitempty"`
	Type        string    `json:"type,omitempty"`
	Date        string    `json:"document_date"`
	PostingDate string    `json:"posting_date"`
	Reason      string    `json:"reason,omitempty"`
	Description string    `json:"description,omitempty"`
	State       string    `json:"state"` // draft, posted or cancelled
	Lines       []ERPLine `json:"lines"`
}

// States of a simulated ERP's document.
const (
	ERPDraft     = "draft"
	ERPPosted    = "posted"
	ERPCancelled = "cancelled"
)

// ERPOptions shape a simulated ERP.
type ERPOptions struct {
	// Items, when not empty, are all the items it knows.
	Items []string
	// Places, when not empty, are all the places it knows.
	Places []string
	// AllowTwice accepts a second document under one reference, as many an ERP
	// does; otherwise the second is refused with a conflict.
	AllowTwice bool
	// Key, when set, is the bearer token every request must carry.
	Key string
}

// ERP is an ERP with a ledger of its own, in memory, spoken to over HTTP (it is an
// http.Handler) in two steps like the real ones: a document is created as a draft
// and posted in a call of its own. It is safe for concurrent use.
type ERP struct {
	opts   ERPOptions
	items  map[string]bool
	places map[string]bool
	faults erpFaults

	mu       sync.Mutex
	docs     []*ERPDocument
	byRef    map[string][]*ERPDocument
	balances map[[2]string]inventory.Quantity // item, place
	counters map[string]int
	posted   chan struct{} // closed and replaced at each posting
}

// NewERP makes an empty ERP.
func NewERP(opts ERPOptions) *ERP {
	e := &ERP{
		opts: opts, items: erpSet(opts.Items), places: erpSet(opts.Places),
		byRef: map[string][]*ERPDocument{}, balances: map[[2]string]inventory.Quantity{},
		counters: map[string]int{}, posted: make(chan struct{}),
	}
	return e
}

func erpSet(names []string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// erpRefusal is a business error: the code is stable, the status is HTTP's.
type erpRefusal struct {
	status int
	code   string
	detail string
}

func (r *erpRefusal) Error() string { return r.code + ": " + r.detail }

func erpRefuse(status int, code, format string, args ...any) error {
	return &erpRefusal{status: status, code: code, detail: fmt.Sprintf(format, args...)}
}

// Create enters a draft; the id, number and state of d are its own to give.
func (e *ERP) Create(d ERPDocument) (ERPDocument, error) {
	if d.Reference == "" && d.Business == "" {
		return d, erpRefuse(422, "reference_required", "a document needs a reference")
	}
	if len(d.Lines) == 0 || len(d.Lines) > 1000 {
		return d, erpRefuse(422, "lines_required", "a document has 1 to 1000 lines, not %d", len(d.Lines))
	}
	d.Lines = slices.Clone(d.Lines)
	for i := range d.Lines {
		l := &d.Lines[i]
		q, err := inventory.ParseQuantity(l.Amount)
		switch {
		case err != nil || q <= 0:
			return d, erpRefuse(422, "bad_quantity", "line %d: %q is not a quantity above zero", i+1, l.Amount)
		case e.items != nil && !e.items[l.Item]:
			return d, erpRefuse(422, "unknown_item", "line %d: no item %q", i+1, l.Item)
		case e.places != nil && !e.places[l.From]:
			return d, erpRefuse(422, "unknown_place", "line %d: no place %q", i+1, l.From)
		case e.places != nil && !e.places[l.To]:
			return d, erpRefuse(422, "unknown_place", "line %d: no place %q", i+1, l.To)
		case l.From == l.To || l.From == "" || l.To == "":
			return d, erpRefuse(422, "bad_places", "line %d: moves from %q to %q", i+1, l.From, l.To)
		}
		l.Quantity = q
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.Reference != "" && len(e.byRef[d.Reference]) > 0 && !e.opts.AllowTwice {
		e.counters["refused_twice"]++
		return d, erpRefuse(409, "reference_exists", "reference %q is taken", d.Reference)
	}
	if len(e.docs) >= maxERPDocuments {
		return d, erpRefuse(507, "full", "the ERP holds %d documents already", len(e.docs))
	}
	d.ID = len(e.docs) + 1
	d.Number = "DOC" + strconv.Itoa(100000 + d.ID)[1:]
	d.State = ERPDraft
	e.docs = append(e.docs, &d)
	if d.Reference != "" {
		e.byRef[d.Reference] = append(e.byRef[d.Reference], &d)
	}
	e.counters["created"]++
	return d, nil
}

// Post moves the stock of a draft. Posting twice is refused.
func (e *ERP) Post(id int) (ERPDocument, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, err := e.get(id)
	if err != nil {
		return ERPDocument{}, err
	}
	if d.State != ERPDraft {
		return *d, erpRefuse(409, "not_a_draft", "document %d is %s", id, d.State)
	}
	for _, l := range d.Lines {
		e.balances[[2]string{l.Item, l.From}] -= l.Quantity
		e.balances[[2]string{l.Item, l.To}] += l.Quantity
	}
	d.State = ERPPosted
	e.counters["posted"]++
	close(e.posted)
	e.posted = make(chan struct{})
	return *d, nil
}

// Cancel voids a draft.
func (e *ERP) Cancel(id int) (ERPDocument, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, err := e.get(id)
	if err != nil {
		return ERPDocument{}, err
	}
	if d.State != ERPDraft {
		return *d, erpRefuse(409, "not_a_draft", "document %d is %s", id, d.State)
	}
	d.State = ERPCancelled
	return *d, nil
}

// SetReference puts a reference on a document that has none.
func (e *ERP) SetReference(id int, ref string) (ERPDocument, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d, err := e.get(id)
	if err != nil {
		return ERPDocument{}, err
	}
	if d.Reference != "" || ref == "" || len(e.byRef[ref]) > 0 {
		return *d, erpRefuse(409, "reference_exists", "document %d or reference %q is taken", id, ref)
	}
	d.Reference = ref
	e.byRef[ref] = append(e.byRef[ref], d)
	return *d, nil
}

// get needs the lock.
func (e *ERP) get(id int) (*ERPDocument, error) {
	if id < 1 || id > len(e.docs) {
		return nil, erpRefuse(404, "not_found", "no document %d", id)
	}
	return e.docs[id-1], nil
}

// Documents returns copies in the order of creation, of one reference when it is
// not empty. Reading them moves nothing and is not counted.
func (e *ERP) Documents(ref string) []ERPDocument {
	e.mu.Lock()
	defer e.mu.Unlock()
	from := e.docs
	if ref != "" {
		from = e.byRef[ref]
	}
	out := make([]ERPDocument, len(from))
	for i, d := range from {
		out[i] = *d
	}
	return out
}

// business returns the documents of a business number that have no reference.
func (e *ERP) business(number string) []ERPDocument {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []ERPDocument{}
	for _, d := range e.docs {
		if d.Business == number && d.Reference == "" {
			out = append(out, *d)
		}
	}
	return out
}

// Quantity is the balance of an item at a place, zero when it was never there.
func (e *ERP) Quantity(item, place string) inventory.Quantity {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.balances[[2]string{item, place}]
}

// ERPBalance is the quantity of an item at a place.
type ERPBalance struct {
	Item   string `json:"item"`
	Place  string `json:"place"`
	Amount string `json:"quantity"`
}

// Balances lists every balance that is not zero, by item and place.
func (e *ERP) Balances() []ERPBalance {
	e.mu.Lock()
	defer e.mu.Unlock()
	keys := slices.SortedFunc(maps.Keys(e.balances), func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	out := []ERPBalance{}
	for _, k := range keys {
		if q := e.balances[k]; q != 0 {
			out = append(out, ERPBalance{k[0], k[1], q.String()})
		}
	}
	return out
}

// Counters say how often each thing happened: calls by operation, created,
// posted, refused_twice, and faults by kind.
func (e *ERP) Counters() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.counters)
}

// Changed returns a channel that is closed at the next posting.
func (e *ERP) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.posted
}

func (e *ERP) count(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counters[what]++
}

// asERPRefusal finds the business error in err.
func asERPRefusal(err error) (*erpRefusal, bool) {
	var r *erpRefusal
	ok := errors.As(err, &r)
	return r, ok
}
