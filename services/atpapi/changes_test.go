package atpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/atpapi/feed"
)

// heardEvent is one server-sent event, or a block without data.
type heardEvent struct {
	name, data string
	block      bool // no event: a comment, or an id alone
}

// listener is a client as WHATWG HTML §9.2 describes one.
type listener struct {
	t      *testing.T
	body   io.ReadCloser
	cancel context.CancelFunc
	lines  *bufio.Reader
	id     string // the last event id
}

// listen connects, as soon as the store is loaded; what does not come within 20 s is
// an error.
func listen(t *testing.T, url, id string) (l *listener) {
	t.Helper()
	eventually(t, "the store is loaded", func() bool {
		l = connected(t, url, id)
		return l != nil
	})
	return l
}

// connected is nil while the store is being loaded.
func connected(t *testing.T, url, id string) *listener {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // the listener closes it
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, body: resp.Body, cancel: cancel, lines: bufio.NewReader(resp.Body), id: id}
	t.Cleanup(l.close)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		if strings.Contains(string(b), "not_caught_up") && resp.Header.Get("Retry-After") != "" {
			return nil
		}
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	return l
}

func (l *listener) close() {
	l.cancel()
	_ = l.body.Close()
}

// block reads up to an empty line.
func (l *listener) block() (heardEvent, error) {
	var e heardEvent
	id, has := l.id, false
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			break
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			e.name = value
		case "data":
			e.data, has = value, true
		case "", "retry":
		default:
			l.t.Fatalf("line %q", line)
		}
	}
	l.id, e.block = id, !has
	return e, nil
}

// next is the next event, which must come.
func (l *listener) next() heardEvent {
	l.t.Helper()
	for {
		e, err := l.block()
		if err != nil {
			l.t.Fatalf("waiting for an event: %v", err)
		}
		if !e.block {
			return e
		}
	}
}

func (l *listener) is(name string, has ...string) heardEvent {
	l.t.Helper()
	e := l.next()
	if e.name != name {
		l.t.Fatalf("%s %s, want %s", e.name, e.data, name)
	}
	for _, h := range has {
		if !strings.Contains(e.data, h) {
			l.t.Fatalf("%s %s does not hold %s", e.name, e.data, h)
		}
	}
	return e
}

func changeOf(t *testing.T, e heardEvent) changeEvent {
	t.Helper()
	var c changeEvent
	if err := json.Unmarshal([]byte(e.data), &c); err != nil {
		t.Fatalf("%s: %v", e.data, err)
	}
	return c
}

// at is a replica's configuration.
func at(instance string, change ...func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Kafka.Instance = instance
		for _, f := range change {
			f(c)
		}
	}
}

