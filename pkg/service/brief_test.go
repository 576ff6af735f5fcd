package service

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// told is a handler that says all that it sees of a request, and answers as its query asks.
type told struct{ here atomic.Int64 } // requests that connections answered themselves

func (h *told) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, ok := w.(*briefAnswer); ok {
		h.here.Add(1)
	}
	for name, values := range r.URL.Query() {
		if name, ok := strings.CutPrefix(name, "set-"); ok {
			w.Header()[name] = values
		}
	}
	switch r.URL.Query().Get("do") {
	case "304":
		w.WriteHeader(http.StatusNotModified)
		return
	case "204":
		w.WriteHeader(http.StatusNoContent)
		return
	case "nothing":
		return
	case "418":
		w.WriteHeader(http.StatusTeapot)
	case "599":
		w.WriteHeader(599)
		w.Header().Set("Too", "late")
	case "bytes": // one at a time
		for one := make([]byte, 1); ; {
			if n, err := r.Body.Read(one); err != nil {
				return
			} else if n > 0 {
				_, _ = w.Write(one)
			}
		}
	case "panic":
		panic(http.ErrAbortHandler)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1000))
	said := fmt.Appendf(nil, "%s %s %q %s %d.%d %q %d %v %v\n", r.Method, r.RequestURI, r.Host, r.Proto, r.ProtoMajor, r.ProtoMinor, body, r.ContentLength, r.Close, err)
	said = fmt.Appendf(said, "%+v %v %v\n", *r.URL, r.TransferEncoding, r.RemoteAddr != "")
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		said = fmt.Appendf(said, "%s: %q\n", name, r.Header[name])
	}
	if len(said) > 1500 { // net/http gives longer answers in chunks
		said = fmt.Appendf(nil, "%x\n", sha256.Sum256(said))
	}
	_, _ = w.Write(said)
}

// isBrief is of the paths below /brief/.
func isBrief(u *url.URL) bool { return strings.HasPrefix(u.Path, "/brief/") }

// start serves until the test ends, or stop is called, which waits.
func start(t *testing.T, handler http.Handler, brief Brief) (addr string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	at, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- serve("127.0.0.1:0", handler, brief, func(a net.Addr) { at <- a })(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return (<-at).String(), stop
}

// talk sends pieces one after the other over a connection, and is all that is answered until
// it ends, or nothing comes any more.
func talk(t *testing.T, addr string, pieces [][]byte) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, p := range pieces {
		if i > 0 {
			time.Sleep(2 * time.Millisecond) // so that they arrive one by one; if not, nothing is lost
		}
		if _, err := c.Write(p); err != nil {
			break // it was ended: what was said is below
		}
	}
	_ = c.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // where it was ended already it fails
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("%q: %v, after %q", bytes.Join(pieces, nil), err, out)
	}
	return regexp.MustCompile(`Date: [A-Z][^\r]* GMT\r\n`).ReplaceAllString(string(out), "Date: …\r\n")
}

