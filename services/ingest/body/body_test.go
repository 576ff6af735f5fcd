package body

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func zip(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReader(t *testing.T) {
	text := []byte(strings.Repeat("a,b,1\n", 100))
	for _, tc := range []struct {
		name, encoding string
		in             io.Reader
		limit          int64
		ratio          int
		want           error
	}{
		{name: "as it is", in: bytes.NewReader(text), limit: 600},
		{name: "one too many", in: bytes.NewReader(text), limit: 599, want: ErrTooLarge},
		{name: "gzip", encoding: "GZIP", in: bytes.NewReader(zip(t, text)), limit: 600, ratio: 100},
		{name: "gzip, one too many", encoding: "gzip", in: bytes.NewReader(zip(t, text)), limit: 599, ratio: 100, want: ErrTooLarge},
		{name: "gzip in two members", encoding: "gzip", in: io.MultiReader(bytes.NewReader(zip(t, text[:300])), bytes.NewReader(zip(t, text[300:]))), limit: 600, ratio: 100},
		{name: "gzip cut off", encoding: "gzip", in: bytes.NewReader(zip(t, text)[:20]), limit: 600, ratio: 100, want: ErrCorrupt},
		{name: "gzip with text behind it", encoding: "gzip", in: io.MultiReader(bytes.NewReader(zip(t, text)), strings.NewReader("x")), limit: 600, ratio: 100, want: ErrCorrupt},
		{name: "no gzip", encoding: "gzip", in: bytes.NewReader(text), limit: 600, ratio: 100, want: ErrCorrupt},
		{name: "another encoding", encoding: "br", in: bytes.NewReader(text), limit: 600, want: ErrEncoding},
		{name: "two encodings", encoding: "gzip, gzip", in: bytes.NewReader(text), limit: 600, want: ErrEncoding},
		{name: "a connection that ends", in: io.MultiReader(bytes.NewReader(text), iotest.ErrReader(io.ErrUnexpectedEOF)), limit: 600, want: ErrShort},
		{name: "a connection that ends in gzip", encoding: "gzip", in: io.MultiReader(bytes.NewReader(zip(t, text)[:20]), iotest.ErrReader(errors.New("reset"))), limit: 600, ratio: 100, want: ErrShort},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := NewReader(tc.in, tc.encoding, tc.limit, tc.ratio)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
			}
			if !errors.Is(err, tc.want) || err != nil && tc.want == nil {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err == nil && !bytes.Equal(got, text) {
				t.Errorf("%d bytes came out", len(got))
			}
		})
	}
}

// counting counts what was made of a bomb.
type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

// A bomb is found by what it becomes, long before the absolute limit.
func TestBomb(t *testing.T) {
	bomb := zip(t, make([]byte, 64<<20)) // some 1,030 to 1
	r, err := NewReader(bytes.NewReader(bomb), "gzip", 1<<30, 100)
	if err != nil {
		t.Fatal(err)
	}
	var out counting
	_, err = io.Copy(&out, r)
	if !errors.Is(err, ErrRatio) || out.n > 2<<20 {
		t.Errorf("%v after %d bytes", err, out.n)
	}
	// Small bodies may repeat themselves.
	small := zip(t, bytes.Repeat([]byte{' '}, 60<<10))
	if r, err = NewReader(bytes.NewReader(small), "gzip", 1<<20, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("60 KiB of blanks in %d bytes: %v", len(small), err)
	}
}

func form(t testing.TB, write func(w *multipart.Writer)) ([]byte, string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.Boundary()
}

