package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/audit"
	"github.com/stockweave/stockweave/services/atpapi"
)

// What an audit may end with besides success.
var (
	errAudit      = errors.New("the log and what came of it differ")
	errIncomplete = errors.New("not all could be checked")
)

const auditAbout = `
Folds the log once more, apart from the ledger, up to where the state stands, and
compares outcomes, state, positions and Redis with it. Checked are:
  2  each event has one outcome, or one dead letter; none is missing, doubled or of no event;
     the lines of each receipt add up, and its rejected lines and milestones are there
  3  every move is a double entry; each item sums to 0; state, positions and Redis are the fold
  4  reserved and supplied quantities are those of the lines; every shortage was named
  5  versions grow by one with each change of facts and never fall, in outcomes, positions and Redis
  8  fence, clock and policy version of the state are those of the log
It exits with 0 when all is right, with 1 and the first bad event when not, and with
3 when part of the log is gone, so that not all could be checked.
What it does not check stands at the end of what it prints.
`

func auditCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("audit", stderr, auditAbout)
	path := fs.String("config", "", "configuration file")
	asJSON := fs.Bool("json", false, "print the report as JSON and nothing else")
	cache := fs.Bool("redis", true, "compare Redis too")
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	return auditLog(ctx, cfg, *cache, *asJSON, stdout, time.Now)
}

func auditLog(ctx context.Context, cfg *Config, cache, asJSON bool, stdout io.Writer, now func() time.Time) error {
	began := now()
	codecs, _, err := connected(ctx, cfg)
	if err != nil {
		return err
	}
	a := audit.Config{Kafka: cfg.Kafka, Codecs: codecs, Group: cfg.ATP.Group}
	if cache {
		p, err := atpapi.OpenProjection(cfg.Redis, os.Getenv)
		if err != nil {
			return fmt.Errorf("%w: %w", errMisuse, err)
		}
		defer p.Close()
		a.Cache = p
	}
	report, err := audit.Run(ctx, a)
	if err != nil {
		return err
	}
	took := now().Sub(began)
	if asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		first := report.First()
		full := struct {
			*audit.Report
			First   *audit.Finding `json:"first"`
			Clean   bool           `json:"clean"`
			Seconds float64        `json:"seconds"`
		}{report, first, first == nil && report.Incomplete == nil, took.Seconds()}
		if err := enc.Encode(full); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	} else {
		printAudit(stdout, report, took)
	}
	switch first := report.First(); {
	case first != nil:
		return fmt.Errorf("%w: %d items or receipts are bad; first %s at %s partition %d offset %d", errAudit, report.Bad, first.Check, first.Topic, first.Partition, first.Offset)
	case report.Incomplete != nil:
		return fmt.Errorf("%w: %s", errIncomplete, report.Incomplete[0])
	}
	return nil
}

func printAudit(w io.Writer, r *audit.Report, took time.Duration) {
	outcomes := make([]string, 0, len(r.Outcomes))
	for _, kind := range slices.Sorted(maps.Keys(r.Outcomes)) {
		outcomes = append(outcomes, fmt.Sprintf("%d %s", r.Outcomes[kind], kind))
	}
	fmt.Fprintf(w, "%d partitions in %s: %d events = %s + %d dead letters; %d control records, %d events not come to yet\n",
		r.Partitions, took.Round(time.Millisecond), r.Events, strings.Join(outcomes, " + "), r.DeadLetters, r.Controls, r.Waiting)
	fmt.Fprintf(w, "%d items, %d positions, %d fields of Redis compared; %d went on meanwhile\n", r.Items, r.Positions, r.CacheFields, r.Moved)
	fmt.Fprintf(w, "%d receipts of raw messages, with %d milestones\n", r.Receipts, r.Milestones)
	for _, n := range r.Notes {
		fmt.Fprintln(w, "note        "+n)
	}
	if f := r.First(); f != nil {
		fmt.Fprintf(w, "FIRST BAD   invariant %d, %s: %s partition %d offset %d, event %s of %s", f.Invariant, f.Check, f.Topic, f.Partition, f.Offset, f.EventID, f.Key)
		if f.Location != "" {
			fmt.Fprintf(w, " at %s", f.Location)
		}
		fmt.Fprintf(w, "\n  seen in   %s\n  expected  %s\n  found     %s\n", f.Seen, f.Expected, f.Found)
		fmt.Fprintf(w, "%d items or receipts are bad\n", r.Bad)
	}
	for _, s := range r.Incomplete {
		fmt.Fprintln(w, "INCOMPLETE  "+s)
	}
	if r.First() == nil && r.Incomplete == nil {
		fmt.Fprintln(w, "all that was checked is right")
	}
	for _, s := range r.NotChecked {
		fmt.Fprintln(w, "not checked "+s)
	}
}
