package main

import (
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

// A snapshot that its guard holds is closed by a person's word, which is given by the
// names that the dead letter tells.
func TestSnapshotsApprove(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	stop := l.start()
	receipt := loneEvent(inventory.KindMovement, "R1")
	receipt.Movement = &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: 5 * inventory.One}
	l.send(receipt)
	// Without a policy of its own wms may set all to zero: erp's is held item by item.
	end := inventory.SnapshotEnd{
		Source: "wms", ID: "count/C", Entity: loneKey.Entity, Location: "DC1", AsOf: receipt.OccurredAt + 1,
		Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand},
	}
	part := stream.Partition([]byte(loneKey.String()), 6)
	l.command(exitMisuse, "which snapshot", "snapshots", "approve")
	l.command(exitMisuse, "--location", "snapshots", "approve", "count/C", "--source", "wms")
	l.command(exitMisuse, "--author", "snapshots", "approve", "count/C", "--source", "wms", "--location", "DC1")
	args := []string{"snapshots", "approve", "count/C", "--source", "wms", "--location", "DC1", "--author", "ann", "--note", "moved out"}
	l.command(exitFailed, "no such snapshot has ended", args...)

	// As the ledger writes it of an end that it came to, of an earlier life so that it
	// is not closed by itself.
	value, err := l.codecs.AppendSnapshot(nil, &event.SnapshotEnded{End: end, EventID: "e", Lineage: 99, Partition: part})
	if err != nil {
		t.Fatal(err)
	}
	byNumber, err := stream.NewProducer(l.cfg.Kafka, stream.WithOwnPartition())
	if err != nil {
		t.Fatal(err)
	}
	defer byNumber.Close()
	if err := byNumber.Produce(t.Context(), &stream.Record{Topic: event.TopicSnapshots, Partition: part, Key: []byte("k"), Value: value}); err != nil {
		t.Fatal(err)
	}
	l.command(exitFailed, "no such snapshot has ended", "snapshots", "approve", "count/C", "--source", "erp", "--location", "DC1", "--author", "ann")
	l.command(exitOK, "the word stands in 1 partitions", args...)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		l.settled()
		if l.onHand() == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %v on hand", l.onHand())
		}
	}

	// A shadow comes to the ends, too, and is as the live ledger is.
	l.command(exitOK, "identical", "replay", "--shadow", "s")

	// Parts that have not come are told of.
	l.command(exitOK, "no full snapshot waits", "snapshots", "list")
	end.ID, end.Part, end.Parts, end.AsOf = "count/P", 2, 3, end.AsOf+1 // later than the one that is whole
	if value, err = l.codecs.AppendSnapshot(nil, &event.SnapshotEnded{
		End: end, EventID: "p", Lineage: 99, Partition: part, RecordedAt: inventory.Instant(time.Now().UnixMilli()),
	}); err != nil {
		t.Fatal(err)
	}
	if err := byNumber.Produce(t.Context(), &stream.Record{Topic: event.TopicSnapshots, Partition: part, Key: []byte("k"), Value: value}); err != nil {
		t.Fatal(err)
	}
	l.command(exitFailed, "1 3", "snapshots", "list")
	l.command(exitFailed, `"missing":[1,3]`, "snapshots", "list", "--json")
	l.command(exitOK, "no full snapshot waits", "snapshots", "list", "--older", "1h")
	l.closed(part)
	stop()
	// Ends do not go along to other partitions: their group has read them all.
	l.command(exitOK, event.TopicSnapshots+".g1", "repartition", "--partitions", "3", "--yes")
}

// closed waits until every end of a partition is worked off.
func (l *lone) closed(partition int32) {
	l.t.Helper()
	reads := l.reads()
	defer reads.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		at, err := reads.GroupOffset(l.t.Context(), atp.ClosingGroup("atp"), event.TopicSnapshots, partition)
		if err != nil {
			l.t.Fatal(err)
		}
		if _, left, err := reads.NextRecord(l.t.Context(), event.TopicSnapshots, partition, max(0, at)); err != nil {
			l.t.Fatal(err)
		} else if !left {
			return
		}
		if time.Now().After(deadline) {
			l.t.Fatal("ends of snapshots are left")
		}
	}
}

// onHand is that of the item at the first of its locations.
func (l *lone) onHand() inventory.Quantity {
	l.t.Helper()
	reads := l.reads()
	defer reads.Close()
	var now inventory.Position
	if _, err := reads.Fold(l.t.Context(), event.TopicPositions, stream.Partition([]byte(loneKey.String()), 6), func(rec *stream.Record) error {
		return l.codecs.DecodePosition(rec.Value, &now)
	}); err != nil {
		l.t.Fatal(err)
	}
	return now.States[inventory.OnHand]
}
