package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/services/ingest/acks"
	"github.com/stockweave/stockweave/services/ingest/cursor"
	"github.com/stockweave/stockweave/services/ingest/files"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// way is how the messages of one version of a source come in: by its door, or fetched,
// or both. It is never changed.
type way struct {
	door  *door // nil: it does not knock
	works []*work
}

// work is a task of fetching for one version of a source.
type work struct {
	key string // of its cursor; no two works have one
	// everywhere: each replica does it, and they agree among themselves. Else one replica
	// does, that which holds the partition of the key; for a moment after it has died or
	// stalled it may be two, and what both fetch is one message by its id.
	everywhere bool
	// run ends soon after ctx. until is of ctx; when only that ends, the work is to be
	// done otherwise or no more, and run ends behind the unit of it that has begun.
	run func(ctx, until context.Context)
}

// fetcher makes works.
type fetcher struct {
	cfg     *Config
	env     service.Env
	recv    *receiver
	cursors cursor.Store
	acks    *acks.Reader
	files   *files.Metrics
	polls   *pull.Metrics
}

func newFetcher(cfg *Config, env service.Env, recv *receiver, cursors cursor.Store, reader *acks.Reader) (*fetcher, error) {
	f := &fetcher{cfg: cfg, env: env, recv: recv, cursors: cursors, acks: reader, files: files.NewMetrics(), polls: pull.NewMetrics()}
	if env.Metrics != nil {
		if err := errors.Join(f.files.Register(env.Metrics), env.Metrics.Register(prometheus.Collector(f.polls))); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	return f, nil
}

// works of a source; none of one that is not fetched. The error names what is missing of
// its secrets. Nothing is connected to.
func (f *fetcher) works(src *policy.Source) ([]*work, error) {
	var w *work
	var err error
	switch t := &src.Transport; {
	case t.Files != nil, t.SFTP != nil:
		works, err := f.folder(src)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", src.Name, err)
		}
		return works, nil
	case t.SQL != nil:
		w, err = f.database(src, t.SQL)
	case t.Pull != nil:
		w, err = f.system(src, t.Pull)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", src.Name, err)
	}
	return []*work{w}, nil
}

// ways of all sources of a set; the error is all that is wrong.
func (f *fetcher) ways(set *policy.Set, doors map[inventory.Source]*door) (map[inventory.Source]*way, error) {
	out := map[inventory.Source]*way{}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set.Sources)) {
		works, err := f.works(set.Sources[name])
		errs = append(errs, err)
		out[name] = &way{door: doors[name], works: works}
	}
	return out, errors.Join(errs...)
}

func (f *fetcher) secret(env string) (string, error) {
	if env == "" {
		return "", nil
	}
	v := f.cfg.Getenv(env)
	if v == "" {
		return "", fmt.Errorf("environment variable %s is not set", env)
	}
	return v, nil
}

// fetched makes durable what is fetched of a source.
type fetched struct {
	recv *receiver
	src  *policy.Source
}

// Append returns nil when the log has all of raws, and errNotStored when it may not.
func (f *fetched) Append(ctx context.Context, raws []*event.RawMessage) error {
	return f.recv.accept(ctx, f.src, "", raws...)
}

func (f *fetcher) appender(src *policy.Source) *fetched { return &fetched{f.recv, src} }

func random() float64 { return rand.Float64() }
