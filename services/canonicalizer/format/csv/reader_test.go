package csv

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// sameAsTheLibrary holds the reader against encoding/csv: records, the lines they begin
// in, errors and their texts.
func sameAsTheLibrary(t *testing.T, text, comma, comment string) {
	t.Helper()
	want := csv.NewReader(strings.NewReader(text))
	want.FieldsPerRecord = -1
	want.Comma, _ = utf8.DecodeRuneInString(comma)
	if comment != "" {
		want.Comment, _ = utf8.DecodeRuneInString(comment)
	}
	got := reader{text: text, comma: comma, comment: comment}
	for {
		a, errA := want.Read()
		b, line, errB := got.read()
		if errors.Is(errA, io.EOF) != errors.Is(errB, io.EOF) || (errA == nil) != (errB == nil) || errA != nil && errA.Error() != errB.Error() {
			t.Fatalf("%q: %v, want %v", text, errB, errA)
		}
		if errors.Is(errA, io.EOF) {
			return
		}
		if errA != nil {
			continue
		}
		if fmt.Sprintf("%q", a) != fmt.Sprintf("%q", b) {
			t.Fatalf("%q: %q, want %q", text, b, a)
		}
		if at, _ := want.FieldPos(0); at != line {
			t.Fatalf("%q: %q in line %d, want %d", text, b, line, at)
		}
		if int(want.InputOffset()) != got.at {
			t.Fatalf("%q: read up to %d, want %d", text, got.at, want.InputOffset())
		}
	}
}

func TestReaderSameAsTheLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	tries := 200_000
	if testing.Short() {
		tries = 20_000
	}
	for range tries {
		var b strings.Builder
		for range r.IntN(14) {
			b.WriteString([]string{"a", "é", ",", ",", "\"", "\"", "\"\"", "\n", "\r\n", "\r", "#", " ", ";"}[r.IntN(13)])
		}
		sameAsTheLibrary(t, b.String(), ",", []string{"", "#"}[r.IntN(2)])
	}
	sameAsTheLibrary(t, "a;\"b\"\"c;\r\nd\";e\r\n", ";", "")
}

func FuzzReader(f *testing.F) {
	f.Add("a,\"b\r\nc\"\r\n\r\n#x\n\"", true)
	f.Fuzz(func(t *testing.T, text string, comment bool) {
		if !utf8.ValidString(text) {
			t.Skip("a mark of what is no UTF-8 is no delimiter")
		}
		sameAsTheLibrary(t, text, ",", []string{"", "#"}[map[bool]int{true: 1}[comment]])
	})
}
