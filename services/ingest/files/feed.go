package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// Appender makes messages durable, all of one stream in their order.
type Appender interface {
	Append(ctx context.Context, raws []*event.RawMessage) error
}

// Feed takes the files of one folder. Its fields do not change while it runs. Of the
// feeds of one folder one is to run at a time; where two do for a moment, one finds
// its file gone, or both append messages with the same ids.
type Feed struct {
	Source  *policy.Source
	Pickup  policy.Pickup
	Open    func(ctx context.Context) (Folder, error)
	Append  Appender
	Cursors cursor.Store
	Key     string // of its cursor: how far the file that is claimed has been taken
	Place   string // names the folder, for whoever reads of it later; no secret
	// StreamKey is the document a whole message is of; may be nil.
	StreamKey func(src *policy.Source, body []byte) string

	Log     *slog.Logger
	Now     func() time.Time
	Random  func() float64 // from 0 to 1, for jitter
	Metrics *Metrics
}

// looks are what the last look at the folder saw of files that are not taken yet.
type looks map[string]look

type look struct {
	Entry
	since time.Time // it has been the same
}

// maxName leaves room for what done and failed put before and behind a name of 255
// bytes.
const maxName = 200

// lastTries bounds how often a feed that is to end tries to finish the file it has
// begun: its settings may be those that do not work.
const lastTries = 5

// Run takes files until ctx ends, or until does, which is to be one of ctx's own: then
// it takes no further file, but finishes what it has claimed. It returns nil, and for no
// other reason than these: what fails is tried again.
func (f *Feed) Run(ctx, until context.Context) error {
	p := f.Pickup.Defaults(f.Source)
	zone := f.Source.Zone
	if zone == nil {
		zone = time.UTC
	}
	defer f.Metrics.forget(f.Source.Name)
	f.leftBehind(ctx)
	seen := looks{}
	for failed := 0; ctx.Err() == nil; {
		last := until.Err() != nil
		now := f.Now()
		if at := f.opens(&p, now, zone); at.After(now) {
			if last {
				return nil // what is claimed waits in its folder
			}
			_ = pull.Sleep(until, at.Sub(now)) // the loop sees that it has ended
			continue
		}
		soon, err := f.round(ctx, until, &p, seen, zone)
		switch {
		case err == nil && last:
			return nil
		case err == nil:
			failed = 0
			wait := p.Poll.Every
			if soon {
				wait = min(wait, p.Settle)
			}
			_ = pull.Sleep(until, wait)
		case ctx.Err() == nil:
			failed++
			wait := pull.Backoff(p.Poll.Retry, failed, f.Random())
			f.Metrics.failed(f.Source.Name, codeOf(err))
			f.Log.Warn("files were not taken, trying again", slog.String("source", string(f.Source.Name)),
				slog.String("code", codeOf(err)), slog.Any("err", err), slog.Duration("in", wait))
			if !last {
				if pull.Sleep(until, wait) != nil {
					failed = 0 // its last tries begin
				}
				continue
			}
			if failed >= lastTries {
				f.Log.Error("a source changed while files were claimed that could not be finished", slog.String("source", string(f.Source.Name)),
					slog.String("code", codeLeft), slog.String("folder", f.Place), slog.Any("err", err))
				return nil
			}
			_ = pull.Sleep(ctx, wait)
		}
	}
	return nil
}

// leftBehind says that the file the cursor is in lies in another folder than this one:
// the settings changed while nobody could finish it. Put into this one, its lines have
// the ids they had.
func (f *Feed) leftBehind(ctx context.Context) {
	at, err := f.load(ctx)
	if err != nil || at.Place == "" || at.Place == f.Place {
		return
	}
	f.Metrics.took(f.Source.Name, codeLeft, 0)
	f.Log.Error("a file was begun in another folder, and is claimed there", slog.String("source", string(f.Source.Name)),
		slog.String("code", codeLeft), slog.String("folder", at.Place), slog.String("name", at.Name))
}

