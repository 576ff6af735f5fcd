package atpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atpapi/feed"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// pipes is a listener without buffers: what is not read cannot be written.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestBlockedReader: a reader that takes nothing ends its stream, and not later than
// it may.
func TestBlockedReader(t *testing.T) {
	ln := &pipes{conns: make(chan net.Conn, 1), done: make(chan struct{})}
	ended := make(chan error, 1)
	e := echo.New()
	e.GET("/", func(c echo.Context) error {
		w := newEventWriter(c.Response(), 50*time.Millisecond)
		var err error
		for err == nil {
			err = w.tell([]told{{name: eventChange, data: reasonOf{Reason: strings.Repeat("x", 1000)}}})
		}
		w.last(told{name: eventDropped, data: reasonOf{}}) // returns
		ended <- err
		return nil
	})
	srv := &http.Server{Handler: e, ReadHeaderTimeout: time.Second}
	go func() { _ = srv.Serve(ln) }()
	defer srv.Close()
	client, server := net.Pipe()
	defer client.Close()
	ln.conns <- server
	if _, err := client.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, errSlow) {
			t.Errorf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the writer waits for ever")
	}
}

// gated is an output that waits until it may go on.
type gated struct {
	collector
	open  chan struct{}
	began chan struct{}
	once  sync.Once
	ids   []string
}

func (g *gated) tell(events []told) error {
	g.once.Do(func() { close(g.began) })
	<-g.open
	for _, e := range events {
		if e.id != "" {
			g.ids = append(g.ids, e.id)
		}
	}
	return g.collector.tell(events)
}

func (g *gated) last(e told) { _ = g.tell([]told{e}) }

// second is a stream of a second replica, by hand: it keeps some changes of a partition,
// and is told what it is not told before the store has it.
func second(t *testing.T, r *road, st *store, recent int, from *feed.Bookmark) *changeStream {
	t.Helper()
	view, err := stream.NewRestoreReads(stream.Config{Brokers: r.brokers})
	if err != nil {
		t.Fatal(err)
	}
	f := feed.New(feed.Config{Kafka: stream.Config{Brokers: r.brokers}, Log: view, Marks: st.visible, Recent: recent, Backlogs: 1, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		view.Close()
	})
	<-f.Loaded()
	rig := newRig(t, st, &fakeLog{topic: "t"})
	rig.reader.setPartitions(partitions)
	count, err := newChangesMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	all := newChanges(f, rig.reader, DefaultChanges(), slog.New(slog.DiscardHandler), count)
	sub := &subscription{like: query{key: inventory.Key{Entity: "acme"}}, from: from}
	var s *changeStream
	eventually(t, "it is loaded", func() bool {
		var bad *problem
		s, bad = all.begin(t.Context(), sub)
		return bad == nil
	})
	t.Cleanup(s.close)
	return s
}

// aloud passes on what is told.
type aloud struct {
	collector
	events chan told
}

func (a *aloud) tell(events []told) error {
	for _, e := range events {
		a.events <- e
	}
	return nil
}

func (a *aloud) last(told) {}

// TestStoreBehindTheReader: what a reader was told of facts that the store no longer has
// is not told of older ones, though the store has the change itself.
func TestStoreBehindTheReader(t *testing.T) {
	r := newRoad(t)
	ahead, behind := miniredis.RunT(t), miniredis.RunT(t)
	url, _ := r.serve(t, ahead.Addr())
	l := listen(t, url+"/v1/changes", "")
	l.is(eventOpen)
	from, err := feed.ParseBookmark(l.id)
	if err != nil {
		t.Fatal(err)
	}
	bring := func() { // what fails over has what there is now
		for _, k := range ahead.Keys() {
			if ahead.Type(k) == "string" {
				text, _ := ahead.Get(k)
				_ = behind.Set(k, text)
				continue
			}
			fields, _ := ahead.HKeys(k)
			for _, f := range fields {
				behind.HSet(k, f, ahead.HGet(k, f))
			}
		}
	}
	write := func(version int64) {
		r.write(t, kgo.TryCommit, "A", version, map[inventory.Location]int64{"DC1": version})
		l.is(eventChange, fmt.Sprintf(`"version":%d`, version))
	}
	write(1)
	bring()
	// The other replica follows from here on, so it shows nothing that its store lacks.
	s := second(t, r, storeAt(t, behind.Addr()), 100, from)
	write(2)
	now, err := feed.ParseBookmark(l.id)
	if err != nil {
		t.Fatal(err)
	}
	s.sent.Floor = now.Floor
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &aloud{events: make(chan told, 100)}, make(chan struct{})
	s.out = out
	go func() {
		defer close(done)
		_, _ = s.run(ctx, time.Hour)
	}()
	defer func() {
		cancel()
		<-done
	}()
	looks := func() int { return behind.CommandCount() }
	for e := range out.events {
		if e.name == eventOpen {
			break
		}
	}
	began := looks()
	eventually(t, "it has looked often enough", func() bool { return looks() > began+30 })
	bring()
	for e := range out.events {
		if c, ok := e.data.(*changeEvent); ok {
			if c.Version != 2 {
				t.Errorf("told version %d after 2", c.Version)
			}
			return
		}
	}
}

