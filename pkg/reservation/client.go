package reservation

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// source is the CloudEvents source of the events.
const source = "urn:stockweave:reservation"

// Errors of a Client.
var (
	// ErrOther is a request under the id of another one that is under way.
	ErrOther = errors.New("reservation: another request of this id is under way")
	// ErrClosed is a request to a client that takes none any more.
	ErrClosed = errors.New("reservation: the client is closed")
	// ErrUnderWay is a confirmation of a request that is not answered yet.
	ErrUnderWay = errors.New("reservation: the request is under way")
)

// An Appender appends records and returns when all are acked, or one has failed; a
// stream.Producer without linger and transactions is one (EXACTLY-ONCE §1).
type Appender interface {
	Produce(ctx context.Context, recs ...*stream.Record) error
}

// Config is what a Client is made of. All fields are needed but Terms.
type Config struct {
	Codecs *event.Codecs
	Log    Appender // of inventory.events
	// Name is of this process's life: another one, and this one after a restart, has
	// another name.
	Name    string
	Source  inventory.Source // of the events
	ReplyTo int32            // partition of the answers' topic that Answered is given
	Terms   Terms            // DefaultTerms when zero
	Now     func() time.Time
	Random  func() float64 // in [0, 1), for jitter
}

// A Client puts requests to the ledger by way of the log, and hears its answers in a
// partition of its own. It is safe for concurrent use.
type Client struct {
	cfg Config

	mu     sync.Mutex
	runs   map[string]*run  // under way, by id
	keeps  map[string]*keep // under way, by the id of an event
	count  int
	closed bool
	idle   sync.WaitGroup
}

// NewClient checks the configuration and starts nothing.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Codecs == nil || cfg.Log == nil || cfg.Name == "" || cfg.Source == "" || cfg.Now == nil || cfg.Random == nil || cfg.ReplyTo < 0 {
		return nil, errors.New("reservation: codecs, log, name, source, clock, random numbers and a partition for answers are needed")
	}
	if cfg.Terms == (Terms{}) {
		cfg.Terms = DefaultTerms()
	}
	return &Client{cfg: cfg, runs: map[string]*run{}, keeps: map[string]*keep{}}, nil
}

// Follow reads the answers of one partition of reservations.answers from a time on, for
// a Client's Answered.
func Follow(cfg stream.Config, codecs *event.Codecs, partition int32, since time.Time, heard func(*event.Answered)) (*stream.Table, error) {
	return stream.NewTable(stream.TableConfig{
		Config: cfg, Topic: event.TopicAnswers, Partitions: []int32{partition}, ReadCommitted: true, Since: since,
		Apply: func(rec *stream.Record) error {
			var a event.Answered
			if err := codecs.DecodeAnswer(rec.Value, &a); err != nil {
				return fmt.Errorf("decoding an answer: %w", err)
			}
			heard(&a)
			return nil
		},
	})
}

// run is a request under way.
type run struct {
	c       *Client
	request Request
	replied chan struct{}
	reply   Reply // once replied is closed

	mu    sync.Mutex
	m     *Machine
	timer *time.Timer
}

// Reserve puts a request and waits for its answer. Run, Source and ReplyTo are the
// client's to fill in. When ctx ends before, the request goes on and is pending: who
// asks again with the same ID hears what becomes of it. All clients together may have
// one run of a request under way at a time; within this one it sees to that itself.
func (c *Client) Reserve(ctx context.Context, r Request) (Reply, error) {
	x, err := c.begin(r)
	if err != nil {
		return Reply{}, err
	}
	select {
	case <-x.replied:
		return x.reply, nil
	case <-ctx.Done():
		return Reply{}, fmt.Errorf("waiting for the answer to %s: %w", r.ID, ctx.Err())
	}
}

// begin joins the run of the request, or starts one. What cannot be written is not
// begun.
func (c *Client) begin(r Request) (*run, error) {
	mine := c.own(r)
	m, err := NewMachine(mine, c.cfg.Terms)
	if err != nil {
		return nil, err
	}
	out := m.Start(c.now(), Jitter(c.cfg.Random()))
	for _, ev := range out.Append {
		if _, err := c.record(ev); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
	}
	x := &run{c: c, request: mine, m: m, replied: make(chan struct{})}
	x.mu.Lock() // before anybody who finds it
	defer x.mu.Unlock()
	c.mu.Lock()
	other := c.runs[r.ID]
	closed := c.closed
	if other == nil && !closed {
		c.runs[r.ID] = x
		c.idle.Add(1)
	}
	c.mu.Unlock()
	switch {
	case other != nil:
		if mine.Run = other.request.Run; !reflect.DeepEqual(mine, other.request) {
			return nil, fmt.Errorf("%w: %s", ErrOther, r.ID)
		}
		return other, nil
	case closed:
		return nil, ErrClosed
	}
	x.do(out)
	return x, nil
}

