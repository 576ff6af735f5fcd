package atpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/services/atpapi/hooks"
)

// testTime bounds an attempt that somebody waits for.
const testTime = 10 * time.Second

// tested is what came of a message that somebody tries.
type tested struct {
	ID       string `json:"id"` // of the message
	Received bool   `json:"received"`
	Status   int    `json:"status,omitempty"`
	Fault    string `json:"fault,omitempty"`
	TookMS   int64  `json:"took_ms"`
}

// testSubscription answers POST /v1/subscriptions/{id}/test: it makes one attempt at a
// message that tells nothing, whatever the subscription's status.
func (a *api) testSubscription(c echo.Context, s *subscribers) error {
	e, bad := s.owned(c)
	if bad != nil {
		return a.problem(c, bad)
	}
	owner := e.Subscription.Owner
	if !s.testing.enter(owner) {
		return a.later(c, &problem{status: http.StatusTooManyRequests, code: "too_many_under_way", title: "Too many requests under way", detail: "one test at a time"})
	}
	defer s.testing.leave(owner)
	id := idempotent.ID([]byte(rand.Text()))
	body, err := hooks.Test(e.Subscription.ID, a.now())
	if err != nil {
		return a.problem(c, unwritable(err))
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), testTime)
	defer cancel()
	r, err := s.hub.Poster().Try(ctx, &e.Subscription, id, body)
	if err != nil {
		return a.later(c, &problem{
			status: http.StatusServiceUnavailable, code: "tests_busy", title: "Busy", detail: "as many tests are under way as this replica makes at a time: nothing was sent",
		})
	}
	return a.said(c, &tested{id, r.Fault == "", r.Status, r.Fault, r.Took.Milliseconds()})
}

// keyed are names that do one thing at a time. It is safe for concurrent use.
type keyed struct {
	mu sync.Mutex
	in map[string]bool
}

func (k *keyed) enter(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.in[name] {
		return false
	}
	if k.in == nil {
		k.in = map[string]bool{}
	}
	k.in[name] = true
	return true
}

func (k *keyed) leave(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.in, name)
}