// requests are of all kinds, right and wrong.
func requests() []string {
	get := func(target string, fields ...string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: a.example:80\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
	}
	out := []string{
		get("/brief/a"), get("/brief/a?x=1&y=%20z"), get("/brief/a?"), get("/brief/a??"), get("/brief/a#b"), get("/brief/a%2Fb"), get("/brief/a%zz"), get("/brief//b;c"),
		get("/brief/../x"), get("/brief/a b"), get("/brief/ä"), get("http://b.example/brief/a"), get("*"), get("brief"), get("/other"), get("/brief/a?q=\x01"),
		get("/brief/a?do=304&set-Etag=1&set-Content-Type=x&set-Content-Length=5"), get("/brief/a?do=204"), get("/brief/a?do=nothing"), get("/brief/a?do=418"), get("/brief/a?do=599"),
		get("/brief/a?do=panic"), get("/brief/a?set-Content-Type=application/json&set-B=2&set-A=1&set-B=3"), get("/brief/a?set-Content-Encoding=gzip"),
		get("/brief/a?set-Date=never"), get("/brief/a?set-Connection=close"), get("/brief/a?set-Bad%20Name=1&set-X=%0d%0aY:1%20"), get("/brief/a?set-Connection=keep-alive"),
		get("/brief/a", "Accept: */*", "accept-encoding: gzip", "User-Agent:  me \t", "X-API-KEY: k", "If-None-Match: \"a\", \"b\"", "If-None-Match: \"c\""),
		get("/brief/a", "X-Unknown: y"), get("/brief/a", "Connection: keep-alive"), get("/brief/a", "Connection: Close"), get("/brief/a", "Connection: x, close"),
		get("/brief/a", "Host: b.example"), get("/brief/a", "Accept : x"), get("/brief/a", " folded"), get("/brief/a", "Accept: a", "\tb"), get("/brief/a", "Accept: \x7f"), get("/brief/a", "Accept: é"),
		get("/brief/a", "NoColon"), get("/brief/a", ": x"), get("/brief/a", "Expect: 100-continue"), get("/brief/a", "Expect: more"), get("/brief/a", "Upgrade: h2c", "Connection: Upgrade"),
		get("/brief/a", "Content-Length: 0"), get("/brief/a", "Content-Length: 3") + "abc", get("/brief/a", "Content-Length: 3", "Content-Length: 3") + "abc", get("/brief/a", "Content-Length: +3") + "abc",
		get("/brief/a", "Content-Length: 03") + "abc", get("/brief/a", "Content-Length: 3", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", get("/brief/a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n",
		get("/brief/a", "Accept: x\nContent-Length: 3") + "abc", "GET /brief/a HTTP/1.1\nHost: a\n\n", "GET /brief/a HTTP/1.1\r\nHost: a\r\n\n", "GET /brief/a HTTP/1.1\r\nHost: a\n\r\n",
		"GET /brief/a HTTP/1.0\r\n\r\n", "GET /brief/a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", "GET /brief/a HTTP/1.1\r\n\r\n", "GET /brief/a HTTP/1.1\r\nHost:\r\n\r\n", "GET /brief/a HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET  /brief/a HTTP/1.1\r\nHost: a\r\n\r\n", "GET /brief/a  HTTP/1.1\r\nHost: a\r\n\r\n", "get /brief/a HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /brief/a HTTP/1.1\r\nHost: a\r\n\r\n", "G /brief/a HTTP/1.1\r\nHost: a\r\n\r\n",
		"\r\n" + get("/brief/a"), "POST /brief/a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", "POST /brief/a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody\r\n",
		"POST /other HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "DELETE /other HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 1100\r\n\r\n" + strings.Repeat("x", 1100), "rubbish\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		get("/brief/" + strings.Repeat("a", 3000)), get("/brief/" + strings.Repeat("a", 5000)), get("/brief/a", "Accept: "+strings.Repeat("a", 20<<10)), get("/brief/a", "X-Api-Key: "+strings.Repeat("a", 3900)),
		get("/brief/a", slices.Repeat([]string{"Accept: x"}, maxFields)...), get("/brief/a", slices.Repeat([]string{"Accept: x"}, maxFields+1)...),
	}
	return out
}

// TestBriefIsAsBefore: whatever comes over a connection, and in whichever pieces, is answered
// byte for byte as net/http answers it, and the connection ends where it does.
func TestBriefIsAsBefore(t *testing.T) {
	mine, theirs := &told{}, &told{}
	quick, _ := start(t, mine, isBrief)
	plain, _ := start(t, theirs, nil)
	same := func(t *testing.T, pieces [][]byte) {
		t.Helper()
		began := time.Now()
		got, want := talk(t, quick, pieces), talk(t, plain, pieces)
		for tries := 0; got != want && time.Since(began) > readHeaderTimeout/2 && tries < 5; tries++ { // the machine stood still
			began, got, want = time.Now(), talk(t, quick, pieces), talk(t, plain, pieces)
		}
		if got != want {
			t.Errorf("%.200q is answered\n%.900s\n\nand by net/http\n%.900s", pieces, got, want)
		}
	}
	all := requests()
	t.Run("each", func(t *testing.T) {
		for _, r := range all {
			same(t, [][]byte{[]byte(r)})
		}
	})
	if mine.here.Load() < 12 || theirs.here.Load() > 0 {
		t.Errorf("connections answered %d themselves", mine.here.Load())
	}
	t.Run("twice and then a brief one", func(t *testing.T) {
		last := []byte(all[0])
		for _, r := range all {
			same(t, [][]byte{[]byte(r), []byte(r), last})
			same(t, [][]byte{append([]byte(r), last...), last})
		}
	})
	t.Run("in two pieces", func(t *testing.T) {
		for _, r := range []string{all[0], "POST /other?do=bytes HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome body", "POST /other HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", "P" + all[0]} {
			for i := 1; i < len(r); i++ {
				same(t, [][]byte{[]byte(r[:i]), []byte(r[i:]), []byte(all[0])})
			}
		}
	})
	t.Run("behind the beginning of another", func(t *testing.T) { // which net/http has already
		other := "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"
		for _, begins := range []string{"GET /x HTTP/1.1\r\nHost: a\r\nX-Y: ", "GET", "P", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n"} {
			same(t, [][]byte{[]byte(other + begins), []byte(all[0]), []byte(all[0])})
			same(t, [][]byte{[]byte(all[0]), []byte(other + begins), []byte(all[0]), []byte(all[0])})
		}
		long := "GET /other/" + strings.Repeat("a", 4<<10)
		same(t, [][]byte{[]byte(long[:4<<10-1]), []byte(long[4<<10-1:] + all[0][len("GET /brief/a"):]), []byte(all[0])}) // net/http has room for one byte
	})
	t.Run("at random", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			var text []byte
			for range 1 + rng.IntN(4) {
				text = append(text, all[rng.IntN(len(all)-6)]...)
			}
			for range rng.IntN(3) { // a byte that does not belong there
				i := rng.IntN(len(text))
				text = slices.Insert(text, i, "\r\n :\t\x00GX0;"[rng.IntN(10)])
			}
			var pieces [][]byte
			for len(text) > 0 {
				n := 1 + rng.IntN(len(text))
				if i := bytes.Index(text, []byte("\r\n\r\n")); i >= 0 && rng.IntN(2) == 0 {
					n = i + 4
				}
				pieces, text = append(pieces, text[:n]), text[n:]
			}
			same(t, pieces)
		}
	})
}

