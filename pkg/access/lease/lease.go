// Package lease shares a rate among replicas without asking anybody for each request:
// a replica grants a part of what a shared store last said there is, and settles what it
// granted in the background (ADR 37).
package lease

import (
	"context"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/access/limit"
)

// Times of settling.
const (
	settleEvery = 100 * time.Millisecond // at most, while anything is granted
	settleLeast = 5 * time.Millisecond   // at least, whoever asks
	settleTime  = time.Second            // a store that takes longer is away
	meetEvery   = time.Second            // that replicas tell of themselves
	gone        = 5 * time.Second        // a replica that told nothing for so long is gone
)

// Account is what one replica granted of one principal's rate since it last settled.
type Account struct {
	Name  string
	Rule  limit.Rule
	Spent int64
}

// Store is shared by all replicas. It is safe for concurrent use.
type Store interface {
	// Settle takes from the bucket of each account what was spent, below zero too, and
	// says how much is in it then. All of them are settled, or how many is not known.
	Settle(ctx context.Context, accounts []Account) (levels []float64, err error)
	// Meet tells of a replica, and says how many there are with it that told of
	// themselves within a time.
	Meet(ctx context.Context, replica string, within time.Duration) (replicas int, err error)
}

// Leases are a replica's parts of rates. Between two settlements a replica grants an even
// part of what is in a bucket, its lease: all where it is alone, and always one where
// there is one. What a replica knows is at most settleEvery old while it is asked, and
// older when it was not: then it may grant a lease that others have spent already. So
// two replicas grant no more than the rate and one lease, that is half a burst or one
// request; n of them n-1 leases of a burst's nth part. What was too much is owed: nobody
// is granted more until the rate has paid it.
//
// While the store is away each replica grants an even part of the rate by itself, of as
// many as there were last; what it granted it settles afterwards. Leases are safe for
// concurrent use.
type Leases struct {
	store   Store
	replica string
	now     func() time.Time
	wake    chan struct{} // of one: something is to be settled
	ready   chan struct{} // closed when the store was asked once, whatever it said

	mu       sync.Mutex
	buckets  map[string]*bucket
	replicas int
	away     bool
	alone    *limit.Limiter // while the store is away
	counts   Counts
}

// bucket is the store's bucket of a principal, as it is known here.
type bucket struct {
	rule  limit.Rule
	level float64 // at that time
	at    time.Time

	spent int64 // granted since it was settled
	under int64 // of that, on the way to the store
	asked bool  // since it was settled
}

// Counts are of all that a replica did.
type Counts struct {
	Granted, Refused int64
	Alone            int64 // granted while the store was away
	Settled, Failed  int64 // settlements
	Replicas         int
	Away             bool
}

// New knows the rates there are, by principal; those without PerSecond are none of its.
// replica is a name that no other one has.
func New(store Store, replica string, rates map[string]limit.Rule, now func() time.Time) *Leases {
	l := &Leases{
		store: store, replica: replica, now: now, wake: make(chan struct{}, 1), ready: make(chan struct{}),
		buckets: map[string]*bucket{}, replicas: 1, away: true, alone: limit.New(len(rates), now),
	}
	l.Set(rates)
	return l
}

// Ready is closed when it is known how much there is, or that the store is away.
func (l *Leases) Ready() <-chan struct{} { return l.ready }

// Counts are those so far.
func (l *Leases) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.Replicas, c.Away = l.replicas, l.away
	return c
}

// now is what is in the bucket now, if no other replica granted anything.
func (b *bucket) now(now time.Time) float64 {
	burst := float64(b.rule.Size())
	return min(burst, b.level+b.rule.PerSecond*max(0, now.Sub(b.at).Seconds())) - float64(b.spent)
}

// Take asks for one request of a principal. A name that has no rate is allowed. It asks
// nobody else.
func (l *Leases) Take(name string) (s limit.State, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[name]
	if b == nil {
		return limit.State{}, true
	}
	if l.away {
		part := limit.Rule{PerSecond: b.rule.PerSecond / float64(l.replicas), Burst: max(1, b.rule.Size()/l.replicas)}
		s, refused, leave := l.alone.Enter(name, part)
		if s.Rule = b.rule; refused != limit.Allowed {
			l.counts.Refused++
			return s, false
		}
		leave(false)
		b.spent++
		l.counts.Alone++
		return s, true
	}
	level := b.now(l.now())
	b.asked = true
	free := level
	if l.replicas > 1 {
		// It is of what there was when it was settled, and of what came since.
		free = min(level, max(1, (level+float64(b.spent))/float64(l.replicas))-float64(b.spent))
	}
	s.Rule = b.rule
	if free < 1 {
		l.counts.Refused++
		s.After = time.Duration(max(0, 1-level) / b.rule.PerSecond * float64(time.Second))
		s.Reset = b.full(level)
		l.settleSoon()
		return s, false
	}
	b.spent++
	l.counts.Granted++
	s.Remaining, s.Reset = int(max(0, level-1)), b.full(level-1)
	if free < 2 || free-1 < float64(b.spent) { // before it is spent
		l.settleSoon()
	}
	return s, true
}

// full is when the bucket is.
func (b *bucket) full(level float64) time.Duration {
	return time.Duration(min((float64(b.rule.Size())-level)/b.rule.PerSecond, (24*time.Hour).Seconds()) * float64(time.Second))
}

func (l *Leases) settleSoon() {
	select {
	case l.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run settles until ctx is done, and then once more. It may be called once.
func (l *Leases) Run(ctx context.Context) error {
	every := time.NewTicker(settleEvery)
	defer every.Stop()
	var met time.Time
	for first := true; ; first = false {
		if now := l.now(); l.any() && (first || now.Sub(met) >= meetEvery || now.Before(met)) {
			met = now
			l.meet(ctx)
		}
		l.settle(ctx, first)
		if first {
			close(l.ready)
		}
		least := time.NewTimer(settleLeast) // nobody makes us settle more often
		select {
		case <-least.C:
			select {
			case <-l.wake:
			case <-every.C:
			case <-ctx.Done():
			}
		case <-ctx.Done():
			least.Stop()
		}
		if ctx.Err() != nil {
			l.settle(context.WithoutCancel(ctx), false)
			return nil
		}
	}
}

// meet finds out how many replicas there are; while that is not known it stays the same.
func (l *Leases) meet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	n, err := l.store.Meet(ctx, l.replica, gone)
	if err != nil {
		return // settling says so
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.replicas = max(1, n)
}

// settle settles what was granted or asked for; everything when it is the first time, or
// the store was away.
func (l *Leases) settle(ctx context.Context, all bool) {
	l.mu.Lock()
	all = all || l.away
	var accounts []Account
	for name, b := range l.buckets {
		if b.spent > 0 || b.asked || all {
			accounts = append(accounts, Account{name, b.rule, min(b.spent, int64(b.rule.Size()))})
			b.under, b.asked = b.spent, false
		}
	}
	l.mu.Unlock()
	if len(accounts) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	levels, err := l.store.Settle(ctx, accounts)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = err != nil
	if err != nil {
		// What was settled all the same is taken twice: too little is granted, not too much.
		l.counts.Failed++
		return
	}
	l.counts.Settled++
	for i := range accounts {
		b := l.buckets[accounts[i].Name]
		if b == nil { // its rate ended meanwhile
			continue
		}
		b.level, b.at, b.spent, b.under = levels[i], now, b.spent-b.under, 0
	}
}
