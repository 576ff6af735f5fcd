package atpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Kinds of questions to a prover.
const (
	kindExplain = "explain"
	kindAsOf    = "as_of"
)

// prover reads the log for questions that Redis does not answer: a few at a time, by a
// client of its own, so that reads do not wait for it. It is safe for concurrent use.
type prover struct {
	cfg   ExplainConfig
	reads *stream.RestoreReads
	now   func() time.Time
	count *explainMetrics

	mu   sync.Mutex
	open int
	of   map[string]int // how many of them are a caller's
}

func newProver(cfg *Config, env *service.Env) (*prover, error) {
	count, err := newExplainMetrics(env.Metrics)
	if err != nil {
		return nil, err
	}
	reads, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to the log: %w", err)
	}
	return &prover{cfg: cfg.Explain, reads: reads, now: env.Now, count: count, of: map[string]int{}}, nil
}

func (p *prover) close() { p.reads.Close() }

// enter takes a place; leave gives it back.
func (p *prover) enter(caller string) (leave func(), bad *problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case caller != "" && p.of[caller] >= p.cfg.PerCaller:
		return nil, &problem{
			status: http.StatusTooManyRequests, code: "too_many_explains", title: "Too many questions at a time",
			detail: "the log is being read for the caller already",
		}
	case p.open >= p.cfg.AtOnce:
		return nil, &problem{
			status: http.StatusServiceUnavailable, code: "explain_busy", title: "Busy",
			detail: "the log is being read for as many questions as this replica takes",
		}
	}
	p.open++
	p.of[caller]++
	p.count.open.Inc()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
		if p.of[caller]--; p.of[caller] == 0 {
			delete(p.of, caller)
		}
		p.count.open.Dec()
	}, nil
}

// prove answers a caller's question from the log by f.
func (a *api) prove(c echo.Context, kind string, f func(context.Context, *explain.Spent) error) *problem {
	if a.prover == nil {
		return logAway(nil)
	}
	return a.prover.read(c.Request().Context(), kind, caller(c).name(), f)
}

// read answers a question from the log by f, within the bounds.
func (p *prover) read(ctx context.Context, kind, caller string, f func(context.Context, *explain.Spent) error) (bad *problem) {
	defer func() {
		if bad != nil {
			p.count.refused.WithLabelValues(bad.code).Inc()
		}
	}()
	leave, bad := p.enter(caller)
	if bad != nil {
		return bad
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	began, spent := p.now(), &explain.Spent{}
	err := f(ctx, spent)
	p.count.took.WithLabelValues(kind).Observe(p.now().Sub(began).Seconds())
	p.count.records.Add(float64(spent.Records))
	p.count.bytes.Add(float64(spent.Bytes))
	if err == nil {
		return nil
	}
	return unexplained(ctx, err)
}

// unexplained says why the log does not answer.
func unexplained(ctx context.Context, err error) *problem {
	forgotten := (*explain.ForgottenError)(nil)
	switch {
	case errors.As(err, &forgotten):
		return &problem{
			status: http.StatusGone, code: codeLogExpired, title: "Not in the log any more",
			detail: "what happened since is not all in the log any more", cause: err,
		}
	case errors.Is(err, explain.ErrUnknown):
		return &problem{status: http.StatusNotFound, code: codeUnknownItem, title: "Unknown item", detail: "the ledger has no such item"}
	case errors.Is(err, explain.ErrTooMuch):
		return &problem{
			status: http.StatusUnprocessableEntity, code: "too_costly", title: "Too much to read",
			detail: "more of the log would have to be read than one question may cost: ask of a later time",
		}
	case errors.Is(err, explain.ErrUnreadable):
		return &problem{status: http.StatusInternalServerError, code: "unreadable_log", title: "A record of the log cannot be read", cause: err}
	case ctx.Err() != nil:
		return &problem{status: http.StatusServiceUnavailable, code: "explain_timeout", title: "Not read in time", cause: err}
	}
	return logAway(err)
}

func logAway(cause error) *problem {
	return &problem{status: http.StatusServiceUnavailable, code: "log_unavailable", title: "The log does not answer", cause: cause}
}

const codeLogExpired = "log_expired"

// expired is the problem of a past time that the log has forgotten.
type expired struct {
	*problemBody
	Earliest string `json:"earliest"` // time that can be asked for
}

// unproved answers with why the log did not.
func (a *api) unproved(c echo.Context, p *problem) error {
	forgotten := (*explain.ForgottenError)(nil)
	switch {
	case p.status == http.StatusTooManyRequests:
		return a.later(c, p)
	case errors.As(p.cause, &forgotten):
		return a.write(c, p, expired{p.body(), instant(forgotten.Earliest)})
	}
	return a.problem(c, p)
}
