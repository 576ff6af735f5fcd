package atpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/client"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// cutter cuts the body of each answer after some bytes, and sees what is asked.
type cutter struct {
	after []int // bytes, answer by answer; then none is cut
	n     atomic.Int32
	ids   chan string
}

func (b *cutter) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	b.ids <- r.Header.Get("Last-Event-ID")
	if n := int(b.n.Add(1)); n <= len(b.after) {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, int64(b.after[n-1])), resp.Body}
	}
	return resp, nil
}

// TestClientFollowsChanges: over connections that break in the middle of a line the client
// goes on from where it was, and hears of every change.
func TestClientFollowsChanges(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	url, _ := r.serve(t, miniredis.RunT(t).Addr())
	cut := &cutter{after: []int{2000, 1500, 700, 3000, 1}, ids: make(chan string, 100)}
	c, err := client.New(client.Config{URL: url, HTTP: &http.Client{Transport: cut}, MaxWait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	got := map[string]int64{}
	const items, rounds = 5, 8
	opened := false
	for e, err := range c.Changes(ctx, client.Watch{}) {
		if err != nil {
			t.Fatalf("%v, after %v", err, got)
		}
		switch e.Name {
		case client.EventOpen:
			if !opened {
				for v := int64(1); v <= rounds; v++ {
					for i := range items {
						r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), v, map[inventory.Location]int64{"DC1": v})
					}
				}
			}
			opened = true
		case client.EventChange:
			if e.Change.Version < got[e.Change.Item] || e.ID == "" || e.Change.Freshness.AgeMS < 0 || e.Change.ATP != fmt.Sprint(e.Change.Version) {
				t.Errorf("%+v after version %d", e.Change, got[e.Change.Item])
			}
			got[e.Change.Item] = e.Change.Version
		}
		done := len(got) == items && cut.n.Load() > int32(len(cut.after))
		for _, v := range got {
			done = done && v == rounds
		}
		if done {
			break
		}
		if len(got) == items && cut.n.Load() <= int32(len(cut.after)) { // something more to be cut off
			r.write(t, kgo.TryCommit, "I0", rounds, map[inventory.Location]int64{"DC1": rounds})
		}
	}
	first := true
	for range cut.n.Load() {
		if id := <-cut.ids; (id == "") != first {
			t.Errorf("connection by id %q, the first: %v", id, first)
		}
		first = false
	}

	// The same by long polls.
	p, err := c.PollChanges(ctx, client.Watch{Items: []string{"I1"}}, 0)
	if err != nil || p.ID == "" {
		t.Fatalf("%+v %v", p, err)
	}
	r.write(t, kgo.TryCommit, "I1", rounds+1, map[inventory.Location]int64{"DC1": 77})
	for heard := false; !heard; {
		if p, err = c.PollChanges(ctx, client.Watch{Items: []string{"I1"}, After: p.ID}, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Events {
			heard = heard || e.Name == client.EventChange && e.Change.ATP == "77"
		}
	}
}

// TestClientChangesEnd: what refuses ends it with its code, what is away after some tries,
// and the reader may leave.
func TestClientChangesEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		code   string
		tries  int32
	}{
		"refused":     {403, `{"code":"insufficient_scope","status":403}`, "insufficient_scope", 1},
		"unavailable": {503, `{"code":"shutting_down","status":503}`, "shutting_down", 2},
		"no stream":   {200, `{}`, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				tries.Add(1)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer srv.Close()
			c, err := client.New(client.Config{URL: srv.URL, Attempts: 2, MaxWait: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			var last error
			for e, err := range c.Changes(t.Context(), client.Watch{}) {
				if last = err; err == nil {
					t.Errorf("%+v", e)
				}
			}
			if last == nil || client.Code(last) != tc.code || tries.Load() != tc.tries {
				t.Errorf("%v after %d tries", last, tries.Load())
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": hello\rid: 7\r\nevent: recheck\ndata: {\"reason\":\ndata: \"day\"}\r\r: \nid: 8\n\nevent: "+strings.Repeat("x", 20)+"\ndata: {}\n\nid: 9\ndata: {}")
		w.(http.Flusher).Flush() //nolint:forcetypeassert // the server's
		<-r.Context().Done()
	}))
	defer srv.Close()
	c, err := client.New(client.Config{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	var events []client.Event
	for e, err := range c.Changes(ctx, client.Watch{}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) || e.ID != "8" {
				t.Errorf("%+v %v", e, err)
			}
			break
		}
		if events = append(events, e); len(events) == 2 {
			cancel()
		}
	}
	if len(events) != 2 || events[0].ID != "7" || events[0].Reason != "day" || events[1].ID != "8" || !bytes.Equal(events[1].Data, []byte("{}")) {
		t.Errorf("%+v", events)
	}
}
