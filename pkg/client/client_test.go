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

// script answers one request after the other.
type script struct {
	answers []func() (*http.Response, error)
	asked   []*http.Request
	bodies  []string
	at      []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	n := min(len(s.asked), len(s.answers)-1)
	s.asked, s.bodies, s.at = append(s.asked, r), append(s.bodies, string(b)), append(s.at, time.Now())
	return s.answers[n]()
}

func says(status int, body string, headers ...string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func fails() (*http.Response, error) { return nil, errors.New("connection refused") }

const busy = `{"type":"urn:stockweave:problem:not_caught_up","title":"Not caught up","status":503,"code":"not_caught_up"}`

//nolint:bodyclose // the client closes what it is given
func TestTries(t *testing.T) {
	for _, tt := range []struct {
		name    string
		again   bool
		answers []func() (*http.Response, error)
		tries   int
		least   time.Duration // that it takes
		most    time.Duration
		code    string // of the problem; "-" for an error that is none
	}{
		{"well", true, []func() (*http.Response, error){says(200, "{}")}, 1, 0, 0, ""},
		{"later", true, []func() (*http.Response, error){says(503, busy, "Retry-After", "2"), says(429, "", "Retry-After", "1"), says(200, "{}")}, 3, 3 * time.Second, 3 * time.Second, ""},
		{"without a time", true, []func() (*http.Response, error){says(503, busy), says(200, "{}")}, 2, 50 * time.Millisecond, 100 * time.Millisecond, ""},
		{"never", true, []func() (*http.Response, error){says(503, busy, "Retry-After", "1")}, 4, 3 * time.Second, 3 * time.Second, "not_caught_up"},
		{"too late", true, []func() (*http.Response, error){says(503, busy, "Retry-After", "31")}, 1, 0, 0, "not_caught_up"},
		{"away", true, []func() (*http.Response, error){fails, fails, says(200, "{}")}, 3, 150 * time.Millisecond, 300 * time.Millisecond, ""},
		{"a fault", true, []func() (*http.Response, error){says(400, `{"code":"bad_day","status":400,"pointer":"/on"}`)}, 1, 0, 0, "bad_day"},
		{"something between", true, []func() (*http.Response, error){says(502, "<html>")}, 4, 350 * time.Millisecond, 700 * time.Millisecond, ""},
		{"not twice", false, []func() (*http.Response, error){says(503, busy, "Retry-After", "1")}, 1, 0, 0, "not_caught_up"},
		{"not twice, away", false, []func() (*http.Response, error){fails}, 1, 0, 0, "-"},
		{"not served", false, []func() (*http.Response, error){says(429, `{"code":"rate_limited"}`, "Retry-After", "1"), says(200, "{}")}, 2, time.Second, time.Second, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: tt.answers}
				c, err := New(Config{URL: "https://atp.example", Key: "k", HTTP: &http.Client{Transport: s}})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_, err = c.do(t.Context(), &call{method: http.MethodPost, path: "/x", in: map[string]int{"a": 1}, again: tt.again}, nil)
				took := time.Since(began)
				if len(s.asked) != tt.tries || took < tt.least || took > tt.most {
					t.Errorf("%d tries in %v, want %d in %v to %v: %v", len(s.asked), took, tt.tries, tt.least, tt.most, err)
				}
				p := (*Problem)(nil)
				switch isProblem := errors.As(err, &p); {
				case tt.code == "-" && (err == nil || isProblem), tt.code != "-" && Code(err) != tt.code:
					t.Errorf("%v, want %q", err, tt.code)
				}
				for i, r := range s.asked {
					if r.Header.Get("Authorization") != "Bearer k" || s.bodies[i] != `{"a":1}` {
						t.Errorf("try %d: %v %s", i, r.Header, s.bodies[i])
					}
				}
			})
		})
	}
}

// A call ends with its context, also while it waits.
//
//nolint:bodyclose // the client closes what it is given
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func() (*http.Response, error){says(503, busy, "Retry-After", "20")}}
		c, err := New(Config{URL: "https://atp.example", HTTP: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = c.Get(ctx, Query{Item: "A"})
		if !errors.Is(err, context.DeadlineExceeded) || Code(err) != "not_caught_up" || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A token is asked for before each try, and none is no try.
//
//nolint:bodyclose // the client closes what it is given
func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{answers: []func() (*http.Response, error){says(503, busy), says(200, "{}")}}
		n := 0
		c, err := New(Config{URL: "https://atp.example", HTTP: &http.Client{Transport: s}, Token: func(context.Context) (string, error) {
			n++
			if n == 3 {
				return "", errors.New("no token")
			}
			return strings.Repeat("t", n), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), Query{Item: "A"}); err != nil || s.asked[1].Header.Get("Authorization") != "Bearer tt" {
			t.Errorf("%v", err)
		}
		if _, err := c.Get(t.Context(), Query{Item: "A"}); err == nil || len(s.asked) != 2 {
			t.Errorf("%v after %d", err, len(s.asked))
		}
	})
}

func TestNew(t *testing.T) {
	for _, u := range []string{"", "atp.example", "ftp://atp.example", "https://atp.example?x=1", "https://"} {
		if _, err := New(Config{URL: u}); err == nil {
			t.Errorf("%q", u)
		}
	}
	if _, err := New(Config{URL: "https://a", Key: "k", Token: func(context.Context) (string, error) { return "", nil }}); err == nil {
		t.Error("a key and tokens")
	}
}

// slow answers after some time.
type slow struct{ after time.Duration }

func (s slow) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(s.after):
		return says(http.StatusOK, "{}")()
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// TestPatient: what the API may take longer over is waited for, and nothing else.
func TestPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Config{URL: "https://atp.example", HTTP: &http.Client{Transport: slow{15 * time.Second}, Timeout: 10 * time.Second}, Attempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.TestSubscription(t.Context(), "s"); err != nil {
			t.Errorf("a test of a slow receiver: %v", err)
		}
		if _, err := c.PollChanges(t.Context(), Watch{}, 10*time.Second); err != nil {
			t.Errorf("a poll that waits: %v", err)
		}
		if _, err := c.Subscription(t.Context(), "s"); err == nil {
			t.Error("a read was waited for beyond its time")
		}
	})
}
