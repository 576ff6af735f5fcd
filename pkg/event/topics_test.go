package event

import (
	"strconv"
	"testing"
	"time"

	"github.com/stockweave/stockweave/schemas"
)

func TestTopicSpecs(t *testing.T) {
	byName := map[string]TopicSpec{}
	for _, s := range TopicSpecs() {
		if _, twice := byName[s.Name]; twice {
			t.Errorf("%s stands twice", s.Name)
		}
		byName[s.Name] = s
		if s.Partitions < 1 || s.Key == "" {
			t.Errorf("%s: %d partitions, key %q", s.Name, s.Partitions, s.Key)
		}
		if s.HasSchema != (s.Name != TopicSchemas) {
			t.Errorf("%s: schema %t", s.Name, s.HasSchema)
		}
		want := map[bool]string{true: "compact", false: "delete"}[s.Compacted]
		if s.Configs["cleanup.policy"] != want {
			t.Errorf("%s: cleanup %s", s.Name, s.Configs["cleanup.policy"])
		}
		if s.Compacted {
			for k, v := range map[string]string{
				"segment.ms": "600000", "segment.bytes": "67108864", "min.cleanable.dirty.ratio": "0.1", "max.compaction.lag.ms": "3600000",
			} {
				if s.Configs[k] != v {
					t.Errorf("%s: %s is %q", s.Name, k, s.Configs[k])
				}
			}
			if s.Retention != 0 || s.Configs["retention.ms"] != "" {
				t.Errorf("%s is compacted and has a retention", s.Name)
			}
		}
		if s.Retention != 0 && s.Configs["retention.ms"] != strconv.FormatInt(s.Retention.Milliseconds(), 10) {
			t.Errorf("%s: retention %s, %s", s.Name, s.Retention, s.Configs["retention.ms"])
		}
	}
	for _, s := range schemas.All() {
		if _, ok := byName[s.Topic]; !ok {
			t.Errorf("%s has a schema and is no topic", s.Topic)
		}
	}
	for _, topic := range []string{TopicOutcomes, TopicPositions, TopicState, TopicViews, TopicSnapshots} {
		if byName[topic].Partitions != byName[TopicEvents].Partitions {
			t.Errorf("%s is not co-partitioned", topic)
		}
	}
	for _, topic := range []string{TopicSchemas, TopicPolicies} {
		if byName[topic].Partitions != 1 {
			t.Errorf("%s has %d partitions", topic, byName[topic].Partitions)
		}
	}
	for name, s := range byName {
		if append := s.Configs["message.timestamp.type"] == "LogAppendTime"; append != (name == TopicEvents) {
			t.Errorf("%s: append time %t", name, append)
		}
	}
	// A rebuild reads events from the beginning; a raw message is not outlived by them.
	if byName[TopicEvents].Configs["retention.ms"] != "-1" || byName[TopicRaw].Retention < 30*24*time.Hour {
		t.Error("the logs are kept too short")
	}
	for _, topic := range []string{TopicRaw, TopicDeadATP, TopicDeadCanonicalizer} {
		if n, err := strconv.Atoi(byName[topic].Configs["max.message.bytes"]); err != nil || n < MaxValue {
			t.Errorf("%s takes %d bytes of %d", topic, n, MaxValue)
		}
	}
}

// What a topic's producer may send, its broker takes.
func TestMaxBatchIsTheTopicsOwn(t *testing.T) {
	for _, s := range TopicSpecs() {
		limit, err := strconv.Atoi(s.Configs["max.message.bytes"])
		if err != nil {
			limit = 1_048_588 // Kafka's default
		}
		if got := int(MaxBatch(s.Name)); got > limit || limit > 1_048_588 && got != limit {
			t.Errorf("%s: batches of %d bytes to a topic that takes %d", s.Name, got, limit)
		}
	}
}
