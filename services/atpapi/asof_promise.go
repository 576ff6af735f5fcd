package atpapi

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// pastPromise is what was promised then, of what was asked about: the one function of the
// positions, the policy and the day of then.
type pastPromise struct {
	ATP           string          `json:"atp"`
	On            string          `json:"on,omitempty"`
	PolicyVersion int64           `json:"policy_version"` // of then
	Formula       string          `json:"formula"`        // of now
	Frozen        bool            `json:"frozen,omitempty"`
	Override      *overrideAnswer `json:"override,omitempty"`
	Locations     []atLocation    `json:"locations"`
	Promisable    *promisable     `json:"promisable,omitempty"`
	Channel       *channelAnswer  `json:"channel,omitempty"`
}

// untold is why what was promised then is not told.
type untold struct {
	Code   string `json:"code"` // stable
	Detail string `json:"detail"`
}

func not(code, format string, args ...any) *untold {
	return &untold{code, fmt.Sprintf(format, args...)}
}

// before is a question as of a time at which things were recorded, with the policy of then.
type before struct {
	w      *wanted // nil: it is not asked
	untold *untold
}

// asked is the question at the time, or why it is not asked. A kit's would be asked of all
// its parts, each at the cost of one.
func (a *api) asked(ctx context.Context, w *wanted, m explain.When, spent *explain.Spent) (b before, err error) {
	if m.AsOf != 0 {
		b.untold = not("by_event_time", "what was promised is known by when things were recorded: ask known_at alone")
		return b, nil
	}
	content, why, err := explain.ContentAt(ctx, explain.ContentConfig{
		Reads: a.prover.reads, Codecs: a.reader.codecs, Name: policy.ATPName, At: m.KnownAt, Budget: a.prover.cfg.budget(), Spent: spent,
	})
	if err != nil {
		return b, err //nolint:wrapcheck // it becomes a problem
	}
	switch why {
	case explain.ContentChanging:
		b.untold = not("policy_changing", "another policy was published within minutes of then, and clocks may be as far apart")
	case explain.ContentRetired:
		b.untold = not("policy_retired", "a later policy was taken back, and it is not known whether it was in force then")
	case explain.ContentNone:
		b.untold = not("policy_unknown", "no policy that was in force then has been published")
	}
	if b.untold != nil {
		return b, nil
	}
	promises, err := policy.DecodeATP(content.Content)
	if err != nil {
		return b, fmt.Errorf("%w: policy version %d: %w", explain.ErrUnreadable, content.Version, err)
	}
	if len(promises.Kit(w.key)) > 0 {
		b.untold = not("kit", "what was promised is told of items, not of kits")
		return b, nil
	}
	then := &wanted{query: w.query, promises: promises, now: time.UnixMilli(int64(m.KnownAt))}
	if bad := then.resolve(); bad != nil {
		b.untold = not(bad.code, "%s, by the policy of then", bad.detail)
		return b, nil
	}
	b.w = then
	return b, nil
}

// needs says whether what is promised depends on a location: on those asked about and, of a
// channel that is told what it has on order itself, on all.
func (b *before) needs(l inventory.Location) bool {
	return len(b.w.group) == 0 || slices.Contains(b.w.group, l) || b.w.channel != nil && b.w.channel.Basis == policy.BasisGross
}

// within are the locations of which positions are to be looked for; none: all.
func (b *before) within() []inventory.Location {
	if b.w == nil || b.w.channel != nil && b.w.channel.Basis == policy.BasisGross {
		return nil
	}
	return b.w.group
}

// gap says why what was known of a location is not told. It names none: whoever asks for a
// channel may not be told where it sold from then.
func (a *api) gap(b *before, s *explain.Stood) *untold {
	switch s.Gap {
	case explain.GapCompacted:
		return not("promise_expired", "a position of then is not in the log any more")
	case explain.GapCommit:
		return not("promise_within_commit", "then lies between events of one commit, or what that wrote is not in the log any more")
	case explain.GapTooMuch:
		return not("promise_too_costly", "more positions would have to be read than one question may cost")
	case explain.GapUnsettled:
		return not("promise_unsettled", "outcomes and positions of the item do not reach equally far: ask again")
	}
	if s.Position == nil { // it was not there
		return nil
	}
	e := b.w.key.Entity
	if a.moved(b, s.Location) {
		return not("location_changed", "the record of a location has changed since, or was loaded anew")
	}
	for _, r := range b.w.promises.Silence() {
		if (r.Entity == "" || r.Entity == e) && (r.Location == "" || r.Location == s.Location) {
			return not("owner_silence", "the policy of then asks when an owner had been heard of, which is not kept")
		}
	}
	return nil
}

// moved says whether the record of a location may have changed since.
func (a *api) moved(b *before, l inventory.Location) bool {
	since := a.reader.places.Since(b.w.key.Entity, l)
	return since != 0 && explain.Near(since, inventory.Instant(b.w.now.UnixMilli()))
}

// counts says whether a location's stock may count in what was promised: of all, that which
// could be shown then.
func (a *api) counts(b *before, l inventory.Location) bool {
	if len(b.w.group) == 0 && !a.reader.publishable(b.w.key.Entity, l) && !a.moved(b, l) {
		return false
	}
	return b.needs(l)
}

// promisedThen puts into a past answer what was promised then, or why that is not told.
func (a *api) promisedThen(out *pastAnswer, now *wanted, b *before, told *explain.Past) *problem {
	if out.Untold = b.untold; b.untold != nil {
		return nil
	}
	f := facts{of: map[inventory.Key][]inventory.Position{}}
	known := false // something of the item was
	for i := range told.Locations {
		s := &told.Locations[i]
		why := a.gap(b, s)
		if why != nil && a.counts(b, s.Location) && out.Untold == nil {
			out.Untold = why
		}
		if why != nil {
			for j := range out.Locations {
				if l := &out.Locations[j]; l.Location == string(s.Location) {
					l.Untold = why.Code
				}
			}
		}
		if s.Position != nil && why == nil {
			f.of[b.w.key] = append(f.of[b.w.key], *s.Position)
		}
		known = known || s.Position != nil || why != nil
	}
	switch {
	case out.Untold != nil:
		return nil
	case !known:
		out.Untold = not(codeUnknownItem, "nothing was recorded of the item then")
		return nil
	case b.w.location != "" && !f.at(b.w.location):
		out.Untold = not("unknown_location", "nothing was recorded at %q then", b.w.location)
		return nil
	}
	made, bad := a.reader.answer(b.w, &f)
	if bad != nil {
		return bad
	}
	out.Promise = &pastPromise{
		ATP: made.ATP, On: made.On, PolicyVersion: made.PolicyVersion, Formula: made.Formula, Frozen: made.Frozen, Override: made.Override,
		Promisable: made.Promisable, Channel: made.Channel,
		Locations: slices.DeleteFunc(made.Locations, func(l atLocation) bool {
			return now.narrow && !now.shows(inventory.Location(l.Location)) // not for the caller now, whatever was so then
		}),
	}
	return nil
}
