package service

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A handler that answers from memory takes less time than net/http takes to read the
// question and to write the answer. ServeBrief has connections answer brief requests
// themselves (ADR 43): where net/http waits for a request, and one comes that is plain,
// whole and brief, the handler is called at once and its answer is written; net/http
// goes on waiting. All others it reads as they came.

// Brief says whether a GET is one that the handler answers in a moment, whole, with all it
// has to say in a header and a body: none that is streamed, and none that ends when
// whoever asked is gone, which nobody looks for meanwhile.
type Brief func(u *url.URL) bool

// ServeBrief is Serve, with brief requests answered by connections themselves. The handler
// sees the same requests, and whoever asked the same answers.
func ServeBrief(listen string, handler http.Handler, brief Brief, bound func(net.Addr)) Task {
	return serve(listen, handler, brief, bound)
}

// briefs are what connections have together.
type briefs struct {
	srv     *http.Server
	brief   Brief
	base    *http.Request // with the context of all
	closing atomic.Bool
	date    atomic.Pointer[date]

	mu   sync.Mutex
	open map[*briefConn]struct{}
}

// date is the value of a Date field in one second.
type date struct {
	unix int64
	text string
}

// answerBriefly makes a server's connections answer brief requests.
func answerBriefly(ctx context.Context, srv *http.Server, ln net.Listener, brief Brief) net.Listener {
	base := &http.Request{Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	b := &briefs{srv: srv, brief: brief, base: base.WithContext(context.WithoutCancel(ctx)), open: map[*briefConn]struct{}{}}
	srv.ConnState = func(c net.Conn, s http.ConnState) {
		if bc, ok := c.(*briefConn); ok && s == http.StateIdle {
			bc.idle()
		}
	}
	srv.RegisterOnShutdown(b.shut)
	return &briefListener{ln, b}
}

// shut ends connections that wait for a request; others end with their answer.
func (b *briefs) shut() {
	b.closing.Store(true)
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.open {
		c.shut()
	}
}

// briefListener is a listener of such connections.
type briefListener struct {
	net.Listener
	briefs *briefs
}

// Accept implements net.Listener.
func (l *briefListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // net/http looks at it
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	bc := &briefConn{TCPConn: tcp, briefs: l.briefs, between: true, first: true, from: c.RemoteAddr().String()}
	bc.answer.header = http.Header{}
	l.briefs.mu.Lock()
	defer l.briefs.mu.Unlock()
	l.briefs.open[bc] = struct{}{}
	return bc, nil
}

// briefConn is a connection that answers brief requests in Read.
type briefConn struct {
	*net.TCPConn
	briefs *briefs
	from   string

	// between says that net/http waits for a request, and has nothing of it yet. It and all
	// down to answering belong to whoever reads.
	between bool
	first   bool  // it has waited since the connection began
	given   int64 // bytes that net/http has of the request before
	due     int64 // how many they should be; -1: that is not known, nor will be again
	head    head
	host    string // of the request before
	answer  briefAnswer
	read    time.Time // deadlines that were set here; zero: they are net/http's
	write   time.Time
	whole   time.Time // the next read deadline, in the place of net/http's; zero: that is right

	answering sync.Mutex // held meanwhile: nobody closes it then

	early   byte // that came before net/http waited for it
	isEarly bool

	mu       sync.Mutex
	waiting  bool // for a request, in Read
	shutting bool
	expired  bool          // the deadline net/http set is over
	parked   chan struct{} // closed when it is; nil: nobody waits for that
}

const (
	// leastRead is less than net/http's buffer for requests, and more than what it reads to
	// see whether somebody is there, bytes.
	leastRead = 1 << 10
	// slack is how much sooner or later a deadline may be than was asked for, so that it
	// is not set for each request.
	slack = time.Second
)

// Read implements net.Conn.
func (c *briefConn) Read(p []byte) (int, error) {
	switch {
	case c.between && len(p) >= leastRead:
		return c.serve(p)
	case len(p) == 1 && c.given == c.due: // whether somebody is there while the request is answered
		return 0, c.watch(p)
	}
	n, err := c.some(p, false)
	c.given += int64(n)
	return n, err
}

// serve answers requests until there is one that net/http has to read.
func (c *briefConn) serve(p []byte) (int, error) {
	for {
		if !c.wait(true) {
			return 0, io.EOF
		}
		n, err := c.some(p, true)
		c.wait(false)
		if n == 0 || err != nil {
			return n, err
		}
		x := c.takes(p[:n])
		if x == nil {
			c.leave()
			return n, nil
		}
		if err := c.reply(x); err != nil {
			return 0, err
		}
	}
}

// some reads into p, the early byte first: alone, or with what comes after it.
func (c *briefConn) some(p []byte, more bool) (n int, err error) {
	if c.isEarly {
		c.isEarly, p[0], n = false, c.early, 1
		if !more {
			return n, nil
		}
	}
	m, err := c.TCPConn.Read(p[n:])
	if n > 0 {
		err = nil // and comes again
	}
	return n + m, err //nolint:wrapcheck // net/http looks at it
}

// watch waits until nobody is there any more, or its deadline, as net/http has it while a
// request is answered. A byte of the next request that comes before is early: net/http
// must not have it, or the connection could not answer that one.
func (c *briefConn) watch(p []byte) error {
	if !c.isEarly {
		n, err := c.TCPConn.Read(p)
		if n == 0 || err != nil {
			return err //nolint:wrapcheck // net/http looks at it
		}
		c.early, c.isEarly = p[0], true
	}
	c.mu.Lock()
	if c.expired {
		c.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	over := make(chan struct{})
	c.parked = over
	c.mu.Unlock()
	<-over
	return os.ErrDeadlineExceeded
}

// SetReadDeadline implements net.Conn, for net/http.
func (c *briefConn) SetReadDeadline(t time.Time) error {
	if !c.whole.IsZero() {
		t, c.whole = c.whole, time.Time{}
	}
	expired := !t.IsZero() && !t.After(wall())
	c.mu.Lock()
	if c.expired = expired; expired {
		c.unpark()
	}
	c.mu.Unlock()
	return c.TCPConn.SetReadDeadline(t) //nolint:wrapcheck // net/http looks at it
}

// unpark needs the lock.
func (c *briefConn) unpark() {
	if c.parked != nil {
		close(c.parked)
		c.parked = nil
	}
}

// Close implements net.Conn. What is being answered is answered first.
func (c *briefConn) Close() error {
	c.answering.Lock()
	defer c.answering.Unlock()
	c.briefs.mu.Lock()
	delete(c.briefs.open, c)
	c.briefs.mu.Unlock()
	c.mu.Lock()
	c.unpark()
	c.mu.Unlock()
	return c.TCPConn.Close() //nolint:wrapcheck // net/http looks at it
}

// wait begins or ends a wait for a request; false: none is to come.
func (c *briefConn) wait(begins bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = begins
	return !c.shutting
}

// shut ends a wait.
func (c *briefConn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shutting = true; c.waiting {
		_ = c.TCPConn.SetReadDeadline(time.Unix(1, 0))
	}
}

// leave leaves to net/http what was read, and the deadlines.
func (c *briefConn) leave() {
	c.between = false
	if !c.read.IsZero() { // it means to wait for the rest of a head no longer than that
		now := wall()
		_ = c.TCPConn.SetReadDeadline(now.Add(c.briefs.srv.ReadHeaderTimeout))
		if c.first { // it counts a first request from when the connection began; once it has the head it says so
			c.whole = now.Add(c.briefs.srv.ReadTimeout)
		}
	}
	c.read, c.write = time.Time{}, time.Time{}
}

// idle takes note that net/http waits for a request. Where it was given the one before,
// whole, and no more, it has nothing of the next one.
func (c *briefConn) idle() {
	if c.between = c.given == c.due; !c.between {
		c.due = -1 // from now on nobody knows
	}
	c.first, c.read, c.write = false, time.Time{}, time.Time{}
}

// exchange is a request that is answered here.
type exchange struct {
	req http.Request
	url url.URL
}

// takes reads a text that is one request, and brief. Another one is net/http's, and what it
// should have of it before it waits again is noted.
func (c *briefConn) takes(text []byte) *exchange {
	h := &c.head
	c.given, c.due = int64(len(text)), -1
	if !h.read(text) {
		return nil
	}
	if h.content >= 0 {
		c.due = int64(h.size) + h.content
	}
	if !h.plain || h.size != len(text) || string(h.method) != http.MethodGet {
		return nil
	}
	x, target := new(exchange), string(h.target)
	if !locate(target, &x.url) || !c.briefs.brief(&x.url) {
		return nil
	}
	if c.host != string(h.host) {
		c.host = string(h.host)
	}
	x.req = *c.briefs.base
	x.req.URL, x.req.RequestURI, x.req.Header, x.req.Host, x.req.RemoteAddr = &x.url, target, h.header(), c.host, c.from
	return x
}

// reply answers a request. After an error the connection is of no use.
func (c *briefConn) reply(x *exchange) error {
	c.answering.Lock()
	defer c.answering.Unlock()
	a := &c.answer
	a.begin()
	c.briefs.srv.Handler.ServeHTTP(a, &x.req)
	now := wall()
	last := c.briefs.closing.Load()
	a.end(c.briefs.dated(now), last)
	if most := c.briefs.srv.WriteTimeout; c.write.Sub(now) < most {
		c.write = now.Add(most + slack)
		if err := c.SetWriteDeadline(c.write); err != nil {
			return err //nolint:wrapcheck // net/http looks at it
		}
	}
	if _, err := c.Write(a.out); err != nil {
		return err //nolint:wrapcheck // net/http looks at it
	}
	if last || a.last {
		return io.EOF
	}
	most := c.briefs.srv.IdleTimeout
	if c.read.Sub(now) >= most {
		return nil
	}
	c.read = now.Add(most + slack)
	return c.TCPConn.SetReadDeadline(c.read) //nolint:wrapcheck // net/http looks at it
}

// wall is the clock of sockets' deadlines and of Date fields.
func wall() time.Time { return time.Now() } //nolint:forbidigo // as net/http's, nothing is decided by it

// dated is the value of a Date field (RFC 9110 §6.6.1).
func (b *briefs) dated(now time.Time) string {
	d := b.date.Load()
	if d == nil || d.unix != now.Unix() {
		d = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		b.date.Store(d)
	}
	return d.text
}
