package stream

import (
	"sync/atomic"
	"time"
)

// lag follows how far a partition's worker is behind, in records and in time. It
// is safe for concurrent use.
type lag struct {
	next  atomic.Int64 // offset of the next record to work on
	end   atomic.Int64 // of the partition, as last seen
	since atomic.Int64 // Unix ms of the oldest unread record, 0 when there is none
}

// done notes that records up to next are worked off; last is the time of the last
// of them, the closest there is to that of the record behind it.
func (l *lag) done(next, end int64, last time.Time) {
	l.next.Store(next)
	if end > l.end.Load() {
		l.end.Store(end)
	}
	if next >= l.end.Load() {
		l.since.Store(0)
	} else {
		l.since.Store(last.UnixMilli())
	}
}

// seen notes the partition's end, asked for at now.
func (l *lag) seen(end int64, now time.Time) {
	l.end.Store(end)
	switch {
	case l.next.Load() >= end:
		l.since.Store(0)
	case l.since.Load() == 0:
		l.since.Store(now.UnixMilli())
	}
}

// read returns the lag at now.
func (l *lag) read(now time.Time) (records int64, seconds float64) {
	records = max(l.end.Load()-l.next.Load(), 0)
	if since := l.since.Load(); since != 0 && records > 0 {
		seconds = max(now.Sub(time.UnixMilli(since)).Seconds(), 0)
	}
	return records, seconds
}

// lagEvery is the cadence at which ends are asked for and gauges set.
const lagEvery = 2 * time.Second
