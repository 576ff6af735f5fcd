package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/stockweave/stockweave/services/canonicalizer"
)

// sourceCoverage reads a folder of messages and says how much of them is used.
func sourceCoverage(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("source coverage NAME... FOLDER", stderr,
		"Tries every file of a folder, and of those below it, by each of the named sources: how many become lines\n",
		"whole, how many values matter, what is left unmapped by frequency, what is rejected by code. Nothing waits\n",
		"for master data.\n", unmappedHelp)
	dir := fs.String("policies", "policies", "policies folder")
	asJSON := fs.Bool("json", false, "print JSON for programs")
	top := fs.Int("top", 20, "most unmapped paths shown")
	names, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(names) < 2 {
		return fmt.Errorf("%w: name a source or several, and the folder", errMisuse)
	}
	folder := names[len(names)-1]
	b, err := benchOf(*dir)
	if err != nil {
		return err
	}
	sources, err := sourcesNamed(b, names[:len(names)-1])
	if err != nil {
		return err
	}
	files, err := messagesIn(folder)
	if err != nil {
		return err
	}
	var all []canonicalizer.Coverage
	for _, src := range sources {
		c, err := b.Covering(src)
		if err != nil {
			return err
		}
		for _, f := range files {
			body, err := readMessage(f)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(folder, f)
			if err != nil {
				name = f
			}
			if err := c.Add(ctx, name, body); err != nil {
				return fmt.Errorf("trying %s: %w", f, err)
			}
		}
		all = append(all, c.Sum())
	}
	if *asJSON {
		return printJSON(stdout, all)
	}
	for i := range all {
		printCoverage(stdout, &all[i], *top)
	}
	return nil
}

func printCoverage(out io.Writer, c *canonicalizer.Coverage, top int) {
	fmt.Fprintf(out, "%s: %d of %d documents whole (%s), %d rejected; %d lines; %d of %d values matter (%s)\n", c.Source,
		c.Whole, c.Documents, percent(c.Whole, c.Documents), c.Rejected, c.Lines, c.Mapped, c.Leaves, percent(c.Mapped, c.Leaves))
	if c.Partly > 0 {
		fmt.Fprintf(out, "%d documents are too large to look at each value\n", c.Partly)
	}
	g := grid{right: map[int]bool{1: true}}
	g.add("unmapped", "times", "first at")
	for i, u := range c.Unmapped {
		if i == top {
			break
		}
		g.add(u.Path, strconv.Itoa(u.Count), u.At)
	}
	g.print(out)
	if more := len(c.Unmapped) - top; more > 0 {
		fmt.Fprintf(out, "and %d paths more\n", more)
	}
	g = grid{right: map[int]bool{1: true}}
	g.add("rejected", "times", "first in", "reason")
	for _, x := range c.Codes {
		g.add(x.Code, strconv.Itoa(x.Count), x.File, x.Example)
	}
	g.print(out)
}

func percent(n, of int) string {
	if of == 0 {
		return "-"
	}
	return strconv.FormatFloat(100*float64(n)/float64(of), 'f', 1, 64) + " %"
}
