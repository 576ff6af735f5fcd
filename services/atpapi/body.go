package atpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

// readJSON reads a body of at most limit bytes into v, whose every field it knows.
func readJSON(r *http.Request, limit int64, v any) *problem {
	body, bad := readBody(r, limit)
	if bad != nil {
		return bad
	}
	return decodeBody(body, v)
}

// readBody reads a body, which says that it is JSON, of at most limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, *problem) {
	if typ, _, err := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); err != nil || typ != echo.MIMEApplicationJSON {
		return nil, unsupported("send application/json")
	}
	if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, unsupported("send the body as it is, without a Content-Encoding")
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return nil, &problem{status: http.StatusRequestEntityTooLarge, code: "body_too_large", title: "Body too large", detail: fmt.Sprintf("at most %d bytes", limit)}
	}
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, code: "incomplete_body", title: "Incomplete body", detail: "the body ended before its time"}
	}
	return body, nil
}

func unsupported(detail string) *problem {
	return &problem{status: http.StatusUnsupportedMediaType, code: "unsupported_media_type", title: "Unsupported media type", detail: detail}
}

// decodeBody is decodeStrict as an answer has it.
func decodeBody(body []byte, v any) *problem {
	if fault := decodeStrict(body, v); fault != nil {
		return badBody("bad_body", fault.pointer, "%s", fault.detail)
	}
	return nil
}

// bodyFault is what is wrong with a body, in words of JSON.
type bodyFault struct {
	pointer string // to the field at fault (RFC 6901); empty: it is the whole
	detail  string
}

// decodeStrict takes one JSON value that is not null, with no field that is not known.
// v points to a value of a type without methods for JSON.
func decodeStrict(body []byte, v any) *bodyFault {
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) {
		return &bodyFault{detail: "the body: null is none"}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return faultOfBody(body, reflect.TypeOf(v))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return &bodyFault{detail: fmt.Sprintf("the body: more than one value, from byte %d on", dec.InputOffset())}
	}
	return nil
}

// faultOfBody finds why a body was not taken for a type.
func faultOfBody(body []byte, t reflect.Type) *bodyFault {
	var syntax *json.SyntaxError
	if err := json.Unmarshal(body, &json.RawMessage{}); errors.As(err, &syntax) {
		return &bodyFault{detail: fmt.Sprintf("the body: no JSON, at byte %d: %s", syntax.Offset, syntax)}
	}
	if f := misfit(body, t, ""); f != nil {
		return f
	}
	return &bodyFault{detail: "the body: not as documented"}
}

// misfit finds the first part of a JSON value, which stands at a pointer, that is not of a
// type; nil: there is none.
func misfit(value []byte, t reflect.Type, at string) *bodyFault {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	value = bytes.TrimSpace(value)
	if string(value) == "null" { // as good as none
		return nil
	}
	wrong := func(want string) *bodyFault {
		where := at
		if at == "" {
			where = "the body"
		}
		return &bodyFault{at, where + ": has to be " + want}
	}
	switch t.Kind() { //nolint:exhaustive // others are taken whole
	case reflect.Struct, reflect.Map:
		if value[0] != '{' {
			return wrong("an object")
		}
		return misfitMember(value, t, at)
	case reflect.Slice:
		if value[0] != '[' {
			return wrong("an array")
		}
		n := -1
		return eachOf(value, func(_ string, v []byte) *bodyFault {
			n++
			return misfit(v, t.Elem(), at+"/"+strconv.Itoa(n))
		})
	}
	if json.Unmarshal(value, reflect.New(t).Interface()) != nil {
		return wrong(wantOf(t))
	}
	return nil
}

// misfitMember is misfit of an object's members.
func misfitMember(object []byte, t reflect.Type, at string) *bodyFault {
	return eachOf(object, func(name string, v []byte) *bodyFault {
		if len(name) > maxName { // it is not said again
			return &bodyFault{at, fmt.Sprintf("the body: there is no field %.64q…", name)}
		}
		member := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if t.Kind() == reflect.Map {
			return misfit(v, t.Elem(), member)
		}
		of := fieldOf(t, name)
		if of == nil {
			return &bodyFault{member, member + ": there is no such field"}
		}
		return misfit(v, of, member)
	})
}

// eachOf calls f for each part of an array or object, until one is at fault.
func eachOf(value []byte, f func(name string, v []byte) *bodyFault) *bodyFault {
	dec := json.NewDecoder(bytes.NewReader(value))
	if _, err := dec.Token(); err != nil {
		return nil
	}
	for dec.More() {
		name := ""
		if value[0] == '{' {
			token, err := dec.Token()
			if err != nil {
				return nil
			}
			name, _ = token.(string)
		}
		var v json.RawMessage
		if dec.Decode(&v) != nil {
			return nil
		}
		if bad := f(name, v); bad != nil {
			return bad
		}
	}
	return nil
}

// fieldOf is the type of a struct's field by its name in JSON, in any case; nil: there is
// none.
func fieldOf(t reflect.Type, name string) reflect.Type {
	for _, f := range reflect.VisibleFields(t) {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.Anonymous && f.IsExported() && strings.EqualFold(tag, name) {
			return f.Type
		}
	}
	return nil
}

// wantOf says what a value of a type is in JSON.
func wantOf(t reflect.Type) string {
	switch t.Kind() { //nolint:exhaustive // requests have no others
	case reflect.String:
		if t == reflect.TypeFor[json.Number]() {
			return "a number"
		}
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint8:
		return "a whole number from 0 to 255"
	}
	return "a whole number"
}
