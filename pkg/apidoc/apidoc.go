// Package apidoc serves the OpenAPI document of a service (OpenAPI 3.1.0), and a
// page of it for people. What a document says is held against the service by
// apidoctest.
package apidoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"

	"github.com/goccy/go-yaml"
	"github.com/labstack/echo/v4"
)

// FromYAML is a document written as YAML, as JSON.
func FromYAML(text []byte) ([]byte, error) {
	doc, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	return doc, nil
}

// page is what the page for people shows of a document.
type page struct {
	Info struct {
		Title, Version, Summary, Description string
	} `json:"info"`
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Parameters map[string]parameter `json:"parameters"`
		Responses  map[string]struct {
			Description string `json:"description"`
		} `json:"responses"`
	} `json:"components"`
}

type operation struct {
	Summary     string      `json:"summary"`
	Description string      `json:"description"`
	Parameters  []parameter `json:"parameters"`
	Responses   map[string]struct {
		Ref         string `json:"$ref"`
		Description string `json:"description"`
	} `json:"responses"`
}

type parameter struct {
	Ref         string `json:"$ref"`
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
}

const pageText = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{.Info.Title}} {{.Info.Version}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}code{background:#eee;padding:0 .2em}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}</style>
<h1>{{.Info.Title}} {{.Info.Version}}</h1><p>{{.Info.Summary}} {{.Info.Description}} The whole contract: <a href="/openapi.json">openapi.json</a>.</p>
{{range $path, $ops := .Paths}}{{range $method, $op := $ops}}<h2><code>{{$method}} {{$path}}</code></h2><p>{{$op.Summary}}</p><p>{{$op.Description}}</p>
{{with $op.Parameters}}<table>{{range .}}{{if .Name}}<tr><th>{{.Name}}<td>{{.In}}<td>{{.Description}}{{end}}{{end}}</table>{{end}}
<p>Answers: {{range $status, $r := $op.Responses}}{{$status}} {{end}}</p>{{end}}{{end}}
<h2>Problems</h2><table>{{range $name, $r := .Components.Responses}}<tr><th>{{$name}}<td>{{$r.Description}}{{end}}</table>
</html>
`

const parameters = "#/components/parameters/"

// Page is a document for people.
func Page(doc []byte) ([]byte, error) {
	var p page
	if err := json.Unmarshal(doc, &p); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	for _, ops := range p.Paths {
		for _, op := range ops {
			for i := range op.Parameters {
				if name, ok := bytes.CutPrefix([]byte(op.Parameters[i].Ref), []byte(parameters)); ok {
					op.Parameters[i] = p.Components.Parameters[string(name)]
				}
			}
		}
	}
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, &p); err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return b.Bytes(), nil
}

// Serve answers /openapi.json and /docs.
func Serve(e *echo.Echo, doc []byte) error {
	text, err := Page(doc)
	if err != nil {
		return err
	}
	say := func(contentType string, body []byte) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Cache-Control", "public, max-age=3600")
			h.Set("X-Content-Type-Options", "nosniff")
			h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
			return c.Blob(http.StatusOK, contentType, body) //nolint:wrapcheck // echo's own
		}
	}
	e.GET("/openapi.json", say(echo.MIMEApplicationJSON, doc))
	e.GET("/docs", say(echo.MIMETextHTMLCharsetUTF8, text))
	return nil
}
