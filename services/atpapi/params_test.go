package atpapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unsafe"
)

// TestWordingsAreFew: what is asked in ever other words, or in many of them, is not kept.
func TestWordingsAreFew(t *testing.T) {
	w := newWeb(t)
	for i := range 3 * maxWordings {
		if s, bad := w.api.read(fmt.Sprintf("channel=c%d", i)); bad == nil {
			w.api.wordings.put(fmt.Sprintf("channel=c%d", i), s)
		}
	}
	if n := len(w.api.wordings.of); n == 0 || n > maxWordings {
		t.Errorf("%d are kept", n)
	}
	long := "channel=" + strings.Repeat("c", maxWorded)
	w.api.wordings.put(long, wording{})
	if _, ok := w.api.wordings.get(long); ok {
		t.Error("a long one is kept")
	}
}

// TestWordingsHoldNoRequest: the words are kept without the rest of the line they stood in.
func TestWordingsHoldNoRequest(t *testing.T) {
	w := newWeb(t)
	line := "/v1/atp/A?channel=web"
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, line, nil)
	q, _, bad := w.api.query(req)
	if bad != nil {
		t.Fatal(bad)
	}
	inside := func(s, of string) bool {
		at, from := uintptr(unsafe.Pointer(unsafe.StringData(s))), uintptr(unsafe.Pointer(unsafe.StringData(of)))
		return at >= from && at < from+uintptr(len(of))
	}
	if inside(q.channel, req.URL.RawQuery) {
		t.Error("the channel is a piece of the request")
	}
	for text := range w.api.wordings.of {
		if inside(text, req.URL.RawQuery) {
			t.Error("the words are a piece of the request")
		}
	}
	if again, _, bad := w.api.query(req); bad != nil || again != q || len(w.api.wordings.of) != 1 {
		t.Errorf("%+v, then %+v: %v", q, again, bad)
	}
}

// TestLargeBuffersAreLetGo: one large answer does not hold its room for ever.
func TestLargeBuffersAreLetGo(t *testing.T) {
	var b buffers
	large := make([]byte, 0, maxReused+1)
	for range 10 {
		b.put(&large)
		if got := b.get(); cap(*got) > maxReused {
			t.Fatalf("%d bytes are kept", cap(*got))
		}
	}
	p := b.get()
	*p = append(*p, "text"...)
	b.put(p)
	if got := b.get(); len(*got) != 0 {
		t.Errorf("%q is in it", *got)
	}
}