// TestBriefComesBack: a connection answers brief requests itself again after others, where
// net/http had no more than those.
func TestBriefComesBack(t *testing.T) {
	h := &told{}
	addr, _ := start(t, h, isBrief)
	cl := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	ask := func(method, path, body string, here bool) {
		t.Helper()
		before := h.here.Load()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := cl.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := h.here.Load() > before; got != here {
			t.Errorf("%s %s: answered by the connection: %v", method, path, got)
		}
	}
	for range 3 {
		ask("GET", "/brief/a", "", true)
		ask("GET", "/other", "", false)
		ask("GET", "/brief/a?do=304", "", true)
		ask("POST", "/brief/a", "body", false)
		ask("GET", "/brief/a", "", true)
		ask("DELETE", "/brief/a", "", false)
	}
}

// TestAskedEarly: what is asked while another request is answered is answered after it, by the
// connection itself.
func TestAskedEarly(t *testing.T) {
	began, free := make(chan struct{}), make(chan struct{})
	h := &told{}
	addr, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			began <- struct{}{}
			<-free
			return
		}
		h.ServeHTTP(w, r)
	}), isBrief)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		if _, err := io.WriteString(c, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-began
		if _, err := io.WriteString(c, "GET /brief/a?do=nothing HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // so that it is seen early; if not, it is answered all the same
		free <- struct{}{}
		var in []byte
		for bytes.Count(in, []byte("HTTP/1.1 200 OK")) < 2 || !bytes.HasSuffix(in, []byte("\r\n\r\n")) {
			p := make([]byte, 1000)
			n, err := c.Read(p)
			if err != nil {
				t.Fatalf("%v after %q", err, in)
			}
			in = append(in, p[:n]...)
		}
		if h.here.Load() != i+1 {
			t.Fatalf("%d of %d were answered by the connection", h.here.Load(), i+1)
		}
	}
}

// TestGoneIsNoticed: by a handler that net/http runs, on a connection that answered brief
// requests, whether more was asked early or not.
func TestGoneIsNoticed(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	addr, _ := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			began <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		}
	}), isBrief)
	for range 3 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /brief/a HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1000)); n == 0 || err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-began
		_ = c.Close()
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody noticed")
		}
	}
}

// TestHeadsComeSoon: a head that begins behind brief requests and does not end is waited for
// no longer than any other.
func TestHeadsComeSoon(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, &told{}, isBrief)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /brief/a?do=nothing HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1000)); n == 0 || err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET /brief/a HTTP/1.1\r\nHost:"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(readHeaderTimeout + 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || strings.HasPrefix(string(rest), "HTTP/1.1 200") {
		t.Errorf("%q %v", rest, err)
	}
}

// TestLongBriefAnswer: one that net/http would give in chunks has a length.
func TestLongBriefAnswer(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	addr, _ := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for i := 0; i < len(long); i += 1000 {
			_, _ = io.WriteString(w, long[i:i+1000])
		}
	}), isBrief)
	want := "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: …\r\nContent-Length: 100000\r\n\r\n" + long
	ask := []byte("GET /brief/a HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := talk(t, addr, [][]byte{ask, ask}); got != want+want {
		t.Errorf("%.200s", got)
	}
}

// TestBriefEnds: who shuts down waits for what is being answered, which says that it is the
// last, and for nobody else.
func TestBriefEnds(t *testing.T) {
	asked, free := make(chan struct{}, 1), make(chan struct{})
	addr, stop := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/brief/slow" {
			asked <- struct{}{}
			<-free
		}
		_, _ = io.WriteString(w, "ok")
	}), isBrief)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	silent, slow := dial(), dial()
	if _, err := io.WriteString(silent, "GET /brief/a HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(make([]byte, 1000)); err != nil || n == 0 {
		t.Fatal(err)
	}
	if _, err := io.WriteString(slow, "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil { // net/http holds it for idle from now on
		t.Fatal(err)
	}
	if n, err := slow.Read(make([]byte, 1000)); err != nil || n == 0 {
		t.Fatal(err)
	}
	if _, err := io.WriteString(slow, "GET /brief/slow HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	began, ended := time.Now(), make(chan struct{})
	go func() {
		defer close(ended)
		stop()
	}()
	if rest, err := io.ReadAll(silent); err != nil || len(rest) > 0 || time.Since(began) > 4*time.Second {
		t.Errorf("who waits is kept waiting: %q %v", rest, err)
	}
	select {
	case <-ended:
		t.Error("it ended before the answer")
	default:
	}
	close(free)
	if rest, err := io.ReadAll(slow); err != nil || !strings.HasSuffix(string(rest), "Connection: close\r\n\r\nok") {
		t.Errorf("%q %v", rest, err)
	}
	<-ended
}
