package atpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/hooks"
)

const (
	subscriptionPath = "/v1/subscriptions"
	// logTime bounds what is read and written for one request about subscriptions.
	logTime = 5 * time.Second
	// secretAgain is how long a request sent again with its Idempotency-Key is answered
	// with the secret.
	secretAgain = 24 * time.Hour
)

// webhooks adds the routes. A subscription is its owner's alone: to others it is unknown.
func (a *api) webhooks(e *echo.Echo) {
	write := func(next func(c echo.Context, s *subscribers) error) echo.HandlerFunc {
		return a.authorised(access.SubscriptionsWrite, a.subscribing(next))
	}
	read := func(next func(c echo.Context, s *subscribers) error) echo.HandlerFunc {
		return a.authorised(access.SubscriptionsRead, a.subscribing(next))
	}
	e.POST(subscriptionPath, write(a.subscribe))
	e.GET(subscriptionPath, read(a.subscribed))
	e.GET(subscriptionPath+"/:id", read(a.oneSubscription))
	e.PATCH(subscriptionPath+"/:id", write(a.changeSubscription))
	e.DELETE(subscriptionPath+"/:id", write(a.unsubscribe))
	e.POST(subscriptionPath+"/:id/secret", write(a.rotateSecret))
	e.POST(subscriptionPath+"/:id/test", write(a.testSubscription))
}

func (a *api) subscribing(next func(c echo.Context, s *subscribers) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.subscribers == nil {
			return a.problem(c, &problem{
				status: http.StatusNotFound, code: "subscriptions_off", title: "No subscriptions here", detail: "the service is not configured to send changes",
			})
		}
		return next(c, a.subscribers)
	}
}

func subscriptionsShut(cause error) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, code: "subscriptions_unavailable", title: "No subscriptions now",
		detail: "the log does not answer: send the request again", cause: cause,
	}
}

func unknownSubscription() *problem {
	return &problem{
		status: http.StatusNotFound, code: "unknown_subscription", title: "Unknown subscription", detail: "there is none of this id, or it is not yours",
	}
}

// subscriptionAnswer is a subscription as its owner sees it.
type subscriptionAnswer struct {
	ID             string   `json:"id"`
	URL            string   `json:"url"`
	Description    string   `json:"description,omitempty"`
	Entity         string   `json:"entity"`
	Items          []string `json:"items,omitempty"`
	Location       string   `json:"location,omitempty"`
	Group          string   `json:"group,omitempty"`
	Channel        string   `json:"channel,omitempty"`
	Enabled        bool     `json:"enabled"`
	Status         string   `json:"status"`
	Stopped        string   `json:"stopped,omitempty"`
	FailedAttempts int      `json:"failed_attempts,omitempty"`
	Fault          string   `json:"fault,omitempty"`
	FailingSince   string   `json:"failing_since,omitempty"`
	NextAttempt    string   `json:"next_attempt,omitempty"`
	ReceivedAt     string   `json:"received_at,omitempty"`
	OldSecretUntil string   `json:"old_secret_until,omitempty"`
	CreatedAt      string   `json:"created_at"`
	UpdatedAt      string   `json:"updated_at"`
	Secret         string   `json:"secret,omitempty"` // when it is made, and then no more
}

func (s *subscribers) view(e *hooks.Entry, now time.Time) *subscriptionAnswer {
	es, d := &e.Subscription, &e.Delivery
	v := &subscriptionAnswer{
		ID: es.ID, URL: es.URL, Description: es.Description, Entity: string(es.Entity), Items: es.Items, Location: string(es.Location),
		Group: es.Group, Channel: es.Channel, Enabled: es.Enabled, Status: e.Status(s.may(es)), Stopped: e.Stopped(),
		ReceivedAt: instant(d.Received), CreatedAt: instant(es.CreatedAt), UpdatedAt: instant(es.UpdatedAt),
	}
	if d.Epoch == es.Epoch {
		v.FailedAttempts, v.Fault, v.FailingSince, v.NextAttempt = int(d.Failed), d.Fault, instant(d.Since), instant(d.Next)
	}
	if len(es.Secrets) > 1 && es.Secrets[1].Until > inventory.Instant(now.UnixMilli()) {
		v.OldSecretUntil = instant(es.Secrets[1].Until)
	}
	return v
}

// edit lets one request of this replica change subscriptions at a time, of what is in the
// log by then. leave is to be called when it is done.
func (s *subscribers) edit(ctx context.Context) (edited context.Context, leave func(), bad *problem) {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	select {
	case s.editing <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return nil, nil, subscriptionsShut(ctx.Err())
	}
	leave = func() {
		<-s.editing
		cancel()
	}
	if bad := s.refresh(ctx); bad != nil {
		leave()
		return nil, nil, bad
	}
	return ctx, leave, nil
}

