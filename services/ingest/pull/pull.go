// Package pull reads what partners do not send by themselves: it asks them again and
// again, from a cursor on, and makes a raw message of each record. The cursor moves
// only when the log has what was read (Invariant 1), so a crash at any point repeats
// records and loses none; a repeated record has the id it had, and the same events.
//
// The loop is one for all: rounds, maintenance windows, time-outs, back-off. What is
// asked is an Adapter's.
package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

// A Record is one thing as the other side has it now.
type Record struct {
	List    string // which of the source's lists it is of; ids are its own
	ID      string // empty: the record is known by its content
	Version string // grows or changes with each change of the record, where there is one
	// StreamKey is the document it is of; records of one keep their order.
	StreamKey   string
	ContentType string
	Body        []byte
	// Size is that of the body, bytes, where it was too large to be read; else 0.
	Size int
}

// A Page is one answer.
type Page struct {
	Records []Record
	// Next is the position behind the records. It is the adapter's own and small.
	Next json.RawMessage
	// More says that the round goes on at Next; else Next is where the round ended.
	More bool
}

// An Adapter asks one system. It is used by one goroutine at a time.
type Adapter interface {
	// Begin is where a round starts, from where the last one ended; nil is before
	// everything. It goes back as far as records may have been committed late.
	Begin(end json.RawMessage) (json.RawMessage, error)
	// Fetch reads one page behind a position. Calls of one round that got an error are
	// put again as they were.
	Fetch(ctx context.Context, position json.RawMessage) (Page, error)
}

// An Appender makes messages durable, all of one stream in their order.
type Appender interface {
	Append(ctx context.Context, raws []*event.RawMessage) error
}

// A Store keeps cursors. Save returns when the value is durable.
type Store interface {
	Load(ctx context.Context, key string) (value []byte, found bool, err error)
	Save(ctx context.Context, key string, value []byte) error
}

// A Fault is why the other side did not answer, or not as it should.
type Fault struct {
	Code string // stable, snake_case
	// RetryAfter is how long it wants to be left alone; 0: it did not say.
	RetryAfter time.Duration
	Err        error
}

func (f *Fault) Error() string { return f.Code + ": " + f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// Codes of faults.
const (
	CodeUnreachable = "unreachable"
	CodeTimeout     = "timeout"
	CodeThrottled   = "throttled"
	CodeBadKey      = "key_refused"
	CodeBadAnswer   = "bad_answer"
	CodeTooLarge    = "too_large"
	CodePageLoop    = "page_loop"
	codeLog         = "log_unavailable"
	codeCursor      = "cursor_unavailable"
)

// NewFault makes a Fault.
func NewFault(code, format string, args ...any) *Fault {
	return &Fault{Code: code, Err: fmt.Errorf(format, args...)}
}

// A Feed asks one source through its adapter. Its fields do not change while it runs.
type Feed struct {
	Source  *policy.Source
	Poll    policy.Poll
	Adapter Adapter
	Append  Appender
	Cursors Store
	// Key is the cursor's own; the records seen lately are under Key + "/seen".
	Key string

	Log     *slog.Logger
	Now     func() time.Time
	Random  func() float64 // from 0 to 1, for jitter
	Metrics *Metrics
}

// cursor is what Key has.
type cursor struct {
	Position json.RawMessage `json:"position"`
	// Open says that a round was under way at Position.
	Open bool `json:"open"`
}

// state is the cursor and what was read lately. It belongs to Run.
type state struct {
	cursor
	seen seen
}

// Run asks until ctx ends, and returns nil then, behind the page it has in hand. It ends
// for no other reason: what fails is tried again.
func (f *Feed) Run(ctx context.Context) error {
	f.Poll = f.Poll.Defaults()
	defer f.Metrics.Forget(f.Source.Name)
	var st state
	if !f.persist(ctx, codeCursor, func(ctx context.Context) error { return f.load(ctx, &st) }) {
		return nil
	}
	for ctx.Err() == nil {
		if !f.untilOpen(ctx) {
			return nil
		}
		began := f.Now()
		switch err := f.round(ctx, &st); {
		case err != nil && ctx.Err() == nil:
			f.fault(err, 0, f.Poll.Every)
		case err == nil:
			f.Metrics.Round(f.Source.Name, f.Now())
		}
		if Sleep(ctx, f.Poll.Every-f.Now().Sub(began)) != nil {
			return nil
		}
	}
	return nil
}

func (f *Feed) load(ctx context.Context, st *state) error {
	b, found, err := f.Cursors.Load(ctx, f.Key)
	if err != nil {
		return fmt.Errorf("loading the cursor: %w", err)
	}
	if found {
		if err := json.Unmarshal(b, &st.cursor); err != nil {
			return fmt.Errorf("decoding the cursor: %w", err)
		}
	}
	if b, found, err = f.Cursors.Load(ctx, f.Key+"/seen"); err != nil {
		return fmt.Errorf("loading what was seen: %w", err)
	}
	if found && st.seen.decode(b) != nil {
		st.seen = seen{} // it only spares repeats
	}
	return nil
}

// round reads all there is. It returns early, with the round still open, when the
// context ends or the pages of a round are used up; an error ends the round where it
// is, and the next one starts anew.
func (f *Feed) round(ctx context.Context, st *state) error {
	if !st.Open {
		begin, err := f.Adapter.Begin(st.Position)
		if err != nil {
			return NewFault(codeCursor, "reading the cursor: %w", err)
		}
		st.Position, st.Open = begin, true
	}
	been := map[string]bool{}
	for range f.Poll.Pages {
		if been[string(st.Position)] {
			// Asking on would never end. What was read is safe; the next round asks anew.
			st.Open = false
			return NewFault(CodePageLoop, "the answer leads back to a page of this round: %.200s", st.Position)
		}
		been[string(st.Position)] = true
		page, err := f.ask(ctx, st.Position)
		if err != nil {
			st.Open = false
			return err
		}
		if !f.take(ctx, st, page) {
			return ctx.Err() //nolint:wrapcheck // the caller's own
		}
		if !page.More {
			return nil
		}
	}
	f.Log.Warn("a round has more pages than allowed; the next goes on", slog.String("source", string(f.Source.Name)), slog.Int("pages", f.Poll.Pages))
	return nil
}

// ask fetches a page, again and again until there is one. Its error is that of ctx, or
// a fault that asking again cannot mend.
func (f *Feed) ask(ctx context.Context, position json.RawMessage) (Page, error) {
	for failures := 0; ; {
		if !f.untilOpen(ctx) || f.paceWait(ctx) != nil {
			return Page{}, ctx.Err() //nolint:wrapcheck // the caller's own
		}
		page, err := f.fetch(ctx, position)
		if err == nil {
			f.Metrics.Open(f.Source.Name, false)
			return page, nil
		}
		if ctx.Err() != nil {
			return Page{}, ctx.Err() //nolint:wrapcheck // the caller's own
		}
		failures++
		wait := Backoff(f.Poll.Retry, failures, f.Random())
		if fault, ok := errors.AsType[*Fault](err); ok {
			if fault.Code == CodePageLoop {
				return Page{}, err
			}
			wait = max(wait, min(fault.RetryAfter, maxRetryAfter))
		}
		f.fault(err, failures, wait)
		f.Metrics.Open(f.Source.Name, failures >= f.Poll.Retry.Open)
		if Sleep(ctx, wait) != nil {
			return Page{}, ctx.Err() //nolint:wrapcheck // the caller's own
		}
	}
}

func (f *Feed) fetch(ctx context.Context, position json.RawMessage) (Page, error) {
	within, cancel := context.WithTimeout(ctx, f.Poll.Timeout)
	defer cancel()
	page, err := f.Adapter.Fetch(within, position)
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return page, &Fault{Code: CodeTimeout, Err: fmt.Errorf("no whole answer within %s: %w", f.Poll.Timeout, err)}
	}
	return page, err //nolint:wrapcheck // a Fault says all
}

