package harness_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// produce appends n records to partition 0 and fails unless all are acknowledged.
func produce(t *testing.T, c *harness.Cluster, topic string, from, n int) {
	t.Helper()
	client := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range n {
		// One batch a record, so that a log can be cut anywhere.
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: fmt.Append(nil, from+i)}).FirstErr(); err != nil {
			t.Fatalf("producing record %d: %v", from+i, err)
		}
	}
}

// consume returns the values of partition 0 from an offset on, n of them.
func consume(t *testing.T, c *harness.Cluster, topic string, at int64, n int) []string {
	t.Helper()
	client := c.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(at)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []string
	for len(got) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("consuming %s after %d records: %v", topic, len(got), err)
		}
		for r := range fetches.RecordsAll() {
			got = append(got, string(r.Value))
		}
	}
	return got
}

func TestKafkaKeepsWhatItAcknowledged(t *testing.T) {
	for _, brokers := range []int{1, 3} {
		t.Run(fmt.Sprint(brokers), func(t *testing.T) {
			c := harness.Kafka(t, brokers)
			c.Create(t, 1, nil, "kept")
			produce(t, c, "kept", 0, 10)
			c.Kill(t, 1)
			if conn, err := net.DialTimeout("tcp", c.Brokers()[0], time.Second); err == nil {
				_ = conn.Close()
				t.Fatal("the killed broker still accepts connections")
			}
			if brokers == 3 { // two replicas in sync are enough
				produce(t, c, "kept", 10, 10)
				c.Restart(t, 1)
			} else {
				c.Restart(t, 1)
				produce(t, c, "kept", 10, 10)
			}
			c.Healthy(t)
			got := consume(t, c, "kept", 0, 20)
			for i, v := range got {
				if v != fmt.Sprint(i) {
					t.Fatalf("record %d is %s", i, v)
				}
			}
		})
	}
}

func TestKafkaIsWipedBetweenTests(t *testing.T) {
	c := harness.Kafka(t, 1)
	c.Create(t, 2, []string{"cleanup.policy", "compact", "message.timestamp.type", "LogAppendTime"}, "old")
	member := c.Client(t, kgo.ConsumerGroup("old"), kgo.InstanceID("one"), kgo.ConsumeTopics("old"))
	produce(t, c, "old", 0, 1)
	if err := member.PollFetches(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := member.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Fatal(err)
	}
	member.CloseAllowingRebalance()

	c = harness.Kafka(t, 1)
	admin := c.Admin(t)
	topics, err := admin.ListTopics(t.Context())
	if err != nil || len(topics) > 0 {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
	groups, err := admin.ListGroups(t.Context())
	if err != nil || len(groups) > 0 {
		t.Errorf("groups %v, %v", groups.Groups(), err)
	}
}

func TestKafkaCutsLogs(t *testing.T) {
	for _, brokers := range []int{1, 3} {
		t.Run(fmt.Sprint(brokers), func(t *testing.T) {
			c := harness.Kafka(t, brokers)
			c.Create(t, 1, nil, "cut")
			produce(t, c, "cut", 0, 10)
			if end := c.CutTail(t, "cut", 0, 7); end != 7 {
				t.Errorf("the log ends at %d, not 7", end)
			}
			c.CutHead(t, "cut", 0, 3)
			if got := consume(t, c, "cut", 3, 4); fmt.Sprint(got) != "[3 4 5 6]" {
				t.Errorf("kept %v", got)
			}
			// Both ends refuse a reader that is no longer covered.
			for _, at := range []int64{2, 9} {
				client := c.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"cut": {0: kgo.NewOffset().At(at)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
				if err := client.PollFetches(t.Context()).Err(); !errors.Is(err, kerr.OffsetOutOfRange) {
					t.Errorf("reading at %d: %v", at, err)
				}
			}
			produce(t, c, "cut", 100, 1)
			if got := consume(t, c, "cut", 7, 1); got[0] != "100" {
				t.Errorf("after the cut stands %v", got)
			}
		})
	}
}

func TestKafkaReplicates(t *testing.T) {
	c := harness.Kafka(t, 3)
	c.Create(t, 3, nil, "replicated")
	topics, err := c.Admin(t).ListTopics(t.Context(), "replicated")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range topics["replicated"].Partitions {
		if len(p.Replicas) != 3 || len(p.ISR) != 3 {
			t.Errorf("partition %d has %d replicas, %d in sync", p.Partition, len(p.Replicas), len(p.ISR))
		}
	}
	configs, err := c.Admin(t).DescribeTopicConfigs(t.Context(), "replicated")
	if err != nil {
		t.Fatal(err)
	}
	got, err := configs.On("replicated", func(r *kadm.ResourceConfig) error {
		for _, cfg := range r.Configs {
			if cfg.Key == "min.insync.replicas" && cfg.MaybeValue() != "2" {
				return fmt.Errorf("min.insync.replicas is %s", cfg.MaybeValue())
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v: %v", got.Name, err)
	}
}
