package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// An Admin creates topics and looks at offsets. It is safe for concurrent use.
type Admin struct {
	adm   *kadm.Client
	reads *RestoreReads
	now   func() time.Time
}

// NewAdmin connects lazily.
func NewAdmin(cfg Config) (*Admin, error) {
	reads, err := NewRestoreReads(cfg)
	if err != nil {
		return nil, err
	}
	return &Admin{
		adm:   kadm.NewClient(reads.cl),
		reads: reads,
		now:   time.Now, //nolint:forbidigo // lag is a matter of now
	}, nil
}

// Close ends it.
func (a *Admin) Close() { a.reads.Close() }

// TopicSpec is a topic as it should be.
type TopicSpec struct {
	Name       string
	Partitions int32
	Replicas   int16 // -1 for the cluster's default
	Configs    map[string]string
}

// TopicResult is what became of a TopicSpec.
type TopicResult struct {
	Name    string
	Exists  bool // before
	Created bool
	// Differences of an existing topic from its spec, for people. A partition
	// count is never changed in place: keys would move away from their state.
	Differences []string
}

const (
	// createdWithin bounds the wait until brokers know of a topic that was created.
	createdWithin = 15 * time.Second
	createdEvery  = 20 * time.Millisecond
)

// EnsureTopics creates what is missing and compares what exists, without changing
// it. With dry set nothing is created. What it has created can be described when it
// returns: the controller answers before the other brokers have heard of it.
func (a *Admin) EnsureTopics(ctx context.Context, dry bool, specs ...TopicSpec) ([]TopicResult, error) {
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = specs[i].Name
	}
	known, err := a.topics(ctx, names)
	if err != nil {
		return nil, err
	}
	var (
		results = make([]TopicResult, len(specs))
		created []string
		faults  []error
	)
	for i, spec := range specs {
		res := TopicResult{Name: spec.Name}
		if info, ok := known[spec.Name]; ok {
			res.Exists = true
			res.Differences = spec.differences(info)
		} else if !dry {
			if res.Created, err = a.create(ctx, spec); err != nil {
				faults = append(faults, err)
			}
		}
		results[i] = res
		if res.Created {
			created = append(created, spec.Name)
		}
	}
	if err := a.known(ctx, created); err != nil {
		faults = append(faults, err)
	}
	return results, errors.Join(faults...)
}

// known returns when brokers tell of the topics.
func (a *Admin) known(ctx context.Context, names []string) error {
	ctx, cancel := context.WithTimeout(ctx, createdWithin)
	defer cancel()
	for _, name := range names {
		for {
			_, err := a.reads.meta(ctx, true, name)
			if err == nil {
				break
			}
			if pause(ctx, createdEvery); ctx.Err() != nil {
				return fmt.Errorf("waiting until %s, which was created, is known: %w", name, errors.Join(err, ctx.Err()))
			}
		}
	}
	return nil
}

func (a *Admin) create(ctx context.Context, spec TopicSpec) (bool, error) {
	configs := make(map[string]*string, len(spec.Configs))
	for k, v := range spec.Configs {
		configs[k] = &v
	}
	replicas := spec.Replicas
	if replicas == 0 {
		replicas = -1
	}
	_, err := a.adm.CreateTopic(ctx, spec.Partitions, replicas, configs, spec.Name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return false, nil // somebody else was faster
	}
	if err != nil {
		return false, fmt.Errorf("creating topic %s: %w", spec.Name, err)
	}
	return true, nil
}

func (s TopicSpec) differences(info TopicInfo) []string {
	var diff []string
	if info.Partitions != s.Partitions {
		diff = append(diff, fmt.Sprintf("%d partitions instead of %d", info.Partitions, s.Partitions))
	}
	if s.Replicas > 0 && info.Replicas != s.Replicas {
		diff = append(diff, fmt.Sprintf("%d replicas instead of %d", info.Replicas, s.Replicas))
	}
	for _, k := range slices.Sorted(maps.Keys(s.Configs)) {
		if got := info.Configs[k]; got != s.Configs[k] {
			diff = append(diff, fmt.Sprintf("%s is %q instead of %q", k, got, s.Configs[k]))
		}
	}
	return diff
}

// TopicInfo is a topic as it is.
type TopicInfo struct {
	Name       string
	ID         string // 32 hex digits
	Partitions int32
	Replicas   int16
	Configs    map[string]string
}

// Topics describes topics by name; those that do not exist are left out.
func (a *Admin) Topics(ctx context.Context, names ...string) (map[string]TopicInfo, error) {
	return a.topics(ctx, names)
}