// take makes what is new of a page durable and then moves the cursor behind it; false
// when ctx has ended first.
func (f *Feed) take(ctx context.Context, st *state, page Page) bool {
	ctx, over := Unit(ctx)
	defer over()
	raws := make([]*event.RawMessage, 0, len(page.Records))
	ids := make([]uint64, 0, len(page.Records))
	for i := range page.Records {
		raw, refused := f.message(&page.Records[i])
		switch {
		case !st.seen.add(raw.ID):
			f.Metrics.Record(f.Source.Name, "seen", 1)
			continue
		case refused:
			f.Metrics.Record(f.Source.Name, CodeTooLarge, 1)
		}
		raws, ids = append(raws, raw), append(ids, short(raw.ID))
	}
	if len(raws) > 0 {
		if !f.persist(ctx, codeLog, func(ctx context.Context) error { return f.Append.Append(ctx, raws) }) {
			return false
		}
		for range ids {
			f.Metrics.Record(f.Source.Name, "appended", 1)
		}
	}
	st.Position, st.Open = page.Next, page.More
	value, err := json.Marshal(st.cursor)
	if err != nil {
		f.fault(NewFault(codeCursor, "encoding the cursor: %w", err), 0, 0)
		return true // an adapter's position is JSON; without it the round is read again
	}
	if !page.More {
		st.seen.turn()
		if !f.persist(ctx, codeCursor, func(ctx context.Context) error { return f.Cursors.Save(ctx, f.Key+"/seen", st.seen.encode()) }) {
			return false
		}
	}
	return f.persist(ctx, codeCursor, func(ctx context.Context) error { return f.Cursors.Save(ctx, f.Key, value) })
}

// persist does what must succeed before anything else; false when ctx has ended.
func (f *Feed) persist(ctx context.Context, code string, do func(context.Context) error) bool {
	for failures := 1; ; failures++ {
		err := do(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		wait := Backoff(f.Poll.Retry, failures, f.Random())
		f.fault(&Fault{Code: code, Err: err}, failures, wait)
		if Sleep(ctx, wait) != nil {
			return false
		}
	}
}

// untilOpen waits out maintenance windows; false when ctx has ended.
func (f *Feed) untilOpen(ctx context.Context) bool {
	for {
		now := f.Now()
		at := f.Poll.OpensAt(now, f.zone())
		if !at.After(now) {
			return ctx.Err() == nil
		}
		f.Log.Info("the other side is in a maintenance window", slog.String("source", string(f.Source.Name)), slog.Time("until", at))
		if Sleep(ctx, at.Sub(now)) != nil {
			return false
		}
	}
}

func (f *Feed) zone() *time.Location {
	if f.Source.Zone == nil {
		return time.UTC
	}
	return f.Source.Zone
}

// paceWait spaces the questions.
func (f *Feed) paceWait(ctx context.Context) error {
	if f.Poll.PerSecond <= 0 {
		return ctx.Err() //nolint:wrapcheck // the caller's own
	}
	return Sleep(ctx, time.Duration(float64(time.Second)/f.Poll.PerSecond))
}

func (f *Feed) fault(err error, failures int, wait time.Duration) {
	code := "internal"
	if fault, ok := errors.AsType[*Fault](err); ok {
		code = fault.Code
	}
	f.Metrics.Fault(f.Source.Name, code)
	f.Log.Warn("asking a source failed", slog.String("source", string(f.Source.Name)), slog.String("code", code),
		slog.Any("err", err), slog.Int("failures", failures), slog.Duration("again_in", wait))
}
