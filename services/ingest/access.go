package ingest

import (
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// porter says who may come in, how often, and whether they have been here with the
// same. It is safe for concurrent use.
type porter struct {
	hall    atomic.Pointer[hall]
	limiter *limit.Limiter
	window  *idempotent.Window
	fetch   access.Fetch // the keys of issuers
	log     *slog.Logger
	now     func() time.Time

	changing sync.Mutex // held while the next hall is made
}

// newPorter knows the principals of a set, and the keys that sources have
// themselves.
func newPorter(set *policy.Set, doors map[inventory.Source]*door, fetch access.Fetch, log *slog.Logger, now func() time.Time) (*porter, error) {
	p := &porter{
		fetch: fetch, log: log, now: now,
		limiter: limit.New(publishedLater, now),
		window:  idempotent.NewWindow(keysKept, mostKeys, maxAnswer, now),
	}
	p.hall.Store(&hall{doors: doors})
	return p, p.permit(&set.Access)
}

// ownPrincipals are the keys that sources have themselves, as principals: a key that
// two sources have may write for both.
func ownPrincipals(doors map[inventory.Source]*door) []access.Principal {
	byKey := map[[sha256.Size]byte][]string{}
	for name, d := range doors {
		for _, k := range d.keys {
			if !slices.Contains(byKey[k], string(name)) {
				byKey[k] = append(byKey[k], string(name))
			}
		}
	}
	byName := map[string]*access.Principal{}
	for k, names := range byKey {
		slices.Sort(names)
		name := "source:" + strings.Join(names, "+")
		p := byName[name]
		if p == nil {
			p = &access.Principal{Name: name}
			for _, n := range names {
				if s, err := access.ParseScope(string(access.MessagesWrite) + ":" + access.LimitSource + "=" + n); err == nil {
					p.Scopes = append(p.Scopes, s) // names of sources need no escape (policy.Source)
				}
			}
			byName[name] = p
		}
		p.Keys = append(p.Keys, access.StoredKey{Hash: k})
	}
	out := make([]access.Principal, 0, len(byName))
	for _, p := range byName {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b access.Principal) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// visit is a request that was let in.
type visit struct {
	door *door
	// who sent it; empty where only a signature says so.
	principal string
	// known is set while it has proved who sends it. A request that ends without is not
	// counted against the partner, whom anybody could silence else.
	known bool

	left []func(back bool)
}

// leave must be called when the request is done.
func (v *visit) leave() {
	for _, l := range v.left {
		l(!v.known)
	}
}

// admit lets a request in or says why not, before a byte of its body is read: by its
// credential, where the source asks for one, then by the rates of its principal and
// of the source. h are the headers of the answer. A source that does not exist is
// refused as one that the credential is not for, with the same work done.
func (p *porter) admit(h http.Header, r *http.Request, name inventory.Source) (*visit, error) {
	now := p.hall.Load() // the moment that judges door and credential
	return p.let(now, h, r, name, now.doors[name])
}

// admitReader is admit for a request that sends nothing. A signature is over what is
// sent: a source that has no more than that is none here.
func (p *porter) admitReader(h http.Header, r *http.Request, name inventory.Source) (*visit, error) {
	now := p.hall.Load()
	d := now.doors[name]
	if d != nil && !d.asks {
		d = nil
	}
	return p.let(now, h, r, name, d)
}

// let is admit by a door, nil where there is none.
func (p *porter) let(now *hall, h http.Header, r *http.Request, name inventory.Source, d *door) (*visit, error) {
	v := &visit{door: d}
	if d == nil || d.asks {
		id, err := now.guard.Identify(r.Context(), access.Of(r.Header))
		switch {
		case errors.Is(err, access.ErrKeysAway):
			return nil, later("issuer_unavailable", "the token cannot be verified now", 1)
		case errors.Is(err, access.ErrBadToken):
			h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			p.log.Info("token refused", slog.Any("err", err))
			return nil, newProblem(http.StatusUnauthorized, "bad_token", "the token is not valid here")
		case err != nil:
			return nil, badKey()
		}
		may := id.May(access.Need{Permission: access.MessagesWrite, Source: string(name)})
		if d == nil || !may {
			if now.own[id.Principal.Name] {
				return nil, badKey()
			}
			h.Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
			return nil, newProblem(http.StatusForbidden, "insufficient_scope", "the source is not known, or not one that may be sent for")
		}
		v.principal, v.known = id.Principal.Name, true
	}
	deprecation(h, d.src)
	if err := p.rate(h, v, now.rates); err != nil {
		v.known = false // what did get in is given back
		v.leave()
		return nil, err
	}
	return v, nil
}

// rate takes one request from each bucket that the visit has; rates are the principals'.
func (p *porter) rate(h http.Header, v *visit, rates map[string]limit.Rule) error {
	for _, of := range []struct {
		policy, name string
		rule         limit.Rule
	}{
		{"partner", "principal/" + v.principal, rates[v.principal]},
		{"source", "source/" + string(v.door.src.Name), v.door.src.Door.Rate.Rule()},
	} {
		if of.rule.Free() {
			continue
		}
		state, refused, leave := p.limiter.Enter(of.name, of.rule)
		limit.Set(h, of.policy, state)
		switch refused {
		case limit.Allowed:
			v.left = append(v.left, leave)
		case limit.TooOften:
			limit.Wait(h, state.After)
			return newProblem(http.StatusTooManyRequests, "rate_limited", "more requests than the "+of.policy+" may send; see RateLimit")
		case limit.TooMany:
			limit.Wait(h, state.After)
			return newProblem(http.StatusTooManyRequests, "too_many_concurrent", "more requests at a time than the "+of.policy+" may have")
		}
	}
	return nil
}

// deprecation says that a way of sending ends: Deprecation is a date of RFC 9651
// (RFC 9745 §2), Sunset one of HTTP (RFC 8594 §3).
func deprecation(h http.Header, src *policy.Source) {
	dep := src.Door.Deprecated
	if dep == nil {
		return
	}
	at, sunset, err := dep.Times()
	if err != nil || at.IsZero() {
		return // Validate has refused it
	}
	h.Set("Deprecation", "@"+strconv.FormatInt(at.Unix(), 10))
	if !sunset.IsZero() {
		h.Set("Sunset", sunset.UTC().Format(http.TimeFormat))
	}
	if dep.Link != "" {
		h.Add("Link", "<"+dep.Link+`>; rel="deprecation"; type="text/html"`)
	}
}
