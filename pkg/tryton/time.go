package tryton

import (
	"fmt"
	"time"
)

// Date is a day as Tryton's JSON writes it.
type Date struct {
	Class string `json:"__class__"`
	Year  int    `json:"year"`
	Month int    `json:"month"`
	Day   int    `json:"day"`
}

// ParseDate reads 2026-11-02.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date: %w", s, err)
	}
	return Date{"date", t.Year(), int(t.Month()), t.Day()}, nil
}

// Time is a time as Tryton's JSON writes it, without a zone; the server keeps UTC.
type Time struct {
	Class       string `json:"__class__"`
	Year        int    `json:"year"`
	Month       int    `json:"month"`
	Day         int    `json:"day"`
	Hour        int    `json:"hour"`
	Minute      int    `json:"minute"`
	Second      int    `json:"second"`
	Microsecond int    `json:"microsecond"`
}

// NewTime is t to the microsecond.
func NewTime(t time.Time) Time {
	t = t.UTC()
	return Time{"datetime", t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond() / 1000}
}

// Go is the time as the standard library has it.
func (t *Time) Go() time.Time {
	return time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, 1000*t.Microsecond, time.UTC)
}
