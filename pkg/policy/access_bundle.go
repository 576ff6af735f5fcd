package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// AccessName is the name in policies.v1 of who may ask for what: policies/access and
// policies/issuers, all of them at once, in versions of their own.
const AccessName = "access"

// MaxAccessContent bounds what is published of them, bytes.
const MaxAccessContent = maxContent

// parts are the files it is made of.
func (a *Access) parts() []string {
	out := []string{}
	for i := range a.Principals {
		out = append(out, a.Principals[i].File)
	}
	for i := range a.Issuers {
		out = append(out, a.Issuers[i].File)
		if file := a.Issuers[i].JWKSFile; file != "" {
			out = append(out, beside(a.Issuers[i].File, file))
		}
	}
	return out
}

// EncodeAccess is the access that Load has read as it is published, its files with those
// they name, and its SHA-256 in hex. Equal files give equal bytes.
func EncodeAccess(a *Access) (content []byte, hash string, err error) {
	names := a.parts()
	if a.files == nil && len(names) > 0 {
		return nil, "", errors.New("encoding access: it was not read from files")
	}
	if content, hash, err = (bundle{}).seal(a.files, names); err != nil {
		return nil, "", fmt.Errorf("encoding access: %w", err)
	}
	return content, hash, nil
}

// DecodeAccess reads what EncodeAccess wrote, as strictly as Load; but for keys that
// sources have themselves, which are known to the door alone. The error joins every fault.
func DecodeAccess(content []byte) (*Access, error) {
	c, err := unseal(content)
	if err == nil && c.File != "" {
		err = errors.New("it is of a source")
	}
	if err != nil {
		return nil, fmt.Errorf("decoding access: %w", err)
	}
	l := loader{fsys: memory(c.Files)}
	if l.schemas, err = compileSchemas(); err != nil {
		return nil, err
	}
	set := &Set{Sources: map[inventory.Source]*Source{}}
	l.access(set)
	if len(l.faults) > 0 {
		return nil, errors.Join(l.faults...)
	}
	// What is left over was said by somebody, too: half of the files is refused whole.
	left := maps.Clone(c.Files)
	for _, name := range set.Access.parts() {
		delete(left, name)
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("decoding access: %q are none of its files", slices.Sorted(maps.Keys(left)))
	}
	return &set.Access, nil
}