// TestChangesResume: whatever breaks a stream and whichever replica goes on, no
// change is missing at the end and no version falls.
func TestChangesResume(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	mini := miniredis.RunT(t)
	small := func(c *Config) { c.Changes.Recent = 4 } // so that what is older comes from the log
	one, _ := r.serve(t, mini.Addr(), at("0", small))
	two, _ := r.serve(t, mini.Addr(), at("1", small))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))

	const items = 12
	l := listen(t, one+"/v1/changes", "")
	l.is(eventOpen, `"resumed":false`)
	var id string
	want := map[string]changeEvent{}
	version := int64(0)
	write := func(n int) {
		for range n {
			item := fmt.Sprintf("I%d", rnd.IntN(items))
			version++
			q := map[inventory.Location]int64{"DC1": rnd.Int64N(100), "DC2": rnd.Int64N(100)}
			if rnd.IntN(4) == 0 {
				r.write(t, kgo.TryAbort, item, version, q)
				continue
			}
			r.write(t, kgo.TryCommit, item, version, q)
			want[item] = changeEvent{Version: version, ATP: fmt.Sprint(q["DC1"] + q["DC2"])}
		}
	}
	got := map[string]changeEvent{}
	hear := func(l *listener) bool {
		e, err := l.block()
		if err != nil {
			return false
		}
		if e.name != eventChange {
			if e.name != "" && e.name != eventOpen && e.name != eventDropped {
				t.Fatalf("%s %s", e.name, e.data)
			}
			return e.name != eventDropped
		}
		c := changeOf(t, e)
		if c.Version < got[c.Item].Version {
			t.Fatalf("%s falls from %d to %d", c.Item, got[c.Item].Version, c.Version)
		}
		got[c.Item] = c
		return true
	}
	for round := range 15 {
		write(1 + rnd.IntN(20))
		for n := rnd.IntN(12); n > 0 && len(got) < len(want) && hear(l); n-- {
		}
		if round == 7 {
			mini.FlushAll() // both replicas have to load it again
		}
		if round == 3 || rnd.IntN(3) > 0 {
			id = l.id
			l.close()
			write(rnd.IntN(30))
			l = listen(t, []string{one, two}[rnd.IntN(2)]+"/v1/changes", id)
		}
	}
	complete := func() bool {
		for item, w := range want {
			if got[item].Version != w.Version || got[item].ATP != w.ATP {
				return false
			}
		}
		return len(got) == len(want)
	}
	for !complete() {
		if !hear(l) {
			if t.Context().Err() != nil || len(l.id) == 0 {
				break
			}
			id = l.id
			for item, w := range want {
				if got[item].Version != w.Version || got[item].ATP != w.ATP {
					t.Errorf("%s: %+v, want %+v", item, got[item], w)
				}
			}
			t.Fatalf("the stream ended at %s", id)
		}
	}
}

// TestChangesFilter: a stream tells of what it was asked for, and of kits when a part
// changes.
func TestChangesFilter(t *testing.T) {
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(c *Config) {
		c.ATP.Kits = []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "A", Quantity: 2 * inventory.One}}}}
		c.ATP.Groups = map[string][]inventory.Location{"east": {"DC2"}}
		c.Channels = []policy.Channel{{Name: "shop", Entity: "acme", Locations: []inventory.Location{"DC1"}, Share: 50, Unit: inventory.One, Listings: map[inventory.Item]string{"A": "L-A"}}}
	})
	all := listen(t, url+"/v1/changes?entity=acme", "")
	other := listen(t, url+"/v1/changes?entity=other", "")
	named := listen(t, url+"/v1/changes?item=A&item=KIT", "")
	shop := listen(t, url+"/v1/changes?channel=shop", "")
	east := listen(t, url+"/v1/changes?group=east", "")
	dc2 := listen(t, url+"/v1/changes?location=DC2", "")
	for _, l := range []*listener{all, other, named, shop, east, dc2} {
		l.is(eventOpen)
	}
	r.write(t, kgo.TryCommit, "B", 1, map[inventory.Location]int64{"DC1": 7})
	all.is(eventChange, `"item":"B","atp":"7","version":1`)
	r.write(t, kgo.TryCommit, "A", 2, map[inventory.Location]int64{"DC1": 9})
	all.is(eventChange, `"item":"A","atp":"9","version":2`)
	all.is(eventChange, `"item":"KIT","atp":"4"`)
	named.is(eventChange, `"item":"KIT","atp":"0","version":0`) // told of at once
	named.is(eventChange, `"item":"A","atp":"9"`)
	named.is(eventChange, `"item":"KIT","atp":"4"`)
	shop.is(eventChange, `"item":"B"`, `"quantity":"3"`)
	shop.is(eventChange, `"item":"A"`, `"channel":{"name":"shop","listing":"L-A","quantity":"4"}`)
	r.write(t, kgo.TryCommit, "B", 3, map[inventory.Location]int64{"DC2": 5})
	for _, l := range []*listener{east, dc2} { // nothing before concerned DC2
		l.is(eventChange, `"item":"B"`, `"atp":"5","version":3`)
	}
	r.write(t, kgo.TryCommit, "A", 4, map[inventory.Location]int64{"DC1": 2})
	named.is(eventChange, `"item":"A","atp":"2"`)
	shop.is(eventChange, `"item":"KIT"`)
	shop.is(eventChange, `"item":"A"`, `"quantity":"1"`)
	other.cancel() // it heard nothing of all that
	if e, err := other.block(); err == nil && !e.block {
		t.Errorf("of another entity: %+v", e)
	}

	// What is named is told of at once.
	again := listen(t, url+"/v1/changes?item=A&item=NOPE", "")
	again.is(eventOpen)
	again.is(eventChange, `"item":"A","atp":"2","version":4`)
}

