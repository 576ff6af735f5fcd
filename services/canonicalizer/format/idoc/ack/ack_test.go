package ack

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format/idoc"
)

var options = Options{Control: 41, At: time.Date(2026, 11, 2, 10, 20, 30, 0, time.UTC)}

const control = `<EDI_DC40 SEGMENT="1"><TABNAM>EDI_DC40</TABNAM><MANDT>100</MANDT><DOCNUM>0000000000000007</DOCNUM><IDOCTYP>MBGMCR03</IDOCTYP><MESTYP>MBGMCR</MESTYP>` +
	`<SNDPOR>SAPERP</SNDPOR><SNDPRT>LS</SNDPRT><SNDPRN>ERP100</SNDPRN><RCVPOR>WMS</RCVPOR><RCVPRT>LS</RCVPRT><RCVPRN>WMS&amp;1</RCVPRN></EDI_DC40>`

// read are the IDocs of a body as they are answered.
func read(body []byte) []Received {
	var out []Received
	for u := range idoc.Parse(body, &policy.Source{}) {
		tree, _ := jq.Plain(u.Tree).(map[string]any)
		r := Received{}
		r.Control, _ = tree["control"].(map[string]any)
		if u.Fault != nil {
			r.Code, r.Reason = u.Fault.Code, u.Fault.Reason
		}
		out = append(out, r)
	}
	return out
}

func document(idocs ...string) []byte {
	return []byte("<MBGMCR03>" + strings.Join(idocs, "") + "</MBGMCR03>")
}

func one(control string) string { return `<IDOC BEGIN="1">` + control + `</IDOC>` }

func TestAnswer(t *testing.T) {
	in := read(document(one(control), one(strings.Replace(control, "0007", "0008", 1)), one(strings.Replace(control, "<DOCNUM>0000000000000007</DOCNUM>", "", 1)),
		one(strings.Replace(control, "<MESTYP>MBGMCR", "<MESTYP>STATUS", 1))))
	if len(in) != 4 {
		t.Fatalf("%+v", in)
	}
	in[1].Code, in[1].Reason = "idoc_structure", "IDoc 2: <"+strings.Repeat("ä", 100)
	got, err := Answer(in, options)
	if err != nil {
		t.Fatal(err)
	}
	dc := func(number string) string {
		return `<IDOC BEGIN="1"><EDI_DC40 SEGMENT="1"><TABNAM>EDI_DC40</TABNAM><MANDT>100</MANDT><DOCNUM>` + number + `</DOCNUM><DIRECT>2</DIRECT><IDOCTYP>SYSTAT01</IDOCTYP><MESTYP>STATUS</MESTYP>` +
			`<SNDPOR>WMS</SNDPOR><SNDPRT>LS</SNDPRT><SNDPRN>WMS&amp;1</SNDPRN><RCVPOR>SAPERP</RCVPOR><RCVPRT>LS</RCVPRT><RCVPRN>ERP100</RCVPRN><CREDAT>20261102</CREDAT><CRETIM>102030</CRETIM></EDI_DC40>` +
			`<E1STATS SEGMENT="1"><MANDT>100</MANDT>`
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n<SYSTAT01>" +
		dc("0000000000000041") + `<DOCNUM>0000000000000007</DOCNUM><LOGDAT>20261102</LOGDAT><LOGTIM>102030</LOGTIM><STATUS>16</STATUS><STATYP>S</STATYP></E1STATS></IDOC>` +
		dc("0000000000000042") + `<DOCNUM>0000000000000008</DOCNUM><LOGDAT>20261102</LOGDAT><LOGTIM>102030</LOGTIM><STATUS>17</STATUS>` +
		`<STATXT>IDoc 2: &lt;` + strings.Repeat("ä", 61) + `</STATXT><STAPA1>idoc_structure</STAPA1><STATYP>E</STATYP></E1STATS></IDOC>` + "</SYSTAT01>\n"
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if again, err := Answer(in, options); err != nil || string(again) != string(got) {
		t.Errorf("another answer the second time: %s, %v", again, err)
	}
}

func TestNothingToTell(t *testing.T) {
	for name, c := range map[string]string{
		"no number": strings.Replace(control, "<DOCNUM>0000000000000007</DOCNUM>", "", 1),
		"status":    strings.Replace(control, "<MESTYP>MBGMCR", "<MESTYP>STATUS", 1),
		"audit":     strings.Replace(control, "<MESTYP>MBGMCR", "<MESTYP>ALEAUD", 1),
	} {
		if b, err := Answer(read(document(one(c))), options); err != nil || b != nil {
			t.Errorf("%s: %s, %v", name, b, err)
		}
	}
	if b, err := Answer(nil, options); err != nil || b != nil {
		t.Errorf("no IDoc: %s, %v", b, err)
	}
}

func TestRefused(t *testing.T) {
	if b, err := Answer(read(document(one(control))), Options{At: options.At}); err == nil {
		t.Errorf("no number: %s", b)
	}
	for _, missing := range []string{"<SNDPRN>ERP100</SNDPRN>", "<RCVPRN>WMS&amp;1</RCVPRN>"} {
		if b, err := Answer(read(document(one(strings.Replace(control, missing, "", 1)))), options); err == nil {
			t.Errorf("without %s: %s", missing, b)
		}
	}
	for _, f := range given {
		name, most := f.name, f.most
		c := map[string]any{"DOCNUM": "1", "SNDPRN": "A", "RCVPRN": "B"}
		c[name] = strings.Repeat("ä", most)
		b, err := Answer([]Received{{Control: c, Code: "idoc_field_twice", Reason: strings.Repeat("&", 100)}}, options)
		if err != nil || len(b) > 2000 {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		c[name] = strings.Repeat("ä", most+1)
		if b, err := Answer([]Received{{Control: c}}, options); err == nil {
			t.Errorf("%s too long: %s", name, b)
		}
	}
}

// FuzzAnswer answers anything that reads as IDocs: the answer reads too, as one IDoc for
// each that is told of, and answers none itself.
func FuzzAnswer(f *testing.F) {
	f.Add(document(one(control), one(strings.Replace(control, "0007", "0008", 1))))
	f.Add([]byte("EDI_DC40  100000000000000000740"))
	f.Add([]byte("<a>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		in := read(body)
		b, err := Answer(in, options)
		if err != nil || len(b) == 0 {
			return
		}
		if !utf8.Valid(b) {
			t.Fatalf("%q", b)
		}
		back := read(b)
		told := Told(in)
		if len(back) != len(told) {
			t.Fatalf("%d answers to %d: %s", len(back), len(told), b)
		}
		for _, r := range back {
			if r.Code != "" || r.field("MESTYP") != "STATUS" {
				t.Fatalf("%+v: %s", r, b)
			}
		}
		if again, err := Answer(back, options); err != nil || again != nil {
			t.Fatalf("an answer is answered: %s, %v", again, err)
		}
	})
}
