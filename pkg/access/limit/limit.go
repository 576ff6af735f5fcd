// Package limit says how often somebody may ask, and how much of it at a time:
// token buckets and places, in bounded memory, by a clock that is handed in. The
// answers go into the RateLimit fields of
// draft-ietf-httpapi-ratelimit-headers-10, which are written here too.
package limit

import (
	"sync"
	"time"
)

// Rule is what somebody may ask. The zero value allows everything.
type Rule struct {
	PerSecond  float64 // in the long run; 0: any
	Burst      int     // at once after a pause; one second's worth, at least 1, when 0
	Concurrent int     // under way at a time; 0: any
}

// Free says whether the rule allows everything.
func (r Rule) Free() bool { return r.PerSecond <= 0 && r.Concurrent <= 0 }

// Size is how many may be asked at once after a pause, at most what fills in maxRoom.
func (r Rule) Size() int {
	n := r.Burst
	if n <= 0 {
		n = int(min(r.PerSecond, 1e9))
	}
	return max(1, min(n, int(maxRoom/r.gap())))
}

// maxGap bounds the time between two requests of the slowest rule, and maxRoom that
// in which a bucket fills, so that sums of times do not overflow.
const (
	maxGap  = 24 * time.Hour
	maxRoom = 10 * 365 * 24 * time.Hour
)

// gap is the time one request takes from the bucket.
func (r Rule) gap() time.Duration {
	g := float64(time.Second) / r.PerSecond
	if g >= float64(maxGap) {
		return maxGap
	}
	return max(1, time.Duration(g))
}

// Limiter keeps a bucket for each name, at most as many as it is made for. It is
// safe for concurrent use.
type Limiter struct {
	now  func() time.Time
	most int

	mu      sync.Mutex
	buckets map[string]*bucket
	// rest is the bucket of all who come when there is room for no more names.
	rest bucket
}

// bucket is a token bucket kept as the moment it will be full again (GCRA): full at
// or before now means nobody has asked for a while, and it need not be kept.
type bucket struct {
	full  time.Time
	under int // way
}

// New is a limiter of at most so many names.
func New(most int, now func() time.Time) *Limiter {
	return &Limiter{now: now, most: max(1, most), buckets: map[string]*bucket{}}
}

// Refusal is why a request may not be served now.
type Refusal int

// Refusals.
const (
	Allowed Refusal = iota
	TooOften
	TooMany // at a time
)

// State is how a bucket stands after a request was asked for.
type State struct {
	Rule Rule
	// Remaining is how many more may be asked now, Reset when the bucket is full
	// again.
	Remaining int
	Reset     time.Duration
	// After is when to come again: when one is free. Zero where it was allowed.
	After time.Duration
}

// Enter asks for one request of somebody. Where it is allowed leave must be called
// once when the request is done; else leave is nil and nothing has changed.
func (l *Limiter) Enter(name string, r Rule) (s State, refusal Refusal, leave func(back bool)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.bucket(name, now)
	s = State{Rule: r}
	if r.PerSecond > 0 {
		gap, burst := r.gap(), r.Size()
		room := gap * time.Duration(burst)
		owed := max(0, b.full.Sub(now))
		s.Remaining, s.Reset = int((room-min(owed, room))/gap), owed
		if owed+gap > room {
			s.After = owed + gap - room
			return s, TooOften, nil
		}
	}
	if r.Concurrent > 0 && b.under >= r.Concurrent {
		s.After = time.Second // nobody knows when one of them is done
		return s, TooMany, nil
	}
	if r.PerSecond > 0 {
		if b.full.Before(now) {
			b.full = now
		}
		b.full = b.full.Add(r.gap())
		s.Remaining, s.Reset = s.Remaining-1, b.full.Sub(now)
	}
	b.under++
	var once sync.Once
	return s, Allowed, func(back bool) {
		once.Do(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			b.under--
			if back && r.PerSecond > 0 {
				b.full = b.full.Add(-r.gap())
			}
		})
	}
}

// bucket finds or makes one. Where there is no room it makes some: what is full and
// empty of requests tells nothing.
func (l *Limiter) bucket(name string, now time.Time) *bucket {
	if b := l.buckets[name]; b != nil {
		return b
	}
	if len(l.buckets) >= l.most {
		for n, b := range l.buckets {
			if b.under == 0 && !b.full.After(now) {
				delete(l.buckets, n)
			}
		}
	}
	if len(l.buckets) >= l.most {
		return &l.rest
	}
	b := &bucket{}
	l.buckets[name] = b
	return b
}

// Len is how many names are kept.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buckets)
}
