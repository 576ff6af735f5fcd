package canonicalizer

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Limits of a mapping.
const (
	maxProgram  = 256 << 10
	mappingTime = 5 * time.Second // of one unit
)

//go:embed prelude.jq
var prelude string

// standards are the mappings of the standards, a file each: functions such as
// edifact_lines, which a source's mapping may be, or go on from. That of X12 is Go
// (standard/x12).
//
//go:embed standard/*.jq
var standards embed.FS

// forbidden are functions that would make a mapping depend on anything but its
// input: the clock, the process, other inputs.
var forbidden = []string{
	"now", "localtime", "strflocaltime", "input", "inputs", "input_filename", "input_line_number",
	"env", "$ENV", "debug", "stderr", "halt", "halt_error", "get_search_list", "$__prog_args",
}

// mapping is a compiled program. It is safe for concurrent use.
type mapping struct {
	program *jq.Program
	x12     bool        // it is x12_lines and nothing else, see run.mapped
	memory  x12Memories // for that
}

// interpreted is why the program is not compiled, and slower; empty when it is.
func (m *mapping) interpreted() string { return m.program.Interpreted() }

// Interpreted says of each source and partner whose mapping is not compiled why: it
// gives the same, slower.
func Interpreted(set *policy.Set) ([]string, error) {
	all, err := programs(withPartners(set))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if why := all[name].mapping.interpreted(); why != "" {
			out = append(out, fmt.Sprintf("%s: the mapping is interpreted, and slower: it has %s", all[name].src.File, why))
		}
	}
	return out, nil
}

// compile checks and compiles a source's program.
func compile(src *policy.Source) (*mapping, error) {
	if len(src.Mapping) > maxProgram {
		return nil, fmt.Errorf("%s: mapping: longer than %d bytes", src.File, maxProgram)
	}
	lib, err := library()
	if err != nil {
		return nil, err
	}
	program, err := gojq.Parse(src.Mapping)
	if err != nil {
		return nil, fmt.Errorf("%s: mapping: %s", src.File, parseFault(src.Mapping, err))
	}
	if name := uses(reflect.ValueOf(program)); name != "" {
		return nil, fmt.Errorf("%s: mapping: %s is not allowed: a mapping depends on its message alone", src.File, name)
	}
	if len(program.Imports) > 0 {
		return nil, fmt.Errorf("%s: mapping: modules are not allowed", src.File)
	}
	compiled, err := lib.Compile(program)
	if err != nil {
		return nil, fmt.Errorf("%s: mapping: %w", src.File, err)
	}
	return &mapping{program: compiled, x12: isX12(program)}, nil
}

// library is what every mapping may call. It is part of the program, so it is
// compiled once, when the first source is.
var library = sync.OnceValues(func() (*jq.Library, error) {
	defs, err := definitions()
	if err != nil {
		return nil, err
	}
	return jq.NewLibrary(defs, functions(), shortcuts()...), nil
})

// definitions are the functions of the library that are written in jq.
func definitions() ([]*gojq.FuncDef, error) {
	texts := []string{prelude}
	files, err := fs.Glob(standards, "standard/*.jq")
	if err != nil {
		return nil, fmt.Errorf("listing the standards: %w", err)
	}
	for _, name := range files {
		b, err := standards.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("reading a standard: %w", err)
		}
		texts = append(texts, string(b))
	}
	var defs []*gojq.FuncDef
	for i, text := range texts {
		lib, err := gojq.Parse(text + "\n.")
		if err != nil {
			return nil, fmt.Errorf("parsing library %d: %s", i, parseFault(text, err))
		}
		defs = append(defs, lib.FuncDefs...)
	}
	return defs, nil
}

func parseFault(program string, err error) string {
	if p, ok := errors.AsType[*gojq.ParseError](err); ok {
		at := min(max(p.Offset-1, 0), len(program))
		line, column := 1, 1
		for _, c := range program[:at] {
			column++
			if c == '\n' {
				line, column = line+1, 1
			}
		}
		return fmt.Sprintf("line %d column %d: %v", line, column, err)
	}
	return err.Error()
}

// uses returns the first forbidden function a program calls.
func uses(v reflect.Value) string {
	switch v.Kind() { //nolint:exhaustive // scalars hold nothing
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return ""
		}
		if f, ok := reflect.TypeAssert[*gojq.Func](v); ok && slices.Contains(forbidden, f.Name) {
			return f.Name
		}
		return uses(v.Elem())
	case reflect.Struct:
		for _, field := range v.Fields() {
			if name := uses(field); name != "" {
				return name
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if name := uses(v.Index(i)); name != "" {
				return name
			}
		}
	}
	return ""
}

// mapError is why a mapping gave no lines for a unit.
type mapError struct{ code, reason string }

func (e *mapError) Error() string { return e.code + ": " + e.reason }

// run maps one unit to its lines. The error, a *mapError, rejects the unit; it is
// a function of the input but for a program that runs too long.
func (m *mapping) run(ctx context.Context, input any) ([]any, error) {
	return lines(m.program.One(ctx, mappingTime, input))
}

// lines are those that a program gave for a unit.
func lines(v any, given int, err error) ([]any, error) {
	switch {
	case err != nil:
		return nil, mapFault(err)
	case given == 0:
		return nil, &mapError{"bad_mapping", "the mapping gave nothing, not even an empty array"}
	}
	lines, isArray := v.([]any)
	switch {
	case !isArray:
		return nil, &mapError{"bad_mapping", fmt.Sprintf("the mapping gave %s, not an array of lines", jq.TypeOf(v))}
	case given > 1:
		return nil, &mapError{"bad_mapping", "the mapping gave more than one array"}
	}
	return lines, nil
}

func mapFault(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &mapError{"mapping_timeout", fmt.Sprintf("longer than %s", mappingTime)}
	}
	if errors.Is(err, context.Canceled) {
		return err // not the message's fault: it is mapped again
	}
	if v, ok := errors.AsType[gojq.ValueError](err); ok {
		if o, ok := v.Value().(map[string]any); ok {
			code, _ := o["code"].(string)
			reason, _ := o["reason"].(string)
			if validCode(code) {
				return &mapError{code, reason}
			}
		}
	}
	return &mapError{"mapping_error", shorten(err.Error(), maxReason)}
}

// validCode says whether a mapping's own code is one: snake_case, not long.
func validCode(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range s {
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
