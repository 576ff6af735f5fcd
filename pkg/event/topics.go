package event

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/schemas"
)

// TopicSpec says how a topic is to be made.
type TopicSpec struct {
	Name       string
	Key        string // what its keys are, for people
	Partitions int32  // default; co-partitioned topics must have the same number
	Compacted  bool
	Retention  time.Duration     // zero: for ever
	Configs    map[string]string // Kafka's topic configuration
	HasSchema  bool              // its values are Avro
}

// Partitions by default. Those of the ledger's topics are equal: what one writes
// goes by number to the partition of its input.
const keyedPartitions = 6

const day = 24 * time.Hour

// The retentions. The ledger's log is kept for ever: a rebuild starts at its
// beginning.
const (
	forRaw   = 90 * day
	forAudit = 365 * day
	forEver  = 0
	// Nobody waits longer for an answer; who asks again gets it again.
	forAnswers = time.Hour
)

// TopicSpecs returns every topic of the services. The caller owns the result.
func TopicSpecs() []TopicSpec {
	specs := []TopicSpec{
		plain(TopicRaw, "source|stream key", forRaw).big(),
		plain(TopicRawBulk, "source|stream key", forRaw).big(),
		plain(TopicRetry, "source|stream key", forRaw).big(),
		plain(TopicEvents, "entity|item, or |control", forEver).logAppendTime(),
		plain(TopicOutcomes, "entity|item", forAudit),
		compacted(TopicPositions, "entity|item|location; partitioned by entity|item", keyedPartitions),
		compacted(TopicState, "entity|item|kind|n, or |header; partitioned by entity|item", keyedPartitions),
		compacted(TopicViews, "entity|item|location|source; partitioned by entity|item", keyedPartitions),
		plain(TopicSnapshots, "entity|location|source; partition = that of the events", forAudit),
		plain(TopicAnswers, "reservation; partition = reply_to", forAnswers),
		plain(TopicOrders, milestoneKey, forAudit),
		plain(TopicShipments, milestoneKey, forAudit),
		plain(TopicReturns, milestoneKey, forAudit),
		compacted(TopicItems, "entity|item", keyedPartitions),
		compacted(TopicLocations, "entity|location", keyedPartitions),
		compacted(TopicPolicies, "name@version", 1),
		plain(TopicPostings, "entity and document", forAudit),
		plain(TopicResults, "entity and document", forAudit),
		compacted(TopicOffers, "channel|entity|item", keyedPartitions),
		plain(TopicConfirmed, "channel|entity|item", forRaw),
		compacted(TopicSchemas, "subject|version", 1),
		compacted(TopicParked, "missing reference, raw id and line; partitioned as raw.retry", keyedPartitions).big(),
		plain(TopicReceipts, "source|stream key", forRaw),
		plain(TopicAcks, "source", forAudit),
		plain(TopicMarks, "source|sort|value", forAudit),
		compacted(TopicCursors, "source|flow", keyedPartitions),
		compacted(TopicSubscriptions, "id, or id|delivery; partitioned by id", keyedPartitions),
	}
	for _, topic := range deadLetterTopics() {
		specs = append(specs, plain(topic, "as the input", forRaw).big())
	}
	for i := range specs {
		_, specs[i].HasSchema = schemas.Latest(specs[i].Name)
	}
	return specs
}

const milestoneKey = "entity|document type|number"

// milestoneTopic names the topic of each sort of milestone.
func milestoneTopic() map[string]string {
	return map[string]string{AboutOrders: TopicOrders, AboutShipments: TopicShipments, AboutReturns: TopicReturns}
}

// MilestoneTopic is where milestones about orders, shipments or returns stand; false
// of anything else.
func MilestoneTopic(about string) (string, bool) {
	topic, ok := milestoneTopic()[about]
	return topic, ok
}

// MilestoneTopics are those of all milestones, in the order of their names. The
// caller owns the result.
func MilestoneTopics() []string { return slices.Sorted(maps.Values(milestoneTopic())) }

// deadLetterTopics are those of all services, in the order of their names.
func deadLetterTopics() []string {
	return slices.Sorted(maps.Values(deadLetterTopic()))
}

// deadLetterTopic names the dead letters of each service.
func deadLetterTopic() map[string]string {
	return map[string]string{
		"canonicalizer":     TopicDeadCanonicalizer,
		"atp":               TopicDeadATP,
		"atp-api":           TopicDeadATPAPI,
		"erp-writer":        TopicDeadERPWriter,
		"channel-publisher": TopicDeadChannel,
	}
}

func plain(name, key string, retention time.Duration) TopicSpec {
	ms := int64(-1)
	if retention > 0 {
		ms = retention.Milliseconds()
	}
	return TopicSpec{
		Name: name, Key: key, Partitions: keyedPartitions, Retention: retention,
		Configs: map[string]string{
			"cleanup.policy": "delete",
			"retention.ms":   strconv.FormatInt(ms, 10),
		},
	}
}

// compacted is a topic of which the latest value of each key counts. Small
// segments that are cleaned soon keep a restore short (EXACTLY-ONCE §2);
// tombstones outlive the longest outage of a reader.
func compacted(name, key string, partitions int32) TopicSpec {
	return TopicSpec{
		Name: name, Key: key, Partitions: partitions, Compacted: true,
		Configs: map[string]string{
			"cleanup.policy":            "compact",
			"segment.ms":                strconv.FormatInt((10 * time.Minute).Milliseconds(), 10),
			"segment.bytes":             strconv.Itoa(64 << 20),
			"min.cleanable.dirty.ratio": "0.1",
			"max.compaction.lag.ms":     strconv.FormatInt(time.Hour.Milliseconds(), 10),
			"delete.retention.ms":       strconv.FormatInt((7 * day).Milliseconds(), 10),
		},
	}
}

// big allows records that hold a whole raw message.
func (s TopicSpec) big() TopicSpec {
	s.Configs["max.message.bytes"] = strconv.Itoa(bigBatch)
	return s
}

// The largest batches: of topics that carry whole messages, and the broker's
// default less what its own accounting adds.
const (
	bigBatch   = 2 << 20
	plainBatch = 1_000_012
)

// MaxBatch is the largest batch, and so record, that a topic takes, bytes.
func MaxBatch(topic string) int32 {
	switch topic {
	case TopicRaw, TopicRawBulk, TopicRetry, TopicParked, TopicDeadCanonicalizer, TopicDeadATP, TopicDeadATPAPI, TopicDeadERPWriter, TopicDeadChannel:
		return bigBatch
	}
	return plainBatch
}

// logAppendTime makes the broker's clock the ledger's (EXACTLY-ONCE §6).
func (s TopicSpec) logAppendTime() TopicSpec {
	s.Configs["message.timestamp.type"] = "LogAppendTime"
	return s
}
