package takeover

import (
	"errors"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/stream"
)

// owned is a cluster whose brokers and logs the test may break. These tests run one
// after the other, before the parallel ones.
func owned(t *testing.T) *cluster {
	t.Helper()
	c := connect(t)
	if c.kafka == nil {
		t.Skip("NOT RUN: the brokers named by KAFKA_BROKERS3 are not the test's own to break")
	}
	return c
}

// stopped waits for an owner to stop by itself, for a person to look.
func (o *owner) stopped(t *testing.T) {
	t.Helper()
	select {
	case err := <-o.done:
		o.cancel()
		if !errors.Is(err, stream.ErrStop) {
			t.Errorf("owner %s ended with %v, want a stop", o.name, err)
			return
		}
		t.Logf("stopped: %v", err)
	case <-time.After(90 * time.Second):
		o.cancel()
		t.Fatalf("owner %s goes on", o.name)
	}
}

// Each broker is killed in turn while records flow: coordinators, leaders and
// transactions move, and every record counts once.
func TestBrokersKilled(t *testing.T) {
	c := owned(t)
	f := c.feed(2 * time.Millisecond)
	o := c.owner("0")
	for id := 1; id <= 3; id++ {
		began := time.Now()
		before := o.gauge(t, "stockweave_stream_records_total")
		eventually(t, "records flow", func() bool { return o.gauge(t, "stockweave_stream_records_total") > before+200 })
		c.kafka.Kill(t, id)
		before = o.gauge(t, "stockweave_stream_records_total")
		eventually(t, "records flow with a broker down", func() bool { return o.gauge(t, "stockweave_stream_records_total") > before+200 })
		t.Logf("broker %d killed, records flow again after %v", id, time.Since(began))
		c.kafka.Restart(t, id)
		c.kafka.Healthy(t)
		t.Logf("broker %d is back after %v", id, time.Since(began))
	}
	f.stop()
	c.caughtUp()
	t.Logf("%v aborts, %v restored records", o.gauge(t, "stockweave_stream_aborts_total"), o.gauge(t, "stockweave_stream_restored_records_total"))
	o.stop(t)
	c.once(f)
}

// primed is an owner that has worked off n records of partition 0.
func (c *cluster) primed(n int) (*owner, *stream.Producer) {
	c.t.Helper()
	producer, err := stream.NewProducer(c.cfg, stream.WithOwnPartition())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(producer.Close)
	o := c.owner("0")
	c.put(producer, n)
	eventually(c.t, "records are worked off", func() bool { return o.gauge(c.t, "stockweave_stream_records_total") == float64(n) })
	return o, producer
}

func (c *cluster) put(producer *stream.Producer, n int) {
	c.t.Helper()
	for range n {
		if err := producer.Produce(c.t.Context(), &stream.Record{Topic: c.in, Key: []byte("k0")}); err != nil {
			c.t.Fatal(err)
		}
	}
}

func variants(t *testing.T, f func(t *testing.T, running bool)) {
	t.Helper()
	t.Run("while running", func(t *testing.T) { f(t, true) })
	t.Run("between runs", func(t *testing.T) { f(t, false) })
}

// The input topic comes back under its old name with other records at the old
// offsets. The worker stops: it neither counts them nor takes them for applied.
func TestTopicRecreated(t *testing.T) {
	variants(t, func(t *testing.T, running bool) {
		c := owned(t)
		o, _ := c.primed(20)
		if !running {
			o.stop(t)
		}
		if _, err := c.kafka.Admin(t).DeleteTopic(t.Context(), c.in); err != nil {
			t.Fatal(err)
		}
		eventually(t, "topic is gone", func() bool {
			infos, err := c.admin.Topics(t.Context(), c.in)
			return err == nil && len(infos) == 0
		})
		spec := stream.TopicSpec{Name: c.in, Partitions: partitions, Replicas: 3, Configs: map[string]string{"message.timestamp.type": "LogAppendTime"}}
		eventually(t, "topic is back", func() bool {
			res, err := c.admin.EnsureTopics(t.Context(), false, spec)
			return err == nil && res[0].Exists
		})
		producer, err := stream.NewProducer(c.cfg, stream.WithOwnPartition())
		if err != nil {
			t.Fatal(err)
		}
		defer producer.Close()
		c.put(producer, 40)
		if !running {
			o = c.owner("0")
		}
		o.stopped(t)
		if n := c.outputs(0); n != 20 {
			t.Errorf("%d records counted, want the 20 of before", n)
		}
	})
}

// The log loses records that were worked off already, and others take their offsets.
// The worker stops; it never counts one of them, nor skips one as applied.
func TestLogTruncated(t *testing.T) {
	variants(t, func(t *testing.T, running bool) {
		c := owned(t)
		o, producer := c.primed(20)
		if !running {
			o.stop(t)
		}
		if end := c.kafka.CutTail(t, c.in, 0, 10); end != 10 {
			t.Fatalf("the log ends at %d", end)
		}
		if !running {
			o = c.owner("0")
		}
		o.stopped(t)
		if err := c.admin.RemoveMember(t.Context(), c.group, o.name); err != nil {
			t.Log(err) // its session is over already
		}
		c.put(producer, 30) // beyond where it was: only the epoch tells
		o = c.owner("1")
		o.stopped(t)
		if n := c.outputs(0); n != 20 {
			t.Errorf("%d records counted, want the 20 of before", n)
		}
	})
}

// Retention takes records that nobody has read yet. The worker stops.
func TestUnreadRecordsGone(t *testing.T) {
	c := owned(t)
	o, producer := c.primed(20)
	o.stop(t)
	c.put(producer, 20)
	c.kafka.CutHead(t, c.in, 0, 30)
	o = c.owner("0")
	o.stopped(t)
	if n := c.outputs(0); n != 20 {
		t.Errorf("%d records counted, want the 20 of before", n)
	}
}
