package x12

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stockweave/stockweave/services/canonicalizer/x12set"
)

// When joins date (373), time (337) and time code (623) elements to the text of a time; a
// date alone when there is no time, empty without a date. What is no date comes out as it
// is, so that the line names it.
func When(date, clock, code string) string {
	if date == "" {
		return ""
	}
	century, rest := "20", date
	switch {
	case !digits(date) || len(date) != 6 && len(date) != 8:
		return date
	case len(date) == 8:
		century, rest = date[:2], date[2:]
	case date >= "69": // as POSIX reads two digits of a year
		century = "19"
	}
	year, month, day := number(century+rest[:2]), number(rest[2:4]), number(rest[4:])
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return date
	}
	var buffer [32]byte
	out := append(append(append(append(append(append(buffer[:0], century...), rest[:2]...), '-'), rest[2:4]...), '-'), rest[4:]...)
	if clock == "" {
		return string(out)
	}
	// HHMM, HHMMSS, HHMMSSD or HHMMSSDD.
	if n := len(clock); !digits(clock) || n < 4 || n == 5 || n > 8 {
		return date + "T" + clock
	}
	second := "00"
	if len(clock) >= 6 {
		second = clock[4:6]
	}
	out = append(append(append(append(append(append(out, 'T'), clock[:2]...), ':'), clock[2:4]...), ':'), second...)
	if len(clock) > 6 {
		out = append(append(out, '.'), clock[6:]...)
	}
	if hour, minute := number(clock[:2]), number(clock[2:4]); code != "" && hour < 24 && minute < 60 && second < "60" {
		out = append(out, Offset(code, time.Date(year, time.Month(month), day, hour, minute, number(second), 0, time.UTC))...)
	}
	return string(out)
}

// number is the number that digits are.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = 10*n + int(s[i]-'0')
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// Offset is the offset from UTC that a time code (623) states of a day and hour, as
// RFC 3339 writes it. What is not known (LT, local time, and the like) is empty: the
// source's own zone.
func Offset(code string, local time.Time) string {
	code = strings.ToUpper(strings.TrimSpace(code))
	if fixed, ok := offsets[code]; ok {
		return fixed
	}
	if winter, ok := winters[code]; ok {
		if summerTime(local) {
			winter += time.Hour
		}
		return offsetText(winter)
	}
	// 01 to 12 are hours ahead of UTC, 13 to 24 are 12 to 1 behind it (ISO 8601 P01
	// to M01).
	if n, err := strconv.Atoi(code); err == nil && len(code) == 2 && n >= 1 && n <= 24 {
		if n > 12 {
			n -= 25
		}
		return offsetText(time.Duration(n) * time.Hour)
	}
	return ""
}

// offsets of time codes that are the same all year.
var offsets = map[string]string{
	"UT": "Z", "GM": "Z", "Z": "Z", "ES": "-05:00", "ED": "-04:00", "CS": "-06:00", "CD": "-05:00",
	"MS": "-07:00", "MD": "-06:00", "PS": "-08:00", "PD": "-07:00", "AS": "-09:00", "AD": "-08:00",
	"HS": "-10:00", "HT": "-10:00", "HD": "-09:00", "TS": "-04:00", "TD": "-03:00", "NS": "-03:30", "ND": "-02:30",
}

// winters are the offsets in winter of time codes of which the day tells the offset.
// Hawaii has no summer time.
var winters = map[string]time.Duration{
	"ET": -5 * time.Hour, "CT": -6 * time.Hour, "MT": -7 * time.Hour, "PT": -8 * time.Hour,
	"AT": -9 * time.Hour, "TT": -4 * time.Hour, "NT": -210 * time.Minute,
}

func offsetText(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%02d:%02d", sign, d/time.Hour, d%time.Hour/time.Minute)
}

// summerTime says whether North America has summer time at a local time: from two
// o'clock on the second Sunday of March to the first of November (Energy Policy Act
// of 2005), before 2007 from the first Sunday of April to the last of October. Where
// an hour comes twice it is the first.
func summerTime(local time.Time) bool {
	year := local.Year()
	begin, end := sunday(year, time.March, 2), sunday(year, time.November, 1)
	if year < 2007 {
		begin, end = sunday(year, time.April, 1), sunday(year, time.November, 1).AddDate(0, 0, -7)
	}
	return !local.Before(begin) && local.Before(end)
}

// sunday is two o'clock on the nth Sunday of a month.
func sunday(year int, month time.Month, n int) time.Time {
	first := time.Date(year, month, 1, 2, 0, 0, 0, time.UTC)
	return first.AddDate(0, 0, (7-int(first.Weekday()))%7+7*(n-1))
}

// when is the time that a DTM states. DTM05 is a century before release 004010, then the
// format of DTM06.
func when(dtm *x12set.Segment) string {
	date, format, period := dtm.El(2), dtm.El(5), dtm.El(6)
	switch {
	case date != "" && len(format) == 2 && digits(format) && utf8.RuneCountInString(date) == 6:
		return When(format+date, dtm.El(3), dtm.El(4))
	case date != "":
		return When(date, dtm.El(3), dtm.El(4))
	case format == "DT" && len(period) > 8:
		return When(period[:8], period[8:], "")
	case format == "DT":
		return When(period, "", "")
	}
	from, _, _ := strings.Cut(period, "-")
	return When(from, "", "")
}

// dtm is the first of the dates wanted (374) that there is.
func (s segments) dtm(wanted ...string) string {
	return s.dated("DTM", when, wanted...)
}

// g62 is the same of G62 (432).
func (s segments) g62(wanted ...string) string {
	return s.dated("G62", func(g *x12set.Segment) string { return When(g.El(2), g.El(4), g.El(5)) }, wanted...)
}

func (s segments) dated(id string, when func(*x12set.Segment) string, wanted ...string) string {
	at := s.index(id)
	if at == len(s) {
		return ""
	}
	for _, w := range wanted {
		for i := at; i < len(s); i++ {
			if s[i].ID() != id || s[i].El(1) != w {
				continue
			}
			if t := when(&s[i]); t != "" {
				return t
			}
		}
	}
	return ""
}

// due is when a delivery is due, best first: delivery requested, estimated, scheduled,
// required by, promised; then shipment requested.
func (s segments) due() string {
	return s.dtm("002", "017", "067", "371", "063", "074", "106", "010", "037", "038")
}

// basisEnvelope is that of a time that the envelope states.
const basisEnvelope = "envelope"

// stamp says when a line happened. What states no time of its own is of the time of its
// group, else of the interchange.
func (r *reading) stamp(l *Line, when string) {
	if when != "" {
		l.OccurredAt = when
		return
	}
	if !r.sent.known {
		r.sent.known = true
		switch date := field(r.c.Group, "date"); {
		case (len(date) == 6 || len(date) == 8) && digits(date):
			r.sent.at = When(date, field(r.c.Group, "time"), "")
		default:
			if date := field(r.c.Interchange, "date"); len(date) == 6 && digits(date) {
				r.sent.at = When(date, field(r.c.Interchange, "time"), "")
			}
		}
	}
	if r.sent.at != "" {
		l.OccurredAt, l.OccurredBasis = r.sent.at, basisEnvelope
	}
}

// field is a text of an envelope.
func field(of map[string]any, key string) string {
	s, _ := of[key].(string)
	return s
}