// opens is when files may be taken next: outside the other side's maintenance windows,
// and inside the source's own.
func (f *Feed) opens(p *policy.Pickup, now time.Time, zone *time.Location) time.Time {
	return f.Source.Opens(p.Poll.OpensAt(now, zone))
}

// Codes of rounds that failed; nothing is lost by them.
const (
	codeHostKey = "host_key"
	codeFolder  = "folder"
	codeLog     = "log_unavailable"
	codeCursor  = "cursor_unavailable"
	codeLeft    = "left_behind" // of a file, in a folder that is the source's no more
)

// laterError is why a round ended.
type laterError struct {
	code string
	err  error
}

func (e *laterError) Error() string { return e.err.Error() }
func (e *laterError) Unwrap() error { return e.err }

func codeOf(err error) string {
	if errors.Is(err, errHostKey) {
		return codeHostKey
	}
	if l, ok := errors.AsType[*laterError](err); ok {
		return l.code
	}
	return codeFolder
}

// round looks at the folder once and takes what is ready: first what is claimed
// already, then, unless until has ended, the others in their order. soon says that one
// may be ready before long.
func (f *Feed) round(ctx, until context.Context, p *policy.Pickup, seen looks, zone *time.Location) (soon bool, err error) {
	dir, err := f.Open(ctx)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	for _, d := range []string{claimedDir, doneDir, failedDir} {
		if err := dir.Mkdir(ctx, d); err != nil {
			return false, err //nolint:wrapcheck // it says what
		}
	}
	if err := f.goOn(ctx, dir, p); err != nil || until.Err() != nil {
		return false, err
	}
	ready, soon, err := f.look(ctx, dir, p, seen)
	if err != nil {
		return false, err
	}
	for i := range ready {
		if now := f.Now(); until.Err() != nil || f.opens(p, now, zone).After(now) {
			break
		}
		ok, err := f.claim(ctx, dir, p, &ready[i])
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		if err := f.take(ctx, dir, p, ready[i].Name); err != nil {
			return false, err
		}
		delete(seen, ready[i].Name)
	}
	return soon, nil
}

