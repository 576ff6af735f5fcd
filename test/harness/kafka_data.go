package harness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wipeLimit bounds the removal of all topics and groups.
const wipeLimit = 60 * time.Second

// Client opens a client that ends with the test.
func (c *Cluster) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Brokers()...)}, opts...)...)
	if err != nil {
		t.Fatalf("opening a client: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// Admin opens an admin client that ends with the test.
func (c *Cluster) Admin(t testing.TB) *kadm.Client {
	t.Helper()
	return kadm.NewClient(c.Client(t))
}

// Create makes topics with the cluster's replication factor and returns when every
// partition has a leader. Configs are key, value, key, value.
func (c *Cluster) Create(t testing.TB, partitions int32, configs []string, topics ...string) {
	t.Helper()
	if len(configs)%2 != 0 {
		t.Fatalf("configs are pairs: %q", configs)
	}
	settings := map[string]*string{}
	for pair := range slices.Chunk(configs, 2) {
		settings[pair[0]] = &pair[1]
	}
	admin := c.Admin(t)
	made, err := admin.CreateTopics(t.Context(), partitions, -1, settings, topics...)
	if err = errors.Join(err, made.Error()); err != nil {
		t.Fatalf("creating topics: %v", err)
	}
	c.Healthy(t)
}

// Wipe removes every group and topic, so that a shared cluster is as new. Members
// that were killed are removed from their groups first.
func (c *Cluster) Wipe(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wipeLimit)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		t.Fatalf("opening a client: %v", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if err := poll(ctx, func(ctx context.Context) error {
		return errors.Join(wipeGroups(ctx, client, admin), wipeTopics(ctx, admin))
	}); err != nil {
		t.Fatalf("wiping the cluster: %v", err)
	}
}

func wipeGroups(ctx context.Context, client *kgo.Client, admin *kadm.Client) error {
	groups, err := admin.DescribeGroups(ctx)
	if err != nil {
		return fmt.Errorf("listing groups: %w", err)
	}
	for _, g := range groups.Sorted() {
		if len(g.Members) == 0 {
			continue
		}
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = g.Group
		for _, m := range g.Members {
			member := kmsg.NewLeaveGroupRequestMember()
			member.MemberID, member.InstanceID = m.MemberID, m.InstanceID
			req.Members = append(req.Members, member)
		}
		if _, err := req.RequestWith(ctx, client); err != nil {
			return fmt.Errorf("emptying group %s: %w", g.Group, err)
		}
	}
	if len(groups) == 0 {
		return nil
	}
	gone, err := admin.DeleteGroups(ctx, groups.Names()...)
	if err = errors.Join(err, gone.Error()); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("deleting groups: %w", err)
	}
	return nil
}

func wipeTopics(ctx context.Context, admin *kadm.Client) error {
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	if len(topics) == 0 {
		return nil
	}
	gone, err := admin.DeleteTopics(ctx, topics.Names()...)
	if err = errors.Join(err, gone.Error()); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("deleting topics: %w", err)
	}
	return errors.New("waiting for topics to be gone")
}

// CutHead removes a partition's records before an offset, as retention would.
func (c *Cluster) CutHead(t testing.TB, topic string, partition int32, before int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, before, -1)
	done, err := c.Admin(t).DeleteRecords(t.Context(), offsets)
	if err = errors.Join(err, done.Error()); err != nil {
		t.Fatalf("cutting the head of %s/%d: %v", topic, partition, err)
	}
}

// CutTail loses a partition's records from an offset on, as disks that lied about a
// flush would: every broker is killed, every replica's log is cut at the batch that
// holds the offset, and the brokers start again. It returns the partition's new
// end.
func (c *Cluster) CutTail(t testing.TB, topic string, partition int32, from int64) int64 {
	t.Helper()
	for _, b := range c.brokers {
		c.Kill(t, b.id)
	}
	cut := 0
	for _, b := range c.brokers {
		dir := filepath.Join(b.data(), fmt.Sprintf("%s-%d", topic, partition))
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := cutLog(dir, from); err != nil {
			t.Fatalf("cutting %s/%d on broker %d: %v", topic, partition, b.id, err)
		}
		cut++
	}
	if cut == 0 {
		t.Fatalf("no broker holds %s/%d", topic, partition)
	}
	for _, b := range c.brokers {
		if err := c.start(b); err != nil {
			t.Fatal(err)
		}
	}
	c.Healthy(t)
	ends, err := c.Admin(t).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatalf("reading the new end: %v", err)
	}
	end, ok := ends.Lookup(topic, partition)
	if !ok || end.Err != nil {
		t.Fatalf("reading the new end of %s/%d: %v", topic, partition, end.Err)
	}
	return end.Offset
}

// cutLog truncates a stopped partition's segments at the first batch that reaches
// the offset. Indexes and producer snapshots are removed; the broker rebuilds them.
func cutLog(dir string, from int64) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("listing segments: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		switch ext := filepath.Ext(f.Name()); ext {
		case ".index", ".timeindex", ".txnindex", ".snapshot":
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("removing an index: %w", err)
			}
		case ".log":
			var base int64
			if _, err := fmt.Sscanf(strings.TrimSuffix(f.Name(), ext), "%d", &base); err != nil {
				return fmt.Errorf("reading the segment name %s: %w", f.Name(), err)
			}
			if err := cutSegment(path, base, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// cutSegment walks the record batches (Kafka message format v2: base offset 8
// bytes, length of what follows 4 bytes, …, last offset delta at byte 23).
func cutSegment(path string, base, from int64) error {
	const header, lastDelta = 61, 23
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening segment: %w", err)
	}
	defer f.Close()
	var at int64
	head := make([]byte, header)
	for {
		if _, err := f.ReadAt(head, at); errors.Is(err, io.EOF) {
			return nil // wholly before the cut
		} else if err != nil {
			return fmt.Errorf("reading a batch: %w", err)
		}
		first := int64(binary.BigEndian.Uint64(head))
		length := int64(binary.BigEndian.Uint32(head[8:]))
		if last := first + int64(binary.BigEndian.Uint32(head[lastDelta:])); last >= from {
			break
		}
		at += 12 + length
	}
	if at == 0 && base > 0 { // nothing of it stays
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing segment: %w", err)
		}
		return nil
	}
	if err := f.Truncate(at); err != nil {
		return fmt.Errorf("truncating segment: %w", err)
	}
	return nil
}
