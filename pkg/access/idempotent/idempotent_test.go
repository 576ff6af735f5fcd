package idempotent

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func TestKey(t *testing.T) {
	for _, tc := range []struct {
		values []string
		want   string
		err    error
	}{
		{nil, "", nil},
		{[]string{`"8e03978e-40d5-43dd-bc93-6894a57f9324"`}, "8e03978e-40d5-43dd-bc93-6894a57f9324", nil},
		{[]string{` "a";v=1 `}, "a", nil},
		{[]string{`"a\"b\\c"`}, `a"b\c`, nil},
		{[]string{`abc`}, "abc", nil},
		{[]string{``}, "", ErrMalformed},
		{[]string{`""`}, "", ErrMalformed},
		{[]string{`"a`}, "", ErrMalformed},
		{[]string{`"a"b`}, "", ErrMalformed},
		{[]string{`"a\b"`}, "", ErrMalformed},
		{[]string{`"a\`}, "", ErrMalformed},
		{[]string{`a b`}, "", ErrMalformed},
		{[]string{"a\x01"}, "", ErrMalformed},
		{[]string{strings.Repeat("a", MaxKey)}, strings.Repeat("a", MaxKey), nil},
		{[]string{strings.Repeat("a", MaxKey+1)}, "", ErrMalformed},
		{[]string{"a", "a"}, "", ErrSeveral},
	} {
		h := http.Header{Header: tc.values}
		if got, err := Key(h); got != tc.want || err != tc.err { //nolint:errorlint // these two and no others
			t.Errorf("%q: %q, %v", tc.values, got, err)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{`"a"`, `a`, `"a\"";b`, `"\\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		k, err := Key(http.Header{Header: {v}})
		if err != nil {
			return
		}
		if k == "" || len(k) > MaxKey || strings.ContainsAny(k, " \r\n\x00") {
			t.Errorf("%q is read as %q", v, k)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(k) + `"`
		if again, err := Key(http.Header{Header: {quoted}}); err != nil || again != k {
			t.Errorf("%q is not %q: %v", quoted, k, err)
		}
	})
}

func TestFingerprintKeepsPartsApart(t *testing.T) {
	if Fingerprint([]byte("ab"), []byte("c")) == Fingerprint([]byte("a"), []byte("bc")) {
		t.Error("the same")
	}
}

// TestID: it is a UUID version 8 of the parts, each apart.
func TestID(t *testing.T) {
	seen := map[string]bool{}
	for i := range 100 {
		id := ID([]byte("a"), []byte{byte(i)})
		if len(id) != 32 || id[12] != '8' || !strings.ContainsRune("89ab", rune(id[16])) {
			t.Errorf("%s is no UUID of version 8", id)
		}
		if id != ID([]byte("a"), []byte{byte(i)}) || seen[id] || id == ID([]byte{'a', byte(i)}) {
			t.Errorf("%s is of other parts, too", id)
		}
		seen[id] = true
	}
}

func TestWindow(t *testing.T) {
	now := noon
	w := NewWindow(time.Hour, 3, 10, func() time.Time { return now })
	a, b := Fingerprint([]byte("a")), Fingerprint([]byte("b"))
	begin := func(scope, key string, print [32]byte, want Found) Answer {
		t.Helper()
		found, answer := w.Begin(scope, key, print)
		if found != want {
			t.Errorf("%s %s: %v, want %v", scope, key, found, want)
		}
		return answer
	}
	begin("shop", "1", a, New)
	begin("shop", "1", a, UnderWay)
	begin("shop", "1", b, Other)
	begin("wms", "1", b, New) // another partner's key
	w.Failed("shop", "1")
	begin("shop", "1", b, New) // it was never done
	w.Done("shop", "1", Answer{Status: 202, Type: "application/json", Body: []byte("{}")})
	if got := begin("shop", "1", b, Again); got.Status != 202 || string(got.Body) != "{}" {
		t.Errorf("%+v", got)
	}
	begin("shop", "1", a, Other)
	w.Failed("shop", "1") // too late
	begin("shop", "1", b, Again)
	now = now.Add(time.Hour)
	begin("shop", "1", a, New)

	w.Done("shop", "1", Answer{Body: make([]byte, 11)}) // too long to be kept
	begin("shop", "1", b, New)
}

func TestWindowIsBounded(t *testing.T) {
	now := noon
	w := NewWindow(time.Hour, 3, 10, func() time.Time { return now })
	p := Fingerprint()
	for i := range 100 {
		k := fmt.Sprint(i)
		if found, _ := w.Begin("s", k, p); found != New {
			t.Fatal(i, found)
		}
		w.Done("s", k, Answer{Status: 202})
	}
	if w.Len() != 3 {
		t.Error(w.Len())
	}
	for k, want := range map[string]Found{"99": Again, "97": Again, "96": New} {
		if found, _ := w.Begin("s", k, p); found != want {
			t.Errorf("%s: %v", k, found)
		}
	}
}

func TestOneOfManyIsTheFirst(t *testing.T) {
	w := NewWindow(time.Hour, 100, 10, func() time.Time { return noon })
	p := Fingerprint()
	var first atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 50 {
				k := fmt.Sprint(i)
				if found, _ := w.Begin("s", k, p); found == New {
					first.Add(1)
					w.Done("s", k, Answer{Status: 202})
				}
			}
		})
	}
	wg.Wait()
	if first.Load() != 50 {
		t.Error(first.Load())
	}
}
