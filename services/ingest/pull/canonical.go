package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

var errBehind = errors.New("there is text behind the document")

// Canonical is a JSON document with its keys in order and without white space, numbers
// as they were written: the same record has the same bytes, however the other side
// orders what it says.
func Canonical(b []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errBehind
	}
	return Encode(v)
}

// Encode writes a value as Canonical does.
func Encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
