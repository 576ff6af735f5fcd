package ack

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format/edifact"
)

const (
	unb = "UNB+UNOC:3+SENDER:14+RECEIVER:ZZ:SUB+261102:1015+REF7'"
	one = "UNH+1+DESADV:D:96A:UN:EAN005'BGM+351+D1+9'UNT+3+1'"
	two = "UNH+2+DESADV:D:96A:UN:EAN005'BGM+351+D2+9'UNT+3+2'"
)

var options = Options{Control: "A42", At: time.Date(2026, 11, 2, 10, 20, 0, 0, time.UTC)}

// answer is the answer to a body of one interchange.
func answer(t *testing.T, body string, o Options) string {
	t.Helper()
	in, _ := edifact.Read([]byte(body))
	if len(in) != 1 {
		t.Fatalf("%d interchanges", len(in))
	}
	b, err := Answer(in[0], o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Answer(in[0], o)
	if err != nil || string(again) != string(b) {
		t.Errorf("another answer the second time: %s", again)
	}
	// Our own reader takes it: counts and references are right.
	for u := range edifact.Parse(b, &policy.Source{}) {
		if u.Fault != nil && len(b) > 0 {
			t.Errorf("%+v of %s", u.Fault, b)
		}
	}
	return string(b)
}

// body is what an answer says between its envelopes.
func body(answer string) string {
	parts := strings.Split(strings.TrimSuffix(answer, "'"), "'")
	if len(parts) < 4 {
		return answer
	}
	return strings.Join(parts[2:len(parts)-2], " ")
}

func TestWhole(t *testing.T) {
	got := answer(t, unb+one+two+"UNZ+2+REF7'", options)
	want := "UNB+UNOC:3+RECEIVER:ZZ:SUB+SENDER:14+261102:1020+A42'UNH+1+CONTRL:D:3:UN'" +
		"UCI+REF7+SENDER:14+RECEIVER:ZZ:SUB+7'UNT+3+1'UNZ+1+A42'"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestSyntax4(t *testing.T) {
	got := answer(t, "UNA:+.?*'"+strings.Replace(unb, "UNOC:3", "UNOC:4", 1)+one+"UNZ+1+REF7'", options)
	want := "UNA:+.?*'UNB+UNOC:4+RECEIVER:ZZ:SUB+SENDER:14+20261102:1020+A42'UNH+1+CONTRL:4:1:UN'" +
		"UCI+REF7+SENDER:14+RECEIVER:ZZ:SUB+7'UNT+3+1'UNZ+1+A42'"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestStatus is what each fault of a received interchange becomes.
func TestStatus(t *testing.T) {
	const (
		uci   = "UCI+REF7+SENDER:14+RECEIVER:ZZ:SUB+"
		group = "UNG+DESADV+SA+RA+261102:1015+G1+UN+D:96A'"
		id    = "DESADV:D:96A:UN:EAN005"
	)
	for _, tc := range []struct{ name, body, want string }{
		{"a message miscounted", unb + strings.Replace(one, "UNT+3", "UNT+4", 1) + two + "UNZ+2+REF7'", uci + "7 UCM+1+" + id + "+4+29+UNT"},
		{"UNT of another", unb + strings.Replace(one, "UNT+3+1", "UNT+3+9", 1) + two + "UNZ+2+REF7'", uci + "7 UCM+1+" + id + "+4+28+UNT"},
		{"no UNT", unb + "UNH+1+" + id + "'BGM+1'" + two + "UNZ+2+REF7'", uci + "7 UCM+1+" + id + "+4+13+UNT"},
		{"the only message miscounted", unb + strings.Replace(one, "UNT+3", "UNT+4", 1) + "UNZ+1+REF7'", uci + "4+18 UCM+1+" + id + "+4+29+UNT"},
		{
			"too many components", unb + strings.Replace(one, "BGM+351", "BGM+1"+strings.Repeat(":", 200), 1) + two + "UNZ+2+REF7'",
			uci + "7 UCM+1+" + id + "+4 UCS+2+16",
		},
		{
			"a terminator missing", unb + strings.Replace(one, "BGM+351+D1+9'", "BGM+351\nDTM+1'", 1) + two + "UNZ+2+REF7'",
			uci + "7 UCM+1+" + id + "+4+29+UNT UCS+2+22",
		},
		{"UNZ miscounts", unb + one + "UNZ+2+REF7'", uci + "7+29+UNZ"},
		{"UNZ of another", unb + one + "UNZ+1+REF8'", uci + "7+28+UNZ"},
		{"no UNZ", unb + one, uci + "7+13+UNZ"},
		{"cut in the only message", unb + "UNH+1+" + id + "'BGM+1'", uci + "4+13+UNZ UCM+1+" + id + "+4+13+UNT"},
		{"nothing in it", unb + "UNZ+0+REF7'", uci + "4+32+UNB"},
		{"UNH damaged", unb + "NH+1+" + id + "'BGM+1'UNT+3+1'" + two + "UNZ+2+REF7'", uci + "7+33"},
		{"groups", unb + group + one + "UNE+1+G1'UNZ+1+REF7'", uci + "7"},
		{
			"a message of a group miscounted", unb + group + strings.Replace(one, "UNT+3", "UNT+4", 1) + two + "UNE+2+G1'UNZ+1+REF7'",
			uci + "7 UCF+G1+SA+RA+7 UCM+1+" + id + "+4+29+UNT",
		},
		{"UNE miscounts", unb + group + one + "UNE+2+G1'UNZ+1+REF7'", uci + "7 UCF+G1+SA+RA+7+29+UNE"},
		{"UNE of another", unb + group + one + "UNE+1+G2'UNZ+1+REF7'", uci + "7 UCF+G1+SA+RA+7+28+UNE"},
		{"no UNE", unb + group + one + "UNZ+1+REF7'", uci + "7 UCF+G1+SA+RA+7+13+UNE"},
		{
			"a group of nothing whole", unb + group + strings.Replace(one, "UNT+3", "UNT+4", 1) + "UNE+1+G1'" + strings.Replace(group, "G1", "G2", 1) + one + "UNE+1+G2'UNZ+2+REF7'",
			uci + "7 UCF+G1+SA+RA+4+18 UCM+1+" + id + "+4+29+UNT",
		},
		{"groups and messages", unb + group + one + "UNE+1+G1'" + two + "UNZ+1+REF7'", uci + "7+30"},
		{"CONTRL", unb + "UNH+1+CONTRL:D:3:UN'UCI+1+A+B+7'UNT+3+1'UNZ+1+REF7'", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := body(answer(t, tc.body, options)); got != tc.want {
				t.Errorf("%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	o := options
	o.Notes = []Note{
		{Message: "1", At: 2, Elements: []Element{{Number: 3, Code: "12"}, {Number: 2, Component: 1, Code: "13"}}},
		{Message: "2", At: 2, Code: "15", Reject: true},
		{Message: "3", At: 2, Code: "15"},
	}
	got := body(answer(t, unb+one+two+"UNZ+2+REF7'", o))
	want := "UCI+REF7+SENDER:14+RECEIVER:ZZ:SUB+7 UCM+1+DESADV:D:96A:UN:EAN005+7 UCS+2 UCD+12+3 UCD+13+2:1 UCM+2+DESADV:D:96A:UN:EAN005+4 UCS+2+15"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestServiceCharacters answers by the service characters, the release characters
// and the bytes of the received interchange.
func TestServiceCharacters(t *testing.T) {
	received := "UNA:+.? '" + strings.Replace(unb, "SENDER", "A?+B", 1) + one + "UNZ+2+REF7'"
	plain := answer(t, received, options)
	if !strings.Contains(plain, "UCI+REF7+A?+B:14+RECEIVER:ZZ:SUB+7+29+UNZ'") {
		t.Error(plain)
	}
	r := strings.NewReplacer(":", "|", "+", "!", "?", "\\", "'", "~")
	if got := answer(t, r.Replace(received), options); got != r.Replace(plain) {
		t.Errorf("%s, want %s", got, r.Replace(plain))
	}
	// Level B's own, which do not print.
	r = strings.NewReplacer(":", "\x1f", "+", "\x1d", "'", "\x1c", "UNOC", "UNOB")
	bare := unb + strings.Replace(one, "UNT+3", "UNT+4", 1) + "UNZ+2+REF7'"
	if got, want := answer(t, r.Replace(bare), options), r.Replace(answer(t, bare, options)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// Control characters are not given back; the message is named by what is left.
	if got := answer(t, unb+one+strings.Replace(strings.Replace(one, "UNT+3", "UNT+4", 1), "UNH+1+", "UNH+M\xfc\n\x019+\x7f", 1)+"UNZ+2+REF7'", options); !strings.Contains(got, "UCM+M\xfc9+DESADV:D:96A:UN:EAN005+4") {
		t.Errorf("%q", got)
	}
	// Nor is a name of a hundred components.
	if got := answer(t, unb+one+strings.Replace(strings.Replace(one, "UNT+3", "UNT+4", 1), "EAN005", "EAN005"+strings.Repeat(":", 60), 1)+"UNZ+2+REF7'", options); !strings.Contains(got, "UCM+1++4") {
		t.Errorf("%q", got)
	}
	latin1 := answer(t, strings.Replace(unb, "SENDER", "M\xfcLLER", 1)+one+"UNZ+1+REF7'", options)
	if !strings.Contains(latin1, "+M\xfcLLER:14+261102") {
		t.Errorf("%q", latin1)
	}
	// A test is answered by a test.
	if got := answer(t, strings.Replace(unb, "REF7", "REF7++++++1", 1)+one+"UNZ+1+REF7'", options); !strings.Contains(got, "+261102:1020+A42++++++1'") {
		t.Error(got)
	}
}

func TestRefused(t *testing.T) {
	in, _ := edifact.Read([]byte(unb + one + "UNZ+1+REF7'"))
	for _, control := range []string{"", "A+B", "012345678901234"} {
		if b, err := Answer(in[0], Options{Control: control}); err == nil {
			t.Errorf("%q: %s", control, b)
		}
	}
	in, _ = edifact.Read([]byte(strings.Replace(unb, "SENDER", "SENDER"+strings.Repeat(":", 99), 1) + one + "UNZ+1+REF7'"))
	if b, err := Answer(in[0], options); err == nil {
		t.Errorf("a sender of a hundred components: %s", b)
	}
	in, _ = edifact.Read([]byte("UNB+UNOC:3'" + one + "UNZ+1+REF7'"))
	if b, err := Answer(in[0], options); err == nil {
		t.Errorf("nobody to answer: %s", b)
	}
}

// FuzzAnswer answers anything that reads as an interchange: the answer reads too.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(unb + one + two + "UNZ+2+REF7'"))
	f.Add([]byte("UNA:+.? '" + strings.Replace(unb, "SENDER", "A?+B", 1) + "UNH+1+X'BGM+1'"))
	f.Add([]byte(unb + "UNG+DESADV+SA+RA+261102:1015+G1+UN+D:96A'" + one + "UNE+2+G1'UNZ+1+REF7'"))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, _ := edifact.Read(body)
		for _, i := range in {
			b, err := Answer(i, options)
			if err != nil || len(b) == 0 || !utf8.Valid(b) { // names are given back as they came
				continue
			}
			back, faults := edifact.Read(b)
			if len(back) != 1 || len(faults) != 0 || len(back[0].Faults) != 0 || len(back[0].Messages) != 1 || len(back[0].Messages[0].Faults) != 0 {
				t.Fatalf("%+v, %v: %q", back, faults, b)
			}
		}
	})
}
