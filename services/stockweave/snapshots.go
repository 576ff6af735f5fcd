package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

const snapshotsAbout = `
snapshots approve SNAPSHOT closes a full snapshot in spite of its guard: what it does
not list at the location becomes zero as of its time. Its id, source and location
stand in the dead letter (snapshot_guard). It also ends a snapshot again of which
frozen items were left (snapshot_left).
The word goes into inventory.events, one control record for each partition in which
the snapshot ended, under an id that author, snapshot and location make. What a count
of one item may change is guarded all the same.
It exits with 0 when the word stands in the log, and with 1 when no such snapshot has
ended.
`

const snapshotsListAbout = `
snapshots list tells of the full snapshots in several messages of which parts have not
come, for a week back: until they have, nothing that the snapshot leaves out becomes
zero. Ask its source to send the missing parts again, or the whole as a new snapshot:
once a later one is whole at the same locations, the older one is told of no more.
Where no part says how many there are, the one behind the last is missing.
With --json each snapshot is an object on a line of its own.
It exits with 0 where none waits, or none so long as --older says; else with 1.
`

// errWaits is that of full snapshots of which parts have not come.
var errWaits = errors.New("parts of full snapshots have not come")

func snapshotsList(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("snapshots list", stderr, snapshotsListAbout)
	path := fs.String("config", "", "configuration file")
	older := fs.Duration("older", 0, "those alone whose first part came so long ago")
	asJSON := fs.Bool("json", false, "print JSON and nothing else, one snapshot a line")
	if err := parse(fs, args); err != nil {
		return err
	}
	return withReads(ctx, *path, stderr, func(ctx context.Context, _ *Config, reads *stream.RestoreReads, codecs *event.Codecs) error {
		now := time.Now()
		all, err := atp.NewWaiting(reads, codecs).Look(ctx, now.Add(-atp.WaitingBack))
		if err != nil {
			return err
		}
		until := inventory.Instant(now.Add(-*older).UnixMilli())
		all = slices.DeleteFunc(all, func(s atp.WaitingSnapshot) bool { return s.Since > until })
		if err := printWaiting(stdout, all, *asJSON); err != nil {
			return fmt.Errorf("writing what waits: %w", err)
		}
		if len(all) > 0 {
			return errWaits
		}
		return nil
	})
}

// waitingLine is a snapshot that waits, as JSON.
type waitingLine struct {
	Snapshot   string               `json:"snapshot"`
	Source     inventory.Source     `json:"source"`
	Entity     inventory.Entity     `json:"entity"`
	Locations  []inventory.Location `json:"locations"`
	AsOf       time.Time            `json:"as_of"`
	Since      time.Time            `json:"since"`
	Ended      int                  `json:"ended"`
	Missing    []int32              `json:"missing"`
	Partitions int                  `json:"partitions"`
}

