package policy

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/limit"
)

// Access is who may ask for what: the files of policies/access and
// policies/issuers, by name.
type Access struct {
	Principals []Principal
	Issuers    []TokenIssuer

	files fs.FS // they were read from
}

// Principal is a partner, or one of its systems: one file in policies/access.
type Principal struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	// Keys it may use, several while one replaces another.
	Keys []PrincipalKey `yaml:"keys"`
	// Clients whose tokens are its own.
	Clients []PrincipalClient `yaml:"clients"`
	// Scopes are the most it may (access.ParseScope).
	Scopes []string `yaml:"scopes"`
	Rate   Rate     `yaml:"rate"`

	File string `yaml:"-"`
}

// PrincipalKey is an API key as it is kept. Times are RFC 3339 and end in Z.
type PrincipalKey struct {
	ID        string `yaml:"id"` // what people know it by, the beginning of the key
	SHA256    string `yaml:"sha256"`
	NotBefore string `yaml:"not_before"`
	Expires   string `yaml:"expires"` // from then on it does not hold; never when empty
}

// PrincipalClient is what an issuer calls a principal.
type PrincipalClient struct {
	Issuer string `yaml:"issuer"` // a name of policies/issuers
	ID     string `yaml:"id"`
}

// Rate is how often somebody may ask, and how much at a time. The zero value is as
// often as it likes.
type Rate struct {
	PerSecond  float64 `yaml:"per_second"`
	Burst      int     `yaml:"burst"` // after a pause; one second's worth when 0
	Concurrent int     `yaml:"concurrent"`
}

// Rule is the rate as a limiter takes it.
func (r Rate) Rule() limit.Rule {
	return limit.Rule{PerSecond: r.PerSecond, Burst: r.Burst, Concurrent: r.Concurrent}
}

func (r Rate) validate(at string) []error {
	var errs []error
	if r.PerSecond < 0 || r.PerSecond > 100_000 || r.PerSecond > 0 && r.PerSecond < 0.001 {
		errs = append(errs, &Fault{Field: at + ".per_second", Code: CodeOutOfRange, Reason: "must be between 0.001 and 100000"})
	}
	if r.Burst < 0 || r.Burst > 1_000_000 {
		errs = append(errs, &Fault{Field: at + ".burst", Code: CodeOutOfRange, Reason: "must be at most 1000000"})
	}
	if r.Burst > 0 && r.PerSecond == 0 {
		errs = append(errs, &Fault{Field: at + ".burst", Code: CodeConflicting, Reason: "needs per_second"})
	}
	if r.Concurrent < 0 || r.Concurrent > 10_000 {
		errs = append(errs, &Fault{Field: at + ".concurrent", Code: CodeOutOfRange, Reason: "must be at most 10000"})
	}
	return errs
}

// TokenIssuer is who issues JWTs: one file in policies/issuers.
type TokenIssuer struct {
	Name       string   `yaml:"name"`
	Issuer     string   `yaml:"issuer"`
	Audience   []string `yaml:"audience"`
	Algorithms []string `yaml:"algorithms"`
	// JWKSURL is fetched, by https only; or JWKSFile is beside this file. After Load,
	// JWKS has its content.
	JWKSURL  string `yaml:"jwks_url"`
	JWKSFile string `yaml:"jwks_file"`
	JWKS     []byte `yaml:"-"`
	// Leeway is how far its clock may be off; a minute when empty.
	Leeway *time.Duration `yaml:"leeway"`
	// ScopeClaim and ClientClaim name the claims of scopes and client: scope
	// (RFC 8693 §4.2) and client_id (RFC 9068 §2.2) when empty.
	ScopeClaim  string `yaml:"scope_claim"`
	ClientClaim string `yaml:"client_claim"`
	// Scopes translates its words.
	Scopes map[string][]string `yaml:"scopes"`

	File string `yaml:"-"`
}

// Config is the issuer as access takes it.
func (t *TokenIssuer) Config() (access.IssuerConfig, error) {
	c := access.IssuerConfig{
		Name: t.Name, Issuer: t.Issuer, Audience: t.Audience, Algorithms: t.Algorithms, Keys: t.JWKS, URL: t.JWKSURL,
		Leeway: time.Minute, ScopeClaim: "scope", ClientClaim: "client_id", Scopes: map[string]access.Scopes{},
	}
	if t.Leeway != nil {
		c.Leeway = *t.Leeway
	}
	if t.ScopeClaim != "" {
		c.ScopeClaim = t.ScopeClaim
	}
	if t.ClientClaim != "" {
		c.ClientClaim = t.ClientClaim
	}
	var errs []error
	for word, texts := range t.Scopes {
		scopes, err := access.ParseScopes(texts)
		if err != nil {
			errs = append(errs, &Fault{Field: "scopes." + word, Reason: err.Error()})
		}
		c.Scopes[word] = scopes
	}
	return c, errors.Join(errs...)
}