// TestSlowReader: a reader so slow that changes fell out of memory before it came to
// them is dropped with the reason, and goes on from the last id without a gap.
func TestSlowReader(t *testing.T) {
	r := newRoad(t)
	mini := miniredis.RunT(t)
	url, _ := r.serve(t, mini.Addr())
	ctx := t.Context()
	s := second(t, r, storeAt(t, mini.Addr()), 2, nil)
	out := &gated{open: make(chan struct{}), began: make(chan struct{})}
	s.out = out
	type end struct {
		reason string
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		reason, err := s.run(ctx, time.Hour)
		ended <- end{reason, err}
	}()
	<-out.began // it writes that it is open, and nobody reads that
	// Its first turn is over before anything changes; then it falls behind.
	last := listen(t, url+"/v1/changes", "")
	last.is(eventOpen)
	items := []string{}
	has := func() bool {
		has, err := s.feed.Fresh(ctx)
		if err != nil {
			return false
		}
		marks, err := s.reader.store.allMarks(ctx, partitions)
		for p, next := range has.Next {
			if m, ok := marks[int32(p)]; !ok || next < m.next-1 { // a marker ends the log
				return false
			}
		}
		return err == nil
	}
	write := func(n int) {
		for range n {
			item := fmt.Sprintf("I%d", len(items))
			items = append(items, item)
			r.write(t, kgo.TryCommit, item, 1, map[inventory.Location]int64{"DC1": 7})
			last.is(eventChange, `"item":"`+item+`"`)
			// One by one: no reader is too slow for what falls out before it may be told.
			eventually(t, "the second replica has it", has)
		}
	}
	out.open <- struct{}{} // open
	write(1)
	out.open <- struct{}{} // the first change; it has seen all there was in its partition
	write(60)              // of each partition more than it holds
	close(out.open)
	var got end
	select {
	case got = <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("it was not dropped")
	}
	if got.reason != "slow" || !errors.Is(got.err, feed.ErrSlow) {
		t.Errorf("%+v", got)
	}
	told := map[string]bool{}
	for _, e := range out.answer.Events {
		if c, ok := e.Data.(*changeEvent); ok {
			told[c.Item] = true
		}
	}
	if n := len(out.answer.Events); n == 0 || out.answer.Events[n-1].Event != eventDropped {
		t.Errorf("its last words: %+v", out.answer.Events)
	}
	if len(told) == len(items) {
		t.Error("it was told everything and dropped all the same")
	}
	again := listen(t, url+"/v1/changes", out.ids[len(out.ids)-1])
	again.is(eventOpen, `"resumed":true`)
	for slices.ContainsFunc(items, func(i string) bool { return !told[i] }) {
		if e := again.next(); e.name != eventRecheck { // the other replica had another day
			told[changeOf(t, e).Item] = true
		}
	}
}

// TestBrokenBurst: an id in the midst of what is told together says nothing of the
// rest.
func TestBrokenBurst(t *testing.T) {
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr())
	l := listen(t, url+"/v1/changes", "")
	l.is(eventOpen)
	begin := l.id
	for _, item := range []string{"A", "B", "C", "D"} {
		r.write(t, kgo.TryCommit, item, 1, map[inventory.Location]int64{"DC1": 7})
		l.is(eventChange)
	}
	again := listen(t, url+"/v1/changes", begin)
	again.is(eventOpen)
	told := map[string]bool{changeOf(t, again.is(eventChange)).Item: true}
	rest := listen(t, url+"/v1/changes", again.id)
	rest.is(eventOpen)
	rest.cancelAfter(5 * time.Second)
	for len(told) < 4 {
		told[changeOf(t, rest.is(eventChange)).Item] = true
	}
}

// cancelAfter bounds how long is waited for what comes next.
func (l *listener) cancelAfter(d time.Duration) { time.AfterFunc(d, l.cancel) }
