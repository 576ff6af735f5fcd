package atpapi

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
)

// lookEvery is how often is looked whether another moment has come.
const lookEvery = time.Second

// moment is all that changes what is promised of the same positions: the policy, the
// overrides that hold, the owners that are silent, the calendar days, the locations,
// and the views that take a silent owner's place.
type moment struct {
	promises *policy.Promises
	epoch    int
	silent   []bool
	days     []string // "zone day", sorted
	places   uint64
	views    int64
	viewed   bool // a view takes an owner's place
	sum      uint32
}

// moment is the present one.
func (r *reader) moment() *moment {
	now := r.now()
	at := inventory.Instant(now.UnixMilli())
	m := &moment{promises: r.policies.Get()}
	m.epoch = m.promises.Epoch(at)
	rules := m.promises.Silence()
	m.silent = r.heard.Silent(rules, at)
	for i := range rules {
		m.viewed = m.viewed || m.silent[i] && rules[i].Then == inventory.SilenceFallback
	}
	_, m.views, _ = r.views.Since(0)
	zones, print := r.places.Look()
	m.places = print
	for _, z := range append(append(zones, m.promises.Zones()...), time.UTC) {
		m.days = append(m.days, z.String()+" "+place.Date(place.DayAt(now, z)))
	}
	slices.Sort(m.days)
	m.days = slices.Compact(m.days)

	b := binary.AppendVarint(nil, m.promises.Version())
	b = binary.AppendVarint(b, int64(m.epoch))
	b = binary.BigEndian.AppendUint64(b, m.places)
	for _, s := range m.silent {
		b = append(b, 'f')
		if s {
			b[len(b)-1] = 't'
		}
	}
	for _, d := range m.days {
		b = append(append(b, d...), 0)
	}
	m.sum = crc32.ChecksumIEEE(b)
	return m
}

// since says what has changed since an earlier moment, the most important of it.
func (m *moment) since(before *moment) string {
	switch {
	case before == nil:
		return "resumed"
	case m.promises.Version() != before.promises.Version():
		return "policy"
	case m.epoch != before.epoch:
		return "override"
	case !slices.Equal(m.silent, before.silent):
		return "silence"
	case m.places != before.places:
		return "location"
	}
	return "day"
}

// moments is the present moment. It is safe for concurrent use.
type moments struct {
	reader *reader

	mu      sync.Mutex
	now     *moment
	changed chan struct{} // closed and replaced when another comes
}

func newMoments(r *reader) *moments { return &moments{reader: r, changed: make(chan struct{})} }

// get is the present moment, and a channel that is closed when it is over.
func (m *moments) get() (*moment, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil {
		m.now = m.reader.moment()
	}
	return m.now, m.changed
}

// look finds out whether another moment has come.
func (m *moments) look() {
	now := m.reader.moment()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now != nil && m.now.sum == now.sum && m.now.promises == now.promises && (!now.viewed || m.now.views == now.views) {
		return
	}
	m.now = now
	close(m.changed)
	m.changed = make(chan struct{})
}

// run looks until ctx is done.
func (m *moments) run(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		_, other := m.reader.policies.Next()
		m.look()
		select {
		case <-other:
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}
