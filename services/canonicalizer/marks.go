package canonicalizer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// codeReplayed is of an interchange whose control number came before with other
// content.
const codeReplayed = "replayed_interchange"

// maxMarks bounds what is kept of them, about 150 bytes each; the oldest go first.
const maxMarks = 500_000

// marks tell who was the first to use a number. A message appends its numbers to
// the log of marks and goes on when it has read that log up to there: the first of
// a number holds it, whichever process asks, before and after a restart (ADR 25).
// What was never in raw.messages has no mark, so that a message whose first attempt
// was not durable is the first. It is safe for concurrent use.
type marks struct {
	codecs  *event.Codecs
	sources map[inventory.Source]*sourceProgram
	of      func(inventory.Source) *sourceProgram // where sources follow policies.v1
	produce func(ctx context.Context, recs ...*stream.Record) error
	most    int

	mu      sync.Mutex
	first   map[markKey]holding
	order   []markKey       // as they came, for the oldest to go first
	read    map[int32]int64 // by partition, the offset read next
	changed chan struct{}   // closed when more was read
}

type markKey [16]byte

// holding is who holds a number.
type holding struct {
	digest [sha256.Size]byte
	raw    string
	at     inventory.Instant
}

func newMarks(codecs *event.Codecs, sources map[inventory.Source]*sourceProgram, produce func(ctx context.Context, recs ...*stream.Record) error) *marks {
	return &marks{
		codecs: codecs, sources: sources, produce: produce, most: maxMarks,
		first: map[markKey]holding{}, read: map[int32]int64{}, changed: make(chan struct{}),
	}
}

// source is one as it is now.
func (m *marks) source(name inventory.Source) *sourceProgram {
	if m.of != nil {
		return m.of(name)
	}
	return m.sources[name]
}

// useMarks lets the handler look at numbers, and is the table of them; an empty one
// where no source has any.
func (h *handler) useMarks(cfg *Config, now time.Time) (table, error) {
	unique := longest(h.sources)
	if unique == 0 {
		return noTable{}, nil
	}
	h.marks = newMarks(cfg.Codecs, h.sources, h.produce)
	t, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicMarks, Since: now.Add(-unique), Apply: h.marks.apply})
	if err != nil {
		return nil, fmt.Errorf("reading marks: %w", err)
	}
	return t, nil
}

// table is a stream.Table, or none.
type table interface {
	Loaded() <-chan struct{}
	Run(ctx context.Context) error
}

type noTable struct{}

func (noTable) Loaded() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func (noTable) Run(context.Context) error { return nil }

// longest is the longest time a number is unique for; 0 where no source asks.
func longest(sources map[inventory.Source]*sourceProgram) time.Duration {
	var out time.Duration
	for _, p := range sources {
		if numbered(p.src) {
			out = max(out, p.src.Door.UniqueFor())
		}
	}
	return out
}

// numbered says whether a source's interchanges have numbers that are unique.
func numbered(src *policy.Source) bool {
	return src.Format == policy.FormatX12 && src.Door.UniqueFor() > 0
}

// apply takes a mark from the log.
func (m *marks) apply(rec *stream.Record) error {
	var x event.Mark
	err := m.codecs.DecodeMark(rec.Value, &x)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.keep(&x)
	} else if !errors.Is(err, event.ErrUndecodable) {
		return fmt.Errorf("reading a mark: %w", err)
	}
	m.read[rec.Partition] = rec.Offset + 1
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

func (m *marks) keep(x *event.Mark) {
	b, err := hex.DecodeString(x.Digest)
	if err != nil || len(b) != sha256.Size {
		return
	}
	k := keyOf(x)
	// The times are those of receipt and stand in the marks, so that every reader of
	// the log finds the same holder.
	if old, held := m.first[k]; held && m.within(&old, x) {
		return
	}
	m.first[k] = holding{[sha256.Size]byte(b), strings.Clone(x.RawID), x.At}
	m.order = append(m.order, k)
	for len(m.order) > m.most {
		delete(m.first, m.order[0])
		m.order = m.order[1:]
	}
}

func keyOf(x *event.Mark) markKey {
	sum := sha256.Sum256([]byte(x.Key()))
	return markKey(sum[:len(markKey{})])
}

// screen says which messages of a batch have interchanges to be refused: by record,
// the values of their marks with the raw ids of those that hold them. It returns
// when every mark of the batch is durable and read.
func (m *marks) screen(ctx context.Context, recs []*stream.Record) (map[*stream.Record]map[string]string, error) {
	type asked struct {
		rec  *stream.Record
		mark event.Mark
	}
	var all []asked
	var news []*stream.Record
	for _, rec := range recs {
		p := m.source(sourceOf(rec.Key))
		if p == nil || !numbered(p.src) {
			continue
		}
		var raw event.RawMessage
		if m.codecs.DecodeRaw(rec.Value, &raw) != nil {
			continue // it will be a dead letter
		}
		for _, mark := range interchanges(p, &raw) {
			all = append(all, asked{rec, mark})
			if m.holds(&mark) {
				continue
			}
			value, err := m.codecs.AppendMark(nil, &mark)
			if err != nil {
				return nil, fmt.Errorf("encoding a mark of %s: %w", raw.ID, err)
			}
			w := writer{codecs: m.codecs, input: rec, trace: traceOf(rec), at: raw.ReceivedAt}
			news = append(news, w.make(event.TopicMarks, mark.Key(), value, raw.ID+"|"+mark.Value, "canonicalizer.mark"))
		}
	}
	if len(news) > 0 {
		if err := m.produce(ctx, news...); err != nil {
			return nil, fmt.Errorf("appending marks: %w", err)
		}
		if err := m.wait(ctx, news); err != nil {
			return nil, err
		}
	}
	var out map[*stream.Record]map[string]string
	for i := range all {
		a := &all[i]
		holder, refused := m.refuses(&a.mark)
		if !refused {
			continue
		}
		if out == nil {
			out = map[*stream.Record]map[string]string{}
		}
		if out[a.rec] == nil {
			out[a.rec] = map[string]string{}
		}
		out[a.rec][a.mark.Value] = holder
	}
	return out, nil
}

