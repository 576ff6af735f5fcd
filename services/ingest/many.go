package ingest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/ingest/body"
	"github.com/stockweave/stockweave/services/ingest/signature"
)

// streamTime is how long a sender may take for the next message of a long body.
const streamTime = 30 * time.Second

// messagesOf are the messages of a body that is in memory.
func (s *server) messagesOf(in *arrival, b []byte) ([]*event.RawMessage, error) {
	if in.media.shape != multipartForm {
		if empty(b) {
			return nil, noMessage()
		}
		raw, err := s.message(in.r, in.src, b, in.c.RealIP())
		return []*event.RawMessage{raw}, err
	}
	parts, err := body.Parts(b, in.media.boundary, in.src.HTTP.Part, body.Limits{Parts: in.src.HTTP.Parts(), Bytes: in.door.limit()})
	if err != nil {
		return nil, unreadable(err, int64(in.door.limit()))
	}
	out := make([]*event.RawMessage, 0, len(parts))
	for _, p := range parts {
		if empty(p.Body) {
			return nil, noMessage()
		}
		if err := in.door.partType(p); err != nil {
			return nil, err
		}
		raw, err := s.message(in.r, in.src, p.Body, in.c.RealIP())
		if err != nil {
			return nil, err
		}
		raw.ContentType = kept(p.ContentType)
		if p.Filename != "" {
			raw.Filename = filename(p.Filename)
		}
		out = append(out, raw)
	}
	return out, nil
}

// partType checks the media type of a part, where it states one; what browsers and
// command lines say of a file they do not know is no statement.
func (d *door) partType(p body.Part) error {
	if p.ContentType == "" {
		return nil
	}
	typ, params, err := mime.ParseMediaType(p.ContentType)
	if err != nil || typ != "application/octet-stream" && !slices.Contains(d.types, typ) {
		return d.otherType()
	}
	return d.charset(params)
}

func filename(stated string) string { return kept(path.Base(strings.ReplaceAll(stated, "\\", "/"))) }

func itoa(n int) string { return strconv.Itoa(n) }

// goOn gives a sender time for the next part of a long body.
func (s *server) goOn(c echo.Context) {
	rc := http.NewResponseController(c.Response())
	now := s.now()
	_ = rc.SetReadDeadline(now.Add(streamTime)) // what cannot is not over a connection
	_ = rc.SetWriteDeadline(now.Add(2 * streamTime))
}

// againStream asks whether a body that is read as it comes was here before; the
// caller goes on with the content it is given.
func (s *server) againStream(in *arrival, content io.Reader) (*try, io.Reader, *idempotent.Answer, error) {
	t, content, said, err := s.porter.againStream(in.r, in.visit, content, func() { s.goOn(in.c) })
	if err != nil {
		return nil, nil, nil, unreadable(err, in.room)
	}
	return t, content, said, nil
}

// file takes a body of lines: as a message where it is small enough for one, byte for
// byte, and else in parts as it arrives, each of which is durable before the next is
// read. The ids of parts follow from the file's and their content, so that a file that
// is sent again with its key makes the same messages.
func (s *server) file(in *arrival, claim signature.Claim) (*idempotent.Answer, error) {
	limit, rows := in.door.limit(), in.src.HTTP.Rows()
	head, err := io.ReadAll(io.LimitReader(in.content, int64(limit)+1))
	if err != nil {
		return nil, unreadable(err, in.room)
	}
	if len(head) <= limit && bytes.Count(head, []byte("\n")) <= rows {
		in.plain = head
		return s.whole(in, claim)
	}
	t, content, said, err := s.againStream(in, io.MultiReader(bytes.NewReader(head), in.content))
	if err != nil || said != nil {
		return said, err
	}
	defer t.end()
	out := accepted{}
	if out.ID, err = s.fileID(in, t); err != nil {
		return nil, err
	}
	cutter := body.NewCutter(content, body.TableOf(in.src), limit, rows)
	for {
		chunk, err := cutter.Next()
		if errors.Is(err, io.EOF) {
			return t.answer(http.StatusAccepted, out)
		}
		if err == nil {
			err = s.part(in, t, &out, &chunk)
		}
		if err != nil {
			if p, ok := errors.AsType[*problem](unreadable(err, in.room)); ok {
				p.Parts = out.Parts
				return nil, p
			}
			return nil, err
		}
		s.goOn(in.c)
	}
}

// fileID is the id of a file: of its key, where it has one.
func (s *server) fileID(in *arrival, t *try) (string, error) {
	key := t.dedupeKey("")
	if h := in.src.DedupeHeader; h != "" && key == "" {
		key = in.r.Header.Get(h)
	}
	if key == "" {
		return newID(s.now(), s.random)
	}
	return idempotent.ID([]byte("stockweave file"), []byte(in.src.Name), []byte(in.principal), []byte(key)), nil
}