// Validate reports every fault of the issuer alone.
func (t *TokenIssuer) Validate() error {
	cfg, err := t.Config()
	if _, bad := access.NewIssuer(cfg, access.HTTPS()); bad != nil {
		err = errors.Join(err, &Fault{Reason: bad.Error()})
	}
	return err
}

// Principal is the principal as access takes it.
func (p *Principal) Principal() (access.Principal, error) {
	out := access.Principal{Name: p.Name}
	var errs []error
	for i, s := range p.Scopes {
		scope, err := access.ParseScope(s)
		if err != nil {
			errs = append(errs, &Fault{Field: fmt.Sprintf("scopes[%d]", i), Reason: err.Error()})
			continue
		}
		out.Scopes = append(out.Scopes, scope)
	}
	for i, k := range p.Keys {
		at := fmt.Sprintf("keys[%d]", i)
		sum, err := hex.DecodeString(k.SHA256)
		if err != nil || !sha256Rule.MatchString(k.SHA256) {
			errs = append(errs, &Fault{Field: at + ".sha256", Reason: "a SHA-256 in 64 lower-case hex digits, never the key itself"})
			continue
		}
		key := access.StoredKey{Hash: [32]byte(sum)}
		key.NotBefore, err = utc(k.NotBefore)
		if err != nil {
			errs = append(errs, &Fault{Field: at + ".not_before", Code: CodeBadTime, Reason: err.Error()})
		}
		key.Expires, err = utc(k.Expires)
		if err != nil {
			errs = append(errs, &Fault{Field: at + ".expires", Code: CodeBadTime, Reason: err.Error()})
		}
		if !key.Expires.IsZero() && !key.Expires.After(key.NotBefore) {
			errs = append(errs, &Fault{Field: at + ".expires", Code: CodeConflicting, Reason: "it ends before it begins"})
		}
		out.Keys = append(out.Keys, key)
	}
	for _, c := range p.Clients {
		out.Clients = append(out.Clients, access.Client{Issuer: c.Issuer, ID: c.ID})
	}
	return out, errors.Join(errs...)
}

// Validate reports every fault of the principal alone.
func (p *Principal) Validate() error {
	_, err := p.Principal()
	errs := []error{err}
	if !nameRule.MatchString(p.Name) {
		errs = append(errs, &Fault{Field: "name", Reason: "lower-case letters, digits, - and _ only, at most 63"})
	}
	if len(p.Keys) == 0 && len(p.Clients) == 0 {
		errs = append(errs, &Fault{Field: "keys", Code: CodeRequired, Reason: "keys or clients are required"})
	}
	if len(p.Scopes) == 0 {
		errs = append(errs, &Fault{Field: "scopes", Code: CodeRequired, Reason: "required: without one it may nothing"})
	}
	return errors.Join(append(errs, p.Rate.validate("rate")...)...)
}

// utc reads a time of RFC 3339 in UTC; the zero time of an empty text.
func utc(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil {
		return time.Time{}, errors.New("a time in UTC, such as 2027-01-31T00:00:00Z")
	}
	return t, nil
}

// Guard is the access of a set: its principals and, as principals of their own, the
// keys that sources have themselves, which may write messages of those sources and
// no more.
func (a *Access) Guard(own []access.Principal, fetch access.Fetch, now func() time.Time) (*access.Guard, error) {
	return a.GuardAfter(nil, own, fetch, now)
}

// GuardAfter is Guard in the place of another one, whose issuers go on where they are
// the same.
func (a *Access) GuardAfter(was *access.Guard, own []access.Principal, fetch access.Fetch, now func() time.Time) (*access.Guard, error) {
	principals := slices.Clone(own)
	for i := range a.Principals {
		p, err := a.Principals[i].Principal()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Principals[i].File, err)
		}
		principals = append(principals, p)
	}
	terms := make([]access.IssuerConfig, len(a.Issuers))
	for i := range a.Issuers {
		var err error
		if terms[i], err = a.Issuers[i].Config(); err != nil {
			return nil, fmt.Errorf("%s: %w", a.Issuers[i].File, err)
		}
	}
	issuers, err := access.Issuers(was, terms, fetch)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the issuer
	}
	return access.NewGuard(principals, issuers, now)
}

// Rates are the principals' rates, by name.
func (a *Access) Rates() map[string]limit.Rule {
	out := map[string]limit.Rule{}
	for i := range a.Principals {
		out[a.Principals[i].Name] = a.Principals[i].Rate.Rule()
	}
	return out
}
