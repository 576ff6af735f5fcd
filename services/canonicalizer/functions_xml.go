package canonicalizer

import (
	"fmt"
	"strings"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/services/canonicalizer/xmltext"
)

// xmlFunctions are for the trees of XML: nodes, text and from_xml.
func xmlFunctions() []jq.Function {
	return []jq.Function{
		{Name: "nodes", Min: 1, Max: 1, Call: nodes},
		{Name: "text", Min: 0, Max: 1, Call: xmlText},
		{Name: "from_xml", Min: 0, Max: 0, Call: fromXML},
	}
}

// nodes($path) is every element at a path of names below an element, a tree or a
// list of elements, in order: "Order/Line", "*/Line"; ["{urn:x}Line"] where a name
// has a namespace. Of null it is none.
func nodes(v any, args []any) any {
	path, err := steps("nodes", args[0])
	if err != nil {
		return err
	}
	list, err := walk("nodes", v, path)
	if err != nil {
		return err
	}
	return list
}

// text and text($path) are the text of an element or of the first one at a path,
// without the white space around it; "Order/@id" an attribute. Null where there is
// none, it is empty, or xsi:nil says so.
func xmlText(v any, args []any) any {
	var path []string
	if len(args) > 0 {
		var err error
		if path, err = steps("text", args[0]); err != nil {
			return err
		}
	}
	key := "#text"
	if n := len(path); n > 0 && strings.HasPrefix(path[n-1], "@") {
		path, key = path[:n-1], path[n-1]
	}
	list, err := walk("text", v, path)
	if err != nil {
		return err
	}
	for _, e := range list {
		s, _ := jq.Field(e, key).(string)
		return orNull(strings.TrimSpace(s))
	}
	return nil
}

func steps(name string, v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return strings.Split(strings.Trim(v, "/"), "/"), nil
	case []any:
		path := make([]string, len(v))
		for i, s := range v {
			var ok bool
			if path[i], ok = s.(string); !ok {
				return nil, fmt.Errorf("%s: a path is a text or an array of names", name)
			}
		}
		return path, nil
	}
	return nil, fmt.Errorf("%s: a path is a text or an array of names, not %s", name, jq.TypeOf(v))
}

func walk(name string, v any, path []string) ([]any, error) {
	list := []any{}
	switch v := v.(type) {
	case nil:
	case map[string]any, *jq.Object:
		list = append(list, v)
	case []any:
		list = v
	default:
		return nil, fmt.Errorf("%s: wants an element, not %s", name, jq.TypeOf(v))
	}
	for _, step := range path {
		below := []any{}
		for _, e := range list {
			if !jq.IsObject(e) {
				return nil, fmt.Errorf("%s: wants elements, not %s", name, jq.TypeOf(e))
			}
			if step != "*" {
				some, _ := jq.Field(e, step).([]any)
				below = append(below, some...)
				continue
			}
			members, _ := jq.Members(e)
			for i := range members {
				if some, ok := members[i].Value.([]any); ok {
					below = append(below, some...)
				}
			}
		}
		list = below
	}
	return list, nil
}

// from_xml reads a document that stands in a text, as some SOAP services send it.
func fromXML(v any, _ []any) any {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("from_xml: wants a text, not %s", jq.TypeOf(v))
	}
	tree, fault := xmltext.TreeOfText(s)
	if fault != nil {
		return fmt.Errorf("from_xml: %s: %s", fault.Code, fault.Reason)
	}
	return tree
}
