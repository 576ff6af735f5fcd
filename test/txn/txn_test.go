// Package txn proves on a real broker that an operator finds a transaction that
// holds readers up, and ends it.
package txn

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// stockweave runs an operator's command and returns its exit code and output.
func stockweave(t *testing.T, c *harness.Cluster, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(t), args...)
	cmd.Env = append(os.Environ(), "STOCKWEAVE_KAFKA_BROKERS="+strings.Join(c.Brokers(), ","))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if code, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	} else if ok {
		return code.ExitCode(), string(out) + stderr.String()
	}
	return 0, string(out)
}

// reader reads committed records only.
type reader struct {
	t  *testing.T
	cl *kgo.Client
}

func readCommitted(t *testing.T, c *harness.Cluster, topic string) reader {
	return reader{t, c.Client(t, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}))}
}

// within returns the values read in a time, or as soon as there are n.
func (r reader) within(d time.Duration, n int) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	var got []string
	for len(got) < n && ctx.Err() == nil {
		fs := r.cl.PollFetches(ctx)
		if err := fs.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			r.t.Fatal(err)
		}
		for rec := range fs.RecordsAll() {
			got = append(got, string(rec.Value))
		}
	}
	return strings.Join(got, " ")
}

func produce(t *testing.T, cl *kgo.Client, topic, value string) {
	t.Helper()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// A producer dies with its transaction open: it is listed, aborted by its id, and
// the reader goes on.
func TestOpenTransactionIsListedAndAborted(t *testing.T) {
	c := harness.Kafka(t, 1)
	c.Create(t, 1, nil, "held")
	produce(t, c.Client(t), "held", "before")
	open := c.Client(t, kgo.TransactionalID("dead-0"), kgo.TransactionTimeout(10*time.Minute))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, open, "held", "open")
	produce(t, c.Client(t), "held", "after")
	r := readCommitted(t, c, "held")
	if got := r.within(3*time.Second, 2); got != "before" {
		t.Fatalf("read %q past an open transaction", got)
	}

	if code, out := stockweave(t, c, "txn", "list"); code != 0 || !strings.Contains(out, "dead-0") || !strings.Contains(out, "Ongoing") || !strings.Contains(out, "held[0]") {
		t.Fatalf("exit %d, output %s", code, out)
	}
	if code, out := stockweave(t, c, "txn", "list", "--older", "1h"); code != 0 || strings.Contains(out, "dead-0") {
		t.Errorf("exit %d, output %s", code, out)
	}
	if code, out := stockweave(t, c, "txn", "abort", "--id", "dead-0"); code != 2 || !strings.Contains(out, "--yes") || !strings.Contains(out, "held[0]") {
		t.Errorf("exit %d, output %s", code, out)
	}
	if got := r.within(time.Second, 1); got != "" {
		t.Fatalf("read %q, though nothing was to be aborted yet", got)
	}
	if code, out := stockweave(t, c, "txn", "abort", "--id", "dead-0", "--yes"); code != 0 || !strings.Contains(out, "aborted") {
		t.Fatalf("exit %d, output %s", code, out)
	}
	if got := r.within(10*time.Second, 1); got != "after" {
		t.Errorf("read %q, want what came after the transaction", got)
	}
	if code, out := stockweave(t, c, "txn", "list"); code != 0 || strings.Contains(out, "dead-0") {
		t.Errorf("exit %d, output %s", code, out)
	}
	if code, out := stockweave(t, c, "txn", "abort", "--id", "dead-0", "--yes"); code != 1 || !strings.Contains(out, "no such open transaction") {
		t.Errorf("exit %d, output %s", code, out)
	}
	if err := open.EndTransaction(t.Context(), kgo.TryCommit); err == nil {
		t.Error("the producer's commit went through after the abort")
	}
}

// A late batch of a transaction that has ended opens one that no coordinator knows
// of, as brokers allow that do not verify partitions: it hangs for ever, and is ended
// by a marker.
func TestHangingTransactionIsAborted(t *testing.T) {
	c := harness.Kafka(t, 1)
	c.Create(t, 1, nil, "held")
	verify := func(value string) {
		res, err := c.Admin(t).AlterBrokerConfigs(context.Background(), []kadm.AlterConfig{{Name: "transaction.partition.verification.enable", Value: &value}})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
	}
	verify("false")
	defer verify("true")
	cl := c.Client(t)
	produce(t, cl, "held", "before")

	past := c.Client(t, kgo.MaxVersions(kversion.V3_7_0()))
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis = new("ghost"), 10_000
	producer, err := init.RequestWith(t.Context(), cl)
	if err != nil || producer.ErrorCode != 0 {
		t.Fatal(err, producer)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := late(t, past, "held", producer.ProducerID, producer.ProducerEpoch)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker never took a late batch: %v", err)
		}
		time.Sleep(200 * time.Millisecond) // until it has heard of the setting
	}
	produce(t, cl, "held", "after")
	r := readCommitted(t, c, "held")
	if got := r.within(3*time.Second, 2); got != "before" {
		t.Fatalf("read %q past a hanging transaction", got)
	}

	id := fmt.Sprint(producer.ProducerID)
	if code, out := stockweave(t, c, "txn", "list"); code != 0 || !strings.Contains(out, id) || !strings.Contains(out, "Hanging") || !strings.Contains(out, "held[0]") {
		t.Fatalf("exit %d, output %s", code, out)
	}
	args := []string{"txn", "abort", "--topic", "held", "--partition", "0", "--producer", id}
	if code, out := stockweave(t, c, args...); code != 2 || !strings.Contains(out, "--yes") {
		t.Errorf("exit %d, output %s", code, out)
	}
	if code, out := stockweave(t, c, append(args, "--yes")...); code != 0 {
		t.Fatalf("exit %d, output %s", code, out)
	}
	if got := r.within(10*time.Second, 1); got != "after" {
		t.Errorf("read %q, want what came after the transaction", got)
	}
	if code, out := stockweave(t, c, "txn", "list"); code != 0 || strings.Contains(out, "Hanging") {
		t.Errorf("exit %d, output %s", code, out)
	}
}

// late sends a transactional batch without telling the coordinator; the client must
// be one from before a batch did that by itself (KIP-890).
func late(t *testing.T, cl *kgo.Client, topic string, producer int64, epoch int16) error {
	t.Helper()
	record := kmsg.Record{Value: []byte("late")}
	body := record.AppendTo(nil)[1:] // without the length, which is known only now
	record.Length = int32(len(body)) //nolint:gosec // some bytes
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: 1 << 4, // transactional
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: producer, ProducerEpoch: epoch,
		NumRecords: 1, Records: record.AppendTo(nil),
	}
	raw := batch.AppendTo(nil)
	batch.Length = int32(len(raw) - 12)                                                     //nolint:gosec // some bytes
	batch.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))          //nolint:gosec // the format's own
	if raw = batch.AppendTo(nil); binary.BigEndian.Uint32(raw[8:]) != uint32(len(raw)-12) { //nolint:gosec // some bytes
		t.Fatal("batch is not what it says")
	}
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = new("ghost"), -1, 5000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = raw
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fmt.Errorf("answer %+v", resp)
	}
	return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
}
