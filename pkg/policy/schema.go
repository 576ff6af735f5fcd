package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/stockweave/stockweave/policies"
)

// schemaNames are the kinds of file, each with policies/schema/<name>.schema.json.
var schemaNames = []string{"source", "ledger", "atp", "channel", "erp", "access", "issuer"}

// schema checks the shape of one kind of file.
type schema struct{ compiled *jsonschema.Schema }

// compileSchemas compiles the embedded schemas. They refer to nothing outside
// themselves: a reference elsewhere fails instead of being fetched.
func compileSchemas() (map[string]*schema, error) {
	out := map[string]*schema{}
	for _, name := range schemaNames {
		file := "schema/" + name + ".schema.json"
		b, err := policies.Schemas.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading policy schema: %w", err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("decoding policy schema %s: %w", file, err)
		}
		c := jsonschema.NewCompiler()
		c.UseLoader(nowhere{})
		if err := c.AddResource(file, doc); err != nil {
			return nil, fmt.Errorf("adding policy schema %s: %w", file, err)
		}
		compiled, err := c.Compile(file)
		if err != nil {
			return nil, fmt.Errorf("compiling policy schema %s: %w", file, err)
		}
		out[name] = &schema{compiled}
	}
	return out, nil
}

// nowhere loads no schema.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("a policy schema refers to %s", url)
}

// check returns every fault of a file's shape.
func (s *schema) check(root *node) error {
	err := s.compiled.Validate(root.plain())
	if err == nil {
		return nil
	}
	v, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return fmt.Errorf("validating: %w", err)
	}
	var faults []error
	printer := message.NewPrinter(language.English)
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			f := &Fault{Field: strings.Join(e.InstanceLocation, "."), Code: CodeBadShape, Reason: e.ErrorKind.LocalizedString(printer)}
			f.Line, f.Column = root.at(e.InstanceLocation)
			faults = append(faults, f)
			return
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(v)
	return errors.Join(faults...)
}
