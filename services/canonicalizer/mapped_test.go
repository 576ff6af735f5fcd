package canonicalizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

// sameWithoutJQ holds what a program gave for a set of X12 against what is read of it
// without one.
func sameWithoutJQ(t *testing.T, r *run, tree any, lines []any, err error) {
	t.Helper()
	if !r.p.mapping.x12 {
		t.Fatal("the standard's mapping is run as a program")
	}
	direct, fault := r.mapped(t.Context(), tree)
	if fmt.Sprint(fault) != fmt.Sprint(err) || len(direct) != len(lines) {
		t.Fatalf("without jq %d lines, %v; with it %d, %v", len(direct), fault, len(lines), err)
	}
	var l line // one after the other in its memory, as messages are read
	for i, v := range direct {
		reason := l.read(v)
		want, wantReason := readLine(lines[i])
		l.at, l.pos, want.at, want.pos = l.where(), 0, want.where(), 0
		want.at, want.pos = want.where(), 0
		if got, want := fmt.Sprintf("%+v %s", l.stated, reason), fmt.Sprintf("%+v %s", want.stated, wantReason); got != want {
			t.Fatalf("line %d without jq is\n%s\nbut with it\n%s", i, got, want)
		}
	}
	r.forget()
}

// TestX12WithoutJQ: a message by the standard becomes the same whether its mapping is the
// standard's alone, which is no program, or goes on from it; and a second message is not
// touched by the memory of the first.
func TestX12WithoutJQ(t *testing.T) {
	_, m := world(t)
	alone, onward := standardX12(), standardX12()
	onward.Mapping = "x12_lines | map(.)"
	p, err := program(alone)
	if err != nil {
		t.Fatal(err)
	}
	q, err := program(onward)
	if err != nil {
		t.Fatal(err)
	}
	if !p.mapping.x12 || q.mapping.x12 {
		t.Fatalf("without a program: %t, and %t", p.mapping.x12, q.mapping.x12)
	}
	text := func(p *sourceProgram, body string) string {
		res := read(t, p, m, body)
		defer res.release()
		b, err := json.Marshal([]any{res.Events, res.Milestones, res.Parked, res.Rejected, res.Receipt})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	kinds := 0
	for _, tc := range x12Cases() {
		body := x12Message(tc.set, tc.body, strings.ReplaceAll(tc.body, "SKU-", "GHOST-"))
		got, want := text(p, body), text(q, body)
		// A line that waits, or is refused, is kept as the mapping gave it.
		if got != want {
			t.Errorf("%s:\n%s\nbut with a program\n%s", tc.name, got, want)
		}
		if strings.Contains(got, "GHOST-") {
			kinds++
		}
	}
	if kinds == 0 {
		t.Error("no line waited")
	}
}

// TestX12Override: a mapping that goes on from the standard's may change any part of it,
// by what a line says or by its segment, and what the standard is given.
func TestX12Override(t *testing.T) {
	body := x12Message("945", "W06*N*O-1*20261102*S-1~N1*SF**92*WH01~W12*CC*5*5**EA**SK*SKU-1~W12*CC*5*5**EA**SK*SKU-2~N9*ZZ*BIN7~")
	for _, tc := range []struct{ name, mapping, want string }{
		{"a line", `x12_lines | map(.location = ["DC9"] | .attributes.by = "us" | .refs += [{type: "bin", number: "1"}])`, "movement DC9 5 / movement DC9 5"},
		{"by its segment", `.tree.segments as $s | x12_lines | map(.at as $at | ($s | map(.pos == $at) | index(true)) as $i
			| ($s[$i:] | seg("N9"; "ZZ")) as $bin | if $i > 2 and $bin then .location = [$bin.e[2]] else . end)`, "movement WH01 5 / movement BIN7 5"},
		{"what it is given", `.tree.segments |= map(if .id == "W12" then .e[3] = 7 else . end) | x12_lines`, "movement WH01 7 / movement WH01 7"},
		{"some of its lines", `x12_lines | map(select(.ids[0].value == "SKU-2"))`, "movement WH01 5"},
		{"one set of many", `if .tree.set == "945" then [{kind: "milestone", status: "x", milestone: {about: "orders"}, document: {type: "t", number: "1"}}] else x12_lines end`, "milestone  "},
		{"an error of its own", `try x12_lines catch [] | if . == [] then reject("mine"; "x") else . end`, "movement WH01 5 / movement WH01 5"},
	} {
		src := standardX12()
		src.Mapping = tc.mapping
		facts, problems, err := Facts(t.Context(), src, []byte(body))
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", tc.name, err, problems)
		}
		var got []string
		for i := range facts {
			got = append(got, fmt.Sprintf("%s %s %s", facts[i].Kind, strings.Join(facts[i].Locations, ""), facts[i].Quantity))
		}
		if s := strings.Join(got, " / "); s != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, s, tc.want)
		}
	}
}

