package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

const linesAbout = `
The lines of messages that wait for an item, a location or a unit which the master data
does not have yet. They run again by themselves when it comes (docs/adr/0029). A line is
named by its key, as "parked list" prints it, or chosen by --source and --missing.
`

const (
	linesListAbout  = "\nparked list lists them, the oldest message first. --json prints one object a line.\n" + linesAbout
	linesRetryAbout = `
parked retry [KEY ...] runs lines again now: after a change of units or of identifiers
in a source's policy, which no master data tells of. A line that still misses what it
missed goes on waiting.
` + linesAbout
	linesDropAbout = `
parked drop KEY ... gives lines up: each becomes a dead letter with the code dropped,
the author and the reason. A line dropped does not run again; send its message again.
` + linesAbout
)

// maxAtOnce bounds the lines that one command sends.
const maxAtOnce = 100_000

// errNoLines is that of a choice of which none waits.
var errNoLines = errors.New("no such line waits")

// lineChoice is which of the parked lines a command means.
type lineChoice struct {
	path, source, missing *string
	keys                  []string
}

func newLineChoice(fs *flag.FlagSet) *lineChoice {
	return &lineChoice{
		path:    fs.String("config", "", "configuration file"),
		source:  fs.String("source", "", "lines of one source"),
		missing: fs.String("missing", "", "lines that miss one thing, item:sku:X say"),
	}
}

func (c *lineChoice) takes(l *parkedLine) bool {
	return (len(c.keys) == 0 || slices.Contains(c.keys, l.key)) &&
		(*c.source == "" || string(l.line.Source) == *c.source) && (*c.missing == "" || l.line.Missing == *c.missing)
}

// parkedLine is a line that stands, with its record.
type parkedLine struct {
	key  string
	rec  *stream.Record
	line event.ParkedLine
}

