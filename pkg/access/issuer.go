package access

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of what is kept of an issuer.
const (
	maxKeys     = 100
	maxKeySet   = 256 << 10
	maxVerified = 4_096 // tokens, twice
	maxLeeway   = 5 * time.Minute
)

// When keys are fetched.
const (
	fetchEvery   = 10 * time.Minute // in any case
	fetchAtMost  = 30 * time.Second // for a key that is not known: nobody makes us fetch more often
	fetchTimeout = 5 * time.Second
	backoffFirst = time.Second
	backoffMost  = 5 * time.Minute
	keysKept     = 24 * time.Hour // while they cannot be fetched
)

// IssuerConfig is who issues tokens, and on what terms they are taken.
type IssuerConfig struct {
	Name     string
	Issuer   string   // the iss claim, exactly
	Audience []string // one of them must be in the aud claim
	// Algorithms that are taken, of Algorithms().
	Algorithms []string
	// Keys is a JWK Set (RFC 7517 §5), or URL where it is fetched, by https and
	// from nowhere else: redirects are not followed.
	Keys []byte
	URL  string
	// Leeway is how far clocks may be apart, at most 5 minutes.
	Leeway time.Duration
	// ScopeClaim holds the scopes, ClientClaim the client.
	ScopeClaim, ClientClaim string
	// Scopes translates the issuer's words into scopes.
	Scopes map[string]Scopes
}

func (c *IssuerConfig) validate() error {
	var errs []error
	if c.Issuer == "" || len(c.Audience) == 0 || slices.Contains(c.Audience, "") {
		errs = append(errs, errors.New("issuer and audience are required"))
	}
	if len(c.Algorithms) == 0 {
		errs = append(errs, errors.New("the algorithms are required"))
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(Algorithms(), a) {
			errs = append(errs, fmt.Errorf("algorithm %q is not one of %v", a, Algorithms()))
		}
	}
	if (len(c.Keys) == 0) == (c.URL == "") {
		errs = append(errs, errors.New("either keys or a URL of keys is required"))
	}
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
			errs = append(errs, errors.New("the URL of keys must be https, without user and fragment"))
		}
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		errs = append(errs, fmt.Errorf("the leeway must be at most %v", maxLeeway))
	}
	if c.ScopeClaim == "" || c.ClientClaim == "" {
		errs = append(errs, errors.New("the claims of scopes and client are required"))
	}
	return errors.Join(errs...)
}

// Fetch gets a URL's body, at most limit bytes of it.
type Fetch func(ctx context.Context, url string, limit int64) ([]byte, error)

// Issuer verifies tokens by the keys of one issuer. It is safe for concurrent use.
type Issuer struct {
	cfg   IssuerConfig
	fetch Fetch

	fetching sync.Mutex // held while keys are fetched

	mu       sync.Mutex
	keys     *jose.JSONWebKeySet
	fetched  time.Time // when keys came
	next     time.Time // before which nothing is fetched
	backoff  time.Duration
	verified [2]map[[sha256.Size]byte]Claims // of the present keys; the newer first
}

// NewIssuer checks the terms, and the keys where they are given. It fetches nothing
// yet.
func NewIssuer(cfg IssuerConfig, fetch Fetch) (*Issuer, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("issuer %s: %w", cfg.Name, err)
	}
	is := &Issuer{cfg: cfg, fetch: fetch}
	is.forget()
	if len(cfg.Keys) > 0 {
		keys, err := ParseKeys(cfg.Keys)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", cfg.Name, err)
		}
		is.keys = keys
	} else if fetch == nil {
		return nil, fmt.Errorf("issuer %s: nothing to fetch its keys with", cfg.Name)
	}
	return is, nil
}

// ParseKeys reads a JWK Set. Keys of kinds that are not known are left out, as the
// standard asks (RFC 7517 §5); a set that has a private or symmetric key, or none of
// use, is refused.
func ParseKeys(b []byte) (*jose.JSONWebKeySet, error) {
	if len(b) > maxKeySet {
		return nil, fmt.Errorf("a key set of more than %d bytes", maxKeySet)
	}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, errors.New("no JWK Set")
	}
	if len(raw.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	out := &jose.JSONWebKeySet{}
	for i, r := range raw.Keys {
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(r); err != nil {
			continue
		}
		if !k.IsPublic() {
			return nil, fmt.Errorf("key %d is no public key", i)
		}
		out.Keys = append(out.Keys, k)
	}
	if len(out.Keys) == 0 {
		return nil, errors.New("no key of use")
	}
	return out, nil
}

