// Package access says who asks and what they may: API keys, JWT bearers and the
// scopes of both (Invariant 10). It reads no policy file and knows no more of HTTP
// than net/http's headers; whoever answers requests turns its refusals into
// problems of its own.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Refusals. Their texts may be told to whoever asks: none says more than it must.
var (
	// ErrNoCredential: the request has none, or more than one.
	ErrNoCredential = errors.New("no credential, or more than one")
	// ErrBadKey: the key is not known, not valid yet or no longer.
	ErrBadKey = errors.New("the key is not valid")
	// ErrBadToken: the token cannot be trusted; a *TokenError says why, for the log.
	ErrBadToken = errors.New("the token is not valid")
	// ErrKeysAway: the issuer's keys could not be had; the token may be good.
	ErrKeysAway = errors.New("the keys of the issuer are not available")
)

// Principal is a partner, or one of its systems, that may ask for something.
type Principal struct {
	Name string
	// Scopes are the most it may, whatever a token of it says.
	Scopes Scopes
	Keys   []StoredKey
	// Clients are those whose tokens are its own.
	Clients []Client
}

// StoredKey is an API key as it is kept: its hash, and when it holds. Several of
// them let one be replaced by the next.
type StoredKey struct {
	Hash      [sha256.Size]byte
	NotBefore time.Time // zero: ever since
	Expires   time.Time // from then on it does not hold; zero: never
}

// Client is what an issuer calls a principal.
type Client struct{ Issuer, ID string }

// Identity is who asks.
type Identity struct {
	Principal *Principal
	// Expires is when it has to be proved again; zero: no time is set.
	Expires time.Time

	token    bool
	narrowed Scopes // what the token says; of a key nothing
}

// May says whether a request is within the principal's scopes, and the token's
// where it was one. It is false of nobody.
func (i Identity) May(n Need) bool {
	return i.Principal != nil && i.Principal.Scopes.Allow(n) && (!i.token || i.narrowed.Allow(n))
}

// Has says whether there is any request with a permission that May allows, as far as
// can be told without one: some scope of the principal has it, and some of the token.
func (i Identity) Has(p Permission) bool {
	return i.Principal != nil && i.Principal.Scopes.has(p) && (!i.token || i.narrowed.has(p))
}

// HasOf is Has of requests about an entity.
func (i Identity) HasOf(p Permission, entity string) bool {
	return i.Principal != nil && i.Principal.Scopes.hasOf(p, entity) && (!i.token || i.narrowed.hasOf(p, entity))
}

// holder is a key and whose it is.
type holder struct {
	key       StoredKey
	principal *Principal
}

// Guard knows all principals. It is safe for concurrent use.
type Guard struct {
	now     func() time.Time
	keys    map[[sha256.Size]byte]holder
	clients map[Client]*Principal
	issuers []*Issuer
}

// NewGuard refuses a key or a client that two principals have, and a client of an
// issuer that is not known.
func NewGuard(principals []Principal, issuers []*Issuer, now func() time.Time) (*Guard, error) {
	return (&Guard{now: now, issuers: issuers}).With(principals)
}

// With is a guard that knows these principals, too, by the same issuers: their keys are
// not fetched again, nor tokens verified again. It refuses as NewGuard does.
func (g *Guard) With(principals []Principal) (*Guard, error) {
	keys, clients := map[[sha256.Size]byte]holder{}, map[Client]*Principal{}
	maps.Copy(keys, g.keys)
	maps.Copy(clients, g.clients)
	var errs []error
	for i := range principals {
		p := &principals[i]
		for _, k := range p.Keys {
			if other, twice := keys[k.Hash]; twice {
				errs = append(errs, fmt.Errorf("principal %s: a key that %s has already", p.Name, other.principal.Name))
				continue
			}
			keys[k.Hash] = holder{k, p}
		}
		for _, c := range p.Clients {
			if !slices.ContainsFunc(g.issuers, func(i *Issuer) bool { return i.cfg.Name == c.Issuer }) {
				errs = append(errs, fmt.Errorf("principal %s: issuer %q is not known", p.Name, c.Issuer))
			}
			if other := clients[c]; other != nil {
				errs = append(errs, fmt.Errorf("principal %s: client %q of %s is %s already", p.Name, c.ID, c.Issuer, other.Name))
				continue
			}
			clients[c] = p
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Guard{now: g.now, keys: keys, clients: clients, issuers: g.issuers}, nil
}

// Identify says who a credential is of. The error is one of the refusals above. It
// takes the same time for a wrong key as for a right one: a key is looked up by its
// hash, which nobody can aim at.
func (g *Guard) Identify(ctx context.Context, c Credential) (Identity, error) {
	switch {
	case c.text == "":
		sum := sha256.Sum256(nil)
		_ = g.lookup(sum)
		return Identity{}, ErrNoCredential
	case c.jwt && len(g.issuers) > 0:
		return g.token(ctx, c.text)
	}
	h := g.lookup(sha256.Sum256([]byte(c.text)))
	now := g.now()
	if h.principal == nil || now.Before(h.key.NotBefore) || !h.key.Expires.IsZero() && !now.Before(h.key.Expires) {
		return Identity{}, ErrBadKey
	}
	return Identity{Principal: h.principal, Expires: h.key.Expires}, nil
}

// lookup is the zero holder where nobody has the key.
func (g *Guard) lookup(sum [sha256.Size]byte) holder {
	h := g.keys[sum]
	if subtle.ConstantTimeCompare(sum[:], h.key.Hash[:]) != 1 {
		return holder{}
	}
	return h
}

func (g *Guard) token(ctx context.Context, text string) (Identity, error) {
	sum, now := sha256.Sum256([]byte(text)), g.now()
	for _, is := range g.issuers {
		if claims, ok := is.known(sum, now); ok {
			return g.client(is, &claims)
		}
	}
	t, err := readToken(text)
	if err != nil {
		return Identity{}, err
	}
	for _, is := range g.issuers {
		if is.cfg.Issuer != t.claimed {
			continue
		}
		claims, err := is.verify(ctx, t, sum, now)
		if err != nil {
			return Identity{}, err
		}
		return g.client(is, &claims)
	}
	return Identity{}, &TokenError{"issuer", "the issuer is not known"}
}

// client is whose a verified token is.
func (g *Guard) client(is *Issuer, claims *Claims) (Identity, error) {
	p := g.clients[Client{is.cfg.Name, claims.Client}]
	if p == nil {
		return Identity{}, &TokenError{"client", "no principal has this client"}
	}
	return Identity{Principal: p, Expires: claims.Expires, token: true, narrowed: claims.Scopes}, nil
}
