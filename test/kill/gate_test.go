package kill_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// heldLimit lets go of a call that a test has forgotten.
const heldLimit = time.Minute

// A gate stands in front of a counterpart and can hold one call, so that a process
// is killed for certain while that call is in flight.
type gate struct {
	inner http.Handler

	mu   sync.Mutex
	trap *trap
}

// A trap holds the first call it matches: before the counterpart has taken it, or
// after that and before its answer.
type trap struct {
	match   func(*http.Request) bool
	after   bool
	held    chan struct{} // closed when a call is held
	release chan struct{}
	done    chan struct{} // closed when the counterpart has dealt with it
}

// arm sets a trap; the one before it, if it has caught nothing, is gone.
func (g *gate) arm(after bool, match func(*http.Request) bool) *trap {
	t := &trap{match: match, after: after, held: make(chan struct{}), release: make(chan struct{}), done: make(chan struct{})}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trap = t
	return t
}

func (g *gate) take(r *http.Request) *trap {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.trap
	if t == nil || !t.match(r) {
		return nil
	}
	g.trap = nil
	return t
}

func (g *gate) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trap = nil
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := g.take(r)
	if t == nil {
		g.inner.ServeHTTP(w, r)
		return
	}
	defer close(t.done)
	// The caller dies meanwhile; its request is carried out all the same.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	if t.after {
		g.inner.ServeHTTP(answer, r)
	}
	close(t.held)
	limit := time.NewTimer(heldLimit)
	defer limit.Stop()
	select {
	case <-t.release:
	case <-limit.C:
	}
	if !t.after {
		g.inner.ServeHTTP(answer, r)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // nobody is there to read it
}

// call matches requests by method and by how their path begins and ends.
func call(method, prefix, suffix string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && strings.HasPrefix(r.URL.Path, prefix) && strings.HasSuffix(r.URL.Path, suffix)
	}
}
