package x12

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

func units(body string) []format.Unit {
	return slices.Collect(Parse([]byte(body), &policy.Source{}))
}

func codesOf(us []format.Unit) string {
	var out []string
	for _, u := range us {
		code := "ok"
		if u.Fault != nil {
			code = u.Fault.Code
		}
		out = append(out, code)
	}
	return strings.Join(out, " ")
}

// interchange is a message with delimiters in place of *, > and ~.
func interchange(element, component, terminator, sets string, n int) string {
	s := "ISA*00*          *00*          *ZZ*S              *ZZ*R              *261102*1015*U*00401*000000007*0*P*>~" +
		"GS*SW*S*R*20261102*1015*70*X*004010~" + sets + fmt.Sprintf("GE*%d*70~IEA*1*000000007~", n)
	return strings.NewReplacer("*", element, ">", component, "~", terminator).Replace(s)
}

const aSet = "ST*945*0001~W06*N*1~SE*3*0001~"

func TestDelimiters(t *testing.T) {
	for _, d := range [][3]string{
		{"*", ">", "~"}, {"*", ">", "~\r\n"}, {"|", ":", "\n"}, {"^", "\\", "\r\n"}, {"\x1d", "\x1f", "\x1c"}, {"*", ">", "~\n    "},
	} {
		for _, lead := range []string{"", "\xef\xbb\xbf", " \r\n\t"} {
			us := units(lead + interchange(d[0], d[1], d[2], aSet, 1))
			if codesOf(us) != "ok" {
				t.Errorf("delimiters %q after %q: %+v", d, lead, us)
				continue
			}
			tree := jq.Plain(us[0].Tree).(map[string]any)
			seg := tree["segments"].([]any)[0].(map[string]any)
			e := seg["e"].([]any)
			if tree["set"] != "945" || tree["control"] != "0001" || seg["id"] != "W06" || seg["pos"] != 4 || e[0] != "W06" || e[1] != "N" || e[2] != "1" {
				t.Errorf("delimiters %q: %v", d, tree)
			}
		}
	}
}

func TestUnpaddedISA(t *testing.T) {
	us := units("ISA*00**00**ZZ*S*ZZ*R*261102*1015*U*00401*7*0*P*>~GS*SW*S*R*20261102*1015*70*X*004010~" + aSet + "GE*1*70~IEA*1*7~")
	if codesOf(us) != "ok" {
		t.Errorf("%+v", us)
	}
	in := jq.Plain(us[0].Tree).(map[string]any)["interchange"].(map[string]any)
	if in["sender"] != "S" || in["receiver"] != "R" || in["control"] != "7" {
		t.Errorf("%v", in)
	}
}

func TestEnvelopes(t *testing.T) {
	whole := interchange("*", ">", "~", aSet, 1)
	head := whole[:strings.Index(whole, "ST*")]
	for _, tc := range []struct{ name, body, want string }{
		{"two sets", interchange("*", ">", "~", aSet+aSet, 2), "ok ok"},
		{"two interchanges", whole + "\r\n" + whole, "ok ok"},
		{"two interchanges, other delimiters", whole + interchange("|", ":", "\n", aSet, 1), "ok ok"},
		{"two groups", strings.Replace(whole, "IEA*1", "GS*SW*S*R*20261102*1015*71*X*004010~"+aSet+"GE*1*71~IEA*2", 1), "ok ok"},
		{"no terminator at the end", strings.TrimSuffix(whole, "~"), "ok"},
		{"doubled terminators", strings.ReplaceAll(whole, "~", "~~"), "ok"},
		{"control numbers without leading zeros", strings.Replace(whole, "IEA*1*000000007", "IEA*1*7", 1), "ok"},
		{"a count that is no number", strings.Replace(whole, "SE*3", "SE*x", 1), "x12_segment_count"},
		{"no GE", strings.Replace(whole, "GE*1*70~", "", 1), "ok x12_missing_ge"},
		{"no IEA before the next ISA", strings.Replace(whole, "IEA*1*000000007~", "", 1) + whole, "ok x12_missing_iea ok"},
		{"no GS", strings.Replace(whole, "GS*SW*S*R*20261102*1015*70*X*004010~", "", 1), "x12_missing_gs ok x12_interchange_count"},
		{"SE twice", strings.Replace(whole, "GE*1", "SE*3*0001~GE*1", 1), "ok x12_missing_st"},
		{"a segment outside", strings.Replace(whole, "GE*1", "N1*X~N1*Y~GE*1", 1), "ok x12_stray_segment"},
		{"the second is junk", whole + "ISAB", "ok x12_isa"},
		{"text behind", whole + "thanks!", "ok x12_no_isa"},
		{"too many elements", strings.Replace(whole, "W06*N*1", "W06"+strings.Repeat("*", 2000), 1), "x12_elements"},
		{"too many segments", head + strings.Repeat("Q~", format.MaxSegments), "x12_segments"},
		{"too many sets", head + strings.Repeat("ST~", maxSets+1), "x12_sets"},
		{"too many interchanges", strings.Repeat("ISA"+strings.Repeat("*", 16)+">~IEA~", maxInterchanges+1), "x12_interchanges"},
		{"letters as separators", "ISAX00X", "x12_isa"},
		{"a blank as terminator", strings.ReplaceAll(whole, "~", " "), "x12_isa"},
		{"a tab as terminator", strings.ReplaceAll(whole, "~", "\t"), "x12_isa"},
		{"one delimiter for all", strings.Repeat("*", 1) + "ISA", "x12_no_isa"},
		{"empty", " \n", "x12_no_isa"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := codesOf(units(tc.body)); got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}

// TestEveryCut cuts a message at each byte: every set that is whole comes out, no
// cut passes unseen.
func TestEveryCut(t *testing.T) {
	sets := aSet + strings.ReplaceAll(aSet, "0001", "0002")
	whole := interchange("*", ">", "~", sets, 2)
	for n := range len(whole) - 1 { // the last terminator may be missing
		us := units(whole[:n])
		faults := 0
		for _, u := range us {
			if u.Fault != nil {
				faults++
			}
		}
		if faults == 0 {
			t.Fatalf("cut at %d of %d (%q): %s", n, len(whole), whole[max(0, n-12):n], codesOf(us))
		}
	}
}
