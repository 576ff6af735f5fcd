package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

// parseMixed parses flags that may stand before, between and behind the arguments, and
// returns these.
func parseMixed(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w", errMisuse, err)
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// benchOf loads a policies folder to try messages by.
func benchOf(dir string) (*canonicalizer.Bench, error) {
	set, err := policy.Load(dir)
	if err != nil {
		return nil, err
	}
	return canonicalizer.NewBench(set)
}

// sourcesNamed are the sources of the names, all of them where there is none.
func sourcesNamed(b *canonicalizer.Bench, names []string) ([]*policy.Source, error) {
	all := b.Sources()
	if len(names) == 0 {
		for _, n := range slices.Sorted(maps.Keys(all)) {
			names = append(names, string(n))
		}
	}
	var out []*policy.Source
	for _, n := range names {
		src := all[inventory.Source(n)]
		if src == nil {
			return nil, fmt.Errorf("%w: no source or partner is named %q", errMisuse, n)
		}
		out = append(out, src)
	}
	return out, nil
}

// maxFolder bounds the messages that are read of a folder.
const maxFolder = 100_000

// messagesIn lists the files of a folder and those below it, by name; hidden ones are
// none.
func messagesIn(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && path != dir:
			if d.IsDir() {
				return filepath.SkipDir
			}
		case d.Type().IsRegular():
			if len(out) == maxFolder {
				return fmt.Errorf("more than %d files", maxFolder)
			}
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: listing messages: %w", errMisuse, err)
	}
	return out, nil
}

// readMessage reads a file that may be a message of a source.
func readMessage(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: reading the message: %w", errMisuse, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, policy.MaxMessage+1))
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if len(b) > policy.MaxMessage {
		return nil, fmt.Errorf("%w: %s is larger than a message may be, %d bytes: larger files come in parts", errMisuse, path, policy.MaxMessage)
	}
	return b, nil
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

// maxWidth of what is printed for people, columns.
const maxWidth = 100

// grid is a table that fits maxWidth: its widest columns are cut.
type grid struct {
	right map[int]bool // columns of numbers
	rows  [][]string   // the first is the header
}

func (g *grid) add(cells ...string) {
	for i, c := range cells {
		cells[i] = oneLine(c)
	}
	g.rows = append(g.rows, cells)
}

func (g *grid) print(out io.Writer) {
	if len(g.rows) < 2 {
		return
	}
	widths := make([]int, len(g.rows[0]))
	for _, r := range g.rows {
		for i, c := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for i := len(widths) - 1; i >= 0; i-- { // a column nobody filled
		if empty := !slices.ContainsFunc(g.rows[1:], func(r []string) bool { return r[i] != "" }); empty {
			widths[i] = 0
		}
	}
	for {
		total, widest := -2, 0
		for i, w := range widths {
			if w > 0 {
				total += w + 2
			}
			if w > widths[widest] {
				widest = i
			}
		}
		if total <= maxWidth {
			break
		}
		widths[widest]--
	}
	for _, r := range g.rows {
		var b strings.Builder
		for i, c := range r {
			if widths[i] == 0 {
				continue
			}
			c = cut(c, widths[i])
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			if g.right[i] {
				c, pad = pad+c, ""
			}
			b.WriteString(c + pad + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(b.String(), " "))
	}
}

// cut shortens a text to a number of characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// oneLine is a text without what would break a table or a terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

// wrapped prints a text in lines of maxWidth behind an indent, which has blanks from
// the second line on.
func wrapped(out io.Writer, indent, text string) {
	line, rest := indent, strings.Repeat(" ", len(indent))
	for word := range strings.FieldsSeq(oneLine(text)) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > maxWidth {
			fmt.Fprintln(out, line)
			line, indent = rest, rest
		}
		if line != indent {
			line += " "
		}
		line += cut(word, maxWidth-len(indent))
	}
	fmt.Fprintln(out, line)
}