func add(t testing.TB, w *multipart.Writer, name, file, text string) {
	t.Helper()
	var p io.Writer
	var err error
	if file == "" {
		p, err = w.CreateFormField(name)
	} else {
		p, err = w.CreateFormFile(name, file)
	}
	if err == nil {
		_, err = p.Write([]byte(text))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestParts(t *testing.T) {
	limits := Limits{Parts: 3, Bytes: 10}
	three := func(w *multipart.Writer) {
		add(t, w, "note", "", "not a message")
		add(t, w, "a", "a.csv", "one")
		add(t, w, "b", "b.csv", "two")
	}
	for _, tc := range []struct {
		name, named string
		write       func(w *multipart.Writer)
		cut         int
		want        []string
		err         error
	}{
		{name: "each file", write: three, want: []string{"a/a.csv/one", "b/b.csv/two"}},
		{name: "the one that is named", named: "b", write: three, want: []string{"b/b.csv/two"}},
		{name: "a field that is named", named: "note", write: func(w *multipart.Writer) { add(t, w, "note", "", "text") }, want: []string{"note//text"}},
		{name: "none that is named", named: "c", write: three, err: ErrNoPart},
		{name: "two that are named", named: "a", write: func(w *multipart.Writer) { add(t, w, "a", "", "1"); add(t, w, "a", "", "2") }, err: ErrTwice},
		{name: "fields only", write: func(w *multipart.Writer) { add(t, w, "note", "", "text") }, err: ErrNoPart},
		{name: "at the limit", write: func(w *multipart.Writer) { add(t, w, "a", "a", "0123456789") }, want: []string{"a/a/0123456789"}},
		{name: "a part too large", write: func(w *multipart.Writer) { add(t, w, "a", "a", "01234567890") }, err: ErrTooLarge},
		{name: "too many", write: func(w *multipart.Writer) { three(w); add(t, w, "c", "", "") }, err: ErrParts},
		{name: "a long name", write: func(w *multipart.Writer) { add(t, w, strings.Repeat("n", 256), "a", "1") }, err: ErrName},
		{name: "cut off", write: three, cut: 30, err: ErrMultipart},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b, boundary := form(t, tc.write)
			parts, err := Parts(b[:len(b)-tc.cut], boundary, tc.named, limits)
			if !errors.Is(err, tc.err) || err != nil && tc.err == nil {
				t.Fatalf("%v, want %v", err, tc.err)
			}
			var got []string
			for _, p := range parts {
				got = append(got, p.Name+"/"+p.Filename+"/"+string(p.Body))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
	for _, boundary := range []string{"", "other", strings.Repeat("b", 71)} {
		b, _ := form(t, three)
		if _, err := Parts(b, boundary, "", limits); err == nil {
			t.Errorf("boundary %q is taken", boundary)
		}
	}
}

func chunks(t testing.TB, c *Cutter) ([]Chunk, error) {
	t.Helper()
	var out []Chunk
	for {
		x, err := c.Next()
		if err != nil {
			return out, err
		}
		out = append(out, x)
	}
}

func TestCutter(t *testing.T) {
	table := &Table{Delimiter: ',', Comment: '#', Header: true}
	bare := &Table{Delimiter: ';'}
	for _, tc := range []struct {
		name, in    string
		table       *Table
		bytes, rows int
		want        []string // line of the first row, and the chunk
		err         error
	}{
		{name: "lines", in: "a\nb\n\nc", bytes: 100, rows: 2, want: []string{"1:a\nb\n", "4:c"}},
		{name: "blank lines within", in: "a\n\n \nb\nc\n", bytes: 100, rows: 2, want: []string{"1:a\n\n\nb\n", "5:c\n"}},
		{name: "notes within", in: "sku\nA\n# x\n\"B\n\"\n# y\nC\n", table: table, bytes: 100, rows: 9, want: []string{"2:sku\nA\n\n\"B\n\"\n\nC\n"}},
		{name: "blank lines that do not fit", in: "a\n\n\n\nb\n", bytes: 5, rows: 9, want: []string{"1:a\n", "5:b\n"}},
		{name: "by bytes", in: "aaa\nbbb\nccc\n", bytes: 8, rows: 99, want: []string{"1:aaa\nbbb\n", "3:ccc\n"}},
		{name: "a line too large", in: "aaa\nbbbbbbbbb\nccc\n", bytes: 8, rows: 1, want: []string{"1:aaa\n"}, err: ErrRow},
		{name: "the header again", in: "sku,qty\nA,1\nB,2\nC,3\n", table: table, bytes: 100, rows: 2, want: []string{"2:sku,qty\nA,1\nB,2\n", "4:sku,qty\nC,3\n"}},
		{name: "with the header it is too large", in: "sku,qty\nA,1\nB,2\n", table: table, bytes: 9, rows: 2, err: ErrRow},
		{name: "notes before the header", in: "# of today\n\nsku\nA\n# between\nB\n", table: table, bytes: 100, rows: 1, want: []string{"4:sku\nA\n", "6:sku\nB\n"}},
		{name: "line ends in quotes", in: "sku,note\nA,\"x\ny\"\nB,\"\"\"\n\"\nC,z\n", table: table, bytes: 100, rows: 1, want: []string{"2:sku,note\nA,\"x\ny\"\n", "4:sku,note\nB,\"\"\"\n\"\n", "6:sku,note\nC,z\n"}},
		{name: "a quote within a field opens none", in: "a;5\" pipe\nb;1\n", table: bare, bytes: 100, rows: 1, want: []string{"1:a;5\" pipe\n", "2:b;1\n"}},
		{name: "a quote that breaks its row", in: "\"a\"x\"\nb\n", table: bare, bytes: 100, rows: 1, want: []string{"1:\"a\"x\"\n", "2:b\n"}},
		{name: "a comment with a quote", in: "sku\n# \"\nA\n", table: table, bytes: 100, rows: 1, want: []string{"3:sku\nA\n"}},
		{name: "a byte order mark", in: "\ufeff\"sku\n\",qty\nA,1\n", table: table, bytes: 100, rows: 1, want: []string{"3:\ufeff\"sku\n\",qty\nA,1\n"}},
		{name: "CRLF", in: "sku\r\n\"A\r\nB\"\r\nC\r\n", table: table, bytes: 100, rows: 1, want: []string{"2:sku\r\n\"A\r\nB\"\r\n", "4:sku\r\nC\r\n"}},
		{name: "a header alone", in: "sku,qty\n", table: table, bytes: 100, rows: 1, want: []string{"1:sku,qty\n"}},
		{name: "nothing", in: "\n\n", table: table, bytes: 100, rows: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := chunks(t, NewCutter(iotest.OneByteReader(strings.NewReader(tc.in)), tc.table, tc.bytes, tc.rows))
			want := tc.err
			if want == nil {
				want = io.EOF
			}
			if !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			var texts []string
			for i, c := range got {
				texts = append(texts, fmt.Sprintf("%d:%s", c.Line, c.Body))
				if c.Last != (i == len(got)-1 && tc.err == nil) {
					t.Errorf("chunk %d says last: %v", i, c.Last)
				}
			}
			if !slices.Equal(texts, tc.want) {
				t.Errorf("%q\nwant %q", texts, tc.want)
			}
		})
	}
}

// A body that breaks off gives what stood before it, and says so; half a row is none.
func TestCutterOfABrokenBody(t *testing.T) {
	in := io.MultiReader(strings.NewReader("a\nb\nhal"), iotest.ErrReader(ErrShort))
	got, err := chunks(t, NewCutter(in, nil, 100, 1))
	if !errors.Is(err, ErrShort) || len(got) != 2 || got[1].Last {
		t.Errorf("%d chunks, %v", len(got), err)
	}
}

func TestLines(t *testing.T) {
	l := NewLines(strings.NewReader("{\"a\":1}\r\n\n"+strings.Repeat("x", 70_000)+"\n{\"b\":2}"), 100)
	for _, want := range []struct {
		text string
		n    int
		err  error
	}{{`{"a":1}`, 1, nil}, {"", 3, ErrRow}, {`{"b":2}`, 4, nil}, {"", 5, io.EOF}} {
		line, n, err := l.Next()
		if string(line) != want.text || n != want.n || !errors.Is(err, want.err) || err != nil && want.err == nil {
			t.Errorf("%q %d %v, want %+v", line, n, err, want)
		}
	}
}

// FuzzCutter: the rows of the chunks are the rows of the file, as encoding/csv reads
// both, for any text and any size of chunk.
func FuzzCutter(f *testing.F) {
	f.Add("sku,qty\nA,1\n\"B\n\",2\n# c\n\nC,\"3\"\"\n\"\n", 1)
	f.Add("a\n\"b\"c\"\nd\n\"", 2)
	f.Add("\ufeffa,b\r\n\",\",\r\n", 3)
	f.Add(strings.Repeat("a", 40_000)+",\"\n\"\nb,c\n", 1)
	f.Fuzz(func(t *testing.T, text string, rows int) {
		if rows < 1 || rows > 100 || len(text) > 1<<16 {
			t.Skip()
		}
		read := func(s string) (out []string) {
			r := csv.NewReader(strings.NewReader(strings.TrimPrefix(s, "\ufeff")))
			r.FieldsPerRecord, r.Comment = -1, '#'
			for {
				rec, err := r.Read()
				if errors.Is(err, io.EOF) {
					return out
				}
				if err != nil {
					rec = []string{"fault", "of a row"}
				}
				out = append(out, strings.Join(rec, "\x1f"))
			}
		}
		got, err := chunks(t, NewCutter(strings.NewReader(text), &Table{Delimiter: ',', Comment: '#'}, 1<<17, rows))
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		var all []string
		for _, c := range got {
			all = append(all, read(string(c.Body))...)
		}
		if want := read(text); !slices.Equal(all, want) {
			t.Fatalf("%q\nwant %q", all, want)
		}
	})
}

// FuzzBody: no body makes more than it may, panics, or is taken in part.
func FuzzBody(f *testing.F) {
	b, boundary := form(f, func(w *multipart.Writer) { add(f, w, "a", "a.csv", "one"); add(f, w, "b", "", "two") })
	f.Add(b, boundary)
	f.Add(zip(f, b), boundary)
	f.Add(zip(f, make([]byte, 1<<20)), "x")
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n1\r\n--x--"), "x")
	f.Fuzz(func(t *testing.T, in []byte, boundary string) {
		const limit = 1 << 17
		for _, encoding := range []string{"", "gzip"} {
			r, err := NewReader(bytes.NewReader(in), encoding, limit, 100)
			if err != nil {
				continue
			}
			out, err := io.ReadAll(r)
			if len(out) > limit {
				t.Fatalf("%d bytes", len(out))
			}
			if err != nil {
				continue
			}
			parts, err := Parts(out, boundary, "", Limits{Parts: 8, Bytes: 1000})
			if (err == nil) != (len(parts) > 0) || len(parts) > 8 {
				t.Fatalf("%d parts, %v", len(parts), err)
			}
			for _, p := range parts {
				if len(p.Body) > 1000 || len(p.Name) > maxName || len(p.Filename) > maxName {
					t.Fatal("a part is larger than it may be")
				}
			}
		}
	})
}
