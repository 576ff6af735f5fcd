package ingest

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/apidoc"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/acks"
	"github.com/stockweave/stockweave/services/ingest/body"
	"github.com/stockweave/stockweave/services/ingest/signature"
)

// ceSource names this service as the source of its records.
const ceSource = "/stockweave/ingest"

// DedupeHeader carries the sender's own message id on raw.messages.
const DedupeHeader = "dedupe_key"

// maxHeader bounds what is kept of any request header, bytes.
const maxHeader = 255

type server struct {
	cfg    Config
	log    *slog.Logger
	now    func() time.Time
	random io.Reader
	recv   *receiver
	porter *porter
	slots  chan struct{} // requests under way
	// strangers are those of them that are read to learn who sends them: fewer, for
	// anybody can hold them up.
	strangers chan struct{}

	ids  *idempotent.Window // signed ids of messages, and nonces of tokens
	acks *acks.Reader
	asks chan struct{} // reads of acknowledgements under way

	requests, messages *prometheus.CounterVec
}

func (s *server) handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = writeProblem
	e.IPExtractor = echo.ExtractIPDirect() // a header could say anything
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
		s.log.Error("request failed", slog.Any("err", err), slog.String("stack", string(stack)))
		return err
	}}))
	e.POST("/v1/messages/:source", s.post)
	e.POST("/v1/soap/:source", s.soapPost)
	e.GET("/v1/soap/:source", s.describe)
	e.GET("/v1/acks/:source", s.getAcks)
	if err := apidoc.Serve(e, openAPI); err != nil { // a test reads it
		s.log.Error("the OpenAPI document is not served", slog.Any("err", err))
	}
	return e
}

// accepted says that messages are in the log.
type accepted struct {
	ID       string         `json:"id"`                 // of the message, of the first, or of the file
	Messages []acceptedPart `json:"messages,omitempty"` // of a multipart body
	Parts    int            `json:"parts,omitempty"`    // of a file that was cut
	Rows     int            `json:"rows,omitempty"`
}

type acceptedPart struct {
	ID       string `json:"id"`
	Filename string `json:"filename,omitempty"`
}

func (s *server) post(c echo.Context) error {
	name := inventory.Source(c.Param("source"))
	answer, err := s.take(c, name)
	s.count(name, "accepted", err)
	if err != nil {
		return err
	}
	return c.Blob(answer.Status, answer.Type, answer.Body) //nolint:wrapcheck // echo's own
}

// count notes what became of a request; well is the word for one that went well.
func (s *server) count(name inventory.Source, well string, err error) {
	code, label := well, string(name)
	if s.door(name) == nil {
		label = "unknown" // names from outside make no series
	}
	if p, ok := errors.AsType[*problem](err); ok {
		code = p.Code
	} else if err != nil {
		code = "internal"
		s.log.Error("taking a message failed", slog.String("source", label), slog.Any("err", err))
	}
	s.requests.WithLabelValues(label, code).Inc()
}

// take checks a request and makes its messages durable. The answer has their ids. It
// goes in steps, each of which ends the request or leaves it to the next: a slot, who
// sends, the signature over what came, the form of the content, whether it was here
// before, and the log.
func (s *server) take(c echo.Context, name inventory.Source) (*idempotent.Answer, error) {
	release, err := s.slot()
	if err != nil {
		return nil, err
	}
	defer release()
	v, err := s.porter.admit(c.Response().Header(), c.Request(), name)
	if err != nil {
		return nil, err
	}
	defer v.leave()
	in, claim, err := s.arrive(c, v)
	if err != nil {
		return nil, err
	}
	if claim.Confirm != nil {
		if err := s.refused(claim.Confirm(c.Request().Context())); err != nil {
			return nil, err
		}
		return &idempotent.Answer{Status: http.StatusOK, Type: echo.MIMEApplicationJSON, Body: []byte("{}\n")}, nil
	}
	switch in.media.shape {
	case lineBatch:
		return s.batch(in, claim)
	case lineFile:
		return s.file(in, claim)
	case oneMessage, multipartForm:
	}
	return s.whole(in, claim)
}

func (s *server) slot() (release func(), err error) { return s.place(s.slots) }

// place takes one of some places, or says that none is free.
func (s *server) place(of chan struct{}) (release func(), err error) {
	select {
	case of <- struct{}{}:
		return func() { <-of }, nil
	default:
		return nil, later("overloaded", "too many requests under way", int(s.cfg.RetryAfter.Seconds()))
	}
}

