package erpwriter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// Codes of results that the poster itself decides.
const (
	codeUnmapped   = "erp_unmapped_place" // the policy names no ERP place for it
	codeSamePlace  = "erp_same_place"     // both ends are one place in the ERP by now
	codeUnknownERP = "erp_unknown"        // planned for an ERP that is not configured
)

// maxRecent bounds the results a poster remembers.
const maxRecent = 10_000

// maxReason bounds what an ERP's own words may add to a result.
const maxReason = 500

// poster posts to one ERP. It holds nothing that is needed for correctness: what
// is posted is known to the ERP, and asked of it (Invariant 6).
type poster struct {
	name    string
	erp     erp.ERP
	policy  *policy.ERP
	cfg     *Config
	breaker *breaker
	slots   chan struct{} // documents, so calls, under way
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
	recent  recent
}

// post sees a posting through to a result. It returns an error only when ctx is
// done: an ERP that is away is waited for, and the order behind it kept.
func (p *poster) post(ctx context.Context, x *event.Posting) (event.PostingResult, error) {
	if r, ok := p.recent.get(x.ID); ok {
		return r, nil // redelivered to the process that has the answer
	}
	result := event.PostingResult{PostingID: x.ID, ERP: x.ERP, Entity: x.Entity}
	req, err := request(x, p.policy)
	if err != nil {
		return p.close(result, erp.Document{}, event.PostFailed, err), nil
	}
	started := p.now()
	refused := 0
	for attempt := 1; ; attempt++ {
		result.Attempts = int32(min(attempt, 1<<30))
		d, status, err := p.attempt(ctx, req)
		if err == nil {
			p.metrics.took.WithLabelValues(p.name).Observe(p.now().Sub(started).Seconds())
			return p.close(result, d, status, nil), nil
		}
		if ctx.Err() != nil {
			return result, ctx.Err()
		}
		fate, code, after := judge(err)
		if fate == erp.Blocked {
			refused++
		}
		if fate == erp.Permanent || refused >= p.cfg.MaxRefusals {
			return p.close(result, erp.Document{}, event.PostFailed, err), nil
		}
		p.metrics.retries.WithLabelValues(p.name, code).Inc()
		p.log.Warn("posting is tried again", slog.String("erp", p.name), slog.String("posting_id", x.ID),
			slog.Int("attempt", attempt), slog.String("code", code), slog.Any("err", err))
		wait := max(after, backoff(attempt, p.cfg.FirstWait, p.cfg.MostWait, rand.Float64()))
		if err := sleep(ctx, wait); err != nil {
			return result, err
		}
	}
}

// attempt makes one try under the ERP's limits.
func (p *poster) attempt(ctx context.Context, req erp.Request) (erp.Document, string, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return erp.Document{}, "", ctx.Err()
	}
	defer func() { <-p.slots }()
	if err := p.breaker.enter(ctx); err != nil {
		return erp.Document{}, "", err
	}
	d, status, err := p.once(ctx, req)
	fate, _, _ := judge(err)
	p.breaker.leave(err != nil && fate == erp.Unknown && ctx.Err() == nil)
	return d, status, err
}

// once looks the document up and does what is missing. It is safe to repeat after
// any failure at any point.
func (p *poster) once(ctx context.Context, req erp.Request) (erp.Document, string, error) {
	// Invariant 6: nothing is created before the ERP was asked for it, under our
	// own reference and under the business document's.
	d, found, err := p.erp.Find(ctx, req.Ref)
	if err != nil {
		return d, "", asOutage(err)
	}
	status := event.Posted
	if !found {
		if d, found, err = p.adopt(ctx, req); err != nil {
			return d, "", err
		}
	}
	if !found {
		d, err = p.erp.Create(ctx, req)
		if errors.Is(err, erp.ErrExists) { // somebody was between the look-up and us
			if d, found, err = p.erp.Find(ctx, req.Ref); err == nil && !found {
				err = erp.Block(erp.CodeFault, "reference %s is taken, but no document has it", req.Ref)
			}
		}
		if err != nil {
			return d, "", err
		}
	}
	switch {
	case d.State == erp.Cancelled:
		return d, "", erp.Refuse(erp.CodeCancelled, "document %s has been cancelled in the ERP", d.Number)
	case !erp.SameGoods(d.Lines, req.Lines):
		return d, "", erp.Refuse(erp.CodeConflict, "document %s has our reference and other goods", d.Number)
	case d.State == erp.Done && found:
		return d, event.AlreadyPosted, nil
	case d.State == erp.Done: // an ERP without drafts
		return d, status, nil
	}
	if d, err = p.erp.Finish(ctx, d); err != nil {
		return d, "", err
	}
	if d.State != erp.Done {
		return d, "", erp.Block(erp.CodeFault, "document %s is %s after posting", d.Number, d.State)
	}
	return d, status, nil
}