// editOwned is edit of a subscription of the caller's.
func (s *subscribers) editOwned(c echo.Context) (edited context.Context, e *hooks.Entry, leave func(), bad *problem) {
	ctx, leave, bad := s.edit(c.Request().Context())
	if bad != nil {
		return nil, nil, nil, bad
	}
	if e, bad = s.mine(c); bad != nil {
		leave()
		return nil, nil, nil, bad
	}
	return ctx, e, leave, nil
}

// refresh reads what is in the log by now.
func (s *subscribers) refresh(ctx context.Context) *problem {
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	if err := s.log.Refresh(ctx); err != nil {
		return subscriptionsShut(err)
	}
	return nil
}

// owned is a subscription of the caller's, as the log has it now.
func (s *subscribers) owned(c echo.Context) (*hooks.Entry, *problem) {
	if bad := s.refresh(c.Request().Context()); bad != nil {
		return nil, bad
	}
	return s.mine(c)
}

func (s *subscribers) mine(c echo.Context) (*hooks.Entry, *problem) {
	e, ok := s.log.Get(c.Param("id"))
	if !ok || e.Subscription.Owner != partnerOf(c) {
		return nil, unknownSubscription()
	}
	return &e, nil
}

// subscribe answers POST /v1/subscriptions.
func (a *api) subscribe(c echo.Context, s *subscribers) error {
	owner := partnerOf(c)
	key, err := idempotent.Key(c.Request().Header)
	if err != nil {
		return a.problem(c, badRequest("bad_idempotency_key", "%s", err.Error()))
	}
	es, bad := a.readSubscription(c.Request(), s)
	if bad != nil {
		return a.problem(c, bad)
	}
	q := scopeOf(es)
	if bad := caller(c).subscribe(&q); bad != nil {
		return a.problem(c, bad)
	}
	es.Owner, es.Narrow = owner, q.narrow
	if es.ID = idempotent.ID([]byte(rand.Text())); key != "" {
		es.ID = idempotent.ID([]byte("stockweave subscription"), []byte(owner), []byte(key))
	}
	ctx, leave, bad := s.edit(c.Request().Context())
	if bad != nil {
		return a.problem(c, bad)
	}
	defer leave()
	if known, ok := s.log.Get(es.ID); ok {
		if known.Subscription.Request != es.Request {
			return a.problem(c, keyReused())
		}
		return a.subscribedAlready(c, s, &known)
	}
	of, all := s.log.Of(owner)
	if len(of) >= s.cfg.MaxPerCaller || all >= s.cfg.MaxTotal {
		return a.problem(c, &problem{
			status: http.StatusConflict, code: "too_many_subscriptions", title: "Too many subscriptions",
			detail: "remove some: at most " + strconv.Itoa(s.cfg.MaxPerCaller) + " of one caller",
		})
	}
	d, bad := s.start(ctx, es)
	if bad != nil {
		return a.problem(c, bad)
	}
	secret, err := s.keys.Rotate(es, 0)
	if err != nil {
		return a.problem(c, broken(err))
	}
	now := inventory.Instant(a.now().UnixMilli())
	es.Enabled, es.Epoch, es.CreatedAt, es.UpdatedAt = true, 1, now, now
	// Where it stands goes first: without it what changes until it is delivered is missed.
	if err := s.log.SaveDelivery(ctx, d); err != nil {
		return a.problem(c, subscriptionsShut(err))
	}
	if err := s.log.Save(ctx, es); err != nil {
		return a.problem(c, subscriptionsShut(err))
	}
	s.hub.Look()
	v := s.view(&hooks.Entry{Subscription: *es, Delivery: *d}, a.now())
	v.Secret = secret
	return a.showCreated(c, v)
}

func (a *api) showCreated(c echo.Context, v *subscriptionAnswer) error {
	a.count.answers.WithLabelValues("201", "").Inc()
	h := c.Response().Header()
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set(echo.HeaderLocation, subscriptionPath+"/"+v.ID)
	return c.JSON(http.StatusCreated, v)
}

// subscribedAlready answers a request that came again.
func (a *api) subscribedAlready(c echo.Context, s *subscribers, e *hooks.Entry) error {
	v := s.view(e, a.now())
	es := &e.Subscription
	// The first answer was lost, perhaps, and with it the secret; not once it was rotated.
	if len(es.Secrets) == 1 && a.now().Sub(time.UnixMilli(int64(es.CreatedAt))) < secretAgain && s.within(caller(c), es) == nil {
		secret, err := s.keys.Present(es)
		if err != nil {
			return a.problem(c, broken(err))
		}
		v.Secret = secret
	}
	return a.showCreated(c, v)
}