func (a *Admin) topics(ctx context.Context, names []string) (map[string]TopicInfo, error) {
	infos := map[string]TopicInfo{}
	if len(names) == 0 {
		return infos, nil
	}
	details, err := a.adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var present []string
	for _, d := range details {
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if d.Err != nil {
			return nil, fmt.Errorf("listing topic %s: %w", d.Topic, d.Err)
		}
		id := [16]byte(d.ID)
		infos[d.Topic] = TopicInfo{
			Name: d.Topic, ID: topicMeta{id: id}.idString(),
			Partitions: int32(len(d.Partitions)),          //nolint:gosec // partition counts are int32
			Replicas:   int16(d.Partitions.NumReplicas()), //nolint:gosec // so are replica counts
			Configs:    map[string]string{},
		}
		present = append(present, d.Topic)
	}
	if len(present) == 0 {
		return infos, nil
	}
	configs, err := a.adm.DescribeTopicConfigs(ctx, present...)
	if err != nil {
		return nil, fmt.Errorf("reading topic configurations: %w", err)
	}
	for _, rc := range configs {
		if rc.Err != nil {
			return nil, fmt.Errorf("reading configuration of %s: %w", rc.Name, rc.Err)
		}
		for _, c := range rc.Configs {
			infos[rc.Name].Configs[c.Key] = c.MaybeValue()
		}
	}
	return infos, nil
}

// ClusterID names the cluster.
func (a *Admin) ClusterID(ctx context.Context) (string, error) {
	m, err := a.adm.BrokerMetadata(ctx)
	if err != nil {
		return "", fmt.Errorf("reading cluster metadata: %w", err)
	}
	return m.Cluster, nil
}

// EndOffsets returns the ends of a topic's partitions, by number.
func (a *Admin) EndOffsets(ctx context.Context, topic string) ([]int64, error) {
	return a.offsets(ctx, topic, a.reads.HighWatermark)
}

// StartOffsets returns the first offsets a topic's partitions still have.
func (a *Admin) StartOffsets(ctx context.Context, topic string) ([]int64, error) {
	return a.offsets(ctx, topic, a.reads.LogStart)
}

func (a *Admin) offsets(ctx context.Context, topic string, read func(context.Context, string, int32) (int64, error)) ([]int64, error) {
	meta, err := a.reads.meta(ctx, true, topic)
	if err != nil {
		return nil, err
	}
	offs := make([]int64, len(meta.leaders))
	for i := range offs {
		if offs[i], err = read(ctx, topic, int32(i)); err != nil { //nolint:gosec // partition counts are int32
			return nil, err
		}
	}
	return offs, nil
}

// PartitionLag is how far a group is behind in a partition.
type PartitionLag struct {
	Topic     string
	Partition int32
	Offset    int64 // of the group, the next to read; -1 when it has none
	End       int64
	Records   int64   // offsets to the end; transaction markers count
	Seconds   float64 // age of the next unread record, 0 when there is none
}

// Lag describes a group's lag in the topics named, or in all it has offsets for.
// It is sorted by topic and partition.
func (a *Admin) Lag(ctx context.Context, group string, topics ...string) ([]PartitionLag, error) {
	fetched, err := a.adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("fetching offsets of group %s: %w", group, err)
	}
	if len(topics) == 0 {
		topics = slices.Sorted(maps.Keys(fetched))
	}
	var lags []PartitionLag
	for _, topic := range topics {
		ends, err := a.EndOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		for id, end := range ends {
			l := PartitionLag{Topic: topic, Partition: int32(id), Offset: -1, End: end} //nolint:gosec // partition counts are int32
			from := int64(0)
			if o, ok := fetched.Lookup(topic, l.Partition); ok && o.Err == nil && o.At >= 0 {
				l.Offset, from = o.At, o.At
			}
			if l.Records = max(end-from, 0); l.Records > 0 {
				if l.Seconds, err = a.age(ctx, topic, l.Partition, from, end); err != nil {
					return nil, err
				}
			}
			lags = append(lags, l)
		}
	}
	sort.SliceStable(lags, func(i, j int) bool {
		return lags[i].Topic < lags[j].Topic || lags[i].Topic == lags[j].Topic && lags[i].Partition < lags[j].Partition
	})
	return lags, nil
}

// age is that of the first record at or after from.
func (a *Admin) age(ctx context.Context, topic string, partition int32, from, end int64) (float64, error) {
	first, err := a.reads.LogStart(ctx, topic, partition)
	if err != nil {
		return 0, err
	}
	t := tail{reads: a.reads, topic: topic, partition: partition, offset: max(from, first)}
	for t.offset < end {
		fp, err := t.fetch(ctx, 64<<10)
		if err != nil {
			return 0, err
		}
		if len(fp.Records) > 0 {
			return max(a.now().Sub(fp.Records[0].Timestamp).Seconds(), 0), nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	return 0, nil // only transaction markers are left
}

// RemoveMember takes a static member out of a group for good. Until its session
// ends its partitions wait for it to come back, which is what a restart wants and a
// scale-down does not.
func (a *Admin) RemoveMember(ctx context.Context, group, instance string) error {
	res, err := a.adm.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(group+"-"+instance))
	if err == nil {
		err = res.Error()
	}
	if err != nil {
		return fmt.Errorf("removing %s from group %s: %w", instance, group, err)
	}
	return nil
}
