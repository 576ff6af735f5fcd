package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const thawAbout = `
thaw ITEM releases a frozen key (docs/adr/0015). It appends the events that the key has
not taken once more, in the order of the log, each marked as the copy of its offset,
and behind them the word that ends the freeze. What has come in meanwhile is copied in
the next round, until the ledger takes that word. Broken off anywhere, it may begin
again: a copy that was taken is a repeat.
An event that went to the dead letters has had its end there: it is named, and not copied.
It stops where a copy is too much still: make room with "approve", or raise the limit
it names, and give the command again.
--drop gives up what the key has not taken, which is the only way when retention took it.
It exits with 0 when the key takes events again, with 1 when it does not, with 2 when
it is not frozen, and with 3 when the ledger did not come to it in time.
`

const (
	// maxCopies bounds a round: behind a copy that is not taken nothing is.
	maxCopies = 500
	// idleRounds without an event to copy after which what is counted is not there.
	idleRounds = 2
)

// errStuck is that of a key that stays frozen.
var errStuck = errors.New("the key is frozen still")

func thawCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("thaw", stderr, thawAbout)
	f := newWordFlags(fs)
	drop := fs.Bool("drop", false, "give up the events that the key has not taken")
	item := first(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	s, err := f.speak(ctx, item, stderr)
	if err != nil {
		return err
	}
	defer s.close()
	t := &thaw{word: s, w: stdout, state: asideReader{reads: s.reads, codecs: s.codecs, partition: s.partition, only: s.key.String()}}
	return refusal(stdout, t.run(ctx, *drop))
}

// thaw is the release of a frozen key under way.
type thaw struct {
	*word
	w     io.Writer
	state asideReader
	from  inventory.Fence // of the key, when it was looked at last
	dead  map[int64]deadEvent
	told  map[int64]bool // of those, the ones that were named
}

func (t *thaw) run(ctx context.Context, drop bool) error {
	f, err := t.look(ctx)
	if err != nil {
		return err
	}
	if f.Since == 0 {
		return &stream.Refused{Reasons: []string{fmt.Sprintf("%s is not frozen", t.key)}}
	}
	fmt.Fprintf(t.w, "%s is frozen since %s at offset %d: %s, %d events are not taken\n", t.key, instantText(f.Since), f.Offset, f.Code, f.Count)
	if drop {
		return t.giveUp(ctx)
	}
	idle := 0
	for n := 1; ; n++ {
		r, err := t.round(ctx, f)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.w, "round %d: %d copies, %s\n", n, r.copies, r.tell())
		was := f
		if f, err = t.look(ctx); err != nil {
			return err
		}
		if idle++; r.copies > 0 {
			idle = 0
		}
		switch {
		case f.Since == 0:
			fmt.Fprintf(t.w, "%s takes events again\n", t.key)
			return nil
		case f.Taken < f.Offset && f.Offset <= r.last:
			return fmt.Errorf("%w: the event at offset %d is too much still (%s), and %d are not taken", errStuck, f.Offset, f.Code, f.Count)
		case r.copies > 0 && f.Taken == was.Taken:
			return fmt.Errorf("%w: none of the copies was taken, they went to the dead letters; %d events are not taken", errStuck, f.Count)
		case idle == idleRounds:
			return fmt.Errorf("%w: the log holds no more of its events, and %d are not taken; --drop gives them up", errStuck, f.Count)
		}
	}
}

// look reads how the key stands now.
func (t *thaw) look(ctx context.Context) (inventory.Frozen, error) {
	if err := t.state.read(ctx); err != nil {
		return inventory.Frozen{}, err
	}
	k := t.state.keys[t.state.only]
	if k == nil {
		return inventory.Frozen{}, fmt.Errorf("%w: %s", errNoItem, t.key)
	}
	t.from = k.fence
	return k.frozen, nil
}

// giveUp ends the freeze with what was not taken given up.
func (t *thaw) giveUp(ctx context.Context) error {
	ev := t.release(inventory.ReleaseDrop)
	said, err := t.say(ctx, &ev)
	if err != nil {
		return err
	}
	outcomeText(t.w, &said.word)
	if said.word.Kind != inventory.Applied {
		return fmt.Errorf("%w: the word is %s", errWord, said.word.Kind)
	}
	fmt.Fprintf(t.w, "%s takes events again\n", t.key)
	return nil
}

// release is a word on the key. What it is called by changes with every event of the
// key, so that a word that was denied can be given again.
func (t *thaw) release(kind inventory.ReleaseKind) inventory.Event {
	return t.approval("", kind, inventory.Document{
		Type: "approval", Number: event.EventID(approvals, inventory.Document{Number: t.key.String()}),
		Revision: t.author, Line: fmt.Sprintf("%s %d/%d", kind, t.from.Lineage, t.from.Offset),
	})
}

