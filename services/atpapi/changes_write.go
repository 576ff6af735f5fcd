package atpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	reconnect = 2 * time.Second // after which a reader comes again
	leastRate = 32 << 10        // bytes a second that a reader has to take
	lastWords = time.Second     // for a reader that is dropped
)

// told is one event.
type told struct {
	name string
	id   string // empty: that of the event before
	data any
	// from, where it is known, is where the reader stood before the first of some events,
	// and has how new the facts are that they are told from.
	from string
}

// output is where events go.
type output interface {
	// tell writes events, in order.
	tell(events []told) error
	// beat shows that the stream lives, and where it stands.
	beat(id string) error
	// last is tell for a reader that is left then.
	last(e told)
	// pause begins a new count of what the reader takes, and how long.
	pause()
}

// errSlow is a reader that does not take what was sent.
var errSlow = errors.New("the reader takes too long")

// eventWriter writes server-sent events (WHATWG HTML §9.2.6).
type eventWriter struct {
	w     *echo.Response
	rc    *http.ResponseController
	slow  time.Duration
	buf   bytes.Buffer
	begun bool
	dead  bool // a write has failed
	spent time.Duration
	bytes int64
}

func newEventWriter(w *echo.Response, slow time.Duration) *eventWriter {
	return &eventWriter{w: w, rc: http.NewResponseController(w), slow: slow}
}

func (w *eventWriter) pause() { w.spent, w.bytes = 0, 0 }

func (w *eventWriter) tell(events []told) error {
	if err := w.write(events); err != nil {
		return err
	}
	return w.flush(w.slow)
}

func (w *eventWriter) last(e told) {
	if w.dead || w.write([]told{e}) != nil {
		return
	}
	_ = w.flush(lastWords) // it is left either way
}

func (w *eventWriter) write(events []told) error {
	for i := range events {
		e := &events[i]
		data, err := json.Marshal(e.data) // on one line
		if err != nil {
			return fmt.Errorf("encoding event: %w", err)
		}
		if e.id != "" {
			w.buf.WriteString("id: " + e.id + "\n")
		}
		w.buf.WriteString("event: " + e.name + "\ndata: ")
		w.buf.Write(data)
		w.buf.WriteString("\n\n")
	}
	return nil
}

// beat is a comment; an id without data moves a reader's last id and is no event.
func (w *eventWriter) beat(id string) error {
	w.buf.WriteString(": \n")
	if id != "" {
		w.buf.WriteString("id: " + id + "\n")
	}
	w.buf.WriteString("\n")
	return w.flush(w.slow)
}

func (w *eventWriter) flush(within time.Duration) error {
	defer w.buf.Reset()
	if !w.begun {
		w.begun = true
		_ = w.rc.SetReadDeadline(time.Time{}) // nothing more is read; not every writer has one
		h := w.w.Header()
		h.Set(echo.HeaderContentType, mimeStream)
		h.Set(echo.HeaderCacheControl, "no-store")
		h.Set("X-Accel-Buffering", "no") // of a proxy that would hold events back
		w.w.WriteHeader(http.StatusOK)
		first := fmt.Sprintf("retry: %d\n", reconnect.Milliseconds())
		rest := bytes.Clone(w.buf.Bytes())
		w.buf.Reset()
		w.buf.WriteString(first)
		w.buf.Write(rest)
	}
	began := time.Now()                          //nolint:forbidigo // a deadline of the socket
	_ = w.rc.SetWriteDeadline(began.Add(within)) // not every writer has one
	w.bytes += int64(w.buf.Len())
	_, err := w.w.Write(w.buf.Bytes())
	if err == nil {
		err = w.rc.Flush()
	}
	w.spent += time.Since(began) //nolint:forbidigo // how long the socket took
	if err != nil {
		w.dead = true
		if w.spent >= within {
			return fmt.Errorf("%w: %w", errSlow, err)
		}
		return fmt.Errorf("writing events: %w", err)
	}
	if w.spent > w.slow+time.Duration(w.bytes)*time.Second/leastRate {
		return errSlow
	}
	return nil
}

// collector keeps the events of a long poll.
type collector struct{ answer pollAnswer }

func (c *collector) pause() {}

func (c *collector) tell(events []told) error {
	for i := range events {
		if events[i].name != eventOpen { // the answer's id says it
			c.answer.Events = append(c.answer.Events, pollEvent{events[i].name, events[i].data})
		}
	}
	return nil
}

func (c *collector) last(e told) { _ = c.tell([]told{e}) } // it never fails

func (c *collector) beat(string) error { return nil }