func printWaiting(w io.Writer, all []atp.WaitingSnapshot, asJSON bool) error {
	utc := func(t inventory.Instant) time.Time { return time.UnixMilli(int64(t)).UTC() }
	if asJSON {
		enc := json.NewEncoder(w)
		for _, s := range all {
			line := waitingLine{s.ID, s.Source, s.Entity, s.Locations, utc(s.AsOf), utc(s.Since), s.Ended, s.Missing, s.Partitions}
			if err := enc.Encode(line); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no full snapshot waits for parts")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SNAPSHOT\tSOURCE\tENTITY\tLOCATIONS\tAS OF\tSINCE\tENDED\tMISSING PARTS\tPARTITIONS")
	for _, s := range all {
		places := make([]string, len(s.Locations))
		for i, p := range s.Locations {
			places[i] = string(p)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\n", s.ID, s.Source, s.Entity, strings.Join(places, " "),
			utc(s.AsOf).Format(time.RFC3339), utc(s.Since).Format(time.RFC3339), s.Ended, atp.PartsText(s.Missing), s.Partitions)
	}
	return t.Flush()
}

// errNoSnapshot is that of a snapshot whose end the ledger has not come to.
var errNoSnapshot = errors.New("no such snapshot has ended")

func snapshotsApprove(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("snapshots approve", stderr, snapshotsAbout)
	path := fs.String("config", "", "configuration file")
	source := fs.String("source", "", "who counted")
	place := fs.String("location", "", "the location")
	author := fs.String("author", "", "who decides; it stands in the log")
	note := fs.String("note", "", "why; it stands in the log")
	id := first(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case id == "":
		return fmt.Errorf("%w: which snapshot? Its id comes first", errMisuse)
	case *source == "" || *place == "":
		return fmt.Errorf("%w: --source and --location are needed: they name the snapshot", errMisuse)
	case strings.TrimSpace(*author) == "":
		return fmt.Errorf("%w: --author is needed: who decides?", errMisuse)
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	codecs, _, err := connected(ctx, cfg)
	if err != nil {
		return err
	}
	ends, err := endsOf(ctx, cfg.Kafka, codecs, id, inventory.Source(*source), inventory.Location(*place))
	if err != nil {
		return err
	}
	if err := approveEnds(ctx, cfg.Kafka, codecs, ends, *author, *note, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "snapshot %s of %s at %s: the word stands in %d partitions\n", id, *source, *place, len(ends))
	return nil
}

// endsOf finds the last end of a snapshot in each partition.
func endsOf(ctx context.Context, kafka stream.Config, codecs *event.Codecs, id string, source inventory.Source, place inventory.Location) (map[int32]inventory.SnapshotEnd, error) {
	reads, err := stream.NewRestoreReads(kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	defer reads.Close()
	_, partitions, err := reads.Topic(ctx, event.TopicSnapshots)
	if err != nil {
		return nil, fmt.Errorf("looking for ends of snapshots: %w", err)
	}
	ends := map[int32]inventory.SnapshotEnd{}
	for p := range partitions {
		if _, err := reads.Fold(ctx, event.TopicSnapshots, p, func(rec *stream.Record) error {
			var x event.SnapshotEnded
			if err := codecs.DecodeSnapshot(rec.Value, &x); err != nil {
				return fmt.Errorf("decoding the end at partition %d offset %d: %w", p, rec.Offset, err)
			}
			if x.End.ID == id && x.End.Source == source && x.End.Location == place {
				ends[p] = x.End
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("reading ends of snapshots: %w", err)
		}
	}
	if len(ends) == 0 {
		return nil, fmt.Errorf("%w: %s of %s at %s", errNoSnapshot, id, source, place)
	}
	return ends, nil
}

// approveEnds appends the word on a snapshot to each partition.
func approveEnds(ctx context.Context, kafka stream.Config, codecs *event.Codecs, ends map[int32]inventory.SnapshotEnd, author, note string, now time.Time) error {
	producer, err := stream.NewProducer(kafka, stream.WithOwnPartition())
	if err != nil {
		return fmt.Errorf("opening producer: %w", err)
	}
	defer producer.Close()
	at := inventory.Instant(now.UnixMilli())
	recs := make([]*stream.Record, 0, len(ends))
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		end := ends[p]
		end.Author, end.Reason = author, note
		if err := end.Validate(); err != nil {
			return fmt.Errorf("%w: %w", errMisuse, err)
		}
		doc := inventory.Document{
			Type: "snapshot_approval", Number: end.ID, Revision: author,
			Line: inventory.Escape(string(end.Source)) + "|" + inventory.Escape(string(end.Location)) + "|" + strconv.Itoa(int(p)),
		}
		ev := inventory.Event{
			ID: event.EventID(approvals, doc), Kind: inventory.KindControl, Source: approvals, Document: doc,
			OccurredAt: at, OccurredBasis: inventory.BasisReceipt, ReceivedAt: at, Control: &inventory.Control{Snapshot: &end},
		}
		value, err := codecs.AppendEvent(nil, &ev)
		if err != nil {
			return fmt.Errorf("encoding the approval of partition %d: %w", p, err)
		}
		recs = append(recs, &stream.Record{
			Topic: event.TopicEvents, Partition: p, Key: []byte(event.ControlKey), Value: value,
			Headers: event.HeadersOf[stream.RecordHeader](&ev, operatorURN),
		})
	}
	if err := producer.Produce(ctx, recs...); err != nil {
		return fmt.Errorf("appending the approval: %w", err)
	}
	return nil
}