// start is where a new subscription stands: everything that changes from now on is told,
// and of items it names first what is so now.
func (s *subscribers) start(ctx context.Context, es *event.Subscription) (*event.Delivery, *problem) {
	st, bad := s.changes.begin(ctx, streamOf(es))
	if bad != nil {
		if bad.code == "unknown_channel" || bad.code == "unknown_group" {
			bad.pointer = "/" + strings.TrimPrefix(bad.code, "unknown_")
		}
		return nil, bad
	}
	defer st.close()
	now := s.changes.reader.now().UnixMilli()
	return &event.Delivery{
		ID: es.ID, Epoch: 1, Bookmark: st.sent.String(), Sending: slices.Clone(es.Items), At: inventory.Instant(now),
		Number: now, // above all of a subscription that the same key made before
	}, nil
}

// subscribed answers GET /v1/subscriptions.
func (a *api) subscribed(c echo.Context, s *subscribers) error {
	if bad := s.refresh(c.Request().Context()); bad != nil {
		return a.problem(c, bad)
	}
	of, _ := s.log.Of(partnerOf(c))
	out := struct {
		Subscriptions []*subscriptionAnswer `json:"subscriptions"`
	}{[]*subscriptionAnswer{}}
	for _, e := range of {
		out.Subscriptions = append(out.Subscriptions, s.view(e, a.now()))
	}
	return a.said(c, out)
}

// oneSubscription answers GET /v1/subscriptions/{id}.
func (a *api) oneSubscription(c echo.Context, s *subscribers) error {
	e, bad := s.owned(c)
	if bad != nil {
		return a.problem(c, bad)
	}
	return a.said(c, s.view(e, a.now()))
}

// changeSubscription answers PATCH /v1/subscriptions/{id}. To enable one that is stopped,
// or to send it elsewhere, is to begin again from where it stands: with what is so then of
// what has changed since.
func (a *api) changeSubscription(c echo.Context, s *subscribers) error {
	req, bad := a.readChange(c.Request(), s)
	if bad != nil {
		return a.problem(c, bad)
	}
	ctx, e, leave, bad := s.editOwned(c)
	if bad != nil {
		return a.problem(c, bad)
	}
	defer leave()
	es := &e.Subscription
	anew := false
	if req.Description != nil {
		es.Description = *req.Description
	}
	if req.URL != nil && *req.URL != es.URL {
		es.URL, anew = *req.URL, true
	}
	if req.Enabled != nil {
		anew = anew || *req.Enabled && (!es.Enabled || e.Stopped() != "")
		es.Enabled = *req.Enabled
	}
	if anew {
		if bad := s.within(caller(c), es); bad != nil {
			return a.problem(c, bad)
		}
		es.Epoch++
	}
	return a.saveSubscription(ctx, c, s, e, "")
}

// saveSubscription writes what a request changed, and answers it.
func (a *api) saveSubscription(ctx context.Context, c echo.Context, s *subscribers, e *hooks.Entry, secret string) error {
	e.Subscription.UpdatedAt = inventory.Instant(a.now().UnixMilli())
	if err := s.log.Save(ctx, &e.Subscription); err != nil {
		return a.problem(c, subscriptionsShut(err))
	}
	s.hub.Look()
	v := s.view(e, a.now())
	v.Secret = secret
	return a.said(c, v)
}

// unsubscribe answers DELETE /v1/subscriptions/{id}: what is under way may arrive still.
func (a *api) unsubscribe(c echo.Context, s *subscribers) error {
	ctx, e, leave, bad := s.editOwned(c)
	if bad != nil {
		return a.problem(c, bad)
	}
	defer leave()
	if err := s.log.Remove(ctx, e.Subscription.ID); err != nil {
		return a.problem(c, subscriptionsShut(err))
	}
	s.hub.Look()
	a.count.answers.WithLabelValues("204", "").Inc()
	return c.NoContent(http.StatusNoContent)
}

// rotateSecret answers POST /v1/subscriptions/{id}/secret.
func (a *api) rotateSecret(c echo.Context, s *subscribers) error {
	keep, bad := a.readRotation(c.Request(), s)
	if bad != nil {
		return a.problem(c, bad)
	}
	ctx, e, leave, bad := s.editOwned(c)
	if bad != nil {
		return a.problem(c, bad)
	}
	defer leave()
	if bad := s.within(caller(c), &e.Subscription); bad != nil {
		return a.problem(c, bad)
	}
	until := inventory.Instant(0)
	if keep > 0 {
		until = inventory.Instant(a.now().Add(keep).UnixMilli())
	}
	secret, err := s.keys.Rotate(&e.Subscription, until)
	if err != nil {
		return a.problem(c, broken(err))
	}
	return a.saveSubscription(ctx, c, s, e, secret)
}
