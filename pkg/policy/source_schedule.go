package policy

import (
	"fmt"
	"time"
)

// Window is when messages of the scheduled class are worked on, by the wall clock of the
// source's time zone: from From to Until, on the next day when Until is not later. Days
// are those on which it begins, all when empty.
type Window struct {
	Days  []string `yaml:"days"` // mon, tue, ...
	From  string   `yaml:"from"` // 22:30
	Until string   `yaml:"until"`
}

const maxWindows = 50

// validateSchedule reports every fault of a source's windows.
func (s *Source) validateSchedule() []error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	switch scheduled := s.LatencyClass == LatencyScheduled; {
	case scheduled && len(s.Windows) == 0:
		bad("windows", "the class %s needs one", LatencyScheduled)
	case !scheduled && len(s.Windows) > 0:
		bad("windows", "go with the class %s", LatencyScheduled)
	case len(s.Windows) > maxWindows:
		bad("windows", "%d, more than %d", len(s.Windows), maxWindows)
	}
	for i := range s.Windows {
		c := Closed(s.Windows[i])
		if _, _, _, err := c.clock(); err != nil {
			bad(fmt.Sprintf("windows[%d]", i), "%v", err)
		}
	}
	return errs
}

// Opens is when messages of the source may be worked on: now where a window is open or
// the source has none, else when the next one opens. The clocks' changes make a window
// an hour longer or shorter; one that lies in the hour left out is as long as it says,
// from the moment of the change on, so that no day is without its window.
func (s *Source) Opens(now time.Time) time.Time {
	if s.LatencyClass != LatencyScheduled || len(s.Windows) == 0 {
		return now
	}
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	at := now.In(zone)
	var next time.Time
	for i := range s.Windows {
		c := Closed(s.Windows[i])
		from, until, days, err := c.clock()
		if err != nil {
			continue // Validate says so
		}
		minutes := until - from
		if minutes <= 0 {
			minutes += 24 * 60
		}
		for day := -1; day <= 7; day++ { // a window of yesterday may reach into today
			date := time.Date(at.Year(), at.Month(), at.Day()+day, 12, 0, 0, 0, time.UTC)
			if !days[date.Weekday()] {
				continue
			}
			begin := wall(date, from, zone, -1)
			stop := wall(date, from+minutes, zone, 1)
			if !stop.After(begin) {
				stop = begin.Add(time.Duration(minutes) * time.Minute)
			}
			switch {
			case !now.Before(begin) && now.Before(stop):
				return now
			case now.Before(begin) && (next.IsZero() || begin.Before(next)):
				next = begin
			}
		}
	}
	if next.IsZero() {
		return now // no window at all: nothing may wait for ever
	}
	return next
}

// wall is a time of day, in minutes since midnight, on a date: of one that comes twice
// the first (side -1) or the second (1); one that the clocks leave out is the moment they
// change.
func wall(date time.Time, minutes int, zone *time.Location, side int) time.Time {
	t := time.Date(date.Year(), date.Month(), date.Day(), 0, minutes, 0, 0, zone)
	said := func(t time.Time) bool { return 60*t.Hour()+t.Minute() == minutes%(24*60) }
	if said(t) {
		for _, by := range []time.Duration{time.Hour, 30 * time.Minute} { // by which clocks are put back
			if side < 0 {
				by = -by
			}
			if twin := t.Add(by); said(twin) {
				return twin
			}
		}
		return t
	}
	_, change := t.ZoneBounds()
	if start, _ := t.ZoneBounds(); t.Sub(start) < 12*time.Hour {
		change = start
	}
	return change
}
