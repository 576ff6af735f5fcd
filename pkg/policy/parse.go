package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// maxDepth of a policy file.
const maxDepth = 32

// node is a YAML value with its position, so that a fault of whatever kind names
// the line it is about.
type node struct {
	line, column int
	value        any // scalars
	fields       map[string]*node
	items        []*node
}

// parse reads one YAML document. Anchors, aliases, merges, tags and directives
// are refused: a policy says what it says at its place.
func parse(b []byte) (*node, error) {
	file, err := parser.ParseBytes(b, 0)
	if err != nil {
		return nil, yamlFault(err)
	}
	var doc ast.Node
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if doc != nil {
			return nil, faultAt(d.Body.GetToken(), "one document a file")
		}
		doc = d.Body
	}
	if doc == nil {
		return nil, &Fault{Line: 1, Column: 1, Code: CodeBadYAML, Reason: "empty"}
	}
	return build(doc, 0)
}

func build(a ast.Node, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, faultAt(a.GetToken(), fmt.Sprintf("deeper than %d", maxDepth))
	}
	n := &node{}
	n.line, n.column = position(a.GetToken())
	switch a := a.(type) {
	case *ast.MappingNode:
		return n, n.add(a.Values, depth)
	case *ast.MappingValueNode:
		return n, n.add([]*ast.MappingValueNode{a}, depth)
	case *ast.SequenceNode:
		n.items = []*node{}
		for _, v := range a.Values {
			item, err := build(v, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case *ast.StringNode:
		n.value = a.Value
	case *ast.LiteralNode:
		n.value = a.Value.Value
	case *ast.IntegerNode:
		n.value = a.Value
	case *ast.FloatNode:
		n.value = a.Value
	case *ast.BoolNode:
		n.value = a.Value
	case *ast.NullNode:
	default:
		return nil, faultAt(a.GetToken(), strings.ToLower(a.Type().String())+" is not allowed here")
	}
	return n, nil
}

func (n *node) add(values []*ast.MappingValueNode, depth int) error {
	n.fields = map[string]*node{}
	for i, v := range values {
		key, err := fieldName(v.Key)
		if err != nil {
			return err
		}
		if i == 0 {
			n.line, n.column = position(v.Key.GetToken())
		}
		if _, twice := n.fields[key]; twice {
			return faultAt(v.Key.GetToken(), key+" stands there twice")
		}
		child, err := build(v.Value, depth+1)
		if err != nil {
			return err
		}
		if child.fields == nil && child.items == nil {
			child.line, child.column = position(v.Key.GetToken())
		}
		n.fields[key] = child
	}
	return nil
}

func fieldName(k ast.MapKeyNode) (string, error) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return k.GetToken().Value, nil // a name such as 12345 is still a name
	}
	return "", faultAt(k.GetToken(), "not a plain key")
}

// plain is the value as a JSON Schema validator takes it.
func (n *node) plain() any {
	switch {
	case n.fields != nil:
		m := make(map[string]any, len(n.fields))
		for k, v := range n.fields {
			m[k] = v.plain()
		}
		return m
	case n.items != nil:
		s := make([]any, len(n.items))
		for i, v := range n.items {
			s[i] = v.plain()
		}
		return s
	}
	return n.value
}

// at returns the position of a path, or of the nearest thing above it.
func (n *node) at(path []string) (line, column int) {
	for _, p := range path {
		next := n.fields[p]
		if i, err := strconv.Atoi(p); err == nil && next == nil && i >= 0 && i < len(n.items) {
			next = n.items[i]
		}
		if next == nil {
			break
		}
		n = next
	}
	return n.line, n.column
}

// splitField turns "auth.api_keys[0]" into its parts.
func splitField(field string) []string {
	return strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

func position(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}

func faultAt(t *token.Token, reason string) *Fault {
	f := &Fault{Code: CodeBadYAML, Reason: reason}
	f.Line, f.Column = position(t)
	return f
}

func yamlFault(err error) *Fault {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		return faultAt(e.GetToken(), e.GetMessage())
	}
	return &Fault{Code: CodeBadYAML, Reason: err.Error()}
}

// decode fills a struct strictly: an unknown key is a fault.
func decode(b []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict(),
		yaml.CustomUnmarshaler(func(q *inventory.Quantity, b []byte) error {
			v, err := inventory.ParseQuantity(scalar(b))
			if err != nil {
				return fmt.Errorf("%q: %w", scalar(b), err)
			}
			*q = v
			return nil
		}),
		yaml.CustomUnmarshaler(func(a *inventory.Account, b []byte) error {
			v, err := inventory.ParseAccount(scalar(b))
			if err != nil {
				return fmt.Errorf("%q: %w", scalar(b), err)
			}
			*a = v
			return nil
		}),
	)
	if err := d.Decode(into); err != nil {
		return yamlFault(err)
	}
	return nil
}

// scalar is the text of a YAML scalar without quotes.
func scalar(b []byte) string { return strings.Trim(string(bytes.TrimSpace(b)), `"'`) }

// locate gives each fault its file and position, and returns all of them.
func locate(file string, root *node, err error) []error {
	var out []error
	for _, e := range flatten(err) {
		f, ok := errors.AsType[*Fault](e)
		if !ok {
			f = &Fault{Reason: e.Error()}
		}
		f.File = file
		if f.Line == 0 && root != nil {
			f.Line, f.Column = root.at(splitField(f.Field))
		}
		out = append(out, f)
	}
	return out
}

func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return slices.Clip([]error{err})
}
