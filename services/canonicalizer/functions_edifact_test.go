package canonicalizer

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

// mapped runs a program on the first set or message of a body, as JSON.
func mapped(t *testing.T, format, program, body string) (string, *mapError) {
	t.Helper()
	parse, ok := formatOf(format)
	if !ok {
		t.Fatalf("no format %s", format)
	}
	src := &policy.Source{Mapping: program, Format: format}
	m, err := compile(src)
	if err != nil {
		t.Fatal(err)
	}
	for u := range parse([]byte(body), src) {
		if u.Fault != nil {
			t.Fatalf("%+v", u.Fault)
		}
		lines, err := m.run(t.Context(), map[string]any{"tree": u.Tree})
		if bad, ok := errors.AsType[*mapError](err); ok {
			return "", bad
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(lines)
		if err != nil {
			t.Fatal(err)
		}
		return string(b), nil
	}
	t.Fatal("no unit")
	return "", nil
}

const x12Head = "ISA*00*          *00*          *ZZ*S              *ZZ*R              *261102*1015*^*00501*000000007*0*P*>~GS*SH*S*R*20261102*1015*70*X*005010~"

func x12Body(segments, se string) string {
	return x12Head + "ST*856*0001~" + segments + "SE*" + se + "*0001~GE*1*70~IEA*1*000000007~"
}

func edifactBody(una, version, segments, unt string) string {
	return una + "UNB+UNOC:" + version + "+S+R+261102:1015+7'UNH+1+DESADV:D:96A:UN'" + segments + "UNT+" + unt + "+1'UNZ+1+7'"
}

func TestSegmentFunctions(t *testing.T) {
	lin := "LIN+1++5410013101234:EN'QTY+12:480:PCE'QTY+21:'PIA+1+A:B*C'"
	for _, tc := range []struct{ name, format, program, body, want string }{
		{
			"comp", policy.FormatEDIFACT, `[.tree.segments | qseg("LIN"; "1") | comp(1; 1), comp(3; 1), comp(3; 2), comp(3; 3), comp(2; 1), comp(9; 1)]`,
			edifactBody("", "4", lin, "6"), `["1","5410013101234","EN",null,null,null]`,
		},
		{
			"comp takes the first repetition", policy.FormatEDIFACT, `[.tree.segments | qseg("PIA"; "1") | comp(2; 1), comp(2; 2)]`,
			edifactBody("", "4", lin, "6"), `["A","B"]`,
		},
		{"comp of nothing", policy.FormatEDIFACT, `[.tree.segments | qseg("LIN"; "2") | ., comp(3; 1)]`, edifactBody("", "4", lin, "6"), `[null,null]`},
		{
			"reps", policy.FormatEDIFACT, `[.tree.segments[] | select(.id == "PIA") | reps(1), reps(2), reps(3)]`,
			edifactBody("", "4", lin, "6"), `[["1"],[["A","B"],"C"],[]]`,
		},
		{
			"qsegs", policy.FormatEDIFACT, `[.tree.segments | qsegs("QTY"; "12"), qsegs("QTY"; "21"), qsegs("QTY"; "9") | length]`,
			edifactBody("", "4", lin, "6"), `[1,1,0]`,
		},
		{
			"groups by their first segment", policy.FormatEDIFACT, `[.tree.segments | loops("LIN")[] | map(.id) | join(" ")]`,
			edifactBody("", "3", "BGM+1'"+lin+lin, "11"), `["BGM","LIN QTY QTY PIA","LIN QTY QTY PIA"]`,
		},
		{
			"comp of X12", policy.FormatX12, `[.tree as $t | $t.segments[0] | comp($t.component; 2; 1), comp($t.component; 2; 3), comp($t.component; 2; 4), comp($t.component; 1; 1), comp($t.component; 7; 1)]`,
			x12Body("SLN*1*A>>C~", "3"), `["A","C",null,"1",null]`,
		},
		{
			"reps of X12", policy.FormatX12, `[.tree as $t | $t.segments[0] | reps($t.interchange.repetition; 2), reps($t.interchange.repetition; 3)]`,
			x12Body("SLN*1*A^B^*C~", "3"), `[["A","B",null],["C"]]`,
		},
		{
			"parties of X12", policy.FormatX12, `[.tree.segments | parties[] | .qualifier, .id, .id_qualifier, .name, (.segments | length)]`,
			x12Body("BSN*00*1~N1*ST*STORE*92*001~N3*STREET~N4*CITY~N1*SF*SHIPPER~HL*1**S~N1*BY**9*7~", "9"),
			`["ST","001","92","STORE",3,"SF",null,null,"SHIPPER",1,"BY","7","9",null,1]`,
		},
		{
			"parties of EDIFACT", policy.FormatEDIFACT, `[.tree.segments | parties[] | .qualifier, .id, .id_qualifier, .name, (.segments | length)]`,
			edifactBody("", "3", "NAD+DP+5412345123453::9++MEGA DEPO:B+STREET'RFF+VA:1'LIN+1'NAD+WH+++'", "6"),
			`["DP","5412345123453","9","MEGA DEPO",2,"WH",null,null,null,1]`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, bad := mapped(t, tc.format, tc.program, tc.body)
			if bad != nil || got != tc.want {
				t.Errorf("%s %v, want %s", got, bad, tc.want)
			}
		})
	}
}