// TestChangesProblems: what cannot be asked.
func TestChangesProblems(t *testing.T) {
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(c *Config) {
		c.Changes.MaxStreams, c.Changes.MaxPerCaller = 2, 1
	})
	ask := func(query, accept, id string) (int, problemBody, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/v1/changes"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		if id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var p problemBody
		if resp.StatusCode != http.StatusOK {
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
		}
		return resp.StatusCode, p, resp.Header
	}
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		query, accept, id string
		status            int
		code              string
	}{
		{"", "text/event-stream", "garbage", 400, "bad_event_id"},
		{"", "text/event-stream", "%%%", 400, "bad_event_id"},
		{"", "text/event-stream", strings.Repeat("A", feed.MaxBookmark+1), 400, "bad_event_id"},
		{"?after=AAAA", "application/json", "", 400, "bad_event_id"},
		{"", "text/html", "", 406, "not_acceptable"},
		{"", "text/event-stream;q=0", "", 406, "not_acceptable"},
		{"?wait=5", "text/event-stream", "", 400, "bad_parameter"},
		{"?wait=61", "application/json", "", 400, "bad_parameter"},
		{"?wait=-1", "application/json", "", 400, "bad_parameter"},
		{"?item=", "*/*", "", 400, "bad_item"},
		{"?item=" + long, "*/*", "", 400, "bad_item"},
		{"?" + strings.Repeat("item=A&", 101), "*/*", "", 400, "bad_parameter"},
		{"?location=" + long, "*/*", "", 400, "bad_parameter"},
		{"?location=A&group=B", "*/*", "", 400, "conflicting_parameters"},
		{"?location=", "*/*", "", 400, "bad_parameter"},
		{"?group=", "*/*", "", 400, "bad_parameter"},
		{"?entity=", "*/*", "", 400, "bad_parameter"},
		{"?entity=acme&channel=", "application/json", "", 400, "bad_parameter"},
		{"?entity=acme&entity=acme", "*/*", "", 400, "bad_parameter"},
		{"?x=1", "*/*", "", 400, "unknown_parameter"},
		{"?on=2026-12-01", "*/*", "", 400, "unknown_parameter"},
		{"?group=NOPE", "*/*", "", 404, "unknown_group"},
		{"?channel=NOPE", "*/*", "", 404, "unknown_channel"},
	} {
		if status, p, _ := ask(tt.query, tt.accept, tt.id); status != tt.status || p.Code != tt.code {
			t.Errorf("%.40s %s %.20s: %d %s %s, want %d %s", tt.query, tt.accept, tt.id, status, p.Code, p.Detail, tt.status, tt.code)
		}
	}
	l := listen(t, url+"/v1/changes", "")
	l.is(eventOpen)
	if status, p, h := ask("", "text/event-stream", ""); status != 429 || p.Code != "too_many_streams" || h.Get("Retry-After") == "" {
		t.Errorf("a second stream of a caller: %d %s", status, p.Code)
	}
	l.close()
	eventually(t, "the place is free again", func() bool {
		status, _, _ := ask("?wait=0", "application/json", "")
		return status == 200
	})
}