// TestX12NoSet: what a mapping makes of a tree and is no set is refused, not read as one.
func TestX12NoSet(t *testing.T) {
	for mapping, want := range map[string]string{
		`.tree.segments = 7 | x12_lines`:                                                     "mapping_error: x12_lines: the segments of a set are an array, not number",
		`.tree.segments[1] = {id: 7} | x12_lines`:                                            "mapping_error: x12_lines: segment 1 of a set is {id, pos, e}, id a text and e an array",
		`.tree.segments[1].e = "W12" | x12_lines`:                                            "mapping_error: x12_lines: segment 1 of a set is {id, pos, e}, id a text and e an array",
		`.tree.set = "810" | x12_lines`:                                                      "unsupported_set: set 810 is not read here",
		`.tree.segments = [] | x12_lines`:                                                    "no_header: a 945 needs a W06",
		`.tree.flags = [{code: "run_together", pos: [1]}] | x12_lines | reject("mine"; "x")`: "mine: x",
		`try (.tree.segments = [] | x12_lines) catch reject("mine"; .reason)`:                "mine: a 945 needs a W06",
	} {
		src := standardX12()
		src.Mapping = mapping
		p, err := program(src)
		if err != nil {
			t.Fatal(err)
		}
		r := run{p: p}
		r.raw = rawOf(p, x12Message("945", "W06*N*O-1~W12*CC*5*5**EA**SK*SKU-1~"))
		for u := range p.parse(r.raw.Body, p.src) {
			_, err := p.mapping.run(t.Context(), r.input(u.Tree))
			if bad, ok := errors.AsType[*mapError](err); !ok || bad.Error() != want {
				t.Errorf("%s: %v, want %s", mapping, err, want)
			}
		}
	}
}

// TestX12TooManyLines: a set of more lines than a message may have takes the sets beside it
// along, whoever maps it.
func TestX12TooManyLines(t *testing.T) {
	const head = "BEG*00*SA*1**20261102~"
	for _, mapping := range []string{"x12_lines", "x12_lines | map(.)"} {
		for n, want := range map[int]int{policy.DefaultMaxLines: 0, policy.DefaultMaxLines + 1: 1, policy.DefaultMaxLines + 3: 1} { // of both sets
			src := standardX12()
			src.Mapping = mapping
			p, err := program(src)
			if err != nil {
				t.Fatal(err)
			}
			// The last item goes to four places, and is four lines.
			lone := head + "PO1**1*EA***VN*A~"
			large := head + strings.Repeat("PO1**1*EA***VN*A~", n-5) + "PO1**4*EA***VN*A~SDQ*EA*92*1*1*2*1*3*1*4*1~"
			res, err := canonicalize(t.Context(), p, rawOf(p, x12Message("850", lone, large)), newMasters())
			if err != nil {
				t.Fatal(err)
			}
			wantLines := n
			if want == 1 {
				wantLines = 1
			}
			if int(res.Receipt.Lines) != wantLines || !res.Receipt.Adds() {
				t.Errorf("%s, %d lines: %+v", mapping, n, res.Receipt.Lines)
			}
			tooMany := 0
			for _, code := range codes(&res) {
				if code == "too_many_lines" {
					tooMany++
				}
			}
			if tooMany != want || want == 1 && len(res.Rejected)+len(res.Parked) != 1 {
				t.Errorf("%s, %d lines: refused %d times, %d lines rejected, %d parked", mapping, n, tooMany, len(res.Rejected), len(res.Parked))
			}
		}
	}
}

