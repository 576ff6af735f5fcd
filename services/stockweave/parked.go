package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const parkedAbout = `
parked [ITEM] lists what waits in the state of the ledger, of all items or of one,
named ENTITY/ITEM or as it stands on topics, ENTITY|ITEM:
  parked   an event kept aside until what it needs has come, or a person decides
  held     the same of an event that waits for its order, or for an approval
  frozen   a key that takes no events: since when, why, from which offset on, and how
           many it has not taken
With --json each key is an object on a line of its own.
Lines that wait before the ledger, for master data, are those of "parked list".
It exits with 0 whether or not anything waits, and with 1 when the ledger has no such
item. "approve" decides an event that waits, "thaw" releases a frozen key.
`

// errNoItem is that of an item without state.
var errNoItem = errors.New("the ledger has no such item")

func parkedCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("parked", stderr, parkedAbout)
	path := fs.String("config", "", "configuration file")
	asJSON := fs.Bool("json", false, "print JSON and nothing else, one key a line")
	item := first(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	var only *inventory.Key
	if item != "" {
		key, err := itemKey(item)
		if err != nil {
			return err
		}
		only = &key
	}
	return withReads(ctx, *path, stderr, func(ctx context.Context, _ *Config, reads *stream.RestoreReads, codecs *event.Codecs) error {
		return listParked(ctx, reads, codecs, only, *asJSON, stdout)
	})
}

// withReads connects and hands over what reads topics, for as long as one apply may take.
func withReads(ctx context.Context, path string, stderr io.Writer, f func(context.Context, *Config, *stream.RestoreReads, *event.Codecs) error) error {
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	codecs, _, err := connected(ctx, cfg)
	if err != nil {
		return err
	}
	reads, err := stream.NewRestoreReads(cfg.Kafka)
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	defer reads.Close()
	return f(ctx, cfg, reads, codecs)
}

// first takes the argument before the flags, if there is one.
func first(args *[]string) (s string) {
	if len(*args) > 0 && !strings.HasPrefix((*args)[0], "-") {
		s, *args = (*args)[0], (*args)[1:]
	}
	return s
}

// listParked reads partition by partition and holds what waits in one at a time.
func listParked(ctx context.Context, reads *stream.RestoreReads, codecs *event.Codecs, only *inventory.Key, asJSON bool, w io.Writer) error {
	_, partitions, err := reads.Topic(ctx, event.TopicState)
	if err != nil {
		return fmt.Errorf("looking at the state: %w", err)
	}
	from, until := int32(0), partitions
	if only != nil {
		from = stream.Partition([]byte(only.String()), partitions)
		until = from + 1
	}
	p := parkedPrinter{w: w, json: asJSON}
	for id := from; id < until; id++ {
		r := asideReader{reads: reads, codecs: codecs, partition: id}
		if only != nil {
			r.only = only.String()
		}
		if err := r.read(ctx); err != nil {
			return err
		}
		if only != nil && r.keys[r.only] == nil {
			return fmt.Errorf("%w: %s", errNoItem, only)
		}
		if err := p.print(id, r.keys); err != nil {
			return fmt.Errorf("writing what waits: %w", err)
		}
	}
	if !asJSON {
		fmt.Fprintf(w, "%d parked, %d held, %d keys frozen\n", p.parked, p.held, p.frozen)
	}
	return nil
}

// asideReader follows what waits in a partition of the state.
type asideReader struct {
	reads     *stream.RestoreReads
	codecs    *event.Codecs
	partition int32
	only      string // the one key it looks at; empty: all
	keys      map[string]*asideKey
	next      int64 // offset to go on from; 0 before the first read
}

// asideKey is what a key keeps aside. With no reader of one key alone it is kept only
// while that is anything.
type asideKey struct {
	fence  inventory.Fence
	frozen inventory.Frozen
	waits  map[string]asideEvent // by kind and number of the piece
}

// asideEvent is an event that waits.
type asideEvent struct {
	n        string
	held     bool
	event    string
	kind     inventory.Kind
	source   inventory.Source
	document inventory.Document
	code     inventory.Code
	detail   string
	since    inventory.Instant
	until    inventory.Instant
	offset   int64
}

// read goes on to the end of the state as it is committed now.
func (r *asideReader) read(ctx context.Context) error {
	if r.keys == nil {
		r.keys = map[string]*asideKey{}
	}
	end, err := r.reads.StableEnd(ctx, event.TopicState, r.partition)
	if err == nil {
		var start int64
		start, err = r.reads.LogStart(ctx, event.TopicState, r.partition)
		r.next = max(r.next, start)
	}
	if err == nil {
		err = r.reads.Each(ctx, event.TopicState, r.partition, r.next, end, r.take)
	}
	if err != nil {
		return fmt.Errorf("reading state of partition %d: %w", r.partition, err)
	}
	r.next = end
	return nil
}