// TestChangesOfAnotherLog: an id that is good, but of no log this is, starts anew and
// says so; so does one that is too far back.
func TestChangesOfAnotherLog(t *testing.T) {
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(c *Config) { c.Changes.Recent, c.Changes.MaxBack = 1, 3 })
	l := listen(t, url+"/v1/changes", "")
	l.is(eventOpen)
	begin, err := feed.ParseBookmark(l.id)
	if err != nil {
		t.Fatal(err)
	}
	of := func(change func(*feed.Bookmark)) string {
		b, err := feed.ParseBookmark(l.id)
		if err != nil {
			t.Fatal(err)
		}
		change(b)
		return b.String()
	}
	for v := int64(1); v <= 8; v++ {
		r.write(t, kgo.TryCommit, "A", v, map[inventory.Location]int64{"DC1": v})
		l.is(eventChange, fmt.Sprintf(`"version":%d`, v))
	}
	for what, tt := range map[string]struct{ id, reason string }{
		"another topic":        {of(func(b *feed.Bookmark) { b.Topic = strings.Repeat("ab", 16) }), "other_generation"},
		"another count":        {of(func(b *feed.Bookmark) { b.Next, b.Floor = b.Next[:1], b.Floor[:1] }), "other_generation"},
		"ahead of the log":     {of(func(b *feed.Bookmark) { b.Next[0] += 1 << 40; b.Floor[0] = b.Next[0] }), "other_generation"},
		"facts nobody has yet": {of(func(b *feed.Bookmark) { b.Floor[0] += 1 << 40 }), "other_generation"},
		"too far back":         {begin.String(), "too_far_back"},
	} {
		t.Run(what, func(t *testing.T) {
			again := listen(t, url+"/v1/changes", tt.id)
			again.is(eventOpen, `"resumed":false`)
			again.is(eventReset, tt.reason)
			if now, err := feed.ParseBookmark(again.id); err != nil || now.Topic != begin.Topic || len(now.Next) != partitions {
				t.Errorf("it goes on from %+v, %v", now, err)
			}
			again.close()
		})
	}
}

// TestChangesAndCopies: where copies answer first, what is read after open may be of a
// bound ago, so it is told no sooner than that.
func TestChangesAndCopies(t *testing.T) {
	t.Parallel()
	const bound = 500 * time.Millisecond
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(c *Config) { c.Local.First, c.Local.Bound = true, bound })
	l := listen(t, url+"/v1/changes", "") // as soon as the store is loaded
	l.is(eventOpen)
	for _, id := range []string{"", l.id} {
		began := time.Now()
		listen(t, url+"/v1/changes", id).is(eventOpen)
		if took := time.Since(began); took < bound {
			t.Errorf("from %q: open after %v", id, took)
		}
	}
}

