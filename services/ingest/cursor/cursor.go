// Package cursor keeps how far ingest's transports have come, in the compacted topic
// ingest.cursors. A transport saves its cursor only when the log has what is before it
// (Invariant 1): a cursor may be behind what was done, and never ahead.
package cursor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Store keeps cursors by key. It is safe for concurrent use.
type Store interface {
	// Load returns what was saved last under a key by anybody; false when nothing was,
	// or it was removed. The caller owns the value.
	Load(ctx context.Context, key string) (value []byte, found bool, err error)
	// Save returns when the value is durable. An empty value removes the key. After an
	// error the old or the new value holds.
	Save(ctx context.Context, key string, value []byte) error
}

// MaxValue bounds a value, bytes: a record with it fits the topic.
const MaxValue = 512 << 10

// ErrTooLarge is what Save says of a value above MaxValue.
var ErrTooLarge = errors.New("the cursor is too large")

// Key is the key of a flow of a source.
func Key(source inventory.Source, flow string) string {
	return inventory.Escape(string(source)) + "|" + inventory.Escape(flow)
}

// Memory is a Store in memory, for tests. Its zero value is empty.
type Memory struct {
	mu   sync.Mutex
	vals map[string][]byte
}

// Load returns what was saved.
func (m *Memory) Load(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.vals[key]
	return bytes.Clone(v), ok, nil
}

// Save keeps a value.
func (m *Memory) Save(_ context.Context, key string, value []byte) error {
	if len(value) > MaxValue {
		return fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, key, len(value))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vals == nil {
		m.vals = map[string][]byte{}
	}
	if m.vals[key] = bytes.Clone(value); len(value) == 0 {
		delete(m.vals, key)
	}
	return nil
}
