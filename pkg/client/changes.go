package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Watch says what changes are wanted of. Nothing set is all of the API's own entity.
type Watch struct {
	Entity string
	Items  []string // up to 100; all when empty
	Where
	After string // the ID to go on from; from now on when empty
}

// Names of events. What they ask of a reader stands in the API's document.
const (
	EventOpen    = "open"    // what is read from now on is as new as the ID
	EventChange  = "change"  // Change has the item as it stands now
	EventProblem = "problem" // Problem says which item changed and cannot be read
	EventRecheck = "recheck" // read again what is held: Reason says why
	EventReset   = "reset"   // changes may be missing: read again what is held
	EventDropped = "dropped" // the stream ends, for Reason; Changes goes on by itself
	EventClosed  = "closed"  // the same, in good order
)

// Event is something that changed.
type Event struct {
	// ID is where to go on when the event and all before it are dealt with; empty: no
	// place is known yet.
	ID      string
	Name    string
	Change  *Change
	Problem *ItemProblem
	Reason  string
	// Data is the event's body, whole.
	Data json.RawMessage
}

// Change is an item as it stands now: an answer without locations.
type Change struct {
	Answer
	Location string `json:"location,omitempty"` // where one was asked for
}

// ItemProblem is an item that cannot be told of.
type ItemProblem struct {
	Entity  string   `json:"entity"`
	Item    string   `json:"item"`
	Problem *Problem `json:"problem"`
}

const (
	silentAfter = time.Minute // a stream that says nothing, not even that it lives, is dead
	maxEvent    = 1 << 20     // bytes of its data
	maxLine     = maxEvent + 64
	retryFirst  = 2 * time.Second
)

func (w *Watch) call(id string) *call {
	v := values(w.Entity, w.Where, "", nil, 0)
	if len(w.Items) > 0 {
		v["item"] = w.Items
	}
	k := &call{method: http.MethodGet, path: "/v1/changes", query: v, again: true}
	if id != "" {
		k.header = http.Header{"Last-Event-Id": {id}}
	}
	return k
}

// Changes tells what changes until ctx is done or the loop is left. A stream that ends or
// breaks goes on from the last ID by itself, so that no change is missed; what was told
// may be told again. It ends with an error where the API refuses, does not answer for
// Config.Attempts tries in a row, or tells what cannot be read: an event that is no JSON of
// its kind, or has more than 1 MiB. The ID beside the error is that of the event before.
func (c *Client) Changes(ctx context.Context, w Watch) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := stream{client: c, watch: &w, id: w.After, retry: retryFirst, yield: yield}
		for failed := 0; ; {
			heard, err := s.follow(ctx)
			fatal := (*fatalError)(nil)
			switch {
			case s.left:
				return
			case ctx.Err() != nil:
				yield(Event{ID: s.id}, fmt.Errorf("following changes: %w", ctx.Err()))
				return
			case errors.As(err, &fatal):
				yield(Event{ID: s.id}, fmt.Errorf("following changes: %w", err))
				return
			case heard:
				failed = 0
			default:
				failed++
			}
			wait := min(s.retry, c.cfg.MaxWait)
			if err != nil && !heard {
				again, may := c.wait(s.watch.call(s.id), err, failed)
				if !may {
					yield(Event{ID: s.id}, fmt.Errorf("following changes: %w", err))
					return
				}
				wait = max(wait, again)
			}
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
	}
}

// stream follows changes over one connection after the other.
type stream struct {
	client *Client
	watch  *Watch
	yield  func(Event, error) bool
	id     string        // last event id
	retry  time.Duration // before the next connection
	left   bool          // nobody listens any more
}

