package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// mute takes requests and never answers.
type mute struct{ asked int }

func (m *mute) RoundTrip(r *http.Request) (*http.Response, error) {
	m.asked++
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestChangesMute: a stream that is taken and never answered is given up as one that says
// nothing, and tried again.
func TestChangesMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mute{}
		c, err := New(Config{URL: "https://atp.example", HTTP: &http.Client{Transport: m}, Attempts: 3})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		var last error
		for _, err := range c.Changes(ctx, Watch{}) {
			last = err
		}
		if took := time.Since(began); last == nil || errors.Is(last, context.DeadlineExceeded) || m.asked != 3 || took > 5*time.Minute {
			t.Errorf("%v after %d tries and %v", last, m.asked, took)
		}
	})
}

// said answers every request with the same stream.
type said struct {
	body  string
	asked int
}

func (s *said) RoundTrip(*http.Request) (*http.Response, error) {
	s.asked++
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(strings.NewReader(s.body)),
	}, nil
}

// TestChangesUnreadable: what cannot be read ends the stream with an error that says so: it
// would come again with every connection.
func TestChangesUnreadable(t *testing.T) {
	const first = "id: 1\nevent: recheck\ndata: {\"reason\":\"policies\"}\n\nid: 2\nevent: change\ndata: "
	data := func(n int) string { return `{"item":"` + strings.Repeat("x", n-len(`{"item":""}`)) + `"}` }
	for name, c := range map[string]struct{ event, want string }{
		"no JSON":       {"{\n\n", `reading the event "change"`},
		"another shape": {"{\"item\":{}}\n\n", `reading the event "change"`},
		"a long line":   {data(maxEvent+1000) + "\n\n", "more than 1048576 bytes"},
		"just too long": {data(maxEvent+1) + "\n\n", "more than 1048576 bytes"},
		"many lines":    {"1" + strings.Repeat("\ndata: "+strings.Repeat(" ", 1000), 1100) + "\n\n", "more than 1048576 bytes"},
		"just so":       {data(maxEvent) + "\n\n", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &said{body: first + c.event}
			client, err := New(Config{URL: "https://atp.example", HTTP: &http.Client{Transport: s}, Attempts: 3})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var told []Event
			var last error
			for e, err := range client.Changes(ctx, Watch{}) {
				if told, last = append(told, e), err; len(told) == 2 {
					break
				}
			}
			if c.want == "" {
				if last != nil || told[1].Change == nil {
					t.Errorf("%s: %v", name, last)
				}
				return
			}
			if last == nil || !strings.Contains(last.Error(), c.want) || told[1].ID != "1" || told[0].Reason != "policies" || s.asked != 1 {
				t.Errorf("%s: %v at %q after %d connections", name, last, told[1].ID, s.asked)
			}
		})
	}
}