// round is one round of a release: what it appended, and what became of its word.
type round struct {
	copies int
	last   int64 // offset whose copy was appended last; -1 for none
	word   *inventory.Outcome
}

func (r *round) tell() string {
	switch {
	case r.word == nil:
		return "more to copy"
	case len(r.word.Codes) > 0 || r.word.Detail != "":
		return fmt.Sprintf("unfreeze %s %v %s", r.word.Kind, r.word.Codes, r.word.Detail)
	}
	return "unfreeze " + string(r.word.Kind)
}

// errFull ends the reading of a round.
var errFull = errors.New("enough for one round")

// round appends copies of what is missing, and once that is all the word that ends the
// freeze, right behind them, so that little can come in between.
func (t *thaw) round(ctx context.Context, f inventory.Frozen) (*round, error) {
	from, end, err := t.missing(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := t.buried(ctx); err != nil {
		return nil, fmt.Errorf("reading dead letters: %w", err)
	}
	r, appended := &round{last: -1}, int64(-1)
	err = t.reads.Each(ctx, event.TopicEvents, t.partition, from, end, func(rec *stream.Record) error {
		switch {
		case !t.misses(f, rec):
			return nil
		case t.isDead(rec):
			t.name(rec)
			return nil
		case r.copies == maxCopies:
			return errFull
		}
		// One by one: where one is not appended, nothing behind it may be.
		c := copyOf(rec)
		if err := t.producer.Produce(ctx, c); err != nil {
			return fmt.Errorf("appending the copy of offset %d: %w", rec.Offset, err)
		}
		r.copies, r.last, appended = r.copies+1, rec.Offset, c.Offset
		return nil
	})
	switch {
	case errors.Is(err, errFull):
		return r, t.decided(ctx, appended)
	case err != nil:
		return nil, fmt.Errorf("copying events of %s: %w", t.key, err)
	}
	ev := t.release(inventory.ReleaseUnfreeze)
	said, err := t.say(ctx, &ev)
	if err != nil {
		return nil, err
	}
	r.word = &said.word
	return r, nil
}

// missing is where the events begin and end that the key has not taken. It makes sure
// that the log still has them.
func (t *thaw) missing(ctx context.Context, f inventory.Frozen) (from, end int64, err error) {
	from = f.Taken + 1
	if f.Taken < f.Offset {
		from = f.Offset
	}
	if end, err = t.reads.HighWatermark(ctx, event.TopicEvents, t.partition); err != nil {
		return 0, 0, fmt.Errorf("looking at the log: %w", err)
	}
	start, err := t.reads.LogStart(ctx, event.TopicEvents, t.partition)
	if err != nil {
		return 0, 0, fmt.Errorf("looking at the log: %w", err)
	}
	if start <= from {
		return from, end, nil
	}
	// Some records are gone; were they the key's? It has counted up to its fence.
	found := int64(0)
	err = t.reads.Each(ctx, event.TopicEvents, t.partition, start, min(end, t.from.Offset+1), func(rec *stream.Record) error {
		if t.misses(f, rec) {
			found++
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("counting events of %s: %w", t.key, err)
	case found < f.Count:
		return 0, 0, fmt.Errorf("%w: %d of the %d events it has not taken are gone from the log, which begins at offset %d; --drop gives all of them up", errStuck, f.Count-found, f.Count, start)
	}
	return start, end, nil
}

// misses says whether a record is an event that the frozen key has counted, or will
// when it comes to it. A copy is none, but for one that came as an ordinary event and
// froze the key.
func (t *thaw) misses(f inventory.Frozen, rec *stream.Record) bool {
	if string(rec.Key) != t.state.only {
		return false
	}
	if original, _, ok := event.ParseCopyOf(rec.Headers); ok && original < rec.Offset && rec.Offset != f.Offset {
		return false
	}
	var ev inventory.Event
	return t.codecs.DecodeEvent(rec.Value, &ev) == nil && ev.Validate() == nil && ev.Key == t.key && ev.Missed()
}

// copyOf is an event to be appended again.
func copyOf(rec *stream.Record) *stream.Record {
	headers := slices.DeleteFunc(slices.Clone(rec.Headers), func(h stream.RecordHeader) bool { return h.Key == event.CopyOf })
	return &stream.Record{
		Topic: event.TopicEvents, Key: rec.Key, Value: rec.Value,
		Headers: event.AppendCopyOf(headers, rec.Offset, inventory.Instant(rec.Timestamp.UnixMilli())),
	}
}
