package ingest

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/access/limit"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// publishedLater is how many names more than the known ones the limiter has room for.
const publishedLater = 2_000

// hall is who may come in at one moment. It is never changed: a request is judged by
// one of them from its credential to its signature.
type hall struct {
	doors map[inventory.Source]*door
	// others knows the principals of policies/access and the issuers, guard the keys that
	// sources have themselves as well.
	others, guard *access.Guard
	rates         map[string]limit.Rule // of principals
	// own are the names of principals that stand for a source's own keys.
	own map[string]bool
}

// enter puts doors in the place of those before, all at once. The error leaves them.
func (p *porter) enter(doors map[inventory.Source]*door) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	h := *p.hall.Load()
	h.doors = doors
	return p.open(&h)
}

// permit puts principals and issuers in the place of those before, all at once. The
// error leaves them.
func (p *porter) permit(a *policy.Access) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	h := *p.hall.Load()
	others, err := a.GuardAfter(h.others, nil, p.fetch, p.now)
	if err != nil {
		return err //nolint:wrapcheck // it names the file
	}
	h.others, h.rates = others, a.Rates()
	return p.open(&h)
}

// open lets whoever comes from now on into a hall, once its doors and its principals fit.
func (p *porter) open(h *hall) error {
	own := ownPrincipals(h.doors)
	guard, err := h.others.With(own)
	if err != nil {
		return err //nolint:wrapcheck // it names the principal
	}
	h.guard, h.own = guard, map[string]bool{}
	for i := range own {
		h.own[own[i].Name] = true
	}
	p.limiter.Room(2*len(h.doors) + len(h.rates) + publishedLater)
	p.hall.Store(h)
	return nil
}

// door is that of a source that may send now; nil when there is none.
func (s *server) door(name inventory.Source) *door { return s.porter.hall.Load().doors[name] }

// followed are the sources as they are published, each with its secrets read anew.
func followed(cfg *Config, env service.Env, own map[inventory.Source]*way, p *porter, f *fetcher, c *crew) (*follow.Sources[*way], error) {
	live, err := follow.New(follow.Config[*way]{
		Codecs: cfg.Codecs, Log: env.Log, Own: own, Metrics: env.Metrics, Prefix: "stockweave_ingest",
		Before: func(live map[inventory.Source]*way) error {
			if err := p.enter(doorsOf(live)); err != nil {
				return err
			}
			c.set(live) // no error follows: what may come in and what is fetched are of one list
			return nil
		},
		Prepare: func(src *policy.Source) (*way, error) {
			set := &policy.Set{Sources: map[inventory.Source]*policy.Source{src.Name: src}}
			known, err := doors(set, cfg.Getenv, cfg.Fetch)
			ways, fault := f.ways(set, known)
			return ways[src.Name], errors.Join(err, fault)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("following sources: %w", err)
	}
	return live, nil
}

// permitted is who may send, as it is published.
func permitted(cfg *Config, env service.Env, p *porter) (*follow.Access, error) {
	out, err := follow.NewAccess(follow.AccessConfig{
		Codecs: cfg.Codecs, Log: env.Log, Enter: p.permit, Metrics: env.Metrics, Prefix: "stockweave_ingest",
	})
	if err != nil {
		return nil, fmt.Errorf("following access: %w", err)
	}
	return out, nil
}

// takePolicy applies a record of policies.v1. A key that goes from a source to a principal,
// or back, may be refused by whoever is first: both have it until the other one has lost it.
func takePolicy(live *follow.Sources[*way], permits *follow.Access) func(*stream.Record) error {
	return func(rec *stream.Record) error {
		if err := live.Apply(rec); err != nil {
			return err //nolint:wrapcheck // it names the record
		}
		if err := permits.Apply(rec); err != nil {
			return err //nolint:wrapcheck // it names the record
		}
		live.Again()
		permits.Again()
		return nil
	}
}

// loadPolicy puts what was read in force.
func loadPolicy(live *follow.Sources[*way], permits *follow.Access) {
	permits.Loaded()
	live.Loaded()
	permits.Again()
	live.Again()
}

func doorsOf(live map[inventory.Source]*way) map[inventory.Source]*door {
	out := map[inventory.Source]*door{}
	for name, w := range live {
		if w.door != nil {
			out[name] = w.door
		}
	}
	return out
}
