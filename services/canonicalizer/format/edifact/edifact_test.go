package edifact

import (
	"encoding/json"
	"fmt"
	"reflect"
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

const (
	unb      = "UNB+UNOC:3+S:14+R:ZZ+261102:1015+7++DESADV++1++1'"
	aMessage = "UNH+1+DESADV:D:96A:UN:EAN005'BGM+351+D1+9'LIN+1++123:EN'UNT+4+1'"
	whole    = unb + aMessage + "UNZ+1+7'"
)

func other(message, ref string) string {
	return strings.NewReplacer("UNH+1+", "UNH+"+ref+"+", "UNT+4+1'", "UNT+4+"+ref+"'").Replace(message)
}

// tree is the tree of a unit as JSON would have it.
func tree(t *testing.T, u format.Unit) map[string]any {
	t.Helper()
	m, ok := jq.Plain(u.Tree).(map[string]any)
	if !ok {
		t.Fatalf("no tree: %+v", u)
	}
	return m
}

// elements are the e of segment n of a unit.
func elements(t *testing.T, u format.Unit, n int) []any {
	t.Helper()
	return tree(t, u)["segments"].([]any)[n].(map[string]any)["e"].([]any)
}

func TestTree(t *testing.T) {
	us := units("\xef\xbb\xbfUNA:+,? '\r\n" + strings.ReplaceAll(whole, "'", "'\r\n  "))
	if codesOf(us) != "ok" {
		t.Fatalf("%+v", us)
	}
	b, err := json.Marshal(us[0].Tree)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"control":"1","decimal":",","group":null,` +
		`"interchange":{"ack_requested":true,"agreement":null,"application":"DESADV","control":"7","date":"261102","receiver":"R",` +
		`"receiver_qualifier":"ZZ","sender":"S","sender_qualifier":"14","syntax":"UNOC","syntax_version":"3","test":true,"time":"1015"},` +
		`"pos":2,"segments":[{"e":["BGM","351","D1","9"],"id":"BGM","pos":3},{"e":["LIN","1",null,["123","EN"]],"id":"LIN","pos":4}],` +
		`"set":"DESADV","version":{"agency":"UN","association":"EAN005","release":"96A","version":"D"}}`
	if string(b) != want {
		t.Errorf("%s\nwant\n%s", b, want)
	}
}

// TestElements is the rule for the value of an element, with each kind of service
// character.
func TestElements(t *testing.T) {
	list := func(v ...any) []any { return v }
	for _, tc := range []struct {
		name, una, version, segment string
		want                        []any
	}{
		{"simple and composite", "", "3", "QTY+21:480:PCE+x", list("QTY", list("21", "480", "PCE"), "x")},
		{"empty", "", "3", "NAD+ST+++::9+", list("NAD", "ST", nil, nil, list(nil, nil, "9"), nil)},
		{"released", "", "3", "FTX+A?+B?:C??D?'E:F", list("FTX", list("A+B:C?D'E", "F"))},
		{"a released release at the end", "", "3", "FTX+A??", list("FTX", "A?")},
		{"no repetition before syntax 4", "UNA:+.?*'", "3", "PIA+1+A*B", list("PIA", "1", "A*B")},
		{"repetition by default", "", "4", "PIA+1+A:B*C+D", list("PIA", "1", list(list("A", "B"), list("C")), "D")},
		{"repetition by UNA", "UNA:+.?^'", "4", "PIA+1+A^B*C", list("PIA", "1", list(list("A"), list("B*C")))},
		{"a repetition released", "", "4", "PIA+A?*B", list("PIA", "A*B")},
		{"other characters", "UNA|!,\\ ~", "3", "FTX!A\\!B|C", list("FTX", list("A!B", "C"))},
		{"no release character", "UNA:+.  '", "3", "FTX+A?+B", list("FTX", "A?", "B")},
		{"a wrapped line", "", "3", "FTX+AB\r\nCD", list("FTX", "ABCD")},
		{"blanks", "", "3", "FTX+ A : B ", list("FTX", list("A", "B"))},
		{"explicit nesting of a tag", "", "3", "LIN:1+5", list(list("LIN", "1"), "5")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := levelA
			if tc.una != "" {
				c = Service{tc.una[3], tc.una[4], tc.una[5], tc.una[6], tc.una[7], tc.una[8]}
			}
			head := strings.NewReplacer(":", string(c.Component), "+", string(c.Element), "'", string(c.Terminator))
			body := tc.una + head.Replace("UNB+UNOC:"+tc.version+"+S+R+261102:1015+7'UNH+1+X:D:96A:UN'") + tc.segment +
				head.Replace("'UNT+3+1'UNZ+1+7'")
			us := units(body)
			if codesOf(us) != "ok" {
				t.Fatalf("%q: %+v", body, us)
			}
			if got := elements(t, us[0], 0); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%q: %v, want %v", tc.segment, got, tc.want)
			}
			if id := tree(t, us[0])["segments"].([]any)[0].(map[string]any)["id"]; id != tc.segment[:3] {
				t.Errorf("id %v", id)
			}
		})
	}
}

func TestDecimalMark(t *testing.T) {
	for una, want := range map[string]any{"": nil, "UNA:+.? '": ".", "UNA:+,? '": ","} {
		if got := tree(t, units(una + whole)[0])["decimal"]; got != want {
			t.Errorf("%q: %v, want %v", una, got, want)
		}
	}
	if got := tree(t, units("UNA:+,?*'" + strings.Replace(whole, "UNOC:3", "UNOC:4", 1))[0])["decimal"]; got != nil {
		t.Errorf("syntax 4: %v: its UNA has no decimal mark", got)
	}
}

func TestCharacterSets(t *testing.T) {
	for _, tc := range []struct{ syntax, bytes, text, code, flag string }{
		{"UNOA", "ABC", "ABC", "ok", ""},
		{"UNOA", "\xe4", "ä", "ok", "non_ascii"},
		{"UNOB", "ä", "ä", "ok", "non_ascii"},
		{"UNOC", "\xe4\xd6", "äÖ", "ok", ""},
		{"UNOC", "äÖ", "äÖ", "ok", "utf8"}, // says Latin-1, sends UTF-8
		{"UNOD", "\xb1", "ą", "ok", ""},
		{"UNOE", "\xb4", "Д", "ok", ""},
		{"UNOF", "\xe1", "α", "ok", ""},
		{"UNOK", "\xfe", "ş", "ok", ""},
		{"UNOL", "\xa4", "€", "ok", ""},
		{"UNOW", "€", "€", "ok", ""},
		{"UNOY", "€", "€", "ok", ""},
		{"UNOW", "\xe4", "\ufffd", "edifact_charset", ""},
		{"XXXX", "\xe4", "\ufffd", "edifact_charset", ""},
	} {
		t.Run(tc.syntax+" "+tc.text, func(t *testing.T) {
			us := units("UNB+" + tc.syntax + ":3+S+R+261102:1015+7'UNH+1+X:D:96A:UN'FTX+" + tc.bytes + "'UNT+3+1'UNZ+1+7'")
			if codesOf(us) != tc.code {
				t.Fatalf("%+v", us)
			}
			if got := elements(t, us[0], 0)[1]; got != tc.text {
				t.Errorf("%q, want %q", got, tc.text)
			}
			if got := flags(t, us[0]); got != tc.flag {
				t.Errorf("flags %q, want %q", got, tc.flag)
			}
		})
	}
	if us := units("\xff\xfeU\x00N\x00B\x00"); codesOf(us) != "edifact_charset" {
		t.Errorf("UTF-16: %+v", us)
	}
}

func flags(t *testing.T, u format.Unit) string {
	t.Helper()
	list, _ := tree(t, u)["interchange"].(map[string]any)["flags"].([]any)
	var out []string
	for _, f := range list {
		out = append(out, f.(map[string]any)["code"].(string))
	}
	return strings.Join(out, " ")
}

func TestEnvelopes(t *testing.T) {
	group := func(code, ref, messages string, n int) string {
		return fmt.Sprintf("UNG+%s+S:14+R:ZZ+261102:1015+%s+UN+D:96A'%sUNE+%d+%s'", code, ref, messages, n, ref)
	}
	two := other(aMessage, "2")
	for _, tc := range []struct{ name, body, want string }{
		{"one", whole, "ok"},
		{"two messages", unb + aMessage + two + "UNZ+2+7'", "ok ok"},
		{"two interchanges", whole + "\r\n\r\n" + whole, "ok ok"},
		{"two interchanges, other characters", whole + "UNA|!.? ~" + strings.NewReplacer(":", "|", "+", "!", "'", "~").Replace(whole), "ok ok"},
		{"two groups", unb + group("DESADV", "1", aMessage+two, 2) + group("ORDERS", "2", aMessage, 1) + "UNZ+2+7'", "ok ok ok"},
		{"UNOB of its own characters", strings.NewReplacer(":", "\x1f", "+", "\x1d", "'", "\x1c").Replace(whole), "ok"},
		{"newline ends segments", "UNA:+.? \r\n" + strings.ReplaceAll(whole, "'", "\r\n"), "ok"},
		{"no terminator at the end", strings.TrimSuffix(whole, "'"), "ok"},
		{"doubled terminators", strings.ReplaceAll(whole, "'", "''"), "ok"},
		{"references with leading zeros", strings.Replace(whole, "UNZ+1+7", "UNZ+1+007", 1), "ok"},
		{"segments miscounted", strings.Replace(whole, "UNT+4", "UNT+5", 1), "edifact_segment_count"},
		{"a count that is no number", strings.Replace(whole, "UNT+4", "UNT+x", 1), "edifact_segment_count"},
		{"UNT of another", strings.Replace(whole, "UNT+4+1", "UNT+4+2", 1), "edifact_control_number"},
		{"messages miscounted", strings.Replace(whole, "UNZ+1", "UNZ+2", 1), "ok edifact_message_count"},
		{"UNZ of another", strings.Replace(whole, "UNZ+1+7", "UNZ+1+8", 1), "ok edifact_control_number"},
		{"group miscounted", unb + group("DESADV", "1", aMessage, 2) + "UNZ+1+7'", "ok edifact_message_count"},
		{"groups miscounted", unb + group("DESADV", "1", aMessage, 1) + "UNZ+2+7'", "ok edifact_group_count"},
		{"UNE of another", unb + strings.Replace(group("DESADV", "1", aMessage, 1), "UNE+1+1", "UNE+1+9", 1) + "UNZ+1+7'", "ok edifact_control_number"},
		{"no UNE", unb + strings.Replace(group("DESADV", "1", aMessage, 1), "UNE+1+1'", "", 1) + "UNZ+1+7'", "ok edifact_missing_une"},
		{"no UNG", unb + aMessage + "UNE+1+1'UNZ+1+7'", "ok edifact_missing_ung"},
		{"outside the groups", unb + group("DESADV", "1", aMessage, 1) + two + "UNZ+1+7'", "ok edifact_missing_ung ok"},
		{"no UNT", unb + "UNH+1+DESADV:D:96A:UN'BGM+351'" + two + "UNZ+2+7'", "edifact_missing_unt ok"},
		{"no UNZ", unb + aMessage, "ok edifact_truncated"},
		{"no UNZ before the next", unb + aMessage + whole, "ok edifact_missing_unz ok"},
		{"cut in a message", unb + aMessage + "UNH+2+X:D:96A:UN'BGM+351'", "ok edifact_truncated"},
		{"UNH damaged", unb + "NH+1+DESADV:D:96A:UN'BGM+351'UNT+3+1'" + two + "UNZ+2+7'", "edifact_missing_unh ok edifact_message_count"},
		{"UNT twice", unb + aMessage + "UNT+4+1'UNZ+1+7'", "ok edifact_missing_unh"},
		{"a segment outside", unb + aMessage + "FTX+A'FTX+B'" + two + "UNZ+2+7'", "ok edifact_missing_unh ok"},
		{"no terminator in a message", strings.Replace(whole, "BGM+351+D1+9'", "BGM+351+D1+9\r\n", 1), "edifact_missing_terminator"},
		{"no terminator behind UNT", unb + strings.Replace(aMessage, "UNT+4+1'", "UNT+4+1\n", 1) + two + "UNZ+2+7'", "edifact_missing_terminator ok ok"},
		{"no messages", unb + "UNZ+0+7'", "edifact_empty"},
		{"text in front", "Subject: hello\r\n\r\n" + whole, "edifact_no_unb ok"},
		{"text behind", whole + "thanks!", "ok edifact_no_unb"},
		{"text between", whole + "thanks!" + whole, "ok edifact_no_unb ok"},
		{"UNA that tells nothing apart", "UNA++.? '" + whole, "edifact_una ok"},
		{"UNA cut", "UNA:+", "edifact_truncated"},
		{"UNB by another separator", "UNB!UNOC", "edifact_no_unb"},
		{"too many elements", strings.Replace(whole, "BGM+351", "BGM"+strings.Repeat("+", 2000), 1), "edifact_elements"},
		{"too many components", strings.Replace(whole, "BGM+351", "BGM+"+strings.Repeat(":", 2000), 1), "edifact_components"},
		{"too many segments", unb + strings.Repeat("Q'", format.MaxSegments), "edifact_segments"},
		{"too many messages", unb + strings.Repeat("UNH'UNT'", maxMessages+1), "edifact_messages"},
		{"too many interchanges", strings.Repeat("UNB+'UNH+1+X:D:96A'UNT+2+1'UNZ+1'", maxInterchanges+1), "edifact_interchanges"},
		{"segments outside at the end", unb + aMessage + "FTX+A'FTX+B'", "ok edifact_missing_unh edifact_truncated"},
		{"empty", " \r\n", "edifact_no_unb"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			us := units(tc.body)
			if got := codesOf(us); got != tc.want {
				t.Errorf("%s, want %s\n%+v", got, tc.want, us)
			}
		})
	}
}

// TestWrapped cuts a message into lines of 80, in the middle of elements.
func TestWrapped(t *testing.T) {
	text := "UNA:+.? '" + unb + "UNH+1+X:D:96A:UN'FTX+" + strings.Repeat("0123456789", 30) + "'UNT+3+1'UNZ+1+7'"
	var b strings.Builder
	for len(text) > 80 {
		b.WriteString(text[:80] + "\r\n")
		text = text[80:]
	}
	us := units(b.String() + text + "\r\n")
	if codesOf(us) != "ok" || elements(t, us[0], 0)[1] != strings.Repeat("0123456789", 30) {
		t.Errorf("%+v", us)
	}
}

// TestEveryCut cuts a body at each byte: no cut passes unseen.
func TestEveryCut(t *testing.T) {
	body := "UNA:+.? '" + unb + aMessage + other(aMessage, "2") + "UNZ+2+7'"
	for n := range len(body) - 1 { // the last terminator may be missing
		if us := units(body[:n]); !slices.ContainsFunc(us, func(u format.Unit) bool { return u.Fault != nil }) {
			t.Fatalf("cut at %d of %d (%q): %s", n, len(body), body[max(0, n-12):n], codesOf(us))
		}
	}
}

// TestTold gives every fault a reason with its place.
func TestTold(t *testing.T) {
	us := units(unb + "NH+1'BGM+1'UNT+3+1'" + aMessage + "UNZ+2+7'")
	if len(us) != 3 || us[0].Fault.Reason != `segments 2 to 4, from "NH", stand outside any message` ||
		us[2].Fault.Reason != `segment 9: UNZ says "2" messages, there are 1` {
		t.Errorf("%+v", us)
	}
}
