package ingest

import (
	"errors"
	"fmt"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/service"
)

// publishedLater is how many names of sources the limiter has room for beside those
// that it starts with, two a source.
const publishedLater = 2_000

// hall is who may come in at one moment. It is never changed: a request is judged by
// one of them from its credential to its signature.
type hall struct {
	doors map[inventory.Source]*door
	guard *access.Guard
	// own are the names of principals that stand for a source's own keys.
	own map[string]bool
}

// enter puts doors in the place of those before, all at once. The error leaves them.
func (p *porter) enter(doors map[inventory.Source]*door) error {
	h, err := p.open(doors)
	if err != nil {
		return err
	}
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

func doorsOf(live map[inventory.Source]*way) map[inventory.Source]*door {
	out := map[inventory.Source]*door{}
	for name, w := range live {
		if w.door != nil {
			out[name] = w.door
		}
	}
	return out
}
