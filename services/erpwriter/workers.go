package erpwriter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// planner turns outcomes into postings. The worker acks them before it commits the
// outcomes' offset, so a plan is durable before any ERP is called.
type planner struct {
	codecs  *event.Codecs
	erps    []policy.ERP
	zone    zoneOf
	metrics *metrics
}

func (p *planner) batch(_ context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	var out []*stream.Record
	for _, rec := range recs {
		var o inventory.Outcome
		if err := p.codecs.DecodeOutcome(rec.Value, &o); err != nil {
			dead, err := undecodable(p.codecs, rec, err)
			if err != nil {
				return nil, err
			}
			out = append(out, dead)
			continue
		}
		for _, x := range plan(&o, p.erps, p.zone) {
			made, err := postingRecord(p.codecs, &x, traceOf(rec))
			if err != nil {
				return nil, err
			}
			out = append(out, made)
			p.metrics.planned.WithLabelValues(x.ERP).Inc()
		}
	}
	return out, nil
}

// posting is a worker's part of erp.postings: one ERP's, or all those of no ERP.
type postings struct {
	codecs *event.Codecs
	mine   func(erp string) bool
	post   func(context.Context, *event.Posting) (event.PostingResult, error)
}

// batch posts what one poll brought of a partition. Documents of one key follow
// one another, others go side by side as far as the ERP's limit lets them. It
// returns results for all or an error, and then the whole batch comes again: the
// look-up makes that harmless.
func (p *postings) batch(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	out := make([]*stream.Record, len(recs))
	errs := make([]error, len(recs))
	byKey := map[string][]int{}
	var order []string
	for i, rec := range recs {
		k := string(rec.Key)
		if byKey[k] == nil {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], i)
	}
	var wg sync.WaitGroup
	for _, k := range order {
		wg.Go(func() {
			for _, i := range byKey[k] {
				if out[i], errs[i] = p.one(ctx, recs[i]); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var made []*stream.Record
	for _, rec := range out {
		if rec != nil {
			made = append(made, rec)
		}
	}
	return made, nil
}

// one returns the result of a posting, nil for another ERP's.
func (p *postings) one(ctx context.Context, rec *stream.Record) (*stream.Record, error) {
	var x event.Posting
	if err := p.codecs.DecodePosting(rec.Value, &x); err != nil {
		if !p.mine("") {
			return nil, nil // the worker for what belongs to no ERP reports it, once
		}
		return undecodable(p.codecs, rec, err)
	}
	if !p.mine(x.ERP) {
		return nil, nil
	}
	r, err := p.post(ctx, &x)
	if err != nil {
		return nil, fmt.Errorf("posting %s: %w", x.ID, err)
	}
	return resultRecord(p.codecs, rec.Key, &r, traceOf(rec))
}

// unknownERP is the result of a posting whose ERP is not configured any more: it
// must not wait unseen (Invariant 6).
func unknownERP(m *metrics, now func() time.Time) func(context.Context, *event.Posting) (event.PostingResult, error) {
	return func(_ context.Context, x *event.Posting) (event.PostingResult, error) {
		m.results.WithLabelValues("unknown", event.PostFailed, codeUnknownERP).Inc()
		return event.PostingResult{
			PostingID: x.ID, ERP: x.ERP, Entity: x.Entity, Status: event.PostFailed, Code: codeUnknownERP,
			Reason: fmt.Sprintf("no ERP called %q is configured", x.ERP), At: inventory.Instant(now().UnixMilli()),
		}, nil
	}
}

// undecodable is the dead letter of a record that cannot be read.
func undecodable(c *event.Codecs, rec *stream.Record, err error) (*stream.Record, error) {
	return deadLetter(c, stream.DeadLetter{Record: rec, Code: "undecodable", Reason: cut(err.Error(), maxReason)})
}