func TestHierarchy(t *testing.T) {
	for _, tc := range []struct{ name, format, program, body, want string }{
		{
			"by HL02", policy.FormatX12, "hl", x12Body("BSN*00~HL*1**S~TD1*X~HL*2*1*O~HL*3*2*I~LIN*1~SN1*1~HL*4*2*I~HL*5*1*O~HL*6*5*I~CTT*1~", "13"),
			`["1S in null up  of 2 ","2O in 0 up 0 of 1 ","3I in 1 up 1,0 of 3 ","4I in 1 up 1,0 of 1 ","5O in 0 up 0 of 1 ","6I in 4 up 4,0 of 2 "]`,
		},
		{
			"by HL03 where HL02 is empty", policy.FormatX12, "hl", x12Body("HL*1**S~HL*2**O~HL*3**P~HL*4**I~HL*5**I~HL*6**P~HL*7**I~HL*8**O~HL*9**I~", "11"),
			`["1S in null up  of 1 ","2O in 0 up 0 of 1 parent_missing","3P in 1 up 1,0 of 1 parent_missing","4I in 2 up 2,1,0 of 1 parent_missing",` +
				`"5I in 2 up 2,1,0 of 1 parent_missing","6P in 1 up 1,0 of 1 parent_missing","7I in 5 up 5,1,0 of 1 parent_missing",` +
				`"8O in 0 up 0 of 1 parent_missing","9I in 7 up 7,0 of 1 parent_missing"]`,
		},
		{
			"several at the top", policy.FormatX12, "hl", x12Body("HL*1**S~HL*2*1*I~HL*3**S~HL*4*3*I~", "6"),
			`["1S in null up  of 1 ","2I in 0 up 0 of 1 ","3S in null up  of 1 ","4I in 2 up 2 of 1 "]`,
		},
		{
			"zero and unknown parents", policy.FormatX12, "hl", x12Body("HL*1*0*S~HL*2*9*I~HL*3*1*I~", "5"),
			`["1S in null up  of 1 ","2I in 0 up 0 of 1 parent_unknown","3I in 0 up 0 of 1 "]`,
		},
		{
			"numbers used again name the last", policy.FormatX12, "hl", x12Body("HL*1**S~HL*1**S~HL*2*1*I~", "5"),
			`["1S in null up  of 1 ","1S in null up  of 1 ","2I in 1 up 1 of 1 "]`,
		},
		{
			"CPS", policy.FormatEDIFACT, "cps", edifactBody("", "3", "BGM+1'CPS+1'PAC+2'CPS+2+1+3'LIN+1'QTY+1:1'CPS+3+1'LIN+2'CPS+4'CPS+5+9'", "12"),
			`["1 in null up  of 2 ","23 in 0 up 0 of 3 ","3 in 0 up 0 of 2 ","4 in null up  of 1 ","5 in null up  of 1 parent_unknown"]`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			program := `[.tree.segments | ` + tc.program + `[] | "\(.number)\(.level // "") in \(.parent) up \(.up | map(tostring) | join(",")) of \(.segments | length) \(.flags | join(" "))"]`
			got, bad := mapped(t, tc.format, program, tc.body)
			if bad != nil || got != tc.want {
				t.Errorf("%s %v\nwant %s", got, bad, tc.want)
			}
		})
	}
	if _, bad := mapped(t, policy.FormatX12, `[.tree.segments | hl]`,
		x12Body("HL*1**A~HL*2*1*B~HL*3*2*C~HL*4*3*D~HL*5*4*E~HL*6*5*F~HL*7*6*G~HL*8*7*H~HL*9*8*I~HL*10*9*J~HL*11*10*K~"+
			"HL*12*11*L~HL*13*12*M~HL*14*13*N~HL*15*14*O~HL*16*15*P~HL*17*16*Q~HL*18*17*R~", "20")); bad == nil {
		t.Error("18 levels pass")
	}
}

