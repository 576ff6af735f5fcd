package pull

import (
	"encoding/json"
	"fmt"
)

// DecodePosition reads a position that EncodePosition has written; none is the zero T.
func DecodePosition[T any](b json.RawMessage) (T, error) {
	var p T
	if len(b) > 0 {
		if err := json.Unmarshal(b, &p); err != nil {
			return p, fmt.Errorf("decoding a position: %w", err)
		}
	}
	return p, nil
}

// EncodePosition writes an adapter's own position.
func EncodePosition[T any](p T) (json.RawMessage, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding a position: %w", err)
	}
	return b, nil
}
