package heard

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/stream"
)

// maxChanges is how many changes are remembered one by one.
const maxChanges = 10_000

// Views are the claimed views that take a silent owner's place: of inventory.views
// those of the sources, and at the locations, that the policy's rules name as a
// fallback, without what a promise does not need. Nothing is read while no rule does.
// It is safe for concurrent use.
type Views struct {
	codecs   *event.Codecs
	policies *current.Policy
	log      *slog.Logger
	table    func(apply func(*stream.Record) error) (table, error)
	loaded   latch

	mu      sync.RWMutex
	of      map[inventory.Key][]inventory.View // never written to once they are given out
	changes int64                              // so far
	latest  []inventory.Key                    // changed last, the oldest first
}

// NewViews makes Views that know nothing yet. Of the configuration it uses all but
// the clock and the metrics.
func NewViews(cfg Config) *Views {
	return &Views{
		codecs: cfg.Codecs, policies: cfg.Policies, log: cfg.Log, loaded: newLatch("reading the views that take a silent owner's place"),
		table: func(apply func(*stream.Record) error) (table, error) {
			return stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicViews, ReadCommitted: true, Apply: apply})
		},
	}
}

// Of are the views of an item that are kept. They are not to be changed.
func (v *Views) Of(k inventory.Key) []inventory.View {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.of[k]
}

// Since are the items whose views have changed since, maybe more than once, and how
// far that is; not ok: too many have, it may be any.
func (v *Views) Since(seen int64) (keys []inventory.Key, now int64, ok bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	n := v.changes - seen
	if n < 0 || n > int64(len(v.latest)) {
		return nil, v.changes, false
	}
	return slices.Clone(v.latest[len(v.latest)-int(n):]), v.changes, true
}

// Loaded is closed when the rules in force at the start can be obeyed.
func (v *Views) Loaded() <-chan struct{} { return v.loaded.done }

// Ready is nil from then on.
func (v *Views) Ready() error { return v.loaded.ready() }

// Run reads until ctx is done, anew whenever a policy needs other views. It may be
// called once, when the policy is loaded.
func (v *Views) Run(ctx context.Context) error {
	var now *reading
	defer func() { now.stop() }()
	var rules []inventory.SilenceRule
	for ctx.Err() == nil {
		promises, next := v.policies.Next()
		if needed := fallbacks(promises); !slices.Equal(needed, rules) || now == nil && len(needed) > 0 {
			// What is there goes on being followed until the other views are.
			fresh := &claims{views: v, rules: needed, of: map[inventory.Key][]inventory.View{}}
			wider, err := v.read(ctx, fresh)
			if err != nil {
				return err
			}
			if wider != nil {
				select {
				case <-wider.table.Loaded():
				case err := <-wider.done:
					wider.cancel()
					return v.loaded.ended(ctx, err)
				}
			}
			now.stop()
			fresh.goLive()
			now, rules = wider, needed
		}
		v.loaded.close()
		select {
		case <-next:
		case err := <-now.ended():
			return v.loaded.ended(ctx, err)
		case <-ctx.Done():
		}
	}
	return nil
}

// read begins to read; nil when there is nothing to.
func (v *Views) read(ctx context.Context, c *claims) (*reading, error) {
	if len(c.rules) == 0 {
		return nil, nil
	}
	t, err := v.table(c.apply)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.loaded.what, err)
	}
	return start(ctx, t), nil
}

// fallbacks are the rules that name a view.
func fallbacks(p *policy.Promises) []inventory.SilenceRule {
	return slices.DeleteFunc(slices.Clone(p.Silence()), func(r inventory.SilenceRule) bool { return r.Then != inventory.SilenceFallback })
}

// claims are the views that rules need, while they are read and after.
type claims struct {
	views *Views
	rules []inventory.SilenceRule

	mu   sync.Mutex
	of   map[inventory.Key][]inventory.View // of views, once live
	live bool
}

// goLive puts the claims in the place of those before.
func (c *claims) goLive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.views
	v.mu.Lock()
	defer v.mu.Unlock()
	v.of, c.live = c.of, true
	v.changes += int64(len(v.latest)) + 1 // any may be another one
	v.latest = nil
}

// apply takes one view. One that cannot be read is passed over: the fallback is unmet
// then, and is said to be.
func (c *claims) apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil // views are never deleted
	}
	var view inventory.View
	if err := c.views.codecs.DecodeView(rec.Value, &view); err != nil {
		c.views.log.Warn("a view cannot be read", slog.Int("partition", int(rec.Partition)), slog.Int64("offset", rec.Offset), slog.Any("err", err))
		return nil
	}
	if !slices.ContainsFunc(c.rules, func(r inventory.SilenceRule) bool {
		return r.Fallback == view.Source && r.Matches(view.Key.Entity, view.Location)
	}) {
		return nil
	}
	view.Variance, view.EventID = nil, ""
	if n := len(view.Moved); n > 1 {
		view.Moved = slices.Clone(view.Moved[n-1:]) // it tells how far the view goes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live {
		c.views.mu.Lock()
		defer c.views.mu.Unlock()
		c.views.changed(view.Key)
	}
	old := c.of[view.Key]
	i := slices.IndexFunc(old, func(o inventory.View) bool { return o.Source == view.Source && o.Location == view.Location })
	all := slices.Clone(old)
	if i < 0 {
		all = append(all, view)
	} else {
		all[i] = view
	}
	c.of[view.Key] = slices.Clip(all)
	return nil
}

// changed remembers a change. It needs the lock.
func (v *Views) changed(k inventory.Key) {
	v.changes++
	if len(v.latest) == 2*maxChanges {
		v.latest = slices.Clone(v.latest[maxChanges:])
	}
	v.latest = append(v.latest, k)
}
