package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestAcks(t *testing.T) {
	for _, tc := range []struct {
		acks Acks
		src  Source
		want string // fields at fault
	}{
		{Acks{}, Source{Format: FormatJSON}, ""},
		{Acks{X12: "997", TA1: "always"}, Source{Format: FormatX12}, ""},
		{Acks{X12: "999"}, Source{Format: FormatX12}, ""},
		{Acks{CONTRL: true}, Source{Format: FormatEDIFACT}, ""},
		{Acks{Status: true}, Source{Format: FormatIDoc}, ""},
		{Acks{Status: true}, Source{Format: FormatXML}, "acks.status"},
		{Acks{X12: "998", TA1: "never"}, Source{Format: FormatX12}, "acks.x12 acks.ta1"},
		{Acks{TA1: "error"}, Source{Format: FormatX12}, "acks.ta1"},
		{Acks{X12: "997", CONTRL: true}, Source{Format: FormatCSV}, "acks.x12 acks.contrl"},
		{Acks{X12: "997"}, Source{Format: FormatX12, X12: X12{Bare: true}}, "acks.x12"},
	} {
		var got []string
		for _, err := range tc.acks.validate(&tc.src) {
			f, ok := errors.AsType[*Fault](err)
			if !ok {
				t.Fatal(err)
			}
			got = append(got, f.Field)
		}
		if s := strings.Join(got, " "); s != tc.want {
			t.Errorf("%+v of %s: %q, want %q", tc.acks, tc.src.Format, s, tc.want)
		}
	}
}

func TestAckFiles(t *testing.T) {
	for _, c := range []struct {
		name, dir, out, suffix string
		sftp                   bool
		bad                    string
	}{
		{name: "as it is", dir: "/in"},
		{name: "beside it", dir: "/drop/in", out: "../out"},
		{name: "elsewhere", dir: "/in", out: "/out"},
		{name: "of a server", sftp: true, dir: "in", out: "/out"},
		{name: "of its start folder", sftp: true},
		{name: "the folder itself", dir: "/drop/in", out: "../in", bad: "acks.files.dir"},
		{name: "the folder itself, of a server", sftp: true, dir: "/in", out: "/in", bad: "acks.files.dir"},
		{name: "where files go", dir: "/in", out: "claimed", bad: "acks.files.dir"},
		{name: "where files have gone", dir: "/in", out: "/in/done", bad: "acks.files.dir"},
		{name: "not a path", dir: "/in", out: "a/../b", bad: "acks.files.dir"},
		{name: "a suffix that is a path", dir: "/in", suffix: "./x", bad: "acks.files.suffix"},
		{name: "no folder", bad: "acks.files"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Source{Format: FormatX12, Acks: Acks{X12: AckFunctional, Files: &AckFiles{Dir: c.out, Suffix: c.suffix}}}
			switch {
			case c.sftp:
				s.Transport.SFTP = &SFTP{Dir: c.dir}
			case c.dir != "":
				s.Transport.Files = &Files{Dir: c.dir}
			}
			got := ""
			for _, err := range s.Acks.validate(s) {
				if f, ok := errors.AsType[*Fault](err); ok {
					got = f.Field
				}
			}
			if got != c.bad {
				t.Errorf("fault in %q, want %q", got, c.bad)
			}
		})
	}
	s := &Source{Format: FormatX12, Acks: Acks{Files: &AckFiles{}}, Transport: Transport{Files: &Files{Dir: "/in"}}}
	if len(s.Acks.validate(s)) != 1 {
		t.Error("a folder for what there is none of is not refused")
	}
}
