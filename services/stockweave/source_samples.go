package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sampleTold is what a sample came to.
type sampleTold struct {
	Source string   `json:"source"`
	Sample string   `json:"sample"`
	OK     bool     `json:"ok"`
	Diff   []string `json:"diff,omitempty"`
}

// sourceTest runs the samples of sources.
func sourceTest(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("source test", stderr,
		"Runs the samples of the named sources and partners, of all without a name, and shows what differs from\n",
		"what is expected: - expected, + got. Exit code 1 when anything does.\n")
	dir := fs.String("policies", "policies", "policies folder")
	asJSON := fs.Bool("json", false, "print JSON for programs")
	update := fs.Bool("update", false, "write what comes out as the expected output; read the difference before you keep it")
	names, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	b, err := benchOf(*dir)
	if err != nil {
		return err
	}
	sources, err := sourcesNamed(b, names)
	if err != nil {
		return err
	}
	var told []sampleTold
	failed := 0
	for _, src := range sources {
		for _, s := range src.Samples {
			got, err := b.Sample(ctx, src, s)
			if err != nil {
				return fmt.Errorf("%s: %w", src.File, err)
			}
			want, err := src.ReadSample(s.Expected)
			if err != nil {
				return fmt.Errorf("%s: %w", src.File, err)
			}
			if *update {
				path := filepath.Join(*dir, filepath.Dir(src.File), filepath.FromSlash(s.Expected))
				if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // policies are no secret
					return fmt.Errorf("writing the expected output: %w", err)
				}
			}
			t := sampleTold{Source: string(src.Name), Sample: s.File, Diff: jsonDiff(want, got)}
			if t.OK = len(t.Diff) == 0; !t.OK && !*update {
				failed++
			}
			told = append(told, t)
		}
	}
	if *asJSON {
		if err := printJSON(stdout, told); err != nil {
			return err
		}
	} else {
		printSamples(stdout, told, len(sources), *update)
	}
	if failed > 0 {
		return fmt.Errorf("%w: %d of %d samples came out otherwise", errOtherwise, failed, len(told))
	}
	return nil
}

func printSamples(out io.Writer, told []sampleTold, sources int, update bool) {
	good := 0
	for _, t := range told {
		if t.OK {
			good++
			continue
		}
		fmt.Fprintf(out, "%s: %s\n", t.Source, t.Sample)
		for _, l := range t.Diff {
			fmt.Fprintln(out, "  "+cut(oneLine(l), maxWidth-2))
		}
	}
	if update {
		fmt.Fprintf(out, "%d sources, %d samples: %d as before, %d written anew\n", sources, len(told), good, len(told)-good)
		return
	}
	fmt.Fprintf(out, "%d sources, %d samples: %d as expected, %d otherwise\n", sources, len(told), good, len(told)-good)
}

// jsonDiff compares two JSON texts line by line, indented alike; nothing when they are
// the same.
func jsonDiff(want, got []byte) []string {
	var w bytes.Buffer
	if err := json.Indent(&w, want, "", "  "); err != nil {
		return []string{"- the expected output is no JSON: " + err.Error()}
	}
	a := strings.Split(strings.TrimSpace(w.String()), "\n")
	b := strings.Split(strings.TrimSpace(string(got)), "\n")
	return lineDiff(a, b)
}

// Limits of a difference.
const (
	maxDiffCells = 4 << 20 // lines of one times lines of the other
	maxDiffLines = 400     // printed
	diffContext  = 2       // lines that are alike around
)

// lineDiff is the shortest edit from a to b by lines: "- " taken away, "+ " put in,
// "  " around it, "…" where lines alike are left out. Nothing when they are equal.
func lineDiff(a, b []string) []string {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	if head == len(a) && head == len(b) {
		return nil
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	x, y := a[head:len(a)-tail], b[head:len(b)-tail]
	var all []string
	for _, l := range a[max(0, head-diffContext):head] {
		all = append(all, "  "+l)
	}
	all = append(all, middleDiff(x, y)...)
	for _, l := range a[len(a)-tail : len(a)-tail+min(tail, diffContext)] {
		all = append(all, "  "+l)
	}
	return elided(all)
}

func middleDiff(x, y []string) []string {
	var out []string
	if len(x)*len(y) > maxDiffCells { // too much to align: one after the other
		for _, l := range x {
			out = append(out, "- "+l)
		}
		for _, l := range y {
			out = append(out, "+ "+l)
		}
		return out
	}
	// Lengths of the longest common subsequences of what is left of each.
	w := len(y) + 1
	common := make([]int32, (len(x)+1)*w)
	for i, old := range slices.Backward(x) {
		for j, now := range slices.Backward(y) {
			if old == now {
				common[i*w+j] = common[(i+1)*w+j+1] + 1
			} else {
				common[i*w+j] = max(common[(i+1)*w+j], common[i*w+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(x) || j < len(y); {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			out = append(out, "  "+x[i])
			i, j = i+1, j+1
		case i < len(x) && (j == len(y) || common[(i+1)*w+j] >= common[i*w+j+1]):
			out = append(out, "- "+x[i])
			i++
		default:
			out = append(out, "+ "+y[j])
			j++
		}
	}
	return out
}

// elided leaves out lines alike that are far from any difference.
func elided(all []string) []string {
	near := make([]bool, len(all))
	for i, l := range all {
		if !strings.HasPrefix(l, "  ") {
			for k := max(0, i-diffContext); k < min(len(all), i+diffContext+1); k++ {
				near[k] = true
			}
		}
	}
	var out []string
	for i, l := range all {
		switch {
		case len(out) == maxDiffLines:
			return append(out, "…")
		case near[i]:
			out = append(out, l)
		case i > 0 && near[i-1]:
			out = append(out, "…")
		}
	}
	return out
}
