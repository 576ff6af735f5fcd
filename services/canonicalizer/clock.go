package canonicalizer

import (
	"errors"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

var errTime = errors.New("not a time: wants RFC 3339, a date, or a date and time in the source's zone")

// Layouts of times that state no zone, then of dates alone. RFC 3339 comes before
// all of them; the compact ones are ISO 8601 basic and X12's (data elements 373
// and 337).
var (
	localLayouts = []string{
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04",
		"20060102T150405", "20060102T1504", "20060102150405", "200601021504", "20060102 150405", "20060102 1504",
	}
	zonedLayouts = []string{
		time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00",
		"2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z0700", "20060102T150405Z07:00", "20060102T150405Z0700", "20060102T1504Z07:00",
	}
	dateLayouts = []string{time.DateOnly, "20060102"}
)

// parseTime reads a stated time. What states no zone is in the source's; a date
// alone means what the source says it does, the start of the day by default.
func parseTime(s string, src *policy.Source) (inventory.Instant, error) {
	if len(s) > 64 {
		return 0, errTime
	}
	if len(s) == len(time.DateOnly) && digits(s[:4]) && s[4] == '-' { // no other layout begins like this and is as short
		return parseDate(s, src)
	}
	for _, layout := range zonedLayouts {
		if !strings.ContainsAny(s[max(0, len(s)-len("+07:00")):], "Z+-") {
			break // it ends without a zone; what does not fit costs an error each
		}
		if t, err := time.Parse(layout, s); err == nil {
			return instant(t)
		}
	}
	for _, layout := range localLayouts {
		if n := len(layout) - len(s); n != 0 && n != 1 && !strings.ContainsAny(s, ".,") {
			continue // an hour may have one digit, a second a fraction
		}
		if t, err := time.ParseInLocation(layout, s, src.Zone); err == nil {
			return instant(t)
		}
	}
	return parseDate(s, src)
}

// parseDate reads a date alone.
func parseDate(s string, src *policy.Source) (inventory.Instant, error) {
	for _, layout := range dateLayouts {
		if t, err := time.ParseInLocation(layout, s, src.Zone); err == nil {
			switch src.AsOf.Date {
			case policy.DateNoon:
				t = t.Add(12 * time.Hour)
			case policy.DateEnd:
				t = t.AddDate(0, 0, 1).Add(-time.Millisecond)
			}
			return instant(t)
		}
	}
	return 0, errTime
}

func instant(t time.Time) (inventory.Instant, error) {
	if t.Year() < 1970 || t.Year() > 9999 {
		return 0, errTime
	}
	return inventory.Instant(t.UnixMilli()), nil
}

// parseDay reads a calendar day, or the day of a time as it is written.
func parseDay(s string) (inventory.Day, error) {
	if s == "" {
		return 0, nil
	}
	text := s
	if len(s) > len(time.DateOnly) {
		text = s[:len(time.DateOnly)]
		if !strings.ContainsAny(s[len(time.DateOnly):][:1], "T ") {
			return 0, errTime
		}
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return inventory.Day(t.Unix() / 86_400), nil
		}
	}
	return 0, errTime
}
