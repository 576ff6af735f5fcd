package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Poll is how often a source is asked, and what happens when it does not answer. Of a
// field that is zero the default of Defaults holds.
type Poll struct {
	// Every is the pause between two rounds.
	Every time.Duration `yaml:"every"`
	// Timeout bounds one question and its answer.
	Timeout time.Duration `yaml:"timeout"`
	// Batch is the most records of one answer, Pages the most answers of one round.
	Batch int `yaml:"batch"`
	Pages int `yaml:"pages"`
	// PerSecond bounds the questions; no limit when 0.
	PerSecond float64 `yaml:"per_second"`
	// Closed are the maintenance windows of the other side, in the source's time zone:
	// it is not asked then.
	Closed []Closed `yaml:"closed"`
	Retry  Retry    `yaml:"retry"`
}

// Retry is how a question that failed is put again: after First, then twice as long,
// up to Most, less a random part of up to half. After Open failures in a row the other
// side counts as down, and is tried once each Most until it answers.
type Retry struct {
	First time.Duration `yaml:"first"`
	Most  time.Duration `yaml:"most"`
	Open  int           `yaml:"open"`
}

// Closed is a maintenance window by the wall clock: from From to Until, on the next day
// when Until is not later. Days are those on which it begins, all when empty.
type Closed struct {
	Days  []string `yaml:"days"` // mon, tue, ...
	From  string   `yaml:"from"` // 22:30
	Until string   `yaml:"until"`
}

// Bounds of polling.
const (
	minEvery   = time.Second
	maxEvery   = 7 * 24 * time.Hour
	maxTimeout = 5 * time.Minute
	maxBatch   = 5_000
	maxPages   = 100_000
	// maxOverlap bounds how far a cursor goes back for what was committed late.
	maxOverlap = 7 * 24 * time.Hour
)

// Defaults is p with what it leaves open.
func (p Poll) Defaults() Poll {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&p.Every, time.Minute)
	set(&p.Timeout, 30*time.Second)
	set(&p.Retry.First, time.Second)
	set(&p.Retry.Most, max(5*time.Minute, p.Retry.First))
	if p.Batch == 0 {
		p.Batch = 500
	}
	if p.Pages == 0 {
		p.Pages = 10_000
	}
	if p.Retry.Open == 0 {
		p.Retry.Open = 5
	}
	return p
}

func (p *Poll) validate(at string) []error {
	var fs faults
	between := func(field string, d, least, most time.Duration) {
		if d != 0 && (d < least || d > most) {
			fs.add(CodeOutOfRange, at+field, "must be between %s and %s", least, most)
		}
	}
	between(".every", p.Every, minEvery, maxEvery)
	between(".timeout", p.Timeout, time.Second, maxTimeout)
	between(".retry.first", p.Retry.First, 100*time.Millisecond, time.Hour)
	between(".retry.most", p.Retry.Most, 100*time.Millisecond, 24*time.Hour)
	if r := p.Retry; r.Most != 0 && r.Most < r.First {
		fs.add(CodeOutOfRange, at+".retry.most", "must not be below first")
	}
	if p.Retry.Open < 0 || p.Retry.Open > 1000 {
		fs.add(CodeOutOfRange, at+".retry.open", "must be between 1 and 1000")
	}
	if p.Batch < 0 || p.Batch > maxBatch {
		fs.add(CodeOutOfRange, at+".batch", "must be between 1 and %d", maxBatch)
	}
	if p.Pages < 0 || p.Pages > maxPages {
		fs.add(CodeOutOfRange, at+".pages", "must be between 1 and %d", maxPages)
	}
	if p.PerSecond < 0 {
		fs.add(CodeOutOfRange, at+".per_second", "must not be negative")
	}
	for i, c := range p.Closed {
		if _, _, _, err := c.clock(); err != nil {
			fs.add(CodeBadTime, fmt.Sprintf("%s.closed[%d]", at, i), "%v", err)
		}
	}
	return fs
}

// weekdays in the order of time.Weekday.
func weekdays() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

var errClock = errors.New("a time of day as 22:30")

func clock(s string) (minutes int, err error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	if !ok || len(s) != len("22:30") || err1 != nil || err2 != nil || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, errClock
	}
	return 60*hour + minute, nil
}

func (c *Closed) clock() (from, until int, days [7]bool, err error) {
	if from, err = clock(c.From); err != nil {
		return 0, 0, days, fmt.Errorf("from: %w", err)
	}
	if until, err = clock(c.Until); err != nil {
		return 0, 0, days, fmt.Errorf("until: %w", err)
	}
	for i := range days {
		days[i] = len(c.Days) == 0
	}
	for _, d := range c.Days {
		i := slices.Index(weekdays(), d)
		if i < 0 {
			return 0, 0, days, fmt.Errorf("days: %q is not one of %s", d, strings.Join(weekdays(), ", "))
		}
		days[i] = true
	}
	return from, until, days, nil
}

// OpensAt is when the other side may be asked next: now, outside all windows, else the
// end of the windows that follow on each other. A time of day that a change of the
// clocks leaves out or repeats is where time.Date puts it. A source that is closed
// around the clock opens a week later, and asks then.
func (p *Poll) OpensAt(now time.Time, zone *time.Location) time.Time {
	at, horizon := now, now.Add(7*24*time.Hour)
	for at.Before(horizon) {
		end, inside := p.closedUntil(at.In(zone))
		if !inside {
			return at
		}
		at = end
	}
	return horizon
}

func (p *Poll) closedUntil(at time.Time) (end time.Time, inside bool) {
	for i := range p.Closed {
		from, until, days, err := p.Closed[i].clock()
		if err != nil {
			continue // Validate says so
		}
		for back := range 2 { // a window of yesterday may reach into today
			day := time.Date(at.Year(), at.Month(), at.Day()-back, 0, 0, 0, 0, at.Location())
			if !days[day.Weekday()] {
				continue
			}
			last := day.Day()
			if until <= from {
				last++
			}
			begin := time.Date(day.Year(), day.Month(), day.Day(), 0, from, 0, 0, at.Location())
			stop := time.Date(day.Year(), day.Month(), last, 0, until, 0, 0, at.Location())
			if !at.Before(begin) && at.Before(stop) && stop.After(end) {
				end, inside = stop, true
			}
		}
	}
	return end, inside
}
