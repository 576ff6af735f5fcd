package files

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stockweave/stockweave/pkg/policy"
)

func partsOf(src *policy.Source, r io.Reader, c cut) ([]string, error) {
	s := splitterOf(src, r, c)
	var out []string
	for {
		p, err := s.next()
		if err != nil {
			return out, err
		}
		text := string(p.body)
		if p.line > 0 {
			text = fmt.Sprintf("%d:%s", p.line, text)
		}
		if p.last {
			text += "$"
		}
		out = append(out, text)
	}
}

// isa is a head of X12 with its delimiters.
func isa(sep, component, end string) string {
	fields := []string{
		"ISA", "00", "          ", "00", "          ", "ZZ", "A              ", "ZZ", "B              ",
		"261130", "1200", "U", "00401", "000000001", "0", "P", component,
	}
	return strings.Join(fields, sep) + end
}

func TestSplit(t *testing.T) {
	x1 := isa("*", ":", "~") + "\nGS*IB~\nIEA*1*1~"
	x2 := isa("|", ">", "'") + "GS|IEA*'IEA|1|2'"
	e1 := "UNB+UNOA:1+A+B'FTX+?'UNZ+1?''UNZ+1+1'"
	e2 := "UNA:*.! ~UNB*UNOA:1*A~FTX*!~UNZ*1!!~UNZ*1*2~"
	doc := func(n int) string { return fmt.Sprintf("EDI_DC40  800000000000000%04d\nE1EDL20 x\n", n) }
	for _, tc := range []struct {
		name, format, in string
		cut              cut
		src              policy.Source
		want             []string
		err              error
	}{
		{name: "interchanges", format: policy.FormatX12, in: "\ufeff\n" + x1 + "\n\n" + x2 + "\r\n", want: []string{x1, x2 + "$"}},
		{name: "an interchange without its end", format: policy.FormatX12, in: x1 + isa("*", ":", "~") + "GS*I", want: []string{x1, isa("*", ":", "~") + "GS*I$"}},
		{name: "what is no X12", format: policy.FormatX12, in: "hello\nworld", want: []string{"hello\nworld$"}},
		{name: "an interchange too large", format: policy.FormatX12, in: x1 + x1[:106] + strings.Repeat("Z*1~", 100) + "IEA*~", cut: cut{Bytes: 200}, want: []string{x1}, err: errMessage},
		{name: "no end of a segment", format: policy.FormatX12, in: x1[:106] + strings.Repeat("Z", 300_000), cut: cut{Bytes: 200}, err: errMessage},
		{name: "edifact", format: policy.FormatEDIFACT, in: e1 + "\r\n" + e2, want: []string{e1, e2 + "$"}},
		{name: "idocs", format: policy.FormatIDoc, in: strings.Repeat(doc(1), 101), want: []string{"1:" + strings.Repeat(doc(1), 100), "201:" + doc(1) + "$"}},
		{name: "idocs by bytes", format: policy.FormatIDoc, in: doc(1) + doc(2) + doc(3), cut: cut{Bytes: 2*len(doc(1)) + 5}, want: []string{"1:" + doc(1) + doc(2), "5:" + doc(3) + "$"}},
		{name: "an IDoc too large", format: policy.FormatIDoc, in: doc(1) + doc(2) + strings.Repeat("E1EDL24 y\n", 99), cut: cut{Bytes: 100}, want: []string{"1:" + doc(1)}, err: errMessage},
		{name: "idoc xml", format: policy.FormatIDoc, in: "<A><IDOC/></A>", want: []string{"<A><IDOC/></A>$"}},
		{name: "ndjson", format: policy.FormatNDJSON, in: "{}\n[]\n1\n", cut: cut{Rows: 2}, want: []string{"1:{}\n[]\n", "3:1\n$"}},
		{name: "fixed", format: policy.FormatFixed, in: "A 1\nB \" 2\nC 3", cut: cut{Rows: 2}, want: []string{"1:A 1\nB \" 2\n", "3:C 3$"}},
		{name: "csv of a partner", format: policy.FormatCSV, in: "A;\"1\n2\"\n!;\"\nB;2\n", src: policy.Source{CSV: policy.CSV{Delimiter: ";", Columns: []string{"a", "b"}, Comment: "!"}}, cut: cut{Rows: 1}, want: []string{"1:A;\"1\n2\"\n", "4:B;2\n$"}},
		{name: "a document", format: policy.FormatJSON, in: "{}\n", want: []string{"{}\n$"}},
		{name: "a document too large", format: policy.FormatXML, in: "<a>12345</a>", cut: cut{Bytes: 10}, err: errMessage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			src := tc.src
			src.Format = tc.format
			if tc.cut.Bytes == 0 {
				tc.cut.Bytes = policy.MaxMessage
			}
			if tc.cut.Rows == 0 {
				tc.cut.Rows = policy.DefaultPartRows
			}
			if tc.err == nil {
				tc.err = io.EOF
			}
			for name, r := range map[string]io.Reader{"at once": strings.NewReader(tc.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tc.in))} {
				got, err := partsOf(&src, r, tc.cut)
				if !slices.Equal(got, tc.want) || !errors.Is(err, tc.err) {
					t.Errorf("%s: %q %v\nwant %q %v", name, got, err, tc.want, tc.err)
				}
			}
		})
	}
}

