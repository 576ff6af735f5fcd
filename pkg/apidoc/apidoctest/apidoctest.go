// Package apidoctest holds a service against its OpenAPI document: the routes, the
// problems and every answer of it.
package apidoctest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// place is where the compiler knows the document.
const place = "openapi.json"

// Document is a document that answers are checked by. It is not safe for concurrent
// use.
type Document struct {
	Version  string
	whole    map[string]any
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema // by pointer
}

// Read reads a document. Every object in it that names its properties has no others:
// clients must take more, the service must not send what is not documented. Its
// error names a reference that leads nowhere.
func Read(doc []byte) (*Document, error) {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc))
	if err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	whole, _ := v.(map[string]any)
	d := &Document{whole: whole, compiler: jsonschema.NewCompiler(), schemas: map[string]*jsonschema.Schema{}}
	if d.Version, _ = whole["openapi"].(string); !strings.HasPrefix(d.Version, "3.1.") {
		return nil, fmt.Errorf("OpenAPI %q is not 3.1", d.Version)
	}
	for _, ref := range regexp.MustCompile(`"\$ref": ?"#(/[^"]+)"`).FindAllStringSubmatch(string(doc), -1) {
		if d.at(ref[1]) == nil {
			return nil, fmt.Errorf("%s leads nowhere", ref[1])
		}
	}
	shut(d.at("/components/schemas"))
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	if err := d.compiler.AddResource(place, whole); err != nil {
		return nil, fmt.Errorf("reading the document: %w", err)
	}
	return d, nil
}

// shut lets objects have no properties but those they name.
func shut(v any) {
	switch v := v.(type) {
	case map[string]any:
		_, open := v["additionalProperties"]
		if _, is := v["properties"].(map[string]any); is && !open && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			shut(child)
		}
	case []any:
		for _, child := range v {
			shut(child)
		}
	}
}

// at follows a JSON pointer (RFC 6901).
func (d *Document) at(pointer string) any {
	var v any = d.whole
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}

func escape(part string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(part) }

// Operations are those of the document: "GET /v1/things/{thing}", sorted.
func (d *Document) Operations() []string {
	var out []string
	paths, _ := d.whole["paths"].(map[string]any)
	for path, ops := range paths {
		methods, _ := ops.(map[string]any)
		for method := range methods {
			out = append(out, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(out)
	return out
}

// Routes are the operations of a router, in the same words.
func Routes(e *echo.Echo) []string {
	param := regexp.MustCompile(`:(\w+)`)
	var out []string
	for _, r := range e.Routes() {
		out = append(out, r.Method+" "+param.ReplaceAllString(r.Path, "{$1}"))
	}
	slices.Sort(out)
	return out
}

// Properties are the names of a schema's properties, sorted.
func (d *Document) Properties(schema string) []string {
	m, _ := d.at("/components/schemas/" + escape(schema) + "/properties").(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// Codes are the problems documented, with their status: each ProblemN of the
// responses lists the codes of status N.
func (d *Document) Codes() (map[string]int, error) {
	var r map[string]struct {
		Content map[string]struct {
			Schema struct {
				AllOf []struct {
					Properties struct {
						Status struct{ Const int }
						Code   struct{ Enum []string }
					}
				}
			}
		}
	}
	b, err := json.Marshal(d.at("/components/responses"))
	if err != nil {
		return nil, fmt.Errorf("reading the responses: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("reading the responses: %w", err)
	}
	codes := map[string]int{}
	for name, response := range r {
		for _, s := range response.Content["application/problem+json"].Schema.AllOf {
			for _, c := range s.Properties.Code.Enum {
				if codes[c] != 0 || name != "Problem"+strconv.Itoa(s.Properties.Status.Const) {
					return nil, fmt.Errorf("%s stands in %s with status %d, and with %d before", c, name, s.Properties.Status.Const, codes[c])
				}
				codes[c] = s.Properties.Status.Const
			}
		}
	}
	return codes, nil
}

// operation finds the operation that a request is of; empty: none, or another method
// of the path.
func (d *Document) operation(method, path string) string {
	for _, op := range d.Operations() {
		m, template, _ := strings.Cut(op, " ")
		if m == method && fits(template, path) {
			return "/paths/" + escape(template) + "/" + strings.ToLower(m)
		}
	}
	return ""
}

// fits says whether a path is of a template; one without variables is found first,
// as "/" sorts before "{" in no document where both could be meant.
func fits(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}

// Check says what an answer to a request has that the document does not: its status,
// its content type, or its body. A request that is of no operation is answered by the
// problems 404 and 405.
func (d *Document) Check(r *http.Request, status int, h http.Header, body []byte) error {
	what := fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, status)
	op := d.operation(r.Method, r.URL.EscapedPath())
	pointer := "/components/responses/Problem" + strconv.Itoa(status)
	if op != "" {
		if pointer = op + "/responses/" + strconv.Itoa(status); d.at(pointer) == nil {
			return fmt.Errorf("%s is not documented", what)
		}
	}
	response, _ := d.at(pointer).(map[string]any)
	if ref, _ := response["$ref"].(string); ref != "" {
		pointer = strings.TrimPrefix(ref, "#")
		response, _ = d.at(pointer).(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	if len(content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("%s: a body where none is documented", what)
		}
		return nil
	}
	typ, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || content[typ] == nil {
		return fmt.Errorf("%s: content type %q is not documented", what, h.Get("Content-Type"))
	}
	if !strings.HasSuffix(typ, "json") {
		return nil
	}
	if err := d.valid(pointer+"/content/"+escape(typ)+"/schema", body); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Is says what a JSON text has that a schema of the document does not.
func (d *Document) Is(schema string, body []byte) error {
	return d.valid("/components/schemas/"+escape(schema), body)
}

func (d *Document) valid(pointer string, body []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("no JSON: %w", err)
	}
	s := d.schemas[pointer]
	if s == nil {
		// The pointer is part of a URL (RFC 6901 §6).
		if s, err = d.compiler.Compile(place + "#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(pointer)); err != nil {
			return fmt.Errorf("the schema at %s: %w", pointer, err)
		}
		d.schemas[pointer] = s
	}
	if err := s.Validate(v); err != nil {
		return fmt.Errorf("%w\nin %.2000s", err, body)
	}
	return nil
}
