package canonicalizer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/jsontext"
)

// codeDropped marks the dead letter of a parked line that a person gave up.
const codeDropped = "dropped"

const (
	// checkEvery is the pause between two looks for lines that may run again.
	checkEvery = 100 * time.Millisecond
	// rescanEvery is the pause between two looks for lines that were not held.
	rescanEvery = 10 * time.Minute
	// maxRescued bounds the lines that one such look makes ready beyond the limit.
	maxRescued = 10_000
	// readGap is how many records between two lines are read rather than skipped.
	readGap = 200
)

// plain is a mapped line with its numbers as the text they are read as, so that it is
// the same line when it runs again.
func plain(v any) any {
	switch v := v.(type) {
	case *jq.Object:
		return plain(jq.Plain(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	case float64:
		return json.Number(strconv.FormatFloat(v, 'f', -1, 64))
	case *big.Int:
		return json.Number(v.String())
	}
	return v
}

// rerun resolves a parked line once more: it is what the line becomes by the master
// data of now. Its ids are those it would have had at first.
func rerun(p *sourceProgram, line *event.ParkedLine, m *masters) Result {
	r := run{
		p: p, masters: m, lines: int(line.Line), again: line,
		raw:      &event.RawMessage{ID: line.RawID, Source: line.Source, StreamKey: line.StreamKey, ReceivedAt: line.At},
		newItems: map[inventory.Key]int64{}, newLocations: map[inventory.Location]int64{},
	}
	v, bad := jsontext.Read(line.Tree)
	if bad != nil {
		r.refuse(line.ID, reject("bad_parked_line", "%s: %s", bad.Code, bad.Reason), nil)
	} else {
		r.line(format.Unit{Where: line.Place}, v)
	}
	r.lines = 1
	r.out.Receipt = r.receipt()
	r.out.Receipt.Line = line.Line
	return r.out
}

// stillWaits says whether a line that was run again waits for the same thing.
func stillWaits(res *Result, line *event.ParkedLine) bool {
	return len(res.Parked) == 1 && res.Parked[0].Missing == line.Missing
}

// unparker follows canonicalizer.parked and sends what may run again to raw.retry: of
// each partition there the process that has the same one of raw.retry
// (EXACTLY-ONCE §9). It is safe for concurrent use.
type unparker struct {
	h       *handler
	waits   *waits
	produce func(ctx context.Context, recs ...*stream.Record) error
	read    func(ctx context.Context, partition int32, from, until int64, f func(*stream.Record) error) error
	whole   func(ctx context.Context, partition int32, f func(*stream.Record) error) error
	each    int // lines sent at a look
	now     func() time.Time
}

// apply takes a record of canonicalizer.parked.
func (u *unparker) apply(rec *stream.Record) error {
	u.consider(rec)
	return nil
}

// consider holds a line that stands, and makes it ready where what it waits for is
// there already. It reports whether it was made ready beyond the limit.
func (u *unparker) consider(rec *stream.Record) (rescued bool) {
	key := string(rec.Key)
	if rec.Value == nil {
		u.waits.close(key, rec.Partition)
		return false
	}
	var line event.ParkedLine
	if err := u.h.codecs.DecodeParked(rec.Value, &line); err != nil {
		return false // of a newer build; it stays, and that build runs it
	}
	w := &waitingLine{
		key: key, partition: rec.Partition, offset: rec.Offset, order: line.RawID, line: line.Line, at: line.At, code: line.Code,
		source: line.Source,
	}
	p := u.h.program(line.Source)
	if p != nil {
		if v, bad := jsontext.Read(line.Tree); bad == nil {
			l, _ := readLine(v)
			w.refs = referencesOf(p, &l)
		}
	}
	// Held first, then looked at: what comes in between finds it.
	held := u.waits.put(w, false)
	if p == nil {
		return false
	}
	if res := rerun(p, &line, u.h.masters); stillWaits(&res, &line) {
		return false
	}
	if !held {
		u.waits.put(w, true)
	}
	u.waits.wake(key)
	return !held
}

// check sends the lines of a partition that may run again, oldest message first, and
// at most so many that a load of master data floods nobody.
func (u *unparker) check(ctx context.Context, topic string, partition int32) error {
	if topic != event.TopicRetry {
		return nil
	}
	if err := u.rescan(ctx, partition); err != nil {
		return err
	}
	taken := u.waits.take(partition, u.each, u.now())
	if len(taken) == 0 {
		return nil
	}
	records, err := u.fetch(ctx, partition, taken)
	if err == nil {
		err = u.send(ctx, taken, records)
	}
	if err != nil {
		for _, l := range taken {
			u.waits.rest(l)
			u.waits.wake(l.key)
		}
		return fmt.Errorf("sending parked lines to run again: %w", err)
	}
	return nil
}

func (u *unparker) send(ctx context.Context, taken []*waitingLine, records map[string]*stream.Record) error {
	var out []*stream.Record
	for _, l := range taken {
		rec := records[l.key]
		if rec == nil {
			continue // closed since, or parked again: the newer record is looked at by itself
		}
		var line event.ParkedLine
		if err := u.h.codecs.DecodeParked(rec.Value, &line); err != nil {
			return fmt.Errorf("decoding parked line %q: %w", rec.Key, err)
		}
		p := u.h.program(line.Source)
		if p == nil {
			u.waits.rest(l)
			continue
		}
		if res := rerun(p, &line, u.h.masters); stillWaits(&res, &line) {
			u.waits.rest(l)
			continue
		}
		retry, err := RetryRecord(u.h.codecs, rec, &line)
		if err != nil {
			return err
		}
		out = append(out, retry)
	}
	if len(out) == 0 {
		return nil
	}
	if err := u.produce(ctx, out...); err != nil {
		return fmt.Errorf("appending to %s: %w", event.TopicRetry, err)
	}
	return nil
}

// RetryRecord is a parked line on raw.retry: to be run again, or what its Action says.
// rec is its record of canonicalizer.parked.
func RetryRecord(c *event.Codecs, rec *stream.Record, line *event.ParkedLine) (*stream.Record, error) {
	line.ParkedIn = rec.Partition
	value, err := c.AppendRetry(nil, line)
	if err != nil {
		return nil, fmt.Errorf("encoding parked line %s: %w", line.ID, err)
	}
	w := writer{trace: traceOf(rec), at: line.At}
	return w.make(event.TopicRetry, event.StreamKey(line.Source, line.StreamKey), value, line.ID, "raw.retry"), nil
}

// fetch reads the records of lines by their places, near ones together.
func (u *unparker) fetch(ctx context.Context, partition int32, lines []*waitingLine) (map[string]*stream.Record, error) {
	type place struct {
		offset int64
		key    string
	}
	at := make([]place, len(lines))
	for i, l := range lines {
		at[i] = place{l.offset, l.key}
	}
	slices.SortFunc(at, func(a, b place) int { return int(a.offset - b.offset) })
	out := make(map[string]*stream.Record, len(at))
	for i := 0; i < len(at); {
		j := i
		wanted := map[int64]bool{}
		for ; j < len(at) && (j == i || at[j].offset-at[j-1].offset <= readGap); j++ {
			wanted[at[j].offset] = true
		}
		err := u.read(ctx, partition, at[i].offset, at[j-1].offset+1, func(rec *stream.Record) error {
			if wanted[rec.Offset] && rec.Value != nil {
				out[string(rec.Key)] = rec
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", event.TopicParked, err)
		}
		i = j
	}
	return out, nil
}

// rescan looks again for lines that were not held.
func (u *unparker) rescan(ctx context.Context, partition int32) error {
	if !u.waits.rescan(partition, u.now()) {
		return nil
	}
	rescued := 0
	err := u.whole(ctx, partition, func(rec *stream.Record) error {
		if rescued < maxRescued && u.consider(rec) {
			rescued++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading %s again: %w", event.TopicParked, err)
	}
	return nil
}

// retry runs the lines of one partition of raw.retry. All a line becomes is durable
// before its receipt, that before the tombstone which ends its waiting, and that before
// the offset: a process that dies in between leaves a line that runs again to the same
// ids (Invariants 1 and 2).
func (h *handler) retry(ctx context.Context, recs []*stream.Record) ([]*stream.Record, error) {
	var out, receipts, tombs []*stream.Record
	for _, rec := range recs {
		done, err := h.retryLine(rec)
		if err != nil {
			return nil, err
		}
		out = append(out, done.out...)
		if done.receipt != nil {
			receipts = append(receipts, done.receipt)
		}
		if done.tomb != nil {
			tombs = append(tombs, done.tomb)
		}
	}
	for chunk := range slices.Chunk(out, h.chunk) {
		if h.wait != nil {
			if err := h.wait(ctx); err != nil {
				return nil, fmt.Errorf("waiting for the ledger: %w", err)
			}
		}
		if err := h.produce(ctx, chunk...); err != nil {
			return nil, fmt.Errorf("appending what lines became: %w", err)
		}
	}
	if len(receipts) > 0 {
		if err := h.produce(ctx, receipts...); err != nil {
			return nil, fmt.Errorf("appending receipts: %w", err)
		}
	}
	for _, t := range tombs {
		h.waits.close(string(t.Key), t.Partition)
	}
	return tombs, nil
}

// retried is what a line that ran again became.
type retried struct {
	out     []*stream.Record
	receipt *stream.Record // nil where it goes on waiting
	tomb    *stream.Record // nil where it goes on waiting for the same
}

func (h *handler) retryLine(rec *stream.Record) (retried, error) {
	var line event.ParkedLine
	if err := h.codecs.DecodeParked(rec.Value, &line); err != nil {
		dead, err := deadLetter(h.codecs)(stream.DeadLetter{Record: rec, Code: "undecodable", Reason: err.Error()})
		return retried{out: []*stream.Record{dead}}, err
	}
	key := event.ParkedKey(&line)
	if h.waits.isClosed(key) {
		return retried{}, nil // it came here twice
	}
	p := h.program(line.Source)
	var res Result
	var became string
	switch {
	case line.Action == event.RetryDrop:
		became, res = codeDropped, dropped(&line)
	case p == nil:
		return retried{}, nil // it waits for its source
	default:
		if res = rerun(p, &line, h.masters); stillWaits(&res, &line) {
			h.retries.WithLabelValues(string(line.Source), "parked").Inc()
			return retried{}, nil
		}
		became = res.became()
	}
	w := writer{codecs: h.codecs, input: rec, trace: traceOf(rec), at: line.At, parkedIn: line.ParkedIn}
	if err := w.records(&res); err != nil {
		return retried{}, err
	}
	tomb := w.make(event.TopicParked, key, nil, line.ID, "canonicalizer.parked")
	tomb.Partition = line.ParkedIn
	h.retries.WithLabelValues(string(line.Source), became).Inc()
	if len(res.Parked) > 0 {
		return retried{out: w.out, tomb: tomb}, nil // for something else; the message's receipt holds
	}
	receipt, err := w.receipt(&res.Receipt)
	return retried{w.out, receipt, tomb}, err
}

// became names the list that the one line of a result is in.
func (r *Result) became() string {
	switch {
	case len(r.Events) > 0:
		return "event"
	case len(r.Milestones) > 0:
		return "milestone"
	case len(r.Parked) > 0:
		return "parked"
	case len(r.Rejected) > 0:
		return "rejected"
	}
	return "master"
}

// dropped is what a line becomes that a person gave up: a dead letter.
func dropped(line *event.ParkedLine) Result {
	return Result{
		Rejected: []event.DeadLetter{{
			ID: line.ID, Service: serviceName, Code: codeDropped,
			Reason: shorten(fmt.Sprintf("%s: %s (it waited: %s)", line.Author, line.Note, line.Reason), maxReason),
			RawID:  line.RawID, Line: line.Line, Source: line.Source, Value: line.Tree, At: line.At,
		}},
		Receipt: event.Receipt{
			RawID: line.RawID, Source: line.Source, Lines: 1, EventIDs: []string{}, Rejected: 1, Mapping: line.Mapping, At: line.At, Line: line.Line,
		},
	}
}
