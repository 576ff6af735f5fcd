package atpapi

import (
	"context"

	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atpapi/feed"
)

// buildChanges wires the streams of changes. The tasks run them; loaded is closed when
// what moments are made of is known.
func buildChanges(cfg *Config, env *service.Env, view *stream.RestoreReads, rd *reader, loaded ...<-chan struct{}) (*changes, []service.Task, error) {
	count, err := newChangesMetrics(env.Metrics)
	if err != nil {
		return nil, nil, err
	}
	followed := feed.Config{
		Kafka: cfg.Kafka, Log: view, Marks: rd.store.visible, Recent: cfg.Changes.Recent, Backlogs: cfg.Changes.Backlogs, Logger: env.Log,
	}
	if rd.local != nil {
		followed.Began, followed.Passed = rd.local.begin, rd.local.hear
	}
	f := feed.New(followed)
	s := newChanges(f, rd, cfg.Changes, env.Log, count)
	env.Health.Ready("atp-api changes", f.Ready)
	return s, []service.Task{f.Run, func(ctx context.Context) error {
		defer s.end()
		if !wait(ctx, loaded...) {
			return nil
		}
		return s.run(ctx)
	}}, nil
}