// follow reads one connection to its end, and says whether anything came.
func (s *stream) follow(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alive := time.AfterFunc(silentAfter, cancel) // of its beginning, too
	defer alive.Stop()
	body, err := s.client.open(ctx, s.watch.call(s.id))
	if err != nil {
		return false, err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4<<10), maxLine)
	lines.Split(eventLines)
	var e Event
	id := s.id
	var data []byte
	some := false // data
	for lines.Scan() {
		heard = true
		alive.Reset(silentAfter)
		field, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				id = string(value)
			}
		case "event":
			e.Name = string(value)
		case "data":
			if some {
				data = append(data, '\n')
			}
			if some, data = true, append(data, value...); len(data) > maxEvent {
				return heard, tooLong(id)
			}
		case "retry":
			if ms, err := strconv.Atoi(string(value)); err == nil && ms >= 0 {
				s.retry = time.Duration(min(ms, int(time.Hour/time.Millisecond))) * time.Millisecond
			}
		}
		if len(lines.Bytes()) > 0 {
			continue
		}
		if some {
			e.ID, e.Data = id, bytes.Clone(data)
			if err := e.read(); err != nil {
				return heard, &fatalError{fmt.Errorf("of the id %q: %w", id, err)}
			}
		}
		if s.id = id; some {
			if !s.yield(e, nil) {
				s.left = true
				return heard, nil
			}
		}
		e, data, some = Event{}, data[:0], false
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return heard, tooLong(id)
	case err != nil:
		return heard, fmt.Errorf("reading events: %w", err)
	}
	return heard, nil
}

// tooLong is not mended by another connection, which would tell the same.
func tooLong(id string) error {
	return &fatalError{fmt.Errorf("of the id %q or after: an event of more than %d bytes", id, maxEvent)}
}

// eventLines splits as WHATWG HTML §9.2.5 does: at CR LF, LF or CR.
func eventLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	i := bytes.IndexAny(data, "\r\n")
	switch {
	case i < 0:
		return 0, nil, nil // what has no end is not told
	case data[i] == '\n' || i+1 < len(data) && data[i+1] != '\n':
		return i + 1, data[:i], nil
	case i+1 < len(data):
		return i + 2, data[:i], nil
	case atEOF:
		return i + 1, data[:i], nil
	}
	return 0, nil, nil // is it a CR alone?
}

// read reads what the event says.
func (e *Event) read() error {
	var err error
	switch e.Name {
	case EventChange:
		e.Change = &Change{}
		err = json.Unmarshal(e.Data, e.Change)
	case EventProblem:
		e.Problem = &ItemProblem{}
		err = json.Unmarshal(e.Data, e.Problem)
	default:
		said := struct {
			Reason string `json:"reason"`
		}{}
		err = json.Unmarshal(e.Data, &said)
		e.Reason = said.Reason
	}
	if err != nil {
		return fmt.Errorf("reading the event %q: %w", e.Name, err)
	}
	return nil
}

// open begins a stream, whose body has no end. Its error is a *Problem where there was an
// answer.
func (c *Client) open(ctx context.Context, k *call) (io.ReadCloser, error) {
	req, err := c.request(ctx, k, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	endless := *c.cfg.HTTP
	endless.Timeout = 0 // of the whole answer
	resp, err := endless.Do(req)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the request
	}
	if resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode < http.StatusBadRequest {
		return nil, &fatalError{fmt.Errorf("%d %s is no stream of events", resp.StatusCode, resp.Header.Get("Content-Type"))}
	}
	return nil, problemOf(resp, b)
}

// Poll is what changed since an ID.
type Poll struct {
	ID     string  // to ask with next
	Events []Event // without IDs of their own
}

// PollChanges asks once what changed since w.After, and waits so long for it, at most a
// minute; whole seconds.
func (c *Client) PollChanges(ctx context.Context, w Watch, wait time.Duration) (*Poll, error) {
	k := w.call(w.After)
	k.query.Set("wait", strconv.Itoa(int(wait.Seconds())))
	var got struct {
		ID     string `json:"id"`
		Events []struct {
			Event string          `json:"event"`
			Data  json.RawMessage `json:"data"`
		} `json:"events"`
	}
	if _, err := c.patient(wait).do(ctx, k, &got); err != nil {
		return nil, err
	}
	out := &Poll{ID: got.ID, Events: make([]Event, len(got.Events))}
	for i, e := range got.Events {
		out.Events[i] = Event{Name: e.Event, Data: e.Data}
		if err := out.Events[i].read(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
