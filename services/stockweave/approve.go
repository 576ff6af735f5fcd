package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const approveAbout = `
approve EVENT_ID decides an event that waits: --apply lets it pass what holds it,
--drop gives it up. The word goes into inventory.events as an event of its own, under
an id that author, event and decision make, so that given twice it counts once; the
ledger decides it in its turn. What became of it is printed.
It exits with 0 when the ledger took the word, with 1 when it refused it or the event
waits on, and with 3 when it had not decided in time: the word stands in the log then.
"parked" lists what waits, "thaw" releases a frozen key.
`

// approvals is the source of an operator's words on what waits or is frozen.
const approvals inventory.Source = "stockweave-operator"

// operatorURN is the CloudEvents source of what is appended for an operator.
const operatorURN = "urn:stockweave:operator"

// errWord is that of a word the ledger did not take.
var errWord = errors.New("the ledger did not do it")

// word is what every command that speaks to the ledger of one key works with.
type word struct {
	cfg       *Config
	codecs    *event.Codecs
	reads     *stream.RestoreReads
	producer  *stream.Producer
	key       inventory.Key
	partition int32
	author    string
	note      string
	wait      time.Duration
	now       func() time.Time
}

// wordFlags are those of all of these commands.
type wordFlags struct {
	path, author, note *string
	wait               *time.Duration
}

func newWordFlags(fs *flag.FlagSet) wordFlags {
	return wordFlags{
		path:   fs.String("config", "", "configuration file"),
		author: fs.String("author", "", "who decides; it stands in the log"),
		note:   fs.String("note", "", "why; it stands in the log"),
		wait:   fs.Duration("wait", 30*time.Second, "how long to wait for the ledger, each time"),
	}
}

// speak reads the configuration and connects.
func (f wordFlags) speak(ctx context.Context, item string, stderr io.Writer) (*word, error) {
	key, err := itemKey(item)
	switch {
	case err != nil:
		return nil, err
	case strings.TrimSpace(*f.author) == "":
		return nil, fmt.Errorf("%w: --author is needed: who decides?", errMisuse)
	case *f.wait <= 0:
		return nil, fmt.Errorf("%w: --wait must be above 0", errMisuse)
	}
	cfg, err := loadConfig(*f.path)
	if err != nil {
		return nil, err
	}
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	codecs, _, err := connected(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &word{cfg: cfg, codecs: codecs, key: key, author: *f.author, note: *f.note, wait: *f.wait, now: time.Now}
	if s.reads, err = stream.NewRestoreReads(cfg.Kafka); err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	_, partitions, err := s.reads.Topic(ctx, event.TopicEvents)
	if err == nil {
		s.partition = stream.Partition([]byte(key.String()), partitions)
		// Outside transactions: others' reads must not wait for an operator (EXACTLY-ONCE §1).
		s.producer, err = stream.NewProducer(cfg.Kafka)
	}
	if err != nil {
		s.reads.Close()
		return nil, fmt.Errorf("connecting to the log: %w", err)
	}
	return s, nil
}

func (s *word) close() {
	s.producer.Close()
	s.reads.Close()
}

func approveCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("approve", stderr, approveAbout)
	f := newWordFlags(fs)
	item := fs.String("item", "", "the item of the event, ENTITY/ITEM")
	apply := fs.Bool("apply", false, "apply the event, whatever it waits for")
	drop := fs.Bool("drop", false, "give the event up")
	id := first(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case id == "":
		return fmt.Errorf("%w: which event? Its id comes first", errMisuse)
	case *apply == *drop:
		return fmt.Errorf("%w: either --apply or --drop", errMisuse)
	}
	release := inventory.ReleaseApply
	if *drop {
		release = inventory.ReleaseDrop
	}
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	s, err := f.speak(ctx, *item, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	return s.approve(ctx, id, release, stdout)
}

// approve gives a word on one event and tells what became of both.
func (s *word) approve(ctx context.Context, id string, release inventory.ReleaseKind, w io.Writer) error {
	ev := s.approval(id, release, inventory.Document{Type: "approval", Number: id, Revision: s.author, Line: string(release)})
	said, err := s.say(ctx, &ev)
	if err != nil {
		return err
	}
	outcomeText(w, &said.word)
	for i := range said.also {
		outcomeText(w, &said.also[i])
	}
	switch said.word.Kind { //nolint:exhaustive // of the others the ledger did nothing
	case inventory.Applied:
		for i := range said.also {
			if said.also[i].EventID == id {
				return nil
			}
		}
		return fmt.Errorf("%w: event %s waits on", errWord, id)
	case inventory.Duplicate, inventory.Conflict: // a conflict is one with another note
		fmt.Fprintln(w, "the same word was given before: that one stands")
		return nil
	}
	return fmt.Errorf("%w: the word is %s", errWord, said.word.Kind)
}

// approval is the event of a word. Its id is a function of its document alone.
func (s *word) approval(id string, release inventory.ReleaseKind, doc inventory.Document) inventory.Event {
	at := inventory.Instant(s.now().UnixMilli())
	return inventory.Event{
		ID: event.EventID(approvals, doc), Kind: inventory.KindApproval, Key: s.key, Source: approvals, Document: doc,
		OccurredAt: at, OccurredBasis: inventory.BasisReceipt, ReceivedAt: at, // so the id stands for the same content again
		Approval: &inventory.Approval{Event: id, Release: release, Author: s.author, Reason: s.note},
	}
}

// said is what became of a word, and of the events it let go on.
type said struct {
	word inventory.Outcome
	also []inventory.Outcome
}

// say appends a word and waits for what became of it.
func (s *word) say(ctx context.Context, ev *inventory.Event) (*said, error) {
	if err := ev.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMisuse, err)
	}
	value, err := s.codecs.AppendEvent(nil, ev)
	if err != nil {
		return nil, fmt.Errorf("encoding the approval: %w", err)
	}
	// What is told of it comes behind what is told already.
	from, err := s.reads.HighWatermark(ctx, event.TopicOutcomes, s.partition)
	if err != nil {
		return nil, fmt.Errorf("looking at the outcomes: %w", err)
	}
	rec := &stream.Record{
		Topic: event.TopicEvents, Key: []byte(s.key.String()), Value: value, Headers: event.HeadersOf[stream.RecordHeader](ev, operatorURN),
	}
	if err := s.producer.Produce(ctx, rec); err != nil {
		return nil, fmt.Errorf("appending the approval: %w", err)
	}
	if err := s.decided(ctx, rec.Offset); err != nil {
		return nil, fmt.Errorf("%w: the word stands in the log, at partition %d offset %d", err, s.partition, rec.Offset)
	}
	return s.heard(ctx, ev.ID, rec.Offset, from)
}

