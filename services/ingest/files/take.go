package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/body"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// Messages that go to the log in one call.
const (
	groupParts = 8
	groupBytes = 2 << 20
)

// progress is how far the file that is claimed has been taken: the log has all parts up
// to Part. It is the value of the feed's cursor.
type progress struct {
	Name string `json:"name"`
	File string `json:"file"` // its id
	// Place is the folder it is claimed in.
	Place string `json:"place,omitempty"`
	Cut   cut    `json:"cut"`
	Part  int    `json:"part"`
	Line  int    `json:"line"` // of the first row of that part
}

// fault is why a file was not taken, or not all of it.
type fault struct {
	code string // stable, snake_case
	err  error
}

// Codes of faults.
const (
	codeNoFile    = "not_regular"
	codeEmpty     = "empty_file"
	codeOld       = "too_old"
	codeFileSize  = "file_too_large"
	codeTooLarge  = "message_too_large"
	codeRow       = "row_too_large"
	codeRatio     = "compressed_too_much"
	codeCorrupt   = "compressed_damaged"
	codeChanged   = "file_changed"
	codeTooManyBy = "too_many_parts"
)

// maxParts bounds the parts of a file; their number is an int32.
const maxParts = 1_000_000

// sent is what became of a file.
type sent struct {
	id    string
	sum   string // SHA-256, hex
	size  int64
	parts int
	line  int // of the first row of the last part
	fault *fault
}

// take takes one file that is claimed, and moves it on. An error means that it stays,
// to be gone on with.
func (f *Feed) take(ctx context.Context, dir Folder, p *policy.Pickup, name string) error {
	s, err := f.send(ctx, dir, p, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else was quicker
	}
	if err != nil {
		return err
	}
	stamp := f.Now().UTC().Format("20060102T150405.000000Z")
	to, outcome := doneDir+"/"+stamp+"-"+name, "done"
	if s.fault != nil {
		to, outcome = failedDir+"/"+stamp+"-"+name, s.fault.code
		// First the reason: no file is in failed without one.
		if err := dir.Write(ctx, to+".error.txt", f.reason(name, &s)); err != nil {
			return err //nolint:wrapcheck // it says what
		}
	}
	stream.Crash("files_sent")
	if err := dir.Rename(ctx, claimedDir+"/"+name, to); err != nil {
		return err //nolint:wrapcheck // it says what
	}
	f.Metrics.took(f.Source.Name, outcome, s.size)
	log := f.Log.With(slog.String("source", string(f.Source.Name)), slog.String("name", name), slog.String("file", s.id), slog.Int("parts", s.parts), slog.Int64("bytes", s.size))
	if s.fault != nil {
		log.Error("file failed", slog.String("code", s.fault.code), slog.Any("err", s.fault.err))
	} else {
		log.Info("file taken")
	}
	stream.Crash("files_moved")
	return f.save(ctx, nil)
}

// reason is the text beside a file that failed.
func (f *Feed) reason(name string, s *sent) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "code: %s\nreason: %s\nfile: %s\nat: %s\n", s.fault.code, s.fault.err, name, f.Now().UTC().Format(time.RFC3339))
	if s.id != "" {
		fmt.Fprintf(&b, "file id: %s\nsha256: %s\nbytes: %d\n", s.id, s.sum, s.size)
	}
	switch {
	case s.parts == 0:
		b.WriteString("taken: nothing\n")
	case s.line > 0:
		fmt.Fprintf(&b, "taken: parts 1 to %d, the last of which begins at line %d; put in again, they are duplicates\n", s.parts, s.line)
	default:
		fmt.Fprintf(&b, "taken: parts 1 to %d; put in again, they are duplicates\n", s.parts)
	}
	return b.Bytes()
}