// part stores a part of a file.
func (s *server) part(in *arrival, t *try, file *accepted, chunk *body.Chunk) error {
	raw, err := s.message(in.r, in.src, chunk.Body, in.c.RealIP())
	if err != nil {
		return err
	}
	n := file.Parts + 1
	raw.ID = idempotent.ID([]byte("stockweave file part"), []byte(file.ID), []byte(itoa(n)), chunk.Body)
	raw.DedupeKey = t.dedupeKey(raw.DedupeKey)
	raw.FileID, raw.Part = file.ID, int32(n)
	if chunk.Last {
		raw.Parts = int32(n)
	}
	raw.Headers = append(raw.Headers, inventory.Attribute{Name: event.FileLine, Value: itoa(chunk.Line)})
	if err := s.store(in.r, in.src, raw); err != nil {
		return err
	}
	file.Parts, file.Rows = n, file.Rows+chunk.Rows
	return nil
}

// Limits of a batch.
const (
	maxBatchLines = 10_000
	batchGroup    = 256     // lines that are stored together
	batchBytes    = 1 << 20 // of their bodies
)

// lineAnswer is what became of a line of a batch.
type lineAnswer struct {
	Line   int    `json:"line"`
	Status int    `json:"status"`
	ID     string `json:"id,omitempty"`
	Code   string `json:"code,omitempty"`
}

// batch takes NDJSON, a message a line, and answers for each line: 207 (RFC 4918
// §11.1) with an array in the order of the lines. Lines that cannot be taken do not
// keep others from being taken. Each 202 in it is durable.
func (s *server) batch(in *arrival, claim signature.Claim) (*idempotent.Answer, error) {
	t, content, said, err := s.againStream(in, in.content)
	if err != nil || said != nil {
		return said, err
	}
	defer t.end()
	once, said, err := s.once(in.src, claim.ID, in.wire)
	if err != nil || said != nil {
		return said, err
	}
	defer once.end()
	by := cmp.Or(once, t)
	var out []lineAnswer
	var group []*event.RawMessage
	var lines []int // in out, of the group
	size := 0
	refuse := func(line int, p *problem) {
		out = append(out, lineAnswer{Line: line, Status: p.Status, Code: p.Code})
		s.messages.WithLabelValues(string(in.src.Name), p.Code).Inc()
	}
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		err := s.store(in.r, in.src, group...)
		p, ok := errors.AsType[*problem](err)
		if err != nil && !ok {
			return err
		}
		for i, at := range lines {
			if out[at].ID, out[at].Status = group[i].ID, http.StatusAccepted; ok {
				out[at] = lineAnswer{Line: out[at].Line, Status: p.Status, Code: p.Code}
				s.messages.WithLabelValues(string(in.src.Name), p.Code).Inc()
			}
		}
		if ok {
			in.c.Response().Header().Set("Retry-After", itoa(p.retryAfter))
		}
		group, lines, size = nil, nil, 0
		s.goOn(in.c)
		return nil
	}
	reader := body.NewLines(content, in.door.limit())
	for done := false; !done; {
		line, n, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			done = true
		case errors.Is(err, body.ErrRow):
			refuse(n, tooLarge(in.door.limit()))
		case err != nil:
			p, ok := errors.AsType[*problem](unreadable(err, in.room))
			if !ok {
				return nil, err
			}
			refuse(n, p)
			done = true
		case len(out) >= maxBatchLines:
			refuse(n, newProblem(http.StatusRequestEntityTooLarge, "too_many_lines", "")) // and all behind it
			done = true
		case !json.Valid(line):
			refuse(n, newProblem(http.StatusBadRequest, "bad_json", ""))
		default:
			raw, err := s.message(in.r, in.src, line, in.c.RealIP())
			if err != nil {
				return nil, err
			}
			raw.ID, raw.DedupeKey = by.id(n, line, raw.ID), "" // the key is the batch's, not a line's
			group, lines, size = append(group, raw), append(lines, len(out)), size+len(line)
			out = append(out, lineAnswer{Line: n})
		}
		if done || len(group) == batchGroup || size >= batchBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if len(out) == 0 {
		return nil, noMessage()
	}
	// It is remembered only when it is the last word on every line.
	if slices.ContainsFunc(out, func(l lineAnswer) bool { return l.Status >= http.StatusInternalServerError }) {
		return (*try)(nil).answer(http.StatusMultiStatus, out)
	}
	a, err := t.answer(http.StatusMultiStatus, out)
	if err == nil {
		once.done(*a)
	}
	return a, err
}