// TestChangesBeat: a stream without changes shows that it lives, and where it stands.
func TestChangesBeat(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), func(c *Config) { c.Changes.Heartbeat = time.Second })
	l := listen(t, url+"/v1/changes?item=A", "")
	l.is(eventOpen)
	began := l.id
	r.write(t, kgo.TryCommit, "B", 1, map[inventory.Location]int64{"DC1": 7})
	for beats := 0; beats < 2 || l.id == began; beats++ { // the deadline is the request's
		if e, err := l.block(); err != nil || !e.block {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	// Nothing that was told of is told again from there.
	again := listen(t, url+"/v1/changes", l.id)
	again.is(eventOpen, `"resumed":true`)
	r.write(t, kgo.TryCommit, "C", 1, map[inventory.Location]int64{"DC1": 7})
	again.is(eventChange, `"item":"C"`)
}

// TestChangesRecheck: another policy changes numbers without any position.
func TestChangesRecheck(t *testing.T) {
	r := newRoad(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 7})
	url, _ := r.serve(t, miniredis.RunT(t).Addr())
	all := listen(t, url+"/v1/changes", "")
	all.is(eventOpen, `"policy_version":0`)
	before := all.id
	named := listen(t, url+"/v1/changes?item=A", "")
	named.is(eventOpen)
	named.is(eventChange, `"atp":"7"`)
	a := policy.ATPPolicy{Version: 4, Overrides: []policy.Override{{Entity: "acme", Item: "A", Kind: inventory.StopSell, Author: "me"}}}
	content, hash, err := policy.EncodeATP(&a, nil)
	if err != nil {
		t.Fatal(err)
	}
	value, err := r.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.ATPName, Version: 4, Hash: hash, Content: content})
	r.send(t, event.TopicPolicies, value, err)
	all.is(eventRecheck, `"reason":"policy","policy_version":4`)
	named.is(eventChange, `"item":"A","atp":"0","version":1,"policy_version":4`)
	// Whoever was away for it learns it when it comes back.
	away := listen(t, url+"/v1/changes", before)
	away.is(eventOpen, `"resumed":true,"policy_version":4`)
	away.is(eventRecheck, `"reason":"resumed"`)
	here := listen(t, url+"/v1/changes", away.id)
	here.is(eventOpen)
	r.write(t, kgo.TryCommit, "B", 1, map[inventory.Location]int64{"DC1": 7})
	here.is(eventChange, `"item":"B"`)
}

// TestChangesClosed: a replica that ends says so, and another goes on.
func TestChangesClosed(t *testing.T) {
	r := newRoad(t)
	mini := miniredis.RunT(t)
	one, stop := r.serve(t, mini.Addr(), at("0"))
	l := listen(t, one+"/v1/changes", "")
	l.is(eventOpen)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 7})
	l.is(eventChange, `"item":"A"`)
	stop()
	l.is(eventClosed, `"reason":"shutdown"`)
	if _, err := l.block(); !errors.Is(err, io.EOF) {
		t.Errorf("after it closed: %v", err)
	}
	r.write(t, kgo.TryCommit, "B", 1, map[inventory.Location]int64{"DC1": 8})
	two, _ := r.serve(t, mini.Addr(), at("0"))
	again := listen(t, two+"/v1/changes", l.id)
	again.is(eventOpen, `"resumed":true`)
	again.is(eventChange, `"item":"B","atp":"8"`)
}

// TestChangesPoll: the same by long poll.
func TestChangesPoll(t *testing.T) {
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr())
	ask := func(query string) pollAnswer {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/changes"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		var p pollAnswer
		if err != nil || json.Unmarshal(b, &p) != nil || resp.StatusCode != http.StatusOK || p.ID == "" || p.Events == nil {
			t.Fatalf("%d %s %v", resp.StatusCode, b, err)
		}
		return p
	}
	begun := ask("") // at once
	if len(begun.Events) != 0 {
		t.Errorf("%+v", begun)
	}
	none := ask("?wait=0&after=" + begun.ID)
	if len(none.Events) != 0 {
		t.Errorf("%+v", none)
	}
	done := make(chan pollAnswer, 1)
	go func() { done <- ask("?wait=20&after=" + none.ID) }()
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 7})
	got := <-done
	if len(got.Events) != 1 || got.Events[0].Event != eventChange || !strings.Contains(fmt.Sprint(got.Events[0].Data), "item:A") {
		t.Errorf("%+v", got)
	}
	for i := range 150 {
		r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), 1, map[inventory.Location]int64{"DC1": 7})
	}
	heard := map[string]bool{}
	for id := got.ID; len(heard) < 150; {
		p := ask("?wait=20&after=" + id)
		for _, e := range p.Events {
			d, _ := e.Data.(map[string]any)
			if heard[fmt.Sprint(d["item"])] {
				t.Fatalf("%v again", d)
			}
			heard[fmt.Sprint(d["item"])] = true
		}
		id = p.ID
	}
	if p := ask("?item=A"); len(p.Events) != 1 { // what is named is told of at once
		t.Errorf("%+v", p)
	}
}
