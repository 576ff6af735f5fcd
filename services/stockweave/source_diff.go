package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

// errOtherwise ends a command that found a difference, after it has shown it.
var errOtherwise = errors.New("it differs")

// maxDiffBytes bounds the raw messages kept for a comparison.
const maxDiffBytes = 256 << 20

// sourceDiff compares two versions of a source before the new one goes live.
func sourceDiff(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("source diff NAME", stderr,
		"Runs the last raw messages of a source through the file in the policies folder and through the new one, and\n",
		"tells what comes out otherwise. It only reads: raw.messages and raw.bulk, no further back than --scan records\n",
		"of each partition; with --from-dir the files of a folder instead. Nothing waits for master data. Exit code 1\n",
		"when anything differs.\n")
	path := fs.String("config", "", "configuration file")
	dir := fs.String("policies", "", "policies folder; that of the configuration when empty")
	newFile := fs.String("new", "", "file of the new version")
	last := fs.Int("last", 200, "raw messages to compare by, the newest of the source")
	scan := fs.Int64("scan", 20_000, "records of each partition to look through for them, the newest")
	fromDir := fs.String("from-dir", "", "take the messages from this folder, without a cluster")
	asJSON := fs.Bool("json", false, "print JSON for programs")
	names, err := parseMixed(fs, args)
	if err != nil {
		return err
	}
	if len(names) != 1 || *newFile == "" {
		return fmt.Errorf("%w: name one source, and the --new file", errMisuse)
	}
	if *last < 1 || *last > 10_000 || *scan < 1 || *scan > 10_000_000 {
		return fmt.Errorf("%w: --last is 1 to 10000, --scan 1 to 10000000", errMisuse)
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	b, err := benchOf(cmp.Or(*dir, cfg.PoliciesDir))
	if err != nil {
		return err
	}
	old := b.Source(inventory.Source(names[0]))
	if old == nil {
		return fmt.Errorf("%w: no source or partner is named %q", errMisuse, names[0])
	}
	changed, err := policy.LoadSource(*newFile)
	if err != nil {
		return err
	}
	if changed.Name != old.Name {
		return fmt.Errorf("%w: the new file is of source %s, so every event would be another one", errMisuse, changed.Name)
	}
	d, err := b.Differing(old, changed)
	if err != nil {
		return err
	}
	if *fromDir != "" {
		err = diffFolder(ctx, d, *fromDir)
	} else {
		cfg.Kafka.Log = newLog(stderr, cfg.level())
		err = diffLog(ctx, cfg, d, old.Name, *last, *scan)
	}
	if err != nil {
		return err
	}
	sum := d.Sum()
	if *asJSON {
		if err := printJSON(stdout, sum); err != nil {
			return err
		}
	} else {
		printDifference(stdout, &sum)
	}
	if sum.Messages == 0 {
		return fmt.Errorf("%w: there is no message of the source to compare by", errMisuse)
	}
	if sum.Differs() {
		return errOtherwise
	}
	return nil
}

func diffFolder(ctx context.Context, d *canonicalizer.Differing, dir string) error {
	files, err := messagesIn(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		body, err := readMessage(f)
		if err != nil {
			return err
		}
		if err := d.Add(ctx, f, canonicalizer.Message{Body: body, Filename: filepath.Base(f)}); err != nil {
			return fmt.Errorf("comparing %s: %w", f, err)
		}
	}
	return nil
}

func diffLog(ctx context.Context, cfg *Config, d *canonicalizer.Differing, name inventory.Source, last int, scan int64) error {
	codecs, _, err := connected(ctx, cfg)
	if err != nil {
		return err
	}
	raws, err := lastRaw(ctx, cfg.Kafka, codecs, name, last, scan)
	if err != nil {
		return err
	}
	for _, raw := range raws {
		msg := canonicalizer.Message{ID: raw.ID, Body: raw.Body, Filename: raw.Filename, Headers: raw.Headers, Received: raw.ReceivedAt}
		if err := d.Add(ctx, raw.ID, msg); err != nil {
			return fmt.Errorf("comparing message %s: %w", raw.ID, err)
		}
	}
	return nil
}

// lastRaw are the newest raw messages of a source, oldest first: at most so many, among
// the last records of each partition, and no more than maxDiffBytes of them.
func lastRaw(ctx context.Context, kafka stream.Config, codecs *event.Codecs, name inventory.Source, last int, scan int64) ([]*event.RawMessage, error) {
	reads, err := stream.NewRestoreReads(kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer reads.Close()
	admin, err := stream.NewAdmin(kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer admin.Close()
	kept := lastRaws{last: last}
	for _, logical := range []string{event.TopicRaw, event.TopicRawBulk} {
		topic := kafka.Physical(logical)
		starts, err := admin.StartOffsets(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("reading the start of %s: %w", logical, err)
		}
		ends, err := admin.EndOffsets(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("reading the end of %s: %w", logical, err)
		}
		for p, end := range ends {
			c := reads.Cursor(topic, int32(p), max(starts[p], end-scan), false) //nolint:gosec // partition counts are int32
			for c.Offset() < end {
				recs, err := c.Next(ctx)
				if err != nil {
					return nil, fmt.Errorf("reading partition %d of %s: %w", p, logical, err)
				}
				for _, rec := range recs {
					if rec.Offset >= end || !bytes.HasPrefix(rec.Key, []byte(inventory.Escape(string(name))+"|")) {
						continue
					}
					raw := &event.RawMessage{}
					if err := codecs.DecodeRaw(rec.Value, raw); err != nil {
						continue // it becomes a dead letter, by either version
					}
					kept.add(raw)
				}
			}
		}
	}
	return kept.sorted(), nil
}

// lastRaws keeps the last messages by the time of their receipt.
type lastRaws struct {
	last int
	all  []*event.RawMessage
	size int
}

func (n *lastRaws) add(raw *event.RawMessage) {
	n.all = append(n.all, raw)
	if n.size += len(raw.Body); len(n.all) >= 2*n.last+64 || n.size > maxDiffBytes {
		n.sorted()
	}
}

// sorted drops what is too much, and returns the rest, oldest first.
func (n *lastRaws) sorted() []*event.RawMessage {
	slices.SortFunc(n.all, func(a, b *event.RawMessage) int {
		return cmp.Or(cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.ID, b.ID))
	})
	n.size = 0
	from := len(n.all)
	for from > 0 && len(n.all)-from < n.last && n.size+len(n.all[from-1].Body) <= maxDiffBytes {
		from--
		n.size += len(n.all[from].Body)
	}
	n.all = slices.Clone(n.all[from:])
	return n.all
}

func printDifference(out io.Writer, d *canonicalizer.Difference) {
	fmt.Fprintf(out, "mapping version %s against %s, over %d messages (%d of them come out otherwise)\n", d.Old, d.New, d.Messages, d.Touched)
	fmt.Fprintf(out, "lines: %d same, %d changed, %d added, %d removed\n", d.Same, d.Changed, d.Added, d.Removed)
	if d.Old == d.New && d.Differs() {
		fmt.Fprintln(out, "give the new one another mapping_version: it is stamped on every event")
	}
	for _, x := range d.Examples {
		fmt.Fprintf(out, "\n%s, message %s\n", x.Kind, cut(oneLine(x.Message), maxWidth-20))
		for _, l := range lineDiff(jsonLines(x.Old), jsonLines(x.New)) {
			fmt.Fprintln(out, "  "+cut(oneLine(l), maxWidth-2))
		}
	}
}

func jsonLines(b json.RawMessage) []string {
	if b == nil {
		return nil
	}
	var w bytes.Buffer
	if err := json.Indent(&w, b, "", "  "); err != nil {
		return []string{string(b)}
	}
	var out []string
	for l := range bytes.SplitSeq(w.Bytes(), []byte("\n")) {
		out = append(out, string(l))
	}
	return out
}
