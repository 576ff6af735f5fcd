package access

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Permission is what a scope is about, before its limits.
type Permission string

// The permissions.
const (
	MessagesWrite      Permission = "messages:write"
	ATPRead            Permission = "atp:read"
	ATPExplain         Permission = "atp:explain"
	ReservationsRead   Permission = "reservations:read"
	ReservationsWrite  Permission = "reservations:write"
	SubscriptionsRead  Permission = "subscriptions:read"
	SubscriptionsWrite Permission = "subscriptions:write"
)

// The limits a scope may have.
const (
	LimitSource   = "source"
	LimitEntity   = "entity"
	LimitChannel  = "channel"
	LimitLocation = "location"
)

// limitsOf says which limits a permission may have; nil of what is none.
func limitsOf(p Permission) []string {
	switch p {
	case MessagesWrite:
		return []string{LimitSource}
	case ATPRead, ATPExplain:
		return []string{LimitEntity, LimitChannel, LimitLocation}
	case ReservationsRead, ReservationsWrite, SubscriptionsRead, SubscriptionsWrite:
		return []string{LimitEntity, LimitChannel, LimitLocation}
	}
	return nil
}

// Permissions is all of them.
func Permissions() []Permission {
	return []Permission{MessagesWrite, ATPRead, ATPExplain, ReservationsRead, ReservationsWrite, SubscriptionsRead, SubscriptionsWrite}
}

// Bounds of scopes.
const (
	maxScope  = 512 // bytes
	maxScopes = 64
)

// Scope is one permission within limits:
//
//	scope      = permission *( ":" limit "=" value )
//	permission = "messages:write" / "atp:read" / ...
//	value      = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / pct-encoded )
//
// All limits of a scope must hold; a limit that is not there is any. In this form it
// is a scope-token of RFC 6749 §3.3.
type Scope struct {
	Permission Permission
	limits     [4]string // by limitIndex; empty: any
}

func limitIndex(name string) int {
	return slices.Index([]string{LimitSource, LimitEntity, LimitChannel, LimitLocation}, name)
}

// ParseScope reads one scope. Its error names what is wrong.
func ParseScope(text string) (Scope, error) {
	if len(text) > maxScope {
		return Scope{}, fmt.Errorf("a scope of more than %d bytes", maxScope)
	}
	parts := strings.Split(text, ":")
	if len(parts) < 2 {
		return Scope{}, fmt.Errorf("%.64q is no scope: resource:action, then :limit=value", text)
	}
	s := Scope{Permission: Permission(parts[0] + ":" + parts[1])}
	allowed := limitsOf(s.Permission)
	if allowed == nil {
		return Scope{}, fmt.Errorf("%.64q is no permission: one of %v", string(s.Permission), Permissions())
	}
	for _, p := range parts[2:] {
		name, escaped, ok := strings.Cut(p, "=")
		if !ok || escaped == "" || !slices.Contains(allowed, name) {
			return Scope{}, fmt.Errorf("%.64q is no limit of %s: one of %v, with =value", p, s.Permission, allowed)
		}
		value, err := unescape(escaped)
		if err != nil {
			return Scope{}, fmt.Errorf("%.64q: %w", p, err)
		}
		i := limitIndex(name)
		if s.limits[i] != "" {
			return Scope{}, fmt.Errorf("%s stands there twice", name)
		}
		s.limits[i] = value
	}
	return s, nil
}

func unescape(s string) (string, error) {
	for i := range len(s) {
		c := s[i]
		if !unreserved(c) && c != '%' {
			return "", fmt.Errorf("%q has to be percent-encoded", c)
		}
	}
	v, err := url.PathUnescape(s)
	if err != nil {
		return "", fmt.Errorf("decoding %.64q: %w", s, err)
	}
	return v, nil
}

// unreserved is RFC 3986 §2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// String is the scope as it is written, its limits in one order.
func (s Scope) String() string {
	var b strings.Builder
	b.WriteString(string(s.Permission))
	for _, name := range []string{LimitSource, LimitEntity, LimitChannel, LimitLocation} {
		if v := s.limits[limitIndex(name)]; v != "" {
			b.WriteString(":" + name + "=" + escape(v))
		}
	}
	return b.String()
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if unreserved(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// Need is what a request asks for. What it leaves out it asks for all of, which a
// scope with that limit does not allow.
type Need struct {
	Permission                        Permission
	Source, Entity, Channel, Location string
}

func (s Scope) allows(n Need) bool {
	if s.Permission != n.Permission {
		return false
	}
	for i, asked := range [...]string{n.Source, n.Entity, n.Channel, n.Location} {
		if s.limits[i] != "" && s.limits[i] != asked {
			return false
		}
	}
	return true
}

// Scopes are allowed what any of them allows.
type Scopes []Scope

// Allow says whether one of the scopes allows a request.
func (s Scopes) Allow(n Need) bool {
	for i := range s {
		if s[i].allows(n) {
			return true
		}
	}
	return false
}

// has says whether one of the scopes is of a permission, whatever its limits.
func (s Scopes) has(p Permission) bool {
	return slices.ContainsFunc(s, func(one Scope) bool { return one.Permission == p })
}

func (s Scopes) hasOf(p Permission, entity string) bool {
	return slices.ContainsFunc(s, func(one Scope) bool {
		of := one.limits[limitIndex(LimitEntity)]
		return one.Permission == p && (of == "" || of == entity)
	})
}

// ParseScopes reads a list of scopes.
func ParseScopes(texts []string) (Scopes, error) {
	if len(texts) > maxScopes {
		return nil, fmt.Errorf("more than %d scopes", maxScopes)
	}
	var out Scopes
	for _, t := range texts {
		s, err := ParseScope(t)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
