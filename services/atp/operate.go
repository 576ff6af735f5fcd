package atp

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// prefixBytes are those of the schema's id before a value.
const prefixBytes = 5

// Ledger is what operators' commands must know of this service.
func Ledger(codecs *event.Codecs, group string) stream.Ledger {
	return stream.Ledger{
		Group: group, Input: event.TopicEvents, State: event.TopicState,
		Codec: headerCodec{codecs}, StoreVersion: storeVersion, GroupOf: groupOf,
		Bound: func(key, value []byte) (string, error) { return bound(codecs, key, value) },
	}
}

// bound says why a piece needs the log it was made from. A frozen key's events are
// there alone.
func bound(codecs *event.Codecs, key, value []byte) (string, error) {
	if groupEnd := len(groupOf(key)); string(key[groupEnd:]) != "|"+inventory.PieceHead {
		return "", nil
	}
	var piece inventory.Piece
	if err := codecs.DecodeState(key, value, &piece); err != nil {
		return "", fmt.Errorf("decoding state %s: %w", key, err)
	}
	if piece.Head != nil && piece.Head.Frozen.Since != 0 {
		return "the key is frozen, its events stand in the log from there on", nil
	}
	return "", nil
}

// Alike is what of a piece a rebuild must give again byte by byte (Invariant 8): its
// value behind the schema's id, with every lineage in it put to 0. A value that this
// build would write otherwise is taken as it stands, so that no damage is put right
// by looking at it.
func Alike(codecs *event.Codecs, key, value []byte) ([]byte, error) {
	body := value[min(prefixBytes, len(value)):]
	var piece inventory.Piece
	if err := codecs.DecodeState(key, value, &piece); err != nil || piece.Deleted {
		return body, nil //nolint:nilerr // what cannot be read differs from what can
	}
	if again, err := codecs.AppendState(nil, &piece); err != nil || !bytes.Equal(again[prefixBytes:], body) {
		return body, nil //nolint:nilerr // as above
	}
	forget(reflect.ValueOf(&piece).Elem())
	alike, err := codecs.AppendState(nil, &piece)
	if err != nil {
		return nil, fmt.Errorf("encoding state %s: %w", key, err)
	}
	return alike[prefixBytes:], nil
}

// forget puts every lineage in a value to 0, wherever a piece may come to have one.
func forget(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // what holds nothing has no lineage
	case reflect.Pointer:
		if !v.IsNil() {
			forget(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if k := v.Type().Elem().Kind(); k != reflect.Struct && k != reflect.Pointer {
			return
		}
		for i := range v.Len() {
			forget(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name == "Lineage" && f.Type.Kind() == reflect.Int64 {
				v.Field(i).SetInt(0)
			} else {
				forget(v.Field(i))
			}
		}
	}
}