func (r *asideReader) take(rec *stream.Record) error {
	group, piece := cutStateKey(string(rec.Key))
	kind, n, _ := strings.Cut(piece, "|")
	switch {
	case r.only != "" && group != r.only:
		return nil
	case kind != inventory.PieceHead && kind != inventory.PieceParked && kind != inventory.PieceWaiting:
		return nil
	}
	var p inventory.Piece
	if rec.Value != nil {
		if err := r.codecs.DecodeState(rec.Key, rec.Value, &p); err != nil {
			return fmt.Errorf("decoding %s: %w", rec.Key, err)
		}
	}
	k := r.keys[group]
	if k == nil {
		k = &asideKey{waits: map[string]asideEvent{}}
		r.keys[group] = k
	}
	switch {
	case kind == inventory.PieceHead && p.Head != nil:
		k.fence, k.frozen = p.Head.Fence, p.Head.Frozen
	case kind == inventory.PieceHead:
		k.frozen = inventory.Frozen{}
	case p.Kept == nil:
		delete(k.waits, piece)
	default:
		k.waits[strings.Clone(piece)] = asideOf(n, kind, p.Kept)
	}
	if r.only == "" && k.frozen.Since == 0 && len(k.waits) == 0 {
		delete(r.keys, group)
	}
	return nil
}

// cutStateKey divides a key of the state into that of the ledger and of the piece.
func cutStateKey(key string) (group, piece string) {
	entity, rest, _ := strings.Cut(key, "|")
	item, piece, _ := strings.Cut(rest, "|")
	return entity + "|" + item, piece
}

func asideOf(n, kind string, k *inventory.Kept) asideEvent {
	return asideEvent{
		n: strings.Clone(n), held: kind == inventory.PieceWaiting, event: k.Event.ID, kind: k.Event.Kind, source: k.Event.Source,
		document: k.Event.Document, code: k.Code, detail: k.Detail, since: k.At, until: k.Until, offset: k.Offset,
	}
}

// sorted are the events that wait in the order in which they were set aside.
func (k *asideKey) sorted() []asideEvent {
	return slices.SortedFunc(maps.Values(k.waits), func(a, b asideEvent) int {
		return cmp.Or(cmp.Compare(len(a.n), len(b.n)), strings.Compare(a.n, b.n))
	})
}

func (e *asideEvent) state() string {
	if e.held {
		return "held"
	}
	return "parked"
}

// parkedPrinter prints what waits, partition by partition.
type parkedPrinter struct {
	w                    io.Writer
	json                 bool
	headed               bool
	parked, held, frozen int
}

func (p *parkedPrinter) print(partition int32, keys map[string]*asideKey) error {
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		k := keys[name]
		if k.frozen.Since != 0 {
			p.frozen++
		}
		for _, e := range k.waits {
			if e.held {
				p.held++
			} else {
				p.parked++
			}
		}
		if k.frozen.Since == 0 && len(k.waits) == 0 {
			continue // asked for by name
		}
		if p.json {
			if err := json.NewEncoder(p.w).Encode(k.json(name, partition)); err != nil {
				return err
			}
			continue
		}
		if !p.headed {
			p.headed = true
			fmt.Fprintln(tw, "KEY\tSTATE\tWHY\tSINCE\tOFFSET\tEVENT\tKIND\tDOCUMENT\tDETAIL")
		}
		if f := &k.frozen; f.Since != 0 {
			fmt.Fprintf(tw, "%s\tfrozen\t%s\t%s\t%d\t-\t-\t-\t%d events are not taken\n", name, f.Code, instantText(f.Since), f.Offset, f.Count)
		}
		for _, e := range k.sorted() {
			detail := e.detail
			if e.until != 0 {
				detail += ", until " + instantText(e.until)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s, %s\t%s\n", name, e.state(), e.code, instantText(e.since), e.offset,
				e.event, e.kind, e.source, documentText(&e.document), detail)
		}
	}
	return tw.Flush()
}

// What stands in JSON; times as RFC 3339.
type (
	parkedKey struct {
		Key       string        `json:"key"`
		Partition int32         `json:"partition"`
		Frozen    *parkedFrozen `json:"frozen,omitempty"`
		Events    []parkedEvent `json:"events"`
	}
	parkedFrozen struct {
		Since    string `json:"since"`
		Why      string `json:"why"`
		Offset   int64  `json:"offset"`    // of the first event not taken
		NotTaken int64  `json:"not_taken"` // events
	}
	parkedEvent struct {
		State    string `json:"state"`
		Event    string `json:"event"`
		Kind     string `json:"kind"`
		Source   string `json:"source"`
		Document string `json:"document"`
		Why      string `json:"why"`
		Detail   string `json:"detail,omitempty"`
		Since    string `json:"since"`
		Until    string `json:"until,omitempty"`
		Offset   int64  `json:"offset"`
	}
)

func (k *asideKey) json(name string, partition int32) parkedKey {
	x := parkedKey{Key: name, Partition: partition, Events: []parkedEvent{}}
	if f := &k.frozen; f.Since != 0 {
		x.Frozen = &parkedFrozen{Since: instantText(f.Since), Why: string(f.Code), Offset: f.Offset, NotTaken: f.Count}
	}
	for _, e := range k.sorted() {
		y := parkedEvent{
			State: e.state(), Event: e.event, Kind: string(e.kind), Source: string(e.source), Document: documentText(&e.document),
			Why: string(e.code), Detail: e.detail, Since: instantText(e.since), Offset: e.offset,
		}
		if e.until != 0 {
			y.Until = instantText(e.until)
		}
		x.Events = append(x.Events, y)
	}
	return x
}
