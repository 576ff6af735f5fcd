package ingest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/policy"
)

// streamKey is what identifies the document within its source, so that messages of
// one document keep their order. A body that cannot be read has none: then the
// source as a whole is one stream, and the canonicalizer says what is wrong.
func streamKey(src *policy.Source, body []byte) string {
	if src.StreamKey == "" {
		return ""
	}
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return ""
	}
	// RFC 6901: ~1 is /, ~0 is ~, in that order.
	for _, token := range strings.Split(src.StreamKey, "/")[1:] {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
		switch in := v.(type) {
		case map[string]any:
			v = in[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(in) {
				return ""
			}
			v = in[i]
		default:
			return ""
		}
	}
	switch v := v.(type) {
	case string:
		return kept(v)
	case json.Number:
		return kept(v.String())
	}
	return ""
}

// traceParent is the sender's W3C trace context (Trace Context, version 00), empty
// when it is none.
func traceParent(h http.Header) string {
	t := h.Get("traceparent")
	if len(t) != 55 || t[2] != '-' || t[35] != '-' || t[52] != '-' {
		return ""
	}
	for i := range len(t) {
		if c := t[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return t
}