// hiccup is a read that fails, of a reader that goes on then.
type hiccup struct{ over bool }

func (h *hiccup) Read([]byte) (int, error) {
	if h.over {
		return 0, io.EOF
	}
	h.over = true
	return 0, errCrash
}

// A read that fails is told of wherever it does: it is no end of the file.
func TestSplitTellsOfReads(t *testing.T) {
	for format, text := range map[string]string{
		policy.FormatX12:     byteMark + isa("*", ":", "~") + "IEA*1*1~\n" + byteMark + isa("*", ":", "~") + "IEA*1*1~" + byteMark,
		policy.FormatEDIFACT: byteMark + "UNB+A'UNZ+1'" + byteMark + "UNA:+.? 'UNB+A'UNZ+1'" + byteMark,
		policy.FormatIDoc:    byteMark + strings.Repeat("EDI_DC40 1\nE1 2\n", 50),
	} {
		src := policy.Source{Format: format}
		for n := range len(text) + 1 {
			r := io.MultiReader(strings.NewReader(text[:n]), &hiccup{}, strings.NewReader(text[n:]))
			if got, err := partsOf(&src, r, cut{Bytes: policy.MaxMessage}); !errors.Is(err, errCrash) {
				t.Errorf("%s, byte %d: %v, %d parts", format, n, err, len(got))
			}
		}
	}
}

// FuzzSplit: the parts of any file are its bytes but for what stands between them, no
// part is larger than it may be, and a file that breaks off is no fault of the file.
func FuzzSplit(f *testing.F) {
	f.Add(isa("*", ":", "~")+"GS*IB~IEA*1*1~ "+isa("|", ">", "'")+"IEA|'", uint8(0))
	f.Add("UNA:+.? 'UNB+A'FTX+?''UNZ+1'UNB+'UNZ+'", uint8(1))
	f.Add("EDI_DC40 1\nE1 2\nEDI_DC40 3\n", uint8(2))
	f.Add("\f", uint8(2))     // not one of the blanks
	f.Add("\ufbab", uint8(0)) // begins as a byte order mark does
	f.Fuzz(func(t *testing.T, text string, format uint8) {
		src := policy.Source{Format: []string{policy.FormatX12, policy.FormatEDIFACT, policy.FormatIDoc}[format%3]}
		s := splitterOf(&src, strings.NewReader(text), cut{Bytes: 300, Rows: 1})
		var all strings.Builder
		for {
			p, err := s.next()
			if err != nil {
				if !errors.Is(err, io.EOF) && faultOf(err) == nil {
					t.Fatal(err)
				}
				if errors.Is(err, io.EOF) && strip(all.String()) != strip(text) {
					t.Fatalf("%q became %q", text, all.String())
				}
				break
			}
			if len(p.body) > 300 || len(p.body) == 0 {
				t.Fatalf("a part of %d bytes", len(p.body))
			}
			all.Write(p.body)
		}
		broken := io.MultiReader(strings.NewReader(text), iotest.ErrReader(errCrash))
		for s := splitterOf(&src, broken, cut{Bytes: 300, Rows: 1}); ; {
			p, err := s.next()
			if err == nil && p.last {
				t.Fatal("a file that breaks off has a last part")
			}
			if err != nil {
				if faultOf(err) == nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				return
			}
		}
	})
}

func strip(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(blanks, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
