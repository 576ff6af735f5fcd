package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// linkNext finds rel=next in Link headers (RFC 8288 §3).
func linkNext(values []string) string {
	for _, v := range values {
		for v != "" {
			_, rest, ok := strings.Cut(v, "<")
			if !ok {
				break
			}
			target, params, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			// Its parameters end where the next link begins.
			mine := params
			for _, begins := range []string{",<", ", <"} {
				mine, _, _ = strings.Cut(mine, begins)
			}
			for param := range strings.SplitSeq(mine, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
				if strings.EqualFold(strings.TrimSpace(name), "rel") && slices.ContainsFunc(strings.Fields(strings.Trim(strings.TrimSpace(value), `"`)), func(s string) bool { return strings.EqualFold(s, "next") }) {
					return target
				}
			}
			v = params[len(mine):]
		}
	}
	return ""
}

// tree reads a whole document.
func tree(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("the answer is no JSON at byte %d: %w", d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is text behind the answer's JSON at byte %d", d.InputOffset())
	}
	return v, nil
}

// find resolves a JSON Pointer (RFC 6901).
func find(v any, pointer string) (any, bool) {
	if pointer == "" {
		return v, true
	}
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[token]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// text is the text or number at a pointer.
func text(v any, pointer string) (string, bool) {
	found, ok := find(v, pointer)
	if !ok {
		return "", false
	}
	switch s := found.(type) {
	case string:
		return s, true
	case json.Number:
		return s.String(), true
	}
	return "", false
}