// stranger takes a place for a request of which it is not known who sends it, until
// it is.
func (s *server) stranger(v *visit) (release func(), err error) {
	if v.known {
		return func() {}, nil
	}
	return s.place(s.strangers)
}

// arrival is a request whose sender is known.
type arrival struct {
	*visit
	c       echo.Context
	r       *http.Request
	src     *policy.Source
	media   media
	wire    []byte    // the body as it came, where a signature covers it
	room    int64     // bytes content may have
	content io.Reader // the body without its Content-Encoding
	plain   []byte    // all of content, where it is in memory already
}

// arrive reads as much of a request as must be known before its content is believed:
// all of it where a signature covers it, else nothing. Whoever sends is known from
// there on; before, nothing is said about content.
func (s *server) arrive(c echo.Context, v *visit) (*arrival, signature.Claim, error) {
	r, d := c.Request(), v.door
	m, unwanted := d.media(r.Header)
	in := &arrival{visit: v, c: c, r: r, src: d.src, media: m, room: d.room(m)}
	var claim signature.Claim
	var wire io.Reader = r.Body
	if d.wholeFirst() {
		var err error
		if in.wire, claim, err = s.signed(v, r, in.room); err != nil {
			return nil, claim, err
		}
		wire = bytes.NewReader(in.wire)
	} else if _, err := s.verify(r.Context(), d, r, nil); err != nil {
		return nil, claim, err
	}
	if unwanted != nil {
		return nil, claim, unwanted
	}
	if r.ContentLength > in.room {
		return nil, claim, tooLarge(int(in.room))
	}
	if r.Header.Get("Content-Encoding") == "" {
		in.plain = in.wire
	}
	var err error
	if in.content, err = body.NewReader(wire, r.Header.Get("Content-Encoding"), in.room, policy.MaxRatio); err != nil {
		return nil, claim, unreadable(err, in.room)
	}
	return in, claim, nil
}

// signed reads a body and checks the signature over it.
func (s *server) signed(v *visit, r *http.Request, room int64) ([]byte, signature.Claim, error) {
	release, err := s.stranger(v)
	if err != nil {
		return nil, signature.Claim{}, err
	}
	defer release()
	b, err := readWire(r, room)
	if err != nil {
		return nil, signature.Claim{}, err
	}
	claim, err := s.verify(r.Context(), v.door, r, b)
	v.known = err == nil
	return b, claim, err
}

// whole takes a body that is a message, or a form of some: all of them or none.
func (s *server) whole(in *arrival, claim signature.Claim) (*idempotent.Answer, error) {
	b := in.plain
	if b == nil {
		var err error
		if b, err = readAll(in.content, in.r.ContentLength, in.room); err != nil {
			return nil, err
		}
	}
	raws, err := s.messagesOf(in, b)
	if err != nil {
		return nil, err
	}
	return s.keep(in, b, claim.ID, b, raws, func() (idempotent.Answer, error) {
		out := accepted{ID: raws[0].ID}
		if in.media.shape == multipartForm && in.src.HTTP.Part == "" {
			for _, raw := range raws {
				out.Messages = append(out.Messages, acceptedPart{raw.ID, raw.Filename})
			}
		}
		return answer(http.StatusAccepted, out)
	})
}

// keep makes the messages of a request durable, all or none, unless it was here before:
// with its Idempotency-Key and this content, or under the id that its sender signed over
// these bytes. say makes the answer once they are; who comes again gets it again.
func (s *server) keep(in *arrival, content []byte, id string, signed []byte, raws []*event.RawMessage, say func() (idempotent.Answer, error)) (*idempotent.Answer, error) {
	t, said, err := s.porter.again(in.r, in.visit, content)
	if err != nil || said != nil {
		return said, err
	}
	defer t.end()
	once, said, err := s.once(in.src, id, signed)
	if err != nil || said != nil {
		return said, err
	}
	defer once.end()
	by := cmp.Or(once, t)
	for i, raw := range raws {
		raw.ID, raw.DedupeKey = by.id(i, raw.Body, raw.ID), t.dedupeKey(raw.DedupeKey)
	}
	if err := s.store(in.r, in.src, raws...); err != nil {
		return nil, err
	}
	a, err := say()
	if err != nil {
		return nil, err
	}
	t.done(a)
	once.done(a)
	return &a, nil
}