// linesOf reads the lines of a choice that stand now, in the order of their messages.
func linesOf(ctx context.Context, c *lineChoice, reads *stream.RestoreReads, codecs *event.Codecs) ([]*parkedLine, error) {
	_, partitions, err := reads.Topic(ctx, event.TopicParked)
	if err != nil {
		return nil, fmt.Errorf("looking at parked lines: %w", err)
	}
	standing := map[string]*parkedLine{}
	for id := range partitions {
		_, err := reads.Fold(ctx, event.TopicParked, id, func(rec *stream.Record) error {
			key := string(rec.Key)
			if rec.Value == nil {
				delete(standing, key)
				return nil
			}
			l := &parkedLine{key: key, rec: rec}
			if err := codecs.DecodeParked(rec.Value, &l.line); err != nil {
				return fmt.Errorf("decoding parked line %q: %w", rec.Key, err)
			}
			if c.takes(l) {
				standing[key] = l
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading parked lines of partition %d: %w", id, err)
		}
	}
	out := make([]*parkedLine, 0, len(standing))
	for _, l := range standing {
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b *parkedLine) int {
		if n := strings.Compare(a.line.RawID, b.line.RawID); n != 0 {
			return n
		}
		return int(a.line.Line - b.line.Line)
	})
	return out, nil
}

// withLines connects and hands over what a choice means.
func withLines(ctx context.Context, c *lineChoice, stderr io.Writer, f func(context.Context, *event.Codecs, stream.Config, []*parkedLine) error) error {
	return withReads(ctx, *c.path, stderr, func(ctx context.Context, cfg *Config, reads *stream.RestoreReads, codecs *event.Codecs) error {
		lines, err := linesOf(ctx, c, reads, codecs)
		if err != nil {
			return err
		}
		return f(ctx, codecs, cfg.Kafka, lines)
	})
}

func linesList(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("parked list", stderr, linesListAbout)
	c := newLineChoice(fs)
	asJSON := fs.Bool("json", false, "print JSON and nothing else, one line's object a line")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withLines(ctx, c, stderr, func(_ context.Context, _ *event.Codecs, _ stream.Config, lines []*parkedLine) error {
		if err := printLines(stdout, lines, *asJSON); err != nil {
			return fmt.Errorf("writing what waits: %w", err)
		}
		return nil
	})
}

// waitingJSON is a line in JSON; the time as RFC 3339.
type waitingJSON struct {
	Key     string          `json:"key"`
	Source  string          `json:"source"`
	Missing string          `json:"missing"`
	Why     string          `json:"why"`
	Detail  string          `json:"detail"`
	Since   string          `json:"since"`
	RawID   string          `json:"raw_id"`
	Line    int32           `json:"line"`
	Event   string          `json:"event"`
	Tree    json.RawMessage `json:"tree,omitempty"`
}

func printLines(w io.Writer, lines []*parkedLine, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		for _, l := range lines {
			x := &l.line
			err := enc.Encode(waitingJSON{
				l.key, string(x.Source), x.Missing, x.Code, x.Reason, instantText(x.At), x.RawID, x.Line, x.ID, json.RawMessage(x.Tree),
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(lines) > 0 {
		fmt.Fprintln(tw, "KEY\tSOURCE\tWHY\tSINCE\tDETAIL")
	}
	by := map[string]int{}
	for _, l := range lines {
		by[l.line.Code]++
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", l.key, l.line.Source, l.line.Code, instantText(l.line.At), l.line.Reason)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d lines wait: %d for items, %d for locations, %d for units\n",
		len(lines), by["unknown_item"], by["unknown_location"], by["unknown_unit"])
	return err
}

func linesRetry(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("parked retry", stderr, linesRetryAbout)
	c := newLineChoice(fs)
	keys := firsts(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	c.keys = keys
	return sendLines(ctx, c, stdout, stderr, "run again", func(*event.ParkedLine) {})
}

func linesDrop(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("parked drop", stderr, linesDropAbout)
	c := newLineChoice(fs)
	author := fs.String("author", "", "who decides; it stands in the dead letter")
	note := fs.String("note", "", "why; it stands in the dead letter")
	keys := firsts(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	c.keys = keys
	switch {
	case strings.TrimSpace(*author) == "" || strings.TrimSpace(*note) == "":
		return fmt.Errorf("%w: --author and --note are needed: who decides, and why?", errMisuse)
	case len(keys) == 0 && *c.source == "" && *c.missing == "":
		return fmt.Errorf("%w: which lines? name keys, --source or --missing", errMisuse)
	}
	return sendLines(ctx, c, stdout, stderr, "dropped", func(l *event.ParkedLine) {
		l.Action, l.Author, l.Note = event.RetryDrop, *author, *note
	})
}

// firsts takes the arguments before the flags.
func firsts(args *[]string) (out []string) {
	for s := first(args); s != ""; s = first(args) {
		out = append(out, s)
	}
	return out
}

// sendLines appends the lines of a choice to raw.retry, where their stream's owner
// takes them in order.
func sendLines(ctx context.Context, c *lineChoice, stdout, stderr io.Writer, done string, set func(*event.ParkedLine)) error {
	return withLines(ctx, c, stderr, func(ctx context.Context, codecs *event.Codecs, kafka stream.Config, lines []*parkedLine) error {
		switch {
		case len(lines) == 0:
			return errNoLines
		case len(lines) > maxAtOnce:
			return fmt.Errorf("%w: %d lines are chosen, more than %d: choose by --source or --missing", errMisuse, len(lines), maxAtOnce)
		}
		recs := make([]*stream.Record, len(lines))
		for i, l := range lines {
			set(&l.line)
			var err error
			if recs[i], err = canonicalizer.RetryRecord(codecs, l.rec, &l.line); err != nil {
				return fmt.Errorf("sending lines: %w", err)
			}
		}
		producer, err := stream.NewProducer(kafka, stream.WithMaxBatch(event.MaxBatch(event.TopicRetry)))
		if err != nil {
			return fmt.Errorf("connecting to the log: %w", err)
		}
		defer producer.Close()
		if err := producer.Produce(ctx, recs...); err != nil {
			return fmt.Errorf("sending lines: %w", err)
		}
		of := map[inventory.Source]int{}
		for _, l := range lines {
			of[l.line.Source]++
		}
		_, err = fmt.Fprintf(stdout, "%d lines of %d sources are sent to be %s\n", len(lines), len(of), done)
		return err
	})
}
