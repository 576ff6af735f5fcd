package x12

import (
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// flagsOf are the codes of a tree's flags and of its interchange's.
func flagsOf(u format.Unit) string {
	tree, _ := jq.Plain(u.Tree).(map[string]any)
	of := func(v any) []any {
		m, _ := v.(map[string]any)
		list, _ := m["flags"].([]any)
		return list
	}
	var out []string
	for _, f := range slices.Concat(of(tree["interchange"]), of(tree)) {
		out = append(out, f.(map[string]any)["code"].(string))
	}
	return strings.Join(out, " ")
}

// ids are the segments of a unit's tree.
func ids(u format.Unit) string {
	tree, _ := jq.Plain(u.Tree).(map[string]any)
	list, _ := tree["segments"].([]any)
	var out []string
	for _, s := range list {
		var e []string
		for _, v := range s.(map[string]any)["e"].([]any) {
			text, _ := v.(string)
			e = append(e, text)
		}
		out = append(out, strings.Join(e, "*"))
	}
	return strings.Join(out, " ")
}

// TestQuirks reads what senders write beside the standard.
func TestQuirks(t *testing.T) {
	whole := interchange("*", ">", "~", aSet, 1)
	second := strings.ReplaceAll(aSet, "0001", "0002")
	for _, tc := range []struct{ name, body, codes, flags, segments string }{
		{"a terminator of three bytes", interchange("*", ":", "…", aSet, 1), "ok", "", "W06*N*1"},
		{"and indented", "\xef\xbb\xbf" + strings.ReplaceAll(interchange("*", ":", "…", aSet, 1), "…", "…\r\n      "), "ok", "", "W06*N*1"},
		{"the same in windows-1252", interchange("*", ":", "\x85", aSet, 1), "ok", "not_utf8", "W06*N*1"},
		{"separators of two bytes", interchange("§", "£", "¶", aSet, 1), "ok", "", "W06*N*1"},
		{"a blank before each line end", interchange("*", ">", " \r\n", aSet, 1), "ok", "", "W06*N*1"},
		{"a blank before each terminator", interchange("*", ">", " ~", aSet, 1), "ok", "", "W06*N*1"},
		{"carriage returns", interchange("*", ">", "\r", aSet, 1), "ok", "", "W06*N*1"},
		{"terminator and line end, both", interchange("*", ">", "~\n", aSet, 1), "ok", "", "W06*N*1"},
		{"ISA16 left out", strings.ReplaceAll(interchange("*", ">", "~\n", aSet, 1), "*>~", "*~"), "ok", "", "W06*N*1"},
		{"ISA16 left out, in one line", strings.Replace(whole, "*>~", "*~", 1), "ok", "", "W06*N*1"},
		{"ISA not padded", strings.Replace(whole, "R              ", "R", 1), "ok", "isa_not_106", "W06*N*1"},
		{"ISA padded by characters, not bytes", strings.Replace(whole, "S              ", "S’s            ", 1), "ok", "isa_non_ascii", "W06*N*1"},
		{"text in windows-1252", strings.Replace(whole, "N*1", "N*\xe9", 1), "ok", "not_utf8", "W06*N*é"},
		{"control number without leading zeros", strings.Replace(whole, "IEA*1*000000007", "IEA*1*7", 1), "ok", "control_text", "W06*N*1"},
		{"a set that ends at a line end", strings.Replace(whole, "W06*N*1~", "W06*N*1\r\n  N1*ST~", 1), "x12_missing_terminator", "", "W06*N*1 N1*ST"},
		{
			"SE that ends at a line end", strings.Replace(interchange("*", ">", "~", aSet+second, 2), "SE*3*0001~", "SE*3*0001\n", 1),
			"x12_missing_terminator ok ok", "", "",
		},
		{"a line end inside text", strings.Replace(whole, "W06*N*1~", "W06*N*1\r\nand more~", 1), "ok", "", "W06*N*1\r\nand more"},
		{"run together", strings.Replace(whole, "W06*N*1~", "W06*N*CANQTY*17~", 1), "ok", "run_together", "W06*N*CANQTY*17"},
		{"text that ends so is no fault", strings.Replace(whole, "W06*N*1~", "W06*N*MYREF~", 1), "ok", "", "W06*N*MYREF"},
		{"text in front", "Content-Type: text/plain\r\n\r\n" + whole, "x12_no_isa ok", "", ""},
		{"text between", whole + "thanks!\n" + whole, "ok x12_no_isa ok", "", ""},
		{"ISA damaged, then another", "ISA*00*" + whole, "x12_isa ok", "", ""},
		{"ISA without some elements", strings.Replace(whole, "*ZZ*S  ", "*S~ ", 1), "x12_isa", "", ""},
		{"no set, no group", strings.TrimSuffix(whole, whole[strings.Index(whole, "GS*"):]) + "IEA*0*000000007~", "x12_empty", "", ""},
		{"a group that miscounts and is another's", strings.Replace(whole, "GE*1*70", "GE*2*71", 1), "ok x12_group_count x12_control_number", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			us := units(tc.body)
			if got := codesOf(us); got != tc.codes {
				t.Fatalf("%s, want %s\n%+v", got, tc.codes, us)
			}
			if tc.segments == "" {
				return
			}
			if got := flagsOf(us[0]); got != tc.flags {
				t.Errorf("flags %q, want %q", got, tc.flags)
			}
			if got := ids(us[0]); got != tc.segments {
				t.Errorf("segments %q, want %q", got, tc.segments)
			}
		})
	}
}

