package policy

import (
	"fmt"
	"slices"
	"strings"
)

// access reads the folders of principals and issuers, and looks across them: a key
// that two have would be one partner's and another's.
func (l *loader) access(set *Set) {
	a := &set.Access
	a.files = l.fsys
	for _, file := range l.files("issuers") {
		t := TokenIssuer{File: file}
		if !l.read(file, "issuer", &t) {
			continue
		}
		if t.JWKSFile != "" {
			b, err := l.bytes(beside(file, t.JWKSFile))
			if err != nil {
				l.fault(file, "jwks_file", "%v", err)
				continue
			}
			t.JWKS = b
		}
		if err := t.Validate(); err != nil {
			l.faults = append(l.faults, locate(file, l.roots[file], err)...)
		}
		if i := slices.IndexFunc(a.Issuers, func(o TokenIssuer) bool { return o.Name == t.Name || o.Issuer == t.Issuer }); i >= 0 {
			l.coded(file, CodeDuplicate, "name", "%s has its name or its issuer already", a.Issuers[i].File)
			continue
		}
		a.Issuers = append(a.Issuers, t)
	}
	keys := l.ownKeys(set)
	clients := map[PrincipalClient]string{}
	for _, file := range l.files("access") {
		p := Principal{File: file}
		if !l.read(file, "access", &p) {
			continue
		}
		if err := p.Validate(); err != nil {
			l.faults = append(l.faults, locate(file, l.roots[file], err)...)
		}
		if i := slices.IndexFunc(a.Principals, func(o Principal) bool { return o.Name == p.Name }); i >= 0 {
			l.coded(file, CodeDuplicate, "name", "%s has it already", a.Principals[i].File)
			continue
		}
		for i, k := range p.Keys {
			if other := keys[k.SHA256]; other != "" {
				l.coded(file, CodeDuplicate, fmt.Sprintf("keys[%d].sha256", i), "%s has this key already", other)
			}
			keys[k.SHA256] = file
		}
		for i, c := range p.Clients {
			field := fmt.Sprintf("clients[%d]", i)
			if !slices.ContainsFunc(a.Issuers, func(t TokenIssuer) bool { return t.Name == c.Issuer }) {
				l.fault(file, field+".issuer", "no file of issuers is named %q", c.Issuer)
			}
			if other := clients[c]; other != "" {
				l.coded(file, CodeDuplicate, field, "%s has this client already", other)
			}
			clients[c] = file
		}
		a.Principals = append(a.Principals, p)
	}
	slices.SortFunc(a.Principals, func(x, y Principal) int { return strings.Compare(x.Name, y.Name) })
	slices.SortFunc(a.Issuers, func(x, y TokenIssuer) int { return strings.Compare(x.Name, y.Name) })
}

// ownKeys are the keys that sources have themselves.
func (l *loader) ownKeys(set *Set) map[string]string {
	keys := map[string]string{}
	for _, s := range set.Sources {
		for _, k := range s.Auth.APIKeys {
			keys[k] = s.File
		}
	}
	return keys
}
