package service

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// alike holds what a server that answers briefly says against what net/http does.
func alike(t *testing.T) (mine *told, same func(pieces ...string)) {
	t.Helper()
	mine = &told{}
	quick, _ := start(t, mine, isBrief)
	plain, _ := start(t, &told{}, nil)
	return mine, func(pieces ...string) {
		t.Helper()
		var sent [][]byte
		for _, p := range pieces {
			sent = append(sent, []byte(p))
		}
		if got, want := talk(t, quick, sent), talk(t, plain, sent); got != want {
			t.Errorf("%.200q is answered\n%.900s\n\nand by net/http\n%.900s", pieces, got, want)
		}
	}
}

// TestEveryByte: whatever byte stands wherever it can in a request, the handler sees it as
// net/http shows it, or it is refused alike.
func TestEveryByte(t *testing.T) {
	mine, same := alike(t)
	for _, form := range []string{
		"GET /brief/a%sb HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /brief/%s HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /brief/a?%s HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /brief/a?x=%sy HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /brief/a HTTP/1.1\r\nHost: a%sb\r\n\r\n",
		"GET /brief/a HTTP/1.1\r\nHost: a\r\nAccept: x%sy\r\n\r\n",
		"GET /brief/a HTTP/1.1\r\nHost: a\r\nAccept:%sy\r\n\r\n",
		"GET /brief/a HTTP/1.1\r\nHost: a\r\nX-%sY: z\r\n\r\n",
		"GET /brief/a HTTP/1.1\r\nHost: a\r\nAccept%s: z\r\n\r\n",
		"G%sT /brief/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET%s/brief/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /brief/a%sHTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /brief/a HTTP/1.1\r\nHost: a\r\n%s\r\n",
		"GET /brief/a HTTP/1.1%s\nHost: a\r\n\r\n",
	} {
		for b := range 256 {
			same(fmt.Sprintf(form, []byte{byte(b)}))
		}
	}
	if n := mine.here.Load(); n < 500 {
		t.Errorf("the connections answered %d themselves", n)
	}
}

// TestLengthsInDoubt: where the length of a body is said in two ways, and by one of them
// net/http has no more than the request, the connection does not take what comes next for
// another one.
func TestLengthsInDoubt(t *testing.T) {
	mine, same := alike(t)
	const begins = "GET /x HTTP/1.1\r\nHost: a\r\nX-Y: " // which net/http has, and the rest of it comes later
	other, brief := "POST /other HTTP/1.1\r\nHost: a\r\n", "GET /brief/a HTTP/1.1\r\nHost: a\r\n\r\n"
	chunked, long := "Transfer-Encoding: chunked\r\n", fmt.Sprintf("Content-Length: %d\r\n", len("0\r\n\r\n")+len(begins))
	for _, sent := range []string{
		other + long + chunked + "\r\n0\r\n\r\n" + begins,
		other + chunked + long + "\r\n0\r\n\r\n" + begins,
		// The digits one behind the other are 3 and 30.
		other + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + begins[:30],
	} {
		same(sent, brief, brief)
	}
	if n := mine.here.Load(); n > 0 {
		t.Errorf("the connections answered %d themselves", n)
	}
}

// TestBriefPanics: a handler that panics ends its connection, without an answer, and
// nothing else: others are answered, and who shuts down waits for nobody.
func TestBriefPanics(t *testing.T) {
	addr, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "ok")
		if r.URL.Path == "/brief/bad" {
			panic(http.ErrAbortHandler)
		}
	}), isBrief)
	bad, good := []byte("GET /brief/bad HTTP/1.1\r\nHost: a\r\n\r\n"), []byte("GET /brief/a HTTP/1.1\r\nHost: a\r\n\r\n")
	for range 3 {
		if got := talk(t, addr, [][]byte{bad, good}); got != "" {
			t.Errorf("after it is answered %q", got)
		}
		if got := talk(t, addr, [][]byte{good, bad, good}); strings.Count(got, "HTTP/1.1 200 OK") != 1 || !strings.HasSuffix(got, "\r\n\r\nok") {
			t.Errorf("before it is answered %q", got)
		}
	}
	began := time.Now()
	if stop(); time.Since(began) > drainTimeout/2 {
		t.Errorf("it ended after %v", time.Since(began))
	}
}

// TestFirstOfOthersHasItsTime: a request that net/http reads, the first on a connection that
// has long answered brief ones, has as much time as it would have on a new one.
func TestFirstOfOthersHasItsTime(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	srv := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/other" {
				close(began)
			}
			body, err := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%s %v", body, err)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(answerBriefly(t.Context(), srv, ln, isBrief)) }()
	defer func() {
		_ = srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(end string) {
		t.Helper()
		p := make([]byte, 1000)
		if n, err := c.Read(p); err != nil || !strings.HasSuffix(string(p[:n]), end) {
			t.Fatalf("%q %v", p[:n], err)
		}
	}
	for since := time.Now(); time.Since(since) <= srv.ReadTimeout; time.Sleep(srv.ReadTimeout / 20) {
		say("GET /brief/a HTTP/1.1\r\nHost: a\r\n\r\n")
		hear(" <nil>")
	}
	say("POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n")
	<-began
	say("body")
	hear("body <nil>")
}