// goOn takes the files that are claimed.
func (f *Feed) goOn(ctx context.Context, dir Folder, p *policy.Pickup) error {
	begun, _, err := dir.List(ctx, claimedDir, p.MaxWaiting)
	if err != nil {
		return err //nolint:wrapcheck // it says what
	}
	order(begun, p.Order)
	for i := range begun {
		if begun[i].Dir || badName(begun[i].Name) {
			continue
		}
		if err := f.dropMarker(ctx, dir, p, begun[i].Name, true); err != nil {
			return err
		}
		if err := f.take(ctx, dir, p, begun[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// look lists the folder: the files that are whole, in their order.
func (f *Feed) look(ctx context.Context, dir Folder, p *policy.Pickup, seen looks) (ready []Entry, soon bool, err error) {
	list, more, err := dir.List(ctx, "", p.MaxWaiting)
	if err != nil {
		return nil, false, err //nolint:wrapcheck // it says what
	}
	if more {
		f.Log.Warn("the folder has more files than are looked at", slog.String("source", string(f.Source.Name)), slog.Int("max_waiting", p.MaxWaiting))
	}
	now := f.Now()
	markers := map[string]time.Time{}
	if p.Ready == policy.ReadyMarker {
		for i := range list {
			if list[i].Regular && strings.HasSuffix(list[i].Name, p.Marker) {
				markers[list[i].Name] = list[i].Changed
			}
		}
	}
	there := map[string]bool{}
	oldest := time.Duration(0)
	for i := range list {
		e := &list[i]
		if e.Dir || !wanted(p, e.Name) {
			continue
		}
		there[e.Name] = true
		last, known := seen[e.Name]
		if !e.Regular || badName(e.Name) {
			if !known {
				f.Metrics.took(f.Source.Name, "ignored", 0)
				f.Log.Warn("not taken: no regular file, or not a name to go on with", slog.String("source", string(f.Source.Name)), slog.String("name", shown(e.Name)))
			}
			seen[e.Name] = look{*e, now}
			continue
		}
		oldest = max(oldest, now.Sub(e.Changed))
		if !known || !last.same(e) {
			last = look{*e, now}
			seen[e.Name] = last
		}
		switch p.Ready {
		case policy.ReadyStable:
			if known && now.Sub(last.since) >= p.Settle {
				ready = append(ready, *e)
			} else {
				soon = true
			}
		case policy.ReadyMarker:
			if at, ok := marked(markers, p.Marker, e.Name); ok && !at.Before(e.Changed) {
				ready = append(ready, *e)
			}
		default:
			ready = append(ready, *e)
		}
	}
	for name := range seen {
		if !there[name] {
			delete(seen, name)
		}
	}
	f.Metrics.waiting(f.Source.Name, len(there), oldest)
	order(ready, p.Order)
	return ready, soon, nil
}

// wanted says whether a name is one of the source's.
func wanted(p *policy.Pickup, name string) bool {
	is := func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	}
	if p.Ready == policy.ReadyMarker && strings.HasSuffix(name, p.Marker) {
		return false
	}
	return slices.ContainsFunc(p.Match, is) && !slices.ContainsFunc(p.Skip, is)
}

// badName is what would lead elsewhere, or not survive on its way.
func badName(name string) bool {
	return name == "" || name == "." || name == ".." || len(name) > maxName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r == '\\' || r < ' ' || r == 0x7f })
}

func shown(name string) string {
	if len(name) > maxName {
		name = name[:maxName]
	}
	return strings.ToValidUTF8(name, "\ufffd")
}

func order(list []Entry, by string) {
	slices.SortFunc(list, func(a, b Entry) int {
		if by == policy.OrderTime {
			if c := a.Changed.Compare(b.Changed); c != 0 {
				return c
			}
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// marked is the time of a file's marker.
func marked(markers map[string]time.Time, end, name string) (time.Time, bool) {
	for _, m := range markersOf(end, name) {
		if at, ok := markers[m]; ok {
			return at, true
		}
	}
	return time.Time{}, false
}

func markersOf(end, name string) []string {
	return []string{name + end, strings.TrimSuffix(name, path.Ext(name)) + end}
}

// claim takes a file out of the partner's reach; false where it is gone or has changed
// since it was looked at.
func (f *Feed) claim(ctx context.Context, dir Folder, p *policy.Pickup, e *Entry) (bool, error) {
	claimed := claimedDir + "/" + e.Name
	switch err := dir.Rename(ctx, e.Name, claimed); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
		return false, nil // somebody else has it
	case err != nil:
		return false, err //nolint:wrapcheck // it says what
	}
	stream.Crash("files_claimed")
	now, err := dir.Stat(ctx, claimed)
	if err != nil {
		return false, err //nolint:wrapcheck // it says what
	}
	if p.Ready == policy.ReadyStable && !now.same(e) {
		// It is still being written. Where its name is taken again, it stays claimed.
		if err := dir.Rename(ctx, claimed, e.Name); err != nil && !errors.Is(err, fs.ErrExist) {
			return false, err //nolint:wrapcheck // it says what
		}
		return false, nil
	}
	return true, f.dropMarker(ctx, dir, p, e.Name, false)
}

// dropMarker removes the marker of a file that is claimed, lest it speak of the next one
// of that name. Of a file that was claimed before, it may do so already.
func (f *Feed) dropMarker(ctx context.Context, dir Folder, p *policy.Pickup, name string, before bool) error {
	if p.Ready != policy.ReadyMarker {
		return nil
	}
	if before {
		if _, err := dir.Stat(ctx, name); err == nil {
			return nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err //nolint:wrapcheck // it says what
		}
	}
	for _, m := range markersOf(p.Marker, name) {
		if err := dir.Remove(ctx, m); err != nil {
			return fmt.Errorf("removing marker: %w", err)
		}
	}
	return nil
}
