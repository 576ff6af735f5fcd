package canonicalizer

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Codes of times (X12 data element 623) of which the day tells the offset: hours from
// UTC in winter. Hawaii has no summer time.
var seasonalCodes = map[string]time.Duration{
	"ET": -5 * time.Hour, "CT": -6 * time.Hour, "MT": -7 * time.Hour, "PT": -8 * time.Hour,
	"AT": -9 * time.Hour, "TT": -4 * time.Hour, "NT": -210 * time.Minute,
}

// x12Offset is the offset from UTC that a time code states of a day and hour, as
// RFC 3339 writes it. What is not known (LT, local time, and the like) is empty: the
// source's own zone.
func x12Offset(code string, local time.Time) string {
	code = strings.ToUpper(strings.TrimSpace(code))
	if offset, ok := timeCodes[code]; ok {
		return offset
	}
	if winter, ok := seasonalCodes[code]; ok {
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