// holds says whether it is known who holds a number at the time of a mark, so that
// another mark would change nothing.
func (m *marks) holds(x *event.Mark) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, held := m.first[keyOf(x)]
	return held && m.within(&h, x)
}

// within says whether a number is held still at the time of a mark. Of a source that
// policy has no more it is for as long as of one that says nothing.
func (m *marks) within(h *holding, x *event.Mark) bool {
	unique := policy.DefaultUnique
	if p := m.source(x.Source); p != nil {
		unique = p.src.Door.UniqueFor()
	}
	return int64(x.At)-int64(h.at) <= unique.Milliseconds()
}

// refuses says whether a number is held by other content. The same content again is
// none of our business: its events have the ids they had.
func (m *marks) refuses(x *event.Mark) (holder string, refused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h, held := m.first[keyOf(x)]
	return h.raw, held && h.raw != x.RawID && hex.EncodeToString(h.digest[:]) != x.Digest
}

// wait returns when all of these records have been read back.
func (m *marks) wait(ctx context.Context, recs []*stream.Record) error {
	for {
		m.mu.Lock()
		missing := slices.ContainsFunc(recs, func(r *stream.Record) bool { return m.read[r.Partition] <= r.Offset })
		changed := m.changed
		m.mu.Unlock()
		if !missing {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("reading marks back: %w", ctx.Err())
		}
	}
}

// sourceOf is the source in the key of a raw message; empty of what is no such key.
func sourceOf(key []byte) inventory.Source {
	name, _, ok := bytes.Cut(key, []byte("|"))
	if !ok {
		return ""
	}
	return inventory.Source(name) // names of sources need no escape
}

// interchanges are the marks of a message, one for each number in it. A message
// that has one number twice stands for both.
func interchanges(p *sourceProgram, raw *event.RawMessage) []event.Mark {
	var values []string
	sums := map[string]hash.Hash{}
	for u := range p.parse(raw.Body, p.src) {
		value := interchangeOf(u.Tree)
		if value == "" {
			continue
		}
		sum := sums[value]
		if sum == nil {
			sum = sha256.New()
			sums[value] = sum
			values = append(values, value)
		}
		digest(sum, u.Tree)
	}
	out := make([]event.Mark, 0, len(values))
	for _, v := range values {
		out = append(out, event.Mark{
			Source: p.src.Name, Sort: event.MarkInterchange, Value: v, Digest: hex.EncodeToString(sums[v].Sum(nil)), RawID: raw.ID, At: raw.ReceivedAt,
		})
	}
	return out
}

// interchangeOf is what is unique of the interchange a set stands in: sender and
// receiver with their qualifiers (ISA05 to ISA08), control number (ISA13), and
// whether it is a test (ISA15). Empty where there is no number.
func interchangeOf(tree any) string {
	in := jq.Field(tree, "interchange")
	text := func(name string) string {
		s, _ := jq.Field(in, name).(string)
		return s
	}
	test, _ := jq.Field(in, "test").(bool)
	return markValue(text("sender_qualifier"), text("sender"), text("receiver_qualifier"), text("receiver"), text("control"), test)
}

// interchangeOfISA is the same of a header's elements.
func interchangeOfISA(isa []string) string {
	at := func(n int) string { return elementAt(isa, n) }
	return markValue(at(5), at(6), at(7), at(8), at(13), at(15) == "T")
}

func markValue(senderQualifier, sender, receiverQualifier, receiver, number string, test bool) string {
	text := func(s string) string { return inventory.Escape(strings.TrimSpace(s)) }
	if number = text(number); number == "" {
		return ""
	}
	if short := strings.TrimLeft(number, "0"); short != "" {
		number = short // some pad, some do not (ISA13 is N0)
	}
	usage := "P"
	if test {
		usage = "T"
	}
	return strings.Join([]string{text(senderQualifier), text(sender), text(receiverQualifier), text(receiver), number, usage}, "|")
}

// digest adds a set to the digest of its interchange: what it says, not where it
// stands.
func digest(w io.Writer, tree any) {
	segments, _ := jq.Field(tree, "segments").([]any)
	e := json.NewEncoder(w) // neither a hash nor text can fail
	_ = e.Encode([]any{jq.Field(tree, "set"), jq.Field(tree, "control"), jq.Field(tree, "group")})
	for _, s := range segments {
		_ = e.Encode(jq.Field(s, "e"))
	}
}

// without is a format that gives the sets of interchanges that are refused as faults:
// each is one line in the dead letters, and none of its contents is mapped.
func without(parse format.Parse, refused map[string]string) format.Parse {
	if len(refused) == 0 {
		return parse
	}
	return func(body []byte, src *policy.Source) iter.Seq[format.Unit] {
		return func(yield func(format.Unit) bool) {
			for u := range parse(body, src) {
				if holder, is := refused[interchangeOf(u.Tree)]; is {
					in := jq.Field(u.Tree, "interchange")
					u = format.Unit{Where: u.Where, Fault: format.Faultf(codeReplayed,
						"%s: interchange %.20v of %.20v came with other content as message %s", u.Where, jq.Field(in, "control"), jq.Field(in, "sender"), holder)}
				}
				if !yield(u) {
					return
				}
			}
		}
	}
}
