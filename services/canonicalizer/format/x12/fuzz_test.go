package x12

import (
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

// FuzzParse reads anything: never a panic, a message never becomes nothing, a fault
// has a code and a reason, the same bytes give the same units, and no segment is
// lost unsaid.
func FuzzParse(f *testing.F) {
	whole := interchange("*", ">", "~", aSet, 1)
	for _, s := range []string{
		whole,
		interchange("|", ":", "\r\n", aSet+aSet, 7),
		interchange("*", ":", "…", aSet, 1),
		interchange("*", ":", "\x85", aSet, 1),
		interchange("*", ">", "~\r\n   ", aSet, 1) + whole,
		strings.Replace(whole, "U*00401", "^*00501", 1),
		strings.Replace(whole, "W06*N*1~", "W06*N*1\n N1*ST~", 1),
		strings.Replace(whole, "W06*N*1~", "W06*N*CANQTY*17~", 1),
		strings.Replace(whole, "*>~", "*~", 1),
		"ISA*",
		"\xef\xbb\xbf ISA*00**00**ZZ*S*ZZ*R*261102*1015*U*00401*7*0*P*>~ST~SE~",
		aSet,
		"GS*SW*S*R*20261102*1015*70*X*004010~" + aSet + "GE*1*70~",
		whole + "thanks!\n" + whole,
		strings.TrimSuffix(whole, "GE*1*70~IEA*1*000000007~"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, bare := range []bool{false, true} {
			us := slices.Collect(Parse(body, &policy.Source{X12: policy.X12{Bare: bare}}))
			checkUnits(t, body, us)
		}
		again := slices.Collect(Parse(body, &policy.Source{}))
		if codesOf(again) != codesOf(units(string(body))) {
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
		}
	}
	// Where nothing is told, every segment of a set is in a tree. One interchange
	// is enough to count by its own terminator.
	in, bad := Read(body)
	if faults > 0 || len(in) != 1 || len(bad) > 0 {
		return
	}
	want := 0
	for text := range strings.SplitSeq(newScanner(body).text, in[0].Terminator) {
		id, _, _ := strings.Cut(format.SkipBlank(text), in[0].Element)
		switch format.Trim(id) {
		case "ISA", "GS", "ST", "SE", "GE", "IEA":
		default:
			if format.SkipBlank(text) != "" {
				want++
			}
		}
	}
	if in[0].ISA != nil && in[0].Component == "" {
		return // the header has no place in the count when ISA16 is left out
	}
	if segments != want {
		t.Fatalf("%d segments in trees, %d in the message, and no fault", segments, want)
	}
}
