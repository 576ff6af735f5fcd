package policy

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// AccessName is the name in policies.v1 of who may ask for what: policies/access and
// policies/issuers, all of them at once, in versions of their own.
const AccessName = "access"

// MaxAccessContent bounds what is published of them, bytes.
const MaxAccessContent = maxContent

// EncodeAccess is the access that Load has read as it is published, its files with those
// they name, and its SHA-256 in hex. Equal files give equal bytes.
func EncodeAccess(a *Access) (content []byte, hash string, err error) {
	names := []string{}
	for i := range a.Principals {
		names = append(names, a.Principals[i].File)
	}
	for i := range a.Issuers {
		names = append(names, a.Issuers[i].File)
		if file := a.Issuers[i].JWKSFile; file != "" {
			names = append(names, beside(a.Issuers[i].File, file))
		}
	}
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
	return &set.Access, nil
}