// own fills in what is the client's.
func (c *Client) own(r Request) Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	r.Run, r.Source, r.ReplyTo = c.cfg.Name+"."+strconv.Itoa(c.count), c.cfg.Source, c.cfg.ReplyTo
	return r
}

// Cancel gives back whatever a request was granted and returns when that stands on the
// log. A request under way is called off. It may be called again.
func (c *Client) Cancel(ctx context.Context, r Request) error {
	r = c.own(r)
	c.mu.Lock()
	x := c.runs[r.ID]
	c.mu.Unlock()
	if x != nil {
		x.step(func(m *Machine, now inventory.Instant) Output { return m.CallOff(now) })
		select {
		case <-x.replied:
		case <-ctx.Done():
			return fmt.Errorf("calling off %s: %w", r.ID, ctx.Err())
		}
	}
	evs, err := Cancels(r, c.now())
	if err != nil {
		return err
	}
	recs := make([]*stream.Record, len(evs))
	for i, ev := range evs {
		if recs[i], err = c.record(ev); err != nil {
			return err
		}
	}
	if err := c.cfg.Log.Produce(ctx, recs...); err != nil {
		return fmt.Errorf("cancelling %s: %w", r.ID, err)
	}
	return nil
}

// Answered takes an answer of the ledger. It does not wait.
func (c *Client) Answered(a *event.Answered) {
	c.mu.Lock()
	x := c.runs[a.Answer.Reservation]
	c.keepAnswered(a)
	c.mu.Unlock()
	if x != nil {
		x.step(func(m *Machine, now inventory.Instant) Output { return m.Answered(now, a) })
	}
}

// Close calls off what is not answered yet and waits until everything of it is given
// back, or for ctx: then what is confirmed in part stays so until the request comes
// again or is cancelled, and all else lapses.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	var all []*run
	for _, x := range c.runs {
		all = append(all, x)
	}
	c.mu.Unlock()
	for _, x := range all {
		x.step(func(m *Machine, now inventory.Instant) Output { return m.CallOff(now) })
	}
	done := make(chan struct{})
	go func() {
		c.idle.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("giving back what was not answered: %w", ctx.Err())
	}
}

func (c *Client) now() inventory.Instant { return inventory.Instant(c.cfg.Now().UnixMilli()) }

func (c *Client) record(ev *inventory.Event) (*stream.Record, error) {
	value, err := c.cfg.Codecs.AppendEvent(nil, ev)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s of %s: %w", ev.Reservation.Action, ev.Key, err)
	}
	return &stream.Record{
		Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value, Headers: event.HeadersOf[stream.RecordHeader](ev, source),
	}, nil
}

func (c *Client) forget(x *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs[x.request.ID] == x {
		delete(c.runs, x.request.ID)
		c.idle.Done()
	}
}

func (x *run) step(f func(m *Machine, now inventory.Instant) Output) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.do(f(x.m, x.c.now()))
}

// do does what the machine says; x.mu is held.
func (x *run) do(out Output) {
	if len(out.Append) > 0 {
		go x.append(out.Append)
	}
	if out.Reply != nil {
		x.reply = *out.Reply
		close(x.replied)
	}
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
	if out.Wake != 0 {
		wait := time.Duration(max(0, out.Wake-x.c.now())) * time.Millisecond
		x.timer = time.AfterFunc(wait, func() {
			x.step(func(m *Machine, now inventory.Instant) Output { return m.Pass(now) })
		})
	}
	if out.Done {
		x.c.forget(x)
	}
}

// append appends events together and tells the machine of each: where one fails, all may
// have, and are appended again. Nobody's context ends it: what was begun to be written may
// stand there.
func (x *run) append(evs []*inventory.Event) {
	recs := make([]*stream.Record, len(evs))
	var err error
	for i, ev := range evs {
		if recs[i], err = x.c.record(ev); err != nil {
			break
		}
	}
	if err == nil {
		err = x.c.cfg.Log.Produce(context.Background(), recs...)
	}
	for _, ev := range evs {
		x.step(func(m *Machine, now inventory.Instant) Output {
			if err != nil {
				return m.Failed(now, ev.ID)
			}
			return m.Acked(now, ev.ID)
		})
	}
}