// askAgain is the pause between two looks at how far the ledger has come.
const askAgain = 20 * time.Millisecond

// decided waits until the ledger has committed what it made of an offset of the key's
// partition. From then on state and outcomes tell (EXACTLY-ONCE §3: first the group's
// offset, then what was written with it).
func (s *word) decided(ctx context.Context, offset int64) error {
	within, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	for {
		at, err := s.reads.GroupOffset(within, s.cfg.ATP.Group, event.TopicEvents, s.partition)
		switch {
		case err == nil && at > offset:
			return nil
		case within.Err() != nil && ctx.Err() == nil:
			return fmt.Errorf("%w: the ledger did not come to it within %s", errIncomplete, s.wait)
		case err != nil:
			return fmt.Errorf("asking how far the ledger has come: %w", err)
		}
		select {
		case <-within.Done():
		case <-time.After(askAgain):
		}
	}
}

// heard finds the outcome of a word, and behind it those of the events it let go on.
func (s *word) heard(ctx context.Context, id string, offset, from int64) (*said, error) {
	end, err := s.reads.StableEnd(ctx, event.TopicOutcomes, s.partition)
	if err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	var found *said
	key, over := s.key.String(), false
	err = s.reads.Each(ctx, event.TopicOutcomes, s.partition, from, end, func(rec *stream.Record) error {
		if over || string(rec.Key) != key {
			return nil
		}
		var o inventory.Outcome
		if err := s.codecs.DecodeOutcome(rec.Value, &o); err != nil {
			return fmt.Errorf("decoding outcome at offset %d: %w", rec.Offset, err)
		}
		switch {
		case o.EventID == id && o.Offset == offset:
			found = &said{word: o}
		case found != nil && o.Offset < offset: // it has the place of its event
			found.also = append(found.also, o)
		case found != nil:
			over = true
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading outcomes: %w", err)
	case found == nil:
		return nil, fmt.Errorf("%w: the word has no outcome, so it went to the dead letters: partition %d offset %d", errWord, s.partition, offset)
	}
	return found, nil
}
