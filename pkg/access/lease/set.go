package lease

import "github.com/stockweave/stockweave/pkg/access/limit"

// Set puts rates in the place of those before; those without PerSecond are none of its. A
// principal that stays has what it has, by its new rate. One that is new is granted a
// lease of a full bucket before the store is asked; what of it others had spent is owed.
func (l *Leases) Set(rates map[string]limit.Rule) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.buckets {
		if rates[name].PerSecond <= 0 {
			delete(l.buckets, name)
		}
	}
	for name, r := range rates {
		if r.PerSecond <= 0 {
			continue
		}
		b := l.buckets[name]
		if b == nil {
			b = &bucket{asked: true}
			l.buckets[name] = b
		}
		b.rule = limit.Rule{PerSecond: r.PerSecond, Burst: r.Burst}
	}
	l.alone.Room(len(rates))
	l.settleSoon()
}

// any says whether there is a rate to share.
func (l *Leases) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.buckets) > 0
}
