// Package json reads JSON (RFC 8259) strictly: no repeated keys, no invalid UTF-8,
// nothing behind the document. Numbers stay the text they were written as.
package json

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// Parse is a format.Parse: the whole document is one unit. Its fault codes are
// json_syntax, json_too_deep, json_duplicate_key and invalid_utf8.
func Parse(body []byte, _ *policy.Source) iter.Seq[format.Unit] {
	return func(yield func(format.Unit) bool) {
		tree, fault := read(body)
		yield(format.Unit{Tree: tree, Where: "document", Fault: fault})
	}
}

func read(body []byte) (any, *format.Fault) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if at := invalidUTF8(body); at >= 0 {
		return nil, format.Faultf("invalid_utf8", "%s: not UTF-8", place(body, at))
	}
	// Syntax first, by the scanner that knows it all; the walk below then only looks
	// for what the scanner lets pass.
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		at := len(body)
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			at = int(s.Offset)
		}
		return nil, format.Faultf("json_syntax", "%s: %v", place(body, at), err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	w := walker{d: d, body: body}
	tree, err := w.value(0)
	if err != nil {
		if f, ok := errors.AsType[*walkError](err); ok {
			return nil, format.Faultf(f.code, "%s: %s", place(body, int(d.InputOffset())), f.reason)
		}
		return nil, format.Faultf("json_syntax", "%s: %v", place(body, int(d.InputOffset())), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, format.Faultf("json_syntax", "%s: something follows the document", place(body, int(d.InputOffset())))
	}
	return tree, nil
}

type walker struct {
	d    *json.Decoder
	body []byte
}

type walkError struct{ code, reason string }

func (e *walkError) Error() string { return e.code + ": " + e.reason }

func (w *walker) value(depth int) (any, error) {
	if depth > format.MaxDepth {
		return nil, &walkError{"json_too_deep", fmt.Sprintf("deeper than %d", format.MaxDepth)}
	}
	t, err := w.d.Token()
	if err != nil {
		return nil, err //nolint:wrapcheck // placed by the caller
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil // nil, bool, string, json.Number
	}
	if delim == '[' {
		list := []any{}
		for w.d.More() {
			v, err := w.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = w.d.Token()
		return list, err //nolint:wrapcheck // placed by the caller
	}
	object := map[string]any{}
	for w.d.More() {
		t, err := w.d.Token()
		if err != nil {
			return nil, err //nolint:wrapcheck // placed by the caller
		}
		key, _ := t.(string)
		if _, twice := object[key]; twice {
			return nil, &walkError{"json_duplicate_key", fmt.Sprintf("%.100q stands there twice", key)}
		}
		if object[key], err = w.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err = w.d.Token()
	return object, err //nolint:wrapcheck // placed by the caller
}

// invalidUTF8 is the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// place names a byte offset as people count: line and column from 1.
func place(body []byte, at int) string {
	at = min(max(at, 0), len(body))
	line := bytes.Count(body[:at], []byte("\n")) + 1
	column := at - bytes.LastIndexByte(body[:at], '\n')
	return fmt.Sprintf("line %d column %d", line, column)
}