// TestX12Hostile: sets made to cost much are read in a second, however their segments
// stand.
func TestX12Hostile(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("SKIPPED: measures")
	}
	m := newMasters()
	p, err := program(standardX12())
	if err != nil {
		t.Fatal(err)
	}
	many := func(n int, s string) string { return strings.Repeat(s, n) }
	numbered := func(n int, s string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, s, i)
		}
		return b.String()
	}
	const half = 48_000
	for name, tc := range map[string]struct{ set, body string }{
		"quantities of a long LIN":     {"846", "LIN**VN*A~" + many(half, "REF*XX*1~") + many(half, "QTY*33*1~")},
		"quantities behind long sites": {"846", "LIN**VN*A~" + many(half, "N1*ST*A~") + many(half, "QTY*33*1~")},
		"one quantity of many places":  {"852", "XQ*H*20261102~LIN**VN*A~ZA*QA~" + many(half/5, "SDQ*EA*92*1*1*2*1*3*1*4*1*5*1*6*1*7*1*8*1*9*1*0*1~")},
		"items of one number":          {"846", numbered(30_000, "LIN**%02X*A*VN*B~QTY*33*1~")},
		"the same line again":          {"850", "BEG*00*SA*1**20261102~" + many(half, "PO1*1*1*EA***VN*A~")},
		"places of a line":             {"850", "BEG*00*SA*1**20261102~PO1*1*1*EA***VN*A~" + many(half, "N1*ST*A~QTY*1*1~")},
		"answers of a line":            {"855", "BAK*00*AC*1*20261102~PO1*1*1*EA***VN*A~" + many(half, "N1*ST*A~ACK*IA*1*EA~")},
		"parties above loops":          {"856", "BSN*00*1*20261102*1015~HL*1**S~" + many(half, "N1*ST*A~") + many(half/4, "HL**1*I~N1*SF*B~LIN**VN*A~SN1**1*EA~")},
		"roles above loops":            {"856", "BSN*00*1*20261102*1015~HL*1**S~" + numbered(half, "N1*%X*A~") + many(half/4, "HL**1*I~N1*SF*B~LIN**VN*A~SN1**1*EA~")},
		"items of a loop":              {"856", "BSN*00*1*20261102*1015~HL*1**S~" + many(half, "LIN**VN*A~SN1**1*EA~")},
		"loops without numbers":        {"856", "BSN*00*1*20261102*1015~" + many(half, "HL***I~") + many(half/4, "LIN**VN*A~")},
		"receipts of a loop":           {"861", "BRA*1*20261102*00*1~LIN**VN*A~" + many(half, "REF*SI*1~RCD**1*EA*1*EA*1*EA*01~")},
		"transfers of a loop":          {"867", "BPT*00*1*20261102~PTD*SS~" + many(half, "REF*XX*1~") + "LIN**VN*A~" + many(half, "QTY*32*1~")},
		"exceptions of a line":         {"944", "W17*N*20261102*1~W07*1*EA**VN*A~" + many(half, "W13*1*EA*01~")},
		"numbers of a shipment":        {"214", "B10*1*2*S~" + numbered(half, "L11*%d*BM~") + many(half, "AT7*X6*NS~")},
		"answered sets":                {"997", "AK1*SH*1~" + numbered(half, "AK2*856*%d~AK5*A~")},
	} {
		t.Run(name, func(t *testing.T) {
			body := x12Message(tc.set, tc.body)
			if len(body) > policy.MaxMessage {
				body = body[:policy.MaxMessage]
			}
			raw := rawOf(p, body)
			took, memory := cost(t, func() {
				for u := range p.parse(raw.Body, p.src) {
					r := run{p: p, raw: raw, masters: m}
					lines, err := r.mapped(t.Context(), u.Tree)
					if bad, ok := errors.AsType[*mapError](err); err != nil && (!ok || bad.code == "mapping_error") {
						t.Error(err)
					}
					var l line
					for _, v := range lines {
						l.read(v)
					}
				}
			})
			if took > mostTime || memory > mostMemory {
				t.Errorf("%s and %d MiB of %d bytes", took, memory>>20, len(body))
			}
			t.Logf("%s and %d MiB of %d bytes", took, memory>>20, len(body))
		})
	}
}

// rawOf is a message of a source.
func rawOf(p *sourceProgram, body string) *event.RawMessage {
	return &event.RawMessage{ID: strings.Repeat("a", 32), Source: p.src.Name, Body: []byte(body), ReceivedAt: sampleTime}
}
