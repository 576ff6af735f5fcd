package canonicalizer

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/itchyny/gojq"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// shippedSources are every source and partner that is shipped, and the standards.
func shippedSources(t *testing.T) map[string]*policy.Source {
	t.Helper()
	set := load(t, shipped)
	all := map[string]*policy.Source{}
	for name, src := range set.Sources {
		all["source "+string(name)] = src
	}
	for name, src := range set.Partners {
		all["partner "+string(name)] = src
	}
	for _, name := range []string{"x12", "edifact", "idoc", "xml", "epcis"} {
		all["standard "+name] = Choose(set)(name)
	}
	return all
}

// TestShippedMappingsCompile: none is left to the interpreter.
func TestShippedMappingsCompile(t *testing.T) {
	all := shippedSources(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p, err := program(all[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if why := p.mapping.interpreted(); why != "" {
			t.Errorf("%s is interpreted: %s", name, why)
		}
	}
}

// TestInterpreted: a mapping that is not compiled works, and is named.
func TestInterpreted(t *testing.T) {
	src := &policy.Source{Name: "x", File: "sources/x.yaml", Format: policy.FormatJSON, MappingVersion: "1", Mapping: "def down: if . == 0 then [] else . - 1 | down end; 3 | down"}
	set := &policy.Set{Sources: map[inventory.Source]*policy.Source{"x": src}}
	said, err := Interpreted(set)
	if err != nil || len(said) != 1 || !strings.Contains(said[0], "sources/x.yaml: ") || !strings.Contains(said[0], "down/0, which calls itself") {
		t.Errorf("%q, %v", said, err)
	}
	if _, err := runProgram(t, src.Mapping, "1"); err != nil {
		t.Error(err)
	}
}

// slowMapping is a source's mapping as gojq runs it.
func slowMapping(t *testing.T, src *policy.Source) *mapping {
	t.Helper()
	lib, err := library()
	if err != nil {
		t.Fatal(err)
	}
	q, err := gojq.Parse(src.Mapping)
	if err != nil {
		t.Fatal(err)
	}
	p, err := lib.Interpret(q)
	if err != nil {
		t.Fatal(err)
	}
	return &mapping{program: p}
}

// outcome is all that a program gives, as text.
func outcome(p *jq.Program, in any) string {
	var b strings.Builder
	err := p.Run(context.Background(), in, func(v any) error {
		text, _ := gojq.Marshal(jq.Plain(v)) // never fails
		b.Write(text)
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		fmt.Fprintf(&b, "error %T: %v", err, err)
	}
	return b.String()
}

// same compares the two for every unit of a body; it says how many there were.
func same(t *testing.T, what string, p *sourceProgram, ref *mapping, raw *event.RawMessage) int {
	t.Helper()
	r := run{p: p, raw: raw}
	units := 0
	for u := range p.parse(raw.Body, p.src) {
		units++
		in := r.input(u.Tree)
		before := outcome(ref.program, in)
		if after := outcome(p.mapping.program, in); after != before {
			t.Fatalf("%s, %s: compiled gives\n%.2000s\nbut gojq\n%.2000s", what, u.Where, after, before)
		}
	}
	return units
}

// TestMappingsSame: every shipped mapping gives byte for byte what gojq gives, for
// the samples of all sources, whole and damaged, not only for its own.
func TestMappingsSame(t *testing.T) {
	all := shippedSources(t)
	byFormat := map[string][][]byte{}
	add := func(format string, body []byte) { byFormat[format] = append(byFormat[format], body) }
	for _, src := range all {
		for _, s := range src.Samples {
			body, err := src.ReadSample(s.File)
			if err != nil {
				t.Fatal(err)
			}
			add(src.Format, body)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := all[name]
			p, err := program(src)
			if err != nil {
				t.Fatal(err)
			}
			ref, random, units := slowMapping(t, src), rand.New(rand.NewPCG(1, 2)), 0
			tries := 20
			if testing.Short() {
				tries = 2
			}
			for i, body := range byFormat[src.Format] {
				for n := range tries {
					damaged := body
					if n > 0 {
						damaged = damage(random, body)
					}
					units += same(t, fmt.Sprintf("sample %d.%d", i, n), p, ref, &event.RawMessage{ID: "r", Source: src.Name, Body: damaged})
				}
			}
			t.Logf("%d units", units)
		})
	}
}

// damage takes out, doubles, or changes a few pieces.
func damage(r *rand.Rand, body []byte) []byte {
	out := slices.Clone(body)
	for range 1 + r.IntN(4) {
		if len(out) < 8 {
			return out
		}
		at := r.IntN(len(out) - 4)
		n := 1 + r.IntN(min(40, len(out)-at-1))
		switch r.IntN(4) {
		case 0:
			out = slices.Delete(out, at, at+n)
		case 1:
			out = slices.Insert(out, at, slices.Clone(out[at:at+n])...)
		case 2:
			out[at] = "0123456789-.:,\"{}[]*+'~ aZ"[r.IntN(26)]
		case 3: // a value is no longer what it was
			if i := strings.IndexAny(string(out[at:]), "0123456789"); i >= 0 {
				out = slices.Replace(out, at+i, at+i+1, []byte([]string{"null", "-1", "1e3", "[]", "\"x\"", "0.5"}[r.IntN(6)])...)
			}
		}
	}
	return out
}

// TestMappingsSameOnCorpus: and for every document of the corpus.
func TestMappingsSameOnCorpus(t *testing.T) {
	if _, err := os.Stat(corpus); err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	choose := Choose(load(t, shipped))
	type pair struct {
		p   *sourceProgram
		ref *mapping
	}
	made := map[string]*pair{}
	documents, units := 0, 0
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(corpus, path)
		parts := strings.Split(rel, string(filepath.Separator))
		if err != nil || d.IsDir() || len(parts) < 3 {
			return err
		}
		kind := parts[0] + "/" + parts[1]
		src := choose(kind)
		if src == nil {
			return nil
		}
		if made[kind] == nil {
			p, err := program(src)
			if err != nil {
				return err
			}
			made[kind] = &pair{p, slowMapping(t, src)}
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents++
		units += same(t, rel, made[kind].p, made[kind].ref, &event.RawMessage{ID: "r", Source: inventory.Source("x"), Body: body})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if documents == 0 {
		t.Fatal("no document of a kind that is read")
	}
	t.Logf("%d documents, %d units, %d kinds", documents, units, len(made))
}
