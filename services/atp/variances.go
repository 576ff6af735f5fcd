package atp

import (
	"container/heap"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// variances are the alerted variances of the owned partitions, each that of one claimed
// view, as the committed state has them: what a transaction changes counts once it is
// committed. A change takes the time of a heap of those that are open, a look at the
// metrics that of the sources. It is safe for concurrent use.
type variances struct {
	mu     sync.Mutex
	parts  map[int32]*openViews
	staged []viewChange // by the transaction under way
}

// openViews are those of a partition, from when it is owned until it is no more.
type openViews struct {
	of map[string]*openView // by the key of the view in the state
	by map[inventory.Source]*openHeap
}

// openView is a claimed view whose variance is alerted.
type openView struct {
	key    string
	source inventory.Source
	since  inventory.Instant
	at     int // in the heap
}

// viewChange is what a transaction makes of a view, and of whom.
type viewChange struct {
	views *openViews
	view  openView
	open  bool
}

// owned begins with a partition anew: what is added comes from its committed state.
func (v *variances) owned(partition int32) *openViews {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.parts == nil {
		v.parts = map[int32]*openViews{}
	}
	views := &openViews{of: map[string]*openView{}, by: map[inventory.Source]*openHeap{}}
	v.parts[partition] = views
	return views
}

func (v *variances) disowned(partition int32) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.parts, partition)
}

// found takes a view of the committed state.
func (v *variances) found(views *openViews, key string, view *inventory.View) {
	if n := view.Variance; n != nil && n.Alert {
		v.mu.Lock()
		defer v.mu.Unlock()
		views.set(openView{key: strings.Clone(key), source: inventory.Source(strings.Clone(string(view.Source))), since: n.Streak.Since}, true)
	}
}

// stage takes a view as the transaction under way puts it.
func (v *variances) stage(partition int32, key string, view *inventory.View) {
	v.mu.Lock()
	defer v.mu.Unlock()
	views := v.parts[partition]
	if views == nil {
		return // taken away meanwhile
	}
	c := viewChange{views: views, view: openView{key: key}}
	if n := view.Variance; n != nil && n.Alert {
		c.open, c.view.source, c.view.since = true, inventory.Source(strings.Clone(string(view.Source))), n.Streak.Since // outlives the event
	}
	v.staged = append(v.staged, c)
}

// settled makes what is staged what is so, or forgets it.
func (v *variances) settled(committed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if committed {
		for i := range v.staged {
			c := &v.staged[i]
			c.views.set(c.view, c.open)
		}
	}
	clear(v.staged)
	v.staged = v.staged[:0]
}

// set notes that a view is alerted, or is no more.
func (o *openViews) set(x openView, open bool) {
	old := o.of[x.key]
	switch {
	case old == nil && !open:
	case !open:
		heap.Remove(o.by[old.source], old.at)
		delete(o.of, x.key)
	case old == nil:
		h := o.by[x.source]
		if h == nil {
			h = new(openHeap)
			o.by[x.source] = h
		}
		o.of[x.key] = &x
		heap.Push(h, &x)
	case old.since != x.since:
		old.since = x.since
		heap.Fix(o.by[old.source], old.at)
	}
}

// openHeap is ordered by since when a view has differed.
type openHeap []*openView

func (h openHeap) Len() int           { return len(h) }
func (h openHeap) Less(i, j int) bool { return h[i].since < h[j].since }

func (h openHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is heap.Interface's.
func (h *openHeap) Push(x any) {
	if v, ok := x.(*openView); ok {
		v.at = len(*h)
		*h = append(*h, v)
	}
}

// Pop is heap.Interface's.
func (h *openHeap) Pop() any {
	n := len(*h) - 1
	v := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return v
}

// viewRead is a view that stands in the state; one that does not decode stops the worker
// when an event needs it.
func (r *reminders) viewRead(views *openViews, key string, value []byte) {
	var piece inventory.Piece
	if err := r.codecs.DecodeState([]byte(key), value, &piece); err != nil {
		r.log.LogAttrs(context.Background(), slog.LevelError, "a claimed view is unreadable", slog.String("key", key), slog.Any("error", err))
	} else if piece.View != nil {
		r.variances.found(views, key, piece.View)
	}
}

// sourceVariances is what one system has open.
type sourceVariances struct {
	n     int
	since inventory.Instant // of the first
}

// bySource adds up the partitions.
func (v *variances) bySource() map[inventory.Source]sourceVariances {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := map[inventory.Source]sourceVariances{}
	for _, views := range v.parts {
		for source, h := range views.by {
			if len(*h) == 0 {
				continue
			}
			s := all[source]
			if first := (*h)[0].since; s.n == 0 || first < s.since {
				s.since = first
			}
			s.n += len(*h)
			all[source] = s
		}
	}
	return all
}

// varianceMetrics show what somebody should look into: by source, of which there are as
// many as the policy compares. Those that have nothing open are told of as well.
type varianceMetrics struct {
	*variances
	compared func() []inventory.Source
	now      func() time.Time
	open     *prometheus.Desc
	oldest   *prometheus.Desc
}

func (v *variances) metrics(compared func() []inventory.Source, now func() time.Time) prometheus.Collector {
	labels := []string{"source"}
	return &varianceMetrics{
		variances: v, compared: compared, now: now,
		open: prometheus.NewDesc("stockweave_atp_variances_open",
			"Claimed views that differ from the ledger, unexplained and by the policy's measure of what is to be alerted.", labels, nil),
		oldest: prometheus.NewDesc("stockweave_atp_variances_oldest_seconds",
			"How long the first of the open variances has been there: since the as-of of the first snapshot that differed.", labels, nil),
	}
}

// Describe is prometheus.Collector's.
func (m *varianceMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- m.open
	descs <- m.oldest
}

// Collect is prometheus.Collector's.
func (m *varianceMetrics) Collect(metrics chan<- prometheus.Metric) {
	now, all := m.now(), m.bySource()
	for _, source := range m.compared() {
		if _, ok := all[source]; !ok {
			all[source] = sourceVariances{}
		}
	}
	for source, s := range all {
		age := 0.0
		if s.n > 0 {
			age = max(0, now.Sub(time.UnixMilli(int64(s.since))).Seconds())
		}
		metrics <- prometheus.MustNewConstMetric(m.open, prometheus.GaugeValue, float64(s.n), string(source))
		metrics <- prometheus.MustNewConstMetric(m.oldest, prometheus.GaugeValue, age, string(source))
	}
}
