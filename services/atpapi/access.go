package atpapi

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/lease"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// porter says who may come in, and how often. It is safe for concurrent use.
type porter struct {
	now     atomic.Pointer[admission]
	own     []access.Principal // keys of the configuration
	asks    bool               // for a credential, though there may be nobody who has one
	fetch   access.Fetch       // the keys of issuers
	clock   func() time.Time
	limiter *limit.Limiter
	leases  *lease.Leases // of the rates, shared by all replicas; nil: each has them for itself
	log     *slog.Logger
}

// newPorter knows the principals of the policies and, as principals of their own, the
// keys of the configuration, which read everything. Where there is neither, and none
// is asked for, it is open: Config.Validate has seen that the address is a loopback.
func newPorter(cfg *Config, fetch access.Fetch, log *slog.Logger, now func() time.Time) (*porter, error) {
	own, err := keyPrincipals(cfg.Keys)
	if err != nil {
		return nil, err
	}
	p := &porter{own: own, asks: cfg.Principals, fetch: fetch, clock: now, limiter: limit.New(0, now), log: log}
	return p, p.permit(&cfg.Access)
}

// keyPrincipals are the keys of the configuration. Several of one name are one
// principal's, and a key that stands there twice is that of the first.
func keyPrincipals(keys []Key) ([]access.Principal, error) {
	scopes, err := access.ParseScopes([]string{string(access.ATPRead), string(access.ATPExplain), string(access.ReservationsRead)})
	if err != nil {
		return nil, err //nolint:wrapcheck // it says all
	}
	var out []access.Principal
	at := map[string]int{}
	seen := map[[32]byte]bool{}
	for _, k := range keys {
		b, err := hex.DecodeString(k.SHA256)
		if err != nil || len(b) != 32 {
			return nil, errors.New("api key hash is not 64 hex digits")
		}
		hash := [32]byte(b)
		if seen[hash] {
			continue
		}
		seen[hash] = true
		i, ok := at[k.Name]
		if !ok {
			i = len(out)
			at[k.Name], out = i, append(out, access.Principal{Name: "key:" + k.Name, Scopes: scopes})
		}
		out[i].Keys = append(out[i].Keys, access.StoredKey{Hash: hash})
	}
	return out, nil
}

// visitor is who asks. The zero value is nobody, who may nothing.
type visitor struct {
	id   access.Identity
	open bool
}

// may says whether the visitor's scopes reach a request.
func (v visitor) may(n access.Need) bool { return v.open || v.id.May(n) }

// mayOf says whether there is any request about an entity that the visitor's scopes reach.
func (v visitor) mayOf(p access.Permission, e inventory.Entity) bool {
	return v.open || v.id.HasOf(p, string(e))
}

// name is the principal's; empty where everybody is let in.
func (v visitor) name() string {
	if v.id.Principal == nil {
		return ""
	}
	return v.id.Principal.Name
}

// guest is a request with who asks.
type guest struct {
	echo.Context
	visitor visitor
}

// caller is who asks: whom authorised let in.
func caller(c echo.Context) visitor {
	if g, ok := c.(*guest); ok {
		return g.visitor
	}
	return visitor{}
}

// forbidden is the answer to whatever the scopes do not reach. It is decided by the
// request and the scopes before anything is looked up, so that it says the same, in
// the same time, of what exists and what does not.
func forbidden() *problem {
	return &problem{
		status: http.StatusForbidden, code: "insufficient_scope", title: "Not within the scopes",
		detail: "the scopes of the credential do not reach what was asked, which may or may not exist",
	}
}

// enter identifies whoever asks.
func (p *porter) enter(ctx context.Context, h http.Header) (visitor, *problem) {
	return p.admit(ctx, p.now.Load(), h)
}

// admit identifies whoever asks, by what is in force at one moment.
func (p *porter) admit(ctx context.Context, now *admission, h http.Header) (visitor, *problem) {
	if now.open {
		return visitor{open: true}, nil
	}
	id, err := now.guard.Identify(ctx, access.Of(h))
	switch {
	case err == nil:
		return visitor{id: id}, nil
	case errors.Is(err, access.ErrKeysAway):
		return visitor{}, &problem{status: http.StatusServiceUnavailable, code: "issuer_unavailable", title: "The token cannot be verified now", cause: err}
	case errors.Is(err, access.ErrBadToken):
		p.log.Info("token refused", slog.Any("err", err))
		return visitor{}, &problem{status: http.StatusUnauthorized, code: "bad_token", title: "Unauthorised", detail: "the token is not valid here"}
	}
	return visitor{}, &problem{status: http.StatusUnauthorized, code: "bad_key", title: "Unauthorised", detail: "the key is missing or not valid"}
}

// rate takes one request from the visitor's bucket. Where it is allowed leave is to be
// called when the request is done.
func (p *porter) rate(h http.Header, v visitor) (leave func(), bad *problem) {
	rule := p.now.Load().rates[v.name()]
	if rule.Free() {
		return func() {}, nil
	}
	if p.leases != nil {
		return p.shared(h, v.name(), rule)
	}
	state, refused, left := p.limiter.Enter(v.name(), rule)
	limit.Set(h, "partner", state)
	switch refused {
	case limit.Allowed:
	case limit.TooOften:
		return nil, tooOften(h, state)
	case limit.TooMany:
		return nil, tooMany(h, state)
	}
	return func() { left(false) }, nil
}

// authorised lets in who has a permission, whatever its limits, as often as it may
// ask. Whether the limits reach what is asked is for next to see: caller(c).may.
func (a *api) authorised(needs access.Permission, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		v, bad := a.porter.enter(c.Request().Context(), c.Request().Header)
		if bad != nil {
			return a.problem(c, bad)
		}
		if !v.open && !v.id.Has(needs) {
			return a.problem(c, forbidden())
		}
		leave, bad := a.porter.rate(c.Response().Header(), v)
		if bad != nil {
			return a.problem(c, bad)
		}
		defer leave()
		return next(&guest{c, v})
	}
}

// reach bounds a query by what the visitor may read, or refuses it. A channel that may
// be read, where the item may not, is read of its own locations alone.
func (v visitor) reach(q *query) *problem { return v.reachBy(access.ATPRead, q) }

// reachBy is reach for another permission of the same limits.
func (v visitor) reachBy(p access.Permission, q *query) *problem {
	need := access.Need{
		Permission: p, Entity: string(q.key.Entity), Channel: q.channel, Location: string(q.location),
	}
	if !v.may(need) {
		return forbidden()
	}
	if need.Channel != "" {
		need.Channel = ""
		q.narrow = !v.may(need)
	}
	return nil
}
