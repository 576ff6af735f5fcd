package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOpens(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	night := Window{From: "22:00", Until: "04:00"}
	for _, tc := range []struct {
		name    string
		windows []Window
		now     string // in Berlin
		want    string // empty: now
	}{
		{"before it", []Window{night}, "2026-11-30 21:59", "2026-11-30 22:00"},
		{"as it opens", []Window{night}, "2026-11-30 22:00", ""},
		{"behind midnight", []Window{night}, "2026-12-01 03:59", ""},
		{"as it closes", []Window{night}, "2026-12-01 04:00", "2026-12-01 22:00"},
		{"not on this day", []Window{{Days: []string{"sun"}, From: "10:00", Until: "11:00"}}, "2026-11-30 10:30", "2026-12-06 10:00"},
		{"of yesterday's day", []Window{{Days: []string{"sun"}, From: "22:00", Until: "04:00"}}, "2026-11-30 03:00", ""},
		{"the day it begins counts", []Window{{Days: []string{"mon"}, From: "22:00", Until: "04:00"}}, "2026-11-30 03:00", "2026-11-30 22:00"},
		{"the nearer of two", []Window{night, {From: "12:00", Until: "12:30"}}, "2026-11-30 11:00", "2026-11-30 12:00"},
		{"around the clock", []Window{{From: "07:00", Until: "07:00"}}, "2026-11-30 06:00", ""},
		// 29 March 2026: 02:00 to 03:00 is left out.
		{"the hour left out", []Window{{From: "02:00", Until: "03:00"}}, "2026-03-29 01:30", "2026-03-29 03:00"},
		{"in its stead", []Window{{From: "02:00", Until: "03:00"}}, "2026-03-29 03:30", ""},
		{"in its stead, over", []Window{{From: "02:00", Until: "03:00"}}, "2026-03-29 04:00", "2026-03-30 02:00"},
		{"begins in it", []Window{{From: "02:30", Until: "05:00"}}, "2026-03-29 01:30", "2026-03-29 03:00"},
		{"across it", []Window{night}, "2026-03-29 03:30", ""},
		// 25 October 2026: 02:00 to 03:00 comes twice.
		{"the hour twice", []Window{{From: "02:00", Until: "03:00"}}, "2026-10-25 01:30", "2026-10-25 02:00"},
		{"the hour twice, over", []Window{{From: "02:00", Until: "03:00"}}, "2026-10-25 03:00", "2026-10-26 02:00"},
	} {
		s := &Source{LatencyClass: LatencyScheduled, Windows: tc.windows, Zone: berlin}
		now, err := time.ParseInLocation("2006-01-02 15:04", tc.now, berlin)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Opens(now).In(berlin)
		if text := got.Format("2006-01-02 15:04"); tc.want == "" && !got.Equal(now) || tc.want != "" && text != tc.want {
			t.Errorf("%s: at %s opens %s, want %q", tc.name, tc.now, text, tc.want)
		}
	}
	if now := time.Unix(1, 0); !(&Source{}).Opens(now).Equal(now) {
		t.Error("a source without a schedule waits")
	}
	// The second of the two hours is in the window too.
	s := &Source{LatencyClass: LatencyScheduled, Windows: []Window{{From: "02:00", Until: "03:00"}}, Zone: berlin}
	for _, utc := range []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"} {
		now, err := time.Parse(time.RFC3339, utc)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Opens(now).Equal(now) {
			t.Errorf("%s is closed until %s", utc, s.Opens(now))
		}
	}
}

func TestSchedule(t *testing.T) {
	for _, tc := range []struct {
		src  Source
		want string
	}{
		{Source{LatencyClass: LatencyScheduled, Windows: []Window{{From: "22:00", Until: "04:00", Days: []string{"mon"}}}}, ""},
		{Source{LatencyClass: LatencyScheduled}, "windows"},
		{Source{LatencyClass: LatencyBulk, Windows: []Window{{From: "22:00", Until: "04:00"}}}, "windows"},
		{Source{LatencyClass: LatencyScheduled, Windows: []Window{{From: "25:00", Until: "04:00"}, {From: "1:00", Until: "04:00"}, {From: "01:00", Until: "04:00", Days: []string{"Monday"}}}}, "windows[0] windows[1] windows[2]"},
		{Source{LatencyClass: LatencyScheduled, Windows: make([]Window, 51)}, "windows windows[0]"},
	} {
		var got []string
		for _, err := range tc.src.validateSchedule() {
			if f, ok := errors.AsType[*Fault](err); ok && len(got) < 3 {
				got = append(got, f.Field)
			}
		}
		if s := strings.Join(got, " "); s != tc.want && !strings.HasPrefix(s, tc.want+" ") {
			t.Errorf("%+v: %q, want %q", tc.src.Windows, s, tc.want)
		}
	}
}