func TestEdifactTimes(t *testing.T) {
	for _, tc := range []struct{ value, code, want, from, to string }{
		{"20261102", "102", "2026-11-02", "2026-11-02", "2026-11-02"},
		{"261102", "101", "2026-11-02", "2026-11-02", "2026-11-02"},
		{"021126", "2", "2026-11-02", "2026-11-02", "2026-11-02"},
		{"110226", "3", "2026-11-02", "2026-11-02", "2026-11-02"},
		{"02112026", "4", "2026-11-02", "2026-11-02", "2026-11-02"},
		{"26306", "105", "2026-11-02", "2026-11-02", "2026-11-02"},
		{"2611021015", "201", "2026-11-02T10:15:00", "2026-11-02T10:15:00", "2026-11-02T10:15:00"},
		{"261102101530", "202", "2026-11-02T10:15:30", "2026-11-02T10:15:30", "2026-11-02T10:15:30"},
		{"202611021015", "203", "2026-11-02T10:15:00", "2026-11-02T10:15:00", "2026-11-02T10:15:00"},
		{"20261102101530", "204", "2026-11-02T10:15:30", "2026-11-02T10:15:30", "2026-11-02T10:15:30"},
		{"202611021015+0130", "205", "2026-11-02T10:15:00+01:30", "2026-11-02T10:15:00+01:30", "2026-11-02T10:15:00+01:30"},
		{"202611021015UTC", "303", "2026-11-02T10:15:00Z", "2026-11-02T10:15:00Z", "2026-11-02T10:15:00Z"},
		{"202611021015CET", "303", "2026-11-02T10:15:00+01:00", "2026-11-02T10:15:00+01:00", "2026-11-02T10:15:00+01:00"},
		{"202611021015-05", "303", "2026-11-02T10:15:00-05:00", "2026-11-02T10:15:00-05:00", "2026-11-02T10:15:00-05:00"},
		{"202611021015XYZ", "303", "2026-11-02T10:15:00", "2026-11-02T10:15:00", "2026-11-02T10:15:00"}, // the source's zone
		{"20261102101530GMT", "304", "2026-11-02T10:15:30Z", "2026-11-02T10:15:30Z", "2026-11-02T10:15:30Z"},
		{"2026110120261130", "718", "2026-11-01", "2026-11-01", "2026-11-30"},
		{"20261101-20261130", "718", "2026-11-01", "2026-11-01", "2026-11-30"},
		{"261101261130", "717", "2026-11-01", "2026-11-01", "2026-11-30"},
		{"202611010800202611011700", "719", "2026-11-01T08:00:00", "2026-11-01T08:00:00", "2026-11-01T17:00:00"},
		{"26110108002611011700", "713", "2026-11-01T08:00:00", "2026-11-01T08:00:00", "2026-11-01T17:00:00"},
		{"202602", "610", "2026-02-01", "2026-02-01", "2026-02-28"},
		{"2602", "609", "2026-02-01", "2026-02-01", "2026-02-28"},
		{"2026", "602", "2026-01-01", "2026-01-01", "2026-12-31"},
		{"202601", "616", "2025-12-29", "2025-12-29", "2026-01-04"},
		{"202653", "616", "2026-12-28", "2026-12-28", "2027-01-03"},
		{"202553", "616", "202553", "202553", "202553"}, // 2025 has 52
		{"20020148", "102", "20020148", "20020148", "20020148"},
		{"20150820", "203", "20150820", "20150820", "20150820"},
		{"2026110120261399", "718", "2026110120261399", "2026110120261399", "2026110120261399"},
		{"20261102", "999", "20261102", "20261102", "20261102"},
		{"20261102", "", "20261102", "20261102", "20261102"},
	} {
		if got := edifactWhen(nil, []any{tc.value, tc.code}); got != tc.want {
			t.Errorf("edifact_when %s as %s: %v, want %s", tc.value, tc.code, got, tc.want)
		}
		if p := edifactPeriod(nil, []any{tc.value, tc.code}).(map[string]any); p["from"] != tc.from || p["to"] != tc.to {
			t.Errorf("edifact_period %s as %s: %v, want %s to %s", tc.value, tc.code, p, tc.from, tc.to)
		}
	}
	got, bad := mapped(t, policy.FormatEDIFACT, `[.tree.segments | edifact_when("137"), edifact_when("11"), edifact_when("2")]`,
		edifactBody("", "3", "DTM+137:20261102:102'DTM+11:202611021015:203'", "4"))
	if want := `["2026-11-02","2026-11-02T10:15:00",null]`; bad != nil || got != want {
		t.Errorf("%s %v, want %s", got, bad, want)
	}
}

func TestEdifactNumber(t *testing.T) {
	for _, tc := range []struct{ una, text, want string }{
		{"", "12.5", `["12.5"]`},
		{"", "12,5", `["12.5"]`},
		{"", "-3", `["-3"]`},
		{"UNA:+,? '", "12,5", `["12.5"]`},
		{"UNA:+.? '", "12.5", `["12.5"]`},
		{"UNA:+,? '", "1.250", ""}, // a thousand, or one and a quarter
		{"UNA:+.? '", "1,250", ""},
		{"UNA:+.? '", "12,5", `["12.5"]`}, // no thousands are written so
		{"UNA:+.? '", "0,250", `["0.250"]`},
		{"UNA:+,? '", "1250.000", `["1250.000"]`},
		{"", "1.250,5", ""},
		{"", "1,250,000", ""},
	} {
		got, bad := mapped(t, policy.FormatEDIFACT, `[.tree as $t | $t.segments[0] | comp(1; 2) | edifact_number($t.decimal)]`,
			edifactBody(tc.una, "3", "QTY+1:"+tc.text+"'", "3"))
		if got != tc.want || (bad != nil) != (tc.want == "") {
			t.Errorf("%s with %q: %s %v, want %s", tc.text, tc.una, got, bad, tc.want)
		}
	}
}
