package ack

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format/x12"
)

const (
	isa = "ISA*00*          *00*          *ZZ*SENDER         *12*5551234567     *261102*1015*U*00401*000000007*0*P*>~"
	gs  = "GS*SW*SAPP*RAPP*20261102*1015*70*X*004010~"
	one = "ST*945*0001~W06*N*1~SE*3*0001~"
	two = "ST*945*0002~W06*N*2~SE*3*0002~"
	end = "IEA*1*000000007~"
)

var options = Options{Control: 42, Group: 9, At: time.Date(2026, 11, 2, 10, 20, 0, 0, time.UTC)}

// answer is the answer to a body of one interchange.
func answer(t *testing.T, body string, o Options) string {
	t.Helper()
	in, faults := x12.Read([]byte(body))
	if len(in) != 1 || len(faults) != 0 {
		t.Fatalf("%d interchanges, %v", len(in), faults)
	}
	b, err := Answer(in[0], o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Answer(in[0], o)
	if err != nil || string(again) != string(b) {
		t.Errorf("another answer the second time: %s", again)
	}
	return string(b)
}

// own checks that our own reader takes an answer: counts, control numbers and ISA
// widths are right.
func own(t *testing.T, answer string) {
	t.Helper()
	for u := range x12.Parse([]byte(answer), &policy.Source{}) {
		// An interchange of a TA1 alone has no sets (X12.56).
		if u.Fault != nil && (u.Fault.Code != "x12_stray_segment" || !strings.Contains(u.Fault.Reason, "TA1")) {
			t.Errorf("%+v of %s", u.Fault, answer)
		}
		if tree, ok := jq.Plain(u.Tree).(map[string]any); ok {
			flags := fmt.Sprint(tree["interchange"].(map[string]any)["flags"])
			if recoded := strings.Contains(answer, "\x85"); flags != "<nil>" && (!recoded || flags != "[map[code:not_utf8 pos:1]]") {
				t.Errorf("flags %s of %q", flags, answer)
			}
		}
	}
}

// body is what an answer says between its envelopes.
func body(answer string) string {
	var out []string
	for s := range strings.SplitSeq(strings.TrimSuffix(answer, "~"), "~") {
		id, _, _ := strings.Cut(s, "*")
		if !slices.Contains([]string{"ISA", "GS", "ST", "SE", "GE", "IEA"}, id) {
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func TestWhole997(t *testing.T) {
	got := answer(t, isa+gs+one+two+"GE*2*70~"+end, options)
	own(t, got)
	want := "ISA*00*          *00*          *12*5551234567     *ZZ*SENDER         *261102*1020*U*00401*000000042*0*P*>~" +
		"GS*FA*RAPP*SAPP*20261102*1020*9*X*004010~ST*997*0001~AK1*SW*70~AK2*945*0001~AK5*A~AK2*945*0002~AK5*A~AK9*A*2*2*2~" +
		"SE*8*0001~GE*1*9~IEA*1*000000042~"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestWhole999(t *testing.T) {
	o := options
	o.Kind = Implementation
	o.Notes = []Note{{
		Group: "70", Set: "0002", Segment: "W06", At: 2, Loop: "0100",
		Elements: []Element{{Number: 2, Component: 1, Repetition: 3, Reference: "285", Code: "7", Value: "2"}, {Number: 3, Repetition: 2, Code: "1"}},
	}}
	received := strings.NewReplacer("*U*00401*", "*^*00501*", "004010~", "005010~", "ST*945*0001~", "ST*945*0001*005010X~").Replace(isa + gs + one + two + "GE*2*70~" + end)
	got := answer(t, received, o)
	own(t, got)
	want := "ISA*00*          *00*          *12*5551234567     *ZZ*SENDER         *261102*1020*^*00501*000000042*0*P*>~" +
		"GS*FA*RAPP*SAPP*20261102*1020*9*X*005010X231A1~ST*999*0001*005010X231A1~AK1*SW*70*005010~AK2*945*0001*005010X~IK5*A~" +
		"AK2*945*0002~IK3*W06*2*0100*8~IK4*2>1>3*285*7*2~IK4*3>>2**1~IK5*E*5~AK9*E*2*2*2~SE*11*0001~GE*1*9~IEA*1*000000042~"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestStatus is what each fault of a received interchange becomes.
func TestStatus(t *testing.T) {
	long := "W06" + strings.Repeat("*x", 1001) + "~"
	for _, tc := range []struct{ name, body, want string }{
		{
			"a set miscounted", isa + gs + strings.Replace(one, "SE*3", "SE*4", 1) + two + "GE*2*70~" + end,
			"AK1*SW*70 AK2*945*0001 AK5*R*4 AK2*945*0002 AK5*A AK9*P*2*2*1",
		},
		{
			"SE of another", isa + gs + strings.Replace(one, "SE*3*0001", "SE*3*0009", 1) + "GE*1*70~" + end,
			"AK1*SW*70 AK2*945*0001 AK5*R*3 AK9*R*1*1*0",
		},
		{
			"SE of another, and miscounted", isa + gs + strings.Replace(one, "SE*3*0001", "SE*4*0009", 1) + "GE*1*70~" + end,
			"AK1*SW*70 AK2*945*0001 AK5*R*4*3 AK9*R*1*1*0",
		},
		{
			"no SE", isa + gs + "ST*945*0001~W06*N~" + two + "GE*2*70~" + end,
			"AK1*SW*70 AK2*945*0001 AK5*R*2 AK2*945*0002 AK5*A AK9*P*2*2*1",
		},
		{
			"too many elements", isa + gs + "ST*945*0001~" + long + "SE*3*0001~GE*1*70~" + end,
			"AK1*SW*70 AK2*945*0001 AK3*W06*2**8 AK4*1001**3 AK5*R*5 AK9*R*1*1*0",
		},
		{
			"a terminator missing", isa + gs + "ST*945*0001~W06*N\nN1*ST~SE*4*0001~GE*1*70~" + end,
			"AK1*SW*70 AK2*945*0001 AK3*W06*2**8 AK5*R*5 AK9*R*1*1*0",
		},
		{
			"no set identifier", isa + gs + "ST**0001~SE*2*0001~GE*1*70~" + end,
			"AK1*SW*70 AK2**0001 AK5*R*6 AK9*R*1*1*0",
		},
		{
			"no set control number", isa + gs + "ST*945~SE*2~GE*1*70~" + end,
			"AK1*SW*70 AK2*945 AK5*R*7 AK9*R*1*1*0",
		},
		{"GE miscounts", isa + gs + one + "GE*3*70~" + end, "AK1*SW*70 AK2*945*0001 AK5*A AK9*E*3*1*1*5"},
		{"GE of another, and miscounts", isa + gs + one + "GE*3*71~" + end, "AK1*SW*70 AK2*945*0001 AK5*A AK9*E*3*1*1*5*4"},
		{"no GE", isa + gs + one + end, "AK1*SW*70 AK2*945*0001 AK5*A AK9*E*1*1*1*3"},
		{"a group of nothing", isa + gs + "GE*0*70~" + end, "AK1*SW*70 AK9*R*0*0*0"},
		{
			"two groups", isa + gs + one + "GE*1*70~" + strings.Replace(gs, "*70*", "*71*", 1) + strings.Replace(one, "SE*3", "SE*9", 1) + "GE*1*71~IEA*2*000000007~",
			"AK1*SW*70 AK2*945*0001 AK5*A AK9*A*1*1*1 AK1*SW*71 AK2*945*0001 AK5*R*4 AK9*R*1*1*0",
		},
		{
			"both groups miscount", isa + gs + one + "GE*2*70~" + strings.Replace(gs, "*70*", "*71*", 1) + one + "GE*2*71~IEA*2*000000007~",
			"AK1*SW*70 AK2*945*0001 AK5*A AK9*E*2*1*1*5 AK1*SW*71 AK2*945*0001 AK5*A AK9*E*2*1*1*5",
		},
		{
			"IEA miscounts", isa + gs + one + "GE*1*70~IEA*2*000000007~",
			"TA1*000000007*261102*1015*E*021 AK1*SW*70 AK2*945*0001 AK5*A AK9*A*1*1*1",
		},
		{
			"IEA of another", isa + gs + one + "GE*1*70~IEA*1*000000008~",
			"TA1*000000007*261102*1015*E*001 AK1*SW*70 AK2*945*0001 AK5*A AK9*A*1*1*1",
		},
		{"no IEA", isa + gs + one + "GE*1*70~", "TA1*000000007*261102*1015*E*023 AK1*SW*70 AK2*945*0001 AK5*A AK9*A*1*1*1"},
		{"cut in a set", isa + gs + "ST*945*0001~W06*N~", "TA1*000000007*261102*1015*R*023 AK1*SW*70 AK2*945*0001 AK5*R*2 AK9*R*1*1*0*3"},
		{"no group around a set", isa + one + "IEA*0*000000007~", "TA1*000000007*261102*1015*R*022"},
		{"nothing in it", isa + "IEA*0*000000007~", "TA1*000000007*261102*1015*R*024"},
		{
			"TA1 asked for", strings.Replace(isa, "*0*P*", "*1*P*", 1) + gs + one + "GE*1*70~" + end,
			"TA1*000000007*261102*1015*A*000 AK1*SW*70 AK2*945*0001 AK5*A AK9*A*1*1*1",
		},
		{"an acknowledgement", isa + strings.Replace(gs, "GS*SW", "GS*FA", 1) + "ST*997*0001~AK1*OW*1~AK9*A*1*1*1~SE*4*0001~GE*1*70~" + end, ""},
		{
			"an acknowledgement beside a group", isa + strings.Replace(gs, "GS*SW", "GS*FA", 1) + "GE*0*70~" + gs + one + "GE*1*70~IEA*2*000000007~",
			"AK1*SW*70 AK2*945*0001 AK5*A AK9*A*1*1*1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := answer(t, tc.body, options)
			if b := body(got); b != tc.want {
				t.Errorf("%s\nwant\n%s", b, tc.want)
			}
			if got != "" {
				own(t, got)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	o := options
	o.Notes = []Note{
		{Group: "70", Set: "0001", Segment: "W12", At: 4, Code: "3", Reject: true},
		{Group: "70", Set: "0002", Segment: "W06", At: 2, Elements: []Element{{Number: 3, Reference: "373", Code: "8", Value: "20*26~1>1\n32" + strings.Repeat("9", 120)}}},
		{Group: "71", Set: "0002", Segment: "ZZZ", At: 9},
	}
	got := answer(t, isa+gs+one+two+"GE*2*70~"+end, o)
	own(t, got)
	want := "AK1*SW*70 AK2*945*0001 AK3*W12*4**3 AK5*R*5 AK2*945*0002 AK3*W06*2**8 AK4*3*373*8*20261132" + strings.Repeat("9", 91) + " AK5*E*5 AK9*P*2*2*1"
	if b := body(got); b != want {
		t.Errorf("%s\nwant\n%s", b, want)
	}
}

// TestDelimiters answers by the delimiters of the received interchange.
func TestDelimiters(t *testing.T) {
	received := isa + gs + one + "GE*2*70~" + end
	for _, d := range [][3]string{{"|", ":", "\n"}, {"^", "\\", "\r"}, {"\x1d", "\x1f", "\x1c"}, {"*", ":", "…"}, {"*", ":", "\x85"}} {
		r := strings.NewReplacer("*", d[0], ">", d[1], "~", d[2])
		got := answer(t, r.Replace(received), options)
		own(t, got)
		want := r.Replace(answer(t, received, options))
		if got != want {
			t.Errorf("%q: %q, want %q", d, got, want)
		}
	}
	// ISA16 left out.
	got := answer(t, strings.NewReplacer("*>~", "*~", "~", "~\n").Replace(received), options)
	own(t, got)
}

// TestOld answers in the date of the version: six digits before 004010.
func TestOld(t *testing.T) {
	got := answer(t, strings.Replace(isa+gs+one+"GE*1*70~"+end, "X*004010", "X*003040UCS", 1), options)
	own(t, got)
	if !strings.Contains(got, "GS*FA*RAPP*SAPP*261102*1020*9*X*003040~") {
		t.Error(got)
	}
}

func TestRefused(t *testing.T) {
	in, _ := x12.Read([]byte(isa + gs + one + "GE*1*70~" + end))
	bare, _ := x12.Read([]byte(one))
	for name, f := range map[string]func() ([]byte, error){
		"no control number": func() ([]byte, error) { return Answer(in[0], Options{Group: 1}) },
		"no group number":   func() ([]byte, error) { return Answer(in[0], Options{Control: 1}) },
		"ten digits":        func() ([]byte, error) { return Answer(in[0], Options{Control: 1_000_000_000, Group: 1}) },
		"another kind":      func() ([]byte, error) { return Answer(in[0], Options{Kind: "824", Control: 1, Group: 1}) },
		"no ISA":            func() ([]byte, error) { return Answer(bare[0], options) },
	} {
		if b, err := f(); err == nil {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// FuzzAnswer answers anything that reads as an interchange: the answer reads too.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(isa + gs + one + two + "GE*2*70~" + end))
	f.Add([]byte(isa + gs + "ST*945*0001~W06*N~"))
	f.Add([]byte(strings.ReplaceAll(isa+gs+one+end, "~", "…")))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, _ := x12.Read(body)
		for _, i := range in {
			b, err := Answer(i, options)
			if err != nil || len(b) == 0 {
				continue
			}
			back, faults := x12.Read(b)
			if len(back) != 1 || len(faults) != 0 {
				t.Fatalf("%d interchanges, %v: %q", len(back), faults, b)
			}
			for _, g := range back[0].Groups {
				if len(g.Faults) > 0 || len(g.Sets) != 1 || len(g.Sets[0].Faults) > 0 {
					t.Fatalf("%s: %q", fmt.Sprint(g), b)
				}
			}
		}
	})
}

// A duplicate is refused as a whole, whatever it asks for and whatever it is like.
func TestDuplicate(t *testing.T) {
	o := options
	o.Duplicate = true
	for _, received := range []string{isa + gs + one + "GE*1*70~" + end, isa + gs + one + "GE*2*70~IEA*1*000000009~", strings.Replace(isa, "*0*P*", "*1*P*", 1) + "IEA*0*000000007~"} {
		got := answer(t, received, o)
		own(t, got)
		if b := body(got); b != "TA1*000000007*261102*1015*R*025" {
			t.Errorf("%s", got)
		}
	}
}
