package x12

import (
	"fmt"
	"testing"
	"time"
)

// TestWhen: times that are none, and days that a month does not have.
func TestWhen(t *testing.T) {
	for _, tc := range []struct{ date, clock, code, want string }{
		{"20240229", "", "", "2024-02-29"},
		{"20230229", "", "", "20230229"},
		{"19000229", "", "", "19000229"},
		{"20000229", "", "", "2000-02-29"},
		{"20260431", "1200", "", "20260431"},
		{"690101", "", "", "1969-01-01"},
		{"681231", "", "", "2068-12-31"},
		{"2026110", "", "", "2026110"},
		{"2026-1-1", "", "", "2026-1-1"},
		{"20261102", "2460", "UT", "2026-11-02T24:60:00"},
		{"20261102", "10156", "", "20261102T10156"},
		{"20261102", "1015301", "UT", "2026-11-02T10:15:30.1Z"},
		{"", "1015", "UT", ""},
	} {
		if got := When(tc.date, tc.clock, tc.code); got != tc.want {
			t.Errorf("%s %s %s: %q, want %q", tc.date, tc.clock, tc.code, got, tc.want)
		}
	}
	// Every day is read as the calendar has it.
	for day := time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() < 2069; day = day.AddDate(0, 0, 1) {
		want := day.Format(time.DateOnly)
		if a, b := When(day.Format("060102"), "", ""), When(day.Format("20060102"), "", ""); a != want || b != want {
			t.Fatalf("%s: %s, %s", want, a, b)
		}
		if day.AddDate(0, 0, 1).Day() == 1 {
			if none := fmt.Sprintf("%s%02d", day.Format("200601"), day.Day()+1); When(none, "", "") != none {
				t.Fatalf("%s is a day", none)
			}
		}
	}
}

// TestOffset: time codes (623), those of the seasons by the day.
func TestOffset(t *testing.T) {
	for _, tc := range []struct{ code, local, want string }{
		{"ET", "2026-03-08T01:59", "-05:00"},
		{"ET", "2026-03-08T02:00", "-04:00"},
		{"ET", "2026-11-01T01:59", "-04:00"},
		{"ET", "2026-11-01T02:00", "-05:00"},
		{"PT", "2019-11-02T16:25", "-07:00"},
		{"PT", "2006-04-02T03:00", "-07:00"},
		{"PT", "2006-10-29T03:00", "-08:00"},
		{"PT", "2006-03-20T03:00", "-08:00"},
		{"NT", "2026-01-01T00:00", "-03:30"},
		{"nt", "2026-07-01T00:00", "-02:30"},
		{"01", "2026-01-01T00:00", "+01:00"},
		{"12", "2026-01-01T00:00", "+12:00"},
		{"13", "2026-01-01T00:00", "-12:00"},
		{"24", "2026-01-01T00:00", "-01:00"},
		{"25", "2026-01-01T00:00", ""},
		{"LT", "2026-01-01T00:00", ""},
		{"", "2026-01-01T00:00", ""},
		{"UT", "2026-01-01T00:00", "Z"},
		{"HT", "2026-07-01T00:00", "-10:00"},
	} {
		at, err := time.Parse("2006-01-02T15:04", tc.local)
		if err != nil {
			t.Fatal(err)
		}
		if got := Offset(tc.code, at); got != tc.want {
			t.Errorf("%s at %s: %q, want %q", tc.code, tc.local, got, tc.want)
		}
	}
}
