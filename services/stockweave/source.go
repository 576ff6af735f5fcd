package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

// sourceScore reads a folder of documents whose facts are known and says how many of
// them come out.
func sourceScore(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("source score", stderr,
		"FOLDER has manifest.tsv and the documents it lists. They are read by the sources of the policies folder",
		"whose name is that of their kind, else by the mapping of their standard.")
	dir := fs.String("policies", "policies", "policies folder")
	asJSON := fs.Bool("json", false, "print JSON for programs instead of a table")
	verbose := fs.Bool("v", false, "name every fact that is missed or wrong, and why")
	// The folder may stand before or behind the flags.
	folder := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		folder, args = args[0], args[1:]
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	if folder == "" {
		folder = fs.Arg(0)
	}
	if folder == "" {
		return fmt.Errorf("%w: name the folder", errMisuse)
	}
	set, err := policy.Load(*dir)
	if err != nil {
		return err
	}
	score, err := canonicalizer.ScoreFolder(ctx, folder, canonicalizer.Choose(set))
	if err != nil {
		return err
	}
	if *asJSON {
		e := json.NewEncoder(stdout)
		e.SetIndent("", "  ")
		return e.Encode(score)
	}
	return printScore(stdout, score, *verbose)
}

func printScore(out io.Writer, score *canonicalizer.Score, verbose bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "kind\tdocuments\tfacts\tfound\tmissed\twrong\t")
	line := func(name string, t canonicalizer.Tally) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", name, t.Documents, t.Facts, t.Found, t.Missed, t.Wrong)
	}
	for _, kind := range slices.Sorted(maps.Keys(score.Kinds)) {
		line(kind, score.Kinds[kind])
	}
	line("certain", score.Gated)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	for i := range score.Documents {
		s := &score.Documents[i]
		if s.Quiet {
			fmt.Fprintf(out, "%s: neither a fact nor a reason\n", s.File)
		}
		if !verbose || len(s.Missed)+len(s.Wrong) == 0 {
			continue
		}
		mark := ""
		if s.Gated {
			mark = " (certain)"
		}
		fmt.Fprintf(out, "%s%s, by %s\n", s.File, mark, s.Source)
		for _, list := range []struct {
			name string
			of   []string
		}{{"missed", s.Missed}, {"wrong", s.Wrong}, {"put aside", s.Parked}} {
			for _, x := range list.of {
				fmt.Fprintf(out, "  %s %.400s\n", list.name, x)
			}
		}
	}
	return nil
}
