package event

import (
	"bytes"
	"errors"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// maxKeyParts is more than any kind's n has.
const maxKeyParts = 4

var errStateKey = errors.New("key is not entity|item|kind|n")

// ParseKey is the key that entity|item, escaped, stands for: the opposite of
// inventory.Key's String.
func ParseKey(s string) (inventory.Key, error) {
	entity, item, ok := strings.Cut(s, "|")
	if !ok || entity == "" || item == "" || strings.Contains(item, "|") {
		return inventory.Key{}, errStateKey
	}
	return inventory.Key{Entity: inventory.Entity(inventory.Unescape(entity)), Item: inventory.Item(inventory.Unescape(item))}, nil
}

// splitStateKey takes kind and n out of a key of inventory.state.
func (c *Codecs) splitStateKey(key []byte) (kind string, n []string, err error) {
	rest := key
	for range 2 { // entity, item
		i := bytes.IndexByte(rest, '|')
		if i <= 0 {
			return "", nil, errStateKey
		}
		rest = rest[i+1:]
	}
	head, tail, more := bytes.Cut(rest, []byte{'|'})
	kind, ok := c.state.scratch.words.get(head)
	if kind == "" || !ok {
		return "", nil, errStateKey
	}
	for more {
		var part []byte
		part, tail, more = bytes.Cut(tail, []byte{'|'})
		if len(n) == maxKeyParts {
			return "", nil, errStateKey
		}
		n = append(n, inventory.Unescape(string(part)))
	}
	return kind, n, nil
}