// adopt looks for a document that somebody else entered for the same business
// document, and takes it for this posting. One that says something else is for a
// person: posting beside it would count the goods twice.
func (p *poster) adopt(ctx context.Context, req erp.Request) (erp.Document, bool, error) {
	if !p.cfg.BusinessLookup || req.Business == "" || !hasBusiness(req.Type) {
		return erp.Document{}, false, nil
	}
	docs, err := p.erp.FindBusiness(ctx, req)
	if err != nil {
		return erp.Document{}, false, asOutage(err)
	}
	for _, d := range docs {
		if d.State != erp.Done || !erp.SameGoods(d.Lines, req.Lines) {
			continue
		}
		if err := p.erp.Adopt(ctx, d, req.Ref); err != nil {
			if errors.Is(err, erp.ErrExists) {
				err = erp.Block(erp.CodeFault, "document %s was taken by another posting", d.Number)
			}
			return d, false, err
		}
		return d, true, nil
	}
	if len(docs) > 0 {
		return docs[0], false, erp.Refuse(erp.CodeBusinessDiffer,
			"document %s, not ours, has number %s and is open or says another quantity", docs[0].Number, req.Business)
	}
	return erp.Document{}, false, nil
}

// hasBusiness reports whether the ERP's own people may have entered a movement of
// this type under the document's number.
func hasBusiness(t inventory.MovementType) bool {
	return t == inventory.Receipt || t == inventory.Ship || t == inventory.ReturnReceipt || t == inventory.ReturnToVendor
}

// close makes the result final.
func (p *poster) close(r event.PostingResult, d erp.Document, status string, err error) event.PostingResult {
	r.Status, r.Reference = status, d.Number
	if err != nil {
		_, r.Code, _ = judge(err)
		r.Reason = cut(err.Error(), maxReason)
	}
	r.At = inventory.Instant(p.now().UnixMilli())
	p.metrics.results.WithLabelValues(p.name, status, r.Code).Inc()
	p.recent.put(r)
	return r
}

// judge reads an error's fate, code and how long the ERP asked to wait.
func judge(err error) (erp.Fate, string, time.Duration) {
	if e, ok := errors.AsType[*erp.Error](err); ok {
		return e.Fate, e.Code, e.RetryAfter
	}
	return erp.Unknown, erp.CodeUnreachable, 0
}

// asOutage is for look-ups: one that fails is no verdict on the document, so it
// never uses up the document's own attempts.
func asOutage(err error) error {
	fate, code, after := judge(err)
	if fate == erp.Blocked {
		return erp.Outage(code, after, err)
	}
	return err
}

// cut shortens s to at most n bytes, at a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// request puts a posting into the ERP's own places.
func request(x *event.Posting, e *policy.ERP) (erp.Request, error) {
	r := erp.Request{
		Ref: x.ID, Entity: x.Entity, Type: x.Type,
		Business: x.Document.Number, BusinessType: x.Document.Type,
		DocumentDate: x.DocumentDate, PostingDate: x.PostingDate, Reason: x.Reason,
		Description: fmt.Sprintf("%s %s %s", x.Source, x.Document.Type, x.Document.Number),
	}
	for _, l := range x.Lines {
		from, ok := e.Place(l.From)
		if !ok {
			return r, erp.Refuse(codeUnmapped, "the policy names no ERP place for %s", placeName(l.From))
		}
		to, ok := e.Place(l.To)
		if !ok {
			return r, erp.Refuse(codeUnmapped, "the policy names no ERP place for %s", placeName(l.To))
		}
		if from == to {
			return r, erp.Refuse(codeSamePlace, "%s and %s are both %s", placeName(l.From), placeName(l.To), from)
		}
		r.Lines = append(r.Lines, erp.Line{Item: l.Item, From: from, To: to, Quantity: l.Quantity, Unit: e.Unit(l.Unit)})
	}
	return r, nil
}

// recent remembers the last results: an optimisation for redelivered records, and
// nothing else. It is safe for concurrent use.
type recent struct {
	mu   sync.Mutex
	byID map[string]event.PostingResult
	ring []string
	next int
}

func (r *recent) get(id string) (event.PostingResult, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x, ok := r.byID[id]
	return x, ok
}

func (r *recent) put(x event.PostingResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID = map[string]event.PostingResult{}
	}
	if _, known := r.byID[x.PostingID]; !known {
		if len(r.ring) < maxRecent {
			r.ring = append(r.ring, x.PostingID)
		} else {
			delete(r.byID, r.ring[r.next])
			r.ring[r.next] = x.PostingID
			r.next = (r.next + 1) % maxRecent
		}
	}
	r.byID[x.PostingID] = x
}