// TestWrapped cuts an interchange into lines of 80, in the middle of elements.
func TestWrapped(t *testing.T) {
	text := interchange("*", ">", "~", strings.Replace(aSet, "N*1", "N*"+strings.Repeat("0123456789", 20), 1), 1)
	var b strings.Builder
	for len(text) > 80 {
		b.WriteString(text[:80] + "\r\n")
		text = text[80:]
	}
	us := units(b.String() + text + "\r\n")
	if codesOf(us) != "ok" || ids(us[0]) != "W06*N*"+strings.Repeat("0123456789", 20) {
		t.Errorf("%+v", us)
	}
}

func TestRepetition(t *testing.T) {
	for _, tc := range []struct{ isa11, isa12, want string }{
		{"U", "00401", ""}, {"^", "00401", ""}, {"^", "00402", "^"}, {"^", "00501", "^"}, {"U", "00501", ""}, {"-", "00406", "-"},
	} {
		us := units(strings.Replace(interchange("*", ">", "~", aSet, 1), "*U*00401*", "*"+tc.isa11+"*"+tc.isa12+"*", 1))
		got, _ := jq.Plain(us[0].Tree).(map[string]any)["interchange"].(map[string]any)["repetition"].(string)
		if got != tc.want {
			t.Errorf("ISA11 %s of %s: %q, want %q", tc.isa11, tc.isa12, got, tc.want)
		}
	}
}

// TestBare reads sets and groups without an interchange around them.
func TestBare(t *testing.T) {
	group := "GS*SW*S*R*20261102*1015*70*X*004010~" + aSet + "GE*1*70~"
	for _, tc := range []struct {
		name, body, strict, lenient, segments string
	}{
		{"a set", aSet, "x12_no_isa", "ok", "W06*N*1"},
		{"a set of its own delimiters", strings.NewReplacer("*", "|", "~", "\n").Replace(aSet), "x12_no_isa", "ok", "W06*N*1"},
		{"a set with ST03", strings.Replace(aSet, "0001~W", "0001*005010X231~W", 1), "x12_no_isa", "ok", "W06*N*1"},
		{"two sets", aSet + strings.ReplaceAll(aSet, "0001", "0002"), "x12_no_isa x12_no_isa", "ok ok", "W06*N*1"},
		{"a group", group, "x12_no_isa", "ok", "W06*N*1"},
		{"a group without GE", strings.Replace(group, "GE*1*70~", "", 1), "x12_no_isa x12_missing_ge", "ok x12_missing_ge", "W06*N*1"},
		{"then an interchange", aSet + interchange("|", ":", "\n", aSet, 1), "x12_no_isa ok", "ok ok", "W06*N*1"},
		{"a set cut off", "ST*945*0001~W06*N*1~", "x12_truncated", "x12_truncated", "W06*N*1"},
		{"a set miscounted", strings.Replace(aSet, "SE*3", "SE*4", 1), "x12_segment_count", "x12_segment_count", "W06*N*1"},
		{"not even a set", "ST*945*", "x12_no_isa", "x12_no_isa", ""},
		{"words", "ST. LOUIS, MO", "x12_no_isa", "x12_no_isa", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			us := units(tc.body)
			if got := codesOf(us); got != tc.strict {
				t.Errorf("%s, want %s", got, tc.strict)
			}
			us = slices.Collect(Parse([]byte(tc.body), &policy.Source{X12: policy.X12{Bare: true}}))
			if got := codesOf(us); got != tc.lenient {
				t.Errorf("with bare: %s, want %s", got, tc.lenient)
			}
			if tc.segments != "" && (ids(us[0]) != tc.segments || flagsOf(us[0]) != "no_isa") {
				t.Errorf("with bare: %q, flags %q", ids(us[0]), flagsOf(us[0]))
			}
		})
	}
}