// verify says what a token with this hash claims, if it is to be trusted.
func (is *Issuer) verify(ctx context.Context, t *token, sum [sha256.Size]byte, now time.Time) (Claims, error) {
	if !slices.Contains(is.cfg.Algorithms, t.algorithm) {
		return Claims{}, &TokenError{"algorithm", "its issuer does not sign so"}
	}
	keys, err := is.current(ctx, now)
	if err != nil {
		return Claims{}, err
	}
	c, found, err := is.try(keys, t, now)
	if !found && is.cfg.URL != "" {
		// The key may be newer than the set. One asks; others come again.
		again, fresh := is.refetch(ctx, now, fetchAtMost)
		if fresh {
			keys = again
			c, found, err = is.try(keys, t, now)
		}
	}
	if !found && err == nil {
		err = &TokenError{"key", "its key is not known"}
	}
	if err != nil {
		return Claims{}, err
	}
	is.remember(keys, sum, c)
	return c, nil
}

// try holds a token against each key that fits.
func (is *Issuer) try(keys *jose.JSONWebKeySet, t *token, now time.Time) (c Claims, found bool, err error) {
	for i := range keys.Keys {
		k := &keys.Keys[i]
		if !fits(k, t) {
			continue
		}
		if c, found, err = is.cfg.check(t, k, now); found {
			return c, true, err
		}
	}
	return Claims{}, false, err
}

// current is the set of keys, fetched where there is none or it is old. While keys
// cannot be fetched the old ones hold for a day.
func (is *Issuer) current(ctx context.Context, now time.Time) (*jose.JSONWebKeySet, error) {
	is.mu.Lock()
	keys, age := is.keys, now.Sub(is.fetched)
	is.mu.Unlock()
	if is.cfg.URL == "" || keys != nil && age < fetchEvery {
		return keys, nil
	}
	if again, fresh := is.refetch(ctx, now, 0); fresh {
		return again, nil
	}
	if keys == nil || age > keysKept {
		return nil, ErrKeysAway
	}
	return keys, nil
}

// refetch gets the keys unless somebody else does, they came less than apart ago, or
// it failed just now. fresh says that they are new.
func (is *Issuer) refetch(ctx context.Context, now time.Time, apart time.Duration) (keys *jose.JSONWebKeySet, fresh bool) {
	if !is.fetching.TryLock() {
		return nil, false
	}
	defer is.fetching.Unlock()
	is.mu.Lock()
	wait := now.Before(is.next) || !is.fetched.IsZero() && now.Sub(is.fetched) < apart
	is.mu.Unlock()
	if wait {
		return nil, false
	}
	// Whoever asked may hang up; the keys are for everybody.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	b, err := is.fetch(ctx, is.cfg.URL, maxKeySet)
	if err == nil {
		keys, err = ParseKeys(b)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	if err != nil {
		is.backoff = min(max(2*is.backoff, backoffFirst), backoffMost)
		is.next = now.Add(is.backoff)
		return nil, false
	}
	is.keys, is.fetched, is.next, is.backoff = keys, now, time.Time{}, 0
	is.forget() // a key that was withdrawn vouches for nothing any more
	return keys, true
}

// known is what a token was found to claim before. Tokens are many requests long,
// and a signature costs more than all else of a request.
func (is *Issuer) known(sum [sha256.Size]byte, now time.Time) (Claims, bool) {
	is.mu.Lock()
	defer is.mu.Unlock()
	if is.cfg.URL != "" && now.Sub(is.fetched) >= fetchEvery {
		return Claims{}, false
	}
	for _, m := range is.verified {
		if c, ok := m[sum]; ok {
			return c, !now.After(c.Expires)
		}
	}
	return Claims{}, false
}

// remember keeps what a token claims, unless the keys are others by now.
func (is *Issuer) remember(keys *jose.JSONWebKeySet, sum [sha256.Size]byte, c Claims) {
	is.mu.Lock()
	defer is.mu.Unlock()
	if keys != is.keys {
		return
	}
	if len(is.verified[0]) >= maxVerified {
		is.verified[1], is.verified[0] = is.verified[0], map[[sha256.Size]byte]Claims{}
	}
	is.verified[0][sum] = c
}

func (is *Issuer) forget() {
	is.verified = [2]map[[sha256.Size]byte]Claims{{}, {}}
}