// send appends what of a file is not in the log yet.
func (f *Feed) send(ctx context.Context, dir Folder, p *policy.Pickup, name string) (sent, error) {
	at := claimedDir + "/" + name
	e, err := dir.Stat(ctx, at)
	if err != nil {
		return sent{}, err //nolint:wrapcheck // it says what
	}
	refuse := func(code, format string, args ...any) (sent, error) {
		return sent{size: e.Size, fault: &fault{code, fmt.Errorf(format, args...)}}, nil
	}
	switch age := f.Now().Sub(e.Changed); {
	case !e.Regular:
		return refuse(codeNoFile, "%w", errUnsafe)
	case e.Size == 0:
		return refuse(codeEmpty, "the file is empty")
	case e.Size > p.MaxBytes:
		return refuse(codeFileSize, "%d bytes, more than %d", e.Size, p.MaxBytes)
	case p.MaxAge > 0 && age > p.MaxAge:
		return refuse(codeOld, "changed last at %s, %s ago, more than %s", e.Changed.UTC().Format(time.RFC3339), age.Round(time.Second), p.MaxAge)
	}
	sum, n, err := digest(ctx, dir, at)
	if err != nil {
		return sent{}, err
	}
	if n != e.Size {
		return refuse(codeChanged, "%d bytes when it was claimed, %d when it was read", e.Size, n)
	}
	s := sent{id: f.fileID(p, name, sum, e.Changed), sum: hex.EncodeToString(sum[:]), size: n}
	err = f.parts(ctx, dir, p, name, &s)
	return s, err
}

// digest reads a file through.
func digest(ctx context.Context, dir Folder, at string) (sum [sha256.Size]byte, n int64, err error) {
	r, err := dir.Open(ctx, at)
	if err != nil {
		return sum, 0, err //nolint:wrapcheck // it says what
	}
	defer r.Close()
	h := sha256.New()
	if n, err = io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 256<<10)); err != nil {
		return sum, n, fmt.Errorf("reading file: %w", err)
	}
	return [sha256.Size]byte(h.Sum(nil)), n, nil
}

// fileID is a function of source, name and content, and of its time where a repeat is
// news.
func (f *Feed) fileID(p *policy.Pickup, name string, sum [sha256.Size]byte, changed time.Time) string {
	all := [][]byte{[]byte("stockweave dropped file"), []byte(f.Source.Name), []byte(name), sum[:]}
	if p.Repeat == policy.RepeatNew {
		all = append(all, []byte(changed.UTC().Format(time.RFC3339Nano)))
	}
	return idempotent.ID(all...)
}

// parts cuts the file and appends what is behind the cursor.
func (f *Feed) parts(ctx context.Context, dir Folder, p *policy.Pickup, name string, s *sent) error {
	at, err := f.load(ctx)
	if err != nil {
		return err
	}
	if at.File != s.id {
		at = progress{Name: name, File: s.id, Cut: f.limits(p)}
	}
	at.Place = f.Place
	s.parts, s.line = at.Part, at.Line
	r, err := dir.Open(ctx, claimedDir+"/"+name)
	if err != nil {
		return err //nolint:wrapcheck // it says what
	}
	defer r.Close()
	again := sha256.New()
	raw := io.TeeReader(r, again)
	encoding := ""
	if strings.HasSuffix(strings.ToLower(name), ".gz") {
		encoding = "gzip"
	}
	text, err := body.NewReader(raw, encoding, p.MaxBytes, policy.MaxRatio)
	if s.fault = faultOf(err); s.fault != nil || err != nil {
		return unlessFault(s.fault, err)
	}
	split := splitterOf(f.Source, text, at.Cut)
	var group []*event.RawMessage
	size, line := 0, 0
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil { // no further unit begins
			return &laterError{codeLog, fmt.Errorf("appending parts of %s: %w", name, err)}
		}
		unit, over := pull.Unit(ctx)
		defer over()
		if err := f.Append.Append(unit, group); err != nil {
			return &laterError{codeLog, fmt.Errorf("appending parts of %s: %w", name, err)}
		}
		stream.Crash("files_appended")
		at.Part, at.Line = at.Part+len(group), line
		if err := f.save(unit, &at); err != nil {
			return err
		}
		f.Metrics.appended(f.Source.Name, len(group))
		s.parts, s.line, group, size = at.Part, at.Line, nil, 0
		return nil
	}
	for n := 1; ; n++ {
		part, err := split.next()
		if err == nil && n > maxParts {
			s.fault = &fault{codeTooManyBy, fmt.Errorf("more than %d", maxParts)}
			return flush()
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if s.fault = faultOf(err); s.fault == nil {
				return err
			}
			return flush() // what is before the fault stands
		}
		if n <= at.Part {
			continue
		}
		group, size, line = append(group, f.message(name, s, n, &part)), size+len(part.body), part.line
		if len(group) == groupParts || size >= groupBytes {
			if err := flush(); err != nil {
				return err
			}
			stream.Crash("files_saved")
		}
	}
	// Who still writes through a name it opened before is found out here.
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return fmt.Errorf("reading file: %w", err)
	}
	if hex.EncodeToString(again.Sum(nil)) != s.sum {
		s.fault = &fault{codeChanged, errors.New("its content changed while it was read; what was taken may be of neither")}
	}
	return flush()
}

