package atpapi

import (
	"context"
	"fmt"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atpapi/hooks"
)

// subscribers are those to whom changes are sent. It is safe for concurrent use.
type subscribers struct {
	cfg     hooks.Config
	log     *hooks.Log
	hub     *hooks.Hub
	keys    *hooks.Keys
	changes *changes
	porter  *porter
	editing chan struct{} // holds one while somebody adds or changes one
	testing keyed
}

// buildSubscribers wires them; nil where there are no keys. loaded are closed when what
// messages are made of is known.
func buildSubscribers(
	cfg *Config, env *service.Env, view *stream.RestoreReads, produce func(context.Context, ...*stream.Record) error, told *changes, p *porter, loaded ...<-chan struct{},
) (*subscribers, service.Task, error) {
	if !cfg.Subscriptions.On() {
		return nil, nil, nil
	}
	text := cfg.Getenv(cfg.Subscriptions.KeysEnv)
	if text == "" {
		return nil, nil, fmt.Errorf("atp_api.subscriptions.keys_env: %s is empty", cfg.Subscriptions.KeysEnv)
	}
	keys, err := hooks.ReadKeys(text)
	if err != nil {
		return nil, nil, fmt.Errorf("atp_api.subscriptions.keys_env: %s: %w", cfg.Subscriptions.KeysEnv, err)
	}
	s := &subscribers{
		cfg: cfg.Subscriptions, keys: keys, changes: told, porter: p, editing: make(chan struct{}, 1),
	}
	s.log = hooks.NewLog(hooks.LogConfig{
		Topic: cfg.Kafka.Physical(event.TopicSubscriptions), Reads: view, Codecs: cfg.Codecs, Produce: produce, Now: env.Now,
	})
	s.hub, err = hooks.New(hooks.Parts{
		Config: cfg.Subscriptions, Kafka: cfg.Kafka, Keys: keys, Log: s.log, Follow: s.follow, May: s.may,
		Bury: func(ctx context.Context, d *event.DeadLetter) error {
			value, err := cfg.Codecs.AppendDeadLetter(nil, d)
			if err != nil {
				return fmt.Errorf("encoding dead letter: %w", err)
			}
			return produce(ctx, &stream.Record{Topic: event.TopicDeadATPAPI, Key: d.Key, Value: value})
		},
		Now: env.Now, Logger: env.Log, Metrics: env.Metrics,
	})
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // it says what
	}
	return s, func(ctx context.Context) error {
		if !wait(ctx, append(loaded, told.feed.Loaded())...) {
			return nil
		}
		return s.hub.Run(ctx)
	}, nil
}

// may says whether a subscription's owner may still have it: by what it is allowed
// without a token, which says less.
func (s *subscribers) may(es *event.Subscription) bool {
	q := scopeOf(es)
	return s.visitor(es.Owner).subscribe(&q) == nil
}

// within refuses whoever may not be sent all that a subscription of its own tells: its
// token says less.
func (s *subscribers) within(v visitor, es *event.Subscription) *problem {
	mine, told := scopeOf(es), scopeOf(es)
	if bad := v.subscribe(&mine); bad != nil {
		return bad
	}
	if s.visitor(es.Owner).subscribe(&told) == nil && mine.narrow && !told.narrow {
		return forbidden()
	}
	return nil
}

// visitor is an owner, as if it asked. Keys of the configuration own none.
func (s *subscribers) visitor(owner string) visitor {
	now := s.porter.now.Load()
	if p := now.principals[owner]; p != nil {
		return visitor{id: access.Identity{Principal: p}}
	}
	return visitor{open: now.open && owner == anybody}
}

// subscribe bounds what a visitor is to be sent, or refuses it: who may not read it may not
// have it sent either.
func (v visitor) subscribe(q *query) *problem {
	if !v.may(access.Need{
		Permission: access.SubscriptionsWrite, Entity: string(q.key.Entity), Channel: q.channel, Location: string(q.location),
	}) {
		return forbidden()
	}
	narrow := q.narrow
	bad := v.reach(q)
	q.narrow = q.narrow || narrow // once it is, it stays so
	return bad
}
