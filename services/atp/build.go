// Package atp is the one transactional worker over inventory.events: the single
// writer of every key. It folds canonical events into ledgers and writes
// outcomes, positions, claimed views and its own state in one transaction with
// the offsets it has consumed.
package atp

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// storeVersion is the version of the state layout. It grows only with a
// migration; a worker refuses a store of another version.
const storeVersion = 1

// Config is the service's configuration.
type Config struct {
	Kafka stream.Config `yaml:"-"`
	// Group is the consumer group; the transactional id is Group-Instance.
	Group string `yaml:"group"`
	// Commit is the transaction cadence: 5 ms where reservations are served, 20 ms
	// otherwise.
	Commit time.Duration `yaml:"commit"`
	// MaxRecords bounds one transaction.
	MaxRecords int `yaml:"max_records"`
	// SnapshotDir is a folder on the process's own volume for snapshots of the state,
	// which make the next start short. Empty: none are written, and every start reads
	// the whole state from Kafka.
	SnapshotDir string `yaml:"snapshot_dir"`
	// SnapshotInterval is the pause between two snapshots of a partition that changes.
	SnapshotInterval time.Duration `yaml:"snapshot_interval"`
	// Codecs, when set, are used instead of those that schemas.v1 names.
	Codecs *event.Codecs `yaml:"-"`

	wrap func(*processor) stream.Processor // of tests: what a worker has in the place of its processor
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{Group: "atp", Commit: 20 * time.Millisecond, MaxRecords: 5000, SnapshotInterval: 30 * time.Second}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	if c.Kafka.Instance == "" {
		errs = append(errs, errors.New("kafka.instance: required, the StatefulSet's ordinal: it makes the transactional id"))
	}
	if c.Group == "" {
		errs = append(errs, errors.New("atp.group: required"))
	}
	if c.Commit <= 0 || c.Commit > time.Second {
		errs = append(errs, errors.New("atp.commit: must be above 0 and at most 1s"))
	}
	if c.MaxRecords < 1 || c.MaxRecords > 100_000 {
		errs = append(errs, errors.New("atp.max_records: must be between 1 and 100000"))
	}
	if c.SnapshotDir != "" && !filepath.IsAbs(c.SnapshotDir) {
		errs = append(errs, errors.New("atp.snapshot_dir: must be an absolute path"))
	}
	if c.SnapshotInterval < time.Second || c.SnapshotInterval > time.Hour {
		errs = append(errs, errors.New("atp.snapshot_interval: must be between 1s and 1h"))
	}
	return errors.Join(errs...)
}

// Build wires the service and starts nothing.
func Build(_ context.Context, cfg Config, env service.Env) ([]service.Task, error) {
	ledger, closing, err := parts(cfg, env)
	if err != nil {
		return nil, err
	}
	return append(ledger, closing), nil
}

