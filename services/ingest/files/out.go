package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// AckLog is where acknowledgements are read (see acks.Reader).
type AckLog interface {
	Each(ctx context.Context, source inventory.Source, after int64, f func(a *event.PartnerAck, behind int64) error) (next int64, more bool, err error)
}

// Out puts the acknowledgements of one source into a folder of the partner, the oldest
// first and each whole under its name or not at all. The place in the log moves when the
// file is there, so that a crash repeats the last ones and loses none: an acknowledgement
// has the same name and bytes each time, and one that is still there is left alone. Its
// fields do not change while it runs.
type Out struct {
	Source *policy.Source
	Poll   policy.Poll
	Suffix string
	Open   func(ctx context.Context) (Folder, error)
	// Dir is a folder in that which Open opens, made where it is not there; empty: it is
	// that itself.
	Dir     string
	Log     AckLog
	Cursors cursor.Store
	Key     string // of its cursor: the place in the log

	Logger  *slog.Logger
	Now     func() time.Time
	Random  func() float64 // from 0 to 1, for jitter
	Metrics *Metrics
}

// outPlace is the value of the cursor: what was put lies before After.
type outPlace struct {
	After int64 `json:"after"`
}

// saveEvery is how many records of other sources are looked at again after a crash.
const saveEvery = 10_000

// Run puts acknowledgements until ctx ends, and returns nil then. It ends for no other
// reason: what fails is tried again.
func (o *Out) Run(ctx context.Context) error {
	poll := o.Poll.Defaults()
	zone := o.Source.Zone
	if zone == nil {
		zone = time.UTC
	}
	var at, saved outPlace
	known := false
	for failed := 0; ctx.Err() == nil; {
		now := o.Now()
		if opens := poll.OpensAt(now, zone); opens.After(now) {
			_ = pull.Sleep(ctx, opens.Sub(now)) // the loop sees that ctx has ended
			continue
		}
		err := o.load(ctx, &at, &saved, &known)
		more := false
		if err == nil {
			more, err = o.round(ctx, &at, &saved)
		}
		switch {
		case err == nil:
			failed = 0
			if !more {
				_ = pull.Sleep(ctx, poll.Every)
			}
		case ctx.Err() == nil:
			failed++
			wait := pull.Backoff(poll.Retry, failed, o.Random())
			o.Metrics.failed(o.Source.Name, codeOf(err))
			o.Logger.Warn("acknowledgements were not put, trying again", slog.String("source", string(o.Source.Name)),
				slog.String("code", codeOf(err)), slog.Any("err", err), slog.Duration("in", wait))
			_ = pull.Sleep(ctx, wait)
		}
	}
	return nil
}

// load reads the place once.
func (o *Out) load(ctx context.Context, at, saved *outPlace, known *bool) error {
	if *known {
		return nil
	}
	b, found, err := o.Cursors.Load(ctx, o.Key)
	if err != nil {
		return &laterError{codeCursor, fmt.Errorf("loading cursor: %w", err)}
	}
	if found {
		if err := json.Unmarshal(b, at); err != nil {
			return &laterError{codeCursor, fmt.Errorf("reading cursor: %w", err)}
		}
	}
	*saved, *known = *at, true
	return nil
}

// round puts one page of acknowledgements; more says that there are others.
func (o *Out) round(ctx context.Context, at, saved *outPlace) (more bool, err error) {
	var dir Folder
	defer func() {
		if dir != nil {
			_ = dir.Close() // what was written is there
		}
	}()
	put := 0
	next, more, err := o.Log.Each(ctx, o.Source.Name, at.After, func(a *event.PartnerAck, behind int64) error {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the caller's own
		}
		if dir == nil {
			var err error
			if dir, err = o.open(ctx); err != nil {
				return &laterError{codeFolder, err}
			}
		}
		if err := o.put(ctx, dir, a); err != nil {
			return &laterError{codeFolder, err}
		}
		at.After = behind
		put++
		return nil
	})
	if err == nil {
		at.After = next
	} else if _, ours := errors.AsType[*laterError](err); !ours {
		err = &laterError{codeLog, err}
	}
	if put > 0 || at.After-saved.After >= saveEvery {
		if fault := o.save(ctx, at); fault != nil {
			return false, errors.Join(err, fault)
		}
		*saved = *at
	}
	return more, err
}

func (o *Out) open(ctx context.Context) (Folder, error) {
	dir, err := o.Open(ctx)
	if err != nil || o.Dir == "" {
		return dir, err
	}
	if err := dir.Mkdir(ctx, o.Dir); err != nil {
		_ = dir.Close()
		return nil, err //nolint:wrapcheck // it says what
	}
	return dir, nil
}

// put makes a file whole under a hidden name, and then gives it its own.
func (o *Out) put(ctx context.Context, dir Folder, a *event.PartnerAck) error {
	unit, over := pull.Unit(ctx)
	defer over()
	name := o.nameOf(a)
	at := func(name string) string {
		if o.Dir == "" {
			return name
		}
		return o.Dir + "/" + name
	}
	if _, err := dir.Stat(unit, at(name)); err == nil {
		return nil // it is there, from before a crash
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err //nolint:wrapcheck // it says what
	}
	hidden := "." + name + ".tmp"
	if err := dir.Write(unit, at(hidden), a.Body); err != nil {
		return err //nolint:wrapcheck // it says what
	}
	stream.Crash("files_ack_written")
	if err := dir.Rename(unit, at(hidden), at(name)); err != nil {
		return err //nolint:wrapcheck // it says what
	}
	o.Metrics.put(o.Source.Name)
	o.Logger.Info("acknowledgement put", slog.String("source", string(o.Source.Name)), slog.String("name", name), slog.String("status", a.Status))
	return nil
}

// nameOf is a function of the acknowledgement: source, document, its own control number
// in nine digits, that of the interchange it answers, and the begin of its id.
func (o *Out) nameOf(a *event.PartnerAck) string {
	plain := func(s string, most int) string {
		s = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
				return r
			}
			return '_'
		}, strings.TrimSpace(s))
		return s[:min(len(s), most)]
	}
	return fmt.Sprintf("%s-%s-%09d-%s-%s%s", a.Source, plain(a.Document, 16), a.Control, plain(a.Interchange, 35), plain(a.ID, 12), o.Suffix)
}

func (o *Out) save(ctx context.Context, at *outPlace) error {
	unit, over := pull.Unit(ctx)
	defer over()
	value, err := json.Marshal(at)
	if err == nil {
		err = o.Cursors.Save(unit, o.Key, value)
	}
	if err != nil {
		return &laterError{codeCursor, fmt.Errorf("saving cursor: %w", err)}
	}
	return nil
}