func unlessFault(f *fault, err error) error {
	if f != nil {
		return nil
	}
	return err
}

// limits are where files are cut now.
func (f *Feed) limits(p *policy.Pickup) cut {
	return cut{Bytes: pull.Limit(f.Source), Rows: p.PartRows}
}

// faultOf is what is wrong with a file; nil where it is not the file's fault.
func faultOf(err error) *fault {
	for _, k := range []struct {
		is   error
		code string
	}{
		{body.ErrTooLarge, codeFileSize},
		{body.ErrRatio, codeRatio},
		{body.ErrCorrupt, codeCorrupt},
		{body.ErrRow, codeRow},
		{errMessage, codeTooLarge},
		{errUnsafe, codeNoFile},
	} {
		if errors.Is(err, k.is) {
			return &fault{k.code, err}
		}
	}
	return nil
}

// message is a part as a raw message: the same part has the same id.
func (f *Feed) message(name string, s *sent, n int, part *part) *event.RawMessage {
	raw := &event.RawMessage{
		ID:     idempotent.ID([]byte("stockweave file part"), []byte(s.id), []byte(strconv.Itoa(n)), part.body),
		Source: f.Source.Name, Filename: name, Body: part.body, ReceivedAt: inventory.Instant(f.Now().UnixMilli()),
		FileID: s.id, Part: int32(n), FileSHA256: s.sum,
	}
	raw.DedupeKey = raw.ID
	if part.last {
		raw.Parts = int32(n)
	}
	if part.line > 0 {
		raw.Headers = []inventory.Attribute{{Name: event.FileLine, Value: strconv.Itoa(part.line)}}
	}
	if f.StreamKey != nil {
		raw.StreamKey = f.StreamKey(f.Source, part.body)
	}
	return raw
}

// load is the progress of a file, of none where nothing was saved.
func (f *Feed) load(ctx context.Context) (progress, error) {
	var at progress
	b, found, err := f.Cursors.Load(ctx, f.Key)
	if err != nil {
		return at, &laterError{codeCursor, fmt.Errorf("loading cursor: %w", err)}
	}
	if found && json.Unmarshal(b, &at) != nil {
		at = progress{} // of another transport, say; the file is taken from its begin
	}
	return at, nil
}

func (f *Feed) save(ctx context.Context, at *progress) error {
	var value []byte
	if at != nil {
		var err error
		if value, err = json.Marshal(at); err != nil {
			return &laterError{codeCursor, fmt.Errorf("encoding cursor: %w", err)}
		}
	}
	if err := f.Cursors.Save(ctx, f.Key, value); err != nil {
		return &laterError{codeCursor, fmt.Errorf("saving cursor: %w", err)}
	}
	return nil
}