// parts are the tasks of the ledger, and the one that closes full snapshots beside it.
func parts(cfg Config, env service.Env) (ledger []service.Task, closing service.Task, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, err
	}
	if cfg.Codecs == nil {
		return nil, nil, errors.New("atp: codecs are required")
	}
	policies := newPolicies(cfg.Codecs)
	table, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicPolicies, Apply: policies.apply})
	if err != nil {
		return nil, nil, fmt.Errorf("reading policies: %w", err)
	}
	answers, err := newAnswers(cfg.Kafka.Metrics)
	if err != nil {
		return nil, nil, err
	}
	remind := newReminders(cfg.Codecs, env.Log)
	if reg := cfg.Kafka.Metrics; reg != nil {
		if err := reg.Register(remind.variances.metrics(policies.compared, env.Now)); err != nil {
			return nil, nil, fmt.Errorf("registering metrics of variances: %w", err)
		}
	}
	ticks, closeTicks, err := newTicker(cfg, remind, env)
	if err != nil {
		return nil, nil, err
	}
	dead := func(d stream.DeadLetter) (*stream.Record, error) { return deadLetter(cfg.Codecs, d) }
	closeAll, err := newClosing(cfg, policies, dead, env)
	if err != nil {
		closeTicks()
		return nil, nil, err
	}
	closing = func(ctx context.Context) error {
		if cfg.Kafka.Sealed { // a shadow closes nothing: its log is that of the live ledger
			return nil
		}
		select { // the guard is of the version that an end names
		case <-table.Loaded():
		case <-ctx.Done():
			return nil
		}
		return closeAll(ctx)
	}
	p := &processor{codecs: cfg.Codecs, policies: policies, answers: answers, remind: remind}
	var decides stream.Processor = p
	if cfg.wrap != nil {
		decides = cfg.wrap(p)
	}
	runner, err := stream.NewRunner(stream.RunnerConfig{
		Config: cfg.Kafka, Group: cfg.Group, Input: event.TopicEvents, State: event.TopicState,
		Dead: dead, Codec: headerCodec{cfg.Codecs}, GroupOf: groupOf, StoreVersion: storeVersion,
		Commit: cfg.Commit, MaxRecords: cfg.MaxRecords,
		SnapshotDir: cfg.SnapshotDir, SnapshotEvery: cfg.SnapshotInterval,
		Processor: decides, Owner: remind,
		OwnPartition: []string{event.TopicAnswers},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("building the runner: %w", err)
	}
	env.Health.Ready("atp", runner.Ready)
	return []service.Task{
		table.Run,
		func(ctx context.Context) error {
			defer closeTicks()
			if cfg.Kafka.Sealed { // a shadow writes nothing to the log it reads
				return nil
			}
			return ticks.run(ctx)
		},
		func(ctx context.Context) error {
			select { // a partition must not meet a policy version before its content
			case <-table.Loaded():
			case <-ctx.Done():
				return nil
			}
			if err := answers.load(ctx, cfg.Kafka); err != nil {
				return err
			}
			return runner.Run(ctx)
		},
	}, closing, nil
}

// groupOf is the ledger a state key belongs to: its first two parts. It shares the
// key's memory.
func groupOf(key []byte) string {
	s := unsafe.String(unsafe.SliceData(key), len(key))
	first := strings.IndexByte(s, '|')
	if first < 0 {
		return s
	}
	if second := strings.IndexByte(s[first+1:], '|'); second >= 0 {
		return s[:first+1+second]
	}
	return s
}

// headerCodec stores the runner's partition header as a record of the state
// topic, under its one schema.
type headerCodec struct{ codecs *event.Codecs }

func (h headerCodec) EncodeHeader(x stream.Header) ([]byte, error) {
	sh := event.StateHeader(x)
	return h.codecs.AppendStateHeader(nil, &sh)
}

func (h headerCodec) DecodeHeader(b []byte) (stream.Header, error) {
	var sh event.StateHeader
	err := h.codecs.DecodeStateHeader(b, &sh)
	return stream.Header(sh), err
}

// deadLetter is an input this service cannot decode, kept whole with its reason.
func deadLetter(codecs *event.Codecs, d stream.DeadLetter) (*stream.Record, error) {
	letter := event.DeadLetter{
		ID: event.PlaceID(d.Record.Topic, d.Record.Partition, d.Record.Offset), Service: "atp", Code: d.Code, Reason: d.Reason,
		Topic: d.Record.Topic, Partition: d.Record.Partition, Offset: d.Record.Offset,
		Key: d.Record.Key, Value: d.Record.Value, At: inventory.Instant(d.Record.Timestamp.UnixMilli()),
	}
	value, err := codecs.AppendDeadLetter(nil, &letter)
	if err != nil {
		return nil, fmt.Errorf("encoding dead letter: %w", err)
	}
	return &stream.Record{Topic: event.TopicDeadATP, Key: d.Record.Key, Value: value}, nil
}
