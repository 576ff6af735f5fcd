package edifact

import (
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// FuzzParse reads anything: never a panic, a body never becomes nothing, a fault
// has a code and a reason, the same bytes give the same units, and no segment is
// lost unsaid.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		whole,
		"UNA:+,? '\r\n" + strings.ReplaceAll(whole, "'", "'\r\n  "),
		"UNA|!.\\ ~" + strings.NewReplacer(":", "|", "+", "!", "'", "~").Replace(whole),
		"UNA:+.?*'" + strings.Replace(whole, "UNOC:3", "UNOC:4", 1),
		strings.NewReplacer(":", "\x1f", "+", "\x1d", "'", "\x1c").Replace(whole),
		strings.Replace(whole, "D1", "a?+b?'c??:d*e", 1),
		strings.Replace(whole, "D1", "M\xfcller", 1),
		strings.Replace(whole, "BGM+351+D1+9'", "BGM+351\n DTM+1'", 1),
		unb + "UNG+DESADV+S+R+261102:1015+1+UN+D:96A'" + aMessage + "UNE+1+1'UNZ+1+7'",
		unb + "NH+1'BGM+1'UNT+3+1'" + aMessage + "UNZ+2+7'",
		whole + "thanks!" + whole,
		unb + aMessage,
		"UNA:+",
		"UNB+UNOC:3'UNH'UNT'UNZ'",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		us := slices.Collect(Parse(body, &policy.Source{}))
		checkUnits(t, body, us)
		if codesOf(us) != codesOf(units(string(body))) {
			t.Fatal("other units the second time")
		}
	})
}

func checkUnits(t *testing.T, body []byte, us []format.Unit) {
	t.Helper()
	if len(us) == 0 || len(us) > len(body)+2 {
		t.Fatalf("%d units of %d bytes", len(us), len(body))
	}
	segments, faults := 0, 0
	for _, u := range us {
		tree, _ := jq.Plain(u.Tree).(map[string]any)
		switch {
		case u.Fault == nil && tree == nil:
			t.Fatal("a unit with neither tree nor fault")
		case u.Fault != nil && (u.Fault.Code == "" || u.Fault.Reason == ""):
			t.Fatalf("fault %+v", u.Fault)
		case u.Fault != nil:
			faults++
		}
		if list, ok := tree["segments"].([]any); ok {
			segments += len(list)
			for _, s := range list {
				checkElements(t, s.(map[string]any)["e"].([]any))
			}
		}
	}
	// Where nothing is told, every segment of a message is in a tree.
	in, bad := Read(body)
	if faults > 0 || len(in) != 1 || len(bad) > 0 {
		return
	}
	s, _ := newScanner(body)
	s.blank()
	if fault := s.header(); fault != nil {
		t.Fatal(fault)
	}
	if want := count(s.text[s.at:], s.service); segments != want {
		t.Fatalf("%d segments in trees, %d in the body, and no fault", segments, want)
	}
}

// checkElements says whether values are what Parse says they are.
func checkElements(t *testing.T, e []any) {
	t.Helper()
	for _, v := range e {
		list, ok := v.([]any)
		if !ok {
			continue
		}
		_, repeated := list[0].([]any)
		for _, c := range list {
			inner, isList := c.([]any)
			if isList != repeated || repeated && len(inner) == 0 {
				t.Fatalf("element %v", v)
			}
		}
	}
}

// count is the number of segments that are no envelope, read a byte at a time.
func count(text string, c Service) int {
	n := 0
	var segment strings.Builder
	end := func() {
		s := segment.String()
		segment.Reset()
		if strings.Contains(s, "\n") { // wrapped
			s = strings.NewReplacer("\r", "", "\n", "").Replace(s)
		}
		s = format.SkipBlank(told(s, c))
		tag, _, _ := strings.Cut(s, string([]byte{c.Element}))
		tag, _, _ = strings.Cut(tag, string([]byte{c.Component}))
		if s != "" && !slices.Contains([]string{"UNB", "UNG", "UNH", "UNT", "UNE", "UNZ"}, format.Trim(tag)) {
			n++
		}
	}
	released := false
	for i := range len(text) {
		b := text[i]
		if b == c.Terminator && !released {
			end()
			continue
		}
		released = b == c.Release && c.Release != 0 && !released
		segment.WriteByte(b)
	}
	end()
	return n
}

// told is a segment less its release characters; what they release separates nothing.
func told(segment string, c Service) string {
	var out []byte
	released := false
	for i := range len(segment) {
		switch b := segment[i]; {
		case !released && b == c.Release && c.Release != 0:
			released = true
			continue
		case released && !format.Alphanumeric(b):
			out = append(out, 'x')
		default:
			out = append(out, b)
		}
		released = false
	}
	return string(out)
}
